//! Unit tests of the gate, and the properties that its fuzz target checks, against its corpus and random connections.

use std::fs;

use proptest::prelude::*;

use super::*;

include!(concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/tests/fuzz/properties/gate.rs"
));

const STRICT: &str = "curve25519-sha256,kex-strict-s-v00@openssh.com";
const LAX: &str = "curve25519-sha256";
const GEX: &str = "diffie-hellman-group-exchange-sha256";

/// A connection whose client behaves like libssh2.
struct TestConnection {
    gate: Gate,
    /// Data that libssh2 has taken.
    taken: Vec<u8>,
}

impl TestConnection {
    /// A connection after both version lines and the client's KEXINIT.
    fn begun() -> TestConnection {
        let mut gate = Gate::default();
        gate.check_client(b"SSH-2.0-client\r\n").unwrap();
        gate.check_server(b"SSH-2.0-server\r\n").unwrap();
        gate.check_client(&packet(&kexinit(CLIENT_KEX, false)))
            .unwrap();
        let mut begun = TestConnection {
            gate,
            taken: Vec::new(),
        };
        assert!(begun.read() > 0);
        begun
    }

    /// A connection after KEXINIT of a server with this key exchange.
    fn agreed(kex: &str) -> TestConnection {
        let mut agreed = TestConnection::begun();
        agreed.server(&kexinit(kex, false)).unwrap();
        assert!(agreed.read() > 0);
        agreed
    }

    /// A connection after the key exchange and NEWKEYS of the client.
    fn proved() -> TestConnection {
        let mut proved = TestConnection::agreed(STRICT);
        proved.client(&[30, 0]).unwrap();
        proved.server(&answer(31, 1)).unwrap();
        proved.server(&[21]).unwrap();
        assert!(proved.read() > 0);
        assert_eq!(proved.gate.proof(), None);
        proved.client(&[21]).unwrap();
        proved
    }

    fn server(&mut self, payload: &[u8]) -> Result<(), Violation> {
        self.gate.check_server(&packet(payload))
    }

    fn client(&mut self, payload: &[u8]) -> Result<(), Violation> {
        self.gate.check_client(&packet(payload))
    }

    fn read(&mut self) -> usize {
        let mut buffer = [0; 40_000];
        let n = self.gate.take(&mut buffer);
        self.taken.extend_from_slice(&buffer[..n]);
        n
    }
}

impl Gate {
    /// Creates a gate that lets everything pass.
    pub(in crate::transport::ssh) fn passed() -> Gate {
        Gate {
            server: ServerState::Open,
            client: ClientState::Encrypted,
            ..Gate::default()
        }
    }
}

/// Returns the host key that `answer` makes.
fn key(argument: u8) -> Vec<u8> {
    let answer = answer(31, argument);
    WireReader::new(&answer[1..]).string().unwrap().to_vec()
}

#[test]
fn a_verified_signature_is_the_proof() {
    let mut proved = TestConnection::proved();
    let proof = proved.gate.proof().unwrap().clone();
    assert_eq!(proof.host_key, key(1));
    assert_eq!(proof.methods.kex, "curve25519-sha256");
    assert_eq!(proof.methods.host_key, "ssh-ed25519");
    assert_eq!(proof.methods.ciphers, ["aes128-ctr", "aes128-ctr"]);
    assert_eq!(
        proof.methods.macs.map(Option::unwrap),
        ["hmac-sha2-256", "hmac-sha2-256"]
    );
    // NEWKEYS of the server was held back until the proof, and the data after it waits until the key is accepted.
    assert_eq!(proved.read(), packet(&[21]).len());
    proved.gate.check_server(b"encrypted").unwrap();
    assert_eq!(proved.read(), 0);
    assert!(!proved.gate.is_passed());
    proved.gate.open();
    assert_eq!(proved.read(), 9);
    assert!(proved.gate.is_passed());
    proved.gate.check_server(b"more").unwrap();
    assert_eq!(proved.read(), 4);
}

#[test]
fn the_key_may_be_accepted_before_newkeys_of_the_server() {
    let mut early = TestConnection::agreed(LAX);
    early.client(&[30, 0]).unwrap();
    early.server(&answer(31, 1)).unwrap();
    early.read();
    early.client(&[21]).unwrap();
    early.gate.open();
    early.server(&[21]).unwrap();
    early.gate.check_server(b"encrypted").unwrap();
    assert_eq!(early.read(), packet(&[21]).len() + 9);
}

