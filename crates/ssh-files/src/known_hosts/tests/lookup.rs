//! Tests of the search for keys.

use std::time::{Duration, Instant};

use super::*;

#[test]
fn a_key_is_known_changed_or_unknown() {
    let file = format!(
        "# comment\n\nA.example,10.0.0.1 {}\r\nb {} comment\n",
        text(&ed25519(1)),
        text(&rsa(1))
    );
    let known = known(&file);
    assert_eq!(known.files[0].notices(), []);
    let status = |name: &str, blob: &[u8]| short(&known.check(&host(name), &key(blob)));
    assert_eq!(status("a.EXAMPLE", &ed25519(1)), ShortStatus::Trusted(3));
    assert_eq!(status("10.0.0.1", &ed25519(1)), ShortStatus::Trusted(3));
    assert_eq!(status("a.example", &ed25519(2)), ShortStatus::Changed(3));
    assert_eq!(status("c", &ed25519(1)), ShortStatus::Unknown);
    // As in OpenSSH, a new key of another type is a changed key.
    assert_eq!(status("b", &ed25519(1)), ShortStatus::Changed(4));
    match known.check(&host("b"), &key(&ed25519(1))) {
        HostKeyStatus::Changed(changed) => assert!(changed.is_of_another_type(KeyType::Ed25519)),
        status => panic!("{status:?}"),
    }
}

#[test]
fn a_revoked_key_is_refused_on_every_line() {
    let file = format!(
        "a {0}\n@revoked * {0}\n@revoked b {1}\n@revoked\tc {2}\nc {2}\n[b]:2222 {1}\n",
        text(&ed25519(1)),
        text(&ed25519(2)),
        text(&ed25519(3))
    );
    let known = known(&file);
    let status = |name: &str, port, blob: &[u8]| {
        short(&known.check(&HostNames::new(name, port, None), &key(blob)))
    };
    assert_eq!(status("a", 22, &ed25519(1)), ShortStatus::Revoked(2));
    assert_eq!(status("z", 2222, &ed25519(1)), ShortStatus::Revoked(2));
    assert_eq!(status("b", 22, &ed25519(2)), ShortStatus::Revoked(3));
    assert_eq!(status("b", 2222, &ed25519(2)), ShortStatus::Revoked(3));
    assert_eq!(status("c", 22, &ed25519(3)), ShortStatus::Revoked(4));
    // A revoked key has no effect on other keys.
    assert_eq!(status("b", 22, &ed25519(3)), ShortStatus::Unknown);
    assert_eq!(status("a", 22, &ed25519(3)), ShortStatus::Changed(1));
}

#[test]
fn ports_aliases_and_addresses_have_names_of_their_own() {
    let file = format!(
        "[h]:2222 {}\nh {}\nalias {}\n10.0.0.1 {}\n",
        text(&ed25519(1)),
        text(&ed25519(2)),
        text(&ed25519(3)),
        text(&ed25519(4))
    );
    let known = known(&file);
    let status = |names: &HostNames, seed| short(&known.check(names, &key(&ed25519(seed))));
    assert_eq!(status(&host("h"), 2), ShortStatus::Trusted(2));
    assert_eq!(status(&host("h"), 1), ShortStatus::Changed(2));
    let at_port = |port| HostNames::new("H", port, None);
    assert_eq!(status(&at_port(2222), 1), ShortStatus::Trusted(1));
    assert_eq!(status(&at_port(2222), 2), ShortStatus::Changed(1));
    // No key is known for the port, so the key of the name without a port is accepted.
    assert_eq!(status(&at_port(3333), 2), ShortStatus::Trusted(2));
    assert_eq!(status(&at_port(3333), 1), ShortStatus::Unknown);
    let alias = HostNames::new("h", 2222, Some("Alias"));
    assert_eq!(status(&alias, 3), ShortStatus::Trusted(3));
    assert_eq!(status(&alias, 1), ShortStatus::Changed(3));
    let address = |address: &str| host("h").with_address(address.parse().unwrap(), 22);
    assert_eq!(status(&address("10.0.0.1"), 2), ShortStatus::Changed(4));
    assert_eq!(status(&address("10.0.0.2"), 2), ShortStatus::Trusted(2));
}

