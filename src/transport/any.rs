//! All transports of a run behind one interface. A target uses the transport that it names, or else the default.
//!
//! This is a closed enum instead of a trait object. All futures but those of rsh are boxed: there are as many host
//! tasks as the fan-out, and each is as large as the largest future of a transport.

use super::exec::openssh::{OpenSshSession, OpenSshTransport};
use super::exec::{ExecTransport, LocalProcess};
use super::rsh::{RshSession, RshTransport};
use super::ssh::{SshSession, SshTransport};
use super::{
    AttemptError, Budget, Output, RemoteSignal, Route, Session, Transport, TransportError,
};
use crate::event::{RemoteExit, Side};
use crate::targets::{Target, TargetId, TransportKind};

/// The transports of a run.
#[derive(Debug)]
pub struct AnyTransport {
    /// Transport for targets that name none.
    pub default: TransportKind,
    /// rsh, if a target of the run uses it.
    pub rsh: Option<RshTransport>,
    /// ssh within this process, if a target uses it. Boxed, because it holds the data of all configuration files.
    pub ssh: Option<Box<SshTransport>>,
    /// The system's `ssh`, if a target uses it.
    pub openssh: Option<OpenSshTransport>,
    /// Local commands, if a target uses them.
    pub exec: Option<ExecTransport>,
}

/// A command that one of the transports has started.
#[derive(Debug)]
pub enum AnySession {
    /// Through rsh.
    Rsh(Box<RshSession>),
    /// Through libssh2.
    Ssh(Box<SshSession>),
    /// Through the system's `ssh`.
    OpenSsh(Box<OpenSshSession>),
    /// A local command.
    Exec(Box<LocalProcess>),
}

/// The transport of one target.
enum ChosenTransport<'a> {
    Rsh(&'a RshTransport),
    Ssh(&'a SshTransport),
    OpenSsh(&'a OpenSshTransport),
    Exec(&'a ExecTransport),
}

impl AnyTransport {
    fn choose(&self, target: &Target) -> ChosenTransport<'_> {
        let kind = target.transport_or(self.default);
        let chosen = match kind {
            TransportKind::Rsh => self.rsh.as_ref().map(ChosenTransport::Rsh),
            TransportKind::OpenSsh => self.openssh.as_ref().map(ChosenTransport::OpenSsh),
            TransportKind::Exec => self.exec.as_ref().map(ChosenTransport::Exec),
            TransportKind::Ssh => self.ssh.as_deref().map(ChosenTransport::Ssh),
        };
        // The set-up makes a transport for every kind that a target of the plan takes.
        chosen.expect("every transport that a target takes has been set up")
    }
}

impl Transport for AnyTransport {
    type Session = AnySession;

    async fn route(&self, target: &Target, budget: &mut Budget) -> Result<Route, TransportError> {
        match self.choose(target) {
            ChosenTransport::Rsh(rsh) => rsh.route(target, budget).await,
            // Boxed: otherwise each host task, also one of rsh, has the size of this future.
            ChosenTransport::Ssh(ssh) => Box::pin(ssh.route(target, budget)).await,
            ChosenTransport::OpenSsh(openssh) => openssh.route(target, budget).await,
            ChosenTransport::Exec(exec) => exec.route(target, budget).await,
        }
    }

    async fn connect(
        &self,
        id: TargetId,
        target: &Target,
        route: &mut Route,
        budget: &mut Budget,
    ) -> Result<AnySession, AttemptError> {
        match self.choose(target) {
            ChosenTransport::Rsh(rsh) => {
                let session = rsh.connect(id, target, route, budget).await?;
                Ok(AnySession::Rsh(session))
            }
            ChosenTransport::Ssh(ssh) => {
                let session = Box::pin(ssh.connect(id, target, route, budget)).await?;
                Ok(AnySession::Ssh(Box::new(session)))
            }
            ChosenTransport::OpenSsh(openssh) => {
                let session = Box::pin(openssh.connect(id, target, route, budget)).await?;
                Ok(AnySession::OpenSsh(Box::new(session)))
            }
            ChosenTransport::Exec(exec) => {
                let session = Box::pin(exec.connect(id, target, route, budget)).await?;
                Ok(AnySession::Exec(Box::new(session)))
            }
        }
    }

    fn has_subsystems(&self, target: &Target) -> bool {
        match self.choose(target) {
            ChosenTransport::Rsh(rsh) => rsh.has_subsystems(target),
            ChosenTransport::Ssh(ssh) => ssh.has_subsystems(target),
            ChosenTransport::OpenSsh(openssh) => openssh.has_subsystems(target),
            ChosenTransport::Exec(exec) => exec.has_subsystems(target),
        }
    }

    fn time_wait(&self) -> Option<usize> {
        // rsh alone counts: by default the kernel chooses the source ports of ssh.
        self.rsh.as_ref().and_then(Transport::time_wait)
    }

    fn notices(&self) -> Vec<String> {
        let mut notices = Vec::new();
        notices.extend(self.rsh.iter().flat_map(Transport::notices));
        notices.extend(self.ssh.iter().flat_map(|ssh| ssh.notices()));
        notices.extend(self.openssh.iter().flat_map(Transport::notices));
        notices.extend(self.exec.iter().flat_map(Transport::notices));
        notices
    }
}

impl Session for AnySession {
    async fn pump(&mut self, output: &Output) -> Result<RemoteExit, TransportError> {
        match self {
            AnySession::Rsh(session) => session.pump(output).await,
            // Boxed for the same reason as in `route`.
            AnySession::Ssh(session) => Box::pin(session.pump(output)).await,
            AnySession::OpenSsh(session) => Box::pin(session.pump(output)).await,
            AnySession::Exec(session) => Box::pin(session.pump(output)).await,
        }
    }

    fn signal(&mut self, signal: RemoteSignal) -> bool {
        match self {
            AnySession::Rsh(session) => session.signal(signal),
            AnySession::Ssh(session) => session.signal(signal),
            AnySession::OpenSsh(session) => session.signal(signal),
            AnySession::Exec(session) => session.signal(signal),
        }
    }

    fn closes_first(&self) -> Option<Side> {
        match self {
            AnySession::Rsh(session) => session.closes_first(),
            AnySession::Ssh(session) => session.closes_first(),
            AnySession::OpenSsh(session) => session.closes_first(),
            AnySession::Exec(session) => session.closes_first(),
        }
    }
}
