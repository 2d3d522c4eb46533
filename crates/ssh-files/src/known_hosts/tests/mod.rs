//! Tests of known_hosts files. Lines are compared with `ssh-keygen -F`, and results with `ssh` and a real `sshd`.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use fastrand::Rng;

use super::*;
use crate::testing::OpensshTools;

mod append;
mod certificates;
mod lookup;
mod openssh;
mod parsing;
mod revoked;
mod strictness;

/// Makes a well-formed key that nobody has.
fn ed25519(seed: u8) -> Vec<u8> {
    let mut blob = b"\0\0\0\x0bssh-ed25519\0\0\0\x20".to_vec();
    blob.extend([seed; 32]);
    blob
}

fn rsa(seed: u8) -> Vec<u8> {
    let mut blob = b"\0\0\0\x07ssh-rsa\0\0\0\x03\x01\0\x01\0\0\x01\x01\0".to_vec();
    blob.extend([seed | 0x81; 256]);
    blob
}

fn text(blob: &[u8]) -> String {
    let kind = KeyType::of_blob(blob).unwrap();
    format!("{} {}", kind.name(), STANDARD.encode(blob))
}

fn known(file: &str) -> KnownHosts {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("known_hosts");
    std::fs::write(&path, file).unwrap();
    load(&[path]).unwrap()
}

fn load(paths: &[impl AsRef<Path>]) -> Result<KnownHosts, KnownHostsError> {
    let files = paths
        .iter()
        .map(|path| KnownHostsFile::load(path.as_ref()).map(Arc::new));
    Ok(KnownHosts::new(files.collect::<Result<_, _>>()?))
}

fn host(name: &str) -> HostNames {
    HostNames::new(name, 22, None)
}

fn key(blob: &[u8]) -> HostKey {
    HostKey::parse(blob).unwrap()
}

/// A status with its line, which is 0 for added lines and for the results of ssh.
#[derive(Debug, PartialEq, Eq)]
enum ShortStatus {
    Trusted(u64),
    Unknown,
    Changed(u64),
    Revoked(u64),
}

fn short(status: &HostKeyStatus) -> ShortStatus {
    let line = |location: &LineLocation| location.line.unwrap_or(0);
    match status {
        HostKeyStatus::Trusted(location) => ShortStatus::Trusted(line(location)),
        HostKeyStatus::Unknown { .. } => ShortStatus::Unknown,
        HostKeyStatus::Changed(changed) => ShortStatus::Changed(line(&changed.location)),
        HostKeyStatus::Revoked(location) => ShortStatus::Revoked(line(location)),
    }
}
