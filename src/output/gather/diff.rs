//! `--diff`: the most common output in full, every other output as differences from it.
//!
//! The tree knows the common prefix of two texts, and the common suffix is found quickly. So the cost depends only on
//! the lines between the first difference and the last. `similar` compares hashes of these lines, which are in memory.
//! Past a limit, the text is shown in full instead.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::io::{self, BufRead, Read};
use std::time::{Duration, Instant};

use memchr::{memchr, memchr_iter};
use similar::{Algorithm, DiffOp, capture_diff_slices_deadline, group_diff_ops};

use super::super::Console;
use super::super::color::Frame;
use super::super::unfinished_line::print_line;
use super::print::{buffered, print_next};
use super::tree::TextCursor;
use super::view::{GatherView, OutputGroup};
use crate::event::Stream;

/// Lines of context around a difference.
const CONTEXT: usize = 3;

/// Maximum number of lines between the first difference and the last.
// Nobody reads a larger diff. With 150,000 lines, a run of 20 hosts took 66 MB (measured); the aim is below 64 MB.
const MOST_LINES: usize = 100_000;

/// Number of lines from which on texts that differ in nearly all lines are shown in full.
// The diff would repeat both texts.
const READABLE: usize = 1000;

/// Time after which a comparison stops.
// The diff is then correct, but not the shortest.
const PATIENCE: Duration = Duration::from_secs(2);

/// Size of the pieces in which a text is read backwards.
const PIECE: usize = 64 * 1024;

/// The differences between two texts.
#[derive(Debug, PartialEq, Eq)]
enum Differences {
    /// Groups of changes, each with its context.
    Hunks(ComparedPart, Vec<Vec<DiffOp>>),
    /// Too many differences for a diff.
    TooMany,
}

/// The part of two texts that is compared. The text before it is equal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct ComparedPart {
    /// Offset of the part in both texts, in bytes, and the number of lines before it.
    begin: u64,
    line: usize,
    /// Number of bytes at the end of both texts that are not compared.
    rest: u64,
}

