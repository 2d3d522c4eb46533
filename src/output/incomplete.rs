//! The files of `-o` and `-e` that lack output, since a write failed.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::RunInfo;
use super::file_places::FilesSpec;
use crate::event::Stream;
use crate::targets::TargetId;
use crate::targets::fold;

/// Targets with incomplete files, shared by the reporters of one run.
#[derive(Clone, Debug, Default)]
pub(super) struct Incomplete(Arc<Mutex<IncompleteLists>>);

#[derive(Debug, Default)]
struct IncompleteLists {
    output: BTreeSet<TargetId>,
    errors: BTreeSet<TargetId>,
}

impl IncompleteLists {
    fn list(&self, stream: Stream) -> &BTreeSet<TargetId> {
        match stream {
            Stream::Stdout => &self.output,
            Stream::Stderr => &self.errors,
        }
    }
}

impl Incomplete {
    pub(super) fn add(&self, target: TargetId, stream: Stream) {
        let mut lists = self.lists();
        match stream {
            Stream::Stdout => lists.output.insert(target),
            Stream::Stderr => lists.errors.insert(target),
        };
    }

    pub(super) fn contains(&self, target: TargetId, stream: Stream) -> bool {
        self.lists().list(stream).contains(&target)
    }

    /// Returns the targets with an incomplete file, in order.
    pub(super) fn targets(&self) -> BTreeSet<TargetId> {
        let lists = self.lists();
        lists.output.union(&lists.errors).copied().collect()
    }

    /// Describes the files: `the files of n[1-3] in out are incomplete`.
    pub(super) fn words(&self, spec: &FilesSpec, info: &RunInfo) -> String {
        let lists = self.lists();
        let mut parts = Vec::new();
        for stream in [Stream::Stdout, Stream::Stderr] {
            let list = lists.list(stream);
            if let Some(place) = spec.place(stream).filter(|_| !list.is_empty()) {
                parts.push(format!("of {} in {}", folded(list, info), place.display()));
            }
        }
        let parts = parts.join(" and ");
        match lists.output.len() + lists.errors.len() {
            1 => format!("the file {parts} is incomplete"),
            _ => format!("the files {parts} are incomplete"),
        }
    }

    /// Returns the list of incomplete files as comments for a hosts file, one comment for each option (`-o`, `-e`).
    pub(super) fn comments(&self, info: &RunInfo) -> Vec<String> {
        let lists = self.lists();
        let lists = [("-o", &lists.output), ("-e", &lists.errors)];
        let lists = lists.into_iter().filter(|(_, list)| !list.is_empty());
        lists
            .map(|(option, list)| format!("# incomplete files of {option}: {}", folded(list, info)))
            .collect()
    }

    fn lists(&self) -> MutexGuard<'_, IncompleteLists> {
        // Every change is complete in itself, so a panic elsewhere leaves the lists valid.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn folded(list: &BTreeSet<TargetId>, info: &RunInfo) -> String {
    fold(list.iter().map(|id| info.label(*id)))
}
