//! The host field of a line: plain names, patterns or a hashed name, as in "SSH_KNOWN_HOSTS FILE FORMAT" of sshd(8).
//! No I/O.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use openssl::sha::Sha1;

use crate::wildcard::matches;

/// Maximum length of a pattern.
// OpenSSH ignores a list with a longer one.
const LONGEST_PATTERN: usize = 1022;

/// Prefix of hashed names.
const HASHED: &[u8] = b"|1|";

/// Block size of SHA-1, the length of the two keys of the HMAC.
const BLOCK: usize = 64;

/// The host field of a line.
pub(super) enum HostField {
    /// Only plain names, in lower case.
    Exact(Vec<Box<[u8]>>),
    /// A list with at least one pattern.
    Wildcards(WildcardList),
    /// One hashed name.
    Hashed(Box<HashedName>),
}

impl HostField {
    /// Reads a host field.
    ///
    /// # Errors
    /// Returns a description of the error.
    pub(super) fn parse(word: &[u8]) -> Result<HostField, &'static str> {
        if word.first() == Some(&b'|') {
            return HashedName::parse(word)
                .map(|name| HostField::Hashed(Box::new(name)))
                .ok_or("bad hash of a host name");
        }
        // ssh ignores the case of host names.
        let lower = word.to_ascii_lowercase();
        let names: Vec<&[u8]> = lower.split(|&byte| byte == b',').collect();
        if names.iter().any(|name| name.len() > LONGEST_PATTERN) {
            return Err("a host name is too long");
        }
        let special = |byte: &u8| matches!(byte, b'*' | b'?');
        if names
            .iter()
            .any(|name| name.first() == Some(&b'!') || name.iter().any(special))
        {
            return Ok(HostField::Wildcards(WildcardList::new(&names)));
        }
        Ok(HostField::Exact(
            names.into_iter().map(|name| name.to_vec().into()).collect(),
        ))
    }

    /// True if the line applies to a host name in lower case.
    pub(super) fn matches(&self, name: &[u8]) -> bool {
        match self {
            HostField::Exact(names) => names.iter().any(|known| **known == *name),
            HostField::Wildcards(patterns) => patterns.matches(name),
            HostField::Hashed(hashed) => hashed.matches(name),
        }
    }
}

/// A list with wildcards or negations.
pub(super) struct WildcardList(Vec<WildcardPattern>);

struct WildcardPattern {
    negated: bool,
    glob: Box<[u8]>,
}

impl WildcardList {
    fn new(patterns: &[&[u8]]) -> WildcardList {
        let patterns = patterns.iter().map(|pattern| {
            let (negated, glob) = match pattern.strip_prefix(b"!") {
                Some(glob) => (true, glob),
                None => (false, *pattern),
            };
            WildcardPattern {
                negated,
                glob: glob.to_vec().into(),
            }
        });
        WildcardList(patterns.collect())
    }

    /// A negated pattern that matches excludes the name, wherever it is in the list.
    fn matches(&self, name: &[u8]) -> bool {
        let mut matched = false;
        for pattern in &self.0 {
            if matches(name, &pattern.glob) {
                if pattern.negated {
                    return false;
                }
                matched = true;
            }
        }
        matched
    }
}

/// A name under HMAC-SHA1.
// The two keys of the HMAC are hashed when the file is read, which halves the time of a comparison.
pub(super) struct HashedName {
    inner: Sha1,
    outer: Sha1,
    hash: [u8; 20],
}

impl HashedName {
    fn parse(word: &[u8]) -> Option<HashedName> {
        let rest = word.strip_prefix(HASHED)?;
        let middle = rest.iter().position(|&byte| byte == b'|')?;
        let salt: [u8; 20] = decode(&rest[..middle])?;
        let hash = decode(&rest[middle + 1..])?;
        Some(HashedName::new(&salt, hash))
    }

    fn new(salt: &[u8; 20], hash: [u8; 20]) -> HashedName {
        let keyed = |pad: u8| {
            let mut block = [pad; BLOCK];
            // RFC 2104: the key is padded with zeros to the block size.
            for (byte, salt) in block.iter_mut().zip(salt) {
                *byte ^= salt;
            }
            let mut state = Sha1::new();
            state.update(&block);
            state
        };
        HashedName {
            // The constants ipad and opad of RFC 2104.
            inner: keyed(0x36),
            outer: keyed(0x5c),
            hash,
        }
    }

    fn hmac(&self, name: &[u8]) -> [u8; 20] {
        let mut inner = self.inner.clone();
        inner.update(name);
        let mut outer = self.outer.clone();
        outer.update(&inner.finish());
        outer.finish()
    }

    fn matches(&self, name: &[u8]) -> bool {
        self.hmac(name) == self.hash
    }
}

/// Returns the hash of a name in lower case, in the form of files.
pub(super) fn hashed(name: &[u8], salt: &[u8; 20]) -> String {
    let hash = HashedName::new(salt, [0; 20]).hmac(name);
    format!("|1|{}|{}", STANDARD.encode(salt), STANDARD.encode(hash))
}

fn decode(text: &[u8]) -> Option<[u8; 20]> {
    // The decoder is strict: OpenSSH compares the text, so another encoding of the same bytes must not match.
    let mut bytes = [0; 20];
    match STANDARD.decode_slice(text, &mut bytes) {
        Ok(20) => Some(bytes),
        _ => None,
    }
}
