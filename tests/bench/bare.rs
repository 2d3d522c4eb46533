//! A minimal rsh client, to compare with the cost of mrsh: the same connections, reserved ports, shared listeners and
//! wrapper, but no output, no timeouts, no retries, and only IPv4 addresses. Run by `tests/bench/run`.
//!
//! usage: `bare FANOUT FILE`: runs `uptime` on every address of FILE, FANOUT of them at a time.

#![expect(
    clippy::print_stdout,
    reason = "a benchmark's client says what it counted"
)]

use std::collections::HashMap;
use std::env;
use std::error::Error;
use std::fs;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::process::ExitCode;

use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::fd::OwnedFd;
use rustix::io::Errno;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, sockopt};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Listeners for stderr connections are on the first ports from 1023 downward that another client left usable; those below
/// are for main connections.
const LISTENERS: usize = 32;
/// A request without the port at its start.
const REQUEST: &str = concat!(
    "root\0root\0exec /bin/sh -c '\"${SHELL:-/bin/sh}\" -c \"$1\" ",
    "</dev/null;printf \"0123456789abc:%d\\n\" $?' sh 'uptime'\0"
);
const MARKER: &[u8] = b"\n0123456789abc:0\n";
const NONBLOCKING: SocketFlags = SocketFlags::NONBLOCK.union(SocketFlags::CLOEXEC);

/// The subject of an event, in the number of the event.
const MAIN: u64 = 0;
const STDERR: u64 = 1 << 32;
const LISTENER: u64 = 2 << 32;
const KIND: u64 = 3 << 32;

struct Session {
    main: Option<OwnedFd>,
    stderr: Option<OwnedFd>,
    host: Ipv4Addr,
    asked: bool,
    stdout: Vec<u8>,
}

struct Client {
    epoll: OwnedFd,
    /// Listeners, each with its port.
    listeners: Vec<(OwnedFd, u16)>,
    sessions: Vec<Option<Session>>,
    free: Vec<usize>,
    /// Session of a caller, for its stderr connection.
    by_host: HashMap<Ipv4Addr, usize>,
    highest_port: u16,
    next_port: u16,
    succeeded: usize,
    failed: usize,
}

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let arguments: Vec<String> = env::args().collect();
    let [_, fanout, file] = &arguments[..] else {
        return Err("usage: bare FANOUT FILE".into());
    };
    let fanout: usize = fanout.parse()?;
    let hosts: Vec<Ipv4Addr> = fs::read_to_string(file)?
        .lines()
        .map(str::parse)
        .collect::<Result<_, _>>()?;
    let limit = getrlimit(Resource::Nofile);
    setrlimit(
        Resource::Nofile,
        Rlimit {
            current: limit.maximum,
            maximum: limit.maximum,
        },
    )?;

    let mut client = Client::new()?;
    let mut waiting = hosts.iter().copied();
    for host in waiting.by_ref().take(fanout) {
        client.start(host)?;
    }
    let mut events: Vec<Event> = Vec::with_capacity(1024);
    while client.free.len() < client.sessions.len() {
        match epoll::wait(&client.epoll, spare_capacity(&mut events), None) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
        let mut ended = 0;
        for event in events.drain(..) {
            let data = event.data.u64();
            let index = usize::try_from(data & !KIND).expect("was a usize when it was registered");
            ended += usize::from(match data & KIND {
                LISTENER => {
                    client.callbacks(index)?;
                    false
                }
                kind => client.ready(index, kind == MAIN),
            });
        }
        // New sessions start after the whole list, so that no event of an old session is used for a new one at the same
        // index.
        for host in waiting.by_ref().take(ended) {
            client.start(host)?;
        }
    }
    println!(
        "{} of {} succeeded, {} failed",
        client.succeeded,
        hosts.len(),
        client.failed
    );
    Ok(ExitCode::from(u8::from(client.succeeded < hosts.len())))
}

impl Client {
    fn new() -> Result<Self, Errno> {
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        let mut listeners = Vec::new();
        let mut port = 1023;
        while listeners.len() < LISTENERS {
            let listener = reserved_socket(&mut port, 1023)?;
            match rustix::net::listen(&listener, 4096) {
                Ok(()) => {}
                Err(Errno::ADDRINUSE) => continue,
                Err(errno) => return Err(errno),
            }
            let data = EventData::new_u64(LISTENER | listeners.len() as u64);
            epoll::add(&epoll, &listener, data, EventFlags::IN)?;
            listeners.push((listener, port + 1));
        }
        Ok(Self {
            epoll,
            listeners,
            sessions: Vec::new(),
            free: Vec::new(),
            by_host: HashMap::new(),
            highest_port: port,
            next_port: port,
            succeeded: 0,
            failed: 0,
        })
    }

