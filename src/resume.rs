//! `--resume`: opens a journal, chooses the targets to run, and answers `--status`.

use std::ffi::OsString;
use std::path::Path;

use crate::cli::Cli;
use crate::config::{self, ResumeError};
use crate::error::Error;
use crate::event::{CancelReason, RunStats};
use crate::exit::ExitStatus;
use crate::help::with_help;
use crate::journal::{JournalFault, JournalFile, JournalState, Progress, RecordedWord};
use crate::messages::{print, print_message};
use crate::output;
use crate::plan::{ResumedRun, count};
use crate::targets::fold;

/// Opens the journal of a run and returns its command line, with the options that the line of `--resume` adds.
///
/// # Errors
/// The journal cannot be used, or the line contradicts it.
pub(crate) fn open(
    path: &Path,
    args: &[OsString],
    failed: bool,
) -> Result<(Cli, ResumedRun), Error> {
    let opened = open_file(path).and_then(JournalFile::of_known_run);
    let (file, state) = opened.map_err(|fault| Error::journal(path, fault))?;
    if state.incomplete > 0 {
        print_message(&format!(
            "the last line of {} is incomplete and is ignored: the write of it was cut",
            path.display()
        ));
    }
    let words = |words: &[RecordedWord]| -> Result<Vec<OsString>, Error> {
        let words = words.iter().map(|word| word.to_os_string()).collect();
        Option::ok_or(words, Error::RecordedWord)
    };
    let plan = &state.header.plan;
    let cli = config::resumed(args, &words(&plan.options)?, &words(&plan.command)?);
    let cli = cli.map_err(|error| match error {
        ResumeError::Config(error) => Error::Config(error),
        error => Error::Resume(error),
    })?;
    let line = args
        .iter()
        .skip(1)
        .map(|word| RecordedWord::new(word))
        .collect();
    let run = ResumedRun::new(path.to_owned(), (file, state), failed, line);
    Ok((cli, run))
}

fn open_file(path: &Path) -> Result<std::fs::File, JournalFault> {
    Ok(output::open_private(path, false)?)
}

/// Prints that a run has no target left to run, and returns the status of the whole run.
pub(crate) fn nothing_left(run: &ResumedRun, worst: bool) -> ExitStatus {
    let stats = run.earlier();
    print_message(&format!("no target is left to run: {}", counts(&run.state)));
    if let Some(text) = uncertain_text(&run.uncertain()) {
        print_message(&text);
    }
    ExitStatus::of_run(&stats, worst, Ok(()))
}

/// Returns the numbers of a journal in words.
pub(crate) fn counts(state: &JournalState) -> String {
    let rows = RowKind::ALL.map(|kind| {
        let count = state.progress().filter(|p| kind.has(*p)).count();
        (count > 0).then(|| format!("{count} {}", kind.name(false)))
    });
    rows.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

/// Returns the message that names the targets that may have run without a known end; `None` if there are none.
pub(crate) fn uncertain_text(labels: &[impl AsRef<str>]) -> Option<String> {
    let (count, names) = (labels.len(), fold(labels.iter().map(AsRef::as_ref)));
    let text =
        format!("{count} uncertain: the command may have run, and its end is not known: {names}");
    let help = "look at these hosts; to run the command there again, name them with -w";
    (count > 0).then(|| with_help(text, Some(help)))
}

/// A row of `--status`.
#[derive(Clone, Copy, PartialEq, Eq)]
enum RowKind {
    Done,
    Failed,
    Uncertain,
    NotStarted,
}

impl RowKind {
    const ALL: [RowKind; 4] = [
        RowKind::Done,
        RowKind::Failed,
        RowKind::Uncertain,
        RowKind::NotStarted,
    ];

    fn has(self, progress: Progress) -> bool {
        self == match progress {
            Progress::Done { .. } => RowKind::Done,
            Progress::Failed | Progress::CommandFailed { .. } => RowKind::Failed,
            Progress::Uncertain => RowKind::Uncertain,
            Progress::NotStarted => RowKind::NotStarted,
        }
    }

    /// Returns the words of the row. While another process runs targets, a start without an end is in progress.
    fn name(self, is_running: bool) -> &'static str {
        match self {
            RowKind::Done => "done",
            RowKind::Failed => "failed",
            RowKind::Uncertain if is_running => "in progress or uncertain",
            RowKind::Uncertain => "uncertain",
            RowKind::NotStarted => "not started",
        }
    }
}

/// Prints the state of a journal, and returns the status that the run has so far.
///
/// # Errors
/// The journal cannot be read, or standard output cannot be written.
pub(crate) fn print_status(path: &Path, worst: bool) -> Result<ExitStatus, Error> {
    let looked = open_file(path).and_then(|file| JournalFile::look(&file));
    let (state, is_running) = looked.map_err(|fault| Error::journal(path, fault))?;
    if is_running {
        let session = &state.last_session;
        print_message(&format!(
            "a run writes this journal now: process {} on {}",
            session.pid, session.machine
        ));
    } else if state.incomplete > 0 {
        print_message("the last line of the journal is incomplete and is ignored");
    }
    let mut text = String::new();
    for kind in RowKind::ALL {
        let labels = state.labels(|progress| kind.has(progress));
        let count = labels.len();
        let name = kind.name(is_running);
        text.push_str(&format!("{name}: {count}"));
        if count > 0 {
            text.push_str(&format!(": {}", fold(labels)));
        }
        text.push('\n');
    }
    print(text)?;
    let mut stats = RunStats::default();
    state
        .progress()
        .for_each(|progress| count(&mut stats, progress));
    // The same status as for a run that was stopped before these targets.
    stats.cancel = (stats.not_started > 0).then_some(CancelReason::Failures);
    Ok(ExitStatus::of_run(&stats, worst, Ok(())))
}
