//! Goes through the blocks for one host and keeps the first value of each keyword.

use std::borrow::Cow;
use std::net::IpAddr;

use super::blocks::{Condition, Parsed, Place, Setting};
use super::error::ConfigError;
use super::file::{bad_option, is_ignored};
use super::index::{Index, Names};
use super::keywords::{Keyword, TABLE};
use super::matching::{Answer, Facts, answer, host_matches};
use super::pattern;
use super::tokens::{Local, expand_host_name};
use super::value::{MOST_FILES, Value};

/// What is asked of a configuration.
#[derive(Clone, Copy, Debug)]
pub(super) struct Query<'a> {
    /// The host's name as given.
    pub(super) given: &'a str,
    /// The user, if the command line or the target says one.
    pub(super) user: Option<&'a str>,
    /// This end.
    pub(super) local: &'a Local,
    /// Whether the options of the command line count.
    pub(super) options: bool,
    /// Whether the way there is settled, so that ProxyJump and ProxyCommand do not count.
    pub(super) way_settled: bool,
}

/// The settings that apply to a host.
#[derive(Debug)]
pub(super) struct Chosen<'c> {
    /// The first one of each keyword, but for those that add up.
    slots: [Option<&'c Setting>; TABLE.len()],
    /// All of IdentityFile, each file once.
    pub(super) identities: Vec<&'c Setting>,
    /// All of CertificateFile, each file once.
    pub(super) certificates: Vec<&'c Setting>,
    /// Patterns of SendEnv, less those that were taken back.
    pub(super) send_env: Vec<&'c str>,
    /// The host's name, which HostName may have changed.
    pub(super) host: String,
}

impl<'c> Chosen<'c> {
    /// The first setting of a keyword.
    pub(super) fn get(&self, keyword: Keyword) -> Option<&'c Setting> {
        self.slots[keyword as usize]
    }

    /// All first settings.
    pub(super) fn all(&self) -> impl Iterator<Item = &'c Setting> {
        self.slots.iter().flatten().copied()
    }

    /// A value that is one text.
    pub(super) fn text(&self, keyword: Keyword) -> Option<&'c str> {
        match &self.get(keyword)?.value {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// Takes a setting, unless it comes too late.
    fn take(&mut self, parsed: &Parsed, setting: &'c Setting) -> Result<(), ConfigError> {
        let add_once = |list: &mut Vec<&'c Setting>| {
            if !list.iter().any(|known| known.value == setting.value) {
                list.push(setting);
            }
            match list.len() > MOST_FILES {
                true => Err(parsed.error(
                    &setting.place,
                    format!("more than {MOST_FILES} of {}", setting.keyword.row().name),
                    None,
                )),
                false => Ok(()),
            }
        };
        match (setting.keyword, &setting.value) {
            (Keyword::IdentityFile, _) => return add_once(&mut self.identities),
            (Keyword::CertificateFile, _) => return add_once(&mut self.certificates),
            (Keyword::SendEnv, Value::Words(patterns)) => {
                for each in patterns {
                    match each.strip_prefix('-') {
                        Some(taken) => {
                            self.send_env
                                .retain(|known| !pattern::matches(known, taken));
                        }
                        None if self.send_env.contains(&each.as_str()) => {}
                        None => self.send_env.push(each),
                    }
                }
            }
            // Whichever of the two comes first keeps the other one out.
            (Keyword::ProxyJump | Keyword::ProxyCommand, _)
                if self.get(Keyword::ProxyJump).is_some()
                    || self.get(Keyword::ProxyCommand).is_some() =>
            {
                return Ok(());
            }
            _ => {}
        }
        let slot = &mut self.slots[setting.keyword as usize];
        *slot = slot.or(Some(setting));
        Ok(())
    }
}

/// Evaluates all blocks for a host, twice if a block asks for it.
pub(super) fn evaluate<'c>(
    parsed: &'c Parsed,
    index: &Index,
    two_passes: bool,
    query: Query<'_>,
) -> Result<Chosen<'c>, ConfigError> {
    let mut chosen = Chosen {
        slots: [None; TABLE.len()],
        identities: Vec::new(),
        certificates: Vec::new(),
        send_env: Vec::new(),
        host: query.given.to_owned(),
    };
    pass(parsed, index, query, &mut chosen, false)?;
    refuse_unknown(parsed, &chosen)?;
    let name = name_so_far(parsed, &chosen, query.given)?.into_owned();
    chosen.host = settled(name, chosen.get(Keyword::AddressFamily));
    if two_passes {
        pass(parsed, index, query, &mut chosen, true)?;
    }
    Ok(chosen)
}

