//! `--label`: the format of the label before each line of output.
//!
//! The placeholders are those of [`Pattern`], and widths have the form of printf. The format is parsed before the run.

use std::collections::BTreeSet;
use std::str::FromStr;

use unicode_width::UnicodeWidthStr;

use crate::targets::{Diagnostic, Origin, Pattern, PatternPart, Placeholder, Target, fold};

/// The option of the format, for errors.
const OPTION: &str = "--label";

/// Returns the label of the target with this index.
pub(super) fn target_label(targets: &[Target], index: usize) -> &str {
    // Events name targets by number. A wrong number must not end the report.
    targets.get(index).map_or("?", |target| &target.label)
}

/// A parsed `--label`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LabelFormat {
    pattern: Pattern,
}

impl FromStr for LabelFormat {
    type Err = Box<Diagnostic>;

    fn from_str(text: &str) -> Result<Self, Box<Diagnostic>> {
        if let Some((at, c)) = text
            .char_indices()
            .find(|(_, c)| c.is_control() && *c != '\t')
        {
            return Err(Box::new(Diagnostic::new(
                &Origin::named(OPTION),
                text,
                at..at + c.len_utf8(),
                "a control character",
                Some("a label is part of one line".to_owned()),
            )));
        }
        let pattern = Pattern::parse_with_widths(text, OPTION)?;
        Ok(LabelFormat { pattern })
    }
}

impl LabelFormat {
    /// Replaces the content of `to` with the label of `hosts`, given by number. Values that differ among them are
    /// folded.
    pub(super) fn write(
        &self,
        hosts: &[usize],
        value: impl Fn(Placeholder, usize) -> String,
        to: &mut Vec<u8>,
    ) {
        to.clear();
        for part in self.pattern.parts() {
            let (field, width, left) = match part {
                PatternPart::Text(text) => {
                    to.extend_from_slice(text);
                    continue;
                }
                PatternPart::Value { field, width, left } => (*field, *width, *left),
            };
            let shown = match hosts {
                [host] => value(field, *host),
                hosts => {
                    // Values such as a user are equal for many hosts and are shown once.
                    let values: BTreeSet<String> =
                        hosts.iter().map(|host| value(field, *host)).collect();
                    fold(values.iter().map(String::as_str))
                }
            };
            // Columns, not characters: some characters are two columns wide.
            let padding = " ".repeat(width.saturating_sub(shown.width()));
            let (before, after) = if left {
                ("", &*padding)
            } else {
                (&*padding, "")
            };
            for text in [before, &shown, after] {
                to.extend_from_slice(text.as_bytes());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(field: Placeholder, host: usize) -> String {
        match field {
            Placeholder::Label => format!("n{host}"),
            Placeholder::Host => format!("10.0.0.{host}"),
            Placeholder::User => "root".to_owned(),
            Placeholder::Port => "514".to_owned(),
            Placeholder::Number => host.to_string(),
        }
    }

    fn label(format: &str, hosts: &[usize]) -> String {
        let mut to = b"old".to_vec();
        format
            .parse::<LabelFormat>()
            .unwrap()
            .write(hosts, value, &mut to);
        String::from_utf8(to).unwrap()
    }

    #[test]
    fn every_placeholder_has_a_value() {
        assert_eq!(label("%l: ", &[7]), "n7: ");
        assert_eq!(label("%n|%u@%h:%p|\t", &[12]), "12|root@10.0.0.12:514|\t");
        assert_eq!(
            label("[%5l|%-5l|%2l] 100%% ", &[42]),
            "[  n42|n42  |n42] 100% "
        );
        assert_eq!(label("", &[1]), "");
    }

    #[test]
    fn widths_are_columns_of_the_terminal() {
        let mut label = Vec::new();
        let format: LabelFormat = "%6l|%-6l|".parse().unwrap();
        format.write(&[0], |_, _| "日本".to_owned(), &mut label);
        assert_eq!(String::from_utf8(label).unwrap(), "  日本|日本  |");
    }

    #[test]
    fn values_of_several_hosts_are_folded() {
        assert_eq!(
            label("%l %n %u:%p> ", &[1, 2, 3, 9]),
            "n[1-3,9] [1-3,9] root:514> "
        );
    }

    #[test]
    fn the_caret_is_under_the_fault() {
        let caret = |format: &str| {
            let said = format.parse::<LabelFormat>().unwrap_err().to_string();
            let mut lines = said.lines();
            let message = lines.next().unwrap();
            let caret = lines.find(|line| line.contains('^')).unwrap();
            format!("{message}{}", caret.replace("  |", ""))
        };
        assert_eq!(caret("ü %x: "), "unknown placeholder   ^^");
        assert_eq!(caret("%l 5%"), "unknown placeholder     ^");
        assert_eq!(caret("%5%"), "unknown placeholder ^^^");
        assert_eq!(caret("%-l"), "no width after the minus ^^^");
        assert_eq!(caret("%999l"), "no such width ^^^^^");
        assert_eq!(caret("%l\n"), "a control character   ^");
    }
}
