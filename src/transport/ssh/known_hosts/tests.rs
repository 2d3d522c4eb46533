//! Held against `ssh-keygen -F` for the lines, and against `ssh` with a real `sshd` for the verdicts.

use std::fmt::Write as _;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use fastrand::Rng;
use proptest::prelude::*;

use super::*;
use crate::transport::ssh::testing::Bench;

mod strictness;

/// A key that is sound in form and nobody's.
fn ed25519(seed: u8) -> Vec<u8> {
    let mut blob = b"\0\0\0\x0bssh-ed25519\0\0\0\x20".to_vec();
    blob.extend([seed; 32]);
    blob
}

fn rsa(seed: u8) -> Vec<u8> {
    let mut blob = b"\0\0\0\x07ssh-rsa\0\0\0\x03\x01\0\x01\0\0\x01\x01\0".to_vec();
    blob.extend([seed | 0x81; 256]);
    blob
}

fn text(blob: &[u8]) -> String {
    let kind = KeyType::of_blob(blob).unwrap();
    format!("{} {}", kind.name(), STANDARD.encode(blob))
}

fn known(file: &str) -> KnownHosts {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("known_hosts");
    std::fs::write(&path, file).unwrap();
    load(&[path]).unwrap()
}

fn load(paths: &[impl AsRef<Path>]) -> Result<KnownHosts, LoadError> {
    let files = paths
        .iter()
        .map(|path| KnownFile::load(path.as_ref()).map(Arc::new));
    Ok(KnownHosts::new(files.collect::<Result<_, _>>()?))
}

fn host(name: &str) -> HostNames {
    HostNames::new(name, 22, None)
}

fn key(blob: &[u8]) -> HostKey {
    HostKey::parse(blob).unwrap()
}

#[derive(Debug, PartialEq, Eq)]
enum Simply {
    Trusted(u64),
    Unknown,
    Changed(u64),
    Revoked(u64),
}

fn simply(verdict: &Verdict) -> Simply {
    match verdict {
        Verdict::Trusted(place) => Simply::Trusted(place.line),
        Verdict::Unknown { .. } => Simply::Unknown,
        Verdict::Changed(changed) => Simply::Changed(changed.place.line),
        Verdict::Revoked(place) => Simply::Revoked(place.line),
    }
}

#[test]
fn a_key_is_known_changed_or_unknown() {
    let file = format!(
        "# comment\n\nA.example,10.0.0.1 {}\r\nb {} comment\n",
        text(&ed25519(1)),
        text(&rsa(1))
    );
    let known = known(&file);
    assert_eq!(known.files[0].notes(), []);
    let verdict = |name: &str, blob: &[u8]| simply(&known.check(&host(name), &key(blob)));
    assert_eq!(verdict("a.EXAMPLE", &ed25519(1)), Simply::Trusted(3));
    assert_eq!(verdict("10.0.0.1", &ed25519(1)), Simply::Trusted(3));
    assert_eq!(verdict("a.example", &ed25519(2)), Simply::Changed(3));
    assert_eq!(verdict("c", &ed25519(1)), Simply::Unknown);
    // As in OpenSSH: a host that is known by another key must not get a new one unseen.
    assert_eq!(verdict("b", &ed25519(1)), Simply::Changed(4));
    match known.check(&host("b"), &key(&ed25519(1))) {
        Verdict::Changed(changed) => assert!(changed.is_of_another_type(KeyType::Ed25519)),
        verdict => panic!("{verdict:?}"),
    }
}

