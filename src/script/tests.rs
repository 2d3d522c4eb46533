use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use proptest::prelude::*;

use super::*;
use crate::transport::ShellCommand;
use crate::transport::wrap::{EndMarker, InputMode};

/// A script that prints its arguments, each with a NUL at its end, and its input.
const PRINTER: &[u8] = b"#!/bin/sh\n[ $# = 0 ] || printf '%s\\0' \"$@\"\ncat\nexit 5\n";

fn input(content: &[u8], arguments: &[&[u8]], directory: &Path) -> Vec<u8> {
    let script = ScriptFile::new(b"it's a\nscript".to_vec(), content.to_vec()).unwrap();
    script.input(&ScriptRun {
        arguments: arguments.to_vec(),
        directory: Some(directory.as_os_str().as_encoded_bytes()),
        reads_input: true,
        token: "token",
    })
}

/// Runs a command line in a shell with this input.
fn run(shell: &str, line: &[u8], input: &[u8]) -> Output {
    let mut child = Command::new(shell)
        .arg("-c")
        .arg(std::str::from_utf8(line).unwrap())
        .env("SHELL", shell)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    let writer = std::thread::spawn(move || stdin.write_all(&input));
    let output = child.wait_with_output().unwrap();
    // A shell that ends early closes its input.
    let _ = writer.join().unwrap();
    output
}

#[test]
fn every_login_shell_runs_a_script_with_and_without_the_wrapper() {
    let directory = tempfile::tempdir().unwrap();
    let arguments: [&[u8]; 4] = [b"it's \"a\" b", b"", b"\xff\n\\0!\n\n", b"$HOME `id` %s"];
    let mut head = input(PRINTER, &arguments, directory.path());
    head.extend_from_slice(b"the rest\n");
    let mut expected = arguments.join(&0);
    expected.extend_from_slice(b"\0the rest\n");
    let marker = EndMarker::from_bytes(*b"aabaabaabaabc");
    let reads = InputMode::Bytes(head.len() as u64);
    let wrapped = marker.wrap(ShellCommand::plain(COMMAND.as_bytes()), false, reads);
    let shells = ["dash", "bash", "zsh", "ksh93", "bsd-csh", "tcsh", "fish"];
    let installed = shells.map(|name| format!("/usr/bin/{name}"));
    for shell in installed.iter().filter(|path| Path::new(path).exists()) {
        let plain = run(shell, COMMAND.as_bytes(), &head);
        assert!(plain.stdout == expected, "{shell}: {plain:?}");
        assert_eq!(plain.status.code(), Some(5), "{shell}");
        let output = run(shell, &wrapped, &head);
        let mut with_marker = expected.clone();
        with_marker.extend_from_slice(marker.needle());
        with_marker.extend_from_slice(b"5\n");
        assert!(output.stdout == with_marker, "{shell}: {output:?}");
        assert_eq!(
            fs::read_dir(directory.path()).unwrap().count(),
            0,
            "{shell}"
        );
    }
}

#[test]
fn the_command_fits_into_the_limit_of_rsh_redone_many_times() {
    let length = EndMarker::wrapped_len(ShellCommand::plain(COMMAND.as_bytes()), true, true);
    assert!(length < 250, "{length} bytes");
    // Each quote would be five bytes in the wrapper, and csh reads `!` even in quotes.
    assert!(!COMMAND.contains(['\\', '!']));
    assert_eq!(COMMAND.matches('\'').count(), 2);
    assert_eq!(
        format!(
            "exec {} {} '{}' {}",
            exec_words()[0],
            exec_words()[1],
            exec_words()[2],
            exec_words()[3]
        ),
        COMMAND
    );
}

#[test]
fn input_that_is_cut_anywhere_runs_nothing_and_succeeds_nowhere() {
    let directory = tempfile::tempdir().unwrap();
    let ran = directory.path().join("ran");
    let script = format!("touch '{}'\n# the end\n", ran.display());
    let inside = directory.path().join("inside");
    fs::create_dir(&inside).unwrap();
    let head = input(script.as_bytes(), &[b"a"], &inside);
    let line = memchr::memchr(b'\n', &head).unwrap();
    for length in [0, 1, 30, line / 2, line, line + 1, line + 2, head.len() - 1] {
        let output = run("/bin/sh", COMMAND.as_bytes(), &head[..length]);
        assert_eq!(output.status.code(), Some(126), "{length}: {output:?}");
        assert!(!ran.exists(), "{length}");
        assert_eq!(fs::read_dir(&inside).unwrap().count(), 0, "{length}");
    }
    let output = run("/bin/sh", COMMAND.as_bytes(), &head);
    assert!(output.status.success() && ran.exists(), "{output:?}");
}

#[test]
fn words_are_shown_as_a_shell_takes_them() {
    for (word, shown) in [
        ("a-b_c.sh", "a-b_c.sh"),
        ("", "''"),
        ("a b", "'a b'"),
        ("it's", "'it'\\''s'"),
        ("$x", "'$x'"),
    ] {
        assert_eq!(shown_word(word.as_bytes()), shown.as_bytes());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20))]
    #[test]
    fn arguments_and_input_arrive_byte_for_byte(
        arguments in prop::collection::vec(prop::collection::vec(1_u8.., 0..20), 1..4),
        rest in prop::collection::vec(any::<u8>(), 0..9000),
        padding in 0_usize..9000,
    ) {
        let directory = tempfile::tempdir().unwrap();
        let mut script = PRINTER.to_vec();
        script.extend(vec![b'#'; padding]);
        let words: Vec<&[u8]> = arguments.iter().map(|word| &**word).collect();
        let mut head = input(&script, &words, directory.path());
        head.extend_from_slice(&rest);
        let output = run("/bin/sh", COMMAND.as_bytes(), &head);
        let expected = [words.join(&0), vec![0], rest].concat();
        prop_assert_eq!(output.stdout, expected);
    }
}
