//! Calls of pdsh, compared with Debian's pdsh in output, messages and exit status.

use std::path::Path;

use regex_lite::Regex;

use crate::support::{Ended, Mrsh, lacks};

const PDSH: &str = "/usr/bin/pdsh";

/// The parts of a result that must be equal. Hosts end in any order, and processes have other numbers.
fn compared(ended: &Ended) -> (Option<i32>, Vec<String>, Vec<String>) {
    let numbers = Regex::new(r"pid \d+").unwrap();
    let stderr = numbers.replace_all(&ended.stderr, "pid N");
    let mut stderr: Vec<String> = stderr.lines().map(str::to_owned).collect();
    stderr.sort_unstable();
    (ended.status, ended.sorted_lines(), stderr)
}

/// Asserts that both programs do the same with these arguments, separated by blanks.
#[track_caller]
fn same(environment: &[(&'static str, &str)], args: &[&str]) {
    let run = |mrsh: Mrsh| {
        let mrsh = environment
            .iter()
            .fold(mrsh, |mrsh, (name, value)| mrsh.env(name, *value));
        compared(&mrsh.args(args).run())
    };
    let reference = run(Mrsh::of_program(PDSH));
    assert_eq!(
        run(Mrsh::called("pdsh")),
        reference,
        "{environment:?} {args:?}"
    );
}

fn lacks_pdsh() -> bool {
    lacks("pdsh") || lacks("pdsh.bin") || !Path::new(PDSH).exists()
}

#[test]
fn the_targets_are_those_of_pdsh() {
    if lacks_pdsh() {
        return;
    }
    let hosts = [
        "foo[0-3]",
        "foo[00-02]",
        "foo[9-11]",
        "foo[0-2,4]",
        "foo[1-2]-[0-3]",
        "foo[2,1]",
        "foo1,foo1",
        "foo[1-2,2,1]",
        "foo[8-11,008-011]",
        "foo1a,foo2a",
        "foo,,bar",
        "foo[1-]",
        "exec:u@foo[1-2]",
        "foo[0-20],/0$/",
        "foo[0-20],-/[1-9]$/",
        "foo[9-11],-foo10",
        "foo[01-10],-foo1",
        "foo1,foo1,foo2,-foo1",
        "u@ssh:foo",
    ];
    for hosts in hosts {
        for letter in ["-q", "-Q"] {
            let targets = |mrsh: Mrsh| {
                let ended = mrsh.args(&[letter, "-w", hosts]).run();
                let text = String::from_utf8_lossy(&ended.stdout).into_owned();
                let last = text.lines().last().map(str::to_owned);
                (ended.status, last, ended.stderr)
            };
            let reference = targets(Mrsh::of_program(PDSH));
            assert_eq!(targets(Mrsh::called("pdsh")), reference, "{letter} {hosts}");
        }
    }
}

#[test]
fn the_table_of_settings_is_that_of_pdsh() {
    if lacks_pdsh() {
        return;
    }
    let table = |mrsh: Mrsh, args: &[&str]| {
        let ended = mrsh.args(&["-q", "-w", "foo[1-3]"]).args(args).run();
        let text = String::from_utf8_lossy(&ended.stdout).into_owned();
        // The two programs are in different places.
        let lines = text.lines().filter(|line| !line.contains("program path"));
        (ended.status, lines.map(str::to_owned).collect::<Vec<_>>())
    };
    for args in [
        &[][..],
        &["-f8", "-l", "foouser", "-t33", "-u22", "-b"],
        &["-N", "-S", "-d", "-K", "echo", "a", "b"],
        &["-R", "ssh", "ls"],
        &["-R", "exec", "-x", "foo2", "ls", "-q"],
    ] {
        let reference = table(Mrsh::of_program(PDSH), args);
        assert!(reference.1.len() > 15, "{reference:?}");
        assert_eq!(table(Mrsh::called("pdsh"), args), reference, "{args:?}");
    }
}

#[test]
fn commands_end_as_in_pdsh() {
    if lacks_pdsh() {
        return;
    }
    let exec = ["-R", "exec"];
    for args in [
        &["-w", "foo[1-3]", "echo", "%h", "%u", "%n", "%%", "%x"][..],
        &["-w", "foo1,foo1", "echo", "%n"],
        &["-w", "foo.a,bar.a", "echo"],
        &["-w", "foo.a,bar.b", "echo"],
        &["-Kw", "foo.a", "echo"],
        &["-w", "10.0.0.1", "echo"],
        &["-w", "u1@foo,u2@bar", "-l", "u3", "echo", "%u"],
        &["-Nw", "foo", "printf", "a\\nb"],
        &["-w", "foo", "printf", "a\\nb"],
        &["-w", "foo", "sh", "-c", "echo x >&2; exit 3"],
        &["-Sw", "foo[1-3]", "sh", "-c", "exit %n"],
        &["-Sw", "foo", "sh", "-c", "kill -9 $$"],
        &["-Sw", "foo[1-2]", "/no/such/program", "x"],
        &["-w", "foo", "/no/such/program"],
        &["-u1", "-Sw", "foo", "sleep", "20"],
    ] {
        same(&[], &[&exec, args].concat());
    }
}

#[test]
fn wrong_calls_have_the_messages_and_the_status_of_pdsh() {
    if lacks_pdsh() {
        return;
    }
    for args in [
        &["-f", "x", "-w", "foo"][..],
        &["-w", "foo", "-R", "nosuch", "ls"],
        &["-w", "foo", "-t", "5", "-R", "exec", "ls"],
        &["-w", "foo", "-t", "-1", "ls"],
        &["-w", "foo", "-u", "-1", "ls"],
        &["-w", "^/no/such/file", "ls"],
        &["-x", "foo", "ls"],
        &["-w", "u@exec:foo", "ls"],
        &["-w", "nosuch:foo", "ls"],
        &["-g", "a", "-F", "/no/such/file", "ls"],
        &["-aA", "-g", "x", "-F", "/dev/null", "-w", "foo", "-q"],
    ] {
        same(&[], args);
    }
    let long = "x".repeat(300);
    same(&[], &["-w", "foo", "-l", &long, "-q"]);
    same(&[("FANOUT", "x")], &["-w", "foo", "-q"]);
}

#[test]
fn unknown_options_print_the_usage_and_end_with_1() {
    for args in [
        &["-Z"][..],
        &["--foo"],
        &["-w"],
        &["-I", "3"],
        &["-h"],
        &["-c"],
    ] {
        let ended = Mrsh::called("pdsh").args(args).run().status(1);
        assert!(
            ended
                .stderr
                .contains("Usage: pdsh [-options] command ...\n"),
            "{ended:?}"
        );
        assert!(ended.stdout.is_empty(), "{ended:?}");
    }
    let ended = Mrsh::called("pdsh").args(&["-w"]).run();
    assert!(
        ended
            .stderr
            .starts_with("pdsh: option requires an argument -- 'w'\n"),
        "{ended:?}"
    );
}

#[test]
fn the_prompt_reads_commands_from_standard_input() {
    if lacks_pdsh() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let input = folder.path().join("input");
    for text in [
        "echo hi %h\n\necho x; exit 3\nquit\necho never\n",
        "echo a",
        "",
        "exit\n",
    ] {
        std::fs::write(&input, text).unwrap();
        let run = |mrsh: Mrsh| {
            let ended = mrsh
                .stdin(std::fs::File::open(&input).unwrap())
                // Debian's pdsh keeps a history there.
                .env("HOME", folder.path())
                .args(&["-R", "exec", "-w", "foo"])
                .run();
            (ended.status, ended.stdout, ended.stderr)
        };
        let reference = run(Mrsh::of_program(PDSH));
        assert_eq!(run(Mrsh::called("pdsh")), reference, "{text:?}");
    }
}
