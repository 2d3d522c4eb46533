//! One host's life: find it, connect, carry its output, and say how it ended. Both timeouts are here.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::{Instant, sleep};

use super::cancel::{Cancel, Cancelled};
use super::event::Outcome;
use crate::targets::{Target, TargetId};
use crate::transport::{
    Budget, Chunk, Facts, Lag, RemoteSignal, Session, Setback, Transport, TransportError,
};

/// How long a remote command has to end after TERM, before KILL.
const GRACE: Duration = Duration::from_secs(2);

/// How long the streams of a killed command have to end, before the connection is reset.
const AFTER_KILL: Duration = Duration::from_millis(500);

/// How long a host rests when this machine was short of something.
const SHORTAGE_REST: Duration = Duration::from_millis(100);

/// How long a host puts up with shortages before it fails: well past what a busy machine needs.
const SHORTAGE_PATIENCE: Duration = Duration::from_secs(60);

/// What all host tasks of a run share.
#[derive(Debug)]
pub(super) struct Context<T> {
    pub(super) transport: T,
    pub(super) targets: Arc<[Target]>,
    pub(super) connect_timeout: Duration,
    pub(super) command_timeout: Option<Duration>,
    pub(super) slots: Arc<Semaphore>,
    pub(super) output: mpsc::Sender<Chunk>,
    pub(super) cancelled: Cancelled,
    pub(super) lag: Lag,
}

/// How a host task ended, and what it saw on the way.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) outcome: Outcome,
    pub(super) facts: Facts,
}

/// Runs one target to its end. It holds `slot` except while it waits for a port.
pub(super) async fn run<T: Transport>(
    context: Arc<Context<T>>,
    id: TargetId,
    slot: OwnedSemaphorePermit,
) -> Ended {
    let mut facts = Facts::default();
    let mut cancelled = context.cancelled.clone();
    let connected = tokio::select! {
        biased;
        cancel = cancelled.requested() => Err(Outcome::Cancelled(cancel.reason)),
        connected = connect(&context, id, slot, &mut facts) => connected.map_err(Outcome::Failed),
    };
    let (mut session, slot) = match connected {
        Ok(connected) => connected,
        Err(outcome) => return Ended { outcome, facts },
    };
    let started = Instant::now();
    let outcome = carry(&context, &mut session, cancelled).await;
    facts.run = Some(started.elapsed());
    facts.closed_first = session.closes_first();
    // The next host is started when this one's connections are closed.
    drop(session);
    drop(slot);
    Ended { outcome, facts }
}

/// Connects and starts the command, waiting for whatever this machine lacks. What it finds out is in
/// `facts` also if it fails or is dropped.
async fn connect<T: Transport>(
    context: &Context<T>,
    id: TargetId,
    mut slot: OwnedSemaphorePermit,
    facts: &mut Facts,
) -> Result<(T::Session, OwnedSemaphorePermit), TransportError> {
    let target = &context.targets[id.index()];
    let mut budget = Budget::new(context.connect_timeout, context.lag.clone());
    let route = context.transport.route(target, &mut budget).await;
    let resolve = Some(context.connect_timeout - budget.left());
    facts.resolve = resolve;
    let mut route = route?;
    let mut short_since = None;
    loop {
        let connected = context
            .transport
            .connect(id, target, &mut route, &mut budget)
            .await;
        *facts = Facts {
            resolve,
            ..route.facts
        };
        match connected {
            Ok(session) => return Ok((session, slot)),
            Err(Setback::Failed(error)) => return Err(error),
            Err(Setback::NoPort(wait)) => {
                drop(slot);
                wait.wait().await;
            }
            Err(Setback::Shortage(error)) => {
                let since = *short_since.get_or_insert_with(Instant::now);
                if since.elapsed() > SHORTAGE_PATIENCE {
                    return Err(TransportError::LocalResources(error));
                }
                drop(slot);
                sleep(SHORTAGE_REST).await;
            }
        }
        slot = Arc::clone(&context.slots)
            .acquire_owned()
            .await
            .map_err(|closed| TransportError::LocalResources(io::Error::other(closed)))?;
    }
}

/// Carries a session's output until it ends, by itself or not.
async fn carry<T: Transport>(
    context: &Context<T>,
    session: &mut T::Session,
    mut cancelled: Cancelled,
) -> Outcome {
    let timeout = async {
        match context.command_timeout {
            Some(after) => {
                sleep(after).await;
                after
            }
            None => std::future::pending().await,
        }
    };
    let outcome = tokio::select! {
        biased;
        Cancel { reason, at_once } = cancelled.requested() => {
            if at_once {
                session.signal(RemoteSignal::Term);
                return Outcome::Cancelled(reason);
            }
            Outcome::Cancelled(reason)
        }
        ended = session.pump(&context.output) => {
            return match ended {
                Ok(exit) => Outcome::Exited(exit),
                Err(error) => Outcome::Failed(error),
            };
        }
        after = timeout => Outcome::Failed(TransportError::CommandTimeout { after }),
    };
    // Boxed: few hosts come this way, and every host's task would be larger for it.
    Box::pin(stop(&context.output, session, cancelled)).await;
    outcome
}

/// Ends a remote command as far as its transport can: TERM, a grace period, KILL. What is open after
/// that is reset when the session is dropped.
async fn stop<S: Session>(output: &mpsc::Sender<Chunk>, session: &mut S, mut cancelled: Cancelled) {
    for (signal, time) in [
        (RemoteSignal::Term, GRACE),
        (RemoteSignal::Kill, AFTER_KILL),
    ] {
        if !session.signal(signal) {
            return;
        }
        tokio::select! {
            biased;
            _ = cancelled.at_once() => return,
            // How it ends no longer matters, but what it still writes does.
            _ = session.pump(output) => return,
            () = sleep(time) => {}
        }
    }
}
