//! `--sudo` and its password: wrong command lines, and hosts that do not follow the dialogue, with scripts in the place
//! of `ssh`. Real programs are in tests/lab/cases/sudo and sudo_rsh.

use std::os::unix::fs::PermissionsExt;

use tempfile::TempDir;

use crate::support::{Ended, Mrsh};

const PASSWORD: &str = "open sesame";

#[test]
fn wrong_options_are_errors_before_any_connection() {
    for (args, message) in [
        (
            &["-R", "ssh", "--sudo=a;b", "-w", "h1"][..],
            "as the user of --sudo",
        ),
        (
            &["-R", "ssh", "--sudo=", "-w", "h1"],
            "as the user of --sudo",
        ),
        (
            &["-R", "ssh", "--sudo=-s", "-w", "h1"],
            "as the user of --sudo",
        ),
        (
            &["-R", "ssh", "--sudo-password-fd", "0", "-w", "h1"],
            "without sudo",
        ),
        (
            &["-R", "ssh", "--sudo", "--sudo-password=same", "-w", "h1"],
            "no password of a login",
        ),
        (
            &[
                "-R",
                "openssh",
                "--sudo",
                "--sudo-password=same",
                "-w",
                "h1",
            ],
            "no password of a login",
        ),
        (
            &["-R", "ssh", "--sudo", "--sudo-password=other", "-w", "h1"],
            "invalid value 'other'",
        ),
        (
            &[
                "-R",
                "ssh",
                "--sudo",
                "--sudo-password",
                "--sudo-password-fd",
                "5",
                "-w",
                "h1",
            ],
            "cannot be used with",
        ),
        (
            &[
                "-R",
                "ssh",
                "--become",
                "doas",
                "--sudo-password-fd",
                "0",
                "-w",
                "h1",
            ],
            "cannot give doas a password",
        ),
        (
            &[
                "-R",
                "ssh",
                "--become",
                "su",
                "--sudo-password-fd",
                "0",
                "-w",
                "h1",
            ],
            "cannot give su a password",
        ),
        (
            &["-R", "ssh", "--become", "runas", "-w", "h1"],
            "invalid value 'runas'",
        ),
        (
            &["-R", "exec", "--sudo", "-w", "h1"],
            "cannot use sudo with exec",
        ),
        (
            &["-R", "ssh", "--sudo", "--raw", "-w", "h1"],
            "cannot use sudo with --raw",
        ),
        (
            &["--sudo", "--sudo-password-fd", "0", "-w", "h1"],
            "over rsh",
        ),
        (
            &[
                "-w",
                "ssh://h1,rsh://h2",
                "--sudo",
                "--sudo-password-fd",
                "0",
            ],
            "over rsh",
        ),
        (
            &["-R", "ssh", "--sudo", "--sudo-password-fd", "0", "-w", "h1"],
            "cannot read the password for sudo",
        ),
        (&["--tty", "-w", "h1"], "cannot give a terminal"),
        (
            &["-R", "exec", "--tty", "-w", "h1"],
            "cannot give a terminal",
        ),
        (
            &["-R", "ssh", "--tty", "-i", "-w", "h1"],
            "cannot send input to a command with a terminal",
        ),
    ] {
        let ended = Mrsh::new()
            .env("HOME", "/")
            .args(args)
            .arg("true")
            .run()
            .status(2);
        assert!(ended.stderr.contains(message), "{args:?}: {}", ended.stderr);
        assert!(!ended.stderr.contains("panicked"), "{}", ended.stderr);
    }
}

/// Runs a command as root with this script in the place of `ssh`, with its sudo password. Returns the end, and what the
/// script has written to the file `$GOT`.
fn with(script: &str, args: &[&str]) -> (Ended, String) {
    let folder: TempDir = tempfile::tempdir().unwrap();
    let file = folder.path().join("ssh");
    let login = "for w;do case $w in LocalCommand=*) sh -c \"${w#LocalCommand=}\";; esac;done\n\
                 for w;do :;done; line=$w\n";
    std::fs::write(&file, format!("#!/bin/sh\n{login}{script}")).unwrap();
    std::fs::set_permissions(&file, PermissionsExt::from_mode(0o755)).unwrap();
    let got = folder.path().join("got");
    let password = folder.path().join("password");
    std::fs::write(&password, format!("{PASSWORD}\n")).unwrap();
    let ended = Mrsh::new()
        .env("PATH", format!("{}:/usr/bin:/bin", folder.path().display()))
        .env("GOT", got.clone())
        .after(format!("exec 5<{}", password.display()))
        .args(&["-R", "openssh", "--sudo", "--sudo-password-fd", "5"])
        .args(args)
        .run();
    (ended, std::fs::read_to_string(&got).unwrap_or_default())
}

#[test]
fn a_host_that_shows_a_prompt_of_its_own_gets_no_password() {
    for prompt in ["[sudo] password for root: ", "Password: ", "$line"] {
        let script = format!("printf '%s' \"{prompt}\" >&2; timeout 20 cat >\"$GOT\"; exit 1");
        let (ended, got) = with(&script, &["-w", "h1", "-t", "2", "--json", "id"]);
        let ended = ended.status(3);
        let out = String::from_utf8_lossy(&ended.stdout);
        assert!(
            out.contains("\"class\":\"connect-timeout\""),
            "{prompt}: {out}"
        );
        assert!(out.contains("\"phase\":\"become\""), "{prompt}: {out}");
        assert_eq!(got, "", "{prompt}");
    }
}

#[test]
fn a_host_that_prints_without_end_is_given_up() {
    let script = "yes >&2";
    let (ended, got) = with(script, &["-w", "h1", "--json", "id"]);
    let out = String::from_utf8_lossy(&ended.status(3).stdout).into_owned();
    assert!(out.contains("\"class\":\"become\""), "{out}");
    assert_eq!(got, "");
}

/// Prints the prompt token of the command line. The first part is a variable there, and the second one is beside its use.
const PROMPT: &str = "prompt() { printf %s \"$line\" | sed -n 's/.*p=\\([0-9a-f]*\\);.*\"${p}\\([0-9a-f]*\\)\".*/\\1\\2/p' | \
                      tr -d '\\n' >&2; }\n";

#[test]
fn a_wrong_password_ends_the_run_before_any_other_command() {
    let script = format!(
        "{PROMPT}echo host >>\"$GOT\"; prompt; IFS= read -r word; echo \"$word\" >>\"$GOT\"; prompt; read -r word; \
         echo \"$word\" >>\"$GOT\"; exit 1"
    );
    let (ended, got) = with(&script, &["-w", "h[1-20]", "-j", "5", "id"]);
    let ended = ended.status(2);
    assert!(
        ended.stderr.contains("sudo refused the password"),
        "{}",
        ended.stderr
    );
    // One host got the password once, and then the end of its input.
    assert_eq!(got.trim_end(), format!("host\n{PASSWORD}"));
    assert!(!ended.stderr.contains(PASSWORD), "{}", ended.stderr);
}

#[test]
fn two_prompts_at_once_get_no_password() {
    let script = format!("{PROMPT}prompt; prompt; timeout 20 cat >\"$GOT\"; exit 1");
    let (ended, got) = with(&script, &["-w", "h1", "-t", "5", "--json", "id"]);
    let out = String::from_utf8_lossy(&ended.stdout).into_owned();
    // The two may arrive apart. Then the first one is answered, and the second one is a refusal.
    let is_refusal = out.contains("\"class\":\"become-password\"");
    assert!(is_refusal || out.contains("\"class\":\"become\""), "{out}");
    assert!(is_refusal || got.is_empty(), "{got}");
}
