//! Names to addresses, without blocking the loop: `getaddrinfo` on a bounded number of threads.

use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::Arc;

use tokio::sync::Semaphore;

use super::{Budget, Phase, TransportError};

/// How many look-ups run at once. More make common name servers drop questions, and each dropped one
/// costs five seconds (5,000 names: 0.24 s with 32 at once, 5.2 s with 512).
const PARALLEL_LOOKUPS: usize = 32;

/// The one resolver of a run.
#[derive(Clone, Debug)]
pub struct Resolver {
    turns: Arc<Semaphore>,
}

impl Default for Resolver {
    fn default() -> Self {
        Resolver {
            turns: Arc::new(Semaphore::new(PARALLEL_LOOKUPS)),
        }
    }
}

impl Resolver {
    /// The addresses of `host`, in the order in which the system would have them tried.
    ///
    /// A literal address costs nothing. Waiting for a turn behind other look-ups is not charged to
    /// `budget`; the look-up is. A look-up that runs out of time keeps its turn until the system
    /// gives up on it, so that a dead name server never gets more than that many threads.
    ///
    /// # Errors
    /// [`TransportError::Name`], or [`TransportError::ConnectTimeout`] when the budget is spent.
    pub async fn lookup(
        &self,
        host: &str,
        port: u16,
        budget: &mut Budget,
    ) -> Result<Vec<SocketAddr>, TransportError> {
        if let Ok(ip) = host.parse::<IpAddr>() {
            return Ok(vec![SocketAddr::new(ip, port)]);
        }
        let turn = Arc::clone(&self.turns)
            .acquire_owned()
            .await
            .expect("nobody closes the semaphore");
        let name = host.to_owned();
        let task = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            (name.as_str(), port).to_socket_addrs().map(Vec::from_iter)
        });
        let found = budget
            .spend(task)
            .await
            .ok_or_else(|| budget.exhausted(Phase::Resolve))?
            .map_err(io::Error::other)
            .flatten();
        match found {
            Ok(addresses) if !addresses.is_empty() => Ok(addresses),
            Ok(_) => Err(TransportError::Name {
                reason: "no address".to_owned(),
            }),
            Err(error) => Err(failure(&error)),
        }
    }
}

/// What a name service says that could not answer (EAI_AGAIN), in the words of glibc and of musl. The
/// standard library passes on no code, and this program sets no locale, so that the words are these.
const TRY_AGAIN: [&str; 2] = ["Temporary failure in name resolution", "Try again"];

/// Whether the name is unknown, or unknown for now.
fn failure(error: &io::Error) -> TransportError {
    let reason = reason(error);
    match TRY_AGAIN.contains(&reason.as_str()) {
        true => TransportError::NameService { reason },
        false => TransportError::Name { reason },
    }
}

/// The resolver's own words, without the standard library's introduction.
fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    match text.strip_prefix("failed to lookup address information: ") {
        Some(words) => words.to_owned(),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transport::Lag;
    use std::time::Duration;

    #[tokio::test]
    async fn literals_cost_nothing_and_bad_names_fail_alone() {
        let resolver = Resolver::default();
        let mut budget = Budget::new(Duration::from_secs(20), Lag::default());
        let v6 = resolver
            .lookup("2001:db8::1", 514, &mut budget)
            .await
            .unwrap();
        assert_eq!(v6, ["[2001:db8::1]:514".parse().unwrap()]);
        assert_eq!(budget.left(), Duration::from_secs(20));
        let local = resolver
            .lookup("localhost", 514, &mut budget)
            .await
            .unwrap();
        assert!(
            local
                .iter()
                .all(|a| a.ip().is_loopback() && a.port() == 514)
        );
        // No label may be this long, so no name server is asked.
        let bad = resolver
            .lookup(&"x".repeat(70), 514, &mut budget)
            .await
            .unwrap_err();
        assert!(matches!(bad, TransportError::Name { .. }), "{bad}");
    }
}
