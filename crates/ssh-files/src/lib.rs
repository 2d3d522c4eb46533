#![doc = include_str!("../README.md")]

mod bounded_lines;
mod certificate;
mod config;
mod keys;
mod known_hosts;
mod notice;
mod public_key;
mod revoked_keys;
#[cfg(test)]
mod testing;
mod wildcard;
mod wire;

pub use certificate::{Certificate, CertificateKind};
pub use config::{
    AddressFamily, AgentSetting, AlgorithmSpec, ConfigError, ConfigLineError, ConfigLineErrorKind,
    ConfigOption, ConfigSources, Environment, HostConfig, IgnoredSetting, InvalidAlgorithmName,
    JumpHost, ListChange, SYSTEM_FILE, SshConfig, StrictHostKeyChecking, UserFile, keywords,
};
pub use keys::{
    AgentKey, Identities, IdentitySettings, KeyCandidate, KeyHolder, PassphraseRequest,
    PassphraseSource, SignError, Signer, UnlockError, signature_request, signing_algorithm,
};
pub use known_hosts::{
    AppendKeyError, CertificateRejection, ChangedKey, HostKey, HostKeyError, HostKeyStatus,
    HostNames, KnownHosts, KnownHostsError, KnownHostsFile, KnownKeys, LineLocation,
};
pub use notice::{FileNotice, FileNoticeKind};
pub use public_key::{KeyType, fingerprint, rsa_bits, verify_signature};
pub use revoked_keys::{RevokedKeys, RevokedKeysError};
pub use wire::{WireReader, put_string};
