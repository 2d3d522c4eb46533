//! What a line's arguments say, checked as ssh checks them, for all hosts alike.

use std::ops::Range;

use super::algorithms::AlgorithmSpec;
use super::jump::{self, Jump};
use super::keywords::{Keyword, Row, Shape};
use super::tokens::{self, Environment};
use super::words::{Fault, Line, Word};

/// A checked value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Value {
    /// Of a flag.
    Flag(bool),
    /// Of a choice, as the table spells it.
    Choice(&'static str),
    /// A number or the number of a port.
    Number(u32),
    /// Seconds. Nothing is set by `none`, which has no value.
    Seconds(u32),
    /// A word or a command.
    Text(String),
    /// Words; none for `none`.
    Words(Vec<String>),
    /// Hosts on the way; none for `none`.
    Jumps(Vec<Jump>),
    /// A list of algorithms.
    Algorithms(AlgorithmSpec),
    /// Environment variables with their values.
    Assignments(Vec<(String, String)>),
}

impl Value {
    /// The value if it is a single word, to be held against the table.
    pub(super) fn word(&self) -> Option<&str> {
        match self {
            Value::Flag(true) => Some("yes"),
            Value::Flag(false) => Some("no"),
            Value::Choice(word) => Some(word),
            Value::Text(text) => Some(text),
            _ => None,
        }
    }
}

/// As many identity files, certificates and the like as ssh takes.
pub(super) const MOST_FILES: usize = 100;
/// As many known hosts files of a kind as ssh takes.
const MOST_HOSTS_FILES: usize = 32;

/// Reads the arguments of a keyword; `None` if they set nothing.
pub(super) fn parse(
    row: &Row,
    line: &Line<'_>,
    environment: &Environment,
) -> Result<Option<Value>, Fault> {
    let mut words = line.words.iter();
    let value = match row.shape {
        Shape::Any => {
            let text = words.next().map(|word| word.text.clone());
            return Ok(text.map(Value::Text));
        }
        Shape::Command => return Ok(Some(Value::Text(raw(line).to_owned()))),
        Shape::Jumps => {
            let text = raw(line);
            let span = line.text.len() - text.len()..line.text.len();
            let jumps = jump::parse(text).map_err(|message| Fault::new(span, message))?;
            return Ok(Some(Value::Jumps(jumps)));
        }
        Shape::Flag => match one(&mut words, line)? {
            word if is(word, &["yes", "true"]) => Some(Value::Flag(true)),
            word if is(word, &["no", "false"]) => Some(Value::Flag(false)),
            word => return Err(unsupported(word, "yes or no")),
        },
        Shape::Choice(choices) => Some(choice(one(&mut words, line)?, choices)?),
        Shape::Number => {
            let word = one(&mut words, line)?;
            let number = digits(&word.text).filter(|number| *number <= i32::MAX as u32);
            Some(Value::Number(number.ok_or_else(|| bad("number", word))?))
        }
        Shape::Port => {
            let word = one(&mut words, line)?;
            let port = digits(&word.text).filter(|port| (1..=65535).contains(port));
            Some(Value::Number(port.ok_or_else(|| bad("port", word))?))
        }
        Shape::Time => match one(&mut words, line)? {
            word if word.text == "none" => None,
            word => {
                let seconds = seconds(&word.text).ok_or_else(|| bad("time", word))?;
                Some(Value::Seconds(seconds))
            }
        },
        Shape::Word => Some(Value::Text(one(&mut words, line)?.text.clone())),
        Shape::Socket => {
            let word = one(&mut words, line)?;
            socket(word, environment)?;
            Some(Value::Text(word.text.clone()))
        }
        Shape::Algorithms => {
            let word = one(&mut words, line)?;
            let spec = AlgorithmSpec::parse(&word.text)
                .map_err(|message| Fault::new(word.span.clone(), message))?;
            Some(Value::Algorithms(spec))
        }
        Shape::Words => Some(Value::Words(several(row, line, &mut words)?)),
        Shape::Variables => {
            let names = words.by_ref().map(|word| match &word.text {
                name if name.is_empty() || name.contains('=') => Err(Fault::new(
                    word.span.clone(),
                    "invalid name of an environment variable",
                )),
                name => Ok(name.clone()),
            });
            Some(Value::Words(names.collect::<Result<_, _>>()?))
        }
        Shape::Assignments => {
            let pairs = words.by_ref().map(|word| match word.text.split_once('=') {
                Some((name, value)) => Ok((name.to_owned(), value.to_owned())),
                None => Err(Fault::new(word.span.clone(), "SetEnv takes NAME=VALUE")),
            });
            Some(Value::Assignments(pairs.collect::<Result<_, _>>()?))
        }
        Shape::Structure => None,
    };
    match words.next() {
        Some(extra) if row.shape != Shape::Structure => Err(Fault::new(
            extra.span.start..line.text.len(),
            format!("extra arguments after {}", row.name),
        )),
        _ => Ok(value),
    }
}

