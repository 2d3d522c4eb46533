//! Packets of the ssh protocol on a connection: framing, encryption, MAC, and the fields of messages.

use std::io::{self, Read, Write};

use openssl::hash::MessageDigest;
use openssl::pkey::{PKey, Private};
use openssl::sign::Signer;
use openssl::symm::{Cipher, Crypter, Mode};

/// Maximum length of a packet from the client.
const MAX_PACKET: usize = 256 * 1024;

/// A stream for reading and writing.
pub(crate) trait Duplex: Read + Write + Send {}

impl<T: Read + Write + Send> Duplex for T {}

/// A message under construction.
#[derive(Clone, Debug)]
pub(crate) struct Message(Vec<u8>);

impl Message {
    /// A message with this number and no fields.
    pub(crate) fn new(kind: u8) -> Message {
        Message(vec![kind])
    }

    /// Appends a byte.
    pub(crate) fn byte(mut self, byte: u8) -> Message {
        self.0.push(byte);
        self
    }

    /// Appends a number of 32 bits.
    pub(crate) fn number(self, number: u32) -> Message {
        self.bytes(&number.to_be_bytes())
    }

    /// Appends a string: its length and its bytes.
    pub(crate) fn text(self, text: impl AsRef<[u8]>) -> Message {
        let text = text.as_ref();
        self.number(length(text)).bytes(text)
    }

    /// Appends bytes as they are.
    pub(crate) fn bytes(mut self, bytes: &[u8]) -> Message {
        self.0.extend_from_slice(bytes);
        self
    }

    /// The message's bytes.
    pub(crate) fn done(self) -> Vec<u8> {
        self.0
    }
}

fn length(bytes: &[u8]) -> u32 {
    u32::try_from(bytes.len()).unwrap()
}

/// A string in the form of the protocol: its length and its bytes.
pub(crate) fn string(bytes: &[u8]) -> Vec<u8> {
    [&length(bytes).to_be_bytes()[..], bytes].concat()
}

/// An unsigned number in the form of the protocol (`mpint`), from its bytes, highest first.
pub(crate) fn mpint(bytes: &[u8]) -> Vec<u8> {
    let zeros = bytes.iter().take_while(|&&byte| byte == 0).count();
    let bytes = &bytes[zeros..];
    match bytes.first() {
        Some(first) if first & 0x80 != 0 => string(&[&[0], bytes].concat()),
        _ => string(bytes),
    }
}

/// The fields of a received message.
#[derive(Debug)]
pub(crate) struct Fields<'a>(pub(crate) &'a [u8]);

impl<'a> Fields<'a> {
    /// The next bytes.
    pub(crate) fn bytes(&mut self, count: usize) -> io::Result<&'a [u8]> {
        let (bytes, rest) = self.0.split_at_checked(count).ok_or_else(malformed)?;
        self.0 = rest;
        Ok(bytes)
    }

    /// The next byte.
    pub(crate) fn byte(&mut self) -> io::Result<u8> {
        Ok(self.bytes(1)?[0])
    }

    /// The next number of 32 bits.
    pub(crate) fn number(&mut self) -> io::Result<u32> {
        let bytes = self.bytes(4)?.try_into().map_err(|_| malformed())?;
        Ok(u32::from_be_bytes(bytes))
    }

    /// The next string.
    pub(crate) fn text(&mut self) -> io::Result<&'a [u8]> {
        let length = self.number()?;
        self.bytes(length as usize)
    }
}

/// The error for a message that the protocol does not allow.
pub(crate) fn malformed() -> io::Error {
    io::ErrorKind::InvalidData.into()
}

/// The cipher and the MAC of one direction.
pub(crate) struct Keys {
    cipher: Crypter,
    mac: PKey<Private>,
    digest: MessageDigest,
    mac_length: usize,
}

impl Keys {
    /// Returns the keys for these methods, if this server has them. `derive` makes the key of a letter, with a length.
    pub(crate) fn new(
        cipher: &str,
        mac: &str,
        mode: Mode,
        letters: [u8; 3],
        derive: impl Fn(u8, usize) -> Vec<u8>,
    ) -> Option<Keys> {
        let cipher = match cipher {
            "aes128-ctr" => Cipher::aes_128_ctr(),
            "aes256-ctr" => Cipher::aes_256_ctr(),
            _ => return None,
        };
        let (digest, mac_length) = match mac {
            "hmac-sha2-256" => (MessageDigest::sha256(), 32),
            "hmac-sha2-512" => (MessageDigest::sha512(), 64),
            _ => return None,
        };
        let [iv, key, mac] = letters;
        let iv = derive(iv, 16);
        let key = derive(key, cipher.key_len());
        Some(Keys {
            cipher: Crypter::new(cipher, mode, &key, Some(&iv)).unwrap(),
            mac: PKey::hmac(&derive(mac, mac_length)).unwrap(),
            digest,
            mac_length,
        })
    }

