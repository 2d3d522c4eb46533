//! The values of settings, checked with the rules of ssh. The checks do not depend on a host.

use std::ops::Range;
use std::str::FromStr as _;

use super::algorithms::AlgorithmSpec;
use super::jump::{self, JumpHost};
use super::keywords::{ArgumentShape, Keyword, KeywordInfo};
use super::line::{Argument, ConfigLine, SyntaxError};
use super::tokens::{self, Environment};

/// A valid value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum SettingValue {
    /// Value of a flag.
    Flag(bool),
    /// Value of a choice, as in the table of keywords.
    Choice(&'static str),
    /// A number or a port.
    Number(u32),
    /// A time in seconds. `none` is not a value, since it sets nothing.
    Seconds(u32),
    /// A word or a command.
    Text(String),
    /// Words. The list is empty for `none`.
    Words(Vec<String>),
    /// Jump hosts. The list is empty for `none`.
    Jumps(Vec<JumpHost>),
    /// A list of algorithms.
    Algorithms(AlgorithmSpec),
    /// Environment variables with their values.
    Assignments(Vec<(String, String)>),
}

impl SettingValue {
    /// Returns the value if it is a single word, for comparison with the table of keywords.
    pub(super) fn word(&self) -> Option<&str> {
        match self {
            SettingValue::Flag(true) => Some("yes"),
            SettingValue::Flag(false) => Some("no"),
            SettingValue::Choice(word) => Some(word),
            SettingValue::Text(text) => Some(text),
            _ => None,
        }
    }
}

/// Maximum number of identity files and of certificates (OpenSSH's limit).
pub(super) const MOST_FILES: usize = 100;
/// Maximum number of files after a known hosts keyword (OpenSSH's limit).
const MOST_HOSTS_FILES: usize = 32;

/// Reads the arguments of a keyword. Returns `None` if they set nothing.
pub(super) fn parse(
    row: &KeywordInfo,
    line: &ConfigLine<'_>,
    environment: &Environment,
) -> Result<Option<SettingValue>, SyntaxError> {
    let mut words = line.words.iter();
    let value = match row.shape {
        // Nothing uses the value, so it can be anything.
        ArgumentShape::Any => {
            let text = words.next().map(|word| word.text.clone());
            return Ok(text.map(SettingValue::Text));
        }
        ArgumentShape::Command => return Ok(Some(SettingValue::Text(raw(line).to_owned()))),
        ArgumentShape::Jumps => {
            let text = raw(line);
            let span = line.text.len() - text.len()..line.text.len();
            let jumps = jump::parse(text).map_err(|message| SyntaxError::new(span, message))?;
            return Ok(Some(SettingValue::Jumps(jumps)));
        }
        ArgumentShape::Flag => match one(&mut words, line)? {
            word if is(word, &["yes", "true"]) => Some(SettingValue::Flag(true)),
            word if is(word, &["no", "false"]) => Some(SettingValue::Flag(false)),
            word => return Err(unsupported(word, "yes or no")),
        },
        ArgumentShape::Choice(choices) => Some(choice(one(&mut words, line)?, choices)?),
        ArgumentShape::Number => {
            let word = one(&mut words, line)?;
            // OpenSSH keeps numbers in an int.
            let number = digits(&word.text).filter(|number| *number <= i32::MAX as u32);
            Some(SettingValue::Number(
                number.ok_or_else(|| bad("number", word))?,
            ))
        }
        ArgumentShape::Port => {
            let word = one(&mut words, line)?;
            // Numbers only. ssh also accepts names of services, which depend on the machine.
            let port = digits(&word.text).filter(|port| (1..=65535).contains(port));
            Some(SettingValue::Number(port.ok_or_else(|| bad("port", word))?))
        }
        ArgumentShape::Time => match one(&mut words, line)? {
            word if word.text == "none" => None,
            word => {
                let seconds = seconds(&word.text).ok_or_else(|| bad("time", word))?;
                Some(SettingValue::Seconds(seconds))
            }
        },
        ArgumentShape::Word => Some(SettingValue::Text(one(&mut words, line)?.text.clone())),
        ArgumentShape::Socket => {
            let word = one(&mut words, line)?;
            socket(word, environment)?;
            Some(SettingValue::Text(word.text.clone()))
        }
        ArgumentShape::Algorithms => {
            let word = one(&mut words, line)?;
            let spec = AlgorithmSpec::from_str(&word.text)
                .map_err(|error| SyntaxError::new(word.span.clone(), error.to_string()))?;
            Some(SettingValue::Algorithms(spec))
        }
        ArgumentShape::Words => Some(SettingValue::Words(several(row, line, &mut words)?)),
        ArgumentShape::Variables => {
            let names = words.by_ref().map(|word| match &word.text {
                name if name.is_empty() || name.contains('=') => Err(SyntaxError::new(
                    word.span.clone(),
                    "invalid name of an environment variable",
                )),
                name => Ok(name.clone()),
            });
            Some(SettingValue::Words(names.collect::<Result<_, _>>()?))
        }
        ArgumentShape::Assignments => {
            let pairs = words.by_ref().map(|word| match word.text.split_once('=') {
                Some((name, value)) => Ok((name.to_owned(), value.to_owned())),
                None => Err(SyntaxError::new(
                    word.span.clone(),
                    "SetEnv takes NAME=VALUE",
                )),
            });
            Some(SettingValue::Assignments(pairs.collect::<Result<_, _>>()?))
        }
        ArgumentShape::Structure => None,
    };
    match words.next() {
        // ssh refuses extra arguments, too.
        Some(extra) if row.shape != ArgumentShape::Structure => Err(SyntaxError::new(
            extra.span.start..line.text.len(),
            format!("extra arguments after {}", row.name),
        )),
        _ => Ok(value),
    }
}

