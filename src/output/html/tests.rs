//! Tests of the page: what is on it, that nothing in it is a host's markup, and that a browser shows it.

use std::fs;
use std::time::Duration;

use proptest::prelude::*;

use super::super::Terminals;
use super::super::testing::{Recorder, output, run_info, run_started};
use super::*;
use crate::event::{CancelReason, Facts, RemoteExit, Stream};
use crate::targets::TargetId;
use crate::transport::TransportError;

use Stream::{Stderr, Stdout};

mod browser;

/// The end of a host that began at a time and took so long for each phase, in milliseconds.
fn ended(
    target: u32,
    outcome: Outcome,
    began: u64,
    [resolve, wait, connect, start, run]: [u64; 5],
) -> Event {
    let ms = |ms| (ms > 0).then(|| Duration::from_millis(ms));
    Event::Finished(Finished {
        target: TargetId(target),
        outcome,
        began: Some(Duration::from_millis(began)),
        elapsed: Duration::from_millis(resolve + wait + connect + start + run),
        facts: Facts {
            resolve: ms(resolve),
            port_wait: ms(wait),
            connect: ms(connect),
            start: ms(start),
            run: ms(run),
            attempts: 1,
            ..Facts::default()
        },
    })
}

fn exit(code: u8) -> Outcome {
    Outcome::Exited(RemoteExit::Code(code))
}

/// The page of a run.
fn page(info: &RunInfo, events: &[Event], stats: &RunStats) -> String {
    let dir = tempfile::tempdir().unwrap();
    let spec = HtmlSpec {
        path: dir.path().join("page.html"),
        merge: false,
        memory: 1 << 20,
    };
    let mut console = Recorder::default().console(Terminals::default());
    let mut html = Html::create(&spec, &Arc::new(info.clone())).unwrap();
    for event in events {
        html.event(event, &mut console).unwrap();
    }
    html.finish(stats, &mut console).unwrap();
    fs::read_to_string(spec.path).unwrap()
}

/// What is between two marks, which are there.
fn between<'a>(page: &'a str, begin: &str, end: &str) -> &'a str {
    let (_, rest) = page.split_once(begin).expect(begin);
    rest.split_once(end).expect(end).0
}

#[test]
fn a_page_has_all_results() {
    let names = ["n1", "n2", "n3", "<b>n4", "n5", "n6"];
    let info = run_info(&names);
    let lost = TransportError::denied("<script>alert(1)</script>");
    let events = [
        run_started(&names),
        output(0, Stdout, b"Linux\n6.1\n<end> & more"),
        output(1, Stdout, b"Linux\n6.1\n<end> & more\n"),
        output(1, Stderr, b"clock \x1b[1mskewed\n"),
        output(2, Stdout, b"Linux\n5.10\n<end> & more\n"),
        output(4, Stdout, b"one line\n"),
        ended(0, exit(0), 0, [1, 0, 2, 3, 100]),
        ended(1, exit(0), 1, [1, 5, 2, 3, 110]),
        ended(2, exit(1), 2, [1, 0, 2, 3, 90]),
        ended(3, Outcome::Failed(lost.into()), 3, [1, 0, 2, 0, 0]),
        ended(4, exit(0), 4, [1, 0, 2, 3, 0]),
        ended(5, exit(0), 4, [1, 0, 2, 3, 1]),
    ];
    let stats = RunStats {
        total: 6,
        succeeded: 4,
        exit_failed: 1,
        failed: 1,
        elapsed: Duration::from_millis(121),
        ..RunStats::default()
    };
    let page = page(&info, &events, &stats);
    let time = between(&page, "<time datetime=\"", "</time>");
    let style = between(&page, "<style>", "</style>");
    let script = between(&page, "<script>", "</script>");
    let policy = between(
        &page,
        "http-equiv=\"Content-Security-Policy\" content=\"",
        "\">",
    );
    let page = page
        .replace(time, "[time]")
        .replace(policy, "[policy]")
        .replace(style, "[style]")
        .replace(script, "[script]")
        .replace(env!("CARGO_PKG_VERSION"), "[version]");
    insta::assert_snapshot!(page);
}

