// Included by the fuzz target and by the unit test that replays its corpus. Expects `Gate` and `Violation` in scope.

const KEX_LISTS: [&str; 6] = [
    "curve25519-sha256,kex-strict-s-v00@openssh.com,ext-info-s",
    "diffie-hellman-group-exchange-sha256,ext-info-s",
    "ext-info-c",
    "curve25519-sha256,kex-strict-c-v00@openssh.com",
    "ecdh-sha2-nistp256",
    "",
];
const CLIENT_KEX: &str =
    "ext-info-c,kex-strict-c-v00@openssh.com,curve25519-sha256,diffie-hellman-group-exchange-sha256";

/// Checks the properties of the gate for any bytes of both directions in any order. The first byte is the size of the
/// pieces of the server's bytes. The others are pairs of a step and its argument.
fn check(bytes: &[u8]) {
    let Some((&cut, steps)) = bytes.split_first() else {
        return;
    };
    let whole = play(steps, usize::MAX);
    let pieces = play(steps, usize::from(cut % 16) + 1);
    assert_eq!(whole, pieces, "the cut does not matter");
    whole.check();
}

/// Everything that was observed on one connection.
#[derive(Debug, PartialEq)]
struct Played {
    /// Bytes that libssh2 got before the gate was opened.
    before: Vec<u8>,
    after: Vec<u8>,
    violation: Option<Violation>,
    host_key: Option<Vec<u8>>,
    kex: Option<String>,
    /// True if NEWKEYS of the client has passed.
    client_newkeys: bool,
    opened: bool,
}

/// Plays the steps with the server's bytes in pieces of this size.
fn play(steps: &[u8], size: usize) -> Played {
    let mut gate = Gate::default();
    let mut played = Played {
        before: Vec::new(),
        after: Vec::new(),
        violation: None,
        host_key: None,
        kex: None,
        client_newkeys: false,
        opened: false,
    };
    let mut buffer = [0; 5000];
    for step in steps.chunks_exact(2) {
        let argument = step[1];
        let (from_server, bytes) = match step[0] % 16 {
            0 => (true, b"SSH-2.0-server\r\n".to_vec()),
            1 => (true, packet(&kexinit(KEX_LISTS[usize::from(argument % 6)], argument / 6 % 8 == 7))),
            2 => (true, packet(&answer(31, argument))),
            3 => (true, packet(&answer(33, argument))),
            4 => (true, packet(&[21])),
            5 => (true, packet(&[argument, 0, 0, 0, 0])),
            6 => (true, vec![argument; usize::from(argument % 9)]),
            7 => {
                let mut bytes = packet(&[argument, 0, 0, 0, 0]);
                bytes[usize::from(argument % 5)] ^= argument;
                (true, bytes)
            }
            8 => (true, b"Welcome\r\n".to_vec()),
            9 => (false, b"SSH-2.0-client\r\n".to_vec()),
            10 => (false, packet(&kexinit(CLIENT_KEX, false))),
            11 => (false, packet(&[[30, 34, 32][usize::from(argument % 3)], 0])),
            12 => (false, packet(&[21])),
            13 => (false, packet(&[argument, 0])),
            14 => {
                let n = gate.take(&mut buffer);
                let to = if played.opened { &mut played.after } else { &mut played.before };
                to.extend_from_slice(&buffer[..n]);
                continue;
            }
            _ => {
                if argument > 200 {
                    gate.open();
                    played.opened |= gate.proof().is_some();
                }
                continue;
            }
        };
        if from_server {
            for piece in bytes.chunks(size) {
                // The verdict is read below.
                let _ = gate.check_server(piece);
            }
        } else if gate.check_client(&bytes).is_ok() {
            let after_version = bytes.starts_with(b"SSH-");
            played.client_newkeys |= !after_version && bytes[5] == 21 && gate.is_client_encrypted();
        }
    }
    played.violation = gate.violation().cloned();
    played.host_key = gate.proof().map(|proof| proof.host_key.clone());
    played.kex = gate.proof().map(|proof| proof.methods.kex.clone());
    played
}

