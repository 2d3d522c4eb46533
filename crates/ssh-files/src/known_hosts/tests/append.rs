//! Tests of added keys.

use std::os::unix::fs::PermissionsExt as _;

use super::openssh::found_by_keygen;
use super::*;

#[test]
fn added_keys_are_known_at_once_and_to_ssh_keygen() {
    let Some(tools) = OpensshTools::new() else {
        return;
    };
    let path = tools.path("new/known_hosts");
    let known = load(&[&path]).unwrap();
    for (name, port, hashed) in [("A", 22, false), ("b", 2222, true), ("a", 22, false)] {
        let names = HostNames::new(name, port, None);
        let status = known.check(&names, &key(&ed25519(1)));
        match name {
            // This is another name of a host whose key was added.
            "a" => assert_eq!(short(&status), ShortStatus::Trusted(0)),
            _ => assert_eq!(short(&status), ShortStatus::Unknown),
        }
        known.files[0]
            .append(&names, &key(&ed25519(1)), hashed)
            .unwrap();
        let status = known.check(&names, &key(&ed25519(2)));
        assert_eq!(short(&status), ShortStatus::Changed(0));
    }
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&path), 0o600);
    assert_eq!(mode(path.parent().unwrap()), 0o700);
    assert_eq!(tools.read("new/known_hosts").lines().count(), 2);
    assert_eq!(found_by_keygen(&tools, "new/known_hosts", "a"), ["1"]);
    assert_eq!(
        found_by_keygen(&tools, "new/known_hosts", "[b]:2222"),
        ["2"]
    );
    assert_eq!(
        known.files[0].added(),
        [
            ("a".to_owned(), KeyType::Ed25519),
            ("[b]:2222".to_owned(), KeyType::Ed25519)
        ]
    );
    let again = load(&[&path]).unwrap();
    assert_eq!(again.files[0].added(), []);
    let status = again.check(&HostNames::new("B", 2222, None), &key(&ed25519(1)));
    assert_eq!(short(&status), ShortStatus::Trusted(2));
}

#[test]
fn a_line_is_added_after_one_without_an_end() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("known_hosts");
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
        assert!(
            matches!(added, Err(AppendKeyError::Name { .. })),
            "{name:?}"
        );
    }
}
