//! Names to addresses, without blocking the loop: `getaddrinfo` on a bounded number of threads.
//!
//! `getaddrinfo` asks what the machine is configured to ask (`nsswitch.conf`): on clusters that is often `sss`,
//! `ldap` or `myhostname` beside files and DNS. A resolver in this process, such as hickory-resolver, would need no
//! threads and would obey time limits, but it knows only `/etc/hosts` and DNS, so that hosts that `ssh` and `ping`
//! find would not be found. The price of `getaddrinfo` is that it cannot be called off: a thread that asks a dead
//! name server is stuck for as long as `resolv.conf` says, ten seconds as a rule. Three rules limit the damage:
//!
//! - Literal addresses need no thread.
//! - Names that stand in `/etc/hosts` have [threads of their own](LOCAL_LOOKUPS) and never wait for a server.
//!   They are looked up by `getaddrinfo` all the same, whose order of sources and of addresses holds.
//! - All other look-ups share what is known of the name service. Once [`UNANSWERED`] of them in a row have had no
//!   answer, the service counts as dead for the whole run: those that wait fail at once, and later ones are not
//!   made, except one at a time to try. The first answer, also a late one, ends that.
//!
//! A dry run uses the same.

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

/// How many look-ups run at once. More make common name servers drop questions, and each dropped one
/// costs five seconds (5,000 names: 0.24 s with 32 at once, 5.2 s with 512).
const PARALLEL_LOOKUPS: usize = 32;

/// Number of look-ups of names in `/etc/hosts` that run at once, beside the others.
const LOCAL_LOOKUPS: usize = 4;

/// The most threads that look names up.
pub const LOOKUP_THREADS: usize = PARALLEL_LOOKUPS + LOCAL_LOOKUPS;

/// The name service counts as dead after this many look-ups in a row without an answer.
const UNANSWERED: usize = 32;

/// A look-up that fails "for now" sooner than this had an answer: a server that cannot tell.
const SLOW: Duration = Duration::from_secs(1);

/// Names of this machine.
const HOSTS: &str = "/etc/hosts";

/// Most bytes of [`HOSTS`] that are read.
const MAX_HOSTS: u64 = 64 << 20;

/// Asks the system for the addresses of a name.
type Ask = dyn Fn(&str, u16) -> io::Result<Vec<SocketAddr>> + Send + Sync;

/// The one resolver of a run.
#[derive(Clone, Debug)]
pub struct Resolver(Arc<Shared>);

struct Shared {
    ask: Box<Ask>,
    /// The names in [`HOSTS`], in lower case; read when they are needed.
    local: OnceLock<HashSet<Box<str>>>,
    local_turns: Arc<Semaphore>,
    turns: Arc<Semaphore>,
    service: watch::Sender<Service>,
}

/// State of the name service, as far as the run knows it.
#[derive(Clone, Copy, Debug, Default)]
struct Service {
    /// The look-ups without an answer since the last answer.
    unanswered: usize,
    /// A look-up tries whether a dead service is back.
    is_tried: bool,
}

impl Service {
    fn is_dead(&self) -> bool {
        self.unanswered >= UNANSWERED
    }
}

/// The one look-up that tries whether a dead service is back.
struct Trial(Arc<Shared>);

impl Drop for Trial {
    fn drop(&mut self) {
        self.0.change(|service| service.is_tried = false);
    }
}

impl Default for Resolver {
    fn default() -> Self {
        Resolver::asking(|name, port| (name, port).to_socket_addrs().map(Vec::from_iter))
    }
}

impl Resolver {
    fn asking(
        ask: impl Fn(&str, u16) -> io::Result<Vec<SocketAddr>> + Send + Sync + 'static,
    ) -> Self {
        Resolver(Arc::new(Shared {
            ask: Box::new(ask),
            local: OnceLock::new(),
            local_turns: Arc::new(Semaphore::new(LOCAL_LOOKUPS)),
            turns: Arc::new(Semaphore::new(PARALLEL_LOOKUPS)),
            service: watch::Sender::default(),
        }))
    }

