//! `--label`: what stands before each line of output.
//!
//! The letters are those of `-R exec`, and the widths printf's. Read before the run; a fault is shown
//! with a caret under it.

use std::collections::BTreeSet;
use std::ops::Range;
use std::str::FromStr;

use unicode_width::UnicodeWidthStr;

use crate::targets::nodeset::fold;
use crate::targets::{Diagnostic, Origin};

/// A name is not padded to more than this.
const WIDEST: usize = 200;

/// What a label may tell of a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Field {
    /// `%l`: its name, as the user wrote it.
    Label,
    /// `%h`: its name or address, as it is looked up.
    Host,
    /// `%u`: the remote user.
    User,
    /// `%p`: the port, where there is one.
    Port,
    /// `%n`: its place in the list of targets, from 0.
    Number,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Field {
        field: Field,
        width: usize,
        left: bool,
    },
}

/// What stands before each line of output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LabelFormat {
    parts: Vec<Part>,
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
            let help = "a label stands before a line, on the same";
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
            let field = match letter {
                Some('l') => Field::Label,
                Some('h') => Field::Host,
                Some('u') => Field::User,
                Some('p') => Field::Port,
                Some('n') => Field::Number,
                Some('%') if after.starts_with('%') => {
                    push_text(&mut parts, "%");
                    rest = &after[1..];
                    continue;
                }
                _ => return Err(fault(start..end, "stands for nothing", LETTERS)),
            };
            let width = match width {
                "" if left => {
                    return Err(fault(
                        start..end,
                        "there is no width behind the minus",
                        LETTERS,
                    ));
                }
                "" => 0,
                digits => match digits.parse() {
                    Ok(width @ 1..=WIDEST) => width,
                    _ => return Err(fault(start..end, "no such width", "1 to 200 columns")),
                },
            };
            parts.push(Part::Field { field, width, left });
            rest = &tail[1..];
        }
        push_text(&mut parts, rest);
        Ok(LabelFormat { parts })
    }
}

fn push_text(parts: &mut Vec<Part>, text: &str) {
    match parts.last_mut() {
        _ if text.is_empty() => {}
        Some(Part::Text(last)) => last.push_str(text),
        _ => parts.push(Part::Text(text.to_owned())),
    }
}

impl LabelFormat {
    /// Writes the label of some hosts, given by number, to `to`, which is emptied. What differs among
    /// them is folded, as names are.
    pub(super) fn write(
        &self,
        hosts: &[usize],
        value: impl Fn(Field, usize) -> String,
        to: &mut Vec<u8>,
    ) {
        to.clear();
        for part in &self.parts {
            let (field, width, left) = match part {
                Part::Text(text) => {
                    to.extend_from_slice(text.as_bytes());
                    continue;
                }
                Part::Field { field, width, left } => (*field, *width, *left),
            };
            let shown = match hosts {
                [host] => value(field, *host),
                hosts => {
                    let values: BTreeSet<String> =
                        hosts.iter().map(|host| value(field, *host)).collect();
                    fold(values.iter().map(String::as_str))
                }
            };
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

    fn value(field: Field, host: usize) -> String {
        match field {
            Field::Label => format!("n{host}"),
            Field::Host => format!("10.0.0.{host}"),
            Field::User => "root".to_owned(),
            Field::Port => "514".to_owned(),
            Field::Number => host.to_string(),
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
    fn every_letter_stands_for_something() {
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
    fn of_several_hosts_what_differs_is_folded() {
        assert_eq!(
            label("%l %n %u:%p> ", &[1, 2, 3, 9]),
            "n[1-3,9] [1-3,9] root:514> "
        );
    }

    #[test]
    fn faults_are_pointed_at() {
        let caret = |format: &str| {
            let said = format.parse::<LabelFormat>().unwrap_err().to_string();
            let mut lines = said.lines();
            let message = lines.next().unwrap();
            let caret = lines.find(|line| line.contains('^')).unwrap();
            format!("{message}{}", caret.replace("  |", ""))
        };
        assert_eq!(caret("ü %x: "), "stands for nothing   ^^");
        assert_eq!(caret("%l 5%"), "stands for nothing     ^");
        assert_eq!(caret("%5%"), "stands for nothing ^^^");
        assert_eq!(caret("%-l"), "there is no width behind the minus ^^^");
        assert_eq!(caret("%999l"), "no such width ^^^^^");
        assert_eq!(caret("%l\n"), "a control character   ^");
    }
}