#[test]
fn what_differs_from_an_output_of_one_line_is_shown() {
    let names = ["n1", "n2", "n3"];
    let info = run_info(&names);
    let mut events = vec![run_started(&names)];
    for (host, text) in [(0, "6.1\n"), (1, "6.1\n"), (2, "6.1\nodd\n")] {
        events.push(output(host, Stdout, text.as_bytes()));
        events.push(ended(host, exit(0), 0, [1, 0, 2, 3, 100]));
    }
    let page = page(&info, &events, &RunStats::default());
    let outputs = between(&page, "<h2 id=\"outputs\">", "</section>");
    let (_, block) = outputs.split_once("<details class=\"output\"").unwrap();
    assert!(!block.contains("most common</span>"), "{block}");
    assert!(
        block.contains("</span>\n 6.1\n<ins>+odd</ins>\n"),
        "{block}"
    );
}

#[test]
fn a_run_without_output_or_hosts_has_a_page() {
    let never = |target| {
        Event::Finished(Finished {
            target: TargetId(target),
            outcome: Outcome::NotStarted(CancelReason::Signal(15)),
            began: None,
            elapsed: Duration::ZERO,
            facts: Facts::default(),
        })
    };
    let stats = RunStats {
        total: 2,
        not_started: 2,
        cancel: Some(CancelReason::Signal(15)),
        ..RunStats::default()
    };
    let names = ["a", "b"];
    let page = page(
        &run_info(&names),
        &[run_started(&names), never(0), never(1)],
        &stats,
    );
    for text in [
        "<h1 class=\"bad\">2 of 2 hosts were not started</h1>",
        "stopped by signal 15",
        "No host was started.",
        "No host wrote anything.",
    ] {
        assert!(page.contains(text), "{text}");
    }
}

#[test]
fn hosts_that_were_not_started_are_no_failures() {
    let never = |target| {
        Event::Finished(Finished {
            target: TargetId(target),
            outcome: Outcome::NotStarted(CancelReason::Failures),
            began: None,
            elapsed: Duration::ZERO,
            facts: Facts::default(),
        })
    };
    // Two racks. Only a part of the second one was started.
    let names: Vec<String> = (0..40)
        .map(|n| format!("r{}n{:02}", n / 20, n % 20))
        .collect();
    let mut events = vec![run_started(&names)];
    events.extend((0..24).map(|n| ended(n, exit(u8::from(n == 3)), 0, [1, 0, 2, 3, 100])));
    events.extend((24..40).map(never));
    let stats = RunStats {
        total: 40,
        succeeded: 23,
        exit_failed: 1,
        not_started: 16,
        cancel: Some(CancelReason::Failures),
        ..RunStats::default()
    };
    let page = page(&run_info(&names), &events, &stats);
    let verdict = between(&page, "<h1 class=\"bad\">", "</h1>");
    assert_eq!(
        verdict,
        "1 of 40 hosts did not succeed, 16 were not started"
    );
    // One row of the picture is marked, and each rack has the number of its failures.
    let marks = between(&page, "<path class=\"mark\" d=\"", "\"/>");
    assert_eq!(marks.matches('M').count(), 1, "{marks}");
    let racks = between(&page, "<table class=\"racks\">", "</table>");
    let failed: Vec<&str> = racks
        .split("<td class=\"num\">20</td><td class=\"num\">")
        .skip(1)
        .map(|rest| rest.split_once('<').unwrap().0)
        .collect();
    assert_eq!(
        failed.iter().filter(|count| **count == "1").count(),
        1,
        "{racks}"
    );
    assert_eq!(
        failed.iter().filter(|count| **count == "0").count(),
        1,
        "{racks}"
    );
}

#[test]
fn long_outputs_are_cut_and_it_is_said() {
    let names = ["a", "b", "c"];
    let mut events = vec![run_started(&names)];
    for n in 0..100_000 {
        events.push(output(0, Stdout, format!("line {n} of many\n").as_bytes()));
    }
    events.push(output(1, Stdout, &[b'x'; 300_000]));
    events.push(output(2, Stdout, "ü".repeat(200_000).as_bytes()));
    events.extend((0..3).map(|n| ended(n, exit(0), 0, [0, 0, 1, 1, 1])));
    let stats = RunStats {
        total: 3,
        succeeded: 3,
        ..RunStats::default()
    };
    let page = page(&run_info(&names), &events, &stats);
    assert!(page.len() < 1_000_000, "{}", page.len());
    assert_eq!(
        page.matches(" bytes left out; use <code>-o DIR</code> to have them all.")
            .count(),
        3
    );
    assert!(page.contains("line 1000 of many\n"));
    // A newline was added at the end, for it lacked one; the cut is not within a character.
    assert!(page.contains("<p class=\"note\">37,857 bytes left out"));
    assert!(!page.contains("&lt;C3&gt;"));
}

