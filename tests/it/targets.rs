//! Targets of the command line: the listing modes, and the targets of words and options.

use std::io::Write as _;
use std::process::{Command, Stdio};

use crate::support::Mrsh;

mod inventory;

/// Returns the standard output of a call that succeeds without messages.
#[track_caller]
fn printed(args: &[&str]) -> String {
    let ended = Mrsh::new().arg("--no-config").args(args).run();
    assert_eq!(
        (ended.status, ended.stderr.as_str()),
        (Some(0), ""),
        "{args:?}"
    );
    String::from_utf8(ended.stdout).unwrap()
}

/// Returns the message of a call that is refused.
#[track_caller]
fn refused(args: &[&str]) -> String {
    let ended = Mrsh::new().arg("--no-config").args(args).run();
    assert_eq!(ended.status, Some(2), "{args:?}");
    assert!(ended.stdout.is_empty());
    ended.stderr
}

#[test]
fn listings_are_those_of_nodeset() {
    for (args, expected) in [
        (&["--count", "n[1-1000000]"][..], "1000000\n"),
        (
            &["--fold", "n[1-1000000]!n[5-999995]"],
            "n[1-4,999996-1000000]\n",
        ),
        (&["--expand", "c,a,n[3,1],a"], "c a n3 n1\n"),
        (&["--expand", "--sort", "c,a,n[3,1],a"], "a c n1 n3\n"),
        (&["--list", "n[1-2]", "op@n1:5"], "n1\nn2\nop@n1:5\n"),
        (&["--list", "--separator", "+", "n[1-3]"], "n1+n2+n3\n"),
        (
            &["--fold", "--split", "3", "n[1-7]"],
            "n[1-3]\nn[4-5]\nn[6-7]\n",
        ),
        (
            &["--expand", "--split", "3", "n[1-7]"],
            "n1 n2 n3\nn4 n5\nn6 n7\n",
        ),
        (&["--count", "--split", "3", "n[1-7]"], "3\n2\n2\n"),
        (&["--expand", "--slice", "1-9/2", "n[7,5,3,1]"], "n5 n1\n"),
        (&["--count", "--pick", "3", "n[1-7]"], "3\n"),
        (&["--fold", "root@n[1-2]:22", "x"], "x,root@n[1-2]:22\n"),
    ] {
        assert_eq!(printed(args), expected, "{args:?}");
    }
}

#[test]
fn a_listing_of_nothing_is_empty() {
    // As in nodeset, an empty set is an empty line. --list has one line for each target, so it prints nothing.
    for (mode, expected) in [
        ("--count", "0\n"),
        ("--fold", "\n"),
        ("--regroup", "\n"),
        ("--expand", "\n"),
        ("--list", ""),
    ] {
        assert_eq!(printed(&[mode, "n[1-3]!n[1-3]"]), expected, "{mode}");
        assert_eq!(printed(&[mode, "n1", "-x", "n1"]), expected, "{mode}");
        assert_eq!(printed(&[mode, "n1", "--slice", "3"]), expected, "{mode}");
        // Standard input is at its end.
        assert_eq!(printed(&[mode]), expected, "{mode}");
    }
    assert!(refused(&["-R", "exec", "-w", "n1!n1", "true"]).contains("no targets"));
}

#[test]
fn a_user_is_no_target_of_its_own() {
    let args = ["--list", "-w", "h[1-3]", "-w", "labuser@h2"];
    assert_eq!(printed(&args), "h1\nlabuser@h2\nh3\n");
    let message = refused(&["-R", "exec", "-w", "labuser@h1,root@h1", "true"]);
    let words = "mrsh: h1 is named twice, with user=labuser and with user=root\n";
    assert!(message.starts_with(words), "{message}");
}

