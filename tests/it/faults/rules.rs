//! Retries after failures, and the hosts that are reported as still running.

use std::time::Duration;

use fake_rshd::{Callback, Connection, Observation, Script, Step};

use super::{failed, run_with};
use crate::support::{Ended, FakeRshd, host, records};

/// The value of `attempts` for the one host of a run with `--json`.
fn attempts(ended: &Ended) -> u64 {
    let records = records(ended);
    let mut ends = records
        .iter()
        .filter(|record| record["event"] == "finished");
    let end = ends.next().expect("the host has an outcome");
    end["attempts"].as_u64().expect("attempts are counted")
}

fn tried(script: Script) -> u64 {
    attempts(&run_with(script, &["--retries", "2", "--json"]).status(3))
}

#[test]
fn a_session_that_ended_before_the_answer_is_tried_again() {
    for script in [
        // Closed at once, closed after the call-back, and reset after the call-back.
        Script::after_request(),
        Script::after_callback(),
        Script::after_callback().then(Step::Reset(Connection::Main)),
        Script::refusing("Can't fork; try again.\n"),
    ] {
        assert_eq!(tried(script.clone()), 3, "{script:?}");
    }
}

#[test]
fn a_command_that_may_have_run_is_not_tried_again() {
    for script in [
        Script::after_start(),
        Script::after_start().then(Step::Reset(Connection::Main)),
        Script::refusing_after_start(),
        Script::refusing("Permission denied.\n"),
        // A daemon that accepts without a call-back.
        Script::after_request()
            .send(Connection::Main, [0])
            .then(Step::Stall),
    ] {
        assert_eq!(tried(script.clone()), 1, "{script:?}");
    }
    // The client gives up while the daemon may be about to start the command.
    for script in [
        Script::after_request().then(Step::Stall),
        Script::after_request()
            .then(Step::CallBack(Callback::default()))
            .then(Step::Stall),
    ] {
        let options = ["--retries", "2", "--json", "-t", "0.5"];
        let ended = run_with(script.clone(), &options).status(3);
        assert_eq!(attempts(&ended), 1, "{script:?}");
    }
}

#[test]
fn a_refused_connection_is_tried_again() {
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = nobody.local_addr().unwrap().port().to_string();
    drop(nobody);
    let options = ["--source-ports", "any", "-w", "127.0.0.1", "-p", &port];
    let mrsh = crate::support::Mrsh::new().args(&options);
    let mrsh = mrsh.args(&["--retries", "1", "--json", "true"]);
    assert_eq!(attempts(&mrsh.run().status(3)), 2);
}

/// Returns the line about hosts that are still running, if there is one.
fn left(ended: &Ended) -> Option<&str> {
    let mut lines = ended.stderr.lines();
    lines.find_map(|line| line.strip_prefix("mrsh: still running on: "))
}

#[test]
fn hosts_that_could_not_be_stopped_are_named() {
    let deaf = Script::after_start().then(Step::AwaitClose);
    let heeding = Script::after_start().then(Step::AwaitSignal(15));
    let silent = &["-u", "0.3", "--kill-after", "0.2"];
    let ended = run_with(deaf.clone(), silent).status(3);
    assert_eq!(left(&ended), Some(&*host(0)));
    let patient = &["-u", "0.3", "--kill-after", "20"];
    let ended = run_with(heeding, patient).status(3);
    assert_eq!(left(&ended), None);
    let merged = &["-u", "0.3", "--kill-after", "60", "--stderr", "merge"];
    let ended = run_with(deaf, merged).status(3);
    assert_eq!(
        left(&ended),
        Some(&*host(0)),
        "the command cannot be stopped"
    );
}

#[test]
fn the_time_from_term_to_kill_can_be_chosen() {
    let fake = FakeRshd::playing(Script::after_start().then(Step::AwaitSignal(9)));
    let options = ["-u", "0.2", "--kill-after", "0"];
    let mrsh = fake.mrsh().args(&options).arg("true");
    mrsh.run().status(3);
    let observed = fake.observed();
    let signals = observed
        .iter()
        .filter(|seen| matches!(seen, Observation::Signal(_)));
    assert_eq!(signals.count(), 2, "{observed:?}");
}

#[test]
fn a_silent_command_ends_at_the_idle_timeout() {
    let talking = (0..8).fold(Script::after_start(), |script, _| {
        let script = script.then(Step::Sleep(Duration::from_millis(300)));
        script.send(Connection::Callback, "going on\n")
    });
    let options = ["--idle-timeout", "2", "--kill-after", "0"];
    run_with(talking.clone().then(Step::EndMarker(0)), &options).status(0);
    let ended = run_with(talking.then(Step::AwaitClose), &options).status(3);
    ended.says(&[&failed("no output for 2 s")]);
}

#[test]
fn the_deadline_is_for_all_hosts_together() {
    let fake = FakeRshd::playing_all(vec![
        Script::printing("done\n", 0),
        Script::after_start().then(Step::AwaitSignal(15)),
        Script::printing("never\n", 0),
    ]);
    let options = ["--deadline", "4", "-j", "1", "true"];
    let ended = fake.mrsh().args(&options).run().status(4);
    let line = |n, text| format!("{}: {text}", host(n));
    assert!(
        ended.stderr.contains(&line(1, "deadline reached")),
        "{ended:?}"
    );
    let not_started = format!("1 not started: {}", host(2));
    assert!(ended.stderr.contains(&not_started), "{ended:?}");
    assert_eq!(left(&ended), None);
    ended.stdout(format!("{}: done\n", host(0)));
}

#[test]
fn a_failure_in_the_first_wave_keeps_the_command_from_other_hosts() {
    let fake = FakeRshd::playing_all(vec![
        Script::printing("", 1),
        Script::printing("never\n", 0),
        Script::printing("never\n", 0),
    ]);
    let mrsh = || fake.mrsh().args(&["--batch", "1,100%"]);
    mrsh()
        .arg("true")
        .run()
        .status(4)
        .stdout("")
        .says(&[&format!(
            "1 host failed in wave 1 of 2 ({}): no more hosts are started; with --journal FILE",
            host(0)
        )]);
    let tolerant = mrsh()
        .args(&["--max-failures", "2", "true"])
        .run()
        .status(1);
    let lines = tolerant.stdout.split(|&byte| byte == b'\n');
    assert_eq!(lines.filter(|line| line.ends_with(b"never")).count(), 2);
}
