//! Words of a local command with the placeholders `%h`, `%u`, `%n` and `%%`, which are replaced for each host. No
//! I/O.
//!
//! The placeholders are those of pdsh (`-R exec`). Each word stays one word after the replacement, and no shell reads
//! it, so a host's name cannot become anything else.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

/// Values of the placeholders for one host.
#[derive(Clone, Copy, Debug)]
pub struct TemplateValues<'a> {
    /// `%h`: name or address of the host.
    pub host: &'a str,
    /// `%u`: name of the remote user.
    pub user: &'a str,
    /// `%n`: position of the host in the list of targets, from 0.
    pub rank: u32,
}

/// A checked command whose words may have placeholders.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    words: Vec<OsString>,
}

/// A `%` that starts no known placeholder.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "unknown placeholder {found:?} in {word:?}: with -R exec %h is the host, %u the user, %n its number, and %% a \
     percent sign"
)]
pub struct UnknownPlaceholder {
    found: String,
    word: String,
}

impl Template {
    /// Checks the words of a command. There must be at least one.
    ///
    /// # Errors
    /// A `%` starts no known placeholder.
    pub fn new(words: Vec<OsString>) -> Result<Template, UnknownPlaceholder> {
        for word in &words {
            // Bytes, since an argument need not be UTF-8.
            let mut rest = word.as_bytes();
            while let Some(at) = memchr::memchr(b'%', rest) {
                match rest.get(at + 1) {
                    Some(b'h' | b'u' | b'n' | b'%') => rest = &rest[at + 2..],
                    other => {
                        let mut found = vec![b'%'];
                        found.extend(other);
                        return Err(UnknownPlaceholder {
                            found: String::from_utf8_lossy(&found).into_owned(),
                            word: word.to_string_lossy().into_owned(),
                        });
                    }
                }
            }
        }
        Ok(Template { words })
    }

    /// Returns the program, if it is the same for every host.
    #[must_use]
    pub fn program(&self) -> Option<&OsStr> {
        let first = self.words.first()?;
        (!first.as_bytes().contains(&b'%')).then_some(first)
    }

    /// True if a word depends on the remote user.
    #[must_use]
    pub fn has_user(&self) -> bool {
        let with = |user| TemplateValues {
            host: "",
            user,
            rank: 0,
        };
        // Two fillings are compared, since a search for `%u` would also find it in `%%u`.
        self.fill(with("")) != self.fill(with("user"))
    }

    /// Returns the words for one host.
    #[must_use]
    pub fn fill(&self, fill: TemplateValues<'_>) -> Vec<OsString> {
        self.words
            .iter()
            .map(|word| fill_word(word, fill))
            .collect()
    }
}

fn fill_word(word: &OsStr, fill: TemplateValues<'_>) -> OsString {
    let mut filled = Vec::with_capacity(word.len());
    let mut rest = word.as_bytes();
    while let Some(at) = memchr::memchr(b'%', rest) {
        filled.extend_from_slice(&rest[..at]);
        match rest.get(at + 1) {
            Some(b'h') => filled.extend_from_slice(fill.host.as_bytes()),
            Some(b'u') => filled.extend_from_slice(fill.user.as_bytes()),
            Some(b'n') => filled.extend_from_slice(fill.rank.to_string().as_bytes()),
            // Only `%%` is left: `new` has refused all others.
            _ => filled.push(b'%'),
        }
        rest = rest.get(at + 2..).unwrap_or_default();
    }
    filled.extend_from_slice(rest);
    OsString::from_vec(filled)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const FILL: TemplateValues<'static> = TemplateValues {
        host: "node7",
        user: "ops",
        rank: 12,
    };

    fn words(words: &[&str]) -> Vec<OsString> {
        words.iter().map(Into::into).collect()
    }

    #[test]
    fn placeholders_are_replaced_within_their_words() {
        let template = Template::new(words(&["ping", "%h", "-%n=%u@%h%%", "%%h", ""])).unwrap();
        let filled = template.fill(FILL);
        assert_eq!(
            filled,
            words(&["ping", "node7", "-12=ops@node7%", "%h", ""])
        );
        assert_eq!(template.program(), Some(OsStr::new("ping")));
        assert!(template.has_user());
        let template = Template::new(words(&["sh", "-c", "echo %%u %h"])).unwrap();
        assert!(!template.has_user());
        let template = Template::new(words(&["./run-%h"])).unwrap();
        assert_eq!(template.program(), None);
    }

    #[test]
    fn unknown_placeholders_are_refused() {
        for word in ["%", "a%x", "%%%", "%é"] {
            let error = Template::new(words(&["echo", word])).unwrap_err();
            assert!(error.to_string().contains("unknown placeholder"), "{error}");
        }
    }

    proptest! {
        #[test]
        fn text_without_placeholders_is_unchanged(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            let doubled: Vec<u8> = bytes
                .iter()
                .flat_map(|&b| if b == b'%' { vec![b'%', b'%'] } else { vec![b] })
                .collect();
            let template = Template::new(vec![OsString::from_vec(doubled)]).unwrap();
            prop_assert_eq!(template.fill(FILL), vec![OsString::from_vec(bytes)]);
        }
    }
}
