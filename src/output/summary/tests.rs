//! Snapshots of what the summary says.

use super::super::Terminals;
use super::super::testing::{Recorder, finished, run_started, succeeded};
use super::*;
use crate::event::CancelReason;
use crate::event::Phase;
use crate::transport::{HostKeyFault, TransportError};

/// Names that do not fold: how names fold is tested where it is done.
const NAMES: [&str; 10] = [
    "ada", "bea", "cas", "dot", "eve", "fay", "gus", "hal", "ivy", "jon",
];

/// The summary of these outcomes of the first hosts out of `total`.
fn said(verbose: bool, total: usize, outcomes: Vec<Outcome>) -> String {
    let mut events = vec![run_started(&NAMES)];
    events.extend(
        (0..)
            .zip(outcomes)
            .map(|(target, outcome)| finished(target, outcome)),
    );
    told(verbose, &events, Some(total))
}

fn told(verbose: bool, events: &[Event], total: Option<usize>) -> String {
    let mut summary = Summary::new(verbose, SummaryLevel::All);
    let recorder = Recorder::default();
    let mut console = recorder.console(Terminals::default());
    for event in events {
        summary.event(event, &mut console).unwrap();
    }
    if let Some(total) = total {
        let succeeded = total
            - summary
                .causes
                .values()
                .map(|cause| cause.targets.len())
                .sum::<usize>();
        let elapsed = Duration::from_millis(1250);
        let stats = RunStats {
            total,
            succeeded,
            elapsed,
            ..RunStats::default()
        };
        summary.finish(&stats, &mut console).unwrap();
    }
    console.flush().unwrap();
    assert!(recorder.text(Stream::Stdout).is_empty());
    String::from_utf8(recorder.text(Stream::Stderr)).unwrap()
}

fn exit(code: u8) -> Outcome {
    Outcome::Exited(RemoteExit::Code(code))
}

fn timeout(phase: Phase) -> Outcome {
    Outcome::Failed(
        TransportError::ConnectTimeout {
            phase,
            after: Duration::from_secs(10),
        }
        .into(),
    )
}

fn denied(text: &str) -> Outcome {
    Outcome::Failed(TransportError::denied(text).into())
}

#[test]
fn a_run_without_failures_prints_nothing() {
    assert_eq!(
        said(
            false,
            2,
            vec![exit(0), Outcome::Exited(RemoteExit::Unknown)]
        ),
        ""
    );
}

