//! A small ssh server that follows a script. It follows the protocol, except at the steps that a test changes.
//!
//! It offers one method of each kind. It stores no password and no key of a client. It records only that a login was
//! requested, for tests that assert that none was.

mod exchange;
mod listen;
mod session;
mod wire;

pub(crate) use exchange::{HostKey, METHODS, list, methods_with, offer};
pub(crate) use listen::{Sshd, known_hosts_line};
pub(crate) use session::{
    OUTPUT, STATUS, Stage, confirmation, data, eof, exit_status, extended, request, service_accept,
    to, userauth_failure,
};
pub(crate) use wire::{Message, frame, framed};

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex};

use wire::{Duplex, Fields, Wire};

/// Password and command of the tests, by which the server recognises them wherever they occur.
pub(crate) const PASSWORD: &str = "sesame-of-the-test";
pub(crate) const COMMAND: &str = "command-of-the-test";

/// Numbers of messages.
pub(crate) mod kind {
    pub(crate) const DISCONNECT: u8 = 1;
    pub(crate) const IGNORE: u8 = 2;
    pub(crate) const UNIMPLEMENTED: u8 = 3;
    pub(crate) const DEBUG: u8 = 4;
    pub(crate) const SERVICE_REQUEST: u8 = 5;
    pub(crate) const SERVICE_ACCEPT: u8 = 6;
    pub(crate) const EXT_INFO: u8 = 7;
    pub(crate) const KEXINIT: u8 = 20;
    pub(crate) const NEWKEYS: u8 = 21;
    pub(crate) const KEX_ECDH_INIT: u8 = 30;
    pub(crate) const KEX_ECDH_REPLY: u8 = 31;
    pub(crate) const USERAUTH_REQUEST: u8 = 50;
    pub(crate) const USERAUTH_FAILURE: u8 = 51;
    pub(crate) const USERAUTH_SUCCESS: u8 = 52;
    pub(crate) const USERAUTH_BANNER: u8 = 53;
    pub(crate) const USERAUTH_PK_OK: u8 = 60;
    pub(crate) const GLOBAL_REQUEST: u8 = 80;
    pub(crate) const REQUEST_SUCCESS: u8 = 81;
    pub(crate) const REQUEST_FAILURE: u8 = 82;
    pub(crate) const CHANNEL_OPEN: u8 = 90;
    pub(crate) const CHANNEL_OPEN_CONFIRMATION: u8 = 91;
    pub(crate) const CHANNEL_OPEN_FAILURE: u8 = 92;
    pub(crate) const CHANNEL_WINDOW_ADJUST: u8 = 93;
    pub(crate) const CHANNEL_DATA: u8 = 94;
    pub(crate) const CHANNEL_EXTENDED_DATA: u8 = 95;
    pub(crate) const CHANNEL_EOF: u8 = 96;
    pub(crate) const CHANNEL_CLOSE: u8 = 97;
    pub(crate) const CHANNEL_REQUEST: u8 = 98;
    pub(crate) const CHANNEL_SUCCESS: u8 = 99;
    pub(crate) const CHANNEL_FAILURE: u8 = 100;
}

/// Maximum number of messages that wait for the step that reads them.
const MAX_QUEUE: usize = 1000;

/// Events that a server has seen on all its connections.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Seen {
    /// Connections that were made.
    pub(crate) connections: usize,
    /// Methods of the requests to log in.
    pub(crate) logins: Vec<String>,
    /// True if the password was in some message.
    pub(crate) password: bool,
    /// True if the command was in some message.
    pub(crate) command: bool,
    /// Command lines of the requests for commands.
    pub(crate) command_lines: Vec<String>,
}

impl Seen {
    /// True if the client sent neither the password nor the command, and did not request a login.
    pub(crate) fn nothing(&self) -> bool {
        self.logins.is_empty() && !self.password && !self.command
    }
}

/// One connection of the server, and its state.
pub(crate) struct Talk {
    pub(crate) wire: Wire,
    /// The version that the server names.
    pub(crate) version: String,
    /// The server's own key.
    pub(crate) key: HostKey,
    /// The client's number of the channel, if a channel is open.
    pub(crate) channel: u32,
    /// Initial window of the client on the channel, in bytes.
    window: u32,
    seen: Arc<Mutex<Seen>>,
    client_version: Vec<u8>,
    client_offer: Vec<u8>,
    own_offer: Vec<u8>,
    session: Option<Vec<u8>>,
    queue: VecDeque<Vec<u8>>,
    /// True if the client has sent the disconnect message.
    over: bool,
}

impl Talk {
    /// A connection on which nothing has been sent.
    pub(crate) fn new(stream: Box<dyn Duplex>, key: HostKey, seen: Arc<Mutex<Seen>>) -> Talk {
        Talk {
            wire: Wire::new(stream),
            version: "SSH-2.0-scripted".to_owned(),
            key,
            channel: 0,
            window: 0,
            seen,
            client_version: Vec::new(),
            client_offer: Vec::new(),
            own_offer: Vec::new(),
            session: None,
            queue: VecDeque::new(),
            over: false,
        }
    }

    /// Sends a message.
    pub(crate) fn send(&mut self, message: &[u8]) -> io::Result<()> {
        self.wire.send(message)
    }

    /// Sends several messages at once, so that they arrive in one read.
    pub(crate) fn send_together(&mut self, messages: &[Vec<u8>]) -> io::Result<()> {
        let mut packets = Vec::new();
        for message in messages {
            packets.extend(self.wire.seal(&frame(message)));
        }
        self.wire.send_bytes(&packets)
    }

    /// Sends a packet of any form, encrypted as the others are.
    pub(crate) fn send_packet(&mut self, packet: &[u8]) -> io::Result<()> {
        let packet = self.wire.seal(packet);
        self.wire.send_bytes(&packet)
    }

    /// Waits for a message of a kind. Other messages are kept for later calls.
    pub(crate) fn until(&mut self, kind: u8) -> io::Result<Vec<u8>> {
        let place = self.queue.iter().position(|message| message[0] == kind);
        if let Some(message) = place.and_then(|place| self.queue.remove(place)) {
            return Ok(message);
        }
        loop {
            let message = self.receive()?;
            if message[0] == kind {
                return Ok(message);
            }
            if self.queue.len() < MAX_QUEUE {
                self.queue.push_back(message);
            }
        }
    }

    /// Reads everything until the client sends the disconnect message, or closes.
    pub(crate) fn listen(&mut self) {
        while self.receive().is_ok() {}
        if !self.over {
            self.wire.drain();
        }
    }

    /// Reads a message and records the event in it. Answers global requests.
    fn receive(&mut self) -> io::Result<Vec<u8>> {
        if self.over {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let message = self.wire.receive()?;
        self.note(&message);
        if message[0] == kind::DISCONNECT {
            self.over = true;
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if message[0] == kind::GLOBAL_REQUEST {
            let mut fields = Fields(&message[1..]);
            fields.text()?;
            if fields.byte()? != 0 {
                self.send(&[kind::REQUEST_FAILURE])?;
            }
        }
        Ok(message)
    }

    fn note(&self, message: &[u8]) {
        let has = |text: &str| memchr::memmem::find(message, text.as_bytes()).is_some();
        let mut seen = self.seen.lock().unwrap();
        seen.password |= has(PASSWORD);
        seen.command |= has(COMMAND);
        if message[0] == kind::USERAUTH_REQUEST {
            let method = session::login_method(message).unwrap_or_default();
            seen.logins.push(method);
        }
    }
}
