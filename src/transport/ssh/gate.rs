//! The watch over the plain text with which an ssh connection begins, in both directions. No I/O.
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
//! libssh2 sends NEWKEYS only after it has verified the server's signature. Its NEWKEYS on the way out is therefore the
//! proof, and the key in the server's last answer is the key that is proved. Everything from the server's own NEWKEYS
//! on is held back until then; what is encrypted is held back until the gate is [opened](Gate::open).

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

/// The watch over both directions of a connection.
#[derive(Debug, Default)]
pub struct Gate {
    greeting: Greeting,
    server: Server,
    client: Client,
    /// What the server has sent and libssh2 has not taken.
    queue: Vec<u8>,
    /// Length of the front of `queue` that libssh2 may take.
    released: usize,
    /// Number of bytes that the server has sent after its version line.
    seen: usize,
    /// Length of the front of `queue` that ends with the last answer of the key exchange.
    answer_left: usize,
    /// True if the server has sent something before its KEXINIT.
    talked_before: bool,
    /// What the client has sent and does not make a whole packet yet.
    sent: Vec<u8>,
    client_lists: Option<KexInit>,
    server_lists: Option<KexInit>,
    strict: bool,
    methods: Option<Methods>,
    host_key: Option<Vec<u8>>,
    proof: Option<Proof>,
    /// True if the key that was proved has been judged.
    opened: bool,
    farewell: Option<String>,
    failed: Option<Violation>,
}

/// What a server has proved: that it owns a host key. Nobody has judged the key yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proof {
    /// The public host key, as it travels in the protocol.
    pub host_key: Vec<u8>,
    /// The algorithms of the connection.
    pub methods: Methods,
}

/// The next thing that is expected from the server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Server {
    #[default]
    Version,
    KexInit,
    /// The answer with this index.
    Answer(usize),
    NewKeys,
    /// Encrypted packets, which wait for the gate to be opened.
    Sealed,
    /// Nothing: it has sent DISCONNECT.
    Gone,
    /// Anything: the gate is open.
    Open,
}

/// The next thing that is expected from the client.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Client {
    #[default]
    Version,
    KexInit,
    /// The key exchange message with this index, or NEWKEYS after the last.
    Message(usize),
    /// Encrypted packets.
    Encrypted,
    /// Nothing: it has sent DISCONNECT.
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
    #[error("libssh2 was led astray: it sent message {0} out of order")]
    Client(u8),
    /// libssh2 and the gate disagree on what was agreed on.
    #[error("libssh2 was led astray: it has another {0} than was agreed on")]
    Disagreement(&'static str),
    /// A later key exchange in which nothing was agreed on.
    #[error("it offers none of the agreed algorithms in a later key exchange")]
    LaterExchange,
    /// A later key exchange with another host key.
    #[error("it showed another host key in a later key exchange")]
    LaterKey,
}

impl Gate {
    /// Takes in bytes from the server, cut anywhere.
    ///
    /// # Errors
    /// The connection cannot be used. Every later call says the same.
    pub fn from_server(&mut self, bytes: &[u8]) -> Result<(), Violation> {
        self.check()?;
        match self.server {
            Server::Open => {
                self.queue.extend_from_slice(bytes);
                self.released = self.queue.len();
            }
            Server::Gone => {}
            Server::Version => self.greet(bytes)?,
            _ => self.enqueue(bytes)?,
        }
        self.advance()
    }