impl GatherView<'_> {
    /// Prints the first group in full, and the differences of each other group.
    pub(super) fn diffs(&self, groups: &[OutputGroup], console: &mut Console) -> io::Result<()> {
        let Some((usual, others)) = groups.split_first() else {
            return Ok(());
        };
        // A group without output is shown only beside other groups.
        if !self.only_odd && (!usual.text.is_empty() || !others.is_empty()) {
            self.header(&usual.hosts, usual.end, Stream::Stdout, console)?;
            self.text(usual.text, Frame::default(), Stream::Stdout, console)?;
        }
        self.error_blocks(usual, self.only_odd, console)?;
        for group in others {
            match self.differences(usual.text, group.text)? {
                Differences::Hunks(part, hunks) => {
                    let title = self.title(&usual.hosts, usual.end);
                    self.title_line(b"--- ", &title, console)?;
                    let title = self.title(&group.hosts, group.end);
                    self.title_line(b"+++ ", &title, console)?;
                    self.hunks([usual.text, group.text], part, &hunks, console)?;
                }
                Differences::TooMany => {
                    self.header(&group.hosts, group.end, Stream::Stdout, console)?;
                    self.text(group.text, Frame::default(), Stream::Stdout, console)?;
                    let note = format!(
                        "mrsh: {}: shown in full, too different from the most common output for a diff",
                        self.title(&group.hosts, None)
                    );
                    print_line(note.as_bytes(), Frame::default(), Stream::Stderr, console)?;
                }
            }
            self.error_blocks(group, false, console)?;
        }
        Ok(())
    }

    fn title_line(&self, mark: &[u8], title: &str, console: &mut Console) -> io::Result<()> {
        let frame = self.palette.title.line(mark);
        print_line(title.as_bytes(), frame, Stream::Stdout, console)
    }

    fn differences(&self, old: TextCursor, new: TextCursor) -> io::Result<Differences> {
        // Groups with different outcomes can have equal output.
        if old == new {
            let part = ComparedPart {
                begin: 0,
                line: 0,
                rest: 0,
            };
            return Ok(Differences::Hunks(part, Vec::new()));
        }
        let part = self.part(old, new)?;
        // Hosts choose the lines, so the keys are random. Two hashes make a collision by chance improbable.
        let keys = [RandomState::new(), RandomState::new()];
        let hashes = |text: TextCursor| self.line_hashes(text, part, &keys);
        let (Some(old), Some(new)) = (hashes(old)?, hashes(new)?) else {
            return Ok(Differences::TooMany);
        };
        let deadline = Instant::now().checked_add(PATIENCE);
        let changes = capture_diff_slices_deadline(Algorithm::Myers, &old, &new, deadline);
        let equal = |change: &DiffOp| match change {
            DiffOp::Equal { len, .. } => *len,
            DiffOp::Delete { .. } | DiffOp::Insert { .. } | DiffOp::Replace { .. } => 0,
        };
        let known = part.line + changes.iter().map(equal).sum::<usize>();
        let lines = part.line + old.len().min(new.len());
        if lines > READABLE && part.rest == 0 && known < lines / 10 {
            return Ok(Differences::TooMany);
        }
        Ok(Differences::Hunks(part, group_diff_ops(changes, CONTEXT)))
    }

    /// Finds the part to compare: the lines from the first difference to the last, with their context.
    fn part(&self, old: TextCursor, new: TextCursor) -> io::Result<ComparedPart> {
        let common = self.collected.common(old, new);
        // The starts of the last lines only: the context needs no more of them.
        let mut begins = [0; CONTEXT + 1];
        let mut lines = 0;
        let mut at = 0;
        let mut text = buffered(self.collected.reader(old, 0).take(common));
        loop {
            let ready = text.fill_buf()?;
            if ready.is_empty() {
                break;
            }
            for newline in memchr_iter(b'\n', ready) {
                lines += 1;
                begins[lines % begins.len()] = at + newline as u64 + 1;
            }
            at += ready.len() as u64;
            let length = ready.len();
            text.consume(length);
        }
        // Start of the context: the oldest remembered line, or the first line of the text.
        let line = lines.saturating_sub(CONTEXT);
        let begin = begins[line % begins.len()];

        let same = self.common_end(old, new, common)?;
        let mut text = buffered(self.collected.reader(old, old.length() - same));
        let mut behind = 0;
        // The first line of the common end may have begun before it, with bytes that differ.
        for _ in 0..=CONTEXT {
            behind += skip_line(&mut text)?;
        }
        let rest = same - behind;
        Ok(ComparedPart { begin, line, rest })
    }

    /// Returns the length of the common suffix of both texts, after the `common` bytes of the prefix.
    fn common_end(&self, old: TextCursor, new: TextCursor, common: u64) -> io::Result<u64> {
        // The suffix must not overlap the prefix: `aa` and `aaa` would share both.
        let most = old.length().min(new.length()) - common;
        let mut same = 0;
        let mut pieces = [Vec::new(), Vec::new()];
        while same < most {
            let size = (most - same).min(PIECE as u64);
            for (text, piece) in [old, new].into_iter().zip(&mut pieces) {
                piece.clear();
                let reader = self.collected.reader(text, text.length() - same - size);
                reader.take(size).read_to_end(piece)?;
            }
            let [old, new] = pieces.each_ref().map(|piece| piece.iter().rev());
            let equal = old.zip(new).take_while(|(a, b)| a == b).count() as u64;
            same += equal;
            if equal < size {
                break;
            }
        }
        Ok(same)
    }

    /// Returns hashes of the lines of the compared part; `None` if they are too many.
    fn line_hashes(
        &self,
        text: TextCursor,
        part: ComparedPart,
        keys: &[RandomState; 2],
    ) -> io::Result<Option<Vec<[u64; 2]>>> {
        let mut hashes = Vec::new();
        let mut hashers = keys.each_ref().map(BuildHasher::build_hasher);
        let length = text.length() - part.rest - part.begin;
        let mut reader = buffered(self.collected.reader(text, part.begin).take(length));
        loop {
            let ready = reader.fill_buf()?;
            // Every text ends with a newline, so no part of a line is left.
            if ready.is_empty() {
                return Ok(Some(hashes));
            }
            let end = memchr(b'\n', ready);
            let length = end.map_or(ready.len(), |end| end + 1);
            for hasher in &mut hashers {
                // The hash does not depend on the sizes of the pieces.
                hasher.write(&ready[..length]);
            }
            reader.consume(length);
            if end.is_some() {
                if hashes.len() == MOST_LINES {
                    return Ok(None);
                }
                hashes.push(hashers.each_ref().map(Hasher::finish));
                hashers = keys.each_ref().map(BuildHasher::build_hasher);
            }
        }
    }

    fn hunks(
        &self,
        texts: [TextCursor; 2],
        part: ComparedPart,
        hunks: &[Vec<DiffOp>],
        console: &mut Console,
    ) -> io::Result<()> {
        let mut sides = texts.map(|text| DiffSide {
            text: buffered(self.collected.reader(text, part.begin)),
            at: 0,
            line: Vec::new(),
        });
        for hunk in hunks {
            let (Some(first), Some(last)) = (hunk.first(), hunk.last()) else {
                continue;
            };
            let range = |range: fn(&DiffOp) -> std::ops::Range<usize>| {
                let (first, last) = (range(first), range(last));
                span(part.line + first.start, last.end - first.start)
            };
            let (old, new) = (range(DiffOp::old_range), range(DiffOp::new_range));
            let header = format!("@@ -{old} +{new} @@");
            let frame = self.palette.position.line(b"");
            print_line(header.as_bytes(), frame, Stream::Stdout, console)?;
            for change in hunk {
                let [old, new] = &mut sides;
                match change {
                    DiffOp::Equal { .. } => {
                        let frame = Frame {
                            before: [b" ", b"", b""],
                            after: b"",
                        };
                        old.print(change.old_range(), frame, console)?;
                        // Each side is read once and in order, so both must advance.
                        new.skip_to(change.new_range().end)?;
                    }
                    DiffOp::Delete { .. } | DiffOp::Insert { .. } | DiffOp::Replace { .. } => {
                        let (removed, added) = (&self.palette.removed, &self.palette.added);
                        old.print(change.old_range(), removed.line(b"-"), console)?;
                        new.print(change.new_range(), added.line(b"+"), console)?;
                    }
                }
            }
        }
        Ok(())
    }
}

