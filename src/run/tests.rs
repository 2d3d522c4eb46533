//! The dispatcher on a paused clock, with a transport that plays scripts instead of using sockets.
//!
//! [`rules`] has the tests of limits, retries and waves.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Mutex;

use proptest::prelude::*;
use reserved_ports::PortWait;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep};

use super::policy::Policy;
use super::signal::{SignalSource, Wish};
use super::*;
use crate::event;
use crate::event::FailureClass;
use crate::event::{CancelReason, Event, Finished, Message, Outcome, RunStats};
use crate::event::{Chunk, Facts, Left, Phase, RemoteExit, Side, Stream};
use crate::reader::Reader;
use crate::targets::TargetId;
use crate::transport::{
    Budget, Output, RemoteSignal, Route, Session, Setback, Transport, TransportError,
};

mod reader;
mod rules;
mod times;
mod waits;

/// What one host does; times in milliseconds.
#[derive(Clone, Debug)]
enum Script {
    Unresolved,
    NeverAnswers,
    /// Waits for a port this often, for so long, then behaves.
    WaitsForPorts(u8, u64),
    /// Takes so long to connect, writes so many pieces with pauses, exits with a status or on a signal.
    Runs(u64, u8, u64, u8),
    /// Runs until TERM, or until KILL if deaf.
    Stays {
        deaf: bool,
    },
    /// Runs whatever is done about it.
    Immortal,
    /// Runs, and no signal can be sent to it.
    Mute,
    /// Fails so often in this way, then exits with status 0.
    Fails(u8, Failure),
    Lost,
    Panics,
    /// This machine lacks something for it, for a while or for good.
    Short {
        passes: bool,
    },
    /// Writes so many pieces as large as they can be, or pieces without end.
    Floods(Option<u32>),
}

/// How an attempt fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Failure {
    Refused,
    /// The name service has no answer.
    NoName,
    /// Asked to run the command, and provably did not.
    NotStarted,
    /// Asked to run the command, and may have.
    Unclear,
}

#[derive(Debug)]
struct Play {
    scripts: Vec<Script>,
    /// How often each host has waited for a port, or failed.
    waited: Mutex<HashMap<u32, u8>>,
    work: Arc<Mutex<Vec<Worked>>>,
}

/// From when to when a host was worked on: not while it waited.
type Worked = (Instant, Instant);

/// Work on a host, as long as this lives.
#[derive(Debug)]
struct Work(Instant, Arc<Mutex<Vec<Worked>>>);

impl Drop for Work {
    fn drop(&mut self) {
        self.1.lock().unwrap().push((self.0, Instant::now()));
    }
}

impl Play {
    fn new(scripts: Vec<Script>) -> Self {
        Play {
            scripts,
            waited: Mutex::default(),
            work: Arc::default(),
        }
    }

    fn work(&self) -> Work {
        Work(Instant::now(), Arc::clone(&self.work))
    }

    /// Whether it happens once more, of so many times.
    fn once_more(&self, id: u32, times: u8) -> bool {
        let mut waited = self.waited.lock().unwrap();
        let count = waited.entry(id).or_default();
        *count += 1;
        *count <= times
    }
}

struct Actor {
    id: TargetId,
    script: Script,
    written: u32,
    signalled: Option<RemoteSignal>,
    _work: Work,
}

impl Transport for Play {
    type Session = Actor;

    async fn route(&self, target: &Target, _: &mut Budget) -> Result<Route, TransportError> {
        let index: usize = target.host.parse().unwrap();
        match self.scripts[index] {
            Script::Unresolved => Err(TransportError::Name {
                reason: "unknown".into(),
            }),
            Script::Fails(times, Failure::NoName) if self.once_more(index as u32, times) => {
                Err(TransportError::NameService {
                    reason: "busy".into(),
                })
            }
            _ => Ok(Route::new([SocketAddr::from(([127, 0, 0, 1], 514))])),
        }
    }

