//! Tests of cases in which a lenient reading of known_hosts files would accept a wrong key.

use super::openssh::{said_by_ssh, sshd};
use super::*;
use crate::RevokedKeys;

/// Writes a file with these lines, and reads it.
fn read(tools: &OpensshTools, lines: &str) -> Result<KnownHosts, KnownHostsError> {
    load(&[tools.write("known_hosts", lines)])
}

#[test]
fn a_new_name_at_an_address_with_another_key_is_changed() {
    let file = format!(
        "10.0.0.1,[10.0.0.1]:2222 {0}\n10.0.0.2 {1}\n",
        text(&ed25519(1)),
        text(&rsa(1))
    );
    let known = known(&file);
    let names = |address: &str, port| {
        HostNames::new("new", port, None).with_address(address.parse().unwrap(), port)
    };
    let status = |names: &HostNames, blob: &[u8]| short(&known.check(names, &key(blob)));
    assert_eq!(
        status(&names("10.0.0.1", 22), &ed25519(2)),
        ShortStatus::Changed(1)
    );
    assert_eq!(
        status(&names("10.0.0.1", 2222), &ed25519(2)),
        ShortStatus::Changed(1)
    );
    // A key of another type is another key.
    assert_eq!(
        status(&names("10.0.0.2", 22), &ed25519(2)),
        ShortStatus::Changed(2)
    );
    // The address has the offered key, or none.
    assert_eq!(
        status(&names("10.0.0.1", 22), &ed25519(1)),
        ShortStatus::Unknown
    );
    assert_eq!(
        status(&names("10.0.0.3", 22), &ed25519(2)),
        ShortStatus::Unknown
    );
    let names = names("10.0.0.1", 22);
    let offered = key(&ed25519(2));
    let error = known.check(&names, &offered).error(&names, &offered);
    let words = error.unwrap().to_string();
    assert!(words.contains("key for the address 10.0.0.1 in"), "{words}");
}

#[test]
fn a_revoked_certificate_revokes_the_key_inside() {
    let Some(tools) = OpensshTools::new() else {
        return;
    };
    tools.key("host", &["-t", "ed25519"]);
    tools.key("rsa", &["-t", "rsa", "-b", "1024"]);
    tools.key("ca", &["-t", "ed25519"]);
    let sign = ["-q", "-s", "ca", "-I", "id", "-h", "-n", "h"];
    for key in ["host.pub", "rsa.pub"] {
        tools.run("ssh-keygen", &[&sign[..], &[key]].concat());
    }
    let (host_cert, rsa_cert) = (tools.line("host-cert.pub"), tools.line("rsa-cert.pub"));
    let lines = format!(
        "h {}\n@revoked * {host_cert}\n@revoked x {rsa_cert}\n",
        tools.line("host.pub")
    );
    let known = read(&tools, &lines).unwrap();
    let status = |name: &str, file: &str| short(&known.check(&host(name), &key(&tools.blob(file))));
    assert_eq!(status("h", "host.pub"), ShortStatus::Revoked(2));
    assert_eq!(status("h", "host-cert.pub"), ShortStatus::Revoked(2));
    assert_eq!(status("x", "rsa.pub"), ShortStatus::Revoked(3));
    assert_eq!(status("y", "rsa.pub"), ShortStatus::Unknown);
    let host_key = format!("HostKey {}\n", tools.path("host").display());
    if sshd(&tools, &host_key).is_some() {
        assert_eq!(said_by_ssh(&tools, "h", 22), ShortStatus::Revoked(0));
    }
    // The signature of a revoked certificate does not matter.
    let mut blob = tools.blob("host-cert.pub");
    *blob.last_mut().unwrap() ^= 1;
    let damaged = format!(
        "@revoked * ssh-ed25519-cert-v01@openssh.com {}\n",
        STANDARD.encode(&blob)
    );
    let known = read(&tools, &damaged).unwrap();
    let status = known.check(&host("h"), &key(&tools.blob("host.pub")));
    assert_eq!(short(&status), ShortStatus::Revoked(1));
    // The same applies to a list of revoked keys.
    let list =
        RevokedKeys::load(&tools.write("revoked", format!("{host_cert} comment\n"))).unwrap();
    assert!(list.contains(&key(&tools.blob("host.pub"))));
    assert!(!list.contains(&key(&tools.blob("rsa.pub"))));
}

#[test]
fn a_line_that_may_revoke_a_key_is_never_skipped() {
    let Some(tools) = OpensshTools::new() else {
        return;
    };
    let good = text(&ed25519(1));
    let half = &good[..good.len() / 2];
    let long = "x".repeat(300_000);
    let blanks = " ".repeat(300_000);
    for (line, expected) in [
        (
            "@revoked h ssh-ed25519 AAAA".to_owned(),
            "the key is damaged",
        ),
        ("@revoked h ssh-foo AAAA".to_owned(), "unknown type of key"),
        (
            "@revoked h ssh-ed25519-cert-v01@openssh.com AAAA".to_owned(),
            "the certificate is damaged",
        ),
        (
            "@revoked h ssh-ed25519-cert-v01@openssh.com".to_owned(),
            "a key's type without the key",
        ),
        (format!("@revoked h {half}="), "the key is not base64"),
        ("@revoked h".to_owned(), "no key"),
        ("\t@revoked".to_owned(), "no host names"),
        (format!("@revoked {good}"), "unknown type of key"),
        (
            format!("@revoked |1|bad|bad {good}"),
            "bad hash of a host name",
        ),
        (
            format!("@revoked {} {good}", "y".repeat(1023)),
            "a host name is too long",
        ),
        (
            format!("@revoked @revoked h {good}"),
            "more than one marker",
        ),
        (
            format!("@cert-authority @revoked h {good}"),
            "more than one marker",
        ),
        (format!("@REVOKED h {good}"), "unknown marker"),
        (format!("@revoked {long} {good}"), "the line is too long"),
        (format!("@revoked h {good} {long}"), "the line is too long"),
        (format!("{blanks}@revoked h {good}"), "the line is too long"),
    ] {
        let file = format!("# first\nh {good}\n{line}\nlast {good}\n");
        let error = match read(&tools, &file) {
            Err(error) => error.to_string(),
            Ok(_) => panic!("skipped: {}", &line[..line.len().min(60)]),
        };
        let start = format!(
            "cannot tell which key {}:3 revokes: {expected}",
            tools.path("known_hosts").display()
        );
        assert!(error.starts_with(&start), "{error}");
    }
    // Comments and lines that can only add trusted keys are skipped.
    for line in [
        "h ssh-ed25519 AAAA".to_owned(),
        "@cert-authority h ssh-ed25519 AAAA".to_owned(),
        format!("h {good} {long}"),
        format!("#@revoked {long}"),
        "# @revoked h".to_owned(),
    ] {
        let known = read(&tools, &format!("{line}\nlast {good}\n")).unwrap();
        let status = known.check(&host("last"), &key(&ed25519(1)));
        assert_eq!(short(&status), ShortStatus::Trusted(2));
    }
}
