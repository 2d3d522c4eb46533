//! Completion in the three shells, each with the script that the program prints for it.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use crate::support::{Mrsh, lacks};

/// A home directory with groups, profiles, known hosts, and a file `some.hosts`. Its `bin` has the program.
fn home(shell: &str) -> tempfile::TempDir {
    let home = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &[u8]| {
        let path = home.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    write(
        ".config/mrsh/config.toml",
        b"[groups]\nxcompute = \"xnode[1-2]\"\nall = \"xnode[1-2]\"\n[profile.xprod]\njobs = 3\n[profile.xweb]\njobs = 4\n",
    );
    write(
        ".ssh/known_hosts",
        b"xknown,192.0.2.1 ssh-ed25519 A\n|1|a|b ssh-rsa A\n",
    );
    write("some.hosts", b"n1\n");
    write("xdir/file", b"");
    fs::create_dir(home.path().join("bin")).unwrap();
    symlink(env!("CARGO_BIN_EXE_mrsh"), home.path().join("bin/mrsh")).unwrap();
    let script = Mrsh::new().args(&["--generate", shell]).run();
    assert_eq!(script.status, Some(0), "{}", script.stderr);
    // zsh looks for a file with this name. The other shells accept any name.
    write("_mrsh", &script.stdout);
    home
}

/// Command lines, each with its last word after the completion; empty if there is no completion.
const LINES: [(&str, &str); 15] = [
    ("mrsh -g xcom", "xcompute"),
    ("mrsh --group=xcom", "--group=xcompute"),
    ("mrsh -w @xcom", "@xcompute"),
    ("mrsh -w n1,@xcom", "n1,@xcompute"),
    ("mrsh -w root@xkn", "root@xknown"),
    ("mrsh -w xkn", "xknown"),
    ("mrsh -P xpr", "xprod"),
    ("mrsh --batc", "--batch"),
    ("mrsh --batch some", ""),
    ("mrsh -P some", ""),
    ("mrsh -f some", "some.hosts"),
    ("mrsh --hosts-file=some", "--hosts-file=some.hosts"),
    // The words of COMMAND are completed by the shell.
    ("mrsh -w n1 cat some", "some.hosts"),
    ("mrsh -w n1 cat --gath", ""),
    ("mrsh -w n1 unexpan", "unexpand"),
];

/// Returns the text that a script of a shell prints in the home directory.
fn printed(home: &Path, program: &str, args: &[&str]) -> String {
    let path = format!("{}/bin:/usr/bin:/bin", home.display());
    let output = Command::new(program)
        .args(args)
        .current_dir(home)
        .env_clear()
        .env("HOME", home)
        .env("PATH", path)
        .env("TERM", "dumb")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text + &String::from_utf8_lossy(&output.stderr)
}

#[test]
fn bash_shows_the_completions_of_the_program() {
    if lacks("bash") {
        return;
    }
    let home = home("bash");
    // Cuts the words as readline does, also at `=`, `:` and `@`, and prints the completed last word.
    let script = r#"
        source ./_mrsh
        complete -p mrsh
        for line; do
            read -ra COMP_WORDS <<<"$(sed 's/[=:@]/ & /g' <<<"$line")"
            COMP_CWORD=$((${#COMP_WORDS[@]} - 1)) COMP_LINE=$line COMP_POINT=${#line}
            current=${COMP_WORDS[-1]}
            COMPREPLY=()
            _mrsh mrsh "$current" ""
            word=${line##* }
            echo "[$line]${COMPREPLY:+${word%"$current"}}${COMPREPLY-}"
        done
    "#;
    let lines = LINES.map(|(line, _)| line);
    let args = [&["--norc", "-c", script, "bash"][..], &lines].concat();
    let printed = printed(home.path(), "bash", &args);
    let expected: String = LINES
        .iter()
        .map(|(line, word)| format!("[{line}]{word}\n"))
        .collect();
    assert_eq!(printed, format!("complete -F _mrsh mrsh\n{expected}"));
}

#[test]
fn bash_hands_the_command_to_its_own_completion() {
    if lacks("bash") {
        return;
    }
    let home = home("bash");
    let script = r#"
        source ./_mrsh
        _command_offset() { COMPREPLY=("offset $1"); }
        COMP_WORDS=(mrsh -w n1 root @ x ls -); COMP_LINE='mrsh -w n1 root@x ls -'
        COMP_CWORD=7
        _mrsh mrsh - ls
        echo "${COMPREPLY[@]}"
    "#;
    // readline cuts the first word of COMMAND into three.
    assert_eq!(
        printed(home.path(), "bash", &["--norc", "-c", script]),
        "offset 3\n"
    );
}

#[test]
fn fish_shows_the_completions_of_the_program() {
    if lacks("fish") {
        return;
    }
    let home = home("fish");
    let script = r#"
        source ./_mrsh
        for line in $argv
            set -l found (complete -C "$line" | string split -f 1 \t)
            echo "[$line]$found[1]"
        end
    "#;
    let lines = LINES.map(|(line, _)| line);
    let args = [&["--no-config", "-c", script][..], &lines].concat();
    let expected: String = LINES
        .iter()
        .map(|(line, word)| format!("[{line}]{word}\n"))
        .collect();
    assert_eq!(printed(home.path(), "fish", &args), expected);
}

#[test]
fn zsh_shows_the_completions_of_the_program() {
    if lacks("zsh") {
        return;
    }
    let home = home("zsh");
    // Runs a shell on a pseudo-terminal. Each line gets a TAB, and then a key that prints the completed line.
    let script = r#"
        zmodload zsh/zpty
        zpty shell zsh -f -i
        zpty -w shell 'PS1= PS2=; unsetopt beep; fpath=("$PWD" $fpath); autoload -Uz compinit; compinit -u -D
            show() { print -r -- "<<$BUFFER>>"; BUFFER= }
            zle -N show; bindkey "^X" show; bindkey "^I" complete-word; print "READ""Y"'
        zpty -r -m shell text '*READY*'
        for line; do
            zpty -w -n shell "$line"$'\t\x18'
            zpty -r -m shell text '*<<*>>*'
            print -r -- "[$line]${${text##*<<}%%>>*}"
        done
        zpty -d shell
    "#;
    let lines = LINES.map(|(line, _)| line);
    let args = [&["60", "zsh", "-f", "-c", script, "zsh"][..], &lines].concat();
    let printed = printed(home.path(), "timeout", &args);
    let shown: Vec<&str> = printed.lines().map(str::trim_end).collect();
    let expected = LINES.map(|(line, word)| match word {
        "" => format!("[{line}]{line}"),
        word => {
            let start = line.rsplit_once(' ').unwrap().0;
            format!("[{line}]{start} {word}")
        }
    });
    assert_eq!(shown, expected);
}

#[test]
fn completion_is_silent_about_errors() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("groups.conf"), "[broken\n").unwrap();
    let config = dir.path().join("config.toml");
    fs::write(&config, "jobs = [\n").unwrap();
    let config = config.to_str().unwrap();
    for words in [
        &["-g", ""][..],
        &["-w", "@x:"],
        &["-w", "zz"],
        &["--config", config, "-P", ""],
        &["-f", "/nowhere", "-g", "zz"],
    ] {
        let ended = Mrsh::new()
            .env("CLUSTERSHELL_CFGDIR", dir.path())
            .arg("--complete")
            .args(words)
            .run();
        assert_eq!(
            (ended.status, ended.stderr.as_str()),
            (Some(0), ""),
            "{words:?}"
        );
        assert_eq!(ended.stdout, b"words\n", "{words:?}");
    }
}
