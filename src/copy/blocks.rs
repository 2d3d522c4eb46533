//! Text of the blocks of code that are sent to a target's shell, and the checksums that its replies are compared with.

use std::collections::{HashSet, VecDeque};

use crc::{CRC_32_CKSUM, Crc};
use openssl::sha::sha256;

use super::shell::FarPrograms;
use super::snapshot::{Entry, EntryKind, Segment, Snapshot};
use crate::random::hex;

/// Maximum number of names in one call of a function of the far side. Shells take 128 KiB for one command at least.
const BATCH_NAMES: usize = 400;

/// Maximum number of bytes of names in one call.
const BATCH_BYTES: usize = 48 * 1024;

/// The checksum that a target computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Checksum {
    /// SHA-256, through the named program.
    Sha256(&'static str),
    /// The checksum of POSIX `cksum`: 32 bits and the length. It finds accidents, not attacks.
    Cksum,
}

impl Checksum {
    /// Returns the checksum for the name of a program.
    pub(super) fn of_program(name: &[u8]) -> Option<Checksum> {
        match name {
            b"sha256sum" => Some(Checksum::Sha256("sha256sum")),
            b"shasum" => Some(Checksum::Sha256("shasum")),
            b"openssl" => Some(Checksum::Sha256("openssl")),
            b"cksum" => Some(Checksum::Cksum),
            _ => None,
        }
    }

    /// Returns the name of the program.
    pub(super) fn program(self) -> &'static str {
        match self {
            Checksum::Sha256(program) => program,
            Checksum::Cksum => "cksum",
        }
    }

    /// Returns the checksum of a text as the target prints it.
    pub(super) fn of_text(self, text: &[u8]) -> String {
        match self {
            Checksum::Sha256(_) => hex(&sha256(text)),
            Checksum::Cksum => {
                let mut cksum = Cksum::default();
                cksum.update(text);
                cksum.finish()
            }
        }
    }

    /// Returns the checksum of a file of the snapshot as the target prints it.
    pub(super) fn of_entry(self, snapshot: &Snapshot, index: usize) -> String {
        match snapshot.content_of(index) {
            Some(content) => match self {
                Checksum::Sha256(_) => hex(&content.sha256),
                Checksum::Cksum => snapshot.cksum(content).to_owned(),
            },
            None => String::new(),
        }
    }
}

static CKSUM: Crc<u32> = Crc::<u32>::new(&CRC_32_CKSUM);

/// Calculation of what POSIX `cksum` prints: the checksum and the length.
pub(super) struct Cksum {
    digest: crc::Digest<'static, u32>,
    length: u64,
}

impl Default for Cksum {
    fn default() -> Self {
        Cksum {
            digest: CKSUM.digest(),
            length: 0,
        }
    }
}

impl Cksum {
    pub(super) fn update(&mut self, bytes: &[u8]) {
        self.digest.update(bytes);
        self.length += bytes.len() as u64;
    }

    pub(super) fn finish(mut self) -> String {
        // The length follows the data, lowest byte first, without leading zeros (POSIX, cksum).
        let mut rest = self.length;
        while rest > 0 {
            self.digest.update(&[(rest & 0xff) as u8]);
            rest >>= 8;
        }
        format!("{} {}", self.digest.finalize(), self.length)
    }
}

/// Returns the mode of a regular file as `ls -l` prints it.
pub(super) fn mode_text(mode: u32) -> String {
    let mut text = String::from("-");
    for (shift, special, letter) in [(6, 0o4000, 's'), (3, 0o2000, 's'), (0, 0o1000, 't')] {
        let bits = mode >> shift;
        text.push(if bits & 4 != 0 { 'r' } else { '-' });
        text.push(if bits & 2 != 0 { 'w' } else { '-' });
        text.push(match (bits & 1 != 0, mode & special != 0) {
            (true, true) => letter,
            (false, true) => letter.to_ascii_uppercase(),
            (true, false) => 'x',
            (false, false) => '-',
        });
    }
    text
}

/// Returns what a target prints about the attributes of a file.
pub(super) fn attributes(entry: &Entry, programs: FarPrograms) -> String {
    let mode = mode_text(entry.mode);
    match (programs.has_times, programs.compares_owner) {
        (false, _) => mode,
        (true, false) => format!("{mode} {}", entry.mtime),
        (true, true) => format!("{mode} {} =", entry.mtime),
    }
}