#[test]
fn without_a_proof_nothing_opens() {
    let mut agreed = TestConnection::agreed(STRICT);
    agreed.gate.open();
    agreed.client(&[30, 0]).unwrap();
    agreed.server(&answer(31, 1)).unwrap();
    agreed.server(&[21]).unwrap();
    agreed.gate.check_server(b"encrypted").unwrap();
    agreed.read();
    agreed.gate.open();
    assert_eq!(agreed.read(), 0);
    // The client's NEWKEYS is no proof if it has not read the answer.
    let mut unread = TestConnection::agreed(STRICT);
    unread.client(&[30, 0]).unwrap();
    unread.server(&answer(31, 1)).unwrap();
    assert_eq!(unread.client(&[21]), Err(Violation::Client(21)));
    // It is also no proof without any answer.
    let mut unasked = TestConnection::agreed(STRICT);
    unasked.client(&[30, 0]).unwrap();
    assert_eq!(unasked.client(&[21]), Err(Violation::Client(21)));
}

#[test]
fn a_group_exchange_has_two_answers() {
    let mut group = TestConnection::agreed(GEX);
    group.client(&[34, 0]).unwrap();
    group.server(&answer(31, 2)).unwrap();
    group.read();
    assert_eq!(group.client(&[21]), Err(Violation::Client(21)));
    let mut group = TestConnection::agreed(GEX);
    group.client(&[34, 0]).unwrap();
    group.server(&answer(31, 2)).unwrap();
    group.client(&[32, 0]).unwrap();
    group.server(&answer(33, 3)).unwrap();
    group.read();
    group.client(&[21]).unwrap();
    assert_eq!(group.gate.proof().unwrap().host_key, key(3));
}

#[test]
fn an_answer_waits_for_the_message_that_it_answers() {
    let mut early = TestConnection::agreed(STRICT);
    early.server(&answer(31, 1)).unwrap();
    assert_eq!(early.read(), 0);
    early.client(&[30, 0]).unwrap();
    assert!(early.read() > 0);
}

#[test]
fn a_pseudo_method_is_no_key_exchange() {
    for kex in [
        "ext-info-c",
        "kex-strict-c-v00@openssh.com",
        "curve25519-sha256,ext-info-c",
    ] {
        let mut begun = TestConnection::begun();
        let refused = begun.server(&kexinit(kex, false));
        assert!(matches!(refused, Err(Violation::PseudoMethod(_))), "{kex}");
        assert_eq!(begun.read(), 0);
    }
    for kex in ["ext-info-s", "", "ext-info", "curve25519-sha25"] {
        let mut begun = TestConnection::begun();
        let refused = begun.server(&kexinit(kex, false));
        assert!(
            matches!(refused, Err(Violation::NothingInCommon { .. })),
            "{kex}"
        );
    }
}

#[test]
fn messages_out_of_order_before_the_proof_are_refused() {
    let server_kexinit = kexinit(STRICT, false);
    for (payload, violation) in [
        (&server_kexinit[..], Violation::SecondKexInit),
        (&[21], Violation::Order(21)),
        (&[2, 0, 0, 0, 0], Violation::Order(2)),
        (&[3, 0, 0, 0, 0], Violation::Order(3)),
        (&[4, 0, 0, 0, 0, 0], Violation::Order(4)),
        (&[5, 0], Violation::Order(5)),
        (&[6, 0, 0, 0, 0], Violation::Order(6)),
        (&[7, 0, 0, 0, 0], Violation::Order(7)),
        (&[30, 0], Violation::Order(30)),
        (&[33, 0], Violation::Order(33)),
        (&[52], Violation::Order(52)),
        (&[80, 0], Violation::Order(80)),
        (&[0], Violation::Order(0)),
        (&[255], Violation::Order(255)),
    ] {
        let mut agreed = TestConnection::agreed(STRICT);
        agreed.client(&[30, 0]).unwrap();
        assert_eq!(agreed.server(payload), Err(violation.clone()));
        assert_eq!(agreed.read(), 0);
        assert_eq!(agreed.gate.check_server(b""), Err(violation));
    }
    // The same after the answer.
    for kind in [6, 20, 31, 52, 94] {
        let mut answered = TestConnection::agreed(STRICT);
        answered.client(&[30, 0]).unwrap();
        answered.server(&answer(31, 1)).unwrap();
        assert!(answered.server(&[kind, 0]).is_err(), "{kind}");
        assert_eq!(answered.read(), 0);
    }
}

#[test]
fn generic_messages_pass_unless_the_exchange_is_strict() {
    let mut lax = TestConnection::begun();
    for payload in [&[2, 0, 0, 0, 0][..], &kexinit(LAX, false), &[4, 0], &[3, 0]] {
        lax.server(payload).unwrap();
        assert!(lax.read() > 0);
    }
    let mut strict = TestConnection::begun();
    strict.server(&[2, 0, 0, 0, 0]).unwrap();
    assert_eq!(
        strict.server(&kexinit(STRICT, false)),
        Err(Violation::NotFirst)
    );
}