#[test]
fn a_revoked_key_is_refused_wherever_it_stands() {
    let file = format!(
        "a {0}\n@revoked * {0}\n@revoked b {1}\n@revoked\tc {2}\nc {2}\n[b]:2222 {1}\n",
        text(&ed25519(1)),
        text(&ed25519(2)),
        text(&ed25519(3))
    );
    let known = known(&file);
    let verdict = |name: &str, port, blob: &[u8]| {
        simply(&known.check(&HostNames::new(name, port, None), &key(blob)))
    };
    assert_eq!(verdict("a", 22, &ed25519(1)), Simply::Revoked(2));
    assert_eq!(verdict("z", 2222, &ed25519(1)), Simply::Revoked(2));
    assert_eq!(verdict("b", 22, &ed25519(2)), Simply::Revoked(3));
    assert_eq!(verdict("b", 2222, &ed25519(2)), Simply::Revoked(3));
    assert_eq!(verdict("c", 22, &ed25519(3)), Simply::Revoked(4));
    // It says nothing of other keys, nor that this one is known.
    assert_eq!(verdict("b", 22, &ed25519(3)), Simply::Unknown);
    assert_eq!(verdict("a", 22, &ed25519(3)), Simply::Changed(1));
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
    let verdict = |names: &HostNames, seed| simply(&known.check(names, &key(&ed25519(seed))));
    assert_eq!(verdict(&host("h"), 2), Simply::Trusted(2));
    assert_eq!(verdict(&host("h"), 1), Simply::Changed(2));
    let at_port = |port| HostNames::new("H", port, None);
    assert_eq!(verdict(&at_port(2222), 1), Simply::Trusted(1));
    assert_eq!(verdict(&at_port(2222), 2), Simply::Changed(1));
    // Nothing is known of that port: the host's own key will do, another is unknown.
    assert_eq!(verdict(&at_port(3333), 2), Simply::Trusted(2));
    assert_eq!(verdict(&at_port(3333), 1), Simply::Unknown);
    let alias = HostNames::new("h", 2222, Some("Alias"));
    assert_eq!(verdict(&alias, 3), Simply::Trusted(3));
    assert_eq!(verdict(&alias, 1), Simply::Changed(3));
    let address = |address: &str| host("h").with_address(address.parse().unwrap(), 22);
    assert_eq!(verdict(&address("10.0.0.1"), 2), Simply::Changed(4));
    assert_eq!(verdict(&address("10.0.0.2"), 2), Simply::Trusted(2));
}

