//! Ansible inventories as one source of groups. A group that several inventories have is all hosts of each.

use std::path::PathBuf;
use std::sync::Arc;

use super::{GroupError, INVENTORY, Source};
use crate::targets::inventory::Inventory;
use crate::targets::{GroupDefinition, HostList, Options};

/// Inventories, each with its path.
#[derive(Default)]
pub(super) struct Inventories(pub(super) Vec<(PathBuf, Inventory)>);

impl Source for Inventories {
    fn name(&self) -> &str {
        INVENTORY
    }

    fn lookup(&self, group: &str) -> Result<Option<GroupDefinition>, GroupError> {
        let mut found: Option<HostList> = None;
        for (_, inventory) in &self.0 {
            if let Some(hosts) = inventory.hosts(group).map_err(GroupError::Failed)? {
                let list = found.get_or_insert_default();
                // The builder of targets learns from the mark that a group of the inventory was named.
                list.mark();
                list.push_list(hosts, Options::default());
            }
        }
        Ok(found.map(|list| GroupDefinition::Hosts(Arc::new(list))))
    }

    fn all(&self) -> Result<Option<GroupDefinition>, GroupError> {
        self.lookup("all")
    }

    fn list(&self) -> Result<Option<Vec<String>>, GroupError> {
        let groups = self.0.iter().map(|(_, inventory)| inventory.group_names());
        Ok(Some(groups.flatten().collect()))
    }
}