#[test]
fn a_group_of_two_sources_is_refused_and_a_default_source_chooses() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
    write(
        "groups.conf",
        "[Main]\ndefault: cs\n[cs]\nmap: [ $GROUP = web ] && echo n1; true\nall: echo n1\n",
    );
    write("genders", "n2 web\n");
    write("config.toml", "group-source = \"genders\"\n");
    let call = |args: &[&str]| {
        let ended = Mrsh::new()
            .env("CLUSTERSHELL_CFGDIR", dir.path())
            .env("PDSH_GENDERS_FILE", dir.path().join("genders"))
            .args(args)
            .run();
        let out = String::from_utf8(ended.stdout).unwrap();
        (ended.status, out, ended.stderr)
    };
    for (args, name) in [(["--fold", "-gweb"], "web"), (["--fold", "-a"], "*")] {
        let (status, out, message) = call(&[&["--no-config"][..], &args].concat());
        assert_eq!((status, out.as_str()), (Some(2), ""), "{message}");
        assert!(
            message.contains("by several sources: cs, genders"),
            "{message}"
        );
        assert!(
            message.contains(&format!("help: write @cs:{name}, or")),
            "{message}"
        );
    }
    let config = dir.path().join("config.toml");
    let config = config.to_str().unwrap();
    for (args, expected) in [
        (&["--no-config", "-g", "cs:web"][..], "n1\n"),
        (
            &["--no-config", "-g", "web", "--group-source", "cs"],
            "n1\n",
        ),
        (&["--config", config, "-a"], "n2\n"),
        (&["--config", config, "@web"], "n2\n"),
    ] {
        let args = [&["--fold"], args].concat();
        assert_eq!(call(&args), (Some(0), expected.to_owned(), String::new()));
    }
    let (status, _, message) = call(&["--no-config", "--group-source=gender", "--fold", "-gweb"]);
    assert_eq!(status, Some(2));
    assert!(
        message.contains("no source of groups called \"gender\""),
        "{message}"
    );
}

