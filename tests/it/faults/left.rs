//! Commands that may be running when mrsh has ended: named in the summary, in `--json` and in `--failed-to`.

use fake_rshd::{Connection, Script, Step};
use rustix::process::Signal;
use serde_json::Value;

use crate::support::{Ended, FakeRshd, Running, host, records};

/// Runs a script on one host and asserts that all reports name the command as one that may be running.
fn may_run(script: &Script, options: &[&str], end: impl Fn(&FakeRshd, &Running)) {
    check_reports(script, options, &end, true);
}

fn does_not_run(script: &Script, options: &[&str]) {
    check_reports(script, options, &|_: &FakeRshd, _: &_| {}, false);
}

fn run(script: &Script, options: &[&str], end: &dyn Fn(&FakeRshd, &Running)) -> Ended {
    let fake = FakeRshd::playing(script.clone());
    let running = fake.mrsh().args(options).arg("true").start();
    end(&fake, &running);
    running.finish()
}

fn check_reports(
    script: &Script,
    options: &[&str],
    end: &dyn Fn(&FakeRshd, &Running),
    may_run: bool,
) {
    let dir = tempfile::tempdir().unwrap();
    let list = dir.path().join("again");
    let with_list = [options, &["--failed-to", list.to_str().unwrap()]].concat();
    let ended = run(script, &with_list, end);
    let text = format!("may be running on: {}", host(0));
    assert_eq!(ended.stderr.contains(&text), may_run, "{ended:?}");
    assert!(!ended.stderr.contains("still running"), "{ended:?}");
    let listed = std::fs::read_to_string(&list).unwrap();
    assert_eq!(listed.contains(&format!("# {text}\n")), may_run, "{listed}");
    assert!(listed.contains(&host(0)), "{listed}");

    let ended = run(script, &[options, &["--json"]].concat(), end);
    let records = records(&ended);
    let finished = records.iter().find(|r| r["event"] == "finished").unwrap();
    let marked = finished.get("may_be_running") == Some(&Value::Bool(true));
    assert_eq!(marked, may_run, "{finished}");
    let end = records.iter().find(|r| r["event"] == "run-end").unwrap();
    let all = end.get("may_be_running").and_then(Value::as_array);
    assert_eq!(all.map_or(0, Vec::len), usize::from(may_run), "{end}");
}

fn nothing(_: &FakeRshd, _: &Running) {}

#[test]
fn a_daemon_that_starts_the_command_without_a_call_back() {
    let script = Script::after_request()
        .send(Connection::Main, "\0")
        .then(Step::AwaitClose);
    may_run(&script, &["-t", "1"], nothing);
}

#[test]
fn a_reset_in_mid_command() {
    let script = Script::after_start()
        .send(Connection::Main, "out\n")
        .then(Step::Reset(Connection::Main));
    may_run(&script, &["--stderr", "merge"], nothing);
}

#[test]
fn a_daemon_that_answers_after_the_connect_timeout() {
    for script in [
        Script::after_request().then(Step::Stall),
        Script::after_callback().then(Step::Stall),
    ] {
        may_run(&script, &["-t", "0.5", "--stderr", "merge"], nothing);
    }
    may_run(
        &Script::after_callback().then(Step::Stall),
        &["-t", "0.5"],
        nothing,
    );
}

#[test]
fn a_daemon_that_has_not_answered_when_the_run_is_stopped() {
    let script = Script::after_callback().then(Step::Stall);
    may_run(&script, &["-t", "60"], |fake, running| {
        fake.has_a_request();
        std::thread::sleep(std::time::Duration::from_millis(500));
        running.signal(Signal::TERM);
    });
}

#[test]
fn a_command_that_was_not_started_or_has_ended_is_not_named() {
    does_not_run(&Script::refusing("no\n"), &[]);
    does_not_run(&Script::printing("out\n", 3), &[]);
}
