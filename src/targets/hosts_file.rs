//! The syntax of one line of a hosts file: node sets, then `key=value` options, then a comment.
//!
//! Called by the builder for every line of a hosts file or of standard input. A `#` begins a comment
//! at the start of a line or after white space.

use std::ops::Range;
use std::sync::Arc;

use super::nodeset::{HostList, NodeSetError};

/// What is wrong with a line, where, and how to mend it.
pub(super) struct LineError {
    pub(super) span: Range<usize>,
    pub(super) message: String,
    pub(super) help: Option<String>,
}

/// A line that names hosts.
pub(super) struct Line {
    /// The hosts before the options.
    pub(super) hosts: HostList,
    /// Where they stand in the line.
    pub(super) span: Range<usize>,
    /// What the options say about them.
    pub(super) options: Options,
}

/// The options of a line; each is `None` if the line does not have it.
#[derive(Default)]
pub(super) struct Options {
    /// With its place, for the error when it meets a `user@`.
    pub(super) user: Option<(Range<usize>, Arc<str>)>,
    /// With its place, for the error when it meets a `:port`.
    pub(super) port: Option<(Range<usize>, u16)>,
    /// With its place, for the error when there are several hosts.
    pub(super) label: Option<(Range<usize>, Arc<str>)>,
}

/// The options' names, for suggestions.
const KEYS: [&str; 4] = ["label", "port", "transport", "user"];

/// Parses a line without its end; `None` if there is nothing in it.
pub(super) fn parse_line(text: &str, limit: usize) -> Result<Option<Line>, LineError> {
    let code = &text[..comment_start(text)];
    let hosts_end = words(code)
        .find(|word| is_option(&code[word.clone()]))
        .map_or(code.len(), |word| word.start);
    let start = code.len() - code.trim_start().len();
    let span = start..code[..hosts_end].trim_end().len().max(start);
    if span.is_empty() {
        return match words(code).next() {
            None => Ok(None),
            Some(option) => Err(LineError {
                span: option,
                message: "an option without a host before it".into(),
                help: Some("write the host's name first: node1 user=root".into()),
            }),
        };
    }
    let hosts = HostList::parse(&code[span.clone()], limit).map_err(
        |NodeSetError { span: at, fault }| {
            let span = span.start + at.start..span.start + at.end;
            LineError {
                span,
                message: fault.to_string(),
                help: fault.help(),
            }
        },
    )?;
    let mut options = Options::default();
    for word in words(&code[hosts_end..]) {
        let word = hosts_end + word.start..hosts_end + word.end;
        options.read(&code[word.clone()], word)?;
    }
    Ok(Some(Line {
        hosts,
        span,
        options,
    }))
}

impl Options {
    fn read(&mut self, word: &str, span: Range<usize>) -> Result<(), LineError> {
        let error = |span: Range<usize>, message: String, help: &str| {
            Err(LineError {
                span,
                message,
                help: Some(help.into()),
            })
        };
        let Some((key, value)) = word.split_once('=') else {
            return error(
                span,
                "a host after an option".into(),
                "options come last in a line",
            );
        };
        let key_span = span.start..span.start + key.len();
        let value_span = span.start + key.len() + 1..span.end;
        let repeated = match key {
            "user" => self.user.is_some(),
            "port" => self.port.is_some(),
            "label" => self.label.is_some(),
            _ => false,
        };
        if repeated {
            return error(
                key_span,
                format!("{key}= stands twice in this line"),
                "keep one of them",
            );
        }
        match key {
            "user" if is_user(value) => self.user = Some((span, value.into())),
            "user" => {
                return error(
                    value_span,
                    format!("{value:?} cannot be a user name"),
                    "write user=NAME",
                );
            }
            "port" => match value.parse() {
                Ok(port) if port != 0 && !value.starts_with('+') => self.port = Some((span, port)),
                _ => {
                    let message = format!("{value:?} is not a port number from 1 to 65535");
                    return error(value_span, message, "write port=514");
                }
            },
            "label" if is_label(value) => self.label = Some((span, value.into())),
            "label" => {
                let message = format!("{value:?} cannot be a label");
                return error(
                    value_span,
                    message,
                    "a label is 1 to 255 visible characters",
                );
            }
            "transport" if value == "rsh" => {}
            "transport" => {
                let message = format!("the transport {value:?} is not known here");
                return error(
                    value_span,
                    message,
                    "only rsh is known, and need not be said",
                );
            }
            _ => {
                let help = match nearest(key) {
                    Some(near) => format!("did you mean {near}=?"),
                    None => format!("the options are {}=", KEYS.join("=, ")),
                };
                return error(key_span, format!("there is no option {key}="), &help);
            }
        }
        Ok(())
    }
}

/// Where the comment begins, or the end of the line.
fn comment_start(text: &str) -> usize {
    let mut after_space = true;
    for (at, c) in text.char_indices() {
        if c == '#' && after_space {
            return at;
        }
        after_space = c.is_whitespace();
    }
    text.len()
}

/// The places of the words between white space.
fn words(text: &str) -> impl Iterator<Item = Range<usize>> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let rest = &text[at..];
        let start = at + rest.len() - rest.trim_start().len();
        let length = text[start..]
            .find(char::is_whitespace)
            .unwrap_or(text.len() - start);
        at = start + length;
        (length > 0).then_some(start..at)
    })
}

/// Whether a word is `key=value`, whatever the key.
fn is_option(word: &str) -> bool {
    word.split_once('=').is_some_and(|(key, _)| {
        key.starts_with(|c: char| c.is_ascii_alphabetic())
            && key
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    })
}

fn is_user(text: &str) -> bool {
    is_label(text) && !text.starts_with('-') && !text.contains(['/', ':'])
}

fn is_label(text: &str) -> bool {
    (1..=255).contains(&text.len()) && !text.chars().any(char::is_control)
}

/// The option whose name differs from this one in at most two letters.
fn nearest(key: &str) -> Option<&'static str> {
    KEYS.into_iter()
        .map(|known| (distance(key, known), known))
        .filter(|(distance, _)| *distance <= 2)
        .min()
        .map(|(_, known)| known)
}

/// How many letters have to be added, removed or changed.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, to) in b.iter().enumerate() {
            let changed = diagonal + usize::from(from != *to);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}
