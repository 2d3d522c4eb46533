//! The syntax of one line of a hosts file: node sets, then `key=value` options, then a comment.
//!
//! Called by the [reader of files](super::files) for every line of a hosts file or of standard input.
//! A `#` begins a comment at the start of a line or after white space; `#include FILE` is not a comment.

use std::ops::Range;
use std::sync::Arc;

use nodeset::{Node, NodeSetError};

use super::suggest::nearest;
use super::{
    HostList, HostResolver, Network, NotANetwork, Options, Says, TransportKind, Variable, help,
};

/// A fault of a line, with its place and advice.
pub(super) struct LineError {
    pub(super) span: Range<usize>,
    pub(super) message: String,
    pub(super) help: Option<String>,
}

/// The meaning of a line of a hosts file.
pub(super) enum HostsFileLine<'a> {
    /// An empty line, or only a comment.
    Nothing,
    /// The hosts in this part of the line, with the options that follow.
    Hosts(HostList, Range<usize>),
    /// `#include` without a path.
    EmptyInclude,
    /// `#include` with the path in this part of the line.
    Include(&'a str, Range<usize>),
}

/// The options of a line with their spans.
#[derive(Default)]
struct Keys {
    user: Option<(Range<usize>, Arc<str>)>,
    port: Option<(Range<usize>, u16)>,
    transport: Option<(Range<usize>, TransportKind)>,
    label: Option<(Range<usize>, Arc<str>)>,
    callback: Option<(Range<usize>, Arc<[Network]>)>,
    variables: Vec<Variable>,
}

/// Names of the options, for suggestions.
const KEYS: [&str; 6] = ["callback", "env.NAME", "label", "port", "transport", "user"];

/// Start of the options that set environment variables. The name of the variable follows.
const ENV: &str = "env.";

fn error<T>(span: Range<usize>, message: impl Into<String>, help: &str) -> Result<T, LineError> {
    let (message, help) = (message.into(), Some(help.to_owned()));
    Err(LineError {
        span,
        message,
        help,
    })
}

/// Parses a line without its newline.
pub(super) fn parse_line<'a>(
    text: &'a str,
    resolver: &HostResolver<'_>,
) -> Result<HostsFileLine<'a>, LineError> {
    // Most lines of long files are one name, and this is faster than the parser.
    if let Some(hosts) = HostList::of_plain_name(text) {
        return Ok(HostsFileLine::Hosts(hosts, 0..text.len()));
    }
    if let Some(include) = include(text) {
        return Ok(include);
    }
    let code = &text[..comment_start(text)];
    let hosts_end = words(code)
        .find(|word| is_option(&code[word.clone()]))
        .map_or(code.len(), |word| word.start);
    let start = code.len() - code.trim_start().len();
    let span = start..code[..hosts_end].trim_end().len().max(start);
    if span.is_empty() {
        return match words(code).next() {
            None => Ok(HostsFileLine::Nothing),
            Some(option) => error(
                option,
                "an option without a host before it",
                "write the host's name first: node1 user=root",
            ),
        };
    }
    let hosts = resolver.hosts_in_file(&code[span.clone()]).map_err(
        |NodeSetError { span: at, fault }| LineError {
            span: span.start + at.start..span.start + at.end,
            message: fault.to_string(),
            help: help(&fault),
        },
    )?;
    let mut keys = Keys::default();
    for word in words(&code[hosts_end..]) {
        let word = hosts_end + word.start..hosts_end + word.end;
        keys.read(&code[word.clone()], word)?;
    }
    Ok(HostsFileLine::Hosts(keys.apply(hosts)?, span))
}

/// Reads `#include FILE`.
fn include(text: &str) -> Option<HostsFileLine<'_>> {
    let rest = text.trim_start().strip_prefix("#include")?;
    // `#included` is an ordinary comment.
    if !rest.is_empty() && !rest.starts_with(char::is_whitespace) {
        return None;
    }
    let at = text.len() - rest.trim_start().len();
    let path = rest.trim();
    Some(if path.is_empty() {
        HostsFileLine::EmptyInclude
    } else {
        HostsFileLine::Include(path, at..at + path.len())
    })
}

