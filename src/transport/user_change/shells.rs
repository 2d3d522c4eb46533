//! Tests of the text for the host under all login shells, with scripts in the place of sudo, doas and su.

use std::ffi::OsString;
use std::io::Write;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

use super::{ChangeProgram, SplitToken, UserChange};
use crate::targets::Variable;
use crate::transport::remote_command::ShellCommand;
use crate::transport::wrap::{EndMarker, InputMode, SshStreams, script_command, ssh_command};

/// Takes the options of sudo and doas, asks as sudo does, and starts the command as the same user.
const FAKE: &str = r#"#!/bin/sh
while :;do case $1 in
-p) prompt=$2;shift 2;; -u) [ "$2" = root ]||exit 98;shift 2;; --) shift;break;; -*) shift;; *) break;; esac;done
[ "$LC_ALL" = C ]||exit 99
if [ "$prompt" ];then printf %s "$prompt" >&2;IFS= read -r line;[ "$line" = secret ]||exit 1;fi
exec "$@"
"#;

/// Starts the login shell with the text, as su does.
const FAKE_SU: &str = "#!/bin/sh\n[ \"$1 $2\" = 'root -c' ]||exit 98\nexec \"$SHELL\" -c \"$3\"\n";

/// A directory with the programs, which comes first in the path.
fn programs() -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    for (name, text) in [("sudo", FAKE), ("doas", FAKE), ("su", FAKE_SU)] {
        let path = directory.path().join(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
    }
    directory
}

fn change(program: ChangeProgram, has_password: bool) -> UserChange {
    UserChange {
        program,
        user: "root".into(),
        has_password,
        prompt: SplitToken("ask1ask2".to_owned()),
        start: SplitToken("run1run2".to_owned()),
    }
}

