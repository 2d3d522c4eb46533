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

impl RunInfo {
    /// What the user calls this target.
    #[must_use]
    pub fn label(&self, target: TargetId) -> &str {
        self.targets
            .get(target.index())
            .map_or("?", |target| &target.label)
    }
}
