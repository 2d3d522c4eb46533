//! Errors of the sources of a copy.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

/// Maximum depth of directories.
pub(super) const MAX_DEPTH: usize = 1024;

/// The reason why there is no snapshot.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// A source cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The error of the system.
        source: io::Error,
    },
    /// The source of a target does not exist.
    #[error("cannot read {} for {label}: {source}{}", path.display(), further(*others))]
    Missing {
        /// The file.
        path: PathBuf,
        /// The label of the target.
        label: Arc<str>,
        /// Number of further targets whose source does not exist.
        others: usize,
        /// The error of the system.
        source: io::Error,
    },
    /// Two sources of one target have one name at the destination.
    #[error("two sources of {label} have the same name at the destination: {name}")]
    SameNameOfTarget {
        /// The name.
        name: String,
        /// The label of the target.
        label: Arc<str>,
    },
    /// A source changed while it was read.
    #[error("{} changed while it was read; try again when nothing writes to it", .0.display())]
    Changed(PathBuf),
    /// Two sources have one name at the destination.
    #[error("{} and {} have the same name at the destination", first.display(), second.display())]
    SameName {
        /// The source that was named first.
        first: PathBuf,
        /// The other one.
        second: PathBuf,
    },
    /// A source has no name that could be used at the destination.
    #[error("{} has no name of its own; name the file or directory, or end the path in a slash", .0.display())]
    NoName(PathBuf),
    /// The directories are too deep.
    #[error("{} is too deep: more than {MAX_DEPTH} directories", .0.display())]
    TooDeep(PathBuf),
    /// A followed link leads to a directory that contains it.
    #[error("{} leads back to a directory that contains it; copy without --dereference", .0.display())]
    Loop(PathBuf),
    /// The only sources are not files, directories or links.
    #[error("nothing to copy: {} is no file, directory or symbolic link", .0.display())]
    Special(PathBuf),
    /// The temporary file cannot be written.
    #[error("cannot keep the files in a temporary file: {0}; free some space, or set TMPDIR")]
    Spool(#[source] io::Error),
}

/// Returns the end of a message about the first of several targets.
fn further(others: usize) -> String {
    match others {
        0 => String::new(),
        1 => "; 1 more target lacks its source".to_owned(),
        n => format!("; {n} more targets lack their sources"),
    }
}
