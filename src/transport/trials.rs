//! Password trials: until a server has accepted a user's password, one server at a time gets it.
//!
//! An account is locked after a few wrong passwords, in a directory for all hosts at once. So a typing error must not
//! become a failed login on every host of a run. The first host that asks for a password gets it, and the others
//! wait. If it is accepted, all others get it. If it is refused, no other host gets it. If the host fails or times
//! out without an answer, the next one takes its place.
//!
//! Each remote user has a trial of its own, since accounts are locked by user. Jump hosts take part like targets.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard};

/// Number of closed connections after which a password counts as refused.
// Some servers close where others refuse.
const MAX_CLOSED: u32 = 3;

/// Trials of a run's password, by remote user.
#[derive(Debug, Default)]
pub(in crate::transport) struct Trials(Mutex<HashMap<String, Arc<AsyncMutex<TrialState>>>>);

/// Answer to the password so far.
#[derive(Debug, Default)]
enum TrialState {
    /// No server has answered.
    #[default]
    Open,
    /// No server has answered, but this number of servers closed the connection.
    Closed(u32),
    Accepted,
    /// This host has refused it.
    Refused(String),
}

/// Turn of a host in a trial.
#[derive(Debug)]
pub(in crate::transport) enum TrialTurn {
    /// The password is right: the host gets it.
    Free,
    /// The host gets the password, and the others wait for its answer.
    FirstUse(FirstUse),
    /// This other host has refused the password.
    Withheld(String),
}

/// Turn of the host that tries the password. If it is dropped without an answer, the next host gets the turn.
#[derive(Debug)]
pub(in crate::transport) struct FirstUse(OwnedMutexGuard<TrialState>);

impl Trials {
    /// Waits until the answer to the user's password is known, or until this host may try it. Cancel safe.
    pub(in crate::transport) async fn turn(&self, user: &str) -> TrialTurn {
        let trial = {
            let mut trials = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(trials.entry(user.to_owned()).or_default())
        };
        // The guard is kept until the server has answered, so the other hosts of the user wait here, in order.
        let state = trial.lock_owned().await;
        match &*state {
            TrialState::Open | TrialState::Closed(_) => TrialTurn::FirstUse(FirstUse(state)),
            TrialState::Accepted => TrialTurn::Free,
            TrialState::Refused(host) => TrialTurn::Withheld(host.clone()),
        }
    }
}

impl TrialTurn {
    /// Records that the server has accepted the password.
    pub(in crate::transport) fn accepted(&mut self) {
        if let TrialTurn::FirstUse(FirstUse(state)) = self {
            **state = TrialState::Accepted;
        }
    }

    /// Records that the server on this host has refused the password.
    pub(in crate::transport) fn refused(&mut self, host: &str) {
        if let TrialTurn::FirstUse(FirstUse(state)) = self {
            **state = TrialState::Refused(host.to_owned());
        }
    }

    /// Records that the server on this host closed the connection after it got the password.
    pub(in crate::transport) fn closed(&mut self, host: &str) {
        if let TrialTurn::FirstUse(FirstUse(state)) = self {
            **state = match **state {
                TrialState::Closed(before) if before + 1 >= MAX_CLOSED => {
                    TrialState::Refused(host.to_owned())
                }
                TrialState::Closed(before) => TrialState::Closed(before + 1),
                _ => TrialState::Closed(1),
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

    /// Runs a trial with 40 hosts that answer with `answer`. Returns the number of hosts that got the password and
    /// that answered.
    async fn tried(answer: fn(&mut TrialTurn, u32) -> bool) -> (u32, u32) {
        let trials = Arc::new(Trials::default());
        let mut hosts = JoinSet::new();
        for host in 0..40 {
            let trials = Arc::clone(&trials);
            hosts.spawn(async move {
                let mut turn = trials.turn("ops").await;
                match turn {
                    TrialTurn::Free => (1, 0),
                    TrialTurn::Withheld(_) => (0, 0),
                    TrialTurn::FirstUse(_) => {
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
    async fn one_host_tries_the_password_and_the_others_wait() {
        let accepted = |turn: &mut TrialTurn, _| {
            turn.accepted();
            true
        };
        assert_eq!(tried(accepted).await, (40, 1));
        let refused = |turn: &mut TrialTurn, _| {
            turn.refused("h");
            true
        };
        assert_eq!(tried(refused).await, (1, 1));
    }

    #[tokio::test(start_paused = true)]
    async fn a_host_without_an_answer_gives_its_turn_to_the_next() {
        // Hosts that time out give no answer.
        let seventh = |turn: &mut TrialTurn, host| {
            if host == 6 {
                turn.refused("h");
            }
            host == 6
        };
        assert_eq!(tried(seventh).await, (7, 1));
        // A closed connection may be a refusal.
        let closed = |turn: &mut TrialTurn, _| {
            turn.closed("h");
            true
        };
        assert_eq!(tried(closed).await, (3, 3));
    }

    #[tokio::test(start_paused = true)]
    async fn a_dropped_turn_is_returned_and_users_have_separate_trials() {
        let trials = Trials::default();
        let first = trials.turn("ops").await;
        let brief = Duration::from_secs(1);
        assert!(timeout(brief, trials.turn("ops")).await.is_err());
        assert!(matches!(trials.turn("root").await, TrialTurn::FirstUse(_)));
        drop(first);
        let mut next = timeout(brief, trials.turn("ops")).await.unwrap();
        assert!(matches!(next, TrialTurn::FirstUse(_)));
        next.refused("h7");
        drop(next);
        match trials.turn("ops").await {
            TrialTurn::Withheld(host) => assert_eq!(host, "h7"),
            _ => panic!("the password is sent on"),
        }
    }
}
