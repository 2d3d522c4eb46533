//! Pauses between waves (`--pause`), and the messages of waves that end a run.

use super::rules::{count, secs, took};
use super::*;
use crate::policy::Pause;
use ControlRequest::{EndWaves, GoOn, Interrupt, NoKeys, OtherKey, PrintState, Stop};

/// Runs targets in waves of one, each of which takes two seconds. Returns the events, the statistics and the time.
async fn paused(
    policy: Policy,
    statuses: &[u8],
    requests: Requests,
) -> (Vec<Event>, RunStats, Duration) {
    let begun = Instant::now();
    let hosts = statuses.len();
    let scripts = statuses
        .iter()
        .map(|&status| TargetScript::Runs(1000, 1, 1000, status))
        .collect();
    let spec = RunSpec {
        policy: Policy {
            batch: vec![count(1)],
            ..policy
        },
        go_on: "do this".to_owned(),
        ..spec(hosts, 2, None)
    };
    let (events, reported, stats) = play(spec, scripts, requests, Duration::ZERO, usize::MAX).await;
    assert_eq!(reported.as_ref(), Some(&stats));
    check_rules(&events, &stats, hosts);
    (events, stats, begun.elapsed())
}

fn policy(pause: Pause) -> Policy {
    Policy {
        pause: Some(pause),
        ..Policy::default()
    }
}

/// Returns the texts of pauses and notices.
fn texts(events: &[Event]) -> Vec<String> {
    let pid = std::process::id().to_string();
    let texts = events.iter().filter_map(|event| match event {
        Event::Paused(text) => Some(text),
        Event::Notice(notice) => Some(&notice.text),
        _ => None,
    });
    texts.map(|text| text.replace(&pid, "PID")).collect()
}

/// Number of targets that had started when the run paused for the first time.
fn started_before_pause(events: &[Event]) -> usize {
    let before = events
        .iter()
        .take_while(|event| !matches!(event, Event::Paused(_)));
    before
        .filter(|event| matches!(event, Event::Started(_)))
        .count()
}

