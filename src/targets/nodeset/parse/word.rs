//! The grammar of one word: user, name with its ranges, port, and addresses.
//!
//! Called by [`expression`](super::expression), which finds the words. All spans are places in the
//! whole expression.

use std::net::Ipv6Addr;
use std::ops::Range;
use std::sync::Arc;

use super::super::error::{Fault, MAX_NAME, NodeSetError};
use super::super::list::Options;
use super::super::words::{HostWord, Names};
use super::{Op, Operand, error};
use crate::targets::TransportKind;

/// Parses words of one text; all spans are places in that text.
pub(super) struct WordParser<'a> {
    pub(super) text: &'a str,
    pub(super) limit: usize,
}

impl WordParser<'_> {
    /// Parses `[scheme://][user@]names[:port]`, where the names may be masks, or `[user@]@groups`.
    pub(super) fn word(&self, span: Range<usize>, op: Op) -> Result<Operand, NodeSetError> {
        let (transport, inner) = self.scheme(span.clone())?;
        let only_names = !op.adds() && op != Op::Exclusion;
        if transport.is_some() && only_names {
            return error(span, Fault::Decorated(op.symbol()));
        }
        let (user, names) = self.split_user(inner.clone())?;
        if user.is_some() && only_names {
            return error(span, Fault::Decorated(op.symbol()));
        }
        if self.text[names.clone()].starts_with('@') {
            let names = self.names(names.start + 1..names.end, is_group_char)?;
            self.check(&names, span)?;
            let options = Options {
                shows_user: user.is_some(),
                user,
                transport,
                ..Options::default()
            };
            return Ok(Operand::Groups { options, names });
        }
        let (place, port) = self.split_port(names.clone())?;
        if port.is_some() && only_names {
            return error(span, Fault::Decorated(op.symbol()));
        }
        if place.is_empty() {
            return error(place, Fault::EmptyName);
        }
        let text = &self.text[place.clone()];
        if text.starts_with('-') {
            return error(place.start..place.start + 1, Fault::LeadingDash);
        }
        let masks = text.contains(['*', '?']);
        let names = if text.contains(':') {
            Names::One(text.into())
        } else {
            self.names(
                place.clone(),
                if masks { is_mask_char } else { is_name_char },
            )?
        };
        self.check(&names, span)?;
        let word = HostWord {
            names,
            before: self.text[inner.start..place.start].into(),
            after: self.text[place.end..inner.end].into(),
            user,
            port,
            transport,
        };
        Ok(if masks {
            Operand::Masks(word)
        } else {
            Operand::Hosts(word)
        })
    }

    /// Checks how long the names are and how many.
    fn check(&self, names: &Names, span: Range<usize>) -> Result<(), NodeSetError> {
        let (bytes, count, limit) = (names.max_bytes(), names.len(), self.limit);
        if bytes == 0 {
            return error(span, Fault::EmptyName);
        }
        if bytes > MAX_NAME {
            return error(span, Fault::NameTooLong(bytes));
        }
        if count > limit as u128 {
            return error(span, Fault::TooMany { count, limit });
        }
        Ok(())
    }

    /// Separates the user from the names; a group keeps its own `@`.
    fn split_user(
        &self,
        span: Range<usize>,
    ) -> Result<(Option<Arc<str>>, Range<usize>), NodeSetError> {
        let word = &self.text[span.clone()];
        if word.starts_with('@') {
            return Ok((None, span));
        }
        let Some(at) = word.find("@@").or_else(|| word.rfind('@')) else {
            return Ok((None, span));
        };
        let user = &word[..at];
        if user.is_empty() || !user.chars().all(is_user_char) || user.starts_with('-') {
            return error(span.start..span.start + at, Fault::BadUser(user.into()));
        }
        Ok((Some(user.into()), span.start + at + 1..span.end))
    }

    /// Takes `ssh://` or pdsh's `ssh:` off.
    fn scheme(
        &self,
        mut span: Range<usize>,
    ) -> Result<(Option<TransportKind>, Range<usize>), NodeSetError> {
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
            Err(_) if !url => return Ok((None, span)),
            Err(_) => {
                let place = span.start..span.start + scheme.len();
                return error(place, Fault::UnknownScheme(scheme.into()));
            }
        };
        span.start += scheme.len() + if url { 3 } else { 1 };
        if url && span.end > span.start && word.ends_with('/') {
            span.end -= 1;
        }
        Ok((Some(transport), span))
    }

    /// Separates the names from the port, and an IPv6 address from its brackets.
    fn split_port(&self, span: Range<usize>) -> Result<(Range<usize>, Option<u16>), NodeSetError> {
        let word = &self.text[span.clone()];
        if let Some(inside) = word.strip_prefix('[')
            && let Some(length) = inside.find(']')
            && inside[..length].contains(':')
        {
            let address = span.start + 1..span.start + 1 + length;
            self.address(address.clone())?;
            let port = match &inside[length + 1..] {
                "" => None,
                after => {
                    let start = address.end + 1;
                    let Some(port) = after.strip_prefix(':') else {
                        return error(start..span.end, Fault::BadPort(after.into()));
                    };
                    Some(self.port(port, start + 1)?)
                }
            };
            return Ok((address, port));
        }
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
    fn address(&self, span: Range<usize>) -> Result<(), NodeSetError> {
        let text = &self.text[span.clone()];
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
        error(span, Fault::BadAddress(text.into()))
    }

    fn port(&self, text: &str, start: usize) -> Result<u16, NodeSetError> {
        let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        match text.parse() {
            Ok(port) if digits && port != 0 => Ok(port),
            _ => error(start..start + text.len(), Fault::BadPort(text.into())),
        }
    }
}

/// What may be in a name: anything visible that no shell, file name or expression gives a meaning.
fn is_name_char(c: char) -> bool {
    match c {
        '-' | '_' | '.' | '%' | '+' | '~' => true,
        _ if c.is_ascii() => c.is_ascii_alphanumeric(),
        _ => !c.is_control() && !c.is_whitespace(),
    }
}

/// What may be in a mask, which a shell would expand.
fn is_mask_char(c: char) -> bool {
    is_name_char(c) || c == '*' || c == '?'
}

/// What may be in the name of a group and its source: a source may call its groups as it likes.
fn is_group_char(c: char) -> bool {
    !c.is_control() && !c.is_whitespace()
}

/// What may be in a user name, which may have a domain (`user@EXAMPLE.COM`, `DOM\user`).
fn is_user_char(c: char) -> bool {
    is_name_char(c) || "@\\$".contains(c)
}