    async fn connect(
        &self,
        id: TargetId,
        _: &Target,
        route: &mut Route,
        budget: &mut Budget,
    ) -> Result<Actor, Setback> {
        let work = self.work();
        let script = self.scripts[id.index()].clone();
        let phase = route.phase;
        match script {
            Script::NeverAnswers => {
                budget.spend(std::future::pending::<()>()).await;
                return Err(Setback::Failed(budget.exhausted(phase)));
            }
            Script::WaitsForPorts(times, ms) if self.once_more(id.0, times) => {
                let until = Instant::now() + Duration::from_millis(ms);
                return Err(Setback::NoPort(PortWait::until(until)));
            }
            Script::Fails(times, how) => {
                route.facts.attempts += 1;
                if how != Failure::NoName && self.once_more(id.0, times) {
                    let reset = TransportError::Reset {
                        phase: Phase::Start,
                        hint: None,
                    };
                    return Err(match how {
                        Failure::NotStarted => Setback::NotStarted(reset),
                        Failure::Unclear => Setback::Failed(reset),
                        _ => Setback::Failed(TransportError::Refused),
                    });
                }
            }
            Script::Short { passes } if !passes || self.once_more(id.0, 20) => {
                let error = std::io::Error::from(std::io::ErrorKind::OutOfMemory);
                return Err(Setback::Shortage(error));
            }
            Script::Runs(ms, ..) => {
                let connecting = Duration::from_millis(ms);
                sleep(connecting).await;
                route.facts.connect = Some(connecting);
            }
            _ => {}
        }
        Ok(Actor {
            id,
            script,
            written: 0,
            signalled: None,
            _work: work,
        })
    }
}

impl Session for Actor {
    async fn pump(&mut self, output: &Output) -> Result<RemoteExit, TransportError> {
        match self.script {
            Script::Runs(..) if self.signalled.is_some() => {
                Err(TransportError::NoEndMarker { hint: "killed" })
            }
            Script::Runs(_, pieces, pause, status) => {
                while self.written < pieces.into() {
                    sleep(Duration::from_millis(pause)).await;
                    let permit = output.room().await;
                    let stream = if self.written.is_multiple_of(2) {
                        Stream::Stdout
                    } else {
                        Stream::Stderr
                    };
                    permit.send(Chunk {
                        target: self.id,
                        stream,
                        data: vec![self.written as u8],
                    });
                    self.written += 1;
                }
                Ok(RemoteExit::Code(status))
            }
            Script::Floods(_) if self.signalled.is_some() => {
                Err(TransportError::NoEndMarker { hint: "killed" })
            }
            Script::Floods(pieces) => {
                while pieces.is_none_or(|pieces| self.written < pieces) {
                    let place = output.room().await;
                    place.send(Chunk {
                        target: self.id,
                        stream: Stream::Stdout,
                        data: vec![b'x'; 64 << 10],
                    });
                    self.written += 1;
                }
                Ok(RemoteExit::Code(0))
            }
            Script::Stays { deaf } => match (self.signalled, deaf) {
                (Some(RemoteSignal::Term), false) | (Some(RemoteSignal::Kill), _) => {
                    Err(TransportError::NoEndMarker { hint: "killed" })
                }
                _ => std::future::pending().await,
            },
            Script::Immortal | Script::Mute => std::future::pending().await,
            Script::Lost => Err(TransportError::Reset {
                phase: Phase::Run,
                hint: None,
            }),
            Script::Panics => panic!("a defect"),
            _ => Ok(RemoteExit::Code(0)),
        }
    }

    fn signal(&mut self, signal: RemoteSignal) -> bool {
        self.signalled = Some(signal);
        !matches!(self.script, Script::Mute)
    }

    fn closes_first(&self) -> Option<Side> {
        Some(Side::Remote)
    }
}

