//! Paths of `--fetch`: their wildcards, their form for a POSIX shell, and the test if a name was asked for.
//!
//! The far side expands the wildcards. A hostile one could name any file, so each name is compared with the pattern
//! again.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use crate::copy::blocks;

/// One path of `--fetch`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FetchPattern {
    /// True if it is relative to the root directory, false for the home directory.
    pub(in crate::copy) is_absolute: bool,
    pub(in crate::copy) parts: Vec<NamePart>,
    /// The path as it was typed, without slashes at its start.
    pub(in crate::copy) text: Vec<u8>,
}

/// One part of a path between slashes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::copy) enum NamePart {
    Name(Vec<u8>),
    Wildcard {
        /// For the shell.
        quoted: Vec<u8>,
        /// For the comparison.
        glob: Vec<u8>,
        /// True if names that begin with a dot match.
        is_hidden: bool,
    },
}

/// The reason why a path cannot be fetched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// It has no name.
    #[error("it names no file or directory")]
    Empty,
    /// It begins with a tilde.
    #[error("~ is not expanded; a path without a leading slash is below the home directory")]
    Tilde,
    /// It has a part `..`.
    #[error("a part `..` leads out of the directory; name the file by its whole path")]
    Parent,
    /// A set of characters has a form whose meaning depends on the shell.
    #[error("[^…] and [[:…:]] depend on the host's shell; use [!…] and ranges such as [a-z]")]
    Set,
}

impl FetchPattern {
    /// Reads a path. `*`, `?` and `[…]` are wildcards; a backslash takes the meaning from the next character.
    ///
    /// # Errors
    /// The path names nothing, or cannot mean the same for all hosts.
    pub fn new(text: &OsStr) -> Result<FetchPattern, PatternError> {
        let text = text.as_bytes();
        if text.starts_with(b"~") {
            return Err(PatternError::Tilde);
        }
        let mut parts = Vec::new();
        for part in text.split(|&byte| byte == b'/') {
            match part {
                b"" | b"." => {}
                b".." => return Err(PatternError::Parent),
                part => parts.push(NamePart::new(part)?),
            }
        }
        if parts.is_empty() {
            return Err(PatternError::Empty);
        }
        Ok(FetchPattern {
            is_absolute: text.starts_with(b"/"),
            parts,
            text: text
                .iter()
                .copied()
                .skip_while(|byte| *byte == b'/')
                .collect(),
        })
    }

    /// Appends the path as a word of a shell command, relative to the current directory.
    pub(in crate::copy) fn push_word(&self, block: &mut Vec<u8>) {
        block.extend_from_slice(b" .");
        for part in &self.parts {
            block.push(b'/');
            match part {
                NamePart::Name(name) => blocks::push_quoted(name, block),
                NamePart::Wildcard { quoted, .. } => block.extend_from_slice(quoted),
            }
        }
    }

    /// True if the pattern names this, or a directory that contains it.
    pub(in crate::copy) fn names(&self, name: &[u8]) -> bool {
        let mut names = name.split(|&byte| byte == b'/');
        self.parts
            .iter()
            .all(|part| names.next().is_some_and(|name| part.is(name)))
    }
}

impl NamePart {
    fn new(part: &[u8]) -> Result<NamePart, PatternError> {
        let mut quoted = Vec::new();
        let (mut glob, mut name) = (Vec::new(), Vec::new());
        let mut is_wild = false;
        let mut rest = part;
        while let [first, after @ ..] = rest {
            rest = after;
            match first {
                b'*' | b'?' => {
                    is_wild = true;
                    quoted.push(*first);
                    glob.push(*first);
                    continue;
                }
                b'[' => {
                    if let Some(length) = set_length(after)? {
                        is_wild = true;
                        let set = &after[..length];
                        rest = &after[length + 1..];
                        push_set(set, &mut quoted, &mut glob);
                        continue;
                    }
                }
                b'\\' => {
                    if let [escaped, after @ ..] = after {
                        rest = after;
                        push_literal(*escaped, &mut quoted, &mut glob, &mut name);
                        continue;
                    }
                }
                _ => {}
            }
            push_literal(*first, &mut quoted, &mut glob, &mut name);
        }
        // A backslash may have hidden these names from the check of the whole path.
        match &*name {
            _ if is_wild => Ok(NamePart::Wildcard {
                quoted,
                glob,
                is_hidden: part.starts_with(b".") || part.starts_with(b"\\."),
            }),
            b".." => Err(PatternError::Parent),
            b"." => Err(PatternError::Empty),
            _ => Ok(NamePart::Name(name)),
        }
    }

