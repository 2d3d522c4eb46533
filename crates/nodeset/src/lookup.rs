//! Look-ups outside an expression: groups, and files of hosts.
//!
//! The crate reads no file. The program implements these traits.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use crate::list::NodeList;

/// Definitions of groups, in one or more sources. A source of `None` is the default one.
///
/// ```
/// use nodeset::{Definition, GroupError, GroupSource, NoLookup, Resolver};
///
/// struct Racks;
///
/// impl GroupSource for Racks {
///     fn lookup(&self, _: Option<&str>, group: &str) -> Result<Definition, GroupError> {
///         let text = match group {
///             "rack1" => "node[1-40]",
///             "rack2" => "node[41-80]",
///             "io" => "node[1-80/20]",
///             _ => {
///                 let (name, known) = (group.to_owned(), self.list(None)?);
///                 return Err(GroupError::UnknownGroup { name, known });
///             }
///         };
///         Ok(Definition::Text { text: text.to_owned(), source: None, place: None })
///     }
///
///     fn all(&self, _: Option<&str>) -> Result<Option<Definition>, GroupError> {
///         Ok(None) // The hosts of all groups.
///     }
///
///     fn list(&self, _: Option<&str>) -> Result<Vec<String>, GroupError> {
///         Ok(["rack1", "rack2", "io"].map(str::to_owned).into())
///     }
/// }
///
/// let resolver = Resolver::new(1000, &Racks, &NoLookup);
/// assert_eq!(resolver.hosts("@rack1!@io")?.to_set().to_string(), "node[2-20,22-40]");
/// assert_eq!(resolver.hosts("@*&node?")?.to_set().to_string(), "node[1-9]");
/// # Ok::<(), nodeset::NodeSetError>(())
/// ```
pub trait GroupSource<A = ()> {
    /// Returns the definition of a group.
    ///
    /// # Errors
    /// There is no such group or source, or it cannot be read.
    fn lookup(&self, source: Option<&str>, group: &str) -> Result<Definition<A>, GroupError>;

    /// Returns the definition of all hosts; `None` if they are the hosts of all groups.
    ///
    /// # Errors
    /// There is no such source, or it cannot be read.
    fn all(&self, source: Option<&str>) -> Result<Option<Definition<A>>, GroupError>;

    /// Returns the names of all groups.
    ///
    /// # Errors
    /// There is no such source, or it cannot be read.
    fn list(&self, source: Option<&str>) -> Result<Vec<String>, GroupError>;
}

/// The definition of a group.
#[derive(Clone, Debug)]
pub enum Definition<A = ()> {
    /// An expression.
    Text {
        /// The expression.
        text: String,
        /// The source of groups that the expression names without a source.
        source: Option<String>,
        /// The place of the expression, if it is in a file that errors can quote.
        place: Option<Arc<DefinitionPlace>>,
    },
    /// A list, whose nodes may have data that no expression can give.
    Hosts(Arc<NodeList<A>>),
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

/// The reason why a group cannot be looked up.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum GroupError {
    /// Nothing defines groups.
    NoSource,
    /// There is no source of this name.
    UnknownSource {
        /// The name.
        name: String,
        /// Names of the sources.
        known: Vec<String>,
    },
    /// The source has no group of this name.
    UnknownGroup {
        /// The name.
        name: String,
        /// Names of the groups, if the source can list them.
        known: Vec<String>,
    },
    /// Several sources define a group.
    Ambiguous {
        /// The group, or the list of all hosts, in words.
        what: String,
        /// Name of the group, `*` for all hosts.
        name: String,
        /// The sources that define it.
        sources: Vec<String>,
    },
    /// The source cannot answer the question.
    Unsupported {
        /// The source.
        name: String,
        /// The question.
        what: &'static str,
    },
    /// A file of the source cannot be read.
    Unreadable {
        /// The file, and the cause.
        message: String,
        /// Advice for the user, if there is any.
        help: Option<String>,
    },
    /// A command of the source failed.
    CommandFailed {
        /// The source.
        name: String,
        /// The command.
        command: String,
        /// The way in which it ended, in words.
        cause: String,
    },
    /// The source failed.
    Failed(String),
}

impl fmt::Display for GroupError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            GroupError::NoSource => f.write_str("there are no groups here: nothing defines any"),
            GroupError::UnknownSource { name, .. } => {
                write!(f, "there is no source of groups called \"{name}\"")
            }
            GroupError::UnknownGroup { name, .. } => write!(f, "there is no group \"{name}\""),
            GroupError::Ambiguous { what, sources, .. } => {
                write!(
                    f,
                    "{what} is defined by several sources: {}",
                    sources.join(", ")
                )
            }
            GroupError::Unsupported { name, what } => {
                write!(f, "the source of groups {name} cannot say {what}")
            }
            GroupError::CommandFailed {
                name,
                command,
                cause,
            } => {
                write!(f, "the source of groups {name} failed: {cause}: {command}")
            }
            GroupError::Unreadable { message, .. } | GroupError::Failed(message) => {
                f.write_str(message)
            }
        }
    }
}

impl std::error::Error for GroupError {}

impl GroupError {
    /// Advice to the user, if there is any.
    #[must_use]
    pub fn help(&self) -> Option<String> {
        match self {
            GroupError::UnknownSource { known, .. } | GroupError::UnknownGroup { known, .. } => {
                // A source can have thousands of groups.
                const MANY: usize = 10;
                let more = if known.len() > MANY { ", …" } else { "" };
                let first = &known[..known.len().min(MANY)];
                (!known.is_empty()).then(|| format!("there are {}{more}", first.join(", ")))
            }
            GroupError::Ambiguous { name, sources, .. } => {
                // Any of the sources serves as an example.
                let first = sources.first().map_or("SOURCE", String::as_str);
                Some(format!("write @{first}:{name}"))
            }
            GroupError::NoSource => Some("name the hosts themselves".to_owned()),
            GroupError::Unreadable { help, .. } => help.clone(),
            GroupError::Unsupported { .. }
            | GroupError::CommandFailed { .. }
            | GroupError::Failed(_) => None,
        }
    }
}

/// Files of hosts, for `^file` in expressions.
pub trait HostFiles<A = ()> {
    /// Returns the hosts that a file names; `-` is standard input.
    ///
    /// # Errors
    /// A text for the user.
    fn read(&self, path: &str) -> Result<Arc<NodeList<A>>, String>;
}

/// No groups and no files: an expression has to name its hosts itself.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoLookup;

impl<A> GroupSource<A> for NoLookup {
    fn lookup(&self, _: Option<&str>, _: &str) -> Result<Definition<A>, GroupError> {
        Err(GroupError::NoSource)
    }

    fn all(&self, _: Option<&str>) -> Result<Option<Definition<A>>, GroupError> {
        Err(GroupError::NoSource)
    }

    fn list(&self, _: Option<&str>) -> Result<Vec<String>, GroupError> {
        Err(GroupError::NoSource)
    }
}

impl<A> HostFiles<A> for NoLookup {
    fn read(&self, path: &str) -> Result<Arc<NodeList<A>>, String> {
        Err(format!("{path} cannot be read from here"))
    }
}
