use super::*;
use crate::targets::{RunVariable, Variable};
use proptest::prelude::*;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

const MERGED: SshStreams = SshStreams {
    merged: true,
    discards_stderr: false,
    reads: false,
    has_tty: false,
};

fn marker() -> EndMarker {
    EndMarker::from_bytes(*b"aabaabaabaabc")
}

fn text(exit: &str) -> Vec<u8> {
    [&marker().needle, exit.as_bytes(), b"\n"].concat()
}

/// Decodes `stream` in pieces of the given sizes, in turn.
fn decode(stream: &[u8], sizes: &[usize]) -> (Vec<u8>, Option<RemoteExit>) {
    let mut decoder = marker().decoder();
    let mut out = Vec::new();
    let mut rest = stream;
    for size in sizes.iter().cycle() {
        if rest.is_empty() {
            break;
        }
        let (piece, next) = rest.split_at((*size).clamp(1, rest.len()));
        decoder.feed(piece, &mut out);
        rest = next;
    }
    let (held, exit) = decoder.finish();
    out.extend(held);
    (out, exit)
}

#[test]
fn output_is_exact_with_and_without_a_last_newline() {
    for output in ["", "x", "x\n", "x\n\n", "aab", "aabaab\naabaabaabaab"] {
        let stream = [output.as_bytes(), &text("3")].concat();
        let (out, exit) = decode(&stream, &[stream.len()]);
        assert_eq!(out, output.as_bytes());
        assert_eq!(exit, Some(RemoteExit::Code(3)));
    }
}

#[test]
fn a_whole_line_is_not_held_back() {
    let mut out = Vec::new();
    marker().decoder().feed(b"step 1 of 9\n", &mut out);
    assert_eq!(out, b"step 1 of 9\n");
}

#[test]
fn late_output_is_kept_and_a_second_marker_voids_both() {
    let late = [b"a\n".as_slice(), &text("1"), b"late\n"].concat();
    assert_eq!(
        decode(&late, &[1]),
        (b"a\nlate\n".to_vec(), Some(RemoteExit::Code(1)))
    );
    let forged = [text("0"), text("1")].concat();
    assert_eq!(decode(&forged, &[2]).1, None);
}

#[test]
fn text_that_resembles_a_marker_is_output() {
    // The first is the wrapper itself, as `ps` shows it.
    for tail in ["%d\\n\" $?", "1234\n", "12", "\n", "x"] {
        let stream = [&marker().needle, tail.as_bytes()].concat();
        assert_eq!(decode(&stream, &[5]), (stream.clone(), None), "{tail:?}");
    }
}

#[test]
fn statuses_follow_the_shells_conventions() {
    assert_eq!(decode(&text("137"), &[9]).1, Some(RemoteExit::Code(137)));
    assert_eq!(decode(&text("265"), &[9]).1, Some(RemoteExit::Signaled(9)));
    assert_eq!(decode(&text("0"), &[9]).1, Some(RemoteExit::Code(0)));
}

#[test]
fn the_wrapper_leaves_most_of_rsh_redones_limit_to_the_command() {
    for (reads, most) in [
        (InputMode::Nothing, 100),
        (InputMode::Stream, 110),
        (InputMode::Bytes(1 << 40), 145),
    ] {
        for (command, octal) in [(b"".as_slice(), 0), (b"\n", 21)] {
            let line = marker().wrap(ShellCommand::plain(command), false, reads);
            assert!(
                line.len() < most + octal,
                "{} bytes of rsh-redone's 1023",
                line.len()
            );
            assert!(!line.contains(&b'!') && !line.contains(&b'\n'));
        }
    }
}

#[test]
fn only_bytes_that_quotes_do_not_protect_cost_a_process() {
    let substitutes = |command: &[u8]| {
        let line = marker().wrap(ShellCommand::plain(command), false, InputMode::Nothing);
        memmem::find(&line, b"$(printf %b").is_some()
    };
    let printable: Vec<u8> = (b' '..=b'~').collect();
    assert!(!substitutes(&printable));
    for command in ["a\nb", "a\tb", "\u{e9}", "\u{7f}"] {
        assert!(substitutes(command.as_bytes()), "{command:?}");
    }
}

