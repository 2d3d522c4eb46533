//! Hosts that are known to be down: from Slurm's sinfo(1), or from a command of the configuration.

use std::collections::HashMap;
use std::io;
use std::process::Command;
use std::time::Duration;

use super::child::{self, ChildError};
use super::{HostList, Target};

/// Maximum time of the command. An answer of slurmctld takes milliseconds; sinfo waits for ten seconds if there is
/// none, and twice that with a second controller.
const TIME: Duration = Duration::from_secs(30);

/// Maximum number of bytes that the command may print: a line for each of a million hosts.
const OUTPUT: u64 = 64 << 20;

/// Maximum number of hosts that one word may name.
const HOSTS: usize = 1_000_000;

/// Source of the hosts that are down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DownSource<'a> {
    /// Slurm's `sinfo`, which knows the state of every node.
    Slurm,
    /// A shell command, which prints only hosts that are down.
    Command(&'a str),
}

/// Reason why the hosts that are down are unknown.
#[derive(Debug, thiserror::Error)]
pub enum DownError {
    /// There is no `sinfo`.
    #[error("cannot find out which hosts are down: there is no sinfo")]
    NoSlurm,
    /// The command failed, or was stopped.
    #[error("cannot find out which hosts are down: {command}: {cause}")]
    Failed {
        /// The command.
        command: String,
        /// The cause.
        cause: String,
    },
    /// The command printed a word that is no expression.
    #[error(
        "cannot find out which hosts are down: {command} printed {word:?}, which names no host"
    )]
    Word {
        /// The command.
        command: String,
        /// The word.
        word: String,
    },
}

impl DownError {
    /// Returns the action that helps.
    #[must_use]
    pub fn help(&self) -> &'static str {
        match self {
            DownError::NoSlurm => {
                "install Slurm's client commands, or give a command that prints the hosts with --down-command"
            }
            DownError::Failed { .. } | DownError::Word { .. } => {
                "without --skip-down, all hosts are tried"
            }
        }
    }
}

/// State of a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HostState {
    /// The source knows the host, and does not say that it is down. Or the source lists only hosts that are down.
    Usable,
    /// The host is down, in this way.
    Down(&'static str),
    /// The source does not know the host.
    Unknown,
}

/// The answer of a source.
#[derive(Debug)]
pub struct DownHosts {
    /// State of each host that the source names; `None` if it is not down.
    states: HashMap<String, Option<&'static str>>,
    /// True if the source names also the hosts that are not down.
    names_all: bool,
}

impl DownSource<'_> {
    /// Asks the source.
    ///
    /// # Errors
    /// The command cannot be run, fails, or prints something else.
    pub fn ask(self) -> Result<DownHosts, DownError> {
        match self {
            DownSource::Slurm => ask_slurm(),
            DownSource::Command(line) => ask_command(line),
        }
    }
}

fn ask_slurm() -> Result<DownHosts, DownError> {
    let mut command = Command::new("sinfo");
    // -a includes the nodes of hidden partitions.
    command.args(["-a", "-h", "-N", "-o", "%N %t"]);
    let printed = child::output(&mut command, OUTPUT, Some(TIME)).map_err(|error| match error {
        ChildError::Io(error) if error.kind() == io::ErrorKind::NotFound => DownError::NoSlurm,
        error => DownError::Failed {
            command: "sinfo".to_owned(),
            cause: error.to_string(),
        },
    })?;
    Ok(DownHosts::of_sinfo(&String::from_utf8_lossy(&printed)))
}

fn ask_command(line: &str) -> Result<DownHosts, DownError> {
    let mut command = Command::new("/bin/sh");
    command.args(["-c", line]);
    let printed =
        child::output(&mut command, OUTPUT, Some(TIME)).map_err(|error| DownError::Failed {
            command: line.to_owned(),
            cause: error.to_string(),
        })?;
    DownHosts::of_words(&String::from_utf8_lossy(&printed)).map_err(|word| DownError::Word {
        command: line.to_owned(),
        word,
    })
}

impl DownHosts {
    /// Reads lines `NODE STATE`. A node of several partitions has several lines. Other lines are ignored.
    fn of_sinfo(text: &str) -> DownHosts {
        let mut states = HashMap::new();
        for line in text.lines() {
            let mut words = line.split_whitespace();
            let (Some(node), Some(state), None) = (words.next(), words.next(), words.next()) else {
                continue;
            };
            let known: &mut Option<_> = states.entry(node.to_owned()).or_default();
            *known = known.or(slurm_state(state));
        }
        DownHosts {
            states,
            names_all: true,
        }
    }

    /// Reads expressions, without groups. Returns the first word that is none.
    fn of_words(text: &str) -> Result<DownHosts, String> {
        let mut states = HashMap::new();
        for word in text.split_whitespace() {
            // A word that names no host may be an error message, and ignoring it could hide a failure.
            let hosts = HostList::parse_in_file(word, HOSTS).map_err(|_| word.to_owned())?;
            hosts.for_each(|host| {
                states.insert(host.name.to_owned(), Some("down"));
            });
        }
        Ok(DownHosts {
            states,
            names_all: false,
        })
    }

