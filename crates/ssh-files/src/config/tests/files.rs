//! Tests of files: the choice of files, includes, permissions and unknown keywords.

use super::*;

#[test]
fn a_named_file_stands_alone() {
    let setup = Setup::user("Port 2\n")
        .file("etc/ssh_config", "User system\n")
        .file("other", "Port 3\n")
        .mode("other", 0o666);
    let path = setup.directory.path().join("other");
    let port = |user_file| {
        let sources = ConfigSources {
            user_file,
            ..setup.sources()
        };
        let config = SshConfig::load(sources)?.host("a", None, None)?;
        Ok::<_, ConfigError>((config.port, config.user))
    };
    // As in ssh, the permissions of a named file do not matter.
    assert_eq!(port(UserFile::named(&path)).unwrap(), (3, "me".into()));
    assert_eq!(
        port(UserFile::named(Path::new("NONE"))).unwrap(),
        (22, "me".into())
    );
    let missing = port(UserFile::named(Path::new("/nowhere"))).unwrap_err();
    assert_eq!(
        missing.to_string(),
        "cannot read the ssh configuration /nowhere"
    );
}

#[test]
fn files_that_others_can_write_are_refused() {
    let expected = "bad owner or permissions on /home/.ssh/config: \
                    it must be yours or root's, and nobody else may write to it";
    assert_eq!(
        Setup::user("").mode("home/.ssh/config", 0o602).message("a"),
        expected
    );
    let included = Setup::user("Include part\n").file("home/.ssh/part", "Port 3\n");
    assert_eq!(included.host("a").port, 3);
    let included = included.mode("home/.ssh/part", 0o646);
    assert!(included.message("a").contains("/home/.ssh/part"));
    let setup = Setup::user("Port 3\n");
    let stranger = ConfigSources {
        uid: uzers::get_current_uid() + 1,
        ..setup.sources()
    };
    // Everybody may read files of root.
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
    // An included file does not apply if the block of the Include does not.
    let b = setup.host("b");
    assert_eq!((b.port, b.user.as_str(), b.host_key_alias), (9, "me", None));

    let setup = Setup::user("Include config\n");
    insta::assert_snapshot!(setup.shown("a"), @"
    /home/.ssh/config:1: files include each other more than 16 deep
    column 9: config
    ");
    let setup = Setup::new().file("etc/ssh_config", "Include ~/x\n");
    assert!(
        setup
            .message("a")
            .starts_with("'~' cannot be used in the system's configuration")
    );
}

#[test]
fn lines_that_are_not_text_are_errors_unless_they_are_comments() {
    let setup = Setup::new().file("home/.ssh/config", b"# caf\xe9\nPort 5\n");
    assert_eq!(setup.host("a").port, 5);
    let setup = Setup::new().file("home/.ssh/config", b"User caf\xe9\n");
    assert!(setup.message("a").starts_with("not UTF-8"));
}

#[test]
fn unknown_keywords_are_ignored_after_ignore_unknown() {
    assert_eq!(
        Setup::user("IgnoreUnknown Use*,x\nUseKeychain yes\nPort 3\n")
            .host("a")
            .port,
        3
    );
    assert!(
        Setup::user("UseKeychain yes\nIgnoreUnknown *\n")
            .message("a")
            .contains("UseKeychain")
    );
    assert!(
        Setup::user("IgnoreUnknown x\nUseKeychain yes\n")
            .message("a")
            .contains("UseKeychain")
    );
    // Keywords of later releases without an effect here are no errors.
    assert_eq!(
        Setup::user("ObscureKeystrokeTiming no\nPort 3\n")
            .host("a")
            .port,
        3
    );
    assert!(
        Setup::user("RefuseConnection x\n")
            .message("a")
            .contains("RefuseConnection")
    );
    // IgnoreUnknown depends on the host. The block of the unknown keyword does not matter.
    let setup = Setup::user("Host a\n  IgnoreUnknown usekey*\nHost c\n  UseKeychain yes\n");
    assert_eq!(setup.host("a").port, 22);
    assert!(
        setup
            .message("b")
            .starts_with("bad configuration option: usekeychain")
    );
}