#[test]
fn bad_lines_are_skipped_and_told_and_nothing_else_is_lost() {
    let long = "x".repeat(300_000);
    let file = format!(
        "h\n# @foo\n@cert-authority h\nh ssh-ed25519 AAAA\nh ssh-foo AAAA\nh ssh-rsa {1}\n\
         |1|bad|bad {0}\n{long} {0}\nh ssh-ed25519 {1}=\n{2} {0}\nlast {0}",
        text(&ed25519(1)),
        STANDARD.encode(ed25519(1)),
        "y".repeat(1023),
    );
    let known = known(&file);
    let verdict = known.check(&host("last"), &key(&ed25519(1)));
    assert_eq!(simply(&verdict), Simply::Trusted(11));
    let verdict = known.check(&host("h"), &key(&ed25519(1)));
    assert_eq!(simply(&verdict), Simply::Unknown);
    let notes: Vec<&str> = known.files[0]
        .notes()
        .iter()
        .map(|note| note.text.split_once("known_hosts:").unwrap().1)
        .collect();
    assert_eq!(
        notes,
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
fn a_file_of_garbage_makes_few_notes() {
    let known = known(&"garbage\n".repeat(1000));
    assert_eq!(known.files[0].notes().len(), 21);
    assert!(
        known.files[0].notes()[20]
            .text
            .ends_with("980 more lines skipped")
    );
}

#[test]
fn files_that_are_missing_say_nothing_and_others_must_be_readable() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("known_hosts");
    std::fs::write(&path, format!("h {}\n", text(&ed25519(1)))).unwrap();
    let known = load(&[folder.path().join("none"), path]).unwrap();
    let verdict = known.check(&host("h"), &key(&ed25519(1)));
    assert_eq!(simply(&verdict), Simply::Trusted(1));
    assert!(load(&[folder.path()]).is_err());
}

#[test]
fn refusals_have_opensshs_words() {
    let known = |lines: &[(u64, String)]| {
        let mut file = KnownFile::new(Path::new("/k"));
        for (number, line) in lines {
            let place = Place {
                file: Path::new("/k").into(),
                line: *number,
            };
            file.add(place, line::parse(line.as_bytes()).unwrap().unwrap());
        }
        KnownHosts::new(vec![Arc::new(file)])
    };
    let line = (7, format!("h {}", text(&rsa(1))));
    let revoked = (8, format!("@revoked * {}", text(&ed25519(1))));
    let (first, second) = (known(std::slice::from_ref(&line)), known(&[line, revoked]));
    let refusal = |known: &KnownHosts, name: &str| {
        let (names, key) = (host(name), key(&ed25519(1)));
        let verdict = known.check(&names, &key);
        verdict.refusal(&names, &key).unwrap().to_string()
    };
    insta::assert_snapshot!(refusal(&first, "h"), @r#"REMOTE HOST IDENTIFICATION HAS CHANGED: h sent the ED25519 key SHA256:RXm/ruZ0eTzRXKwi1AQEDynB0VgHQ2ac9KPSFdf/YnA; offending RSA key in /k:7; if the change is known to be right, remove it with: ssh-keygen -f "/k" -R "h""#);
    insta::assert_snapshot!(refusal(&first, "x"), @"no ED25519 host key is known for x, and strict host key checking is the default; its key is SHA256:RXm/ruZ0eTzRXKwi1AQEDynB0VgHQ2ac9KPSFdf/YnA: once it is checked, 'ssh-keyscan' or --ssh-option StrictHostKeyChecking=accept-new adds it");
    insta::assert_snapshot!(refusal(&second, "x"), @"REVOKED HOST KEY DETECTED: the ED25519 host key SHA256:RXm/ruZ0eTzRXKwi1AQEDynB0VgHQ2ac9KPSFdf/YnA of x is marked as revoked in /k:8; it may be a stolen key");
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
        let keys = known.algorithms(&host(name));
        assert!(keys.certain);
        keys.order(&all).join(" ")
    };
    let rsa_first = "rsa-sha2-512 rsa-sha2-256 ssh-ed25519 ecdsa-sha2-nistp256";
    assert_eq!(order("a"), rsa_first);
    assert_eq!(order("b"), all[1..].join(" "));
    assert_eq!(order("x.ca"), all.join(" "));
    assert_eq!(order("x"), all[1..].join(" "));
    let at_port = known.algorithms(&HostNames::new("a", 2222, None));
    assert_eq!(at_port.types, [KeyType::Rsa]);
}

#[test]
fn many_hashed_names_give_their_types_together() {
    let mut file = String::new();
    for i in 0..300 {
        let name = pattern::hashed(format!("n{i}").as_bytes(), &[7; 20]);
        writeln!(file, "{name} {}", text(&rsa(1))).unwrap();
    }
    let known = known(&file);
    let keys = known.algorithms(&host("elsewhere"));
    assert_eq!((&*keys.types, keys.certain), (&[KeyType::Rsa][..], false));
    for i in [0, 299, 5] {
        let verdict = known.check(&host(&format!("N{i}")), &key(&rsa(1)));
        assert_eq!(simply(&verdict), Simply::Trusted(i + 1));
    }
    let verdict = known.check(&host("n300"), &key(&rsa(1)));
    assert_eq!(simply(&verdict), Simply::Unknown);
    let verdict = known.check(&host("n3"), &key(&rsa(2)));
    assert_eq!(simply(&verdict), Simply::Changed(4));
}

/// A key for each number.
fn nth(n: u32) -> Vec<u8> {
    let mut blob = ed25519(0);
    let end = blob.len() - 4;
    blob[end..].copy_from_slice(&n.to_be_bytes());
    blob
}

/// A walk over all lines for every host would take minutes here. Prints what it took.
#[test]
fn ten_thousand_hashed_names_cost_next_to_nothing_per_host() {
    const LINES: u32 = 10_000;
    let files = [true, false].map(|own_keys| {
        let mut rng = Rng::with_seed(1);
        let mut file = String::new();
        for n in 0..LINES {
            let mut salt = [0; 20];
            rng.fill(&mut salt);
            let name = pattern::hashed(format!("node{n}").as_bytes(), &salt);
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
            assert!(!known.algorithms(&names).certain);
            let verdict = known.check(&names, &key(&nth(if own_keys { n } else { 0 })));
            assert_eq!(simply(&verdict), Simply::Trusted(u64::from(n) + 1));
        }
        let per_host = start.elapsed() / LINES;
        println!("own keys {own_keys}: known {per_host:?} a host");
        assert!(per_host < Duration::from_millis(1), "{per_host:?}");
        let start = Instant::now();
        for n in 0..10 {
            let verdict = known.check(&host(&format!("x{n}")), &key(&nth(LINES)));
            assert_eq!(simply(&verdict), Simply::Unknown);
        }
        println!(
            "own keys {own_keys}: unknown {:?} a host",
            start.elapsed() / 10
        );
    }
}

#[test]
fn what_is_added_is_known_at_once_and_to_ssh_keygen() {
    let Some(bench) = Bench::new() else { return };
    let path = bench.path("new/known_hosts");
    let known = load(&[&path]).unwrap();
    for (name, port, hashed) in [("A", 22, false), ("b", 2222, true), ("a", 22, false)] {
        let names = HostNames::new(name, port, None);
        let verdict = known.check(&names, &key(&ed25519(1)));
        match name {
            // Another label for a host that has been added.
            "a" => assert_eq!(simply(&verdict), Simply::Trusted(0)),
            _ => assert_eq!(simply(&verdict), Simply::Unknown),
        }
        known.files[0]
            .append(&names, &key(&ed25519(1)), hashed)
            .unwrap();
        let verdict = known.check(&names, &key(&ed25519(2)));
        assert_eq!(simply(&verdict), Simply::Changed(0));
    }
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&path), 0o600);
    assert_eq!(mode(path.parent().unwrap()), 0o700);
    assert_eq!(bench.read("new/known_hosts").lines().count(), 2);
    assert_eq!(found_by_keygen(&bench, "new/known_hosts", "a"), ["1"]);
    assert_eq!(
        found_by_keygen(&bench, "new/known_hosts", "[b]:2222"),
        ["2"]
    );
    assert_eq!(
        known.files[0].additions().unwrap(),
        format!(
            "permanently added to the known hosts in {}: a,b:2222 (ED25519)",
            path.display()
        )
    );
    let again = load(&[&path]).unwrap();
    assert_eq!(again.files[0].additions(), None);
    let verdict = again.check(&HostNames::new("B", 2222, None), &key(&ed25519(1)));
    assert_eq!(simply(&verdict), Simply::Trusted(2));
}

