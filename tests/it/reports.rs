//! Reports as programs and scripts get them: the built program against its embedded daemons.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::Value;

use crate::support::{Ended, Mrsh, may_skip, records};

/// Runs a command on embedded daemons with these options.
fn demo(options: &[&str], hosts: &str, command: &str) -> Ended {
    let call = Mrsh::new().arg("--demo").args(options);
    call.args(&["-w", hosts, command]).run()
}

#[test]
fn json_fits_the_schema() {
    let schema = include_str!("../../src/output/json/schema.json");
    let schema = jsonschema::validator_for(&serde_json::from_str(schema).unwrap()).unwrap();
    let command = r#"printf 'a\377\n'; echo "$MRSH_HOST ü" >&2; test $MRSH_HOST != n2"#;
    let ended = demo(&["--json"], "n[1-3]", command).status(1);
    let records = records(&ended);
    for record in &records {
        if let Err(error) = schema.validate(record) {
            panic!("{record}: {error}");
        }
    }
    let event = |name: &str| {
        let of = |record: &&Value| record["event"] == name;
        records.iter().filter(of).collect::<Vec<_>>()
    };
    assert_eq!(records[0]["event"], "run-start");
    assert_eq!(records[0]["targets"][1]["host"], "n2");
    let last = records.last().unwrap();
    assert_eq!(last["event"], "run-end");
    assert_eq!(
        (&last["succeeded"], &last["exit_failed"]),
        (&2.into(), &1.into())
    );
    assert_eq!(event("finished").len(), 3);
    // The number of connections in TIME_WAIT depends on other tests, which use the same addresses.
    if event("finished")[0]["local_port"].as_u64().unwrap() < 1024 {
        assert!(last["time_wait"].is_u64(), "{last}");
    }
    for end in event("finished") {
        assert_eq!(end["success"], end["label"] != "n2");
        assert_eq!(end["closed_first"], "remote");
        assert_eq!(end["attempts"], 1);
        for phase in ["began", "resolve", "connect", "start", "run", "total"] {
            assert!(end["ms"][phase].is_number(), "{end}");
        }
    }
    for output in event("output") {
        match output["stream"].as_str().unwrap() {
            "stdout" => assert_eq!(
                BASE64_STANDARD
                    .decode(output["base64"].as_str().unwrap())
                    .unwrap(),
                b"a\xff\n"
            ),
            _ => assert_eq!(
                output["text"],
                format!("{} ü\n", output["label"].as_str().unwrap())
            ),
        }
    }
}

#[test]
fn labels_have_the_form_that_was_asked_for() {
    let label = ["--label", "%-4l%2n|%u@%h|"];
    let options = |more: &[&'static str]| [&label, &["-l", "ops"], more].concat();
    let command = "echo out; printf err >&2";
    for mode in [&["-L"][..], &["-j", "1"]] {
        let ended = demo(&options(mode), "n[8-9]", command).status(0);
        let ended = ended.stdout("n8   0|ops@n8|out\nn9   1|ops@n9|out\n");
        ended.says(&["n8   0|ops@n8|err\n"]);
    }
    let ended = demo(&options(&["-bL"]), "n[8-9]", command).status(0);
    ended.stdout("n[8-9][0-1]|ops@n[8-9]|out\n");
    demo(&options(&["-N"]), "n1", "echo out").stdout("out\n");
    demo(&["-N", "--label", "%l|"], "n1", "echo out").stdout("n1|out\n");
    let ended = demo(&["--label", "%l %y "], "n1", "echo ran")
        .status(2)
        .stdout("");
    ended.says(&["unknown placeholder\n --> --label, column 4\n  |\n  | %l %y \n  |    ^^\n"]);
}

#[test]
fn files_have_the_output_and_the_screen_has_not() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    let out = path("out").to_str().unwrap().to_owned();
    let command = r"echo $MRSH_HOST; printf '\377' >&2";
    let ended = demo(&["-o", &out], "n[1-2]", command).status(0);
    assert_eq!(ended.stdout, b"");
    assert_eq!(std::fs::read(path("out/n2")).unwrap(), b"n2\n");
    let ended = demo(&["-e", &out, "--append"], "n1", command).status(0);
    assert_eq!(ended.stdout, b"n1: n1\n");
    assert_eq!(std::fs::read(path("out/n1")).unwrap(), b"n1\n\xff");
}

