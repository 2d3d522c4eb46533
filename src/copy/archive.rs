//! The temporary file of all snapshots: entries of tar archives, one after the other.

use std::fs::{File, Metadata};
use std::io::{BufWriter, Write};
use std::os::unix::fs::MetadataExt;

use tar::{EntryType, Header};

use super::snapshot::{Range, padding};
use super::snapshot_error::SnapshotError;
use crate::spool::SpoolFile;

/// The temporary file while it is written.
#[derive(Debug)]
pub(super) struct ArchiveWriter {
    file: BufWriter<File>,
    /// Number of bytes in the file.
    written: u64,
}

impl ArchiveWriter {
    /// Creates the file. It has no name.
    pub(super) fn new() -> Result<ArchiveWriter, SnapshotError> {
        let file = tempfile::tempfile().map_err(SnapshotError::Spool)?;
        Ok(ArchiveWriter {
            file: BufWriter::with_capacity(1 << 16, file),
            written: 0,
        })
    }

    /// Returns the number of bytes so far.
    pub(super) fn position(&self) -> u64 {
        self.written
    }

    /// Ends the file.
    pub(super) fn finish(self) -> Result<SpoolFile, SnapshotError> {
        let file = self.file.into_inner();
        let file = file.map_err(|error| SnapshotError::Spool(error.into_error()))?;
        Ok(file.into())
    }

    /// Appends bytes.
    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<(), SnapshotError> {
        self.file.write_all(bytes).map_err(SnapshotError::Spool)?;
        self.written += bytes.len() as u64;
        Ok(())
    }

    /// Appends the rest of the last block of a content.
    pub(super) fn pad(&mut self, length: u64) -> Result<(), SnapshotError> {
        self.write(&vec![0; padding(length) as usize])
    }

    /// Appends the header blocks of an entry. Everything belongs to the owner alone until it is in its place.
    pub(super) fn write_header(
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
        self.pad(data.len() as u64)
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
