//! The summary on standard error: failed targets by cause at the end of the run, and notices and states during it.
//!
//! A run without failures prints nothing, so that cron sends no mail. Failed targets are folded by cause. Only they
//! take memory, and the text of each cause is kept once.

use std::cmp::Reverse;
use std::collections::{BTreeSet, HashMap};
use std::fmt::Write;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use unicode_width::UnicodeWidthStr;

use super::label::target_label;
use super::terminal::harmless_line;
use super::{Console, Reporter};
use crate::error_text::{plain, without_numbers};
use crate::event::{
    CancelReason, Copied, Event, Finished, Notice, Outcome, PasswordUse, RemoteExit, RunStats,
    Stream,
};
use crate::help::HELP;
use crate::targets::fold;
use crate::targets::{Target, TargetId};

/// Several causes share a line up to this many columns.
const WIDTH: usize = 100;

/// Maximum length of a cause, in bytes.
// Part of a cause may be text of the remote side.
const CAUSE: usize = 400;

/// Amount of text in the summary (`-q`, `--only`). A state that a user asks for is always printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SummaryLevel {
    /// Notices at once, and failures at the end.
    #[default]
    All,
    /// Notices and failures at the end, and only if a target failed.
    IfFailed,
    /// Nothing.
    None,
}

/// Folds failures by cause and writes them at the end; writes notices and states at once.
#[derive(Debug)]
pub(super) struct Summary {
    verbose: bool,
    words: SummaryLevel,
    /// Notices that are printed only if a target fails.
    notes: Vec<String>,
    targets: Arc<[Target]>,
    causes: HashMap<Box<str>, Cause>,
    /// Targets that were never started. They are no failures.
    not_started: Vec<TargetId>,
    /// Results of `--copy`.
    copies: CopyResults,
    /// Buffer for the current cause, kept to reuse its memory.
    cause: String,
}

/// The targets that failed for one cause.
#[derive(Debug, Default)]
struct Cause {
    targets: Vec<TargetId>,
    /// True if the targets were stopped with the run.
    cancelled: bool,
    password: PasswordUse,
    /// The cause of the first target with its details, if the targets have it in common without them.
    details: Option<Box<str>>,
    /// The action that helps, if only the details contain it.
    help: Option<&'static str>,
}

/// Results of `--copy`, for users who asked for details.
#[derive(Debug, Default)]
struct CopyResults {
    changed: Vec<TargetId>,
    unchanged: Vec<TargetId>,
    /// Number of files and bytes that were sent to all targets together.
    files: u64,
    bytes: u64,
    /// The programs that calculated the checksums.
    checksums: BTreeSet<&'static str>,
}

impl CopyResults {
    fn add(&mut self, target: TargetId, copied: &Copied) {
        let targets = if copied.changed {
            &mut self.changed
        } else {
            &mut self.unchanged
        };
        targets.push(target);
        self.files += copied.files;
        self.bytes += copied.bytes;
        self.checksums.insert(copied.checksum);
    }

    /// Returns the lines of the summary.
    fn lines(&self, fold: impl Fn(&[TargetId]) -> String) -> Vec<String> {
        let mut lines = Vec::new();
        if !self.changed.is_empty() {
            lines.push(format!(
                "changed: {} ({} files and {} bytes in all)",
                fold(&self.changed),
                self.files,
                self.bytes
            ));
        }
        if !self.unchanged.is_empty() {
            lines.push(format!("unchanged: {}", fold(&self.unchanged)));
        }
        if !self.checksums.is_empty() {
            let programs: Vec<&str> = self.checksums.iter().copied().collect();
            lines.push(format!("checksums: {}", programs.join(", ")));
        }
        lines
    }
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
    /// Creates a summary. With `verbose` it has the details of each target, and the counts also without failures.
    pub(super) fn new(verbose: bool, words: SummaryLevel) -> Self {
        Summary {
            verbose,
            words,
            notes: Vec::new(),
            targets: Arc::default(),
            causes: HashMap::new(),
            not_started: Vec::new(),
            copies: CopyResults::default(),
            cause: String::new(),
        }
    }