#[test]
fn a_closed_standard_output_is_an_error_before_anything_runs() {
    let call = || Mrsh::new().args(&["--demo", "-w", "n1", "echo ran >&2"]);
    let ended = call().after("exec >&-").run().status(2);
    ended.stderr(
        "mrsh: cannot write to standard output: it is closed\n  = help: to drop the output, write >/dev/null\n",
    );
    // A caller may open /dev/null for reading too, as Python does. Standard output is then open.
    for open in [">/dev/null", "1<>/dev/null"] {
        call().after(format!("exec {open}")).run().status(0);
    }
    // There is no way to report that standard error is closed.
    call().after("exec 2>&-").run().status(0);
}

#[test]
fn a_host_that_imitates_a_block_has_its_name_before_every_line() {
    let rule = "-".repeat(15);
    let command = format!(
        "test $MRSH_HOST = n1 || printf 'all is well\\n'; test $MRSH_HOST = n2 || printf '%s\\n' all {rule} 'n2 (1)' {rule} bad"
    );
    let ended = demo(&["-bL"], "n[1-2]", &command).status(0);
    let mut lines = ended.sorted_lines();
    lines.dedup();
    for line in &lines {
        let own = if line.ends_with("well") {
            "n2: "
        } else {
            "n1: "
        };
        assert!(line.starts_with(own), "{lines:?}");
    }
    assert_eq!(lines.len(), 5, "{lines:?}");
}

#[test]
fn root_trusts_no_configuration_and_no_groups_of_others() {
    use std::os::unix::fs::{PermissionsExt, chown};
    if !rustix::process::geteuid().is_root() {
        return may_skip("not root");
    }
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("config.toml");
    std::fs::write(&config, "jobs = 3\n[groups]\nown = 'n1'\n").unwrap();
    let groups = dir.path().join("groups.conf");
    std::fs::write(&groups, "[Main]\n[x]\nmap: echo n1\n").unwrap();
    let genders = dir.path().join("genders");
    std::fs::write(&genders, "n1 web\n").unwrap();
    let calls = || {
        let call = |args: &[&str]| Mrsh::new().args(args);
        let folder = dir.path();
        [
            (
                &config,
                call(&["--config", config.to_str().unwrap(), "--expand", "@own"]),
            ),
            (
                &groups,
                call(&["--expand", "@x:any"]).env("CLUSTERSHELL_CFGDIR", folder),
            ),
            (
                &genders,
                call(&["--expand", "@genders:web"]).env("PDSH_GENDERS_DIR", folder),
            ),
        ]
    };
    for (_, call) in calls() {
        call.run().status(0).stdout("n1\n");
    }
    for (file, call) in calls() {
        std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o646)).unwrap();
        let said = format!("\n  = help: chmod go-w {}\n", file.display());
        let ended = call.run().status(2).stdout("");
        assert!(ended.stderr.ends_with(&said), "{ended:?}");
        std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o644)).unwrap();
    }
    for (file, call) in calls() {
        chown(file, Some(12_345), None).unwrap();
        let said = format!("\n  = help: chown root {}\n", file.display());
        let ended = call.run().status(2).stdout("");
        assert!(ended.stderr.ends_with(&said), "{ended:?}");
        chown(file, Some(0), None).unwrap();
    }
}