#[test]
fn every_login_shell_passes_the_command_on() {
    let printable: String = (b' '..=b'~').map(char::from).collect();
    let commands = [
        &printable,
        "\\",
        "!",
        "'",
        "\\\\'\\'!!\\!'\\\\!$\\",
        "!$ ^a^b % {a,b} ~ *",
        "\n'!\\\t\u{e9}\u{7f}",
    ];
    let shells = ["dash", "bash", "zsh", "ksh93", "bsd-csh", "tcsh", "fish"];
    let installed = shells.map(|name| format!("/usr/bin/{name}"));
    let installed = installed.iter().filter(|path| Path::new(path).exists());
    // A login shell that prints the command instead of running it.
    let directory = tempfile::tempdir().unwrap();
    let printer = directory.path().join("printer");
    std::fs::write(&printer, "#!/bin/sh\nprintf %s \"$2\"\n").unwrap();
    std::fs::set_permissions(&printer, PermissionsExt::from_mode(0o755)).unwrap();
    for shell in installed {
        for command in commands {
            let line = marker().wrap(
                ShellCommand::plain(command.as_bytes()),
                false,
                InputMode::Nothing,
            );
            let done = Command::new(shell)
                .arg("-c")
                .arg(OsString::from_vec(line))
                .env_clear()
                .env("HOME", directory.path())
                .env("SHELL", &printer)
                .env("PATH", "/usr/bin:/bin")
                .output()
                .unwrap();
            let (out, exit) = decode(&done.stdout, &[done.stdout.len().max(1)]);
            assert_eq!(String::from_utf8_lossy(&out), command, "{shell}");
            assert_eq!(exit, Some(RemoteExit::Code(0)), "{shell}: {command:?}");
        }
    }
}

#[test]
fn the_longest_command_is_the_longest_that_execve_takes() {
    let padded = |length: usize| {
        let empty = EndMarker::wrapped_len(ShellCommand::plain(b"exit 7 #"), false, false);
        let mut command = b"exit 7 #".to_vec();
        command.resize(command.len() + length - empty, b'x');
        assert_eq!(
            marker()
                .wrap(ShellCommand::plain(&command), false, InputMode::Nothing)
                .len(),
            length
        );
        command
    };
    let (_, _, exit) = run("/bin/sh", &padded(MAX_COMMAND), false);
    assert_eq!(exit, Some(RemoteExit::Code(7)));
    let line = marker().wrap(
        ShellCommand::plain(&padded(MAX_COMMAND + 1)),
        false,
        InputMode::Nothing,
    );
    let refused = Command::new("/bin/sh")
        .arg("-c")
        .arg(OsString::from_vec(line))
        .output();
    assert_eq!(
        refused.unwrap_err().kind(),
        io::ErrorKind::ArgumentListTooLong
    );
}

/// Runs the wrapped command as rshd does.
fn run(shell: &str, command: &[u8], discard: bool) -> (Vec<u8>, Vec<u8>, Option<RemoteExit>) {
    let line = OsString::from_vec(marker().wrap(
        ShellCommand::plain(command),
        discard,
        InputMode::Nothing,
    ));
    let done = Command::new(shell)
        .arg("-c")
        .arg(line)
        .env_clear()
        .env("SHELL", shell)
        .env("PATH", "/usr/bin:/bin")
        .output()
        .unwrap();
    let (out, exit) = decode(&done.stdout, &[7, 1]);
    (out, done.stderr, exit)
}

/// Runs the wrapped command as rshd does, with `input` on a connection. The connection stays open unless `reads`
/// needs its end. Returns the output and the status.
fn run_with_input(
    shell: &str,
    command: &str,
    input: &[u8],
    reads: InputMode,
    path: &str,
) -> (Vec<u8>, Option<RemoteExit>) {
    use std::io::{Read, Write};
    use std::net::Shutdown;
    use std::os::fd::OwnedFd;
    use std::os::unix::net::UnixStream;
    let line =
        OsString::from_vec(marker().wrap(ShellCommand::plain(command.as_bytes()), false, reads));
    let (ours, theirs) = UnixStream::pair().unwrap();
    let mut child = Command::new(shell)
        .arg("-c")
        .arg(line)
        .env_clear()
        .env("SHELL", shell)
        .env("PATH", path)
        .stdin(OwnedFd::from(theirs.try_clone().unwrap()))
        .stdout(OwnedFd::from(theirs))
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let mut out = Vec::new();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            // The write fails if the command ends without reading.
            let _ = (&ours).write_all(input);
            if reads == InputMode::Stream {
                let _ = ours.shutdown(Shutdown::Write);
            }
        });
        let read = (&ours).read_to_end(&mut out);
        assert!(read.is_ok(), "not reset with unread bytes: {read:?}");
    });
    child.wait().unwrap();
    let (output, exit) = decode(&out, &[1000]);
    (output, exit)
}