#[test]
fn a_line_is_added_after_one_without_an_end() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("known_hosts");
    std::fs::write(&path, format!("a {}", text(&ed25519(1)))).unwrap();
    let known = load(&[&path]).unwrap();
    let names = host("b").with_address("10.0.0.2".parse().unwrap(), 22);
    known.files[0]
        .append(&names, &key(&ed25519(1)), false)
        .unwrap();
    let line = text(&ed25519(1));
    assert_eq!(
        std::fs::read_to_string(&path).unwrap(),
        format!("a {line}\nb,10.0.0.2 {line}\n")
    );
    for name in ["", "a b", "*", "!a", "|1|", "#a", "@a", "a,b", "a\nb"] {
        let added = known.files[0].append(&host(name), &key(&ed25519(1)), false);
        assert!(matches!(added, Err(AppendError::Name { .. })), "{name:?}");
    }
}

#[test]
fn a_revoked_list_is_read_to_its_end_or_not_at_all() {
    let Some(bench) = Bench::new() else { return };
    let path = bench.write("revoked", format!("# old\n\n{} me\n", text(&ed25519(1))));
    let revoked = RevokedKeys::load(&path).unwrap();
    assert!(revoked.refusal("h", &key(&ed25519(2))).is_none());
    let words = revoked.refusal("h", &key(&ed25519(1))).unwrap().text;
    assert!(words.contains(" of h revoked by file /"), "{words}");
    let path = bench.write("bad", "ssh-ed25519 AAAA\n");
    let error = RevokedKeys::load(&path).unwrap_err().to_string();
    assert!(error.ends_with("bad:1: the key is damaged"), "{error}");
    assert!(RevokedKeys::load(&bench.path("missing")).is_err());
    bench.write("key.pub", text(&ed25519(1)));
    bench.run("ssh-keygen", &["-q", "-k", "-f", "krl", "key.pub"]);
    let error = RevokedKeys::load(&bench.path("krl")).unwrap_err();
    assert!(matches!(error, RevokedKeysError::Binary { .. }), "{error}");
}

/// The lines that `ssh-keygen -F` finds, with their markers; it reads the keys for `-l`.
fn found_by_keygen(bench: &Bench, file: &str, name: &str) -> Vec<String> {
    let output = bench
        .command("ssh-keygen")
        .args(["-l", "-F", name, "-f", file])
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines()
        .filter_map(|line| line.strip_prefix("# Host ")?.split_once(" found: line "))
        .map(|(_, found)| found.trim_end().to_owned())
        .collect()
}

