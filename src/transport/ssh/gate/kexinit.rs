//! The lists of algorithms in both KEXINIT messages, and the choice that follows from them (RFC 4253, section 7.1).

use ssh2::MethodType;

use super::Violation;
use ssh_files::WireReader;

/// Number of name lists in a KEXINIT message.
const LISTS: usize = 10;

/// Lists of a KEXINIT message by their position.
const KEX: usize = 0;
const HOST_KEY: usize = 1;
const CIPHERS: [usize; 2] = [2, 3];
const MACS: [usize; 2] = [4, 5];
const COMPRESSION: [usize; 2] = [6, 7];

/// Flags of this side in the list of key exchange methods.
// Flags are no methods, but libssh2 would select one that the server lists too, and then exchange no keys at all.
const CLIENT_MARKS: [&str; 2] = ["ext-info-c", STRICT_CLIENT];

/// Flags of both sides for strict key exchange.
const STRICT_CLIENT: &str = "kex-strict-c-v00@openssh.com";
const STRICT_SERVER: &str = "kex-strict-s-v00@openssh.com";

/// Ciphers that authenticate packets without a MAC.
const AUTHENTICATING: [&str; 3] = [
    "chacha20-poly1305@openssh.com",
    "aes128-gcm@openssh.com",
    "aes256-gcm@openssh.com",
];

/// Contents of a KEXINIT message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct KexInit {
    lists: [String; LISTS],
    /// True if a guessed key exchange message follows (RFC 4253, section 7).
    pub(super) guess_follows: bool,
}

/// The algorithms that both sides have agreed on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Methods {
    /// Key exchange method.
    pub kex: String,
    /// Signature algorithm of the host key.
    pub host_key: String,
    /// Ciphers from the client to the server and back.
    pub ciphers: [String; 2],
    /// MACs in the same order. A cipher with built-in authentication needs no MAC.
    pub macs: [Option<String>; 2],
    /// Compression methods in the same order.
    pub compression: [String; 2],
}

impl KexInit {
    /// Parses a message, without its type.
    pub(super) fn parse(body: &[u8]) -> Option<KexInit> {
        // RFC 4253, section 7.1: a cookie, ten lists of names, a flag and a reserved number.
        const COOKIE: usize = 16;
        let mut reader = WireReader::new(body.get(COOKIE..)?);
        let mut lists = [const { String::new() }; LISTS];
        for list in &mut lists {
            reader.text()?.clone_into(list);
        }
        let guess_follows = reader.byte()? != 0;
        let _reserved = reader.u32()?;
        reader.at_end().then_some(KexInit {
            lists,
            guess_follows,
        })
    }

    fn offers(&self, list: usize, name: &str) -> bool {
        self.lists[list].split(',').any(|offered| offered == name)
    }

    /// True if both sides announce strict key exchange.
    pub(super) fn is_strict(client: &KexInit, server: &KexInit) -> bool {
        client.offers(KEX, STRICT_CLIENT) && server.offers(KEX, STRICT_SERVER)
    }

    /// Returns the algorithms that follow from both messages: for each purpose the first of the client's that the server
    /// has, too.
    pub(super) fn agree(client: &KexInit, server: &KexInit) -> Result<Methods, Violation> {
        if let Some(&mark) = CLIENT_MARKS.iter().find(|mark| server.offers(KEX, mark)) {
            return Err(Violation::PseudoMethod(mark));
        }
        let find = |list: usize| {
            let names = client.lists[list].split(',');
            let mut names = names.filter(|name| !name.is_empty() && !CLIENT_MARKS.contains(name));
            // RFC 4253, section 7.1: the first name of the client that the server has as well.
            names
                .find(|name| server.offers(list, name))
                .map(str::to_owned)
        };
        let first = |list: usize, what: &'static str| match find(list) {
            None => Err(Violation::NothingInCommon {
                what,
                offered: shown(&server.lists[list]),
            }),
            Some(name) => Ok(name),
        };
        let real = |list: usize, what: &'static str| match first(list, what)? {
            // RFC 4253 (sections 6.3 and 6.4) has a cipher and a MAC `none`, which protect nothing.
            name if name == "none" => Err(Violation::Unprotected(what)),
            name => Ok(name),
        };
        let kex = first(KEX, "key exchange")?;
        let host_key = first(HOST_KEY, "host key")?;
        let ciphers = [real(CIPHERS[0], "cipher")?, real(CIPHERS[1], "cipher")?];
        let mac = |way: usize| {
            // With these ciphers the MAC that was negotiated is ignored, and need not exist (OpenSSH's PROTOCOL).
            if AUTHENTICATING.contains(&ciphers[way].as_str()) {
                Ok(find(MACS[way]))
            } else {
                real(MACS[way], "MAC").map(Some)
            }
        };
        let macs = [mac(0)?, mac(1)?];
        let compression = [
            first(COMPRESSION[0], "compression")?,
            first(COMPRESSION[1], "compression")?,
        ];
        Ok(Methods {
            kex,
            host_key,
            ciphers,
            macs,
            compression,
        })
    }
}

impl Methods {
    /// Type of the key exchange messages in their order: each from the client, and the answer from the server.
    pub(super) fn messages(&self) -> &'static [(u8, u8)] {
        // RFC 4419, section 5. All other methods use 30 and 31 (RFC 4253, section 8; RFC 5656, section 7.1).
        if self.kex.starts_with("diffie-hellman-group-exchange-") {
            &[(34, 31), (32, 33)]
        } else {
            &[(30, 31)]
        }
    }

    /// Name that a key for the host key algorithm has in its first field.
    pub(super) fn key_type(&self) -> &str {
        // RFC 8332, section 3: only the signature differs, and the key keeps its type.
        match self.host_key.as_str() {
            "rsa-sha2-256" | "rsa-sha2-512" => "ssh-rsa",
            "rsa-sha2-256-cert-v01@openssh.com" | "rsa-sha2-512-cert-v01@openssh.com" => {
                "ssh-rsa-cert-v01@openssh.com"
            }
            name => name,
        }
    }

    /// The algorithms with their purposes, as libssh2 numbers them.
    pub(in crate::transport::ssh) fn by_kind(&self) -> Vec<(MethodType, &str)> {
        let mut all = vec![
            (MethodType::Kex, self.kex.as_str()),
            (MethodType::HostKey, &self.host_key),
            (MethodType::CryptCs, &self.ciphers[0]),
            (MethodType::CryptSc, &self.ciphers[1]),
            (MethodType::CompCs, &self.compression[0]),
            (MethodType::CompSc, &self.compression[1]),
        ];
        let macs = [MethodType::MacCs, MethodType::MacSc]
            .into_iter()
            .zip(&self.macs);
        all.extend(macs.filter_map(|(kind, name)| Some((kind, name.as_deref()?))));
        all
    }

    /// True if libssh2 replaces the MAC of this direction by the cipher's own.
    pub(in crate::transport::ssh) fn replaces_mac(&self, way: usize) -> bool {
        self.ciphers[way].contains("-gcm@")
    }
}

/// Returns a list of names as text for a message.
fn shown(list: &str) -> String {
    const MOST: usize = 200;
    let mut text: String = list.chars().take(MOST).collect();
    if text.len() < list.len() {
        text.push('…');
    }
    // The server chose this text, which is printed on a terminal.
    text.escape_debug().to_string().replace(',', ", ")
}