    fn start(&mut self, host: Ipv4Addr) -> Result<(), Errno> {
        // Every host is another peer, so any port can be used for any host.
        let main = reserved_socket(&mut self.next_port, self.highest_port)?;
        match rustix::net::connect(&main, &SocketAddrV4::new(host, 514)) {
            Ok(()) | Err(Errno::INPROGRESS) => {}
            Err(errno) => return Err(errno),
        }
        let index = self.free.pop().unwrap_or_else(|| {
            self.sessions.push(None);
            self.sessions.len() - 1
        });
        let data = EventData::new_u64(MAIN | index as u64);
        epoll::add(
            &self.epoll,
            &main,
            data,
            EventFlags::IN | EventFlags::OUT | EventFlags::ET,
        )?;
        self.by_host.insert(host, index);
        self.sessions[index] = Some(Session {
            main: Some(main),
            stderr: None,
            host,
            asked: false,
            stdout: Vec::new(),
        });
        Ok(())
    }

    /// Accepts the stderr connections of a listener.
    fn callbacks(&mut self, listener: usize) -> Result<(), Errno> {
        while let Ok((socket, Some(peer))) =
            rustix::net::acceptfrom_with(&self.listeners[listener].0, NONBLOCKING)
        {
            let Ok(peer) = SocketAddrV4::try_from(peer) else {
                continue;
            };
            let Some(&index) = self.by_host.get(peer.ip()) else {
                continue;
            };
            let Some(session) = &mut self.sessions[index] else {
                continue;
            };
            let data = EventData::new_u64(STDERR | index as u64);
            epoll::add(&self.epoll, &socket, data, EventFlags::IN | EventFlags::ET)?;
            session.stderr = Some(socket);
        }
        Ok(())
    }

    /// Reads or writes on a ready connection of a session. Returns true if the session has ended.
    fn ready(&mut self, index: usize, is_main: bool) -> bool {
        let Some(session) = &mut self.sessions[index] else {
            return false;
        };
        let socket = if is_main {
            &mut session.main
        } else {
            &mut session.stderr
        };
        let Some(fd) = socket else { return false };
        if is_main && !session.asked {
            session.asked = true;
            let (_, port) = &self.listeners[index % LISTENERS];
            let request = format!("{port}\0{REQUEST}");
            if rustix::net::send(&*fd, request.as_bytes(), SendFlags::NOSIGNAL).is_err() {
                return self.end(index);
            }
        }
        let mut buffer = [0; 16 * 1024];
        loop {
            match rustix::net::recv(&*fd, &mut buffer, RecvFlags::empty()) {
                Ok((_, 0)) => break,
                Ok((_, count)) if is_main => session.stdout.extend_from_slice(&buffer[..count]),
                Ok(_) => {}
                Err(Errno::AGAIN) => return false,
                Err(_) => return self.end(index),
            }
        }
        // The remote side has closed first, so closing here leaves no TIME_WAIT on this machine.
        *socket = None;
        session.main.is_none() && session.stderr.is_none() && self.end(index)
    }

    fn end(&mut self, index: usize) -> bool {
        if let Some(session) = self.sessions[index].take() {
            self.by_host.remove(&session.host);
            let success = session.stdout.first() == Some(&0) && session.stdout.ends_with(MARKER);
            if success {
                self.succeeded += 1
            } else {
                self.failed += 1
            }
            self.free.push(index);
        }
        true
    }
}

/// A socket bound to the first usable port from `next` downward. Sets `next` to the port below it, or to `highest`
/// after
/// 512.
fn reserved_socket(next: &mut u16, highest: u16) -> Result<OwnedFd, Errno> {
    let socket =
        rustix::net::socket_with(AddressFamily::INET, SocketType::STREAM, NONBLOCKING, None)?;
    sockopt::set_socket_reuseaddr(&socket, true)?;
    for _ in 512..=1023 {
        let port = *next;
        *next = if port == 512 { highest } else { port - 1 };
        match rustix::net::bind(&socket, &SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, port)) {
            Ok(()) => return Ok(socket),
            Err(Errno::ADDRINUSE) => {}
            Err(errno) => return Err(errno),
        }
    }
    Err(Errno::ADDRINUSE)
}
