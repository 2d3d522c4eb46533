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
        // In this message pdsh has the whole name of the host, not the label.
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
                // pdsh ends the command by a signal, and prints a line for the signal and one for the death.
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
            // pdsh resolves names before the run, so its message does not begin with a target.
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
            FailureClass::Copy => {
                // The far side names its own program, which need not be pdcp.
                let text = message
                    .strip_prefix("scp: ")
                    .or(message.strip_prefix("rcp: "))
                    .unwrap_or(message);
                vec![about(&format!("fatal: {text}"))]
            }
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
            // rsh reports no status, and pdsh counts such a command as a success.
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
            // The number of a process is known only when its target has an outcome.
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
            Event::Output(_) | Event::PortWaits(_) | Event::Notice(_) | Event::Paused(_) => Ok(()),
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

#[cfg(test)]
mod tests {
    use super::super::Terminals;
    use super::super::testing::{Recorder, finished, run_started, succeeded};
    use super::*;
    use crate::event::PasswordUse;

    fn failed(target: u32, class: FailureClass, phase: Phase, message: &str) -> Event {
        let failure = Failure {
            class,
            phase,
            message: message.to_owned(),
            common: None,
            help: None,
            password: PasswordUse::None,
        };
        finished(target, Outcome::Failed(failure))
    }

    /// Returns what the reporter writes about the hosts `a`, which has a local program, and `b`.
    fn said(fail_fast: bool, events: Vec<Event>) -> String {
        let recorder = Recorder::default();
        let mut console = recorder.console(Terminals::default());
        let mut messages = PdshMessages::new(PdshForm {
            program: "pdsh@here".to_owned(),
            commands: [Some("/bin/sh".into()), None].into(),
            fail_fast,
            batch: false,
        });
        for event in [run_started(&["a", "b"])].into_iter().chain(events) {
            messages.event(&event, &mut console).unwrap();
        }
        console.flush().unwrap();
        String::from_utf8(recorder.text(Stream::Stderr)).unwrap()
    }

    #[test]
    fn each_failure_has_the_words_of_pdsh() {
        use FailureClass::{
            CommandTimeout, ConnectTimeout, Copy, Denied, Name, Refused, Spawn, Unreachable,
        };
        for (class, phase, message, expected) in [
            (
                Refused,
                Phase::Connect,
                "",
                "pdsh@here: b: connect: Connection refused\n",
            ),
            (
                ConnectTimeout,
                Phase::Connect,
                "",
                "pdsh@here: b: connect: timed out\n",
            ),
            (
                ConnectTimeout,
                Phase::Start,
                "timed out",
                "pdsh@here: b: timed out\n",
            ),
            (
                Unreachable,
                Phase::Connect,
                "unreachable: No route to host (os error 113)",
                "pdsh@here: b: connect: No route to host\n",
            ),
            (
                Name,
                Phase::Resolve,
                "",
                "pdsh@here: gethostbyname(\"b\") failed\n",
            ),
            (
                Denied,
                Phase::Start,
                "denied: Permission denied.",
                "b: Permission denied.\n",
            ),
            (
                CommandTimeout,
                Phase::Run,
                "",
                "pdsh@here: b: command timeout\n",
            ),
            (
                Copy,
                Phase::Run,
                "scp: x: No such file",
                "pdsh@here: b: fatal: x: No such file\n",
            ),
        ] {
            let text = said(false, vec![failed(1, class, phase, message)]);
            assert_eq!(text, expected, "{class:?}");
        }
        let spawn = failed(
            0,
            Spawn,
            Phase::Start,
            "cannot start /bin/sh: No such file or directory",
        );
        assert_eq!(
            said(false, vec![spawn]),
            "a: pdsh@here: execvp /bin/sh failed: No such file or directory\n\
             pdsh@here: a: sh exited with exit code 255\n"
        );
    }

    #[test]
    fn only_local_programs_have_messages_about_statuses() {
        let exited = |target, exit| finished(target, Outcome::Exited(exit));
        let text = said(
            false,
            vec![
                succeeded(0),
                exited(0, RemoteExit::Code(3)),
                exited(0, RemoteExit::Signaled(9)),
                exited(1, RemoteExit::Code(3)),
            ],
        );
        assert_eq!(
            text,
            "pdsh@here: a: sh exited with exit code 3\npdsh@here: a: sh killed by signal 9\n"
        );
    }

    #[test]
    fn nothing_follows_the_first_failure_if_it_ends_the_run() {
        let events = vec![
            Event::Started(TargetId(0)),
            Event::Started(TargetId(1)),
            finished(1, Outcome::Exited(RemoteExit::Code(1))),
            finished(0, Outcome::Cancelled(CancelReason::Failures)),
            failed(0, FailureClass::Refused, Phase::Connect, ""),
        ];
        assert_eq!(
            said(true, events),
            "sending signal 15 to a [sh]\npdsh@here: terminating all processes\n"
        );
    }
}
