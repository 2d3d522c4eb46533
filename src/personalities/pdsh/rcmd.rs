//! The ways to the hosts: targets with their transport, and the local commands of those that have one.

use std::borrow::Cow;
use std::collections::HashMap;
use std::env;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::sync::Arc;

use super::hosts::PdshHostList;
use super::messages::{Ended, PdshCaller};
use super::modules::Rcmd;
use super::options::PdshSettings;
use crate::plan::KnownTargets;
use crate::targets::{Target, TransportKind};
use crate::transport::exec::{ExecCommand, ExecCommands, Template};

/// Arguments of ssh without `PDSH_SSH_ARGS`.
const SSH_ARGUMENTS: &str = "-2 -a -x %h";

/// The command of a run.
#[derive(Clone, Copy, Debug)]
pub(super) enum PdshCommand<'a> {
    /// Words of the command line.
    Words(&'a [OsString]),
    /// A line of the prompt, which a shell interprets.
    Line(&'a OsStr),
    /// The far side of a copy, whose command follows.
    Copy,
}

/// The targets of a run and their programs.
#[derive(Debug)]
pub(super) struct Ways {
    pub(super) known: KnownTargets,
    /// The local program of each target, if it has one.
    pub(super) programs: Arc<[Option<Arc<str>>]>,
    /// The way of each target.
    pub(super) rcmds: Vec<Rcmd>,
}

/// Returns the ways to the hosts. `local_user` is the name of the caller.
///
/// # Errors
/// A way is unknown.
pub(super) fn ways(
    settings: &PdshSettings,
    hosts: &PdshHostList,
    command: PdshCommand<'_>,
    local_user: &str,
    caller: &PdshCaller,
) -> Result<Ways, Ended> {
    let default = default_rcmd(settings, caller)?;
    let labels = Labels::new(settings.keep_domain, hosts);
    let mut commands: Vec<ExecCommand> = Vec::new();
    // Most hosts share one command, so its words are parsed once and not for each host.
    let mut indexes: HashMap<(Rcmd, bool), u32> = HashMap::new();
    let mut of_target = Vec::with_capacity(hosts.len());
    let mut targets = Vec::with_capacity(hosts.len());
    let mut programs = Vec::with_capacity(hosts.len());
    let mut rcmds = Vec::with_capacity(hosts.len());
    for host in hosts.names() {
        let own = settings.wcoll.rcmd_of(host);
        let rcmd = match own.and_then(|own| own.rcmd.as_deref()) {
            Some(name) => PdshSettings::rcmd_of_name(name, caller)?,
            None => default,
        };
        let own_user = own.and_then(|own| own.user.as_deref());
        let user = own_user.or(settings.user.as_deref());
        let has_other_user = user.is_some_and(|user| user != local_user);
        // Only the words of ssh depend on the user.
        let key = (rcmd, has_other_user && rcmd == Rcmd::Ssh);
        let index = match indexes.get(&key) {
            Some(index) => *index,
            None => {
                let index = u32::try_from(commands.len()).unwrap_or(u32::MAX);
                commands.push(exec_command(settings, rcmd, key.1, command)?);
                indexes.insert(key, index);
                index
            }
        };
        of_target.push(index);
        rcmds.push(rcmd);
        programs.push(match rcmd {
            Rcmd::Rsh => None,
            Rcmd::Exec | Rcmd::Ssh => Some(program(&commands[index as usize])),
        });
        targets.push(Target {
            label: labels.label(host).into(),
            host: host.as_str().into(),
            user: own_user.map(Into::into),
            port: None,
            transport: Some(match rcmd {
                Rcmd::Rsh => TransportKind::Rsh,
                Rcmd::Exec | Rcmd::Ssh => TransportKind::Exec,
            }),
            callback_from: None,
            inventory: None,
            variables: None,
        });
    }
    let has_exec = rcmds.iter().any(|rcmd| *rcmd != Rcmd::Rsh);
    Ok(Ways {
        known: KnownTargets {
            targets: targets.into(),
            commands: has_exec.then(|| ExecCommands::Own {
                commands,
                of_target: of_target.into(),
            }),
        },
        programs: programs.into(),
        rcmds,
    })
}

/// Returns the way to hosts that have none of their own.
///
/// # Errors
/// The way is unknown.
pub(super) fn default_rcmd(settings: &PdshSettings, caller: &PdshCaller) -> Result<Rcmd, Ended> {
    match &settings.rcmd {
        Some(name) => PdshSettings::rcmd_of_name(name, caller),
        None => Ok(Rcmd::Rsh),
    }
}

/// Returns the path of the program for messages.
fn program(command: &ExecCommand) -> Arc<str> {
    let path = command.template.program().unwrap_or(OsStr::new("%"));
    path.to_string_lossy().into()
}

fn exec_command(
    settings: &PdshSettings,
    rcmd: Rcmd,
    has_other_user: bool,
    command: PdshCommand<'_>,
) -> Result<ExecCommand, Ended> {
    let words = match (rcmd, command) {
        // `DSHPATH` is a command for a shell, so a program without a shell does not get it.
        (Rcmd::Exec, PdshCommand::Words(words)) => {
            let (program, arguments) = words.split_first().unwrap_or((const_word(), &[]));
            // The name of the program has no placeholders.
            let program = doubled(program.as_bytes(), |_| true);
            let mut all = vec![program];
            all.extend(arguments.iter().map(argument));
            all
        }
        (Rcmd::Exec, PdshCommand::Line(line)) => {
            let line = with_path(settings, line);
            vec!["sh".into(), "-c".into(), argument(&line)]
        }
        (Rcmd::Ssh, command) => {
            let mut all = ssh_words(settings, has_other_user);
            match command {
                PdshCommand::Words(words) => all.extend(words.iter().map(argument)),
                PdshCommand::Line(line) => all.push(argument(&line.to_owned())),
                PdshCommand::Copy => {}
            }
            all
        }
        // rsh has no local command; copies have no way of their own.
        (Rcmd::Rsh, _) | (Rcmd::Exec, PdshCommand::Copy) => vec!["false".into()],
    };
    let template = Template::new(&words).map_err(crate::error::Error::Placeholder)?;
    Ok(ExecCommand {
        template,
        joins_words: rcmd == Rcmd::Ssh,
    })
}

/// Returns the word for a command without words, which nothing runs.
fn const_word() -> &'static OsString {
    static EMPTY: OsString = OsString::new();
    &EMPTY
}

