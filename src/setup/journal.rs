//! The journal of a run: made or taken up before the first connection.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{FileType, SeekFrom, fstat, seek};

use crate::error::Error;
use crate::event::{Notice, RunStats};
use crate::journal::{
    Header, JournalFault, JournalFile, JournalWriter, RecordedInput, RecordedPlan, RecordedWord,
    SessionRecord,
};
use crate::messages::print_message_without_wait;
use crate::output;
use crate::plan::{JournalPlan, ResumedRun};
use crate::random;
use crate::resume;
use crate::targets::Target;

/// A journal whose file this process may write, before the first line of the session.
pub(super) enum OpenJournal {
    New {
        path: PathBuf,
        file: JournalFile,
        recorded: Box<RecordedPlan>,
        line: Vec<RecordedWord>,
    },
    Resumed(Box<ResumedRun>),
}

impl OpenJournal {
    /// Opens the file, before anything else of the run is set up. `stdin` is true if the commands read standard input.
    pub(super) fn open(plan: JournalPlan, stdin: bool) -> Result<OpenJournal, Error> {
        let input = stdin.then(recorded_input).transpose();
        let input = input.map_err(Error::system("read standard input"))?;
        match plan {
            JournalPlan::New {
                path,
                mut recorded,
                line,
            } => {
                recorded.input = input;
                let opened = output::open_private(&path, true).map_err(JournalFault::from);
                let file = opened.and_then(JournalFile::of_new_run);
                let file = file.map_err(|fault| Error::journal(&path, fault))?;
                Ok(OpenJournal::New {
                    path,
                    file,
                    recorded,
                    line,
                })
            }
            JournalPlan::Resumed(run) => {
                if let (Some(known @ RecordedInput::File { .. }), now) =
                    (&run.state.header.plan.input, input)
                    && Some(known) != now.as_ref()
                {
                    return Err(Error::OtherInput);
                }
                Ok(OpenJournal::Resumed(run))
            }
        }
    }

    /// Writes the first line of the session, with the identifier of a new run, and starts the thread that writes the others.
    pub(super) fn start(
        self,
        run_id: &str,
        targets: &Arc<[Target]>,
    ) -> Result<StartedJournal, Error> {
        let count = targets.len();
        let (path, file, numbers, earlier) = match self {
            OpenJournal::New {
                path,
                mut file,
                recorded,
                line,
            } => {
                let header = Header {
                    program: env!("CARGO_PKG_NAME").to_owned(),
                    run: run_id.to_string(),
                    session: SessionRecord::of_this_process(line, count),
                    digest: recorded.digest(),
                    plan: *recorded,
                };
                file.begin(&header).map_err(|error| written(&path, error))?;
                (path, file, None, None)
            }
            OpenJournal::Resumed(run) => {
                let earlier = EarlierSessions::new(&run);
                let ResumedRun {
                    path,
                    mut file,
                    state,
                    numbers,
                    line,
                } = *run;
                let session = SessionRecord::of_this_process(line, count);
                file.resume(&state, &session)
                    .map_err(|error| written(&path, error))?;
                (path, file, Some(numbers), Some(earlier))
            }
        };
        let writer = JournalWriter::start(file, Arc::clone(targets), numbers);
        let writer = writer.map_err(|error| written(&path, error))?;
        Ok(StartedJournal {
            path,
            writer,
            earlier,
        })
    }
}

fn written(path: &Path, error: io::Error) -> Error {
    Error::journal(path, error.into())
}

/// The journal of a run that has begun.
#[derive(Debug)]
pub(super) struct StartedJournal {
    path: PathBuf,
    pub(super) writer: JournalWriter,
    /// Present in a resumed run.
    earlier: Option<EarlierSessions>,
}

/// Targets that a resumed run does not run, and what is known of them.
#[derive(Debug)]
struct EarlierSessions {
    /// Their numbers. Uncertain targets count as failed.
    stats: RunStats,
    /// Labels of the uncertain ones.
    uncertain: Vec<String>,
    /// Text of the notice at the start.
    notice: String,
}

impl StartedJournal {
    /// Returns the notice for the start of a resumed run.
    pub(super) fn notice(&self) -> Option<Notice> {
        let text = self.earlier.as_ref()?.notice.clone();
        Some(Notice {
            verbose: false,
            text,
        })
    }

    /// Writes the rest, names the uncertain targets of earlier sessions and returns the numbers of all sessions.
    pub(super) fn end(self, stats: RunStats, errors: &mut Vec<io::Error>) -> RunStats {
        if let Err(error) = self.writer.finish() {
            let text = format!("cannot write the journal {}: {error}", self.path.display());
            errors.push(io::Error::new(error.kind(), text));
        }
        let Some(earlier) = self.earlier else {
            return stats;
        };
        if let Some(text) = resume::uncertain_text(&earlier.uncertain) {
            print_message_without_wait(&text);
        }
        let mut all = stats;
        let RunStats {
            total,
            succeeded,
            exit_failed,
            failed,
            not_started,
            worst_status,
            ..
        } = earlier.stats;
        all.total += total;
        all.succeeded += succeeded;
        all.exit_failed += exit_failed;
        all.failed += failed;
        all.not_started += not_started;
        all.worst_status = all.worst_status.max(worst_status);
        all
    }
}

impl EarlierSessions {
    fn new(run: &ResumedRun) -> EarlierSessions {
        let labels = run.uncertain().into_iter();
        let counts = resume::counts(&run.state);
        EarlierSessions {
            stats: run.earlier(),
            uncertain: labels.map(str::to_owned).collect(),
            notice: format!("resuming {}: {counts}", run.path.display()),
        }
    }
}

/// Returns what can be compared of standard input. Its position stays.
fn recorded_input() -> io::Result<RecordedInput> {
    let stdin = rustix::stdio::stdin();
    if !fstat(stdin)
        .is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile)
    {
        return Ok(RecordedInput::Stream);
    }
    let start = seek(stdin, SeekFrom::Current(0))?;
    let file = File::from(stdin.as_fd().try_clone_to_owned()?);
    let mut hash = openssl::sha::Sha256::new();
    let mut buffer = vec![0; 256 << 10];
    let mut length = 0;
    loop {
        match file.read_at(&mut buffer, start + length)? {
            0 => break,
            count => {
                hash.update(&buffer[..count]);
                length += count as u64;
            }
        }
    }
    let sha256 = random::hex(&hash.finish());
    Ok(RecordedInput::File { length, sha256 })
}
