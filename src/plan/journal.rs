//! The part of the plan about the journal: what a new one records, and what is left of a known one.

use std::env;
use std::path::PathBuf;
use std::sync::Arc;

use crate::cli::{Cli, TypedLine};
use crate::error::Error;
use crate::event::RunStats;
use crate::journal::{
    JournalFile, JournalState, Progress, RecordedEndpoint, RecordedPlan, RecordedScript,
    RecordedTarget, RecordedWord,
};
use crate::output::{Endpoint, RunInfo};
use crate::targets::Target;

/// The journal of a run.
#[derive(Debug)]
pub enum JournalPlan {
    /// A new journal, which is made in the set-up.
    New {
        /// Path of the file.
        path: PathBuf,
        /// The first line, without standard input.
        recorded: Box<RecordedPlan>,
        /// The command line as it was typed.
        line: Vec<RecordedWord>,
    },
    /// Another session of a known one.
    Resumed(Box<ResumedRun>),
}

/// A run that is taken up again.
#[derive(Debug)]
pub struct ResumedRun {
    /// Path of the journal.
    pub path: PathBuf,
    /// The file, which no other process may write now.
    pub file: JournalFile,
    /// Everything that the journal says.
    pub state: JournalState,
    /// Numbers of the targets to run, in the list of the journal.
    pub numbers: Arc<[u32]>,
    /// The command line as it was typed.
    pub line: Vec<RecordedWord>,
}

impl ResumedRun {
    /// Chooses the targets to run: those that have not started, and with `failed` those that failed.
    #[must_use]
    pub fn new(
        path: PathBuf,
        (file, state): (JournalFile, JournalState),
        failed: bool,
        line: Vec<RecordedWord>,
    ) -> ResumedRun {
        let is_chosen = |progress| match progress {
            Progress::NotStarted => true,
            Progress::Failed | Progress::CommandFailed { .. } => failed,
            Progress::Done { .. } | Progress::Uncertain => false,
        };
        let numbers = (0..).zip(state.progress());
        let numbers = numbers
            .filter(|(_, progress)| is_chosen(*progress))
            .map(|(number, _)| number)
            .collect();
        ResumedRun {
            path,
            file,
            state,
            numbers,
            line,
        }
    }

    /// Returns the targets to run.
    #[must_use]
    pub fn targets(&self) -> Arc<[Target]> {
        let targets = self.numbers.iter();
        targets
            .map(|number| self.state.targets[*number as usize].clone())
            .collect()
    }

    /// Returns the numbers of the targets that this session does not run. Uncertain targets count as failed.
    #[must_use]
    pub fn earlier(&self) -> RunStats {
        let mut stats = RunStats::default();
        let mut chosen = self.numbers.iter().copied().peekable();
        for (number, progress) in (0..).zip(self.state.progress()) {
            if chosen.next_if_eq(&number).is_none() {
                count(&mut stats, progress);
            }
        }
        stats
    }

    /// Returns the labels of the targets whose command may have run without a known end.
    #[must_use]
    pub fn uncertain(&self) -> Vec<&str> {
        self.state
            .labels(|progress| progress == Progress::Uncertain)
    }

    /// Checks that the options and this machine's configuration lead to the same endpoints as before.
    fn check_endpoints(&self, info: &RunInfo) -> Result<(), Error> {
        for (index, (number, target)) in self.numbers.iter().zip(&*info.targets).enumerate() {
            let recorded = &self.state.header.plan.targets[*number as usize];
            let now = endpoint(info.endpoint(index, target));
            if recorded.endpoint != now {
                return Err(Error::OtherEndpoint {
                    label: recorded.label.clone(),
                    recorded: endpoint_text(&recorded.endpoint),
                    now: endpoint_text(&now),
                });
            }
        }
        Ok(())
    }
}

/// Counts a target of an earlier session.
pub(crate) fn count(stats: &mut RunStats, progress: Progress) {
    stats.total += 1;
    match progress {
        Progress::NotStarted => stats.not_started += 1,
        Progress::Uncertain | Progress::Failed => stats.failed += 1,
        Progress::Done { status } => {
            stats.succeeded += 1;
            stats.worst_status = stats.worst_status.max(status);
        }
        Progress::CommandFailed { status } => {
            stats.exit_failed += 1;
            stats.worst_status = stats.worst_status.max(status);
        }
    }
}

/// Decides the journal of a run.
///
/// # Errors
/// A resumed run is not the one of the journal.
pub(super) fn decide(
    cli: &Cli,
    info: &RunInfo,
    script: Option<&RecordedScript>,
    resumed: Option<ResumedRun>,
) -> Result<Option<JournalPlan>, Error> {
    let here = env::current_dir().map_err(Error::system("find the working directory"))?;
    let here = RecordedWord::new(here.as_os_str());
    let user = super::caller();
    if let Some(run) = resumed {
        let plan = &run.state.header.plan;
        // Relative paths of the command line would mean other files.
        if plan.directory != here {
            return Err(Error::OtherDirectory {
                directory: plan.directory.to_os_string().unwrap_or_default().into(),
            });
        }
        // The remote user may depend on the local one, and the files of the run belong to that one.
        if plan.user != user {
            return Err(Error::OtherUser {
                user: plan.user.clone(),
            });
        }
        if plan.script.as_ref() != script {
            return Err(Error::OtherScript);
        }
        run.check_endpoints(info)?;
        return Ok(Some(JournalPlan::Resumed(Box::new(run))));
    }
    let Some(path) = &cli.journal.journal else {
        return Ok(None);
    };
    let TypedLine {
        typed,
        options,
        command,
    } = &cli.journal.line;
    let words =
        |words: &[std::ffi::OsString]| words.iter().map(|word| RecordedWord::new(word)).collect();
    let targets = info.targets.iter().enumerate();
    Ok(Some(JournalPlan::New {
        path: path.clone(),
        recorded: Box::new(RecordedPlan {
            user,
            directory: here,
            options: words(options),
            command: words(command),
            script: script.cloned(),
            input: None,
            targets: targets
                .map(|(index, target)| {
                    RecordedTarget::new(target, endpoint(info.endpoint(index, target)))
                })
                .collect(),
        }),
        line: words(typed),
    }))
}

fn endpoint(endpoint: Endpoint<'_>) -> RecordedEndpoint {
    RecordedEndpoint {
        host: endpoint.host.to_owned(),
        transport: endpoint.transport.name().to_owned(),
        user: endpoint.user.map(str::to_owned),
        port: endpoint.port,
        by_way_of: endpoint.jump_hosts.map(str::to_owned),
    }
}

fn endpoint_text(endpoint: &RecordedEndpoint) -> String {
    let mut text = format!("{}://", endpoint.transport);
    if let Some(user) = &endpoint.user {
        text.push_str(&format!("{user}@"));
    }
    text.push_str(&endpoint.host);
    if let Some(port) = endpoint.port {
        text.push_str(&format!(":{port}"));
    }
    if let Some(jump) = &endpoint.by_way_of {
        text.push_str(&format!(" through {jump}"));
    }
    text
}