#[test]
fn a_fault_of_a_group_is_shown_in_the_line_of_the_configuration() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("config.toml");
    let path = file.to_str().unwrap();
    let said = |groups: &str, args: &[&str]| {
        std::fs::write(
            &file,
            format!("group-source = \"mrsh\"\n[groups]\n{groups}\n"),
        )
        .unwrap();
        let ended = Mrsh::new().args(&["--config", path]).args(args).run();
        ended.status(2).stderr.replace(path, "config.toml")
    };
    let in_all = said("all = \"n*\"", &["--fold", "-a"]);
    insta::assert_snapshot!(in_all, @r#"
    mrsh: in the list of all hosts: these groups name each other: @* → @*
     --> config.toml:3:7
      |
      | all = "n*"
      |       ^^^^
      = help: masks and @* are looked up in the list of all hosts: write names where that is defined
    "#);
    for args in [&["--fold", "@*"][..], &["-w", "x*", "true"]] {
        assert_eq!(said("all = \"n*\"", args), in_all, "{args:?}");
    }
    // The message shows the group whose definition has the mask.
    insta::assert_snapshot!(said("all = \"@web\"\nweb = [\n  \"n?\"]", &["--fold", "-a"]), @"
    mrsh: in the group @web: these groups name each other: @* → @web → @*
     --> config.toml:4:7
      |
      | web = [
      |       ^
      = help: masks and @* are looked up in the list of all hosts: write names where that is defined
    ");
    insta::assert_snapshot!(said("web = \"n[9-3]\"", &["--count", "-g", "web"]), @r#"
    mrsh: in the group @web: the range 9-3 runs backwards
     --> config.toml:3:7
      |
      | web = "n[9-3]"
      |       ^^^^^^^^
      = help: write the smaller number first: 3-9
    "#);
    // The message shows the line of the hosts file, and the place of the definition.
    let hosts = dir.path().join("hosts");
    std::fs::write(&hosts, "@web\n").unwrap();
    let message = said(
        "web = \"n[9-3]\"",
        &["--count", "-f", hosts.to_str().unwrap()],
    );
    let words = "mrsh: in the group @web (n[9-3] at config.toml:3): the range 9-3 runs backwards\n";
    assert!(message.starts_with(words), "{message}");
    let message = said("web = \"n[9-3]\"\nok = \"n1\"", &["--groups", "-v"]);
    assert!(message.contains(" --> config.toml:3:7\n"), "{message}");
}

#[test]
fn a_source_that_cannot_list_its_groups_is_a_warning_among_others() {
    let dir = tempfile::tempdir().unwrap();
    let conf = "[a]\nmap: echo n1\n[b]\nmap: echo n2\nlist: echo web\n";
    std::fs::write(dir.path().join("groups.conf"), conf).unwrap();
    let call = |arg: &str| {
        Mrsh::new()
            .env("CLUSTERSHELL_CFGDIR", dir.path())
            .args(&["--no-config", arg])
            .run()
    };
    let all = call("--groups");
    let warning = "mrsh: the source of groups a cannot say which groups it has\n";
    assert!(all.stderr.contains(warning), "{}", all.stderr);
    assert!(String::from_utf8(all.stdout).unwrap().contains("@b:web\n"));
    assert_eq!(call("--groups=a").status, Some(2));
}

#[test]
fn a_fault_of_an_include_is_a_warning() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("hosts");
    std::fs::write(&file, "n1\n#include\n#include hosts\nn2\n").unwrap();
    let name = file.to_str().unwrap();
    for args in [
        &["--fold", "-f", name][..],
        &["-R", "exec", "-f", name, "true"],
    ] {
        let ended = Mrsh::new().arg("--no-config").args(args).run();
        assert_eq!(ended.status, Some(0), "{}", ended.stderr);
        let said = ended.stderr.replace(name, "hosts");
        let expected = "mrsh: hosts:2: this #include names no file: ignored\n\
                        mrsh: hosts:3: these files include each other: hosts → hosts: ignored\n";
        assert_eq!(said, expected);
    }
}

#[test]
fn options_of_other_programs_get_a_hint() {
    for (args, message) in [
        (
            &["-f", "32", "true"][..],
            "cannot read the hosts file 32: No such file or directory\n  = help: -f names a hosts file; the fan-out is \
             -j 32\n",
        ),
        (
            &["-w", "h1", "-o", "BatchMode=yes", "true"],
            "cannot use BatchMode=yes as the directory of -o: it is a setting of ssh_config(5)\n  = help: -o names a directory for output; a \
             setting for ssh is --ssh-option BatchMode=yes\n",
        ),
        (
            &["--fanout", "3", "-w", "h1", "true"],
            "unexpected argument '--fanout' found\n  = help: the fan-out is -j N\n",
        ),
        (
            &["--forks=3", "true"],
            "unexpected argument '--forks' found\n  = help: the fan-out is -j N\n",
        ),
        (
            &["-fan", "3", "-w", "h1", "true"],
            "cannot read the hosts file an: No such file or directory\n  = help: '-fan' means '-f an': of short \
             options in one word, the one with a value comes last\n",
        ),
        (
            &["-f", "/nowhere/hosts", "true"],
            "cannot read the hosts file /nowhere/hosts: No such file or directory\n",
        ),
    ] {
        assert_eq!(refused(args), format!("mrsh: {message}"));
    }
    assert!(!std::path::Path::new("BatchMode=yes").exists());
}

#[test]
fn gathered_input_is_not_regrouped() {
    let message = refused(&["--gather-stdin", "-r"]);
    let words = "mrsh: the argument '--gather-stdin' cannot be used with '--regroup'\n";
    assert!(message.starts_with(words), "{message}");
}

#[test]
fn a_source_of_groups_that_fails_does_not_hide_the_others() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
    write("groups", "web: n9\n");
    write(
        "groups.conf",
        "[Main]\ndefault: good\n[good]\nmap: echo n1\nlist: echo web\n\
         [half]\nmap: test $GROUP = up && echo n2\nlist: echo up down\n\
         [bad]\nmap: false\nlist: echo no database >&2; exit 3\n",
    );
    for (args, expected, complaints) in [
        (&["--groups"][..], "@good:web\n@half:down\n@half:up\n", 1),
        (&["--groups", "-v"], "@good:web n1\n@half:up n2\n", 2),
        (&["--groups=good"], "@good:web\n", 0),
    ] {
        let ended = Mrsh::new()
            .env("CLUSTERSHELL_CFGDIR", dir.path())
            .arg("--no-config")
            .args(args)
            .run();
        let printed = String::from_utf8(ended.stdout).unwrap();
        // This machine may have other group sources.
        let ours: String = printed
            .split_inclusive('\n')
            .filter(|line| {
                ["@good:", "@half:", "@bad:"]
                    .iter()
                    .any(|of| line.starts_with(of))
            })
            .collect();
        assert_eq!(ours, expected, "{args:?}");
        let said = ended.stderr.lines();
        let said = said.filter(|line| {
            line.starts_with("mrsh: the source of groups ") && line.contains(" failed")
        });
        assert_eq!(said.count(), complaints, "{}", ended.stderr);
        assert_eq!(ended.status, Some(if complaints > 0 { 2 } else { 0 }));
        assert_eq!(complaints > 0, ended.stderr.contains("no database"));
    }
}

#[test]
fn options_among_the_words_of_a_listing_are_options() {
    assert_eq!(printed(&["--list", "n1", "--sort", "n0"]), "n0\nn1\n");
    assert_eq!(printed(&["--expand", "n[1-3]", "-x", "n2"]), "n1 n3\n");
    assert_eq!(printed(&["--expand", "n[1-3]", "--", "-n2"]), "n1 n3\n");
    assert!(refused(&["--list", "n1", "--bogus"]).contains("unexpected argument '--bogus'"));
}

#[test]
fn a_million_names_are_written_before_all_are_made() {
    // A reader that closes the pipe ends the listing without a failure.
    let script = "\"$0\" --no-config --list 'n[1-1000000]' | head -n 2; echo ${PIPESTATUS[0]}";
    let output = Command::new("bash")
        .args(["-c", script, env!("CARGO_BIN_EXE_mrsh")])
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "n1\nn2\n0\n");
    assert!(output.stderr.is_empty());
    // The address space is too small for all names.
    let script = "ulimit -v 60000; seq -f n%.0f 300000 | \"$0\" --no-config --fold - 'm[1-700000]'";
    let output = Command::new("bash")
        .args(["-c", script, env!("CARGO_BIN_EXE_mrsh")])
        .output()
        .unwrap();
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        "m[1-700000],n[1-300000]\n",
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn standard_input_is_read_if_no_other_target_is_named() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_mrsh"))
        .args(["--no-config", "--fold"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(b"n1 n3 # c\n\nn2,n[7-9]\n").unwrap();
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.stdout, b"n[1-3,7-9]\n");
}

#[test]
fn targets_that_contradict_each_other_are_refused_before_anything_runs() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("hosts");
    std::fs::write(&file, "n1 user=a\nn2\nn1 user=b\n").unwrap();
    let name = file.display().to_string();
    for mode in [
        &["-R", "exec", "-f", &name, "true"][..],
        &["--count", "-f", &name],
    ] {
        let message = refused(mode).replace(&name, "hosts");
        assert!(
            message.starts_with(
                "mrsh: n1 is named twice, with user=a and with user=b\n --> hosts:3:1\n"
            ),
            "{message}"
        );
        assert!(message.contains("the first is in hosts:1"), "{message}");
    }
    let message = refused(&["--list", "-w", "ssh://n1,rsh://n1"]);
    assert!(
        message.contains("with transport=ssh and with transport=rsh"),
        "{message}"
    );
}

#[test]
fn the_length_of_a_command_is_that_of_the_sent_command() {
    let call = |length: usize, raw: bool| {
        let half = "x".repeat(length / 2);
        let rest = "x".repeat(length - length / 2 - 1);
        let mut args = vec!["--demo", "-w", "n1", "-n"];
        args.extend(raw.then_some("--raw"));
        args.extend([half.as_str(), &rest]);
        Mrsh::new().arg("--no-config").args(&args).run()
    };
    const MOST: usize = 128 * 1024 - 1;
    assert_eq!(call(MOST, true).status, Some(0));
    assert_eq!(call(MOST + 1, true).status, Some(2));
    // The wrapper adds a fixed number of bytes to every command.
    let refused = call(MOST, false);
    assert_eq!(refused.status, Some(2), "{}", refused.stderr);
    let sent: usize = refused
        .stderr
        .split("it has ")
        .nth(1)
        .and_then(|rest| rest.split(' ').next())
        .unwrap()
        .parse()
        .unwrap();
    let wrapper = sent - MOST;
    assert!(wrapper > 50, "{wrapper}");
    assert_eq!(call(MOST - wrapper, false).status, Some(0));
    assert_eq!(call(MOST - wrapper + 1, false).status, Some(2));
}
