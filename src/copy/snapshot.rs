//! The snapshot of the sources of `--copy`: what they contain, read once for all targets.
//!
//! Small files are kept in one unnamed temporary file, each as an entry of a tar archive. Large files stay in place,
//! since a second copy of them would cost more than it protects: if one changes during the run, its checksum over there
//! does not match, and no target keeps it.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs::{self, File, Metadata};
use std::io::{self, BufWriter, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use openssl::sha::Sha256;
use tar::{EntryType, Header};

use super::blocks::Cksum;
use super::snapshot_error::{MAX_DEPTH, SnapshotError};
use crate::spool::SpoolFile;

/// Size of a file from which it stays in place, in bytes.
const LARGE: u64 = 16 << 20;

/// Maximum number of files that stay in place. Each keeps a descriptor.
const MAX_IN_PLACE: usize = 64;

/// Length of a block of a tar archive, in bytes.
const BLOCK: u64 = 512;

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

/// The content of all sources.
#[derive(Debug)]
pub struct Snapshot {
    /// Entries; each directory comes before its content. Their names are relative to the destination directory.
    pub entries: Vec<Entry>,
    /// Sources that are no file, directory or link, by their kind in the plural.
    pub skipped: Vec<(&'static str, PathBuf)>,
    archive: SpoolFile,
}

/// One file, directory or link.
#[derive(Debug)]
pub struct Entry {
    /// Name relative to the destination directory, with single slashes.
    pub name: Box<[u8]>,
    /// Its kind.
    pub kind: EntryKind,
    /// Permission bits at the destination.
    pub mode: u32,
    /// Time of the last modification, in seconds.
    pub mtime: i64,
    /// The header blocks of the entry in the archive.
    header: Range,
}

impl Entry {
    /// True if this entry is in a directory, at any depth.
    pub(super) fn is_below(&self, directory: &Entry) -> bool {
        let rest = self.name.strip_prefix(&*directory.name);
        rest.is_some_and(|rest| rest.starts_with(b"/"))
    }
}

/// A part of the temporary file.
#[derive(Clone, Copy, Debug)]
struct Range {
    at: u64,
    length: u64,
}

/// The kind of an entry.
#[derive(Debug)]
pub enum EntryKind {
    /// A directory.
    Directory,
    /// A regular file.
    File(FileContent),
    /// A symbolic link with this content.
    Link(Box<[u8]>),
    /// A further name of the file at this index of the entries.
    HardLink(usize),
}

/// Content of a file.
#[derive(Debug)]
pub struct FileContent {
    /// Length in bytes.
    pub length: u64,
    /// SHA-256 of the content.
    pub sha256: [u8; 32],
    /// The output of POSIX `cksum`. It is calculated for the first target that has no SHA-256.
    cksum: OnceLock<String>,
    place: Place,
}

/// Position of a file's content.
#[derive(Debug)]
enum Place {
    /// Position in the temporary file.
    Spooled(u64),
    /// The file itself.
    InPlace(SpoolFile),
}

/// A part of what is sent to a target.
#[derive(Clone, Debug)]
pub enum Segment {
    /// These bytes.
    Bytes(Arc<[u8]>),
    /// A part of a file.
    File {
        /// The file.
        file: SpoolFile,
        /// Position of the first byte.
        at: u64,
        /// Number of bytes.
        length: u64,
    },
}

impl Segment {
    /// Returns the number of bytes.
    #[must_use]
    pub fn length(&self) -> u64 {
        match self {
            Segment::Bytes(bytes) => bytes.len() as u64,
            Segment::File { length, .. } => *length,
        }
    }
}

impl Snapshot {
    /// Reads the sources. A path that ends in a slash stands for the content of its directory. `name` is the name of the
    /// only source at the destination, if it is not its own.
    ///
    /// # Errors
    /// A source cannot be read, or changes while it is read.
    pub fn read(
        sources: &[PathBuf],
        name: Option<&OsStr>,
        rules: SourceRules,
    ) -> Result<Snapshot, SnapshotError> {
        let spool = tempfile::tempfile().map_err(SnapshotError::Spool)?;
        let mut reader = SourceReader {
            rules,
            entries: Vec::new(),
            skipped: Vec::new(),
            names: HashMap::new(),
            links: HashMap::new(),
            parents: Vec::new(),
            in_place: 0,
            archive: BufWriter::with_capacity(1 << 16, spool),
            written: 0,
        };
        for source in sources {
            reader.add_source(source, name)?;
        }
        if let ([], [(_, path), ..]) = (reader.entries.as_slice(), reader.skipped.as_slice()) {
            return Err(SnapshotError::Special(path.clone()));
        }
        let archive = reader.archive.into_inner();
        Ok(Snapshot {
            entries: reader.entries,
            skipped: reader.skipped,
            archive: archive
                .map_err(|error| SnapshotError::Spool(error.into_error()))?
                .into(),
        })
    }

    /// Returns the content of a file, for targets without tar.
    #[must_use]
    pub fn content(&self, content: &FileContent) -> Segment {
        match &content.place {
            Place::Spooled(at) => self.spooled(Range {
                at: *at,
                length: content.length,
            }),
            Place::InPlace(file) => Segment::File {
                file: file.clone(),
                at: 0,
                length: content.length,
            },
        }
    }

    /// Returns the content of a file, through its first name; `None` for other entries.
    #[must_use]
    pub fn content_of(&self, index: usize) -> Option<&FileContent> {
        match &self.entries[index].kind {
            EntryKind::File(content) => Some(content),
            EntryKind::HardLink(first) => self.content_of(*first),
            EntryKind::Directory | EntryKind::Link(_) => None,
        }
    }

    /// Returns what POSIX `cksum` prints for a content. A file that cannot be read any more has a checksum that no
    /// target finds.
    pub fn cksum<'c>(&self, content: &'c FileContent) -> &'c str {
        content.cksum.get_or_init(|| {
            let Segment::File { file, at, length } = self.content(content) else {
                return String::new();
            };
            let mut cksum = Cksum::default();
            let mut buffer = vec![0; 1 << 16];
            let mut done = 0;
            while done < length {
                let most = buffer.len().min((length - done) as usize);
                match file.read_at(at + done, &mut buffer[..most]) {
                    Ok(n) if n > 0 => {
                        cksum.update(&buffer[..n]);
                        done += n as u64;
                    }
                    _ => return String::new(),
                }
            }
            cksum.finish()
        })
    }

    fn spooled(&self, Range { at, length }: Range) -> Segment {
        Segment::File {
            file: self.archive.clone(),
            at,
            length,
        }
    }

    /// Appends these entries to `segments` as a tar archive with its end.
    pub fn archive(&self, entries: impl Iterator<Item = usize>, segments: &mut Vec<Segment>) {
        let mut sent = 0;
        for index in entries {
            let entry = &self.entries[index];
            let mut range = entry.header;
            match &entry.kind {
                EntryKind::File(content) => match &content.place {
                    Place::Spooled(at) => {
                        // The content follows its header in the temporary file.
                        range.length = at + content.length + padding(content.length) - range.at;
                        self.append(range, segments);
                    }
                    Place::InPlace(_) => {
                        self.append(range, segments);
                        segments.push(self.content(content));
                        let padding = vec![0; padding(content.length) as usize];
                        segments.push(Segment::Bytes(padding.into()));
                        range.length += content.length + segments[segments.len() - 1].length();
                    }
                },
                EntryKind::Directory | EntryKind::Link(_) | EntryKind::HardLink(_) => {
                    self.append(range, segments);
                }
            }
            sent += range.length;
        }
        // Two empty blocks end an archive; GNU tar reads whole records of 20 blocks.
        let end = (2 * BLOCK).max((sent + 2 * BLOCK).next_multiple_of(20 * BLOCK) - sent);
        segments.push(Segment::Bytes(vec![0; end as usize].into()));
    }

    /// Appends a part of the temporary file, and joins it with the last one if they meet.
    fn append(&self, range: Range, segments: &mut Vec<Segment>) {
        if let Some(Segment::File { file, at, length }) = segments.last_mut()
            && file.is(&self.archive)
            && *at + *length == range.at
        {
            *length += range.length;
            return;
        }
        segments.push(self.spooled(range));
    }
}

