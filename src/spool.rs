//! Bytes that may not fit into memory: in memory up to a limit, then in an unnamed temporary file.
//!
//! A [`Spool`] has one file for any number of [`SpooledBytes`]. They only grow at their ends and split. Bytes in the
//! file never change. The file ends with the program.
//!
//! Standard input has readers on other threads, so it shares only the [`SpoolFile`].

use std::fs::File;
use std::io::{self, Read};
use std::num::NonZeroU64;
use std::ops::Range;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use rustix::fs::{Advice, FallocateFlags, fadvise, fallocate};

/// Minimum length of bytes that go to the file. The position of fewer bytes would take as much memory.
const WORTH_SPILLING: usize = 128;

/// Size of one write to the file, so that thousands of short texts do not cause a write each.
const BATCH: usize = 256 * 1024;

/// A file that is read and written at offsets, from any thread. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct SpoolFile(Arc<File>);

impl SpoolFile {
    /// Creates a temporary file without a name.
    ///
    /// # Errors
    /// The file cannot be created.
    pub(crate) fn temporary() -> io::Result<SpoolFile> {
        tempfile::tempfile().map(SpoolFile::from)
    }

    /// True if both are the same open file.
    pub(crate) fn is(&self, other: &SpoolFile) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// Writes all bytes at an offset.
    ///
    /// # Errors
    /// The disk may be full. A part of the bytes may be in the file.
    pub(crate) fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.0.write_all_at(bytes, offset)
    }

    /// Reads some bytes at an offset; returns 0 only at the end of the file.
    ///
    /// # Errors
    /// The file cannot be read.
    pub(crate) fn read_at(&self, offset: u64, to: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.0.read_at(to, offset) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => return result,
            }
        }
    }

    /// Asks the kernel to read this range into the page cache. It does not wait for the disk.
    pub(crate) fn read_ahead(&self, at: u64, length: u64) {
        // A file system that cannot do it reads later.
        let _ = fadvise(&*self.0, at, NonZeroU64::new(length), Advice::WillNeed);
    }

    /// Frees the disk space of a range. If the file system cannot do that, the space stays in use until the end of the
    /// run.
    pub(crate) fn punch_hole(&self, range: Range<u64>) {
        let hole = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        let _ = fallocate(&*self.0, hole, range.start, range.end - range.start);
    }

    /// Returns the number of blocks of 512 bytes that the file takes.
    #[cfg(test)]
    pub(crate) fn blocks(&self) -> u64 {
        std::os::unix::fs::MetadataExt::blocks(&self.0.metadata().unwrap())
    }
}

impl AsFd for SpoolFile {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl From<File> for SpoolFile {
    fn from(file: File) -> SpoolFile {
        SpoolFile(Arc::new(file))
    }
}

/// The temporary file of some [`SpooledBytes`], created when it is first needed, and their number of bytes in memory.
#[derive(Debug, Default)]
pub(crate) struct Spool {
    file: Option<SpoolFile>,
    /// Number of valid bytes in the file; a failed write may have left more.
    length: u64,
    /// Capacity of all buffers in memory.
    held: usize,
    limit: usize,
    /// Value of `held` at which bytes move to the file next.
    alarm: usize,
}

impl Spool {
    /// Creates a spool that keeps about `limit` bytes in memory.
    pub(crate) fn new(limit: usize) -> Spool {
        Spool {
            limit,
            alarm: limit,
            ..Spool::default()
        }
    }

    /// Returns the number of bytes in memory.
    #[cfg(test)]
    pub(crate) fn held(&self) -> usize {
        self.held
    }

    /// Returns the file, if there is one.
    #[cfg(test)]
    pub(crate) fn file(&self) -> Option<&SpoolFile> {
        self.file.as_ref()
    }

    /// Makes all further writes fail.
    #[cfg(test)]
    pub(crate) fn refuse_writes(&mut self) {
        use std::os::fd::AsRawFd;
        let file = self.file.as_mut().unwrap();
        let path = format!("/proc/self/fd/{}", file.0.as_raw_fd());
        *file = File::open(path).unwrap().into();
    }

    /// True if something is in the file.
    pub(crate) fn has_file(&self) -> bool {
        self.file.is_some()
    }

    /// True if bytes should be [spilled](Self::spill).
    pub(crate) fn is_full(&self) -> bool {
        self.held > self.alarm
    }

