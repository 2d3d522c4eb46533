//! Tests of the line report: its text, and that the chunks do not change it.

use proptest::prelude::*;

use super::super::Terminals;
use super::super::testing::{Recorder, output, run_started, succeeded};
use super::*;

use Stream::{Stderr, Stdout};

fn run(lines: &mut Lines, events: &[Event], terminals: Terminals) -> Recorder {
    let recorder = Recorder::default();
    let mut console = recorder.console(terminals);
    for event in events {
        lines.event(event, &mut console).unwrap();
    }
    console.flush().unwrap();
    recorder
}

fn shown(label: bool, out: bool, events: &[Event]) -> String {
    let mut lines = Lines::new(label, Colors::default());
    let recorder = run(&mut lines, events, Terminals { out, err: false });
    assert_eq!(
        (lines.tails.len(), lines.held),
        (0, 0),
        "all memory is given back"
    );
    let mut text = String::new();
    for (stream, write) in recorder.writes() {
        for line in String::from_utf8(write).unwrap().split_terminator('\n') {
            text += if stream == Stdout { "1 " } else { "2 " };
            text += &format!("{line:?}\n");
        }
    }
    text
}

#[test]
fn lines_are_labelled_and_whole() {
    let events = [
        run_started(&["a", "node2"]),
        output(0, Stdout, b"one\ntw"),
        output(1, Stdout, b"uno\n"),
        output(1, Stderr, b"err"),
        output(0, Stdout, b"o\n\nth"),
        output(0, Stdout, b"ree"),
        succeeded(0),
        output(1, Stderr, b"or\r\n"),
        output(1, Stdout, b"\n"),
        succeeded(1),
    ];
    insta::assert_snapshot!(shown(true, false, &events), @r#"
    1 "a: one"
    1 "node2: uno"
    1 "a: two"
    1 "a: "
    1 "a: three"
    2 "node2: error\r"
    1 "node2: "
    "#);
    insta::assert_snapshot!(shown(false, false, &events), @r#"
    1 "one"
    1 "uno"
    1 "two"
    1 ""
    1 "three"
    2 "error\r"
    1 ""
    "#);
}

#[test]
fn a_label_is_coloured_by_its_stream() {
    let events = [
        run_started(&["a"]),
        output(0, Stdout, b"one\n"),
        output(0, Stderr, b"two\n"),
        output(0, Stdout, &[b'x'; 3000]),
        output(0, Stdout, b"three"),
        succeeded(0),
    ];
    let colors = Colors {
        out: true,
        err: true,
    };
    for limit in [1000, LONG] {
        let mut lines = Lines {
            limit,
            ..Lines::new(true, colors)
        };
        let recorder = run(&mut lines, &events, Terminals::default());
        let long = "x".repeat(3000);
        let label = "\x1b[94ma:\x1b[0m ";
        let expected = format!("{label}one\n{label}{long}three\n");
        assert!(recorder.text(Stdout) == expected.into_bytes());
        assert_eq!(recorder.text(Stderr), b"\x1b[91ma:\x1b[0m two\n");
    }
}

#[test]
fn only_a_terminal_is_protected() {
    let text = "\x1b[2Jgrün\r\npart\x07".as_bytes();
    let events = [
        run_started(&["a"]),
        output(0, Stdout, &text[..8]),
        output(0, Stdout, &text[8..]),
        output(0, Stderr, text),
        succeeded(0),
    ];
    insta::assert_snapshot!(shown(true, true, &events), @r#"
    1 "a: ^[[2Jgrün"
    2 "a: \u{1b}[2Jgrün\r"
    1 "a: part^G"
    2 "a: part\u{7}"
    "#);
}

#[test]
fn a_target_that_only_ends_writes_nothing() {
    assert_eq!(shown(true, false, &[run_started(&["a"]), succeeded(0)]), "");
}

#[test]
fn a_very_long_line_comes_whole() {
    let mut events = vec![run_started(&["a", "b"])];
    let mut expected = b"a: ".to_vec();
    for n in 0..60_u8 {
        events.push(output(0, Stdout, &[b'0' + n; 60_000]));
        events.push(output(1, Stdout, b"short\n"));
        expected.extend([b'0' + n; 60_000]);
    }
    events.extend([output(0, Stdout, b"end\n"), succeeded(0), succeeded(1)]);
    expected.extend(b"end\n");

    let mut lines = Lines::new(true, Colors::default());
    let recorder = Recorder::default();
    let mut console = recorder.console(Terminals::default());
    for event in &events {
        lines.event(event, &mut console).unwrap();
        assert!(lines.held <= LONG);
    }
    console.flush().unwrap();
    let text = recorder.text(Stdout);
    let (short, long) = text.split_at(60 * b"b: short\n".len());
    assert!(short == b"b: short\n".repeat(60));
    assert!(long == expected);
}

#[test]
fn many_unfinished_lines_are_kept_short() {
    let labels: Vec<String> = (0..40).map(|n| format!("n{n}")).collect();
    let mut lines = Lines::new(true, Colors::default());
    let recorder = Recorder::default();
    let mut console = recorder.console(Terminals::default());
    lines.event(&run_started(&labels), &mut console).unwrap();
    for _ in 0..12 {
        for target in 0..40 {
            lines
                .event(&output(target, Stdout, &[b'x'; 60_000]), &mut console)
                .unwrap();
        }
    }
    // Without the limit on all lines together, 28 MB would be held.
    assert!(lines.held < MANY + LONG, "{} bytes are held", lines.held);
    for target in 0..40 {
        lines.event(&succeeded(target), &mut console).unwrap();
    }
    console.flush().unwrap();
    assert_eq!(lines.held, 0);
    let length: usize = labels
        .iter()
        .map(|label| label.len() + 2 + 12 * 60_000 + 1)
        .sum();
    assert_eq!(recorder.text(Stdout).len(), length);
}

/// Returns the expected text of one stream of one host: each line with the label, and a newline at the end.
fn labelled(label: &[u8], data: &[u8]) -> Vec<u8> {
    let mut text = Vec::new();
    let whole = data.strip_suffix(b"\n").unwrap_or(data);
    if !data.is_empty() {
        for line in whole.split(|byte| *byte == b'\n') {
            text.extend_from_slice(label);
            text.extend_from_slice(line);
            text.push(b'\n');
        }
    }
    text
}

fn chunks() -> impl Strategy<Value = Vec<(u32, bool, Vec<u8>)>> {
    // Newlines are frequent, all bytes occur, and some texts are longer than one atomic write.
    let byte = prop_oneof![2 => Just(b'\n'), 8 => any::<u8>()];
    let data = prop_oneof![
        9 => prop::collection::vec(byte, 1..30),
        1 => (any::<u8>(), 4000..10_000_usize).prop_map(|(byte, length)| vec![byte; length]),
    ];
    prop::collection::vec((0..3_u32, any::<bool>(), data), 0..40)
}

proptest! {
    #[test]
    fn every_byte_comes_out_whatever_the_chunks(
        chunks in chunks(),
        limit in prop_oneof![Just(LONG), 0..20_usize],
    ) {
        let labels = ["a", "b", "c"];
        let mut events = vec![run_started(&labels)];
        let mut sent = vec![Vec::new(); 6];
        for (target, err, data) in &chunks {
            events.push(output(*target, if *err { Stderr } else { Stdout }, data));
            sent[*target as usize * 2 + usize::from(*err)].extend_from_slice(data);
        }
        events.extend((0..3).map(succeeded));

        let mut lines = Lines { limit, ..Lines::new(true, Colors::default()) };
        let recorder = run(&mut lines, &events, Terminals::default());
        prop_assert_eq!((lines.tails.len(), lines.held), (0, 0));
        for (of, stream) in [Stdout, Stderr].into_iter().enumerate() {
            let text = recorder.text(stream);
            prop_assert!(text.is_empty() || text.ends_with(b"\n"));
            for (index, label) in labels.iter().enumerate() {
                let label = format!("{label}: ").into_bytes();
                let own = text.split_inclusive(|byte| *byte == b'\n');
                let own: Vec<u8> = own.filter(|line| line.starts_with(&label)).flatten().copied().collect();
                prop_assert!(own == labelled(&label, &sent[index * 2 + of]));
            }
        }
    }
}

mod fuzzed {
    use super::super::super::testing::printed;
    use crate::event::Stream;
    use proptest::prelude::*;

    include!(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/fuzz/properties/lines.rs"
    ));

    #[test]
    fn the_fuzz_corpus_passes() {
        let corpus = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fuzz/corpus/lines");
        let files: Vec<_> = std::fs::read_dir(corpus).unwrap().collect();
        assert!(files.len() > 5);
        for file in files {
            check(&std::fs::read(file.unwrap().path()).unwrap());
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(500))]

        #[test]
        fn it_holds_for_random_bytes(
            first in any::<u8>(),
            pieces in prop::collection::vec(
                (0..4_u8, prop::collection::vec(prop::sample::select(vec![b'\n', b'x', b'a', b':', 0xff]), 0..40)),
                0..12,
            ),
        ) {
            let mut bytes = vec![first];
            for (whose, piece) in pieces {
                bytes.extend([whose, piece.len() as u8]);
                bytes.extend(piece);
            }
            check(&bytes);
        }
    }
}
