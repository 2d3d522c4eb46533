//! What this program itself says, on standard error: the failures at the end, and on the way what a
//! person asked for or should know.
//!
//! A run in which all is well ends without a word, so that cron stays quiet. The failed hosts are
//! folded by cause; only they take memory, and each cause's text is kept once.

use std::cmp::Reverse;
use std::collections::{BTreeSet, HashMap};
use std::fmt::Write;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use super::terminal::harmless_line;
use super::{Console, Reporter};
use crate::error::{plain, without_numbers};
use crate::event::{
    CancelReason, Event, Notice, Outcome, PasswordUse, RemoteExit, RunStats, Stream,
};
use crate::help::HELP;
use crate::targets::fold;
use crate::targets::{Target, TargetId};

/// Several causes share a line up to this many characters.
const WIDTH: usize = 100;

/// A cause is cut after this many bytes: some of it is the remote side's text.
const CAUSE: usize = 400;

/// How much is said (`-q`, `--only`). What a person asks for during the run is always answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Words {
    /// Remarks as they come, and the failures at the end.
    #[default]
    All,
    /// The same at the end, and only if a host failed.
    IfFailed,
    /// Nothing.
    None,
}

/// Folds failures by cause and writes them at the end; writes notes and states at once.
#[derive(Debug)]
pub(super) struct Summary {
    verbose: bool,
    words: Words,
    /// Remarks that wait for a failure.
    notes: Vec<String>,
    targets: Arc<[Target]>,
    causes: HashMap<Box<str>, Cause>,
    /// Targets that were never started: nothing is wrong with them.
    not_started: Vec<TargetId>,
    /// The cause at hand, kept for its memory.
    cause: String,
}

/// The targets that failed for one cause.
#[derive(Debug, Default)]
struct Cause {
    targets: Vec<TargetId>,
    /// The run was stopped, and they with it.
    cancelled: bool,
    password: PasswordUse,
    /// The cause of the first target with its details, if the targets have it in common without them.
    details: Option<Box<str>>,
    /// The action that helps, if the details would have it.
    help: Option<&'static str>,
}

impl Cause {
    /// Returns the words for the cause, which is called `common`.
    fn words<'c>(&'c self, common: &'c str) -> &'c str {
        match (&self.details, self.targets.len()) {
            (Some(details), 1) => details,
            _ => common,
        }
    }
}

impl Summary {
    /// With `verbose` the details are told as well, and the counts also when all is well.
    pub(super) fn new(verbose: bool, words: Words) -> Self {
        Summary {
            verbose,
            words,
            notes: Vec::new(),
            targets: Arc::default(),
            causes: HashMap::new(),
            not_started: Vec::new(),
            cause: String::new(),
        }
    }

    fn finished(&mut self, target: TargetId, outcome: &Outcome) {
        if matches!(outcome, Outcome::NotStarted(_)) {
            self.not_started.push(target);
            return;
        }
        self.cause.clear();
        if !write_cause(outcome, &mut self.cause) {
            return;
        }
        let mut details = None;
        let mut help = None;
        let mut password = PasswordUse::None;
        if let Outcome::Failed(failure) = outcome {
            password = failure.password;
            if failure.common.is_some() {
                details = Some(cut(failure.message.clone()));
                help = failure.help;
            }
        }
        if let Some(text) = details.take_if(|_| self.verbose) {
            self.cause = text;
        }
        if let Some(cause) = self.causes.get_mut(self.cause.as_str()) {
            cause.targets.push(target);
        } else {
            let cause = Cause {
                targets: vec![target],
                cancelled: matches!(outcome, Outcome::Cancelled(_)),
                password,
                details: details.map(Into::into),
                help,
            };
            self.causes.insert(self.cause.as_str().into(), cause);
        }
    }

