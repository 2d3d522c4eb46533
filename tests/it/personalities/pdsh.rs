//! pdsh by mrsh: what Debian's pdsh 2.34 lacks, or what needs other programs.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use rustix::process::Signal;

use crate::support::{Ended, Mrsh, reserved_ports};

fn pdsh() -> Mrsh {
    Mrsh::called("pdsh")
}

/// A call that runs local commands.
fn exec(hosts: &str) -> Mrsh {
    pdsh().args(&["-R", "exec", "-w", hosts])
}

/// A folder with a program `ssh` of this script, and a call that finds it first.
fn with_ssh(script: &str) -> (tempfile::TempDir, impl Fn() -> Mrsh + use<>) {
    let folder = tempfile::tempdir().unwrap();
    let ssh = folder.path().join("ssh");
    fs::write(&ssh, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(&ssh, fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:/usr/bin:/bin", folder.path().display());
    (folder, move || pdsh().env("PATH", &*path))
}

#[test]
fn the_words_of_ssh_follow_the_environment() {
    let (_folder, call) = with_ssh("echo \"$@\"");
    for (environment, args, expected) in [
        (
            &[][..],
            &["-wfoo", "ls"][..],
            "foo: -oConnectTimeout=10 -2 -a -x foo ls",
        ),
        (
            &[],
            &["-t55", "-wfoo", "ls"],
            "foo: -oConnectTimeout=55 -2 -a -x foo ls",
        ),
        (&[], &["-t0", "-wfoo", "ls"], "foo: -2 -a -x foo ls"),
        (
            &[],
            &["-lme", "-wfoo", "ls"],
            "foo: -oConnectTimeout=10 -2 -a -x -lme foo ls",
        ),
        (
            &[("DSHPATH", "/p")],
            &["-wfoo", "ls"],
            "foo: -oConnectTimeout=10 -2 -a -x foo PATH=/p; ls",
        ),
        (
            &[("PDSH_SSH_ARGS", "-p 9 -l%u %h")],
            &["-lme", "-wfoo", "ls"],
            "foo: -oConnectTimeout=10 -p 9 -lme foo ls",
        ),
        (
            &[("PDSH_SSH_ARGS", "-p 9")],
            &["-lme", "-wfoo", "ls"],
            "foo: -oConnectTimeout=10 -p 9 -lme foo ls",
        ),
        (
            &[("PDSH_SSH_ARGS", "-p 9"), ("PDSH_SSH_ARGS_APPEND", "-v")],
            &["-wfoo", "ls"],
            "foo: -oConnectTimeout=10 -v -p 9 foo ls",
        ),
        (
            &[],
            &["-wfoo", "date", "+%s", "%h"],
            "foo: -oConnectTimeout=10 -2 -a -x foo date +%s foo",
        ),
    ] {
        let call = environment
            .iter()
            .fold(call(), |call, (name, value)| call.env(name, *value));
        let ended = call.args(&["-Rssh"]).args(args).run().status(0);
        assert_eq!(ended.sorted_lines(), [expected], "{environment:?} {args:?}");
    }
    let ended = call().args(&["-Rssh", "-wfoo,me@bar", "ls"]).run();
    assert_eq!(
        ended.sorted_lines(),
        [
            "bar: -oConnectTimeout=10 -2 -a -x -lme bar ls",
            "foo: -oConnectTimeout=10 -2 -a -x foo ls"
        ]
    );
}

#[test]
fn the_largest_status_is_that_of_ssh() {
    let (_folder, call) = with_ssh("exit 7");
    let ended = call().args(&["-Rssh", "-Swfoo", "ls"]).run().status(7);
    assert!(
        ended
            .stderr
            .ends_with(": foo: ssh exited with exit code 7\n"),
        "{ended:?}"
    );
    call().args(&["-Rssh", "-wfoo", "ls"]).run().status(0);
}

#[test]
fn the_first_failure_ends_the_run() {
    let script = "test $0 = foo2 && exit 4; sleep 1000";
    let ended = exec("foo[1-3]")
        .args(&["-k", "sh", "-c", script, "%h"])
        .within(Duration::from_secs(20))
        .run()
        .status(1);
    let lines: Vec<&str> = ended.stderr.lines().collect();
    assert!(
        lines[0].ends_with(": foo2: sh exited with exit code 4"),
        "{ended:?}"
    );
    assert!(
        lines[1].starts_with("sending signal 15 to foo1 [sh]"),
        "{ended:?}"
    );
    assert!(
        lines[2].starts_with("sending signal 15 to foo3 [sh]"),
        "{ended:?}"
    );
    assert!(
        lines[3].ends_with(": terminating all processes"),
        "{ended:?}"
    );
    assert_eq!(lines.len(), 4, "{ended:?}");
    exec("foo").args(&["-k", "true"]).run().status(0);
}

#[test]
fn modules_are_listed() {
    let listed = pdsh().arg("-L").run().status(0);
    let text = String::from_utf8_lossy(&listed.stdout).into_owned();
    for module in [
        "rcmd/exec",
        "rcmd/rsh",
        "rcmd/ssh",
        "misc/genders",
        "misc/dshgroup",
    ] {
        assert!(text.contains(&format!("Module: {module}\n")), "{text}");
    }
    let active = |text: &str, name: &str| {
        let (_, rest) = text.split_once(&format!("Module: misc/{name}\n")).unwrap();
        rest.lines()
            .find_map(|line| line.strip_prefix("Active: "))
            .unwrap()
            .to_owned()
    };
    assert_eq!(active(&text, "genders"), "yes");
    assert_eq!(active(&text, "dshgroup"), "no");
    let other = pdsh().args(&["-Mdshgroup", "-L"]).run();
    let text = String::from_utf8_lossy(&other.stdout).into_owned();
    assert_eq!(
        (&*active(&text, "genders"), &*active(&text, "dshgroup")),
        ("no", "yes")
    );
    let version = pdsh().arg("-V").run().status(0);
    assert!(
        version.stdout.starts_with(b"pdsh-2.35 (+static-modules"),
        "{version:?}"
    );
    for number in ["0", "1"] {
        let tested = pdsh().args(&["-T", number]).run().status(0);
        assert!(tested.stdout.ends_with(b": PASS\n"), "{tested:?}");
    }
    pdsh()
        .args(&["-T2"])
        .run()
        .status(1)
        .stderr("pdsh: Test 2 unknown\n");
}

#[test]
fn the_limit_of_the_environment_counts() {
    let line = |call: Mrsh, name: &str| {
        let ended = call.args(&["-qw", "foo"]).run().status(0);
        let text = String::from_utf8_lossy(&ended.stdout).into_owned();
        let line = text.lines().find(|line| line.starts_with(name));
        line.unwrap().rsplit('\t').next().unwrap().to_owned()
    };
    for (variable, value, name) in [
        ("FANOUT", "7", "Fanout"),
        ("PDSH_CONNECT_TIMEOUT", "33", "Connect timeout"),
        ("PDSH_COMMAND_TIMEOUT", "22", "Command timeout"),
        ("PDSH_RCMD_TYPE", "ssh", "Rcmd type"),
        ("DSHPATH", "/p", "Path prepended"),
    ] {
        let expected = if variable == "DSHPATH" {
            "PATH=/p;"
        } else {
            value
        };
        assert_eq!(
            line(pdsh().env(variable, value), name),
            expected,
            "{variable}"
        );
    }
    assert_eq!(line(Mrsh::called("dsh"), "Fanout"), "32");
}

#[test]
fn one_interrupt_shows_the_state_and_two_end_the_run() {
    let mut running = exec("foo[1-2]")
        .args(&["sh", "-c", "echo on; exec sleep 1000"])
        .start();
    running.has_printed(b"foo1: on\n");
    running.has_printed(b"foo2: on\n");
    running.signal(Signal::INT);
    std::thread::sleep(Duration::from_millis(200));
    running.signal(Signal::INT);
    let ended = running.finish().status(1);
    for words in [
        ": interrupt (one more within 1 sec to abort)\n",
        ": foo1: command in progress\n",
        ": foo2: command in progress\n",
        ": interrupt, aborting.\n",
    ] {
        assert!(ended.stderr.contains(words), "{words} {ended:?}");
    }
    let mut running = exec("foo")
        .args(&["-b", "sh", "-c", "echo on; exec sleep 1000"])
        .start();
    running.has_printed(b"foo: on\n");
    running.signal(Signal::INT);
    running
        .finish()
        .status(1)
        .says(&[": batch mode interrupt, aborting.\n"]);
}

#[test]
fn a_reader_that_closes_its_end_does_not_stop_the_commands() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("done");
    let script = format!(
        "for i in 1 2 3 4; do echo line; sleep 0.1; done; echo x > {}",
        file.display()
    );
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let status = std::process::Command::new(env!("CARGO_BIN_EXE_mrsh"))
        .args(["-R", "exec", "-w", "foo", "sh", "-c", &script])
        .stdout(writer)
        .stderr(std::process::Stdio::null())
        .called_pdsh()
        .status()
        .unwrap();
    assert_eq!(status.code(), Some(0));
    assert!(file.exists());
}

/// A command that is called by the name pdsh.
trait CalledPdsh {
    fn called_pdsh(&mut self) -> &mut Self;
}

impl CalledPdsh for std::process::Command {
    fn called_pdsh(&mut self) -> &mut Self {
        std::os::unix::process::CommandExt::arg0(self, "pdsh")
    }
}

#[test]
fn a_daemon_that_is_not_there_refuses_the_connection() {
    if !reserved_ports() {
        return crate::support::may_skip("reserved ports cannot be bound");
    }
    // Nothing listens on this address.
    let call = |letter: &str| {
        pdsh()
            .args(&[letter, "rsh", "-w", "127.77.66.55", "true"])
            .run()
    };
    let refused = call("-R").status(0);
    assert!(
        refused
            .stderr
            .ends_with(": 127.77.66.55: connect: Connection refused\n"),
        "{refused:?}"
    );
    call("-SR").status(254);
}

#[test]
fn the_plan_is_shown_as_a_command_line_of_mrsh() {
    let shown = |args: &[&str]| {
        let ended: Ended = pdsh().arg("--show-plan").args(args).run().status(0);
        String::from_utf8(ended.stdout).unwrap()
    };
    assert_eq!(
        shown(&[
            "-w", "foo[1-3]", "-x", "foo2", "-f8", "-u5", "-l", "me", "-NS", "uptime", "-p"
        ]),
        "mrsh -R rsh -w 'foo[1,3]' -j 8 -u 5 -l me -N -S -- uptime -p\n"
    );
    assert_eq!(
        shown(&["-Rexec", "-w", "a@x,ssh:y", "echo", "%h z"]),
        "mrsh -R exec -w 'a@x,openssh:y' -- echo '%h z'\n"
    );
}
