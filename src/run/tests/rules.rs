//! Effects and times of limits, retries, the rate and waves.

use std::num::NonZeroU32;

use proptest::prelude::*;

use super::*;
use crate::policy::{Pause, Policy, Share};

/// Maximum delay of timers on a paused clock.
const EXACT: Duration = Duration::from_millis(50);

pub(super) fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

pub(super) fn count(n: u32) -> Share {
    Share::Count(NonZeroU32::new(n).unwrap())
}

/// Runs these scripts with this policy. The fan-out is two fifths of the number of targets.
async fn run_by(
    policy: Policy,
    scripts: Vec<TargetScript>,
    requests: Requests,
) -> (Vec<Event>, RunStats) {
    let hosts = scripts.len();
    let fanout = hosts.div_ceil(5) * 2;
    let spec = RunSpec {
        policy: policy.clone(),
        ..spec(hosts, fanout, None)
    };
    let (events, reported, stats) =
        play(spec, scripts.clone(), requests, Duration::ZERO, usize::MAX).await;
    assert_eq!(reported.as_ref(), Some(&stats));
    check_rules(&events, &stats, hosts);
    check(&events, &stats, &scripts, &policy);
    (events, stats)
}

pub(super) fn end_of(events: &[Event], id: u32) -> &Finished {
    let ends = events.iter().filter_map(|event| match event {
        Event::Finished(end) => Some(end),
        _ => None,
    });
    ends.into_iter().find(|end| end.target.0 == id).unwrap()
}

#[track_caller]
pub(super) fn took(found: Duration, expected: Duration) {
    assert!(
        found.abs_diff(expected) <= EXACT,
        "{found:?} instead of {expected:?}"
    );
}

pub(super) fn policy() -> impl Strategy<Value = Policy> {
    let share = || {
        prop_oneof![
            (1..10_u32).prop_map(count),
            (1..=100_u8).prop_map(Share::Percent)
        ]
    };
    let millis = |range: std::ops::Range<u64>| range.prop_map(Duration::from_millis);
    (
        millis(0..3000),
        prop::option::of(millis(1..40_000)),
        prop::option::of(millis(1..5000)),
        prop::option::of(millis(1..9000)),
        0..4_u32,
        prop::option::of((1..100_u32).prop_map(|n| NonZeroU32::new(n).unwrap())),
        prop::option::of(share()),
        any::<bool>(),
        prop::collection::vec(share(), 0..3),
        // A pause without an end of its own would last for ever.
        prop::option::of(millis(1..100_000).prop_map(Pause::For)),
    )
        .prop_map(
            |(
                kill_after,
                deadline,
                idle_timeout,
                host_timeout,
                retries,
                rate,
                max_failures,
                stop_at_failure,
                batch,
                pause,
            )| Policy {
                kill_after,
                deadline,
                idle_timeout,
                host_timeout,
                retries,
                rate,
                max_failures,
                stop_at_failure,
                batch,
                pause,
            },
        )
}

