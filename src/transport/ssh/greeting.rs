//! Parser of a server's first text: the version line, or something else. No I/O.

/// Maximum length of the text before the version line, as in OpenSSH's client.
const MAX_BEFORE: usize = 8192;

/// Maximum length of a line in a message.
const MAX_SHOWN: usize = 120;

/// First text of a server, as far as it has come.
#[derive(Debug, Default)]
pub(super) struct Greeting {
    /// Current line, cut at the maximum length.
    line: Vec<u8>,
    /// First line before the version line.
    first: Option<String>,
    /// Version line, after it has come.
    version: Option<String>,
    seen: usize,
    failed: Option<OtherProtocol>,
}

/// Protocol of a server that does not speak ssh 2.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum OtherProtocol {
    /// ssh 1 only. Holds the version line.
    Version1(String),
    /// An unknown protocol. Holds its first text.
    Unknown(String),
}

impl Greeting {
    /// Takes the next bytes. Returns the number of bytes up to the end of the version line, or of all bytes if that
    /// has not come.
    pub(super) fn feed(&mut self, bytes: &[u8]) -> usize {
        for (index, &byte) in bytes.iter().enumerate() {
            if self.version.is_some() || self.failed.is_some() {
                return index;
            }
            self.seen += 1;
            if byte == b'\n' {
                self.end_line();
            } else if self.line.len() < MAX_SHOWN {
                self.line.push(byte);
            }
            // The line itself is cut, so the length of the whole text is counted apart.
            if self.seen > MAX_BEFORE && self.version.is_none() {
                self.failed = Some(OtherProtocol::Unknown(self.text_before_version()));
            }
        }
        bytes.len()
    }

    fn end_line(&mut self) {
        let text = shown(&self.line);
        self.line.clear();
        if let Some(version) = text.strip_prefix("SSH-") {
            // RFC 4253, section 5.1: 1.99 is a server that speaks both versions.
            if version.starts_with("2.") || version.starts_with("1.99-") {
                self.version = Some(text);
            } else {
                self.failed = Some(OtherProtocol::Version1(text));
            }
        } else if text.starts_with("HTTP/") {
            // A web server sends no version line after this, so the wait for it would last until the timeout.
            self.failed = Some(OtherProtocol::Unknown(text));
        } else if !text.is_empty() {
            // RFC 4253, section 4.2: other lines may come before the version line.
            self.first.get_or_insert(text);
        }
    }

    /// True if the version line has come or never will.
    pub(super) fn is_complete(&self) -> bool {
        self.version.is_some() || self.failed.is_some()
    }

    pub(super) fn failed(&self) -> Option<&OtherProtocol> {
        self.failed.as_ref()
    }

    /// Returns the text before the version line, on one line; empty if there was none.
    pub(super) fn text_before_version(&self) -> String {
        match &self.first {
            Some(first) => first.clone(),
            None if self.version.is_none() => shown(&self.line),
            None => String::new(),
        }
    }
}

/// Returns bytes as printable text on one line.
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
        assert_eq!(whole.text_before_version(), cut.text_before_version());
        whole
    }

    #[test]
    fn servers_of_ssh_2_are_recognised() {
        for line in ["SSH-2.0-OpenSSH_9.2p1 Debian-2", "SSH-1.99-Cisco-1.25"] {
            let greeting = greeted(format!("{line}\r\n\0\0\x05garbage\n").as_bytes());
            assert_eq!(greeting.version.as_deref(), Some(line));
            assert!(greeting.is_complete() && greeting.failed().is_none());
        }
        let after_words = greeted(b"Welcome\r\nto this\r\nSSH-2.0-x\r\n");
        assert!(after_words.is_complete());
        assert_eq!(after_words.text_before_version(), "Welcome");
    }

    #[test]
    fn other_protocols_are_refused() {
        let old = greeted(b"SSH-1.5-OpenSSH_2.3\n");
        assert_eq!(
            old.failed(),
            Some(&OtherProtocol::Version1("SSH-1.5-OpenSSH_2.3".to_owned()))
        );
        let http = greeted(b"HTTP/1.1 400 Bad Request\r\n");
        assert_eq!(
            http.failed(),
            Some(&OtherProtocol::Unknown(
                "HTTP/1.1 400 Bad Request".to_owned()
            ))
        );
        let endless = greeted(&[b'x'; MAX_BEFORE + 1]);
        assert_eq!(
            endless.failed(),
            Some(&OtherProtocol::Unknown("x".repeat(MAX_SHOWN)))
        );
        let busy = greeted(b"Exceeded MaxStartups\r\n");
        assert!(!busy.is_complete());
        assert_eq!(busy.text_before_version(), "Exceeded MaxStartups");
        assert_eq!(
            greeted(b"\x1b[31mred").text_before_version(),
            "\\x1b[31mred"
        );
        assert_eq!(greeted(b"").text_before_version(), "");
    }
}
