//! Hosts that write without end, to a fast reader: every limit and every signal ends them.

use std::time::Duration;

use fake_rshd::{Connection, Script, Step};
use rustix::process::Signal;

use crate::support::{Ended, FakeRshd, Mrsh, Running};

/// A daemon whose command writes to both streams until its client disconnects.
fn endless() -> Script {
    Script::after_start()
        .then(Step::Repeat {
            to: vec![Connection::Main, Connection::Callback],
            bytes: format!("{}\n", "x".repeat(63)).repeat(1024).into_bytes(),
            times: usize::MAX,
        })
        .then(Step::AwaitClose)
}

/// Runs the command on three such hosts and on a silent one. The output is discarded.
fn start(options: &[&str]) -> (FakeRshd, Running) {
    let silent = Script::after_start().then(Step::AwaitClose);
    let fake = FakeRshd::playing_all(vec![endless(), endless(), endless(), silent]);
    let mrsh: Mrsh = fake.mrsh().args(options);
    let mrsh = mrsh.args(&["--kill-after", "0.5", "true"]);
    let running = mrsh.after("exec >/dev/null").start();
    (fake, running)
}

fn wait_for_all(fake: &FakeRshd) {
    for _ in 0..4 {
        fake.has_a_request();
    }
    std::thread::sleep(Duration::from_millis(500));
}

#[track_caller]
fn all_failed_with(ended: Ended, cause: &str) {
    let all = format!("4 failed: 127.77.0.[1-4]: {cause}");
    ended.says(&[&all]);
}

#[test]
fn the_commands_limit_ends_it() {
    let (_fake, running) = start(&["-u", "1"]);
    all_failed_with(running.finish().status(3), "command timed out after 1 s");
}

#[test]
fn the_deadline_ends_it() {
    let (_fake, running) = start(&["--deadline", "1"]);
    let ended = running.finish();
    assert_ne!(ended.status, Some(0), "{ended:?}");
    all_failed_with(ended, "deadline reached");
}

#[test]
fn a_signal_ends_it() {
    let (fake, running) = start(&[]);
    wait_for_all(&fake);
    running.signal(Signal::TERM);
    let ended = running.finish();
    assert_eq!(ended.signal, Some(15), "{ended:?}");
    all_failed_with(ended, "interrupted");
}

#[test]
fn one_interrupt_prints_the_state_and_two_end_the_run() {
    let (fake, running) = start(&[]);
    wait_for_all(&fake);
    running.signal(Signal::INT);
    // The kernel joins signals of one number that the process has not taken yet, so a busy machine gets some time.
    std::thread::sleep(Duration::from_millis(500));
    running.signal(Signal::INT);
    let ended = running.finish();
    assert_eq!(ended.signal, Some(2), "{ended:?}");
    let state = "4 running: 127.77.0.[1-4]";
    let ended = ended.says(&[state, "^C again within a second stops the run"]);
    all_failed_with(ended, "interrupted");
}
