//! The rules for call-backs, without sockets: which session is told of which listener, and which session a
//! call belongs to.
//!
//! A call from an address that belongs to a session's host (see [`Callee`]) is that session's. Sessions
//! whose hosts have no address in common share a listener. Sessions whose hosts could be confused never do.
//!
//! A call from any other address is taken for a session only if the session has the listener to itself and
//! no other host has been told of that port in this run. Even then it waits, unclaimed, until the
//! daemon answers, since a call from the host's own address is better. Port numbers are remembered when a
//! listener is closed, since a host can call again at any time.
//!
//! All other calls are reset. A session that shares its listener, and has not sent its command yet, is told
//! of them: it may start again with a listener to itself.

use std::collections::{HashMap, HashSet, VecDeque};
use std::net::{IpAddr, SocketAddr};

use tokio::sync::oneshot;

use super::callee::Callee;

/// The number of listeners that a run opens without need. Each takes its port from every other program,
/// and at the default fan-out each session has one to itself.
const KEPT: usize = 32;

/// The number of calls from expected addresses after which commands are sent without waiting for the call.
/// One call from an unexpected address ends that.
const TRUST_AFTER: u32 = 256;

/// The most calls from unexpected addresses that are kept for one session. Two are too many already: none of
/// them is taken.
const MAX_UNCLAIMED: usize = 2;

/// Opens a listener: the first argument gives the index for a port, or `None` for one that must not be
/// used. Returns the port and what keeps the listener open; `None` if there is none to be had now.
pub(super) type Open<'a, L> = &'a mut dyn FnMut(&dyn Fn(u16) -> Option<usize>) -> Option<(u16, L)>;

/// The listeners of a run and the sessions that wait on them. `L` keeps a listener open, `C` is a call.
#[derive(Debug)]
pub(super) struct Table<L, C> {
    listeners: Vec<Listener<L, C>>,
    /// Sessions that no listener can take now, the first to be served first.
    queue: VecDeque<Queued<C>>,
    /// The number of open listeners.
    open: usize,
    /// The most listeners that may be open.
    most: usize,
    /// The number of ports that listeners can have.
    ports: usize,
    /// The addresses of all hosts called so far, if networks are named for some.
    called: Option<HashSet<IpAddr>>,
    next_id: u64,
    /// The number of calls from expected addresses.
    expected: u32,
    /// True if there was a call from an unexpected address.
    unexpected: bool,
    strays: Strays,
}

/// One port on which this run listens or has listened.
#[derive(Debug)]
struct Listener<L, C> {
    port: u16,
    /// `None` if it is closed now.
    open: Option<L>,
    users: Users,
    /// By the address that was called. No two of these hosts have an address in common.
    waiting: HashMap<IpAddr, Waiter<C>>,
    /// The number of waiting sessions whose hosts may call from several addresses.
    wide: usize,
    /// True if the only session that waits has the listener to itself.
    private: bool,
    /// Calls from unexpected addresses for that session.
    unclaimed: Vec<Call<C>>,
    /// Hosts whose sessions ended while a call could still be on its way: another session of such a
    /// host must not get it.
    late: HashSet<IpAddr>,
}

/// The hosts that have been told of a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Users {
    Nobody,
    One(IpAddr),
    Several,
}

/// A session that waits for its call.
#[derive(Debug)]
struct Waiter<C> {
    id: u64,
    callee: Callee,
    /// True once the daemon has answered: it calls before that, so a call that is still unclaimed is its own.
    answered: bool,
    /// True once the session knows of a call from elsewhere.
    knows: bool,
    tell: oneshot::Sender<Word<C>>,
}

/// A session without a listener.
#[derive(Debug)]
struct Queued<C> {
    callee: Callee,
    give: oneshot::Sender<Place<C>>,
}

#[derive(Debug)]
struct Call<C> {
    connection: C,
    from: SocketAddr,
}

/// A session's right to a call on one listener.
#[derive(Debug)]
pub(super) struct Place<C> {
    pub(super) listener: usize,
    pub(super) port: u16,
    pub(super) host: IpAddr,
    pub(super) id: u64,
    /// True if a call from any address may be taken.
    pub(super) private: bool,
    /// True if the command can be sent before the call has come.
    pub(super) at_once: bool,
    pub(super) words: oneshot::Receiver<Word<C>>,
}

