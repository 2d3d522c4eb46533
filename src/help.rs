//! The form of help below a message, one for the whole program.

use std::fmt::Display;

/// The start of a line that says what to do about the message above it.
pub(crate) const HELP: &str = "  = help: ";

/// Returns the line with this help, to be put directly after its message.
pub(crate) fn help_line(help: impl Display) -> String {
    format!("\n{HELP}{help}")
}

/// Returns a message with its help, if there is any.
pub(crate) fn with_help(message: impl Display, help: Option<impl Display>) -> String {
    let help = help.map(help_line).unwrap_or_default();
    format!("{message}{help}")
}
