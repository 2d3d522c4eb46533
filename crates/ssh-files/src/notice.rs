//! Notices about files.

/// A notice about a file, for the user of a program.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FileNotice {
    /// Kind of the notice.
    pub kind: FileNoticeKind,
    /// True if the notice is a detail, for users who request more output.
    pub is_detail: bool,
    /// Text on one line.
    pub text: String,
}

/// Kind of a [`FileNotice`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FileNoticeKind {
    /// Any other notice.
    Other,
    /// A private key has a type or a form that is not supported. OpenSSH's own programs may support it.
    UnsupportedKey,
    /// A private key is in a security key, and no agent has it. OpenSSH's own programs can use it.
    SecurityKey,
}

impl FileNotice {
    pub(crate) fn new(is_detail: bool, text: String) -> FileNotice {
        FileNotice {
            kind: FileNoticeKind::Other,
            is_detail,
            text,
        }
    }
}