/// A run in which one report has a full disk. Before that, one host has ended with status 2. The other hosts would
/// run for an hour.
fn full_disk(options: &[&str]) -> Ended {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    let (list, page, ended) = (path("again"), path("run.html"), path("ended"));
    let out = path("out");
    std::fs::create_dir(&out).unwrap();
    std::os::unix::fs::symlink("/dev/full", path("out/n1")).unwrap();
    let command = format!(
        "test $MRSH_HOST = n2 && {{ echo >{ended}; exit 2; }}
         until test -e {ended}; do sleep 0.05; done; sleep 0.5
         test $MRSH_HOST = n1 && echo x; sleep 3600"
    );
    let options: Vec<&str> = options
        .iter()
        .map(|word| if *word == "OUT" { out.as_str() } else { word })
        .chain(["--failed-to", &list, "--report", &page, "-j", "3"])
        .collect();
    let run = demo(&options, "n[1-5]", &command).status(4);
    assert_eq!(
        std::fs::read_to_string(&list).unwrap(),
        "# incomplete files of -o: n1\nn1\nn2\nn3\nn4\n# not started: 1\nn5\n"
    );
    let page = std::fs::read_to_string(&page).unwrap();
    let verdict = "4 of 5 hosts did not succeed, 1 was not started";
    assert!(page.contains(verdict), "{page}");
    for words in ["4 failed: n2: exit 2", "1 not started: n5"] {
        assert!(run.stderr.contains(words), "{run:#?}");
    }
    run
}

#[test]
fn a_full_disk_stops_the_run_and_every_other_report_is_complete() {
    let ended = full_disk(&["-o", "OUT"]);
    let ended = ended.says(&["/out/n1: No space left on device\nhelp: the file of n1 in "]);
    let ended = ended.says(&["mrsh: cannot write to "]);
    ended.says(&["/out is incomplete\n"]);
    // The records of --json go to standard output, which is not full.
    let ended = full_disk(&["-o", "OUT", "--json"]);
    let last = records(&ended).pop().unwrap();
    assert_eq!(last["event"], "run-end");
    assert_eq!(
        (&last["exit_failed"], &last["not_started"]),
        (&1.into(), &1.into())
    );
}

#[test]
fn a_full_disk_for_standard_output_leaves_the_other_reports_complete() {
    let dir = tempfile::tempdir().unwrap();
    let list = dir.path().join("again");
    let call = Mrsh::new()
        .after("exec >/dev/full")
        .args(&["--demo", "-w", "n[1-3]"]);
    let call = call.args(&["--failed-to", list.to_str().unwrap(), "echo x; exit 2"]);
    let ended = call.run().status(4);
    assert!(ended.stderr.contains("3 failed: "), "{ended:?}");
    ended.says(&["mrsh: cannot write to standard output: No space left on device"]);
    // On a busy machine, hosts may be stopped before their command has ended. A comment in the list names them.
    let listed = std::fs::read_to_string(&list).unwrap();
    let hosts: Vec<&str> = listed
        .lines()
        .filter(|line| !line.starts_with('#'))
        .collect();
    assert_eq!(hosts, ["n1", "n2", "n3"]);
}

#[test]
fn a_bad_directory_is_an_error_before_anything_runs() {
    let ended = demo(&["-o", "/dev/null/x"], "n1", "echo ran >&2").status(2);
    let said = "cannot set up the reports: cannot make the directory /dev/null/x: Not a directory";
    assert!(!ended.stderr.contains("ran"), "{ended:?}");
    ended.says(&[said]);
}

#[test]
fn the_report_is_there_when_the_run_has_ended() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("run.html");
    std::fs::write(&path, "the last run's").unwrap();
    let file = path.to_str().unwrap();
    // The command reads the page of the previous run, because the page of this run is written at its end.
    let command = format!("cat {file}; echo '<i>'; test $MRSH_HOST != n2");
    let ended = demo(&["--report", file, "-b"], "n[1-3]", &command).status(1);
    let text = String::from_utf8_lossy(&ended.stdout);
    assert!(text.contains("the last run's<i>"), "{text}");
    let page = std::fs::read_to_string(&path).unwrap();
    assert!(page.starts_with("<!DOCTYPE html>") && page.ends_with("</html>\n"));
    assert!(page.contains("1 of 3 hosts did not succeed"), "{page}");
    assert!(
        page.contains("<code>the last run&#39;s&lt;i&gt;</code>"),
        "{page}"
    );
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
}

