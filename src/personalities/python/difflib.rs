//! Unified diffs with the choices of Python's `difflib`, which differ from those of other diff programs.

use std::collections::HashMap;
use std::hash::Hash;
use std::ops::Range;

/// A block of equal lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Match {
    a: usize,
    b: usize,
    size: usize,
}

/// An operation that turns lines of `a` into lines of `b`.
#[derive(Clone, Debug)]
struct DiffOperation {
    equal: bool,
    a: Range<usize>,
    b: Range<usize>,
}

/// Number of equal lines around a change.
const CONTEXT: usize = 3;

/// Number of lines from which on `difflib` ignores frequent lines.
const LONG: usize = 200;

/// Returns the lines of a unified diff, without its newlines; none if the texts are equal.
pub(in crate::personalities) fn unified_diff(
    a: &[String],
    b: &[String],
    from: &str,
    to: &str,
) -> Vec<String> {
    let mut lines = Vec::new();
    for group in groups(operations(a, b)) {
        let (Some(first), Some(last)) = (group.first(), group.last()) else {
            continue;
        };
        // Python prints no header for equal texts.
        if lines.is_empty() {
            lines.push(format!("--- {from}"));
            lines.push(format!("+++ {to}"));
        }
        let a_range = shown(first.a.start..last.a.end);
        let b_range = shown(first.b.start..last.b.end);
        lines.push(format!("@@ -{a_range} +{b_range} @@"));
        for operation in group {
            let mut push = |sign: char, text: &[String]| {
                lines.extend(text.iter().map(|line| format!("{sign}{line}")));
            };
            if operation.equal {
                push(' ', &a[operation.a]);
            } else {
                push('-', &a[operation.a]);
                push('+', &b[operation.b]);
            }
        }
    }
    lines
}

fn shown(range: Range<usize>) -> String {
    match range.len() {
        1 => (range.start + 1).to_string(),
        // An empty range names the line before it.
        0 => format!("{},0", range.start),
        length => format!("{},{length}", range.start + 1),
    }
}

/// Divides operations into groups with at most [`CONTEXT`] equal lines around the changes.
fn groups(mut operations: Vec<DiffOperation>) -> Vec<Vec<DiffOperation>> {
    if let Some(first) = operations.first_mut().filter(|first| first.equal) {
        first.a.start = first.a.start.max(first.a.end.saturating_sub(CONTEXT));
        first.b.start = first.b.start.max(first.b.end.saturating_sub(CONTEXT));
    }
    if let Some(last) = operations.last_mut().filter(|last| last.equal) {
        last.a.end = last.a.end.min(last.a.start + CONTEXT);
        last.b.end = last.b.end.min(last.b.start + CONTEXT);
    }
    let mut groups = Vec::new();
    let mut group = Vec::new();
    for operation in operations {
        let DiffOperation { equal, a, b } = operation.clone();
        if equal && a.len() > 2 * CONTEXT {
            group.push(DiffOperation {
                equal,
                a: a.start..a.start + CONTEXT,
                b: b.start..b.start + CONTEXT,
            });
            groups.push(std::mem::take(&mut group));
            group.push(DiffOperation {
                equal,
                a: a.end - CONTEXT..a.end,
                b: b.end - CONTEXT..b.end,
            });
        } else {
            group.push(operation);
        }
    }
    groups.push(group);
    groups.retain(|group| group.iter().any(|operation| !operation.equal));
    groups
}

fn operations(a: &[String], b: &[String]) -> Vec<DiffOperation> {
    let mut operations = Vec::new();
    let (mut i, mut j) = (0, 0);
    let end = Match {
        a: a.len(),
        b: b.len(),
        size: 0,
    };
    for block in matches(a, b).into_iter().chain([end]) {
        if i < block.a || j < block.b {
            operations.push(DiffOperation {
                equal: false,
                a: i..block.a,
                b: j..block.b,
            });
        }
        (i, j) = (block.a + block.size, block.b + block.size);
        if block.size > 0 {
            operations.push(DiffOperation {
                equal: true,
                a: block.a..i,
                b: block.b..j,
            });
        }
    }
    operations
}

