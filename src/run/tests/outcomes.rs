//! Outcomes of targets: each is reported once, counted and in time.

use super::*;

#[tokio::test(start_paused = true)]
async fn every_kind_of_outcome_is_reported_and_counted() {
    let scripts = vec![
        TargetScript::Runs(5, 4, 10, 0),
        TargetScript::Runs(5, 0, 0, 3),
        TargetScript::Unresolved,
        TargetScript::NeverAnswers,
        TargetScript::WaitsForPorts(3, 60_000),
        TargetScript::Lost,
        TargetScript::Panics,
    ];
    let (events, stats) = play_quietly(spec(7, 2, None), scripts).await;
    check_rules(&events, &stats, 7);
    assert_eq!(
        (stats.succeeded, stats.exit_failed, stats.failed),
        (2, 1, 4)
    );
    assert_eq!(stats.worst_status, Some(3));
    let ends = ends(&events);
    assert!(matches!(ends[&6], Outcome::Internal(text) if text == "a defect"));
    assert!(matches!(
        ends[&3],
        Outcome::Failed(event::Failure {
            class: FailureClass::ConnectTimeout,
            ..
        })
    ));
}

#[tokio::test(start_paused = true)]
async fn a_wait_for_ports_uses_neither_the_connect_timeout_nor_the_fan_out() {
    let start = Instant::now();
    let mut scripts = vec![TargetScript::WaitsForPorts(1, 60_000); 2];
    scripts.extend(vec![TargetScript::Runs(1000, 0, 0, 0); 8]);
    let (events, stats) = play_quietly(spec(10, 2, None), scripts).await;
    check_rules(&events, &stats, 10);
    assert_eq!(stats.succeeded, 10);
    // The others run two at a time meanwhile, and end long before.
    let order: Vec<u32> = events
        .iter()
        .filter_map(|e| {
            if let Event::Finished(f) = e {
                Some(f.target.0)
            } else {
                None
            }
        })
        .collect();
    assert!(order[8..].iter().all(|&id| id < 2), "{order:?}");
    assert!(start.elapsed() < Duration::from_secs(61));
}

#[tokio::test(start_paused = true)]
async fn a_shortage_is_waited_for_a_minute_at_most() {
    let start = Instant::now();
    let scripts = vec![
        TargetScript::Short { passes: true },
        TargetScript::Short { passes: false },
        TargetScript::Runs(1000, 0, 0, 0),
    ];
    let (events, stats) = play_quietly(spec(3, 1, None), scripts).await;
    check_rules(&events, &stats, 3);
    let ends = ends(&events);
    assert!(matches!(ends[&0], Outcome::Exited(_)), "{ends:?}");
    let lacking = matches!(
        ends[&1],
        Outcome::Failed(event::Failure {
            class: FailureClass::LocalResources,
            ..
        })
    );
    assert!(lacking, "{ends:?}");
    assert!(matches!(ends[&2], Outcome::Exited(_)), "{ends:?}");
    let elapsed = start.elapsed().as_secs();
    assert!((60..62).contains(&elapsed), "{elapsed}");
}

#[tokio::test(start_paused = true)]
async fn targets_that_wait_for_ports_are_counted() {
    let mut scripts = vec![TargetScript::WaitsForPorts(1, 60_000); 3];
    scripts.extend(vec![TargetScript::WaitsForPorts(1, 5_000); 2]);
    let requests = vec![
        (1000, ControlRequest::PrintState),
        (10_000, ControlRequest::PrintState),
    ];
    let (events, _, _) = play(
        spec(5, 4, None),
        scripts,
        requests,
        Duration::ZERO,
        usize::MAX,
    )
    .await;
    let counts = events.iter().filter_map(|event| match event {
        Event::State { for_ports, .. } => Some(*for_ports),
        _ => None,
    });
    assert_eq!(counts.collect::<Vec<_>>(), [5, 3]);
    let reported: Vec<usize> = events
        .iter()
        .filter_map(|event| match event {
            Event::PortWaits(count) => Some(*count),
            _ => None,
        })
        .collect();
    assert!(
        reported.contains(&5) && reported.contains(&3),
        "{reported:?}"
    );
    assert!(
        reported.windows(2).all(|pair| pair[0] != pair[1]),
        "{reported:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn the_command_timeout_is_exact_and_ends_in_kill() {
    let scripts = vec![
        TargetScript::Stays { deaf: false },
        TargetScript::Stays { deaf: true },
    ];
    let (events, stats) = play_quietly(spec(2, 2, Some(Duration::from_secs(5))), scripts).await;
    check_rules(&events, &stats, 2);
    for event in &events {
        if let Event::Finished(end) = event {
            assert!(matches!(
                end.outcome,
                Outcome::Failed(event::Failure {
                    class: FailureClass::CommandTimeout,
                    ..
                })
            ));
            let grace = Duration::from_secs(if end.target.0 == 0 { 0 } else { 2 });
            assert!(
                end.elapsed.abs_diff(Duration::from_secs(5) + grace) < Duration::from_millis(50)
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_host_timeout_covers_connecting_and_running() {
    // The second one ends in time, also for the shorter command timeout.
    let scripts = vec![
        TargetScript::Runs(3000, 4, 1000, 0),
        TargetScript::Runs(3000, 1, 1900, 0),
    ];
    let mut spec = spec(2, 2, Some(Duration::from_millis(3500)));
    spec.policy.host_timeout = Some(Duration::from_secs(5));
    let (events, stats) = play_quietly(spec, scripts).await;
    check_rules(&events, &stats, 2);
    assert_eq!((stats.succeeded, stats.failed), (1, 1));
    for event in &events {
        if let Event::Finished(end) = event
            && let Outcome::Failed(error) = &end.outcome
        {
            assert_eq!(error.to_string(), "command timed out after 5 s");
            let late = end.elapsed.abs_diff(Duration::from_secs(5));
            assert!(late < Duration::from_millis(50), "{late:?}");
        }
    }
}