/// What a waiting session is told.
#[derive(Debug)]
pub(super) enum Word<C> {
    /// Its call.
    Call(C),
    /// A call has come from an address that belongs to no waiting session. More follows here.
    Elsewhere(oneshot::Receiver<Word<C>>),
}

/// Connections to the listeners that no session expected.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::transport::rsh) struct Strays {
    /// Their number.
    pub(in crate::transport::rsh) count: u64,
    /// The source of the first.
    pub(in crate::transport::rsh) first: Option<SocketAddr>,
}

impl Strays {
    fn add(&mut self, from: SocketAddr) {
        self.count += 1;
        self.first.get_or_insert(from);
    }
}

impl<L, C> Listener<L, C> {
    fn new(port: u16, open: L) -> Self {
        Listener {
            port,
            open: Some(open),
            users: Users::Nobody,
            waiting: HashMap::new(),
            wide: 0,
            private: false,
            unclaimed: Vec::new(),
            late: HashSet::new(),
        }
    }

    /// True if `callee` can have it to itself, and no other host knows of it.
    fn can_be_private(&self, callee: &Callee) -> bool {
        let known_to_others = match self.users {
            Users::Nobody => false,
            Users::One(host) => host != callee.host,
            Users::Several => true,
        };
        self.open.is_some()
            && self.waiting.is_empty()
            && !known_to_others
            && !self.late.contains(&callee.host)
    }

    /// True if no call can be both `callee`'s and a waiting session's.
    fn can_be_shared(&self, callee: &Callee) -> bool {
        if self.open.is_none() || self.private || self.waiting.contains_key(&callee.host) {
            return false;
        }
        if self.wide == 0 && !callee.is_wide() {
            return true;
        }
        !self.waiting.values().any(|waiter| {
            (waiter.callee.is_wide() || callee.is_wide()) && waiter.callee.overlaps(callee)
        })
    }

    /// The session to whose host the address belongs.
    fn owner(&self, address: IpAddr, called: Option<&HashSet<IpAddr>>) -> Option<IpAddr> {
        if self.waiting.contains_key(&address) {
            return Some(address);
        }
        if self.wide == 0 {
            return None;
        }
        let mut waiting = self.waiting.iter();
        let by_name = waiting.find(|(_, waiter)| waiter.callee.has(address));
        let mut waiting = self.waiting.iter();
        let found = by_name.or_else(|| {
            waiting.find(|(_, waiter)| match waiter.callee.network_of(address) {
                // Somebody else's own address, unless the user has named just that.
                Some(network) => {
                    network.is_single() || !called.is_some_and(|all| all.contains(&address))
                }
                None => false,
            })
        });
        found.map(|(host, _)| *host)
    }

    fn remove(&mut self, host: IpAddr) -> Option<Waiter<C>> {
        let waiter = self.waiting.remove(&host)?;
        self.wide -= usize::from(waiter.callee.is_wide());
        Some(waiter)
    }
}

