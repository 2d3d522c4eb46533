//! The snapshots of a run: the content of all sources, read once, as a list of entries for each target.

use std::collections::{HashMap, HashSet};
use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::snapshot::{Entry, EntryKind, Snapshot};
use super::snapshot_error::SnapshotError;
use super::source_reader::{SkippedSources, SourceReader, SourceRules};
use crate::spool::SpoolFile;
use crate::targets::{Target, TargetId};

/// The paths of one source.
#[derive(Debug, PartialEq, Eq)]
pub enum SourcePaths {
    /// One path for all targets.
    Common(PathBuf),
    /// A path for each target, indexed by [`TargetId`].
    Own(Vec<PathBuf>),
}

impl SourcePaths {
    /// Returns all paths.
    #[must_use]
    pub fn all(&self) -> &[PathBuf] {
        match self {
            SourcePaths::Common(path) => std::slice::from_ref(path),
            SourcePaths::Own(paths) => paths,
        }
    }
}

/// The snapshots of a run. They share their entries and the temporary file.
#[derive(Debug)]
pub struct Snapshots {
    /// The sources that are the same for all targets.
    common: Arc<Snapshot>,
    /// Names of the directories in `common`.
    directories: HashSet<Box<[u8]>>,
    /// The other sources, each read once.
    lists: Vec<Vec<Arc<Entry>>>,
    /// Indexes into `lists`: for each of the other sources, the list of each target.
    own: Vec<Vec<u32>>,
    /// Sources that are not copied.
    pub skipped: SkippedSources,
}

/// Number of files, their bytes, and other entries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct EntryCounts {
    pub(super) files: u64,
    pub(super) bytes: u64,
    pub(super) others: u64,
}

impl EntryCounts {
    fn of<'e>(entries: impl IntoIterator<Item = &'e Arc<Entry>>) -> EntryCounts {
        let mut counts = EntryCounts::default();
        for entry in entries {
            match &entry.kind {
                EntryKind::File(content) => {
                    counts.files += 1;
                    counts.bytes += content.length;
                }
                EntryKind::Directory | EntryKind::Link(_) | EntryKind::HardLink(_) => {
                    counts.others += 1;
                }
            }
        }
        counts
    }
}

impl Snapshots {
    /// Reads the sources. A path that ends in a slash stands for the content of its directory. `name` is the name of the
    /// only source at the destination, if it is not its own.
    ///
    /// # Errors
    /// A source cannot be read, or changes while it is read, or two sources of a target have the same name.
    pub fn read(
        sources: &[SourcePaths],
        name: Option<&OsStr>,
        rules: SourceRules,
        targets: &[Target],
    ) -> Result<Snapshots, SnapshotError> {
        let (mut common, mut others) = (Vec::new(), Vec::new());
        for source in sources {
            match source {
                SourcePaths::Common(path) => common.push(path.as_path()),
                SourcePaths::Own(paths) => others.push(paths.as_slice()),
            }
        }
        find_missing(&others, rules, targets)?;
        let mut reader = SourceReader::new(rules)?;
        let common = reader.read(common, name)?;
        let mut lists = Vec::new();
        let mut known: HashMap<&Path, u32> = HashMap::new();
        let mut own = Vec::new();
        for paths in others {
            let mut indexes = Vec::with_capacity(paths.len());
            for path in paths {
                let index = match known.get(path.as_path()) {
                    Some(index) => *index,
                    None => {
                        let index = lists.len() as u32;
                        lists.push(reader.read([path.as_path()], name)?);
                        known.insert(path, index);
                        index
                    }
                };
                indexes.push(index);
            }
            own.push(indexes);
        }
        let (archive, skipped) = reader.finish()?;
        let snapshots = Snapshots::new(common, lists, own, archive, skipped);
        snapshots.check_names(targets)?;
        Ok(snapshots)
    }

    fn new(
        common: Vec<Arc<Entry>>,
        lists: Vec<Vec<Arc<Entry>>>,
        own: Vec<Vec<u32>>,
        archive: SpoolFile,
        skipped: SkippedSources,
    ) -> Snapshots {
        let directories = common.iter().filter(|entry| is_directory(entry));
        Snapshots {
            directories: directories.map(|entry| entry.name.clone()).collect(),
            common: Arc::new(Snapshot {
                entries: common,
                archive,
            }),
            lists,
            own,
            skipped,
        }
    }

    /// Reads sources that are the same for all targets.
    #[cfg(any(test, fuzzing))]
    pub(super) fn of_paths(
        paths: &[PathBuf],
        rules: SourceRules,
    ) -> Result<Snapshots, SnapshotError> {
        let sources: Vec<_> = paths.iter().cloned().map(SourcePaths::Common).collect();
        Snapshots::read(&sources, None, rules, &[])
    }

