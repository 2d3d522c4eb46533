//! The form of help below a message, which is the same in the whole program.

use std::fmt::Display;

/// Start of a line of help.
pub(crate) const HELP: &str = "  = help: ";

/// Returns the line of this help, to be put directly after its message.
pub(crate) fn help_line(help: impl Display) -> String {
    format!("\n{HELP}{help}")
}

/// Returns a message with its help, if there is any.
pub(crate) fn with_help(message: impl Display, help: Option<impl Display>) -> String {
    let help = help.map(help_line).unwrap_or_default();
    format!("{message}{help}")
}