/// Checks the rules that hold for every run with this policy.
pub(super) fn check(events: &[Event], stats: &RunStats, scripts: &[TargetScript], policy: &Policy) {
    let total = scripts.len();
    let (mut left, mut may_run) = (Vec::new(), Vec::new());
    let (mut failures, mut failures_at) = (0, Vec::new());
    let mut order = 0;
    let mut begun = vec![None; total];
    let mut ended = vec![None; total];
    for event in events {
        order += 1;
        match event {
            Event::Started(id) => {
                begun[id.index()] = Some(order);
                // No target is started after too many failures.
                let limit = policy.max_failures;
                assert!(!limit.is_some_and(|limit| limit.is_reached(failures, total)));
                assert!(!(policy.stop_at_failure && failures > 0));
            }
            Event::Finished(end) => {
                ended[end.target.index()] = Some(order);
                if matches!(end.outcome, Outcome::Exited(_) | Outcome::Failed(_))
                    && !end.outcome.is_success()
                {
                    failures += 1;
                    failures_at.push(end.target.index());
                }
                match end.facts.left_running {
                    LeftRunning::No => {}
                    LeftRunning::Maybe => may_run.push(end.target),
                    LeftRunning::Yes => left.push(end.target),
                }
                let script = &scripts[end.target.index()];
                let ran = end.facts.run.is_some();
                let failed = matches!(end.outcome, Outcome::Failed(_));
                let expected = match script {
                    TargetScript::Immortal | TargetScript::Mute if ran => LeftRunning::Yes,
                    TargetScript::Lost if ran => LeftRunning::Maybe,
                    TargetScript::Fails(_, ScriptedFailure::Unclear) if failed => {
                        LeftRunning::Maybe
                    }
                    _ => LeftRunning::No,
                };
                assert_eq!(end.facts.left_running, expected, "{script:?}");
                if let TargetScript::Fails(_, how) = script {
                    let tries = match how {
                        ScriptedFailure::Unclear => 1,
                        _ => 1 + policy.retries,
                    };
                    assert!(end.facts.attempts <= tries);
                }
            }
            _ => {}
        }
    }
    left.sort_unstable();
    may_run.sort_unstable();
    assert_eq!(stats.left_running, left);
    assert_eq!(stats.may_be_running, may_run);
    // A wave begins when all targets of the wave before have outcomes. After a wave with a failure none begins,
    // unless --max-failures allows it.
    let mut start = 0;
    for end in policy.waves(total) {
        let later = begun[end..].iter().flatten().min();
        if let Some(&later) = later {
            assert!(ended[start..end].iter().all(|at| at.unwrap() < later));
            let failed = failures_at.iter().any(|at| (start..end).contains(at));
            assert!(!failed || policy.max_failures.is_some());
        }
        start = end;
    }
    match stats.cancel {
        None => assert_eq!(stats.cancelled + stats.not_started, 0),
        Some(CancelReason::Failures) => {
            assert!(policy.stop_at_failure || stats.cancelled == 0);
            assert!(stats.not_started + stats.cancelled > 0 || policy.stop_at_failure);
            assert!(failures > 0);
        }
        Some(CancelReason::Deadline) => assert!(policy.deadline.is_some()),
        Some(
            CancelReason::Signal(_)
            | CancelReason::Declined
            | CancelReason::ReportFailed
            | CancelReason::JournalFailed
            | CancelReason::PasswordRefused,
        ) => {}
    }
}

// ---- commands that cannot be stopped

#[tokio::test(start_paused = true)]
async fn commands_that_cannot_be_stopped_are_listed() {
    let scripts = || {
        vec![
            TargetScript::Stays { deaf: false },
            TargetScript::Stays { deaf: true },
            TargetScript::Immortal,
            TargetScript::Mute,
        ]
    };
    let policy = Policy {
        kill_after: secs(7),
        ..Policy::default()
    };
    let spec = |limit| RunSpec {
        policy: policy.clone(),
        ..spec(4, 4, limit)
    };
    let run = async |limit, requests| {
        let (events, _, stats) =
            play(spec(limit), scripts(), requests, Duration::ZERO, usize::MAX).await;
        check_rules(&events, &stats, 4);
        check(&events, &stats, &scripts(), &policy);
        assert_eq!(stats.left_running, [TargetId(2), TargetId(3)]);
        [0, 1, 2, 3].map(|id| end_of(&events, id).elapsed)
    };
    let half = Duration::from_millis(500);
    let grace = [Duration::ZERO, secs(7), secs(7) + half, Duration::ZERO];
    for (found, grace) in run(Some(secs(5)), vec![]).await.into_iter().zip(grace) {
        took(found, secs(5) + grace);
    }
    let stop = vec![(1000, ControlRequest::Stop(15))];
    for (found, grace) in run(None, stop).await.into_iter().zip(grace) {
        took(found, secs(1) + grace);
    }
    // The command that ignores TERM is killed too.
    let at_once = vec![
        (1000, ControlRequest::Stop(15)),
        (1500, ControlRequest::Stop(15)),
    ];
    let [quick, deaf, immortal, mute] = run(None, at_once).await;
    took(quick, secs(1));
    took(mute, secs(1));
    took(deaf, secs(1) + half);
    took(immortal, secs(1) + half);
}

// ---- limits