impl Keys {
    /// Returns the hosts with the options. An option that contradicts a host is an error.
    fn apply(self, hosts: HostList) -> Result<HostList, LineError> {
        let says = Says::of(&hosts);
        if let Some((span, _)) = &self.transport
            && says.transport
        {
            let help = "keep ssh:// or transport=";
            return error(span.clone(), "the transport is given twice", help);
        }
        match (&self.user, &self.port, &self.label) {
            (None, None, None)
                if self.transport.is_none()
                    && self.callback.is_none()
                    && self.variables.is_empty() =>
            {
                return Ok(hosts);
            }
            (Some((span, _)), _, _) if says.user => {
                return error(
                    span.clone(),
                    "the user is given twice",
                    "keep user@ or user=",
                );
            }
            (_, Some((span, _)), _) if says.port => {
                return error(
                    span.clone(),
                    "the port is given twice",
                    "keep :port or port=",
                );
            }
            (_, _, Some((span, _))) => {
                let mut count = 0;
                // Stops at the second host, because an expression may name a million.
                let one = hosts.try_for_each(|_: Node<'_, Options>| {
                    count += 1;
                    if count > 1 { Err(()) } else { Ok(()) }
                });
                if one.is_err() {
                    let help = "give each host a line and a label of its own";
                    return error(span.clone(), "one label for several hosts", help);
                }
            }
            _ => {}
        }
        let options = Options {
            user: self.user.map(|(_, user)| user),
            port: self.port.map(|(_, port)| port),
            transport: self.transport.map(|(_, transport)| transport),
            label: self.label.map(|(_, label)| label),
            callback_from: self.callback.map(|(_, networks)| networks),
            variables: (!self.variables.is_empty()).then(|| self.variables.into()),
            ..Options::default()
        };
        // As a list around the hosts, so that the options of a single host come first.
        let mut list = HostList::default();
        list.push_list(Arc::new(hosts), options);
        Ok(list)
    }

    fn read(&mut self, word: &str, span: Range<usize>) -> Result<(), LineError> {
        let Some((key, value)) = word.split_once('=') else {
            return error(
                span,
                "a host after an option",
                "options come last in a line",
            );
        };
        let key_span = span.start..span.start + key.len();
        let value_span = span.start + key.len() + 1..span.end;
        if let Some(name) = key.strip_prefix(ENV) {
            let name_span = key_span.start + ENV.len()..key_span.end;
            return self.read_variable((name, name_span), (value, value_span));
        }
        let repeated = match key {
            "user" => self.user.is_some(),
            "port" => self.port.is_some(),
            "label" => self.label.is_some(),
            "transport" => self.transport.is_some(),
            "callback" => self.callback.is_some(),
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
                // Rust's parser accepts a plus sign.
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
            "transport" => match value.parse() {
                Ok(transport) => self.transport = Some((span, transport)),
                Err(_) => {
                    let names = TransportKind::ALL.map(TransportKind::name);
                    let message = format!("there is no transport {value:?}");
                    let help = match nearest(value, names) {
                        Some(near) => format!("did you mean transport={near}?"),
                        None => format!("the transports are {}", names.join(", ")),
                    };
                    return error(value_span, message, &help);
                }
            },
            "callback" => match value.split(',').map(str::parse).collect() {
                Ok(networks) => self.callback = Some((span, networks)),
                Err(NotANetwork) => {
                    let message = format!("{value:?} is neither an address nor a network");
                    let help = "write callback=192.0.2.7 or callback=10.1.0.0/16,10.2.0.0/16";
                    return error(value_span, message, help);
                }
            },
            _ => {
                let help = match nearest(key, KEYS) {
                    Some(near) => format!("did you mean {near}=?"),
                    None => format!("the options are {}=", KEYS.join("=, ")),
                };
                return error(key_span, format!("there is no option {key}="), &help);
            }
        }
        Ok(())
    }
}