#[test]
fn a_command_reads_the_counted_bytes_and_no_more() {
    let all: Vec<u8> = (0..300_000_u32).map(|i| (i % 256) as u8).collect();
    let code = |n| Some(RemoteExit::Code(n));
    for shell in ["/bin/sh", "/bin/bash"] {
        for reads in [InputMode::Bytes(all.len() as u64), InputMode::Stream] {
            let run = |command| run_with_input(shell, command, &all, reads, "/usr/bin:/bin");
            assert!(run("cat") == (all.clone(), code(0)), "{reads:?}");
            // A command that reads less ends as usual, and the wrapper reads the rest.
            assert_eq!(run("head -c 3; exit 3"), (vec![0, 1, 2], code(3)));
            assert_eq!(run("true"), (vec![], code(0)));
            assert_eq!(run("exec false"), (vec![], code(1)));
            assert_eq!(run("kill -9 $$").1, code(137));
            assert_eq!(run("exec <&-; echo x; exit 4"), (b"x\n".to_vec(), code(4)));
            assert_eq!(run("wc -c < /dev/stdin").1, code(0));
        }
        let few = run_with_input(
            shell,
            "cat; exit 2",
            b"abcd",
            InputMode::Bytes(4),
            "/usr/bin:/bin",
        );
        assert_eq!(few, (b"abcd".to_vec(), code(2)));
    }
}

#[test]
fn a_head_without_option_c_is_no_success() {
    let directory = tempfile::tempdir().unwrap();
    let head = directory.path().join("head");
    std::fs::write(
        &head,
        "#!/bin/sh\necho usage: head [-n number] >&2; exit 2\n",
    )
    .unwrap();
    std::fs::set_permissions(&head, PermissionsExt::from_mode(0o755)).unwrap();
    let path = format!("{}:/usr/bin:/bin", directory.path().display());
    let (out, exit) = run_with_input("/bin/sh", "echo ran", b"", InputMode::Bytes(4), &path);
    assert_eq!((out, exit), (vec![], None));
}

#[test]
fn real_shells_run_the_command_and_report_its_status() {
    let code = |n| Some(RemoteExit::Code(n));
    for shell in ["/bin/sh", "/bin/bash"] {
        let ok = |command: &str| run(shell, command.as_bytes(), false);
        assert_eq!(ok("echo hi"), (b"hi\n".to_vec(), vec![], code(0)));
        assert_eq!(ok("exit 3").2, code(3));
        assert_eq!(ok("kill -9 $$").2, code(137));
        assert_eq!(ok("cat"), (vec![], vec![], code(0)));
        assert_eq!(ok("printf 'a b\\n!%s' \"it's\" # note").0, b"a b\n!it's");
        assert_eq!(ok("echo $0 >&2").2, code(0));
        assert_eq!(
            run(shell, b"echo gone >&2; false", true),
            (vec![], vec![], code(1))
        );
        assert_eq!(
            run(shell, b"printf '\xff\xc3\xa9'", false).0,
            b"\xff\xc3\xa9"
        );
    }
}

proptest! {
    #[test]
    fn the_decoder_does_not_depend_on_the_cut_of_the_stream(
        output in prop::collection::vec(prop_oneof![Just(b'a'), Just(b'b'), Just(b':'), Just(b'\n'), any::<u8>()], 0..80),
        late in prop::collection::vec(prop_oneof![Just(b'a'), Just(b'b'), Just(b'0')], 0..20),
        sizes in prop::collection::vec(1..20_usize, 1..10),
    ) {
        let stream = [output.clone(), text("42"), late.clone()].concat();
        let (out, exit) = decode(&stream, &sizes);
        prop_assert_eq!(out, [output, late].concat());
        prop_assert_eq!(exit, Some(RemoteExit::Code(42)));
    }

    #[test]
    fn a_stream_without_a_marker_is_passed_on_whole(stream in any::<Vec<u8>>(), sizes in prop::collection::vec(1..9_usize, 1..4)) {
        prop_assert_eq!(decode(&stream, &sizes), (stream, None));
    }

    #[test]
    fn every_byte_of_a_command_arrives(
        command in prop_oneof![
            prop::collection::vec(1..=255_u8, 0..40),
            prop::collection::vec(b' '..=b'~', 0..40),
        ],
    ) {
        // The command is printed back by printf of /bin/sh.
        let quoted: Vec<u8> = command.iter().flat_map(|&b| match b {
            b'\'' => b"'\\''".to_vec(),
            b => vec![b],
        }).collect();
        let echo = [b"printf %s '".as_slice(), &quoted, b"'"].concat();
        prop_assert_eq!(run("/bin/sh", &echo, false).0, command);
    }
}

