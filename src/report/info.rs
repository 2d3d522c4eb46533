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
    /// The port of targets that name none, if one was given; else it is their transport's.
    pub port: Option<u16>,
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
            Field::Host => target_info.host.to_string(),
            Field::User => self.user_of(target_info).to_owned(),
            Field::Port => self
                .port_of(target_info)
                .map_or(String::new(), |port| port.to_string()),
            Field::Number => target.to_string(),
        }
    }

    /// How this target is reached.
    #[must_use]
    pub fn transport_of(&self, target: &Target) -> TransportKind {
        target.transport.unwrap_or(self.transport)
    }

    /// The port at which this target is called; `None` where there is none.
    #[must_use]
    pub fn port_of(&self, target: &Target) -> Option<u16> {
        let default = self.transport_of(target).default_port()?;
        Some(target.port.or(self.port).unwrap_or(default))
    }

    /// The remote user of this target.
    #[must_use]
    pub fn user_of<'a>(&'a self, target: &'a Target) -> &'a str {
        target.user.as_deref().unwrap_or(&self.user)
    }
}
