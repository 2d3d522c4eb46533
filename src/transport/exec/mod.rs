//! Local processes in the place of connections: a command for each host (`-R exec`), and the system's `ssh`
//! (`-R openssh`).
//!
//! These two do start a process per host. They are how this program rides on engines that exist already
//! (kubectl, docker, srun), and on what libssh2 cannot do (GSSAPI, security keys, `ProxyCommand`).

use super::{AttemptError, Budget, Input, Route, StderrMode, Transport, TransportError};
use crate::event::{Facts, Phase};
use crate::targets::{Target, TargetId};

pub mod openssh;
mod process;
mod template;

pub use process::{DESCRIPTORS, LocalProcess};
pub use template::{Fill, Template, UnknownLetter};

use std::time::Instant;

/// What all local commands of a run have in common.
#[derive(Debug)]
pub struct ExecOptions {
    /// The command, with `%` letters.
    pub template: Template,
    /// `%u` for targets that name no user.
    pub user: String,
    /// What becomes of standard error.
    pub stderr: StderrMode,
    /// What the commands read; `None` is an end of file.
    pub input: Option<Input>,
}

/// The exec transport of a run.
#[derive(Debug)]
pub struct ExecTransport {
    options: ExecOptions,
}

impl ExecTransport {
    /// A transport with nothing started yet.
    #[must_use]
    pub fn new(options: ExecOptions) -> Self {
        ExecTransport { options }
    }
}

impl Transport for ExecTransport {
    type Session = LocalProcess;

    /// There is nothing to look up: what a host's name means is the command's business.
    async fn route(&self, _: &Target, _: &mut Budget) -> Result<Route, TransportError> {
        Ok(Route::nowhere())
    }

    async fn connect(
        &self,
        id: TargetId,
        target: &Target,
        route: &mut Route,
        _: &mut Budget,
    ) -> Result<LocalProcess, AttemptError> {
        route.phase = Phase::Start;
        let words = self.options.template.fill(Fill {
            host: &target.host,
            user: target.user.as_deref().unwrap_or(&self.options.user),
            rank: id.0,
        });
        let began = Instant::now();
        let reads = self.options.input.is_some();
        let started = process::start(id, &words, self.options.stderr, reads).map(|mut process| {
            process.feed(self.options.input.as_ref());
            process
        });
        route.facts = Facts {
            start: Some(began.elapsed()),
            attempts: 1,
            ..route.facts
        };
        started
    }
}
