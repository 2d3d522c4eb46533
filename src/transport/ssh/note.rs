//! What the rooms of ssh have to tell the user about files, before a run.

/// Something that the user may want to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// Whether it is told only to those who asked for more (`-v`).
    pub verbose: bool,
    /// A line of text.
    pub text: String,
}
