//! OpenSSH's programs for the tests, which compare results with them.

use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tempfile::TempDir;

/// A directory for one test, in which OpenSSH's programs run.
pub(crate) struct OpensshTools {
    directory: TempDir,
}

impl OpensshTools {
    /// Returns `None` and prints a message if OpenSSH is not installed. In CI, that is an error.
    pub(crate) fn new() -> Option<OpensshTools> {
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
        let directory = tempfile::Builder::new()
            .prefix("sshkeys")
            .tempdir()
            .unwrap();
        Some(OpensshTools { directory })
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    pub(crate) fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
    }

    pub(crate) fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command
            .current_dir(self.directory.path())
            .stdin(Stdio::null())
            .env_remove("SSH_AUTH_SOCK")
            .env_remove("SSH_ASKPASS")
            .env_remove("DISPLAY");
        command
    }

    /// Runs a program, which must succeed.
    pub(crate) fn run(&self, program: &str, args: &[&str]) -> Output {
        let output = self.command(program).args(args).output().unwrap();
        assert!(output.status.success(), "{program} {args:?}: {output:?}");
        output
    }

    /// Makes a key pair. Returns the path of the private key.
    pub(crate) fn key(&self, name: &str, args: &[&str]) -> PathBuf {
        self.key_with(name, "", args)
    }

    /// Makes a key pair with a passphrase.
    pub(crate) fn key_with(&self, name: &str, passphrase: &str, args: &[&str]) -> PathBuf {
        let more = ["-q", "-C", "some comment", "-N", passphrase, "-f", name];
        self.run("ssh-keygen", &[&more[..], args].concat());
        self.path(name)
    }

    /// Returns the blob of a file with a public key or certificate.
    pub(crate) fn blob(&self, name: &str) -> Vec<u8> {
        let text = self.read(name);
        let word = text.split_whitespace().nth(1).unwrap();
        STANDARD.decode(word).unwrap()
    }

    /// Returns the type and key of a file with a public key, as for a line of known_hosts.
    pub(crate) fn line(&self, name: &str) -> String {
        let text = self.read(name);
        let words: Vec<&str> = text.split_whitespace().collect();
        words[..2].join(" ")
    }
}
