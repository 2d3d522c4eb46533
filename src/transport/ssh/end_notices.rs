//! Notices for the end of the run. Each is shown once, with the hosts that it is about.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use ssh_files::KnownHostsFile;

use crate::targets::fold;

/// Maximum length of a list of names in a message, in bytes.
const MAX_LIST: usize = 400;

/// A file that keeps nothing of what is written to it.
const NOWHERE: &str = "/dev/null";

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
        // A panic cannot leave the notices half changed, so a poisoned lock is usable.
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

/// Folds names of hosts in known_hosts files, `[name]:port` among them, for a message.
fn folded<'a>(names: impl Iterator<Item = &'a str>) -> String {
    // In the form of labels, names with one port fold.
    let labels = names.map(|name| {
        let split = name
            .strip_prefix('[')
            .and_then(|rest| rest.split_once("]:"));
        match split {
            Some((host, port)) if !host.contains(':') => format!("{host}:{port}").into(),
            _ => Cow::Borrowed(name),
        }
    });
    let labels: Vec<Cow<'_, str>> = labels.collect();
    let text = fold(labels.iter().map(|label| &**label));
    if text.len() <= MAX_LIST {
        return text;
    }
    // Cut at a comma, so that no name is shown in part.
    let end = text[..text.floor_char_boundary(MAX_LIST)]
        .rfind(',')
        .unwrap_or_default();
    format!("{},… ({} names)", &text[..end], labels.len())
}

/// Names the hosts that were added to a file in this run, folded, in the words of OpenSSH. Returns `None` if there are
/// none.
pub(super) fn additions(file: &KnownHostsFile) -> Option<String> {
    let added = file.added();
    let mut names: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (name, kind) in &added {
        names.entry(kind.word()).or_default().push(name);
    }
    if names.is_empty() {
        return None;
    }
    let named: Vec<String> = names
        .into_iter()
        .map(|(kind, names)| format!("{} ({kind})", folded(names.into_iter())))
        .collect();
    let named = named.join(", ");
    Some(if file.path() == Path::new(NOWHERE) {
        format!("accepted in this run and not remembered, because {NOWHERE} keeps no keys: {named}")
    } else {
        let path = file.path().display();
        format!("permanently added to the known hosts in {path}: {named}")
    })
}

#[cfg(test)]
mod tests {
    use ssh_files::{HostKey, HostNames};

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

    #[test]
    fn names_fold_in_messages() {
        let names = [
            "[s2]:2203",
            "s10",
            "s9",
            "[s1]:2203",
            "[2001:db8::1]:22",
            "10.0.0.1",
        ];
        assert_eq!(
            folded(names.into_iter()),
            "10.0.0.1,s[9-10],s[1-2]:2203,[2001:db8::1]:22"
        );
        let many: Vec<String> = (0..300).map(|n| format!("h{}", n * n)).collect();
        let text = folded(many.iter().map(String::as_str));
        assert!(
            text.len() < 430 && text.ends_with(",… (300 names)"),
            "{text}"
        );
    }

    #[test]
    fn added_hosts_are_folded() {
        let mut blob = b"\0\0\0\x0bssh-ed25519\0\0\0\x20".to_vec();
        blob.extend([1; 32]);
        let key = HostKey::parse(&blob).unwrap();
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("known_hosts");
        for (path, expected) in [
            (path.as_path(), "permanently added to the known hosts in"),
            (
                Path::new("/dev/null"),
                "accepted in this run and not remembered",
            ),
        ] {
            let file = KnownHostsFile::load(path).unwrap();
            assert_eq!(additions(&file), None);
            for (name, port) in [("a1", 22), ("a2", 22), ("b", 2222)] {
                let names = HostNames::new(name, port, None);
                file.append(&names, &key, false).unwrap();
            }
            let text = additions(&file).unwrap();
            assert!(text.starts_with(expected), "{text}");
            assert!(text.ends_with(": a[1-2],b:2222 (ED25519)"), "{text}");
        }
    }
}
