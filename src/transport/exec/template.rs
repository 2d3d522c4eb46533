//! The words of a local command with `%h`, `%u`, `%n` and `%%` in them, filled in for each host. No I/O.
//!
//! The letters are pdsh's (`-R exec`). Each word stays one word whatever is filled in, and no shell reads
//! it, so nothing in a host's name can become anything else.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

/// What `%` letters stand for.
#[derive(Clone, Copy, Debug)]
pub struct Fill<'a> {
    /// `%h`: the host's name or address.
    pub host: &'a str,
    /// `%u`: the remote user's name.
    pub user: &'a str,
    /// `%n`: the host's place in the list of targets, from 0.
    pub rank: u32,
}

/// A command whose words may have `%` letters in them; checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    words: Vec<OsString>,
}

/// A `%` with something behind it that stands for nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{found:?} in {word:?} stands for nothing: with -R exec %h is the host, %u the user, %n its number, and \
     %% a percent sign"
)]
pub struct UnknownLetter {
    found: String,
    word: String,
}

impl Template {
    /// Takes the words of a command, of which there must be one at least.
    ///
    /// # Errors
    /// A `%` is followed by something that it has no meaning with.
    pub fn new(words: Vec<OsString>) -> Result<Template, UnknownLetter> {
        for word in &words {
            let mut rest = word.as_bytes();
            while let Some(at) = memchr::memchr(b'%', rest) {
                match rest.get(at + 1) {
                    Some(b'h' | b'u' | b'n' | b'%') => rest = &rest[at + 2..],
                    other => {
                        let mut found = vec![b'%'];
                        found.extend(other);
                        return Err(UnknownLetter {
                            found: String::from_utf8_lossy(&found).into_owned(),
                            word: word.to_string_lossy().into_owned(),
                        });
                    }
                }
            }
        }
        Ok(Template { words })
    }

    /// The program, if it is the same for every host.
    #[must_use]
    pub fn program(&self) -> Option<&OsStr> {
        let first = self.words.first()?;
        (!first.as_bytes().contains(&b'%')).then_some(first)
    }

    /// True if some word has the user in it.
    #[must_use]
    pub fn has_user(&self) -> bool {
        let with = |user| Fill {
            host: "",
            user,
            rank: 0,
        };
        self.fill(with("")) != self.fill(with("user"))
    }

    /// The words for one host.
    #[must_use]
    pub fn fill(&self, fill: Fill<'_>) -> Vec<OsString> {
        self.words.iter().map(|word| one(word, fill)).collect()
    }
}

fn one(word: &OsStr, fill: Fill<'_>) -> OsString {
    let mut filled = Vec::with_capacity(word.len());
    let mut rest = word.as_bytes();
    while let Some(at) = memchr::memchr(b'%', rest) {
        filled.extend_from_slice(&rest[..at]);
        match rest.get(at + 1) {
            Some(b'h') => filled.extend_from_slice(fill.host.as_bytes()),
            Some(b'u') => filled.extend_from_slice(fill.user.as_bytes()),
            Some(b'n') => filled.extend_from_slice(fill.rank.to_string().as_bytes()),
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

    const FILL: Fill<'static> = Fill {
        host: "node7",
        user: "ops",
        rank: 12,
    };

    fn words(words: &[&str]) -> Vec<OsString> {
        words.iter().map(Into::into).collect()
    }

    #[test]
    fn letters_are_filled_in_within_their_words() {
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
    fn letters_without_a_meaning_are_refused() {
        for word in ["%", "a%x", "%%%", "%é"] {
            let error = Template::new(words(&["echo", word])).unwrap_err();
            assert!(error.to_string().contains("stands for nothing"), "{error}");
        }
    }

    proptest! {
        #[test]
        fn what_has_no_percent_sign_is_left_alone(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            let doubled: Vec<u8> = bytes
                .iter()
                .flat_map(|&b| if b == b'%' { vec![b'%', b'%'] } else { vec![b] })
                .collect();
            let template = Template::new(vec![OsString::from_vec(doubled)]).unwrap();
            prop_assert_eq!(template.fill(FILL), vec![OsString::from_vec(bytes)]);
        }
    }
}
