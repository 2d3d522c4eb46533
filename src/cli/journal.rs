//! The options of the journal: `--journal` and `--resume`.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::Args;

/// The options of the journal.
#[derive(Debug, Default, Args)]
pub struct JournalArgs {
    /// Record in FILE which targets may have started and how they ended, so that --resume can take up the run
    #[arg(
        long = "journal",
        value_name = "FILE",
        conflicts_with = "resume",
        help_heading = "Journal"
    )]
    pub journal: Option<PathBuf>,

    /// Run the targets of the journal FILE that have provably not started, and name those that may have; options of
    /// output may be given anew
    #[arg(long = "resume", value_name = "FILE", help_heading = "Journal")]
    pub resume: Option<PathBuf>,

    /// With --resume, also run the targets that failed
    #[arg(long = "failed", requires = "resume", help_heading = "Journal")]
    pub failed: bool,

    /// With --resume, only print which targets are done, failed, uncertain and not started
    #[arg(
        long = "status",
        requires = "resume",
        conflicts_with = "failed",
        help_heading = "Journal"
    )]
    pub status: bool,

    /// The command line, for the journal.
    #[arg(skip)]
    pub line: TypedLine,
}

/// A command line for a journal.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TypedLine {
    /// The words as they were typed, without the name of the program.
    pub typed: Vec<OsString>,
    /// The options, with the settings of configuration files and the environment.
    pub options: Vec<OsString>,
    /// The words of the command.
    pub command: Vec<OsString>,
}