    fn crypt(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut out = vec![0; bytes.len() + 16];
        let count = self.cipher.update(bytes, &mut out).unwrap();
        out.truncate(count);
        out
    }

    fn mac(&self, sequence: u32, packet: &[u8]) -> Vec<u8> {
        let mut signer = Signer::new(self.digest, &self.mac).unwrap();
        signer.update(&sequence.to_be_bytes()).unwrap();
        signer.update(packet).unwrap();
        signer.sign_to_vec().unwrap()
    }
}

/// One direction of a connection.
#[derive(Default)]
struct Half {
    sequence: u32,
    keys: Option<Keys>,
}

/// A connection that carries packets.
pub(crate) struct Wire {
    stream: Box<dyn Duplex>,
    incoming: Half,
    outgoing: Half,
}

impl Wire {
    /// A connection on which nothing has been sent.
    pub(crate) fn new(stream: Box<dyn Duplex>) -> Wire {
        Wire {
            stream,
            incoming: Half::default(),
            outgoing: Half::default(),
        }
    }

    /// Encrypts all later packets to the client.
    pub(crate) fn send_with(&mut self, keys: Option<Keys>) {
        self.outgoing.keys = keys;
    }

    /// Decrypts all later packets from the client.
    pub(crate) fn receive_with(&mut self, keys: Option<Keys>) {
        self.incoming.keys = keys;
    }

    /// Sends bytes as they are.
    pub(crate) fn send_bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// Sends a message in a packet of the right form.
    pub(crate) fn send(&mut self, message: &[u8]) -> io::Result<()> {
        let packet = self.seal(&frame(message));
        self.send_bytes(&packet)
    }

    /// Encrypts a packet of any form and adds its MAC.
    pub(crate) fn seal(&mut self, packet: &[u8]) -> Vec<u8> {
        let sequence = self.outgoing.sequence;
        self.outgoing.sequence = sequence.wrapping_add(1);
        match &mut self.outgoing.keys {
            None => packet.to_vec(),
            Some(keys) => {
                let mac = keys.mac(sequence, packet);
                [keys.crypt(packet), mac].concat()
            }
        }
    }

    /// Reads a line, which ends with a line feed.
    pub(crate) fn line(&mut self) -> io::Result<Vec<u8>> {
        let mut line = Vec::new();
        let mut byte = [0];
        while !line.ends_with(b"\n") && line.len() < 1024 {
            self.stream.read_exact(&mut byte)?;
            line.push(byte[0]);
        }
        let text = line.strip_suffix(b"\n").ok_or_else(malformed)?;
        Ok(text.strip_suffix(b"\r").unwrap_or(text).to_vec())
    }

    /// Reads a packet and returns its message.
    pub(crate) fn receive(&mut self) -> io::Result<Vec<u8>> {
        let sequence = self.incoming.sequence;
        self.incoming.sequence = sequence.wrapping_add(1);
        let mut packet = vec![0; 16];
        self.stream.read_exact(&mut packet)?;
        if let Some(keys) = &mut self.incoming.keys {
            packet = keys.crypt(&packet);
        }
        let length = Fields(&packet).number()? as usize + 4;
        if !(16..=MAX_PACKET).contains(&length) {
            return Err(malformed());
        }
        let mut rest = vec![0; length - 16];
        self.stream.read_exact(&mut rest)?;
        match &mut self.incoming.keys {
            None => packet.extend(rest),
            Some(keys) => {
                packet.extend(keys.crypt(&rest));
                let mut mac = vec![0; keys.mac_length];
                self.stream.read_exact(&mut mac)?;
                if mac != keys.mac(sequence, &packet) {
                    return Err(malformed());
                }
            }
        }
        let padding = usize::from(packet[4]);
        let end = length.checked_sub(padding).ok_or_else(malformed)?;
        match packet.get(5..end) {
            Some(message) if !message.is_empty() => Ok(message.to_vec()),
            _ => Err(malformed()),
        }
    }

    /// Reads and discards everything until the other side closes.
    pub(crate) fn drain(&mut self) {
        let mut buffer = [0; 4096];
        while self.stream.read(&mut buffer).is_ok_and(|count| count > 0) {}
    }
}

/// A packet of the right form. Its length is a multiple of 16 bytes, which is right for all ciphers here and for plain
/// text.
pub(crate) fn frame(message: &[u8]) -> Vec<u8> {
    let padding = 4 + (16 - (5 + message.len() + 4) % 16) % 16;
    let padding = u8::try_from(padding).unwrap();
    framed(
        u32::try_from(1 + message.len() + usize::from(padding)).unwrap(),
        padding,
        message,
    )
}

/// A packet with any values in its length fields. It has `padding` bytes of padding.
pub(crate) fn framed(length: u32, padding: u8, message: &[u8]) -> Vec<u8> {
    let mut packet = length.to_be_bytes().to_vec();
    packet.push(padding);
    packet.extend_from_slice(message);
    packet.resize(packet.len() + usize::from(padding), 0);
    packet
}