/// One of two texts of a diff, read once from the first change to the last.
#[derive(Debug)]
struct DiffSide<R> {
    text: R,
    /// Number of the next line.
    at: usize,
    line: Vec<u8>,
}

impl<R: BufRead> DiffSide<R> {
    fn skip_to(&mut self, line: usize) -> io::Result<()> {
        while self.at < line {
            skip_line(&mut self.text)?;
            self.at += 1;
        }
        Ok(())
    }

    fn print(
        &mut self,
        lines: std::ops::Range<usize>,
        frame: Frame<'_>,
        console: &mut Console,
    ) -> io::Result<()> {
        if lines.is_empty() {
            return Ok(());
        }
        self.skip_to(lines.start)?;
        for _ in lines {
            print_next(
                &mut self.text,
                &mut self.line,
                frame,
                Stream::Stdout,
                console,
            )?;
            self.at += 1;
        }
        Ok(())
    }
}

/// Skips the rest of a line; returns its length with its newline.
fn skip_line(text: &mut impl BufRead) -> io::Result<u64> {
    text.skip_until(b'\n').map(|length| length as u64)
}

/// Formats a range of lines as in unified diffs: `7` for one line, `6,0` for none after line 6.
pub(in crate::output) fn span(before: usize, length: usize) -> String {
    match length {
        0 => format!("{before},0"),
        1 => (before + 1).to_string(),
        _ => format!("{},{length}", before + 1),
    }
}

#[cfg(test)]
mod tests;
