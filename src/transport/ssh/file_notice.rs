//! Notices about the user's ssh files, before a run.

use ssh_files::{FileNotice, FileNoticeKind};

use crate::event::Notice;

impl From<&FileNotice> for Notice {
    fn from(notice: &FileNotice) -> Notice {
        let text = &notice.text;
        Notice {
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
