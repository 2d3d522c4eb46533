//! Remarks that a person should read when the run has ended: each once, with the hosts that it is about.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

use super::known_hosts::folded;

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

#[cfg(test)]
mod tests {
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
}
