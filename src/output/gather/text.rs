//! The texts of the nodes of a [`TextTree`](super::tree::TextTree): in memory up to a limit, then in one temporary file.
//!
//! A [`StoredText`] only grows at its end and splits. Bytes in the file never change. The file has no name and ends with
//! the program.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// Minimum length of a text that goes to the file. The position of a shorter one would take as much memory.
const WORTH_SPILLING: usize = 128;

/// Size of one write to the file, so that thousands of short texts do not cause a write each.
const BATCH: usize = 256 * 1024;

/// The temporary file, created when it is first needed, and the number of bytes in memory.
#[derive(Debug)]
pub(super) struct TextSpool {
    file: Option<File>,
    /// Number of valid bytes in the file; a failed write may have left more.
    length: u64,
    /// Bytes in memory of all texts.
    held: usize,
    limit: usize,
    /// Value of `held` at which texts move to the file next.
    alarm: usize,
}

impl TextSpool {
    /// Creates a spool that keeps about `limit` bytes in memory.
    pub(super) fn new(limit: usize) -> Self {
        TextSpool {
            file: None,
            length: 0,
            held: 0,
            limit,
            alarm: limit,
        }
    }

    /// Returns the number of bytes in memory of all texts.
    #[cfg(test)]
    pub(super) fn held(&self) -> usize {
        self.held
    }

    /// True if texts should be [spilled](Self::spill).
    pub(super) fn is_full(&self) -> bool {
        self.held > self.alarm
    }

    /// Moves texts from memory to the file, except short ones.
    ///
    /// # Errors
    /// The file cannot be made or is full. Every text is whole nevertheless.
    pub(super) fn spill<'a>(
        &mut self,
        texts: impl Iterator<Item = &'a mut StoredText>,
    ) -> io::Result<()> {
        let mut batch = Vec::new();
        let mut members = Vec::new();
        for text in texts.filter(|text| text.memory.len() >= WORTH_SPILLING) {
            if text.memory.len() >= BATCH {
                let place = self.write(&text.memory)?;
                self.moved(text, place);
                continue;
            }
            batch.extend_from_slice(&text.memory);
            members.push(text);
            if batch.len() >= BATCH {
                self.spill_batch(&mut batch, &mut members)?;
            }
        }
        self.spill_batch(&mut batch, &mut members)?;
        // Texts that are too short for the file must not be checked again at each call.
        self.alarm = self.limit.max(self.held.saturating_mul(2));
        Ok(())
    }

    fn spill_batch(
        &mut self,
        batch: &mut Vec<u8>,
        members: &mut Vec<&mut StoredText>,
    ) -> io::Result<()> {
        let mut place = self.write(batch)?;
        for text in members.drain(..) {
            let length = text.memory.len() as u64;
            self.moved(text, place);
            place += length;
        }
        batch.clear();
        Ok(())
    }

    /// Appends to the file and returns the offset.
    fn write(&mut self, data: &[u8]) -> io::Result<u64> {
        let place = self.length;
        if !data.is_empty() {
            let file = match &mut self.file {
                Some(file) => file,
                none => none.insert(tempfile::tempfile()?),
            };
            file.write_all_at(data, place)?;
            self.length += data.len() as u64;
        }
        Ok(place)
    }

    /// Records that the bytes of a text in memory are at `place` in the file, and frees the memory.
    fn moved(&mut self, text: &mut StoredText, place: u64) {
        self.held -= text.memory.capacity();
        let begin = text.spilled();
        let end = begin + text.memory.len() as u64;
        text.memory = Vec::new();
        match text.extents.last_mut() {
            Some(last) if last.place + (last.end - last.begin) == place => last.end = end,
            _ => text.extents.push(FileExtent { begin, end, place }),
        }
    }
}

/// A part of a text that is in the file.
#[derive(Clone, Copy, Debug)]
struct FileExtent {
    /// Start and end of the part in the text.
    begin: u64,
    end: u64,
    /// Start of the part in the file.
    place: u64,
}

/// A text: first its parts in the file, then its bytes in memory.
#[derive(Debug, Default)]
pub(super) struct StoredText {
    extents: Vec<FileExtent>,
    memory: Vec<u8>,
}

impl StoredText {
    fn spilled(&self) -> u64 {
        self.extents.last().map_or(0, |last| last.end)
    }

    /// Returns the length in bytes.
    pub(super) fn length(&self) -> u64 {
        self.spilled() + self.memory.len() as u64
    }

    /// Appends `data`.
    pub(super) fn append(&mut self, data: &[u8], spool: &mut TextSpool) {
        spool.held -= self.memory.capacity();
        self.memory.extend_from_slice(data);
        spool.held += self.memory.capacity();
    }

    /// Splits the text at `at` and returns the first part.
    pub(super) fn split_front(&mut self, at: u64, spool: &mut TextSpool) -> StoredText {
        spool.held -= self.memory.capacity();
        let in_memory = usize::try_from(at.saturating_sub(self.spilled())).unwrap_or(usize::MAX);
        let behind = self.memory.split_off(in_memory.min(self.memory.len()));
        let mut front = StoredText {
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
                    place: extent.place + (cut - extent.begin),
                });
            }
        }
        front
    }

    /// Reads contiguous bytes from `at` on; returns 0 only at the end.
    ///
    /// # Errors
    /// The temporary file cannot be read.
    pub(super) fn read_at(&self, at: u64, to: &mut [u8], spool: &TextSpool) -> io::Result<usize> {
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
        let file = spool
            .file
            .as_ref()
            .ok_or_else(|| io::Error::other("the temporary file is gone"))?;
        file.read_exact_at(&mut to[..length], extent.place + (at - extent.begin))
            .map_err(|error| {
                let text = format!("cannot read a temporary file: {error}");
                io::Error::new(error.kind(), text)
            })?;
        Ok(length)
    }
}
