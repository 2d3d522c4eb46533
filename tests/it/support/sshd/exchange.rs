//! The server's side of a key exchange, in steps. A test can leave out, repeat or change each step.

use std::io;

use openssl::derive::Deriver;
use openssl::hash::{MessageDigest, hash};
use openssl::pkey::{Id, PKey, Private};
use openssl::sign::Signer;
use openssl::symm::Mode;

use super::wire::{Fields, Keys, Message, malformed, mpint, string};
use super::{Talk, kind};

/// The ten lists of a KEXINIT: key exchange, host keys, ciphers, MACs and compression of both directions,
/// languages.
pub(crate) type Methods = [&'static str; 10];

/// Indices of [`Methods`].
pub(crate) mod list {
    pub(crate) const KEX: usize = 0;
    pub(crate) const HOST_KEY: usize = 1;
    pub(crate) const CIPHER_IN: usize = 2;
    pub(crate) const CIPHER_OUT: usize = 3;
    pub(crate) const MAC_IN: usize = 4;
    pub(crate) const MAC_OUT: usize = 5;
    pub(crate) const COMPRESSION_IN: usize = 6;
    pub(crate) const COMPRESSION_OUT: usize = 7;
}

/// The methods of an honest server.
pub(crate) const METHODS: Methods = [
    "curve25519-sha256",
    "ssh-ed25519",
    "aes128-ctr",
    "aes128-ctr",
    "hmac-sha2-256",
    "hmac-sha2-256",
    "none",
    "none",
    "",
    "",
];

/// [`METHODS`] with other lists at these indices.
pub(crate) fn methods_with(changes: &[(usize, &'static str)]) -> Methods {
    let mut methods = METHODS;
    for &(place, value) in changes {
        methods[place] = value;
    }
    methods
}

/// An Ed25519 host key.
#[derive(Clone, Debug)]
pub(crate) struct HostKey(PKey<Private>);

impl HostKey {
    /// The key of this seed. The same seed gives the same key in every run.
    pub(crate) fn of_seed(seed: u8) -> HostKey {
        HostKey(PKey::private_key_from_raw_bytes(&[seed; 32], Id::ED25519).unwrap())
    }

    /// The public half in the form of the protocol, which known_hosts has too.
    pub(crate) fn public(&self) -> Vec<u8> {
        let raw = self.0.raw_public_key().unwrap();
        [string(b"ssh-ed25519"), string(&raw)].concat()
    }

    /// A signature in the form of the protocol.
    pub(crate) fn sign(&self, data: &[u8]) -> Vec<u8> {
        let mut signer = Signer::new_without_digest(&self.0).unwrap();
        let raw = signer.sign_oneshot_to_vec(data).unwrap();
        [string(b"ssh-ed25519"), string(&raw)].concat()
    }
}

/// The server's reply of an exchange, computed but not sent yet, and its keys.
pub(crate) struct Reply {
    /// The KEX_ECDH_REPLY.
    pub(crate) message: Vec<u8>,
    incoming: Option<Keys>,
    outgoing: Option<Keys>,
}

impl Talk {
    /// Exchanges version lines.
    pub(crate) fn greet(&mut self) -> io::Result<()> {
        let line = [self.version.as_bytes(), b"\r\n"].concat();
        self.wire.send_bytes(&line)?;
        self.client_version = self.wire.line()?;
        Ok(())
    }

    /// Sends a KEXINIT.
    pub(crate) fn offer(&mut self, methods: &Methods) -> io::Result<()> {
        self.own_offer = offer(methods);
        let message = self.own_offer.clone();
        self.send(&message)
    }

    /// Waits for the client's KEXINIT.
    pub(crate) fn receive_offer(&mut self) -> io::Result<()> {
        self.client_offer = self.until(kind::KEXINIT)?;
        Ok(())
    }

    /// Waits for the client's part of the exchange, and computes the reply with the public key `shown`, signed by
    /// `signer`.
    pub(crate) fn reply(&mut self, shown: &[u8], signer: &HostKey) -> io::Result<Reply> {
        let request = self.until(kind::KEX_ECDH_INIT)?;
        let mut fields = Fields(&request[1..]);
        let theirs = fields.text()?;
        let own = PKey::generate_x25519()?;
        let public = own.raw_public_key()?;
        let peer = PKey::public_key_from_raw_bytes(theirs, Id::X25519)?;
        let mut deriver = Deriver::new(&own)?;
        deriver.set_peer(&peer)?;
        let secret = mpint(&deriver.derive_to_vec()?);

        let parts = [
            &*self.client_version,
            self.version.as_bytes(),
            &self.client_offer,
            &self.own_offer,
            shown,
            theirs,
            &public,
        ];
        let mut hashed: Vec<u8> = parts.iter().flat_map(|part| string(part)).collect();
        hashed.extend(&secret);
        let digest = sha256(&[&hashed]);
        let session = self.session.get_or_insert_with(|| digest.clone()).clone();
        let message = Message::new(kind::KEX_ECDH_REPLY)
            .text(shown)
            .text(&public)
            .text(signer.sign(&digest))
            .done();

        // RFC 4253, section 7.2.
        let derive = |letter: u8, length: usize| {
            let mut bytes = sha256(&[&secret, &digest, &[letter], &session]);
            while bytes.len() < length {
                let more = sha256(&[&secret, &digest, &bytes]);
                bytes.extend(more);
            }
            bytes.truncate(length);
            bytes
        };
        let keys = |cipher, mac, mode, letters| {
            let (cipher, mac) = (self.agreed(cipher)?, self.agreed(mac)?);
            Keys::new(&cipher, &mac, mode, letters, derive)
        };
        let incoming = keys(list::CIPHER_IN, list::MAC_IN, Mode::Decrypt, *b"ACE");
        let outgoing = keys(list::CIPHER_OUT, list::MAC_OUT, Mode::Encrypt, *b"BDF");
        Ok(Reply {
            message,
            incoming,
            outgoing,
        })
    }

    /// The agreed method of a list: the first one of the client that the server has too (RFC 4253, section 7.1).
    fn agreed(&self, place: usize) -> Option<String> {
        let own = lists(&self.own_offer).ok()?;
        let theirs = lists(&self.client_offer).ok()?;
        let own: Vec<&str> = own[place].split(',').collect();
        let both = theirs[place].split(',').find(|name| own.contains(name));
        both.map(str::to_owned)
    }

    /// Sends the reply and NEWKEYS, and waits for the client's.
    pub(crate) fn conclude(&mut self, reply: Reply) -> io::Result<()> {
        self.send(&reply.message)?;
        self.send(&[kind::NEWKEYS])?;
        self.wire.send_with(reply.outgoing);
        self.until(kind::NEWKEYS)?;
        self.wire.receive_with(reply.incoming);
        Ok(())
    }

    /// Does a whole key exchange, the first or a later one, signed with the server's own key.
    pub(crate) fn exchange(&mut self, methods: &Methods) -> io::Result<()> {
        self.offer(methods)?;
        self.receive_offer()?;
        let own = self.key.clone();
        let reply = self.reply(&own.public(), &own)?;
        self.conclude(reply)
    }
}

/// A KEXINIT with these lists.
pub(crate) fn offer(methods: &Methods) -> Vec<u8> {
    let message = Message::new(kind::KEXINIT).bytes(&[7; 16]);
    let message = methods
        .iter()
        .fold(message, |message, list| message.text(list));
    message.byte(0).number(0).done()
}

/// The lists of a KEXINIT.
fn lists(offer: &[u8]) -> io::Result<Vec<String>> {
    let mut fields = Fields(offer.get(17..).ok_or_else(malformed)?);
    let list = |_| Ok(String::from_utf8_lossy(fields.text()?).into_owned());
    (0..10).map(list).collect()
}

fn sha256(parts: &[&[u8]]) -> Vec<u8> {
    hash(MessageDigest::sha256(), &parts.concat())
        .unwrap()
        .to_vec()
}
