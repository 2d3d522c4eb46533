//! `--skip-down`, with programs in the place of Slurm's sinfo.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::support::{Ended, Mrsh, records};

/// Makes a program `sinfo` of these lines of shell, and returns a call that finds it.
fn with_sinfo(folder: &Path, lines: &str) -> Mrsh {
    let program = folder.join("sinfo");
    fs::write(&program, format!("#!/bin/sh\n{lines}\n")).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:/usr/bin:/bin", folder.display());
    Mrsh::new()
        .env("PATH", path)
        .args(&["--demo", "--skip-down"])
}

/// States of nodes as sinfo 22.05 prints them for `-a -h -N -o '%N %t'`.
const STATES: &str = "test \"$*\" = '-a -h -N -o %N %t' || exit 9
cat <<'END'
n1 idle
n2 down*
n2 down*
n3 drain
n4 alloc
n5 drng
n6 maint
n7 idle*
END";

#[test]
fn hosts_that_are_down_are_left_out_and_named_and_are_no_failures() {
    let folder = tempfile::tempdir().unwrap();
    let run = with_sinfo(folder.path(), STATES);
    let ended = run.args(&["-w", "n[1-9]", "echo ran"]).run().status(0);
    assert_eq!(
        ended.sorted_lines(),
        ["n1: ran", "n4: ran", "n8: ran", "n9: ran"]
    );
    ended
        .says(&["mrsh: 5 hosts left out by --skip-down: n2 down, n3 drained, n5 draining, n6 in maintenance, n7 not responding\n"])
        .says(&["mrsh: 2 hosts are unknown to sinfo and stay in the run\n"]);
    let run = with_sinfo(folder.path(), STATES);
    let ended = run
        .args(&["--json", "-w", "n[1-3]", "true"])
        .run()
        .status(0);
    let records = records(&ended);
    let start = records
        .iter()
        .find(|record| record["event"] == "run-start")
        .unwrap();
    assert_eq!(
        start["left_out"],
        serde_json::json!([
            {"label": "n2", "state": "down"},
            {"label": "n3", "state": "drained"},
        ])
    );
    assert_eq!(start["total"], 1);
}

#[test]
fn positions_and_choices_are_among_the_hosts_that_are_left() {
    let folder = tempfile::tempdir().unwrap();
    let run = with_sinfo(folder.path(), STATES);
    let ended = run
        .args(&["-w", "n[1-4]", "--slice", "1", "echo ran"])
        .run();
    ended.status(0).stdout("n4: ran\n");
    let run = with_sinfo(folder.path(), STATES);
    let ended = run.args(&["--fold", "n[1-4]"]).run().status(0);
    ended.stdout("n[1,4]\n").says(&["2 hosts left out"]);
    let run = with_sinfo(folder.path(), STATES);
    run.args(&["--count", "n[2-3]"])
        .run()
        .status(0)
        .stdout("0\n");
}

#[test]
fn it_is_an_error_if_all_hosts_are_down() {
    let folder = tempfile::tempdir().unwrap();
    let run = with_sinfo(folder.path(), STATES);
    let ended = run.args(&["-w", "n[2-3]", "echo ran"]).run().status(2);
    ended.stdout("").stderr(
        "mrsh: no targets: all are left out by --skip-down: n2 down, n3 drained\n  \
         = help: without --skip-down, all hosts are tried\n",
    );
}

#[test]
fn a_source_without_an_answer_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let refused = |run: Mrsh| -> Ended {
        run.args(&["-w", "n1", "echo ran"])
            .run()
            .status(2)
            .stdout("")
    };
    let run = with_sinfo(folder.path(), "echo 'sinfo: no controller' >&2; exit 1");
    refused(run)
        .says(&["sinfo: no controller\n"])
        .says(&["mrsh: cannot find out which hosts are down: sinfo: exit status: 1\n"]);
    let run = with_sinfo(folder.path(), "yes 'n2 idle'");
    refused(run).says(&["sinfo: it printed more than 67108864 bytes\n"]);
    let nowhere = folder.path().join("nowhere");
    fs::create_dir(&nowhere).unwrap();
    let run = Mrsh::new()
        .env("PATH", nowhere)
        .args(&["--demo", "--skip-down"]);
    refused(run)
        .says(&["mrsh: cannot find out which hosts are down: there is no sinfo\n  = help: "]);
    // Without the option, nothing is asked.
    let run = with_sinfo(folder.path(), "exit 1").arg("--no-skip-down");
    run.args(&["-w", "n1", "echo ran"])
        .run()
        .status(0)
        .stdout("n1: ran\n");
}

#[test]
fn a_command_of_the_configuration_is_a_source() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("config.toml");
    fs::write(
        &config,
        "skip-down = true\ndown-command = \"echo 'n[2-3] other' | tr ' ' '\\\\n'\"\n",
    )
    .unwrap();
    let run = || Mrsh::new().args(&["--demo", "--config"]).arg(&config);
    let ended = run().args(&["-w", "n[1-4]", "echo ran"]).run().status(0);
    assert_eq!(ended.sorted_lines(), ["n1: ran", "n4: ran"]);
    ended.says(&["mrsh: 2 hosts left out by --skip-down: n[2-3] down\n"]);
    for (command, message) in [
        ("exit 3", ": exit 3: exit status: 3\n"),
        (
            "echo 'n1 @all'",
            ": echo 'n1 @all' printed \"@all\", which names no host\n",
        ),
        ("echo 'n[1-'", "printed \"n[1-\", which names no host\n"),
    ] {
        let ended = run()
            .args(&["--down-command", command, "-w", "n1", "echo ran"])
            .run();
        ended.status(2).stdout("").says(&[message]);
    }
    let ended = run()
        .args(&["--down-command", ":", "-w", "n2", "echo ran"])
        .run();
    ended.status(0).stdout("n2: ran\n");
}
