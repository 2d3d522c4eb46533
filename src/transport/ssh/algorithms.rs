//! Algorithms that a host is asked for: those of libssh2 that OpenSSH's client offers too, in libssh2's order, changed by
//! the user's files and by the keys that are known for the host.

use ssh_files::{AlgorithmSpec, Certificate, HostConfig, KeyType};
use ssh2::MethodType;

use super::ffi::{Fault, Peer};
use super::gate::Methods;
use crate::transport::TransportError;

/// The algorithms that OpenSSH 9.2's client offers unless its configuration says otherwise, as far as libssh2 may have
/// them. Others, such as CBC ciphers and SHA-1 signatures, are offered only if the user's files ask for them.
const USUAL: [&str; 34] = [
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

/// The algorithms of a list that are offered unless the user's files say otherwise.
fn usual(supported: &[&'static str]) -> Vec<&'static str> {
    let mut names = supported.to_vec();
    names.retain(|name| USUAL.contains(name));
    names
}

/// What libssh2 can do, in its order of preference.
#[derive(Clone, Debug)]
pub(super) struct Supported {
    kex: Vec<&'static str>,
    host_keys: Vec<&'static str>,
    ciphers: Vec<&'static str>,
    macs: Vec<&'static str>,
}

/// The algorithms to ask for, in order.
#[derive(Clone, Debug, Default)]
pub(super) struct Algorithms {
    pub(super) kex: String,
    pub(super) host_key: String,
    pub(super) ciphers: String,
    pub(super) macs: String,
    /// `None` for libssh2's own.
    pub(super) signatures: Option<String>,
    pub(super) compression: bool,
}

impl Supported {
    /// Asks libssh2.
    pub(super) fn find() -> Result<Supported, Fault> {
        let session = ssh2::Session::new()?;
        let list = |kind| -> Result<Vec<&'static str>, Fault> {
            let mut names = session.supported_algs(kind)?;
            // libssh2 adds these, which are no methods, by itself.
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

    /// What to ask a host for, whose known keys are of these types.
    pub(super) fn choose(
        &self,
        host: &HostConfig,
        known: &[KeyType],
        authority: bool,
    ) -> Result<Algorithms, TransportError> {
        Ok(Algorithms {
            kex: changed("KexAlgorithms", host.kex_algorithms.as_ref(), &self.kex)?,
            host_key: match &host.host_key_algorithms {
                Some(_) => changed(
                    "HostKeyAlgorithms",
                    host.host_key_algorithms.as_ref(),
                    &self.host_keys(authority),
                )?,
                None => self.ordered(known, authority).join(","),
            },
            ciphers: changed("Ciphers", host.ciphers.as_ref(), &self.ciphers)?,
            macs: changed("MACs", host.macs.as_ref(), &self.macs)?,
            signatures: match &host.pubkey_accepted_algorithms {
                Some(spec) => Some(applied(
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

    /// Those for host keys; certificates only where one would be believed, for libssh2 asks for them first
    /// and a server that has one shows nothing else.
    fn host_keys(&self, authority: bool) -> Vec<&'static str> {
        let mut names = self.host_keys.clone();
        names.retain(|name| match KeyType::of_algorithm(name) {
            Some((_, certificate)) => authority || !certificate,
            None => false,
        });
        names
    }

    /// Those whose keys are known come first, so that a host that has several shows one that can be checked.
    fn ordered(&self, known: &[KeyType], authority: bool) -> Vec<&'static str> {
        let mut names = usual(&self.host_keys(authority));
        names.sort_by_key(|name| match KeyType::of_algorithm(name) {
            Some((_, true)) => 0,
            Some((kind, false)) if known.contains(&kind) => 1,
            _ => 2,
        });
        names
    }
}

/// The algorithms with which keys may sign, by what is configured.
pub(super) fn accepted(spec: &AlgorithmSpec) -> Vec<String> {
    let all = signing();
    spec.apply(&all, &all)
}

/// All algorithms with which keys, and certificates on them, sign.
fn signing() -> Vec<&'static str> {
    let of = |kind: &KeyType| {
        let certificates = kind.certificate_algorithms().iter();
        certificates.chain(kind.algorithms()).copied()
    };
    KeyType::ALL.iter().flat_map(of).collect()
}

/// The algorithms with which a key, or a certificate on one, is used.
pub(super) fn of_key(blob: &[u8]) -> &'static [&'static str] {
    match KeyType::of_blob(blob) {
        Some(kind) => kind.algorithms(),
        None => Certificate::parse_own(blob).map_or(&[][..], |certificate| {
            certificate.kind().certificate_algorithms()
        }),
    }
}

/// The list to offer: the usual one, or what the user's files make of it.
fn changed(
    keyword: &str,
    spec: Option<&AlgorithmSpec>,
    supported: &[&'static str],
) -> Result<String, TransportError> {
    let usual = usual(supported);
    match spec {
        Some(spec) => applied(keyword, spec, &usual, supported),
        None => Ok(usual.join(",")),
    }
}

/// A list that the user's files have changed.
fn applied(
    keyword: &str,
    spec: &AlgorithmSpec,
    usual: &[&str],
    supported: &[&str],
) -> Result<String, TransportError> {
    let names = spec.apply(usual, supported);
    match names.is_empty() {
        false => Ok(names.join(",")),
        true => Err(TransportError::Config {
            reason: format!(
                "{keyword}: none of {} is known here ({} are): try -R openssh",
                spec.list.join(", "),
                supported.join(", ")
            ),
        }),
    }
}

/// Fixes the algorithms of a peer's connection, so that a later key exchange can change nothing but the keys.
///
/// libssh2 replaces an algorithm as soon as a later exchange agrees on another one, and keeps the state of the old one.
pub(super) fn pin(peer: &mut Peer, methods: &Methods) -> Result<(), Fault> {
    for (kind, name) in methods.by_kind() {
        peer.prefer(kind, name)?;
    }
    Ok(())
}

impl Algorithms {
    /// Tells a peer.
    pub(super) fn set(&self, peer: &mut Peer) -> Result<(), Fault> {
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
    use crate::transport::ssh::testing::{Bench, configured};

    fn chosen(options: &[&str]) -> Algorithms {
        let supported = Supported::find().unwrap();
        let host = configured("h", options);
        supported.choose(&host, &[], true).unwrap()
    }

    #[test]
    fn nothing_is_offered_that_ssh_does_not_offer() {
        let Some(bench) = Bench::new() else { return };
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
    fn cbc_ciphers_are_offered_only_if_they_are_asked_for() {
        assert!(!chosen(&[]).ciphers.contains("cbc"));
        let added = chosen(&["Ciphers=+aes128-cbc"]).ciphers;
        assert!(added.ends_with(",aes128-cbc"), "{added}");
        assert_eq!(added.matches("cbc").count(), 1, "{added}");
        assert_eq!(chosen(&["Ciphers=aes256-cbc"]).ciphers, "aes256-cbc");
        let less = chosen(&["Ciphers=-aes*-ctr"]).ciphers;
        assert!(!less.contains("cbc") && !less.contains("ctr"), "{less}");
    }
}
