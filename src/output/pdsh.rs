//! The messages of pdsh: a line on standard error for each target that failed, as soon as it has failed.
//!
//! Programs read these lines. ClusterShell counts their words, so their forms are those of pdsh.

use std::io;
use std::num::NonZeroU32;
use std::sync::Arc;

use super::{Console, Reporter};
use crate::event::{
    CancelReason, Event, Failure, FailureClass, Finished, Outcome, Phase, RemoteExit, RunStats,
    Stream,
};
use crate::targets::{Target, TargetId};

/// The signal that pdsh sends to a command that must end.
const SIGTERM: i32 = 15;

const SIGINT: i32 = 2;

/// Settings of the messages.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PdshForm {
    /// Begin of most messages: the name of the program, `@` and the name of this machine.
    pub program: String,
    /// Path of the local program that is started for each target; `None` for targets without one.
    pub commands: Arc<[Option<Arc<str>>]>,
    /// True if the first failure ends the run (`-k`).
    pub fail_fast: bool,
    /// True if one ^C ends the run (`-b`).
    pub batch: bool,
}

/// The reporter that writes the messages.
#[derive(Debug)]
pub(super) struct PdshMessages {
    form: PdshForm,
    targets: Arc<[Target]>,
    /// True for each target that has started and has no outcome.
    running: Vec<bool>,
    /// True after the message that the run ends: pdsh is gone then.
    ended: bool,
}

impl PdshMessages {
    pub(super) fn new(form: PdshForm) -> Self {
        PdshMessages {
            form,
            targets: Arc::default(),
            running: Vec::new(),
            ended: false,
        }
    }

    fn label(&self, target: TargetId) -> &str {
        self.targets
            .get(target.index())
            .map_or("?", |target| &target.label)
    }

    fn host(&self, target: TargetId) -> &str {
        self.targets
            .get(target.index())
            .map_or("?", |target| &target.host)
    }

    /// Returns the path of the local program.
    fn path(&self, target: TargetId) -> Option<&str> {
        self.form.commands.get(target.index())?.as_deref()
    }

    /// Returns the file name of the local program.
    fn command(&self, target: TargetId) -> Option<&str> {
        self.path(target)?.rsplit('/').next()
    }

    /// Returns a message about a target, which begins with the program and the label.
    fn about(&self, target: TargetId, text: &str) -> String {
        format!("{}: {}: {text}", self.form.program, self.label(target))
    }

    /// Returns the message about a signal for the command of a target.
    fn sending(&self, target: TargetId, process: Option<NonZeroU32>) -> Option<String> {
        let command = self.command(target)?;
        let host = self.host(target);
        let process = process.map_or_else(String::new, |number| format!(" pid {number}"));
        Some(format!(
            "sending signal {SIGTERM} to {host} [{command}]{process}"
        ))
    }

    fn failure(&self, finished: &Finished, failure: &Failure) -> Vec<String> {
        let target = finished.target;
        let label = self.label(target);
        let about = |text: &str| self.about(target, text);
        let message = &*failure.message;
        match failure.class {
            FailureClass::CommandTimeout => {
                let mut lines = vec![about("command timeout")];
                lines.extend(self.sending(target, finished.facts.process));
                if let Some(command) = self.command(target) {
                    lines.push(about(&format!("{command} killed by signal {SIGTERM}")));
                }
                lines
            }
            // pdsh starts the command in a process of its own, whose message is output of the target.
            FailureClass::Spawn => {
                let command = self.command(target).unwrap_or_default();
                let path = self.path(target).unwrap_or_default();
                let cause = message.rsplit(": ").next().unwrap_or(message);
                let cause = cause.split(" (os error").next().unwrap_or(cause);
                vec![
                    format!(
                        "{label}: {}: execvp {path} failed: {cause}",
                        self.form.program
                    ),
                    about(&format!("{command} exited with exit code 255")),
                ]
            }
            FailureClass::Name => vec![format!(
                "{}: gethostbyname(\"{label}\") failed",
                self.form.program
            )],
            FailureClass::Refused => vec![about("connect: Connection refused")],
            FailureClass::ConnectTimeout if failure.phase <= Phase::Connect => {
                vec![about("connect: timed out")]
            }
            FailureClass::Unreachable => {
                let cause = message.strip_prefix("unreachable: ").unwrap_or(message);
                let cause = cause.split(" (os error").next().unwrap_or(cause);
                vec![about(&format!("connect: {cause}"))]
            }
            FailureClass::Copy => vec![about(&format!("error: {message}"))],
            // The message of the daemon itself.
            FailureClass::Denied => {
                let text = message.strip_prefix("denied: ").unwrap_or(message);
                vec![format!("{label}: {text}")]
            }
            _ => vec![about(message)],
        }
    }