    fn failures(&self, stats: &RunStats, console: &mut Console) -> io::Result<()> {
        if self.causes.is_empty() {
            return Ok(());
        }
        let mut causes: Vec<(&str, &Cause)> = self
            .causes
            .iter()
            .map(|(common, cause)| (cause.words(common), cause))
            .collect();
        let withheld = causes
            .iter()
            .any(|(_, cause)| cause.password == PasswordUse::Withheld);
        // What stopped the run comes before what was stopped with it, and the host that refused the password
        // before all, since the others did not get it for that.
        let rank = |cause: &Cause| match cause.password {
            _ if cause.cancelled => 3,
            PasswordUse::Withheld => 2,
            PasswordUse::Sent if withheld => 0,
            PasswordUse::Sent | PasswordUse::None => 1,
        };
        causes.sort_unstable_by_key(|(text, cause)| {
            (rank(cause), Reverse(cause.targets.len()), *text)
        });
        let failed: usize = causes.iter().map(|(_, cause)| cause.targets.len()).sum();
        let parts: Vec<String> = causes
            .iter()
            .map(|(text, cause)| format!("{} {text}", self.fold(cause.targets.iter().copied())))
            .collect();
        let line = format!("{failed} failed: {}", parts.join(", "));
        // A cause with a comma of its own does not read well among others.
        let reads_well =
            line.chars().count() <= WIDTH && !parts.iter().any(|part| part.contains(", "));
        if parts.len() == 1 || reads_well {
            return say(&line, console);
        }
        say(&format!("{failed} of {} failed:", stats.total), console)?;
        for part in parts {
            write_line("  ", &part, console)?;
        }
        Ok(())
    }

    /// Returns the actions that help and that no cause has shown, each once.
    fn helps(&self) -> BTreeSet<&'static str> {
        let folded = self.causes.values().filter(|cause| {
            // The details, where they are shown, have it.
            cause.details.is_some() && cause.targets.len() > 1
        });
        folded.filter_map(|cause| cause.help).collect()
    }

    /// Which targets are running, of which so many wait for a port.
    fn running(&self, running: &[(TargetId, Duration)], for_ports: usize) -> String {
        let mut text = match running {
            [] => "none running".to_owned(),
            [(target, time)] => format!("1 running: {} ({})", self.label(*target), duration(*time)),
            [(longest, time), ..] => format!(
                "{} running: {} (longest {}: {})",
                running.len(),
                self.fold(running.iter().map(|(target, _)| *target)),
                duration(*time),
                self.label(*longest),
            ),
        };
        if for_ports > 0 {
            let _ = write!(text, ", {for_ports} of them waiting for a port");
        }
        text
    }

    fn fold(&self, targets: impl Iterator<Item = TargetId>) -> String {
        fold(targets.map(|target| self.label(target)))
    }

    fn label(&self, target: TargetId) -> &str {
        self.targets
            .get(target.index())
            .map_or("?", |target| &target.label)
    }
}

impl Reporter for Summary {
    fn event(&mut self, event: &Event, console: &mut Console) -> io::Result<()> {
        match event {
            Event::RunStarted { targets } => self.targets = Arc::clone(targets),
            Event::Finished(finished) => self.finished(finished.target, &finished.outcome),
            Event::State {
                running,
                for_ports,
                waiting,
                finished,
                hint,
            } => {
                let mut text = self.running(running, *for_ports);
                let _ = write!(text, ", {waiting} waiting, {finished} done");
                if let Some(hint) = hint {
                    let _ = write!(text, "; {hint}");
                }
                say(&text, console)?;
            }
            Event::Notice(Notice { verbose, text }) if self.verbose || !verbose => match self.words
            {
                Words::All => say(text, console)?,
                Words::IfFailed => self.notes.push(text.clone()),
                Words::None => {}
            },
            Event::Notice(_) | Event::Started(_) | Event::Output(_) | Event::PortWaits(_) => {}
        }
        Ok(())
    }

