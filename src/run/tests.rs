//! Tests of the dispatcher on a paused clock, with a transport that follows scripts and uses no sockets.
//!
//! [`rules`] has the tests of limits, retries and waves.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Mutex;

use reserved_ports::PortWait;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep};

use super::signal::{ControlRequest, SignalSource};
use super::*;
use crate::event;
use crate::event::FailureClass;
use crate::event::{CancelReason, Event, Finished, Message, Outcome, RunStats};
use crate::event::{Chunk, Facts, LeftRunning, Phase, RemoteExit, Side, Stream};
use crate::policy::Policy;
use crate::reader::Reader;
use crate::targets::TargetId;
use crate::transport::{
    AttemptError, Budget, Output, RemoteSignal, Route, Session, Transport, TransportError,
};

mod outcomes;
mod pauses;
mod reader;
mod rules;
mod schedules;
mod signals;
mod times;
mod waits;

/// Behaviour of one target; times in milliseconds.
#[derive(Clone, Debug)]
enum TargetScript {
    Unresolved,
    NeverAnswers,
    /// Waits for a port this number of times, this long each time. Then exits with status 0.
    WaitsForPorts(u8, u64),
    /// Connects in this time, writes this number of chunks with this pause before each. Then exits with this status, or
    /// earlier on a signal.
    Runs(u64, u8, u64, u8),
    /// Runs until TERM, or until KILL if it ignores TERM.
    Stays {
        deaf: bool,
    },
    /// Runs and ignores all signals.
    Immortal,
    /// Runs, and no signal can be sent to it.
    Mute,
    /// Fails this number of times in this way. Then exits with status 0.
    Fails(u8, ScriptedFailure),
    Lost,
    Panics,
    /// Has a shortage of this machine, for a while or for ever.
    Short {
        passes: bool,
    },
    /// Writes this number of chunks of the maximum size; `None` for chunks without end.
    Floods(Option<u32>),
}

/// Failure of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ScriptedFailure {
    Refused,
    /// The name service has no answer.
    NoName,
    /// The daemon was asked for the command, which provably did not start.
    NotStarted,
    /// The daemon was asked for the command, which may have started.
    Unclear,
}

#[derive(Debug)]
struct ScriptedTransport {
    scripts: Vec<TargetScript>,
    /// Number of waits for a port or of failures, by target.
    waited: Mutex<HashMap<u32, u8>>,
    work: Arc<Mutex<Vec<Worked>>>,
}

/// Start and end of work on a target, without its waits.
type Worked = (Instant, Instant);

/// A guard for work on a target.
#[derive(Debug)]
struct WorkGuard(Instant, Arc<Mutex<Vec<Worked>>>);

impl Drop for WorkGuard {
    fn drop(&mut self) {
        self.1.lock().unwrap().push((self.0, Instant::now()));
    }
}

impl ScriptedTransport {
    fn new(scripts: Vec<TargetScript>) -> Self {
        ScriptedTransport {
            scripts,
            waited: Mutex::default(),
            work: Arc::default(),
        }
    }

    fn work(&self) -> WorkGuard {
        WorkGuard(Instant::now(), Arc::clone(&self.work))
    }

    /// Counts a wait or failure of a target. True if it is one of the first `times`.
    fn once_more(&self, id: u32, times: u8) -> bool {
        let mut waited = self.waited.lock().unwrap();
        let count = waited.entry(id).or_default();
        *count += 1;
        *count <= times
    }
}

struct ScriptedSession {
    id: TargetId,
    script: TargetScript,
    written: u32,
    signalled: Option<RemoteSignal>,
    _work: WorkGuard,
}

impl Transport for ScriptedTransport {
    type Session = ScriptedSession;

