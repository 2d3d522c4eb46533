//! Places where a mild reading of known_hosts files would let a wrong key pass.

use super::*;

/// The path of a file with these lines, and the result of reading it.
fn read(bench: &Bench, lines: &str) -> Result<KnownHosts, LoadError> {
    load(&[bench.write("known_hosts", lines)])
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
    let verdict = |names: &HostNames, blob: &[u8]| simply(&known.check(names, &key(blob)));
    assert_eq!(
        verdict(&names("10.0.0.1", 22), &ed25519(2)),
        Simply::Changed(1)
    );
    assert_eq!(
        verdict(&names("10.0.0.1", 2222), &ed25519(2)),
        Simply::Changed(1)
    );
    // A key of another type is another key.
    assert_eq!(
        verdict(&names("10.0.0.2", 22), &ed25519(2)),
        Simply::Changed(2)
    );
    // The address has that key, or none.
    assert_eq!(
        verdict(&names("10.0.0.1", 22), &ed25519(1)),
        Simply::Unknown
    );
    assert_eq!(
        verdict(&names("10.0.0.3", 22), &ed25519(2)),
        Simply::Unknown
    );
    let names = names("10.0.0.1", 22);
    let offered = key(&ed25519(2));
    let refusal = known.check(&names, &offered).refusal(&names, &offered);
    let words = refusal.unwrap().to_string();
    assert!(words.contains("key for the address 10.0.0.1 in"), "{words}");
}

#[test]
fn a_revoked_certificate_revokes_the_key_inside() {
    let Some(bench) = Bench::new() else { return };
    bench.key("host", &["-t", "ed25519"]);
    bench.key("rsa", &["-t", "rsa", "-b", "1024"]);
    bench.key("ca", &["-t", "ed25519"]);
    let sign = ["-q", "-s", "ca", "-I", "id", "-h", "-n", "h"];
    for key in ["host.pub", "rsa.pub"] {
        bench.run("ssh-keygen", &[&sign[..], &[key]].concat());
    }
    let (host_cert, rsa_cert) = (bench.line("host-cert.pub"), bench.line("rsa-cert.pub"));
    let lines = format!(
        "h {}\n@revoked * {host_cert}\n@revoked x {rsa_cert}\n",
        bench.line("host.pub")
    );
    let known = read(&bench, &lines).unwrap();
    let verdict =
        |name: &str, file: &str| simply(&known.check(&host(name), &key(&bench.blob(file))));
    assert_eq!(verdict("h", "host.pub"), Simply::Revoked(2));
    assert_eq!(verdict("h", "host-cert.pub"), Simply::Revoked(2));
    assert_eq!(verdict("x", "rsa.pub"), Simply::Revoked(3));
    assert_eq!(verdict("y", "rsa.pub"), Simply::Unknown);
    let host_key = format!("HostKey {}\n", bench.path("host").display());
    if sshd(&bench, &host_key).is_some() {
        assert_eq!(said_by_ssh(&bench, "h", 22), Simply::Revoked(0));
    }
    // A signature that is not good makes no difference.
    let mut blob = bench.blob("host-cert.pub");
    *blob.last_mut().unwrap() ^= 1;
    let damaged = format!(
        "@revoked * ssh-ed25519-cert-v01@openssh.com {}\n",
        STANDARD.encode(&blob)
    );
    let known = read(&bench, &damaged).unwrap();
    let verdict = known.check(&host("h"), &key(&bench.blob("host.pub")));
    assert_eq!(simply(&verdict), Simply::Revoked(1));
    // The same in a list of revoked keys.
    let list =
        RevokedKeys::load(&bench.write("revoked", format!("{host_cert} comment\n"))).unwrap();
    assert!(list.refusal("h", &key(&bench.blob("host.pub"))).is_some());
    assert!(list.refusal("h", &key(&bench.blob("rsa.pub"))).is_none());
}

#[test]
fn a_line_that_may_revoke_a_key_is_never_skipped() {
    let Some(bench) = Bench::new() else { return };
    let good = text(&ed25519(1));
    let half = &good[..good.len() / 2];
    let long = "x".repeat(300_000);
    let blanks = " ".repeat(300_000);
    for (line, fault) in [
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
        let error = match read(&bench, &file) {
            Err(error) => error.to_string(),
            Ok(_) => panic!("skipped: {}", &line[..line.len().min(60)]),
        };
        let start = format!(
            "cannot tell which key {}:3 revokes: {fault}",
            bench.path("known_hosts").display()
        );
        assert!(error.starts_with(&start), "{error}");
    }
    // Lines that only add trust, and comments, are skipped as before.
    for line in [
        "h ssh-ed25519 AAAA".to_owned(),
        "@cert-authority h ssh-ed25519 AAAA".to_owned(),
        format!("h {good} {long}"),
        format!("#@revoked {long}"),
        "# @revoked h".to_owned(),
    ] {
        let known = read(&bench, &format!("{line}\nlast {good}\n")).unwrap();
        let verdict = known.check(&host("last"), &key(&ed25519(1)));
        assert_eq!(simply(&verdict), Simply::Trusted(2));
    }
}

#[test]
fn names_fold_in_messages() {
    let names = [
        "[s2]:2203",
        "s10",
        "s9",
        "[s1]:2203",
        "[2001:db8::1]:22",
        "10.0.0.1",
    ];
    assert_eq!(
        folded(names.into_iter()),
        "10.0.0.1,s[9-10],s[1-2]:2203,[2001:db8::1]:22"
    );
    let many: Vec<String> = (0..300).map(|n| format!("h{}", n * n)).collect();
    let text = folded(many.iter().map(String::as_str));
    assert!(
        text.len() < 430 && text.ends_with(",… (300 names)"),
        "{text}"
    );
}