/// A line of names in front of a key, as people and worse write them.
fn random_line(rng: &mut Rng) -> String {
    let name = |rng: &mut Rng| {
        let names = [
            "a", "b", "ab", "A", "a.b", "10.0.0.1", "[a]:2222", "[b]:22", "*", "?", "a*", "*b",
            "a?b", "!a", "!*", "!b*", "[*]:2222", "[a]:*", "::1", "", "a**b", "*?*", "!a.b",
        ];
        names[rng.usize(..names.len())]
    };
    let names = match rng.u8(..5) {
        0 => {
            let hashed = ["a", "b", "[a]:2222", "a.b"][rng.usize(..4)];
            pattern::hashed(hashed.as_bytes(), &[rng.u8(..); 20])
        }
        1 => name(rng).to_owned(),
        _ => (0..rng.usize(1..4))
            .map(|_| name(rng))
            .collect::<Vec<_>>()
            .join(","),
    };
    let marker = ["", "", "", "@revoked ", "@cert-authority "][rng.usize(..5)];
    let key = match rng.u8(..8) {
        0 => "ssh-ed25519 AAAA".to_owned(),
        1 => "ssh-ed25519".to_owned(),
        2 => text(&rsa(rng.u8(..4))),
        _ => text(&ed25519(rng.u8(..4))),
    };
    let end = ["\n", "\r\n", " comment\n", " # x\r\n"][rng.usize(..4)];
    let lead = ["", "", " ", "\t"][rng.usize(..4)];
    format!("{lead}{marker}{names} {key}{end}")
}

#[test]
fn lines_are_found_as_ssh_keygen_finds_them() {
    let Some(bench) = Bench::new() else { return };
    let mut found_at_all = 0;
    for seed in 0..40 {
        let mut rng = Rng::with_seed(seed);
        // A line that may revoke a key and is wrong is an error here; ssh-keygen skips it.
        let sound = |line: &String| {
            !line::may_revoke(line.as_bytes()) || line::parse(line.as_bytes()).is_ok()
        };
        let lines = std::iter::repeat_with(|| random_line(&mut rng));
        let file: String = lines.filter(sound).take(30).collect();
        let path = bench.write("known_hosts", &file);
        let known = load(&[&path]).unwrap();
        for name in ["a", "b", "ab", "a.b", "10.0.0.1", "[a]:2222", "::1", "zz"] {
            let read = &known.files[0];
            let ours: Vec<String> = read
                .lines_of(name.as_bytes(), &read.hashed)
                .into_iter()
                .map(|line| {
                    let entry = &read.entries[line];
                    let marker = match entry.marker {
                        Marker::Key => "",
                        Marker::Authority => " CA",
                        Marker::Revoked => " REVOKED",
                    };
                    format!("{}{marker}", entry.place.line)
                })
                .collect();
            let theirs = found_by_keygen(&bench, "known_hosts", name);
            assert_eq!(ours, theirs, "seed {seed}, name {name}, file:\n{file}");
            found_at_all += ours.len();
        }
    }
    assert!(found_at_all > 1000, "{found_at_all}");
}

/// What ssh says to the key of an sshd that it starts itself, with no network in between.
fn said_by_ssh(bench: &Bench, name: &str, port: u16) -> Simply {
    said_by_ssh_with(bench, name, port, "CheckHostIP=no")
}

fn said_by_ssh_with(bench: &Bench, name: &str, port: u16, option: &str) -> Simply {
    let proxy = format!("ProxyCommand={}", sshd_command(bench).join(" "));
    let known = format!("UserKnownHostsFile={}", bench.path("known_hosts").display());
    let output = bench
        .command("ssh")
        .args([
            "-F",
            "none",
            "-p",
            &port.to_string(),
            "-o",
            &proxy,
            "-o",
            &known,
        ])
        .args([
            "-o",
            "GlobalKnownHostsFile=/dev/null",
            "-o",
            "BatchMode=yes",
        ])
        .args([
            "-o",
            "StrictHostKeyChecking=yes",
            "-o",
            "PubkeyAuthentication=no",
        ])
        .args(["-o", "KexAlgorithms=curve25519-sha256", "-o", option])
        .args([name, "true"])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    let line = |text: &str| {
        let at = text.rsplit_once("/known_hosts:").unwrap().1;
        at.lines().next().unwrap().parse().unwrap()
    };
    if text.contains("REVOKED HOST KEY DETECTED") {
        Simply::Revoked(0)
    } else if let Some((_, text)) = text.split_once("Offending ") {
        Simply::Changed(line(text.lines().next().unwrap()))
    } else if text.contains("host key is known for") {
        Simply::Unknown
    } else if text.contains("Permission denied") {
        Simply::Trusted(0)
    } else {
        panic!("ssh says: {text}")
    }
}

