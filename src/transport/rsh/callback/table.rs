//! Rules for callbacks, without sockets: which listener a session gets, and which session gets a callback.
//!
//! A callback from an address of a session's host (see [`Caller`]) belongs to that session. Sessions whose hosts have
//! no address in common share a listener. Sessions whose hosts could be confused never do.
//!
//! A callback from any other address is given to a session only if no other session uses the listener and no other
//! host has learned its port in this run. It stays unclaimed until the daemon answers, since a callback from the
//! host's own address takes precedence. Ports are remembered after a listener is closed, since a host can call back
//! at any time.
//!
//! All other callbacks are reset. A session that shares its listener is informed of them before it sends its command.
//! It may start again with a listener of its own.

use std::collections::{HashMap, HashSet, VecDeque};
use std::net::{IpAddr, SocketAddr};

use tokio::sync::oneshot;

use super::caller::Caller;

/// Number of listeners up to which sessions do not share.
// Each listener takes its port from every other program. At the default fan-out each session has one of its own.
const MAX_UNSHARED: usize = 32;

/// Number of callbacks from expected addresses after which commands are sent without waiting for the callback. One
/// callback from an unexpected address ends that.
// A command that is sent without waiting saves a round trip.
const MIN_EXPECTED_CALLBACKS: u32 = 256;

/// Maximum number of callbacks from unexpected addresses that are kept for one session.
// With two, nobody knows which one is the host's, and neither is used. More need not be kept.
const MAX_UNCLAIMED: usize = 2;

/// Function that opens a listener. Its argument returns the index for a port, or `None` for a port that must not be
/// used. It returns the port and the handle that keeps the listener open, or `None` if no port is free now.
pub(super) type OpenFn<'a, L> =
    &'a mut dyn FnMut(&dyn Fn(u16) -> Option<usize>) -> Option<(u16, L)>;

/// Listeners of a run and the sessions that wait on them. `L` keeps a listener open; `C` is a callback connection.
#[derive(Debug)]
pub(super) struct ListenerTable<L, C> {
    listeners: Vec<CallbackListener<L, C>>,
    /// Sessions that no listener can take now, in order of arrival.
    queue: VecDeque<ListenerRequest<C>>,
    /// Number of open listeners.
    open: usize,
    /// Maximum number of open listeners.
    most: usize,
    /// Number of ports on which listeners may be opened.
    ports: usize,
    /// Addresses of all hosts contacted so far. `None` if no host has networks from which it may call back.
    called: Option<HashSet<IpAddr>>,
    next_id: u64,
    /// Number of callbacks from expected addresses.
    expected: u32,
    /// True if a callback came from an unexpected address.
    unexpected: bool,
    strays: Strays,
}

/// A port on which this run listens or has listened.
#[derive(Debug)]
struct CallbackListener<L, C> {
    port: u16,
    /// `None` if the port has no listener now.
    open: Option<L>,
    informed_hosts: InformedHosts,
    /// Waiting sessions by their host's address. No two of the hosts have an address in common.
    waiting: HashMap<IpAddr, WaitingSession<C>>,
    /// Number of waiting sessions whose hosts may call back from several addresses.
    several_addresses: usize,
    /// True if the only waiting session has the listener to itself.
    private: bool,
    /// Callbacks from unexpected addresses for that session.
    unclaimed: Vec<UnclaimedCallback<C>>,
    /// Addresses of sessions that ended while a callback could still arrive. Another session of such a host must not
    /// get it.
    late: HashSet<IpAddr>,
}

/// Hosts that know a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum InformedHosts {
    Nobody,
    One(IpAddr),
    Several,
}

/// A session that waits for its callback.
#[derive(Debug)]
struct WaitingSession<C> {
    id: u64,
    caller: Caller,
    /// True if the daemon has answered. It calls back before that, so an unclaimed callback is its own.
    answered: bool,
    /// True if the session knows of a callback from an unknown address.
    is_informed: bool,
    sender: oneshot::Sender<CallbackMessage<C>>,
}

/// A session that waits for a listener.
#[derive(Debug)]
struct ListenerRequest<C> {
    caller: Caller,
    sender: oneshot::Sender<Registration<C>>,
}

