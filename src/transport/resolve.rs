//! Lookups of names with `getaddrinfo` on a bounded number of threads, so that the event loop never blocks.
//!
//! `getaddrinfo` uses the sources of `nsswitch.conf`. On clusters these are often `sss`, `ldap` or `myhostname` beside
//! files and DNS. A resolver in this process, such as hickory-resolver, would need no threads and would obey time
//! limits, but it knows only `/etc/hosts` and DNS: it would not find hosts that `ssh` and `ping` find.
//!
//! `getaddrinfo` cannot be cancelled. A thread that asks a dead name server is blocked for the time in `resolv.conf`,
//! usually ten seconds. Three rules limit the damage:
//!
//! - Literal addresses need no thread.
//! - Names in `/etc/hosts` have [threads of their own](LOCAL_LOOKUPS) and never wait for a server. `getaddrinfo` looks
//!   them up too, because it knows the order of sources and addresses.
//! - All other lookups share the state of the name service. After [`UNANSWERED`] lookups in a row without an answer,
//!   the service counts as dead for the whole run: waiting lookups fail at once. Later ones fail too, except one at a
//!   time that probes the service. The first answer, also a late one, ends this state.
//!
//! A dry run uses the same resolver.

use std::collections::HashSet;
use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::net::{IpAddr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot, watch};

use super::{Budget, TransportError};
use crate::event::Phase;

/// Maximum number of parallel lookups.
// With more, common name servers drop questions, and each dropped one costs five seconds. Measured with 5,000 names:
// 0.24 s with 32 in parallel, 5.2 s with 512.
const PARALLEL_LOOKUPS: usize = 32;

/// Maximum number of parallel lookups of names in `/etc/hosts`, beside the others.
const LOCAL_LOOKUPS: usize = 4;

/// Maximum number of threads for lookups.
pub const LOOKUP_THREADS: usize = PARALLEL_LOOKUPS + LOCAL_LOOKUPS;

/// Number of lookups in a row without an answer after which the name service counts as dead.
const UNANSWERED: usize = 32;

/// Minimum time of a lookup without an answer.
const SLOW: Duration = Duration::from_secs(1);

/// File with names of this machine.
const HOSTS: &str = "/etc/hosts";

/// Maximum number of bytes of [`HOSTS`] that are read.
const MAX_HOSTS: u64 = 64 << 20;

/// Function that asks the system for the addresses of a name.
type Ask = dyn Fn(&str, u16) -> io::Result<Vec<SocketAddr>> + Send + Sync;

/// The resolver of names for a run. Clones share the state.
#[derive(Clone, Debug)]
pub struct NameResolver(Arc<ResolverState>);

struct ResolverState {
    ask: Box<Ask>,
    /// Names in [`HOSTS`], in lower case; read at the first use.
    local: OnceLock<HashSet<Box<str>>>,
    local_turns: Arc<Semaphore>,
    turns: Arc<Semaphore>,
    service: watch::Sender<NameService>,
}

/// State of the name service, as far as this run knows it.
#[derive(Clone, Copy, Debug, Default)]
struct NameService {
    /// Number of lookups without an answer since the last answer.
    unanswered: usize,
    /// True while a lookup probes a dead service.
    is_probed: bool,
}

impl NameService {
    fn is_dead(&self) -> bool {
        self.unanswered >= UNANSWERED
    }
}

/// A guard for the lookup that probes a dead service.
struct ServiceProbe(Arc<ResolverState>);

impl Drop for ServiceProbe {
    fn drop(&mut self) {
        self.0.change(|service| service.is_probed = false);
    }
}

impl Default for NameResolver {
    fn default() -> Self {
        NameResolver::asking(|name, port| (name, port).to_socket_addrs().map(Vec::from_iter))
    }
}

impl NameResolver {
    fn asking(
        ask: impl Fn(&str, u16) -> io::Result<Vec<SocketAddr>> + Send + Sync + 'static,
    ) -> Self {
        NameResolver(Arc::new(ResolverState {
            ask: Box::new(ask),
            local: OnceLock::new(),
            local_turns: Arc::new(Semaphore::new(LOCAL_LOOKUPS)),
            turns: Arc::new(Semaphore::new(PARALLEL_LOOKUPS)),
            service: watch::Sender::default(),
        }))
    }

