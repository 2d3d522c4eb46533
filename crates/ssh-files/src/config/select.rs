//! Evaluates the blocks for one host. The first value of each keyword wins.

use std::borrow::Cow;
use std::net::IpAddr;

use super::blocks::{BlockCondition, ParsedConfig, Setting, SourceSpan};
use super::conditions::{self, MatchContext, MatchResult, host_matches};
use super::error::{ConfigError, ConfigLineErrorKind};
use super::index::{BlockIndex, LookupNames};
use super::keywords::{Keyword, TABLE};
use super::read::{bad_option, is_ignored};
use super::tokens::{LocalContext, expand_host_name};
use super::values::{MOST_FILES, SettingValue};
use crate::wildcard::matches;

/// A request for the settings of a host.
#[derive(Clone, Copy, Debug)]
pub(super) struct HostQuery<'a> {
    /// Host name as given by the user.
    pub(super) given: &'a str,
    /// Remote user that comes before the configuration.
    pub(super) user: Option<&'a str>,
    /// The local values of tokens.
    pub(super) local: &'a LocalContext,
    /// True if the options from outside the files apply.
    pub(super) options: bool,
    /// True if `ProxyJump` and `ProxyCommand` have no effect: the connection comes from another jump host.
    pub(super) ignores_proxies: bool,
}

/// The settings that apply to a host.
#[derive(Debug)]
pub(super) struct SelectedSettings<'c> {
    /// First setting of each keyword.
    slots: [Option<&'c Setting>; TABLE.len()],
    /// All settings of `IdentityFile`, each file once.
    pub(super) identities: Vec<&'c Setting>,
    /// All settings of `CertificateFile`, each file once.
    pub(super) certificates: Vec<&'c Setting>,
    /// Patterns of `SendEnv`, without those that a later setting removes.
    pub(super) send_env: Vec<&'c str>,
    /// Host name after `HostName`.
    pub(super) host: String,
}

impl<'c> SelectedSettings<'c> {
    /// Returns the first setting of a keyword.
    pub(super) fn get(&self, keyword: Keyword) -> Option<&'c Setting> {
        self.slots[keyword as usize]
    }

    /// Returns the first settings of all keywords.
    pub(super) fn all(&self) -> impl Iterator<Item = &'c Setting> {
        self.slots.iter().flatten().copied()
    }

    /// Returns the value of a keyword, if it is a word.
    pub(super) fn text(&self, keyword: Keyword) -> Option<&'c str> {
        match &self.get(keyword)?.value {
            SettingValue::Text(text) => Some(text),
            _ => None,
        }
    }

    /// Adds a setting, unless an earlier one of its keyword wins.
    fn add(&mut self, parsed: &ParsedConfig, setting: &'c Setting) -> Result<(), ConfigError> {
        let add_once = |list: &mut Vec<&'c Setting>| {
            // As in ssh, a file that is named twice is used once.
            if !list.iter().any(|known| known.value == setting.value) {
                list.push(setting);
            }
            if list.len() > MOST_FILES {
                let name = setting.keyword.info().name;
                let message = format!("more than {MOST_FILES} of {name}");
                return Err(parsed.error(&setting.position, message, None));
            }
            Ok(())
        };
        match (setting.keyword, &setting.value) {
            (Keyword::IdentityFile, _) => return add_once(&mut self.identities),
            (Keyword::CertificateFile, _) => return add_once(&mut self.certificates),
            (Keyword::SendEnv, SettingValue::Words(patterns)) => {
                for each in patterns {
                    match each.strip_prefix('-') {
                        Some(removed) => self.send_env.retain(|known| !matches(known, removed)),
                        None if self.send_env.contains(&each.as_str()) => {}
                        None => self.send_env.push(each),
                    }
                }
            }
            // The first of the two keywords wins.
            (Keyword::ProxyJump | Keyword::ProxyCommand, _)
                if self.get(Keyword::ProxyJump).is_some()
                    || self.get(Keyword::ProxyCommand).is_some() =>
            {
                return Ok(());
            }
            _ => {}
        }
        let slot = &mut self.slots[setting.keyword as usize];
        // ssh_config(5): the first value wins.
        *slot = slot.or(Some(setting));
        Ok(())
    }
}

/// Evaluates all blocks for a host, twice if a `Match final` requires it.
pub(super) fn select<'c>(
    parsed: &'c ParsedConfig,
    index: &BlockIndex,
    two_passes: bool,
    query: HostQuery<'_>,
) -> Result<SelectedSettings<'c>, ConfigError> {
    let mut selected = SelectedSettings {
        slots: [None; TABLE.len()],
        identities: Vec::new(),
        certificates: Vec::new(),
        send_env: Vec::new(),
        host: query.given.to_owned(),
    };
    pass(parsed, index, query, &mut selected, false)?;
    refuse_unknown(parsed, &selected)?;
    // The second pass sees the name that the first one has found.
    let name = current_name(parsed, &selected, query.given)?.into_owned();
    selected.host = normalized(name, selected.get(Keyword::AddressFamily));
    if two_passes {
        pass(parsed, index, query, &mut selected, true)?;
    }
    Ok(selected)
}

