//! Tests of host certificates.

use std::time::{Duration, UNIX_EPOCH};

use super::openssh::{said_by_ssh, said_by_ssh_with, sshd};
use super::*;

#[test]
fn certificates_are_accepted_as_by_ssh() {
    let Some(tools) = OpensshTools::new() else {
        return;
    };
    for (name, args) in [
        ("host", &["-t", "ed25519"][..]),
        ("ca_ed25519", &["-t", "ed25519"]),
        ("ca_rsa", &["-t", "rsa", "-b", "2048"]),
        ("ca_ecdsa", &["-t", "ecdsa", "-b", "384"]),
    ] {
        tools.key(name, args);
    }
    let config = format!(
        "HostKey {0}\nHostCertificate {0}-cert.pub\n",
        tools.path("host").display()
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
        tools.run("ssh-keygen", &sign);
        let authority = tools.line(&format!("{ca}.pub"));
        let host_line = tools.line("host.pub");
        let mut lines = format!("@cert-authority {names} {authority}\n");
        lines += &match file {
            "revoked authority" => format!("@revoked h {authority}\n"),
            "revoked key" => format!("@revoked h {host_line}\n"),
            "key" => format!("h {host_line}\n"),
            _ => String::new(),
        };
        let path = tools.write("known_hosts", &lines);
        let known = load(&[path]).unwrap();
        let case = format!("{ca} {args} for {names} {file}");
        let offered = HostKey::parse(&tools.blob("host-cert.pub"));
        let ours = match &offered {
            None => {
                assert_eq!(fault, Some("garbled"), "{case}");
                continue;
            }
            Some(offered) => known.check(&host("h"), offered),
        };
        match (&ours, fault) {
            (HostKeyStatus::Trusted(_), None) | (HostKeyStatus::Revoked(_), Some("revoked")) => {}
            (HostKeyStatus::Unknown { certificate }, Some(fault)) => {
                let words = certificate.unwrap().to_string();
                assert!(words.contains(fault), "{case}: {words}");
            }
            _ => panic!("{case}: {ours:?}"),
        }
        if has_sshd.is_none() {
            // The configuration names the certificate, so sshd starts only now.
            has_sshd = Some(sshd(&tools, &config).is_some());
        }
        // sshd does not offer certificates of users.
        if has_sshd == Some(true) && args.contains("-h") {
            let theirs = said_by_ssh(&tools, "h", 22);
            let agree = match ours {
                HostKeyStatus::Trusted(_) => theirs == ShortStatus::Trusted(0),
                HostKeyStatus::Revoked(_) => theirs == ShortStatus::Revoked(0),
                _ => theirs == ShortStatus::Unknown,
            };
            assert!(agree, "{case}: ssh {theirs:?}, {ours:?}");
        }
    }
}

#[test]
fn signature_algorithms_of_certificates_can_be_restricted() {
    let Some(tools) = OpensshTools::new() else {
        return;
    };
    tools.key("host", &["-t", "ed25519"]);
    tools.key("ca", &["-t", "rsa", "-b", "2048"]);
    tools.run(
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
        tools.path("host").display()
    );
    let has_sshd = sshd(&tools, &config).is_some();
    let authority = format!("@cert-authority h {}\n", tools.line("ca.pub"));
    let both = format!("{authority}h {}\n", tools.line("host.pub"));
    for (accepted, lines, expected) in [
        (
            "rsa-sha2-256,ssh-ed25519",
            &authority,
            ShortStatus::Trusted(1),
        ),
        ("ssh-ed25519,rsa-sha2-512", &authority, ShortStatus::Unknown),
        // The plain key is known even if the certificate is not accepted.
        ("ssh-ed25519", &both, ShortStatus::Trusted(2)),
    ] {
        let known = load(&[tools.write("known_hosts", lines)]).unwrap();
        let names: Vec<String> = accepted.split(',').map(str::to_owned).collect();
        let offered = key(&tools.blob("host-cert.pub")).accept_ca_algorithms(&names);
        let status = known.check(&host("h"), &offered);
        assert_eq!(short(&status), expected, "{accepted}");
        if let HostKeyStatus::Unknown { certificate } = status {
            assert_eq!(certificate, Some(CertificateRejection::Algorithm));
        }
        if has_sshd {
            let option = format!("CASignatureAlgorithms={accepted}");
            let theirs = said_by_ssh_with(&tools, "h", 22, &option);
            let trusted = |said: &ShortStatus| matches!(said, ShortStatus::Trusted(_));
            assert_eq!(
                trusted(&theirs),
                trusted(&expected),
                "{accepted}: {theirs:?}"
            );
        }
    }
}

#[test]
fn a_certificate_with_one_changed_bit_is_not_valid() {
    let Some(tools) = OpensshTools::new() else {
        return;
    };
    tools.key("host", &["-t", "ed25519"]);
    tools.key("ca", &["-t", "ed25519"]);
    tools.run(
        "ssh-keygen",
        &["-q", "-s", "ca", "-I", "id", "-h", "-n", "h", "host.pub"],
    );
    let good = tools.blob("host-cert.pub");
    assert!(HostKey::parse(&good).is_some());
    for at in 0..good.len() {
        let mut bad = good.clone();
        bad[at] ^= 1;
        assert_eq!(HostKey::parse(&bad), None, "byte {at}");
    }
    let known = known(&format!("@cert-authority * {}\n", tools.line("ca.pub")));
    let names = HostNames::new("h", 2222, None);
    let status = known.check_at(&names, &key(&good), UNIX_EPOCH + Duration::from_secs(1));
    assert_eq!(short(&status), ShortStatus::Trusted(1));
}