#[derive(Debug)]
struct UnclaimedCallback<C> {
    connection: C,
    from: SocketAddr,
}

/// Registration of a session with one listener.
#[derive(Debug)]
pub(super) struct Registration<C> {
    pub(super) listener: usize,
    pub(super) port: u16,
    pub(super) host: IpAddr,
    pub(super) id: u64,
    /// True if a callback from any address may be taken.
    pub(super) private: bool,
    /// True if the command can be sent before the callback has come.
    pub(super) at_once: bool,
    pub(super) messages: oneshot::Receiver<CallbackMessage<C>>,
}

/// Message to a waiting session.
#[derive(Debug)]
pub(super) enum CallbackMessage<C> {
    /// The callback of the session.
    Connection(C),
    /// A callback came from an address that belongs to no waiting session. The next message comes through this
    /// receiver.
    UnknownAddress(oneshot::Receiver<CallbackMessage<C>>),
}

/// Connections to the listeners that no session expected.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::transport::rsh) struct Strays {
    /// Number of connections.
    pub(in crate::transport::rsh) count: u64,
    /// Source of the first one.
    pub(in crate::transport::rsh) first: Option<SocketAddr>,
}

impl Strays {
    fn add(&mut self, from: SocketAddr) {
        self.count += 1;
        self.first.get_or_insert(from);
    }
}

impl<L, C> CallbackListener<L, C> {
    fn new(port: u16, open: L) -> Self {
        CallbackListener {
            port,
            open: Some(open),
            informed_hosts: InformedHosts::Nobody,
            waiting: HashMap::new(),
            several_addresses: 0,
            private: false,
            unclaimed: Vec::new(),
            late: HashSet::new(),
        }
    }

    /// True if `caller` can have the listener to itself and no other host knows its port.
    fn can_be_private(&self, caller: &Caller) -> bool {
        let known_to_others = match self.informed_hosts {
            InformedHosts::Nobody => false,
            InformedHosts::One(host) => host != caller.host,
            InformedHosts::Several => true,
        };
        // `late`: a callback of an earlier session of the host would be taken for that of the new session.
        self.open.is_some()
            && self.waiting.is_empty()
            && !known_to_others
            && !self.late.contains(&caller.host)
    }

    /// True if no callback can belong to both `caller` and a waiting session.
    fn can_be_shared(&self, caller: &Caller) -> bool {
        if self.open.is_none() || self.private || self.waiting.contains_key(&caller.host) {
            return false;
        }
        // Hosts with one address each cannot be confused, and the map has each address once.
        if self.several_addresses == 0 && !caller.has_several_addresses() {
            return true;
        }
        !self.waiting.values().any(|session| {
            (session.caller.has_several_addresses() || caller.has_several_addresses())
                && session.caller.overlaps(caller)
        })
    }

    /// Returns the waiting session to whose host the address belongs.
    fn owner(&self, address: IpAddr, called: Option<&HashSet<IpAddr>>) -> Option<IpAddr> {
        if self.waiting.contains_key(&address) {
            return Some(address);
        }
        if self.several_addresses == 0 {
            return None;
        }
        let mut waiting = self.waiting.iter();
        // An address of a host's name is stronger evidence than a network that contains it.
        let by_name = waiting.find(|(_, session)| session.caller.has(address));
        let mut waiting = self.waiting.iter();
        let found = by_name.or_else(|| {
            waiting.find(|(_, session)| match session.caller.network_of(address) {
                // The address is another host's own, unless the user has named it as a single address.
                Some(network) => {
                    network.is_single() || !called.is_some_and(|all| all.contains(&address))
                }
                None => false,
            })
        });
        found.map(|(host, _)| *host)
    }

    fn remove(&mut self, host: IpAddr) -> Option<WaitingSession<C>> {
        let session = self.waiting.remove(&host)?;
        self.several_addresses -= usize::from(session.caller.has_several_addresses());
        Some(session)
    }
}