#[tokio::test(start_paused = true)]
async fn a_pause_lasts_until_the_user_goes_on() {
    let requests = vec![(500, GoOn), (10_000, GoOn), (60_000, GoOn), (60_001, GoOn)];
    let (events, stats, time) = paused(policy(Pause::Ask), &[0, 0, 0], requests).await;
    assert_eq!((stats.succeeded, stats.cancel), (3, None));
    took(time, secs(62));
    assert_eq!(started_before_pause(&events), 1);
    insta::assert_snapshot!(texts(&events).join("\n"), @r"
    wave 1 of 3: 1 succeeded; next: 1 host; Enter goes on, q ends the run
    wave 2 of 3: 1 host
    wave 2 of 3: 1 succeeded; next: 1 host; Enter goes on, q ends the run
    wave 3 of 3: 1 host
    ");
}

#[tokio::test(start_paused = true)]
async fn a_pause_of_a_time_ends_by_itself_or_before() {
    let pause = policy(Pause::For(secs(60)));
    let (events, stats, time) = paused(pause.clone(), &[0, 0, 0], vec![]).await;
    assert_eq!((stats.succeeded, stats.cancel), (3, None));
    took(time, secs(2 + 60 + 2 + 60 + 2));
    insta::assert_snapshot!(texts(&events)[0], @"wave 1 of 3: 1 succeeded; next: 1 host in 60 s; Enter goes on at once, q ends the run");
    let (_, stats, time) = paused(pause, &[0, 0, 0], vec![(10_000, GoOn)]).await;
    assert_eq!(stats.succeeded, 3);
    took(time, secs(10 + 2 + 60 + 2));
}

#[tokio::test(start_paused = true)]
async fn the_deadline_does_not_count_pauses() {
    let policy = Policy {
        deadline: Some(secs(5)),
        ..policy(Pause::Ask)
    };
    let requests = vec![(100_000, GoOn), (200_000, GoOn)];
    let (events, stats, time) = paused(policy, &[0, 0, 0], requests).await;
    // Two waves take four seconds, so the deadline is in the middle of the third one.
    assert_eq!((stats.succeeded, stats.cancelled), (2, 1));
    assert_eq!(stats.cancel, Some(CancelReason::Deadline));
    took(time, secs(201));
    let first = &texts(&events)[0];
    assert!(
        first.contains("; the deadline does not count the pause; "),
        "{first}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_pause_that_is_longer_than_the_deadline_ends_as_the_user_says() {
    for (request, reason) in [
        (EndWaves, CancelReason::Declined),
        (Stop(15), CancelReason::Signal(15)),
    ] {
        let policy = Policy {
            deadline: Some(secs(5)),
            ..policy(Pause::Ask)
        };
        let (events, stats, time) = paused(policy, &[0, 0, 0], vec![(100_000, request)]).await;
        assert_eq!((stats.succeeded, stats.not_started), (1, 2));
        assert_eq!(stats.cancel, Some(reason));
        took(time, secs(100));
        let texts = texts(&events);
        assert!(
            !texts
                .iter()
                .any(|text| text.contains("deadline is reached")),
            "{texts:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn the_user_ends_the_run_at_a_pause() {
    let (events, stats, time) =
        paused(policy(Pause::Ask), &[0, 0, 0], vec![(5000, EndWaves)]).await;
    assert_eq!((stats.succeeded, stats.not_started), (1, 2));
    assert_eq!(stats.cancel, Some(CancelReason::Declined));
    took(time, secs(5));
    insta::assert_snapshot!(texts(&events)[1], @"the run was ended after wave 1 of 3: no more hosts are started; do this");
}

#[tokio::test(start_paused = true)]
async fn one_interrupt_or_any_signal_ends_the_run_in_a_pause() {
    for (request, signal) in [(Interrupt, 2), (Stop(15), 15), (Stop(1), 1)] {
        for pause in [Pause::Ask, Pause::For(secs(60))] {
            let requests = vec![(5000, request)];
            let (_, stats, time) = paused(policy(pause), &[0, 0, 0], requests).await;
            assert_eq!((stats.succeeded, stats.not_started), (1, 2));
            assert_eq!(stats.cancel, Some(CancelReason::Signal(signal)));
            took(time, secs(5));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn requests_for_a_pause_have_no_effect_while_targets_run() {
    let requests = vec![
        (100, GoOn),
        (200, EndWaves),
        (300, OtherKey),
        (400, NoKeys),
        (500, Interrupt),
        (4000, PrintState),
        (5000, OtherKey),
        (6000, NoKeys),
        (7000, GoOn),
    ];
    let (events, stats, time) = paused(policy(Pause::Ask), &[0, 0], requests).await;
    assert_eq!((stats.succeeded, stats.cancel), (2, None));
    took(time, secs(9));
    let texts = texts(&events);
    insta::assert_snapshot!(texts[1..].join("\n"), @r"
    Enter goes on, q ends the run
    the terminal is gone; kill -USR2 PID goes on
    wave 2 of 2: 1 host
    ");
}

#[tokio::test(start_paused = true)]
async fn a_failed_wave_names_its_targets_and_the_way_to_go_on() {
    let (events, stats, _) = paused(policy(Pause::Ask), &[0, 3, 0], vec![(3000, GoOn)]).await;
    assert_eq!(
        (stats.succeeded, stats.exit_failed, stats.not_started),
        (1, 1, 1)
    );
    assert_eq!(stats.cancel, Some(CancelReason::Failures));
    let last = texts(&events).pop().unwrap();
    insta::assert_snapshot!(last, @"1 host failed in wave 2 of 3 (host1): no more hosts are started; do this");
    // With --max-failures, the pause names what has failed.
    let policy = Policy {
        max_failures: Some(count(2)),
        ..policy(Pause::Ask)
    };
    let (events, stats, _) = paused(policy, &[3, 0, 0], vec![(3000, GoOn), (6000, EndWaves)]).await;
    assert_eq!(
        (stats.succeeded, stats.exit_failed, stats.not_started),
        (1, 1, 1)
    );
    let texts = texts(&events);
    insta::assert_snapshot!(texts[0], @"wave 1 of 3: 0 succeeded, 1 failed (host0); next: 1 host; Enter goes on, q ends the run");
    insta::assert_snapshot!(texts[2], @"wave 2 of 3: 1 succeeded; next: 1 host; Enter goes on, q ends the run");
}
