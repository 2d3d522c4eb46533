//! Comparison of the records with their schema, and of decoded output with the bytes of the hosts.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use proptest::prelude::*;
use serde_json::Value;

use super::super::testing::{Recorder, finished, output, run_info, run_started, succeeded};
use super::super::{LeftOutTarget, Terminals};
use super::*;
use crate::event::CancelReason;
use crate::event::{Copied, Facts, LeftRunning, Phase, RemoteExit, Side};
use crate::policy::{Pause, Policy, Share};
use crate::transport::{CallbackFault, TransportError};
use std::num::NonZeroU32;
use std::time::Duration;

/// Returns the lines for these events and for the end of the run.
fn written_lines(info: RunInfo, events: &[Event], terminals: Terminals) -> String {
    let mut json = Json::new(&Arc::new(info));
    let recorder = Recorder::default();
    let mut console = recorder.console(terminals);
    for event in events {
        json.event(event, &mut console).unwrap();
    }
    let stats = RunStats {
        total: 3,
        succeeded: 1,
        exit_failed: 1,
        failed: 1,
        worst_status: Some(7),
        left_running: vec![TargetId(1)],
        may_be_running: vec![TargetId(0)],
        elapsed: Duration::from_micros(1_234_567),
        ..RunStats::default()
    };
    json.finish(&stats, &mut console).unwrap();
    console.flush().unwrap();
    assert!(recorder.text(Stream::Stderr).is_empty());
    String::from_utf8(recorder.text(Stream::Stdout)).unwrap()
}

/// The published schema, without permission for fields that it does not name.
fn schema() -> jsonschema::Validator {
    fn close(schema: &mut Value) {
        match schema {
            Value::Object(map) => {
                map.values_mut().for_each(close);
                if map.contains_key("properties") {
                    map.insert("additionalProperties".to_owned(), false.into());
                }
            }
            Value::Array(values) => values.iter_mut().for_each(close),
            _ => {}
        }
    }
    let mut schema: Value = serde_json::from_str(include_str!("schema.json")).unwrap();
    close(&mut schema);
    jsonschema::validator_for(&schema).unwrap()
}

