//! What the reports may say of a run beside its events.

use std::sync::Arc;
use std::time::Duration;

use crate::targets::{Target, TargetId};

/// A run as the user asked for it. Nothing hangs on it but words: what is to be done is in the
/// specifications.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunInfo {
    /// The targets as they were named; with `--demo` the run knows them by other addresses.
    pub targets: Arc<[Target]>,
    /// The command, unwrapped.
    pub command: Vec<u8>,
    /// The name of the transport.
    pub transport: &'static str,
    /// The remote user of targets that name none.
    pub user: String,
    /// The port of targets that name none.
    pub port: u16,
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
}
