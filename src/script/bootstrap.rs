//! What a target gets: the command, and the first bytes of standard input.

use super::{ScriptFile, ScriptRun};

/// The command for the login shell. It takes one line of standard input as code.
// read(1) of POSIX takes no byte after the newline, and reports a line that the end of the input has cut. Each shell
// must read this text in the same way, and it is in quotes of another command over rsh, so it has no backslash and no
// exclamation mark. A host that cannot run the line must not look like one on which the script succeeded.
pub const COMMAND: &str = "exec /bin/sh -c 'read -r mrsh_x&&eval \"$mrsh_x\";exit 126' sh";

/// The code that receives the script, one statement or part of one on each line.
const CODE: &str = include_str!("bootstrap.sh");

/// Returns the words of the same command for a program that runs words and not a line of shell (`-R exec`).
#[must_use]
pub fn exec_words() -> [&'static str; 4] {
    [
        "/bin/sh",
        "-c",
        "read -r mrsh_x&&eval \"$mrsh_x\";exit 126",
        "sh",
    ]
}

/// A script and its settings.
pub(super) struct Bootstrap<'a> {
    pub(super) script: &'a ScriptFile,
    pub(super) run: &'a ScriptRun<'a>,
}

/// Returns the line of code and the script.
pub(super) fn input_of(bootstrap: &Bootstrap<'_>) -> Vec<u8> {
    let Bootstrap { script, run } = bootstrap;
    let mut line = format!("mrsh_n={};mrsh_k={};", script.content.len(), run.token).into_bytes();
    let interpreter = script.interpreter();
    push_value(b"mrsh_f", &script.name, &mut line);
    push_value(b"mrsh_t", run.directory.unwrap_or_default(), &mut line);
    let path = interpreter.map_or(&[][..], |interpreter| &interpreter.path);
    push_value(b"mrsh_i", path, &mut line);
    for argument in &run.arguments {
        push_value(b"mrsh_x", argument, &mut line);
        // The positional parameters are the only list that a POSIX shell has.
        line.extend_from_slice(b"set -- \"$@\" \"$mrsh_x\";");
    }
    let argument = interpreter.and_then(|interpreter| interpreter.argument.as_deref());
    push_value(b"mrsh_x", argument.unwrap_or_default(), &mut line);
    // The code becomes one line, in which a comment would hide all that follows.
    for part in CODE.lines().filter(|part| !part.starts_with('#')) {
        line.extend_from_slice(part.as_bytes());
        line.push(b' ');
    }
    line.extend_from_slice(
        start(interpreter.is_some(), argument.is_some(), run.reads_input).as_bytes(),
    );
    line.push(b'\n');
    line.extend_from_slice(&script.content);
    line
}

/// Returns the end of the code, which starts the script.
fn start(has_interpreter: bool, has_argument: bool, reads_input: bool) -> String {
    let interpreter = if has_interpreter { "\"$mrsh_i\" " } else { "" };
    let argument = if has_argument { "\"$mrsh_x\" " } else { "" };
    let input = if reads_input { "" } else { " </dev/null" };
    // The variable and the status are set at once: a signal before the script has started must not end in status 0. ksh
    // has statuses above 255 for signals.
    format!(
        "mrsh_r=$(echo 1;exit 143); {interpreter}{argument}\"$mrsh_f\" \"$@\"{input}; mrsh_s=$?; \
         [ \"$mrsh_s\" -le 255 ] || mrsh_s=$((mrsh_s-128)); exit \"$mrsh_s\""
    )
}

/// Appends an assignment. The code is one line of printable ASCII: `read` ends at a newline, and the shells differ in
/// other bytes.
fn push_value(name: &[u8], value: &[u8], line: &mut Vec<u8>) {
    line.extend_from_slice(name);
    if value.iter().all(|byte| matches!(byte, b' '..=b'~')) {
        line.push(b'=');
        line.extend_from_slice(&quoted(value));
        line.push(b';');
        return;
    }
    // The point keeps newlines at the end, which a substitution removes.
    line.extend_from_slice(b"=$(printf %b. '");
    for &byte in value {
        match byte {
            b'\'' | b'\\' | 0..=0x1f | 0x7f.. => {
                // `printf %b` takes `\0` and up to three octal digits (POSIX, printf).
                line.extend_from_slice(format!("\\0{byte:03o}").as_bytes());
            }
            _ => line.push(byte),
        }
    }
    line.extend_from_slice(b"');");
    line.extend_from_slice(name);
    line.extend_from_slice(b"=${");
    line.extend_from_slice(name);
    line.extend_from_slice(b"%.};");
}

/// Returns text in single quotes of a POSIX shell.
fn quoted(text: &[u8]) -> Vec<u8> {
    let mut quoted = vec![b'\''];
    for &byte in text {
        match byte {
            // POSIX has no escape within single quotes, so the quotes end before this byte and begin again.
            b'\'' => quoted.extend_from_slice(b"'\\''"),
            _ => quoted.push(byte),
        }
    }
    quoted.push(b'\'');
    quoted
}

/// Returns a word as reports show it: in quotes if a shell would not take it as it is.
#[must_use]
pub fn shown_word(word: &[u8]) -> Vec<u8> {
    let is_plain =
        |byte: &u8| byte.is_ascii_alphanumeric() || b"%+,-./:=@_".contains(byte) || *byte >= 0x80;
    if !word.is_empty() && word.iter().all(is_plain) {
        word.to_vec()
    } else {
        quoted(word)
    }
}
