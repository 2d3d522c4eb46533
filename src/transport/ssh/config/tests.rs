//! Whole configurations, rule by rule. What `ssh -G` can show is compared with it in `tests/it`.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use proptest::prelude::*;

use super::*;

/// A home directory with files, and what is asked of it.
struct Setup {
    directory: tempfile::TempDir,
    options: Vec<String>,
}

impl Setup {
    fn new() -> Setup {
        let directory = tempfile::Builder::new().prefix("sshcfg").tempdir().unwrap();
        fs::create_dir_all(directory.path().join("home/.ssh")).unwrap();
        fs::create_dir_all(directory.path().join("etc")).unwrap();
        Setup {
            directory,
            options: Vec::new(),
        }
    }

    /// A user's configuration and nothing else.
    fn user(text: &str) -> Setup {
        Setup::new().file("home/.ssh/config", text)
    }

    fn file(self, name: &str, text: impl AsRef<[u8]>) -> Setup {
        let path = self.directory.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        self.mode(name, 0o600)
    }

    fn mode(self, name: &str, mode: u32) -> Setup {
        let path = self.directory.path().join(name);
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        self
    }

    fn option(mut self, option: &str) -> Setup {
        self.options.push(option.to_owned());
        self
    }

    fn sources(&self) -> Sources {
        Sources {
            user_file: UserFile::Default,
            system_file: self.directory.path().join("etc/ssh_config"),
            options: self.options.clone(),
            home: self.directory.path().join("home"),
            local_user: "me".into(),
            uid: uzers::get_current_uid(),
            local_host: "desk.example.com".into(),
            environment: Environment::from([
                ("SOCKET".into(), "/run/agent".into()),
                ("LANG".into(), "C".into()),
                ("LC_ALL".into(), "de".into()),
            ]),
        }
    }

    fn load(&self) -> Result<SshConfig, ConfigError> {
        SshConfig::load(self.sources())
    }

    fn host(&self, name: &str) -> HostConfig {
        self.load().unwrap().host(name, None, None).unwrap()
    }

    /// The error for a host, wherever it is found, with the directory's name taken out.
    fn error(&self, name: &str) -> String {
        let error = self
            .load()
            .and_then(|config| config.host(name, None, None))
            .expect_err("an error");
        let directory = self.directory.path().to_str().unwrap();
        error.to_string().replace(directory, "")
    }
}

#[test]
fn nothing_at_all_gives_the_defaults() {
    let setup = Setup::new()
        .file("home/.ssh/id_ed25519", "")
        .file("home/.ssh/id_rsa.pub", "");
    let home = setup.directory.path().join("home/.ssh");
    let config = setup.host("Node1");
    assert_eq!(config.host_name, "node1");
    assert_eq!((config.user.as_str(), config.port), ("me", 22));
    assert_eq!(
        config.identity_files,
        [home.join("id_rsa"), home.join("id_ed25519")]
    );
    assert!(!config.identity_explicit);
    assert_eq!(
        config.user_known_hosts_files,
        [home.join("known_hosts"), home.join("known_hosts2")]
    );
    assert_eq!(config.strict, StrictHostKeyChecking::Yes);
    assert_eq!(config.identity_agent, Agent::Default);
    assert_eq!(config.connect_timeout, None);
    assert_eq!(config.server_alive_interval, None);
    assert_eq!(config.preferred_authentications.len(), 5);
    assert_eq!(config.notes, []);
}

#[test]
fn the_first_value_wins_from_the_command_line_to_the_systems_file() {
    let setup = Setup::user("Port 2\nUser two\nHost *\nPort 3\nConnectTimeout 3\n")
        .file(
            "etc/ssh_config",
            "Port 4\nHostKeyAlias Four\nConnectTimeout 4\n",
        )
        .option("Port=1")
        .option("port 9");
    let config = setup.host("a");
    assert_eq!(config.port, 1);
    assert_eq!(config.user, "two");
    assert_eq!(config.connect_timeout, Some(Duration::from_secs(3)));
    assert_eq!(config.host_key_alias.as_deref(), Some("four"));
    let given = setup
        .load()
        .unwrap()
        .host("a", Some("zero"), Some(5))
        .unwrap();
    assert_eq!((given.user.as_str(), given.port), ("zero", 5));
}

