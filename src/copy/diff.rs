//! `--check --diff`: the differences between a file of a target and that of the source, and the frame in which the
//! target sends its file.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use similar::{Algorithm, DiffOp, capture_diff_slices_deadline, group_diff_ops};

/// Maximum length of a file that is compared line by line, in bytes.
pub(super) const MAX_LENGTH: usize = 1 << 20;

/// Lines of context around a difference.
const CONTEXT: usize = 3;

/// Time after which a comparison stops. All other targets wait for it.
// The diff is then correct, but not the shortest.
const MAX_TIME: Duration = Duration::from_millis(100);

/// Files that a target sends, one after the other.
#[derive(Debug)]
pub(super) struct SentFiles {
    pub(super) files: VecDeque<usize>,
    /// Number of bytes of the first file that have not arrived.
    left: usize,
    /// Bytes of the first file so far.
    content: Vec<u8>,
}

/// The header of a file that a target sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SentHeader {
    /// The content follows.
    Content(usize),
    /// The file is too long for a comparison.
    Long,
    /// The file cannot be read any more.
    Gone,
}

impl SentHeader {
    /// Reads the line before a file.
    pub(super) fn of_line(line: &[u8]) -> Option<SentHeader> {
        match line.strip_prefix(b"f ")? {
            b"long" => Some(SentHeader::Long),
            b"gone" => Some(SentHeader::Gone),
            length => {
                let length = std::str::from_utf8(length).ok()?.parse().ok()?;
                (length <= MAX_LENGTH).then_some(SentHeader::Content(length))
            }
        }
    }
}

impl SentFiles {
    pub(super) fn new(files: &[usize]) -> SentFiles {
        SentFiles {
            files: files.iter().copied().collect(),
            left: 0,
            content: Vec::new(),
        }
    }

    /// Expects this number of bytes.
    pub(super) fn expect(&mut self, length: usize) {
        self.left = length;
    }

    /// True if bytes of a file are expected, and no line.
    pub(super) fn is_in_file(&self) -> bool {
        self.left > 0
    }

    /// Takes bytes of the current file from `data`.
    pub(super) fn take(&mut self, data: &mut &[u8]) {
        let length = self.left.min(data.len());
        self.content.extend_from_slice(&data[..length]);
        self.left -= length;
        *data = &data[length..];
    }

    /// Returns the content of the file that has arrived.
    pub(super) fn content(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.content)
    }
}

/// Returns the differences between two texts as a unified diff, or `None` if one of them is no text.
pub(super) fn unified(path: &str, old: &[u8], new: &[u8]) -> Option<Vec<u8>> {
    let is_binary = |text: &[u8]| text.len() > MAX_LENGTH || memchr::memchr(0, text).is_some();
    if is_binary(old) || is_binary(new) {
        return None;
    }
    // The words after the tab are no part of the name for patch(1).
    let mut diff = format!("--- {path}\tof the host\n+++ {path}\tof the source\n").into_bytes();
    let (old, new) = (lines(old), lines(new));
    let deadline = Some(Instant::now() + MAX_TIME);
    let changes = capture_diff_slices_deadline(Algorithm::Myers, &old, &new, deadline);
    for hunk in group_diff_ops(changes, CONTEXT) {
        let (Some(first), Some(last)) = (hunk.first(), hunk.last()) else {
            continue;
        };
        let range = |range: fn(&DiffOp) -> std::ops::Range<usize>| {
            span(range(first).start, range(last).end)
        };
        let header = format!(
            "@@ -{} +{} @@\n",
            range(DiffOp::old_range),
            range(DiffOp::new_range)
        );
        diff.extend_from_slice(header.as_bytes());
        for change in &hunk {
            if let DiffOp::Equal { .. } = change {
                push_lines(b' ', &old[change.old_range()], &mut diff);
                continue;
            }
            push_lines(b'-', &old[change.old_range()], &mut diff);
            push_lines(b'+', &new[change.new_range()], &mut diff);
        }
    }
    Some(diff)
}

/// Splits a text into lines, each with its newline.
fn lines(text: &[u8]) -> Vec<&[u8]> {
    text.split_inclusive(|&byte| byte == b'\n').collect()
}

/// Returns a range of lines as in the header of a hunk (POSIX, diff -u).
fn span(start: usize, end: usize) -> String {
    match end - start {
        0 => format!("{start},0"),
        1 => (start + 1).to_string(),
        length => format!("{},{length}", start + 1),
    }
}

fn push_lines(mark: u8, lines: &[&[u8]], diff: &mut Vec<u8>) {
    for line in lines {
        diff.push(mark);
        diff.extend_from_slice(line);
        if !line.ends_with(b"\n") {
            diff.extend_from_slice(b"\n\\ No newline at end of file\n");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_diff_has_the_form_of_diff_u() {
        let old = b"1\n2\n3\n4\n5\n6\n7\n8\n9\nend";
        let new = b"0\n1\n2\n3\n4\n5\n6\n7\n8\n9\nend\n";
        let diff = String::from_utf8(unified("./f", old, new).unwrap()).unwrap();
        assert_eq!(
            diff,
            "--- ./f\tof the host\n+++ ./f\tof the source\n@@ -1,3 +1,4 @@\n+0\n 1\n 2\n 3\n@@ -7,4 +8,4 @@\n 7\n 8\n \
             9\n-end\n\\ No newline at end of file\n+end\n"
        );
        let diff = String::from_utf8(unified("./f", b"", b"a\n").unwrap()).unwrap();
        assert!(diff.ends_with("@@ -0,0 +1 @@\n+a\n"), "{diff}");
        assert_eq!(unified("./f", b"a\0", b"a\n"), None);
    }

    #[test]
    fn a_header_names_a_bounded_length() {
        for (line, header) in [
            (&b"f 7"[..], Some(SentHeader::Content(7))),
            (b"f 1048576", Some(SentHeader::Content(MAX_LENGTH))),
            (b"f 1048577", None),
            (b"f -1", None),
            (b"f ", None),
            (b"7", None),
            (b"f long", Some(SentHeader::Long)),
            (b"f gone", Some(SentHeader::Gone)),
        ] {
            assert_eq!(SentHeader::of_line(line), header);
        }
    }
}