impl<L, C> ListenerTable<L, C> {
    /// Creates a table without listeners. At most `most` of `ports` may be open at a time. `networks` is true if some
    /// hosts may call back from networks that the user has named.
    pub(super) fn new(most: usize, ports: usize, networks: bool) -> Self {
        ListenerTable {
            listeners: Vec::new(),
            queue: VecDeque::new(),
            open: 0,
            most: most.max(1),
            ports,
            called: networks.then(HashSet::new),
            next_id: 0,
            expected: 0,
            unexpected: false,
            strays: Strays::default(),
        }
    }

    pub(super) fn has_listener(&self) -> bool {
        self.open > 0
    }

    pub(super) fn listener(&self, index: usize) -> Option<&L> {
        self.listeners[index].open.as_ref()
    }

    pub(super) fn strays(&self) -> Strays {
        self.strays.clone()
    }

    /// True if a listener may use a port that was not sent to any host yet.
    pub(super) fn has_unused_port(&self) -> bool {
        self.listeners.len() < self.ports
    }

    /// Adds a listener that an [`OpenFn`] has opened.
    pub(super) fn add(&mut self, port: u16, open: L) -> usize {
        self.open += 1;
        match self.index_of(port) {
            Some(index) => {
                self.listeners[index].open = Some(open);
                index
            }
            None => {
                self.listeners.push(CallbackListener::new(port, open));
                self.listeners.len() - 1
            }
        }
    }

    fn index_of(&self, port: u16) -> Option<usize> {
        self.listeners.iter().position(|l| l.port == port)
    }

    /// Returns an index for the port if this run has never used it.
    pub(super) fn unused(&self, port: u16) -> Option<usize> {
        match self.index_of(port) {
            None => Some(self.listeners.len()),
            Some(_) => None,
        }
    }

    fn closed(&self, port: u16) -> Option<usize> {
        let index = self.index_of(port)?;
        self.listeners[index].open.is_none().then_some(index)
    }

    fn open_unused(&mut self, open: OpenFn<'_, L>) -> Option<usize> {
        let (port, handle) = open(&|port| self.unused(port))?;
        Some(self.add(port, handle))
    }

    /// Finds a listener for a session. Returns the session as an error if it has to wait for one.
    pub(super) fn register(
        &mut self,
        caller: Caller,
        open: OpenFn<'_, L>,
    ) -> Result<Registration<C>, Caller> {
        // A host with named networks needs no listener of its own.
        if caller.own_listener || caller.networks.is_none() {
            let all = 0..self.listeners.len();
            let unused = all
                .rev()
                .find(|&i| self.listeners[i].can_be_private(&caller));
            let limit = if caller.own_listener {
                self.most
            } else {
                MAX_UNSHARED.min(self.most)
            };
            // At the limit, an idle listener gives way: other hosts know its port.
            if caller.own_listener && unused.is_none() && self.open >= self.most {
                self.close_idle();
            }
            let private = match unused {
                None if self.open < limit => self.open_unused(open),
                found => found,
            };
            if let Some(index) = private {
                return Ok(self.add_session(index, caller, true));
            }
            // The end of another session may make an unused port available.
            if caller.own_listener && self.has_unused_port() && self.is_in_use() {
                return Err(caller);
            }
        }
        // A listener that still awaits a callback of an earlier session of this host is the last choice.
        let late = |l: &CallbackListener<L, C>| l.late.contains(&caller.host);
        if let Some(index) = self.least_used(&caller, |l| !late(l)) {
            return Ok(self.add_session(index, caller, false));
        }
        if self.open < self.most {
            // Used ports are good enough here, and unused ones stay available.
            let opened =
                open(&|port| self.closed(port)).or_else(|| open(&|port| self.unused(port)));
            if let Some((port, handle)) = opened {
                let index = self.add(port, handle);
                return Ok(self.add_session(index, caller, false));
            }
        }
        match self.least_used(&caller, |_| true) {
            Some(index) => Ok(self.add_session(index, caller, false)),
            None => Err(caller),
        }
    }

    fn is_in_use(&self) -> bool {
        self.listeners.iter().any(|l| !l.waiting.is_empty())
    }

