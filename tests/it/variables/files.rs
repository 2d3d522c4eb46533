//! Placeholders in `-o`, `-e` and COMMAND of `-R exec`.

use std::fs;

use super::refused;
use crate::support::Mrsh;

/// A call with two targets whose command prints their host on both streams, in this directory.
fn call(folder: &std::path::Path, options: &[&str]) -> Mrsh {
    let hosts = folder.join("hosts");
    fs::write(&hosts, "h1 label=one user=op\nh2 label=two/x user=op\n").unwrap();
    Mrsh::new()
        .after(format!("cd {}", folder.display()))
        .args(&["-R", "exec", "-f", "hosts"])
        .args(options)
        .args(&["sh", "-c", "echo out %h; echo err %h >&2"])
}

#[test]
fn a_pattern_names_a_file_for_each_target() {
    let folder = tempfile::tempdir().unwrap();
    let read = |name: &str| fs::read_to_string(folder.path().join(name)).unwrap();
    let options = ["-o", "logs/%u/%n-%h.txt", "-e", "logs/%h.err"];
    let ended = call(folder.path(), &options).run().status(0);
    assert_eq!((&*ended.stdout, &*ended.stderr), (&b""[..], ""));
    assert_eq!(read("logs/op/0-h1.txt"), "out h1\n");
    assert_eq!(read("logs/op/1-h2.txt"), "out h2\n");
    assert_eq!(read("logs/h2.err"), "err h2\n");
    call(folder.path(), &["--append", "-o", "logs/%h.err"])
        .run()
        .status(0);
    assert_eq!(read("logs/h2.err"), "err h2\nout h2\n");
    // Without a placeholder the value is a directory, also without a slash at its end.
    call(folder.path(), &["-o", "all", "-e", "50%%/"])
        .run()
        .status(0);
    assert_eq!(read("all/two%2Fx"), "out h2\n");
    assert_eq!(read("50%/one"), "err h1\n");
}

#[test]
fn wrong_patterns_are_errors_before_any_command() {
    let folder = tempfile::tempdir().unwrap();
    for (options, message) in [
        (&["-o", "logs/%x"][..], "unknown placeholder"),
        (&["-e", "50%"], "unknown placeholder"),
        (&["-o", "%-5h"], "a width, which only a label can have"),
        (
            &["-o", "logs/%u"],
            "cannot use -o: logs/op would be the file of both one and two/x\n  = help: %l is the label",
        ),
        (
            &["-e", "logs/%h/"],
            "cannot use -e logs/%h/: with a placeholder it names files, and it ends in a slash\n  = help: write the \
             name of the file too, as in -e 'DIR/%l'",
        ),
        (
            &["-o", "logs/%l"],
            "cannot use -o logs/%l for two/x: two/x would lead to another directory",
        ),
        (
            &["-o", "logs/%p"],
            "cannot use -o logs/%p for one: a name in it would be empty",
        ),
        (
            &["-o", "%h", "-e", "./%h"],
            "-o for h1 and -e for h1 both name ./h1: output and errors would share a file",
        ),
    ] {
        let options: Vec<&str> = options.to_vec();
        let ended = call(folder.path(), &options).run();
        if message.starts_with("-o for") {
            let message = message
                .replace("h1 and", "one and")
                .replace("for h1", "for one");
            refused(ended, &message);
        } else {
            refused(ended, message);
        }
        assert!(!folder.path().join("logs").exists());
    }
}

#[test]
fn local_commands_have_all_placeholders() {
    let ended = Mrsh::new()
        .args(&["-R", "exec", "-w", "op@h1:7,h2", "-p", "9", "-l", "ann"])
        .args(&["echo", "%l|%h|%u|%p|%n|%%"])
        .run()
        .status(0);
    assert_eq!(
        ended.sorted_lines(),
        ["h2: h2|h2|ann|9|1|%", "op@h1:7: op@h1:7|h1|op|7|0|%"]
    );
    let ended = Mrsh::new()
        .args(&["-R", "exec", "-w", "h1", "echo", "a%5h"])
        .run();
    refused(ended, "a width, which only a label can have");
}
