//! The journal of a run (`--journal`): which targets may have started, and how they ended.
//!
//! A journal is a file of JSON lines that only grows. The first line is the header: the options, the command and the
//! targets. Each start of mrsh on a journal is a session: the first one has the header, each later one (`--resume`) a
//! line `resume`. A session adds one line before a target's command may start (`started`) and one with its outcome
//! (`finished`, as in `--json`).
//!
//! The promise: a line `started` is on the disk before the request that can start the command leaves this machine. So
//! a target without that line has provably not run. [`Journal`] writes, [`JournalState`] reads.

mod file;
mod record;
mod state;
#[cfg(test)]
mod tests;
mod writer;

pub use file::{JournalFault, JournalFile};
pub use record::{
    Header, RecordedEndpoint, RecordedInput, RecordedPlan, RecordedScript, RecordedTarget,
    RecordedWord, SessionRecord,
};
pub use state::{JournalState, Progress, ReadFault};
pub use writer::{Journal, JournalWriter, NotRecorded};
