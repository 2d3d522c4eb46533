//! ssh hosts that write without end, to a fast reader: every limit and every signal ends them.

use std::io::Write;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use rustix::process::Signal;
use tempfile::TempDir;

use crate::support::sshd::{HostKey, METHODS, PASSWORD, Sshd, Stage};
use crate::support::{Ended, Mrsh, Running};

/// Names of the targets: three write without end, the last one is silent.
const NAMES: [&str; 4] = ["e1", "e2", "e3", "e4"];

/// Time in which every command is started, on a busy machine too.
const DEADLINE: Duration = Duration::from_secs(20);

/// The two servers, and the file of their key.
struct Servers {
    folder: TempDir,
    endless: Sshd,
    silent: Sshd,
    /// A value for every command that is started.
    started: Receiver<()>,
}

impl Servers {
    fn start() -> Servers {
        let (sender, started) = channel();
        let server = |is_endless: bool| {
            let sender = sender.clone();
            Sshd::start(HostKey::of_seed(1), move |talk| {
                talk.greet()?;
                talk.exchange(&METHODS)?;
                talk.serve(|talk, stage| {
                    if stage != Stage::Running {
                        return Ok(());
                    }
                    // Sending fails if the test has failed and ended.
                    let _ = sender.send(());
                    if is_endless {
                        talk.write_without_end()
                    } else {
                        talk.listen();
                        Ok(())
                    }
                })
            })
        };
        let servers = Servers {
            folder: tempfile::tempdir().unwrap(),
            endless: server(true),
            silent: server(false),
            started,
        };
        let ports = [servers.endless.port; 3].into_iter();
        let ports = ports.chain([servers.silent.port]);
        let lines = NAMES.into_iter().zip(ports);
        let lines = lines.map(|(name, port)| format!("127.0.0.1:{port} label={name}\n"));
        servers.write("hosts", &lines.collect::<String>());
        let known = [&servers.endless, &servers.silent];
        let known = known.map(|server| server.known_as(&HostKey::of_seed(1)));
        servers.write("known_hosts", &known.concat());
        servers
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).unwrap();
    }

    /// Runs a command on all hosts. The output is discarded.
    fn run(&self, options: &[&str]) -> Running {
        let (password, mut write) = std::io::pipe().unwrap();
        write.write_all(format!("{PASSWORD}\n").as_bytes()).unwrap();
        drop(write);
        Mrsh::new()
            .args(&[
                "--no-config",
                "-R",
                "ssh",
                "-F",
                "none",
                "--password-fd",
                "0",
            ])
            .args(&["--ssh-option", "IdentityFile=none", "--ssh-option"])
            .arg(format!("UserKnownHostsFile={}", self.path("known_hosts")))
            .args(&["--kill-after", "0.5", "-f", &self.path("hosts")])
            .args(options)
            .arg("true")
            .stdin(password)
            .after("exec >/dev/null")
            .start()
    }

    /// Waits until every command has been started, and has written for a while.
    fn wait_for_all(&self) {
        for _ in NAMES {
            self.started.recv_timeout(DEADLINE).unwrap();
        }
        std::thread::sleep(Duration::from_millis(500));
    }
}

#[track_caller]
fn all_failed_with(ended: Ended, cause: &str) {
    ended.says(&[&format!("4 failed: e[1-4]: {cause}")]);
}

#[test]
fn the_limit_of_a_command_ends_it() {
    let servers = Servers::start();
    let running = servers.run(&["-u", "1"]);
    all_failed_with(running.finish().status(3), "command timed out after 1 s");
}

#[test]
fn the_deadline_ends_it() {
    let servers = Servers::start();
    let running = servers.run(&["--deadline", "3"]);
    servers.wait_for_all();
    all_failed_with(running.finish().status(4), "deadline reached");
}

#[test]
fn a_signal_ends_it() {
    let servers = Servers::start();
    let running = servers.run(&[]);
    servers.wait_for_all();
    running.signal(Signal::TERM);
    let ended = running.finish();
    assert_eq!(ended.signal, Some(15), "{ended:?}");
    all_failed_with(ended, "interrupted");
}

#[test]
fn one_interrupt_prints_the_state_and_two_end_the_run() {
    let servers = Servers::start();
    let running = servers.run(&[]);
    servers.wait_for_all();
    running.signal(Signal::INT);
    std::thread::sleep(Duration::from_millis(100));
    running.signal(Signal::INT);
    let ended = running.finish();
    assert_eq!(ended.signal, Some(2), "{ended:?}");
    assert!(ended.stderr.contains("4 running: e[1-4]"), "{ended:?}");
    all_failed_with(ended, "interrupted");
}
