//! Daemons that violate the protocol or stop in the middle of it. For each fault, tests check the message, the exit
//! status, and that the program ends. The daemons are scripted, on loopback; see `fake_rshd::Script`.

use std::time::Duration;

use fake_rshd::{Connection, Observation, Script, Step};
use rustix::process::Signal;

use crate::support::{Ended, FakeRshd, host};

mod call_back;
mod cut;
mod endless;
mod left;
mod output;
mod reader;
mod rules;
mod schedules;
mod start;
mod times;

const KB: usize = 1 << 10;

/// Runs a command on one host that plays this script.
fn run(script: Script) -> Ended {
    run_with(script, &[])
}

fn run_with(script: Script, options: &[&str]) -> Ended {
    let fake = FakeRshd::playing(script);
    fake.mrsh().args(options).arg("true").run()
}

/// A command that writes a line, and runs until its client disconnects.
fn lasting() -> Script {
    Script::after_start()
        .send(Connection::Main, "out\n")
        .then(Step::AwaitClose)
}

/// The summary of a run in which one host failed with this cause.
fn failed(cause: &str) -> String {
    format!("1 failed: {}: {cause}", host(0))
}

/// One host's line.
fn line(text: impl AsRef<[u8]>) -> Vec<u8> {
    [host(0).as_bytes(), b": ", text.as_ref(), b"\n"].concat()
}

/// Asserts that the host was not reached or was lost, for this reason and without output.
#[track_caller]
fn is_lost(ended: Ended, cause: &str) {
    ended.status(3).stdout("").says(&[&failed(cause)]);
}

// ---- a daemon that follows the protocol

#[test]
fn an_honest_daemon() {
    let script = Script::after_start()
        .send(Connection::Main, "out\n")
        .send(Connection::Callback, "err\n")
        .then(Step::EndMarker(0));
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

#[test]
fn many_hosts_at_once() {
    const HOSTS: u32 = 300;
    let session = Script::after_start()
        .send(Connection::Main, "out\n")
        .send(Connection::Callback, "err\n")
        .then(Step::EndMarker(0));
    let fake = FakeRshd::playing_all(vec![session; HOSTS as usize]);
    let ended = fake.mrsh().args(&["-j", "300", "true"]).run().status(0);
    let stdout = String::from_utf8_lossy(&ended.stdout);
    for host in (0..HOSTS).map(host) {
        let out = format!("{host}: out");
        assert!(stdout.lines().any(|line| line == out), "{host}: {ended:?}");
        let err = format!("{host}: err");
        assert!(ended.stderr.lines().any(|line| line == err), "{ended:?}");
    }
    assert_eq!(stdout.lines().count() + ended.stderr.lines().count(), 600);
}

// ---- end of a run by timeouts and signals

#[test]
fn a_command_that_takes_no_notice_of_signals() {
    let fake = FakeRshd::playing(lasting());
    let ended = fake.mrsh().args(&["-u", "2", "true"]).run();
    let ended = ended.status(3).stdout(line("out"));
    ended.says(&[&failed("command timed out after 2 s")]);
    let observed = fake.observed();
    let signals: Vec<&Observation> = observed
        .iter()
        .filter(|seen| matches!(seen, Observation::Signal(_)))
        .collect();
    assert_eq!(signals, [&Observation::Signal(15), &Observation::Signal(9)]);
    // After a reset, neither side has a connection in TIME_WAIT.
    for wire in [Connection::Main, Connection::Callback] {
        assert!(observed.contains(&Observation::Reset(wire)), "{observed:?}");
    }
}

#[test]
fn a_command_that_ends_on_a_signal() {
    let fake = FakeRshd::playing(
        Script::after_start()
            .then(Step::AwaitSignal(15))
            .send(Connection::Main, "caught\n"),
    );
    let ended = fake.mrsh().args(&["-u", "0.5", "true"]).run().status(3);
    ended
        .stdout(line("caught"))
        .says(&[&failed("command timed out after 0.5 s")]);
}

#[test]
fn stopped_by_a_signal() {
    let fake = FakeRshd::playing(lasting());
    let mut running = fake.mrsh().arg("true").start();
    running.has_printed(&line("out"));
    running.signal(Signal::TERM);
    assert_eq!(running.finish().signal, Some(15));
    let observed = fake.observed();
    for wire in [Connection::Main, Connection::Callback] {
        assert!(observed.contains(&Observation::Reset(wire)), "{observed:?}");
    }
}

#[test]
fn signals_that_were_ignored_at_the_start_stay_ignored() {
    let fake = FakeRshd::playing(lasting());
    // nohup(1) ignores HUP. A shell without job control ignores INT for background commands.
    let mut running = fake.mrsh().after("trap '' HUP INT").arg("true").start();
    running.has_printed(&line("out"));
    for signal in [Signal::HUP, Signal::INT, Signal::INT, Signal::INT] {
        running.signal(signal);
        std::thread::sleep(Duration::from_millis(50));
    }
    running.signal(Signal::TERM);
    let ended = running.finish();
    assert_eq!(ended.signal, Some(15), "{ended:#?}");
    assert!(!ended.stderr.contains("running: "), "{ended:#?}");
}

#[test]
fn a_program_that_is_killed_closes_nothing_first() {
    for signal in [Signal::QUIT, Signal::KILL] {
        let fake = FakeRshd::playing(lasting());
        let mut running = fake.mrsh().after("ulimit -c 0").arg("true").start();
        running.has_printed(&line("out"));
        running.signal(signal);
        assert_eq!(running.finish().signal, Some(signal.as_raw()));
        let observed = fake.observed();
        for wire in [Connection::Main, Connection::Callback] {
            assert!(observed.contains(&Observation::Reset(wire)), "{observed:?}");
        }
    }
}

#[test]
fn one_bad_host_does_not_affect_the_others() {
    let fake = FakeRshd::playing_all(vec![
        Script::printing("good\n", 0),
        Script::after_callback().then(Step::Stall),
        Script::refusing("no\n"),
        Script::printing("bad\n", 4),
        Script::after_start().then(Step::Stall),
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
        let words = format!("{}: {cause}", host(index));
        assert!(ended.stderr.contains(&words), "no {words:?}\n{ended:#?}");
    }
}
