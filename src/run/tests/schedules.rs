//! Random scripts, policies and control requests.

use proptest::prelude::*;

use super::*;

fn script() -> impl Strategy<Value = Script> {
    prop_oneof![
        Just(Script::Unresolved),
        Just(Script::NeverAnswers),
        (0..4_u8, 0..5000_u64).prop_map(|(n, ms)| Script::WaitsForPorts(n, ms)),
        (0..3000_u64, 0..40_u8, 0..500_u64, 0..3_u8)
            .prop_map(|(a, b, c, d)| Script::Runs(a, b, c, d)),
        any::<bool>().prop_map(|deaf| Script::Stays { deaf }),
        Just(Script::Lost),
        Just(Script::Immortal),
        Just(Script::Mute),
        (0..4_u8, failure()).prop_map(|(times, how)| Script::Fails(times, how)),
    ]
}

fn failure() -> impl Strategy<Value = Failure> {
    prop_oneof![
        Just(Failure::Refused),
        Just(Failure::NoName),
        Just(Failure::NotStarted),
        Just(Failure::Unclear),
    ]
}

fn wish() -> impl Strategy<Value = Wish> {
    prop_oneof![
        Just(Wish::Interrupt),
        Just(Wish::Stop(15)),
        Just(Wish::State)
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]
    #[test]
    fn the_rules_hold_on_every_schedule(
        scripts in prop::collection::vec(script(), 1..30),
        fanout in 1..8_usize,
        wishes in prop::collection::vec((0..30_000_u64, wish()), 0..4),
        pause in 0..300_u64,
        policy in rules::policy(),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time().start_paused(true).build().unwrap();
        let mut wishes = wishes;
        wishes.sort_by_key(|w| w.0);
        runtime.block_on(async move {
            let hosts = scripts.len();
            let limit = Some(Duration::from_secs(20));
            let pause = Duration::from_millis(pause);
            let spec = RunSpec { policy: policy.clone(), ..spec(hosts, fanout, limit) };
            let (events, told, stats) =
                play(spec, scripts.clone(), wishes, pause, usize::MAX).await;
            // A signal may end the wait for the reader, but never the run itself.
            if told.is_some() {
                check_rules(&events, &stats, hosts);
                rules::check(&events, &stats, &scripts, &policy);
            }
        });
    }
}