    fn finish(&mut self, stats: &RunStats, console: &mut Console) -> io::Result<()> {
        match self.words {
            Words::All => {}
            Words::IfFailed if !self.causes.is_empty() || !self.not_started.is_empty() => {
                self.notes.iter().try_for_each(|note| say(note, console))?;
            }
            Words::IfFailed | Words::None => return Ok(()),
        }
        if self.verbose {
            let RunStats {
                succeeded,
                total,
                elapsed,
                ..
            } = stats;
            say(
                &format!("{succeeded} of {total} succeeded in {}", duration(*elapsed)),
                console,
            )?;
        }
        self.failures(stats, console)?;
        for help in self.helps() {
            write_line(HELP, help, console)?;
        }
        if !self.not_started.is_empty() {
            let targets = self.fold(self.not_started.iter().copied());
            say(
                &format!("{} not started: {targets}", self.not_started.len()),
                console,
            )?;
        }
        let left = left_running(&self.targets, stats).into_iter();
        left.chain(may_be_running(&self.targets, stats))
            .try_for_each(|text| say(&text, console))
    }
}

/// The targets whose commands are not known to have ended, in words; `None` if there are none.
#[must_use]
pub fn left_running(targets: &[Target], stats: &RunStats) -> Option<String> {
    named("still running on", targets, &stats.left_running)
}

/// The targets whose commands may have been started, or may have ended, in words; `None` if there are none.
#[must_use]
pub fn may_be_running(targets: &[Target], stats: &RunStats) -> Option<String> {
    named("may be running on", targets, &stats.may_be_running)
}

fn named(what: &str, targets: &[Target], ids: &[TargetId]) -> Option<String> {
    let labels = ids
        .iter()
        .filter_map(|id| targets.get(id.index()).map(|target| &*target.label));
    (!ids.is_empty()).then(|| format!("{what}: {}", fold(labels)))
}

/// Writes why a target did not succeed to `cause`, which is empty; false if it did. Targets with the same failure have
/// the same words, without the details that differ. The counterpart of the counts in [`RunStats`].
pub(super) fn write_cause(outcome: &Outcome, cause: &mut String) -> bool {
    // Writing to a string cannot fail.
    let _ = match outcome {
        Outcome::Exited(RemoteExit::Code(0) | RemoteExit::Unknown) => return false,
        Outcome::Exited(RemoteExit::Code(code)) => write!(cause, "exit {code}"),
        Outcome::Exited(RemoteExit::Signaled(signal)) => {
            match signal_hook::low_level::signal_name(i32::from(*signal)) {
                Some(name) => {
                    let name = name.trim_start_matches("SIG");
                    write!(cause, "killed by signal {signal} ({name})")
                }
                None => write!(cause, "killed by signal {signal}"),
            }
        }
        Outcome::Failed(failure) => match &failure.common {
            Some(common) => write!(cause, "{common}"),
            None => write!(cause, "{failure}"),
        },
        Outcome::Cancelled(CancelReason::Deadline) => write!(cause, "not done at the deadline"),
        Outcome::Cancelled(_) => write!(cause, "not done when the run was stopped"),
        Outcome::NotStarted(_) => write!(cause, "not started"),
        Outcome::Internal(text) => write!(cause, "internal error: {text}"),
    };
    *cause = cut(std::mem::take(cause));
    true
}

/// Cuts a cause that is too long, and leaves out what only programs read.
fn cut(mut cause: String) -> String {
    without_numbers(&mut cause);
    if cause.len() > CAUSE {
        cause.truncate(cause.floor_char_boundary(CAUSE));
        cause.push('…');
    }
    cause
}

/// Writes a line of this program's own.
pub(super) fn say(text: &str, console: &mut Console) -> io::Result<()> {
    write_line("mrsh: ", text, console)
}

/// Writes one line, whatever `text` has in it: parts of it came from remote hosts.
fn write_line(start: &str, text: &str, console: &mut Console) -> io::Result<()> {
    let text = plain(&text);
    let mut harmless = Vec::with_capacity(text.len());
    harmless_line(text.as_bytes(), &mut harmless);
    console.line(Stream::Stderr, &[start.as_bytes(), &harmless])
}

/// A time that has passed, as precise as people want it.
pub(super) fn duration(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0..10 => format!("{seconds}.{} s", time.subsec_millis() / 100),
        10..60 => format!("{seconds} s"),
        60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        _ => format!("{} h {} min", seconds / 3600, seconds / 60 % 60),
    }
}

#[cfg(test)]
mod tests;
