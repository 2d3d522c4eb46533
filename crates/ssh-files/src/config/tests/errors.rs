//! Tests of errors, unsupported settings and ignored settings.

use super::*;

#[test]
fn errors_have_a_position_and_help() {
    insta::assert_snapshot!(Setup::user("Host a\n  Prot 22\n").shown("b"), @"
    /home/.ssh/config:2: bad configuration option: Prot (did you mean Port?)
    column 3: Prot
    ");
    insta::assert_snapshot!(Setup::user("# x\nBatchMode maybe\n").shown("b"), @r#"
    /home/.ssh/config:2: unsupported value "maybe" (it can be yes or no)
    column 11: maybe
    "#);
    insta::assert_snapshot!(Setup::new().option("Port=99999").shown("b"), @"
    -o Port=99999: bad port '99999'
    column 6: 99999
    ");
    for (option, message) in [
        ("Host=a", "Host is not for the command line"),
        ("Match all", "Match is not for the command line"),
        ("Include /x", "Include is not for the command line"),
        ("Port", "no argument after keyword \"Port\""),
        ("Port 1 2", "extra arguments after Port"),
        (
            "UserKnownHostsFile /a none",
            "\"none\" must be alone after UserKnownHostsFile",
        ),
        (
            "IdentityAgent=${UNSET}",
            "the environment variable 'UNSET' is not set",
        ),
        (
            "IdentityAgent=$A-B",
            "invalid name of an environment variable 'A-B'",
        ),
        ("HostName=%x", "unknown token %x"),
        ("IdentityFile=%j", "unknown token %j"),
        ("ConnectionAttempts=0", "at least one attempt is needed"),
        (
            "ProxyJump=me@host:22",
            "the way to host leads through itself",
        ),
    ] {
        let error = Setup::new().option(option).message("host");
        assert_eq!(error, message, "{option}");
    }
}

#[test]
fn unsupported_settings_are_errors_for_the_hosts_to_which_they_apply() {
    for (line, harmless) in [
        ("ProxyCommand nc %h %p", "ProxyCommand none"),
        ("PKCS11Provider /x.so", "PKCS11Provider none"),
        ("SecurityKeyProvider /x.so", "SecurityKeyProvider internal"),
        ("KnownHostsCommand /x", "KnownHostsCommand none"),
        ("VerifyHostKeyDNS yes", "VerifyHostKeyDNS ask"),
        ("CanonicalizeHostname always", "CanonicalizeHostname no"),
        ("ForwardAgent yes", "ForwardAgent no"),
        ("ForwardAgent $SOCKET", "ForwardAgent False"),
        ("RemoteCommand x", "RemoteCommand none"),
        ("SessionType none", "SessionType default"),
        ("BindInterface eth0", "AddressFamily inet"),
        ("BindAddress 192.0.2.1", "AddressFamily inet"),
        ("PermitLocalCommand yes\n  LocalCommand x", "LocalCommand x"),
        (
            "PreferredAuthentications gssapi-with-mic,hostbased",
            "GSSAPIAuthentication yes",
        ),
    ] {
        let setup = Setup::user(&format!("Host a\n  {line}\nHost b\n  {harmless}\n"));
        let config = setup.load().unwrap();
        let error = config.host("a", None, None).unwrap_err();
        let keyword = line.split([' ', '\n']).next().unwrap();
        let last = line
            .lines()
            .last()
            .unwrap()
            .split_whitespace()
            .next()
            .unwrap();
        let number = line.lines().count() + 1;
        let ConfigError::Line(error) = error else {
            panic!("{keyword}: {error}");
        };
        assert_eq!(error.line, Some(number), "{error}");
        match error.kind {
            ConfigLineErrorKind::Unsupported { keyword, .. } => assert_eq!(keyword, last),
            kind => assert_eq!(
                (kind, last),
                (
                    ConfigLineErrorKind::NoAuthentication,
                    "PreferredAuthentications"
                )
            ),
        }
        config.host("b", None, None).unwrap();
        config.host("c", None, None).unwrap();
    }
    insta::assert_snapshot!(Setup::user("Match exec \"test x\"\n  User me\n").shown("a"), @r#"
    /home/.ssh/config:1: Match exec is not supported
    column 1: Match exec "test x"
    "#);
    let setup = Setup::user("Match host b exec \"test x\"\n  User me\n");
    assert_eq!(setup.host("a").user, "me");
    assert!(setup.message("b").starts_with("Match exec"));
    // A ProxyCommand after a ProxyJump has no effect.
    let setup = Setup::user("ProxyJump j\nProxyCommand nc %h %p\n");
    assert_eq!(setup.host("a").jumps.len(), 1);
}

#[test]
fn ignored_settings_are_listed() {
    let setup = Setup::user(
        "GSSAPIAuthentication yes\nForwardX11 no\nLocalForward 1 a:1\nLogLevel DEBUG\n",
    );
    let notes = |setup: &Setup| {
        let notes = setup
            .host("a")
            .ignored
            .into_iter()
            .map(|note| note.to_string());
        notes.map(|note| setup.shorten(&note)).collect::<Vec<_>>()
    };
    assert_eq!(
        notes(&setup),
        [
            "/home/.ssh/config:1: GSSAPIAuthentication is ignored: there is no GSSAPI",
            "/home/.ssh/config:3: LocalForward is ignored: nothing is forwarded",
        ]
    );
    let setup = setup
        .option("ClearAllForwardings yes")
        .option("RequestTTY=force");
    assert_eq!(
        notes(&setup),
        [
            "/home/.ssh/config:1: GSSAPIAuthentication is ignored: there is no GSSAPI",
            "-o: RequestTTY is ignored: commands have no terminal",
        ]
    );
    let config = setup.load().unwrap();
    assert_eq!(
        config.host("a", None, None).unwrap().ignored,
        config.host("b", None, None).unwrap().ignored
    );
}
