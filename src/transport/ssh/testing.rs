//! Helpers for tests that compare with OpenSSH's own programs.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

use super::config::{Environment, HostConfig, Sources, SshConfig, UserFile};

/// A directory for one test, in which OpenSSH's programs run. Its path is short enough for sockets.
pub(super) struct Bench {
    folder: TempDir,
}

impl Bench {
    /// Returns `None` and prints a message if OpenSSH is not installed; in CI it must be.
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

    pub(super) fn write(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    pub(super) fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
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

    /// Makes a key pair and returns the private file's path.
    pub(super) fn key(&self, name: &str, args: &[&str]) -> PathBuf {
        self.key_with(name, "", args)
    }

    /// Makes a key pair with this passphrase.
    pub(super) fn key_with(&self, name: &str, passphrase: &str, args: &[&str]) -> PathBuf {
        let more = ["-q", "-C", "some comment", "-N", passphrase, "-f", name];
        self.run("ssh-keygen", &[&more[..], args].concat());
        self.path(name)
    }

    /// Returns the blob of a public key or certificate file.
    pub(super) fn blob(&self, name: &str) -> Vec<u8> {
        blob_of(&self.path(name))
    }

    /// Returns type and key of a public key file, as in a known_hosts line.
    pub(super) fn line(&self, name: &str) -> String {
        let text = self.read(name);
        let words: Vec<&str> = text.split_whitespace().collect();
        words[..2].join(" ")
    }
}

/// Returns the blob of a public key or certificate file.
pub(super) fn blob_of(path: &Path) -> Vec<u8> {
    use base64::Engine as _;
    let text = std::fs::read_to_string(path).unwrap();
    let word = text.split_whitespace().nth(1).unwrap();
    base64::engine::general_purpose::STANDARD
        .decode(word)
        .unwrap()
}

/// Returns a host's configuration with these options and without any file.
pub(super) fn configured(host: &str, options: &[&str]) -> HostConfig {
    let config = SshConfig::load(Sources {
        user_file: UserFile::Nothing,
        system_file: "none".into(),
        options: options.iter().map(|&option| option.to_owned()).collect(),
        home: "/home/me".into(),
        local_user: "me".into(),
        uid: 1000,
        local_host: "desk".into(),
        environment: Environment::new(),
    });
    config.unwrap().host(host, None, None).unwrap()
}