    /// Closes a listener without waiting sessions.
    fn close_idle(&mut self) {
        let mut listeners = self.listeners.iter_mut();
        let idle = listeners.find(|l| l.open.is_some() && l.waiting.is_empty());
        if let Some(idle) = idle {
            idle.open = None;
            self.open -= 1;
        }
    }

    fn least_used(
        &self,
        caller: &Caller,
        fits: impl Fn(&CallbackListener<L, C>) -> bool,
    ) -> Option<usize> {
        let mut best: Option<(usize, usize)> = None;
        for (index, listener) in self.listeners.iter().enumerate() {
            let crowd = listener.waiting.len();
            if best.is_none_or(|(least, _)| crowd < least)
                && listener.can_be_shared(caller)
                && fits(listener)
            {
                best = Some((crowd, index));
            }
        }
        best.map(|(_, index)| index)
    }

    fn add_session(&mut self, index: usize, caller: Caller, private: bool) -> Registration<C> {
        let id = self.next_id;
        self.next_id += 1;
        if let Some(called) = &mut self.called {
            // An address of another target must not count as one of a named network.
            called.extend(caller.others.iter().copied().chain([caller.host]));
        }
        let listener = &mut self.listeners[index];
        listener.informed_hosts = match listener.informed_hosts {
            InformedHosts::Nobody => InformedHosts::One(caller.host),
            InformedHosts::One(host) if host == caller.host => InformedHosts::One(host),
            InformedHosts::One(_) | InformedHosts::Several => InformedHosts::Several,
        };
        listener.private = private;
        listener.several_addresses += usize::from(caller.has_several_addresses());
        let (sender, messages) = oneshot::channel();
        let host = caller.host;
        let session = WaitingSession {
            id,
            caller,
            answered: false,
            is_informed: false,
            sender,
        };
        listener.waiting.insert(host, session);
        Registration {
            listener: index,
            port: listener.port,
            host,
            id,
            private,
            // With a private listener, a callback from any address is accepted, so waiting for it would decide nothing.
            at_once: private || (self.expected >= MIN_EXPECTED_CALLBACKS && !self.unexpected),
            messages,
        }
    }

    /// Queues a session until a listener can take it.
    pub(super) fn queue(&mut self, caller: Caller) -> oneshot::Receiver<Registration<C>> {
        let (sender, registration) = oneshot::channel();
        self.queue.push_back(ListenerRequest { caller, sender });
        registration
    }

    /// Counts a callback that is refused for every session.
    pub(super) fn refuse(&mut self, from: SocketAddr) {
        self.strays.add(from);
    }

    /// Gives a callback to the session that it belongs to. A callback without a session is dropped, which resets it.
    pub(super) fn dispatch(
        &mut self,
        index: usize,
        connection: C,
        from: SocketAddr,
        open: OpenFn<'_, L>,
    ) {
        let listener = &mut self.listeners[index];
        let owner = listener.owner(from.ip(), self.called.as_ref());
        if let Some(session) = owner.and_then(|host| listener.remove(host)) {
            self.expected = self.expected.saturating_add(1);
            // The send fails if the session has just ended, which is no error.
            let _ = session.sender.send(CallbackMessage::Connection(connection));
            return self.settle(index, open);
        }
        if listener.late.contains(&from.ip()) {
            // The session of this host has failed and was reported.
            return;
        }
        // Commands wait for their callbacks from now on.
        self.unexpected = true;
        let callback = UnclaimedCallback { connection, from };
        if listener.private {
            let host = listener.waiting.keys().next().copied();
            let answered = listener.waiting.values().any(|session| session.answered);
            // With several callbacks it is unknown which one is the host's, so a further one changes nothing.
            let is_first = listener.unclaimed.is_empty();
            if answered
                && is_first
                && let Some(session) = host.and_then(|host| listener.remove(host))
            {
                let _ = session
                    .sender
                    .send(CallbackMessage::Connection(callback.connection));
                return self.settle(index, open);
            }
            if listener.unclaimed.len() < MAX_UNCLAIMED {
                listener.unclaimed.push(callback);
            } else {
                self.strays.add(from);
            }
        } else {
            self.strays.add(from);
        }
        listener.report_unknown_address();
    }

