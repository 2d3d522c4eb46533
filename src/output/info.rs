//! Facts about a run that reports show beside its events.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use super::label::target_label;
use crate::policy::Policy;
use crate::targets::{Placeholder, Target, TargetId, TransportKind};

/// The settings of a run that reports and `-n` show. Those of the transports are in the plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunInfo {
    /// The targets as the user named them. With `--demo`, the run uses other addresses for them.
    pub targets: Arc<[Target]>,
    /// The targets' positions in the list of the whole run; `None` if this is the whole run.
    pub numbers: Option<Arc<[u32]>>,
    /// Identifier of the run, the same for all its sessions.
    pub run_id: Arc<str>,
    /// The number of targets of the whole run.
    pub run_total: usize,
    /// The command, unwrapped.
    pub command: Vec<u8>,
    /// The transport of targets that name none.
    pub transport: TransportKind,
    /// The remote user of targets that name none.
    pub user: String,
    /// True if the user gave the remote user, false if it is the name of the caller.
    pub user_given: bool,
    /// The port of targets that name none, if one was given; else it is their transport's.
    pub port: Option<u16>,
    /// Resolved ssh endpoints, indexed by [`TargetId`]. Empty without ssh targets.
    pub resolved: Vec<Option<ResolvedEndpoint>>,
    /// The fan-out.
    pub fanout: NonZeroUsize,
    /// Maximum time up to the start of the command.
    pub connect_timeout: Duration,
    /// Maximum time from the start of the command.
    pub command_timeout: Option<Duration>,
    /// Limits, retries and waves.
    pub policy: Policy,
    /// Value of `--stderr`.
    pub stderr: &'static str,
    /// Value of `--source-ports`.
    pub source_ports: String,
    /// True if the command is sent without the wrapper (`--raw`).
    pub raw: bool,
    /// True if the commands read standard input (`-i`).
    pub stdin: bool,
    /// True for `--demo`.
    pub demo: bool,
    /// Targets that are no part of the run, because they are down.
    pub left_out: Vec<LeftOutTarget>,
}

/// A target that `--skip-down` left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftOutTarget {
    /// Its label.
    pub label: Arc<str>,
    /// Words for its state.
    pub state: &'static str,
}

/// The endpoint of an ssh target, after ssh_config(5) was applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResolvedEndpoint {
    /// The name or address that is connected to.
    pub host: Arc<str>,
    /// The remote user.
    pub user: Arc<str>,
    /// The port.
    pub port: u16,
    /// The jump hosts, if there are any.
    pub jump_hosts: Option<Arc<str>>,
}

/// The endpoint of a target, as far as mrsh knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Endpoint<'a> {
    /// The transport.
    pub transport: TransportKind,
    /// The name or address.
    pub host: &'a str,
    /// The remote user; `None` where another program decides it.
    pub user: Option<&'a str>,
    /// The port; `None` where there is none or another program decides it.
    pub port: Option<u16>,
    /// The jump hosts, if there are any.
    pub jump_hosts: Option<&'a str>,
}

impl RunInfo {
    /// Returns the index after the last target of each wave; `None` without waves.
    #[must_use]
    pub fn wave_ends(&self) -> Option<Vec<usize>> {
        self.policy.wave_ends(self.targets.len())
    }

    /// Returns the label of a target.
    #[must_use]
    pub fn label(&self, target: TargetId) -> &str {
        target_label(&self.targets, target.index())
    }

    /// Returns the value of a placeholder for the target with this index.
    #[must_use]
    pub fn field(&self, field: Placeholder, target: usize) -> String {
        let Some(target_info) = self.targets.get(target) else {
            return "?".to_owned();
        };
        match field {
            Placeholder::Label => target_info.label.to_string(),
            Placeholder::Host => self.endpoint(target, target_info).host.to_owned(),
            Placeholder::User => self
                .endpoint(target, target_info)
                .user
                .unwrap_or_default()
                .to_owned(),
            Placeholder::Port => {
                let mut port = self.endpoint(target, target_info).port;
                // A local command has no port of its own, and may need that of its host.
                if target_info.transport_or(self.transport) == TransportKind::Exec {
                    port = target_info.port.or(self.port);
                }
                port.map_or(String::new(), |port| port.to_string())
            }
            Placeholder::Number => match &self.numbers {
                Some(numbers) => numbers[target].to_string(),
                None => target.to_string(),
            },
        }
    }

    /// Returns the endpoint of `target`, whose position in the list is `index`.
    #[must_use]
    pub fn endpoint<'a>(&'a self, index: usize, target: &'a Target) -> Endpoint<'a> {
        let transport = target.transport_or(self.transport);
        // By position, since two targets can have one name and different ports.
        if let Some(Some(resolved)) = self.resolved.get(index) {
            return Endpoint {
                transport,
                host: &resolved.host,
                user: Some(&resolved.user),
                port: Some(resolved.port),
                jump_hosts: resolved.jump_hosts.as_deref(),
            };
        }
        // The system's ssh reads its own configuration, so only typed values are known.
        let decides = transport == TransportKind::OpenSsh && !self.demo;
        let port = transport.default_port().map(|default| {
            let typed = target.port.or(self.port);
            typed.or((!decides).then_some(default))
        });
        Endpoint {
            transport,
            host: &target.host,
            user: match (&target.user, decides && !self.user_given) {
                (Some(user), _) => Some(user),
                (None, true) => None,
                (None, false) => Some(&self.user),
            },
            port: port.flatten(),
            jump_hosts: None,
        }
    }
}
