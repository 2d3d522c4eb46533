//! The recipes of the section "Cron, timers and logs" of the manual, as they stand there. A configuration file makes
//! each `mrsh` a run on embedded daemons.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};
use tempfile::TempDir;

use crate::support::lacks;

/// The blocks of code in the section, without their indentation. A block may have empty lines.
fn blocks() -> Vec<String> {
    let manual = include_str!("../../docs/manual.md");
    let section = manual.split("\n## Cron, timers and logs\n").nth(1).unwrap();
    let section = section.split("\n## ").next().unwrap();
    let mut blocks = vec![String::new()];
    for line in section.lines() {
        let last = blocks.last_mut().unwrap();
        if let Some(code) = line.strip_prefix("    ") {
            last.push_str(code);
            last.push('\n');
        } else if line.is_empty() && !last.is_empty() {
            last.push('\n');
        } else if !last.is_empty() {
            blocks.push(String::new());
        }
    }
    blocks
}

/// The block with this text.
#[track_caller]
fn block(text: &str) -> String {
    let mut found = blocks().into_iter().filter(|block| block.contains(text));
    let block = found.next().expect(text);
    assert_eq!(found.next(), None, "{text}");
    block
}

/// A directory with a hosts file and with `mrsh` in its `bin`.
struct Site {
    dir: TempDir,
}

impl Site {
    fn new() -> Site {
        let site = Site {
            dir: tempfile::tempdir().unwrap(),
        };
        fs::create_dir(site.path("bin")).unwrap();
        let program = Path::new(env!("CARGO_BIN_EXE_mrsh"));
        std::os::unix::fs::symlink(program, site.path("bin/mrsh")).unwrap();
        fs::create_dir_all(site.path(".config/mrsh")).unwrap();
        fs::write(site.path(".config/mrsh/config.toml"), "demo = true\n").unwrap();
        fs::write(site.path("hosts"), "n[1-3]\n").unwrap();
        site
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.dir.path().join(name)
    }

    fn program(&self, name: &str, text: &str) {
        let path = self.path("bin").join(name);
        fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
        fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
    }

    /// Runs a recipe with a shell.
    fn run(&self, script: &str) -> Output {
        let path = format!("{}:/usr/sbin:/usr/bin:/bin", self.path("bin").display());
        Command::new("timeout")
            .args(["60", "sh", "-c", script])
            .current_dir(self.dir.path())
            .env_clear()
            .env("HOME", self.dir.path())
            .env("PATH", path)
            .output()
            .unwrap()
    }
}

/// The words of standard error without the notice of the embedded daemons.
fn said(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stderr);
    let lines = text.lines().filter(|line| !line.starts_with("mrsh: demo:"));
    lines.map(|line| format!("{line}\n")).collect()
}

#[test]
fn a_job_of_cron_runs_once_at_a_time_and_writes_only_of_failures() {
    if lacks("flock") {
        return;
    }
    let site = Site::new();
    let recipe = block("flock -n -E 75");
    let good = site.run(&recipe);
    assert_eq!(good.status.code(), Some(0), "{good:?}");
    assert_eq!((&*good.stdout, &*said(&good)), (&b""[..], ""));
    let bad = site.run(&recipe.replace("test -w /tmp", "echo why; test $MRSH_HOST != n2"));
    assert_eq!(bad.status.code(), Some(1), "{bad:?}");
    assert_eq!(bad.stdout, b"n2: why\n");
    assert_eq!(said(&bad), "mrsh: 1 failed: n2: exit 1\n");
    let lock = fs::File::open(site.path("nightly.lock")).unwrap();
    flock(&lock, FlockOperation::LockExclusive).unwrap();
    let second = site.run(&recipe);
    assert_eq!(second.status.code(), Some(75), "{second:?}");
    assert_eq!((&*second.stdout, &*second.stderr), (&b""[..], &b""[..]));
}

#[test]
fn a_job_takes_up_its_run_and_repeats_nothing() {
    if lacks("flock") {
        return;
    }
    let site = Site::new();
    let recipe = block("#!/bin/sh");
    let count = |name: &str| {
        fs::read_to_string(site.path(name))
            .unwrap_or_default()
            .lines()
            .count()
    };
    let command = format!(
        "cd {}; echo >>$MRSH_HOST; test -e ready || test $MRSH_HOST != n2",
        site.dir.path().display()
    );
    // The first start stops after the second host.
    let first = recipe
        .replace("test -w /tmp", &command)
        .replace("-f hosts", "-f hosts -j 1 --fail-fast");
    let stopped = site.run(&first);
    assert_eq!(stopped.status.code(), Some(4), "{stopped:?}");
    assert!(site.path("nightly.journal").exists());
    assert_eq!(["n1", "n2", "n3"].map(count), [1, 1, 0]);
    fs::write(site.path("ready"), "").unwrap();
    let resumed = site.run(&first);
    // The failure of the first start is a part of the run.
    assert_eq!(resumed.status.code(), Some(1), "{resumed:?}");
    assert_eq!(["n1", "n2", "n3"].map(count), [1, 1, 1]);
    assert!(!site.path("nightly.journal").exists());
    let told = site.run("mrsh --resume nightly.journal.done --status");
    let told = String::from_utf8(told.stdout).unwrap();
    assert!(
        told.starts_with("done: 2: n[1,3]\nfailed: 1: n2\n"),
        "{told}"
    );
    // The next night is a new run.
    let next = site.run(&recipe);
    assert_eq!(next.status.code(), Some(0), "{next:?}");
    assert_eq!((&*next.stdout, &*said(&next)), (&b""[..], ""));
}

