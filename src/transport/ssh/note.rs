//! Notices about files before a run.

use ssh_files::{FileNotice, FileNoticeKind};

/// A notice for the user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// True if the notice is shown only with `-v`.
    pub verbose: bool,
    /// A line of text.
    pub text: String,
}

impl From<&FileNotice> for Note {
    fn from(notice: &FileNotice) -> Note {
        let text = &notice.text;
        Note {
            verbose: notice.is_detail,
            text: match notice.kind {
                FileNoticeKind::UnsupportedKey => {
                    format!("{text}; -R openssh has ssh itself use it")
                }
                FileNoticeKind::SecurityKey => format!("{text}, or use -R openssh"),
                _ => text.clone(),
            },
        }
    }
}