    /// Moves all these bytes from memory to the file, except short ones.
    ///
    /// # Errors
    /// The file cannot be made or is full. No byte is lost nevertheless.
    pub(crate) fn spill<'a>(
        &mut self,
        all: impl Iterator<Item = &'a mut SpooledBytes>,
    ) -> io::Result<()> {
        let mut batch = Vec::new();
        let mut members = Vec::new();
        for bytes in all.filter(|bytes| bytes.memory.len() >= WORTH_SPILLING) {
            if bytes.memory.len() >= BATCH {
                self.spill_one(bytes)?;
                continue;
            }
            batch.extend_from_slice(&bytes.memory);
            members.push(bytes);
            if batch.len() >= BATCH {
                self.spill_batch(&mut batch, &mut members)?;
            }
        }
        self.spill_batch(&mut batch, &mut members)?;
        // Bytes that are too few for the file must not be checked again at each call.
        self.alarm = self.limit.max(self.held.saturating_mul(2));
        Ok(())
    }

    /// Moves these bytes from memory to the file.
    ///
    /// # Errors
    /// The same as those of [`spill`](Self::spill).
    pub(crate) fn spill_one(&mut self, bytes: &mut SpooledBytes) -> io::Result<()> {
        let offset = self.write(&bytes.memory)?;
        self.moved(bytes, offset);
        Ok(())
    }

    fn spill_batch(
        &mut self,
        batch: &mut Vec<u8>,
        members: &mut Vec<&mut SpooledBytes>,
    ) -> io::Result<()> {
        let mut offset = self.write(batch)?;
        for bytes in members.drain(..) {
            let length = bytes.memory.len() as u64;
            self.moved(bytes, offset);
            offset += length;
        }
        batch.clear();
        Ok(())
    }

    /// Appends to the file and returns the offset.
    fn write(&mut self, bytes: &[u8]) -> io::Result<u64> {
        let offset = self.length;
        if !bytes.is_empty() {
            let file = match &mut self.file {
                Some(file) => file,
                none => none.insert(SpoolFile::temporary()?),
            };
            file.write_at(bytes, offset)?;
            self.length += bytes.len() as u64;
        }
        Ok(offset)
    }

    /// Records that the bytes in memory are at `offset` in the file, and frees the memory.
    fn moved(&mut self, bytes: &mut SpooledBytes, offset: u64) {
        self.held -= bytes.memory.capacity();
        let begin = bytes.spilled();
        let end = begin + bytes.memory.len() as u64;
        bytes.memory = Vec::new();
        match bytes.extents.last_mut() {
            Some(last) if last.offset + (last.end - last.begin) == offset => last.end = end,
            _ => bytes.extents.push(FileExtent { begin, end, offset }),
        }
    }

    /// Frees the memory and the disk space of these bytes.
    pub(crate) fn remove(&mut self, bytes: SpooledBytes) {
        self.held -= bytes.memory.capacity();
        if let Some(file) = &self.file {
            for extent in bytes.extents {
                file.punch_hole(extent.offset..extent.offset + (extent.end - extent.begin));
            }
        }
    }
}

/// A part of some bytes that is in the file.
#[derive(Clone, Copy, Debug)]
struct FileExtent {
    /// Start and end of the part in the bytes.
    begin: u64,
    end: u64,
    /// Start of the part in the file.
    offset: u64,
}

/// Bytes of a [`Spool`]: first the parts in its file, then those in memory.
#[derive(Debug, Default)]
pub(crate) struct SpooledBytes {
    extents: Vec<FileExtent>,
    memory: Vec<u8>,
}

impl SpooledBytes {
    fn spilled(&self) -> u64 {
        self.extents.last().map_or(0, |last| last.end)
    }

    /// Returns the number of bytes.
    pub(crate) fn length(&self) -> u64 {
        self.spilled() + self.memory.len() as u64
    }

    /// Returns the last bytes, which are in memory. All bytes are there if the spool has no file.
    pub(crate) fn in_memory(&self) -> &[u8] {
        &self.memory
    }

    /// Appends `data`.
    pub(crate) fn append(&mut self, data: &[u8], spool: &mut Spool) {
        spool.held -= self.memory.capacity();
        self.memory.extend_from_slice(data);
        spool.held += self.memory.capacity();
    }

