//! Algorithms that are offered to a host: those of libssh2 that OpenSSH's client offers too, in libssh2's order,
//! changed by the user's files and by the known keys of the host.

use ssh_files::{AlgorithmSpec, Certificate, HostConfig, KeyType};
use ssh2::MethodType;

use super::ffi::{Libssh2Error, Peer};
use super::gate::Methods;
use crate::transport::TransportError;

/// The algorithms that OpenSSH 9.2's client offers unless its configuration says otherwise, as far as libssh2 may have
/// them. Others, such as CBC ciphers and SHA-1 signatures, are offered only if the user's files ask for them.
const DEFAULTS: [&str; 34] = [
    // Key exchange.
    "curve25519-sha256",
    "curve25519-sha256@libssh.org",
    "ecdh-sha2-nistp256",
    "ecdh-sha2-nistp384",
    "ecdh-sha2-nistp521",
    "diffie-hellman-group-exchange-sha256",
    "diffie-hellman-group16-sha512",
    "diffie-hellman-group18-sha512",
    "diffie-hellman-group14-sha256",
    // Host keys.
    "ssh-ed25519-cert-v01@openssh.com",
    "ecdsa-sha2-nistp256-cert-v01@openssh.com",
    "ecdsa-sha2-nistp384-cert-v01@openssh.com",
    "ecdsa-sha2-nistp521-cert-v01@openssh.com",
    "rsa-sha2-512-cert-v01@openssh.com",
    "rsa-sha2-256-cert-v01@openssh.com",
    "ssh-ed25519",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "rsa-sha2-512",
    "rsa-sha2-256",
    // Ciphers.
    "chacha20-poly1305@openssh.com",
    "aes128-ctr",
    "aes192-ctr",
    "aes256-ctr",
    "aes128-gcm@openssh.com",
    "aes256-gcm@openssh.com",
    // Integrity.
    "hmac-sha2-256-etm@openssh.com",
    "hmac-sha2-512-etm@openssh.com",
    "hmac-sha1-etm@openssh.com",
    "umac-128-etm@openssh.com",
    "hmac-sha2-256",
    "hmac-sha2-512",
    "hmac-sha1",
];

/// Returns the algorithms of a list that are offered by default.
fn defaults(supported: &[&'static str]) -> Vec<&'static str> {
    let mut names = supported.to_vec();
    names.retain(|name| DEFAULTS.contains(name));
    names
}

/// Algorithms of libssh2, in its order of preference.
#[derive(Clone, Debug)]
pub(super) struct Supported {
    kex: Vec<&'static str>,
    host_keys: Vec<&'static str>,
    ciphers: Vec<&'static str>,
    macs: Vec<&'static str>,
}

/// Algorithms to offer, in order.
#[derive(Clone, Debug, Default)]
pub(super) struct Algorithms {
    pub(super) kex: String,
    pub(super) host_key: String,
    pub(super) ciphers: String,
    pub(super) macs: String,
    /// `None` for libssh2's defaults.
    pub(super) signatures: Option<String>,
    pub(super) compression: bool,
}

impl Supported {
    /// Reads the lists from libssh2.
    pub(super) fn find() -> Result<Supported, Libssh2Error> {
        // The lists depend on the OpenSSL with which libssh2 was built, so they are read from a session.
        let session = ssh2::Session::new()?;
        let list = |kind| -> Result<Vec<&'static str>, Libssh2Error> {
            let mut names = session.supported_algs(kind)?;
            // These are no algorithms; libssh2 adds them by itself.
            names.retain(|name| *name != "ext-info-c" && !name.starts_with("kex-strict-"));
            Ok(names)
        };
        Ok(Supported {
            kex: list(MethodType::Kex)?,
            host_keys: list(MethodType::HostKey)?,
            ciphers: list(MethodType::CryptCs)?,
            macs: list(MethodType::MacCs)?,
        })
    }

    /// Returns the algorithms to offer to a host that has known keys of these types.
    pub(super) fn choose(
        &self,
        host: &HostConfig,
        known: &[KeyType],
        authority: bool,
    ) -> Result<Algorithms, TransportError> {
        Ok(Algorithms {
            kex: list_to_offer("KexAlgorithms", host.kex_algorithms.as_ref(), &self.kex)?,
            host_key: match &host.host_key_algorithms {
                Some(_) => list_to_offer(
                    "HostKeyAlgorithms",
                    host.host_key_algorithms.as_ref(),
                    &self.host_keys(authority),
                )?,
                None => self.ordered(known, authority).join(","),
            },
            ciphers: list_to_offer("Ciphers", host.ciphers.as_ref(), &self.ciphers)?,
            macs: list_to_offer("MACs", host.macs.as_ref(), &self.macs)?,
            signatures: match &host.pubkey_accepted_algorithms {
                Some(spec) => Some(apply_spec(
                    "PubkeyAcceptedAlgorithms",
                    spec,
                    &signing(),
                    &signing(),
                )?),
                None => None,
            },
            compression: host.compression,
        })
    }

    /// Returns the host key algorithms. Those of certificates are included only if an authority is known.
    fn host_keys(&self, authority: bool) -> Vec<&'static str> {
        // libssh2 prefers certificates, and a server that has one then shows no plain key.
        let mut names = self.host_keys.clone();
        names.retain(|name| match KeyType::of_algorithm(name) {
            Some((_, certificate)) => authority || !certificate,
            None => false,
        });
        names
    }

    /// Returns the host key algorithms, those with known keys first.
    fn ordered(&self, known: &[KeyType], authority: bool) -> Vec<&'static str> {
        // The client's order decides (RFC 4253, section 7.1), so a server with several keys shows one that is known.
        let mut names = defaults(&self.host_keys(authority));
        names.sort_by_key(|name| match KeyType::of_algorithm(name) {
            Some((_, true)) => 0,
            Some((kind, false)) if known.contains(&kind) => 1,
            _ => 2,
        });
        names
    }
}