#[test]
fn bad_lines_are_skipped_with_a_notice() {
    let long = "x".repeat(300_000);
    let file = format!(
        "h\n# @foo\n@cert-authority h\nh ssh-ed25519 AAAA\nh ssh-foo AAAA\nh ssh-rsa {1}\n\
         |1|bad|bad {0}\n{long} {0}\nh ssh-ed25519 {1}=\n{2} {0}\nlast {0}",
        text(&ed25519(1)),
        STANDARD.encode(ed25519(1)),
        "y".repeat(1023),
    );
    let known = known(&file);
    let status = known.check(&host("last"), &key(&ed25519(1)));
    assert_eq!(short(&status), ShortStatus::Trusted(11));
    let status = known.check(&host("h"), &key(&ed25519(1)));
    assert_eq!(short(&status), ShortStatus::Unknown);
    let notices: Vec<&str> = known.files[0]
        .notices()
        .iter()
        .map(|notice| notice.text.split_once("known_hosts:").unwrap().1)
        .collect();
    assert_eq!(
        notices,
        [
            "1: no key; line skipped",
            "3: no key; line skipped",
            "4: the key is damaged; line skipped",
            "5: unknown type of key; line skipped",
            "6: the key is not of the type that the line says; line skipped",
            "7: bad hash of a host name; line skipped",
            "8: the line is too long; line skipped",
            "9: the key is not base64; line skipped",
            "10: a host name is too long; line skipped",
        ]
    );
}

#[test]
fn a_file_of_garbage_makes_few_notices() {
    let known = known(&"garbage\n".repeat(1000));
    assert_eq!(known.files[0].notices().len(), 21);
    assert!(
        known.files[0].notices()[20]
            .text
            .ends_with("980 more lines skipped")
    );
}

#[test]
fn missing_files_have_no_lines_and_others_must_be_readable() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("known_hosts");
    std::fs::write(&path, format!("h {}\n", text(&ed25519(1)))).unwrap();
    let known = load(&[directory.path().join("none"), path]).unwrap();
    let status = known.check(&host("h"), &key(&ed25519(1)));
    assert_eq!(short(&status), ShortStatus::Trusted(1));
    assert!(load(&[directory.path()]).is_err());
}

