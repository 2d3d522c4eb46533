//! Tests of the settings of a host.

use super::*;

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
    assert_eq!(config.identity_agent, AgentSetting::Default);
    assert_eq!(config.connect_timeout, None);
    assert_eq!(config.server_alive_interval, None);
    assert_eq!(config.preferred_authentications.len(), 5);
    assert_eq!(config.ignored, []);
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
    // In the last pass, Host matches the name that HostName has set.
    assert_eq!(
        config.revoked_host_keys.as_deref(),
        Some(Path::new("again"))
    );
}

#[test]
fn agents_and_files() {
    for (line, expected) in [
        ("none", AgentSetting::None),
        ("SSH_AUTH_SOCK", AgentSetting::Default),
        ("$SOCKET", AgentSetting::Path("/run/agent".into())),
        ("${SOCKET}-%h", AgentSetting::Path("/run/agent-a".into())),
        ("$UNSET", AgentSetting::None),
        ("/s", AgentSetting::Path("/s".into())),
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
            .message("a")
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
    // LC_ALL is sent: "-LC_*" removes patterns, not variables, and "L*" is not one of them.
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
fn options_apply_in_the_first_pass_only() {
    let setup = Setup::user("Host a\n  HostName b\n  SendEnv C\nMatch final\n  Port 5\n");
    let config = setup.option("SendEnv -*").host("a");
    assert_eq!((config.send_env, config.port), (vec!["C".to_owned()], 5));
}

#[test]
fn jump_hosts_have_settings_of_their_own() {
    let setup = Setup::user(
        "Host target\n  ProxyJump first,%r@second:2222\n  Port 99\n\
         Host first\n  ProxyJump zeroth\n  User f\n\
         Host second\n  ProxyCommand never\n  HostName two\n",
    )
    .option("User=option");
    let config = setup.load().unwrap();
    let target = config.host("target", None, None).unwrap();
    let jump = |user: Option<&str>, host: &str, port| JumpHost {
        user: user.map(str::to_owned),
        host: host.to_owned(),
        port,
    };
    assert_eq!(
        target.jumps,
        [
            jump(None, "first", None),
            jump(Some("option"), "second", Some(2222))
        ]
    );
    let first = config.jump_host(&target.jumps[0], true).unwrap();
    assert_eq!((first.user.as_str(), first.port), ("f", 22));
    assert_eq!(first.jumps, [jump(None, "zeroth", None)]);
    // The connection to the second host comes from the first, so its own ProxyCommand has no effect.
    let second = config.jump_host(&target.jumps[1], false).unwrap();
    assert_eq!((second.host_name.as_str(), second.port), ("two", 2222));
    assert_eq!((second.user.as_str(), second.jumps.len()), ("option", 0));
    assert!(config.jump_host(&target.jumps[1], true).is_err());
}

#[test]
fn the_jump_hosts_of_the_first_jump_host_come_first() {
    let setup = Setup::user(
        "Host target\n  ProxyJump b,c\nHost b\n  ProxyJump a\nHost c\n  ProxyJump never\n\
         Host x\n  ProxyJump y\nHost y\n  ProxyJump x\n",
    );
    let config = setup.load().unwrap();
    let target = config.host("target", None, None).unwrap();
    let jumps = config.jump_hosts(&target).unwrap();
    let names: Vec<&str> = jumps.iter().map(|host| host.host_name.as_str()).collect();
    assert_eq!(names, ["a", "b", "c"]);
    let circle = config.host("x", None, None).unwrap();
    assert!(matches!(
        config.jump_hosts(&circle),
        Err(ConfigError::TooManyJumps { limit: 8, .. })
    ));
}
