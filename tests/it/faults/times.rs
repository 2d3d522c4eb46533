//! Times of the phases while the program gets no CPU.

use super::*;
use crate::support::records;
use fake_rshd::Callback;

/// All times of the one target, in milliseconds.
#[track_caller]
fn times(ended: &Ended) -> serde_json::Map<String, serde_json::Value> {
    let mut records = records(ended);
    records.retain(|record| record["event"] == "finished");
    let [record] = &records[..] else {
        panic!("{records:?}");
    };
    record["ms"].as_object().unwrap().clone()
}

#[test]
fn a_command_that_ran_while_the_program_was_stopped_has_a_run_time() {
    // Long enough to stop the program before the answer. If it is stopped later, the times are exact all the same.
    let script = Script::after_request()
        .then(Step::Sleep(Duration::from_millis(500)))
        .then(Step::CallBack(Callback::default()))
        .send(Connection::Main, "\0")
        .then(Step::Sleep(Duration::from_millis(300)))
        .send(Connection::Main, "out\n")
        .then(Step::EndMarker(0));
    let fake = FakeRshd::playing(script);
    let running = fake.mrsh().args(&["--json", "true"]).start();
    fake.has_a_request();
    running.signal(Signal::STOP);
    assert_eq!(fake.observed().last(), Some(&Observation::Finished));
    running.signal(Signal::CONT);
    let ended = running.finish().status(0);
    let times = times(&ended);
    let time = |phase: &str| times[phase].as_f64().unwrap();
    assert!(time("run") > 299.0, "{times:?}");
    let phases = times
        .keys()
        .filter(|key| !["began", "total"].contains(&key.as_str()));
    let sum: f64 = phases.map(|phase| time(phase)).sum();
    assert!((time("total") - sum).abs() < 0.1, "{times:?}");
}
