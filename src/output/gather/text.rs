//! Pieces of text that are in memory while they are few, and in one temporary file when they are not.
//!
//! [`Tree`](super::tree::Tree) is made of them. A [`Text`] only grows at its end and only splits; what
//! is in the file stays there, unchanged, until the program ends and the file, which has no name,
//! goes with it.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// Shorter texts stay in memory: to note their place would take as much.
const WORTH_SPILLING: usize = 128;

/// Texts that go to the file together, so that thousands of short ones are not a write each.
const BATCH: usize = 256 * 1024;

/// The temporary file, made when it is first needed, and the count of what is in memory.
#[derive(Debug)]
pub(super) struct Spool {
    file: Option<File>,
    /// How much of the file is good; a failed write may have left more.
    length: u64,
    /// The memory of all texts.
    held: usize,
    limit: usize,
    /// Where `held` calls for the next spilling.
    alarm: usize,
}

impl Spool {
    /// Keeps about `limit` bytes in memory.
    pub(super) fn new(limit: usize) -> Self {
        Spool {
            file: None,
            length: 0,
            held: 0,
            limit,
            alarm: limit,
        }
    }

    /// How many bytes of memory all texts hold.
    #[cfg(test)]
    pub(super) fn held(&self) -> usize {
        self.held
    }

    /// Whether it is time to [`spill`](Self::spill).
    pub(super) fn is_full(&self) -> bool {
        self.held > self.alarm
    }

    /// Moves what is in memory of these texts to the file, where that is worth it.
    ///
    /// # Errors
    /// The file cannot be made or is full. Every text is whole nevertheless.
    pub(super) fn spill<'a>(
        &mut self,
        texts: impl Iterator<Item = &'a mut Text>,
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
        // Many texts too short to be spilled must not be walked again and again.
        self.alarm = self.limit.max(self.held.saturating_mul(2));
        Ok(())
    }

    fn spill_batch(&mut self, batch: &mut Vec<u8>, members: &mut Vec<&mut Text>) -> io::Result<()> {
        let mut place = self.write(batch)?;
        for text in members.drain(..) {
            let length = text.memory.len() as u64;
            self.moved(text, place);
            place += length;
        }
        batch.clear();
        Ok(())
    }

    /// Appends to the file, and says where.
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

    /// Notes that what a text has in memory is at `place` in the file, and gives the memory back.
    fn moved(&mut self, text: &mut Text, place: u64) {
        self.held -= text.memory.capacity();
        let begin = text.spilled();
        let end = begin + text.memory.len() as u64;
        text.memory = Vec::new();
        match text.extents.last_mut() {
            Some(last) if last.place + (last.end - last.begin) == place => last.end = end,
            _ => text.extents.push(Extent { begin, end, place }),
        }
    }
}

/// A part of a text that is in the file.
#[derive(Clone, Copy, Debug)]
struct Extent {
    /// Where it begins and ends in the text.
    begin: u64,
    end: u64,
    /// Where it begins in the file.
    place: u64,
}

/// A text: what the file has of it, then what memory has.
#[derive(Debug, Default)]
pub(super) struct Text {
    extents: Vec<Extent>,
    memory: Vec<u8>,
}

impl Text {
    fn spilled(&self) -> u64 {
        self.extents.last().map_or(0, |last| last.end)
    }

    /// Its length in bytes.
    pub(super) fn length(&self) -> u64 {
        self.spilled() + self.memory.len() as u64
    }

    /// Makes it longer.
    pub(super) fn append(&mut self, data: &[u8], spool: &mut Spool) {
        spool.held -= self.memory.capacity();
        self.memory.extend_from_slice(data);
        spool.held += self.memory.capacity();
    }

    /// Cuts it in two at `at` and gives the first part away.
    pub(super) fn split_front(&mut self, at: u64, spool: &mut Spool) -> Text {
        spool.held -= self.memory.capacity();
        let in_memory = usize::try_from(at.saturating_sub(self.spilled())).unwrap_or(usize::MAX);
        let behind = self.memory.split_off(in_memory.min(self.memory.len()));
        let mut front = Text {
            extents: Vec::new(),
            memory: std::mem::replace(&mut self.memory, behind),
        };
        front.memory.shrink_to_fit();
        spool.held += front.memory.capacity() + self.memory.capacity();
        for extent in std::mem::take(&mut self.extents) {
            let cut = at.clamp(extent.begin, extent.end);
            if cut > extent.begin {
                front.extents.push(Extent { end: cut, ..extent });
            }
            if cut < extent.end {
                self.extents.push(Extent {
                    begin: cut - at,
                    end: extent.end - at,
                    place: extent.place + (cut - extent.begin),
                });
            }
        }
        front
    }

    /// Reads from `at` on as much as is in one place and fits; nothing only at the end.
    ///
    /// # Errors
    /// The temporary file cannot be read.
    pub(super) fn read_at(&self, at: u64, to: &mut [u8], spool: &Spool) -> io::Result<usize> {
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