/// Returns the line of `check` for files that are as in the snapshot.
pub(super) fn files_sum(snapshot: &Snapshot, files: &[usize], programs: FarPrograms) -> String {
    let checksum = programs.checksum;
    let mut text = content_text(snapshot, files, checksum);
    for &file in files {
        text.push_str(&attributes(&snapshot.entries[file], programs));
        text.push('\n');
    }
    checksum.of_text(text.as_bytes())
}

/// Returns the argument of `verify` for files.
pub(super) fn content_sum(snapshot: &Snapshot, files: &[usize], checksum: Checksum) -> String {
    checksum.of_text(content_text(snapshot, files, checksum).as_bytes())
}

fn content_text(snapshot: &Snapshot, files: &[usize], checksum: Checksum) -> String {
    let sums = files
        .iter()
        .map(|&file| checksum.of_entry(snapshot, file) + "\n");
    sums.collect()
}

/// Returns the line of `check` for links that are as in the snapshot.
pub(super) fn links_sum(snapshot: &Snapshot, links: &[usize], checksum: Checksum) -> String {
    let mut text = Vec::new();
    for &link in links {
        if let EntryKind::Link(content) = &snapshot.entries[link].kind {
            text.extend_from_slice(content);
            text.push(b'\n');
        }
    }
    checksum.of_text(&text)
}

/// Appends a word in single quotes, which protect every byte in a POSIX shell but the quote itself.
pub(super) fn push_quoted(word: &[u8], block: &mut Vec<u8>) {
    block.push(b'\'');
    for &byte in word {
        match byte {
            b'\'' => block.extend_from_slice(b"'\\''"),
            _ => block.push(byte),
        }
    }
    block.push(b'\'');
}

/// Appends a name relative to the current directory. It never looks like an option.
pub(super) fn push_name(name: &[u8], block: &mut Vec<u8>) {
    block.push(b' ');
    push_quoted(&[b"./", name].concat(), block);
}

/// Returns the entries of a snapshot in parts that fit into one call each.
pub(super) fn batches(snapshot: &Snapshot, entries: &[usize]) -> Vec<Vec<usize>> {
    batches_of(entries, |entry| snapshot.entries[entry].name.len())
}

/// Returns files in parts for calls that compute checksums: each large one alone, after the others.
pub(super) fn hashed_batches(snapshot: &Snapshot, files: &[usize]) -> Vec<Vec<usize>> {
    let (large, others): (Vec<usize>, Vec<usize>) =
        files.iter().partition(|&&file| snapshot.is_large(file));
    let mut batches = batches(snapshot, &others);
    batches.extend(large.into_iter().map(|file| vec![file]));
    batches
}

/// Returns entries in parts that fit into one call each. `length` is that of an entry's name.
pub(super) fn batches_of(entries: &[usize], length: impl Fn(usize) -> usize) -> Vec<Vec<usize>> {
    let mut batches: Vec<Vec<usize>> = Vec::new();
    let mut bytes = 0;
    for &entry in entries {
        // The quotes, `./` and the space come to the name.
        let length = length(entry) + 5;
        match batches.last_mut() {
            Some(batch) if batch.len() < BATCH_NAMES && bytes + length <= BATCH_BYTES => {
                batch.push(entry);
                bytes += length;
            }
            _ => {
                batches.push(vec![entry]);
                bytes = length;
            }
        }
    }
    batches
}

/// Appends a call of a function with the names of entries, as a line.
pub(super) fn push_call(snapshot: &Snapshot, call: &str, entries: &[usize], block: &mut Vec<u8>) {
    block.extend_from_slice(call.as_bytes());
    for &entry in entries {
        push_name(&snapshot.entries[entry].name, block);
    }
    block.push(b'\n');
}

/// Appends a call of a function that computes checksums, for one of the [`hashed_batches`].
pub(super) fn push_hash_call(
    snapshot: &Snapshot,
    call: &str,
    files: &[usize],
    block: &mut Vec<u8>,
) {
    if files.iter().any(|&file| snapshot.is_large(file)) {
        block.extend_from_slice(b"large ");
    }
    push_call(snapshot, call, files, block);
}

/// Appends as many calls of a function as the names of entries need.
pub(super) fn push_calls(snapshot: &Snapshot, call: &str, entries: &[usize], block: &mut Vec<u8>) {
    for batch in batches(snapshot, entries) {
        push_call(snapshot, call, &batch, block);
    }
}

/// Splits a name into its directory and its last part.
pub(super) fn split(name: &[u8]) -> (&[u8], &[u8]) {
    match name.iter().rposition(|&byte| byte == b'/') {
        Some(at) => (&name[..at], &name[at + 1..]),
        None => (b"", name),
    }
}

