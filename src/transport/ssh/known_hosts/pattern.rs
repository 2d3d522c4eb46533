//! The names in front of a key, as sshd(8) describes them under "SSH_KNOWN_HOSTS FILE FORMAT".
//! No I/O.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use openssl::sha::Sha1;

/// OpenSSH gives up on a list with a longer pattern.
const LONGEST_PATTERN: usize = 1022;

/// What stands before every hashed name.
const HASHED: &[u8] = b"|1|";

/// The block size of SHA-1, which is that of the HMAC's two keys.
const BLOCK: usize = 64;

/// Whom a line is about.
pub(super) enum Names {
    /// Nothing but plain names, in lower case: one of them.
    Exact(Vec<Box<[u8]>>),
    /// At least one pattern is among them.
    Patterns(Patterns),
    /// One name that nobody can read.
    Hashed(Box<HashedName>),
}

impl Names {
    /// Reads the first word of a line.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn parse(word: &[u8]) -> Result<Names, &'static str> {
        if word.first() == Some(&b'|') {
            return HashedName::parse(word)
                .map(|name| Names::Hashed(Box::new(name)))
                .ok_or("bad hash of a host name");
        }
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
            return Ok(Names::Patterns(Patterns::new(&names)));
        }
        Ok(Names::Exact(
            names.into_iter().map(|name| name.to_vec().into()).collect(),
        ))
    }

    /// Whether the line is about the host of that name, which is in lower case.
    pub(super) fn matches(&self, name: &[u8]) -> bool {
        match self {
            Names::Exact(names) => names.iter().any(|known| **known == *name),
            Names::Patterns(patterns) => patterns.matches(name),
            Names::Hashed(hashed) => hashed.matches(name),
        }
    }
}

/// A list with wildcards or negations.
pub(super) struct Patterns(Vec<Pattern>);

struct Pattern {
    negated: bool,
    glob: Box<[u8]>,
}

impl Patterns {
    fn new(patterns: &[&[u8]]) -> Patterns {
        let patterns = patterns.iter().map(|pattern| {
            let (negated, glob) = match pattern.strip_prefix(b"!") {
                Some(glob) => (true, glob),
                None => (false, *pattern),
            };
            Pattern {
                negated,
                glob: glob.to_vec().into(),
            }
        });
        Patterns(patterns.collect())
    }

    /// A negated pattern that matches takes the name off the whole list, wherever it stands.
    fn matches(&self, name: &[u8]) -> bool {
        let mut matched = false;
        for pattern in &self.0 {
            if glob(&pattern.glob, name) {
                if pattern.negated {
                    return false;
                }
                matched = true;
            }
        }
        matched
    }
}

/// Whether `*` (anything, also nothing) and `?` (any one byte) make that pattern that text. Takes at
/// most the product of the two lengths.
pub(super) fn glob(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t) = (0, 0);
    // Where the last star stands, and up to where it has eaten.
    let mut star = None;
    while t < text.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, t));
                p += 1;
            }
            Some(&byte) if byte == b'?' || byte == text[t] => {
                p += 1;
                t += 1;
            }
            _ => match star {
                Some((at, eaten)) => {
                    star = Some((at, eaten + 1));
                    p = at + 1;
                    t = eaten + 1;
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|&byte| byte == b'*')
}

/// A name under HMAC-SHA1. The two halves of the HMAC's key are hashed in when the file is read, which
/// halves the cost of asking.
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
            for (byte, salt) in block.iter_mut().zip(salt) {
                *byte ^= salt;
            }
            let mut state = Sha1::new();
            state.update(&block);
            state
        };
        HashedName {
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

/// The hash of a name (in lower case) with that salt, as it stands in files.
pub(super) fn hashed(name: &[u8], salt: &[u8; 20]) -> String {
    let hash = HashedName::new(salt, [0; 20]).hmac(name);
    format!("|1|{}|{}", STANDARD.encode(salt), STANDARD.encode(hash))
}

fn decode(text: &[u8]) -> Option<[u8; 20]> {
    // Strict: OpenSSH compares the text, so another spelling of the same bytes does not match there.
    let mut bytes = [0; 20];
    match STANDARD.decode_slice(text, &mut bytes) {
        Ok(20) => Some(bytes),
        _ => None,
    }
}
