//! What a server says before it speaks ssh: the line with its version, or something else. No I/O.

/// The most that may come before the line with the version, as OpenSSH's client has it.
const MAX_BEFORE: usize = 8192;

/// What of a line is kept for a message.
const SHOWN: usize = 120;

/// A server's first words, as far as they have come.
#[derive(Debug, Default)]
pub(super) struct Greeting {
    /// The line at hand, up to what is worth keeping.
    line: Vec<u8>,
    /// The first line that was not the version.
    first: Option<String>,
    /// The version, once it has come.
    version: Option<String>,
    seen: usize,
    failed: Option<NoServer>,
}

/// Why no ssh server is at the other end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum NoServer {
    /// It speaks only the protocol before this one.
    Old(String),
    /// It speaks something else.
    Stranger(String),
}

impl Greeting {
    /// Takes in what came, cut anywhere. Returns the number of bytes up to the end of the version line, or of all
    /// bytes if that has not come.
    pub(super) fn feed(&mut self, bytes: &[u8]) -> usize {
        for (index, &byte) in bytes.iter().enumerate() {
            if self.version.is_some() || self.failed.is_some() {
                return index;
            }
            self.seen += 1;
            if byte == b'\n' {
                self.end_line();
            } else if self.line.len() < SHOWN {
                self.line.push(byte);
            }
            if self.seen > MAX_BEFORE && self.version.is_none() {
                self.failed = Some(NoServer::Stranger(self.words()));
            }
        }
        bytes.len()
    }

    fn end_line(&mut self) {
        let text = shown(&self.line);
        self.line.clear();
        if let Some(version) = text.strip_prefix("SSH-") {
            if version.starts_with("2.") || version.starts_with("1.99-") {
                self.version = Some(text);
            } else {
                self.failed = Some(NoServer::Old(text));
            }
        } else if text.starts_with("HTTP/") {
            self.failed = Some(NoServer::Stranger(text));
        } else if !text.is_empty() {
            self.first.get_or_insert(text);
        }
    }

    /// Whether the version has come, or never will.
    pub(super) fn is_complete(&self) -> bool {
        self.version.is_some() || self.failed.is_some()
    }

    pub(super) fn failed(&self) -> Option<&NoServer> {
        self.failed.as_ref()
    }

    /// What came instead of a version, on one line; empty if nothing did.
    pub(super) fn words(&self) -> String {
        match &self.first {
            Some(first) => first.clone(),
            None if self.version.is_none() => shown(&self.line),
            None => String::new(),
        }
    }
}

/// Bytes as text on one line, with what is not printable escaped.
fn shown(line: &[u8]) -> String {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    line.escape_ascii().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn greeted(bytes: &[u8]) -> Greeting {
        let mut whole = Greeting::default();
        whole.feed(bytes);
        let mut cut = Greeting::default();
        for byte in bytes {
            cut.feed(&[*byte]);
        }
        assert_eq!(whole.version, cut.version);
        assert_eq!(whole.failed, cut.failed);
        assert_eq!(whole.words(), cut.words());
        whole
    }

    #[test]
    fn servers_of_this_protocol() {
        for line in ["SSH-2.0-OpenSSH_9.2p1 Debian-2", "SSH-1.99-Cisco-1.25"] {
            let greeting = greeted(format!("{line}\r\n\0\0\x05garbage\n").as_bytes());
            assert_eq!(greeting.version.as_deref(), Some(line));
            assert!(greeting.is_complete() && greeting.failed().is_none());
        }
        let after_words = greeted(b"Welcome\r\nto this\r\nSSH-2.0-x\r\n");
        assert!(after_words.is_complete());
        assert_eq!(after_words.words(), "Welcome");
    }

    #[test]
    fn others() {
        let old = greeted(b"SSH-1.5-OpenSSH_2.3\n");
        assert_eq!(
            old.failed(),
            Some(&NoServer::Old("SSH-1.5-OpenSSH_2.3".to_owned()))
        );
        let http = greeted(b"HTTP/1.1 400 Bad Request\r\n");
        assert_eq!(
            http.failed(),
            Some(&NoServer::Stranger("HTTP/1.1 400 Bad Request".to_owned()))
        );
        let endless = greeted(&[b'x'; MAX_BEFORE + 1]);
        assert_eq!(
            endless.failed(),
            Some(&NoServer::Stranger("x".repeat(SHOWN)))
        );
        let busy = greeted(b"Exceeded MaxStartups\r\n");
        assert!(!busy.is_complete());
        assert_eq!(busy.words(), "Exceeded MaxStartups");
        assert_eq!(greeted(b"\x1b[31mred").words(), "\\x1b[31mred");
        assert_eq!(greeted(b"").words(), "");
    }
}