    /// Splits the bytes at `at` and returns the first part.
    pub(crate) fn split_front(&mut self, at: u64, spool: &mut Spool) -> SpooledBytes {
        spool.held -= self.memory.capacity();
        let in_memory = usize::try_from(at.saturating_sub(self.spilled())).unwrap_or(usize::MAX);
        let behind = self.memory.split_off(in_memory.min(self.memory.len()));
        let mut front = SpooledBytes {
            extents: Vec::new(),
            memory: std::mem::replace(&mut self.memory, behind),
        };
        front.memory.shrink_to_fit();
        spool.held += front.memory.capacity() + self.memory.capacity();
        for extent in std::mem::take(&mut self.extents) {
            let cut = at.clamp(extent.begin, extent.end);
            if cut > extent.begin {
                front.extents.push(FileExtent { end: cut, ..extent });
            }
            if cut < extent.end {
                self.extents.push(FileExtent {
                    begin: cut - at,
                    end: extent.end - at,
                    offset: extent.offset + (cut - extent.begin),
                });
            }
        }
        front
    }

    /// Reads contiguous bytes from `at` on; returns 0 only at the end.
    ///
    /// # Errors
    /// The temporary file cannot be read.
    pub(crate) fn read_at(&self, at: u64, to: &mut [u8], spool: &Spool) -> io::Result<usize> {
        if at >= self.spilled() {
            let skip = usize::try_from(at - self.spilled()).unwrap_or(usize::MAX);
            let rest = self.memory.get(skip..).unwrap_or_default();
            let length = rest.len().min(to.len());
            to[..length].copy_from_slice(&rest[..length]);
            return Ok(length);
        }
        let extent = &self.extents[self.extents.partition_point(|extent| extent.end <= at)];
        let left = usize::try_from(extent.end - at).unwrap_or(usize::MAX);
        let length = left.min(to.len());
        let file = spool.file.as_ref().expect("an extent is in the file");
        let offset = extent.offset + (at - extent.begin);
        let read = match file.read_at(offset, &mut to[..length]) {
            Ok(0) if length > 0 => Err(io::ErrorKind::UnexpectedEof.into()),
            read => read,
        };
        read.map_err(|error| {
            let text = format!("cannot read a temporary file: {error}");
            io::Error::new(error.kind(), text)
        })
    }

    /// Returns a reader of all bytes.
    pub(crate) fn reader<'a>(&'a self, spool: &'a Spool) -> SpoolReader<'a> {
        SpoolReader {
            bytes: self,
            spool,
            at: 0,
        }
    }
}

/// A reader of some [`SpooledBytes`].
#[derive(Debug)]
pub(crate) struct SpoolReader<'a> {
    bytes: &'a SpooledBytes,
    spool: &'a Spool,
    at: u64,
}

impl Read for SpoolReader<'_> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        let length = self.bytes.read_at(self.at, to, self.spool)?;
        self.at += length as u64;
        Ok(length)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(bytes: &SpooledBytes, spool: &Spool) -> Vec<u8> {
        let mut read = Vec::new();
        bytes.reader(spool).read_to_end(&mut read).unwrap();
        read
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn bytes_come_out_as_they_went_in(
            chunks in prop::collection::vec((0..4_usize, any::<u8>(), 1..700_usize), 1..40),
            limit in 0..2000_usize,
            cut in 0..3000_u64,
        ) {
            let mut spool = Spool::new(limit);
            let mut all: Vec<SpooledBytes> = Vec::new();
            all.resize_with(4, SpooledBytes::default);
            let mut expected = vec![Vec::new(); 4];
            for (which, byte, times) in chunks {
                all[which].append(&vec![byte; times], &mut spool);
                expected[which].extend(vec![byte; times]);
                if spool.is_full() {
                    spool.spill(all.iter_mut()).unwrap();
                }
            }
            for (mut bytes, expected) in all.into_iter().zip(expected) {
                prop_assert_eq!(bytes.length(), expected.len() as u64);
                prop_assert!(read(&bytes, &spool) == expected);
                let cut = cut.min(bytes.length());
                let front = bytes.split_front(cut, &mut spool);
                let (first, second) = expected.split_at(usize::try_from(cut).unwrap());
                prop_assert!(read(&front, &spool) == first && read(&bytes, &spool) == second);
                spool.remove(front);
                spool.remove(bytes);
            }
            prop_assert_eq!(spool.held(), 0);
        }
    }

    #[test]
    fn a_full_disk_loses_nothing() {
        let mut spool = Spool::new(0);
        let mut bytes = SpooledBytes::default();
        bytes.append(b"kept ", &mut spool);
        spool.spill_one(&mut bytes).unwrap();
        spool.refuse_writes();
        bytes.append(&[b'x'; WORTH_SPILLING], &mut spool);
        spool.spill_one(&mut bytes).unwrap_err();
        spool.spill(std::iter::once(&mut bytes)).unwrap_err();
        let expected = [b"kept ", &[b'x'; WORTH_SPILLING][..]].concat();
        assert!(read(&bytes, &spool) == expected);
    }
}