/// Returns the blocks of equal lines: the longest one, and then those on both sides of it.
fn matches<T: Hash + Eq>(a: &[T], b: &[T]) -> Vec<Match> {
    let mut places: HashMap<&T, Vec<usize>> = HashMap::new();
    for (at, line) in b.iter().enumerate() {
        places.entry(line).or_default().push(at);
    }
    // Python's `autojunk`: lines in many places would make the search slow.
    if b.len() >= LONG {
        places.retain(|_, places| places.len() <= b.len() / 100 + 1);
    }
    let mut found = Vec::new();
    // Recursion could exceed the stack for long texts with many changes.
    let mut open = vec![(0..a.len(), 0..b.len())];
    while let Some((in_a, in_b)) = open.pop() {
        let block = longest(a, b, &places, in_a.clone(), in_b.clone());
        if block.size == 0 {
            continue;
        }
        found.push(block);
        let (a_end, b_end) = (block.a + block.size, block.b + block.size);
        if in_a.start < block.a && in_b.start < block.b {
            open.push((in_a.start..block.a, in_b.start..block.b));
        }
        if a_end < in_a.end && b_end < in_b.end {
            open.push((a_end..in_a.end, b_end..in_b.end));
        }
    }
    found.sort_unstable();
    // Python joins blocks that touch. Two blocks in a row would give too many lines of context.
    found.dedup_by(|next, before| {
        let touches = before.a + before.size == next.a && before.b + before.size == next.b;
        if touches {
            before.size += next.size;
        }
        touches
    });
    found
}

/// Returns the longest block of equal lines, the first one of several.
fn longest<T: Hash + Eq>(
    a: &[T],
    b: &[T],
    places: &HashMap<&T, Vec<usize>>,
    in_a: Range<usize>,
    in_b: Range<usize>,
) -> Match {
    let mut best = Match {
        a: in_a.start,
        b: in_b.start,
        size: 0,
    };
    // For each line of `b`, the length of the block that ends with it and the last line of `a`.
    let mut lengths: HashMap<usize, usize> = HashMap::new();
    for i in in_a.clone() {
        let mut next = HashMap::new();
        for &j in places.get(&a[i]).map(Vec::as_slice).unwrap_or_default() {
            if j < in_b.start {
                continue;
            }
            if j >= in_b.end {
                break;
            }
            let before = j.checked_sub(1).and_then(|j| lengths.get(&j));
            let size = before.copied().unwrap_or(0) + 1;
            next.insert(j, size);
            if size > best.size {
                best = Match {
                    a: i + 1 - size,
                    b: j + 1 - size,
                    size,
                };
            }
        }
        lengths = next;
    }
    // Frequent lines were left out, and are joined to the block now.
    while best.a > in_a.start && best.b > in_b.start && a[best.a - 1] == b[best.b - 1] {
        best.a -= 1;
        best.b -= 1;
        best.size += 1;
    }
    while best.a + best.size < in_a.end
        && best.b + best.size < in_b.end
        && a[best.a + best.size] == b[best.b + best.size]
    {
        best.size += 1;
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;

    fn diff(a: &str, b: &str) -> String {
        let lines = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        unified_diff(&lines(a), &lines(b), "A", "B").join("\n")
    }

    #[test]
    fn changes_have_context() {
        assert_eq!(diff("a b", "a b"), "");
        assert_eq!(
            diff("1 2 3 4 5 x 6", "1 2 3 4 5 6 7"),
            "--- A\n+++ B\n@@ -3,5 +3,5 @@\n 3\n 4\n 5\n-x\n 6\n+7"
        );
        assert_eq!(
            diff("x 1 2 3 4 5 6 7 y", "1 2 3 4 5 6 7"),
            "--- A\n+++ B\n@@ -1,4 +1,3 @@\n-x\n 1\n 2\n 3\n@@ -6,4 +5,3 @@\n 5\n 6\n 7\n-y"
        );
    }

    #[test]
    fn frequent_lines_of_long_texts_start_no_block() {
        let same = ["x"; 300].join(" ");
        let diff = diff(&format!("p {same}"), &format!("{same} q"));
        assert_eq!(diff.lines().count(), 3 + 301 + 301);
    }
}
