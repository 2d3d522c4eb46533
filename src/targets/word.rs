//! The syntax of a word that names hosts: `[scheme://][user@]names[:port]`, and addresses.
//!
//! Called for every word of an expression. The ranges and masks in the names are left to the parser of node sets.

use std::net::Ipv6Addr;
use std::ops::Range;
use std::sync::Arc;

use nodeset::{Word, WordError, is_name_char};

use super::{Options, TransportKind};

fn error<T>(span: Range<usize>, message: impl Into<String>, help: &str) -> Result<T, WordError> {
    let (message, help) = (message.into(), Some(help.to_owned()));
    Err(WordError {
        span,
        message,
        help,
    })
}

/// Divides a word into names and options. `operator` is an operator after which only names count.
pub(super) fn split(text: &str, operator: Option<char>) -> Result<Word<Options>, WordError> {
    WordSyntax { text, operator }.split()
}

/// A word. All spans are bytes of it.
struct WordSyntax<'a> {
    text: &'a str,
    operator: Option<char>,
}

impl WordSyntax<'_> {
    fn split(&self) -> Result<Word<Options>, WordError> {
        let (transport, inner) = self.scheme(0..self.text.len())?;
        self.allow(transport.is_none())?;
        let (user, names) = self.split_user(inner.clone())?;
        self.allow(user.is_none())?;
        // A port after a group would be the separator of its source (`@source:group`).
        if self.text[names.clone()].starts_with('@') {
            let attributes = Options {
                shows_user: user.is_some(),
                user,
                transport,
                ..Options::default()
            };
            return Ok(Word {
                attributes,
                names,
                label: inner,
                address: false,
            });
        }
        let (names, port) = self.split_port(names)?;
        self.allow(port.is_none())?;
        Ok(Word {
            attributes: Options {
                user,
                port,
                transport,
                ..Options::default()
            },
            address: self.text[names.clone()].contains(':'),
            names,
            label: inner,
        })
    }

    /// Refuses the word if only names count and the word has other data.
    fn allow(&self, only_names: bool) -> Result<(), WordError> {
        match self.operator {
            Some(operator) if !only_names => error(
                0..self.text.len(),
                format!("a user, a port or a transport has no meaning after '{operator}'"),
                "write only the host's name after this operator",
            ),
            _ => Ok(()),
        }
    }

    /// Separates the user from the names. A group keeps its own `@`.
    fn split_user(
        &self,
        span: Range<usize>,
    ) -> Result<(Option<Arc<str>>, Range<usize>), WordError> {
        let word = &self.text[span.clone()];
        // The `@` of a group is no separator of a user.
        if word.starts_with('@') {
            return Ok((None, span));
        }
        // The last `@` separates the user, because a user name may have a domain (`user@EXAMPLE.COM@host`).
        let Some(at) = word.find("@@").or_else(|| word.rfind('@')) else {
            return Ok((None, span));
        };
        let user = &word[..at];
        if user.is_empty() || !user.chars().all(is_user_char) || user.starts_with('-') {
            return error(
                span.start..span.start + at,
                format!("\"{user}\" cannot be a user name"),
                "write user@host, with a plain user name",
            );
        }
        Ok((Some(user.into()), span.start + at + 1..span.end))
    }

    /// Separates `ssh://` or pdsh's `ssh:` from the rest.
    fn scheme(
        &self,
        mut span: Range<usize>,
    ) -> Result<(Option<TransportKind>, Range<usize>), WordError> {
        let word = &self.text[span.clone()];
        let Some((scheme, rest)) = word.split_once(':') else {
            return Ok((None, span));
        };
        let url = rest.starts_with("//");
        let port = rest.is_empty() || rest.bytes().all(|b| b.is_ascii_digit());
        let transport = match scheme.parse() {
            // `ssh:22` is a host with a port.
            Ok(_) if !url && port => return Ok((None, span)),
            Ok(transport) => transport,
            // A name with a port and an IPv6 address also have text before a colon.
            Err(_) if !url => return Ok((None, span)),
            Err(_) => {
                let place = span.start..span.start + scheme.len();
                return error(
                    place,
                    format!("the transport \"{scheme}\" is not known here"),
                    "write rsh://, ssh://, openssh:// or exec://, or a plain name and -R",
                );
            }
        };
        span.start += scheme.len() + if url { 3 } else { 1 };
        if url && span.end > span.start && word.ends_with('/') {
            // A URL may end in a slash.
            span.end -= 1;
        }
        Ok((Some(transport), span))
    }

    /// Separates the names from the port, and an IPv6 address from its brackets.
    fn split_port(&self, span: Range<usize>) -> Result<(Range<usize>, Option<u16>), WordError> {
        let word = &self.text[span.clone()];
        if let Some(inside) = word.strip_prefix('[')
            && let Some(length) = inside.find(']')
            // Brackets with a colon are an IPv6 address (RFC 3986), others are ranges.
            && inside[..length].contains(':')
        {
            let address = span.start + 1..span.start + 1 + length;
            self.address(address.clone())?;
            let port = match &inside[length + 1..] {
                "" => None,
                after => {
                    let start = address.end + 1;
                    let Some(port) = after.strip_prefix(':') else {
                        return bad_port(start..span.end, after);
                    };
                    Some(self.port(port, start + 1)?)
                }
            };
            return Ok((address, port));
        }
        // One colon separates a port. Several colons are an IPv6 address without brackets.
        let mut colons = word.match_indices(':').map(|(at, _)| at);
        match (colons.next(), colons.next()) {
            (None, _) => Ok((span, None)),
            (Some(at), None) => {
                let port = self.port(&word[at + 1..], span.start + at + 1)?;
                Ok((span.start..span.start + at, Some(port)))
            }
            (Some(_), Some(_)) => self.address(span.clone()).map(|()| (span, None)),
        }
    }

    /// Checks an IPv6 address, which may name a zone (`fe80::1%eth0`).
    fn address(&self, span: Range<usize>) -> Result<(), WordError> {
        let text = &self.text[span.clone()];
        // A link-local address needs the zone of its interface (RFC 4007).
        let (address, zone) = text
            .split_once('%')
            .map_or((text, None), |(a, z)| (a, Some(z)));
        let zone_fits = zone.is_none_or(|zone| {
            !zone.is_empty()
                && zone
                    .chars()
                    .all(|c| c.is_ascii_alphanumeric() || "._-".contains(c))
        });
        if address.parse::<Ipv6Addr>().is_ok() && zone_fits {
            return Ok(());
        }
        error(
            span,
            format!("\"{text}\" is not an IPv6 address"),
            "write 2001:db8::1, or [2001:db8::1]:514 with a port",
        )
    }

    fn port(&self, text: &str, start: usize) -> Result<u16, WordError> {
        let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        match text.parse() {
            Ok(port) if digits && port != 0 => Ok(port),
            _ => bad_port(start..start + text.len(), text),
        }
    }
}

fn bad_port<T>(span: Range<usize>, text: &str) -> Result<T, WordError> {
    error(
        span,
        format!("\"{text}\" is not a port number from 1 to 65535"),
        "write host:514, and an IPv6 address as [2001:db8::1]:514",
    )
}

/// True for a character of a user name, which may have a domain (`user@EXAMPLE.COM`, `DOM\user`).
fn is_user_char(c: char) -> bool {
    is_name_char(c) || "@\\$".contains(c)
}
