//! The bytes of the BSD remote-shell protocol, without I/O: the request, and the daemon's answer.
//!
//! No RFC defines rsh; rshd(8) and the BSD sources are the specification. Everything that comes from
//! the network is bounded here.

/// The request: the port of the listener for standard error (0 for none), the caller's name, the
/// remote user's name and the command, each ended by NUL. The daemons read it byte by byte, so it goes
/// out in one write.
///
/// None of the parts may contain NUL; the plan has seen to that.
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

/// The port with its NUL, and the rest of a request. A daemon calls back when it has read the first part.
#[must_use]
pub fn split(request: &[u8]) -> (&[u8], &[u8]) {
    let end = request.iter().position(|&byte| byte == 0);
    request.split_at(end.map_or(request.len(), |at| at + 1))
}

/// What the first byte of the daemon's answer says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// The daemon accepts; the streams follow. rsh-redone says so before it has checked anyone.
    Accepted,
    /// The daemon refuses; a text follows.
    Refused,
    /// No rshd: the byte belongs to whatever it says instead.
    Other,
}

impl Status {
    /// Reads the first byte.
    #[must_use]
    pub fn of(byte: u8) -> Self {
        match byte {
            0 => Status::Accepted,
            1 => Status::Refused,
            _ => Status::Other,
        }
    }
}

/// The longest refusal text that is kept; daemons' own are below 200 bytes.
const MAX_TEXT: usize = 1024;

/// A refusal text as it arrives.
#[derive(Debug, Default)]
pub struct RefusalText {
    bytes: Vec<u8>,
    complete: bool,
}

impl RefusalText {
    /// Takes the next bytes. The text ends at its newline, or where it grows too long.
    pub fn push(&mut self, bytes: &[u8]) {
        for piece in bytes.split_inclusive(|&byte| byte == b'\n') {
            if self.complete {
                return;
            }
            let line = piece.strip_suffix(b"\n");
            self.bytes.extend_from_slice(line.unwrap_or(piece));
            self.complete = line.is_some() && !self.bytes.trim_ascii().is_empty();
            if self.bytes.len() >= MAX_TEXT {
                self.bytes.truncate(MAX_TEXT);
                self.complete = true;
            }
        }
    }

    /// True if nothing more of it is to be read.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.complete
    }

    /// The text as one printable line; words for an empty one.
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

/// Whether a refusal is one that may pass: the words of netkit's and inetutils' daemons that could not
/// fork, and of a name service that could not tell who calls.
#[must_use]
pub fn is_temporary(refusal: &str) -> bool {
    let refusal = refusal.to_ascii_lowercase();
    ["try again", "temporary failure"]
        .iter()
        .any(|words| refusal.contains(words))
}

/// What PAM's `pam_strerror` says when it denies: rsh-redone writes one of these, and a newline, as the
/// command's *output*, after the byte that says "accepted".
const DENIALS: [&str; 12] = [
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

/// What the output of a session, from its first byte, may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Beginning {
    /// A command's output.
    Output,
    /// Too short to tell.
    Unclear,
    /// All of a late refusal: if nothing follows, not even an end marker, it is one.
    Denial(&'static str),
}

/// Looks whether `output`, all that came after the "accepted" byte, is a refusal in disguise.
#[must_use]
pub fn beginning(output: &[u8]) -> Beginning {
    let whole = |denial: &&&str| output.strip_suffix(b"\n") == Some(denial.as_bytes());
    if let Some(denial) = DENIALS.iter().find(whole) {
        return Beginning::Denial(denial);
    }
    if DENIALS
        .iter()
        .any(|denial| denial.as_bytes().starts_with(output))
    {
        Beginning::Unclear
    } else {
        Beginning::Output
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
    fn only_what_may_pass_is_temporary() {
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
    fn a_late_denial_is_all_of_the_output_or_none() {
        let denial = Beginning::Denial("Authentication failure");
        assert_eq!(beginning(b"Authentication failure\n"), denial);
        assert_eq!(beginning(b"Authentication failure"), Beginning::Unclear);
        assert_eq!(beginning(b""), Beginning::Unclear);
        assert_eq!(beginning(b"A\n"), Beginning::Output);
        assert_eq!(beginning(b"Authentication failure\n\n"), Beginning::Output);
    }

    proptest! {
        #[test]
        fn refusal_text_is_bounded_whatever_comes(pieces in prop::collection::vec(any::<Vec<u8>>(), 0..50)) {
            let mut text = RefusalText::default();
            for piece in &pieces {
                text.push(piece);
                prop_assert!(text.bytes.len() <= MAX_TEXT);
            }
            let line = text.into_line();
            prop_assert!(!line.is_empty() && !line.contains(|c: char| c.is_control()));
        }
    }
}
