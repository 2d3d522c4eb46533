//! Daemons that start no command, or end the session before the command ends.

use std::net::TcpListener;
use std::time::Duration;

use fake_rshd::{Connection, Script, Step};

use super::{KB, failed, is_lost, line, run, run_with};
use crate::support::{FakeRshd, Mrsh};

// ---- no connection

#[test]
fn a_port_without_a_listener() {
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
    let script = Script::after_request().send(Connection::Main, "\x01Permission denied.\n");
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
        to: vec![Connection::Main],
        bytes: vec![b'x'; 64 * KB],
        times: 160,
    });
    let ended = run(script).status(3).stdout("");
    let ended = ended.says(&[&failed("denied: noxxx")]);
    assert!(ended.stderr.len() < 4 * KB, "{ended:?}");
}

#[test]
fn a_refusal_byte_by_byte() {
    let script = Script::after_callback().then(Step::SendBytewise(
        Connection::Main,
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
    is_lost(run(Script::refusing_after_start()), cause);
    let merged = run_with(Script::refusing_after_start(), &["--stderr", "merge"]);
    is_lost(merged, cause);
    // A command may print the same text.
    let script = Script::printing("Authentication failure\n", 0);
    run(script).status(0).stdout(line("Authentication failure"));
}

#[test]
fn a_server_that_is_not_rshd() {
    let script = Script::after_request().send(Connection::Main, "220 ftp ready\r\n");
    is_lost(run(script), "not a remote shell daemon: 220 ftp ready");
}

// ---- silence

#[test]
fn a_daemon_that_sends_nothing() {
    let never_reads = || Script::new().then(Step::Stall);
    let reads = || Script::after_request().then(Step::Stall);
    let calls_back = || Script::after_callback().then(Step::Stall);
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
fn a_long_command_that_the_daemon_does_not_read() {
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
    let script = Script::after_callback()
        .then(Step::Sleep(Duration::from_millis(400)))
        .send(Connection::Main, "\0out\n")
        .then(Step::EndMarker(0));
    run(script).status(0).stdout(line("out")).stderr("");
}

// ---- early ends

#[test]
fn a_daemon_that_closes_before_it_reads() {
    // The cause depends on the time at which the request arrives: the connection is closed or reset.
    let causes = ["closed before", "connection reset", "no call-back"].map(failed);
    let causes = causes.each_ref().map(String::as_str);
    for options in [&[][..], &["--stderr", "merge"]] {
        let ended = run_with(Script::new(), options);
        ended.status(3).stdout("").says(&causes);
    }
}

#[test]
fn a_daemon_that_closes_before_its_status() {
    is_lost(run(Script::after_request()), "no call-back");
    is_lost(
        run(Script::after_callback()),
        "closed before the command started",
    );
    let merged = run_with(Script::after_request(), &["--stderr", "merge"]);
    is_lost(merged, "closed before the command started");
}

#[test]
fn resets_before_the_status() {
    let reset = |script: Script| script.then(Step::Reset(Connection::Main));
    let started = "connection reset while waiting for the daemon to start the command";
    is_lost(run(reset(Script::after_callback())), started);
    let merged = run_with(reset(Script::after_request()), &["--stderr", "merge"]);
    is_lost(merged, started);
    let ended = run(reset(Script::new())).status(3).stdout("");
    ended.says(&[&failed("connection reset"), &failed("no call-back")]);
}

#[test]
fn resets_after_the_status() {
    let cause = "connection reset while the command was running";
    let script = Script::after_start().then(Step::Reset(Connection::Main));
    is_lost(run(script), cause);
    let script = Script::after_start()
        .send(Connection::Main, "whole\nhalf")
        .then(Step::Reset(Connection::Main));
    let ended = run(script).status(3).says(&[&failed(cause)]);
    ended.stdout([line("whole"), line("half")].concat());
}

#[test]
fn a_command_that_was_killed() {
    let cause = "ended without an exit status";
    is_lost(run(Script::after_start()), cause);
    let script = Script::after_start().send(Connection::Main, "out\nhalf");
    let ended = run(script).status(3).says(&[&failed(cause)]);
    ended.stdout([line("out"), line("half")].concat());
}

#[test]
fn unwrapped_commands_end_without_a_status() {
    let out = || Script::after_start().send(Connection::Main, "out\n");
    let ended = run_with(out(), &["--raw"]);
    ended.status(0).stdout(line("out")).stderr("");
    let ended = run_with(out().then(Step::Reset(Connection::Main)), &["--raw"]);
    ended
        .status(3)
        .stdout(line("out"))
        .says(&[&failed("connection reset")]);
}
