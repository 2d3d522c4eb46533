//! The reader of journals: lines to the state of each target. No file access, so that tests give it any bytes.

use std::io::{self, BufRead, Read};

use super::record::{Header, ReadLine, ReadOutcome, START, SessionRecord};
use crate::event::{FailureClass, INTERNAL};
use crate::targets::Target;

/// Maximum length of the first line in bytes.
// A million targets take about 200 MB.
const MAX_HEADER: u64 = 1 << 30;

/// Maximum length of any other line in bytes.
const MAX_LINE: u64 = 4 << 20;

/// State of a target after all sessions of a journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// The command has provably not started.
    NotStarted,
    /// The command may have started, and its end is not known.
    Uncertain,
    /// The command succeeded.
    Done {
        /// Its status, if it has one.
        status: Option<u8>,
    },
    /// The command failed, and its end is known. `None` if it was stopped.
    CommandFailed {
        /// Its status, 128 + n for a signal n.
        status: Option<u8>,
    },
    /// The target was not reached, timed out or was lost, and its command does not run.
    Failed,
}

/// A target in the journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct TargetState {
    progress: Progress,
    /// State before the start in this session, until the target has ended.
    before: Option<Progress>,
}

/// A journal as it was read.
#[derive(Debug)]
pub struct JournalState {
    /// The first line.
    pub header: Header,
    /// All targets of the run, as they were named.
    pub targets: Vec<Target>,
    states: Vec<TargetState>,
    /// The last session.
    pub last_session: SessionRecord,
    /// Number of sessions.
    pub sessions: usize,
    /// Number of bytes up to the end of the last whole line.
    pub length: u64,
    /// Number of bytes after the last whole line.
    pub incomplete: u64,
}

/// The reason why a journal cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadFault {
    /// The file is empty.
    #[error("it is empty")]
    Empty,
    /// The file is something else.
    #[error("it is no journal of mrsh")]
    Foreign,
    /// The format has another version.
    #[error("it has version {0} of the format, and this program reads version 1")]
    Version(u64),
    /// mrsh ended before the first line was written.
    #[error("its first line is incomplete, so nothing was started")]
    NoHeader,
    /// A line cannot be read or contradicts the lines before it.
    #[error("line {line}: {fault}")]
    Corrupt {
        /// Number of the line, counted from 1.
        line: usize,
        /// The fault.
        fault: String,
    },
    /// The file cannot be read.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl JournalState {
    /// Reads a journal. Ignores a last line without its end, since its write was cut.
    ///
    /// # Errors
    /// See [`ReadFault`].
    pub fn read(mut from: impl BufRead) -> Result<JournalState, ReadFault> {
        let mut line = Vec::new();
        let header = match next_line(&mut from, &mut line, MAX_HEADER)? {
            LineEnd::Whole => header(&line)?,
            LineEnd::Cut if line.is_empty() => return Err(ReadFault::Empty),
            LineEnd::Cut if is_start_of_header(&line) => return Err(ReadFault::NoHeader),
            LineEnd::Cut | LineEnd::TooLong => return Err(ReadFault::Foreign),
        };
        let targets: Option<Vec<Target>> = header
            .plan
            .targets
            .iter()
            .map(|target| target.target())
            .collect();
        let targets = targets.ok_or_else(|| corrupt(1, "a target has no meaning"))?;
        let mut state = JournalState {
            states: vec![
                TargetState {
                    progress: Progress::NotStarted,
                    before: None,
                };
                targets.len()
            ],
            targets,
            last_session: header.session.clone(),
            header,
            sessions: 1,
            length: line.len() as u64,
            incomplete: 0,
        };
        for number in 2.. {
            line.clear();
            match next_line(&mut from, &mut line, MAX_LINE)? {
                LineEnd::Whole => {
                    let read = parsed(&line);
                    let taken = read.and_then(|line| state.take(line));
                    taken.map_err(|fault| corrupt(number, &fault))?;
                    state.length += line.len() as u64;
                }
                LineEnd::Cut => break,
                LineEnd::TooLong => return Err(corrupt(number, "it is too long")),
            }
        }
        state.incomplete = line.len() as u64;
        Ok(state)
    }

    fn take(&mut self, line: ReadLine) -> Result<(), String> {
        match line {
            ReadLine::Resume(session) => {
                self.last_session = session;
                self.sessions += 1;
                // Targets that the earlier session left open stay uncertain.
                self.states.iter_mut().for_each(|state| state.before = None);
                Ok(())
            }
            ReadLine::Started { target, label } => {
                let state = self.state(target, &label)?;
                match state.progress {
                    Progress::Uncertain => Err(format!("{label} is started a second time")),
                    Progress::Done { .. } => Err(format!("{label} is started and was done")),
                    before => {
                        *state = TargetState {
                            progress: Progress::Uncertain,
                            before: Some(before),
                        };
                        Ok(())
                    }
                }
            }
            ReadLine::Finished(outcome) => {
                let state = self.state(outcome.target, &outcome.label)?;
                state.end(&outcome);
                Ok(())
            }
        }
    }

    fn state(&mut self, target: u32, label: &str) -> Result<&mut TargetState, String> {
        let index = target as usize;
        match self.targets.get(index) {
            Some(known) if *known.label == *label => Ok(&mut self.states[index]),
            _ => Err(format!("target {target} is not {label:?}")),
        }
    }

    /// Returns the state of each target, in the order of the list.
    pub fn progress(&self) -> impl Iterator<Item = Progress> {
        self.states.iter().map(|state| state.progress)
    }

    /// Returns the labels of the targets whose state is chosen.
    pub fn labels(&self, chosen: impl Fn(Progress) -> bool) -> Vec<&str> {
        let targets = self.targets.iter().zip(self.progress());
        targets
            .filter(|(_, progress)| chosen(*progress))
            .map(|(target, _)| &*target.label)
            .collect()
    }
}

