//! `-R exec`: local commands in the place of hosts, and mixed with hosts.

use std::fs;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::support::{FakeRshd, Mrsh, host};
use mrsh::demo::Script;

/// A call for these targets that runs local commands.
fn exec(targets: &str) -> Mrsh {
    Mrsh::new().args(&["-R", "exec", "-w", targets])
}

/// How many processes have this word among their arguments.
fn processes_with(word: &str) -> usize {
    let has_word = |entry: &fs::DirEntry| {
        fs::read(entry.path().join("cmdline"))
            .is_ok_and(|line| line.split(|&b| b == 0).any(|arg| arg == word.as_bytes()))
    };
    let entries = fs::read_dir("/proc").unwrap();
    entries.flatten().filter(has_word).count()
}

/// Waits until no process has this word any more: one that was killed needs a moment to go.
#[track_caller]
fn all_gone(word: &str) {
    let until = Instant::now() + Duration::from_secs(10);
    while processes_with(word) > 0 {
        assert!(Instant::now() < until, "processes with {word} are left");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A number of seconds to sleep that no other test's processes have.
fn long_time(test: u32) -> String {
    format!("1000.{}{test}", std::process::id())
}

#[test]
fn letters_stand_for_host_user_and_rank() {
    let ended = exec("op@p[1-2],ssh:q,exec:r")
        .args(&["-l", "ann", "-R", "exec", "-x", "q"])
        .args(&["echo", "%h", "%u%%", "[%n]", "a  b"])
        .run();
    let lines = ended.sorted_lines();
    assert_eq!(
        lines,
        [
            "op@p1: p1 op% [0] a  b",
            "op@p2: p2 op% [1] a  b",
            "r: r ann% [2] a  b"
        ]
    );
    assert_eq!(ended.status, Some(0), "{ended:?}");
}

#[test]
fn statuses_signals_and_streams_are_the_commands_own() {
    let script = "echo out; echo err >&2; case $0 in p1) exit 7;; p2) kill -9 $$;; esac";
    let ended = exec("p[1-3]").args(&["sh", "-c", script, "%h"]).run();
    assert_eq!(ended.status, Some(1), "{ended:?}");
    assert_eq!(ended.sorted_lines(), ["p1: out", "p2: out", "p3: out"]);
    for line in ["p1: err\n", "p2: err\n", "p3: err\n"] {
        assert!(ended.stderr.contains(line), "{}", ended.stderr);
    }
    assert!(ended.stderr.contains("p1 exit 7"), "{}", ended.stderr);
    assert!(
        ended.stderr.contains("p2 killed by signal 9 (KILL)"),
        "{}",
        ended.stderr
    );
}

#[test]
fn standard_error_is_merged_in_its_order_or_dropped() {
    let script = "for i in 1 2 3; do echo out $i; echo err $i >&2; done";
    let merged = exec("p")
        .args(&["-N", "--stderr", "merge", "sh", "-c", script])
        .run();
    assert_eq!(
        String::from_utf8_lossy(&merged.stdout),
        "out 1\nerr 1\nout 2\nerr 2\nout 3\nerr 3\n"
    );
    assert_eq!(merged.stderr, "");
    let dropped = exec("p")
        .args(&["-N", "--stderr", "drop", "sh", "-c", script])
        .run();
    assert_eq!(
        String::from_utf8_lossy(&dropped.stdout),
        "out 1\nout 2\nout 3\n"
    );
    assert_eq!(dropped.stderr, "");
}

#[test]
fn standard_input_is_at_its_end() {
    exec("p").args(&["cat"]).run().status(0);
}

#[test]
fn much_output_arrives_whole() {
    let ended = exec("p")
        .args(&["-N", "sh", "-c", "seq 1000000; seq 1000000 >&2"])
        .run();
    assert_eq!(ended.status, Some(0), "{ended:?}");
    let expected: String = (1..=1_000_000).map(|n| format!("{n}\n")).collect();
    assert!(ended.stdout == expected.as_bytes());
    assert!(ended.stderr == expected);
}

#[test]
fn a_command_that_takes_too_long_ends_with_all_that_it_started() {
    let time = long_time(1);
    let script = format!("sleep {time} & sleep {time}");
    let ended = exec("p[1-3]")
        .args(&["-u", "0.3", "sh", "-c", &script])
        .run();
    assert_eq!(ended.status, Some(3), "{ended:?}");
    assert!(
        ended.stderr.contains("p[1-3] command timed out"),
        "{}",
        ended.stderr
    );
    all_gone(&time);
}

#[test]
fn one_that_does_not_heed_term_is_killed() {
    let time = long_time(2);
    let script = format!("trap '' TERM; echo up; sleep {time}");
    let mut running = exec("p").args(&["sh", "-c", &script]).start();
    running.has_printed(b"up");
    let asked = Instant::now();
    running.signal(Signal::TERM);
    let ended = running.finish();
    assert_eq!(ended.signal, Some(15));
    assert!(asked.elapsed() >= Duration::from_secs(2), "no grace period");
    all_gone(&time);
}

#[test]
fn a_run_with_few_descriptors_takes_more_turns() {
    let ended = Mrsh::new()
        .within(Duration::from_secs(60))
        .args(&["-R", "exec", "-w", "p[1-200]", "-j", "200", "-v", "echo"])
        .arg("%n")
        .after("ulimit -n 64")
        .run();
    assert_eq!(ended.status, Some(0), "{ended:?}");
    assert_eq!(ended.sorted_lines().len(), 200);
    assert!(ended.stderr.contains("at a time"), "{}", ended.stderr);
}

#[test]
fn what_cannot_be_started_is_said_before_anything_is() {
    for (command, words) in [
        (&["echo", "%x"][..], "%x"),
        (&["no-such-program", "%h"], "there is no program"),
        (&["echo hi | cat"], "write sh -c"),
    ] {
        let ended = exec("p[1-2]").args(command).run();
        assert_eq!(ended.status, Some(2), "{ended:?}");
        assert_eq!(ended.stdout, b"");
        assert!(ended.stderr.contains(words), "{}", ended.stderr);
    }
    // A name that differs from host to host shows only when it is tried.
    let ended = exec("p[1-2]").args(&["/nowhere/%h"]).run();
    assert_eq!(ended.status, Some(3), "{ended:?}");
    assert!(
        ended.stderr.contains("p1 cannot start /nowhere/p1"),
        "{}",
        ended.stderr
    );
}

#[test]
fn hosts_and_local_commands_run_side_by_side() {
    let daemon = FakeRshd::playing(Script::printing("remote\n", 0));
    let ended = daemon.mrsh().args(&["-w", "exec:p1", "echo", "%h"]).run();
    assert_eq!(ended.status, Some(0), "{ended:?}");
    let remote = format!("{}: remote", host(0));
    assert_eq!(ended.sorted_lines(), [remote.as_str(), "p1: p1"]);
}