    /// Returns the addresses of `host`, in the order of the system.
    ///
    /// The wait for a thread is not charged to `budget`; the lookup is. After a timeout the lookup keeps its thread
    /// until the system ends it, so that a dead name server never blocks more than [`LOOKUP_THREADS`].
    ///
    /// # Errors
    /// [`TransportError::Name`] or [`TransportError::NameService`], or [`TransportError::ConnectTimeout`] when
    /// the budget is spent.
    pub async fn lookup(
        &self,
        host: &str,
        port: u16,
        budget: &mut Budget,
    ) -> Result<Vec<SocketAddr>, TransportError> {
        // A literal address needs no thread and no server.
        if let Ok(ip) = host.parse::<IpAddr>() {
            return Ok(vec![SocketAddr::new(ip, port)]);
        }
        let shared = &self.0;
        // The system reads literals such as `fe80::1%eth0` and names of /etc/hosts without a server.
        let is_local = is_literal(host) || shared.is_local(host);
        let (turn, _probe) = if is_local {
            (acquire(&shared.local_turns).await, None)
        } else {
            shared.turn().await?
        };
        let began = Instant::now();
        let (sender, found) = oneshot::channel();
        let (name, asking) = (host.to_owned(), Arc::clone(shared));
        tokio::task::spawn_blocking(move || {
            let found = (asking.ask)(&name, port);
            // Returned here and not by the caller: after a timeout the thread is still busy.
            drop(turn);
            // The lookup of a late answer has failed already, but the answer proves that the service is not dead.
            if let Err(late) = sender.send(found)
                && !is_local
                && is_answer(&late)
            {
                asking.was_answered();
            }
        });
        let found = match budget.spend(found).await {
            Some(found) => found.map_err(io::Error::other).flatten(),
            None => {
                // A name of /etc/hosts shows nothing about the servers.
                if !is_local {
                    shared.was_not_answered();
                }
                return Err(budget.exhausted(Phase::Resolve));
            }
        };
        match &found {
            _ if is_local => {}
            found if is_answer(found) => shared.was_answered(),
            // A quick failure "for now" is an answer: a server reports that it cannot tell.
            _ if began.elapsed() >= SLOW => shared.was_not_answered(),
            _ => {}
        }
        match found {
            Ok(addresses) if !addresses.is_empty() => Ok(addresses),
            Ok(_) => Err(TransportError::Name {
                reason: "no address".to_owned(),
            }),
            Err(error) => Err(failure(&error)),
        }
    }
}

impl ResolverState {
    /// Waits for a thread. Fails if the name service is dead, except for one lookup that probes it.
    async fn turn(
        self: &Arc<Self>,
    ) -> Result<(OwnedSemaphorePermit, Option<ServiceProbe>), TransportError> {
        let mut service = self.service.subscribe();
        tokio::select! {
            // A service that died is noticed before a thread is taken.
            biased;
            () = died(&mut service) => {}
            turn = acquire(&self.turns) => return Ok((turn, None)),
        }
        let mut is_first = false;
        // Without a free thread a probe would wait as well.
        let Ok(turn) = Arc::clone(&self.turns).try_acquire_owned() else {
            return Err(not_asked());
        };
        self.change(|service| is_first = !std::mem::replace(&mut service.is_probed, true));
        if is_first {
            Ok((turn, Some(ServiceProbe(Arc::clone(self)))))
        } else {
            Err(not_asked())
        }
    }

    fn was_answered(&self) {
        self.change(|service| service.unanswered = 0);
    }

    fn was_not_answered(&self) {
        self.change(|service| service.unanswered += 1);
    }

    /// Changes the state of the service. Wakes waiting lookups only if the service died or came back.
    fn change(&self, change: impl FnOnce(&mut NameService)) {
        self.service.send_if_modified(|service| {
            let was_dead = service.is_dead();
            change(service);
            service.is_dead() != was_dead
        });
    }

