//! Remarks that a person should read when the run has ended: each once, with the hosts that it is about.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use ssh_files::KnownHostsFile;

use crate::targets::fold;

/// Maximum length of a list of names in a message, in bytes.
const LONGEST_LIST: usize = 400;

/// The file that forgets what is written to it.
const NOWHERE: &str = "/dev/null";

/// Remarks beyond this number are counted only.
const MOST_REMARKS: usize = 10;

/// The remarks of a run.
#[derive(Debug, Default)]
pub(super) struct Remarks(Mutex<BTreeMap<String, Remark>>);

#[derive(Debug, Default)]
struct Remark {
    /// The remark if it is about one host alone.
    alone: String,
    hosts: BTreeSet<String>,
}

impl Remarks {
    /// Adds a remark about no host.
    pub(super) fn add(&self, text: String) {
        self.entry(text, |_| {});
    }

    /// Adds a remark about a host: `common` is what it says of all hosts with the same fault, `alone` what it says of
    /// this one if there is no other.
    pub(super) fn add_for(&self, host: &str, common: String, alone: String) {
        self.entry(common, |remark| {
            if remark.hosts.is_empty() {
                remark.alone = alone;
            }
            remark.hosts.insert(host.to_owned());
        });
    }

    fn entry(&self, common: String, change: impl FnOnce(&mut Remark)) {
        let mut remarks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        change(remarks.entry(common).or_default());
    }

    /// Returns all remarks, sorted.
    pub(super) fn all(&self) -> Vec<String> {
        let remarks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let text = |(common, remark): (&String, &Remark)| match remark.hosts.len() {
            0 => common.clone(),
            1 => remark.alone.clone(),
            _ => {
                let hosts = folded(remark.hosts.iter().map(String::as_str));
                format!("{hosts}: {common}")
            }
        };
        let mut all: Vec<String> = remarks.iter().take(MOST_REMARKS).map(text).collect();
        if let Some(more @ 1..) = remarks.len().checked_sub(MOST_REMARKS) {
            all.push(format!("{more} more remarks of this kind"));
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
    if text.len() <= LONGEST_LIST {
        return text;
    }
    let end = text[..text.floor_char_boundary(LONGEST_LIST)]
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
        format!("accepted in this run and not remembered, for {NOWHERE} keeps no keys: {named}")
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
    fn remarks_of_many_hosts_are_folded() {
        let remarks = Remarks::default();
        for host in ["s2", "s10", "s1", "s2"] {
            remarks.add_for(host, "no key".to_owned(), format!("{host} has no key"));
        }
        remarks.add_for("t", "no door".to_owned(), "t has no door".to_owned());
        remarks.add("plain".to_owned());
        remarks.add("plain".to_owned());
        assert_eq!(
            remarks.all(),
            ["t has no door", "s[1-2,10]: no key", "plain"]
        );
        for n in 0..20 {
            remarks.add(format!("x{n:02}"));
        }
        let all = remarks.all();
        assert_eq!((all.len(), &*all[10]), (11, "13 more remarks of this kind"));
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