#[tokio::test(start_paused = true)]
async fn the_deadline_stops_commands_and_starts_no_more() {
    let policy = Policy {
        deadline: Some(Duration::from_millis(3400)),
        ..Policy::default()
    };
    let scripts = vec![
        TargetScript::Runs(1000, 0, 0, 0),
        TargetScript::Stays { deaf: true },
        TargetScript::Runs(1000, 2, 500, 0),
        TargetScript::NeverAnswers,
        TargetScript::Runs(0, 0, 0, 0),
    ];
    let start = Instant::now();
    let (events, stats) = run_by(policy, scripts, vec![]).await;
    took(start.elapsed(), Duration::from_millis(3400) + secs(2));
    assert_eq!(stats.cancel, Some(CancelReason::Deadline));
    let counts = (stats.succeeded, stats.cancelled, stats.not_started);
    assert_eq!(counts, (2, 2, 1));
    let reason = CancelReason::Deadline;
    assert!(matches!(&end_of(&events, 3).outcome, Outcome::Cancelled(r) if *r == reason));
    assert!(matches!(&end_of(&events, 4).outcome, Outcome::NotStarted(r) if *r == reason));
}

#[tokio::test(start_paused = true)]
async fn a_run_that_ends_in_time_has_no_deadline() {
    let policy = Policy {
        deadline: Some(secs(2)),
        ..Policy::default()
    };
    let (_, stats) = run_by(
        policy.clone(),
        vec![TargetScript::Runs(1900, 0, 0, 0)],
        vec![],
    )
    .await;
    assert_eq!((stats.cancel, stats.succeeded), (None, 1));
    // The run waits only for a blocked reader. After its timeout the reports count as failed.
    let start = Instant::now();
    let (reports, reader) = mpsc::channel(1);
    let (_wish, requested) = mpsc::channel(1);
    let spec = RunSpec {
        policy,
        ..spec(1, 1, None)
    };
    let transport = ScriptedTransport::new(vec![TargetScript::Runs(100, 0, 0, 0)]);
    let stats = run(spec, transport, SignalSource::Injected(requested), reports).await;
    assert_eq!(stats.cancel, Some(CancelReason::ReportFailed));
    took(start.elapsed(), secs(12));
    drop(reader);
}

#[tokio::test(start_paused = true)]
async fn a_command_without_output_is_idle() {
    let policy = Policy {
        idle_timeout: Some(Duration::from_millis(1500)),
        ..Policy::default()
    };
    let scripts = vec![
        // The silent times are shorter than the limit, and 14 s together.
        TargetScript::Runs(3000, 10, 1400, 0),
        TargetScript::Runs(100, 3, 1600, 0),
        TargetScript::Stays { deaf: true },
    ];
    let (events, stats) = run_by(policy, scripts, vec![]).await;
    assert_eq!((stats.succeeded, stats.failed), (1, 2));
    took(end_of(&events, 0).elapsed, secs(17));
    for id in [1, 2] {
        let end = end_of(&events, id);
        let idle = Duration::from_millis(1500);
        let expected = TransportError::IdleTimeout { after: idle }.to_string();
        assert!(matches!(&end.outcome, Outcome::Failed(e) if e.to_string() == expected));
    }
    took(
        end_of(&events, 1).facts.run.unwrap(),
        Duration::from_millis(1500),
    );
    took(
        end_of(&events, 2).facts.run.unwrap(),
        Duration::from_millis(3500),
    );
}

#[tokio::test(start_paused = true)]
async fn a_command_whose_output_is_not_read_is_not_idle() {
    let policy = Policy {
        idle_timeout: Some(secs(1)),
        ..Policy::default()
    };
    let scripts = vec![TargetScript::Runs(0, 200, 10, 0); 4];
    let spec = RunSpec {
        policy,
        ..spec(4, 4, None)
    };
    // The reader takes 20 s for each of about 25 messages.
    let (events, reported, stats) = play(spec, scripts, vec![], secs(20), usize::MAX).await;
    assert!(reported.is_some());
    check_rules(&events, &stats, 4);
    assert_eq!(stats.succeeded, 4);
}

#[tokio::test(start_paused = true)]
async fn no_limit_counts_time_in_which_the_program_is_stopped() {
    let start = Instant::now();
    let policy = Policy {
        idle_timeout: Some(secs(4)),
        deadline: Some(secs(30)),
        ..Policy::default()
    };
    let spec = RunSpec {
        policy,
        ..spec(5, 5, Some(secs(5)))
    };
    let scripts = vec![
        TargetScript::NeverAnswers,
        TargetScript::Stays { deaf: false },
        TargetScript::Runs(0, 20, 900, 0),
        TargetScript::Fails(3, ScriptedFailure::Refused),
        TargetScript::WaitsForPorts(1, 200_000),
    ];
    let stop = tokio::spawn(async {
        sleep(secs(2)).await;
        // This makes every timer late, like SIGSTOP.
        tokio::time::advance(secs(100)).await;
    });
    let (events, reported, stats) = play(spec, scripts, vec![], Duration::ZERO, usize::MAX).await;
    stop.await.unwrap();
    assert!(reported.is_some());
    took(end_of(&events, 0).elapsed, secs(110));
    // The silent command is idle after 4 s. The other one reaches its timeout after 5 s.
    took(end_of(&events, 1).elapsed, secs(104));
    took(end_of(&events, 2).elapsed, secs(105));
    took(start.elapsed(), secs(130));
    assert_eq!(stats.cancel, Some(CancelReason::Deadline));
}

