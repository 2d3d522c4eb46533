//! Reader of the tar archives that hosts send: it takes the bytes as they come and names each entry before its content.
//!
//! The `tar` crate reads headers and pax records. Its own reader needs a blocking source, which thousands of hosts do not
//! have. Only regular files are accepted, since nothing else was asked for.

use tar::{EntryType, Header, PaxExtensions};

/// Length of a block, in bytes.
const BLOCK: usize = 512;

/// Maximum length of an extension: a long name, or pax records.
const MAX_EXTENSION: u64 = 64 * 1024;

/// Event of reading an archive.
#[derive(Debug, PartialEq, Eq)]
pub enum ArchiveEvent<'d> {
    /// A regular file of this name and length begins.
    File {
        /// Name in the archive.
        name: Vec<u8>,
        /// Length of the content, in bytes.
        length: u64,
        /// Time of the last modification, in seconds.
        mtime: i64,
    },
    /// A part of its content.
    Content(&'d [u8]),
    /// The content is complete.
    FileEnd,
    /// The archive has ended. The next byte does not belong to it.
    End,
}

/// The reason why something is no archive of files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ArchiveFault {
    /// A header has a wrong checksum or numbers.
    #[error("a damaged header")]
    Header,
    /// An entry is no regular file.
    #[error("an entry that is no file")]
    Kind,
    /// An extension is too long or damaged.
    #[error("a damaged long name")]
    Extension,
}

#[derive(Debug)]
enum ArchiveState {
    /// Collecting a header.
    Header,
    /// Collecting an extension: its kind, and its bytes that are still to come.
    Extension(EntryType, u64),
    /// Bytes of the content that are still to come, and of its padding.
    Content(u64, u64),
    /// Bytes of padding that are still to come.
    Padding(u64),
    /// Zeros after the end.
    Trailer,
}

/// A reader of one archive.
#[derive(Debug)]
pub struct ArchiveReader {
    state: ArchiveState,
    collected: Vec<u8>,
    /// Name from an extension, for the next entry.
    long_name: Option<Vec<u8>>,
    /// Length from an extension, for the next entry.
    long_length: Option<u64>,
}

impl Default for ArchiveReader {
    fn default() -> Self {
        ArchiveReader {
            state: ArchiveState::Header,
            collected: Vec::with_capacity(BLOCK),
            long_name: None,
            long_length: None,
        }
    }
}

