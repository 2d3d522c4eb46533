//! `--retries`: the errors after which another attempt is allowed, and the pauses before it.
//!
//! An error is retryable only if the command provably did not start. Up to the login the phase proves it. After that
//! the transport must say so ([`AttemptError::Retryable`]).

use std::time::Duration;

use crate::event::Phase;
#[cfg(doc)]
use crate::transport::AttemptError;
use crate::transport::{Backoff, TransportError};

/// Pauses before the retries.
pub(super) const BACKOFF: Backoff = Backoff {
    first: Duration::from_millis(500),
    longest: Duration::from_secs(30),
};

/// True if the error is temporary and came before the daemon was asked for the command.
pub(super) fn is_retryable(error: &TransportError) -> bool {
    match error {
        TransportError::NameService { .. }
        | TransportError::Refused
        | TransportError::Unreachable(_) => true,
        // An ssh server is asked for the command after the login.
        TransportError::ConnectTimeout { phase, .. }
        | TransportError::Reset { phase, .. }
        | TransportError::Closed { phase, .. }
        | TransportError::Io { phase, .. } => *phase <= Phase::Auth,
        TransportError::Busy { .. } => true,
        TransportError::Jump { source, .. } => is_retryable(source),
        _ => false,
    }
}

/// True if the daemon was asked for the command and may start it in spite of the error. If the command provably did
/// not start, the error is [`AttemptError::Retryable`].
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
    fn an_error_after_the_login_is_not_retryable() {
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
                assert_eq!(is_retryable(&error), early, "{error}");
            }
        }
        let denied = TransportError::denied("no");
        let unknown = TransportError::Name {
            reason: "no such name".into(),
        };
        assert!(is_retryable(&TransportError::Refused));
        assert!(!is_retryable(&denied) && !is_retryable(&unknown));
    }
}