#[test]
fn a_server_may_disconnect_at_any_time() {
    let mut bye = vec![1, 0, 0, 0, 12];
    string(&mut bye, b"too many\nconnections");
    bye.extend([0; 4]);
    for mut connection in [
        TestConnection::begun(),
        TestConnection::agreed(STRICT),
        TestConnection::agreed(LAX),
    ] {
        connection.server(&bye).unwrap();
        assert_eq!(
            connection.gate.disconnect_reason(),
            Some("too many\\nconnections")
        );
        assert_eq!(connection.read(), packet(&bye).len());
        // Later messages are ignored.
        connection.server(&kexinit(STRICT, false)).unwrap();
        assert_eq!(connection.read(), 0);
    }
}

#[test]
fn impossible_packet_lengths_are_refused() {
    for head in [
        [0, 0, 0, 0, 4, 20],
        [0, 0, 0, 4, 4, 20],
        [0, 0, 0, 13, 4, 20],
        [0, 0, 0, 12, 3, 20],
        [0, 0, 0, 12, 11, 20],
        [0, 0, 0, 12, 255, 20],
        [0, 0, 0x88, 0xbc, 4, 20],
        [0x7f, 0xff, 0xff, 0xfc, 4, 20],
        [0xff, 0xff, 0xff, 0xfc, 4, 20],
    ] {
        let mut begun = TestConnection::begun();
        assert_eq!(
            begun.gate.check_server(&head),
            Err(Violation::Length),
            "{head:?}"
        );
    }
    let mut longest = TestConnection::begun();
    let mut payload = vec![2];
    payload.resize(MAX_PACKET - 11, 0);
    longest.server(&payload).unwrap();
    assert_eq!(longest.read(), 35_000);
}

#[test]
fn a_kexinit_that_is_too_short_or_too_long_is_refused() {
    let good = kexinit(STRICT, false);
    for length in 1..good.len() {
        let mut begun = TestConnection::begun();
        let refused = begun.server(&good[..length]);
        assert_eq!(refused, Err(Violation::Malformed("KEXINIT")), "{length}");
    }
    let mut long = good.clone();
    long.push(0);
    let refused = TestConnection::begun().server(&long);
    assert_eq!(refused, Err(Violation::Malformed("KEXINIT")));
}

#[test]
fn a_guessed_key_exchange_is_refused() {
    let refused = TestConnection::begun().server(&kexinit(STRICT, true));
    assert_eq!(refused, Err(Violation::Guess));
}

#[test]
fn a_host_key_of_another_type_is_refused() {
    let mut other = TestConnection::agreed(STRICT);
    other.client(&[30, 0]).unwrap();
    assert!(matches!(
        other.server(&answer(31, 7)),
        Err(Violation::KeyType(_))
    ));
    let mut none = TestConnection::agreed(STRICT);
    none.client(&[30, 0]).unwrap();
    let refused = none.server(&[31, 0, 0, 1, 0, 9]);
    assert_eq!(refused, Err(Violation::Malformed("host key")));
}

#[test]
fn algorithms_are_chosen_by_the_standard() {
    let init = |lists: [&str; 10]| {
        let mut body = vec![7; 16];
        for list in lists {
            string(&mut body, list.as_bytes());
        }
        body.extend([0; 5]);
        KexInit::parse(&body).unwrap()
    };
    let client = init([
        "a,b,c",
        "k1,k2",
        "aes256-gcm@openssh.com,x",
        "x,y",
        "m1,m2",
        "m1,m2",
        "zlib,none",
        "none",
        "",
        "",
    ]);
    let server = init([
        "c,b",
        "k2,k1",
        "x,aes256-gcm@openssh.com",
        "y,x",
        "other",
        "m2",
        "none,zlib",
        "none",
        "",
        "",
    ]);
    let methods = KexInit::agree(&client, &server).unwrap();
    assert_eq!((&*methods.kex, &*methods.host_key), ("b", "k1"));
    assert_eq!(methods.ciphers, ["aes256-gcm@openssh.com", "x"]);
    // A cipher that authenticates needs no MAC.
    assert_eq!(methods.macs, [None, Some("m2".to_owned())]);
    assert_eq!(methods.compression, ["zlib", "none"]);
    let none = init([
        "b", "k1", "none", "none", "m1", "m1", "none", "none", "", "",
    ]);
    assert_eq!(
        KexInit::agree(&none, &none),
        Err(Violation::Unprotected("cipher"))
    );
    let bare = init(["b", "k1", "x", "x", "none", "none", "none", "none", "", ""]);
    assert_eq!(
        KexInit::agree(&bare, &bare),
        Err(Violation::Unprotected("MAC"))
    );
}