impl ArchiveReader {
    /// Takes bytes from the start of `data` up to the next event; `None` if all bytes are taken.
    ///
    /// # Errors
    /// The bytes are no archive of regular files.
    pub fn next<'d>(
        &mut self,
        data: &mut &'d [u8],
    ) -> Result<Option<ArchiveEvent<'d>>, ArchiveFault> {
        while !data.is_empty() {
            match self.state {
                ArchiveState::Header => {
                    let missing = BLOCK - self.collected.len();
                    self.collected.extend_from_slice(take(data, missing as u64));
                    if self.collected.len() == BLOCK {
                        let event = self.on_header()?;
                        self.collected.clear();
                        if event.is_some() {
                            return Ok(event);
                        }
                    }
                }
                ArchiveState::Extension(kind, left) => {
                    let part = take(data, left);
                    self.collected.extend_from_slice(part);
                    let left = left - part.len() as u64;
                    self.state = ArchiveState::Extension(kind, left);
                    if left == 0 {
                        self.on_extension(kind)?;
                        self.state = ArchiveState::Padding(padding(self.collected.len() as u64));
                        self.collected.clear();
                    }
                }
                // The event needs no byte of its own, but the next header always follows.
                ArchiveState::Content(0, padding) => {
                    self.state = ArchiveState::Padding(padding);
                    return Ok(Some(ArchiveEvent::FileEnd));
                }
                ArchiveState::Content(left, padding) => {
                    let part = take(data, left);
                    self.state = ArchiveState::Content(left - part.len() as u64, padding);
                    return Ok(Some(ArchiveEvent::Content(part)));
                }
                ArchiveState::Padding(0) => self.state = ArchiveState::Header,
                ArchiveState::Padding(left) => {
                    let part = take(data, left);
                    self.state = ArchiveState::Padding(left - part.len() as u64);
                }
                ArchiveState::Trailer => {
                    let zeros = data.iter().take_while(|&&byte| byte == 0).count();
                    *data = &data[zeros..];
                    if !data.is_empty() {
                        return Ok(Some(ArchiveEvent::End));
                    }
                }
            }
        }
        Ok(None)
    }

    fn on_header(&mut self) -> Result<Option<ArchiveEvent<'static>>, ArchiveFault> {
        if self.collected.iter().all(|&byte| byte == 0) {
            self.state = ArchiveState::Trailer;
            return Ok(None);
        }
        let header = Header::from_byte_slice(&self.collected);
        // The field itself counts as spaces (POSIX, ustar).
        let sum = |bytes: &[u8]| bytes.iter().map(|&byte| u32::from(byte)).sum::<u32>();
        let expected = sum(&self.collected[..148]) + 8 * 32 + sum(&self.collected[156..]);
        if header.cksum().ok() != Some(expected) {
            return Err(ArchiveFault::Header);
        }
        let length = header.entry_size().map_err(|_| ArchiveFault::Header)?;
        let kind = header.entry_type();
        match kind {
            EntryType::Regular | EntryType::Continuous => {
                let length = self.long_length.take().unwrap_or(length);
                let name = self.long_name.take();
                self.state = ArchiveState::Content(length, padding(length));
                Ok(Some(ArchiveEvent::File {
                    name: name.unwrap_or_else(|| header.path_bytes().into_owned()),
                    length,
                    mtime: header
                        .mtime()
                        .ok()
                        .and_then(|t| i64::try_from(t).ok())
                        .unwrap_or(0),
                }))
            }
            EntryType::GNULongName
            | EntryType::GNULongLink
            | EntryType::XHeader
            | EntryType::XGlobalHeader => {
                // No path is longer than 4,096 bytes; the rest is for pax records of other kinds.
                if length > MAX_EXTENSION {
                    return Err(ArchiveFault::Extension);
                }
                self.state = ArchiveState::Extension(kind, length);
                if length == 0 {
                    return Err(ArchiveFault::Extension);
                }
                Ok(None)
            }
            _ => Err(ArchiveFault::Kind),
        }
    }

    fn on_extension(&mut self, kind: EntryType) -> Result<(), ArchiveFault> {
        match kind {
            EntryType::GNULongName => {
                let name = self.collected.strip_suffix(b"\0");
                self.long_name = Some(name.unwrap_or(&self.collected).to_vec());
            }
            EntryType::XHeader => {
                for record in PaxExtensions::new(&self.collected) {
                    let record = record.map_err(|_| ArchiveFault::Extension)?;
                    match record.key_bytes() {
                        b"path" => self.long_name = Some(record.value_bytes().to_vec()),
                        b"size" => {
                            let value = record.value().ok().and_then(|text| text.parse().ok());
                            self.long_length = Some(value.ok_or(ArchiveFault::Extension)?);
                        }
                        _ => {}
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }
}

/// Takes up to `most` bytes from the start.
fn take<'d>(data: &mut &'d [u8], most: u64) -> &'d [u8] {
    let length = usize::try_from(most).map_or(data.len(), |most| most.min(data.len()));
    let (part, rest) = data.split_at(length);
    *data = rest;
    part
}

/// Returns the number of bytes from the end of a content to the end of its last block.
fn padding(length: u64) -> u64 {
    // A length near the maximum is a lie that no content follows.
    (BLOCK as u64 - length % BLOCK as u64) % BLOCK as u64
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tar::Builder;

    use super::*;

    /// Returns all events, with the content joined, when the bytes come in parts of these lengths.
    fn read(mut bytes: &[u8], lengths: &[usize]) -> Result<Vec<String>, ArchiveFault> {
        let mut reader = ArchiveReader::default();
        let (mut events, mut content) = (Vec::new(), Vec::new());
        let mut lengths = lengths.iter().cycle();
        while !bytes.is_empty() {
            let length = lengths
                .next()
                .map_or(bytes.len(), |&n| n.clamp(1, bytes.len()));
            let (mut part, rest) = bytes.split_at(length);
            bytes = rest;
            while let Some(event) = reader.next(&mut part)? {
                match event {
                    ArchiveEvent::Content(part) => content.extend_from_slice(part),
                    ArchiveEvent::End => {
                        events.push(format!("end, {} left", part.len() + bytes.len()));
                        return Ok(events);
                    }
                    ArchiveEvent::FileEnd => {
                        events.push(format!("{} bytes", content.len()));
                        content.clear();
                    }
                    event => events.push(format!("{event:?}")),
                }
            }
        }
        Ok(events)
    }

    fn archive(files: &[(Vec<u8>, Vec<u8>)]) -> Vec<u8> {
        let mut builder = Builder::new(Vec::new());
        for (name, content) in files {
            let mut header = Header::new_gnu();
            header.set_size(content.len() as u64);
            header.set_mode(0o644);
            header.set_mtime(7);
            let name = std::str::from_utf8(name).unwrap();
            builder.append_data(&mut header, name, &**content).unwrap();
        }
        let mut bytes = builder.into_inner().unwrap();
        bytes.extend_from_slice(b".\n");
        bytes
    }

    proptest! {
        #[test]
        fn any_cutting_gives_the_same(
            files in prop::collection::vec(("[a-z]{1,300}", prop::collection::vec(any::<u8>(), 0..2000)), 0..5),
            lengths in prop::collection::vec(1_usize..1500, 1..10),
        ) {
            let files: Vec<_> = files.into_iter().map(|(name, content)| (name.into_bytes(), content)).collect();
            let bytes = archive(&files);
            let whole = read(&bytes, &[]).unwrap();
            prop_assert_eq!(&whole, &read(&bytes, &lengths).unwrap());
            prop_assert_eq!(whole.len(), 2 * files.len() + 1);
            prop_assert_eq!(whole.last().unwrap(), "end, 2 left");
            for (file, event) in files.iter().zip(whole.iter().skip(1).step_by(2)) {
                prop_assert_eq!(event, &format!("{} bytes", file.1.len()));
            }
        }

        #[test]
        fn damaged_archives_end_in_an_event_or_a_fault(
            mut bytes in Just(archive(&[(b"name".to_vec(), vec![7; 700]), (vec![b'n'; 200], vec![8; 10])])),
            changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..20),
            lengths in prop::collection::vec(1_usize..1500, 1..10),
        ) {
            for (index, byte) in changes {
                let at = index.index(bytes.len());
                bytes[at] = byte;
            }
            let whole = read(&bytes, &[]);
            prop_assert_eq!(whole, read(&bytes, &lengths));
        }
    }

    #[test]
    fn names_and_sizes_come_from_pax_records() {
        let mut header = Header::new_ustar();
        header.set_entry_type(EntryType::XHeader);
        let records = b"20 path=a/long/name\n";
        let records = [&records[..], b"10 size=3\n"].concat();
        header.set_size(records.len() as u64);
        header.set_cksum();
        let mut bytes = header.as_bytes().to_vec();
        bytes.extend_from_slice(&records);
        bytes.resize(1024, 0);
        let mut header = Header::new_ustar();
        header.set_path("short").unwrap();
        header.set_size(0);
        header.set_mtime(1);
        header.set_cksum();
        bytes.extend_from_slice(header.as_bytes());
        bytes.extend_from_slice(b"abc");
        bytes.resize(2048, 0);
        bytes.resize(3072, 0);
        bytes.push(b'.');
        let events = read(&bytes, &[1]).unwrap();
        assert_eq!(events.len(), 3, "{events:?}");
        assert!(events[0].contains("length: 3"), "{events:?}");
        assert_eq!(events[1..], ["3 bytes", "end, 1 left"]);
    }
}