    fn finished(&mut self, target: TargetId, outcome: &Outcome) {
        // The cause is that of other targets or of the user, so they are named apart.
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
            // The message can name the host, so that no two targets would have the same cause.
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

    /// Counts the result of a copy to a target that did not fail.
    fn copied(&mut self, finished: &Finished, copied: &Copied) {
        if matches!(finished.outcome, Outcome::Exited(_)) {
            self.copies.add(finished.target, copied);
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
        // The cause that stopped the run comes before the targets that were stopped with it. The host that refused
        // the password comes first, since mrsh withheld the password from the others because of it.
        let rank = |cause: &Cause| match cause.password {
            _ if cause.cancelled => 3,
            PasswordUse::Withheld => 2,
            PasswordUse::Sent if withheld => 0,
            PasswordUse::Sent | PasswordUse::None => 1,
        };
        // The text decides between equals, since the map has no order.
        causes.sort_unstable_by_key(|(text, cause)| {
            (rank(cause), Reverse(cause.targets.len()), *text)
        });
        let failed: usize = causes.iter().map(|(_, cause)| cause.targets.len()).sum();
        let parts: Vec<String> = causes
            .iter()
            .map(|(text, cause)| format!("{}: {text}", self.fold(cause.targets.iter().copied())))
            .collect();
        let line = format!("{failed} failed: {}", parts.join("; "));
        // A cause with a semicolon of its own does not read well among others.
        let reads_well = line.width() <= WIDTH && !parts.iter().any(|part| part.contains("; "));
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
            // The details of a single target contain the help already.
            cause.details.is_some() && cause.targets.len() > 1
        });
        folded.filter_map(|cause| cause.help).collect()
    }

    /// Describes the running targets; `for_ports` of them wait for a source port.
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
        target_label(&self.targets, target.index())
    }
}

impl Reporter for Summary {
    fn event(&mut self, event: &Event, console: &mut Console) -> io::Result<()> {
        match event {
            Event::RunStarted { targets } => self.targets = Arc::clone(targets),
            Event::Finished(finished) => {
                self.finished(finished.target, &finished.outcome);
                if self.verbose
                    && let Some(copied) = &finished.facts.copied
                {
                    self.copied(finished, copied);
                }
            }
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
            Event::Paused(text) => say(text, console)?,
            Event::Notice(Notice { verbose, text }) if self.verbose || !verbose => match self.words
            {
                SummaryLevel::All => say(text, console)?,
                SummaryLevel::IfFailed => self.notes.push(text.clone()),
                SummaryLevel::None => {}
            },
            Event::Notice(_) | Event::Started(_) | Event::Output(_) | Event::PortWaits(_) => {}
        }
        Ok(())
    }

    fn finish(&mut self, stats: &RunStats, console: &mut Console) -> io::Result<()> {
        match self.words {
            SummaryLevel::All => {}
            // Notices alone are no reason for cron to send mail.
            SummaryLevel::IfFailed if !self.causes.is_empty() || !self.not_started.is_empty() => {
                self.notes.iter().try_for_each(|note| say(note, console))?;
            }
            SummaryLevel::IfFailed | SummaryLevel::None => return Ok(()),
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
        for line in self
            .copies
            .lines(|targets| self.fold(targets.iter().copied()))
        {
            say(&line, console)?;
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

/// Names the targets whose commands are not known to have ended; `None` if there are none.
#[must_use]
pub fn left_running(targets: &[Target], stats: &RunStats) -> Option<String> {
    named("still running on", targets, &stats.left_running)
}

/// Names the targets whose commands may have started, or may have ended; `None` if there are none.
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

/// Writes the cause of a failed target to `cause`, which is empty; returns false if the target succeeded. Targets with
/// the same failure get the same text, without details that differ. The cases match the counts in [`RunStats`].
pub(super) fn write_cause(outcome: &Outcome, cause: &mut String) -> bool {
    // Writing to a string cannot fail.
    let _ = match outcome {
        Outcome::Exited(RemoteExit::Code(0) | RemoteExit::Unknown) => return false,
        Outcome::Exited(RemoteExit::Code(code)) => write!(cause, "exit {code}"),
        Outcome::Exited(RemoteExit::Signaled(signal)) => {
            match signal_hook::low_level::signal_name(i32::from(*signal)) {
                Some(name) => {
                    // kill(1) uses the names without `SIG`.
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
        Outcome::Cancelled(CancelReason::Deadline) => write!(cause, "deadline reached"),
        Outcome::Cancelled(_) => write!(cause, "interrupted"),
        Outcome::NotStarted(_) => write!(cause, "not started"),
        Outcome::Internal(text) => write!(cause, "internal error: {text}"),
    };
    *cause = cut(std::mem::take(cause));
    true
}

/// Cuts a cause that is too long, and removes the error numbers of the system.
fn cut(mut cause: String) -> String {
    without_numbers(&mut cause);
    if cause.len() > CAUSE {
        cause.truncate(cause.floor_char_boundary(CAUSE));
        cause.push('…');
    }
    cause
}

/// Writes a line with the prefix `mrsh: `.
pub(super) fn say(text: &str, console: &mut Console) -> io::Result<()> {
    write_line("mrsh: ", text, console)
}

/// Writes one line and escapes control characters in `text`, since parts of it come from remote hosts.
fn write_line(start: &str, text: &str, console: &mut Console) -> io::Result<()> {
    let text = plain(&text);
    let mut harmless = Vec::with_capacity(text.len());
    harmless_line(text.as_bytes(), &mut harmless);
    console.line(Stream::Stderr, &[start.as_bytes(), &harmless])
}

/// Formats an elapsed time: tenths of a second up to 10 s, then less precise.
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
