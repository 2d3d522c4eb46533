//! `--journal` and `--resume`: which targets a resumed run starts, and what it refuses.

use std::fs::{self, File};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use rustix::fs::{FlockOperation, flock};
use rustix::process::Signal;
use tempfile::TempDir;

use crate::support::{Ended, Mrsh};

mod killed;

/// A directory with a journal, and with a file for each host to which its command appends a line.
struct Runs {
    dir: TempDir,
}

impl Runs {
    fn new() -> Runs {
        Runs {
            dir: tempfile::tempdir().unwrap(),
        }
    }

    fn path(&self, name: &str) -> String {
        self.dir.path().join(name).to_str().unwrap().to_owned()
    }

    fn journal(&self) -> String {
        self.path("journal")
    }

    fn text(&self) -> String {
        fs::read_to_string(self.journal()).unwrap()
    }

    /// A call that records its run. The command appends a line for each host and then runs `more`.
    fn first(&self, targets: &str, options: &[&str], more: &str) -> Mrsh {
        let script = format!("echo ran >>{}/$0; {more}", self.dir.path().display());
        Mrsh::new()
            .args(&["-R", "exec", "--journal", &self.journal(), "-w", targets])
            .args(options)
            .args(&["sh", "-c", &script, "%h"])
    }

    fn resume(&self, options: &[&str]) -> Mrsh {
        Mrsh::new()
            .args(&["--resume", &self.journal()])
            .args(options)
    }

    fn status(&self) -> Ended {
        self.resume(&["--status"]).run()
    }

    /// Number of times that the command of a host ran.
    fn times(&self, host: &str) -> usize {
        let text = fs::read_to_string(self.dir.path().join(host)).unwrap_or_default();
        text.lines().count()
    }
}

/// A run that `--max-failures` stops after the third of five hosts; the first has succeeded and the second failed.
fn stopped() -> Runs {
    let runs = Runs::new();
    let more = "test $0 = a";
    let ended = runs
        .first("a,b,c,d", &["-j", "1", "--fail-fast"], more)
        .run();
    assert_eq!(ended.status, Some(4), "{ended:?}");
    runs
}

