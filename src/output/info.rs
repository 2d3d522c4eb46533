//! What the reports may say of a run beside its events.

use std::sync::Arc;
use std::time::Duration;

use super::label::Field;
use crate::targets::{Target, TargetId, TransportKind};

/// A run as the user asked for it. Nothing hangs on it but words: what is to be done is in the
/// specifications.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunInfo {
    /// The targets as they were named; with `--demo` the run knows them by other addresses.
    pub targets: Arc<[Target]>,
    /// The command, unwrapped.
    pub command: Vec<u8>,
    /// The transport of targets that name none.
    pub transport: TransportKind,
    /// The remote user of targets that name none.
    pub user: String,
    /// Whether the remote user was given, and is not just the caller's name.
    pub user_given: bool,
    /// The port of targets that name none, if one was given; else it is their transport's.
    pub port: Option<u16>,
    /// How targets are called of which files decide that, by their numbers. Empty if there are none.
    pub decided: Vec<Option<Decided>>,
    /// How many hosts at once.
    pub jobs: usize,
    /// The limit up to the command's start.
    pub connect_timeout: Duration,
    /// The limit from the command's start.
    pub command_timeout: Option<Duration>,
    /// When the run goes on, gives up or tries again.
    pub rules: Rules,
    /// What becomes of standard error, as it is spelled.
    pub stderr: &'static str,
    /// The source ports, as they are spelled.
    pub source_ports: String,
    /// Whether the command is sent unwrapped.
    pub raw: bool,
    /// Whether the commands read our standard input.
    pub stdin: bool,
    /// Whether embedded daemons answer.
    pub demo: bool,
}

/// How a target is called, after all files have been asked that decide it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decided {
    /// The name or address that is connected to.
    pub host: Arc<str>,
    /// The remote user.
    pub user: Arc<str>,
    /// The port.
    pub port: u16,
    /// The hosts on the way, if there are any.
    pub by_way_of: Option<Arc<str>>,
}

/// How a target is called, as far as it is known here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Called<'a> {
    /// How it is reached.
    pub transport: TransportKind,
    /// Its name or address.
    pub host: &'a str,
    /// The remote user; `None` where another program decides it.
    pub user: Option<&'a str>,
    /// The port; `None` where there is none or another program decides it.
    pub port: Option<u16>,
    /// The hosts on the way, if there are any.
    pub by_way_of: Option<&'a str>,
}

/// The rules of a run, in the same order as they are typed; see the options of these names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    /// How long a remote command has to end after TERM.
    pub kill_after: Duration,
    /// The limit of the whole run.
    pub deadline: Option<Duration>,
    /// The limit of a command's silence.
    pub idle_timeout: Option<Duration>,
    /// How often a host is tried again.
    pub retries: u32,
    /// How many hosts are called a second.
    pub rate: Option<u32>,
    /// How many failures are too many, as it is spelled.
    pub max_failures: Option<String>,
    /// The places after the last targets of the waves, if there are to be any.
    pub waves: Option<Vec<usize>>,
}

impl RunInfo {
    /// What the user calls this target.
    #[must_use]
    pub fn label(&self, target: TargetId) -> &str {
        self.targets
            .get(target.index())
            .map_or("?", |target| &target.label)
    }

    /// What a label says of a target, given by its number.
    pub(super) fn field(&self, field: Field, target: usize) -> String {
        let Some(target_info) = self.targets.get(target) else {
            return "?".to_owned();
        };
        match field {
            Field::Label => target_info.label.to_string(),
            Field::Host => self.called(target, target_info).host.to_owned(),
            Field::User => self
                .called(target, target_info)
                .user
                .unwrap_or_default()
                .to_owned(),
            Field::Port => self
                .called(target, target_info)
                .port
                .map_or(String::new(), |port| port.to_string()),
            Field::Number => target.to_string(),
        }
    }

    /// How a target is called; `index` is its number.
    #[must_use]
    pub fn called<'a>(&'a self, index: usize, target: &'a Target) -> Called<'a> {
        let transport = target.transport_or(self.transport);
        if let Some(Some(decided)) = self.decided.get(index) {
            return Called {
                transport,
                host: &decided.host,
                user: Some(&decided.user),
                port: Some(decided.port),
                by_way_of: decided.by_way_of.as_deref(),
            };
        }
        // The system's ssh reads its files itself: what was not typed is not known here.
        let decides = transport == TransportKind::OpenSsh && !self.demo;
        let port = transport.default_port().map(|default| {
            let typed = target.port.or(self.port);
            typed.or((!decides).then_some(default))
        });
        Called {
            transport,
            host: &target.host,
            user: match (&target.user, decides && !self.user_given) {
                (Some(user), _) => Some(user),
                (None, true) => None,
                (None, false) => Some(&self.user),
            },
            port: port.flatten(),
            by_way_of: None,
        }
    }
}