    /// Returns the callback of a session whose daemon has answered, from any address, if there is exactly one.
    pub(super) fn claim(
        &mut self,
        registration: &Registration<C>,
        open: OpenFn<'_, L>,
    ) -> Option<C> {
        let listener = &mut self.listeners[registration.listener];
        let session = listener.waiting.get_mut(&registration.host)?;
        // A further session of the same host may be waiting here.
        if session.id != registration.id {
            return None;
        }
        session.answered = true;
        // With two, nobody knows which one is the host's.
        if !listener.private || listener.unclaimed.len() != 1 {
            return None;
        }
        let callback = listener.unclaimed.pop()?;
        listener.remove(registration.host);
        self.settle(registration.listener, open);
        Some(callback.connection)
    }

    /// Ends a session's wait without a callback, which may still come.
    pub(super) fn leave(&mut self, registration: &Registration<C>, open: OpenFn<'_, L>) {
        let listener = &mut self.listeners[registration.listener];
        let is_this = |session: &WaitingSession<C>| session.id == registration.id;
        if !listener
            .waiting
            .get(&registration.host)
            .is_some_and(is_this)
        {
            return;
        }
        if let Some(session) = listener.remove(registration.host) {
            // Its callback may still come, and belongs to no other session of the host.
            listener.late.insert(registration.host);
            listener.late.extend(session.caller.others.iter().copied());
        }
        self.settle(registration.listener, open);
    }

    /// Reassigns a listener after one of its sessions has left.
    fn settle(&mut self, index: usize, open: OpenFn<'_, L>) {
        let listener = &mut self.listeners[index];
        if listener.waiting.is_empty() {
            listener.private = false;
            // Dropping them resets them.
            for callback in listener.unclaimed.drain(..) {
                self.strays.add(callback.from);
            }
        }
        self.serve(open);
        // Each listener keeps its port from other programs, so those beyond this number are closed when they are idle.
        if self.listeners[index].waiting.is_empty() && self.open > MAX_UNSHARED {
            self.listeners[index].open = None;
            self.open -= 1;
            // The descriptor may be the one that another session needs.
            self.serve(open);
        }
    }

    /// Finds listeners for queued sessions.
    fn serve(&mut self, open: OpenFn<'_, L>) {
        // A kind of session that failed once in this round fails again.
        let (mut hosts, mut own, mut named) = (HashSet::new(), false, false);
        let mut at = 0;
        while let Some(queued) = self.queue.get(at) {
            let caller = &queued.caller;
            let (needs_own, has_networks) = (caller.own_listener, caller.networks.is_some());
            let hopeless =
                hosts.contains(&caller.host) || own && needs_own || named && has_networks;
            if hopeless && !queued.sender.is_closed() {
                at += 1;
                continue;
            }
            let Some(ListenerRequest { caller, sender }) = self.queue.remove(at) else {
                return;
            };
            if sender.is_closed() {
                continue;
            }
            match self.register(caller, open) {
                // The receiver is open: it was checked above, and nothing runs in between.
                Ok(registration) => drop(sender.send(registration)),
                Err(caller) => {
                    hosts.insert(caller.host);
                    own |= needs_own;
                    named |= has_networks;
                    // Back in its position: sessions are served in the order of their arrival.
                    self.queue.insert(at, ListenerRequest { caller, sender });
                    at += 1;
                }
            }
        }
    }

    /// Closes all listeners.
    pub(super) fn close(&mut self) {
        self.queue.clear();
        self.open = 0;
        self.listeners.iter_mut().for_each(|l| l.open = None);
    }
}

impl<L, C> CallbackListener<L, C> {
    /// Informs every waiting session, once, of a callback from an unknown address.
    fn report_unknown_address(&mut self) {
        for session in self.waiting.values_mut().filter(|w| !w.is_informed) {
            session.is_informed = true;
            let (sender, more) = oneshot::channel();
            let told = std::mem::replace(&mut session.sender, sender);
            // The send fails if the session has just ended, which is no error.
            let _ = told.send(CallbackMessage::UnknownAddress(more));
        }
    }
}
