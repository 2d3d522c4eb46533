//! The first line of a script.

use super::ScriptFault;

/// Maximum length of the first line, in bytes.
// Linux reads 256 bytes of a file to find its interpreter, and refuses one that is cut there.
pub(super) const MAX_LINE: usize = 255;

/// Start of a program in the format of Linux and most other systems.
const ELF: &[u8] = b"\x7fELF";

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// The program that interprets a script.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interpreter {
    /// Absolute path.
    pub path: Vec<u8>,
    /// The rest of the line, which is one argument on Linux.
    pub argument: Option<Vec<u8>>,
}

/// Returns the interpreter of a script; `None` for a program.
pub(super) fn interpreter(content: &[u8]) -> Result<Option<Interpreter>, ScriptFault> {
    if content.starts_with(ELF) {
        return Ok(None);
    }
    let end = memchr::memchr(b'\n', content).unwrap_or(content.len());
    let line = &content[..end];
    let text = line.strip_prefix(BYTE_ORDER_MARK).unwrap_or(line);
    let Some(rest) = text.strip_prefix(b"#!") else {
        // POSIX shells, too, take a file with NUL in its first line for a program.
        if line.contains(&0) {
            return Err(ScriptFault::Nul);
        }
        // execvp(3) gives a file without an interpreter to the shell.
        return Ok(Some(Interpreter {
            path: b"/bin/sh".to_vec(),
            argument: None,
        }));
    };
    // The kernel compares the first two bytes of the file with `#!`, and the mark comes first.
    if text.len() < line.len() {
        return Err(ScriptFault::ByteOrderMark);
    }
    if rest.ends_with(b"\r") {
        return Err(ScriptFault::CarriageReturn);
    }
    let is_blank = |byte: &u8| matches!(byte, b' ' | b'\t');
    let rest = trimmed(rest);
    let length = rest.iter().position(is_blank).unwrap_or(rest.len());
    let (path, argument) = rest.split_at(length);
    // The kernel takes a relative path too, but its meaning depends on the current directory.
    if !path.starts_with(b"/") || line.len() > MAX_LINE || line.contains(&0) {
        return Err(ScriptFault::Interpreter);
    }
    let argument = trimmed(argument);
    Ok(Some(Interpreter {
        path: path.to_vec(),
        argument: (!argument.is_empty()).then(|| argument.to_vec()),
    }))
}

/// Returns the text without blanks at both ends. The kernel knows no others than space and tab.
fn trimmed(mut text: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = text {
        text = rest;
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(content: &[u8]) -> Result<String, String> {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        match interpreter(content) {
            Ok(None) => Ok("itself".to_owned()),
            Ok(Some(Interpreter { path, argument })) => Ok(match argument {
                Some(argument) => format!("{}|{}", text(&path), text(&argument)),
                None => text(&path),
            }),
            Err(fault) => Err(fault.to_string()),
        }
    }

    #[test]
    fn the_interpreter_is_the_one_that_linux_takes() {
        for (content, expected) in [
            ("#!/bin/sh", "/bin/sh"),
            ("#! \t/bin/sh \t\necho", "/bin/sh"),
            (
                "#!/usr/bin/env -S python3 -u \n",
                "/usr/bin/env|-S python3 -u",
            ),
            ("#!/usr/bin/awk\t-f\n", "/usr/bin/awk|-f"),
            ("echo hi\n", "/bin/sh"),
            ("#comment\n", "/bin/sh"),
            ("\n#!/usr/bin/python3\n", "/bin/sh"),
            ("echo\n\0binary", "/bin/sh"),
            ("\x7fELF\0\0", "itself"),
        ] {
            assert_eq!(
                found(content.as_bytes()).as_deref(),
                Ok(expected),
                "{content:?}"
            );
        }
    }

    #[test]
    fn files_that_no_target_could_run_are_refused() {
        let no_interpreter =
            "its #! line has no interpreter with an absolute path, or more than 255 bytes";
        let long = [b"#!/".as_slice(), &[b'a'; 253]].concat();
        for (content, expected) in [
            (
                b"#!/bin/sh\r\necho\r\n".as_slice(),
                "its #! line ends in a carriage return",
            ),
            (b"#!/bin/sh\r", "its #! line ends in a carriage return"),
            (
                b"\xef\xbb\xbf#!/bin/sh\n",
                "it starts with a byte order mark",
            ),
            (b"#!python3\n", no_interpreter),
            (b"#!\n", no_interpreter),
            (b"#! \t", no_interpreter),
            (b"#!/bin/sh\0\n", no_interpreter),
            (&long, no_interpreter),
            (
                b"\0\x01\x02",
                "it is no script: its first line has a NUL byte",
            ),
        ] {
            assert_eq!(
                found(content),
                Err(expected.to_owned()),
                "{}",
                content.escape_ascii()
            );
        }
        assert!(found(&long[..255]).is_ok());
    }
}