/// The messages that come before the run is over.
fn received(socket: &UnixDatagram, is_over: &AtomicBool) -> Vec<String> {
    let mut messages = Vec::new();
    let mut buffer = vec![0; 1 << 17];
    loop {
        let was_over = is_over.load(Ordering::Acquire);
        match socket.recv(&mut buffer) {
            Ok(length) => {
                messages.push(String::from_utf8_lossy(&buffer[..length]).into_owned());
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock && was_over => return messages,
            Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock, "{error}"),
        }
    }
}

#[test]
fn entries_in_the_log_have_the_identifier_of_the_run() {
    if lacks("logger") {
        return;
    }
    let site = Site::new();
    let socket = UnixDatagram::bind(site.path("log")).unwrap();
    socket
        .set_read_timeout(Some(Duration::from_millis(200)))
        .unwrap();
    // The socket takes the place of /dev/log.
    let real = format!(
        "exec /usr/bin/logger -u {} \"$@\"",
        site.path("log").display()
    );
    site.program("logger", &real);
    let entries = |recipe: &str| {
        let is_over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            // The queue of a socket is short, and logger waits for its reader.
            let reader = scope.spawn(|| received(&socket, &is_over));
            let ended = site.run(recipe);
            is_over.store(true, Ordering::Release);
            let entries = reader.join().unwrap();
            assert_eq!(ended.status.code(), Some(0), "{ended:?}");
            entries
        })
    };
    // The daemons give commands another PATH.
    let on_hosts = format!("'{} -t nightly", site.path("bin/logger").display());
    let log = entries(&block("logger -t nightly").replace("'logger -t nightly", &on_hosts));
    let first = log
        .iter()
        .find_map(|entry| entry.split_once("mrsh: mrsh: run "));
    let id = first.expect("no entry with the identifier").1.to_owned();
    for host in ["n1", "n2", "n3"] {
        let wanted = format!("nightly: run {id} on {host}");
        assert!(log.iter().any(|entry| entry.ends_with(&wanted)), "{log:#?}");
    }
    let log = entries(&block("-S 64K"));
    let lines = log.iter().filter_map(|entry| entry.split_once("mrsh: {"));
    let lines: Vec<serde_json::Value> = lines
        .map(|(_, rest)| serde_json::from_str(&format!("{{{rest}")).unwrap())
        .collect();
    assert_eq!(lines.first().unwrap()["event"], "run-start");
    assert_eq!(lines.last().unwrap()["event"], "run-end");
    assert!(lines.iter().all(|line| line["run"] == lines[0]["run"]));
}

#[test]
fn the_units_are_right_for_systemd() {
    if lacks("systemd-analyze") {
        return;
    }
    let site = Site::new();
    let units = block("[Timer]");
    let (service, timer) = units
        .split_once("# /etc/systemd/system/mrsh-nightly.timer\n")
        .unwrap();
    let program = site.path("bin/mrsh").display().to_string();
    let service = service.replace("/usr/local/bin/mrsh", &program);
    assert!(service.contains(&program));
    fs::write(site.path("mrsh-nightly.service"), &service).unwrap();
    fs::write(site.path("mrsh-nightly.timer"), timer).unwrap();
    let verified = Command::new("systemd-analyze")
        .args([
            "verify",
            "--man=no",
            "./mrsh-nightly.service",
            "./mrsh-nightly.timer",
        ])
        .current_dir(site.dir.path())
        .output()
        .unwrap();
    let words = String::from_utf8_lossy(&verified.stderr).into_owned();
    let about_these: Vec<&str> = words
        .lines()
        .filter(|line| line.contains("mrsh-nightly"))
        .collect();
    assert_eq!(about_these, [""; 0], "{words}");
    // The line that the service starts, as a shell would start it.
    let start = service
        .lines()
        .find_map(|line| line.strip_prefix("ExecStart="))
        .unwrap();
    let start = start.replace("%%", "%").replace("/etc/mrsh/hosts", "hosts");
    let ended = site.run(&start);
    assert_eq!(ended.status.code(), Some(0), "{ended:?}");
    assert_eq!(fs::read_to_string(site.path("out/n1.txt")).unwrap(), "");
}