impl Played {
    fn check(&self) {
        assert!(self.after.is_empty() || self.opened);
        let Some(end) = self.before.iter().position(|&byte| byte == b'\n') else {
            assert!(self.before.is_empty() && self.host_key.is_none());
            return;
        };
        assert!(self.before.starts_with(b"SSH-2.0-server"), "the version line comes first");
        let kinds = kinds(&self.before[end + 1..]);
        let count = |wanted: u8| kinds.iter().filter(|(kind, _)| *kind == wanted).count();
        assert!(count(20) <= 1 && count(21) <= 1 && count(33) <= 1, "{kinds:?}");
        let real: Vec<u8> = kinds.iter().map(|(kind, _)| *kind).filter(|kind| *kind > 4).collect();
        let orders: [&[u8]; 2] = [&[20, 31, 21], &[20, 31, 33, 21]];
        assert!(orders.iter().any(|order| order.starts_with(&real)), "{real:?}");
        if count(21) > 0 {
            assert!(self.client_newkeys, "NEWKEYS waits for the proof");
            assert_eq!(kinds.last().map(|(kind, _)| *kind), Some(21), "no packet follows NEWKEYS");
        }
        let Some(key) = &self.host_key else {
            assert!(!self.opened);
            return;
        };
        assert!(self.client_newkeys);
        let kex = self.kex.as_deref().expect("the method comes with the key");
        assert!(kex == "curve25519-sha256" || kex == "diffie-hellman-group-exchange-sha256");
        let last = if kex.starts_with("diffie") { 33 } else { 31 };
        let found = kinds.iter().find(|(kind, _)| *kind == last).expect("the answer was read");
        let length = u32::from_be_bytes([found.1[1], found.1[2], found.1[3], found.1[4]]);
        assert_eq!(&found.1[5..5 + length as usize], &key[..], "the key is the one that libssh2 saw");
    }
}

/// The packets of a stream, each with its type and its payload.
fn kinds(mut bytes: &[u8]) -> Vec<(u8, &[u8])> {
    let mut found = Vec::new();
    while let [a, b, c, d, padding, rest @ ..] = bytes {
        let length = u32::from_be_bytes([*a, *b, *c, *d]) as usize;
        let payload = &rest[..length - 1 - usize::from(*padding)];
        found.push((payload[0], payload));
        bytes = &bytes[4 + length..];
    }
    assert!(bytes.is_empty(), "only whole packets are released");
    found
}

/// A packet in plain text.
fn packet(payload: &[u8]) -> Vec<u8> {
    let padding = 4 + (8 - (payload.len() + 5 + 4) % 8) % 8;
    let mut packet = ((payload.len() + 1 + padding) as u32).to_be_bytes().to_vec();
    packet.push(padding as u8);
    packet.extend_from_slice(payload);
    packet.resize(packet.len() + padding, 0);
    packet
}

/// The payload of a KEXINIT message with this list of key exchange methods.
fn kexinit(kex: &str, guess: bool) -> Vec<u8> {
    let mut payload = vec![20];
    payload.extend([7; 16]);
    let (ciphers, macs) = ("aes128-ctr,chacha20-poly1305@openssh.com", "hmac-sha2-256");
    for list in [kex, "ssh-ed25519", ciphers, ciphers, macs, macs, "none", "none", "", ""] {
        string(&mut payload, list.as_bytes());
    }
    payload.push(u8::from(guess));
    payload.extend([0; 4]);
    payload
}

/// The payload of an answer that begins with a host key. `argument` selects the key.
fn answer(kind: u8, argument: u8) -> Vec<u8> {
    let mut key = Vec::new();
    string(&mut key, if argument % 8 == 7 { b"ssh-rsa" } else { b"ssh-ed25519" });
    string(&mut key, &[argument; 32]);
    let mut payload = vec![kind];
    string(&mut payload, &key);
    string(&mut payload, b"signature");
    payload
}

fn string(to: &mut Vec<u8>, bytes: &[u8]) {
    to.extend((bytes.len() as u32).to_be_bytes());
    to.extend_from_slice(bytes);
}
