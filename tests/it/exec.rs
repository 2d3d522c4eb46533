//! `-R exec`: local commands instead of hosts, and together with hosts.

use std::fs;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::support::{FakeRshd, Mrsh, host, lacks};
use fake_rshd::Script;

/// A call for these targets that runs local commands.
fn exec(targets: &str) -> Mrsh {
    Mrsh::new().args(&["-R", "exec", "-w", targets])
}

/// Returns the number of processes that have this word among their arguments.
fn processes_with(word: &str) -> usize {
    let has_word = |entry: &fs::DirEntry| {
        fs::read(entry.path().join("cmdline"))
            .is_ok_and(|line| line.split(|&b| b == 0).any(|arg| arg == word.as_bytes()))
    };
    let entries = fs::read_dir("/proc").unwrap();
    entries.flatten().filter(has_word).count()
}

/// Waits until no process has this word among its arguments. A killed process needs a moment to end.
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
    assert!(ended.stderr.contains("p1: exit 7"), "{}", ended.stderr);
    assert!(
        ended.stderr.contains("p2: killed by signal 9 (KILL)"),
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
        ended.stderr.contains("p[1-3]: command timed out"),
        "{}",
        ended.stderr
    );
    all_gone(&time);
}

#[test]
fn a_command_that_ignores_term_is_killed() {
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
fn a_command_that_cannot_be_started_is_an_error_before_the_run() {
    for (command, words) in [
        (&["echo", "%x"][..], "%x"),
        (&["no-such-program", "%h"], "cannot find the program"),
        (&["echo hi | cat"], "write sh -c"),
    ] {
        let ended = exec("p[1-2]").args(command).run();
        assert_eq!(ended.status, Some(2), "{ended:?}");
        assert_eq!(ended.stdout, b"");
        assert!(ended.stderr.contains(words), "{}", ended.stderr);
    }
    // The name of the program differs from host to host, so the error occurs at the start of each command.
    let ended = exec("p[1-2]").args(&["/nowhere/%h"]).run();
    assert_eq!(ended.status, Some(3), "{ended:?}");
    assert!(
        ended.stderr.contains("p1: cannot start /nowhere/p1"),
        "{}",
        ended.stderr
    );
}

/// Runs a program with these dispositions and this mask of signals, which Python sets before it.
fn with_signals(python: &str, args: &[&str]) -> std::process::Output {
    let program = format!("import os, signal, sys\n{python}\nos.execv(sys.argv[1], sys.argv[1:])");
    let mut command = std::process::Command::new("timeout");
    command.args([
        "-k",
        "5",
        "60",
        "python3",
        "-c",
        &program,
        env!("CARGO_BIN_EXE_mrsh"),
    ]);
    command.args(args).output().unwrap()
}

#[test]
fn an_ignored_sigchld_changes_no_result() {
    if lacks("python3") {
        return;
    }
    let ignored = "signal.signal(signal.SIGCHLD, signal.SIG_IGN)";
    let script = "test $0 = p2 && exit 7; sleep 0.2";
    let args = ["-R", "exec", "-w", "p[1-3]", "sh", "-c", script, "%h"];
    let output = with_signals(ignored, &args);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert_eq!(said, "mrsh: 1 failed: p2: exit 7\n");
    // The same holds for the commands that list groups. They run before all others.
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("clustershell");
    fs::create_dir(&folder).unwrap();
    let config = "[Main]\ndefault: x\n[x]\nmap: echo n1,n2\n";
    fs::write(folder.join("groups.conf"), config).unwrap();
    let python = format!(
        "{ignored}\nos.environ['CLUSTERSHELL_CFGDIR'] = {:?}",
        folder.to_str().unwrap()
    );
    let output = with_signals(&python, &["--expand", "@any"]);
    assert_eq!(output.stdout, b"n1 n2\n", "{output:?}");
}

/// The masks in lines of /proc/self/status, without real-time signals.
fn masks(lines: &[u8]) -> Vec<u64> {
    let text = str::from_utf8(lines).unwrap();
    let mask = |line: &str| u64::from_str_radix(line.split_once('\t').unwrap().1, 16).unwrap();
    text.lines().map(|line| mask(line) & 0x7fff_ffff).collect()
}

#[test]
fn signals_that_were_blocked_or_ignored_stop_a_run_and_reach_its_commands() {
    if lacks("python3") {
        return;
    }
    let python = "signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 32))
for number in [signal.SIGTERM, signal.SIGUSR1, signal.SIGALRM]:
    signal.signal(number, signal.SIG_IGN)";
    // The command prints its own signal masks and kills the program that started it.
    let script = "grep -E '^Sig(Blk|Ign)' /proc/self/status; kill -TERM $PPID; sleep 1000";
    let output = with_signals(
        python,
        &["-R", "exec", "-w", "p1", "-N", "sh", "-c", script],
    );
    use std::os::unix::process::ExitStatusExt;
    // timeout(1) passes the signal's number on in its status.
    let status = output.status;
    assert!(
        status.code() == Some(143) || status.signal() == Some(15),
        "{output:?}"
    );
    assert_eq!(masks(&output.stdout), [0, 0]);
}

#[test]
fn signals_that_nohup_ignores_stay_ignored_by_commands_too() {
    if lacks("python3") {
        return;
    }
    let python = "for number in [signal.SIGHUP, signal.SIGINT, signal.SIGQUIT]:
    signal.signal(number, signal.SIG_IGN)";
    let script = "grep ^SigIgn /proc/self/status";
    let output = with_signals(
        python,
        &["-R", "exec", "-w", "p1", "-N", "sh", "-c", script],
    );
    assert_eq!(masks(&output.stdout), [7], "{output:?}");
}

#[test]
fn commands_that_ask_for_the_terminal_do_not_hang() {
    if lacks("script") {
        return;
    }
    // stty and password prompts use the terminal of the session.
    let script = "stty -F /dev/tty tostop; read x < /dev/tty; echo > /dev/tty; echo done";
    let line = format!(
        "{} --progress never --color never -R exec -w p1 sh -c '{script}'; echo status $?",
        env!("CARGO_BIN_EXE_mrsh")
    );
    let output = std::process::Command::new("timeout")
        .args(["30", "script", "-qec", &line, "/dev/null"])
        .env("SHELL", "/bin/sh")
        .output()
        .unwrap();
    let shown = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{shown}");
    assert!(shown.contains("p1: done"), "{shown}");
    assert!(
        shown.contains("/dev/tty: No such device or address"),
        "{shown}"
    );
    assert!(shown.contains("status 0"), "{shown}");
}

#[test]
fn hosts_and_local_commands_run_side_by_side() {
    let daemon = FakeRshd::playing(Script::printing("remote\n", 0));
    let ended = daemon.mrsh().args(&["-w", "exec:p1", "echo", "%h"]).run();
    assert_eq!(ended.status, Some(0), "{ended:?}");
    let remote = format!("{}: remote", host(0));
    assert_eq!(ended.sorted_lines(), [remote.as_str(), "p1: p1"]);
}

#[test]
fn the_colours_of_hosts_reach_a_terminal_if_enabled() {
    if lacks("script") {
        return;
    }
    let shown = |options: &str| {
        let program = env!("CARGO_BIN_EXE_mrsh");
        let line = format!(
            "{program} --no-config -N -q --progress never {options} -R exec -w n1 printf '\\033[31mred\\033[2J\\n'"
        );
        let output = std::process::Command::new("script")
            .args(["-qec", &line, "/dev/null"])
            .env("TERM", "xterm")
            .env("LC_ALL", "C.UTF-8")
            .stdin(std::process::Stdio::null())
            .output()
            .unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    // Only colours are passed on. Each line ends with the default colour.
    for (options, expected) in [
        ("--color always", "\x1b[31mred^[[2J\x1b[0m"),
        ("--color always -b", "\x1b[31mred^[[2J\x1b[0m"),
        ("--color auto", "^[[31mred^[[2J"),
        ("--color never", "^[[31mred^[[2J"),
    ] {
        let shown = shown(options);
        assert!(shown.contains(expected), "{options}: {shown:?}");
    }
}

#[test]
fn commands_that_write_without_end_reach_their_limits() {
    for (limit, cause) in [
        (&["-u", "1"][..], "command timed out after 1 s"),
        (&["--deadline", "1"], "deadline reached"),
        (&[], "interrupted"),
    ] {
        let word = format!("endless{}.{}", std::process::id(), limit.len());
        let mrsh = exec("p[1-3]").args(limit).args(&["--kill-after", "0.5"]);
        let running = mrsh.after("exec >/dev/null").args(&["yes", &word]).start();
        if limit.is_empty() {
            std::thread::sleep(Duration::from_millis(800));
            running.signal(Signal::TERM);
        }
        let ended = running.finish();
        ended.says(&[&format!("3 failed: p[1-3]: {cause}")]);
        all_gone(&word);
    }
}
