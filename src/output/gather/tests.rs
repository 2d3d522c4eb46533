//! Tests of the gathered reports: their form, and that no output is lost or printed twice.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::super::Terminals;
use super::super::testing::{Recorder, finished, output, run_started, succeeded};
use super::*;
use crate::event::{RemoteExit, Stream};
use crate::transport::TransportError;

use Stream::{Stderr, Stdout};

fn spec(form: GatherForm) -> GatherSpec {
    GatherSpec {
        form,
        memory: 1 << 20,
        ..GatherSpec::default()
    }
}

fn exit(target: u32, code: u8) -> Event {
    finished(target, Outcome::Exited(RemoteExit::Code(code)))
}

fn run(gather: &mut Gather, events: &[Event], terminals: Terminals) -> Recorder {
    let recorder = Recorder::default();
    let mut console = recorder.console(terminals);
    for event in events {
        gather.event(event, &mut console).unwrap();
    }
    gather.finish(&RunStats::default(), &mut console).unwrap();
    console.flush().unwrap();
    recorder
}

/// Returns everything that is written, in order. Lines of standard error are marked.
fn shown(spec: GatherSpec, events: &[Event]) -> String {
    let recorder = run(
        &mut Gather::new(spec, true, Colors::default()),
        events,
        Terminals::default(),
    );
    let mut text = String::new();
    for (stream, write) in recorder.writes() {
        for line in String::from_utf8(write).unwrap().split_terminator('\n') {
            text += if stream == Stdout { "  " } else { "! " };
            text += line;
            text += "\n";
        }
    }
    text
}

/// Six hosts: three with equal output, one of them with a warning; two with equal failures; one without output.
fn mixed() -> Vec<Event> {
    vec![
        run_started(&["node4", "node1", "node2", "node3", "node5", "node6"]),
        output(1, Stdout, b"Linux\n6.1"),
        output(2, Stdout, b"Linux\n"),
        output(0, Stdout, b"Darwin\n"),
        output(2, Stderr, b"warning: clock\n"),
        output(3, Stdout, b"Linux\n6.1\n"),
        output(2, Stdout, b"6.1\n"),
        exit(3, 0),
        output(4, Stderr, b"not found\n"),
        exit(4, 127),
        exit(5, 0),
        exit(1, 0),
        exit(2, 0),
        exit(0, 1),
    ]
}