fn spec(hosts: usize, fanout: usize, command_timeout: Option<Duration>) -> RunSpec {
    let targets = (0..hosts).map(|n| Target {
        label: format!("host{n}").into(),
        host: n.to_string().into(),
        user: None,
        port: None,
        transport: None,
        callback_from: None,
        inventory: None,
    });
    RunSpec {
        targets: targets.collect(),
        fanout: NonZeroUsize::new(fanout).unwrap(),
        connect_timeout: Duration::from_secs(10),
        command_timeout,
        policy: Policy::default(),
        descriptors_per_host: 1,
        input: None,
        notes: Vec::new(),
        reader: Reader::default(),
        details: false,
        say: None,
        report_failed: Arc::default(),
    }
}

/// When to wish for what, in milliseconds.
type Wishes = Vec<(u64, Wish)>;

/// Runs scripts and gives all events with the numbers. The reader takes `pause` for each message and
/// goes away after `patience` of them.
async fn play(
    spec: RunSpec,
    scripts: Vec<Script>,
    wishes: Wishes,
    pause: Duration,
    patience: usize,
) -> (Vec<Event>, Option<RunStats>, RunStats) {
    let (wish, wished) = mpsc::channel(8);
    let (reports, mut reader) = mpsc::channel(2);
    let transport = Play::new(scripts);
    let work = Arc::clone(&transport.work);
    let blocked = spec.reader.clone();
    let (fanout, policy, hosts) = (spec.fanout.get(), spec.policy.clone(), spec.targets.len());
    let begun = Instant::now();
    let wisher = async move {
        let start = Instant::now();
        for (at, what) in wishes {
            tokio::time::sleep_until(start + Duration::from_millis(at)).await;
            let _ = wish.send(what).await;
        }
        // The source stays, as the process's signals do.
        std::future::pending::<()>().await;
    };
    let reading = async move {
        let mut events = Vec::new();
        let mut told = None;
        for _ in 0..patience {
            let write = blocked.write();
            sleep(pause).await;
            drop(write);
            match reader.recv().await {
                Some(Message::Events(bunch)) => events.extend(bunch),
                Some(Message::Finished(stats)) => {
                    told = Some(*stats);
                    break;
                }
                None => break,
            }
        }
        drop(reader);
        (events, told)
    };
    let running = run(spec, transport, SignalSource::Injected(wished), reports);
    let (events, told, stats) = tokio::select! {
        biased;
        ((events, told), stats) = async { tokio::join!(reading, running) } => (events, told, stats),
        () = wisher => unreachable!(),
    };
    let work = work.lock().unwrap();
    if told.is_some() && policy.rate.is_none() {
        nobody_waits_in_vain(&events, &work, begun, fanout, policy.waves(hosts).collect());
    }
    (events, told, stats)
}

/// As many hosts are worked on as may be, whenever there is another to be started: those that wait for
/// something, and the reader, keep nobody from it.
fn nobody_waits_in_vain(
    events: &[Event],
    work: &[Worked],
    begun: Instant,
    fanout: usize,
    waves: Vec<usize>,
) {
    let mut changes: Vec<(Duration, isize)> = Vec::new();
    for &(from, to) in work {
        changes.extend([(from - begun, 1), (to - begun, -1)]);
    }
    changes.sort_unstable();
    let mut starts: Vec<(usize, Duration)> = events
        .iter()
        .filter_map(|event| match event {
            Event::Finished(end) => Some((end.target.index(), end.began?)),
            _ => None,
        })
        .collect();
    starts.sort_unstable();
    let (mut busy, mut since) = (0, Duration::ZERO);
    for (at, change) in changes {
        let idle = at.saturating_sub(since) > Duration::from_millis(20);
        if idle && busy < fanout as isize {
            // Whoever was started after this time, and was not the first of its wave, could have been before.
            let late = starts.windows(2).find(|pair| {
                let [(_, before), (host, began)] = [pair[0], pair[1]];
                before <= since && began >= at && !waves.contains(&host)
            });
            assert_eq!(late, None, "{busy} of {fanout} from {since:?} to {at:?}");
        }
        busy += change;
        assert!(
            busy <= fanout as isize,
            "{busy} at once instead of {fanout}"
        );
        since = at;
    }
}

