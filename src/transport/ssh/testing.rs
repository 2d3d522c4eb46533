//! Helpers for tests that compare with OpenSSH's own programs.

use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use tempfile::TempDir;

use ssh_files::{ConfigOption, ConfigSources, Environment, HostConfig, SshConfig, UserFile};

/// A directory for one test, in which OpenSSH's programs run. Its path is short enough for sockets.
pub(super) struct Bench {
    folder: TempDir,
}

impl Bench {
    /// Returns `None` and prints a message if OpenSSH is not installed. In CI, that is an error.
    pub(super) fn new() -> Option<Bench> {
        let there = Command::new("ssh-keygen")
            .arg("-?")
            .stdin(Stdio::null())
            .output()
            .is_ok();
        if !there {
            assert!(
                std::env::var_os("CI").is_none_or(|ci| ci != "true"),
                "ssh-keygen is not installed"
            );
            println!("skipped: ssh-keygen is not installed");
            return None;
        }
        let folder = tempfile::Builder::new()
            .prefix("sshkeys")
            .tempdir()
            .unwrap();
        Some(Bench { folder })
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(super) fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command
            .current_dir(self.folder.path())
            .stdin(Stdio::null())
            .env_remove("SSH_AUTH_SOCK")
            .env_remove("SSH_ASKPASS")
            .env_remove("DISPLAY");
        command
    }

    /// Runs a program, which must succeed.
    pub(super) fn run(&self, program: &str, args: &[&str]) -> Output {
        let output = self.command(program).args(args).output().unwrap();
        assert!(output.status.success(), "{program} {args:?}: {output:?}");
        output
    }

    /// Makes a key pair.
    pub(super) fn key(&self, name: &str, args: &[&str]) {
        let more = ["-q", "-C", "some comment", "-N", "", "-f", name];
        self.run("ssh-keygen", &[&more[..], args].concat());
    }

    /// Returns the blob of a file with a public key or certificate.
    pub(super) fn blob(&self, name: &str) -> Vec<u8> {
        let text = std::fs::read_to_string(self.path(name)).unwrap();
        let word = text.split_whitespace().nth(1).unwrap();
        BASE64_STANDARD.decode(word).unwrap()
    }
}

/// Returns the settings of a host with these options and without files.
pub(super) fn configured(host: &str, options: &[&str]) -> HostConfig {
    let config = SshConfig::load(ConfigSources {
        user_file: UserFile::Nothing,
        system_file: "none".into(),
        options: options
            .iter()
            .map(|&option| ConfigOption::new("--ssh-option", option))
            .collect(),
        home: "/home/me".into(),
        local_user: "me".into(),
        uid: 1000,
        local_host: "desk".into(),
        environment: Environment::new(),
    });
    config.unwrap().host(host, None, None).unwrap()
}
