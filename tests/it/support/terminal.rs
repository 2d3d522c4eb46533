//! The program under test on a pseudo-terminal, which script(1) makes.

use std::io::{Read, Write};
use std::process::{Command, Stdio};

/// Runs shell text, in which `mrsh` is the program under test with `--demo`, on a terminal of 80 columns. Types
/// each text when the screen has had the one before it. Returns the exit status and everything that was on the screen.
pub(crate) fn on_a_terminal(text: &str, typing: &[(&str, &str)]) -> (Option<i32>, String) {
    let setup = format!(
        "mrsh() {{ {} --demo \"$@\"; }}; stty cols 80 rows 50; {text}",
        env!("CARGO_BIN_EXE_mrsh")
    );
    let mut child = Command::new("timeout")
        .args(["100", "script", "-qec", &setup, "/dev/null"])
        .env_clear()
        .envs([
            ("PATH", "/usr/bin:/bin"),
            ("TERM", "xterm"),
            ("SHELL", "/bin/sh"),
        ])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("script(1) is installed");
    let mut keys = child.stdin.take().expect("the stream is piped");
    let mut screen = child.stdout.take().expect("the stream is piped");
    let mut typing = typing.iter();
    let mut next = typing.next();
    let mut shown = Vec::new();
    let mut seen = 0;
    let mut buffer = [0; 4096];
    while let Ok(n @ 1..) = screen.read(&mut buffer) {
        shown.extend_from_slice(&buffer[..n]);
        while let Some((after, what)) = next
            && let Some(at) = memchr::memmem::find(&shown[seen..], after.as_bytes())
        {
            seen += at + after.len();
            keys.write_all(what.as_bytes())
                .expect("script(1) reads its input");
            next = typing.next();
        }
    }
    drop(keys);
    let status = child
        .wait()
        .expect("the process is a child of the test")
        .code();
    (
        status,
        String::from_utf8(shown).expect("the screen has text"),
    )
}
