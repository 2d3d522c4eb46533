//! An attempt to start a command: its progress, and the wait for the daemon's callback.

use std::time::Duration;

use reserved_ports::{Outgoing, PortLease};
use tokio::time::Instant;

use super::callback::{CallbackEvent, ExpectedCallback, Listeners};
use crate::clock::{Alarm, ProcessClock, alarm_reached};
use crate::event::Phase;
use crate::transport::stream::TcpConnection;
use crate::transport::user_change::StartTurn;
use crate::transport::{CallbackFault, Excused, StartRequest, TransportError};

/// Maximum time between the daemon's answer and its callback.
// The callback was made first, but the last segment of its handshake may be lost. TCP repeats it after a second.
const LATE_CALLBACK_TIMEOUT: Duration = Duration::from_secs(3);

/// Time that a session waits for its own callback after one from an unknown address. Then it starts again with a
/// listener of its own.
// Most daemons call back within milliseconds.
const OWN_LISTENER_DELAY: Duration = Duration::from_millis(300);

/// Main connection with the lease on its source port. Dropping it resets the connection, then returns the port.
#[derive(Debug)]
pub(super) struct MainConnection {
    pub(super) main: TcpConnection,
    pub(super) lease: PortLease,
}

impl MainConnection {
    pub(super) fn new(Outgoing { stream, lease }: Outgoing) -> MainConnection {
        MainConnection {
            main: TcpConnection::new(stream),
            lease,
        }
    }
}

/// Progress of an attempt to start a command.
#[derive(Debug)]
pub(super) struct StartProgress<'a> {
    pub(super) phase: Phase,
    /// Time from which the command counts as running.
    pub(super) answered: Option<Instant>,
    /// The request, which is sent after the callback if the daemon calls back first.
    pub(super) request: &'a mut StartRequest,
    /// True if a callback came from an address that belongs to no waiting session.
    pub(super) unknown_address: bool,
    /// True if an earlier attempt ended because of such a callback.
    is_restart: bool,
    /// True if such a callback came and an attempt with a listener of its own may succeed.
    pub(super) can_restart: bool,
    /// Turn to send the command, if the user changes before it.
    pub(super) turn: Option<StartTurn>,
    /// Time that is not charged to the connect timeout.
    pub(super) excused: Excused,
}

impl<'a> StartProgress<'a> {
    pub(super) fn new(
        is_restart: bool,
        request: &'a mut StartRequest,
        excused: Excused,
    ) -> StartProgress<'a> {
        StartProgress {
            phase: Phase::Start,
            answered: None,
            request,
            unknown_address: false,
            is_restart,
            can_restart: false,
            turn: None,
            excused,
        }
    }

    pub(super) fn unknown_address_error(&self) -> TransportError {
        TransportError::NoCallback {
            fault: if self.request.is_sent() {
                CallbackFault::UnknownAddressAfterCommand
            } else {
                CallbackFault::UnknownAddress
            },
        }
    }
}

/// Reason why a command was not started.
#[derive(Debug)]
pub(super) enum StartError {
    Failed(TransportError),
    /// The daemon has probably called back from an address that the user has not named. The command was not sent.
    NeedsOwnListener,
}

impl From<TransportError> for StartError {
    fn from(error: TransportError) -> StartError {
        StartError::Failed(error)
    }
}

/// Waits for the callback before the command is sent. Returns `None` if the daemon answers first or closes the
/// connection.
pub(super) async fn wait_for_callback(
    main: &mut TcpConnection,
    expected: &mut ExpectedCallback,
    progress: &mut StartProgress<'_>,
    listeners: Option<&Listeners>,
    clock: &ProcessClock,
) -> Result<Option<TcpConnection>, StartError> {
    let mut own_listener_alarm: Option<Alarm> = None;
    loop {
        tokio::select! {
            // Every daemon calls back before it answers, so the callback is checked before the main connection.
            biased;
            event = expected.next_event() => match event {
                CallbackEvent::Connection(callback) => return Ok(Some(callback)),
                CallbackEvent::UnknownAddress => {
                    progress.unknown_address = true;
                    // A restart helps once, and only with a port that no host knows.
                    if !progress.is_restart && listeners.is_some_and(Listeners::have_unused_port) {
                        progress.can_restart = true;
                        own_listener_alarm = Some(clock.alarm(OWN_LISTENER_DELAY));
                    }
                }
            },
            _ = main.readable() => return Ok(None),
            () = alarm_reached(own_listener_alarm.as_ref()) => {
                // In a busy process the timer may be seen before a callback that waits in the kernel's queue.
                return match expected.arrived() {
                    Some(callback) => Ok(Some(callback)),
                    None => Err(StartError::NeedsOwnListener),
                };
            }
        }
    }
}

pub(super) async fn next_callback_event(expected: &mut Option<ExpectedCallback>) -> CallbackEvent {
    match expected {
        Some(expected) => expected.next_event().await,
        None => std::future::pending().await,
    }
}

/// Waits for a callback that was made before the daemon's answer and has not arrived yet.
pub(super) async fn wait_for_late_callback(
    expected: &mut ExpectedCallback,
    progress: &mut StartProgress<'_>,
) -> Result<TcpConnection, TransportError> {
    let callback = async {
        loop {
            match expected.next_event().await {
                CallbackEvent::Connection(callback) => return callback,
                CallbackEvent::UnknownAddress => progress.unknown_address = true,
            }
        }
    };
    match tokio::time::timeout(LATE_CALLBACK_TIMEOUT, callback).await {
        Ok(callback) => Ok(callback),
        Err(_) if progress.unknown_address => Err(progress.unknown_address_error()),
        Err(_) => Err(TransportError::NoCallback {
            fault: CallbackFault::Answered,
        }),
    }
}