async fn play_quietly(spec: RunSpec, scripts: Vec<Script>) -> (Vec<Event>, RunStats) {
    let (events, told, stats) = play(spec, scripts, vec![], Duration::ZERO, usize::MAX).await;
    assert_eq!(
        told.as_ref(),
        Some(&stats),
        "what is told is what is returned"
    );
    (events, stats)
}

fn ends(events: &[Event]) -> HashMap<u32, &Outcome> {
    let mut ends = HashMap::new();
    for event in events {
        if let Event::Finished(Finished {
            target, outcome, ..
        }) = event
        {
            assert!(
                ends.insert(target.0, outcome).is_none(),
                "{target:?} ended twice"
            );
        }
    }
    ends
}

/// The rules that every run keeps, whatever happens.
fn check_rules(events: &[Event], stats: &RunStats, hosts: usize) {
    assert!(matches!(events[0], Event::RunStarted { .. }));
    let ends = ends(events);
    assert_eq!(ends.len(), hosts, "every target has its end");
    let sum =
        stats.succeeded + stats.exit_failed + stats.failed + stats.cancelled + stats.not_started;
    assert_eq!((stats.total, sum), (hosts, hosts));
    let mut finished = vec![false; hosts];
    let mut next: HashMap<(u32, Stream), u8> = HashMap::new();
    for event in events {
        match event {
            Event::Output(chunk) => {
                assert!(!finished[chunk.target.index()], "output after the end");
                let first = u8::from(chunk.stream == Stream::Stderr);
                let expected = next.entry((chunk.target.0, chunk.stream)).or_insert(first);
                assert_eq!(chunk.data, [*expected], "in order and complete");
                *expected += 2;
            }
            Event::Finished(end) => finished[end.target.index()] = true,
            _ => {}
        }
    }
}

