//! A reader of the reports that is slower than the commands.

use super::*;

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A run of these scripts, all at once, by these rules, with a reader that takes a second for each message.
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
async fn time_in_which_output_is_held_back_is_in_no_limit() {
    let floods = vec![TargetScript::Floods(Some(50)); 4];
    let idle = Policy {
        idle_timeout: Some(secs(2)),
        ..Policy::default()
    };
    let host = Policy {
        host_timeout: Some(secs(2)),
        ..Policy::default()
    };
    // What had ended by then is read to its end.
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
        let (events, told, stats) =
            read_slowly(policy.clone(), limit, floods.clone(), vec![]).await;
        assert!(told.is_some());
        assert_eq!(stats.succeeded, 4, "{policy:?} {stats:?}");
        assert!(start.elapsed() > secs(30));
        let pieces = events.iter().filter(|e| matches!(e, Event::Output(_)));
        assert_eq!(pieces.count(), 200);
    }
}

#[tokio::test(start_paused = true)]
async fn what_goes_on_is_ended_beside_a_slow_reader() {
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
    // What writes without end is held back all the time and has no time of its own: only the deadline ends it.
    let own = scripts().split_off(1);
    for (policy, limit, scripts, silent) in [
        (Policy::default(), Some(secs(2)), own, 0),
        (whole, None, scripts(), 1),
    ] {
        let hosts = scripts.len();
        let (events, told, stats) = read_slowly(policy, limit, scripts, vec![]).await;
        assert!(told.is_some());
        assert_eq!(
            (stats.succeeded, stats.failed + stats.cancelled),
            (1, hosts - 1)
        );
        assert!(stats.left_running.is_empty());
        // The one that is silent is not charged with the others' output, nor the other way round.
        let silent = events.iter().find_map(|event| match event {
            Event::Finished(end) if end.target.0 == silent => Some(end.elapsed),
            _ => None,
        });
        let late = silent.unwrap().abs_diff(secs(2));
        assert!(late < Duration::from_millis(50), "{silent:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_flood_keeps_nobody_from_starting_or_from_being_heard() {
    let mut scripts = vec![TargetScript::Floods(None)];
    scripts.extend(vec![TargetScript::Runs(0, 1, 0, 0); 19]);
    let requests = vec![(60_000, ControlRequest::Stop(15))];
    let (events, _, stats) = play(spec(20, 2, None), scripts, requests, secs(1), usize::MAX).await;
    assert_eq!((stats.succeeded, stats.cancelled), (19, 1));
    // One at a time beside the flood, each of which waits for one message at most to write its line.
    for event in &events {
        if let Event::Finished(end) = event
            && end.target.0 > 0
        {
            assert!(end.elapsed <= secs(2), "{end:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn one_interrupt_goes_on_also_when_only_the_reports_are_left() {
    let floods = || vec![TargetScript::Floods(Some(5)); 2];
    let policy = Policy::default;
    let late = vec![
        (2500, ControlRequest::Interrupt),
        (4500, ControlRequest::Interrupt),
    ];
    let (_, told, stats) = read_slowly(policy(), None, floods(), late).await;
    assert_eq!(told, Some(stats.clone()));
    assert_eq!((stats.cancel, stats.succeeded), (None, 2));
    let twice = vec![
        (2500, ControlRequest::Interrupt),
        (2900, ControlRequest::Interrupt),
    ];
    let (_, told, stats) = read_slowly(policy(), None, floods(), twice).await;
    assert_eq!(told, None);
    assert_eq!(stats.cancel, Some(CancelReason::Signal(2)));
    assert_eq!(stats.succeeded, 2);
}

#[tokio::test(start_paused = true)]
async fn one_interrupt_after_the_deadline_still_asks() {
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
    let (events, told, stats) = play(spec, scripts, requests, Duration::ZERO, usize::MAX).await;
    assert!(told.is_some());
    assert_eq!(stats.cancel, Some(CancelReason::Deadline));
    let states = events.iter().filter(|e| matches!(e, Event::State { .. }));
    assert_eq!(states.count(), 1);
}
