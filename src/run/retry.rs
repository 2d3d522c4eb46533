//! `--retries`: which failures are worth another try, and when it comes.
//!
//! Only what provably came before the command is tried again: a command that may have run never is. Up
//! to the connection that is plain; past it the transport has to say so ([`Setback::NotStarted`]).

use std::time::Duration;

use crate::event::Phase;
#[cfg(doc)]
use crate::transport::Setback;
use crate::transport::TransportError;

/// Before the first retry, at most.
const FIRST: Duration = Duration::from_millis(500);

/// Before any later one, at most.
const LONGEST: Duration = Duration::from_secs(30);

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

/// How long a host rests after so many tries: twice as long each time, and shorter by up to a half, by
/// chance, so that hosts that failed together do not come again together.
pub(super) fn pause(tries: u32, random: &mut fastrand::Rng) -> Duration {
    let doubled = 2_u32.saturating_pow(tries.saturating_sub(1));
    let longest = FIRST.saturating_mul(doubled).min(LONGEST);
    longest.mul_f64(1.0 - random.f64() / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;

    #[test]
    fn pauses_double_up_to_a_bound_and_differ() {
        let mut random = fastrand::Rng::with_seed(7);
        for (tries, longest) in [(1, 500), (2, 1000), (3, 2000), (7, 30_000), (100, 30_000)] {
            let longest = Duration::from_millis(longest);
            let pauses: Vec<Duration> = (0..100).map(|_| pause(tries, &mut random)).collect();
            assert!(pauses.iter().all(|p| *p <= longest && *p >= longest / 2));
            let spread = *pauses.iter().max().unwrap() - *pauses.iter().min().unwrap();
            assert!(spread > longest / 3, "{spread:?}");
        }
    }

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