    /// Takes in bytes that libssh2 sends, cut anywhere.
    ///
    /// # Errors
    /// They must not be sent. The connection cannot be used.
    pub fn from_client(&mut self, bytes: &[u8]) -> Result<(), Violation> {
        self.check()?;
        if self.client == Client::Encrypted {
            return Ok(());
        }
        self.sent.extend_from_slice(bytes);
        if self.client == Client::Version
            && let Some(end) = memchr::memchr(b'\n', &self.sent)
        {
            self.sent.drain(..=end);
            self.client = Client::KexInit;
        }
        while !matches!(self.client, Client::Version | Client::Encrypted) {
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
        if self.client == Client::Encrypted {
            self.sent = Vec::new();
        }
        self.advance()
    }

    /// Hands out what libssh2 may read now; returns the number of bytes, 0 if there are none.
    pub fn take(&mut self, buffer: &mut [u8]) -> usize {
        if self.failed.is_some() {
            return 0;
        }
        let n = self.released.min(buffer.len());
        buffer[..n].copy_from_slice(&self.queue[..n]);
        self.queue.drain(..n);
        self.released -= n;
        self.answer_left = self.answer_left.saturating_sub(n);
        n
    }

    /// The proof that the server owns its host key, once libssh2 has found it valid.
    #[must_use]
    pub fn proof(&self) -> Option<&Proof> {
        self.proof.as_ref()
    }

    /// Lets everything pass once both sides have sent NEWKEYS. The host key must have been judged before. Without a
    /// proof nothing happens.
    pub fn open(&mut self) {
        self.opened = self.proof.is_some();
        self.unseal();
    }

    fn unseal(&mut self) {
        if self.opened && self.failed.is_none() && self.server == Server::Sealed {
            self.server = Server::Open;
            self.released = self.queue.len();
        }
    }

    /// True if everything passes in both directions and nothing is left to take.
    #[must_use]
    pub fn is_passed(&self) -> bool {
        self.server == Server::Open && self.queue.is_empty()
    }

    /// True if what the client sends is encrypted and needs no watch.
    #[must_use]
    pub fn is_client_encrypted(&self) -> bool {
        self.client == Client::Encrypted
    }

    /// Reason why the connection cannot be used, if it cannot.
    #[must_use]
    pub fn violation(&self) -> Option<&Violation> {
        self.failed.as_ref()
    }

    /// Refuses the connection.
    pub(super) fn refuse(&mut self, violation: Violation) {
        self.failed.get_or_insert(violation);
    }

    /// What the server says before its version line, and that line.
    pub(super) fn greeting(&self) -> &Greeting {
        &self.greeting
    }

    /// The server's reason for ending the connection, if it gave one in plain text.
    pub(super) fn farewell(&self) -> Option<&str> {
        self.farewell.as_deref()
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

    /// Reads lines up to the version. libssh2 gets none but that.
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
        self.server = Server::KexInit;
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

    /// Examines the server's packets in their order, as far as they are whole and the client has come.
    fn advance(&mut self) -> Result<(), Violation> {
        while matches!(
            self.server,
            Server::KexInit | Server::Answer(_) | Server::NewKeys
        ) {
            let before = self.server;
            let queue = std::mem::take(&mut self.queue);
            let step = self.server_packet(&queue[self.released..]);
            self.queue = queue;
            match step {
                Ok(0) => break,
                Ok(length) => self.released += length,
                Err(violation) => return self.fail(violation),
            }
            if before != self.server && self.server == Server::NewKeys {
                self.answer_left = self.released;
            }
        }
        self.unseal();
        Ok(())
    }

    /// Examines the packet at the front; returns its length if it may be released.
    fn server_packet(&mut self, bytes: &[u8]) -> Result<usize, Violation> {
        if let Some(kind) = Packet::check_header(bytes)? {
            self.check_kind(kind)?;
        }
        let Some(packet) = Packet::parse(bytes)? else {
            return Ok(0);
        };
        match (packet.kind, self.server) {
            (DISCONNECT, _) => {
                self.farewell = farewell(packet.body);
                self.server = Server::Gone;
            }
            (..=DEBUG, _) => self.talked_before |= self.server == Server::KexInit,
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
                if self.client != Client::Encrypted {
                    return Ok(0);
                }
                self.server = Server::Sealed;
            }
            (_, Server::Answer(index)) => {
                if !matches!(self.client, Client::Message(sent) if sent > index) {
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
            (2..=DEBUG, _) if !self.strict => Ok(()),
            (KEXINIT, Server::KexInit) | (NEWKEYS, Server::NewKeys) => Ok(()),
            (KEXINIT, _) => Err(Violation::SecondKexInit),
            (kind, Server::Answer(index)) if messages.get(index).is_some_and(|m| m.1 == kind) => {
                Ok(())
            }
            (kind, _) => Err(Violation::Order(kind)),
        }
    }

    /// Settles the algorithms; false if the client's lists are not known yet.
    fn agree(&mut self) -> Result<bool, Violation> {
        let (Some(client), Some(server)) = (&self.client_lists, &self.server_lists) else {
            return Ok(false);
        };
        if server.guess_follows {
            return Err(Violation::Guess);
        }
        self.methods = Some(KexInit::agree(client, server)?);
        self.strict = KexInit::is_strict(client, server);
        if self.strict && self.talked_before {
            return Err(Violation::NotFirst);
        }
        self.server = Server::Answer(0);
        Ok(true)
    }

    /// Takes in an answer of the key exchange. The last one begins with the host key.
    fn answer(&mut self, index: usize, body: &[u8]) -> Result<(), Violation> {
        let Some(methods) = &self.methods else {
            return Err(Violation::Malformed("key exchange"));
        };
        if index + 1 < methods.messages().len() {
            self.server = Server::Answer(index + 1);
            return Ok(());
        }
        let key = WireReader::new(body).string();
        let key = key.ok_or(Violation::Malformed("host key"))?;
        let kind = WireReader::new(key).text();
        if kind != Some(methods.key_type()) {
            return Err(Violation::KeyType(methods.key_type().to_owned()));
        }
        self.host_key = Some(key.to_vec());
        self.server = Server::NewKeys;
        Ok(())
    }

    fn client_packet(&mut self, kind: u8, body: &[u8]) -> Result<(), Violation> {
        let messages = self.methods.as_ref().map_or(&[][..], Methods::messages);
        self.client = match (kind, self.client) {
            (DISCONNECT, Client::KexInit | Client::Message(_)) => Client::Gone,
            (KEXINIT, Client::KexInit) => {
                let lists = KexInit::parse(body);
                self.client_lists = Some(lists.ok_or(Violation::Client(kind))?);
                Client::Message(0)
            }
            (NEWKEYS, Client::Message(_)) => {
                // Whoever has not read the whole answer has verified nothing.
                let proof = (self.server == Server::NewKeys && self.answer_left == 0)
                    .then(|| {
                        Some(Proof {
                            host_key: self.host_key.take()?,
                            methods: self.methods.clone()?,
                        })
                    })
                    .flatten();
                self.proof = Some(proof.ok_or(Violation::Client(kind))?);
                Client::Encrypted
            }
            (kind, Client::Message(index)) if messages.get(index).is_some_and(|m| m.0 == kind) => {
                Client::Message(index + 1)
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
                // At least one byte of payload, beside the two lengths.
                if padding < 4 || usize::from(padding) + 6 > length {
                    return Err(Violation::Length);
                }
                Ok(rest.first().copied())
            }
            [] => Ok(None),
        }
    }

    /// Length of the whole packet that begins here, if that much of it has come.
    fn length(bytes: &[u8]) -> Result<Option<usize>, Violation> {
        let Some(length) = WireReader::new(bytes).u32() else {
            return Ok(None);
        };
        let length = usize::try_from(length)
            .unwrap_or(usize::MAX)
            .saturating_add(4);
        if !(MIN_PACKET..=MAX_PACKET).contains(&length) || !length.is_multiple_of(8) {
            return Err(Violation::Length);
        }
        Ok(Some(length))
    }

    /// The packet that begins here, if it is whole.
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

/// The text of a DISCONNECT message, bounded and on one line.
fn farewell(body: &[u8]) -> Option<String> {
    const MOST: usize = 200;
    let mut reader = WireReader::new(body);
    let _reason = reader.u32()?;
    let text = reader.string()?;
    let text = &text[..text.len().min(MOST)];
    (!text.is_empty()).then(|| text.escape_ascii().to_string())
}