/// Runs a line in each login shell of this machine, with this input.
fn run_in_shells(line: &[u8], input: &[u8], mut check: impl FnMut(&str, Output)) {
    let programs = programs();
    let shells = ["dash", "bash", "zsh", "ksh93", "bsd-csh", "tcsh", "fish"];
    let installed = shells.map(|name| format!("/usr/bin/{name}"));
    for shell in installed.iter().filter(|path| Path::new(path).exists()) {
        let mut child = Command::new(shell)
            .arg("-c")
            .arg(OsString::from_vec(line.to_vec()))
            .env_clear()
            .env("HOME", programs.path())
            .env("SHELL", shell)
            .env("LC_ALL", "C.UTF-8")
            .env(
                "PATH",
                format!("{}:/usr/bin:/bin", programs.path().display()),
            )
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // A command that ends early closes its input.
        let _ = child.stdin.take().unwrap().write_all(input);
        check(shell, child.wait_with_output().unwrap());
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

const PROGRAMS: [(ChangeProgram, bool); 4] = [
    (ChangeProgram::Sudo, true),
    (ChangeProgram::Sudo, false),
    (ChangeProgram::Doas, false),
    (ChangeProgram::Su, false),
];

#[test]
fn every_login_shell_starts_the_command_over_ssh() {
    let variables = [
        Variable::new("ONE", &b"it's $HOME \\ !"[..]).unwrap(),
        Variable::new("TWO", &b"a\nb\xc3\xa9\n"[..]).unwrap(),
    ];
    let command =
        b"cat; env printenv ONE TWO LC_ALL; echo error >/dev/stderr; echo 'a\"b'\n exit 7";
    for (program, has_password) in PROGRAMS {
        let change = change(program, has_password);
        let command = ShellCommand {
            text: command,
            variables: &variables,
            user_change: Some(&change),
        };
        let streams = SshStreams {
            reads: true,
            ..SshStreams::default()
        };
        let line = ssh_command(command, streams);
        let password = if has_password { "secret\n" } else { "" };
        let prompt = if has_password { "ask1ask2" } else { "" };
        run_in_shells(
            &line,
            format!("{password}input\n").as_bytes(),
            |shell, done| {
                let out = "input\nit's $HOME \\ !\na\nb\u{e9}\n\nC.UTF-8\na\"b\n";
                assert_eq!(text(&done.stdout), out, "{shell} {program:?}");
                let err = format!("{prompt}run1run2error\n");
                assert_eq!(text(&done.stderr), err, "{shell} {program:?}");
                assert_eq!(done.status.code(), Some(7), "{shell} {program:?}");
            },
        );
    }
}

#[test]
fn a_command_without_input_reads_an_end_of_file_and_gets_signals() {
    for (program, has_password) in PROGRAMS {
        let change = change(program, has_password);
        // In a process group of its own, since the signal is for the whole group.
        let command = ShellCommand {
            user_change: Some(&change),
            ..ShellCommand::plain(b"cat; exec sleep 30")
        };
        let line = ssh_command(command, SshStreams::default());
        let programs = programs();
        let mut child = Command::new("/usr/bin/setsid")
            .args(["--wait", "/bin/sh", "-c"])
            .arg(OsString::from_vec(line))
            .env("SHELL", "/bin/sh")
            .env(
                "PATH",
                format!("{}:/usr/bin:/bin", programs.path().display()),
            )
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let password = if has_password { "secret\n" } else { "" };
        let mut input = child.stdin.take().unwrap();
        input
            .write_all(format!("{password}TERM\n").as_bytes())
            .unwrap();
        let status = child.wait().unwrap();
        assert!(
            matches!(status.code(), Some(143)) || status.code().is_none(),
            "{program:?} {status}"
        );
    }
}

#[test]
fn the_command_over_rsh_gets_its_input_after_the_password() {
    let marker = EndMarker::from_bytes(*b"aabaabaabaabc");
    for (program, has_password) in PROGRAMS {
        let change = change(program, has_password);
        let command = ShellCommand {
            user_change: Some(&change),
            ..ShellCommand::plain(b"cat; echo error >/dev/stderr; exit 7")
        };
        for (reads, input) in [
            (InputMode::Nothing, ""),
            (InputMode::Bytes(6), "input\n"),
            (InputMode::Stream, "input\n"),
        ] {
            for discard in [false, true] {
                let line = marker.wrap(command, discard, reads);
                let mut sent = Vec::new();
                if has_password {
                    sent = b"secret\n".to_vec();
                }
                sent.extend_from_slice(input.as_bytes());
                run_in_shells(&line, &sent, |shell, done| {
                    let case = format!("{shell} {program:?} {reads:?} {discard}");
                    let end = format!("{input}{}7\n", text(marker.needle()));
                    assert_eq!(text(&done.stdout), end, "{case}");
                    let prompt = if has_password { "ask1ask2" } else { "" };
                    let error = if discard { "" } else { "error\n" };
                    assert_eq!(
                        text(&done.stderr),
                        format!("{prompt}run1run2{error}"),
                        "{case}"
                    );
                });
            }
        }
    }
}

#[test]
fn a_script_reads_what_follows_the_password() {
    let marker = EndMarker::from_bytes(*b"aabaabaabaabc");
    for (program, has_password) in PROGRAMS {
        let change = change(program, has_password);
        let password = if has_password { "secret\n" } else { "" };
        let input = format!("{password}echo from-script");
        let script = "eval \"$(head -c 16)\"";
        let end = format!("from-script\n{}0\n", text(marker.needle()));
        let ssh = script_command(script, Some(&change));
        run_in_shells(&ssh, input.as_bytes(), |shell, done| {
            assert_eq!(text(&done.stdout), "from-script\n", "{shell} {program:?}");
        });
        let rsh = marker.wrap_script(script, Some(&change));
        run_in_shells(&rsh, input.as_bytes(), |shell, done| {
            assert_eq!(text(&done.stdout), end, "{shell} {program:?}");
        });
    }
}

#[test]
fn the_text_leaves_most_of_rsh_redones_limit_to_the_command() {
    let marker = EndMarker::from_bytes([0; 13]);
    for (program, has_password) in PROGRAMS {
        let change = UserChange::new(program, "root", has_password).unwrap();
        let command = ShellCommand {
            user_change: Some(&change),
            ..ShellCommand::plain(b"")
        };
        let length = marker.wrap(command, false, InputMode::Bytes(1 << 40)).len();
        assert!(
            length < 520,
            "{program:?}: {length} bytes of rsh-redone's 1023"
        );
    }
}