/// What starts an sshd for one connection. It is nobody's, for root's wants an account of its own.
fn sshd_command(bench: &Bench) -> Vec<String> {
    let lab = std::env::var("LAB_CACHE").unwrap_or_else(|_| "/var/cache/mrsh-lab".to_owned());
    let program = [
        "/usr/sbin/sshd".to_owned(),
        format!("{lab}/openssh-server/usr/sbin/sshd"),
    ]
    .into_iter()
    .find(|program| Path::new(program).exists())
    .unwrap_or_else(|| "sshd".to_owned());
    let mut command = Vec::new();
    if rustix::process::geteuid().is_root() {
        let nobody = "setpriv --reuid=65534 --regid=65534 --clear-groups";
        command.extend(nobody.split(' ').map(str::to_owned));
    }
    let config = bench.path("sshd_config").display().to_string();
    command.extend([program, "-i".to_owned(), "-f".to_owned(), config]);
    command
}

/// Sets up an sshd that can be started for a connection; `None` where there is none.
fn sshd(bench: &Bench, keys: &str) -> Option<()> {
    let config = bench.write("sshd_config", format!("{keys}PidFile none\nUsePAM no\n"));
    if rustix::process::geteuid().is_root() {
        let folder = config.parent().unwrap();
        for file in [folder, &config, &folder.join("host")] {
            std::os::unix::fs::chown(file, Some(65534), Some(65534)).unwrap();
        }
    }
    let command = sshd_command(bench);
    let tried = bench
        .command(&command[0])
        .args(&command[1..])
        .arg("-t")
        .output();
    match tried {
        Ok(output) if output.status.success() => Some(()),
        failed => {
            assert!(
                std::env::var_os("CI").is_none_or(|ci| ci != "true"),
                "{failed:?}"
            );
            println!("skipped: sshd does not start: {failed:?}");
            None
        }
    }
}

#[test]
fn verdicts_are_those_of_ssh() {
    let Some(bench) = Bench::new() else { return };
    bench.key("host", &["-t", "ed25519"]);
    bench.key("other", &["-t", "ed25519"]);
    bench.key("rsa", &["-t", "rsa", "-b", "1024"]);
    let host_key = format!("HostKey {}\n", bench.path("host").display());
    if sshd(&bench, &host_key).is_none() {
        return;
    }
    let lines = ["host.pub", "other.pub", "rsa.pub"].map(|name| bench.line(name));
    let offered = key(&bench.blob("host.pub"));
    let mut counts = [0; 4];
    for seed in 0..60 {
        let mut rng = Rng::with_seed(seed);
        let mut file = String::new();
        for _ in 0..rng.usize(0..5) {
            let names = ["h", "x", "[h]:2222", "h,x", "*", "!h,*", "[*]:*"][rng.usize(..7)];
            let names = match rng.bool() && names.len() == 1 && names != "*" {
                true => pattern::hashed(names.as_bytes(), &[3; 20]),
                false => names.to_owned(),
            };
            let marker = ["", "", "", "", "@revoked "][rng.usize(..5)];
            let key = &lines[rng.usize(..3)];
            writeln!(file, "{marker}{names} {key}").unwrap();
        }
        let path = bench.write("known_hosts", &file);
        let known = load(&[path]).unwrap();
        let port = [22, 2222][rng.usize(..2)];
        let verdict = known.check(&HostNames::new("h", port, None), &offered);
        let theirs = said_by_ssh(&bench, "h", port);
        let agree = match (&theirs, &verdict) {
            (Simply::Trusted(_), Verdict::Trusted(_)) => true,
            (Simply::Revoked(_), Verdict::Revoked(_)) => true,
            (Simply::Unknown, Verdict::Unknown { .. }) => true,
            // The meant difference: revoked for the host is revoked at all its ports.
            (Simply::Unknown, Verdict::Revoked(_)) => port == 2222 && file.contains("@revoked"),
            (Simply::Changed(_), Verdict::Changed(_)) => true,
            _ => false,
        };
        assert!(
            agree,
            "seed {seed}, ssh {theirs:?}, {verdict:?}, file:\n{file}"
        );
        counts[match theirs {
            Simply::Trusted(_) => 0,
            Simply::Unknown => 1,
            Simply::Changed(_) => 2,
            Simply::Revoked(_) => 3,
        }] += 1;
    }
    assert!(counts.iter().all(|&count| count > 3), "{counts:?}");
}