    async fn route(&self, target: &Target, _: &mut Budget) -> Result<Route, TransportError> {
        let index: usize = target.host.parse().unwrap();
        match self.scripts[index] {
            TargetScript::Unresolved => Err(TransportError::Name {
                reason: "unknown".into(),
            }),
            TargetScript::Fails(times, ScriptedFailure::NoName)
                if self.once_more(index as u32, times) =>
            {
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
    ) -> Result<ScriptedSession, AttemptError> {
        let work = self.work();
        let script = self.scripts[id.index()].clone();
        let phase = route.phase;
        match script {
            TargetScript::NeverAnswers => {
                budget.spend(std::future::pending::<()>()).await;
                return Err(AttemptError::Failed(budget.exhausted(phase)));
            }
            TargetScript::WaitsForPorts(times, ms) if self.once_more(id.0, times) => {
                let until = Instant::now() + Duration::from_millis(ms);
                return Err(AttemptError::NoPort(PortWait::until(until)));
            }
            TargetScript::Fails(times, how) => {
                route.facts.attempts += 1;
                if how != ScriptedFailure::NoName && self.once_more(id.0, times) {
                    let reset = TransportError::Reset {
                        phase: Phase::Start,
                        hint: None,
                    };
                    return Err(match how {
                        ScriptedFailure::NotStarted => AttemptError::Retryable(reset),
                        ScriptedFailure::Unclear => AttemptError::Failed(reset),
                        _ => AttemptError::Failed(TransportError::Refused),
                    });
                }
            }
            TargetScript::Short { passes } if !passes || self.once_more(id.0, 20) => {
                let error = std::io::Error::from(std::io::ErrorKind::OutOfMemory);
                return Err(AttemptError::Shortage(error));
            }
            TargetScript::Runs(ms, ..) => {
                let connecting = Duration::from_millis(ms);
                sleep(connecting).await;
                route.facts.connect = Some(connecting);
            }
            _ => {}
        }
        Ok(ScriptedSession {
            id,
            script,
            written: 0,
            signalled: None,
            _work: work,
        })
    }
}

impl Session for ScriptedSession {
    async fn pump(&mut self, output: &Output) -> Result<RemoteExit, TransportError> {
        match self.script {
            TargetScript::Runs(..) if self.signalled.is_some() => {
                Err(TransportError::NoEndMarker { hint: "killed" })
            }
            TargetScript::Runs(_, chunks, pause, status) => {
                while self.written < chunks.into() {
                    sleep(Duration::from_millis(pause)).await;
                    let permit = output.reserve().await;
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
            TargetScript::Floods(_) if self.signalled.is_some() => {
                Err(TransportError::NoEndMarker { hint: "killed" })
            }
            TargetScript::Floods(chunks) => {
                while chunks.is_none_or(|chunks| self.written < chunks) {
                    let permit = output.reserve().await;
                    permit.send(Chunk {
                        target: self.id,
                        stream: Stream::Stdout,
                        data: vec![b'x'; 64 << 10],
                    });
                    self.written += 1;
                }
                Ok(RemoteExit::Code(0))
            }
            TargetScript::Stays { deaf } => match (self.signalled, deaf) {
                (Some(RemoteSignal::Term), false) | (Some(RemoteSignal::Kill), _) => {
                    Err(TransportError::NoEndMarker { hint: "killed" })
                }
                _ => std::future::pending().await,
            },
            TargetScript::Immortal | TargetScript::Mute => std::future::pending().await,
            TargetScript::Lost => Err(TransportError::Reset {
                phase: Phase::Run,
                hint: None,
            }),
            TargetScript::Panics => panic!("a defect"),
            _ => Ok(RemoteExit::Code(0)),
        }
    }

    fn signal(&mut self, signal: RemoteSignal) -> bool {
        self.signalled = Some(signal);
        !matches!(self.script, TargetScript::Mute)
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
        variables: None,
    });
    RunSpec {
        targets: targets.collect(),
        fanout: NonZeroUsize::new(fanout).unwrap(),
        connect_timeout: Duration::from_secs(10),
        command_timeout,
        policy: Policy::default(),
        descriptors_per_host: 1,
        input: None,
        journal: None,
        notices: Vec::new(),
        reader: Reader::default(),
        details: false,
        go_on: String::new(),
        say: None,
        report_failed: Arc::default(),
    }
}

/// Control requests with their times in milliseconds.
type Requests = Vec<(u64, ControlRequest)>;

/// Runs scripts. Returns all events, the reported statistics and the returned statistics. The reader takes `pause` for
/// each message and closes after `max_messages` messages.
async fn play(
    spec: RunSpec,
    scripts: Vec<TargetScript>,
    requests: Requests,
    pause: Duration,
    max_messages: usize,
) -> (Vec<Event>, Option<RunStats>, RunStats) {
    let (request, requested) = mpsc::channel(8);
    let (reports, mut reader) = mpsc::channel(2);
    let transport = ScriptedTransport::new(scripts);
    let work = Arc::clone(&transport.work);
    let blocked = spec.reader.clone();
    let (fanout, policy, hosts) = (spec.fanout.get(), spec.policy.clone(), spec.targets.len());
    let begun = Instant::now();
    let requester = async move {
        let start = Instant::now();
        for (at, what) in requests {
            tokio::time::sleep_until(start + Duration::from_millis(at)).await;
            let _ = request.send(what).await;
        }
        // The source of signals of a process never closes.
        std::future::pending::<()>().await;
    };
    let reading = async move {
        let mut events = Vec::new();
        let mut reported = None;
        for _ in 0..max_messages {
            let write = blocked.write();
            sleep(pause).await;
            drop(write);
            match reader.recv().await {
                Some(Message::Events(bunch)) => events.extend(bunch),
                Some(Message::Finished(stats)) => {
                    reported = Some(*stats);
                    break;
                }
                None => break,
            }
        }
        drop(reader);
        (events, reported)
    };
    let running = run(spec, transport, SignalSource::Injected(requested), reports);
    let (events, reported, stats) = tokio::select! {
        biased;
        ((events, reported), stats) = async { tokio::join!(reading, running) } => (events, reported, stats),
        () = requester => unreachable!(),
    };
    let work = work.lock().unwrap();
    if reported.is_some() && policy.rate.is_none() {
        nobody_waits_in_vain(&events, &work, begun, fanout, policy.waves(hosts).collect());
    }
    (events, reported, stats)
}

/// Checks that the fan-out is used whenever a target can be started. Neither waiting targets nor the reader may delay
/// a start.
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
            // A target that started after this time, and is not the first of its wave, could have started earlier.
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

async fn play_quietly(spec: RunSpec, scripts: Vec<TargetScript>) -> (Vec<Event>, RunStats) {
    let (events, reported, stats) = play(spec, scripts, vec![], Duration::ZERO, usize::MAX).await;
    assert_eq!(
        reported.as_ref(),
        Some(&stats),
        "the reported numbers are the returned ones"
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

/// Checks the rules of events that hold for every run.
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
