//! Groups as a table of names and definitions: mrsh's own, and ClusterShell's YAML files.

use std::collections::BTreeMap;

use super::{GroupError, Source};

/// The name of the group of all hosts.
pub(super) const ALL: &str = "all";

/// A source whose groups are all known. The group `all`, if there is one, names all hosts.
pub(super) struct Table {
    name: String,
    groups: BTreeMap<String, String>,
}

impl Table {
    pub(super) fn new(name: &str, groups: BTreeMap<String, String>) -> Table {
        Table {
            name: name.to_owned(),
            groups,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.groups.is_empty()
    }
}

impl Source for Table {
    fn name(&self) -> &str {
        &self.name
    }

    fn lookup(&self, group: &str) -> Result<Option<String>, GroupError> {
        Ok(self.groups.get(group).cloned())
    }

    fn all(&self) -> Result<Option<String>, GroupError> {
        self.lookup(ALL)
    }

    fn list(&self) -> Result<Option<Vec<String>>, GroupError> {
        Ok(Some(self.groups.keys().cloned().collect()))
    }
}