impl TargetState {
    fn end(&mut self, outcome: &ReadOutcome) {
        let before = self.before.take();
        let was_started = before.is_some();
        let is_open = outcome.left_running || outcome.may_be_running;
        self.progress = match outcome.outcome.as_str() {
            // A defect in mrsh leaves the command unknown.
            name if is_open || name == INTERNAL && was_started => Progress::Uncertain,
            _ if outcome.success => Progress::Done {
                status: outcome.status,
            },
            // The request may be on its way, but the command did not start.
            "cancelled" | "not-started" if outcome.ms.run.is_none() => {
                before.unwrap_or(self.progress)
            }
            "cancelled" => Progress::CommandFailed { status: None },
            "failed" if outcome.is_copy() => Progress::CommandFailed { status: Some(1) },
            "exited" | "signaled" | "ended" => Progress::CommandFailed {
                status: outcome
                    .status
                    .or(outcome.signal.map(|signal| signal.saturating_add(128))),
            },
            "failed" | INTERNAL => Progress::Failed,
            // An outcome that this version does not know says nothing about the command.
            _ => Progress::Uncertain,
        };
    }
}

impl ReadOutcome {
    fn is_copy(&self) -> bool {
        let class = self.failure.as_ref().map(|failure| &*failure.class);
        class == Some(FailureClass::Copy.name())
    }
}

/// The end of a line that was read.
enum LineEnd {
    /// A newline.
    Whole,
    /// The end of the file.
    Cut,
    /// The limit.
    TooLong,
}

/// Reads the next line with its newline into an empty buffer.
fn next_line(from: &mut impl BufRead, line: &mut Vec<u8>, most: u64) -> io::Result<LineEnd> {
    from.take(most).read_until(b'\n', line)?;
    Ok(match line.last() {
        Some(b'\n') => LineEnd::Whole,
        _ if line.len() as u64 == most => LineEnd::TooLong,
        _ => LineEnd::Cut,
    })
}

fn corrupt(line: usize, fault: &str) -> ReadFault {
    ReadFault::Corrupt {
        line,
        fault: fault.to_owned(),
    }
}

fn parsed(line: &[u8]) -> Result<ReadLine, String> {
    if !line.starts_with(START.as_bytes()) {
        return Err("it is no line of a journal".to_owned());
    }
    serde_json::from_slice(line).map_err(|error| format!("it is no line of a journal: {error}"))
}

/// True for the beginning of a first line, or for the whole of it.
fn is_start_of_header(line: &[u8]) -> bool {
    const HEADER: &[u8] = b"{\"v\":1,\"event\":\"journal\",";
    let common = line.len().min(HEADER.len());
    line[..common] == HEADER[..common]
}

fn header(line: &[u8]) -> Result<Header, ReadFault> {
    if !is_start_of_header(line) {
        // A later version can change everything but these two fields.
        let other: Option<serde_json::Value> = serde_json::from_slice(line).ok();
        return Err(match other {
            Some(other) if other["event"] == "journal" => match other["v"].as_u64() {
                Some(1) | None => ReadFault::Foreign,
                Some(version) => ReadFault::Version(version),
            },
            _ => ReadFault::Foreign,
        });
    }
    let header: Header =
        serde_json::from_slice(line).map_err(|error| corrupt(1, &error.to_string()))?;
    if header.program != env!("CARGO_PKG_NAME") {
        return Err(ReadFault::Foreign);
    }
    if header.plan.digest() != header.digest {
        return Err(corrupt(1, "the digest does not match, so it was changed"));
    }
    Ok(header)
}
