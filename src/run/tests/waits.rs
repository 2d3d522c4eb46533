//! Waiting targets do not delay the start of others.

use super::rules::{count, end_of, finished, secs, took};
use super::*;
use crate::policy::Share;

#[tokio::test(start_paused = true)]
async fn waiting_targets_do_not_delay_others() {
    for waiting in [
        TargetScript::WaitsForPorts(1, 60_000),
        TargetScript::Fails(4, ScriptedFailure::Refused),
    ] {
        let policy = Policy {
            retries: 4,
            ..Policy::default()
        };
        let spec = RunSpec {
            policy,
            ..spec(8, 1, None)
        };
        let mut scripts = vec![waiting; 5];
        scripts.extend(vec![TargetScript::Runs(100, 0, 0, 0); 3]);
        let (events, stats) = play_quietly(spec, scripts).await;
        check_rules(&events, &stats, 8);
        assert_eq!(stats.succeeded, 8);
        for (id, tenths) in [(5, 1), (6, 2), (7, 3)] {
            let end = end_of(&events, id);
            took(
                end.began.unwrap() + end.elapsed,
                Duration::from_millis(100) * tenths,
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn new_targets_and_those_that_have_waited_alternate() {
    let policy = Policy {
        retries: 1,
        ..Policy::default()
    };
    let spec = RunSpec {
        policy,
        ..spec(20, 1, None)
    };
    let mut scripts = vec![TargetScript::Fails(1, ScriptedFailure::Refused); 4];
    scripts.extend(vec![TargetScript::Runs(1000, 0, 0, 0); 16]);
    let (events, stats) = play_quietly(spec, scripts).await;
    assert_eq!(stats.succeeded, 20);
    // From the second target on, a refused target follows each of the other ones.
    let order: Vec<u32> = events.iter().filter_map(finished).collect();
    let refused = order.iter().take(9).filter(|id| **id < 4).count();
    assert_eq!(refused, 4, "{order:?}");
}

#[tokio::test(start_paused = true)]
async fn details_have_retries_and_waves() {
    let policy = Policy {
        retries: 2,
        batch: vec![count(1), Share::ALL],
        ..Policy::default()
    };
    let scripts = || {
        vec![
            TargetScript::Fails(1, ScriptedFailure::Refused),
            TargetScript::Runs(0, 0, 0, 0),
        ]
    };
    for details in [true, false] {
        let spec = RunSpec {
            policy: policy.clone(),
            details,
            ..spec(2, 2, None)
        };
        let (events, _) = play_quietly(spec, scripts()).await;
        let notices: Vec<&str> = events
            .iter()
            .filter_map(|event| match event {
                Event::Notice(note) => Some(note.text.as_str()),
                _ => None,
            })
            .collect();
        if details {
            assert_eq!(
                (notices[0], notices[2]),
                ("wave 1 of 2: 1 host", "wave 2 of 2: 1 host")
            );
            let retry = "host0: connection refused: retry 1 of 2 in 0.";
            assert!(notices[1].starts_with(retry), "{notices:?}");
        } else {
            assert!(notices.is_empty(), "{notices:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_wait_for_the_fan_out_is_no_shortage() {
    let mut scripts = vec![TargetScript::Short { passes: true }];
    scripts.extend(vec![TargetScript::Runs(10_000, 0, 0, 0); 30]);
    let (events, stats) = play_quietly(spec(31, 1, None), scripts).await;
    assert_eq!(stats.succeeded, 31);
    let time = end_of(&events, 0).elapsed;
    assert!(time > secs(60), "{time:?}");
}
