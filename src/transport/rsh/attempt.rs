//! An attempt to start a command: what has happened in it, and the wait for the daemon's call.

use std::time::Duration;

use reserved_ports::Outgoing;
use reserved_ports::PortLease;
use tokio::time::Instant;

use super::callback::{Expected, Listeners, News};
use crate::clock::{Alarm, ProcessClock, alarm_reached};
use crate::event::Phase;
use crate::transport::stream::Connection;
use crate::transport::{CallbackFault, TransportError};

/// How long after the daemon's answer its call may still arrive, though it was made before: the last
/// segment of a handshake that was lost is repeated after a second.
const CALL_PATIENCE: Duration = Duration::from_secs(3);

/// Time that a session waits for its own call after one from elsewhere, before it starts again with a
/// listener to itself. Most daemons call within milliseconds.
const OWN_LISTENER_AFTER: Duration = Duration::from_millis(300);

/// A connection that is reset when it is dropped, and after that gives its source port back.
#[derive(Debug)]
pub(super) struct Connected {
    pub(super) main: Connection,
    pub(super) lease: PortLease,
}

impl Connected {
    pub(super) fn new(Outgoing { stream, lease }: Outgoing) -> Connected {
        Connected {
            main: Connection::new(stream),
            lease,
        }
    }
}

/// What has happened in an attempt to start a command.
#[derive(Debug)]
pub(super) struct Progress<'a> {
    pub(super) phase: Phase,
    /// The moment from which the command counts as running.
    pub(super) answered: Option<Instant>,
    /// True if the command was sent.
    pub(super) sent: &'a mut bool,
    /// A call came from an address that belongs to no waiting session.
    pub(super) elsewhere: bool,
    /// An earlier attempt ended for such a call.
    again: bool,
    /// Such a call came, and another attempt with a listener of its own may succeed.
    pub(super) may_move: bool,
}

impl<'a> Progress<'a> {
    pub(super) fn new(again: bool, sent: &'a mut bool) -> Progress<'a> {
        Progress {
            phase: Phase::Start,
            answered: None,
            sent,
            elsewhere: false,
            again,
            may_move: false,
        }
    }

    pub(super) fn called_from_elsewhere(&self) -> TransportError {
        TransportError::NoCallback {
            fault: if *self.sent {
                CallbackFault::UnknownAddressAfterCommand
            } else {
                CallbackFault::UnknownAddress
            },
        }
    }
}

/// Why a command has not been started.
#[derive(Debug)]
pub(super) enum Unstarted {
    Failed(TransportError),
    /// The daemon seems to have called from an address that nobody has named. The command was not sent.
    NeedsOwnListener,
}

impl From<TransportError> for Unstarted {
    fn from(error: TransportError) -> Unstarted {
        Unstarted::Failed(error)
    }
}

/// Waits for the call before the command is sent. `None` if the daemon says something first, or ends the
/// connection.
pub(super) async fn call_first(
    main: &mut Connection,
    expected: &mut Expected,
    progress: &mut Progress<'_>,
    listeners: Option<&Listeners>,
    clock: &ProcessClock,
) -> Result<Option<Connection>, Unstarted> {
    let mut patience: Option<Alarm> = None;
    loop {
        tokio::select! {
            biased;
            news = expected.news() => match news {
                News::Call(call) => return Ok(Some(call)),
                News::Elsewhere => {
                    progress.elsewhere = true;
                    if !progress.again && listeners.is_some_and(Listeners::have_unused_port) {
                        progress.may_move = true;
                        patience = Some(clock.alarm(OWN_LISTENER_AFTER));
                    }
                }
            },
            _ = main.readable() => return Ok(None),
            () = alarm_reached(patience.as_ref()) => {
                return match expected.arrived() {
                    Some(call) => Ok(Some(call)),
                    None => Err(Unstarted::NeedsOwnListener),
                };
            }
        }
    }
}

pub(super) async fn next_news(expected: &mut Option<Expected>) -> News {
    match expected {
        Some(expected) => expected.news().await,
        None => std::future::pending().await,
    }
}

/// Waits for a call that was made before the daemon's answer and is still on its way.
pub(super) async fn last_call(
    expected: &mut Expected,
    progress: &mut Progress<'_>,
) -> Result<Connection, TransportError> {
    let call = async {
        loop {
            match expected.news().await {
                News::Call(call) => return call,
                News::Elsewhere => progress.elsewhere = true,
            }
        }
    };
    match tokio::time::timeout(CALL_PATIENCE, call).await {
        Ok(call) => Ok(call),
        Err(_) if progress.elsewhere => Err(progress.called_from_elsewhere()),
        Err(_) => Err(TransportError::NoCallback {
            fault: CallbackFault::Answered,
        }),
    }
}
