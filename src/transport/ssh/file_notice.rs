//! Notices about the user's ssh files, before a run.

/// A notice about one of the user's files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileNotice {
    /// True if it is shown only with `-v`.
    pub verbose: bool,
    /// Text, one line.
    pub text: String,
}
