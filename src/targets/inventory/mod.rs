//! Ansible's inventories as lists of targets: names, addresses, ports, users and groups.
//!
//! Used by the reader of hosts files for `-f inventory.yml`, and by [`Groups`](super::groups::Groups)
//! for its groups. Only the variables for connections are read: address, port, user, and those in `connection`. They may
//! also be in `host_vars` and `group_vars` beside the inventory. Only Ansible can fill in a template, so a template
//! in one of these variables is an error.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;

use super::{HostList, Options, Says};
use connection::{ConnectionVariables, VariablePlace};
use exported::ExportedVariables;

pub use connection::InventoryVariables;
pub use exported::InventoryValue;

mod connection;
mod exported;
mod ini;
mod pattern;
mod vars;
mod yaml;

#[cfg(test)]
mod tests;

/// The hosts and groups of an inventory.
#[derive(Debug, Default)]
pub struct Inventory {
    hosts: Vec<InventoryHost>,
    groups: BTreeMap<String, Group>,
    positions: HashMap<String, usize>,
    /// True if variables for commands are read.
    exports: bool,
}

#[derive(Debug)]
struct InventoryHost {
    name: String,
    variables: Variables,
    /// Variables of its file in `host_vars`.
    in_file: Variables,
}

#[derive(Debug, Default)]
struct Group {
    /// Positions in [`Inventory::hosts`].
    hosts: Vec<usize>,
    children: Vec<String>,
    variables: Variables,
    /// Variables of its file in `group_vars`.
    in_file: Variables,
}

/// Variables of one host or group.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Variables {
    host: Option<String>,
    port: Option<u16>,
    user: Option<String>,
    connection: ConnectionVariables,
    /// Variables for commands; absent if they are not read.
    exported: Option<ExportedVariables>,
}

impl Variables {
    /// Returns no variables. Those for commands are read if `exports` is true.
    fn new(exports: bool) -> Variables {
        Variables {
            exported: exports.then(ExportedVariables::default),
            ..Variables::default()
        }
    }

    /// Sets a variable of which only commands can make use: a list, a mapping or `null`.
    fn set_other(&mut self, name: &str, is_null: bool) {
        match &mut self.exported {
            Some(exported) if is_null => exported.set_null(name),
            Some(exported) => exported.set(name, None),
            None => {}
        }
    }

    /// Sets a variable. Variables that are not about connections are for commands.
    fn set(&mut self, name: &str, value: &str, place: VariablePlace<'_>) -> Result<(), String> {
        let counts = matches!(
            name,
            "ansible_host"
                | "ansible_ssh_host"
                | "ansible_port"
                | "ansible_ssh_port"
                | "ansible_user"
                | "ansible_ssh_user"
        );
        if counts && value.contains("{{") {
            return Err(format!(
                "{name} is a template, which only Ansible can fill in"
            ));
        }
        if let Some(exported) = &mut self.exported {
            exported.set(name, Some(value));
        }
        match name {
            "ansible_host" | "ansible_ssh_host" => self.host = Some(value.to_owned()),
            "ansible_user" | "ansible_ssh_user" => self.user = Some(value.to_owned()),
            "ansible_port" | "ansible_ssh_port" => match value.parse() {
                Ok(port) if port != 0 => self.port = Some(port),
                _ => return Err(format!("{value:?} is not a port number from 1 to 65535")),
            },
            _ => self.connection.set(name, value, place),
        }
        Ok(())
    }

    /// Returns these variables, with those of `other` where one is not set here.
    fn or(&self, other: &Variables) -> Variables {
        Variables {
            host: self.host.clone().or_else(|| other.host.clone()),
            port: self.port.or(other.port),
            user: self.user.clone().or_else(|| other.user.clone()),
            connection: self.connection.or(&other.connection),
            exported: match (&self.exported, &other.exported) {
                (Some(own), Some(others)) => Some(own.or(others)),
                (own, others) => own.clone().or_else(|| others.clone()),
            },
        }
    }
}

