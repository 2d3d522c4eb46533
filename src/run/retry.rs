//! `--retries`: the errors after which another attempt is allowed, and the pauses before it.
//!
//! An error is retryable only if the command provably did not start. Up to the login the phase proves it. After that
//! the transport must say so ([`AttemptError::Retryable`]). A copy of files is no command of the user: it may also be
//! repeated after it was cut off, as long as nothing of the destination has changed.

use std::time::Duration;

use crate::copy::CopyResult;
use crate::event::{FailureClass, Outcome, Phase};
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
        // sshd closes connections beyond MaxStartups before its greeting (sshd_config(5)).
        TransportError::Busy { .. } => true,
        TransportError::Jump { source, .. } => is_retryable(source),
        _ => false,
    }
}

/// Returns the reason why a copy was cut off, in words, if the copy may be repeated: the host did not refuse it, and
/// nothing of the destination has changed.
pub(super) fn repeatable_copy(outcome: &Outcome, result: &CopyResult) -> Option<String> {
    if result.done || result.partly || result.error.is_some() {
        return None;
    }
    match outcome {
        // The script, or what carried it, was killed.
        Outcome::Exited(_) if result.answered => Some(result.cause().to_owned()),
        Outcome::Failed(failure) if failure.phase == Phase::Run => match failure.class {
            FailureClass::Closed
            | FailureClass::Reset
            | FailureClass::NoEndMarker
            | FailureClass::Io
            | FailureClass::Jump => Some(failure.message.clone()),
            _ => None,
        },
        _ => None,
    }
}

/// True if the daemon was asked for the command and may start it in spite of the error. If the command provably did
/// not start, the error is [`AttemptError::Retryable`].
pub(super) fn may_have_started(error: &TransportError) -> bool {
    match error {
        // The whole request is usually sent before the daemon calls back.
        TransportError::NoCallback { .. } => true,
        TransportError::ConnectTimeout { phase, .. }
        | TransportError::Reset { phase, .. }
        | TransportError::Closed { phase, .. }
        | TransportError::Io { phase, .. } => {
            matches!(phase, Phase::CallBack | Phase::Start | Phase::Become)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Failure, RemoteExit};
    use std::io;

    #[test]
    fn a_copy_that_was_cut_off_may_be_repeated() {
        let io = |phase| TransportError::Io {
            phase,
            source: io::ErrorKind::TimedOut.into(),
        };
        let lost = || Outcome::Failed(Failure::from(io(Phase::Run)));
        let cut = CopyResult {
            answered: true,
            ..CopyResult::default()
        };
        assert!(repeatable_copy(&lost(), &cut).is_some());
        assert!(repeatable_copy(&lost(), &CopyResult::default()).is_some());
        let killed = Outcome::Exited(RemoteExit::Signaled(9));
        assert!(repeatable_copy(&killed, &cut).is_some());
        assert!(repeatable_copy(&killed, &CopyResult::default()).is_none());
        let moving = CopyResult {
            partly: true,
            ..cut.clone()
        };
        let refused = CopyResult {
            error: Some("No space left on device".to_owned()),
            ..cut.clone()
        };
        let done = CopyResult {
            done: true,
            ..cut.clone()
        };
        for result in [moving, refused, done] {
            assert_eq!(repeatable_copy(&lost(), &result), None);
        }
        let late = TransportError::CommandTimeout {
            after: Duration::from_secs(1),
        };
        let late = Outcome::Failed(Failure::from(late));
        assert_eq!(repeatable_copy(&late, &cut), None);
    }

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