#[test]
fn errors_have_the_words_of_openssh() {
    let known = |lines: &[(u64, String)]| {
        let mut file = KnownHostsFile::new(Path::new("/k"));
        for (number, line) in lines {
            let location = LineLocation {
                file: Path::new("/k").into(),
                line: Some(*number),
            };
            file.add(location, line::parse(line.as_bytes()).unwrap().unwrap());
        }
        KnownHosts::new(vec![Arc::new(file)])
    };
    let line = (7, format!("h {}", text(&rsa(1))));
    let revoked = (8, format!("@revoked * {}", text(&ed25519(1))));
    let (first, second) = (known(std::slice::from_ref(&line)), known(&[line, revoked]));
    let error = |known: &KnownHosts, name: &str| {
        let (names, key) = (host(name), key(&ed25519(1)));
        let status = known.check(&names, &key);
        status.error(&names, &key).unwrap().to_string()
    };
    insta::assert_snapshot!(error(&first, "h"), @r#"REMOTE HOST IDENTIFICATION HAS CHANGED: h sent the ED25519 key SHA256:RXm/ruZ0eTzRXKwi1AQEDynB0VgHQ2ac9KPSFdf/YnA; offending RSA key in /k:7; if the change is known to be right, remove it with: ssh-keygen -f "/k" -R "h""#);
    insta::assert_snapshot!(error(&first, "x"), @"no ED25519 host key is known for x, and strict host key checking is on; its key is SHA256:RXm/ruZ0eTzRXKwi1AQEDynB0VgHQ2ac9KPSFdf/YnA: once it is checked, 'ssh-keyscan' or StrictHostKeyChecking=accept-new adds it");
    insta::assert_snapshot!(error(&second, "x"), @"REVOKED HOST KEY DETECTED: the ED25519 host key SHA256:RXm/ruZ0eTzRXKwi1AQEDynB0VgHQ2ac9KPSFdf/YnA of x is marked as revoked in /k:8; it may be a stolen key");
}

#[test]
fn known_types_are_asked_for_first() {
    let file = format!(
        "a {}\nb {}\n@cert-authority *.ca {}\n",
        text(&rsa(1)),
        text(&ed25519(1)),
        text(&ed25519(9))
    );
    let known = known(&file);
    let all = [
        "ssh-ed25519-cert-v01@openssh.com",
        "ssh-ed25519",
        "ecdsa-sha2-nistp256",
        "rsa-sha2-512",
        "rsa-sha2-256",
    ];
    let order = |name: &str| {
        let keys = known.known_keys(&host(name));
        assert!(keys.is_exact);
        keys.order(&all).join(" ")
    };
    let rsa_first = "rsa-sha2-512 rsa-sha2-256 ssh-ed25519 ecdsa-sha2-nistp256";
    assert_eq!(order("a"), rsa_first);
    assert_eq!(order("b"), all[1..].join(" "));
    assert_eq!(order("x.ca"), all.join(" "));
    assert_eq!(order("x"), all[1..].join(" "));
    let at_port = known.known_keys(&HostNames::new("a", 2222, None));
    assert_eq!(at_port.types, [KeyType::Rsa]);
}

#[test]
fn many_hashed_names_give_their_types_together() {
    let mut file = String::new();
    for i in 0..300 {
        let name = host_field::hashed(format!("n{i}").as_bytes(), &[7; 20]);
        writeln!(file, "{name} {}", text(&rsa(1))).unwrap();
    }
    let known = known(&file);
    let keys = known.known_keys(&host("elsewhere"));
    assert_eq!((&*keys.types, keys.is_exact), (&[KeyType::Rsa][..], false));
    for i in [0, 299, 5] {
        let status = known.check(&host(&format!("N{i}")), &key(&rsa(1)));
        assert_eq!(short(&status), ShortStatus::Trusted(i + 1));
    }
    let status = known.check(&host("n300"), &key(&rsa(1)));
    assert_eq!(short(&status), ShortStatus::Unknown);
    let status = known.check(&host("n3"), &key(&rsa(2)));
    assert_eq!(short(&status), ShortStatus::Changed(4));
}

/// Makes a key with a number.
fn nth(n: u32) -> Vec<u8> {
    let mut blob = ed25519(0);
    let end = blob.len() - 4;
    blob[end..].copy_from_slice(&n.to_be_bytes());
    blob
}

/// A comparison with all lines for every host would take minutes. The test prints its times.
#[test]
fn ten_thousand_hashed_names_cost_next_to_nothing_per_host() {
    const LINES: u32 = 10_000;
    let files = [true, false].map(|own_keys| {
        let mut rng = Rng::with_seed(1);
        let mut file = String::new();
        for n in 0..LINES {
            let mut salt = [0; 20];
            rng.fill(&mut salt);
            let name = host_field::hashed(format!("node{n}").as_bytes(), &salt);
            let key = nth(if own_keys { n } else { 0 });
            writeln!(file, "{name} {}", text(&key)).unwrap();
        }
        (own_keys, file)
    });
    for (own_keys, file) in files {
        let start = Instant::now();
        let known = known(&file);
        println!("own keys {own_keys}: load {:?}", start.elapsed());
        let start = Instant::now();
        for n in 0..LINES {
            let names = host(&format!("node{n}"));
            assert!(!known.known_keys(&names).is_exact);
            let status = known.check(&names, &key(&nth(if own_keys { n } else { 0 })));
            assert_eq!(short(&status), ShortStatus::Trusted(u64::from(n) + 1));
        }
        let per_host = start.elapsed() / LINES;
        println!("own keys {own_keys}: known {per_host:?} a host");
        assert!(per_host < Duration::from_millis(1), "{per_host:?}");
        let start = Instant::now();
        for n in 0..10 {
            let status = known.check(&host(&format!("x{n}")), &key(&nth(LINES)));
            assert_eq!(short(&status), ShortStatus::Unknown);
        }
        println!(
            "own keys {own_keys}: unknown {:?} a host",
            start.elapsed() / 10
        );
    }
}
