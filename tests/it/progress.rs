//! The progress bar on a pseudo-terminal, which script(1) makes.

use std::os::unix::fs::PermissionsExt;

use crate::support::{lacks, on_a_terminal};

/// Bytes with which the console removes the bar.
const ERASE: &str = "\r\x1b[J";

/// Shell text: runs `mrsh ARGS COMMAND` beside `meanwhile`, which decides when COMMAND may go on. COMMAND
/// waits for a file that `go_on` makes. `key` waits for a line to be typed.
fn with_waiting_command(
    folder: &tempfile::TempDir,
    args: &str,
    command: &str,
    meanwhile: &str,
) -> String {
    let file = folder.path().join("go_on");
    let file = file.to_str().expect("the path is UTF-8");
    format!(
        "stty -echo; key() {{ read -r line; }}; go_on() {{ : >{file}; }}; \
         mrsh {args} 'until test -e {file}; do sleep 0.05; done; {command}' & \
         {meanwhile}; wait $!"
    )
}

/// Returns the lines of a screen with 80 columns after it has shown this text.
fn screen(shown: &str) -> Vec<String> {
    let mut terminal = vt100::Parser::new(50, 80, 0);
    terminal.process(shown.as_bytes());
    let contents = terminal.screen().contents();
    contents
        .lines()
        .map(|line| line.trim_end().to_owned())
        .collect()
}

const TALK: &str = "for i in 1 2 3; do echo $i; sleep 0.4; echo e$i >&2; done";

#[test]
fn lines_and_bar_never_tear_and_the_bar_is_gone_at_the_end() {
    if lacks("script") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let text = with_waiting_command(&folder, "-w n[1-4]", TALK, "key; go_on");
    let (status, shown) = on_a_terminal(&text, &[("] 0/4 4 running", "\n")]);
    assert_eq!(status, Some(0), "{shown}");
    let mut expected: Vec<String> = (1..=4)
        .flat_map(|host| {
            (1..=3).flat_map(move |i| [format!("n{host}: {i}"), format!("n{host}: e{i}")])
        })
        .collect();
    let mut found = screen(&shown);
    let note = found.remove(0);
    assert!(note.starts_with("mrsh: demo: "), "{note}");
    found.sort();
    expected.sort();
    assert_eq!(found, expected, "{shown}");
}

#[test]
fn the_bar_of_a_copy_counts_bytes() {
    if lacks("script") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("source");
    // With its header in the archive, it is a little more than two megabytes for both hosts.
    std::fs::write(&source, vec![b'x'; 1 << 20]).unwrap();
    let arguments = format!(
        "--progress always -w n[1-2] --copy {} --dest {}/new",
        source.display(),
        folder.path().display()
    );
    // The command after the copy waits, so the bar stays at the end of the copy.
    let text = with_waiting_command(&folder, &arguments, "true", "key; go_on");
    let bar = "[============] 0/2 sent 2.00 of 2.00 MiB, 2 running";
    let (status, shown) = on_a_terminal(&text, &[(bar, "\n")]);
    assert_eq!(status, Some(0), "{shown}");
    assert!(shown.contains(bar), "{shown:?}");
    let left = screen(&shown);
    assert!(!left.iter().any(|line| line.contains("sent")), "{left:#?}");
}

#[test]
fn the_bar_of_a_fetch_counts_bytes() {
    if lacks("script") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().display();
    std::fs::write(folder.path().join("source"), vec![b'x'; 1 << 20]).unwrap();
    // The archive is complete, and its end waits, so the bar stays there.
    let tar = format!(
        "#!/bin/sh\n/bin/tar \"$@\"; s=$?\n\
         case $* in *-chf*) until test -e {path}/go_on; do sleep 0.05; done ;; esac\nexit $s\n"
    );
    std::fs::create_dir(folder.path().join("bin")).unwrap();
    let program = folder.path().join("bin/tar");
    std::fs::write(&program, tar).unwrap();
    std::fs::set_permissions(&program, PermissionsExt::from_mode(0o755)).unwrap();
    let text = format!(
        "stty -echo; {} -R exec --progress always -w n[1-2] --fetch {path}/source --dest {path}/out \
         -- env PATH={path}/bin:$PATH & read -r line; : >{path}/go_on; wait $!",
        env!("CARGO_BIN_EXE_mrsh")
    );
    let bar = "[============] 0/2 fetched 2.00 of 2.00 MiB, 2 running";
    let (status, shown) = on_a_terminal(&text, &[(bar, "\n")]);
    assert_eq!(status, Some(0), "{shown}");
    assert!(shown.contains(bar), "{shown:?}");
}

