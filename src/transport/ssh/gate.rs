//! Parser of the plain text at the start of an ssh connection, in both directions. No I/O.
//!
//! libssh2 accepts messages before the server has proved its identity that it should refuse (see
//! `docs/ssh-safety.md`), so its state after a handshake proves nothing. A [`Gate`] stands between libssh2 and
//! the network. It parses all packets of the first key exchange and lets nothing pass but these:
//!
//! | from the server | from the client |
//! | --- | --- |
//! | its version line | its version line |
//! | one KEXINIT | one KEXINIT |
//! | the answer to each message of the agreed key exchange | the messages of that key exchange |
//! | one NEWKEYS | one NEWKEYS |
//!
//! libssh2 sends NEWKEYS only after it has verified the server's signature. Its NEWKEYS is therefore the proof, and
//! the key in the server's last answer is the key that is proved. All data from the server's own NEWKEYS on is held
//! back until then. Encrypted data is held back until the gate is [opened](Gate::open).

use super::greeting::Greeting;
use kexinit::KexInit;
use ssh_files::WireReader;

mod kexinit;
#[cfg(test)]
mod tests;

pub use kexinit::Methods;

/// Maximum length of a packet in plain text, its length field included: the limit of RFC 4253, section 6.1.
const MAX_PACKET: usize = 35_000;

/// Minimum length of a packet, likewise.
const MIN_PACKET: usize = 16;

/// Maximum length of a version line, its end included (RFC 4253, section 4.2).
const MAX_VERSION: usize = 255;

/// Maximum number of bytes that a server may send before the proof: many times what any key exchange needs.
const MAX_BEFORE_PROOF: usize = 256 * 1024;

/// Numbers of messages (RFC 4253, section 12).
const DISCONNECT: u8 = 1;
const DEBUG: u8 = 4;
const KEXINIT: u8 = 20;
const NEWKEYS: u8 = 21;

/// Parser of both directions of a connection.
#[derive(Debug, Default)]
pub struct Gate {
    greeting: Greeting,
    server: ServerState,
    client: ClientState,
    /// Data from the server that libssh2 has not taken.
    queue: Vec<u8>,
    /// Length of the front of `queue` that libssh2 may take.
    released: usize,
    /// Number of bytes that the server has sent after its version line.
    seen: usize,
    /// Length of the front of `queue` that ends with the last answer of the key exchange.
    answer_left: usize,
    /// True if the server has sent something before its KEXINIT.
    sent_before_kexinit: bool,
    /// Data from libssh2 that is no whole packet yet.
    sent: Vec<u8>,
    client_lists: Option<KexInit>,
    server_lists: Option<KexInit>,
    strict: bool,
    methods: Option<Methods>,
    host_key: Option<Vec<u8>>,
    proof: Option<Proof>,
    /// True if the proved key was accepted.
    opened: bool,
    disconnect_reason: Option<String>,
    failed: Option<Violation>,
}

/// Proof that a server owns a host key. The key is not checked yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proof {
    /// Public host key in wire format.
    pub host_key: Vec<u8>,
    /// Algorithms of the connection.
    pub methods: Methods,
}

/// State of the server: the next message that is expected from it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum ServerState {
    #[default]
    Version,
    KexInit,
    /// The answer with this index.
    Answer(usize),
    NewKeys,
    /// Encrypted packets, which wait for the gate to be opened.
    Sealed,
    /// No message: DISCONNECT has been sent.
    Gone,
    /// Anything: the gate is open.
    Open,
}

/// State of the client: the next message that is expected from it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum ClientState {
    #[default]
    Version,
    KexInit,
    /// The key exchange message with this index, or NEWKEYS after the last.
    Message(usize),
    /// Encrypted packets.
    Encrypted,
    Gone,
}

