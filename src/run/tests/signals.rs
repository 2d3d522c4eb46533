//! Control requests, and readers of the reports that stop or go away.

use super::*;

/// Runs targets that ignore TERM, with these requests. Returns the statistics, the time and the number of printed
/// states.
async fn interrupted(requests: Requests) -> (RunStats, Duration, usize) {
    let start = Instant::now();
    let scripts = vec![TargetScript::Stays { deaf: true }; 4];
    let (events, _, stats) = play(
        spec(4, 2, None),
        scripts,
        requests,
        Duration::ZERO,
        usize::MAX,
    )
    .await;
    check_rules(&events, &stats, 4);
    let states = events
        .iter()
        .filter(|e| matches!(e, Event::State { .. }))
        .count();
    (stats, start.elapsed(), states)
}

#[tokio::test(start_paused = true)]
async fn one_interrupt_prints_two_stop_and_three_stop_at_once() {
    use ControlRequest::{Interrupt, PrintState, Stop};
    let (stats, time, states) = interrupted(vec![
        (100, PrintState),
        (200, Interrupt),
        (2000, Interrupt),
        (2500, Interrupt),
    ])
    .await;
    assert_eq!((stats.cancel, states), (Some(CancelReason::Signal(2)), 3));
    assert_eq!((stats.cancelled, stats.not_started), (2, 2));
    assert!(
        time >= Duration::from_millis(4500),
        "KILL comes after the pause: {time:?}"
    );

    let (stats, time, _) =
        interrupted(vec![(0, Interrupt), (10, Interrupt), (20, Interrupt)]).await;
    assert_eq!(stats.cancel, Some(CancelReason::Signal(2)));
    assert!(time < Duration::from_secs(1), "{time:?}");

    let (stats, time, states) = interrupted(vec![(0, Stop(15)), (10, Stop(1))]).await;
    assert_eq!((stats.cancel, states), (Some(CancelReason::Signal(15)), 0));
    assert!(time < Duration::from_secs(1), "{time:?}");
}

#[tokio::test(start_paused = true)]
async fn a_slow_reader_gets_every_outcome_even_if_stopping_takes_long() {
    let scripts = vec![TargetScript::Stays { deaf: true }; 200];
    let spec = RunSpec {
        policy: Policy {
            kill_after: Duration::from_secs(30),
            ..Policy::default()
        },
        ..spec(200, 200, None)
    };
    let requests = vec![(1000, ControlRequest::Stop(15))];
    let pause = Duration::from_millis(100);
    let (events, reported, stats) = play(spec, scripts, requests, pause, usize::MAX).await;
    check_rules(&events, &stats, 200);
    assert!(reported.is_some());
    assert_eq!(stats.cancelled, 200);
}

#[tokio::test(start_paused = true)]
async fn a_closed_reader_ends_the_run_and_a_blocked_one_does_not_block_signals() {
    let scripts = vec![TargetScript::Floods(Some(200)); 8];
    let (_, reported, stats) =
        play(spec(8, 4, None), scripts.clone(), vec![], Duration::ZERO, 2).await;
    assert_eq!(
        (reported, stats.cancel),
        (None, Some(CancelReason::ReportFailed))
    );
    assert_eq!(stats.cancelled + stats.not_started + stats.succeeded, 8);

    for (requests, most) in [(1, 13), (2, 2)] {
        let (request, requested) = mpsc::channel(8);
        let (reports, reader) = mpsc::channel(1);
        let transport = ScriptedTransport::new(scripts.clone());
        let running = run(
            spec(8, 4, None),
            transport,
            SignalSource::Injected(requested),
            reports,
        );
        let start = Instant::now();
        let requester = async move {
            sleep(Duration::from_secs(60)).await;
            for _ in 0..requests {
                request.send(ControlRequest::Stop(15)).await.unwrap();
            }
            request
        };
        let (stats, request) = tokio::join!(running, requester);
        let late = start.elapsed() - Duration::from_secs(60);
        assert!(
            late <= Duration::from_secs(most),
            "{requests} signals: {late:?}"
        );
        assert_eq!(stats.cancel, Some(CancelReason::Signal(15)));
        assert_eq!(
            stats.cancelled + stats.not_started,
            8,
            "none of them could write all"
        );
        drop((reader, request));
    }
}