impl Keys {
    fn read_variable(
        &mut self,
        (name, name_span): (&str, Range<usize>),
        (value, value_span): (&str, Range<usize>),
    ) -> Result<(), LineError> {
        if let Err(fault) = Variable::check_name(name) {
            return error(name_span, fault.to_string(), fault.help());
        }
        if self.variables.iter().any(|known| known.name() == name) {
            let message = format!("{ENV}{name}= stands twice in this line");
            return error(name_span, message, "keep one of them");
        }
        let value = if value.starts_with('"') {
            unquoted(value)
        } else {
            Some(value.to_owned())
        };
        let Some(value) = value else {
            let help = "a value in quotes ends with a quote; write \\\" for a quote in it";
            return error(value_span, "a quote that is not closed", help);
        };
        match Variable::new(name, value.into_bytes()) {
            Some(variable) => self.variables.push(variable),
            None => return error(value_span, "a NUL character", "no variable can have it"),
        }
        Ok(())
    }
}

/// Returns the content of a value in double quotes; `None` if the quotes do not end with it.
fn unquoted(value: &str) -> Option<String> {
    let end = quoted_length(value)?;
    let inside = value.get(1..end - 1).filter(|_| end == value.len())?;
    let mut content = String::with_capacity(inside.len());
    let mut chars = inside.chars();
    while let Some(c) = chars.next() {
        content.push(match c {
            '\\' => chars.next()?,
            c => c,
        });
    }
    Some(content)
}

/// Returns the length of a text in double quotes, with them. A backslash takes the meaning from the next character.
fn quoted_length(text: &str) -> Option<usize> {
    let mut is_escaped = false;
    let inside = text.strip_prefix('"')?;
    for (at, c) in inside.char_indices() {
        match c {
            _ if is_escaped => is_escaped = false,
            '\\' => is_escaped = true,
            // The position is one after the first quote.
            '"' => return Some(at + 2),
            _ => {}
        }
    }
    None
}

/// Returns the length of a word that starts here. White space in the quotes of `env.NAME="…"` is a part of it.
fn word_length(text: &str) -> usize {
    let end = |from: usize| {
        let space = text[from..].find(char::is_whitespace);
        space.map_or(text.len(), |length| from + length)
    };
    let Some(rest) = text.strip_prefix(ENV) else {
        return end(0);
    };
    let name = rest
        .bytes()
        .take_while(|&b| b == b'_' || b.is_ascii_alphanumeric());
    let value = name.count() + 1;
    // Without a name or an equals sign this is a word like any other.
    match rest.get(value..).and_then(quoted_length) {
        Some(length) if rest[..value].ends_with('=') => end(ENV.len() + value + length),
        _ => end(0),
    }
}

/// Returns the start of the comment, or the length of the line.
fn comment_start(text: &str) -> usize {
    // A `#` inside a word is a fault of the expression and not a comment.
    let mut words = words(text);
    let comment = words.find(|word| text[word.clone()].starts_with('#'));
    comment.map_or(text.len(), |word| word.start)
}

/// Returns the spans of the words between white space.
fn words(text: &str) -> impl Iterator<Item = Range<usize>> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let rest = &text[at..];
        let start = at + rest.len() - rest.trim_start().len();
        let length = word_length(&text[start..]);
        at = start + length;
        (length > 0).then_some(start..at)
    })
}

/// True if a word has the form `key=value`, with any key.
fn is_option(word: &str) -> bool {
    word.split_once('=').is_some_and(|(key, _)| {
        // The name of a variable may be wrong, which is another fault.
        key.starts_with(ENV)
            || key.starts_with(|c: char| c.is_ascii_alphabetic())
                && key
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    })
}

fn is_user(text: &str) -> bool {
    // ssh would take a name such as `-oProxyCommand=…` for an option.
    is_label(text) && !text.starts_with('-') && !text.contains(['/', ':'])
}

fn is_label(text: &str) -> bool {
    // A label is printed on terminals, which interpret control characters.
    (1..=255).contains(&text.len()) && !text.chars().any(char::is_control)
}
