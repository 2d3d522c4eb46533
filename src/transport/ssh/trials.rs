//! Passwords on trial: until a server has taken a user's password, one server at a time gets it.
//!
//! An account is locked after a few wrong passwords, in a directory for all hosts at once. So a typing error must not
//! become a failed login on every host of a run. The first host that gets as far as a password tries it, and the others
//! wait. Once it is taken, all others get it. If it is refused, no other host gets it. A host that dies or runs out of
//! time meanwhile has not answered, and the next one takes its place.
//!
//! Each remote user has a trial of its own: the account is what is locked. Jump hosts take part like targets.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard};

/// Some servers close the connection where others refuse: after so many, a password counts as refused.
const MOST_CLOSED: u32 = 3;

/// The trials of a run's password, by remote user.
#[derive(Debug, Default)]
pub(super) struct Trials(Mutex<HashMap<String, Arc<AsyncMutex<State>>>>);

/// The answer so far.
#[derive(Debug, Default)]
enum State {
    /// No server has answered.
    #[default]
    Open,
    /// No server has answered, and so many have closed the connection instead.
    Closed(u32),
    Taken,
    /// By this host.
    Refused(String),
}

/// The part of a host in a trial.
pub(super) enum Turn {
    /// The password is known to be right: the host gets it.
    Free,
    /// The host gets the password, and the others wait for its answer.
    First(First),
    /// This other host has refused the password.
    Withheld(String),
}

/// The turn of the host that tries the password. Dropped without an answer, it is the next host's turn.
pub(super) struct First(OwnedMutexGuard<State>);

impl Trials {
    /// Waits until it is known whether the user's password is right, or until it is this host's turn to find out. Cancel
    /// safe.
    pub(super) async fn turn(&self, user: &str) -> Turn {
        let trial = {
            let mut trials = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(trials.entry(user.to_owned()).or_default())
        };
        let state = trial.lock_owned().await;
        match &*state {
            State::Open | State::Closed(_) => Turn::First(First(state)),
            State::Taken => Turn::Free,
            State::Refused(host) => Turn::Withheld(host.clone()),
        }
    }
}

impl Turn {
    /// The server has taken the password.
    pub(super) fn taken(&mut self) {
        if let Turn::First(First(state)) = self {
            **state = State::Taken;
        }
    }

    /// The server on this host has refused the password.
    pub(super) fn refused(&mut self, host: &str) {
        if let Turn::First(First(state)) = self {
            **state = State::Refused(host.to_owned());
        }
    }

    /// The server on this host has closed the connection when it had the password.
    pub(super) fn closed(&mut self, host: &str) {
        if let Turn::First(First(state)) = self {
            **state = match **state {
                State::Closed(before) if before + 1 >= MOST_CLOSED => {
                    State::Refused(host.to_owned())
                }
                State::Closed(before) => State::Closed(before + 1),
                _ => State::Closed(1),
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::task::JoinSet;
    use tokio::time::{sleep, timeout};

    use super::*;

    /// What 40 hosts do in a trial in which a host answers as `answer` does; how many got the password.
    async fn tried(answer: fn(&mut Turn, u32) -> bool) -> (u32, u32) {
        let trials = Arc::new(Trials::default());
        let mut hosts = JoinSet::new();
        for host in 0..40 {
            let trials = Arc::clone(&trials);
            hosts.spawn(async move {
                let mut turn = trials.turn("ops").await;
                match turn {
                    Turn::Free => (1, 0),
                    Turn::Withheld(_) => (0, 0),
                    Turn::First(_) => {
                        sleep(Duration::from_secs(1)).await;
                        (1, u32::from(answer(&mut turn, host)))
                    }
                }
            });
        }
        let ends = hosts.join_all().await;
        let got = ends.iter().map(|(got, _)| got).sum();
        (got, ends.iter().map(|(_, answered)| answered).sum())
    }

    #[tokio::test(start_paused = true)]
    async fn one_host_tries_and_the_others_follow() {
        let taken = |turn: &mut Turn, _| {
            turn.taken();
            true
        };
        assert_eq!(tried(taken).await, (40, 1));
        let refused = |turn: &mut Turn, _| {
            turn.refused("h");
            true
        };
        assert_eq!(tried(refused).await, (1, 1));
    }

    #[tokio::test(start_paused = true)]
    async fn a_host_without_an_answer_makes_way_for_the_next() {
        // Those that run out of time say nothing.
        let seventh = |turn: &mut Turn, host| {
            if host == 6 {
                turn.refused("h");
            }
            host == 6
        };
        assert_eq!(tried(seventh).await, (7, 1));
        // Those that close the connection may mean a refusal.
        let closed = |turn: &mut Turn, _| {
            turn.closed("h");
            true
        };
        assert_eq!(tried(closed).await, (3, 3));
    }

    #[tokio::test(start_paused = true)]
    async fn a_dropped_host_leaves_no_lock_and_users_are_apart() {
        let trials = Trials::default();
        let first = trials.turn("ops").await;
        let brief = Duration::from_secs(1);
        assert!(timeout(brief, trials.turn("ops")).await.is_err());
        assert!(matches!(trials.turn("root").await, Turn::First(_)));
        drop(first);
        let mut next = timeout(brief, trials.turn("ops")).await.unwrap();
        assert!(matches!(next, Turn::First(_)));
        next.refused("h7");
        drop(next);
        match trials.turn("ops").await {
            Turn::Withheld(host) => assert_eq!(host, "h7"),
            _ => panic!("the password is sent on"),
        }
    }
}
