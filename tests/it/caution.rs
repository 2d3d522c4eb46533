//! The options of caution: `--confirm`, `--pause` and `--skip-down`.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::support::{Mrsh, lacks, on_a_terminal};

mod skip_down;

/// The end of the question of `--confirm`.
const QUESTION: &str = "go on? [y/N] ";

/// Words of a pause whose keys are read.
const PAUSED: &str = "Enter goes on";

/// A call without a controlling terminal.
fn without_terminal() -> Mrsh {
    // The rest of the shell's text is not reached.
    Mrsh::new().after("exec setsid -w \"$0\" --demo \"$@\"")
}

/// Returns the shell text of a run whose command makes a file for each host in the folder. It prints the exit status,
/// and `same modes` if the terminal is as before.
fn marking(folder: &Path, args: &str) -> String {
    format!(
        "before=$(stty -g); trap : INT; mrsh --color never {args} 'echo ran; : >{}/$MRSH_HOST'; echo \"status $?\"; \
         test \"$before\" = \"$(stty -g)\" && echo same modes",
        folder.display()
    )
}

fn marks(folder: &Path) -> Vec<String> {
    let files = fs::read_dir(folder).unwrap();
    let mut names: Vec<String> = files
        .map(|file| file.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// Waits until a file has this text, and returns the whole text.
#[track_caller]
fn file_with(path: &Path, text: &str) -> String {
    let until = Instant::now() + Duration::from_secs(30);
    loop {
        let found = fs::read_to_string(path).unwrap_or_default();
        if found.contains(text) {
            return found;
        }
        assert!(Instant::now() < until, "no {text:?} in {found:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

// ---- --confirm

#[test]
fn no_host_is_called_before_the_answer_and_yes_goes_on() {
    if lacks("script") {
        return;
    }
    for answer in ["y\n", "YES\n"] {
        let folder = tempfile::tempdir().unwrap();
        let text = marking(folder.path(), "--confirm -w n[1-3]");
        let (_, shown) = on_a_terminal(&text, &[(QUESTION, answer)]);
        let (before, after) = shown.split_once(QUESTION).unwrap();
        assert!(before.contains("mrsh: 3 hosts: n[1-3]"), "{shown}");
        assert!(before.contains("  command: echo ran; "), "{shown}");
        assert!(
            !before.contains(": ran") && after.contains("n2: ran"),
            "{shown}"
        );
        assert!(
            after.contains("status 0") && after.contains("same modes"),
            "{shown}"
        );
        assert_eq!(marks(folder.path()), ["n1", "n2", "n3"]);
    }
}

#[test]
fn nothing_runs_without_a_yes() {
    if lacks("script") {
        return;
    }
    for (keys, cause, status) in [
        ("n\n", "not confirmed", 4),
        ("\n", "not confirmed", 4),
        ("yo\n", "not confirmed", 4),
        ("\x04", "not answered", 4),
        ("y\x03", "interrupted", 130),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let text = marking(folder.path(), "--confirm -w n[1-3]");
        let (_, shown) = on_a_terminal(&text, &[(QUESTION, keys)]);
        let message = format!("mrsh: {cause}: nothing was run");
        assert!(shown.contains(&message), "{keys:?}: {shown}");
        assert!(
            shown.contains(&format!("status {status}\r\n")),
            "{keys:?}: {shown}"
        );
        assert!(shown.contains("same modes"), "{keys:?}: {shown}");
        assert!(marks(folder.path()).is_empty(), "{keys:?}: {shown}");
    }
}

#[test]
fn what_was_typed_before_the_question_is_no_answer() {
    if lacks("script") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let run = marking(folder.path(), "--confirm -w n1");
    let text = format!("echo ready; sleep 1; {run}");
    let (_, shown) = on_a_terminal(&text, &[("ready", "y\n"), (QUESTION, "n\n")]);
    assert!(shown.contains("not confirmed: nothing was run"), "{shown}");
    assert!(marks(folder.path()).is_empty(), "{shown}");
}

#[test]
fn ctrl_c_ends_the_program_as_usual_after_the_answer() {
    if lacks("script") {
        return;
    }
    let run = "mrsh --color never --confirm -w n1 'echo ran; exec sleep 60'";
    let typing = [
        (QUESTION, "y\n"),
        ("n1: ran", "\x03"),
        ("stops the run", "\x03"),
    ];
    let (status, shown) = on_a_terminal(run, &typing);
    assert_eq!(status, Some(130), "{shown}");
}

#[test]
fn the_question_depends_on_the_number_of_hosts_and_can_be_taken_back() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("config.toml");
    fs::write(&config, "confirm = 2\n[profile.lab]\nconfirm = \"never\"\n").unwrap();
    let config = config.to_str().unwrap();
    for (args, asks) in [
        (&["--confirm", "-w", "n1"][..], true),
        (&["--confirm=2", "-w", "n[1-3]"], true),
        (&["--confirm=3", "-w", "n[1-3]"], false),
        (&["--confirm", "--no-confirm", "-w", "n1"], false),
        (&["--no-confirm", "--confirm", "-w", "n1"], true),
        (&["--confirm=never", "-w", "n1"], false),
        (&["--config", config, "-w", "n[1-3]"], true),
        (&["--config", config, "-w", "n[1-2]"], false),
        (&["--config", config, "-w", "n[1-3]", "--no-confirm"], false),
        (&["--config", config, "-w", "n[1-3]", "--confirm=5"], false),
        (&["--config", config, "-w", "n1", "--confirm"], true),
        (&["--config", config, "-P", "lab", "-w", "n[1-3]"], false),
    ] {
        let ended = without_terminal().args(args).arg("echo ran").run();
        if asks {
            let ended = ended.status(2).stdout("");
            ended.says(&[" (--confirm): there is no terminal\n"]);
        } else {
            assert!(!ended.status(0).stdout.is_empty(), "{args:?}");
        }
    }
}

#[test]
fn without_a_terminal_nothing_runs_and_nothing_is_made() {
    let folder = tempfile::tempdir().unwrap();
    let journal = folder.path().join("journal");
    let ended = without_terminal()
        .args(&["--confirm", "-w", "n[1-2]", "--journal"])
        .arg(&journal)
        .args(&["--output-dir"])
        .arg(folder.path().join("out"))
        .arg("echo ran")
        .run();
    ended.status(2).stdout("").stderr(
        "mrsh: cannot ask before the run on 2 hosts (--confirm): there is no terminal\n  \
         = help: --no-confirm runs without a question\n",
    );
    assert!(marks(folder.path()).is_empty());
}

#[test]
fn a_run_that_changes_nothing_is_not_confirmed() {
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("a");
    fs::write(&source, "a").unwrap();
    let ended = without_terminal().args(&["--confirm", "-n", "-w", "n1", "true"]);
    let ended = ended.run().status(0);
    let text = String::from_utf8(ended.stdout).unwrap();
    assert!(
        text.contains("confirmation: asked for on the terminal\n"),
        "{text}"
    );
    let check = without_terminal().args(&["--confirm", "--check", "-w", "n1", "--copy"]);
    let check = check
        .arg(&source)
        .arg("--dest")
        .arg(folder.path().join("b"));
    check.run().status(0);
}

// ---- --pause

#[test]
fn keys_go_on_and_end_the_run_between_waves() {
    if lacks("script") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let text = marking(folder.path(), "--batch 1 --pause -w n[1-3]");
    let typing = [(PAUSED, "x"), (PAUSED, "\n"), (PAUSED, "q")];
    let (_, shown) = on_a_terminal(&text, &typing);
    let expected = [
        "wave 1 of 3: 1 succeeded; next: 1 host; Enter goes on, q ends the run",
        "wave 2 of 3: 1 host",
        "wave 2 of 3: 1 succeeded; next: 1 host; Enter goes on, q ends the run",
        "the run was ended after wave 2 of 3: no more hosts are started; with --journal FILE",
        "1 not started: n3",
        "status 4",
        "same modes",
    ];
    let mut rest = &*shown;
    for text in expected {
        let at = rest
            .find(text)
            .unwrap_or_else(|| panic!("no {text:?} in {shown}"));
        rest = &rest[at + text.len()..];
    }
    assert_eq!(marks(folder.path()), ["n1", "n2"]);
}

#[test]
fn an_interrupt_in_a_pause_ends_the_run_at_once_and_restores_the_terminal() {
    if lacks("script") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let text = marking(folder.path(), "--batch 1 --pause=1h -w n[1-3]");
    let (_, shown) = on_a_terminal(&text, &[("Enter goes on at once", "\x03")]);
    assert!(shown.contains("2 not started: n[2-3]"), "{shown}");
    assert!(shown.contains("status 130"), "{shown}");
    assert!(shown.contains("same modes"), "{shown}");
    assert_eq!(marks(folder.path()), ["n1"]);
}

#[test]
fn the_terminal_shows_a_pause_also_if_standard_error_goes_elsewhere() {
    if lacks("script") {
        return;
    }
    let run = "mrsh -q --color never --batch 1 --pause -w n[1-2] 'echo ran' 2>/dev/null";
    let (status, shown) = on_a_terminal(run, &[(PAUSED, "\n")]);
    assert_eq!(status, Some(0), "{shown}");
    assert!(shown.contains("n2: ran"), "{shown}");
}

#[test]
fn a_run_in_the_background_waits_for_the_signal_and_leaves_the_terminal_alone() {
    if lacks("script") {
        return;
    }
    // With job control, the run has a process group of its own, in the background.
    let run = format!(
        "set -m; {} --demo --color never --batch 1 --pause -w n[1-2] 'echo ran' & read -r line; kill -USR2 $!; wait $!",
        env!("CARGO_BIN_EXE_mrsh")
    );
    let (status, shown) = on_a_terminal(&run, &[("kill -USR2", "\n")]);
    assert_eq!(status, Some(0), "{shown}");
    assert!(shown.contains("n2: ran"), "{shown}");
}

/// Runs three waves on a terminal with standard error in a file, and closes the terminal at the first pause. `before`
/// is shell text in front of the run. Returns the file.
fn with_closed_terminal(folder: &Path, before: &str) -> std::path::PathBuf {
    let errors = folder.join("errors");
    let marks = folder.join("marks");
    fs::create_dir(&marks).unwrap();
    let text = format!(
        "{before} {} --demo --batch 1 --pause -w n[1-3] ': >{}/$MRSH_HOST' 2>{}",
        env!("CARGO_BIN_EXE_mrsh"),
        marks.display(),
        errors.display()
    );
    let mut script = Command::new("script")
        .args(["-qec", &text, "/dev/null"])
        .env_clear()
        .envs([("PATH", "/usr/bin:/bin"), ("SHELL", "/bin/sh")])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    file_with(&errors, PAUSED);
    script.kill().unwrap();
    script.wait().unwrap();
    errors
}

#[test]
fn a_terminal_that_is_closed_in_a_pause_ends_the_run() {
    if lacks("script") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let errors = with_closed_terminal(folder.path(), "");
    file_with(&errors, "2 not started: n[2-3]");
    assert_eq!(marks(&folder.path().join("marks")), ["n1"]);
}

#[test]
fn a_run_that_outlives_its_terminal_waits_for_the_signal() {
    if lacks("script") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let errors = with_closed_terminal(folder.path(), "trap '' HUP; exec");
    let text = file_with(&errors, "the terminal is gone; kill -USR2 ");
    let (_, rest) = text.split_once("kill -USR2 ").unwrap();
    let pid: i32 = rest.split(' ').next().unwrap().parse().unwrap();
    let pid = Pid::from_raw(pid).unwrap();
    kill_process(pid, Signal::USR2).unwrap();
    // The second pause finds no terminal.
    file_with(
        &errors,
        "wave 2 of 3: 1 succeeded; next: 1 host; kill -USR2",
    );
    kill_process(pid, Signal::USR2).unwrap();
    let until = Instant::now() + Duration::from_secs(30);
    while marks(&folder.path().join("marks")) != ["n1", "n2", "n3"] {
        assert!(Instant::now() < until);
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn without_a_terminal_the_signal_goes_on() {
    let mut running = without_terminal()
        .args(&["--json", "--batch", "1", "--pause", "-w", "n[1-3]", "true"])
        .start();
    running.has_printed(b"wave 1 of 3: 1 succeeded; next: 1 host; kill -USR2 ");
    running.signal(Signal::USR2);
    running.has_printed(b"wave 2 of 3: 1 succeeded; next: 1 host; kill -USR2 ");
    running.signal(Signal::TERM);
    let ended = running.finish();
    assert_eq!(ended.signal, Some(15), "{ended:?}");
    ended.says(&["1 not started: n3"]);
}

#[test]
fn a_pause_of_a_time_is_a_word_of_its_own_or_not_and_the_deadline_does_not_count_it() {
    for pause in [&["--pause", "400ms"][..], &["--pause=400ms"]] {
        let begun = Instant::now();
        let ended = without_terminal()
            .args(&["--batch", "1", "--deadline", "20", "-w", "n[1-3]"])
            .args(pause)
            .args(&["-q", "echo", "--pause", "5"])
            .run()
            .status(0);
        assert_eq!(
            ended.sorted_lines(),
            ["n1: --pause 5", "n2: --pause 5", "n3: --pause 5"]
        );
        assert!(begun.elapsed() >= Duration::from_millis(800));
        ended.says(&["next: 1 host in 0.4 s; the deadline does not count the pause; kill -USR2"]);
    }
}

#[test]
fn a_failed_wave_says_how_to_go_on() {
    let folder = tempfile::tempdir().unwrap();
    let journal = folder.path().join("the journal");
    let list = folder.path().join("again");
    let run = |args: &[&str]| {
        let mrsh = without_terminal().args(&["--batch", "1", "-w", "n[1-3]"]);
        let ended = mrsh.args(args).arg("test $MRSH_HOST = n1").run().status(4);
        ended.says(&["1 host failed in wave 2 of 3 (n2): no more hosts are started; "])
    };
    run(&[]).says(&["; with --journal FILE, mrsh --resume FILE could go on\n"]);
    let list = list.to_str().unwrap();
    let words = format!("; the same options with -f {list} go on, also where it failed\n");
    run(&["--failed-to", list]).says(&[&words]);
    let journal = journal.to_str().unwrap();
    let words =
        format!("; mrsh --resume '{journal}' goes on, and with --failed also where it failed\n");
    run(&["--journal", journal]).says(&[&words]);
    // The question and the pause may differ in a resumed run.
    let resumed = without_terminal().args(&["--resume", journal, "--pause", "1ms", "--confirm=2"]);
    resumed.run().status(1);
}

#[test]
fn wrong_values_are_errors_before_anything_runs() {
    for (args, message) in [
        (
            &["--confirm=x"][..],
            "must be a number of targets from 0 up, or never",
        ),
        (
            &["--confirm=-1"],
            "must be a number of targets from 0 up, or never",
        ),
        (
            &["--confirm="],
            "must be a number of targets from 0 up, or never",
        ),
        (&["--batch", "1", "--pause=soon"], "; or ask, or never"),
        (
            &["--batch", "1", "--pause=0"],
            "must be above 0 and at most a year; or ask, or never",
        ),
        (
            &["--batch", "1", "--pause=-1"],
            "must be above 0 and at most a year; or ask, or never",
        ),
        (
            &["--pause"],
            "mrsh: cannot use --pause: the run has no waves\n  = help: --batch SIZES makes waves\n",
        ),
        (
            &["--pause", "5"],
            "mrsh: cannot use --pause: the run has no waves\n",
        ),
        (&["--skip-down=yes"], "unexpected value"),
    ] {
        let ended = without_terminal().args(&["-w", "n1"]).args(args);
        let ended = ended.args(&["--", "echo ran"]).run();
        ended.status(2).stdout("").says(&[message]);
    }
    // A setting of a file is for runs with waves.
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("config.toml");
    fs::write(&config, "pause = \"ask\"\n").unwrap();
    let run = without_terminal().arg("--config").arg(&config);
    run.args(&["-w", "n1", "echo ran"])
        .run()
        .status(0)
        .stdout("n1: ran\n");
    fs::write(&config, "pause = \"later\"\n").unwrap();
    let run = without_terminal().arg("--config").arg(&config);
    let ended = run.args(&["-w", "n1", "true"]).run().status(2);
    ended.says(&["config.toml:1"]);
}