/// Returns ssh with its arguments: the timeout, `PDSH_SSH_ARGS_APPEND`, `PDSH_SSH_ARGS`, and the host.
fn ssh_words(settings: &PdshSettings, has_other_user: bool) -> Vec<OsString> {
    let mut words: Vec<String> = vec!["ssh".to_owned()];
    if settings.connect_timeout > 0 {
        words.push(format!("-oConnectTimeout={}", settings.connect_timeout));
    }
    let variable = |name: &str| env::var(name).ok();
    let append = variable("PDSH_SSH_ARGS_APPEND").unwrap_or_default();
    let arguments = variable("PDSH_SSH_ARGS").unwrap_or_else(|| SSH_ARGUMENTS.to_owned());
    // pdsh puts the appended arguments first, because the host must be the last one.
    let both = [append, arguments];
    let all = both.iter().flat_map(|text| text.split(' '));
    words.extend(all.filter(|word| !word.is_empty()).map(str::to_owned));
    if !words.iter().any(|word| has_placeholder(word, "%h")) {
        words.push("%h".to_owned());
    }
    // With the caller's own name, `-l` would only override a user in the configuration of ssh.
    if has_other_user && !words.iter().any(|word| has_placeholder(word, "%u")) {
        // An option must be before the host.
        let host = words.iter().position(|word| has_placeholder(word, "%h"));
        words.insert(host.unwrap_or(words.len()), "-l%u".to_owned());
    }
    words.extend(settings.path_command.clone());
    words
        .iter()
        .map(|word| argument(&OsString::from(word)))
        .collect()
}

/// True if a word has this placeholder, and its first one is not escaped.
fn has_placeholder(word: &str, placeholder: &str) -> bool {
    let at = word.find(placeholder);
    at.is_some_and(|at| !word[..at].ends_with('%'))
}