#[test]
fn equal_outputs_are_shown_once() {
    insta::assert_snapshot!(shown(spec(GatherForm::Blocks), &mixed()), @r"
      ---------------
      node[1-3] (3)
      ---------------
      Linux
      6.1
    ! ---------------
    ! node2, stderr
    ! ---------------
    ! warning: clock
      ---------------
      node4, exit 1
      ---------------
      Darwin
    ! ---------------
    ! node5, exit 127, stderr
    ! ---------------
    ! not found
    ");
}

#[test]
fn the_names_may_stand_before_each_line() {
    insta::assert_snapshot!(shown(spec(GatherForm::Lines), &mixed()), @r"
      node[1-3]: Linux
      node[1-3]: 6.1
    ! node2: warning: clock
      node4: Darwin
    ! node5: not found
    ");
}

#[test]
fn hosts_come_in_their_order() {
    insta::assert_snapshot!(shown(spec(GatherForm::Hosts), &mixed()), @r"
      node4: Darwin
      node1: Linux
      node1: 6.1
      node2: Linux
      node2: 6.1
    ! node2: warning: clock
      node3: Linux
      node3: 6.1
    ! node5: not found
    ");
}

#[test]
fn both_streams_may_be_one_text() {
    let spec = GatherSpec {
        merge: true,
        ..spec(GatherForm::Blocks)
    };
    let events = [
        run_started(&["a1", "a2", "b"]),
        output(0, Stdout, b"one\ntw"),
        output(1, Stdout, b"one\n"),
        output(0, Stderr, b"oops\n"),
        output(0, Stdout, b"o\n"),
        output(1, Stderr, b"oops\n"),
        output(2, Stderr, b"half"),
        output(2, Stdout, b"other half"),
        exit(2, 3),
        output(1, Stdout, b"two"),
        succeeded(1),
        succeeded(0),
    ];
    insta::assert_snapshot!(shown(spec, &events), @r"
    ---------------
    a[1-2] (2)
    ---------------
    one
    oops
    two
    ---------------
    b, exit 3
    ---------------
    other half
    half
    ");
}

#[test]
fn only_hosts_that_differ_can_be_shown() {
    for (form, merge) in [
        (GatherForm::Blocks, false),
        (GatherForm::Lines, true),
        (GatherForm::Diff, false),
    ] {
        let spec = GatherSpec {
            only_odd: true,
            merge,
            ..spec(form)
        };
        let shown = shown(spec, &mixed());
        match form {
            GatherForm::Blocks => insta::assert_snapshot!(shown, @r"
            ! ---------------
            ! node2, stderr
            ! ---------------
            ! warning: clock
              ---------------
              node4, exit 1
              ---------------
              Darwin
              ---------------
              node5, exit 127
              ---------------
            ! ---------------
            ! node5, exit 127, stderr
            ! ---------------
            ! not found
              ---------------
              node6
              ---------------
            "),
            GatherForm::Lines => insta::assert_snapshot!(shown, @r"
            node4: Darwin
            node2: Linux
            node2: warning: clock
            node2: 6.1
            node5: not found
            "),
            _ => insta::assert_snapshot!(shown, @r"
            ! ---------------
            ! node2, stderr
            ! ---------------
            ! warning: clock
              --- node[1-3] (3)
              +++ node4, exit 1
              @@ -1,2 +1 @@
              -Linux
              -6.1
              +Darwin
              --- node[1-3] (3)
              +++ node5, exit 127
              @@ -1,2 +0,0 @@
              -Linux
              -6.1
            ! ---------------
            ! node5, exit 127, stderr
            ! ---------------
            ! not found
              --- node[1-3] (3)
              +++ node6
              @@ -1,2 +0,0 @@
              -Linux
              -6.1
            "),
        }
    }
}

#[test]
fn a_diff_shows_hosts_without_output_and_outcomes() {
    insta::assert_snapshot!(shown(spec(GatherForm::Diff), &mixed()), @r"
      ---------------
      node[1-3] (3)
      ---------------
      Linux
      6.1
    ! ---------------
    ! node2, stderr
    ! ---------------
    ! warning: clock
      --- node[1-3] (3)
      +++ node4, exit 1
      @@ -1,2 +1 @@
      -Linux
      -6.1
      +Darwin
      --- node[1-3] (3)
      +++ node5, exit 127
      @@ -1,2 +0,0 @@
      -Linux
      -6.1
    ! ---------------
    ! node5, exit 127, stderr
    ! ---------------
    ! not found
      --- node[1-3] (3)
      +++ node6
      @@ -1,2 +0,0 @@
      -Linux
      -6.1
    ");
    let events = [run_started(&["a", "b"]), succeeded(0), succeeded(1)];
    assert_eq!(shown(spec(GatherForm::Diff), &events), "");
    let events = [
        run_started(&["a", "b", "c"]),
        succeeded(0),
        exit(1, 2),
        succeeded(2),
    ];
    insta::assert_snapshot!(shown(spec(GatherForm::Diff), &events), @r"
    ---------------
    a,c (2)
    ---------------
    --- a,c (2)
    +++ b, exit 2
    ");
}

#[test]
fn hosts_are_shown_in_order_as_soon_as_possible() {
    let mut gather = Gather::new(spec(GatherForm::Hosts), true, Colors::default());
    let recorder = Recorder::default();
    let mut console = recorder.console(Terminals::default());
    let steps = [
        (run_started(&["a", "b", "c"]), ""),
        (output(1, Stdout, b"2\n"), ""),
        (succeeded(1), ""),
        (output(0, Stdout, b"1\n"), ""),
        (succeeded(0), "a: 1\nb: 2\n"),
        (succeeded(2), "a: 1\nb: 2\n"),
    ];
    for (event, expected) in steps {
        gather.event(&event, &mut console).unwrap();
        console.flush().unwrap();
        assert_eq!(recorder.text(Stdout), expected.as_bytes());
    }
}

#[test]
fn a_host_with_another_outcome_is_a_group_of_its_own() {
    let lost = |target| {
        finished(
            target,
            Outcome::Failed(TransportError::NoEndMarker { hint: "lost" }.into()),
        )
    };
    let events = [
        run_started(&["n1", "n2", "n3", "n4"]),
        output(0, Stdout, b"text\n"),
        output(1, Stdout, b"text\n"),
        output(2, Stdout, b"text\n"),
        succeeded(0),
        lost(1),
        lost(2),
        lost(3),
    ];
    insta::assert_snapshot!(shown(spec(GatherForm::Blocks), &events), @r"
    ---------------
    n[2-3] (2), ended without an exit status: lost
    ---------------
    text
    ---------------
    n1
    ---------------
    text
    ");
}

#[test]
fn without_labels_only_texts_are_shown() {
    for form in [GatherForm::Blocks, GatherForm::Lines] {
        let events = mixed();
        let recorder = run(
            &mut Gather::new(spec(form), false, Colors::default()),
            &events,
            Terminals::default(),
        );
        assert_eq!(recorder.text(Stdout), b"Linux\n6.1\nDarwin\n");
        assert_eq!(recorder.text(Stderr), b"warning: clock\nnot found\n");
    }
}

#[test]
fn names_and_differences_are_coloured_by_stream() {
    let events = [
        run_started(&["n1", "n2", "n3"]),
        output(0, Stdout, b"same\nold\n"),
        output(1, Stdout, b"same\nold\n"),
        output(2, Stdout, b"same\nnew\n"),
        output(2, Stderr, b"oops\n"),
        succeeded(0),
        succeeded(1),
        succeeded(2),
    ];
    let colors = Colors {
        out: true,
        err: true,
    };
    let shown = |form| {
        let mut gather = Gather::new(spec(form), true, colors);
        let writes = run(&mut gather, &events, Terminals::default()).writes();
        let text = writes.into_iter().flat_map(|(_, text)| text).collect();
        String::from_utf8(text).unwrap().replace('\x1b', "^")
    };
    insta::assert_snapshot!(shown(GatherForm::Lines), @r"
    ^[94mn[1-2]:^[0m same
    ^[94mn[1-2]:^[0m old
    ^[94mn3:^[0m same
    ^[94mn3:^[0m new
    ^[91mn3:^[0m oops
    ");
    insta::assert_snapshot!(shown(GatherForm::Diff), @r"
    ^[94m---------------^[0m
    ^[94mn[1-2] (2)^[0m
    ^[94m---------------^[0m
    same
    old
    ^[1m--- n[1-2] (2)^[0m
    ^[1m+++ n3^[0m
    ^[36m@@ -1,2 +1,2 @@^[0m
     same
    ^[31m-old^[0m
    ^[32m+new^[0m
    ^[91m---------------^[0m
    ^[91mn3, stderr^[0m
    ^[91m---------------^[0m
    oops
    ");
}

#[test]
fn only_a_terminal_is_protected() {
    let events = [
        run_started(&["a"]),
        output(0, Stdout, b"\x1b[2Jx\r\n\xff"),
        output(0, Stderr, b"\x07\n"),
        succeeded(0),
    ];
    let terminals = Terminals {
        out: true,
        err: false,
    };
    let mut gather = Gather::new(spec(GatherForm::Lines), true, Colors::default());
    let recorder = run(&mut gather, &events, terminals);
    assert_eq!(recorder.text(Stdout), b"a: ^[[2Jx\na: <FF>\n");
    assert_eq!(recorder.text(Stderr), b"a: \x07\n");
}

#[test]
fn lines_of_any_length_come_whole() {
    let long = [vec![b'x'; 200_000], b"\n".to_vec(), vec![b'y'; 65_537]].concat();
    for memory in [0, 1 << 20] {
        let spec = GatherSpec {
            memory,
            ..spec(GatherForm::Lines)
        };
        let mut events = vec![run_started(&["n1", "n2"])];
        for piece in long.chunks(7000) {
            events.push(output(0, Stdout, piece));
            events.push(output(1, Stdout, piece));
        }
        events.extend([succeeded(0), succeeded(1)]);
        let recorder = run(
            &mut Gather::new(spec, true, Colors::default()),
            &events,
            Terminals::default(),
        );
        let expected = [
            b"n[1-2]: ",
            &long[..200_001],
            b"n[1-2]: ",
            &long[200_001..],
            b"\n",
        ]
        .concat();
        assert!(recorder.text(Stdout) == expected);
    }
}

#[test]
fn a_text_that_cannot_be_stored_ends_the_run_after_the_stored_text() {
    // The error of the temporary file is made up here. A real one would need a limit on file sizes, which would hold
    // for all tests of this process.
    let mut gather = Gather::new(spec(GatherForm::Lines), true, Colors::default());
    let recorder = Recorder::default();
    let mut console = recorder.console(Terminals::default());
    for event in [run_started(&["a"]), output(0, Stdout, b"kept\n")] {
        gather.event(&event, &mut console).unwrap();
    }
    let full = Err(io::ErrorKind::StorageFull.into());
    let error = gather.or_show(full, &mut console).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    console.flush().unwrap();
    assert_eq!(recorder.text(Stdout), b"a: kept\n");
}

/// The output of each host, in chunks of any size. Some hosts are alike.
fn outputs() -> impl Strategy<Value = Vec<(Vec<u8>, Vec<u8>, u8)>> {
    let line = prop_oneof![
        6 => prop::sample::select(vec!["a\n", "b\n", "\n"]).prop_map(|s| s.as_bytes().to_vec()),
        1 => prop::collection::vec(any::<u8>(), 0..6),
    ];
    let text = prop::collection::vec(line, 0..4).prop_map(|lines| lines.concat());
    prop::collection::vec((text.clone(), text, 0..2_u8), 1..8)
}

/// The text with a newline at its end, as the gatherer keeps it.
fn ended(text: &[u8]) -> Vec<u8> {
    let mut text = text.to_vec();
    if text.last().is_some_and(|last| *last != b'\n') {
        text.push(b'\n');
    }
    text
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]
    #[test]
    fn every_host_is_in_one_group_with_its_own_output(
        outputs in outputs(),
        sizes in prop::collection::vec(1..5_usize, 1..6),
        memory in prop_oneof![Just(0_usize), Just(1 << 20)],
    ) {
        let labels: Vec<String> = (0..outputs.len()).map(|n| format!("n{n}")).collect();
        let mut events = vec![run_started(&labels)];
        // One chunk of each stream in turn, with the sizes repeated in their order.
        let mut rest: Vec<[&[u8]; 2]> = outputs.iter().map(|(out, err, _)| [&out[..], &err[..]]).collect();
        let mut sizes = sizes.into_iter().cycle();
        while rest.iter().flatten().any(|rest| !rest.is_empty()) {
            for (host, rest) in rest.iter_mut().enumerate() {
                for (rest, stream) in rest.iter_mut().zip([Stdout, Stderr]) {
                    let size = sizes.next().unwrap().min(rest.len());
                    if size > 0 {
                        let (chunk, others) = rest.split_at(size);
                        events.push(output(u32::try_from(host).unwrap(), stream, chunk));
                        *rest = others;
                    }
                }
            }
        }
        for (host, (_, _, code)) in outputs.iter().enumerate() {
            events.push(exit(u32::try_from(host).unwrap(), *code));
        }
        let mut gather = Gather::new(GatherSpec { memory, ..spec(GatherForm::Blocks) }, true, Colors::default());
        run(&mut gather, &events, Terminals::default());

        let mut expected: BTreeMap<(Vec<u8>, u8), Vec<usize>> = BTreeMap::new();
        for (host, (out, _, code)) in outputs.iter().enumerate() {
            expected.entry((ended(out), *code)).or_default().push(host);
        }
        let mut expected: Vec<_> = expected.into_iter().collect();
        expected.sort_by_key(|(_, hosts)| (usize::MAX - hosts.len(), hosts[0]));
        let read = |text| {
            let mut bytes = Vec::new();
            io::Read::read_to_end(&mut gather.collected.reader(text, 0), &mut bytes).unwrap();
            bytes
        };
        let groups = gather.view().groups(0..outputs.len());
        prop_assert_eq!(groups.len(), expected.len());
        for (group, ((out, code), hosts)) in groups.iter().zip(expected) {
            prop_assert_eq!(&group.hosts, &hosts);
            prop_assert_eq!(read(group.text), out);
            let words = if code == 0 { String::new() } else { format!("exit {code}") };
            prop_assert_eq!(gather.collected.words(group.end), words);
            let mut seen = Vec::new();
            for (text, hosts) in &group.errors {
                for host in hosts {
                    prop_assert_eq!(read(*text), ended(&outputs[*host].1));
                }
                seen.extend(hosts.iter().copied());
            }
            seen.sort_unstable();
            prop_assert_eq!(seen, hosts);
        }
    }
}