#[test]
fn certificates_are_believed_as_ssh_believes_them() {
    let Some(bench) = Bench::new() else { return };
    for (name, args) in [
        ("host", &["-t", "ed25519"][..]),
        ("ca_ed25519", &["-t", "ed25519"]),
        ("ca_rsa", &["-t", "rsa", "-b", "2048"]),
        ("ca_ecdsa", &["-t", "ecdsa", "-b", "384"]),
    ] {
        bench.key(name, args);
    }
    let config = format!(
        "HostKey {0}\nHostCertificate {0}-cert.pub\n",
        bench.path("host").display()
    );
    let mut has_sshd = None;
    for (ca, args, names, file, fault) in [
        ("ca_ed25519", "-h -n h", "h", "", None),
        ("ca_ecdsa", "-h -n x,h", "h", "", None),
        ("ca_rsa", "-h -n h -t rsa-sha2-512", "h", "", None),
        ("ca_rsa", "-h -n h -t rsa-sha2-256", "*", "", None),
        ("ca_rsa", "-h -n h -t ssh-rsa", "h", "", Some("garbled")),
        ("ca_ed25519", "-h", "h", "", None),
        ("ca_ed25519", "-h -n *", "h", "", Some("list")),
        ("ca_ed25519", "-h -n x", "h", "", Some("list")),
        ("ca_ed25519", "-h -n h", "x", "", Some("authority")),
        ("ca_ed25519", "-n h", "h", "", Some("not a host")),
        ("ca_ed25519", "-h -n h -V -2d:-1d", "h", "", Some("expired")),
        ("ca_ed25519", "-h -n h -V +1d:+2d", "h", "", Some("not yet")),
        ("ca_ed25519", "-h -n h -V -1d:+2d", "h", "", None),
        (
            "ca_ed25519",
            "-h -n h -O critical:a=b",
            "h",
            "",
            Some("critical"),
        ),
        (
            "ca_ed25519",
            "-h -n h",
            "h",
            "revoked authority",
            Some("revoked"),
        ),
        ("ca_ed25519", "-h -n h", "h", "revoked key", Some("revoked")),
        ("ca_ed25519", "-h -n x", "h", "key", None),
    ] {
        let sign: Vec<&str> = ["-q", "-s", ca, "-I", "id"]
            .into_iter()
            .chain(args.split(' '))
            .chain(["host.pub"])
            .collect();
        bench.run("ssh-keygen", &sign);
        let authority = bench.line(&format!("{ca}.pub"));
        let host_line = bench.line("host.pub");
        let mut lines = format!("@cert-authority {names} {authority}\n");
        lines += &match file {
            "revoked authority" => format!("@revoked h {authority}\n"),
            "revoked key" => format!("@revoked h {host_line}\n"),
            "key" => format!("h {host_line}\n"),
            _ => String::new(),
        };
        let path = bench.write("known_hosts", &lines);
        let known = load(&[path]).unwrap();
        let case = format!("{ca} {args} for {names} {file}");
        let offered = HostKey::parse(&bench.blob("host-cert.pub"));
        let ours = match &offered {
            None => {
                assert_eq!(fault, Some("garbled"), "{case}");
                continue;
            }
            Some(offered) => known.check(&host("h"), offered),
        };
        match (&ours, fault) {
            (Verdict::Trusted(_), None) | (Verdict::Revoked(_), Some("revoked")) => {}
            (Verdict::Unknown { certificate }, Some(fault)) => {
                let words = certificate.unwrap().to_string();
                assert!(words.contains(fault), "{case}: {words}");
            }
            _ => panic!("{case}: {ours:?}"),
        }
        if has_sshd.is_none() {
            // Its configuration names the certificate, which is there by now.
            has_sshd = Some(sshd(&bench, &config).is_some());
        }
        // sshd itself does not offer what is not a host certificate.
        if has_sshd == Some(true) && args.contains("-h") {
            let theirs = said_by_ssh(&bench, "h", 22);
            let agree = match ours {
                Verdict::Trusted(_) => theirs == Simply::Trusted(0),
                Verdict::Revoked(_) => theirs == Simply::Revoked(0),
                _ => theirs == Simply::Unknown,
            };
            assert!(agree, "{case}: ssh {theirs:?}, {ours:?}");
        }
    }
}

