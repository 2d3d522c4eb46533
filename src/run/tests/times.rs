//! Times of the phases of a target.

use super::*;

/// Maximum delay of timers on a paused clock.
const EXACT: Duration = Duration::from_millis(50);

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Returns the facts and the whole time of each target, in order.
fn times(events: &[Event]) -> Vec<(Facts, Duration)> {
    let mut ends: Vec<_> = events
        .iter()
        .filter_map(|event| match event {
            Event::Finished(end) => Some((end.target.0, end.facts, end.elapsed)),
            _ => None,
        })
        .collect();
    ends.sort_by_key(|(id, ..)| *id);
    ends.into_iter()
        .map(|(_, facts, all)| (facts, all))
        .collect()
}

#[tokio::test(start_paused = true)]
async fn waits_for_ports_and_for_retries_are_separate() {
    let spec = RunSpec {
        policy: Policy {
            retries: 2,
            ..Policy::default()
        },
        ..spec(3, 3, None)
    };
    let scripts = vec![
        TargetScript::WaitsForPorts(2, 30_000),
        TargetScript::Fails(2, ScriptedFailure::Refused),
        TargetScript::Runs(2000, 3, 1000, 0),
    ];
    let (events, _) = play_quietly(spec, scripts).await;
    let [(port, port_all), (retry, retry_all), (runs, runs_all)] = times(&events)[..] else {
        panic!("{events:?}");
    };
    assert!(
        port.port_wait.unwrap().abs_diff(secs(60)) <= EXACT,
        "{port:?}"
    );
    // Pauses are random: up to a half is taken off.
    assert!(
        retry.retry_wait.unwrap() >= Duration::from_millis(750),
        "{retry:?}"
    );
    assert_eq!((port.retry_wait, retry.port_wait), (None, None));
    assert_eq!((runs.port_wait, runs.retry_wait), (None, None));
    assert!(runs_all.abs_diff(secs(5)) <= EXACT);
    for (facts, all) in [(port, port_all), (retry, retry_all), (runs, runs_all)] {
        assert!(facts.delayed(all) <= EXACT, "{facts:?} of {all:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_wait_that_the_deadline_ends_is_counted() {
    let spec = RunSpec {
        policy: Policy {
            deadline: Some(secs(7)),
            retries: 9,
            ..Policy::default()
        },
        ..spec(2, 2, None)
    };
    let scripts = vec![
        TargetScript::WaitsForPorts(1, 60_000),
        TargetScript::Fails(9, ScriptedFailure::Refused),
    ];
    let (events, _) = play_quietly(spec, scripts).await;
    let times = times(&events);
    assert!(times[0].0.port_wait.unwrap().abs_diff(secs(7)) <= EXACT);
    assert!(times[1].0.retry_wait.unwrap().abs_diff(secs(7)) <= EXACT);
    for (facts, all) in times {
        assert!(facts.delayed(all) <= EXACT, "{facts:?} of {all:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_facts_have_only_the_phases_that_were_reached() {
    let scripts = vec![TargetScript::Runs(20, 2, 300, 0), TargetScript::Unresolved];
    let (events, _) = play_quietly(spec(2, 1, None), scripts).await;
    let facts = |id: u32| {
        let of = |event: &Event| match event {
            Event::Finished(end) if end.target.0 == id => Some((end.began, end.facts)),
            _ => None,
        };
        events.iter().find_map(of).unwrap()
    };
    let (began, ran) = facts(0);
    assert_eq!(began, Some(Duration::ZERO));
    assert_eq!(ran.resolve, Some(Duration::ZERO));
    assert_eq!(ran.run, Some(Duration::from_millis(600)));
    assert_eq!(ran.closed_first, Some(Side::Remote));
    let (began, unresolved) = facts(1);
    assert_eq!(began, Some(Duration::from_millis(620)));
    let expected = Facts {
        resolve: Some(Duration::ZERO),
        ..Facts::default()
    };
    assert_eq!(unresolved, expected);
}
