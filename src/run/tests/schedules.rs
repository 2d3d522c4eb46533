//! Random scripts, policies and control requests.

use proptest::prelude::*;

use super::*;

fn script() -> impl Strategy<Value = TargetScript> {
    prop_oneof![
        Just(TargetScript::Unresolved),
        Just(TargetScript::NeverAnswers),
        (0..4_u8, 0..5000_u64).prop_map(|(n, ms)| TargetScript::WaitsForPorts(n, ms)),
        (0..3000_u64, 0..40_u8, 0..500_u64, 0..3_u8)
            .prop_map(|(a, b, c, d)| TargetScript::Runs(a, b, c, d)),
        any::<bool>().prop_map(|deaf| TargetScript::Stays { deaf }),
        Just(TargetScript::Lost),
        Just(TargetScript::Immortal),
        Just(TargetScript::Mute),
        (0..4_u8, failure()).prop_map(|(times, how)| TargetScript::Fails(times, how)),
    ]
}

fn failure() -> impl Strategy<Value = ScriptedFailure> {
    prop_oneof![
        Just(ScriptedFailure::Refused),
        Just(ScriptedFailure::NoName),
        Just(ScriptedFailure::NotStarted),
        Just(ScriptedFailure::Unclear),
    ]
}

fn request() -> impl Strategy<Value = ControlRequest> {
    prop_oneof![
        Just(ControlRequest::Interrupt),
        Just(ControlRequest::Stop(15)),
        Just(ControlRequest::PrintState),
        Just(ControlRequest::GoOn),
        Just(ControlRequest::EndWaves),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]
    #[test]
    fn the_rules_hold_for_random_schedules(
        scripts in prop::collection::vec(script(), 1..30),
        fanout in 1..8_usize,
        requests in prop::collection::vec((0..30_000_u64, request()), 0..4),
        pause in 0..300_u64,
        policy in rules::policy(),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time().start_paused(true).build().unwrap();
        let mut requests = requests;
        requests.sort_by_key(|w| w.0);
        runtime.block_on(async move {
            let hosts = scripts.len();
            let limit = Some(Duration::from_secs(20));
            let pause = Duration::from_millis(pause);
            let spec = RunSpec { policy: policy.clone(), ..spec(hosts, fanout, limit) };
            let (events, reported, stats) =
                play(spec, scripts.clone(), requests, pause, usize::MAX).await;
            // A signal may end the wait for the reader, but never the run itself.
            if reported.is_some() {
                check_rules(&events, &stats, hosts);
                rules::check(&events, &stats, &scripts, &policy);
            }
        });
    }
}
