//! The reader of the sources of `--copy`.
//!
//! Small files are kept in one unnamed temporary file, each as an entry of a tar archive. Large files stay in place,
//! since a second copy of them would cost more than it protects: if one changes during the run, its checksum over there
//! does not match, and no target keeps it.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs::{self, File, Metadata};
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use openssl::sha::Sha256;
use tar::EntryType;

use super::archive::ArchiveWriter;
use super::snapshot::{Entry, EntryKind, FileContent, LARGE, Place};
use super::snapshot_error::{MAX_DEPTH, SnapshotError};
use crate::spool::SpoolFile;

/// Maximum number of files that stay in place. Each keeps a descriptor.
const MAX_IN_PLACE: usize = 64;

/// Sources that are no file, directory or link, by their kind in the plural.
pub type SkippedSources = Vec<(&'static str, PathBuf)>;

/// Choices about the sources.
#[derive(Clone, Copy, Debug)]
pub struct SourceRules {
    /// True if symbolic links are followed.
    pub dereference: bool,
    /// True if set-user-ID and set-group-ID bits are kept.
    pub preserve_setid: bool,
    /// Mode of all files, instead of their own.
    pub mode: Option<u32>,
}

/// Reader of the sources. It reads one list of entries after the other.
pub(super) struct SourceReader {
    rules: SourceRules,
    /// Entries of the current list.
    entries: Vec<Arc<Entry>>,
    skipped: SkippedSources,
    /// Names at the destination of the entries of the current list, with their sources.
    names: HashMap<Box<[u8]>, PathBuf>,
    /// Entries of files with several names, by device and inode.
    links: HashMap<(u64, u64), usize>,
    /// Device and inode of the directories that contain the current one, and of itself.
    parents: Vec<(u64, u64)>,
    in_place: usize,
    archive: ArchiveWriter,
}

/// Returns an error of reading a source.
fn cannot_read(path: &Path) -> impl FnOnce(io::Error) -> SnapshotError {
    let path = path.to_owned();
    move |source| SnapshotError::Read { path, source }
}

impl SourceReader {
    pub(super) fn new(rules: SourceRules) -> Result<SourceReader, SnapshotError> {
        Ok(SourceReader {
            rules,
            entries: Vec::new(),
            skipped: Vec::new(),
            names: HashMap::new(),
            links: HashMap::new(),
            parents: Vec::new(),
            in_place: 0,
            archive: ArchiveWriter::new()?,
        })
    }

    /// Reads sources into a list. A path that ends in a slash stands for the content of its directory. `name` is the
    /// name of the only source at the destination, if it is not its own.
    pub(super) fn read<'p>(
        &mut self,
        sources: impl IntoIterator<Item = &'p Path>,
        name: Option<&OsStr>,
    ) -> Result<Vec<Arc<Entry>>, SnapshotError> {
        let skipped = self.skipped.len();
        for source in sources {
            self.add_source(source, name)?;
        }
        self.names.clear();
        self.links.clear();
        if let (true, Some((_, path))) = (self.entries.is_empty(), self.skipped.get(skipped)) {
            return Err(SnapshotError::Special(path.clone()));
        }
        Ok(std::mem::take(&mut self.entries))
    }

    /// Returns the temporary file, and the sources that were left out.
    pub(super) fn finish(self) -> Result<(SpoolFile, SkippedSources), SnapshotError> {
        Ok((self.archive.finish()?, self.skipped))
    }

    fn add_source(&mut self, source: &Path, name: Option<&OsStr>) -> Result<(), SnapshotError> {
        let is_content = source.as_os_str().as_bytes().ends_with(b"/");
        if is_content {
            let about = fs::metadata(source).map_err(cannot_read(source))?;
            // The system refuses a slash after a file, so this is a directory.
            return self.add_content(source, &about, b"", 0);
        }
        let own = source.file_name();
        let name = name
            .or(own)
            .ok_or_else(|| SnapshotError::NoName(source.to_owned()))?;
        self.add(source, name.as_bytes(), 0)
    }

    /// Adds the content of a directory, sorted by name, so that all runs send the same.
    fn add_content(
        &mut self,
        path: &Path,
        about: &Metadata,
        name: &[u8],
        depth: usize,
    ) -> Result<(), SnapshotError> {
        if depth > MAX_DEPTH {
            return Err(SnapshotError::TooDeep(path.to_owned()));
        }
        let id = (about.dev(), about.ino());
        if self.parents.contains(&id) {
            return Err(SnapshotError::Loop(path.to_owned()));
        }
        self.parents.push(id);
        let read = || -> io::Result<Vec<_>> {
            let names = fs::read_dir(path)?.map(|entry| Ok(entry?.file_name()));
            names.collect()
        };
        let mut names = read().map_err(cannot_read(path))?;
        names.sort_unstable();
        for child in names {
            let mut full = name.to_vec();
            if !full.is_empty() {
                full.push(b'/');
            }
            full.extend_from_slice(child.as_bytes());
            self.add(&path.join(&child), &full, depth + 1)?;
        }
        let now = fs::metadata(path).map_err(cannot_read(path))?;
        if changed(about, &now) {
            return Err(SnapshotError::Changed(path.to_owned()));
        }
        self.parents.pop();
        Ok(())
    }

    fn add(&mut self, path: &Path, name: &[u8], depth: usize) -> Result<(), SnapshotError> {
        let about = if self.rules.dereference {
            fs::metadata(path)
        } else {
            fs::symlink_metadata(path)
        }
        .map_err(cannot_read(path))?;
        let kind = about.file_type();
        if let Some(kind) = special(&kind) {
            self.skipped.push((kind, path.to_owned()));
            return Ok(());
        }
        if let Some(first) = self.names.insert(name.into(), path.to_owned()) {
            // Directories of one name are merged, as rsync does.
            let second = path.to_owned();
            if kind.is_dir() && first.is_dir() {
                return self.add_content(path, &about, name, depth);
            }
            return Err(SnapshotError::SameName { first, second });
        }
        if kind.is_dir() {
            self.push(name, EntryKind::Directory, &about)?;
            return self.add_content(path, &about, name, depth);
        }
        if kind.is_symlink() {
            let content = fs::read_link(path).map_err(cannot_read(path))?;
            let content = content.as_os_str().as_bytes().into();
            return self.push(name, EntryKind::Link(content), &about);
        }
        if about.nlink() > 1
            && let Some(&first) = self.links.get(&(about.dev(), about.ino()))
        {
            return self.push(name, EntryKind::HardLink(first), &about);
        }
        self.add_file(path, name)?;
        if about.nlink() > 1 {
            self.links
                .insert((about.dev(), about.ino()), self.entries.len() - 1);
        }
        Ok(())
    }

    fn add_file(&mut self, path: &Path, name: &[u8]) -> Result<(), SnapshotError> {
        let mut file = File::open(path).map_err(cannot_read(path))?;
        let before = file.metadata().map_err(cannot_read(path))?;
        let header =
            self.archive
                .write_header(name, &before, EntryType::Regular, before.len(), b"")?;
        let in_place = before.len() >= LARGE && self.in_place < MAX_IN_PLACE;
        let at = self.archive.position();
        let mut hash = Sha256::new();
        let mut buffer = vec![0; 1 << 16];
        let mut length = 0;
        loop {
            let n = file.read(&mut buffer).map_err(cannot_read(path))?;
            if n == 0 {
                break;
            }
            length += n as u64;
            hash.update(&buffer[..n]);
            if !in_place {
                self.archive.write(&buffer[..n])?;
            }
        }
        let after = file.metadata().map_err(cannot_read(path))?;
        if length != before.len() || changed(&before, &after) {
            return Err(SnapshotError::Changed(path.to_owned()));
        }
        let place = if in_place {
            self.in_place += 1;
            Place::InPlace(file.into())
        } else {
            self.archive.pad(length)?;
            Place::Spooled(at)
        };
        let content = FileContent {
            length,
            sha256: hash.finish(),
            cksum: OnceLock::new(),
            place,
        };
        let mode = self.mode(&before, true);
        self.entries.push(Arc::new(Entry {
            name: name.into(),
            kind: EntryKind::File(content),
            mode,
            mtime: before.mtime(),
            mtime_nanoseconds: before.mtime_nsec() as u32,
            header,
        }));
        Ok(())
    }

    fn push(
        &mut self,
        name: &[u8],
        kind: EntryKind,
        about: &Metadata,
    ) -> Result<(), SnapshotError> {
        let header = match &kind {
            EntryKind::Link(content) => {
                self.archive
                    .write_header(name, about, EntryType::Symlink, 0, content)?
            }
            EntryKind::HardLink(first) => {
                let target = self.entries[*first].name.clone();
                self.archive
                    .write_header(name, about, EntryType::Link, 0, &target)?
            }
            EntryKind::Directory | EntryKind::File(_) => {
                self.archive
                    .write_header(name, about, EntryType::Directory, 0, b"")?
            }
        };
        let mode = self.mode(about, !about.is_dir());
        self.entries.push(Arc::new(Entry {
            name: name.into(),
            kind,
            mode,
            mtime: about.mtime(),
            mtime_nanoseconds: about.mtime_nsec() as u32,
            header,
        }));
        Ok(())
    }

    fn mode(&self, about: &Metadata, is_file: bool) -> u32 {
        let kept = if self.rules.preserve_setid {
            0o7777
        } else {
            0o1777
        };
        match self.rules.mode {
            Some(mode) if is_file => mode,
            _ => about.mode() & kept,
        }
    }
}

/// True if a file was written to, replaced or renamed between two looks at it.
fn changed(before: &Metadata, after: &Metadata) -> bool {
    let key = |about: &Metadata| {
        (
            (about.dev(), about.ino(), about.len()),
            (about.mtime(), about.mtime_nsec()),
            (about.ctime(), about.ctime_nsec()),
        )
    };
    key(before) != key(after)
}

/// Returns the name of a kind of file that is not copied, in the plural.
fn special(kind: &fs::FileType) -> Option<&'static str> {
    if kind.is_fifo() {
        Some("fifos")
    } else if kind.is_socket() {
        Some("sockets")
    } else if kind.is_block_device() || kind.is_char_device() {
        Some("devices")
    } else {
        None
    }
}
