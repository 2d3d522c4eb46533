//! What expressions look up outside of themselves: groups, and files of hosts.
//!
//! The module does no input or output; the readers of group sources and the reader of hosts
//! files implement these traits.

use std::ops::Range;
use std::sync::Arc;

use super::list::HostList;

/// Where groups of hosts are defined. A source of `None` is the default one.
pub trait GroupSource {
    /// The definition of a group.
    fn lookup(&self, source: Option<&str>, group: &str) -> Result<Definition, GroupError>;

    /// The definition of all hosts, if the source has one; else they are the hosts of all groups.
    fn all(&self, source: Option<&str>) -> Result<Option<Definition>, GroupError>;

    /// The names of the groups.
    fn list(&self, source: Option<&str>) -> Result<Vec<String>, GroupError>;
}

/// What a group stands for.
#[derive(Clone, Debug)]
pub enum Definition {
    /// An expression.
    Text {
        /// The expression.
        text: String,
        /// The source of the groups that it names without their source.
        source: Option<String>,
        /// Its place, if it is in a file that errors can quote.
        place: Option<Arc<DefinitionPlace>>,
    },
    /// Hosts about which more is known than an expression can say.
    Hosts(Arc<HostList>),
}

/// The place of a definition in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DefinitionPlace {
    /// Name of the file.
    pub file: Arc<str>,
    /// Line number, counted from 1.
    pub line: usize,
    /// Text of the line.
    pub text: String,
    /// Bytes of the definition in the line.
    pub span: Range<usize>,
}

/// Why a group cannot be looked up.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GroupError {
    /// Groups are not defined anywhere.
    #[error("there are no groups here: nothing defines any")]
    NoSource,
    /// There is no source of this name.
    #[error("there is no source of groups called \"{name}\"")]
    UnknownSource {
        /// The name that was asked for.
        name: String,
        /// The names that there are.
        known: Vec<String>,
    },
    /// The source has no group of this name.
    #[error("there is no group \"{name}\"")]
    UnknownGroup {
        /// The name that was asked for.
        name: String,
        /// The groups that there are, if the source can tell.
        known: Vec<String>,
    },
    /// More than one source defines this.
    #[error("{what} is defined by several sources: {}", sources.join(", "))]
    Ambiguous {
        /// The group, or all hosts, in words.
        what: String,
        /// The group's name, `*` for all hosts.
        name: String,
        /// The sources that define it.
        sources: Vec<String>,
    },
    /// The source cannot do what is asked for.
    #[error("the source of groups {name} cannot say {what}")]
    Unsupported {
        /// The source.
        name: String,
        /// What it was asked for.
        what: &'static str,
    },
    /// A file of the source cannot be read.
    #[error("{message}")]
    Unreadable {
        /// The file, and why.
        message: String,
        /// What to do about it, if that is known.
        help: Option<String>,
    },
    /// The source failed.
    #[error("{0}")]
    Failed(String),
}

/// Where `^file` is read.
pub trait HostFiles {
    /// The hosts that a file names; `-` is standard input. The error is a text to be shown.
    fn read(&self, path: &str) -> Result<Arc<HostList>, String>;
}

/// No groups and no files: an expression has to name its hosts itself.
#[derive(Clone, Copy, Debug, Default)]
pub struct Nothing;

impl GroupSource for Nothing {
    fn lookup(&self, _: Option<&str>, _: &str) -> Result<Definition, GroupError> {
        Err(GroupError::NoSource)
    }

    fn all(&self, _: Option<&str>) -> Result<Option<Definition>, GroupError> {
        Err(GroupError::NoSource)
    }

    fn list(&self, _: Option<&str>) -> Result<Vec<String>, GroupError> {
        Err(GroupError::NoSource)
    }
}

impl HostFiles for Nothing {
    fn read(&self, path: &str) -> Result<Arc<HostList>, String> {
        Err(format!("{path} cannot be read from here"))
    }
}
