//! A run of the program on scripted servers and an honest one, a run of the system's `ssh` on the same servers, and
//! the table with the expected outcomes.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

use crate::support::sshd::{
    COMMAND, HostKey, METHODS, OUTPUT, PASSWORD, STATUS, Seen, Sshd, Stage, Talk,
};
use crate::support::{Finished, Mrsh, finished, may_skip};

/// Time within which the program must end, on a busy machine too. Its own limits are 5 s.
const MOST: Duration = Duration::from_secs(25);

/// Text in the table for a client that waits until it is stopped.
pub(super) const WAITS: &str = "nothing: it waits";

/// The name of the honest host.
const HONEST: &str = "honest";

/// The key of the hostile servers.
pub(super) fn own_key() -> HostKey {
    HostKey::of_seed(1)
}

/// The key of the honest server.
pub(super) fn honest_key() -> HostKey {
    HostKey::of_seed(2)
}

/// The key of the host that an impostor claims to be.
pub(super) fn victim() -> HostKey {
    HostKey::of_seed(3)
}

/// A server whose key is not the known key of its host.
pub(super) fn impostor(
    test: &str,
    script: impl Fn(&mut Talk) -> io::Result<()> + Send + Sync + 'static,
) {
    let seen = compare_with_table(test, script, &victim(), &[]);
    assert!(seen.nothing(), "{test}: {seen:?}");
}

/// A server that proves its key, and then violates the protocol.
pub(super) fn proven(
    test: &str,
    script: impl Fn(&mut Talk) -> io::Result<()> + Send + Sync + 'static,
) -> Seen {
    proven_with(test, &[], script)
}

/// A server as of [`proven`], for clients with these settings of ssh_config.
pub(super) fn proven_with(
    test: &str,
    settings: &[&str],
    script: impl Fn(&mut Talk) -> io::Result<()> + Send + Sync + 'static,
) -> Seen {
    compare_with_table(test, script, &own_key(), settings)
}

/// A server that does one act at one stage of an encrypted session, and otherwise follows the protocol.
pub(super) fn at(
    test: &str,
    stage: Stage,
    act: impl Fn(&mut Talk) -> io::Result<()> + Send + Sync + 'static,
) {
    at_with(test, &[], stage, act);
}

/// A server as of [`at`], for clients with these settings of ssh_config.
pub(super) fn at_with(
    test: &str,
    settings: &[&str],
    stage: Stage,
    act: impl Fn(&mut Talk) -> io::Result<()> + Send + Sync + 'static,
) {
    proven_with(test, settings, move |talk| {
        talk.greet()?;
        talk.exchange(&METHODS)?;
        talk.serve(|talk, now| if now == stage { act(talk) } else { Ok(()) })
    });
}

/// Runs both clients and compares their outcomes with the table.
fn compare_with_table(
    test: &str,
    script: impl Fn(&mut Talk) -> io::Result<()> + Send + Sync + 'static,
    known: &HostKey,
    settings: &[&str],
) -> Seen {
    let row = Row::of(test);
    let server = [Sshd::start(own_key(), script)];
    let clients = Clients::new(&server, known, settings);
    let (end, ssh) = std::thread::scope(|scope| {
        let ssh = scope.spawn(|| clients.ssh(0, row.ssh == WAITS));
        let end = clients.mrsh().pop().unwrap();
        (end, ssh.join().unwrap())
    });
    row.holds(test, &end, ssh.as_ref());
    let [server] = &server;
    server.seen()
}

/// The two clients, and their configuration and known_hosts files.
pub(super) struct Clients {
    folder: TempDir,
    ports: Vec<u16>,
    /// The honest server, which runs as long as the test.
    _honest: Sshd,
}