/// The rest of the line as it stands, for commands, without the equals sign.
fn raw<'a>(line: &Line<'a>) -> &'a str {
    let text: &'a str = line.text;
    text[line.rest..].trim_start_matches([' ', '\t', '\r', '\n', '='])
}

/// The one word that must be there.
fn one<'a>(
    words: &mut impl Iterator<Item = &'a Word>,
    line: &'a Line<'_>,
) -> Result<&'a Word, Fault> {
    words
        .next()
        .filter(|word| !word.text.is_empty())
        .ok_or_else(|| Fault::new(line.rest..line.text.len(), "missing argument"))
}

fn is(word: &Word, any: &[&str]) -> bool {
    any.iter().any(|each| word.text.eq_ignore_ascii_case(each))
}

fn unsupported(word: &Word, expected: &str) -> Fault {
    Fault {
        span: word.span.clone(),
        message: format!("unsupported value \"{}\"", word.text),
        help: Some(format!("it can be {expected}")),
    }
}

fn bad(what: &str, word: &Word) -> Fault {
    Fault::new(word.span.clone(), format!("bad {what} '{}'", word.text))
}

fn choice(word: &Word, choices: &'static [&'static str]) -> Result<Value, Fault> {
    let meant = match &*word.text {
        text if text.eq_ignore_ascii_case("true") => "yes",
        text if text.eq_ignore_ascii_case("false") => "no",
        text => text,
    };
    match choices.iter().find(|each| each.eq_ignore_ascii_case(meant)) {
        Some(choice) => Ok(Value::Choice(choice)),
        None => Err(unsupported(word, &choices.join(", "))),
    }
}

fn several<'a>(
    row: &Row,
    line: &Line<'_>,
    words: &mut impl Iterator<Item = &'a Word>,
) -> Result<Vec<String>, Fault> {
    let none = |word: &Word| word.text.eq_ignore_ascii_case("none");
    let mut all = Vec::new();
    for word in words {
        if word.text.is_empty() {
            return Err(Fault::new(word.span.clone(), "empty argument"));
        }
        if none(word) && line.words.len() > 1 {
            let message = format!("\"none\" must be alone after {}", row.name);
            return Err(Fault::new(word.span.clone(), message));
        }
        if !none(word) {
            all.push(word.text.clone());
        }
        let hosts = [Keyword::UserKnownHostsFile, Keyword::GlobalKnownHostsFile];
        if all.len() > MOST_HOSTS_FILES && hosts.contains(&row.keyword) {
            let message = format!("more than {MOST_HOSTS_FILES} files after {}", row.name);
            return Err(Fault::new(word.span.clone(), message));
        }
    }
    Ok(all)
}

/// Checks what is wrong for every host: a variable that isn't set, or a name that cannot be one.
fn socket(word: &Word, environment: &Environment) -> Result<(), Fault> {
    let fault = |message: String| Fault::new(word.span.clone(), message);
    tokens::expand_variables(&word.text, environment).map_err(fault)?;
    match word.text.strip_prefix('$') {
        Some(name) if !name.starts_with('{') && !valid_variable(name) => Err(fault(format!(
            "invalid name of an environment variable '{name}'"
        ))),
        _ => Ok(()),
    }
}

fn valid_variable(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

fn digits(text: &str) -> Option<u32> {
    text.bytes().all(|b| b.is_ascii_digit()).then_some(())?;
    text.parse().ok()
}

/// A time as sshd writes it: numbers with units that add up, and seconds without one.
fn seconds(text: &str) -> Option<u32> {
    let mut total: u32 = 0;
    let mut rest = text;
    while !rest.is_empty() {
        let end = rest
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(rest.len());
        let number: u32 = rest[..end].parse().ok()?;
        let mut after = rest[end..].chars();
        let unit = match after.next() {
            None | Some('s' | 'S') => 1,
            Some('m' | 'M') => 60,
            Some('h' | 'H') => 60 * 60,
            Some('d' | 'D') => 24 * 60 * 60,
            Some('w' | 'W') => 7 * 24 * 60 * 60,
            Some(_) => return None,
        };
        total = total.checked_add(number.checked_mul(unit)?)?;
        rest = after.as_str();
    }
    (!text.is_empty() && total <= i32::MAX as u32).then_some(total)
}

/// Where in a line the arguments stand.
pub(super) fn arguments(line: &Line<'_>) -> Range<usize> {
    line.rest..line.text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_units() {
        for (text, expected) in [
            ("0", Some(0)),
            ("90", Some(90)),
            ("90s", Some(90)),
            ("1h30m", Some(5400)),
            ("1M2", Some(62)),
            ("1w2D", Some(9 * 86400)),
            ("", None),
            ("s", None),
            ("1y", None),
            ("-1", None),
            ("1.5", None),
            ("99999999999", None),
            ("4000w", None),
        ] {
            assert_eq!(seconds(text), expected, "{text}");
        }
    }
}