#[test]
fn details_have_the_counts() {
    insta::assert_snapshot!(said(true, 40, vec![]), @"mrsh: 40 of 40 succeeded in 1.2 s");
    insta::assert_snapshot!(said(true, 40, vec![exit(1)]), @r"
    mrsh: 39 of 40 succeeded in 1.2 s
    mrsh: 1 failed: ada: exit 1
    ");
}

#[test]
fn few_failures_are_one_line() {
    insta::assert_snapshot!(
        said(false, 12, vec![exit(3), exit(1), timeout(Phase::Connect), exit(1)]),
        @"mrsh: 4 failed: bea,dot: exit 1; cas: connection timed out after 10 s; ada: exit 3"
    );
}

#[test]
fn one_cause_is_one_line_however_long_and_hosts_are_folded() {
    let names: Vec<String> = (1..=30).map(|n| format!("node{n}")).collect();
    let mut events = vec![run_started(&names)];
    events.extend((0..30).map(|target| finished(target, timeout(Phase::Start))));
    let folded = fold(names.iter().map(|name| &**name));
    assert_eq!(
        told(false, &events, Some(30)),
        format!(
            "mrsh: 30 failed: {folded}: timed out after 10 s while waiting for the daemon to start the command\n"
        )
    );
}

#[test]
fn many_causes_are_a_line_each() {
    let outcomes = vec![
        exit(0),
        Outcome::Exited(RemoteExit::Signaled(9)),
        Outcome::Exited(RemoteExit::Signaled(40)),
        timeout(Phase::Start),
        timeout(Phase::Start),
        Outcome::Cancelled(CancelReason::Signal(2)),
        Outcome::NotStarted(CancelReason::Signal(2)),
        Outcome::NotStarted(CancelReason::Signal(2)),
        Outcome::Internal("index out of bounds".to_owned()),
        denied("Permission denied."),
    ];
    insta::assert_snapshot!(said(false, 10, outcomes), @r"
    mrsh: 7 of 10 failed:
      dot,eve: timed out after 10 s while waiting for the daemon to start the command
      jon: denied: Permission denied.
      ivy: internal error: index out of bounds
      cas: killed by signal 40
      bea: killed by signal 9 (KILL)
      fay: interrupted
    mrsh: 2 not started: gus,hal
    ");
}

#[test]
fn a_cause_with_a_semicolon_gets_its_own_line() {
    insta::assert_snapshot!(said(false, 2, vec![denied("not you; not now"), exit(1)]), @r"
    mrsh: 2 of 2 failed:
      ada: denied: not you; not now
      bea: exit 1
    ");
}

#[test]
fn remote_text_is_harmless_and_cut() {
    insta::assert_snapshot!(
        said(false, 1, vec![denied("go\x1b[2J\nmrsh: 0 failed")]),
        @"mrsh: 1 failed: ada: denied: go^[[2J^Jmrsh: 0 failed"
    );
    let text = said(false, 1, vec![denied(&"ü".repeat(5000))]);
    assert!(text.len() < 500 && text.ends_with("ü…\n"), "{text}");
}

#[test]
fn notes_and_states_are_said_at_once() {
    let note = |verbose, text: &str| {
        Event::Notice(Notice {
            verbose,
            text: text.to_owned(),
        })
    };
    let state = |running: &[(u32, u64)], hint| Event::State {
        for_ports: running.len() / 2,
        running: running
            .iter()
            .map(|&(id, seconds)| (TargetId(id), Duration::from_secs(seconds)))
            .collect(),
        waiting: 5,
        finished: 10,
        hint,
    };
    let events = [
        run_started(&NAMES),
        note(true, "running 500 at a time"),
        note(
            false,
            "a connection that nobody waits for came from 192.0.2.1",
        ),
        state(
            &[(1, 12), (2, 3), (3, 1)],
            Some("^C again within a second stops them"),
        ),
        state(&[(1, 7262)], None),
        state(&[], None),
    ];
    insta::assert_snapshot!(told(false, &events, None), @r"
    mrsh: a connection that nobody waits for came from 192.0.2.1
    mrsh: 3 running: bea,cas,dot (longest 12 s: bea), 1 of them waiting for a port, 5 waiting, 10 done; ^C again within a second stops them
    mrsh: 1 running: bea (2 h 1 min), 5 waiting, 10 done
    mrsh: none running, 5 waiting, 10 done
    ");
    assert!(told(true, &events, None).starts_with("mrsh: running 500 at a time\n"));
}

#[test]
fn equal_causes_are_kept_once() {
    let mut summary = Summary::new(false, SummaryLevel::All);
    let mut console = Recorder::default().console(Terminals::default());
    for target in 0..20_000 {
        summary
            .event(&finished(target, timeout(Phase::Connect)), &mut console)
            .unwrap();
    }
    summary.event(&succeeded(20_000), &mut console).unwrap();
    assert_eq!(summary.causes.len(), 1);
    assert_eq!(
        summary
            .causes
            .values()
            .map(|cause| cause.targets.len())
            .sum::<usize>(),
        20_000
    );
}

#[test]
fn the_cause_of_the_end_comes_before_the_targets_that_were_stopped() {
    let cancelled = || Outcome::Cancelled(CancelReason::Signal(15));
    let mut outcomes = vec![cancelled(), cancelled(), cancelled(), exit(1)];
    outcomes.push(Outcome::NotStarted(CancelReason::Signal(15)));
    insta::assert_snapshot!(said(false, 5, outcomes), @r"
    mrsh: 4 failed: dot: exit 1; ada,bea,cas: interrupted
    mrsh: 1 not started: eve
    ");
}

#[test]
fn the_host_that_refused_the_password_comes_before_those_that_did_not_get_it() {
    let login = |text: &str, password| TransportError::AuthFailed {
        text: text.to_owned(),
        password,
    };
    let first = || {
        login(
            "tried the password; the server takes password",
            PasswordUse::Sent,
        )
    };
    let next = || {
        let text = "the password is not sent, for eve has refused it for ops";
        login(text, PasswordUse::Withheld)
    };
    let sent = || Outcome::Failed(first().into());
    let withheld = || Outcome::Failed(next().into());
    let outcomes = vec![withheld(), withheld(), withheld(), exit(1), sent(), exit(1)];
    insta::assert_snapshot!(said(false, 6, outcomes), @r"
    mrsh: 6 of 6 failed:
      eve: permission denied: tried the password; the server takes password
      dot,fay: exit 1
      ada,bea,cas: permission denied: the password is not sent, for eve has refused it for ops
    ");
    // By way of a host that refused it.
    let through = |source| {
        Outcome::Failed(
            TransportError::Jump {
                jump: "gw".to_owned(),
                source: Box::new(source),
            }
            .into(),
        )
    };
    insta::assert_snapshot!(said(false, 3, vec![withheld(), through(next()), through(first())]), @r"
    mrsh: 3 of 3 failed:
      cas: through gw: permission denied: tried the password; the server takes password
      ada: permission denied: the password is not sent, for eve has refused it for ops
      bea: through gw: permission denied: the password is not sent, for eve has refused it for ops
    ");
    // Nobody went without it.
    let outcomes = vec![sent(), exit(1), exit(1)];
    insta::assert_snapshot!(said(false, 3, outcomes), @r"
    mrsh: 3 of 3 failed:
      bea,cas: exit 1
      ada: permission denied: tried the password; the server takes password
    ");
}

#[test]
fn targets_that_still_run_are_named_last() {
    let mut summary = Summary::new(false, SummaryLevel::All);
    let recorder = Recorder::default();
    let mut console = recorder.console(Terminals::default());
    let stopped = |id| finished(id, Outcome::Cancelled(CancelReason::Deadline));
    for event in [
        run_started(&["n1", "n2", "n3", "n4"]),
        stopped(0),
        stopped(1),
        stopped(2),
        finished(3, Outcome::NotStarted(CancelReason::Deadline)),
    ] {
        summary.event(&event, &mut console).unwrap();
    }
    let stats = RunStats {
        total: 4,
        left_running: vec![TargetId(1), TargetId(2)],
        may_be_running: vec![TargetId(0)],
        ..RunStats::default()
    };
    summary.finish(&stats, &mut console).unwrap();
    console.flush().unwrap();
    let said = String::from_utf8(recorder.text(Stream::Stderr)).unwrap();
    insta::assert_snapshot!(said, @r"
    mrsh: 3 failed: n[1-3]: deadline reached
    mrsh: 1 not started: n4
    mrsh: still running on: n[2-3]
    mrsh: may be running on: n1
    ");
}

#[test]
fn longer_times_are_less_precise() {
    let shown = [0, 450, 9_999, 10_900, 59_999, 185_000, 3_600_000].map(Duration::from_millis);
    assert_eq!(
        shown.map(duration),
        [
            "0.0 s",
            "0.4 s",
            "9.9 s",
            "10 s",
            "59 s",
            "3 min 5 s",
            "1 h 0 min"
        ]
    );
}

#[test]
fn a_quiet_summary_prints_only_states() {
    let note = |text: &str| {
        Event::Notice(Notice {
            verbose: false,
            text: text.to_owned(),
        })
    };
    let said = |words: SummaryLevel, outcome: Outcome| {
        let mut summary = Summary::new(true, words);
        let recorder = Recorder::default();
        let mut console = recorder.console(Terminals::default());
        let state = Event::State {
            for_ports: 0,
            running: vec![],
            waiting: 1,
            finished: 0,
            hint: None,
        };
        for event in [
            run_started(&NAMES),
            note("a note"),
            state,
            finished(0, outcome),
        ] {
            summary.event(&event, &mut console).unwrap();
        }
        summary.finish(&RunStats::default(), &mut console).unwrap();
        console.flush().unwrap();
        String::from_utf8(recorder.text(Stream::Stderr)).unwrap()
    };
    insta::assert_snapshot!(said(SummaryLevel::None, exit(1)), @"mrsh: none running, 1 waiting, 0 done");
    insta::assert_snapshot!(said(SummaryLevel::IfFailed, exit(0)), @"mrsh: none running, 1 waiting, 0 done");
    insta::assert_snapshot!(said(SummaryLevel::IfFailed, exit(1)), @r"
    mrsh: none running, 1 waiting, 0 done
    mrsh: a note
    mrsh: 0 of 0 succeeded in 0.0 s
    mrsh: 1 failed: ada: exit 1
    ");
}

#[test]
fn causes_that_differ_in_the_hosts_name_and_key_are_one_line_with_one_help() {
    let unknown = |name: &str, kind: &str| {
        Outcome::Failed(
            TransportError::HostKey {
                fault: Box::new(HostKeyFault {
                    text: format!("no {kind} key is known for {name}: ask somebody"),
                    common: "no key is known for it".to_owned(),
                    help: Some("ask somebody"),
                }),
            }
            .into(),
        )
    };
    let outcomes = || {
        let kinds = ["RSA", "ED25519", "RSA"];
        let unknown = NAMES
            .into_iter()
            .zip(kinds)
            .map(|(name, kind)| unknown(name, kind));
        unknown.collect::<Vec<_>>()
    };
    insta::assert_snapshot!(said(false, 3, outcomes()), @r"
    mrsh: 3 failed: ada,bea,cas: no key is known for it
      = help: ask somebody
    ");
    // One host alone has the details, which have the help.
    insta::assert_snapshot!(said(false, 3, vec![unknown("ada", "RSA")]), @"mrsh: 1 failed: ada: no RSA key is known for ada: ask somebody");
    insta::assert_snapshot!(said(true, 3, outcomes()), @r"
    mrsh: 0 of 3 succeeded in 1.2 s
    mrsh: 3 of 3 failed:
      bea: no ED25519 key is known for bea: ask somebody
      ada: no RSA key is known for ada: ask somebody
      cas: no RSA key is known for cas: ask somebody
    ");
}