// ---- retries and the rate

#[tokio::test(start_paused = true)]
async fn only_commands_that_did_not_start_are_retried() {
    let policy = Policy {
        retries: 3,
        ..Policy::default()
    };
    let scripts = vec![
        TargetScript::Fails(3, ScriptedFailure::Refused),
        TargetScript::Fails(3, ScriptedFailure::NotStarted),
        TargetScript::Fails(3, ScriptedFailure::NoName),
        TargetScript::Fails(4, ScriptedFailure::Refused),
        TargetScript::Fails(1, ScriptedFailure::Unclear),
        TargetScript::Unresolved,
        TargetScript::Lost,
    ];
    let (events, stats) = run_by(policy, scripts, vec![]).await;
    assert_eq!((stats.succeeded, stats.failed), (3, 4));
    let attempts = [0, 1, 2, 3, 4].map(|id| end_of(&events, id).facts.attempts);
    // Without an address there is no connection.
    assert_eq!(attempts, [4, 4, 1, 4, 1]);
    for id in [0, 1, 2, 3] {
        // The pauses are 0.5 s, 1 s and 2 s, each shortened at random by up to a half.
        let time = end_of(&events, id).elapsed;
        assert!(
            time >= Duration::from_millis(1750) && time <= secs(4),
            "{time:?}"
        );
    }
    for id in [4, 5, 6] {
        took(end_of(&events, id).elapsed, Duration::ZERO);
    }
}

#[tokio::test(start_paused = true)]
async fn each_attempt_has_its_own_connect_timeout_and_pauses_use_no_fan_out() {
    let policy = Policy {
        retries: 2,
        ..Policy::default()
    };
    let (events, _) = run_by(policy.clone(), vec![TargetScript::NeverAnswers], vec![]).await;
    let pauses = end_of(&events, 0).elapsed - secs(30);
    assert!(pauses >= Duration::from_millis(750) && pauses <= Duration::from_millis(1900));
    let spec = RunSpec {
        policy,
        ..spec(4, 1, None)
    };
    let mut scripts = vec![TargetScript::Fails(2, ScriptedFailure::Refused)];
    scripts.extend(vec![TargetScript::Runs(50, 0, 0, 0); 3]);
    let (events, stats) = play_quietly(spec, scripts).await;
    assert_eq!(stats.succeeded, 4);
    // The others ran during the pause of the refused one, with a fan-out of 1.
    let order: Vec<u32> = events.iter().filter_map(finished).collect();
    assert_eq!(order, [1, 2, 3, 0]);
}

pub(super) fn finished(event: &Event) -> Option<u32> {
    match event {
        Event::Finished(end) => Some(end.target.0),
        _ => None,
    }
}

#[tokio::test(start_paused = true)]
async fn connections_begin_at_the_rate() {
    let policy = Policy {
        rate: NonZeroU32::new(10),
        retries: 1,
        ..Policy::default()
    };
    let spec = |hosts| RunSpec {
        policy: policy.clone(),
        ..spec(hosts, 100, None)
    };
    let (events, _) = play_quietly(spec(50), vec![TargetScript::Runs(10_000, 0, 0, 0); 50]).await;
    let mut begun: Vec<Duration> = (0..50)
        .map(|id| end_of(&events, id).began.unwrap())
        .collect();
    begun.sort_unstable();
    for (n, began) in (0..).zip(&begun) {
        took(*began, Duration::from_millis(100) * n);
    }
    // The rate includes retries: 40 connections in all.
    let start = Instant::now();
    let (_, stats) = play_quietly(
        spec(20),
        vec![TargetScript::Fails(1, ScriptedFailure::Refused); 20],
    )
    .await;
    assert_eq!(stats.succeeded, 20);
    assert!(start.elapsed() >= Duration::from_millis(3900) - EXACT);
    assert!(start.elapsed() <= Duration::from_millis(4500));
}