/// Returns the number of bytes from the end of a content to the end of its last block.
fn padding(length: u64) -> u64 {
    length.next_multiple_of(BLOCK) - length
}

/// Reader of the sources.
struct SourceReader {
    rules: SourceRules,
    entries: Vec<Entry>,
    skipped: Vec<(&'static str, PathBuf)>,
    /// Names at the destination of the entries that sources themselves have, with the source.
    names: HashMap<Box<[u8]>, PathBuf>,
    /// Entries of files with several names, by device and inode.
    links: HashMap<(u64, u64), usize>,
    /// Device and inode of the directories that contain the current one, and of itself.
    parents: Vec<(u64, u64)>,
    in_place: usize,
    archive: BufWriter<File>,
    /// Number of bytes in the archive.
    written: u64,
}

/// Returns an error of reading a source.
fn cannot_read(path: &Path) -> impl FnOnce(io::Error) -> SnapshotError {
    let path = path.to_owned();
    move |source| SnapshotError::Read { path, source }
}

impl SourceReader {
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
        let header = self.write_header(name, &before, EntryType::Regular, before.len(), b"")?;
        let in_place = before.len() >= LARGE && self.in_place < MAX_IN_PLACE;
        let at = self.written;
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
                self.write(&buffer[..n])?;
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
            self.write(&vec![0; padding(length) as usize])?;
            Place::Spooled(at)
        };
        let content = FileContent {
            length,
            sha256: hash.finish(),
            cksum: OnceLock::new(),
            place,
        };
        let mode = self.mode(&before, true);
        self.entries.push(Entry {
            name: name.into(),
            kind: EntryKind::File(content),
            mode,
            mtime: before.mtime(),
            header,
        });
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
                self.write_header(name, about, EntryType::Symlink, 0, content)?
            }
            EntryKind::HardLink(first) => {
                let target = self.entries[*first].name.clone();
                self.write_header(name, about, EntryType::Link, 0, &target)?
            }
            EntryKind::Directory | EntryKind::File(_) => {
                self.write_header(name, about, EntryType::Directory, 0, b"")?
            }
        };
        let mode = self.mode(about, !about.is_dir());
        self.entries.push(Entry {
            name: name.into(),
            kind,
            mode,
            mtime: about.mtime(),
            header,
        });
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

    fn write(&mut self, bytes: &[u8]) -> Result<(), SnapshotError> {
        self.archive
            .write_all(bytes)
            .map_err(SnapshotError::Spool)?;
        self.written += bytes.len() as u64;
        Ok(())
    }

    /// Writes the header blocks of an entry. Everything belongs to the owner alone until it is in its place.
    fn write_header(
        &mut self,
        name: &[u8],
        about: &Metadata,
        kind: EntryType,
        length: u64,
        target: &[u8],
    ) -> Result<Range, SnapshotError> {
        let at = self.written;
        if about.mtime_nsec() != 0 && kind == EntryType::Regular {
            // busybox skips these records, and GNU tar and bsdtar take the time from them (POSIX, pax).
            let time = format!("{}.{:09}", about.mtime(), about.mtime_nsec());
            self.write_extension(EntryType::XHeader, &pax_record("mtime", &time))?;
        }
        for (kind, text, most) in [
            (EntryType::GNULongLink, target, 100),
            (EntryType::GNULongName, name, 100),
        ] {
            // Unlike pax names, all three know these records of GNU tar.
            if text.len() > most {
                self.write_extension(kind, &[text, b"\0"].concat())?;
            }
        }
        let mut header = Header::new_gnu();
        header.set_entry_type(kind);
        header.set_size(length);
        header.set_mode(if kind == EntryType::Directory {
            0o700
        } else {
            0o600
        });
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(u64::try_from(about.mtime()).unwrap_or(0));
        let fields = header.as_old_mut();
        fields.name[..name.len().min(100)].copy_from_slice(&name[..name.len().min(100)]);
        fields.linkname[..target.len().min(100)].copy_from_slice(&target[..target.len().min(100)]);
        header.set_cksum();
        self.write(header.as_bytes())?;
        Ok(Range {
            at,
            length: self.written - at,
        })
    }

    fn write_extension(&mut self, kind: EntryType, data: &[u8]) -> Result<(), SnapshotError> {
        let mut header = Header::new_gnu();
        header.set_entry_type(kind);
        header.set_size(data.len() as u64);
        header.set_mode(0o600);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        let name = b"././@LongLink";
        header.as_old_mut().name[..name.len()].copy_from_slice(name);
        header.set_cksum();
        self.write(header.as_bytes())?;
        self.write(data)?;
        self.write(&vec![0; padding(data.len() as u64) as usize])
    }
}

/// Returns a record of a pax extended header. Its length includes itself.
fn pax_record(key: &str, value: &str) -> Vec<u8> {
    let rest = key.len() + value.len() + 3;
    let mut length = rest + 1;
    while rest + length.to_string().len() != length {
        length += 1;
    }
    format!("{length} {key}={value}\n").into_bytes()
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
