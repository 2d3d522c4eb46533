//! A whole fleet's rsh daemons in one process: started by `tests/lab/fleet`, in a network namespace where an address range
//! is local, it answers on port 514 of every address as in.rshd would, down to the call-back from a reserved port and the
//! server that closes first. No command runs: every host says `up 1 day`, and ends as the client's wrapper would.
//!
//! Whole networks of its hosts fail, each in its own way ([`Fault`]), for `fleet --faults`.
//!
//! It shares the machine with the client that is being measured, so it is one epoll loop with about ten system calls a
//! session.

use std::collections::VecDeque;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::{Duration, Instant};

use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::fd::OwnedFd;
use rustix::io::Errno;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, sockopt};
use rustix::process::{Resource, getrlimit};
use rustix::time::Timespec;

mod fault;
mod protocol;
mod socket;

use fault::{Fault, elsewhere, exit_status};
use protocol::{command, end_marker};
use socket::{connect_reserved, local_address, peer_address};

/// The number of times that [`Fault::Again`] calls, from each of two addresses.
const CALLS_AGAIN: u32 = 500;
/// The pause between two of these calls.
const AGAIN_AFTER: Duration = Duration::from_millis(2);

/// How late [`Fault::Slow`] answers.
const LATE: Duration = Duration::from_millis(1500);
/// rshd's service, `shell` in /etc/services.
const SHELL_PORT: u16 = 514;
/// What an epoll event carries when it is the listener's; a session's is its index, twice, and one more for the call-back.
const LISTENER: u64 = u64::MAX;
/// No rshd takes more; a client that sends more is cut off.
const LONGEST_REQUEST: usize = 64 * 1024;
/// Connections taken in a row before the open sessions are looked at again.
const ACCEPTS_AT_ONCE: usize = 256;
const NONBLOCKING: SocketFlags = SocketFlags::NONBLOCK.union(SocketFlags::CLOEXEC);

/// A connection that isn't answered yet.
struct Session {
    main: OwnedFd,
    /// The address that the client called: a call-back comes from there.
    called: Ipv4Addr,
    /// All that was read so far.
    request: Vec<u8>,
    callback: Callback,
    fault: Fault,
    /// All has been said: the session is kept until the client ends it.
    said: bool,
    /// Tells it from an earlier one with its index.
    serial: u64,
}

/// The second connection, for stderr.
enum Callback {
    /// The client hasn't said yet whether it wants one.
    Unknown,
    Unwanted,
    Connecting(OwnedFd),
    Connected(
        #[expect(
            dead_code,
            reason = "held to be closed together with the main connection"
        )]
        OwnedFd,
    ),
}

struct Responder {
    epoll: OwnedFd,
    listener: OwnedFd,
    sessions: Vec<Option<Session>>,
    /// Indices in `sessions` that are free.
    free: Vec<usize>,
    /// So many sessions have two descriptors each; the next ones wait in the listener's queue.
    most_sessions: usize,
    /// Whether the listener's events are asked for.
    accepting: bool,
    /// The reserved port that the next call-back leaves from.
    next_port: u16,
    reply: Vec<u8>,
    serial: u64,
    /// Sessions that answer late, by time: their index and serial number.
    late: VecDeque<(Instant, usize, u64)>,
    /// Calls that [`Fault::Again`] has still to make: when, from where, to where, and how many.
    again: VecDeque<(Instant, Ipv4Addr, SocketAddrV4, u32)>,
    /// The connections of the last such calls.
    kept: VecDeque<OwnedFd>,
}

fn main() -> std::io::Result<()> {
    Err(Responder::listen()?.serve().into())
}