    /// The addresses of `host`, in the order in which the system would have them tried.
    ///
    /// Waiting for a turn behind other look-ups is not charged to `budget`; the look-up is. A look-up that runs
    /// out of time keeps its turn until the system gives up on it, so that a dead name server never gets more
    /// than [`LOOKUP_THREADS`].
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
        if let Ok(ip) = host.parse::<IpAddr>() {
            return Ok(vec![SocketAddr::new(ip, port)]);
        }
        let shared = &self.0;
        let is_local = is_literal(host) || shared.is_local(host);
        let (turn, _trial) = match is_local {
            true => (acquire(&shared.local_turns).await, None),
            false => shared.turn().await?,
        };
        let began = Instant::now();
        let (sender, found) = oneshot::channel();
        let (name, asking) = (host.to_owned(), Arc::clone(shared));
        tokio::task::spawn_blocking(move || {
            let found = (asking.ask)(&name, port);
            drop(turn);
            // Nobody waits for it any more, but it shows that the service is not dead.
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
                if !is_local {
                    shared.was_not_answered();
                }
                return Err(budget.exhausted(Phase::Resolve));
            }
        };
        match &found {
            _ if is_local => {}
            found if is_answer(found) => shared.was_answered(),
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

impl Shared {
    /// Waits for a turn, unless the name service is dead.
    async fn turn(
        self: &Arc<Self>,
    ) -> Result<(OwnedSemaphorePermit, Option<Trial>), TransportError> {
        let mut service = self.service.subscribe();
        tokio::select! {
            biased;
            () = died(&mut service) => {}
            turn = acquire(&self.turns) => return Ok((turn, None)),
        }
        let mut is_first = false;
        let Ok(turn) = Arc::clone(&self.turns).try_acquire_owned() else {
            return Err(not_asked());
        };
        self.change(|service| is_first = !std::mem::replace(&mut service.is_tried, true));
        match is_first {
            true => Ok((turn, Some(Trial(Arc::clone(self))))),
            false => Err(not_asked()),
        }
    }

    fn was_answered(&self) {
        self.change(|service| service.unanswered = 0);
    }

    fn was_not_answered(&self) {
        self.change(|service| service.unanswered += 1);
    }

    /// Changes what is known, and wakes those that wait for a turn only if that concerns them.
    fn change(&self, change: impl FnOnce(&mut Service)) {
        self.service.send_if_modified(|service| {
            let was_dead = service.is_dead();
            change(service);
            service.is_dead() != was_dead
        });
    }

    /// True if the name stands in [`HOSTS`].
    fn is_local(&self, host: &str) -> bool {
        let names = self.local.get_or_init(|| {
            let mut text = Vec::new();
            // A file that cannot be read has no names; whoever looks one up will see.
            let _ = File::open(HOSTS).and_then(|file| file.take(MAX_HOSTS).read_to_end(&mut text));
            names_in(&String::from_utf8_lossy(&text))
        });
        names.contains(host.to_ascii_lowercase().as_str())
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared")
            .field("service", &self.service)
            .finish_non_exhaustive()
    }
}

async fn acquire(turns: &Arc<Semaphore>) -> OwnedSemaphorePermit {
    let turn = Arc::clone(turns).acquire_owned().await;
    turn.expect("nobody closes the semaphore")
}

/// Returns when the name service counts as dead. Cancel safe.
async fn died(service: &mut watch::Receiver<Service>) {
    // The guard that `wait_for` gives is not `Send`, so it must not leave this statement.
    let died = service.wait_for(Service::is_dead).await.map(drop);
    if died.is_err() {
        std::future::pending().await
    }
}

/// The failure of a host whose name is not asked for, since the name service is dead.
fn not_asked() -> TransportError {
    TransportError::NameService {
        reason: format!("not asked for, since {UNANSWERED} others had no answer"),
    }
}

/// The names in a text in the form of [`HOSTS`], in lower case.
fn names_in(text: &str) -> HashSet<Box<str>> {
    let entries = text
        .lines()
        .map(|line| line.split('#').next().unwrap_or_default());
    let names = entries.flat_map(|entry| entry.split_whitespace().skip(1));
    names.map(|name| name.to_ascii_lowercase().into()).collect()
}

/// True for the forms of addresses that only the system knows: `fe80::1%eth0`, `127.1`.
fn is_literal(host: &str) -> bool {
    let address = host.split_once('%').map(|(address, _)| address);
    address.is_some_and(|address| address.parse::<Ipv6Addr>().is_ok())
        || host
            .bytes()
            .all(|byte| byte.is_ascii_digit() || byte == b'.')
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

/// True if the name service knows the name, or knows that there is none.
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
    async fn literals_cost_nothing_and_bad_names_fail_alone() {
        let resolver = Resolver::default();
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
    fn dead_service() -> (mpsc::Sender<()>, Resolver, Arc<AtomicUsize>) {
        let (gate, closed) = mpsc::channel();
        let asked = Arc::new(AtomicUsize::new(0));
        let (counter, closed) = (Arc::clone(&asked), Mutex::new(closed));
        let resolver = Resolver::asking(move |name, port| {
            if name != "localhost" {
                counter.fetch_add(1, Ordering::Relaxed);
                let _: Result<(), _> = closed.lock().unwrap().recv();
            }
            Ok(vec![SocketAddr::from(([127, 0, 0, 1], port))])
        });
        (gate, resolver, asked)
    }

    #[tokio::test]
    async fn a_dead_name_service_is_waited_for_once_and_not_by_local_names() {
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
                    assert_eq!(reason, "not asked for, since 32 others had no answer");
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
        // The first answer, though it comes too late for who asked, ends it.
        drop(gate);
        let mut budget = Budget::new(Duration::from_secs(20), ProcessClock::default());
        while resolver.lookup("back", 514, &mut budget).await.is_err() {
            tokio::task::yield_now().await;
        }
        assert!(!resolver.0.service.borrow().is_dead());
    }

    #[tokio::test]
    async fn a_dead_name_service_is_tried_by_one_look_up_at_a_time() {
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
    async fn a_name_service_that_says_that_it_cannot_tell_is_not_dead() {
        let resolver = Resolver::asking(|_, _| Err(service_error(TRY_AGAIN[0])));
        let mut budget = Budget::new(Duration::from_secs(20), ProcessClock::default());
        for _ in 0..2 * UNANSWERED {
            let error = resolver.lookup("n", 514, &mut budget).await.unwrap_err();
            assert_eq!(
                error.to_string(),
                "name not resolved for now: Temporary failure in name resolution"
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
