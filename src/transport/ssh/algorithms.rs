//! Which algorithms a host is asked for: libssh2's, in its order, changed by what the user's files say and
//! by the keys that are known for the host.

use ssh2::MethodType;

use super::certificate::Certificate;
use super::config::{AlgorithmSpec, HostConfig};
use super::ffi::{Fault, Peer};
use super::gate::Methods;
use super::public::KeyType;
use crate::transport::TransportError;

/// What libssh2 can do, in its order of preference.
#[derive(Clone, Debug)]
pub(super) struct Supported {
    kex: Vec<&'static str>,
    host_keys: Vec<&'static str>,
    ciphers: Vec<&'static str>,
    macs: Vec<&'static str>,
}

/// The algorithms to ask for, in order; `None` for libssh2's own.
#[derive(Clone, Debug, Default)]
pub(super) struct Algorithms {
    pub(super) kex: Option<String>,
    pub(super) host_key: Option<String>,
    pub(super) ciphers: Option<String>,
    pub(super) macs: Option<String>,
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
            host_key: Some(match &host.host_key_algorithms {
                Some(_) => changed(
                    "HostKeyAlgorithms",
                    host.host_key_algorithms.as_ref(),
                    &self.host_keys(authority),
                )?
                .unwrap_or_default(),
                None => self.ordered(known, authority).join(","),
            }),
            ciphers: changed("Ciphers", host.ciphers.as_ref(), &self.ciphers)?,
            macs: changed("MACs", host.macs.as_ref(), &self.macs)?,
            signatures: changed(
                "PubkeyAcceptedAlgorithms",
                host.pubkey_accepted_algorithms.as_ref(),
                &signing(),
            )?,
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
        let mut names = self.host_keys(authority);
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

/// A list that the user's files have changed; `None` if they haven't.
fn changed(
    keyword: &str,
    spec: Option<&AlgorithmSpec>,
    supported: &[&str],
) -> Result<Option<String>, TransportError> {
    let Some(spec) = spec else { return Ok(None) };
    let names = spec.apply(supported, supported);
    match names.is_empty() {
        false => Ok(Some(names.join(","))),
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
            (MethodType::SignAlgo, &self.signatures),
        ];
        for (kind, list) in lists {
            if let Some(list) = list {
                peer.prefer(kind, list)?;
            }
        }
        if self.compression {
            peer.compress();
        }
        Ok(())
    }
}