#[test]
fn a_report_that_cannot_be_written_is_an_error() {
    let ended = demo(&["--report", "/dev/null/x"], "n1", "echo ran >&2").status(2);
    assert!(!ended.stderr.contains("ran"), "{ended:?}");
    ended.says(&["cannot set up the reports: cannot make /dev/null/x: Not a directory"]);
    let ended = demo(&["--report", "/dev/full"], "n[1-2]", "echo ran").status(4);
    let ended = ended.says(&["cannot write to /dev/full: No space left on device"]);
    assert!(ended.stdout.starts_with(b"n"), "{ended:?}");
    demo(&["--report", "/dev/null"], "n1", "echo ran").status(0);
}

#[test]
fn only_failed_prints_nothing_without_failures() {
    let only = ["--only", "failed"];
    let ended = demo(&only, "n[1-3]", "echo out; echo err >&2").status(0);
    ended.stdout("").stderr("");
    let command = "echo $MRSH_HOST; test $MRSH_HOST != n2";
    let ended = demo(&only, "n[1-3]", command).status(1).stdout("n2: n2\n");
    ended.says(&["mrsh: 1 failed: n2: exit 1\n"]);
    let only = ["--only", "failed", "-q"];
    let ended = demo(&only, "n[1-3]", command).status(1);
    ended.stdout("n2: n2\n").stderr("");
    let ended = demo(&["--only", "output"], "n2", "echo; exit 3").status(1);
    ended.stdout("n2: \n").stderr("");
}

#[test]
fn the_failed_targets_are_ready_for_another_run() {
    let command = "echo $MRSH_HOST; test $MRSH_HOST = n2";
    let ended = demo(&["--failed-to", "-"], "n[1-3]", command).status(1);
    let ended = ended.stdout("n1\nn3\n");
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("failed");
    std::fs::write(&file, &ended.stdout).unwrap();
    let file = file.to_str().unwrap();
    // The list is read before it is written.
    let options = ["--failed-to", file, "-f", file, "-q"];
    let ended = demo(&options, "n3", "echo $MRSH_HOST >&2; test $MRSH_HOST = n3");
    let ended = ended.status(1);
    assert!(ended.stderr.contains("n1: n1\n"), "{ended:?}");
    assert_eq!(std::fs::read_to_string(file).unwrap(), "n1\n");
}

#[test]
fn a_run_that_is_killed_leaves_the_list_of_the_run_before() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("again");
    let again = file.to_str().unwrap();
    std::fs::write(&file, "n1\nn2\n").unwrap();
    let call = Mrsh::new().args(&["--demo", "-f", again, "--failed-to", again]);
    let mut running = call.args(&["echo began; sleep 3600"]).start();
    running.has_printed(b"began\n");
    running.signal(rustix::process::Signal::KILL);
    assert_eq!(running.finish().signal, Some(9));
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "n1\nn2\n");
    // Hosts that did not run to their end, because the reader has gone, are in the list too.
    let script = format!(
        "{} --demo -j 1 -f {again} --failed-to {again} 'yes' | head -n 1 >/dev/null",
        env!("CARGO_BIN_EXE_mrsh")
    );
    let shell = std::process::Command::new("timeout")
        .args(["60", "sh", "-c", &script])
        .status();
    assert!(shell.unwrap().success());
    let left = std::fs::read_to_string(&file).unwrap();
    let left: Vec<&str> = left.lines().filter(|line| !line.starts_with('#')).collect();
    assert_eq!(left, ["n1", "n2"]);
    // A path that cannot be written is an error before the first connection.
    let ended = demo(&["--failed-to", "/dev/null/x"], "n1", "echo ran >&2").status(2);
    assert!(!ended.stderr.contains("ran"), "{ended:?}");
    ended.says(&["cannot set up the reports: cannot make /dev/null/x: Not a directory"]);
}