    /// True if the name is in [`HOSTS`].
    fn is_local(&self, host: &str) -> bool {
        let names = self.local.get_or_init(|| {
            let mut text = Vec::new();
            // If the file cannot be read, all names count as names of the service.
            let _ = File::open(HOSTS).and_then(|file| file.take(MAX_HOSTS).read_to_end(&mut text));
            names_in(&String::from_utf8_lossy(&text))
        });
        // Names of hosts are compared without case (RFC 4343).
        names.contains(host.to_ascii_lowercase().as_str())
    }
}

impl fmt::Debug for ResolverState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResolverState")
            .field("service", &self.service)
            .finish_non_exhaustive()
    }
}

async fn acquire(turns: &Arc<Semaphore>) -> OwnedSemaphorePermit {
    let turn = Arc::clone(turns).acquire_owned().await;
    turn.expect("nobody closes the semaphore")
}

/// Returns when the name service counts as dead. Cancel safe.
async fn died(service: &mut watch::Receiver<NameService>) {
    // The guard that `wait_for` gives is not `Send`, so it must not leave this statement.
    let died = service.wait_for(NameService::is_dead).await.map(drop);
    if died.is_err() {
        std::future::pending().await
    }
}

/// Returns the error of a lookup that is not made because the name service is dead.
fn not_asked() -> TransportError {
    TransportError::NameService {
        reason: format!("not looked up, because {UNANSWERED} other lookups had no answer"),
    }
}

/// Returns the names in a text in the format of [`HOSTS`], in lower case.
fn names_in(text: &str) -> HashSet<Box<str>> {
    let entries = text
        .lines()
        .map(|line| line.split('#').next().unwrap_or_default());
    // The first field is the address (hosts(5)).
    let names = entries.flat_map(|entry| entry.split_whitespace().skip(1));
    names.map(|name| name.to_ascii_lowercase().into()).collect()
}

/// True for addresses that only the system can parse: `fe80::1%eth0`, `127.1`.
fn is_literal(host: &str) -> bool {
    // An address with a zone (RFC 4007, section 11).
    let address = host.split_once('%').map(|(address, _)| address);
    address.is_some_and(|address| address.parse::<Ipv6Addr>().is_ok())
        // inet_aton(3) accepts one to four numbers.
        || host
            .bytes()
            .all(|byte| byte.is_ascii_digit() || byte == b'.')
}

/// Messages of glibc and musl for EAI_AGAIN. The text must decide here: the standard library does not return the code
/// of `getaddrinfo`. This program sets no locale, so the messages are not translated.
const TRY_AGAIN: [&str; 2] = ["Temporary failure in name resolution", "Try again"];

/// Returns the error of a failed lookup: permanent or temporary.
fn failure(error: &io::Error) -> TransportError {
    let reason = reason(error);
    if TRY_AGAIN.contains(&reason.as_str()) {
        TransportError::NameService { reason }
    } else {
        TransportError::Name { reason }
    }
}

/// Returns the resolver's message without the prefix of the standard library.
fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    // The standard library puts these words before those of gai_strerror(3).
    match text.strip_prefix("failed to lookup address information: ") {
        Some(words) => words.to_owned(),
        None => text,
    }
}

