//! Notices for the end of the run. Each is shown once, with the hosts that it is about.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

use super::known_hosts::folded;

/// Maximum number of notices; further ones are only counted.
const MAX_NOTICES: usize = 10;

/// Notices of a run.
#[derive(Debug, Default)]
pub(super) struct EndNotices(Mutex<BTreeMap<String, EndNotice>>);

#[derive(Debug, Default)]
struct EndNotice {
    /// Text for a single host.
    alone: String,
    hosts: BTreeSet<String>,
}

impl EndNotices {
    /// Adds a notice that is about no host.
    pub(super) fn add(&self, text: String) {
        self.entry(text, |_| {});
    }

    /// Adds a notice about a host. `common` is the text for all hosts with the same fault, `alone` the text if there
    /// is only this one.
    pub(super) fn add_for(&self, host: &str, common: String, alone: String) {
        self.entry(common, |notice| {
            if notice.hosts.is_empty() {
                notice.alone = alone;
            }
            notice.hosts.insert(host.to_owned());
        });
    }

    fn entry(&self, common: String, change: impl FnOnce(&mut EndNotice)) {
        let mut notices = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        change(notices.entry(common).or_default());
    }

    /// Returns all notices, sorted.
    pub(super) fn all(&self) -> Vec<String> {
        let notices = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let text = |(common, notice): (&String, &EndNotice)| match notice.hosts.len() {
            0 => common.clone(),
            1 => notice.alone.clone(),
            _ => {
                let hosts = folded(notice.hosts.iter().map(String::as_str));
                format!("{hosts}: {common}")
            }
        };
        let mut all: Vec<String> = notices.iter().take(MAX_NOTICES).map(text).collect();
        if let Some(more @ 1..) = notices.len().checked_sub(MAX_NOTICES) {
            all.push(format!("{more} more notices of this kind"));
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notices_of_many_hosts_are_folded() {
        let notices = EndNotices::default();
        for host in ["s2", "s10", "s1", "s2"] {
            notices.add_for(host, "no key".to_owned(), format!("{host} has no key"));
        }
        notices.add_for("t", "no door".to_owned(), "t has no door".to_owned());
        notices.add("plain".to_owned());
        notices.add("plain".to_owned());
        assert_eq!(
            notices.all(),
            ["t has no door", "s[1-2,10]: no key", "plain"]
        );
        for n in 0..20 {
            notices.add(format!("x{n:02}"));
        }
        let all = notices.all();
        assert_eq!((all.len(), &*all[10]), (11, "13 more notices of this kind"));
    }
}
