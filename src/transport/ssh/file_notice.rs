//! Notices about the user's ssh files, before a run.

use ssh_files::{FileNotice, FileNoticeKind};

/// A notice about a file or setting of the user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetupNotice {
    /// True if it is shown only with `-v`.
    pub verbose: bool,
    /// Text, one line.
    pub text: String,
}

impl From<&FileNotice> for SetupNotice {
    fn from(notice: &FileNotice) -> SetupNotice {
        let text = &notice.text;
        SetupNotice {
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