/// Returns the line with `DSHPATH` before it.
fn with_path(settings: &PdshSettings, line: &OsStr) -> OsString {
    let mut whole = OsString::from(settings.path_command.as_deref().unwrap_or_default());
    whole.push(line);
    whole
}

/// Returns the command for the login shell of rsh's hosts.
pub(super) fn shell_words(settings: &PdshSettings, command: PdshCommand<'_>) -> Vec<OsString> {
    let line = match command {
        // rshd takes one line for the login shell. pdsh joins the words without quotes.
        PdshCommand::Words(words) => words.join(OsStr::new(" ")),
        PdshCommand::Line(line) => line.to_owned(),
        PdshCommand::Copy => return Vec::new(),
    };
    vec![with_path(settings, &line)]
}

/// Returns a word in which only pdsh's placeholders are placeholders.
fn argument(word: &OsString) -> OsString {
    // An unknown placeholder is an error of mrsh, but pdsh leaves it as it is (`date +%s`).
    let is_unknown = |next: Option<u8>| !matches!(next, Some(b'h' | b'u' | b'n' | b'%'));
    doubled(word.as_bytes(), is_unknown)
}

/// Doubles percent signs for whose next byte `doubles` is true. A pair that stays is not looked into.
fn doubled(word: &[u8], doubles: impl Fn(Option<u8>) -> bool) -> OsString {
    let mut written = Vec::with_capacity(word.len());
    let mut rest = word;
    while let Some((&byte, after)) = rest.split_first() {
        written.push(byte);
        rest = after;
        if byte != b'%' {
            continue;
        }
        let next = after.first().copied();
        if doubles(next) {
            written.push(b'%');
        } else if let Some(next) = next {
            written.push(next);
            rest = &after[1..];
        }
    }
    OsString::from_vec(written)
}

/// The form of labels.
struct Labels {
    keeps_domain: bool,
}

impl Labels {
    /// Domains are cut off, unless hosts have different ones.
    fn new(keeps: bool, hosts: &PdshHostList) -> Labels {
        let mut domains = hosts
            .names()
            .iter()
            .filter_map(|name| name.find('.').map(|at| &name[at..]));
        let first = domains.next();
        let differ = domains.any(|domain| Some(domain) != first);
        Labels {
            keeps_domain: keeps || differ,
        }
    }

    fn label<'n>(&self, name: &'n str) -> Cow<'n, str> {
        // A name that begins with a digit may be an address, which has no domain.
        let is_address = name.starts_with(|c: char| c.is_ascii_digit());
        let cut = name.find('.').filter(|_| !self.keeps_domain && !is_address);
        name[..cut.unwrap_or(name.len())].into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_placeholders_stay_as_they_are() {
        for (word, expected) in [
            ("%u@%h%%", "%u@%h%%"),
            ("+%s %", "+%%s %%"),
            ("%%s", "%%s"),
            ("a", "a"),
        ] {
            assert_eq!(argument(&word.into()), expected, "{word}");
        }
        assert_eq!(doubled(b"./%h", |_| true), "./%%h");
    }

    #[test]
    fn labels_have_a_domain_only_if_domains_differ() {
        let label = |hosts: &str, keeps| {
            let mut list = PdshHostList::default();
            list.push(hosts).unwrap();
            let labels = Labels::new(keeps, &list);
            let names = list.names().iter();
            names
                .map(|name| labels.label(name))
                .collect::<Vec<_>>()
                .join(" ")
        };
        assert_eq!(label("a.x,b.x,c", false), "a b c");
        assert_eq!(label("a.x,b.y,c", false), "a.x b.y c");
        assert_eq!(label("a.x", true), "a.x");
        assert_eq!(label("10.0.0.1", false), "10.0.0.1");
    }

    #[test]
    fn an_escaped_placeholder_is_none() {
        assert!(has_placeholder("-l%u", "%u"));
        assert!(!has_placeholder("%%u", "%u"));
        assert!(!has_placeholder("u", "%u"));
    }
}