    /// Returns all entries, each once.
    pub fn entries(&self) -> impl Iterator<Item = &Entry> {
        let own = self.lists.iter().flatten();
        self.common.entries.iter().chain(own).map(|entry| &**entry)
    }

    /// Returns the snapshot of a target. If its sources are not those of all targets, the list is made anew, so that a
    /// run has only the lists of targets in progress.
    #[must_use]
    pub fn of_target(&self, target: TargetId) -> Arc<Snapshot> {
        if self.own.is_empty() {
            return Arc::clone(&self.common);
        }
        let mut entries = self.common.entries.clone();
        let mut directories: HashSet<&[u8]> = HashSet::new();
        for list in self.lists_of(target) {
            // Positions of the entries of this list in the whole list, for links among them.
            let mut positions = Vec::with_capacity(list.len());
            for entry in list {
                positions.push(entries.len());
                let is_merged = is_directory(entry)
                    && (self.directories.contains(&entry.name) || !directories.insert(&entry.name));
                if is_merged {
                    continue;
                }
                entries.push(match &entry.kind {
                    EntryKind::HardLink(first) => Arc::new(Entry {
                        name: entry.name.clone(),
                        kind: EntryKind::HardLink(positions[*first]),
                        ..**entry
                    }),
                    EntryKind::Directory | EntryKind::File(_) | EntryKind::Link(_) => {
                        Arc::clone(entry)
                    }
                });
            }
        }
        Arc::new(Snapshot {
            entries,
            archive: self.common.archive.clone(),
        })
    }

    fn lists_of(&self, target: TargetId) -> impl Iterator<Item = &[Arc<Entry>]> {
        let indexes = self.own.iter().map(move |lists| lists[target.index()]);
        indexes.map(|index| self.lists[index as usize].as_slice())
    }

    /// Finds names that two sources of one target have, if not both are directories.
    fn check_names(&self, targets: &[Target]) -> Result<(), SnapshotError> {
        if self.own.is_empty() {
            return Ok(());
        }
        let entries = self.common.entries.iter();
        let common: HashMap<&[u8], bool> = entries
            .map(|entry| (&*entry.name, is_directory(entry)))
            .collect();
        let mut checked: HashSet<Vec<u32>> = HashSet::new();
        for (index, target) in targets.iter().enumerate() {
            let lists: Vec<u32> = self.own.iter().map(|lists| lists[index]).collect();
            if !checked.insert(lists) {
                continue;
            }
            let mut others: HashMap<&[u8], bool> = HashMap::new();
            for entry in self.lists_of(TargetId(index as u32)).flatten() {
                let is_directory = is_directory(entry);
                let first = common
                    .get(&*entry.name)
                    .copied()
                    .or_else(|| others.insert(&entry.name, is_directory));
                if first.is_some_and(|first| !first || !is_directory) {
                    return Err(SnapshotError::SameNameOfTarget {
                        name: String::from_utf8_lossy(&entry.name).into_owned(),
                        label: Arc::clone(&target.label),
                    });
                }
            }
        }
        Ok(())
    }

    /// Counts the entries that all targets get, and those that single targets get.
    pub(super) fn counts(&self) -> (EntryCounts, EntryCounts) {
        let own = self.lists.iter().flatten();
        (EntryCounts::of(&self.common.entries), EntryCounts::of(own))
    }
}

fn is_directory(entry: &Entry) -> bool {
    matches!(entry.kind, EntryKind::Directory)
}

/// Finds targets whose sources do not exist, before anything is read.
fn find_missing(
    sources: &[&[PathBuf]],
    rules: SourceRules,
    targets: &[Target],
) -> Result<(), SnapshotError> {
    let mut first: Option<(&Path, usize, io::Error)> = None;
    let mut others = 0;
    for index in 0..targets.len() {
        let missing = sources.iter().find_map(|paths| {
            let path = paths[index].as_path();
            let about = if rules.dereference {
                path.metadata()
            } else {
                path.symlink_metadata()
            };
            let error = about.err()?;
            let is_missing = matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
            );
            is_missing.then_some((path, index, error))
        });
        match missing {
            None => {}
            Some(missing) if first.is_none() => first = Some(missing),
            Some(_) => others += 1,
        }
    }
    let Some((path, index, source)) = first else {
        return Ok(());
    };
    Err(SnapshotError::Missing {
        path: path.to_owned(),
        label: Arc::clone(&targets[index].label),
        others,
        source,
    })
}