#[test]
fn a_named_file_stands_alone() {
    let setup = Setup::user("Port 2\n")
        .file("etc/ssh_config", "User system\n")
        .file("other", "Port 3\n")
        .mode("other", 0o666);
    let path = setup.directory.path().join("other");
    let port = |user_file| {
        let sources = Sources {
            user_file,
            ..setup.sources()
        };
        let config = SshConfig::load(sources)?.host("a", None, None)?;
        Ok::<_, ConfigError>((config.port, config.user))
    };
    // As for ssh: whoever names a file answers for it.
    assert_eq!(port(UserFile::named(&path)).unwrap(), (3, "me".into()));
    assert_eq!(
        port(UserFile::named(Path::new("NONE"))).unwrap(),
        (22, "me".into())
    );
    let missing = port(UserFile::named(Path::new("/nowhere"))).unwrap_err();
    assert_eq!(
        missing.one_line(),
        "cannot read the ssh configuration /nowhere: No such file or directory (os error 2)"
    );
}

#[test]
fn files_that_others_can_write_are_refused() {
    let expected = "bad owner or permissions on /home/.ssh/config: \
                    it must be yours or root's, and nobody else may write to it";
    assert_eq!(
        Setup::user("").mode("home/.ssh/config", 0o602).error("a"),
        expected
    );
    let included = Setup::user("Include part\n").file("home/.ssh/part", "Port 3\n");
    assert_eq!(included.host("a").port, 3);
    let included = included.mode("home/.ssh/part", 0o646);
    assert!(included.error("a").contains("/home/.ssh/part"));
    let setup = Setup::user("Port 3\n");
    let stranger = Sources {
        uid: uzers::get_current_uid() + 1,
        ..setup.sources()
    };
    // Root's own files are fine for everybody.
    let refused = SshConfig::load(stranger).is_err();
    assert_eq!(refused, uzers::get_current_uid() != 0);
}