#[test]
fn a_resumed_run_starts_the_targets_that_have_not_started() {
    let runs = stopped();
    runs.status().status(4).stdout(
        "done: 1: a\nfailed: 1: b\nuncertain: 0\nnot started: 2: c-d\n".replace("c-d", "c,d"),
    );
    let mode = fs::metadata(runs.journal()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    // --fail-fast counts again.
    let ended = runs.resume(&[]).run().status(4);
    assert!(
        ended.stderr.contains("done, 1 failed, 2 not started"),
        "{ended:?}"
    );
    runs.resume(&["-q"]).run().status(1);
    runs.status()
        .status(1)
        .stdout("done: 1: a\nfailed: 3: b,c,d\nuncertain: 0\nnot started: 0\n");
    runs.resume(&[])
        .run()
        .status(1)
        .stderr("mrsh: no target is left to run: 1 done, 3 failed\n");
    for host in ["a", "b", "c", "d"] {
        assert_eq!(runs.times(host), 1, "{host}");
    }
    runs.resume(&["--failed", "-q"]).run().status(4);
    assert_eq!(
        (runs.times("a"), runs.times("b"), runs.times("c")),
        (1, 2, 1)
    );
}

#[test]
fn the_journal_has_the_lines_of_json() {
    let runs = stopped();
    let events: Vec<serde_json::Value> = runs
        .text()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let names: Vec<&str> = events
        .iter()
        .map(|e| e["event"].as_str().unwrap())
        .collect();
    assert_eq!(
        names,
        ["journal", "started", "finished", "started", "finished"]
    );
    assert_eq!(events[4]["label"], "b");
    assert_eq!(events[4]["status"], 1);
    let header = &events[0];
    assert_eq!(header["plan"]["targets"][3]["transport"], "exec");
    assert_eq!(header["session"]["line"][0], "-R");
}

#[test]
fn output_options_may_be_given_anew_and_numbers_stay() {
    let runs = Runs::new();
    let ended = Mrsh::new()
        .args(&[
            "-R",
            "exec",
            "--journal",
            &runs.journal(),
            "-w",
            "a,b,c",
            "--fail-fast",
            "-j1",
        ])
        .args(&["sh", "-c", "echo $0 $1; exit 1", "%h", "%n"])
        .run();
    ended.status(4).stdout("a: a 0\n");
    let ended = runs.resume(&["--label", "%l-%n: "]).run().status(4);
    ended.stdout("b-1: b 1\n");
    let ended = runs.resume(&["--json"]).run().status(1);
    let text = String::from_utf8(ended.stdout).unwrap();
    assert!(text.contains("\"text\":\"c 2\\n\""), "{text}");
}

#[test]
fn a_line_that_contradicts_the_journal_is_refused() {
    let runs = stopped();
    let refused = |options: &[&str], words: &str| {
        runs.resume(options).run().status(2).says(&[words]);
    };
    refused(&["-w", "x"], "cannot use --hosts with --resume");
    refused(&["uptime"], "the command of the journal is");
    refused(&["-i"], "cannot use --stdin with --resume");
    refused(&["--journal", "x"], "cannot be used with");
    Mrsh::new()
        .args(&["--failed", "-w", "a", "true"])
        .run()
        .status(2);
    assert_eq!(runs.times("c"), 0);
}

#[test]
fn files_that_are_no_journals_are_refused() {
    let runs = stopped();
    let good = runs.text();
    let cases = [
        ("", "it is empty"),
        ("hello\n", "it is no journal of mrsh"),
        (
            "{\"v\":2,\"event\":\"journal\"}\n",
            "it has version 2 of the format",
        ),
        (&good[..100], "its first line is incomplete"),
        (
            &good.replacen("\"a\"", "\"x\"", 1),
            "the digest does not match",
        ),
        (
            &good.replacen("\"started\",\"target\":0", "\"started\",\"target\":9", 1),
            "line 2: target 9",
        ),
        (
            &good.replacen("{\"v\":1,\"event\":\"finished\"", "{\"v\":1,\"ev", 1),
            "line 3: it is no line of a journal",
        ),
    ];
    for (text, words) in cases {
        fs::write(runs.journal(), text).unwrap();
        for options in [&[][..], &["--status"]] {
            runs.resume(options).run().status(2).says(&[words]);
        }
    }
    runs.resume(&[]).run().status(2);
    let ended = Mrsh::new()
        .args(&["--resume", "/nowhere/j"])
        .run()
        .status(2);
    ended.stderr("mrsh: cannot use the journal /nowhere/j: No such file or directory\n");
}

#[test]
fn a_line_that_was_cut_is_ignored_and_removed() {
    let runs = stopped();
    let whole = runs.text();
    fs::write(runs.journal(), format!("{whole}{{\"v\":1,\"event\":\"star")).unwrap();
    let ended = runs.resume(&[]).run().status(4);
    assert!(
        ended.stderr.contains("is incomplete and is ignored"),
        "{ended:?}"
    );
    let text = runs.text();
    assert!(text.starts_with(&whole) && text.ends_with('\n'));
    assert!(text[whole.len()..].starts_with("{\"v\":1,\"event\":\"resume\""));
}

#[test]
fn a_new_run_takes_no_file_with_content() {
    let runs = stopped();
    let ended = runs.first("a", &[], "true").run().status(2);
    let help = format!(
        "  = help: to go on with its run, use --resume {}",
        runs.journal()
    );
    assert!(
        ended.stderr.contains("it exists and is not empty"),
        "{ended:?}"
    );
    assert!(ended.stderr.contains(&help), "{ended:?}");
    // A run that ended within its first line has started nothing.
    fs::write(runs.journal(), &runs.text()[..40]).unwrap();
    runs.resume(&[])
        .run()
        .status(2)
        .says(&["start the run again, with --journal"]);
    runs.first("f", &[], "true").run().status(0);
    // An empty file of mktemp(1) is taken, and nobody else can read it then.
    fs::write(runs.journal(), "").unwrap();
    runs.first("e", &[], "true").run().status(0);
    let mode = fs::metadata(runs.journal()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn a_file_that_cannot_grow_stops_the_run_before_its_targets_start() {
    let runs = Runs::new();
    let hosts: Vec<String> = (b'a'..=b'z').map(|c| format!("z{}", c as char)).collect();
    // Writes fail with EFBIG, as they do with ENOSPC on a full disk.
    let full = runs
        .first(&hosts.join(","), &["-j2"], "true")
        .after("trap '' XFSZ; ulimit -f 8");
    let ended = full.run().status(2);
    let said = &ended.stderr;
    assert!(
        said.contains("mrsh: the journal cannot be written: no more hosts are started"),
        "{said}"
    );
    assert!(
        said.contains(&format!(
            "mrsh: cannot write the journal {}: File too large",
            runs.journal()
        )),
        "{said}"
    );
    let not_started = said
        .lines()
        .find(|line| line.contains(" not started: "))
        .unwrap();
    let ran: Vec<&String> = hosts.iter().filter(|host| runs.times(host) == 1).collect();
    assert!(ran.len() > 1 && ran.len() < hosts.len(), "{ran:?}");
    for host in &hosts {
        assert_eq!(
            runs.times(host) == 0,
            not_started.contains(&**host),
            "{host}: {said}"
        );
    }
    let ended = runs.resume(&["-q"]).run();
    let uncertain = ended
        .stderr
        .split("is not known: ")
        .nth(1)
        .unwrap_or_default();
    assert_eq!(
        ended.status,
        Some(if uncertain.is_empty() { 0 } else { 3 }),
        "{ended:?}"
    );
    for host in &hosts {
        assert_eq!(runs.times(host), 1, "{host}");
    }
}

#[test]
fn only_safe_files_are_used() {
    let runs = stopped();
    fs::set_permissions(runs.journal(), PermissionsExt::from_mode(0o666)).unwrap();
    runs.resume(&[])
        .run()
        .status(2)
        .says(&["other users can write to it"]);
    let open = runs.dir.path().join("open");
    fs::create_dir(&open).unwrap();
    fs::set_permissions(&open, PermissionsExt::from_mode(0o777)).unwrap();
    symlink(runs.path("secret"), open.join("journal")).unwrap();
    let link = open.join("journal");
    let ended = Mrsh::new()
        .args(&[
            "-R",
            "exec",
            "-w",
            "a",
            "--journal",
            link.to_str().unwrap(),
            "true",
        ])
        .run();
    ended.status(2).says(&["is a symbolic link"]);
    assert!(!Path::new(&runs.path("secret")).exists());
}

#[test]
fn one_run_at_a_time_writes_a_journal() {
    let runs = Runs::new();
    let mut first = runs.first("a,b", &["-j1"], "echo here; sleep 30").start();
    first.has_printed(b"here");
    let ended = runs.resume(&[]).run().status(2);
    assert!(
        ended.stderr.contains("another run writes it: process "),
        "{ended:?}"
    );
    runs.first("a", &[], "true")
        .run()
        .status(2)
        .says(&["another run writes it"]);
    let ended = runs.status();
    assert_eq!(
        String::from_utf8_lossy(&ended.stdout),
        "done: 0\nfailed: 0\nin progress or uncertain: 1: a\nnot started: 1: b\n"
    );
    first.signal(Signal::TERM);
    first.finish();
    // a was stopped, and b never started.
    runs.status()
        .status(4)
        .stdout("done: 0\nfailed: 1: a\nuncertain: 0\nnot started: 1: b\n");
    let file = File::open(runs.journal()).unwrap();
    flock(&file, FlockOperation::LockExclusive).unwrap();
    runs.resume(&[])
        .run()
        .status(2)
        .says(&["another run writes it"]);
}

#[test]
fn a_killed_run_leaves_uncertain_targets() {
    let runs = Runs::new();
    let mut first = runs
        .first("a,b,c", &["-j1"], "echo here; test $0 = a || sleep 5")
        .start();
    first.has_printed(b"b: here");
    first.signal(Signal::KILL);
    first.finish();
    let ended = runs.resume(&["-q"]).run().status(3);
    assert!(
        ended
            .stderr
            .contains("mrsh: 1 uncertain: the command may have run, and its end is not known: b\n"),
        "{ended:?}"
    );
    assert_eq!(["a", "b", "c"].map(|host| runs.times(host)), [1, 1, 1]);
    runs.resume(&["--failed"]).run().status(3);
    assert_eq!(runs.times("b"), 1);
    runs.status()
        .status(3)
        .stdout("done: 2: a,c\nfailed: 0\nuncertain: 1: b\nnot started: 0\n");
}

#[test]
fn standard_input_must_be_the_same() {
    let runs = Runs::new();
    let input = |name: &str, text: &str| {
        let path = runs.path(name);
        fs::write(&path, text).unwrap();
        File::open(path).unwrap()
    };
    let ended = Mrsh::new()
        .args(&[
            "-R",
            "exec",
            "--journal",
            &runs.journal(),
            "-w",
            "a,b",
            "--fail-fast",
            "-j1",
            "-i",
        ])
        .args(&["sh", "-c", "cat; exit 1"])
        .stdin(input("one", "the input\n"))
        .run();
    ended.status(4).stdout("a: the input\n");
    assert!(!runs.text().contains("the input"));
    runs.resume(&[])
        .run()
        .status(2)
        .says(&["cannot resume the run without -i"]);
    let other = runs.resume(&["-i"]).stdin(input("two", "other text\n"));
    other
        .run()
        .status(2)
        .says(&["standard input has another content"]);
    let same = runs.resume(&["-i"]).stdin(input("one", "the input\n"));
    same.run().status(1).stdout("b: the input\n");
}

#[test]
fn the_journal_of_a_demo_run_is_taken_up_over_rsh() {
    let runs = Runs::new();
    let ended = Mrsh::new()
        .args(&[
            "--demo",
            "--journal",
            &runs.journal(),
            "-w",
            "n[1-6]",
            "-j1",
            "--max-failures",
            "2",
        ])
        .arg("echo $MRSH_HOST; exit 1")
        .run();
    ended.status(4).stdout("n1: n1\nn2: n2\n");
    let ended = runs.resume(&["--no-config-is-no-option"]).run();
    assert_eq!(ended.status, Some(2));
    runs.resume(&["-q"])
        .run()
        .status(4)
        .stdout("n3: n3\nn4: n4\n");
    runs.resume(&["-q"])
        .run()
        .status(1)
        .stdout("n5: n5\nn6: n6\n");
    runs.status()
        .status(1)
        .stdout("done: 0\nfailed: 6: n[1-6]\nuncertain: 0\nnot started: 0\n");
}

#[test]
fn targets_that_were_not_reached_failed_and_did_not_start() {
    let runs = Runs::new();
    let ended = Mrsh::new()
        .args(&[
            "-R",
            "ssh",
            "-F",
            "none",
            "--journal",
            &runs.journal(),
            "-w",
            "127.0.0.1:1",
        ])
        .arg("true")
        .run();
    ended.status(3);
    assert!(
        !runs.text().contains("\"event\":\"started\""),
        "{}",
        runs.text()
    );
    runs.status()
        .status(3)
        .stdout("done: 0\nfailed: 1: 127.0.0.1:1\nuncertain: 0\nnot started: 0\n");
}

#[test]
fn a_dry_run_makes_no_journal() {
    let runs = Runs::new();
    runs.first("a", &["-n"], "true").run().status(0);
    assert!(!Path::new(&runs.journal()).exists());
    let runs = stopped();
    let before = runs.text();
    let ended = runs.resume(&["-n"]).run().status(0);
    let text = String::from_utf8_lossy(&ended.stdout).into_owned();
    assert!(
        text.starts_with("c: ") && text.contains("2 targets"),
        "{text}"
    );
    assert_eq!(runs.text(), before);
}

#[test]
fn a_journal_is_taken_up_only_where_it_was_started() {
    let runs = stopped();
    let text = runs
        .text()
        .replacen("\"directory\":\"", "\"directory\":\"/elsewhere", 1);
    // The digest covers the directory, so this is no way to change it.
    fs::write(runs.journal(), text).unwrap();
    runs.resume(&[])
        .run()
        .status(2)
        .says(&["the digest does not match"]);
}