impl<L, C> Table<L, C> {
    /// A table without listeners; at most `most` of `ports` may be open at a time. With `networks` some
    /// hosts may call from networks that the user has named.
    pub(super) fn new(most: usize, ports: usize, networks: bool) -> Self {
        Table {
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

    /// True if there may be a port of which no host has been told.
    pub(super) fn has_unused_port(&self) -> bool {
        self.listeners.len() < self.ports
    }

    /// Takes a listener that was opened, as `None` of [`Open`] said it could be.
    pub(super) fn add(&mut self, port: u16, open: L) -> usize {
        self.open += 1;
        match self.index_of(port) {
            Some(index) => {
                self.listeners[index].open = Some(open);
                index
            }
            None => {
                self.listeners.push(Listener::new(port, open));
                self.listeners.len() - 1
            }
        }
    }

    fn index_of(&self, port: u16) -> Option<usize> {
        self.listeners.iter().position(|l| l.port == port)
    }

    /// The index of a listener on a port that has never been used.
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

    fn open_unused(&mut self, open: Open<'_, L>) -> Option<usize> {
        let (port, handle) = open(&|port| self.unused(port))?;
        Some(self.add(port, handle))
    }

    /// Finds a listener for a session. The error is the session itself, if it has to wait for one.
    pub(super) fn place(&mut self, callee: Callee, open: Open<'_, L>) -> Result<Place<C>, Callee> {
        // A host whose addresses are named needs no listener to itself.
        if callee.own_listener || callee.networks.is_none() {
            let all = 0..self.listeners.len();
            let unused = all
                .rev()
                .find(|&i| self.listeners[i].can_be_private(&callee));
            let limit = if callee.own_listener {
                self.most
            } else {
                KEPT.min(self.most)
            };
            if callee.own_listener && unused.is_none() && self.open >= self.most {
                self.close_idle();
            }
            let private = match unused {
                None if self.open < limit => self.open_unused(open),
                found => found,
            };
            if let Some(index) = private {
                return Ok(self.enlist(index, callee, true));
            }
            // When another session is served there may be one to be had.
            if callee.own_listener && self.has_unused_port() && self.somebody_waits() {
                return Err(callee);
            }
        }
        let late = |l: &Listener<L, C>| l.late.contains(&callee.host);
        if let Some(index) = self.least_crowded(&callee, |l| !late(l)) {
            return Ok(self.enlist(index, callee, false));
        }
        if self.open < self.most {
            // Ports that have been used before are good enough.
            let opened =
                open(&|port| self.closed(port)).or_else(|| open(&|port| self.unused(port)));
            if let Some((port, handle)) = opened {
                let index = self.add(port, handle);
                return Ok(self.enlist(index, callee, false));
            }
        }
        match self.least_crowded(&callee, |_| true) {
            Some(index) => Ok(self.enlist(index, callee, false)),
            None => Err(callee),
        }
    }

    fn somebody_waits(&self) -> bool {
        self.listeners.iter().any(|l| !l.waiting.is_empty())
    }

    /// Closes a listener on which nobody waits.
    fn close_idle(&mut self) {
        let mut listeners = self.listeners.iter_mut();
        let idle = listeners.find(|l| l.open.is_some() && l.waiting.is_empty());
        if let Some(idle) = idle {
            idle.open = None;
            self.open -= 1;
        }
    }

    fn least_crowded(
        &self,
        callee: &Callee,
        fits: impl Fn(&Listener<L, C>) -> bool,
    ) -> Option<usize> {
        let mut best: Option<(usize, usize)> = None;
        for (index, listener) in self.listeners.iter().enumerate() {
            let crowd = listener.waiting.len();
            if best.is_none_or(|(least, _)| crowd < least)
                && listener.can_be_shared(callee)
                && fits(listener)
            {
                best = Some((crowd, index));
            }
        }
        best.map(|(_, index)| index)
    }

    fn enlist(&mut self, index: usize, callee: Callee, private: bool) -> Place<C> {
        let id = self.next_id;
        self.next_id += 1;
        if let Some(called) = &mut self.called {
            called.extend(callee.others.iter().copied().chain([callee.host]));
        }
        let listener = &mut self.listeners[index];
        listener.users = match listener.users {
            Users::Nobody => Users::One(callee.host),
            Users::One(host) if host == callee.host => Users::One(host),
            Users::One(_) | Users::Several => Users::Several,
        };
        listener.private = private;
        listener.wide += usize::from(callee.is_wide());
        let (tell, words) = oneshot::channel();
        let host = callee.host;
        let waiter = Waiter {
            id,
            callee,
            answered: false,
            knows: false,
            tell,
        };
        listener.waiting.insert(host, waiter);
        Place {
            listener: index,
            port: listener.port,
            host,
            id,
            private,
            at_once: private || (self.expected >= TRUST_AFTER && !self.unexpected),
            words,
        }
    }

    /// Has a session wait until a listener can take it.
    pub(super) fn queue(&mut self, callee: Callee) -> oneshot::Receiver<Place<C>> {
        let (give, place) = oneshot::channel();
        self.queue.push_back(Queued { callee, give });
        place
    }

    /// Counts a call that is refused whoever waits for it.
    pub(super) fn refuse(&mut self, from: SocketAddr) {
        self.strays.add(from);
    }

    /// Gives a call to the session that it belongs to. A call that belongs to none is dropped, which resets it.
    pub(super) fn dispatch(
        &mut self,
        index: usize,
        connection: C,
        from: SocketAddr,
        open: Open<'_, L>,
    ) {
        let listener = &mut self.listeners[index];
        let owner = listener.owner(from.ip(), self.called.as_ref());
        if let Some(waiter) = owner.and_then(|host| listener.remove(host)) {
            self.expected = self.expected.saturating_add(1);
            // Not taken if the session has just ended, which is no news.
            let _ = waiter.tell.send(Word::Call(connection));
            return self.settle(index, open);
        }
        if listener.late.contains(&from.ip()) {
            // Its host has been given up and reported.
            return;
        }
        self.unexpected = true;
        let call = Call { connection, from };
        if listener.private {
            let host = listener.waiting.keys().next().copied();
            let answered = listener.waiting.values().any(|waiter| waiter.answered);
            // After several calls nobody can tell which one is the host's, and a further one changes nothing.
            let is_first = listener.unclaimed.is_empty();
            if answered
                && is_first
                && let Some(waiter) = host.and_then(|host| listener.remove(host))
            {
                let _ = waiter.tell.send(Word::Call(call.connection));
                return self.settle(index, open);
            }
            if listener.unclaimed.len() < MAX_UNCLAIMED {
                listener.unclaimed.push(call);
            } else {
                self.strays.add(from);
            }
        } else {
            self.strays.add(from);
        }
        listener.tell_all();
    }

    /// The call of a session whose daemon has answered, from whatever address, if there is exactly one.
    pub(super) fn claim(&mut self, place: &Place<C>, open: Open<'_, L>) -> Option<C> {
        let listener = &mut self.listeners[place.listener];
        let waiter = listener.waiting.get_mut(&place.host)?;
        if waiter.id != place.id {
            return None;
        }
        waiter.answered = true;
        if !listener.private || listener.unclaimed.len() != 1 {
            return None;
        }
        let call = listener.unclaimed.pop()?;
        listener.remove(place.host);
        self.settle(place.listener, open);
        Some(call.connection)
    }

    /// Ends a session's wait without a call, which may still come.
    pub(super) fn leave(&mut self, place: &Place<C>, open: Open<'_, L>) {
        let listener = &mut self.listeners[place.listener];
        let is_this = |waiter: &Waiter<C>| waiter.id == place.id;
        if !listener.waiting.get(&place.host).is_some_and(is_this) {
            return;
        }
        if let Some(waiter) = listener.remove(place.host) {
            listener.late.insert(place.host);
            listener.late.extend(waiter.callee.others.iter().copied());
        }
        self.settle(place.listener, open);
    }

    /// Puts a listener that has one session less to other use.
    fn settle(&mut self, index: usize, open: Open<'_, L>) {
        let listener = &mut self.listeners[index];
        if listener.waiting.is_empty() {
            listener.private = false;
            for call in listener.unclaimed.drain(..) {
                self.strays.add(call.from);
            }
        }
        self.serve(open);
        if self.listeners[index].waiting.is_empty() && self.open > KEPT {
            self.listeners[index].open = None;
            self.open -= 1;
            // That may be what another session needs to open one.
            self.serve(open);
        }
    }

    /// Finds listeners for sessions that wait for one.
    fn serve(&mut self, open: Open<'_, L>) {
        // What has failed once in this round fails again.
        let (mut hosts, mut own, mut named) = (HashSet::new(), false, false);
        let mut at = 0;
        while let Some(queued) = self.queue.get(at) {
            let callee = &queued.callee;
            let (needs_own, has_networks) = (callee.own_listener, callee.networks.is_some());
            let hopeless =
                hosts.contains(&callee.host) || own && needs_own || named && has_networks;
            if hopeless && !queued.give.is_closed() {
                at += 1;
                continue;
            }
            let Some(Queued { callee, give }) = self.queue.remove(at) else {
                return;
            };
            if give.is_closed() {
                continue;
            }
            match self.place(callee, open) {
                // Its receiver is there, as was just seen: nothing runs in between.
                Ok(place) => drop(give.send(place)),
                Err(callee) => {
                    hosts.insert(callee.host);
                    own |= needs_own;
                    named |= has_networks;
                    self.queue.insert(at, Queued { callee, give });
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

impl<L, C> Listener<L, C> {
    /// Tells every waiting session, once, of a call from elsewhere.
    fn tell_all(&mut self) {
        for waiter in self.waiting.values_mut().filter(|w| !w.knows) {
            waiter.knows = true;
            let (tell, more) = oneshot::channel();
            let told = std::mem::replace(&mut waiter.tell, tell);
            let _ = told.send(Word::Elsewhere(more));
        }
    }
}
