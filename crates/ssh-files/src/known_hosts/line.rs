//! The syntax of a line in a known_hosts file. No I/O.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};

use super::host_field::HostField;
use crate::certificate::Certificate;
use crate::public_key::KeyType;

/// Base64 as OpenSSH decodes it: with padding, and with any values in the unused bits.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true),
);

/// The meaning of the key on a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Marker {
    /// No marker: the key is that of the host.
    Key,
    /// `@cert-authority`: the key signs certificates of the host.
    Authority,
    /// `@revoked`: the key must never be accepted.
    Revoked,
}

/// A line with a key.
pub(super) struct KnownHostsLine {
    pub(super) marker: Marker,
    pub(super) names: HostField,
    pub(super) kind: KeyType,
    pub(super) key: Vec<u8>,
}

/// Reads a line, which may end in CR or LF. Returns `None` for blank lines and comments.
///
/// # Errors
/// Returns a description of the error.
pub(super) fn parse(line: &[u8]) -> Result<Option<KnownHostsLine>, &'static str> {
    let mut rest = line;
    let Some(first) = word(&mut rest) else {
        return Ok(None);
    };
    if first[0] == b'#' {
        return Ok(None);
    }
    let (marker, names) = match first {
        b"@cert-authority" => (Marker::Authority, word(&mut rest)),
        b"@revoked" => (Marker::Revoked, word(&mut rest)),
        // A marker of a later version may restrict the key.
        [b'@', ..] => return Err("unknown marker"),
        names => (Marker::Key, Some(names)),
    };
    let names = names.ok_or("no host names")?;
    if names[0] == b'@' {
        return Err("more than one marker");
    }
    let (kind, key) = match marker {
        Marker::Revoked => revoked_key(&mut rest)?,
        Marker::Key | Marker::Authority => key(&mut rest)?,
    };
    Ok(Some(KnownHostsLine {
        marker,
        names: HostField::parse(names)?,
        kind,
        key,
    }))
}

/// Reads a public key in the form of files: the type, then the blob in base64.
///
/// # Errors
/// Returns a description of the error.
pub(super) fn key(rest: &mut &[u8]) -> Result<(KeyType, Vec<u8>), &'static str> {
    let name = word(rest).ok_or("no key")?;
    let kind = std::str::from_utf8(name)
        .ok()
        .and_then(KeyType::of_name)
        .ok_or("unknown type of key")?;
    let text = word(rest).ok_or("a key's type without the key")?;
    let key = BASE64.decode(text).map_err(|_| "the key is not base64")?;
    // As in OpenSSH, the name on the line must be the one in the key.
    match KeyType::of_blob(&key) {
        Some(found) if found == kind => Ok((kind, key)),
        Some(_) => Err("the key is not of the type that the line says"),
        None => Err("the key is damaged"),
    }
}

/// Reads a revoked key. As in OpenSSH, a certificate means the key in it, whether or not its signature is correct.
///
/// # Errors
/// Returns a description of the error.
pub(crate) fn revoked_key(rest: &mut &[u8]) -> Result<(KeyType, Vec<u8>), &'static str> {
    // A copy, because a plain key is read from the start again.
    let mut words = *rest;
    let name = word(&mut words).and_then(|name| std::str::from_utf8(name).ok());
    let Some(kind) = name.and_then(KeyType::of_certificate_name) else {
        return key(rest);
    };
    let text = word(&mut words).ok_or("a key's type without the key")?;
    let blob = BASE64.decode(text).map_err(|_| "the key is not base64")?;
    let key = Certificate::key_inside(&blob).ok_or("the certificate is damaged")?;
    match KeyType::of_blob(&key) {
        Some(found) if found == kind => Ok((kind, key)),
        _ => Err("the key is not of the type that the line says"),
    }
}

/// True if an unreadable line may revoke a key: it starts with `@revoked`, with an unknown marker or with two markers.
/// The start of a line is enough.
pub(super) fn may_revoke(line: &[u8]) -> bool {
    let mut rest = line;
    match word(&mut rest) {
        // A line that is too long can start with more blanks than are kept of it.
        None => true,
        Some(b"@cert-authority") => word(&mut rest).is_some_and(|second| second[0] == b'@'),
        Some(first) => first[0] == b'@',
    }
}

/// Returns the next word. Words end at blanks and line ends.
fn word<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let blank = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\r' | b'\n');
    let start = rest.iter().position(|byte| !blank(byte))?;
    let text = &rest[start..];
    let end = text.iter().position(blank).unwrap_or(text.len());
    *rest = &text[end..];
    Some(&text[..end])
}