#[tokio::test(start_paused = true)]
async fn every_kind_of_end_is_told_and_counted() {
    let scripts = vec![
        Script::Runs(5, 4, 10, 0),
        Script::Runs(5, 0, 0, 3),
        Script::Unresolved,
        Script::NeverAnswers,
        Script::WaitsForPorts(3, 60_000),
        Script::Lost,
        Script::Panics,
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
async fn a_wait_for_ports_costs_neither_the_connect_timeout_nor_a_place() {
    let start = Instant::now();
    let mut scripts = vec![Script::WaitsForPorts(1, 60_000); 2];
    scripts.extend(vec![Script::Runs(1000, 0, 0, 0); 8]);
    let (events, stats) = play_quietly(spec(10, 2, None), scripts).await;
    check_rules(&events, &stats, 10);
    assert_eq!(stats.succeeded, 10);
    // Two at a time beside those that wait: all the others are through long before.
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
async fn a_shortage_is_waited_out_for_a_minute() {
    let start = Instant::now();
    let scripts = vec![
        Script::Short { passes: true },
        Script::Short { passes: false },
        Script::Runs(1000, 0, 0, 0),
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
async fn hosts_that_wait_for_ports_are_counted() {
    let mut scripts = vec![Script::WaitsForPorts(1, 60_000); 3];
    scripts.extend(vec![Script::WaitsForPorts(1, 5_000); 2]);
    let wishes = vec![(1000, Wish::State), (10_000, Wish::State)];
    let (events, _, _) = play(
        spec(5, 4, None),
        scripts,
        wishes,
        Duration::ZERO,
        usize::MAX,
    )
    .await;
    let counts = events.iter().filter_map(|event| match event {
        Event::State { for_ports, .. } => Some(*for_ports),
        _ => None,
    });
    assert_eq!(counts.collect::<Vec<_>>(), [5, 3]);
    let told: Vec<usize> = events
        .iter()
        .filter_map(|event| match event {
            Event::PortWaits(count) => Some(*count),
            _ => None,
        })
        .collect();
    assert!(told.contains(&5) && told.contains(&3), "{told:?}");
    assert!(told.windows(2).all(|pair| pair[0] != pair[1]), "{told:?}");
}

#[tokio::test(start_paused = true)]
async fn the_command_timeout_is_exact_and_kills_what_is_deaf() {
    let scripts = vec![Script::Stays { deaf: false }, Script::Stays { deaf: true }];
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
async fn a_host_has_its_time_for_connecting_and_running_together() {
    // The second one is done in time, and has a tighter limit on its command that it keeps to as well.
    let scripts = vec![
        Script::Runs(3000, 4, 1000, 0),
        Script::Runs(3000, 1, 1900, 0),
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

/// The reasons and times with which a run of deaf hosts ends after these wishes.
async fn interrupted(wishes: Wishes) -> (RunStats, Duration, usize) {
    let start = Instant::now();
    let scripts = vec![Script::Stays { deaf: true }; 4];
    let (events, _, stats) = play(
        spec(4, 2, None),
        scripts,
        wishes,
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
async fn one_interrupt_asks_two_stop_and_three_stop_at_once() {
    use Wish::{Interrupt, State, Stop};
    let (stats, time, states) = interrupted(vec![
        (100, State),
        (200, Interrupt),
        (2000, Interrupt),
        (2500, Interrupt),
    ])
    .await;
    assert_eq!((stats.cancel, states), (Some(CancelReason::Signal(2)), 3));
    assert_eq!((stats.cancelled, stats.not_started), (2, 2));
    assert!(
        time >= Duration::from_millis(4500),
        "deaf hosts get their grace: {time:?}"
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
async fn a_reader_that_reads_gets_every_end_however_long_commands_take_to_stop() {
    let scripts = vec![Script::Stays { deaf: true }; 200];
    let spec = RunSpec {
        policy: Policy {
            kill_after: Duration::from_secs(30),
            ..Policy::default()
        },
        ..spec(200, 200, None)
    };
    let wishes = vec![(1000, Wish::Stop(15))];
    let pause = Duration::from_millis(100);
    let (events, told, stats) = play(spec, scripts, wishes, pause, usize::MAX).await;
    check_rules(&events, &stats, 200);
    assert!(told.is_some());
    assert_eq!(stats.cancelled, 200);
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_goes_away_ends_the_run_and_one_that_sleeps_does_not_block_signals() {
    let scripts = vec![Script::Floods(Some(200)); 8];
    let (_, told, stats) = play(spec(8, 4, None), scripts.clone(), vec![], Duration::ZERO, 2).await;
    assert_eq!(
        (told, stats.cancel),
        (None, Some(CancelReason::ReportFailed))
    );
    assert_eq!(stats.cancelled + stats.not_started + stats.succeeded, 8);

    for (wishes, most) in [(1, 13), (2, 2)] {
        let (wish, wished) = mpsc::channel(8);
        let (reports, reader) = mpsc::channel(1);
        let transport = Play::new(scripts.clone());
        let running = run(
            spec(8, 4, None),
            transport,
            SignalSource::Injected(wished),
            reports,
        );
        let start = Instant::now();
        let wisher = async move {
            sleep(Duration::from_secs(60)).await;
            for _ in 0..wishes {
                wish.send(Wish::Stop(15)).await.unwrap();
            }
            wish
        };
        let (stats, wish) = tokio::join!(running, wisher);
        let late = start.elapsed() - Duration::from_secs(60);
        assert!(
            late <= Duration::from_secs(most),
            "{wishes} signals: {late:?}"
        );
        assert_eq!(stats.cancel, Some(CancelReason::Signal(15)));
        assert_eq!(
            stats.cancelled + stats.not_started,
            8,
            "none of them could write all"
        );
        drop((reader, wish));
    }
}

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

#[tokio::test(start_paused = true)]
async fn the_facts_are_those_of_the_way_that_was_gone() {
    let scripts = vec![Script::Runs(20, 2, 300, 0), Script::Unresolved];
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
