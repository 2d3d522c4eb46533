//! Format of the BSD remote-shell protocol: the request, and the daemon's answer. No I/O.
//!
//! No RFC defines rsh. rshd(8) and the BSD sources are the specification. All data from the network is bounded here.

/// Returns a request: the port of the listener for standard error (0 for none), the local user's name, the remote
/// user's name and the command, each with a final NUL. Daemons read it byte by byte, so it is sent in one write.
///
/// None of the fields may contain NUL. The plan has checked that.
#[must_use]
pub fn request(stderr_port: u16, local_user: &str, remote_user: &str, command: &[u8]) -> Vec<u8> {
    let port = stderr_port.to_string();
    let mut bytes =
        Vec::with_capacity(port.len() + local_user.len() + remote_user.len() + command.len() + 4);
    for part in [
        port.as_bytes(),
        local_user.as_bytes(),
        remote_user.as_bytes(),
        command,
    ] {
        bytes.extend_from_slice(part);
        bytes.push(0);
    }
    bytes
}

/// Splits a request after the port and its NUL. A daemon calls back when it has read that first field.
#[must_use]
pub fn split(request: &[u8]) -> (&[u8], &[u8]) {
    let end = request.iter().position(|&byte| byte == 0);
    request.split_at(end.map_or(request.len(), |at| at + 1))
}

/// Meaning of the first byte of the daemon's answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// The daemon accepts, and the streams follow. rsh-redone sends this before it has checked the user.
    Accepted,
    /// The daemon refuses, and a text follows.
    Refused,
    /// The server is no rshd. The byte is the first of its text.
    Other,
}

impl Status {
    /// Classifies the first byte.
    #[must_use]
    pub fn of(byte: u8) -> Self {
        match byte {
            0 => Status::Accepted,
            1 => Status::Refused,
            _ => Status::Other,
        }
    }
}

/// Maximum length of a refusal text in bytes. The texts of known daemons are shorter than 200 bytes.
const MAX_REFUSAL: usize = 1024;

/// Refusal text that is still arriving.
#[derive(Debug, Default)]
pub struct RefusalText {
    bytes: Vec<u8>,
    complete: bool,
}

impl RefusalText {
    /// Takes the next bytes. The text ends at its newline or at the maximum length.
    pub fn push(&mut self, bytes: &[u8]) {
        for piece in bytes.split_inclusive(|&byte| byte == b'\n') {
            if self.complete {
                return;
            }
            let line = piece.strip_suffix(b"\n");
            self.bytes.extend_from_slice(line.unwrap_or(piece));
            self.complete = line.is_some() && !self.bytes.trim_ascii().is_empty();
            if self.bytes.len() >= MAX_REFUSAL {
                self.bytes.truncate(MAX_REFUSAL);
                self.complete = true;
            }
        }
    }

    /// True if the rest need not be read.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.complete
    }

    /// Returns the text as one printable line, with a substitute for an empty text.
    #[must_use]
    pub fn into_line(self) -> String {
        let text = String::from_utf8_lossy(&self.bytes);
        match text.trim() {
            "" => "the daemon gave no reason".to_owned(),
            text => text.chars().map(printable).collect(),
        }
    }
}

fn printable(c: char) -> char {
    match c {
        '\t' => ' ',
        c if c.is_control() => char::REPLACEMENT_CHARACTER,
        c => c,
    }
}

/// True if a refusal is temporary: netkit and inetutils could not fork, or a name service could not resolve the
/// client's address. The protocol has no code for that, so the text is the only source.
#[must_use]
pub fn is_temporary(refusal: &str) -> bool {
    let refusal = refusal.to_ascii_lowercase();
    ["try again", "temporary failure"]
        .iter()
        .any(|words| refusal.contains(words))
}