/// True if the name service knows the name, or knows that it does not exist.
fn is_answer(found: &io::Result<Vec<SocketAddr>>) -> bool {
    !found
        .as_ref()
        .is_err_and(|error| TRY_AGAIN.contains(&reason(error).as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::{Mutex, mpsc};

    use tokio::task::JoinSet;

    use crate::clock::ProcessClock;

    #[tokio::test]
    async fn literal_addresses_are_free_and_invalid_names_fail() {
        let resolver = NameResolver::default();
        let mut budget = Budget::new(Duration::from_secs(20), ProcessClock::default());
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

    fn service_error(words: &str) -> io::Error {
        io::Error::other(format!("failed to lookup address information: {words}"))
    }

    /// A name service that is dead until this is dropped, and a resolver that asks it. Names of [`HOSTS`] are found.
    fn dead_service() -> (mpsc::Sender<()>, NameResolver, Arc<AtomicUsize>) {
        let (gate, closed) = mpsc::channel();
        let asked = Arc::new(AtomicUsize::new(0));
        let (counter, closed) = (Arc::clone(&asked), Mutex::new(closed));
        let resolver = NameResolver::asking(move |name, port| {
            if name != "localhost" {
                counter.fetch_add(1, Ordering::Relaxed);
                let _: Result<(), _> = closed.lock().unwrap().recv();
            }
            Ok(vec![SocketAddr::from(([127, 0, 0, 1], port))])
        });
        (gate, resolver, asked)
    }

    #[tokio::test]
    async fn lookups_fail_at_once_after_32_timeouts_except_local_names() {
        let (gate, resolver, asked) = dead_service();
        let mut tasks = JoinSet::new();
        for n in 0..500 {
            let resolver = resolver.clone();
            tasks.spawn(async move {
                let mut budget = Budget::new(Duration::from_millis(300), ProcessClock::default());
                let name = format!("n{n}");
                resolver.lookup(&name, 514, &mut budget).await.unwrap_err()
            });
        }
        let (mut timed_out, mut not_asked) = (0, 0);
        while let Some(error) = tasks.join_next().await {
            match error.unwrap() {
                TransportError::ConnectTimeout { .. } => timed_out += 1,
                TransportError::NameService { reason } => {
                    assert_eq!(
                        reason,
                        "not looked up, because 32 other lookups had no answer"
                    );
                    not_asked += 1;
                }
                error => panic!("{error}"),
            }
        }
        assert_eq!((timed_out, not_asked), (UNANSWERED, 500 - UNANSWERED));
        assert_eq!(asked.load(Ordering::Relaxed), UNANSWERED);
        let mut budget = Budget::new(Duration::from_secs(20), ProcessClock::default());
        for local in ["localhost", "192.0.2.1"] {
            let found = resolver.lookup(local, 514, &mut budget).await;
            assert_eq!(found.unwrap().len(), 1, "{local}");
        }
        assert!(resolver.0.is_local("LocalHost"));
        assert!(["127.1", "fe80::1%lo"].into_iter().all(is_literal));
        assert!(
            !["n1", "127.1.example.com", "n%1"]
                .into_iter()
                .any(is_literal)
        );
        // The first answer, though too late for its lookup, ends this state.
        drop(gate);
        let mut budget = Budget::new(Duration::from_secs(20), ProcessClock::default());
        while resolver.lookup("back", 514, &mut budget).await.is_err() {
            tokio::task::yield_now().await;
        }
        assert!(!resolver.0.service.borrow().is_dead());
    }

    #[tokio::test]
    async fn one_lookup_at_a_time_probes_a_dead_name_service() {
        let (gate, resolver, asked) = dead_service();
        resolver.0.change(|service| service.unanswered = UNANSWERED);
        for n in 1..4 {
            let mut budget = Budget::new(Duration::from_millis(100), ProcessClock::default());
            let first = resolver.lookup("first", 514, &mut budget);
            let mut other = Budget::new(Duration::from_secs(20), ProcessClock::default());
            let second = resolver.lookup("second", 514, &mut other);
            let (first, second) = tokio::join!(first, second);
            assert!(matches!(first, Err(TransportError::ConnectTimeout { .. })));
            assert!(matches!(second, Err(TransportError::NameService { .. })));
            assert_eq!(asked.load(Ordering::Relaxed), n);
        }
        drop(gate);
    }

    #[tokio::test]
    async fn a_name_service_that_answers_with_a_temporary_failure_is_not_dead() {
        let resolver = NameResolver::asking(|_, _| Err(service_error(TRY_AGAIN[0])));
        let mut budget = Budget::new(Duration::from_secs(20), ProcessClock::default());
        for _ in 0..2 * UNANSWERED {
            let error = resolver.lookup("n", 514, &mut budget).await.unwrap_err();
            assert_eq!(
                error.to_string(),
                "name not resolved this time: Temporary failure in name resolution"
            );
        }
        assert_eq!(resolver.0.service.borrow().unanswered, 0);
    }

    #[test]
    fn names_of_the_hosts_file() {
        let names = names_in("127.0.0.1\tlocalhost # not this\n\n#10.0.0.1 gone\n::1 A.b c");
        let mut names: Vec<&str> = names.iter().map(|name| &**name).collect();
        names.sort_unstable();
        assert_eq!(names, ["a.b", "c", "localhost"]);
    }
}
