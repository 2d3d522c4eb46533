//! Daemons that misbehave: for each way to do so, what the user is told, what the program ends with,
//! and that it does end. The daemons are scripted, on loopback; see `mrsh::demo::Script`.

use std::net::{Ipv4Addr, TcpListener};
use std::time::Duration;

use mrsh::demo::{CallBack, Script, Seen, SourcePort, Step, Wire};
use rustix::process::Signal;

use crate::support::{Ended, FakeRshd, Mrsh, host, may_skip, reserved_ports};

const KB: usize = 1 << 10;

/// Runs a command on one host that plays this script.
fn run(script: Script) -> Ended {
    run_with(script, &[])
}

fn run_with(script: Script, options: &[&str]) -> Ended {
    let fake = FakeRshd::playing(script);
    fake.mrsh().args(options).arg("true").run()
}

/// The summary of one host that failed so.
fn failed(cause: &str) -> String {
    format!("1 failed: {} {cause}", host(0))
}

/// One host's line.
fn line(text: impl AsRef<[u8]>) -> Vec<u8> {
    [host(0).as_bytes(), b": ", text.as_ref(), b"\n"].concat()
}

/// Asserts a host that was not reached or was lost, for this reason and without output.
#[track_caller]
fn is_lost(ended: Ended, cause: &str) {
    ended.status(3).stdout("").says(&[&failed(cause)]);
}

// ---- what an honest daemon looks like

#[test]
fn an_honest_daemon() {
    let script = Script::started()
        .send(Wire::Main, "out\n")
        .send(Wire::Err, "err\n")
        .then(Step::Marker(0));
    run(script)
        .status(0)
        .stdout(line("out"))
        .stderr(&format!("{}: err\n", host(0)));
}

#[test]
fn a_command_that_fails() {
    let ended = run(Script::printing("out\n", 7));
    ended
        .status(1)
        .stdout(line("out"))
        .says(&[&failed("exit 7")]);
    run_with(Script::printing("", 7), &["-S"])
        .status(7)
        .stdout("");
    run_with(Script::refusing("no\n"), &["-S"]).status(255);
}

// ---- no connection