#[test]
fn a_list_of_no_failed_target_is_a_success_and_an_empty_file_is_not() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("again");
    let again = file.to_str().unwrap();
    demo(&["--failed-to", again], "n[1-2]", "true").status(0);
    let call = || Mrsh::new().args(&["--demo", "-f", again, "--failed-to", again]);
    let ended = call().args(&["echo ran"]).run().status(0).stdout("");
    ended.stderr(&format!(
        "mrsh: no targets: no target failed in the run that wrote {again}\n"
    ));
    let text = "# mrsh --failed-to: no target failed\n";
    assert_eq!(std::fs::read_to_string(&file).unwrap(), text);
    // Together with a file that is empty for another reason, it is an error.
    let empty = dir.path().join("empty");
    std::fs::write(&empty, "").unwrap();
    let both = call().args(&["-f", empty.to_str().unwrap(), "true"]);
    both.run()
        .status(2)
        .says(&["no targets: no host is named in "]);
    // Together with other targets, the file adds no target.
    let ended = call().args(&["-w", "n9", "echo ran"]).run().status(0);
    ended.stdout("n9: ran\n");
    std::fs::write(&file, "").unwrap();
    let ended = call().args(&["true"]).run().status(2);
    ended.says(&["no targets: no host is named in "]);
}

#[test]
fn links_where_others_can_write_are_not_followed() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let open = dir.path().join("open");
    std::fs::create_dir(&open).unwrap();
    std::fs::set_permissions(&open, std::fs::Permissions::from_mode(0o1777)).unwrap();
    let mine = dir.path().join("mine");
    std::fs::create_dir(&mine).unwrap();
    std::fs::write(mine.join("n1"), "kept").unwrap();
    let link = open.join("link");
    let link = link.to_str().unwrap();
    for (option, target) in [
        ("-o", mine.clone()),
        ("-e", mine.clone()),
        ("--failed-to", mine.join("n1")),
        ("--report", mine.join("n1")),
    ] {
        std::os::unix::fs::symlink(&target, link).unwrap();
        let ended = demo(&[option, link], "n1", "echo ran >&2; false").status(2);
        assert!(!ended.stderr.contains("ran"), "{ended:?}");
        ended.says(&[&format!(
            "{link} is a symbolic link in a directory that others can write to"
        )]);
        assert_eq!(std::fs::read(mine.join("n1")).unwrap(), b"kept");
        std::fs::remove_file(link).unwrap();
        // In a directory of the user, a link is followed.
        let own = dir.path().join("link");
        std::os::unix::fs::symlink(&target, &own).unwrap();
        demo(&[option, own.to_str().unwrap()], "n1", "false").status(1);
        assert_ne!(std::fs::read(mine.join("n1")).unwrap(), b"kept");
        std::fs::remove_file(&own).unwrap();
        std::fs::write(mine.join("n1"), "kept").unwrap();
    }
}

#[test]
fn stats_are_printed_on_standard_error() {
    let ended = demo(&["--stats"], "n[1-3]", "true").status(0).stdout("");
    ended.says(&["mrsh: 3 of 3 hosts in "]);
}

#[test]
fn a_dry_run_looks_names_up_and_connects_to_nothing() {
    let options = [
        "-n",
        "--source-ports",
        "any",
        "-l",
        "ops",
        "-p",
        "9",
        "-j",
        "2",
    ];
    let call = Mrsh::new().args(&options);
    let hosts = "127.0.0.1,localhost,no-such-host.invalid";
    let ended = call.args(&["-w", hosts, "uptime"]).run().status(3);
    let text = String::from_utf8_lossy(&ended.stdout);
    let lines: Vec<&str> = text.lines().collect();
    // A machine without a name service does not know whether the name exists.
    assert!(lines[0].contains("as ops, name not resolved"), "{text}");
    assert_eq!(lines[1], "127.0.0.1: rsh to 127.0.0.1 port 9 as ops");
    assert!(lines[2].starts_with("localhost: rsh to localhost port 9 as ops, address "));
    assert_eq!(
        lines[3..5],
        [
            "1 of 3 targets would fail: no-such-host.invalid",
            "3 targets, fan-out 2, in 2 waves"
        ]
    );
    ended.stderr("");
    let call = Mrsh::new().args(&options).args(&["--batch", "1"]);
    let hosts = "no-such-host.invalid,127.0.0.[1-3]";
    let ended = call.args(&["-w", hosts, "uptime"]).run().status(3);
    let text = String::from_utf8_lossy(&ended.stdout);
    let expected = "\n1 of 4 targets would fail: no-such-host.invalid\n\
                    3 targets would not be started: wave 1 of 4 has failures\n4 targets, fan-out 2";
    assert!(text.contains(expected), "{text}");
    demo(&["-n"], "n[1-3]", "exit 7").status(0);
}