// ---- failures and waves

#[tokio::test(start_paused = true)]
async fn after_too_many_failures_no_target_is_started_or_stopped() {
    let scripts = || {
        let mut scripts = vec![
            TargetScript::Runs(100, 0, 0, 1),
            TargetScript::Runs(3000, 2, 100, 0),
        ];
        scripts.extend(vec![TargetScript::Runs(200, 0, 0, 1); 3]);
        scripts.extend(vec![TargetScript::Runs(150, 0, 0, 0); 15]);
        scripts
    };
    let run = async |share| {
        let policy = Policy {
            max_failures: Some(share),
            ..Policy::default()
        };
        run_by(policy, scripts(), vec![]).await
    };
    // With a fan-out of 8, all failures are among the first.
    let (events, stats) = run(count(1)).await;
    assert_eq!(stats.cancel, Some(CancelReason::Failures));
    assert!(stats.not_started > 0 && stats.cancelled == 0);
    assert!(end_of(&events, 1).outcome.is_success(), "it ran to its end");
    let notices = events
        .iter()
        .filter(|event| matches!(event, Event::Notice(_)));
    assert_eq!(notices.count(), 1);
    let (_, stats) = run(Share::Percent(25)).await;
    assert_eq!(
        (stats.cancel, stats.not_started, stats.exit_failed),
        (None, 0, 4)
    );
    // A failure of the last target cancels nothing.
    let policy = Policy {
        max_failures: Some(count(1)),
        ..Policy::default()
    };
    let (_, stats) = run_by(policy, vec![TargetScript::Lost], vec![]).await;
    assert_eq!((stats.cancel, stats.failed), (None, 1));
}

#[tokio::test(start_paused = true)]
async fn a_wave_starts_after_the_end_and_the_success_of_the_previous_wave() {
    let ok = TargetScript::Runs(100, 1, 900, 0);
    let bad = TargetScript::Runs(100, 1, 900, 1);
    let run = async |bad_host: Option<usize>, max_failures| {
        let mut scripts = vec![ok.clone(); 20];
        if let Some(host) = bad_host {
            scripts[host] = bad.clone();
        }
        let policy = Policy {
            batch: vec![count(1), Share::Percent(20), Share::ALL],
            max_failures,
            ..Policy::default()
        };
        let (events, stats) = run_by(policy, scripts, vec![]).await;
        let began = |id| end_of(&events, id).began.map(|began| began.as_secs());
        ([0, 1, 5, 19].map(began), stats.cancel, stats.not_started)
    };
    // Waves of 1, 4 and 15. In the last one, eight run in parallel.
    let all = [Some(0), Some(1), Some(2), Some(3)];
    assert_eq!(run(None, None).await, (all, None, 0));
    let failures = Some(CancelReason::Failures);
    let canary = [Some(0), None, None, None];
    assert_eq!(run(Some(0), None).await, (canary, failures, 19));
    let second = [Some(0), Some(1), None, None];
    assert_eq!(run(Some(3), None).await, (second, failures, 15));
    assert_eq!(
        run(Some(12), None).await,
        (all, None, 0),
        "the last wave is whole"
    );
    assert_eq!(run(Some(0), Some(count(2))).await, (all, None, 0));
}

#[tokio::test(start_paused = true)]
async fn one_interrupt_after_too_many_failures_prints_the_state() {
    let policy = Policy {
        max_failures: Some(count(1)),
        ..Policy::default()
    };
    let scripts = vec![
        TargetScript::Lost,
        TargetScript::Stays { deaf: false },
        TargetScript::Runs(0, 0, 0, 0),
        TargetScript::Runs(0, 0, 0, 0),
    ];
    let requests = vec![
        (2000, ControlRequest::Interrupt),
        (5000, ControlRequest::Interrupt),
        (5500, ControlRequest::Interrupt),
    ];
    let start = Instant::now();
    let (events, stats) = run_by(policy, scripts, requests).await;
    took(start.elapsed(), Duration::from_millis(5500));
    let states = events.iter().filter(|e| matches!(e, Event::State { .. }));
    assert_eq!(states.count(), 2);
    assert_eq!(stats.cancel, Some(CancelReason::Signal(2)));
    assert!(stats.not_started > 0);
    let reason = CancelReason::Failures;
    assert!(matches!(&end_of(&events, 3).outcome, Outcome::NotStarted(r) if *r == reason));
}