    /// Returns the state of a target. Slurm's nodes mostly have short names, and targets may have full ones, or the
    /// reverse. Two full names must be equal.
    #[must_use]
    pub fn state(&self, target: &Target) -> HostState {
        let known = |name: &str| self.states.get(name).copied();
        let host = &*target.host;
        let short = |name: &str| match name.split_once('.') {
            // An address has no short name.
            Some((first, _)) if name.parse::<std::net::IpAddr>().is_err() => Some(first.to_owned()),
            _ => None,
        };
        // Full names come first: two clusters can have nodes with the same short name.
        let state = known(host)
            .or_else(|| known(&target.label))
            .or_else(|| known(&short(host)?))
            .or_else(|| known(&short(&target.label)?));
        match state {
            Some(Some(state)) => HostState::Down(state),
            Some(None) => HostState::Usable,
            None if self.names_all => HostState::Unknown,
            None => HostState::Usable,
        }
    }
}

/// Returns the words for a state of sinfo(1), short or long, in which a node does not run commands; `None` for all
/// other states. The marks behind a state are those of its section "NODE STATE CODES".
fn slurm_state(text: &str) -> Option<&'static str> {
    let end = text
        .find(|c: char| !c.is_ascii_alphabetic() && c != '_')
        .unwrap_or(text.len());
    let (state, marks) = text.split_at(end);
    let words = match state.to_ascii_lowercase().as_str() {
        "down" => "down",
        "drain" | "drained" => "drained",
        "drng" | "draining" => "draining",
        "fail" | "failed" => "failed",
        "failg" | "failing" => "failing",
        "maint" => "in maintenance",
        "no_respond" | "not_responding" => "not responding",
        "pow_dn" | "powering_down" | "powered_down" | "power_down" => "powered down",
        "reboot" | "reboot_issued" => "rebooting",
        _ => {
            let mark = |mark| marks.contains(mark);
            return if mark('*') {
                Some("not responding")
            } else if mark('~') || mark('%') {
                Some("powered down")
            } else if mark('^') {
                Some("rebooting")
            } else if mark('$') {
                Some("in maintenance")
            } else {
                None
            };
        }
    };
    Some(words)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn target(host: &str, label: &str) -> Target {
        Target {
            label: label.into(),
            host: host.into(),
            user: None,
            port: None,
            transport: None,
            callback_from: None,
            inventory: None,
            variables: None,
        }
    }

    fn state(hosts: &DownHosts, name: &str) -> HostState {
        hosts.state(&target(name, name))
    }

    #[test]
    fn states_of_slurm_in_which_no_command_runs() {
        for (text, words) in [
            ("down", Some("down")),
            ("down*", Some("down")),
            ("DOWN+", Some("down")),
            ("drain", Some("drained")),
            ("drained*", Some("drained")),
            ("drng", Some("draining")),
            ("draining@", Some("draining")),
            ("fail", Some("failed")),
            ("failg*", Some("failing")),
            ("maint", Some("in maintenance")),
            ("idle*", Some("not responding")),
            ("idle~", Some("powered down")),
            ("idle$", Some("in maintenance")),
            ("alloc^", Some("rebooting")),
            ("idle", None),
            ("mix-", None),
            ("alloc", None),
            ("comp", None),
            ("idle#", None),
            ("alloc@", None),
            ("downtown", None),
            ("", None),
            ("n/a", None),
        ] {
            assert_eq!(slurm_state(text), words, "{text}");
        }
    }

    #[test]
    fn one_partition_in_which_a_node_is_down_is_enough_and_odd_lines_are_ignored() {
        let text = "n1 idle\nn2 down*\nn1 alloc\nn3 idle\nn3 drng\n\nn4\nn5 down too many words\n";
        let hosts = DownHosts::of_sinfo(text);
        assert_eq!(state(&hosts, "n1"), HostState::Usable);
        assert_eq!(state(&hosts, "n2"), HostState::Down("down"));
        assert_eq!(state(&hosts, "n3"), HostState::Down("draining"));
        assert_eq!(state(&hosts, "n4"), HostState::Unknown);
        assert_eq!(state(&hosts, "n5"), HostState::Unknown);
    }

    #[test]
    fn hosts_are_found_by_short_names_and_labels_but_not_by_parts_of_addresses() {
        let hosts =
            DownHosts::of_sinfo("n1 down\nn2.a.org down\n10 down\nn3 idle\nn3.b.org down\n");
        assert_eq!(state(&hosts, "n1.a.org"), HostState::Down("down"));
        assert_eq!(state(&hosts, "n2.a.org"), HostState::Down("down"));
        assert_eq!(state(&hosts, "n2"), HostState::Unknown);
        assert_eq!(state(&hosts, "10.0.0.1"), HostState::Unknown);
        assert_eq!(state(&hosts, "n3.b.org"), HostState::Down("down"));
        assert_eq!(state(&hosts, "n3.a.org"), HostState::Usable);
        let labelled = target("192.0.2.1", "n1");
        assert_eq!(hosts.state(&labelled), HostState::Down("down"));
    }

    #[test]
    fn a_command_prints_expressions() {
        let hosts = DownHosts::of_words(" n[1-2]\n n9 ").unwrap();
        assert_eq!(state(&hosts, "n2"), HostState::Down("down"));
        assert_eq!(state(&hosts, "n9"), HostState::Down("down"));
        assert_eq!(state(&hosts, "n3"), HostState::Usable);
        assert!(DownHosts::of_words("").unwrap().states.is_empty());
        for word in ["n[1-", "@all", "n[2-1]"] {
            let error = DownHosts::of_words(&format!("a {word} b")).unwrap_err();
            assert_eq!(error, word);
        }
    }

    proptest! {
        #[test]
        fn no_output_of_sinfo_panics(text in "[ -~\u{80}-\u{ff}\n\t]{0,200}") {
            let hosts = DownHosts::of_sinfo(&text);
            let _ = state(&hosts, "n1");
        }
    }
}