impl Clients {
    /// Clients that know this key for each of the servers, with these settings of ssh_config.
    pub(super) fn new(servers: &[Sshd], known: &HostKey, settings: &[&str]) -> Clients {
        let honest = Sshd::start(honest_key(), Talk::honest);
        let lines: String = servers
            .iter()
            .map(|server| server.known_as(known))
            .collect();
        let clients = Clients {
            folder: tempfile::tempdir().unwrap(),
            ports: servers.iter().map(|server| server.port).collect(),
            _honest: honest,
        };
        let known_hosts = lines + &clients._honest.known_as(&honest_key());
        fs::write(clients.path("known_hosts"), known_hosts).unwrap();
        let mut config = format!(
            "StrictHostKeyChecking yes\nGlobalKnownHostsFile none\nUserKnownHostsFile {}\n\
             IdentityFile none\nNumberOfPasswordPrompts 1\nHostName 127.0.0.1\n",
            clients.path("known_hosts").display()
        );
        for setting in settings {
            config.push_str(setting);
            config.push('\n');
        }
        let mut names = String::new();
        for (place, port) in clients.ports.iter().enumerate() {
            config.push_str(&format!("Host s{place}\n  Port {port}\n  User s{place}\n"));
            names.push_str(&format!("s{place}\n"));
        }
        // Each host has a user of its own: a password that one host refuses is not sent to others for the same user.
        config.push_str(&format!(
            "Host {HONEST}\n  Port {}\n  User {HONEST}\n",
            clients._honest.port
        ));
        names.push_str(&format!("{HONEST}\n"));
        fs::write(clients.path("config"), config).unwrap();
        fs::write(clients.path("hosts"), names).unwrap();
        let ask = clients.path("ask");
        fs::write(&ask, format!("#!/bin/sh\necho {PASSWORD}\n")).unwrap();
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o700);
        fs::set_permissions(&ask, mode).unwrap();
        clients
    }

    /// The path of one of the files.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Runs the program on all servers and returns the outcomes of the hostile ones. Asserts that the honest host
    /// succeeds.
    pub(super) fn mrsh(&self) -> Vec<Finished> {
        let (password, mut write) = io::pipe().unwrap();
        io::Write::write_all(&mut write, format!("{PASSWORD}\n").as_bytes()).unwrap();
        drop(write);
        let ended = Mrsh::new()
            .args(&["--no-config", "-R", "ssh", "--json", "-j", "100"])
            .args(&["-t", "5", "-u", "5", "--password-fd", "0", "-F"])
            .arg(self.path("config"))
            .arg("-f")
            .arg(self.path("hosts"))
            .arg(COMMAND)
            .stdin(password)
            .within(MOST)
            .run();
        assert_eq!(ended.signal, None, "{ended:?}");
        let mut ends = finished(&ended);
        let honest = ends.pop().unwrap();
        assert_eq!(honest.label, HONEST);
        assert_eq!(
            (&*honest.class, &*honest.stdout),
            (&*STATUS.to_string(), OUTPUT.as_bytes()),
            "{honest:?}"
        );
        ends
    }

    /// Runs the system's `ssh` on one of the servers; `None` if it is not installed.
    pub(super) fn ssh(&self, place: usize, waits: bool) -> Option<SshEnd> {
        self.ssh_of(&format!("s{place}"), waits)
    }

    /// Runs the system's `ssh` on the host with this name.
    pub(super) fn ssh_of(&self, host: &str, waits: bool) -> Option<SshEnd> {
        let version = Command::new("ssh").arg("-V").output().ok()?;
        let version = String::from_utf8_lossy(&version.stderr).into_owned();
        // `ssh` has no time limits of its own here. The limit is longer than needed, for busy machines.
        let limit = if waits { "2" } else { "10" };
        let output = Command::new("timeout")
            .args([limit, "ssh", "-F"])
            .arg(self.path("config"))
            .args([host, COMMAND])
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("SSH_ASKPASS", self.path("ask"))
            .env("SSH_ASKPASS_REQUIRE", "force")
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let words = String::from_utf8_lossy(&output.stderr).into_owned();
        Some(SshEnd {
            status: output.status.code().unwrap_or_default(),
            words,
            is_known_version: version.starts_with("OpenSSH_9.2"),
        })
    }
}

/// The end of the system's `ssh`.
#[derive(Debug)]
pub(super) struct SshEnd {
    status: i32,
    words: String,
    /// True if the table was made with this version. Other versions have other messages.
    pub(super) is_known_version: bool,
}

impl SshEnd {
    /// The text in the table for this end.
    pub(super) fn text(&self) -> String {
        match self.status {
            255 => self.words.clone(),
            124 => WAITS.to_owned(),
            status => format!("exit {status}"),
        }
    }

    /// The end in one word.
    pub(super) fn short(&self) -> String {
        match self.status {
            255 => "refused".to_owned(),
            124 => "waits".to_owned(),
            status => status.to_string(),
        }
    }
}

/// The text in the table for the outcome of a target.
pub(super) fn words(end: &Finished) -> String {
    match end.class.parse::<u8>() {
        Ok(status) => format!("exit {status}"),
        Err(_) => format!("`{}`: {}", end.class, end.message),
    }
}

/// A row of the tables of hostile servers in docs/testing.md.
pub(super) struct Row {
    pub(super) mrsh: String,
    pub(super) ssh: String,
}

impl Row {
    /// The row that ends with the name of this test.
    pub(super) fn of(test: &str) -> Row {
        let end = format!("| `{test}` |");
        Row::find(|line| line.ends_with(&end))
    }

    /// The row that begins with these words.
    pub(super) fn about(words: &str) -> Row {
        let begin = format!("| {words} |");
        Row::find(|line| line.starts_with(&begin))
    }

    fn find(is_it: impl Fn(&str) -> bool) -> Row {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/testing.md");
        let text = fs::read_to_string(path).unwrap();
        let line = text.lines().find(|line| is_it(line));
        let line = line.unwrap_or("| no such row | | | |");
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        Row {
            mrsh: cells[1].to_owned(),
            ssh: cells[2].to_owned(),
        }
    }

    /// Asserts that both clients ended as the row says. A text in the table that ends with dots is a prefix.
    pub(super) fn holds(&self, test: &str, end: &Finished, ssh: Option<&SshEnd>) {
        let found = words(end);
        let mut wanted = self.mrsh.split(" **or** ");
        let is_wanted = wanted.any(|wanted| match wanted.strip_suffix('…') {
            Some(begin) => found.starts_with(begin),
            None => found == wanted,
        });
        assert!(is_wanted, "{test}: mrsh: {found}\n{ssh:?}");
        let is_lie = end.class.parse().is_ok_and(|status: u32| status != STATUS);
        assert!(!is_lie, "{test}: {end:?}");
        match ssh {
            None => may_skip("there is no ssh to compare with"),
            Some(ssh) if ssh.is_known_version => {
                assert!(ssh.text().contains(&self.ssh), "{test}: {ssh:?}");
            }
            Some(_) => {}
        }
    }
}