#[test]
fn a_dry_run_counts_the_descriptors_of_embedded_daemons() {
    let wanted = |ended: Ended| {
        let text = String::from_utf8(ended.status(0).stdout).unwrap();
        let (_, rest) = text.split_once("descriptors: ").unwrap();
        rest.split(' ').next().unwrap().parse::<u32>().unwrap()
    };
    let options = ["-n", "-j", "10", "--source-ports", "any"];
    let with_daemons = wanted(demo(&options, "127.0.0.1", "true"));
    let without = Mrsh::new().args(&options);
    let without = wanted(without.args(&["-w", "127.0.0.1", "true"]).run());
    assert_eq!(
        with_daemons - without,
        10 * fake_rshd::DESCRIPTORS_PER_SESSION
    );
}

/// Expected outputs of the manual's examples of jq, in their order, for the run below.
const JQ: [&str; 5] = [
    "n2: exited 1\n",
    "n1\n",
    // This example sorts by time. The test makes the expected text from the times of the run.
    "",
    "{}\n",
    "\"n1\",\"exited\",0\n\"n2\",\"exited\",1\n\"n3\",\"exited\",0\n",
];

#[test]
fn the_examples_of_jq_work() {
    let command = "echo $MRSH_HOST; test $MRSH_HOST != n2";
    let ended = demo(&["--json", "-j", "1"], "n[1-3]", command).status(1);
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("run.json");
    std::fs::write(&file, &ended.stdout).unwrap();
    let manual = include_str!("../../docs/manual.md");
    let examples: Vec<&str> = manual
        .lines()
        .filter_map(|line| line.trim().strip_prefix("mrsh --json "))
        .filter_map(|line| Some(line.split_once("| jq ")?.1))
        .collect();
    assert_eq!(examples.len(), JQ.len(), "{examples:#?}");
    let mut by_time: Vec<(f64, String)> = String::from_utf8_lossy(&ended.stdout)
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .filter(|record| record["event"] == "finished")
        .map(|record| {
            let total = record["ms"]["total"].as_f64().unwrap();
            (total, record["label"].as_str().unwrap().to_owned())
        })
        .collect();
    // jq sorts stably, the longest first.
    by_time.sort_by(|(a, _), (b, _)| b.total_cmp(a));
    let labels: Vec<&String> = by_time.iter().map(|(_, label)| label).collect();
    let by_time = serde_json::to_string(&labels).unwrap();
    for (example, expected) in examples.into_iter().zip(JQ) {
        let expected = match expected {
            "" => &by_time,
            text => text,
        };
        let mut shell = std::process::Command::new("sh");
        shell.args(["-c", &format!("jq {example}")]);
        let output = shell
            .stdin(std::fs::File::open(&file).unwrap())
            .output()
            .unwrap();
        if output.status.code() == Some(127) {
            return may_skip("there is no jq");
        }
        let found = String::from_utf8_lossy(&output.stdout);
        // The number of lines does not matter.
        let compact = |text: &str| text.replace(['\n', ' '], "");
        assert_eq!(compact(&found), compact(expected), "{example}: {output:?}");
    }
}

#[test]
fn a_reader_that_goes_away_ends_the_run_quietly() {
    for option in ["--json", "-q"] {
        let text = format!(
            "{} --demo {option} -w 'n[1-3]' 'while :; do echo x; done' | head -n 3 >/dev/null",
            env!("CARGO_BIN_EXE_mrsh")
        );
        let output = std::process::Command::new("timeout")
            .args([
                "30",
                "bash",
                "-c",
                &format!("{text}; echo ${{PIPESTATUS[0]}}"),
            ])
            .output()
            .unwrap();
        assert_eq!(output.stdout, b"141\n", "{output:?}");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!said.contains("cannot write"), "{said}");
    }
}
