//! One line of a known_hosts file. No I/O.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};

use super::pattern::Names;
use crate::transport::ssh::certificate::Certificate;
use crate::transport::ssh::public::KeyType;

/// Like the function that OpenSSH uses: padded, and not strict about the bits that pad.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true),
);

/// What a line says about its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Marker {
    /// It is the host's key.
    Key,
    /// It signs the host's certificates.
    Authority,
    /// It must never be accepted from the host.
    Revoked,
}

/// A line that says something.
pub(super) struct Line {
    pub(super) marker: Marker,
    pub(super) names: Names,
    pub(super) kind: KeyType,
    pub(super) key: Vec<u8>,
}

/// Reads one line, which may end in CR or LF; `None` for blank ones and comments.
///
/// # Errors
/// What is wrong with it.
pub(super) fn parse(line: &[u8]) -> Result<Option<Line>, &'static str> {
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
    Ok(Some(Line {
        marker,
        names: Names::parse(names)?,
        kind,
        key,
    }))
}

/// Reads a public key as it stands in files: its type and the blob in base64.
///
/// # Errors
/// What is wrong with it.
pub(super) fn key(rest: &mut &[u8]) -> Result<(KeyType, Vec<u8>), &'static str> {
    let name = word(rest).ok_or("no key")?;
    let kind = std::str::from_utf8(name)
        .ok()
        .and_then(KeyType::of_name)
        .ok_or("unknown type of key")?;
    let text = word(rest).ok_or("a key's type without the key")?;
    let key = BASE64.decode(text).map_err(|_| "the key is not base64")?;
    match KeyType::of_blob(&key) {
        Some(found) if found == kind => Ok((kind, key)),
        Some(_) => Err("the key is not of the type that the line says"),
        None => Err("the key is damaged"),
    }
}

/// Reads a key that is revoked. A certificate stands for the key inside it, as in OpenSSH, also if its signature is not
/// good.
///
/// # Errors
/// The fault of the key.
pub(super) fn revoked_key(rest: &mut &[u8]) -> Result<(KeyType, Vec<u8>), &'static str> {
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

/// Returns true if a line that cannot be read may revoke a key: it begins with `@revoked`, with a marker that is not
/// known, or with two markers. Of a line that is too long, its beginning is enough.
pub(super) fn may_revoke(line: &[u8]) -> bool {
    let mut rest = line;
    match word(&mut rest) {
        // Only a line that is too long can have a fault and no word.
        None => true,
        Some(b"@cert-authority") => word(&mut rest).is_some_and(|second| second[0] == b'@'),
        Some(first) => first[0] == b'@',
    }
}

/// The next word; words have blanks and line ends between them.
fn word<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let blank = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\r' | b'\n');
    let start = rest.iter().position(|byte| !blank(byte))?;
    let text = &rest[start..];
    let end = text.iter().position(blank).unwrap_or(text.len());
    *rest = &text[end..];
    Some(&text[..end])
}