#[test]
fn version_lines_are_separated_from_text_before_them() {
    for (greeting, line) in [
        (&b"SSH-2.0-x\r\n"[..], &b"SSH-2.0-x\r\n"[..]),
        (b"Welcome\r\n\r\nto this\nSSH-2.0-x\n", b"SSH-2.0-x\n"),
    ] {
        let mut gate = Gate::default();
        let mut buffer = [0; 100];
        gate.check_server(&greeting[..greeting.len() - 1]).unwrap();
        assert_eq!(gate.take(&mut buffer), 0);
        gate.check_server(b"\n").unwrap();
        let n = gate.take(&mut buffer);
        assert_eq!(&buffer[..n], line);
    }
    let long = format!("SSH-2.0-{}\r\n", "x".repeat(300));
    for (line, violation) in [
        (&b"SSH-2.0-x\0y\r\n"[..], Violation::Version),
        (long.as_bytes(), Violation::Version),
        (b"SSH-1.5-x\r\n", Violation::NoServer),
        (b"HTTP/1.1 400\r\n", Violation::NoServer),
    ] {
        let mut gate = Gate::default();
        assert_eq!(gate.check_server(line), Err(violation));
    }
}

#[test]
fn too_much_data_before_the_proof_is_refused() {
    let mut lax = TestConnection::begun();
    let mut payload = vec![2];
    payload.resize(30_000, 0);
    let refused = (0..20).find_map(|_| {
        lax.read();
        lax.server(&payload).err()
    });
    assert_eq!(refused, Some(Violation::Flood));
    // The data that is held back is bounded too.
    let mut sealed = TestConnection::proved();
    sealed.read();
    let refused = (0..20).find_map(|_| sealed.gate.check_server(&[0xa5; 30_000]).err());
    assert_eq!(refused, Some(Violation::Flood));
}

#[test]
fn messages_of_libssh2_are_checked_too() {
    // Only a key exchange may be sent in plain text: no service request and no password.
    for kind in [2, 3, 5, 6, 31, 50, 80, 90, 94] {
        let mut agreed = TestConnection::agreed(STRICT);
        assert_eq!(
            agreed.client(&[kind, 0]),
            Err(Violation::Client(kind)),
            "{kind}"
        );
    }
    let mut twice = TestConnection::agreed(STRICT);
    let again = twice.client(&kexinit(CLIENT_KEX, false));
    assert_eq!(again, Err(Violation::Client(20)));
    // NEWKEYS within another message does not count.
    let mut hidden = TestConnection::agreed(STRICT);
    let mut payload = vec![30];
    payload.extend(packet(&[21]).repeat(20));
    hidden.client(&payload).unwrap();
    assert!(!hidden.gate.is_client_encrypted());
    // Data after NEWKEYS is encrypted and not parsed.
    let mut proved = TestConnection::proved();
    proved.gate.check_client(&[0; 100]).unwrap();
}

#[test]
fn the_fuzz_corpus_passes() {
    let corpus = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fuzz/corpus/gate");
    let files: Vec<_> = fs::read_dir(corpus).unwrap().collect();
    assert!(files.len() > 10);
    for file in files {
        check(&fs::read(file.unwrap().path()).unwrap());
    }
    // The corpus is useful only if it reaches the proof.
    for name in ["good", "gex"] {
        let steps = fs::read(format!("{corpus}/{name}")).unwrap();
        let played = play(&steps[1..], 3);
        assert!(played.host_key.is_some() && !played.after.is_empty() || name == "gex");
        assert_eq!(played.violation, None);
    }
}

/// Steps of a connection: usually those of a valid one, in order.
fn steps() -> impl Strategy<Value = Vec<u8>> {
    let corpus = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fuzz/corpus/gate");
    let good = ["good", "gex", "ignore"].map(|name| fs::read(format!("{corpus}/{name}")).unwrap());
    let change = (any::<prop::sample::Index>(), 0..4_u8, any::<[u8; 2]>());
    let changes = prop::collection::vec(change, 0..4);
    let changed =
        (prop::sample::select(good.to_vec()), changes).prop_map(|(mut steps, changes)| {
            for (at, how, with) in changes {
                let at = 1 + at.index(steps.len() / 2) * 2;
                match how {
                    0 => drop(steps.splice(at..at + 2, with)),
                    1 => drop(steps.splice(at..at, with)),
                    2 => drop(steps.drain(at..at + 2)),
                    _ => steps[at + 1] = with[1],
                }
            }
            steps
        });
    prop_oneof![
        4 => changed,
        1 => prop::collection::vec(any::<u8>(), 0..80),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn no_cut_and_no_change_gives_a_false_proof(cut in any::<u8>(), mut steps in steps()) {
        if let Some(first) = steps.first_mut() {
            *first = cut;
        }
        check(&steps);
    }
}
