//! The newer format of inventories: groups with `hosts`, `vars` and `children`.

use super::connection::VariablePlace;
use super::pattern::{expand, split_port};
use super::{Inventory, Variables};
use crate::targets::groups::{YamlEntry, YamlNode, parse_yaml};

/// Maximum depth of groups in groups.
// The reader is recursive.
const MAX_DEPTH: usize = 50;

/// Reads the text into the inventory.
pub(super) fn read(
    inventory: &mut Inventory,
    text: &str,
    file: &str,
    limit: usize,
) -> Result<(), String> {
    let tree = parse_yaml(text)?;
    let mut reader = InventoryReader {
        inventory,
        file,
        limit,
        visits: 0,
    };
    match &*tree {
        YamlNode::Null => Ok(()),
        YamlNode::Map(groups) => {
            for group in groups {
                reader.group(&group.key, &group.value, 0)?;
            }
            Ok(())
        }
        _ => Err("expected groups: \"all: {hosts: …, children: …}\"".into()),
    }
}

struct InventoryReader<'a> {
    inventory: &'a mut Inventory,
    file: &'a str,
    limit: usize,
    /// Number of groups that were read.
    // With aliases, a small file can expand to a large tree.
    visits: usize,
}

impl InventoryReader<'_> {
    fn group(&mut self, name: &str, node: &YamlNode, depth: usize) -> Result<(), String> {
        self.visits += 1;
        if depth > MAX_DEPTH || self.visits > self.limit {
            return Err(format!("group {name}: too many groups in groups"));
        }
        self.inventory.group(name);
        let YamlNode::Map(entries) = node else {
            return match node {
                YamlNode::Null => Ok(()),
                _ => Err(format!("group {name}: expected hosts, vars and children")),
            };
        };
        for YamlEntry { key, line, value } in entries {
            match (key.as_str(), &**value) {
                ("hosts" | "vars" | "children", YamlNode::Null) => {}
                ("hosts", YamlNode::Map(hosts)) => {
                    for host in hosts {
                        self.hosts(name, &host.key, host.line, &host.value)
                            .map_err(|message| format!("group {name}: {message}"))?;
                    }
                }
                // Ansible also accepts one host without a mapping, although its manual does not say so.
                ("hosts", YamlNode::Text(pattern)) => {
                    self.hosts(name, pattern, *line, &YamlNode::Null)?
                }
                ("vars", vars) => {
                    let own = &mut self.inventory.group(name).variables;
                    set(own, vars, self.file)
                        .map_err(|message| format!("group {name}: {message}"))?;
                }
                ("children", YamlNode::Map(children)) => {
                    for child in children {
                        let group = self.inventory.group(name);
                        group.children.push(child.key.clone());
                        self.group(&child.key, &child.value, depth + 1)?;
                    }
                }
                _ => {
                    let message = format!("group {name}: {key} is not what an inventory has here");
                    return Err(message);
                }
            }
        }
        Ok(())
    }

    /// Adds the hosts of a pattern, which is in this line.
    fn hosts(
        &mut self,
        group: &str,
        pattern: &str,
        line: usize,
        variables: &YamlNode,
    ) -> Result<(), String> {
        let place = VariablePlace {
            file: self.file,
            line,
        };
        let (pattern, port) = split_port(pattern);
        for name in expand(pattern, self.limit)? {
            let position = self.inventory.host(&name, self.limit)?;
            let own = &mut self.inventory.hosts[position].variables;
            if let Some(port) = port {
                own.set("ansible_port", port, place)?;
            }
            set(own, variables, self.file).map_err(|message| format!("{name}: {message}"))?;
            self.inventory.group(group).hosts.push(position);
        }
        Ok(())
    }
}

/// Sets the variables of a mapping. None that is a list or a mapping is about connections.
pub(super) fn set(variables: &mut Variables, node: &YamlNode, file: &str) -> Result<(), String> {
    let YamlNode::Map(entries) = node else {
        return match node {
            YamlNode::Null => Ok(()),
            _ => Err("expected variables".into()),
        };
    };
    for YamlEntry { key, line, value } in entries {
        let place = VariablePlace { file, line: *line };
        match &**value {
            YamlNode::Text(value) => variables.set(key, value, place)?,
            YamlNode::Null => variables.set_other(key, true),
            YamlNode::List(_) | YamlNode::Map(_) => variables.set_other(key, false),
        }
    }
    Ok(())
}