/// The reason why a connection cannot be used. The texts continue a sentence about the server, except where the
/// message says otherwise.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// No ssh server is at the other end. The greeting says more.
    #[error("it does not greet as an ssh server")]
    NoServer,
    /// The version line is too long, or has a zero byte.
    #[error("its version line is malformed")]
    Version,
    /// The lengths in a packet contradict each other or the standard.
    #[error("it sent a packet of an impossible length")]
    Length,
    /// A message that must not come at this point.
    #[error("it sent message {0} out of order before it had proved its identity")]
    Order(u8),
    /// A second KEXINIT within the first key exchange.
    #[error("it sent a second KEXINIT before it had proved its identity")]
    SecondKexInit,
    /// Something else before KEXINIT, although strict key exchange was agreed on.
    #[error("it broke strict key exchange: its first message was not KEXINIT")]
    NotFirst,
    /// A message whose fields do not fit into it.
    #[error("it sent a malformed {0}")]
    Malformed(&'static str),
    /// A guessed key exchange message, which libssh2 handles wrongly.
    #[error(
        "it guesses the key exchange (first_kex_packet_follows), which is not supported: try -R openssh"
    )]
    Guess,
    /// A key exchange method that is none.
    #[error("it offers {0} as a key exchange method, which is none")]
    PseudoMethod(&'static str),
    /// No protection at all.
    #[error("it takes no {0} but \"none\"")]
    Unprotected(&'static str),
    /// The two sides have no algorithm of a kind in common.
    #[error("no {what} algorithm in common, the server offers {offered}: try -R openssh")]
    NothingInCommon {
        /// The kind.
        what: &'static str,
        /// The names in the server's list.
        offered: String,
    },
    /// A host key of another type than was agreed on.
    #[error("its host key is not of the agreed type {0}")]
    KeyType(String),
    /// More than any key exchange needs.
    #[error("it sends without end before it has proved its identity")]
    Flood,
    /// libssh2 sends what it must not send at this point.
    #[error("it misled libssh2, which sent message {0} out of order")]
    Client(u8),
    /// libssh2 and the gate disagree on what was agreed on.
    #[error("it misled libssh2, which has another {0} than was agreed on")]
    Disagreement(&'static str),
    /// A later key exchange in which nothing was agreed on.
    #[error("it offers none of the agreed algorithms in a later key exchange")]
    LaterExchange,
    /// A later key exchange with another host key.
    #[error("it showed another host key in a later key exchange")]
    LaterKey,
}

impl Gate {
    /// Takes bytes from the server, cut anywhere.
    ///
    /// # Errors
    /// The connection cannot be used. Every later call returns the same error.
    pub fn check_server(&mut self, bytes: &[u8]) -> Result<(), Violation> {
        self.check()?;
        match self.server {
            ServerState::Open => {
                self.queue.extend_from_slice(bytes);
                self.released = self.queue.len();
            }
            ServerState::Gone => {}
            ServerState::Version => self.greet(bytes)?,
            _ => self.enqueue(bytes)?,
        }
        self.advance()
    }

    /// Takes bytes that libssh2 sends, cut anywhere.
    ///
    /// # Errors
    /// They must not be sent. The connection cannot be used.
    pub fn check_client(&mut self, bytes: &[u8]) -> Result<(), Violation> {
        self.check()?;
        // After the proof there is nothing left to check, and the data cannot be parsed.
        if self.client == ClientState::Encrypted {
            return Ok(());
        }
        self.sent.extend_from_slice(bytes);
        if self.client == ClientState::Version
            && let Some(end) = memchr::memchr(b'\n', &self.sent)
        {
            self.sent.drain(..=end);
            self.client = ClientState::KexInit;
        }
        while !matches!(self.client, ClientState::Version | ClientState::Encrypted) {
            let sent = std::mem::take(&mut self.sent);
            let packet = Packet::parse(&sent).map_err(|_| Violation::Client(0));
            let Some(packet) = packet.or_else(|violation| self.fail(violation))? else {
                self.sent = sent;
                break;
            };
            if let Err(violation) = self.client_packet(packet.kind, packet.body) {
                return self.fail(violation);
            }
            self.sent = sent[packet.length..].to_vec();
        }
        if self.client == ClientState::Encrypted {
            self.sent = Vec::new();
        }
        self.advance()
    }

    /// Copies data that libssh2 may read now; returns the number of bytes, 0 if there are none.
    pub fn take(&mut self, buffer: &mut [u8]) -> usize {
        if self.failed.is_some() {
            return 0;
        }
        let n = self.released.min(buffer.len());
        buffer[..n].copy_from_slice(&self.queue[..n]);
        self.queue.drain(..n);
        self.released -= n;
        // A client proves nothing before it has read the whole answer.
        self.answer_left = self.answer_left.saturating_sub(n);
        n
    }

    /// Returns the proof that the server owns its host key, after libssh2 has verified the signature.
    #[must_use]
    pub fn proof(&self) -> Option<&Proof> {
        self.proof.as_ref()
    }

    /// Lets everything pass after both sides have sent NEWKEYS. The host key must have been accepted before. Without
    /// a proof this does nothing.
    pub fn open(&mut self) {
        self.opened = self.proof.is_some();
        self.unseal();
    }

    fn unseal(&mut self) {
        if self.opened && self.failed.is_none() && self.server == ServerState::Sealed {
            self.server = ServerState::Open;
            self.released = self.queue.len();
        }
    }

    /// True if everything passes in both directions and nothing is left to take.
    #[must_use]
    pub fn is_passed(&self) -> bool {
        self.server == ServerState::Open && self.queue.is_empty()
    }

    /// True if the client's data is encrypted, so that it is not parsed.
    #[must_use]
    pub fn is_client_encrypted(&self) -> bool {
        self.client == ClientState::Encrypted
    }

    /// Returns the reason why the connection cannot be used, if it cannot.
    #[cfg(any(test, fuzzing))]
    #[must_use]
    pub fn violation(&self) -> Option<&Violation> {
        self.failed.as_ref()
    }

    /// Refuses the connection.
    pub(super) fn refuse(&mut self, violation: Violation) {
        // The first violation is the cause of all later ones.
        self.failed.get_or_insert(violation);
    }

    /// Returns the text before the version line, and that line.
    pub(super) fn greeting(&self) -> &Greeting {
        &self.greeting
    }

    /// Returns the server's reason for the end of the connection, if it sent one in plain text.
    pub(super) fn disconnect_reason(&self) -> Option<&str> {
        self.disconnect_reason.as_deref()
    }

    fn check(&self) -> Result<(), Violation> {
        match &self.failed {
            Some(violation) => Err(violation.clone()),
            None => Ok(()),
        }
    }

    fn fail<T>(&mut self, violation: Violation) -> Result<T, Violation> {
        self.failed = Some(violation.clone());
        Err(violation)
    }

    /// Reads lines up to the version line. libssh2 gets that one only.
    fn greet(&mut self, bytes: &[u8]) -> Result<(), Violation> {
        let before = self.queue.len();
        self.queue.extend_from_slice(bytes);
        let used = before + self.greeting.feed(bytes);
        if self.greeting.failed().is_some() {
            return self.fail(Violation::NoServer);
        }
        if !self.greeting.is_complete() {
            return Ok(());
        }
        let line = &self.queue[..used];
        let start = memchr::memrchr(b'\n', &line[..used - 1]).map_or(0, |end| end + 1);
        if used - start > MAX_VERSION || line[start..].contains(&0) {
            return self.fail(Violation::Version);
        }
        self.queue.drain(..start);
        self.released = used - start;
        self.seen = self.queue.len() - self.released;
        self.server = ServerState::KexInit;
        Ok(())
    }

    fn enqueue(&mut self, bytes: &[u8]) -> Result<(), Violation> {
        self.seen += bytes.len();
        if self.seen > MAX_BEFORE_PROOF {
            return self.fail(Violation::Flood);
        }
        self.queue.extend_from_slice(bytes);
        Ok(())
    }

    /// Checks the server's packets in their order, as far as they are whole and the client has sent its part.
    fn advance(&mut self) -> Result<(), Violation> {
        while matches!(
            self.server,
            ServerState::KexInit | ServerState::Answer(_) | ServerState::NewKeys
        ) {
            let before = self.server;
            // Moved out, so that the packet can be borrowed while the state changes.
            let queue = std::mem::take(&mut self.queue);
            let step = self.server_packet(&queue[self.released..]);
            self.queue = queue;
            match step {
                Ok(0) => break,
                Ok(length) => self.released += length,
                Err(violation) => return self.fail(violation),
            }
            if before != self.server && self.server == ServerState::NewKeys {
                self.answer_left = self.released;
            }
        }
        self.unseal();
        Ok(())
    }

    /// Checks the first packet; returns its length if it may be released.
    fn server_packet(&mut self, bytes: &[u8]) -> Result<usize, Violation> {
        // The type is checked as soon as it has come, so that a packet that must not come is not awaited.
        if let Some(kind) = Packet::check_header(bytes)? {
            self.check_kind(kind)?;
        }
        let Some(packet) = Packet::parse(bytes)? else {
            return Ok(0);
        };
        match (packet.kind, self.server) {
            (DISCONNECT, _) => {
                self.disconnect_reason = disconnect_reason(packet.body);
                self.server = ServerState::Gone;
            }
            (..=DEBUG, _) => self.sent_before_kexinit |= self.server == ServerState::KexInit,
            (KEXINIT, _) => {
                if self.server_lists.is_none() {
                    let lists = KexInit::parse(packet.body);
                    self.server_lists = Some(lists.ok_or(Violation::Malformed("KEXINIT"))?);
                }
                if !self.agree()? {
                    return Ok(0);
                }
            }
            (NEWKEYS, _) => {
                if !packet.body.is_empty() {
                    return Err(Violation::Malformed("NEWKEYS"));
                }
                // libssh2 has not verified the signature yet, so nothing after the answer is released.
                if self.client != ClientState::Encrypted {
                    return Ok(0);
                }
                self.server = ServerState::Sealed;
            }
            (_, ServerState::Answer(index)) => {
                // A server cannot answer what the client has not sent.
                if !matches!(self.client, ClientState::Message(sent) if sent > index) {
                    return Ok(0);
                }
                self.answer(index, packet.body)?;
            }
            (kind, _) => return Err(Violation::Order(kind)),
        }
        Ok(packet.length)
    }

    /// Refuses a message that must not come at this point.
    fn check_kind(&self, kind: u8) -> Result<(), Violation> {
        let messages = self.methods.as_ref().map_or(&[][..], Methods::messages);
        match (kind, self.server) {
            (DISCONNECT, _) => Ok(()),
            // Strict key exchange forbids IGNORE, UNIMPLEMENTED and DEBUG here (OpenSSH's PROTOCOL).
            (2..=DEBUG, _) if !self.strict => Ok(()),
            (KEXINIT, ServerState::KexInit) | (NEWKEYS, ServerState::NewKeys) => Ok(()),
            (KEXINIT, _) => Err(Violation::SecondKexInit),
            (kind, ServerState::Answer(index))
                if messages.get(index).is_some_and(|m| m.1 == kind) =>
            {
                Ok(())
            }
            (kind, _) => Err(Violation::Order(kind)),
        }
    }

    /// Determines the algorithms; false if the client's lists are not known yet.
    fn agree(&mut self) -> Result<bool, Violation> {
        let (Some(client), Some(server)) = (&self.client_lists, &self.server_lists) else {
            return Ok(false);
        };
        // libssh2 handles a guessed packet (RFC 4253, section 7) wrongly.
        if server.guess_follows {
            return Err(Violation::Guess);
        }
        self.methods = Some(KexInit::agree(client, server)?);
        self.strict = KexInit::is_strict(client, server);
        if self.strict && self.sent_before_kexinit {
            return Err(Violation::NotFirst);
        }
        self.server = ServerState::Answer(0);
        Ok(true)
    }

    /// Handles an answer of the key exchange. The last one begins with the host key.
    fn answer(&mut self, index: usize, body: &[u8]) -> Result<(), Violation> {
        let Some(methods) = &self.methods else {
            return Err(Violation::Malformed("key exchange"));
        };
        if index + 1 < methods.messages().len() {
            self.server = ServerState::Answer(index + 1);
            return Ok(());
        }
        // The last answer begins with the host key in all methods (RFC 4253, section 8; RFC 5656, section 4).
        let key = WireReader::new(body).string();
        let key = key.ok_or(Violation::Malformed("host key"))?;
        let kind = WireReader::new(key).text();
        if kind != Some(methods.key_type()) {
            return Err(Violation::KeyType(methods.key_type().to_owned()));
        }
        self.host_key = Some(key.to_vec());
        self.server = ServerState::NewKeys;
        Ok(())
    }

    fn client_packet(&mut self, kind: u8, body: &[u8]) -> Result<(), Violation> {
        let messages = self.methods.as_ref().map_or(&[][..], Methods::messages);
        self.client = match (kind, self.client) {
            (DISCONNECT, ClientState::KexInit | ClientState::Message(_)) => ClientState::Gone,
            (KEXINIT, ClientState::KexInit) => {
                let lists = KexInit::parse(body);
                self.client_lists = Some(lists.ok_or(Violation::Client(kind))?);
                ClientState::Message(0)
            }
            (NEWKEYS, ClientState::Message(_)) => {
                // A client that has not read the whole answer has verified nothing.
                let proof = (self.server == ServerState::NewKeys && self.answer_left == 0)
                    .then(|| {
                        Some(Proof {
                            host_key: self.host_key.take()?,
                            methods: self.methods.clone()?,
                        })
                    })
                    .flatten();
                self.proof = Some(proof.ok_or(Violation::Client(kind))?);
                ClientState::Encrypted
            }
            (kind, ClientState::Message(index))
                if messages.get(index).is_some_and(|m| m.0 == kind) =>
            {
                ClientState::Message(index + 1)
            }
            (kind, _) => return Err(Violation::Client(kind)),
        };
        Ok(())
    }
}

/// A packet in plain text.
struct Packet<'a> {
    kind: u8,
    /// The payload without the type.
    body: &'a [u8],
    /// Length of the whole packet.
    length: usize,
}

impl<'a> Packet<'a> {
    /// Checks the front of a packet; returns the type of its message if it has come.
    fn check_header(bytes: &[u8]) -> Result<Option<u8>, Violation> {
        let Some(length) = Self::length(bytes)? else {
            return Ok(None);
        };
        match *bytes.get(4..).unwrap_or_default() {
            [padding, ref rest @ ..] => {
                // A packet has at least one byte of payload, in addition to its two lengths.
                if padding < 4 || usize::from(padding) + 6 > length {
                    return Err(Violation::Length);
                }
                Ok(rest.first().copied())
            }
            [] => Ok(None),
        }
    }

    /// Returns the length of the packet that begins here, if the length field has come.
    fn length(bytes: &[u8]) -> Result<Option<usize>, Violation> {
        let Some(length) = WireReader::new(bytes).u32() else {
            return Ok(None);
        };
        let length = usize::try_from(length)
            .unwrap_or(usize::MAX)
            .saturating_add(4);
        // RFC 4253, section 6: at least 16 bytes, and a multiple of 8 without a cipher.
        if !(MIN_PACKET..=MAX_PACKET).contains(&length) || !length.is_multiple_of(8) {
            return Err(Violation::Length);
        }
        Ok(Some(length))
    }

    /// Returns the packet that begins here, if it is whole.
    fn parse(bytes: &'a [u8]) -> Result<Option<Packet<'a>>, Violation> {
        let Some(kind) = Self::check_header(bytes)? else {
            return Ok(None);
        };
        let Some(length) = Self::length(bytes)? else {
            return Ok(None);
        };
        let Some(packet) = bytes.get(..length) else {
            return Ok(None);
        };
        let end = length - usize::from(packet[4]);
        Ok(Some(Packet {
            kind,
            body: &packet[6..end],
            length,
        }))
    }
}

/// Returns the text of a DISCONNECT message, cut and on one line.
fn disconnect_reason(body: &[u8]) -> Option<String> {
    const MOST: usize = 200;
    let mut reader = WireReader::new(body);
    let _reason = reader.u32()?;
    let text = reader.string()?;
    let text = &text[..text.len().min(MOST)];
    // The server is not trusted yet, and its text may be printed on a terminal.
    (!text.is_empty()).then(|| text.escape_ascii().to_string())
}
