//! Tests with keys of every type and form that `ssh-keygen` and `openssl` make. `ssh-keygen` verifies the signatures.

use std::path::{Path, PathBuf};

use super::key_file::{KeyFileContent, KeyFileError};
use super::*;
use crate::public_key::verify_signature;
use crate::testing::OpensshTools;
use crate::wire::put_string;

mod damaged;
mod files;
mod identities;
mod requests;

const TYPES: [(&str, &[&str]); 5] = [
    ("ed25519", &["-t", "ed25519"]),
    ("p256", &["-t", "ecdsa", "-b", "256"]),
    ("p384", &["-t", "ecdsa", "-b", "384"]),
    ("p521", &["-t", "ecdsa", "-b", "521"]),
    ("rsa", &["-t", "rsa", "-b", "2048"]),
];

/// Returns a signature in its wire form.
fn wire(algorithm: &str, raw: &[u8]) -> Vec<u8> {
    let mut blob = Vec::new();
    put_string(&mut blob, algorithm.as_bytes());
    put_string(&mut blob, raw);
    blob
}
