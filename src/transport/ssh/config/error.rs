//! What is wrong with a configuration, shown with the line that it is in.

use std::fmt;
use std::io;
use std::path::PathBuf;

use crate::targets::Diagnostic;

/// Why a configuration, or a host's part of it, cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// A line that is wrong, or that asks for something that cannot be done.
    #[error(transparent)]
    Line(#[from] Box<LineFault>),
    /// A file that was asked for, or that is there, and cannot be read.
    #[error("cannot read the ssh configuration {}", file.display())]
    Read {
        /// Its path.
        file: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A file that others could have written.
    #[error(
        "bad owner or permissions on {}: it must be yours or root's, and nobody else may write to it",
        file.display()
    )]
    Permissions {
        /// Its path.
        file: PathBuf,
    },
    /// A way to a host that leads through others without end.
    #[error(
        "more than {most} hosts are on the way to {host}: a ProxyJump leads in a circle, or too far"
    )]
    Way {
        /// The host.
        host: String,
        /// How many there may be.
        most: usize,
    },
    /// More than a configuration can be.
    #[error("the ssh configuration is too big at {}: {what}", file.display())]
    TooBig {
        /// The file at which it became too much.
        file: PathBuf,
        /// Which limit it is.
        what: &'static str,
    },
}

impl ConfigError {
    /// The error on one line, with its file and line number, for reports that give each host one.
    #[must_use]
    pub fn one_line(&self) -> String {
        match self {
            ConfigError::Line(fault) => fault.short.clone(),
            ConfigError::Read { source, .. } => format!("{self}: {source}"),
            other => other.to_string(),
        }
    }
}

/// A fault in a line.
#[derive(Debug)]
pub struct LineFault {
    /// With the line and a caret.
    pub(super) diagnostic: Diagnostic,
    /// On one line.
    pub(super) short: String,
}

impl fmt::Display for LineFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.diagnostic.fmt(f)
    }
}

impl std::error::Error for LineFault {}