/// Texts of `pam_strerror` for denials. rsh-redone sends "accepted" first, then writes one of these and a newline as
/// the command's *output*.
const PAM_DENIALS: [&str; 12] = [
    "Authentication failure",
    "Permission denied",
    "Authentication service cannot retrieve authentication info",
    "Authentication information cannot be recovered",
    "User not known to the underlying authentication module",
    "User account has expired",
    "Insufficient credentials to access authentication data",
    "Have exhausted maximum number of retries for service",
    "Authentication token is no longer valid; new one required",
    "Authentication token expired",
    "Cannot make/remove an entry for the specified session",
    "System error",
];

/// Classification of a session's output from its first byte on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutputStart {
    /// Output of a command.
    Output,
    /// Too short to classify.
    Unclear,
    /// A whole refusal. It is one only if nothing follows, not even an end marker.
    Denial(&'static str),
}

/// Classifies `output`, which is everything after the "accepted" byte.
#[must_use]
pub fn classify_start(output: &[u8]) -> OutputStart {
    let whole = |denial: &&&str| output.strip_suffix(b"\n") == Some(denial.as_bytes());
    if let Some(denial) = PAM_DENIALS.iter().find(whole) {
        return OutputStart::Denial(denial);
    }
    if PAM_DENIALS
        .iter()
        .any(|denial| denial.as_bytes().starts_with(output))
    {
        OutputStart::Unclear
    } else {
        OutputStart::Output
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn writes_the_request_as_rshd_reads_it() {
        assert_eq!(
            request(1013, "ann", "root", b"uptime"),
            b"1013\0ann\0root\0uptime\0"
        );
        assert_eq!(request(0, "a", "b", b""), b"0\0a\0b\0\0");
    }

    #[test]
    fn takes_refusals_in_every_form_that_daemons_use() {
        let line = |pieces: &[&[u8]]| {
            let mut text = RefusalText::default();
            pieces.iter().for_each(|p| text.push(p));
            text.into_line()
        };
        assert_eq!(line(&[b"Permission denied.\n"]), "Permission denied.");
        assert_eq!(line(&[b"Login incorrect."]), "Login incorrect.");
        assert_eq!(
            line(&[b"Perm", b"ission denied\r\nmore"]),
            "Permission denied"
        );
        assert_eq!(line(&[b"\n", b"late\n"]), "late");
        assert_eq!(line(&[b"\n\nlate\nmore\n"]), "late", "however it is cut");
        assert_eq!(line(&[]), "the daemon gave no reason");
        assert_eq!(
            line(&[b"\x1b[2Jgone\x00\xff\n"]),
            "\u{fffd}[2Jgone\u{fffd}\u{fffd}"
        );
    }

    #[test]
    fn only_temporary_refusals_are_recognised() {
        for text in [
            "Can't fork; try again.",
            "Try again.",
            "getnameinfo: Temporary failure in name resolution",
        ] {
            assert!(is_temporary(text), "{text}");
        }
        for text in ["Permission denied.", "Logins currently disabled.", ""] {
            assert!(!is_temporary(text), "{text}");
        }
    }

    #[test]
    fn a_late_denial_is_the_whole_output() {
        let denial = OutputStart::Denial("Authentication failure");
        assert_eq!(classify_start(b"Authentication failure\n"), denial);
        assert_eq!(
            classify_start(b"Authentication failure"),
            OutputStart::Unclear
        );
        assert_eq!(classify_start(b""), OutputStart::Unclear);
        assert_eq!(classify_start(b"A\n"), OutputStart::Output);
        assert_eq!(
            classify_start(b"Authentication failure\n\n"),
            OutputStart::Output
        );
    }

    proptest! {
        #[test]
        fn refusal_text_is_bounded_for_every_input(pieces in prop::collection::vec(any::<Vec<u8>>(), 0..50)) {
            let mut text = RefusalText::default();
            for piece in &pieces {
                text.push(piece);
                prop_assert!(text.bytes.len() <= MAX_REFUSAL);
            }
            let line = text.into_line();
            prop_assert!(!line.is_empty() && !line.contains(|c: char| c.is_control()));
        }
    }
}
