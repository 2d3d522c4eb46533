//! `--label`: the format of the label before each line of output.
//!
//! The letters are those of `-R exec`, and widths have the form of printf. The format is parsed before the run. An
//! error shows the format with a caret under the fault.

use std::collections::BTreeSet;
use std::ops::Range;
use std::str::FromStr;

use unicode_width::UnicodeWidthStr;

use crate::targets::{Diagnostic, Origin, Target, fold};

/// Maximum width of a placeholder.
const WIDEST: usize = 200;

/// Returns the label of the target with this index.
pub(super) fn target_label(targets: &[Target], index: usize) -> &str {
    // Events name targets by number. A wrong number must not end the report.
    targets.get(index).map_or("?", |target| &target.label)
}

/// A placeholder of a label, or of a source of `--copy`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LabelField {
    /// `%l`: the label of the target.
    Label,
    /// `%h`: the name or address that is looked up.
    Host,
    /// `%u`: the remote user.
    User,
    /// `%p`: the port, if there is one.
    Port,
    /// `%n`: the index in the list of targets, from 0.
    Number,
}

impl LabelField {
    /// Returns the placeholder with this letter after the percent sign.
    #[must_use]
    pub fn of_letter(letter: u8) -> Option<LabelField> {
        match letter {
            b'l' => Some(LabelField::Label),
            b'h' => Some(LabelField::Host),
            b'u' => Some(LabelField::User),
            b'p' => Some(LabelField::Port),
            b'n' => Some(LabelField::Number),
            _ => None,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum LabelPart {
    Text(String),
    Value {
        field: LabelField,
        width: usize,
        left: bool,
    },
}

/// A parsed `--label`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LabelFormat {
    parts: Vec<LabelPart>,
}

impl FromStr for LabelFormat {
    type Err = Box<Diagnostic>;

    fn from_str(text: &str) -> Result<Self, Box<Diagnostic>> {
        let fault = |at: Range<usize>, message: &str, help: &str| {
            let help = Some(help.to_owned());
            Box::new(Diagnostic::new(
                &Origin::named("--label"),
                text,
                at,
                message,
                help,
            ))
        };
        const LETTERS: &str = "%l is the label, %h the host, %u the user, %p the port, %n the number, %% a percent \
             sign; %-12l pads to 12 columns";
        if let Some((at, c)) = text
            .char_indices()
            .find(|(_, c)| c.is_control() && *c != '\t')
        {
            let help = "a label is part of one line";
            return Err(fault(at..at + c.len_utf8(), "a control character", help));
        }
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some(at) = rest.find('%') {
            push_text(&mut parts, &rest[..at]);
            let start = text.len() - rest.len() + at;
            let after = &rest[at + 1..];
            let (left, digits) = match after.strip_prefix('-') {
                Some(digits) => (true, digits),
                None => (false, after),
            };
            let length = digits.find(|c: char| !c.is_ascii_digit());
            let (width, tail) = digits.split_at(length.unwrap_or(digits.len()));
            let letter = tail.chars().next();
            let end = text.len() - tail.len() + letter.map_or(0, char::len_utf8);
            // A width or a minus before the second `%` is an error, not a literal `%`.
            if let Some(tail) = after.strip_prefix('%') {
                push_text(&mut parts, "%");
                rest = tail;
                continue;
            }
            let letter = tail.bytes().next();
            let Some(field) = letter.and_then(LabelField::of_letter) else {
                return Err(fault(start..end, "unknown placeholder", LETTERS));
            };
            let width = match width {
                "" if left => {
                    return Err(fault(start..end, "no width after the minus", LETTERS));
                }
                "" => 0,
                digits => match digits.parse() {
                    // Every line gets this much padding.
                    Ok(width @ 1..=WIDEST) => width,
                    _ => return Err(fault(start..end, "no such width", "1 to 200 columns")),
                },
            };
            parts.push(LabelPart::Value { field, width, left });
            rest = &tail[1..];
        }
        push_text(&mut parts, rest);
        Ok(LabelFormat { parts })
    }
}

fn push_text(parts: &mut Vec<LabelPart>, text: &str) {
    match parts.last_mut() {
        _ if text.is_empty() => {}
        Some(LabelPart::Text(last)) => last.push_str(text),
        _ => parts.push(LabelPart::Text(text.to_owned())),
    }
}

impl LabelFormat {
    /// Replaces the content of `to` with the label of `hosts`, given by number. Values that differ among them are
    /// folded.
    pub(super) fn write(
        &self,
        hosts: &[usize],
        value: impl Fn(LabelField, usize) -> String,
        to: &mut Vec<u8>,
    ) {
        to.clear();
        for part in &self.parts {
            let (field, width, left) = match part {
                LabelPart::Text(text) => {
                    to.extend_from_slice(text.as_bytes());
                    continue;
                }
                LabelPart::Value { field, width, left } => (*field, *width, *left),
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

    fn value(field: LabelField, host: usize) -> String {
        match field {
            LabelField::Label => format!("n{host}"),
            LabelField::Host => format!("10.0.0.{host}"),
            LabelField::User => "root".to_owned(),
            LabelField::Port => "514".to_owned(),
            LabelField::Number => host.to_string(),
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