#[test]
fn a_narrower_terminal_gets_a_shorter_bar() {
    if lacks("script") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let text = with_waiting_command(
        &folder,
        "-q --progress always -w n[1-2]",
        "true",
        "key; stty cols 40; key; go_on",
    );
    let narrow = format!("{ERASE}0/2 2 running");
    let typing = [("] 0/2 2 running", "\n"), (&narrow, "\n")];
    let (status, shown) = on_a_terminal(&text, &typing);
    assert_eq!(status, Some(0), "{shown}");
    // The narrow bar replaces the wider one.
    let (_, bar) = shown
        .split_once(&narrow)
        .expect("the test has waited for this text");
    let (rest, _) = bar.split_once('\x1b').expect("the bar is removed");
    assert!("0/2 2 running".len() + rest.len() < 40, "{rest:?}");
    assert!(
        !screen(&shown).iter().any(|line| line.contains("/2 ")),
        "{shown}"
    );
}

#[test]
fn an_interrupt_prints_the_state_above_the_bar_and_two_stop_the_run() {
    if lacks("script") {
        return;
    }
    let typing = [("2 running", "\x03"), ("stops the run", "\x03")];
    let (status, shown) = on_a_terminal("mrsh -w n[1-2] 'exec sleep 60'", &typing);
    assert_eq!(status, Some(130), "{shown}");
    let lines = screen(&shown);
    assert!(
        lines
            .iter()
            .any(|line| line.starts_with("mrsh: 2 running: n[1-2]")),
        "{lines:#?}"
    );
    assert!(
        lines
            .iter()
            .any(|line| line.contains("mrsh: 2 failed: n[1-2]: interrupted")),
        "{lines:#?}"
    );
    assert!(
        !lines.iter().any(|line| line.contains("] 0/2")),
        "{lines:#?}"
    );
}

#[test]
fn there_is_no_bar_in_pipes_on_dumb_terminals_and_with_progress_never() {
    if lacks("script") {
        return;
    }
    let text = format!(
        "mrsh -w n1 '{TALK}' 2>&1 | cat; TERM=dumb mrsh -w n1 '{TALK}'; mrsh --progress never -w n1 '{TALK}'"
    );
    let (_, shown) = on_a_terminal(&text, &[]);
    assert!(
        !shown.contains("0/1") && !shown.contains(ERASE),
        "{shown:?}"
    );
}

#[test]
fn colours_are_for_terminals_and_for_color_always() {
    if lacks("script") {
        return;
    }
    const COLOURED: &str = "\x1b[94mn1:\x1b[0m out";
    const ERROR: &str = "\x1b[91mn1:\x1b[0m err";
    let run = "mrsh -q -w n1 'echo out; echo err >&2'";
    let shown = |text: &str| on_a_terminal(text, &[]).1;
    let both = shown(run);
    assert!(both.contains(COLOURED) && both.contains(ERROR), "{both:?}");
    // Each stream is checked separately.
    let piped = shown(&format!("{run} | cat"));
    assert!(
        piped.contains("n1: out") && piped.contains(ERROR),
        "{piped:?}"
    );
    for text in [
        format!("export NO_COLOR=1; {run}"),
        format!("export TERM=dumb; {run}"),
        run.replace("-q", "-q --color never"),
    ] {
        let plain = shown(&text);
        assert!(
            plain.contains("n1: out") && !plain.contains("\x1b["),
            "{text}: {plain:?}"
        );
    }
    let always = shown("mrsh -q --color always -w n1 'echo out' | cat");
    assert!(always.contains(COLOURED), "{always:?}");
    // An empty NO_COLOR has no effect (no-color.org).
    assert!(shown(&format!("export NO_COLOR=; {run}")).contains(COLOURED));
}