impl Responder {
    fn listen() -> Result<Self, Errno> {
        let listener =
            rustix::net::socket_with(AddressFamily::INET, SocketType::STREAM, NONBLOCKING, None)?;
        sockopt::set_socket_reuseaddr(&listener, true)?;
        rustix::net::bind(
            &listener,
            &SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, SHELL_PORT),
        )?;
        rustix::net::listen(&listener, 65_535)?;
        let descriptors = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
        let most_sessions = usize::try_from(descriptors / 2)
            .unwrap_or(usize::MAX)
            .saturating_sub(16);
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        epoll::add(
            &epoll,
            &listener,
            EventData::new_u64(LISTENER),
            EventFlags::IN,
        )?;
        Ok(Self {
            epoll,
            listener,
            sessions: Vec::new(),
            free: Vec::new(),
            most_sessions,
            accepting: true,
            next_port: 1023,
            reply: Vec::new(),
            serial: 0,
            late: VecDeque::new(),
            again: VecDeque::new(),
            kept: VecDeque::new(),
        })
    }

    /// Runs until it is killed, or returns what went wrong with epoll itself.
    fn serve(mut self) -> Errno {
        let mut events: Vec<Event> = Vec::with_capacity(1024);
        loop {
            let late = self.late.front().map(|&(at, ..)| at);
            let again = self.again.front().map(|&(at, ..)| at);
            let timeout = late.into_iter().chain(again).min().map(|at| {
                // A nanosecond late rather than early.
                let left = at.saturating_duration_since(Instant::now()) + Duration::from_nanos(1);
                Timespec::try_from(left).expect("is shorter than a day")
            });
            match epoll::wait(&self.epoll, spare_capacity(&mut events), timeout.as_ref()) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(errno) => return errno,
            }
            // New sessions last: an index that one of these events frees must not have a new owner while a second event
            // for the old one is still in the list.
            let mut accept = false;
            for event in events.drain(..) {
                match event.data.u64() {
                    LISTENER => accept = true,
                    data => {
                        let index =
                            usize::try_from(data / 2).expect("was a usize when it was registered");
                        if data % 2 == 0 {
                            self.main_is_ready(index)
                        } else {
                            self.callback_is_ready(index)
                        }
                    }
                }
            }
            self.answer_the_late();
            self.call_again();
            if accept {
                for _ in 0..ACCEPTS_AT_ONCE {
                    match rustix::net::accept_with(&self.listener, NONBLOCKING) {
                        Ok(main) => self.accepted(main),
                        Err(Errno::CONNABORTED) => {}
                        Err(_) => break,
                    }
                }
            }
            let room = self.sessions.len() - self.free.len() + ACCEPTS_AT_ONCE < self.most_sessions;
            if room != self.accepting {
                let flags = if room {
                    EventFlags::IN
                } else {
                    EventFlags::empty()
                };
                if let Err(errno) = epoll::modify(
                    &self.epoll,
                    &self.listener,
                    EventData::new_u64(LISTENER),
                    flags,
                ) {
                    return errno;
                }
                self.accepting = room;
            }
        }
    }

    fn accepted(&mut self, main: OwnedFd) {
        let Some(called) = local_address(&main) else {
            return;
        };
        let session = Session {
            main,
            called,
            request: Vec::new(),
            callback: Callback::Unknown,
            fault: Fault::of(called),
            said: false,
            serial: self.serial,
        };
        self.serial += 1;
        let index = self.free.pop().unwrap_or_else(|| {
            self.sessions.push(None);
            self.sessions.len() - 1
        });
        self.sessions[index] = Some(session);
        if Fault::of(called) == Fault::Silent {
            // Only the client's own end is worth an event.
            self.watch(index, false, EventFlags::RDHUP);
        } else {
            // Most clients' whole request is there by now, which saves the registration.
            self.main_is_ready(index);
            if self.sessions[index]
                .as_ref()
                .is_some_and(|session| command(&session.request).is_none())
            {
                self.watch(index, false, EventFlags::IN);
            }
        }
    }

    /// Asks for the events of a session's main connection, or of its call-back.
    fn watch(&self, index: usize, callback: bool, flags: EventFlags) {
        let socket = match &self.sessions[index] {
            Some(Session {
                callback: Callback::Connecting(socket),
                ..
            }) if callback => socket,
            Some(session) => &session.main,
            None => return,
        };
        let data = EventData::new_u64(index as u64 * 2 + u64::from(callback));
        // Out of memory for epoll is the one way to fail; the session then hangs, which its client reports.
        let _ = epoll::add(&self.epoll, socket, data, flags);
    }

    fn main_is_ready(&mut self, index: usize) {
        if !self.read(index) {
            self.end(index);
        }
    }

    /// Reads what has come on the main connection and goes on with the session. False: the connection is over.
    fn read(&mut self, index: usize) -> bool {
        let Some(session) = &mut self.sessions[index] else {
            return true;
        };
        if session.fault == Fault::Silent {
            return false;
        }
        let mut buffer = [0; 4096];
        match rustix::net::recv(&session.main, &mut buffer, RecvFlags::empty()) {
            // A client may end its side once it has said all; an event for that comes only once.
            Ok((_, 0)) if session.said => return false,
            Ok((_, 0)) => {
                return command(&session.request).is_some()
                    && epoll::delete(&self.epoll, &session.main).is_ok();
            }
            Ok((_, count)) => session.request.extend_from_slice(&buffer[..count]),
            Err(Errno::AGAIN | Errno::INTR) => return true,
            Err(_) => return false,
        }
        if session.request.len() > LONGEST_REQUEST {
            return false;
        }
        if matches!(session.callback, Callback::Unknown) && !self.call_back(index) {
            return false;
        }
        self.answer_if_complete(index);
        true
    }

    /// Starts the connection to the client's listener if the request has come far enough to say where that is. As in
    /// the daemons, a failure ends the session without a word.
    fn call_back(&mut self, index: usize) -> bool {
        let Some(session) = &mut self.sessions[index] else {
            return true;
        };
        let Some(end) = session.request.iter().position(|&byte| byte == 0) else {
            return true;
        };
        let port = match std::str::from_utf8(&session.request[..end]) {
            Ok("") => Ok(0),
            digits => digits.unwrap_or_default().parse::<u16>(),
        };
        let (called, client) = (session.called, peer_address(&session.main));
        match (port, client) {
            _ if session.fault == Fault::NoCallback => session.callback = Callback::Unwanted,
            (Ok(0), _) => session.callback = Callback::Unwanted,
            (Ok(port), Some(client)) => {
                let client = SocketAddrV4::new(client, port);
                let from = match session.fault {
                    Fault::Elsewhere | Fault::ElsewhereSlow => elsewhere(called),
                    _ => called,
                };
                if session.fault == Fault::Again {
                    let first = Instant::now() + AGAIN_AFTER;
                    self.again.push_back((first, called, client, CALLS_AGAIN));
                }
                let Some(socket) = connect_reserved(from, client, &mut self.next_port, NONBLOCKING)
                else {
                    return false;
                };
                session.callback = Callback::Connecting(socket);
                self.watch(index, true, EventFlags::OUT | EventFlags::ONESHOT);
            }
            _ => return false,
        }
        true
    }

    fn callback_is_ready(&mut self, index: usize) {
        let Some(session) = &mut self.sessions[index] else {
            return;
        };
        let Callback::Connecting(socket) =
            std::mem::replace(&mut session.callback, Callback::Unwanted)
        else {
            return;
        };
        if !matches!(sockopt::socket_error(&socket), Ok(Ok(()))) {
            self.end(index);
            return;
        }
        session.callback = Callback::Connected(socket);
        self.answer_if_complete(index);
    }

    /// Says the accepting zero byte, the output and the end marker, and closes, if everything is there to do so.
    fn answer_if_complete(&mut self, index: usize) {
        let Some(session) = &self.sessions[index] else {
            return;
        };
        if !matches!(
            session.callback,
            Callback::Unwanted | Callback::Connected(_)
        ) {
            return;
        }
        let Some(command) = command(&session.request) else {
            return;
        };
        let (fault, called, serial) = (session.fault, session.called, session.serial);
        if session.said {
            return;
        }
        self.reply.clear();
        match fault {
            Fault::Close | Fault::Reset => {}
            Fault::Denied => self.reply.extend_from_slice(b"\x01Permission denied.\n"),
            Fault::Stranger => self.reply.extend_from_slice(b"220 ftp ready\r\n"),
            Fault::DeniedLate => self.reply.extend_from_slice(b"\0Authentication failure\n"),
            _ => self.reply.extend_from_slice(b"\0up 1 day\n"),
        }
        match fault {
            Fault::None
            | Fault::Slow
            | Fault::NoCallback
            | Fault::Elsewhere
            | Fault::ElsewhereSlow
            | Fault::Again => {
                end_marker(command, 0, &mut self.reply);
            }
            Fault::Exit => end_marker(command, exit_status(called), &mut self.reply),
            _ => {}
        }
        if matches!(fault, Fault::Slow | Fault::ElsewhereSlow) {
            let at = Instant::now() + LATE;
            self.late.push_back((at, index, serial));
            self.outlive(index);
            return;
        }
        self.say(index);
        match fault {
            Fault::Hang | Fault::NoCallback => self.outlive(index),
            Fault::Reset | Fault::Lost => {
                if let Some(session) = &self.sessions[index] {
                    // Fails only on a socket that is gone.
                    let _ = sockopt::set_socket_linger(&session.main, Some(Duration::ZERO));
                }
                self.end(index);
            }
            _ => self.end(index),
        }
    }

    /// Sends the reply.
    fn say(&self, index: usize) {
        if let Some(session) = &self.sessions[index]
            && !self.reply.is_empty()
        {
            // A client that has gone needs no answer, and a socket's empty buffer takes this much at once.
            let _ = rustix::net::send(&session.main, &self.reply, SendFlags::NOSIGNAL);
        }
    }

    /// Leaves the end of a session to its client.
    fn outlive(&mut self, index: usize) {
        if let Some(session) = &mut self.sessions[index] {
            session.said = true;
        }
        // Where the request came in pieces it is watched already.
        self.watch(index, false, EventFlags::IN);
    }

    /// Answers for those hosts whose time has come.
    fn answer_the_late(&mut self) {
        while let Some(&(at, index, serial)) = self.late.front() {
            if at > Instant::now() {
                return;
            }
            self.late.pop_front();
            if let Some(session) = &self.sessions[index]
                && session.serial == serial
                && let Some(command) = command(&session.request)
            {
                self.reply.clear();
                self.reply.extend_from_slice(b"\0up 1 day\n");
                end_marker(command, 0, &mut self.reply);
                self.say(index);
                self.end(index);
            }
        }
    }

    /// Makes the next calls that nobody has asked for, with something that looks like standard error.
    fn call_again(&mut self) {
        while let Some(&(at, called, client, left)) = self.again.front() {
            if at > Instant::now() {
                return;
            }
            self.again.pop_front();
            let mut is_open = false;
            for from in [called, elsewhere(called)] {
                // A client on the other end of the cable accepts or refuses at once.
                let flags = SocketFlags::CLOEXEC;
                if let Some(socket) = connect_reserved(from, client, &mut self.next_port, flags) {
                    is_open = true;
                    let _ = rustix::net::send(&socket, b"forged\n", SendFlags::NOSIGNAL);
                    self.kept.push_back(socket);
                }
            }
            while self.kept.len() > 64 {
                self.kept.pop_front();
            }
            // Once its listener is closed, the port may be another run's.
            if is_open && left > 1 {
                let at = Instant::now() + AGAIN_AFTER;
                self.again.push_back((at, called, client, left - 1));
            }
        }
    }

    /// Closes both connections, which takes them out of epoll too.
    fn end(&mut self, index: usize) {
        self.sessions[index] = None;
        self.free.push(index);
    }
}
