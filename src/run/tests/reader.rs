//! A reader of the reports that is slower than the commands.

use super::*;

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Runs these scripts in parallel with a reader that takes a second for each message.
async fn read_slowly(
    policy: Policy,
    limit: Option<Duration>,
    scripts: Vec<TargetScript>,
    requests: Requests,
) -> (Vec<Event>, Option<RunStats>, RunStats) {
    let hosts = scripts.len();
    let spec = RunSpec {
        policy,
        ..spec(hosts, hosts, limit)
    };
    play(spec, scripts, requests, secs(1), usize::MAX).await
}

#[tokio::test(start_paused = true)]
async fn time_in_which_output_is_held_back_counts_for_no_limit() {
    let floods = vec![TargetScript::Floods(Some(50)); 4];
    let idle = Policy {
        idle_timeout: Some(secs(2)),
        ..Policy::default()
    };
    let host = Policy {
        host_timeout: Some(secs(2)),
        ..Policy::default()
    };
    // A command that had ended at the deadline is read to its end.
    let whole = Policy {
        deadline: Some(secs(2)),
        ..Policy::default()
    };
    for (policy, limit) in [
        (Policy::default(), Some(secs(2))),
        (idle, None),
        (host, None),
        (whole, None),
    ] {
        let start = Instant::now();
        let (events, reported, stats) =
            read_slowly(policy.clone(), limit, floods.clone(), vec![]).await;
        assert!(reported.is_some());
        assert_eq!(stats.succeeded, 4, "{policy:?} {stats:?}");
        assert!(start.elapsed() > secs(30));
        let chunks = events.iter().filter(|e| matches!(e, Event::Output(_)));
        assert_eq!(chunks.count(), 200);
    }
}

#[tokio::test(start_paused = true)]
async fn limits_end_commands_beside_a_slow_reader() {
    let scripts = || {
        vec![
            TargetScript::Floods(None),
            TargetScript::Stays { deaf: false },
            TargetScript::Floods(Some(50)),
        ]
    };
    let whole = Policy {
        deadline: Some(secs(2)),
        ..Policy::default()
    };
    // An endless stream is held back all the time, so its own limits never end. Only the deadline ends it.
    let own = scripts().split_off(1);
    for (policy, limit, scripts, silent) in [
        (Policy::default(), Some(secs(2)), own, 0),
        (whole, None, scripts(), 1),
    ] {
        let hosts = scripts.len();
        let (events, reported, stats) = read_slowly(policy, limit, scripts, vec![]).await;
        assert!(reported.is_some());
        assert_eq!(
            (stats.succeeded, stats.failed + stats.cancelled),
            (1, hosts - 1)
        );
        assert!(stats.left_running.is_empty());
        // The time in which other output is held back does not count for the silent command.
        let silent = events.iter().find_map(|event| match event {
            Event::Finished(end) if end.target.0 == silent => Some(end.elapsed),
            _ => None,
        });
        let late = silent.unwrap().abs_diff(secs(2));
        assert!(late < Duration::from_millis(50), "{silent:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_endless_stream_delays_neither_starts_nor_output_of_others() {
    let mut scripts = vec![TargetScript::Floods(None)];
    scripts.extend(vec![TargetScript::Runs(0, 1, 0, 0); 19]);
    let requests = vec![(60_000, ControlRequest::Stop(15))];
    let (events, _, stats) = play(spec(20, 2, None), scripts, requests, secs(1), usize::MAX).await;
    assert_eq!((stats.succeeded, stats.cancelled), (19, 1));
    // Beside the endless stream one target runs at a time. It waits for at most one message to write its line.
    for event in &events {
        if let Event::Finished(end) = event
            && end.target.0 > 0
        {
            assert!(end.elapsed <= secs(2), "{end:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn one_interrupt_does_not_stop_the_wait_for_the_reports() {
    let floods = || vec![TargetScript::Floods(Some(5)); 2];
    let policy = Policy::default;
    let late = vec![
        (2500, ControlRequest::Interrupt),
        (4500, ControlRequest::Interrupt),
    ];
    let (_, reported, stats) = read_slowly(policy(), None, floods(), late).await;
    assert_eq!(reported, Some(stats.clone()));
    assert_eq!((stats.cancel, stats.succeeded), (None, 2));
    let twice = vec![
        (2500, ControlRequest::Interrupt),
        (2900, ControlRequest::Interrupt),
    ];
    let (_, reported, stats) = read_slowly(policy(), None, floods(), twice).await;
    assert_eq!(reported, None);
    assert_eq!(stats.cancel, Some(CancelReason::Signal(2)));
    assert_eq!(stats.succeeded, 2);
}

#[tokio::test(start_paused = true)]
async fn one_interrupt_after_the_deadline_prints_the_state() {
    let policy = Policy {
        deadline: Some(secs(1)),
        kill_after: secs(10),
        ..Policy::default()
    };
    let scripts = vec![TargetScript::Stays { deaf: true }];
    let requests = vec![(3000, ControlRequest::Interrupt)];
    let spec = RunSpec {
        policy,
        ..spec(1, 1, None)
    };
    let (events, reported, stats) = play(spec, scripts, requests, Duration::ZERO, usize::MAX).await;
    assert!(reported.is_some());
    assert_eq!(stats.cancel, Some(CancelReason::Deadline));
    let states = events.iter().filter(|e| matches!(e, Event::State { .. }));
    assert_eq!(states.count(), 1);
}