fn pass<'c>(
    parsed: &'c ParsedConfig,
    index: &BlockIndex,
    query: HostQuery<'_>,
    selected: &mut SelectedSettings<'c>,
    last: bool,
) -> Result<(), ConfigError> {
    let mut active = vec![false; parsed.blocks.len()];
    let host = selected.host.clone();
    let original = query.given.to_ascii_lowercase();
    let mut current = host.to_ascii_lowercase();
    let candidates = |current: &str, from| {
        let names = LookupNames {
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
            // ssh applies the command line before the first pass only.
            _ if number == 0 => query.options && !last,
            BlockCondition::Same(first) => active[*first],
            _ if block.parent.is_some_and(|parent| !active[parent]) => false,
            BlockCondition::Always => true,
            BlockCondition::Host(patterns) => host_matches(&host, patterns),
            BlockCondition::Match(criteria, position) => {
                let local_user = query.local.user.as_str();
                let user = query.user.or(selected.text(Keyword::User));
                let context = MatchContext {
                    host: &current,
                    original: &original,
                    user: user.unwrap_or(local_user),
                    local_user,
                    last_pass: last,
                };
                match conditions::evaluate(criteria, &context) {
                    MatchResult::Yes => true,
                    MatchResult::No => false,
                    MatchResult::WouldRun => return Err(exec_unsupported(parsed, position)),
                }
            }
        };
        active[number] = applies;
        if !applies {
            continue;
        }
        let named = selected.get(Keyword::Hostname).is_some();
        for setting in &block.settings {
            let is_ignored = match setting.keyword {
                // The name has been replaced by the HostName of the first pass.
                Keyword::Hostname => last,
                Keyword::ProxyJump | Keyword::ProxyCommand => query.ignores_proxies,
                _ => false,
            };
            if !is_ignored {
                selected.add(parsed, setting)?;
            }
        }
        if !named && selected.get(Keyword::Hostname).is_some() {
            // Other blocks can apply to the new name.
            current = current_name(parsed, selected, query.given)?.to_ascii_lowercase();
            numbers = candidates(&current, number + 1);
        }
    }
    Ok(())
}

fn exec_unsupported(parsed: &ParsedConfig, position: &SourceSpan) -> ConfigError {
    let kind = ConfigLineErrorKind::Unsupported {
        keyword: Keyword::Match.info().name,
        supported_value: None,
    };
    parsed.error_of_kind(position, kind, "Match exec is not supported", None)
}

/// Returns the host name after the `HostName` so far.
fn current_name<'a>(
    parsed: &ParsedConfig,
    selected: &SelectedSettings<'_>,
    given: &'a str,
) -> Result<Cow<'a, str>, ConfigError> {
    match selected.get(Keyword::Hostname) {
        Some(Setting {
            value: SettingValue::Text(text),
            position,
            ..
        }) => expand_host_name(text, given)
            .map(Cow::Owned)
            .map_err(|message| parsed.error(position, message, None)),
        _ => Ok(Cow::Borrowed(given)),
    }
}

/// Returns a name in lower case and an address in its canonical form, as ssh does. An address that `AddressFamily`
/// excludes stays unchanged.
fn normalized(name: String, family: Option<&Setting>) -> String {
    let family = family.map(|setting| &setting.value);
    match name.parse::<IpAddr>() {
        Ok(IpAddr::V6(_)) if family == Some(&SettingValue::Choice("inet")) => name,
        Ok(address) => address.to_string(),
        Err(_) if is_scoped(&name) => name,
        Err(_) => name.to_ascii_lowercase(),
    }
}

/// True for an address with an interface.
fn is_scoped(name: &str) -> bool {
    // The name of an interface may contain capitals, so it must not be changed to lower case.
    name.split_once('%')
        .is_some_and(|(address, _)| address.parse::<std::net::Ipv6Addr>().is_ok())
}

/// Refuses unknown keywords, unless an earlier `IgnoreUnknown` that applies to the host covers them. As in ssh, the
/// condition of their own block does not matter.
fn refuse_unknown(
    parsed: &ParsedConfig,
    selected: &SelectedSettings<'_>,
) -> Result<(), ConfigError> {
    let ignored = selected.get(Keyword::IgnoreUnknown);
    let patterns = selected.text(Keyword::IgnoreUnknown).unwrap_or_default();
    for unknown in &parsed.unknown {
        let before = ignored.is_some_and(|setting| setting.order < unknown.order);
        if !(before && is_ignored(&unknown.name, patterns)) {
            let fault = bad_option(&unknown.name, unknown.position.bytes.clone());
            return Err(parsed.error(&unknown.position, fault.message, fault.help));
        }
    }
    Ok(())
}
