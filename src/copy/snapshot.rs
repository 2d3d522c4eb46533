//! The snapshot of the sources of `--copy` for one target: entries of a tar archive in a temporary file.

use std::collections::HashSet;
use std::sync::{Arc, OnceLock};

use super::blocks::Cksum;
use crate::spool::SpoolFile;

/// Length of a block of a tar archive, in bytes.
pub(super) const BLOCK: u64 = 512;

/// Size of a file from which it stays in place and is sent by itself, in bytes.
pub(super) const LARGE: u64 = 16 << 20;

/// The content of the sources for one target, or for all targets.
#[derive(Debug)]
pub struct Snapshot {
    /// Entries; each directory comes before its content. Their names are relative to the destination directory.
    pub entries: Vec<Arc<Entry>>,
    /// The temporary file, which all snapshots share.
    pub(super) archive: SpoolFile,
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
    /// Nanoseconds of that time.
    pub mtime_nanoseconds: u32,
    /// The header blocks of the entry in the archive.
    pub(super) header: Range,
}

impl Entry {
    /// True if one of the directories that contain this entry is in the set.
    pub(super) fn is_below(&self, directories: &HashSet<&[u8]>) -> bool {
        let slashes = memchr::memchr_iter(b'/', &self.name);
        !directories.is_empty()
            && slashes
                .into_iter()
                .any(|at| directories.contains(&self.name[..at]))
    }
}

/// A part of the temporary file.
#[derive(Clone, Copy, Debug)]
pub(super) struct Range {
    pub(super) at: u64,
    pub(super) length: u64,
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
    pub(super) cksum: OnceLock<String>,
    pub(super) place: Place,
}

/// Position of a file's content.
#[derive(Debug)]
pub(super) enum Place {
    /// Position in the temporary file.
    Spooled(u64),
    /// The file itself.
    InPlace(SpoolFile),
}

/// Bytes, or the rest of them. Clones share the memory.
#[derive(Clone, Debug)]
pub struct SharedBytes {
    bytes: Arc<[u8]>,
    from: usize,
}

impl SharedBytes {
    /// Removes the first `n` bytes.
    pub(super) fn advance(&mut self, n: usize) {
        self.from = (self.from + n).min(self.bytes.len());
    }
}

impl std::ops::Deref for SharedBytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes[self.from..]
    }
}

impl<T: Into<Arc<[u8]>>> From<T> for SharedBytes {
    fn from(bytes: T) -> SharedBytes {
        SharedBytes {
            bytes: bytes.into(),
            from: 0,
        }
    }
}

/// A part of what is sent to a target.
#[derive(Clone, Debug)]
pub enum Segment {
    /// These bytes.
    Bytes(SharedBytes),
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

    /// True if the entry is a large file, or a further name of one.
    pub(super) fn is_large(&self, index: usize) -> bool {
        let content = self.content_of(index);
        content.is_some_and(|content| content.length >= LARGE)
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
pub(super) fn padding(length: u64) -> u64 {
    length.next_multiple_of(BLOCK) - length
}