fn records(lines: &str) -> Vec<Value> {
    lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// Every kind of record, with every field.
fn everything() -> Vec<Event> {
    let mut events = vec![
        run_started(&["a", "b"]),
        Event::Started(TargetId(0)),
        output(0, Stream::Stdout, "läuft\n".as_bytes()),
        output(0, Stream::Stderr, b"\xff\0"),
        Event::PortWaits(3),
        Event::State {
            for_ports: 1,
            running: vec![(TargetId(0), Duration::from_millis(1500))],
            waiting: 1,
            finished: 0,
            hint: Some("hint"),
        },
        Event::Notice(Notice {
            verbose: true,
            text: "a \"note\"".to_owned(),
        }),
        succeeded(0),
    ];
    let outcomes = [
        Outcome::Exited(RemoteExit::Code(7)),
        Outcome::Exited(RemoteExit::Signaled(15)),
        Outcome::Exited(RemoteExit::Unknown),
        Outcome::Failed(TransportError::Refused.into()),
        Outcome::Failed(
            TransportError::ConnectTimeout {
                phase: Phase::CallBack,
                after: Duration::from_secs(10),
            }
            .into(),
        ),
        Outcome::Cancelled(CancelReason::Signal(15)),
        Outcome::NotStarted(CancelReason::ReportFailed),
        Outcome::Cancelled(CancelReason::Deadline),
        Outcome::NotStarted(CancelReason::Failures),
        Outcome::Internal("a defect".to_owned()),
    ];
    events.extend(outcomes.map(|outcome| finished(1, outcome)));
    let facts = Facts {
        resolve: Some(Duration::from_micros(250)),
        port_wait: Some(Duration::from_millis(20)),
        retry_wait: Some(Duration::from_millis(1000)),
        connect: Some(Duration::from_micros(1500)),
        start: Some(Duration::from_millis(2)),
        run: Some(Duration::from_secs(90)),
        attempts: 2,
        process: None,
        local_port: Some(1022),
        closed_first: Some(Side::Remote),
        left_running: LeftRunning::Yes,
        copied: Some(Copied {
            changed: true,
            files: 3,
            bytes: 4096,
            checksum: "sha256sum",
        }),
    };
    if let Some(Event::Finished(end)) = events.last_mut() {
        end.facts = facts;
    }
    let timeout = TransportError::NoCallback {
        fault: CallbackFault::Answered,
    };
    events.push(finished(0, Outcome::Failed(timeout.into())));
    if let Some(Event::Finished(end)) = events.last_mut() {
        end.facts.left_running = LeftRunning::Maybe;
    }
    events
}

#[test]
fn every_record_fits_the_schema() {
    let mut info = run_info(&["a", "b"]);
    info.command = b"echo \xff".to_vec();
    info.command_timeout = Some(Duration::from_secs(60));
    info.policy = Policy {
        kill_after: Duration::from_secs(2),
        deadline: Some(Duration::from_secs(600)),
        idle_timeout: Some(Duration::from_millis(1500)),
        retries: 3,
        host_timeout: None,
        rate: NonZeroU32::new(20),
        stop_at_failure: false,
        max_failures: Some(Share::Percent(10)),
        batch: vec![Share::Percent(50)],
        pause: Some(Pause::Ask),
    };
    info.left_out = vec![LeftOutTarget {
        label: "c".into(),
        state: "down",
    }];
    let mut events = everything();
    events.push(Event::Paused("wave 1 of 2".to_owned()));
    events.push(finished(1, Outcome::NotStarted(CancelReason::Declined)));
    let lines = written_lines(info, &events, Terminals::default());
    assert!(lines.contains(r#""left_out":[{"label":"c","state":"down"}]"#));
    assert!(lines.contains(r#""event":"note","verbose":false,"text":"wave 1 of 2""#));
    assert!(lines.contains(r#""reason":{"kind":"declined"}"#));
    let schema = schema();
    for record in records(&lines) {
        if let Err(error) = schema.validate(&record) {
            panic!("{record}: {error} at {}", error.instance_path());
        }
    }
    let wrong =
        r#"{"v":1,"run":"6929e000123456789abc","event":"started","target":0,"label":"a","more":1}"#;
    assert!(!schema.is_valid(&serde_json::from_str(wrong).unwrap()));
}

#[test]
fn the_lines_are_as_promised() {
    let lines = written_lines(run_info(&["a", "b"]), &everything(), Terminals::default());
    let time = lines.find("\"time\":").unwrap() + 7;
    let rest = lines[time..].find(',').unwrap();
    let lines = format!("{}0{}", &lines[..time], &lines[time + rest..]);
    insta::assert_snapshot!(lines.replace(env!("CARGO_PKG_VERSION"), "[version]"), @r#"
    {"v":1,"run":"6929e000123456789abc","event":"run-start","program":"mrsh","version":"[version]","time":0,"total":2,"targets":[{"label":"a","host":"a","transport":"rsh","user":"root","port":514},{"label":"b","host":"b","transport":"rsh","user":"root","port":514}],"options":{"command":{"text":"uptime"},"transport":"rsh","jobs":32,"connect_timeout_ms":10000.0,"kill_after_ms":2000.0,"retries":0,"stderr":"separate","source_ports":"reserved","raw":false,"stdin":false,"demo":false}}
    {"v":1,"run":"6929e000123456789abc","event":"started","target":0,"label":"a"}
    {"v":1,"run":"6929e000123456789abc","event":"output","target":0,"label":"a","stream":"stdout","text":"läuft\n"}
    {"v":1,"run":"6929e000123456789abc","event":"output","target":0,"label":"a","stream":"stderr","base64":"/wA="}
    {"v":1,"run":"6929e000123456789abc","event":"state","running":[{"target":0,"ms":1500.0}],"for_ports":1,"waiting":1,"finished":0}
    {"v":1,"run":"6929e000123456789abc","event":"note","verbose":true,"text":"a \"note\""}
    {"v":1,"run":"6929e000123456789abc","event":"finished","target":0,"label":"a","outcome":"exited","success":true,"status":0,"ms":{"began":0.0,"delayed":1000.0,"total":1000.0},"attempts":0}
    {"v":1,"run":"6929e000123456789abc","event":"finished","target":1,"label":"b","outcome":"exited","success":false,"status":7,"ms":{"began":0.0,"delayed":1000.0,"total":1000.0},"attempts":0}
    {"v":1,"run":"6929e000123456789abc","event":"finished","target":1,"label":"b","outcome":"signaled","success":false,"signal":15,"ms":{"began":0.0,"delayed":1000.0,"total":1000.0},"attempts":0}
    {"v":1,"run":"6929e000123456789abc","event":"finished","target":1,"label":"b","outcome":"ended","success":true,"ms":{"began":0.0,"delayed":1000.0,"total":1000.0},"attempts":0}
    {"v":1,"run":"6929e000123456789abc","event":"finished","target":1,"label":"b","outcome":"failed","success":false,"failure":{"class":"refused","phase":"connect","message":"connection refused"},"ms":{"began":0.0,"delayed":1000.0,"total":1000.0},"attempts":0}
    {"v":1,"run":"6929e000123456789abc","event":"finished","target":1,"label":"b","outcome":"failed","success":false,"failure":{"class":"connect-timeout","phase":"call-back","message":"timed out after 10 s while waiting for the daemon's call-back for stderr"},"ms":{"began":0.0,"delayed":1000.0,"total":1000.0},"attempts":0}
    {"v":1,"run":"6929e000123456789abc","event":"finished","target":1,"label":"b","outcome":"cancelled","success":false,"reason":{"kind":"signal","signal":15},"ms":{"began":0.0,"delayed":1000.0,"total":1000.0},"attempts":0}
    {"v":1,"run":"6929e000123456789abc","event":"finished","target":1,"label":"b","outcome":"not-started","success":false,"reason":{"kind":"report-failed"},"ms":{"began":0.0,"delayed":1000.0,"total":1000.0},"attempts":0}
    {"v":1,"run":"6929e000123456789abc","event":"finished","target":1,"label":"b","outcome":"cancelled","success":false,"reason":{"kind":"deadline"},"ms":{"began":0.0,"delayed":1000.0,"total":1000.0},"attempts":0}
    {"v":1,"run":"6929e000123456789abc","event":"finished","target":1,"label":"b","outcome":"not-started","success":false,"reason":{"kind":"failures"},"ms":{"began":0.0,"delayed":1000.0,"total":1000.0},"attempts":0}
    {"v":1,"run":"6929e000123456789abc","event":"finished","target":1,"label":"b","outcome":"internal","success":false,"failure":{"class":"internal","message":"a defect"},"ms":{"began":0.0,"resolve":0.25,"port_wait":20.0,"retry_wait":1000.0,"connect":1.5,"start":2.0,"run":90000.0,"delayed":0.0,"total":1000.0},"attempts":2,"local_port":1022,"closed_first":"remote","left_running":true,"copy":{"changed":true,"files":3,"bytes":4096,"checksum":"sha256sum"}}
    {"v":1,"run":"6929e000123456789abc","event":"finished","target":0,"label":"a","outcome":"failed","success":false,"failure":{"class":"no-callback","phase":"call-back","message":"no call-back for stderr: the daemon answered without opening it: try --stderr merge"},"ms":{"began":0.0,"delayed":1000.0,"total":1000.0},"attempts":0,"may_be_running":true}
    {"v":1,"run":"6929e000123456789abc","event":"run-end","total":3,"succeeded":1,"exit_failed":1,"failed":1,"cancelled":0,"not_started":0,"left_running":[1],"may_be_running":[0],"failures":{"connect-timeout":1,"internal":1,"no-callback":1,"refused":1},"worst_status":7,"ports_used":1,"elapsed_ms":1234.567}
    "#);
}

#[test]
fn control_characters_are_escaped() {
    let text = "\x1b[31m \x7f \u{9b}2J \u{85} ü\n";
    let terminals = Terminals {
        out: true,
        err: true,
    };
    let events = [output(0, Stream::Stdout, text.as_bytes())];
    let lines = written_lines(run_info(&["a"]), &events, terminals);
    assert!(
        !lines.chars().any(|c| c.is_control() && c != '\n'),
        "{lines:?}"
    );
    assert_eq!(records(&lines)[0]["text"], text);
}

/// Decodes the output records of a target and stream.
fn decoded(records: &[Value], target: u32, stream: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    for record in records {
        if record["event"] == "output" && record["target"] == target && record["stream"] == stream {
            match &record["text"] {
                Value::String(text) => bytes.extend_from_slice(text.as_bytes()),
                _ => bytes.extend(
                    BASE64_STANDARD
                        .decode(record["base64"].as_str().unwrap())
                        .unwrap(),
                ),
            }
        }
    }
    bytes
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_bytes_in_any_pieces_come_back(
        streams in prop::collection::vec(
            prop_oneof![
                prop::collection::vec(any::<u8>(), 0..40),
                any::<String>().prop_map(String::into_bytes),
            ],
            4,
        ),
        sizes in prop::collection::vec(1_usize..6, 4),
    ) {
        let keys = [(0, Stream::Stdout), (0, Stream::Stderr), (1, Stream::Stdout), (1, Stream::Stderr)];
        let mut pieces: Vec<_> = streams.iter().zip(&sizes).map(|(s, size)| s.chunks(*size)).collect();
        let mut events = Vec::new();
        while pieces.iter().any(|rest| rest.len() > 0) {
            for (rest, (target, stream)) in pieces.iter_mut().zip(keys) {
                events.extend(rest.next().map(|piece| output(target, stream, piece)));
            }
        }
        events.extend([succeeded(0), succeeded(1)]);
        let records = records(&written_lines(run_info(&["a", "b"]), &events, Terminals::default()));
        for (bytes, (target, stream)) in streams.iter().zip(keys) {
            prop_assert_eq!(&decoded(&records, target, record::stream(stream)), bytes);
            let is_text = std::str::from_utf8(bytes).is_ok();
            let has_base64 = records.iter().any(|r| {
                r["target"] == target && r["stream"] == record::stream(stream) && r["base64"].is_string()
            });
            prop_assert_eq!(has_base64, !is_text, "text stays text");
        }
    }
}
