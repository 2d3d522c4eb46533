//! Tests on a real terminal, which script(1) makes. The test program runs itself as the child.

use std::io::{Read, Write};
use std::process::{Command, Stdio};

use super::*;

/// Environment variable of the child. Its value is the prompt or the descriptor.
const CHILD: &str = "MRSH_TEST_ASKS";

/// Asks and prints the result. The screen then shows if the answer was echoed.
fn act_as_child(prompt: &str) {
    let said = match Terminal.ask(prompt) {
        Ok(secret) => format!("got {:?}", String::from_utf8_lossy(secret.bytes()).len()),
        Err(error) => format!("error: {error}"),
    };
    println!("\n{said}");
}

fn this_test(name: &str) -> String {
    let program = std::env::current_exe().unwrap();
    format!(
        "{} --exact --nocapture transport::ssh::prompt::tests::{name}",
        program.display()
    )
}

/// Returns true and prints a message if there is no script(1), which makes terminals. In CI that
/// is a failure.
fn lacks_script() -> bool {
    let lacks = Command::new("script").arg("--version").output().is_err();
    if lacks {
        assert!(
            std::env::var_os("CI").is_none_or(|ci| ci != "true"),
            "script is not installed"
        );
        eprintln!("SKIPPED: script is not installed");
    }
    lacks
}

/// Types these keys when the prompt is on the screen. Returns everything that was on the screen.
fn screen(name: &str, keys: &[u8]) -> String {
    let text = format!("{}; stty -a", this_test(name));
    let mut child = Command::new("timeout")
        .args(["60", "script", "-qec", &text, "/dev/null"])
        .env(CHILD, "Say it: ")
        .env("SHELL", "/bin/sh")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    let mut output = child.stdout.take().unwrap();
    let mut shown = Vec::new();
    let mut typed = false;
    let mut buffer = [0; 4096];
    while let Ok(n @ 1..) = output.read(&mut buffer) {
        shown.extend_from_slice(&buffer[..n]);
        if !typed && memchr::memmem::find(&shown, b"Say it: ").is_some() {
            input.write_all(keys).unwrap();
            typed = true;
        }
    }
    drop(input);
    child.wait().unwrap();
    String::from_utf8_lossy(&shown).into_owned()
}

#[test]
fn a_typed_secret_is_not_shown() {
    if let Some(prompt) = std::env::var_os(CHILD) {
        return act_as_child(&prompt.to_string_lossy());
    }
    if lacks_script() {
        return;
    }
    let name = "a_typed_secret_is_not_shown";
    for (keys, said) in [
        (&b"sesame\r"[..], "got 6"),
        (b"sesame\n", "got 6"),
        // ä has two bytes, and one DEL deletes it.
        ("sesam\u{e4}\x7fe\r".as_bytes(), "got 6"),
        (b"sesame\x15ses\r", "got 3"),
        (b"\r", "got 0"),
        (b"sesame\x03", "error: interrupted"),
        (b"\x04", "error: the question was not answered"),
    ] {
        let shown = screen(name, keys);
        assert!(shown.contains(said), "{keys:?}: {shown}");
        assert!(!shown.contains("ses"), "{keys:?}: {shown}");
        // The terminal's modes are restored: stty marks a mode that is off with a dash.
        for mode in ["echo ", "icanon ", "isig "] {
            let on = shown.contains(mode) && !shown.contains(&format!("-{mode}"));
            assert!(on, "{keys:?} {mode}: {shown}");
        }
    }
    let mut long = vec![b'x'; 1100];
    long.push(b'\r');
    let shown = screen(name, &long);
    assert!(
        shown.contains("error: it is longer than 1024 bytes"),
        "{shown}"
    );
}

#[test]
fn without_a_terminal_there_is_no_prompt() {
    if let Some(prompt) = std::env::var_os(CHILD) {
        return act_as_child(&prompt.to_string_lossy());
    }
    let name = this_test("without_a_terminal_there_is_no_prompt");
    let output = Command::new("setsid")
        .arg("--wait")
        .args(name.split(' '))
        .env(CHILD, "Say it: ")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let shown = String::from_utf8_lossy(&output.stdout);
    assert!(
        shown.contains("error: there is no terminal to ask on"),
        "{shown}"
    );
    assert!(!shown.contains("Say it"), "{shown}");
}

#[test]
fn a_password_is_read_from_a_descriptor_and_no_byte_more() {
    if let Some(fd) = std::env::var_os(CHILD) {
        let fd = fd.to_string_lossy().parse().unwrap();
        let said = match from_descriptor(fd) {
            Ok(secret) => String::from_utf8_lossy(secret.bytes()).into_owned(),
            Err(error) => error.to_string(),
        };
        println!("\nsays {said}");
        let mut rest = String::new();
        io::stdin().read_to_string(&mut rest).unwrap();
        println!("\nleaves {rest}");
        return;
    }
    let name = this_test("a_password_is_read_from_a_descriptor_and_no_byte_more");
    for (fd, way, said, left) in [
        ("0", "printf 'sesame\\nrest' |", "sesame", "rest"),
        ("0", "printf 'sesame\\r\\nrest' >f; <f", "sesame", "rest"),
        ("3", "printf 'sesame' | 3<&0 </dev/null", "sesame", ""),
        ("3", "printf 'sesame\\n' >f; 3<f </dev/null", "sesame", ""),
        (
            "3",
            "3</dev/null </dev/null",
            "file descriptor 3 has no line with the password",
            "",
        ),
        (
            "3",
            "3<&- </dev/null",
            "file descriptor 3: No such file or directory (os error 2)",
            "",
        ),
        (
            "0",
            "head -c 2000 /dev/zero |",
            "it is longer than 1024 bytes",
            "\0",
        ),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let output = Command::new("sh")
            .args(["-c", &format!("{way} {name}")])
            .current_dir(folder.path())
            .env(CHILD, fd)
            .output()
            .unwrap();
        let shown = String::from_utf8_lossy(&output.stdout);
        assert!(
            shown.contains(&format!("\nsays {said}\n")),
            "{way}: {shown}"
        );
        assert!(
            shown.contains(&format!("\nleaves {left}")),
            "{way}: {shown}"
        );
    }
}

#[test]
fn the_debug_form_of_a_secret_hides_it() {
    assert_eq!(format!("{:?}", Secret(b"sesame".to_vec().into())), "Secret");
}
