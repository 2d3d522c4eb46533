//! `--retries`: which failures are worth another try, and when it comes.
//!
//! Only what provably came before the command is tried again: a command that may have run never is. Up
//! to the connection that is plain; past it the transport has to say so ([`Setback::NotStarted`]).

use std::time::Duration;

use crate::event::Phase;
#[cfg(doc)]
use crate::transport::Setback;
use crate::transport::{Backoff, TransportError};

/// Pauses before the retries.
pub(super) const BACKOFF: Backoff = Backoff {
    first: Duration::from_millis(500),
    longest: Duration::from_secs(30),
};

/// Whether a failure, in looking up, in connecting or in logging in, came before the host was asked
/// for the command, and may pass.
pub(super) fn is_worth_it(error: &TransportError) -> bool {
    match error {
        TransportError::NameService { .. }
        | TransportError::Refused
        | TransportError::Unreachable(_) => true,
        // An ssh server is asked for the command when it has let the user in.
        TransportError::ConnectTimeout { phase, .. }
        | TransportError::Reset { phase, .. }
        | TransportError::Closed { phase, .. }
        | TransportError::Io { phase, .. } => *phase <= Phase::Auth,
        TransportError::Busy { .. } => true,
        TransportError::Jump { source, .. } => is_worth_it(source),
        _ => false,
    }
}

/// True if a host that was given up had been asked for the command and may start it all the same. That a
/// failure is known to come before the command is told by [`Setback::NotStarted`].
pub(super) fn may_have_started(error: &TransportError) -> bool {
    match error {
        TransportError::NoCallback { .. } => true,
        TransportError::ConnectTimeout { phase, .. }
        | TransportError::Reset { phase, .. }
        | TransportError::Closed { phase, .. }
        | TransportError::Io { phase, .. } => matches!(phase, Phase::CallBack | Phase::Start),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;

    #[test]
    fn what_may_have_begun_to_run_is_not_tried_again() {
        let timeout = |phase| TransportError::ConnectTimeout {
            phase,
            after: Duration::from_secs(1),
        };
        let reset = |phase| TransportError::Reset { phase, hint: None };
        let io = |phase| TransportError::Io {
            phase,
            source: io::ErrorKind::TimedOut.into(),
        };
        for phase in [
            Phase::Resolve,
            Phase::Connect,
            Phase::Handshake,
            Phase::Auth,
            Phase::CallBack,
            Phase::Login,
            Phase::Start,
            Phase::Run,
        ] {
            let early = phase <= Phase::Auth;
            let closed = TransportError::Closed { phase, hint: None };
            for error in [timeout(phase), reset(phase), io(phase), closed] {
                assert_eq!(is_worth_it(&error), early, "{error}");
            }
        }
        let denied = TransportError::Denied { text: "no".into() };
        let unknown = TransportError::Name {
            reason: "no such name".into(),
        };
        assert!(is_worth_it(&TransportError::Refused));
        assert!(!is_worth_it(&denied) && !is_worth_it(&unknown));
    }
}