#[test]
fn a_port_on_which_nobody_listens() {
    let listener = TcpListener::bind("127.77.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    drop(listener);
    let call = Mrsh::new().args(&["--source-ports", "any", "-w", "127.77.0.1", "-p", &port]);
    is_lost(call.arg("true").run(), "connection refused");
}

// ---- refusals

#[test]
fn refusals_in_all_their_forms() {
    for (text, shown) in [
        (&b"Permission denied.\n"[..], "denied: Permission denied."),
        (b"Login incorrect.", "denied: Login incorrect."),
        (b"permission denied\r\n", "denied: permission denied"),
        (b"", "denied: "),
        (b"\n", "denied: "),
    ] {
        is_lost(run(Script::refusing(text)), shown);
    }
}

#[test]
fn a_refusal_without_call_back() {
    let script = Script::asked().send(Wire::Main, "\x01Permission denied.\n");
    is_lost(run(script), "denied: Permission denied.");
}

#[test]
fn a_refusal_that_means_the_terminal() {
    let ended = run(Script::refusing(
        "no\x1b[2J\x07\x00\u{9b}way\nmrsh: all is well\n",
    ));
    let ended = ended.status(3).stdout("").says(&[&failed("denied: no")]);
    assert!(!ended.stderr.contains("all is well"), "{ended:?}");
    assert_eq!(
        ended.stderr.matches(char::is_control).count(),
        1,
        "{ended:?}"
    );
}

#[test]
fn a_refusal_that_never_ends() {
    let script = Script::refusing("no").then(Step::Repeat {
        to: vec![Wire::Main],
        piece: vec![b'x'; 64 * KB],
        times: 160,
    });
    let ended = run(script).status(3).stdout("");
    let ended = ended.says(&[&failed("denied: noxxx")]);
    assert!(ended.stderr.len() < 4 * KB, "{ended:?}");
}

#[test]
fn a_refusal_byte_by_byte() {
    let script = Script::called_back().then(Step::Dribble(
        Wire::Main,
        b"\x01Permission denied.\n".to_vec(),
    ));
    is_lost(run(script), "denied: Permission denied.");
}

#[test]
fn a_refusal_that_stops_in_the_middle() {
    let script = Script::refusing("Permission").then(Step::Stall);
    is_lost(run_with(script, &["-t", "2"]), "denied: Permission");
}

#[test]
fn a_denial_after_the_status() {
    let cause = "denied: Authentication failure";
    is_lost(run(Script::denying_after_status()), cause);
    let merged = run_with(Script::denying_after_status(), &["--stderr", "merge"]);
    is_lost(merged, cause);
    // A command may print the same.
    let script = Script::printing("Authentication failure\n", 0);
    run(script).status(0).stdout(line("Authentication failure"));
}

#[test]
fn something_else_than_rshd() {
    let script = Script::asked().send(Wire::Main, "220 ftp ready\r\n");
    is_lost(run(script), "not a remote shell daemon: 220 ftp ready");
}

// ---- silence

#[test]
fn a_daemon_that_says_nothing() {
    let never_reads = || Script::new().then(Step::Stall);
    let reads = || Script::asked().then(Step::Stall);
    let calls_back = || Script::called_back().then(Step::Stall);
    let timed_out = "timed out after 0.5 s";
    for script in [never_reads(), reads()] {
        let ended = run_with(script, &["-t", "0.5"]);
        is_lost(ended, "no call-back");
    }
    for script in [never_reads(), reads()] {
        is_lost(
            run_with(script, &["-t", "0.5", "--stderr", "merge"]),
            timed_out,
        );
    }
    is_lost(run_with(calls_back(), &["-t", "0.5"]), timed_out);
}

#[test]
fn a_long_command_that_nobody_reads() {
    let fake = FakeRshd::playing(Script::new().then(Step::Stall));
    let ended = fake
        .mrsh()
        .args(&["-t", "0.5"])
        .arg("x".repeat(100 * KB))
        .run();
    is_lost(ended, "no call-back");
}

#[test]
fn a_status_that_comes_late() {
    let script = Script::called_back()
        .then(Step::Sleep(Duration::from_millis(400)))
        .send(Wire::Main, "\0out\n")
        .then(Step::Marker(0));
    run(script).status(0).stdout(line("out")).stderr("");
}

// ---- early ends

#[test]
fn a_daemon_that_closes_before_it_reads() {
    // What the request meets is a matter of time: a closed connection, or one that is reset.
    let causes = ["closed before", "connection reset", "no call-back"].map(failed);
    let causes = causes.each_ref().map(String::as_str);
    for options in [&[][..], &["--stderr", "merge"]] {
        let ended = run_with(Script::new(), options);
        ended.status(3).stdout("").says(&causes);
    }
}

#[test]
fn a_daemon_that_closes_before_its_status() {
    is_lost(run(Script::asked()), "no call-back");
    is_lost(
        run(Script::called_back()),
        "closed before the command started",
    );
    let merged = run_with(Script::asked(), &["--stderr", "merge"]);
    is_lost(merged, "closed before the command started");
}

#[test]
fn resets_before_the_status() {
    let reset = |script: Script| script.then(Step::Reset(Wire::Main));
    let started = "connection reset while waiting for the daemon to start the command";
    is_lost(run(reset(Script::called_back())), started);
    let merged = run_with(reset(Script::asked()), &["--stderr", "merge"]);
    is_lost(merged, started);
    let ended = run(reset(Script::new())).status(3).stdout("");
    ended.says(&[&failed("connection reset"), &failed("no call-back")]);
}

#[test]
fn resets_after_the_status() {
    let cause = "connection reset while the command was running";
    let script = Script::started().then(Step::Reset(Wire::Main));
    is_lost(run(script), cause);
    let script = Script::started()
        .send(Wire::Main, "whole\nhalf")
        .then(Step::Reset(Wire::Main));
    let ended = run(script).status(3).says(&[&failed(cause)]);
    ended.stdout([line("whole"), line("half")].concat());
}

#[test]
fn a_command_that_was_killed() {
    let cause = "ended without an exit status";
    is_lost(run(Script::started()), cause);
    let script = Script::started().send(Wire::Main, "out\nhalf");
    let ended = run(script).status(3).says(&[&failed(cause)]);
    ended.stdout([line("out"), line("half")].concat());
}

#[test]
fn unwrapped_commands_end_without_a_status() {
    let out = || Script::started().send(Wire::Main, "out\n");
    let ended = run_with(out(), &["--raw"]);
    ended.status(0).stdout(line("out")).stderr("");
    let ended = run_with(out().then(Step::Reset(Wire::Main)), &["--raw"]);
    ended
        .status(3)
        .stdout(line("out"))
        .says(&[&failed("connection reset")]);
}

// ---- the connection for standard error

fn call_back(address: Option<Ipv4Addr>, port: SourcePort) -> Script {
    Script::asked().then(Step::CallBack(CallBack { address, port }))
}

/// The rest of a session that prints a line on each stream.
fn prints_both(script: Script) -> Script {
    script
        .send(Wire::Main, "\0out\n")
        .send(Wire::Err, "err\n")
        .then(Step::Marker(0))
}

#[track_caller]
fn printed_both(ended: Ended) {
    let err = format!("{}: err\n", host(0));
    ended.status(0).stdout(line("out")).stderr(&err);
}

#[test]
fn a_daemon_that_starts_the_command_without_calling_back() {
    let script = Script::asked()
        .send(Wire::Main, "\0out\n")
        .then(Step::AwaitClient);
    is_lost(run(script), "no call-back");
}

#[test]
fn a_call_back_from_another_address() {
    let elsewhere = Some(Ipv4Addr::new(127, 88, 0, 1));
    printed_both(run(prints_both(call_back(elsewhere, SourcePort::Reserved))));
}

#[test]
fn a_call_back_from_a_port_that_anybody_can_use() {
    printed_both(run(prints_both(call_back(None, SourcePort::Any))));
    if !reserved_ports() {
        return may_skip("without the right to bind reserved ports none can be demanded");
    }
    let honest = FakeRshd::playing(prints_both(call_back(None, SourcePort::Reserved)));
    printed_both(honest.mrsh_from("reserved").arg("true").run());
    let script = call_back(None, SourcePort::Any).send(Wire::Main, [0]);
    let fake = FakeRshd::playing(script.then(Step::AwaitClient));
    let ended = fake.mrsh_from("reserved").arg("true").run();
    is_lost(ended, "no call-back");
    let told = fake.told();
    let reset = [Seen::CallBackFailed, Seen::WasReset(Wire::Err)];
    assert!(reset.iter().any(|seen| told.contains(seen)), "{told:?}");
}

#[test]
fn two_call_backs() {
    let again = Step::CallBack(CallBack::default());
    let ended = run(prints_both(Script::called_back().then(again))).status(0);
    let ended = ended.stdout(line("out"));
    // The second one is a stranger's, and is reported if it was seen before the end of the run.
    let err = format!("{}: err\n", host(0));
    let report = ended.stderr.strip_prefix(&err).unwrap_or("no err");
    assert!(
        report.is_empty() || report.contains("127.77.0.1:"),
        "{ended:?}"
    );
}

#[test]
fn a_call_back_that_comes_late() {
    let late = |millis| {
        Script::asked()
            .then(Step::Sleep(Duration::from_millis(millis)))
            .then(Step::CallBack(CallBack::default()))
    };
    printed_both(run(prints_both(late(400))));
    is_lost(
        run_with(prints_both(late(5_000)), &["-t", "0.5"]),
        "no call-back",
    );
}

#[test]
fn standard_error_that_ends_first() {
    let script = Script::started()
        .send(Wire::Err, "err")
        .then(Step::Close(Wire::Err))
        .then(Step::Sleep(Duration::from_millis(300)))
        .send(Wire::Main, "out\n")
        .then(Step::Marker(0));
    printed_both(run(script));
}

#[test]
fn standard_error_that_ends_last() {
    let script = Script::printing("out\n", 0)
        .then(Step::Close(Wire::Main))
        .then(Step::Sleep(Duration::from_millis(300)))
        .send(Wire::Err, "err");
    printed_both(run(script));
}

#[test]
fn standard_error_that_ends_with_a_reset() {
    // So it ends, after signals, with daemons that never read the connection.
    let script = prints_both(Script::called_back())
        .then(Step::Close(Wire::Main))
        .then(Step::Reset(Wire::Err));
    printed_both(run(script));
}

#[test]
fn standard_error_that_never_ends() {
    let script = Script::printing("out\n", 0)
        .then(Step::Close(Wire::Main))
        .then(Step::Stall);
    let ended = run_with(script, &["-u", "0.5"]).status(3);
    ended
        .stdout(line("out"))
        .says(&[&failed("command timed out after 0.5 s")]);
}

// ---- the end marker

#[test]
fn an_end_marker_in_small_pieces() {
    for (status, ends_with) in [(0, 0), (7, 1), (255, 1)] {
        let script = Script::started()
            .then(Step::Dribble(Wire::Main, b"out\n".to_vec()))
            .then(Step::DribbleMarker(status));
        run(script).status(ends_with).stdout(line("out"));
    }
}

#[test]
fn an_end_marker_behind_half_a_line() {
    run(Script::printing("half", 0))
        .status(0)
        .stdout(line("half"))
        .stderr("");
}

#[test]
fn a_forged_end_marker() {
    // Only who has read the command can forge one; then no status is to be believed.
    let script = Script::printing("out\n", 0).then(Step::Marker(1));
    let ended = run(script).status(3);
    ended
        .stdout(line("out"))
        .says(&[&failed("ended without an exit status")]);
}

#[test]
fn output_behind_the_end_marker() {
    let script = Script::printing("out\n", 7).send(Wire::Main, "late\n");
    let ended = run(script).status(1).says(&[&failed("exit 7")]);
    ended.stdout([line("out"), line("late")].concat());
}

// ---- output

#[test]
fn output_byte_by_byte() {
    let script = Script::called_back()
        .then(Step::Dribble(Wire::Main, b"\0one\n\ntwo".to_vec()))
        .then(Step::Dribble(Wire::Err, b"err\n".to_vec()))
        .then(Step::Marker(0));
    let ended = run(script).status(0).stderr(&format!("{}: err\n", host(0)));
    ended.stdout([line("one"), line(""), line("two")].concat());
}

#[test]
fn output_of_any_bytes() {
    let bytes: Vec<u8> = (0..=255).filter(|&byte| byte != b'\n').collect();
    run(Script::printing(&bytes, 0))
        .status(0)
        .stdout(line(&bytes))
        .stderr("");
}

#[test]
fn a_line_of_many_megabytes() {
    let piece = vec![b'x'; 64 * KB];
    let script = Script::started()
        .then(Step::Repeat {
            to: vec![Wire::Main],
            piece: piece.clone(),
            times: 256,
        })
        .then(Step::Marker(0));
    run(script)
        .status(0)
        .stdout(line(piece.repeat(256)))
        .stderr("");
}

#[test]
fn many_megabytes_on_both_streams() {
    let text = format!("{}\n", "x".repeat(1023));
    let script = Script::started()
        .then(Step::Repeat {
            to: vec![Wire::Main, Wire::Err],
            piece: text.repeat(64).into_bytes(),
            times: 128,
        })
        .then(Step::Marker(0));
    let expected = format!("{}: {text}", host(0)).repeat(64 * 128);
    run(script).status(0).stdout(&expected).stderr(&expected);
}

#[test]
fn one_stream_after_the_other() {
    // Whoever reads one to its end first hangs on one of these.
    let piece = vec![b'x'; 64 * KB];
    let much = |to| Step::Repeat {
        to: vec![to],
        piece: piece.clone(),
        times: 128,
    };
    for (first, second) in [(Wire::Main, Wire::Err), (Wire::Err, Wire::Main)] {
        let script = Script::started().then(much(first)).then(much(second));
        let ended = run(script.then(Step::Marker(0))).status(0);
        assert_eq!(ended.stdout.len(), ended.stderr.len());
        ended.stdout(line(piece.repeat(128)));
    }
}

// ---- giving up

#[test]
fn a_command_that_takes_no_notice_of_signals() {
    let fake = FakeRshd::playing(
        Script::started()
            .send(Wire::Main, "out\n")
            .then(Step::AwaitClient),
    );
    let ended = fake
        .mrsh()
        .args(&["-u", "0.5", "true"])
        .within(Duration::from_secs(10))
        .run();
    let ended = ended.status(3).stdout(line("out"));
    ended.says(&[&failed("command timed out after 0.5 s")]);
    let told = fake.told();
    let signals: Vec<&Seen> = told
        .iter()
        .filter(|seen| matches!(seen, Seen::Signal(_)))
        .collect();
    assert_eq!(signals, [&Seen::Signal(15), &Seen::Signal(9)]);
    // Neither side keeps anything of a connection that was reset.
    for wire in [Wire::Main, Wire::Err] {
        assert!(told.contains(&Seen::WasReset(wire)), "{told:?}");
    }
}

#[test]
fn a_command_that_ends_on_a_signal() {
    let fake = FakeRshd::playing(
        Script::started()
            .then(Step::AwaitSignal(15))
            .send(Wire::Main, "caught\n"),
    );
    let ended = fake.mrsh().args(&["-u", "0.5", "true"]).run().status(3);
    ended
        .stdout(line("caught"))
        .says(&[&failed("command timed out after 0.5 s")]);
}

#[test]
fn stopped_by_a_signal() {
    let fake = FakeRshd::playing(
        Script::started()
            .send(Wire::Main, "out\n")
            .then(Step::AwaitClient),
    );
    let mut running = fake.mrsh().arg("true").start();
    running.has_printed(&line("out"));
    running.signal(Signal::TERM);
    assert_eq!(running.finish().signal, Some(15));
    let told = fake.told();
    for wire in [Wire::Main, Wire::Err] {
        assert!(told.contains(&Seen::WasReset(wire)), "{told:?}");
    }
}

#[test]
fn one_bad_host_is_nobody_elses_trouble() {
    let fake = FakeRshd::playing_all(vec![
        Script::printing("good\n", 0),
        Script::called_back().then(Step::Stall),
        Script::refusing("no\n"),
        Script::printing("bad\n", 4),
        Script::started().then(Step::Stall),
        Script::printing("good\n", 0),
    ]);
    let ended = fake
        .mrsh()
        .args(&["-t", "2", "-u", "2", "true"])
        .run()
        .status(3);
    let mut lines: Vec<&[u8]> = ended.stdout.split_inclusive(|&b| b == b'\n').collect();
    lines.sort_unstable();
    let expected = [(0, "good"), (3, "bad"), (5, "good")]
        .map(|(index, text)| format!("{}: {text}\n", host(index)));
    assert_eq!(lines.concat(), expected.concat().as_bytes());
    for (index, cause) in [
        (1, "timed out after 2 s"),
        (2, "denied: no"),
        (3, "exit 4"),
        (4, "command timed out after 2 s"),
    ] {
        let words = format!("{} {cause}", host(index));
        assert!(ended.stderr.contains(&words), "no {words:?}\n{ended:#?}");
    }
}