#[test]
fn includes_are_found_beside_the_file_and_end_with_the_block() {
    let setup = Setup::user(
        "Host a\n  Include conf.d/*.conf\n  User after\nHost *\n  Include conf.d/none*.conf missing\n  Port 9\n",
    )
    .file("home/.ssh/conf.d/2.conf", "Port 2\n")
    .file("home/.ssh/conf.d/1.conf", "Host b\n  Port 1\nHost *\n  HostKeyAlias one\n")
    .file("home/.ssh/conf.d/.hidden.conf", "Port 7\n")
    .file("etc/ssh_config", "Include ssh_config.d/*.conf\nRevokedHostKeys last\n")
    .file("etc/ssh_config.d/x.conf", "RevokedHostKeys system\n");
    let a = setup.host("a");
    assert_eq!((a.port, a.user.as_str()), (2, "after"));
    assert_eq!(a.host_key_alias.as_deref(), Some("one"));
    assert_eq!(a.revoked_host_keys.as_deref(), Some(Path::new("system")));
    // Nothing of an included file applies where the block around it does not.
    let b = setup.host("b");
    assert_eq!((b.port, b.user.as_str(), b.host_key_alias), (9, "me", None));

    let setup = Setup::user("Include config\n");
    insta::assert_snapshot!(setup.error("a"), @"
    files include each other more than 16 deep
     --> /home/.ssh/config:1:9
      |
      | Include config
      |         ^^^^^^
    ");
    let setup = Setup::new().file("etc/ssh_config", "Include ~/x\n");
    assert!(
        setup
            .error("a")
            .starts_with("'~' cannot be used in the system's configuration")
    );
}

#[test]
fn names_are_matched_before_and_after_hostname() {
    let setup = Setup::user(
        "Match originalhost n1\n  HostName %h.Example.com\n\
         Match host *.example.com user me\n  User found\n\
         Match user found\n  Port 5\n\
         Match final host n1.example.com\n  HostKeyAlias last\n\
         Host n1.example.com\n  RevokedHostKeys again\n",
    );
    let config = setup.host("n1");
    assert_eq!(config.host_name, "n1.example.com");
    assert_eq!((config.user.as_str(), config.port), ("found", 5));
    assert_eq!(config.host_key_alias.as_deref(), Some("last"));
    // The last pass matches Host against the name that HostName gave.
    assert_eq!(
        config.revoked_host_keys.as_deref(),
        Some(Path::new("again"))
    );
}

#[test]
fn faults_are_shown_with_their_line() {
    insta::assert_snapshot!(Setup::user("Host a\n  Prot 22\n").error("b"), @"
    bad configuration option: Prot
     --> /home/.ssh/config:2:3
      |
      |   Prot 22
      |   ^^^^
      = help: did you mean Port?
    ");
    insta::assert_snapshot!(Setup::user("# x\nBatchMode maybe\n").error("b"), @"
    unsupported value \"maybe\"
     --> /home/.ssh/config:2:11
      |
      | BatchMode maybe
      |           ^^^^^
      = help: it can be yes or no
    ");
    insta::assert_snapshot!(Setup::new().option("Port=99999").error("b"), @"
    bad port '99999'
     --> --ssh-option, column 6
      |
      | Port=99999
      |      ^^^^^
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
        let error = Setup::new().option(option).error("host");
        assert_eq!(error.lines().next(), Some(message), "{option}");
    }
}

#[test]
fn lines_that_are_not_text_are_errors_unless_they_are_comments() {
    let setup = Setup::new().file("home/.ssh/config", b"# caf\xe9\nPort 5\n");
    assert_eq!(setup.host("a").port, 5);
    let setup = Setup::new().file("home/.ssh/config", b"User caf\xe9\n");
    assert!(setup.error("a").starts_with("not UTF-8"));
}

#[test]
fn unknown_keywords_are_ignored_where_that_is_said_before() {
    assert_eq!(
        Setup::user("IgnoreUnknown Use*,x\nUseKeychain yes\nPort 3\n")
            .host("a")
            .port,
        3
    );
    assert!(
        Setup::user("UseKeychain yes\nIgnoreUnknown *\n")
            .error("a")
            .contains("UseKeychain")
    );
    assert!(
        Setup::user("IgnoreUnknown x\nUseKeychain yes\n")
            .error("a")
            .contains("UseKeychain")
    );
    // What is harmless in later releases is no error in this one.
    assert_eq!(
        Setup::user("ObscureKeystrokeTiming no\nPort 3\n")
            .host("a")
            .port,
        3
    );
    assert!(
        Setup::user("RefuseConnection x\n")
            .error("a")
            .contains("RefuseConnection")
    );
    // It hangs on the host, even where the line itself would not apply.
    let setup = Setup::user("Host a\n  IgnoreUnknown usekey*\nHost c\n  UseKeychain yes\n");
    assert_eq!(setup.host("a").port, 22);
    assert!(
        setup
            .error("b")
            .starts_with("bad configuration option: usekeychain")
    );
}

#[test]
fn what_changes_trust_or_the_way_in_is_refused_where_it_applies() {
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
        let short = error.one_line();
        assert!(
            short.contains(&format!("/home/.ssh/config:{number}: ")),
            "{short}"
        );
        assert!(
            short.contains(last) || short.contains("log in"),
            "{keyword}: {short}"
        );
        assert_eq!(
            short.contains("-R openssh"),
            keyword != "RemoteCommand",
            "{short}"
        );
        config.host("b", None, None).unwrap();
        config.host("c", None, None).unwrap();
    }
    insta::assert_snapshot!(Setup::user("Match exec \"test x\"\n  User me\n").error("a"), @r#"
    Match exec is not supported by the built-in ssh
     --> /home/.ssh/config:1:1
      |
      | Match exec "test x"
      | ^^^^^^^^^^^^^^^^^^^
      = help: -R openssh runs the system's ssh, which has it
    "#);
    let setup = Setup::user("Match host b exec \"test x\"\n  User me\n");
    assert_eq!(setup.host("a").user, "me");
    assert!(setup.error("b").starts_with("Match exec"));
    // A proxy that a jump keeps out is none.
    let setup = Setup::user("ProxyJump j\nProxyCommand nc %h %p\n");
    assert_eq!(setup.host("a").jumps.len(), 1);
}

#[test]
fn what_is_ignored_is_told_once() {
    let setup = Setup::user(
        "GSSAPIAuthentication yes\nForwardX11 no\nLocalForward 1 a:1\nLogLevel DEBUG\n",
    );
    let notes = |setup: &Setup| {
        let notes = setup
            .host("a")
            .notes
            .into_iter()
            .map(|note| note.to_string());
        let directory = setup.directory.path().to_str().unwrap();
        notes
            .map(|note| note.replace(directory, ""))
            .collect::<Vec<_>>()
    };
    assert_eq!(
        notes(&setup),
        [
            "/home/.ssh/config:1: GSSAPIAuthentication is ignored: there is no GSSAPI; -R openssh has it",
            "/home/.ssh/config:3: LocalForward is ignored: nothing is forwarded",
        ]
    );
    let setup = setup
        .option("ClearAllForwardings yes")
        .option("RequestTTY=force");
    assert_eq!(
        notes(&setup),
        [
            "/home/.ssh/config:1: GSSAPIAuthentication is ignored: there is no GSSAPI; -R openssh has it",
            "--ssh-option: RequestTTY is ignored: commands have no terminal",
        ]
    );
    let config = setup.load().unwrap();
    assert_eq!(
        config.host("a", None, None).unwrap().notes,
        config.host("b", None, None).unwrap().notes
    );
}

#[test]
fn agents_and_files() {
    for (line, expected) in [
        ("none", Agent::None),
        ("SSH_AUTH_SOCK", Agent::Default),
        ("$SOCKET", Agent::Path("/run/agent".into())),
        ("${SOCKET}-%h", Agent::Path("/run/agent-a".into())),
        ("$UNSET", Agent::None),
        ("/s", Agent::Path("/s".into())),
    ] {
        let setup = Setup::new().option(&format!("IdentityAgent {line}"));
        assert_eq!(setup.host("a").identity_agent, expected, "{line}");
    }
    let setup = Setup::user(
        "IdentityFile none\nCertificateFile ~/c-%r\nRevokedHostKeys ~/r\nUserKnownHostsFile /a /b\n",
    );
    let home = setup.directory.path().join("home");
    let config = setup.host("a");
    assert!(config.identity_explicit && config.identity_files.is_empty());
    assert_eq!(config.certificate_files, [home.join("c-me")]);
    assert_eq!(config.revoked_host_keys, Some(home.join("r")));
    assert_eq!(
        config.user_known_hosts_files,
        [PathBuf::from("/a"), "/b".into()]
    );
    let many: String = (0..=100)
        .map(|number| format!("IdentityFile /{number}\n"))
        .collect();
    assert!(
        Setup::user(&many)
            .error("a")
            .starts_with("more than 100 of IdentityFile")
    );
}

#[test]
fn variables_go_with_the_command() {
    let setup =
        Setup::user("SendEnv L* UNSET\nSendEnv -LC_*\nSetEnv A=1 \"B=x y\" A=2\nSetEnv C=3\n");
    let config = setup.host("a");
    let environment = config.environment(&setup.sources().environment);
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    // LC_ALL is among them: it was the pattern "L*", not "LC_*", that was sent.
    assert_eq!(
        environment,
        [
            pair("LANG", "C"),
            pair("LC_ALL", "de"),
            pair("A", "1"),
            pair("B", "x y")
        ]
    );
}

#[test]
fn the_command_line_is_heard_in_the_first_pass_only() {
    let setup = Setup::user("Host a\n  HostName b\n  SendEnv C\nMatch final\n  Port 5\n");
    let config = setup.option("SendEnv -*").host("a");
    assert_eq!((config.send_env, config.port), (vec!["C".to_owned()], 5));
}

#[test]
fn hosts_on_the_way_have_a_configuration_of_their_own() {
    let setup = Setup::user(
        "Host target\n  ProxyJump first,%r@second:2222\n  Port 99\n\
         Host first\n  ProxyJump zeroth\n  User f\n\
         Host second\n  ProxyCommand never\n  HostName two\n",
    )
    .option("User=option");
    let config = setup.load().unwrap();
    let target = config.host("target", None, None).unwrap();
    let hop = |user: Option<&str>, host: &str, port| Jump {
        user: user.map(str::to_owned),
        host: host.to_owned(),
        port,
    };
    assert_eq!(
        target.jumps,
        [
            hop(None, "first", None),
            hop(Some("option"), "second", Some(2222))
        ]
    );
    let first = config.jump(&target.jumps[0], true).unwrap();
    assert_eq!((first.user.as_str(), first.port), ("f", 22));
    assert_eq!(first.jumps, [hop(None, "zeroth", None)]);
    // The way to the second is through the first, whatever its own configuration says.
    let second = config.jump(&target.jumps[1], false).unwrap();
    assert_eq!((second.host_name.as_str(), second.port), ("two", 2222));
    assert_eq!((second.user.as_str(), second.jumps.len()), ("option", 0));
    assert!(config.jump(&target.jumps[1], true).is_err());
}

/// The keywords of ssh_config(5) of OpenSSH 9.2 as Debian ships it.
const MANUAL: &str = "Host Match AddKeysToAgent AddressFamily BatchMode BindAddress BindInterface CanonicalDomains \
    CanonicalizeFallbackLocal CanonicalizeHostname CanonicalizeMaxDots CanonicalizePermittedCNAMEs \
    CASignatureAlgorithms CertificateFile CheckHostIP Ciphers ClearAllForwardings Compression \
    ConnectionAttempts ConnectTimeout ControlMaster ControlPath ControlPersist DynamicForward \
    EnableEscapeCommandline EnableSSHKeysign EscapeChar ExitOnForwardFailure FingerprintHash \
    ForkAfterAuthentication ForwardAgent ForwardX11 ForwardX11Timeout ForwardX11Trusted GatewayPorts \
    GlobalKnownHostsFile GSSAPIAuthentication GSSAPIClientIdentity GSSAPIDelegateCredentials \
    GSSAPIKeyExchange GSSAPIRenewalForcesRekey GSSAPIServerIdentity GSSAPITrustDns GSSAPIKexAlgorithms \
    HashKnownHosts HostbasedAcceptedAlgorithms HostbasedAuthentication HostKeyAlgorithms HostKeyAlias \
    Hostname IdentitiesOnly IdentityAgent IdentityFile IgnoreUnknown Include IPQoS \
    KbdInteractiveAuthentication KbdInteractiveDevices KexAlgorithms KnownHostsCommand LocalCommand \
    LocalForward LogLevel LogVerbose MACs NoHostAuthenticationForLocalhost NumberOfPasswordPrompts \
    PasswordAuthentication PermitLocalCommand PermitRemoteOpen PKCS11Provider Port \
    PreferredAuthentications ProxyCommand ProxyJump ProxyUseFdpass PubkeyAcceptedAlgorithms \
    PubkeyAuthentication RekeyLimit RemoteCommand RemoteForward RequestTTY RequiredRSASize \
    RevokedHostKeys SecurityKeyProvider SendEnv ServerAliveCountMax ServerAliveInterval SessionType \
    SetEnv StdinNull StreamLocalBindMask StreamLocalBindUnlink StrictHostKeyChecking SyslogFacility \
    TCPKeepAlive Tunnel TunnelDevice UpdateHostKeys User UserKnownHostsFile VerifyHostKeyDNS \
    VisualHostKey XAuthLocation";

#[test]
fn every_keyword_of_the_manual_is_in_the_table() {
    use super::keywords::{Keyword, TABLE, Treatment};
    for name in MANUAL.split_whitespace() {
        let row = Keyword::named(&name.to_ascii_lowercase())
            .unwrap_or_else(|| panic!("{name}"))
            .row();
        assert_eq!(row.name, name);
        assert_ne!(row.treatment, Treatment::Obsolete, "{name}");
    }
    for (number, row) in TABLE.iter().enumerate() {
        assert_eq!(row.keyword as usize, number);
        let in_manual = MANUAL.split_whitespace().any(|name| name == row.name);
        assert_eq!(
            in_manual,
            row.treatment != Treatment::Obsolete,
            "{}",
            row.name
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// Whatever stands in a file, it is a configuration or an error that can be shown.
    #[test]
    fn no_file_is_too_strange(
        lines in prop::collection::vec(
            (prop::sample::select(MANUAL.split_whitespace().collect::<Vec<_>>()), "[ =]{0,2}\\PC{0,12}"),
            0..4,
        ),
        noise in "(?s).{0,40}",
        host in "\\PC{0,8}",
    ) {
        // What follows Include would be looked for on this machine.
        let lines = lines.iter().filter(|(keyword, _)| *keyword != "Include");
        let text: String = lines.map(|(keyword, rest)| format!("{keyword} {rest}\n")).collect();
        let asked = |text: &str| {
            let setup = Setup::user(text);
            match setup.load() {
                Ok(config) => config.host(&host, None, None).map(drop),
                Err(error) => Err(error),
            }
        };
        for each in [text.as_str(), noise.as_str()] {
            if let Err(error) = asked(each) {
                prop_assert!(!error.to_string().is_empty());
                prop_assert!(!error.one_line().contains('\n'), "{}", error.one_line());
            }
        }
    }
}