/// A block that reads data from the script's input, and the data.
#[derive(Debug)]
pub(super) struct DataPart {
    pub(super) block: Vec<u8>,
    /// Sent when the block has started.
    pub(super) segments: Vec<Segment>,
}

/// Returns the parts for entries that are sent without an archive: the files one after the other, then links and further
/// names.
pub(super) fn single_parts(snapshot: &Snapshot, sent: &[usize]) -> VecDeque<DataPart> {
    let mut made: HashSet<&[u8]> = HashSet::new();
    let mut parts = VecDeque::new();
    // Commands that come before the next data.
    let mut block = Vec::new();
    let mut links = Vec::new();
    for &index in sent {
        let entry = &snapshot.entries[index];
        let directory = match entry.kind {
            EntryKind::Directory => &*entry.name,
            _ => split(&entry.name).0,
        };
        if !directory.is_empty() && made.insert(directory) {
            block.extend_from_slice(b"in_ mkdir -p");
            push_name(directory, &mut block);
            block.push(b'\n');
        }
        match &entry.kind {
            EntryKind::Directory => {}
            EntryKind::File(content) => {
                block.extend_from_slice(format!("echo G\nreceive {}", content.length).as_bytes());
                push_name(&entry.name, &mut block);
                block.push(b'\n');
                parts.push_back(DataPart {
                    block: std::mem::take(&mut block),
                    segments: vec![snapshot.content(content)],
                });
            }
            EntryKind::Link(target) => {
                links.extend_from_slice(b"in_ ln -s ");
                push_quoted(target, &mut links);
                push_name(&entry.name, &mut links);
                links.push(b'\n');
            }
            EntryKind::HardLink(first) => {
                links.extend_from_slice(b"in_ ln");
                push_name(&snapshot.entries[*first].name, &mut links);
                push_name(&entry.name, &mut links);
                links.push(b'\n');
            }
        }
    }
    block.append(&mut links);
    if !block.is_empty() {
        block.extend_from_slice(b"echo G\n");
        parts.push_back(DataPart {
            block,
            segments: Vec::new(),
        });
    }
    parts
}

/// Returns a time as `touch -t` reads it in UTC.
pub(super) fn touch_time(seconds: i64) -> String {
    let [year, month, day, hour, minute, second] = calendar(seconds);
    format!("{year:04}{month:02}{day:02}{hour:02}{minute:02}.{second:02}")
}

/// Returns a time as `touch -d` reads it (POSIX, touch).
pub(super) fn exact_touch_time(seconds: i64, nanoseconds: u32) -> String {
    let [year, month, day, hour, minute, second] = calendar(seconds);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{nanoseconds:09}Z")
}

/// Returns year, month, day, hour, minute and second of a time in UTC.
fn calendar(seconds: i64) -> [i64; 6] {
    // Days to a date of the Gregorian calendar, with years that begin in March.
    let days = seconds.div_euclid(86_400);
    let second = seconds.rem_euclid(86_400);
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 {
        month_from_march + 3
    } else {
        month_from_march - 9
    };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    let (hour, minute) = (second / 3600, second / 60 % 60);
    [year, month, day, hour, minute, second % 60]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cksum_is_that_of_posix() {
        // Printed by GNU cksum.
        for (text, printed) in [
            (&b""[..], "4294967295 0"),
            (b"a", "1220704766 1"),
            (b"123456789", "930766865 9"),
        ] {
            assert_eq!(Checksum::Cksum.of_text(text), printed);
        }
    }

    #[test]
    fn times_are_written_for_touch() {
        for (seconds, text) in [
            (0, "197001010000.00"),
            (951_782_400, "200002290000.00"),
            (1_795_863_661, "202611281101.01"),
            (-1, "196912312359.59"),
        ] {
            assert_eq!(touch_time(seconds), text);
        }
        assert_eq!(
            exact_touch_time(951_782_400, 1_002),
            "2000-02-29T00:00:00.000001002Z"
        );
    }

    #[test]
    fn modes_are_written_as_ls_writes_them() {
        for (mode, text) in [
            (0o644, "-rw-r--r--"),
            (0o4755, "-rwsr-xr-x"),
            (0o2640, "-rw-r-S---"),
            (0o1777, "-rwxrwxrwt"),
        ] {
            assert_eq!(mode_text(mode), text);
        }
    }

    #[test]
    fn quoted_words_protect_every_byte() {
        let mut block = Vec::new();
        push_name(b"-a'b\n\xff$(x)", &mut block);
        assert_eq!(block, b" './-a'\\''b\n\xff$(x)'");
    }
}