fn pass<'c>(
    parsed: &'c Parsed,
    index: &Index,
    query: Query<'_>,
    chosen: &mut Chosen<'c>,
    last: bool,
) -> Result<(), ConfigError> {
    let mut active = vec![false; parsed.blocks.len()];
    let host = chosen.host.clone();
    let original = query.given.to_ascii_lowercase();
    let mut current = host.to_ascii_lowercase();
    let candidates = |current: &str, from| {
        let names = Names {
            host: &host,
            original: &original,
            current,
        };
        index.candidates(names, from).into_iter()
    };
    let mut numbers = candidates(&current, 0);
    while let Some(number) = numbers.next() {
        let block = &parsed.blocks[number];
        let applies = match &block.condition {
            // The command line is heard once.
            _ if number == 0 => query.options && !last,
            Condition::Same(first) => active[*first],
            _ if block.parent.is_some_and(|parent| !active[parent]) => false,
            Condition::Always => true,
            Condition::Host(patterns) => host_matches(&host, patterns),
            Condition::Match(criteria, place) => {
                let local_user = query.local.user.as_str();
                let user = query.user.or(chosen.text(Keyword::User));
                let facts = Facts {
                    host: &current,
                    original: &original,
                    user: user.unwrap_or(local_user),
                    local_user,
                    last_pass: last,
                };
                match answer(criteria, &facts) {
                    Answer::Yes => true,
                    Answer::No => false,
                    Answer::WouldRun => return Err(would_run(parsed, place)),
                }
            }
        };
        active[number] = applies;
        if !applies {
            continue;
        }
        let named = chosen.get(Keyword::Hostname).is_some();
        for setting in &block.settings {
            let settled = match setting.keyword {
                Keyword::Hostname => last,
                Keyword::ProxyJump | Keyword::ProxyCommand => query.way_settled,
                _ => false,
            };
            if !settled {
                chosen.take(parsed, setting)?;
            }
        }
        if !named && chosen.get(Keyword::Hostname).is_some() {
            // Other blocks may be for the host under its new name.
            current = name_so_far(parsed, chosen, query.given)?.to_ascii_lowercase();
            numbers = candidates(&current, number + 1);
        }
    }
    Ok(())
}

fn would_run(parsed: &Parsed, place: &Place) -> ConfigError {
    let help = "-R openssh runs the system's ssh, which has it";
    let message = "Match exec is not supported by the built-in ssh";
    parsed.error(place, message, Some(help.into()))
}

/// The name after HostName, if there is one so far.
fn name_so_far<'a>(
    parsed: &Parsed,
    chosen: &Chosen<'_>,
    given: &'a str,
) -> Result<Cow<'a, str>, ConfigError> {
    match chosen.get(Keyword::Hostname) {
        Some(Setting {
            value: Value::Text(text),
            place,
            ..
        }) => expand_host_name(text, given)
            .map(Cow::Owned)
            .map_err(|message| parsed.error(place, message, None)),
        _ => Ok(Cow::Borrowed(given)),
    }
}

/// The name as it is looked up: in small letters, or an address in its usual form. An address that the
/// settings rule out stays as it is.
fn settled(name: String, family: Option<&Setting>) -> String {
    let family = family.map(|setting| &setting.value);
    match name.parse::<IpAddr>() {
        Ok(IpAddr::V6(_)) if family == Some(&Value::Choice("inet")) => name,
        Ok(address) => address.to_string(),
        Err(_) if is_scoped(&name) => name,
        Err(_) => name.to_ascii_lowercase(),
    }
}

/// Whether it is an address with an interface, whose name may have capitals.
fn is_scoped(name: &str) -> bool {
    name.split_once('%')
        .is_some_and(|(address, _)| address.parse::<std::net::Ipv6Addr>().is_ok())
}

/// Keywords that nobody knows are errors unless an IgnoreUnknown that applies to the host stands before
/// them and covers them, whether their own block applies or not.
fn refuse_unknown(parsed: &Parsed, chosen: &Chosen<'_>) -> Result<(), ConfigError> {
    let ignored = chosen.get(Keyword::IgnoreUnknown);
    let patterns = chosen.text(Keyword::IgnoreUnknown).unwrap_or_default();
    for unknown in &parsed.unknown {
        let before = ignored.is_some_and(|setting| setting.order < unknown.order);
        if !(before && is_ignored(&unknown.name, patterns)) {
            let fault = bad_option(&unknown.name, unknown.place.span.clone());
            return Err(parsed.error(&unknown.place, fault.message, fault.help));
        }
    }
    Ok(())
}