/// Returns the signature algorithms that are configured.
pub(super) fn accepted(spec: &AlgorithmSpec) -> Vec<String> {
    let all = signing();
    spec.apply(&all, &all)
}

/// Returns all signature algorithms of keys and certificates.
fn signing() -> Vec<&'static str> {
    let of = |kind: &KeyType| {
        let certificates = kind.certificate_algorithms().iter();
        certificates.chain(kind.algorithms()).copied()
    };
    KeyType::ALL.iter().flat_map(of).collect()
}

/// Returns the signature algorithms of a key or certificate.
pub(super) fn key_algorithms(blob: &[u8]) -> &'static [&'static str] {
    match KeyType::of_blob(blob) {
        Some(kind) => kind.algorithms(),
        None => Certificate::parse_own(blob).map_or(&[][..], |certificate| {
            certificate.kind().certificate_algorithms()
        }),
    }
}

/// Returns the list to offer: the default, or the user's.
fn list_to_offer(
    keyword: &str,
    spec: Option<&AlgorithmSpec>,
    supported: &[&'static str],
) -> Result<String, TransportError> {
    let defaults = defaults(supported);
    match spec {
        Some(spec) => apply_spec(keyword, spec, &defaults, supported),
        None => Ok(defaults.join(",")),
    }
}

/// Applies the user's list to the default.
fn apply_spec(
    keyword: &str,
    spec: &AlgorithmSpec,
    defaults: &[&str],
    supported: &[&str],
) -> Result<String, TransportError> {
    let names = spec.apply(defaults, supported);
    if names.is_empty() {
        Err(TransportError::Config {
            reason: format!(
                "{keyword}: none of {} is known here ({} are): try -R openssh",
                spec.list.join(", "),
                supported.join(", ")
            ),
        })
    } else {
        Ok(names.join(","))
    }
}

/// Fixes the algorithms of a peer's connection, so that a later key exchange can change nothing but the keys.
pub(super) fn pin(peer: &mut Peer, methods: &Methods) -> Result<(), Libssh2Error> {
    // libssh2 replaces an algorithm as soon as a later exchange agrees on another one, and keeps the old state.
    for (kind, name) in methods.by_kind() {
        peer.prefer(kind, name)?;
    }
    Ok(())
}

impl Algorithms {
    /// Sets the algorithms of a peer.
    pub(super) fn set(&self, peer: &mut Peer) -> Result<(), Libssh2Error> {
        let lists = [
            (MethodType::Kex, &self.kex),
            (MethodType::HostKey, &self.host_key),
            (MethodType::CryptCs, &self.ciphers),
            (MethodType::CryptSc, &self.ciphers),
            (MethodType::MacCs, &self.macs),
            (MethodType::MacSc, &self.macs),
        ];
        let signatures = self.signatures.iter();
        let signatures = signatures.map(|list| (MethodType::SignAlgo, list));
        for (kind, list) in lists.into_iter().chain(signatures) {
            peer.prefer(kind, list)?;
        }
        if self.compression {
            peer.compress();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transport::ssh::testing::{OpensshTools, configured};

    fn chosen(options: &[&str]) -> Algorithms {
        let supported = Supported::find().unwrap();
        let host = configured("h", options);
        supported.choose(&host, &[], true).unwrap()
    }

    #[test]
    fn only_algorithms_that_openssh_offers_are_offered() {
        let Some(bench) = OpensshTools::new() else {
            return;
        };
        let output = bench.run("ssh", &["-F", "none", "-G", "h"]);
        let text = String::from_utf8(output.stdout).unwrap();
        let offered = chosen(&[]);
        for (keyword, ours) in [
            ("ciphers", &offered.ciphers),
            ("macs", &offered.macs),
            ("kexalgorithms", &offered.kex),
            ("hostkeyalgorithms", &offered.host_key),
        ] {
            let theirs = text
                .lines()
                .find_map(|line| line.strip_prefix(keyword)?.strip_prefix(' '))
                .unwrap();
            let theirs: Vec<&str> = theirs.split(',').collect();
            let more: Vec<&str> = ours
                .split(',')
                .filter(|name| !theirs.contains(name))
                .collect();
            assert_eq!(more, [""; 0], "{keyword}: {ours}");
            assert!(ours.contains(','), "{keyword}: {ours}");
        }
    }

    #[test]
    fn cbc_ciphers_are_offered_only_on_request() {
        assert!(!chosen(&[]).ciphers.contains("cbc"));
        let added = chosen(&["Ciphers=+aes128-cbc"]).ciphers;
        assert!(added.ends_with(",aes128-cbc"), "{added}");
        assert_eq!(added.matches("cbc").count(), 1, "{added}");
        assert_eq!(chosen(&["Ciphers=aes256-cbc"]).ciphers, "aes256-cbc");
        let less = chosen(&["Ciphers=-aes*-ctr"]).ciphers;
        assert!(!less.contains("cbc") && !less.contains("ctr"), "{less}");
    }
}