/// True if a file is an inventory: by the ending of its name, or by a line with a section's name.
pub(super) fn is_inventory(path: &Path, start: &str) -> bool {
    let ending = path.extension().map(|ending| ending.to_ascii_lowercase());
    if ending.is_some_and(|ending| ending == "ini" || ending == "yml" || ending == "yaml") {
        return true;
    }
    let lines = start.lines().map(str::trim);
    let mut meant = lines.filter(|line| !line.is_empty() && !line.starts_with(['#', ';']));
    // Brackets at the start of a line can also be a node set, with numbers or an address. A section has a name.
    meant.any(|line| {
        line.strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'))
            .is_some_and(|name| {
                name.starts_with(|c: char| c.is_ascii_alphabetic()) && !name.contains("::")
            })
    })
}

/// Reads an inventory of at most `limit` hosts, with the variables for commands if `exports` is true. The error names the
/// fault and the line.
pub(super) fn parse(
    path: &Path,
    text: &str,
    limit: usize,
    exports: bool,
) -> Result<Inventory, String> {
    let ending = path.extension().map(|ending| ending.to_ascii_lowercase());
    let mut inventory = Inventory {
        exports,
        ..Inventory::default()
    };
    let file = path.display().to_string();
    if ending.is_some_and(|ending| ending == "yml" || ending == "yaml") {
        yaml::read(&mut inventory, text, &file, limit)?;
    } else {
        ini::read(&mut inventory, text, &file, limit)?;
    }
    inventory.check_groups()?;
    vars::read(&mut inventory, path.parent().unwrap_or(Path::new("")))?;
    Ok(inventory)
}

impl Inventory {
    /// Returns the position of a host. Adds the host if it is new.
    fn host(&mut self, name: &str, limit: usize) -> Result<usize, String> {
        if let Some(&position) = self.positions.get(name) {
            return Ok(position);
        }
        if self.hosts.len() == limit {
            return Err(format!("more than {limit} hosts"));
        }
        address(name)?;
        self.positions.insert(name.to_owned(), self.hosts.len());
        self.hosts.push(InventoryHost {
            name: name.to_owned(),
            variables: Variables::new(self.exports),
            in_file: Variables::default(),
        });
        Ok(self.hosts.len() - 1)
    }

    fn group(&mut self, name: &str) -> &mut Group {
        let new = || Group {
            variables: Variables::new(self.exports),
            ..Group::default()
        };
        self.groups.entry(name.to_owned()).or_insert_with(new)
    }

    /// Refuses groups that contain each other.
    fn check_groups(&self) -> Result<(), String> {
        let mut done = BTreeSet::new();
        for name in self.groups.keys() {
            self.visit(name, &mut Vec::new(), &mut done)?;
        }
        Ok(())
    }

