//! `--fetch`: files of the targets, each target's in a directory of its own.
//!
//! The far side is the script of `--copy` with other functions (`fetch.sh`). Everything that it prints may be a lie:
//! names are compared with what was asked for, sizes have a limit, and paths never leave the directory of the target
//! (`local.rs`). So a hostile target can fill its own directory up to the limit, and nothing else.
//!
//! Files are written on a thread of their own, because a slow disk must not stop the event loop. The queue of output
//! leads through it.

mod archive;
mod compare;
#[cfg(any(test, fuzzing))]
mod fuzzed;
pub(super) mod host;
mod incoming;
mod install;
pub(super) mod local;
pub(super) mod pattern;
pub(super) mod remote;
mod transfer;
mod writer;

use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;

#[cfg(fuzzing)]
pub use archive::{ArchiveEvent, ArchiveReader};
#[cfg(fuzzing)]
pub use fuzzed::listed_names;
pub(super) use host::HostFetch;
pub use pattern::FetchPattern;
pub(super) use writer::Writer;

use crate::event::{CopyDirection, CopyProgress};

/// The part of the script for `--fetch`.
const FAR_FETCH: &str = include_str!("../fetch.sh");

/// Maximum number of descriptors of one dialogue: the directory of the target, the temporary one, one of those below, and
/// a file.
pub const DESCRIPTORS_PER_FETCH: u32 = 4;

/// Everything that is decided about fetching files.
#[derive(Debug)]
pub struct FetchSpec {
    /// The paths.
    pub patterns: Vec<FetchPattern>,
    /// Path of the destination, for messages.
    pub path: PathBuf,
    /// The destination; `None` if it is missing, which only a comparison allows.
    pub destination: Option<Arc<OwnedFd>>,
    /// Name of the directory of each target, in the order of the targets.
    pub directories: Vec<String>,
    /// True if symbolic links are fetched as links.
    pub links: bool,
    /// True if symbolic links are followed. Otherwise only those are that a pattern names.
    pub dereference: bool,
    /// Maximum number of bytes of one target.
    pub max_size: u64,
    /// Mode of all files, instead of their own.
    pub mode: Option<u32>,
    /// True if the files are only compared.
    pub check: bool,
}

/// Data that all dialogues share.
#[derive(Debug)]
pub(super) struct FetchShared {
    pub(super) spec: FetchSpec,
    /// Random text of the run.
    nonce: String,
    /// Bytes that are fetched from all targets.
    pub(super) progress: CopyProgress,
    /// The script with its values.
    pub(super) script: Arc<[u8]>,
}

impl FetchSpec {
    /// Returns what is fetched and where to, in words.
    #[must_use]
    pub fn summary(&self) -> String {
        let paths = match self.patterns.len() {
            1 => "1 path".to_owned(),
            n => format!("{n} paths"),
        };
        let directory = self.path.display();
        format!(
            "{paths}, at most {} bytes for each host, to {directory}",
            self.max_size
        )
    }
}

impl FetchShared {
    pub(super) fn new(spec: FetchSpec, nonce: String) -> FetchShared {
        let links = match (spec.links, spec.dereference) {
            (true, _) => "l",
            (false, true) => "d",
            (false, false) => "-",
        };
        let values = format!("N={nonce}\nX={links}\n");
        let script = [&*values, super::FAR, FAR_FETCH, "serve\n"].concat();
        FetchShared {
            spec,
            nonce,
            progress: CopyProgress::new(CopyDirection::Fetched),
            script: script.into_bytes().into(),
        }
    }
}