    /// True if this is a name that the part names.
    pub(in crate::copy) fn is(&self, name: &[u8]) -> bool {
        match self {
            NamePart::Name(own) => own == name,
            NamePart::Wildcard {
                glob, is_hidden, ..
            } => (*is_hidden || !name.starts_with(b".")) && fast_glob::glob_match(glob, name),
        }
    }
}

/// Returns the length of a set of characters up to its closing bracket; `None` if it has none, and so is no set.
fn set_length(after: &[u8]) -> Result<Option<usize>, PatternError> {
    let inner = after.strip_prefix(b"!").unwrap_or(after);
    let skipped = after.len() - inner.len();
    // A bracket that comes first is a member of the set.
    let Some(end) = inner.iter().skip(1).position(|&byte| byte == b']') else {
        return Ok(None);
    };
    let set = &inner[..=end];
    if set.starts_with(b"^") || set.iter().any(|byte| matches!(byte, b'[' | b'\\' | b']')) {
        return Err(PatternError::Set);
    }
    Ok(Some(skipped + set.len()))
}

fn push_set(set: &[u8], quoted: &mut Vec<u8>, glob: &mut Vec<u8>) {
    quoted.push(b'[');
    glob.push(b'[');
    for (index, &byte) in set.iter().enumerate() {
        glob.push(byte);
        // Without quotes only where the set needs them: the exclamation mark that comes first, and ranges.
        if byte.is_ascii_alphanumeric() || byte == b'-' || (index == 0 && byte == b'!') {
            quoted.push(byte);
        } else {
            blocks::push_quoted(&[byte], quoted);
        }
    }
    quoted.push(b']');
    glob.push(b']');
}

fn push_literal(byte: u8, quoted: &mut Vec<u8>, glob: &mut Vec<u8>, name: &mut Vec<u8>) {
    name.push(byte);
    if byte.is_ascii_alphanumeric() || byte >= 0x80 {
        glob.push(byte);
    } else {
        glob.extend_from_slice(&[b'\\', byte]);
    }
    blocks::push_quoted(&[byte], quoted);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(text: &str) -> FetchPattern {
        FetchPattern::new(OsStr::new(text)).unwrap()
    }

    fn word(text: &str) -> String {
        let mut block = Vec::new();
        pattern(text).push_word(&mut block);
        String::from_utf8(block).unwrap()
    }

    #[test]
    fn wildcards_reach_the_shell_and_nothing_else_does() {
        assert_eq!(word("/var/log/syslog"), " ./'var'/'log'/'syslog'");
        assert_eq!(word("a b/$(x)/;"), " ./'a b'/'$(x)'/';'");
        assert_eq!(word("log/*.[0-9]"), " ./'log'/*'.'[0-9]");
        assert_eq!(word(r"\*\[a]"), " ./'*[a]'");
        assert_eq!(word("[!$a]?"), " ./[!'$'a]?");
        assert_eq!(word("./x//y/."), " ./'x'/'y'");
        // A bracket without its partner is a name.
        assert_eq!(word("a[b"), " ./'a[b'");
    }

    #[test]
    fn paths_without_one_meaning_are_refused() {
        for (text, error) in [
            ("", PatternError::Empty),
            ("/", PatternError::Empty),
            (".", PatternError::Empty),
            ("~/x", PatternError::Tilde),
            ("a/../b", PatternError::Parent),
            (r"a/\.\./b", PatternError::Parent),
            ("[^a]", PatternError::Set),
            ("[[:digit:]]", PatternError::Set),
        ] {
            assert_eq!(
                FetchPattern::new(OsStr::new(text)).unwrap_err(),
                error,
                "{text}"
            );
        }
    }

    #[test]
    fn only_names_that_were_asked_for_match() {
        for (text, name, is_asked) in [
            ("/etc/hosts", "etc/hosts", true),
            ("/etc/hosts", "etc/hosts2", false),
            ("/etc/hosts", "etc", false),
            ("/etc", "etc/a/b", true),
            ("/var/log/*.log", "var/log/a.log", true),
            ("/var/log/*.log", "var/log/a.log/inner", true),
            ("/var/log/*.log", "var/log/x/a.log", false),
            ("/var/log/*.log", "var/log/.log", false),
            ("/var/log/.*", "var/log/.log", true),
            ("*", "any", true),
            ("*", ".hidden", false),
            ("{a,b}", "a", false),
            ("{a,b}", "{a,b}", true),
            ("{a,b}*", "{a,b}c", true),
            ("!a*", "!ab", true),
            ("**", "a", true),
            ("[!a]x", "bx", true),
            ("[!a]x", "ax", false),
            (r"a\*b", "a*b", true),
            (r"a\*b", "axb", false),
        ] {
            assert_eq!(
                pattern(text).names(name.as_bytes()),
                is_asked,
                "{text} {name}"
            );
        }
    }
}