/// The rest of the line for commands, unchanged except for a leading `=`.
fn raw<'a>(line: &ConfigLine<'a>) -> &'a str {
    let text: &'a str = line.text;
    // `ProxyJump=HOST`: the separator can be an equals sign.
    text[line.rest..].trim_start_matches([' ', '\t', '\r', '\n', '='])
}

/// Returns the next word, which must exist.
fn one<'a>(
    words: &mut impl Iterator<Item = &'a Argument>,
    line: &'a ConfigLine<'_>,
) -> Result<&'a Argument, SyntaxError> {
    words
        .next()
        .filter(|word| !word.text.is_empty())
        .ok_or_else(|| SyntaxError::new(line.rest..line.text.len(), "missing argument"))
}

fn is(word: &Argument, any: &[&str]) -> bool {
    any.iter().any(|each| word.text.eq_ignore_ascii_case(each))
}

fn unsupported(word: &Argument, expected: &str) -> SyntaxError {
    SyntaxError {
        span: word.span.clone(),
        message: format!("unsupported value \"{}\"", word.text),
        help: Some(format!("it can be {expected}")),
    }
}

fn bad(what: &str, word: &Argument) -> SyntaxError {
    SyntaxError::new(word.span.clone(), format!("bad {what} '{}'", word.text))
}

fn choice(word: &Argument, choices: &'static [&'static str]) -> Result<SettingValue, SyntaxError> {
    let meant = match &*word.text {
        // ssh accepts these in place of the words in its manual.
        text if text.eq_ignore_ascii_case("true") => "yes",
        text if text.eq_ignore_ascii_case("false") => "no",
        text => text,
    };
    match choices.iter().find(|each| each.eq_ignore_ascii_case(meant)) {
        Some(choice) => Ok(SettingValue::Choice(choice)),
        None => Err(unsupported(word, &choices.join(", "))),
    }
}

fn several<'a>(
    row: &KeywordInfo,
    line: &ConfigLine<'_>,
    words: &mut impl Iterator<Item = &'a Argument>,
) -> Result<Vec<String>, SyntaxError> {
    let none = |word: &Argument| word.text.eq_ignore_ascii_case("none");
    let mut all = Vec::new();
    for word in words {
        if word.text.is_empty() {
            return Err(SyntaxError::new(word.span.clone(), "empty argument"));
        }
        if none(word) && line.words.len() > 1 {
            let message = format!("\"none\" must be alone after {}", row.name);
            return Err(SyntaxError::new(word.span.clone(), message));
        }
        if !none(word) {
            all.push(word.text.clone());
        }
        let hosts = [Keyword::UserKnownHostsFile, Keyword::GlobalKnownHostsFile];
        if all.len() > MOST_HOSTS_FILES && hosts.contains(&row.keyword) {
            let message = format!("more than {MOST_HOSTS_FILES} files after {}", row.name);
            return Err(SyntaxError::new(word.span.clone(), message));
        }
    }
    Ok(all)
}

/// Reports errors that do not depend on a host: unset variables and names that cannot be those of variables.
fn socket(word: &Argument, environment: &Environment) -> Result<(), SyntaxError> {
    let fault = |message: String| SyntaxError::new(word.span.clone(), message);
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
    // `parse` alone would accept a plus sign.
    text.bytes().all(|b| b.is_ascii_digit()).then_some(())?;
    text.parse().ok()
}

/// Parses a time of sshd_config(5): a sum of numbers with units. Numbers without a unit are seconds.
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
        // As in OpenSSH, a time that overflows is an error.
        total = total.checked_add(number.checked_mul(unit)?)?;
        rest = after.as_str();
    }
    // OpenSSH keeps times in an int.
    (!text.is_empty() && total <= i32::MAX as u32).then_some(total)
}

/// Position of the arguments in a line.
pub(super) fn arguments(line: &ConfigLine<'_>) -> Range<usize> {
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