#[test]
fn certificates_are_signed_as_the_user_wants() {
    let Some(bench) = Bench::new() else { return };
    bench.key("host", &["-t", "ed25519"]);
    bench.key("ca", &["-t", "rsa", "-b", "2048"]);
    bench.run(
        "ssh-keygen",
        &[
            "-q",
            "-s",
            "ca",
            "-I",
            "id",
            "-h",
            "-n",
            "h",
            "-t",
            "rsa-sha2-256",
            "host.pub",
        ],
    );
    let config = format!(
        "HostKey {0}\nHostCertificate {0}-cert.pub\n",
        bench.path("host").display()
    );
    let has_sshd = sshd(&bench, &config).is_some();
    let authority = format!("@cert-authority h {}\n", bench.line("ca.pub"));
    let both = format!("{authority}h {}\n", bench.line("host.pub"));
    for (accepted, lines, expected) in [
        ("rsa-sha2-256,ssh-ed25519", &authority, Simply::Trusted(1)),
        ("ssh-ed25519,rsa-sha2-512", &authority, Simply::Unknown),
        // What the certificate does not do the key itself may.
        ("ssh-ed25519", &both, Simply::Trusted(2)),
    ] {
        let known = load(&[bench.write("known_hosts", lines)]).unwrap();
        let names: Vec<String> = accepted.split(',').map(str::to_owned).collect();
        let offered = key(&bench.blob("host-cert.pub")).signed_by_one_of(&names);
        let verdict = known.check(&host("h"), &offered);
        assert_eq!(simply(&verdict), expected, "{accepted}");
        if let Verdict::Unknown { certificate } = verdict {
            assert_eq!(certificate, Some(CertificateFault::Algorithm));
        }
        if has_sshd {
            let option = format!("CASignatureAlgorithms={accepted}");
            let theirs = said_by_ssh_with(&bench, "h", 22, &option);
            let trusted = |said: &Simply| matches!(said, Simply::Trusted(_));
            assert_eq!(
                trusted(&theirs),
                trusted(&expected),
                "{accepted}: {theirs:?}"
            );
        }
    }
}

#[test]
fn a_certificate_with_one_bit_changed_is_none() {
    let Some(bench) = Bench::new() else { return };
    bench.key("host", &["-t", "ed25519"]);
    bench.key("ca", &["-t", "ed25519"]);
    bench.run(
        "ssh-keygen",
        &["-q", "-s", "ca", "-I", "id", "-h", "-n", "h", "host.pub"],
    );
    let good = bench.blob("host-cert.pub");
    assert!(HostKey::parse(&good).is_some());
    for at in 0..good.len() {
        let mut bad = good.clone();
        bad[at] ^= 1;
        assert_eq!(HostKey::parse(&bad), None, "byte {at}");
    }
    let known = known(&format!("@cert-authority * {}\n", bench.line("ca.pub")));
    let names = HostNames::new("h", 2222, None);
    let verdict = known.check_at(&names, &key(&good), UNIX_EPOCH + Duration::from_secs(1));
    assert_eq!(simply(&verdict), Simply::Trusted(1));
}

proptest! {
    #[test]
    fn any_bytes_are_read(bytes in any::<Vec<u8>>(), name in "[a-z*?!|1]{0,8}") {
        let _ = line::parse(&bytes);
        let _ = HostKey::parse(&bytes);
        let _ = pattern::Names::parse(&bytes).map(|names| names.matches(name.as_bytes()));
    }

    #[test]
    fn words_in_any_order_are_read(words in proptest::collection::vec(
        prop_oneof![
            Just("@revoked".to_owned()), Just("@cert-authority".to_owned()), Just("|1|".to_owned()),
            Just("ssh-ed25519".to_owned()), Just("ssh-rsa".to_owned()), Just("*,!a".to_owned()),
            "[ -~]{0,40}", Just(STANDARD.encode(ed25519(1))),
        ], 0..6)) {
        let _ = line::parse(words.join(" ").as_bytes());
    }

    #[test]
    fn globs_are_those_of_regular_expressions(pattern in "[ab*?]{0,12}", text in "[ab]{0,12}") {
        let regex = pattern.replace('*', ".*").replace('?', ".");
        let regex = regex_lite::Regex::new(&format!("^{regex}$")).unwrap();
        prop_assert_eq!(pattern::glob(pattern.as_bytes(), text.as_bytes()), regex.is_match(&text));
    }

    #[test]
    fn certificates_of_any_fields_are_read(bytes in any::<Vec<u8>>(), cut in 0usize..400) {
        let mut blob = b"\0\0\0\x20ssh-ed25519-cert-v01@openssh.com\0\0\0\0\0\0\0\x20".to_vec();
        blob.extend([1; 32]);
        blob.extend(bytes);
        blob.truncate(cut);
        prop_assert_eq!(HostKey::parse(&blob), None);
    }
}
