//! Programs that run a script, shells that receive it, and its arguments.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

use super::Scripts;
use crate::support::lacks;

#[test]
fn the_first_line_names_the_interpreter() {
    let scripts = Scripts::new();
    let mut table = vec![
        ("#!/bin/sh\necho \"sh $1\"\n", "sh a\n"),
        ("#!/bin/sh -e\nfalse\necho no\n", ""),
        (
            "#! /usr/bin/env\tbash\necho \"${BASH_VERSION:+bash} $1\"\n",
            "bash a\n",
        ),
        // Without a first line of that kind, as execvp(3) does it.
        ("echo \"plain $1\"\n", "plain a\n"),
        (
            "#!/usr/bin/awk -f\nBEGIN { print \"awk\", ARGV[1] }\n",
            "awk a\n",
        ),
    ];
    if !lacks("python3") {
        table.push((
            "#!/usr/bin/env -S python3 -u\nimport sys\nprint('python', sys.argv[1])\n",
            "python a\n",
        ));
    }
    for (content, expected) in table {
        let script = scripts.add("script", content);
        let path = std::env::var_os("PATH").unwrap();
        let ended = scripts.demo(&script).env("PATH", path).arg("a").run();
        let status = if expected.is_empty() { 1 } else { 0 };
        ended.status(status).stdout(expected);
    }
    scripts.nothing_left();
}

#[test]
fn a_program_runs_by_itself() {
    let scripts = Scripts::new();
    let program = std::fs::read("/bin/echo").unwrap();
    let script = scripts.add("echo", program);
    scripts
        .demo(&script)
        .args(&["--", "-n", "a", "b"])
        .run()
        .status(0)
        .stdout("a b\n");
    scripts.nothing_left();
}

#[test]
fn an_interpreter_that_a_host_lacks_is_named() {
    let scripts = Scripts::new();
    let script = scripts.add("x", "#!/usr/bin/no-such-interpreter\n");
    let ended = scripts.demo(&script).run().status(1).stdout("");
    ended.says(&[
        "mrsh: cannot run the script: its interpreter /usr/bin/no-such-interpreter does not exist or is not executable\n",
    ]);
    scripts.nothing_left();
}

#[test]
fn arguments_arrive_as_they_are() {
    let scripts = Scripts::new();
    let script = scripts.add("x", "#!/bin/sh\nprintf '<%s>\\n' \"$@\"\n");
    let words: [&[u8]; 7] = [
        b"a  b",
        b"it's \"so\"",
        b"",
        b"two\nlines\n",
        b"\xff\xfe\x81\x88",
        b"$HOME `id` \\n !! %h ~ *",
        b"--",
    ];
    let mut expected = Vec::new();
    for word in words {
        expected.extend([b"<", word, b">\n"].concat());
    }
    let call = words
        .iter()
        .fold(scripts.demo(&script).arg("--"), |call, word| {
            call.arg(OsString::from_vec(word.to_vec()))
        });
    call.run().status(0).stdout(&expected);
    // Long arguments are not part of the command line, which some daemons limit.
    let long = "x".repeat(100_000);
    let ended = scripts.demo(&script).arg(long.as_str()).run().status(0);
    ended.stdout(format!("<{long}>\n"));
    scripts.nothing_left();
}

#[test]
fn every_login_shell_and_every_shell_of_a_host_takes_a_script() {
    let scripts = Scripts::new();
    let script = scripts.add("x", "#!/bin/sh\necho \"$1\"\ncat\nexit 3\n");
    for shell in ["dash", "bash", "ksh", "zsh", "csh", "tcsh", "fish"] {
        if lacks(shell) {
            continue;
        }
        let ended = scripts.ssh(&script, shell).arg("it's $HOME!").run();
        ended.status(1).stdout("it's $HOME!\n");
    }
    for shell in ["dash", "bash", "ksh", "busybox sh"] {
        if lacks(shell.split(' ').next().unwrap()) {
            continue;
        }
        // The first word is /bin/sh.
        let code = format!("shift; exec {shell} \"$@\"");
        scripts
            .exec(&script, &[], &code)
            .run()
            .status(1)
            .stdout("\n");
    }
    scripts.nothing_left();
}

#[test]
fn a_host_without_mktemp_gets_a_directory_all_the_same() {
    let scripts = Scripts::new();
    let script = scripts.add("x", "#!/bin/sh\nls -ld \"${0%/*}\" | cut -c 1-10\n");
    let bin = scripts.path("posix");
    std::fs::create_dir(&bin).unwrap();
    for tool in ["chmod", "cut", "dd", "ls", "mkdir", "rm", "wc"] {
        std::os::unix::fs::symlink(format!("/bin/{tool}"), bin.join(tool)).unwrap();
    }
    let code = format!("PATH={}; export PATH; exec \"$@\"", bin.display());
    let ended = scripts.exec(&script, &[], &code).run().status(0);
    ended.stdout("drwx------\n").stderr("");
    scripts.nothing_left();
}