    /// Returns the lines about an outcome, and true if it is a failure.
    fn outcome(&self, finished: &Finished) -> (Vec<String>, bool) {
        let target = finished.target;
        match &finished.outcome {
            Outcome::Exited(RemoteExit::Code(0) | RemoteExit::Unknown) => (Vec::new(), false),
            Outcome::Exited(exit) => {
                // Only local processes have a message: rsh has no status of its own.
                let line = self.command(target).map(|command| match exit {
                    RemoteExit::Signaled(signal) => format!("{command} killed by signal {signal}"),
                    RemoteExit::Code(code) => format!("{command} exited with exit code {code}"),
                    RemoteExit::Unknown => format!("{command} ended without a status"),
                });
                let lines = line.map(|line| self.about(target, &line));
                (lines.into_iter().collect(), true)
            }
            Outcome::Failed(failure) => (self.failure(finished, failure), true),
            Outcome::Internal(text) => (vec![self.about(target, text)], true),
            // The cause has its own message.
            Outcome::Cancelled(_) | Outcome::NotStarted(_) => (Vec::new(), false),
        }
    }

    fn finished(&mut self, finished: &Finished, console: &mut Console) -> io::Result<()> {
        if let Some(running) = self.running.get_mut(finished.target.index()) {
            *running = false;
        }
        let (lines, failed) = self.outcome(finished);
        for line in &lines {
            say(line, console)?;
        }
        if !(failed && self.form.fail_fast) {
            return Ok(());
        }
        self.ended = true;
        for (index, _) in self.running.iter().enumerate().filter(|(_, runs)| **runs) {
            let target = TargetId(u32::try_from(index).unwrap_or(u32::MAX));
            if let Some(line) = self.sending(target, None) {
                say(&line, console)?;
            }
        }
        let program = &self.form.program;
        say(&format!("{program}: terminating all processes"), console)
    }

    /// Handles ^C, which asks for the state.
    fn state(&self, interrupted: bool, console: &mut Console) -> io::Result<()> {
        let program = &self.form.program;
        if interrupted {
            let text = format!("{program}: interrupt (one more within 1 sec to abort)");
            say(&text, console)?;
        }
        for (index, _) in self.running.iter().enumerate().filter(|(_, runs)| **runs) {
            let target = TargetId(u32::try_from(index).unwrap_or(u32::MAX));
            say(&self.about(target, "command in progress"), console)?;
        }
        Ok(())
    }
}

impl Reporter for PdshMessages {
    fn event(&mut self, event: &Event, console: &mut Console) -> io::Result<()> {
        // pdsh would have ended.
        if self.ended {
            return Ok(());
        }
        match event {
            Event::RunStarted { targets } => {
                self.targets = Arc::clone(targets);
                self.running = vec![false; targets.len()];
                Ok(())
            }
            Event::Started(target) => {
                if let Some(running) = self.running.get_mut(target.index()) {
                    *running = true;
                }
                Ok(())
            }
            Event::Finished(finished) => self.finished(finished, console),
            Event::State { hint, .. } => self.state(hint.is_some(), console),
            // pdsh has no words for notices.
            Event::Output(_) | Event::PortWaits(_) | Event::Notice(_) => Ok(()),
        }
    }

    fn finish(&mut self, stats: &RunStats, console: &mut Console) -> io::Result<()> {
        if self.ended || stats.cancel != Some(CancelReason::Signal(SIGINT)) {
            return Ok(());
        }
        let program = &self.form.program;
        let kind = if self.form.batch {
            "batch mode interrupt"
        } else {
            "interrupt"
        };
        say(&format!("{program}: {kind}, aborting."), console)
    }
}

fn say(line: &str, console: &mut Console) -> io::Result<()> {
    console.line(Stream::Stderr, &[line.as_bytes()])
}
