//! Connections that are closed or reset in every phase, and daemons that never stop sending.
//!
//! Each call has many hosts. The result of each host is read from `--json`.

use std::fs::File;
use std::io::{Write, pipe};
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use fake_rshd::{Connection, Script, Step};

use super::{KB, failed, line, run_with};
use crate::support::{FakeRshd, Finished, finished};

/// The phases of a session, each with its name and the steps before it.
fn phases() -> [(&'static str, Script); 7] {
    let output = Script::after_start()
        .send(Connection::Main, "out\n")
        .send(Connection::Callback, "err\n");
    [
        ("connected", Script::new()),
        ("asked", Script::after_request()),
        ("called back", Script::after_callback()),
        ("started", Script::after_start()),
        ("output", output.clone()),
        (
            "in the marker",
            output.clone().then(Step::EndMarkerStart(9)),
        ),
        ("marker", output.then(Step::EndMarker(3))),
    ]
}

/// Runs a script for each row and asserts that the class or the exit status of its host is in the row.
#[track_caller]
fn each_ends_as(rows: Vec<(String, Script, &[&str])>, options: &[&str]) {
    let scripts = rows.iter().map(|(_, script, _)| script.clone()).collect();
    let fake = FakeRshd::playing_all(scripts);
    let ended = fake.mrsh().args(options).args(&["--json", "true"]).run();
    let ends = finished(&ended);
    assert_eq!(
        ends.len(),
        rows.len(),
        "one outcome for each host: {ended:?}"
    );
    let wrong: Vec<_> = rows
        .iter()
        .zip(&ends)
        .filter(|((_, _, allowed), end)| !allowed.contains(&end.class.as_str()))
        .map(|((name, _, allowed), end)| format!("{name}: {end:?}, not one of {allowed:?}"))
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Possible results for each phase when the main connection is closed in it, and when it is reset.
const CLOSED: [&[&str]; 7] = [
    // The result depends on the time at which the request arrives.
    &["no-callback", "reset", "closed-before-status"],
    &["no-callback"],
    &["closed-before-status"],
    &["no-end-marker"],
    &["no-end-marker"],
    &["no-end-marker"],
    &["3"],
];
const RESET: [&[&str]; 7] = [
    &["no-callback", "reset"],
    &["no-callback", "reset"],
    &["reset"],
    &["reset"],
    &["reset"],
    &["reset"],
    &["3"],
];

#[test]
fn the_main_connection_cut_in_any_phase() {
    let mut rows = Vec::new();
    for (i, (name, script)) in phases().into_iter().enumerate() {
        for (how, step, allowed) in [
            ("closed", Step::Close(Connection::Main), CLOSED[i]),
            ("half closed", Step::HalfClose(Connection::Main), CLOSED[i]),
            ("reset", Step::Reset(Connection::Main), RESET[i]),
        ] {
            let script = script.clone().then(step);
            // Closed together with the other connection, before it, and after it.
            let late = Step::Sleep(Duration::from_millis(200));
            let before = script
                .clone()
                .then(late.clone())
                .then(Step::Close(Connection::Callback));
            rows.push((format!("{name}, {how}"), script.clone(), allowed));
            rows.push((format!("{name}, {how}, stderr later"), before, allowed));
        }
    }
    each_ends_as(rows, &["-j", "50"]);
}

#[test]
fn the_second_connection_cut_in_any_phase() {
    let mut rows: Vec<(String, Script, &[&str])> = Vec::new();
    let rest = || {
        [
            Script::new()
                .send(Connection::Main, "\0out\n")
                .then(Step::EndMarker(3)),
            Script::new()
                .send(Connection::Main, "out\n")
                .then(Step::EndMarker(3)),
        ]
    };
    for (name, script) in phases().into_iter().skip(2) {
        for (how, step) in [
            ("closed", Step::Close(Connection::Callback)),
            ("half closed", Step::HalfClose(Connection::Callback)),
            ("reset", Step::Reset(Connection::Callback)),
        ] {
            // mrsh must accept the connection first: one that was reset before does not count.
            let accepted = Step::Sleep(Duration::from_secs(1));
            let cut = script.clone().then(accepted).then(step);
            let [with_status, without] = rest();
            let rest = match name {
                "called back" => with_status,
                "marker" => Script::new(),
                // The start of a marker is output if no complete marker follows. Here one follows.
                _ => without,
            };
            let whole = rest
                .steps()
                .iter()
                .fold(cut, |script, step| script.then(step.clone()));
            rows.push((format!("{name}, stderr {how}"), whole, &["3"]));
        }
    }
    each_ends_as(rows, &[]);
}

#[test]
fn silence_in_any_phase() {
    let rows = phases().into_iter().zip([
        &["no-callback"][..],
        &["no-callback"],
        &["connect-timeout"],
        &["command-timeout"],
        &["command-timeout"],
        &["command-timeout"],
        &["command-timeout"],
    ]);
    let rows = rows
        .map(|((name, script), allowed)| (name.to_owned(), script.then(Step::Stall), allowed))
        .collect();
    each_ends_as(rows, &["-t", "2", "-u", "2"]);
}

// ---- daemons that never stop sending

/// Sends the same byte many times, slowly.
fn trickle(script: Script, to: Connection, byte: &str, times: usize) -> Script {
    (0..times).fold(script, |script, _| {
        script
            .send(to, byte)
            .then(Step::Sleep(Duration::from_millis(300)))
    })
}

#[test]
fn a_refusal_byte_by_byte_with_pauses() {
    let began = Instant::now();
    let ended = run_with(
        trickle(Script::refusing("no"), Connection::Main, "o", 60),
        &[],
    );
    let ended = ended.status(3).says(&[&failed("denied: nooo")]);
    assert!(began.elapsed() < Duration::from_secs(10), "{ended:?}");
}

#[test]
fn output_byte_by_byte_with_pauses() {
    for to in [Connection::Main, Connection::Callback] {
        let script = trickle(Script::after_start(), to, "x", 60);
        let ended = run_with(script, &["-u", "2"]).status(3);
        let ended = ended.says(&[&failed("command timed out after 2 s")]);
        let shown = [ended.stdout.as_slice(), ended.stderr.as_bytes()].concat();
        assert!(
            memchr::memmem::find(&shown, b": xxx").is_some(),
            "{ended:?}"
        );
    }
}

#[test]
fn text_without_end_from_a_server_that_is_not_rshd() {
    let script = Script::after_request().then(Step::Repeat {
        to: vec![Connection::Main],
        bytes: vec![b'x'; 64 * KB],
        times: 160,
    });
    let ended = run_with(script, &[]).status(3).stdout("");
    let ended = ended.says(&[&failed("not a remote shell daemon: xxx")]);
    assert!(ended.stderr.len() < 4 * KB, "{ended:?}");
}

#[test]
fn output_without_end_after_the_marker() {
    let script = Script::printing("out\n", 0);
    let ended = run_with(
        trickle(script, Connection::Main, "late\n", 60),
        &["-u", "2"],
    )
    .status(3);
    let ended = ended.says(&[&failed("command timed out after 2 s")]);
    assert!(
        ended
            .stdout
            .starts_with(&[line("out"), line("late")].concat()),
        "{ended:?}"
    );
}

#[test]
fn many_call_backs() {
    let again = Step::CallBack(fake_rshd::Callback::default());
    let script = (0..100).fold(Script::after_callback(), |script, _| {
        script.then(again.clone())
    });
    let script = script
        .send(Connection::Main, "\0out\n")
        .then(Step::EndMarker(0));
    let ended = run_with(script, &[]).status(0).stdout(line("out"));
    assert!(ended.stderr.lines().count() <= 1, "{ended:?}");
}

// ---- with standard input

/// A file of twenty megabytes.
fn much() -> File {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(&vec![b'x'; 20_000 * KB]).unwrap();
    std::io::Seek::rewind(&mut file).unwrap();
    file
}

#[test]
fn a_daemon_that_reads_no_input() {
    // The daemon reads nothing, so no input can be sent. The timeout and the daemon's output must work all the same.
    let script = Script::after_start()
        .send(Connection::Main, "out\n")
        .then(Step::Stall);
    let fake = FakeRshd::playing(script);
    let call = fake.mrsh().args(&["-i", "-u", "2", "true"]).stdin(much());
    let ended = call.run().status(3);
    let ended = ended.stdout(line("out"));
    ended.says(&[&failed("command timed out after 2 s")]);
}

#[test]
fn cut_while_input_is_sent() {
    let mut rows = Vec::new();
    for (i, (name, script)) in phases().into_iter().enumerate().skip(3) {
        for step in [Step::Close(Connection::Main), Step::Reset(Connection::Main)] {
            let sent = Step::Sleep(Duration::from_secs(1));
            rows.push((name, script.clone().then(sent).then(step), RESET[i]));
        }
    }
    let fake = FakeRshd::playing_all(rows.iter().map(|(_, script, _)| script.clone()).collect());
    let call = fake.mrsh().args(&["-i", "--json", "true"]).stdin(much());
    let ends = finished(&call.run());
    for ((name, _, allowed), end) in rows.iter().zip(&ends) {
        assert!(allowed.contains(&end.class.as_str()), "{name}: {end:?}");
    }
}

#[test]
fn both_sides_close_at_once() {
    // At the marker the input is not at its end, so mrsh ends its stream. The daemon closes at about the same time.
    const HOSTS: u64 = 60;
    let script = |i| {
        Script::printing("out\n", 3)
            .then(Step::Sleep(Duration::from_micros(i * 40)))
            .then(Step::Close(Connection::Main))
    };
    let fake = FakeRshd::playing_all((0..HOSTS).map(script).collect());
    for stderr in ["separate", "merge"] {
        let (reader, writer) = pipe().unwrap();
        let call = fake
            .mrsh()
            .args(&["-i", "--json", "-j", "60", "--stderr", stderr]);
        let ends = finished(&call.arg("true").stdin(OwnedFd::from(reader)).run());
        drop(writer);
        assert_eq!(ends.len(), 60);
        for Finished {
            label,
            class,
            stdout,
            ..
        } in ends
        {
            assert_eq!(
                (class.as_str(), &stdout[..]),
                ("3", &b"out\n"[..]),
                "{label}"
            );
        }
    }
}