#[test]
fn ten_thousand_different_outputs_make_no_endless_page() {
    let names: Vec<String> = (0..10_500).map(|n| format!("n{n}")).collect();
    let mut events = vec![run_started(&names)];
    for n in 0..10_500 {
        let text = if n < 10_200 {
            format!("up {n} days\n")
        } else {
            format!("a\n{n}\n")
        };
        events.push(output(n, Stdout, text.as_bytes()));
        events.push(ended(n, exit(0), 0, [0, 0, 1, 1, 1]));
    }
    let stats = RunStats {
        total: 10_500,
        succeeded: 10_500,
        ..RunStats::default()
    };
    let begun = std::time::Instant::now();
    let page = page(&run_info(&names), &events, &stats);
    assert!(begun.elapsed() < Duration::from_secs(30));
    assert!(page.contains("<p class=\"note\">200 more are left out"));
    assert_eq!(page.matches("<details class=\"output\"").count(), 300);
    assert!(page.len() < 8_000_000, "{}", page.len());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]
    #[test]
    fn no_host_writes_markup(
        texts in prop::collection::vec(prop_oneof![
            prop::collection::vec(any::<u8>(), 0..60),
            "[</>a-c!&\"'\\n\\r\\-]{0,60}".prop_map(String::into_bytes),
            Just(b"</pre><script>x</script><!--\n]]>\n".to_vec()),
        ], 3..4),
        label in "[<>\"'&/a-z0-9]{1,12}",
    ) {
        let names = [label.as_str(), "b", "c"];
        let mut info = run_info(&names);
        info.command = texts[0].iter().copied().filter(|byte| *byte != 0).collect();
        let mut events = vec![run_started(&names)];
        for (host, text) in (0..).zip(&texts) {
            events.push(output(host, Stdout, text));
            events.push(output(host, Stderr, &texts[0]));
            let outcome = Outcome::Failed(TransportError::denied(String::from_utf8_lossy(text)).into());
            events.push(ended(host, outcome, 0, [1, 1, 1, 1, 1]));
        }
        let events: Vec<Event> = events.into_iter().filter(|event| !matches!(event, Event::Output(chunk) if chunk.data.is_empty())).collect();
        let stats = RunStats { total: 3, failed: 3, ..RunStats::default() };
        let page = page(&info, &events, &stats);
        // Every tag is one of ours, and so is what can run or be loaded.
        const OURS: [&str; 49] = [
            "!DOCTYPE", "a", "body", "caption", "code", "dd", "del", "details", "div", "dl", "dt", "figcaption", "figure",
            "footer", "h1", "h2", "h3", "h4", "head", "header", "html", "input", "ins", "label", "li", "link", "main", "meta",
            "nav", "p", "path", "pre", "rect", "script", "section", "span", "style", "summary", "svg", "table", "tbody", "td",
            "text", "th", "thead", "time", "title", "tr", "ul",
        ];
        let script = between(&page, "<script>", "</script>").to_owned();
        let markup = page.replace(&script, "");
        for (at, _) in markup.match_indices('<') {
            let name: String = markup[at + 1..].chars().skip_while(|c| *c == '/').take_while(|c| c.is_ascii_alphanumeric() || *c == '!').collect();
            prop_assert!(OURS.contains(&name.as_str()), "{}", &markup[at..(at + 40).min(markup.len())]);
        }
        prop_assert_eq!(markup.matches("<script").count(), 1);
        prop_assert_eq!(markup.matches("</pre>").count(), markup.matches("<pre").count());
        let odd = |c: char| c.is_control() && c != '\n' && c != '\t';
        prop_assert!(!markup.contains(odd));
    }
}