    fn visit<'a>(
        &'a self,
        name: &'a str,
        path: &mut Vec<&'a str>,
        done: &mut BTreeSet<&'a str>,
    ) -> Result<(), String> {
        const MAX_DEPTH: usize = 50;
        if let Some(start) = path.iter().position(|outer| *outer == name) {
            path.push(name);
            return Err(format!(
                "these groups contain each other: {}",
                path[start..].join(" → ")
            ));
        }
        if path.len() == MAX_DEPTH {
            return Err(format!("groups contain groups more than {MAX_DEPTH} deep"));
        }
        if done.contains(name) {
            return Ok(());
        }
        path.push(name);
        for child in self
            .groups
            .get(name)
            .into_iter()
            .flat_map(|group| &group.children)
        {
            self.visit(child, path, done)?;
        }
        path.pop();
        done.insert(name);
        Ok(())
    }

    /// Returns the names of the hosts.
    pub fn names(&self) -> impl ExactSizeIterator<Item = &str> {
        self.hosts.iter().map(|host| host.name.as_str())
    }

    /// Returns the names of the groups, with `all`.
    #[must_use]
    pub fn group_names(&self) -> Vec<String> {
        let mut names: Vec<String> = self.groups.keys().cloned().collect();
        if !self.groups.contains_key("all") {
            names.insert(0, "all".to_owned());
        }
        names
    }

    /// Returns the hosts of a group and of its child groups, in the order of the inventory; `None` if the group does not
    /// exist.
    pub fn hosts(&self, group: &str) -> Result<Option<Arc<HostList>>, String> {
        let mut members = BTreeSet::new();
        if group == "all" {
            members.extend(0..self.hosts.len());
        } else if self.groups.contains_key(group) {
            for name in self.below(group) {
                let group = self.groups.get(name);
                members.extend(group.into_iter().flat_map(|group| &group.hosts));
            }
        } else {
            return Ok(None);
        }
        // Ansible's order of precedence: host_vars, the host's line, group_vars, the groups' own variables.
        let in_files = self.group_variables(|group| &group.in_file);
        let in_inventory = self.group_variables(|group| &group.variables);
        let mut list = HostList::default();
        // Most hosts of an inventory have equal variables, so these are stored once.
        let mut shared: HashSet<Arc<InventoryVariables>> = HashSet::new();
        for position in members {
            let InventoryHost {
                name,
                variables: own,
                in_file,
            } = &self.hosts[position];
            let of_groups = in_files[position].or(&in_inventory[position]);
            let all = in_file.or(own).or(&of_groups);
            let mut called = None;
            if let Some(host) = &all.host {
                address(host)?.for_each(|host| called = Some(host.name.into()));
            }
            let variables = InventoryVariables {
                port: all.port,
                env: all
                    .exported
                    .map(ExportedVariables::list)
                    .unwrap_or_default(),
                ..all.connection.variables()
            };
            let variables = match shared.get(&variables) {
                Some(known) => Arc::clone(known),
                None => {
                    let new = Arc::new(variables);
                    shared.insert(Arc::clone(&new));
                    new
                }
            };
            let options = Options {
                inventory: Some(variables),
                address: called,
                user: all.user.map(Into::into),
                port: all.port,
                transport: all.connection.transport(),
                ..Options::default()
            };
            list.push_list(Arc::new(address(name)?), options);
        }
        Ok(Some(Arc::new(list)))
    }

    /// Returns a group and all groups below it.
    fn below<'a>(&'a self, group: &'a str) -> BTreeSet<&'a str> {
        let mut found = BTreeSet::new();
        let mut left = vec![group];
        while let Some(name) = left.pop() {
            if found.insert(name) {
                let group = self.groups.get(name).into_iter();
                left.extend(group.flat_map(|group| group.children.iter().map(String::as_str)));
            }
        }
        found
    }

    /// Returns the variables that the groups of each host give it. As in Ansible, a child group overrides its parent. Of
    /// two groups at the same depth, the last one by name overrides the other.
    fn group_variables(&self, of: fn(&Group) -> &Variables) -> Vec<Variables> {
        let mut result = vec![Variables::default(); self.hosts.len()];
        let none = Variables::new(self.exports);
        let depths = self.depths().into_iter();
        let mut groups: Vec<(usize, &str)> = depths.map(|(name, depth)| (depth, name)).collect();
        groups.sort_unstable();
        for (_, name) in groups {
            let variables = of(&self.groups[name]);
            // Most groups have no variables, and finding their hosts takes time.
            if *variables == Variables::default() || *variables == none {
                continue;
            }
            let mut concerned = BTreeSet::new();
            if name == "all" {
                concerned.extend(0..self.hosts.len());
            }
            for name in self.below(name) {
                let group = self.groups.get(name);
                concerned.extend(group.into_iter().flat_map(|group| &group.hosts));
            }
            for position in concerned {
                result[position] = variables.or(&result[position]);
            }
        }
        result
    }

    /// Returns the depth of each group: the length of the longest path from `all`. The loop ends, because no group
    /// contains itself.
    fn depths(&self) -> BTreeMap<&str, usize> {
        let start = |name: &String| usize::from(name != "all");
        // `all` is above every other group, also above those that do not name it.
        let mut depths: BTreeMap<&str, usize> = self
            .groups
            .keys()
            .map(|name| (name.as_str(), start(name)))
            .collect();
        let mut changed = true;
        while changed {
            changed = false;
            for (name, group) in &self.groups {
                let below = depths[name.as_str()] + 1;
                for child in &group.children {
                    let depth = depths.entry(child).or_default();
                    if *depth < below {
                        *depth = below;
                        changed = true;
                    }
                }
            }
        }
        depths
    }
}

/// Parses a name or address as a list of one host.
fn address(text: &str) -> Result<HostList, String> {
    let hosts = HostList::parse_in_file(text, 1).map_err(|error| format!("{text}: {error}"))?;
    let plain = Says::of(&hosts) == Says::default();
    if !plain || hosts.mentions() != 1 {
        return Err(format!("{text:?} is not the name or address of one host"));
    }
    Ok(hosts)
}
