//! `--diff`: the most common output in full, every other one as what it differs in from that.
//!
//! What two texts have in common at their beginning is known from the tree and what they have in
//! common at their end is quickly found, so texts of any length cost what lies between the first
//! difference and the last. Of that, only a hash of each line is in memory while `similar` compares,
//! and past a limit the text is shown in full instead.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::io::{self, BufRead, Read};
use std::time::{Duration, Instant};

use memchr::{memchr, memchr_iter};
use similar::{Algorithm, DiffOp, capture_diff_slices_deadline, group_diff_ops};

use super::super::Console;
use super::super::color::Frame;
use super::super::tail::print_line;
use super::print::{buffered, print_next};
use super::tree::Cursor;
use super::view::{Group, View};
use crate::event::Stream;

/// Lines around a difference that are shown with it.
const CONTEXT: usize = 3;

/// With more lines than this between the first difference and the last, in either text, there is no
/// diff: it would take too much memory, and nobody would read it.
const MOST_LINES: usize = 100_000;

/// Texts of more lines than this that differ in nearly all of them are no diff either: it would be the
/// usual text once more, and this one.
const READABLE: usize = 1000;

/// After this time a diff is finished with what is found by then: it is right, if not short.
const PATIENCE: Duration = Duration::from_secs(2);

/// How much of a text is read at a time where it is read backwards.
const PIECE: usize = 64 * 1024;

/// What differs between two texts.
#[derive(Debug, PartialEq, Eq)]
enum Differences {
    /// Lists of changes, each with the lines around it.
    Hunks(Part, Vec<Vec<DiffOp>>),
    /// Too many to be listed, or nearly everything.
    TooMany,
}

/// The lines of two texts that are compared; before them both texts are the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Part {
    /// Where it begins in both, in bytes, and how many lines are before it.
    begin: u64,
    line: usize,
    /// How many bytes at the end of both are left out.
    rest: u64,
}

impl View<'_> {
    /// The first group in full, and of each other one what differs from it.
    pub(super) fn diffs(&self, groups: &[Group], console: &mut Console) -> io::Result<()> {
        let Some((usual, others)) = groups.split_first() else {
            return Ok(());
        };
        // One silent group alone has nothing to say; beside others, that it was silent matters.
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

    fn differences(&self, old: Cursor, new: Cursor) -> io::Result<Differences> {
        if old == new {
            let part = Part {
                begin: 0,
                line: 0,
                rest: 0,
            };
            return Ok(Differences::Hunks(part, Vec::new()));
        }
        let part = self.part(old, new)?;
        let keys = [RandomState::new(), RandomState::new()];
        let hashes = |text: Cursor| self.line_hashes(text, part, &keys);
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

    /// Finds what has to be compared: from the first line that differs to the last, and the lines of
    /// context around them.
    fn part(&self, old: Cursor, new: Cursor) -> io::Result<Part> {
        let common = self.collected.common(old, new);
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
        // The oldest line that is remembered; the first one if there were fewer.
        let line = lines.saturating_sub(CONTEXT);
        let begin = begins[line % begins.len()];

        let same = self.common_end(old, new, common)?;
        let mut text = buffered(self.collected.reader(old, old.length() - same));
        let mut behind = 0;
        // The first line there may have begun before, and differ.
        for _ in 0..=CONTEXT {
            behind += skip_line(&mut text)?;
        }
        let rest = same - behind;
        Ok(Part { begin, line, rest })
    }

    /// How many bytes both texts have in common at their end, behind the `common` ones.
    fn common_end(&self, old: Cursor, new: Cursor, common: u64) -> io::Result<u64> {
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

    /// The lines of a text's part as numbers, for equal lines equal ones; none if they are too many.
    fn line_hashes(
        &self,
        text: Cursor,
        part: Part,
        keys: &[RandomState; 2],
    ) -> io::Result<Option<Vec<[u64; 2]>>> {
        let mut hashes = Vec::new();
        let mut hashers = keys.each_ref().map(BuildHasher::build_hasher);
        let length = text.length() - part.rest - part.begin;
        let mut reader = buffered(self.collected.reader(text, part.begin).take(length));
        loop {
            let ready = reader.fill_buf()?;
            if ready.is_empty() {
                return Ok(Some(hashes));
            }
            let end = memchr(b'\n', ready);
            let length = end.map_or(ready.len(), |end| end + 1);
            for hasher in &mut hashers {
                // Byte by byte or whole, the hash is the same.
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
        texts: [Cursor; 2],
        part: Part,
        hunks: &[Vec<DiffOp>],
        console: &mut Console,
    ) -> io::Result<()> {
        let mut sides = texts.map(|text| Side {
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
            let frame = self.palette.place.line(b"");
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

/// One of two texts, read once from the first change to the last.
#[derive(Debug)]
struct Side<R> {
    text: R,
    /// The line that comes next.
    at: usize,
    line: Vec<u8>,
}

impl<R: BufRead> Side<R> {
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

/// Passes over the rest of a line; its length with its newline.
fn skip_line(text: &mut impl BufRead) -> io::Result<u64> {
    text.skip_until(b'\n').map(|length| length as u64)
}

/// A range of lines as unified diffs write it: `7` for one line, `6,0` for none behind line 6.
pub(in crate::output) fn span(before: usize, length: usize) -> String {
    match length {
        0 => format!("{before},0"),
        1 => (before + 1).to_string(),
        _ => format!("{},{length}", before + 1),
    }
}

#[cfg(test)]
mod tests;
