//! The rsh daemons of a whole fleet in one process. `tests/lab/fleet` starts it in a network namespace in which an
//! address range is local. It answers on port 514 of every address as in.rshd does: it calls back from a reserved port
//! and closes first. No command runs: every host prints `up 1 day`, and then the end marker of the client's wrapper.
//!
//! For `fleet --faults`, all hosts of some networks fail, with one [`Fault`] for each network.
//!
//! The responder uses the CPU of the machine on which the client is measured. Therefore it is one epoll loop with about
//! ten system calls for each session.

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

/// Delay of the answer of [`Fault::Slow`].
const LATE: Duration = Duration::from_millis(1500);
/// rshd's service, `shell` in /etc/services.
const SHELL_PORT: u16 = 514;
/// Data of an epoll event of the listener. For a session it is twice the index, plus one for the call-back.
const LISTENER: u64 = u64::MAX;
/// Maximum length of a request. No rshd accepts more, so a client that sends more is disconnected.
const LONGEST_REQUEST: usize = 64 * 1024;
/// Maximum number of connections that are accepted before the events of open sessions are handled.
const ACCEPTS_AT_ONCE: usize = 256;
const NONBLOCKING: SocketFlags = SocketFlags::NONBLOCK.union(SocketFlags::CLOEXEC);

/// A session that has not ended.
struct Session {
    main: OwnedFd,
    /// The address that the client called: a call-back comes from there.
    called: Ipv4Addr,
    /// The part of the request that was read so far.
    request: Vec<u8>,
    callback: Callback,
    fault: Fault,
    /// True if the whole answer was sent. The session is kept until the client ends it.
    said: bool,
    /// Number that distinguishes the session from an earlier one with the same index.
    serial: u64,
}

/// The second connection, for stderr.
enum Callback {
    /// The request does not show yet if the client wants a call-back.
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
    /// Maximum number of sessions, by the limit of descriptors. Each needs two. Others wait in the queue of the
    /// listener.
    most_sessions: usize,
    /// True if events of the listener are enabled.
    accepting: bool,
    /// The reserved port that the next call-back leaves from.
    next_port: u16,
    reply: Vec<u8>,
    serial: u64,
    /// Sessions that answer late, by time: their index and serial number.
    late: VecDeque<(Instant, usize, u64)>,
    /// Further calls of [`Fault::Again`]: time, source, destination, and number of calls left.
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

    /// Runs until the process is killed. Returns only an error of epoll itself.
    fn serve(mut self) -> Errno {
        let mut events: Vec<Event> = Vec::with_capacity(1024);
        loop {
            let late = self.late.front().map(|&(at, ..)| at);
            let again = self.again.front().map(|&(at, ..)| at);
            let timeout = late.into_iter().chain(again).min().map(|at| {
                // Rounded up, so that the wait never ends too early.
                let left = at.saturating_duration_since(Instant::now()) + Duration::from_nanos(1);
                Timespec::try_from(left).expect("is shorter than a day")
            });
            match epoll::wait(&self.epoll, spare_capacity(&mut events), timeout.as_ref()) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(errno) => return errno,
            }
            // New sessions are accepted last: an event may free an index, and a later event in the list may still be
            // for the old session with that index.
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
            // Only the end of the connection by the client needs an event.
            self.watch(index, false, EventFlags::RDHUP);
        } else {
            // The request of most clients has arrived by now, so epoll is not needed for it.
            self.main_is_ready(index);
            if self.sessions[index]
                .as_ref()
                .is_some_and(|session| command(&session.request).is_none())
            {
                self.watch(index, false, EventFlags::IN);
            }
        }
    }

    /// Registers the main connection of a session, or its call-back, with epoll.
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
        // The call fails only without memory. The session then hangs, and its client reports that.
        let _ = epoll::add(&self.epoll, socket, data, flags);
    }

    fn main_is_ready(&mut self, index: usize) {
        if !self.read(index) {
            self.end(index);
        }
    }

    /// Reads from the main connection and continues the session. Returns false if the connection has ended.
    fn read(&mut self, index: usize) -> bool {
        let Some(session) = &mut self.sessions[index] else {
            return true;
        };
        if session.fault == Fault::Silent {
            return false;
        }
        let mut buffer = [0; 4096];
        match rustix::net::recv(&session.main, &mut buffer, RecvFlags::empty()) {
            // A client may half-close after the whole answer was sent. There is only one event for that.
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

    /// Starts the connection to the client's listener if the port in the request has arrived. As in rshd, a failure
    /// ends the session without a message.
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

    /// Sends the status byte, the output and the end marker, and closes, if the request and the call-back are complete.
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
                    // The call fails only on a closed socket.
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
            // A client that has disconnected needs no answer. The empty buffer of the socket is larger than the reply.
            let _ = rustix::net::send(&session.main, &self.reply, SendFlags::NOSIGNAL);
        }
    }

    /// Keeps the session open until its client ends it.
    fn outlive(&mut self, index: usize) {
        if let Some(session) = &mut self.sessions[index] {
            session.said = true;
        }
        // If the request came in pieces, the connection is registered already.
        self.watch(index, false, EventFlags::IN);
    }

    /// Answers for the hosts whose delay is over.
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

    /// Makes the next unrequested calls, and sends text on them as if it were standard error.
    fn call_again(&mut self) {
        while let Some(&(at, called, client, left)) = self.again.front() {
            if at > Instant::now() {
                return;
            }
            self.again.pop_front();
            let mut is_open = false;
            for from in [called, elsewhere(called)] {
                // The client is on the same machine and accepts or refuses at once.
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
            // After the listener is closed, another run may use the port.
            if is_open && left > 1 {
                let at = Instant::now() + AGAIN_AFTER;
                self.again.push_back((at, called, client, left - 1));
            }
        }
    }

    /// Closes both connections. The kernel then removes them from epoll.
    fn end(&mut self, index: usize) {
        self.sessions[index] = None;
        self.free.push(index);
    }
}