#[test]
fn merged_streams_keep_their_order_under_every_login_shell() {
    let command = "echo a; echo 'b!' >&2; echo \"it's \\\\\"; echo d >&2; exit 3";
    let octal = "echo a; echo 'b!' >&2\necho \"it's \\\\\"; echo d >&2; exit 3";
    for shell in ["sh", "dash", "bash", "zsh", "ksh93", "csh", "tcsh", "fish"] {
        for command in [command, octal] {
            let mut run = Command::new(shell);
            run.arg("-c").arg(OsString::from_vec(ssh_command(
                ShellCommand::plain(command.as_bytes()),
                SshStreams {
                    merged: true,
                    ..SshStreams::default()
                },
            )));
            // Login shell of the account, which interprets the command.
            let Ok(ended) = run.env("SHELL", "/bin/sh").output() else {
                continue;
            };
            let said = String::from_utf8_lossy(&ended.stdout).into_owned();
            assert_eq!(
                (said.as_str(), ended.stderr.as_slice(), ended.status.code()),
                ("a\nb!\nit's \\\nd\n", b"".as_slice(), Some(3)),
                "{shell}"
            );
        }
    }
}

#[test]
fn variables_reach_the_command_under_every_login_shell() {
    let values: [&[u8]; 5] = [
        b"it's $HOME `id` \"a\\b\" !x %s {1} ~ *",
        b"",
        b"two\nlines\n\n",
        b"\xff\xc3\xa9\t",
        b"-n",
    ];
    let variables: Vec<Variable> = (0..12)
        .map(|index| {
            Variable::new(&format!("V_{index}"), values[index % values.len()]).expect("a name")
        })
        .collect();
    let text: String = (0..12)
        .map(|index| format!("printf '%s|' \"$V_{index}\";"))
        .collect();
    let mut expected = Vec::new();
    for variable in &variables {
        expected.extend_from_slice(variable.value());
        expected.push(b'|');
    }
    let command = ShellCommand {
        text: text.as_bytes(),
        variables: &variables,
        user_change: None,
    };
    let rsh = marker().wrap(command, false, InputMode::Nothing);
    let ssh = [false, true].map(|merged| {
        let streams = SshStreams {
            merged,
            ..SshStreams::default()
        };
        ssh_command(command, streams)
    });
    for shell in ["sh", "dash", "bash", "zsh", "ksh93", "csh", "tcsh", "fish"] {
        let run = |line: &[u8]| {
            Command::new(shell)
                .arg("-c")
                .arg(OsString::from_vec(line.to_owned()))
                .env("SHELL", "/bin/sh")
                .output()
        };
        let Ok(ended) = run(&rsh) else {
            continue;
        };
        let (out, exit) = decode(&ended.stdout, &[ended.stdout.len()]);
        assert_eq!(
            (&out, exit),
            (&expected, Some(RemoteExit::Code(0))),
            "{shell}"
        );
        for line in &ssh {
            assert_eq!(run(line).unwrap().stdout, expected, "{shell}");
        }
    }
}

#[test]
fn variables_that_shells_obey_or_protect_change_only_the_command() {
    let names = [
        "SHELL", "PATH", "UID", "PPID", "IFS", "LC_ALL", "v2", "BASHOPTS",
    ];
    let variables: Vec<Variable> = names
        .iter()
        .map(|name| Variable::new(name, b"/no where\n".as_slice()).unwrap())
        .collect();
    let command = ShellCommand {
        text: b"/usr/bin/env",
        variables: &variables,
        user_change: None,
    };
    let lines = [
        marker().wrap(command, false, InputMode::Nothing),
        ssh_command(command, SshStreams::default()),
        ssh_command(command, MERGED),
    ];
    for line in lines {
        let ended = Command::new("/bin/sh")
            .arg("-c")
            .arg(OsString::from_vec(line))
            .env("SHELL", "/bin/sh")
            .output()
            .unwrap();
        let (out, _) = decode(&ended.stdout, &[ended.stdout.len().max(1)]);
        let out = String::from_utf8_lossy(&out);
        assert!(out.contains("PATH=/no where\n\n"), "{out}");
        assert!(out.contains("SHELL=/no where\n\n"), "{out}");
        assert_eq!(ended.stderr, b"");
    }
}

#[test]
fn variables_cost_few_bytes_and_none_if_there_are_none() {
    let length = |variables: &[Variable]| {
        let command = ShellCommand {
            text: b"uptime",
            variables,
            user_change: None,
        };
        EndMarker::wrapped_len(command, false, false)
    };
    let all: Vec<Variable> = RunVariable::ALL
        .iter()
        .map(|variable| Variable::new(variable.name(), b"x".as_slice()).unwrap())
        .collect();
    let none = length(&[]);
    assert_eq!(
        none,
        EndMarker::wrapped_len(ShellCommand::plain(b"uptime"), false, false)
    );
    assert_eq!(length(&all[..1]) - none, "env MRSH_HOST=\"$2\"  'x'".len());
    // rsh-redone takes 1023 bytes.
    assert!(length(&all) - none < 136, "{}", length(&all) - none);
    let plain = ShellCommand::plain(b"uptime");
    assert_eq!(ssh_command(plain, SshStreams::default()), b"uptime");
}
