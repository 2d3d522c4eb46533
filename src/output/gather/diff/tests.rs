//! Tests of the diffs: their form, and that each diff turns one text into the other.

use proptest::prelude::*;

use super::super::super::testing::Recorder;
use super::super::super::{Colors, Terminals};
use super::super::{GatherForm, GatherSpec, filter};
use super::*;

/// Returns the printed diffs of these hosts' texts, and the errors.
fn shown(texts: &[(&str, &[u8])], only_odd: bool, memory: usize) -> (Vec<u8>, String) {
    let spec = GatherSpec {
        form: GatherForm::Diff,
        only_odd,
        memory,
        ..GatherSpec::default()
    };
    let mut input = Vec::new();
    for (host, text) in texts {
        for line in text.split_inclusive(|byte| *byte == b'\n') {
            input.extend([host.as_bytes(), b": ", line].concat());
        }
    }
    let recorder = Recorder::default();
    let mut console = recorder.console(Terminals::default());
    filter(
        &spec,
        true,
        Colors::default(),
        &mut &input[..],
        &mut console,
    )
    .unwrap();
    let complaints = String::from_utf8(recorder.text(Stream::Stderr)).unwrap();
    (recorder.text(Stream::Stdout), complaints)
}

fn text(texts: &[(&str, &[u8])]) -> String {
    String::from_utf8(shown(texts, false, 1 << 20).0).unwrap()
}

#[test]
fn the_most_common_text_is_shown_in_full_and_others_as_diffs() {
    let usual = b"a\nb\nc\nd\ne\nf\ng\nh\n";
    let texts: [(&str, &[u8]); 5] = [
        ("n1", usual),
        ("n2", usual),
        ("n3", b"a\nb\nc\nd\nE\nf\ng\nh\n"),
        ("n4", b"a\nb\nc\nd\nE\nf\ng\nh\n"),
        ("n5", b"b\nc\nd\ne\nf\ng\nh\ni\n"),
    ];
    insta::assert_snapshot!(text(&texts), @r"
    ---------------
    n[1-2] (2)
    ---------------
    a
    b
    c
    d
    e
    f
    g
    h
    --- n[1-2] (2)
    +++ n[3-4] (2)
    @@ -2,7 +2,7 @@
     b
     c
     d
    -e
    +E
     f
     g
     h
    --- n[1-2] (2)
    +++ n5
    @@ -1,4 +1,3 @@
    -a
     b
     c
     d
    @@ -6,3 +5,4 @@
     f
     g
     h
    +i
    ");
}

#[test]
fn equal_texts_have_no_diff() {
    insta::assert_snapshot!(text(&[("n1", b"a\n"), ("n2", b"a\n")]), @r"
    ---------------
    n[1-2] (2)
    ---------------
    a
    ");
    assert_eq!(shown(&[("n1", b"a\n"), ("n2", b"a\n")], true, 0).0, b"");
}

#[test]
fn only_hosts_that_differ_have_diffs() {
    let texts: [(&str, &[u8]); 3] = [("n1", b"a\n"), ("n2", b"a\n"), ("n3", b"b\n")];
    let (diffs, _) = shown(&texts, true, 1 << 20);
    insta::assert_snapshot!(String::from_utf8(diffs).unwrap(), @r"
    --- n[1-2] (2)
    +++ n3
    @@ -1 +1 @@
    -a
    +b
    ");
}

#[test]
fn texts_with_one_difference_at_each_end_cost_little_whatever_their_length() {
    let middle = "always the same, in every one of these lines\n".repeat(30_000);
    let old = format!("first\n{middle}last\n");
    let new = format!("First\n{middle}Last\n");
    let texts = [("n1", old.as_bytes()), ("n2", new.as_bytes())];
    let (diffs, complaints) = shown(&texts, true, 10_000);
    assert_eq!(complaints, "");
    let diffs = String::from_utf8(diffs).unwrap();
    insta::assert_snapshot!(diffs.replace("always the same, in every one of these lines", "…"), @r"
    --- n1
    +++ n2
    @@ -1,4 +1,4 @@
    -first
    +First
     …
     …
     …
    @@ -29999,4 +29999,4 @@
     …
     …
     …
    -last
    +Last
    ");
}

#[test]
fn texts_that_differ_in_most_lines_are_shown_in_full() {
    // Nearly all lines differ, and between two differences are more lines than fit in memory.
    let all = |text: &str| text.repeat(READABLE + 1);
    let middle = "in both\n".repeat(MOST_LINES);
    for (old, new) in [
        (all("a\n"), all("b\n")),
        (format!("a\n{middle}a\n"), format!("b\n{middle}b\n")),
    ] {
        let texts = [("n1", old.as_bytes()), ("n2", new.as_bytes())];
        let (diffs, complaints) = shown(&texts, true, 100_000);
        let rule = "-".repeat(15);
        assert!(diffs == format!("{rule}\nn2\n{rule}\n{new}").into_bytes());
        insta::allow_duplicates! {
            insta::assert_snapshot!(complaints, @"mrsh: n2: shown in full, too different from the most common output for a diff");
        }
    }
}

/// Applies a diff. Panics if a line of the old text does not match.
fn patched(old: &[u8], diff: &[u8]) -> Vec<u8> {
    let old: Vec<&[u8]> = old.split_inclusive(|byte| *byte == b'\n').collect();
    let (mut new, mut at) = (Vec::new(), 0);
    for line in diff.split_inclusive(|byte| *byte == b'\n').skip(2) {
        let (mark, rest) = line.split_first().unwrap();
        match mark {
            b'@' => {
                let header = std::str::from_utf8(rest).unwrap();
                let range = header.split(['-', ' ']).nth(2).unwrap();
                let (begin, length) = range.split_once(',').unwrap_or((range, "1"));
                let begin = begin.parse::<usize>().unwrap() - usize::from(length != "0");
                new.extend(old[at..begin].concat());
                at = begin;
            }
            b'+' => new.extend(rest),
            _ => {
                assert_eq!(old[at], rest);
                if *mark == b' ' {
                    new.extend(rest);
                }
                at += 1;
            }
        }
    }
    new.extend(old[at..].concat());
    new
}

fn texts() -> impl Strategy<Value = (Vec<u8>, Vec<u8>)> {
    let line = || {
        prop_oneof![
            9 => prop::sample::select(vec!["a\n", "b\n", "\n", "c\n"]).prop_map(|s| s.as_bytes().to_vec()),
            1 => prop::collection::vec(prop_oneof![Just(b'-'), Just(b'+'), Just(0xff)], 0..4).prop_map(|mut line| { line.push(b'\n'); line }),
            1 => (60_000..70_000_usize).prop_map(|length| { let mut line = vec![b'x'; length]; line.push(b'\n'); line }),
        ]
    };
    let some = move |most| prop::collection::vec(line(), 0..most).prop_map(|lines| lines.concat());
    (some(12), some(4), some(4), some(12)).prop_map(|(begin, old, new, end)| {
        (
            [&begin[..], &old, &end].concat(),
            [&begin[..], &new, &end].concat(),
        )
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn a_diff_turns_one_text_into_the_other((old, new) in texts(), memory in prop_oneof![Just(0_usize), Just(1 << 20)]) {
        prop_assume!(!old.is_empty() && !new.is_empty());
        let (diff, complaints) = shown(&[("n1", &old), ("n2", &new)], true, memory);
        prop_assert_eq!(complaints, "");
        if old == new {
            prop_assert!(diff.is_empty());
        } else {
            prop_assert!(patched(&old, &diff) == new);
        }
    }
}
