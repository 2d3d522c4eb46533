//! Errors of a configuration, with the line that caused them.

use std::fmt;
use std::io;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

/// An error of a configuration as a whole, or of its settings for one host.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// A line is wrong, or asks for something that is not supported.
    #[error(transparent)]
    Line(#[from] Box<ConfigLineError>),
    /// A file that was named, or that exists, cannot be read.
    #[error("cannot read the ssh configuration {}", file.display())]
    Read {
        /// Path of the file.
        file: PathBuf,
        /// Error of the operating system.
        #[source]
        source: io::Error,
    },
    /// Other users can write to a file.
    #[error(
        "bad owner or permissions on {}: it must be yours or root's, and nobody else may write to it",
        file.display()
    )]
    Permissions {
        /// Path of the file.
        file: PathBuf,
    },
    /// There are too many jump hosts. The usual cause is a `ProxyJump` that forms a circle.
    #[error(
        "more than {limit} jump hosts to reach {host}: ProxyJump forms a circle, or has too many hosts"
    )]
    TooManyJumps {
        /// Name of the destination.
        host: String,
        /// Maximum number of jump hosts.
        limit: usize,
    },
    /// The configuration is larger than any real one.
    #[error("the ssh configuration is too big at {}: {limit}", file.display())]
    TooBig {
        /// File that exceeds the limit.
        file: PathBuf,
        /// The limit.
        limit: &'static str,
    },
}

/// An error in one line of a configuration.
///
/// [`Display`](fmt::Display) writes it on one line, with its position and help.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConfigLineError {
    /// Path of the file, or [`ConfigOption::origin`](crate::ConfigOption::origin).
    pub origin: Arc<str>,
    /// Line number in the file, from 1. Options have none.
    pub line: Option<usize>,
    /// The line without its end, or the option.
    pub text: String,
    /// The wrong bytes of `text`.
    pub span: Range<usize>,
    /// Kind of the error.
    pub kind: ConfigLineErrorKind,
    /// Description of the error.
    pub message: String,
    /// Suggested correction.
    pub help: Option<String>,
}

/// Kind of a [`ConfigLineError`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConfigLineErrorKind {
    /// The line has a syntax error, an unknown keyword or a bad value.
    Invalid,
    /// The line is valid for OpenSSH. It would change the trusted keys or the connection in a way that
    /// [`HostConfig`](crate::HostConfig) cannot express.
    Unsupported {
        /// The keyword.
        keyword: &'static str,
        /// A value of the keyword that is supported.
        supported_value: Option<&'static str>,
    },
    /// The settings disable all of the authentication methods `publickey`, `password` and `keyboard-interactive`.
    NoAuthentication,
}

impl ConfigLineError {
    /// Column of the error in its line, in characters from 1.
    #[must_use]
    pub fn column(&self) -> usize {
        let before = &self.text[..self.span.start];
        // An option can have several lines.
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        before[line_start..].chars().count() + 1
    }
}

impl fmt::Display for ConfigLineError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "{}:{line}: {}", self.origin, self.message)?,
            None => write!(f, "{} {}: {}", self.origin, self.text, self.message)?,
        }
        match &self.help {
            Some(help) => write!(f, " ({help})"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for ConfigLineError {}
