//! `-R openssh` with test scripts instead of `ssh`.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::support::{Ended, Mrsh};

/// An `ssh` that runs the command here and ignores all options.
const HEEDS_NO_OPTION: &str =
    "while [ \"$1\" != -- ]; do shift; done; shift 2; exec sh -c \"$*\"\n";

/// The same, but it runs LocalCommand first.
const RUNS_LOCAL_COMMAND: &str = "\
while [ \"$1\" != -- ]; do
  case $1 in LocalCommand=*) sh -c \"${1#LocalCommand=}\" ;; esac
  shift
done
shift 2
exec sh -c \"$*\"
";

/// Runs a command with that script as `ssh`.
fn with(script: &str, args: &[&str]) -> Ended {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ssh");
    std::fs::write(&file, format!("#!/bin/sh\n{script}")).unwrap();
    std::fs::set_permissions(&file, PermissionsExt::from_mode(0o755)).unwrap();
    Mrsh::new()
        .env("PATH", format!("{}:/usr/bin:/bin", folder.path().display()))
        .args(&["-R", "openssh", "-w", "h1"])
        .args(args)
        .run()
}

const IGNORED: &str = "mrsh: ssh has run no LocalCommand";

#[test]
fn output_of_an_ssh_that_ignores_local_command_is_the_commands() {
    let ended = with(HEEDS_NO_OPTION, &["echo out; echo err >&2"]).status(0);
    assert_eq!(String::from_utf8_lossy(&ended.stdout), "h1: out\n");
    assert!(ended.stderr.contains("h1: err\n"), "{}", ended.stderr);
    assert_eq!(ended.stderr.matches(IGNORED).count(), 1, "{}", ended.stderr);
    let ended = with(HEEDS_NO_OPTION, &["echo why >&2; exit 3"]).status(1);
    assert!(ended.stderr.contains("h1: why\n"), "{}", ended.stderr);
    assert!(
        ended.stderr.contains("mrsh: 1 failed: h1: exit 3\n"),
        "{}",
        ended.stderr
    );
    // Much output is no failure either.
    let ended = with(HEEDS_NO_OPTION, &["yes | head -c 300000"]).status(0);
    assert_eq!(ended.stdout.len(), 150_000 * "h1: y\n".len());
    // A command may run for longer than the connect timeout if it has written something.
    let ended = with(HEEDS_NO_OPTION, &["-t", "1", "echo one; sleep 3; echo two"]).status(0);
    assert_eq!(String::from_utf8_lossy(&ended.stdout), "h1: one\nh1: two\n");
}

#[test]
fn a_failure_of_ssh_is_detected_by_its_status() {
    let ended = with(HEEDS_NO_OPTION, &["echo no such luck >&2; exit 255"]).status(3);
    assert_eq!(ended.stderr, "mrsh: 1 failed: h1: ssh: no such luck\n");
    // ssh itself writes nothing on standard output.
    let ended = with(HEEDS_NO_OPTION, &["echo out; exit 255"]).status(1);
    assert_eq!(String::from_utf8_lossy(&ended.stdout), "h1: out\n");
    assert!(
        ended.stderr.contains("mrsh: 1 failed: h1: exit 255\n"),
        "{}",
        ended.stderr
    );
    let ended = with(RUNS_LOCAL_COMMAND, &["echo out; exit 255"]).status(1);
    assert_eq!(String::from_utf8_lossy(&ended.stdout), "h1: out\n");
    assert_eq!(ended.stderr, "mrsh: 1 failed: h1: exit 255\n");
}

#[test]
fn a_user_that_a_shell_could_obey_is_an_error_before_ssh_runs() {
    let folder = tempfile::tempdir().unwrap();
    let mark = folder.path().join("mark");
    let script = format!("touch {}\n{HEEDS_NO_OPTION}", mark.display());
    let refused = |args: &[&str], who: &str| {
        let ended = with(&script, args).status(2);
        let words = format!("mrsh: cannot use the remote user {who}, and a shell may read it\n");
        assert_eq!(ended.stderr, words);
        assert!(!Path::new(&mark).exists());
    };
    refused(&["-l", "a;id", "true"], r#""a;id" of h1: it contains ';'"#);
    refused(&["--user=-x", "true"], r#""-x" of h1: it begins with '-'"#);
    refused(
        &["-w", "root@h2,a\\@h[3-4]", "true"],
        r#""a\\" of a\@h3,a\@h4: it ends with a backslash"#,
    );
    let hosts = folder.path().join("hosts");
    std::fs::write(&hosts, "n1\nn2 user='$(id)'\n").unwrap();
    let file = hosts.display().to_string();
    refused(
        &["-f", &file, "true"],
        r#""'$(id)'" of n2: it contains '\''"#,
    );
}
