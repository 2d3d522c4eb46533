//! Groups as a table of names and definitions: mrsh's own, and ClusterShell's YAML files.

use std::collections::BTreeMap;

use super::{GroupError, Source};
use crate::targets::GroupDefinition;

/// The name of the group of all hosts.
pub(super) const ALL: &str = "all";

/// A source that holds all its groups. The group `all`, if it exists, has all hosts.
pub(super) struct GroupTable {
    name: String,
    groups: BTreeMap<String, GroupDefinition>,
}

impl GroupTable {
    pub(super) fn new(name: &str, groups: BTreeMap<String, GroupDefinition>) -> GroupTable {
        GroupTable {
            name: name.to_owned(),
            groups,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.groups.is_empty()
    }
}

impl Source for GroupTable {
    fn name(&self) -> &str {
        &self.name
    }

    fn lookup(&self, group: &str) -> Result<Option<GroupDefinition>, GroupError> {
        Ok(self.groups.get(group).cloned())
    }

    fn all(&self) -> Result<Option<GroupDefinition>, GroupError> {
        self.lookup(ALL)
    }

    fn list(&self) -> Result<Option<Vec<String>>, GroupError> {
        Ok(Some(self.groups.keys().cloned().collect()))
    }
}
