//! Words of a local command with placeholders, which are replaced for each host. No I/O.
//!
//! `%h`, `%u` and `%n` are those of pdsh (`-R exec`). Each word stays one word after the replacement, and no shell reads
//! it, so a host's name cannot become anything else.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use crate::targets::{Diagnostic, Pattern, PatternPart, Placeholder};

/// Origin of the words, for errors.
const ORIGIN: &str = "COMMAND of -R exec";

/// Values of the placeholders for one host.
#[derive(Clone, Copy, Debug)]
pub struct TemplateValues<'a> {
    /// Name or address of the host.
    pub host: &'a str,
    /// Label of the target.
    pub label: &'a str,
    /// Name of the remote user.
    pub user: &'a str,
    /// Port, if the target has one.
    pub port: Option<u16>,
    /// Position of the host in the list of targets, from 0.
    pub rank: u32,
}

/// A checked command whose words may have placeholders.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    words: Vec<Pattern>,
}

impl Template {
    /// Checks the words of a command. There must be at least one.
    ///
    /// # Errors
    /// A `%` starts no placeholder.
    pub fn new(words: &[OsString]) -> Result<Template, Box<Diagnostic>> {
        let words = words
            .iter()
            .map(|word| Pattern::parse(word.as_bytes(), ORIGIN));
        Ok(Template {
            words: words.collect::<Result<_, _>>()?,
        })
    }

    /// Returns the program, if it is the same for every host.
    #[must_use]
    pub fn program(&self) -> Option<&OsStr> {
        match self.words.first()?.parts() {
            [] => Some(OsStr::new("")),
            [PatternPart::Text(text)] => Some(OsStr::from_bytes(text)),
            _ => None,
        }
    }

    /// True if a word depends on this placeholder.
    #[must_use]
    pub fn has(&self, placeholder: Placeholder) -> bool {
        self.words.iter().any(|word| word.has(placeholder))
    }

    /// Returns the words for one host.
    #[must_use]
    pub fn fill(&self, values: TemplateValues<'_>) -> Vec<OsString> {
        let value = |placeholder| match placeholder {
            Placeholder::Host => values.host.to_owned(),
            Placeholder::Label => values.label.to_owned(),
            Placeholder::User => values.user.to_owned(),
            Placeholder::Port => values.port.map_or(String::new(), |port| port.to_string()),
            Placeholder::Number => values.rank.to_string(),
        };
        let words = self.words.iter();
        words
            .map(|word| OsString::from_vec(word.fill(value)))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const VALUES: TemplateValues<'static> = TemplateValues {
        host: "node7",
        label: "tape",
        user: "ops",
        port: Some(22),
        rank: 12,
    };

    fn words(words: &[&str]) -> Vec<OsString> {
        words.iter().map(Into::into).collect()
    }

    #[test]
    fn placeholders_are_replaced_within_their_words() {
        let template =
            Template::new(&words(&["ping", "%h", "-%n=%u@%h%%", "%%h", "", "%l:%p"])).unwrap();
        let filled = template.fill(VALUES);
        assert_eq!(
            filled,
            words(&["ping", "node7", "-12=ops@node7%", "%h", "", "tape:22"])
        );
        assert_eq!(template.program(), Some(OsStr::new("ping")));
        assert!(template.has(Placeholder::User));
        let template = Template::new(&words(&["sh", "-c", "echo %%u %h"])).unwrap();
        assert!(!template.has(Placeholder::User));
        let template = Template::new(&words(&["./run-%h"])).unwrap();
        assert_eq!(template.program(), None);
        let template = Template::new(&words(&["./run-%%"])).unwrap();
        assert_eq!(template.program(), Some(OsStr::new("./run-%")));
    }

    #[test]
    fn unknown_placeholders_are_refused() {
        for word in ["%", "a%x", "%%%", "%é", "%5h"] {
            assert!(Template::new(&words(&["echo", word])).is_err(), "{word}");
        }
        insta::assert_snapshot!(Template::new(&words(&["echo", "a%x"])).unwrap_err(), @r"
        unknown placeholder
         --> COMMAND of -R exec, column 2
          |
          | a%x
          |  ^^
          = help: %h is the host, %l the label, %u the user, %p the port, %n the number, %% a percent sign
        ");
    }
}
