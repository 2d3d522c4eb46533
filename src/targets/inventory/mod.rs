//! Ansible's inventories as lists of targets: names, addresses, ports, users and groups.
//!
//! Used by the reader of hosts files for `-f inventory.yml`, and by [`Groups`](super::groups::Groups)
//! for the groups in it. Of all variables only those count that say where, how and as whom to connect (the
//! last two in `connection`), also where they stand in `host_vars` and `group_vars` beside the inventory. Templates are Ansible's, and one
//! where an address has to be is an error.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;

use super::{HostList, Options, Says};
use connection::{Connection, Place};

pub use connection::InventoryVariables;

mod connection;
mod ini;
mod pattern;
mod vars;
mod yaml;

#[cfg(test)]
mod tests;

/// Hosts and groups of an inventory.
#[derive(Debug, Default)]
pub struct Inventory {
    hosts: Vec<Host>,
    groups: BTreeMap<String, Group>,
    positions: HashMap<String, usize>,
}

#[derive(Debug)]
struct Host {
    name: String,
    variables: Variables,
    /// Those of its file in `host_vars`.
    in_file: Variables,
}

#[derive(Debug, Default)]
struct Group {
    /// Positions in the inventory's hosts.
    hosts: Vec<usize>,
    children: Vec<String>,
    variables: Variables,
    /// Those of its file in `group_vars`.
    in_file: Variables,
}

/// What an inventory says about connecting.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Variables {
    host: Option<String>,
    port: Option<u16>,
    user: Option<String>,
    connection: Connection,
}

impl Variables {
    /// Takes a variable over, if it is one of those that count.
    fn set(&mut self, name: &str, value: &str, place: Place<'_>) -> Result<(), String> {
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

    /// What this says, and for the rest what `other` says.
    fn or(&self, other: &Variables) -> Variables {
        Variables {
            host: self.host.clone().or_else(|| other.host.clone()),
            port: self.port.or(other.port),
            user: self.user.clone().or_else(|| other.user.clone()),
            connection: self.connection.or(&other.connection),
        }
    }
}

/// Whether a file is an inventory, by its name or, for the oldest of the formats, by its first line.
pub(super) fn is_inventory(path: &Path, start: &str) -> bool {
    let ending = path.extension().map(|ending| ending.to_ascii_lowercase());
    if ending.is_some_and(|ending| ending == "ini" || ending == "yml" || ending == "yaml") {
        return true;
    }
    let lines = start.lines().map(str::trim);
    let mut meant = lines.filter(|line| !line.is_empty() && !line.starts_with(['#', ';']));
    // A node set in brackets has numbers or an address in it, a section has a name.
    meant.any(|line| {
        line.strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'))
            .is_some_and(|name| {
                name.starts_with(|c: char| c.is_ascii_alphabetic()) && !name.contains("::")
            })
    })
}

/// Reads an inventory of at most `limit` hosts; the error says what is wrong in which line.
pub(super) fn parse(path: &Path, text: &str, limit: usize) -> Result<Inventory, String> {
    let ending = path.extension().map(|ending| ending.to_ascii_lowercase());
    let mut inventory = Inventory::default();
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
    /// The position of a host, which is new if it was not named before.
    fn host(&mut self, name: &str, limit: usize) -> Result<usize, String> {
        if let Some(&position) = self.positions.get(name) {
            return Ok(position);
        }
        if self.hosts.len() == limit {
            return Err(format!("more than {limit} hosts"));
        }
        address(name)?;
        self.positions.insert(name.to_owned(), self.hosts.len());
        self.hosts.push(Host {
            name: name.to_owned(),
            variables: Variables::default(),
            in_file: Variables::default(),
        });
        Ok(self.hosts.len() - 1)
    }

    fn group(&mut self, name: &str) -> &mut Group {
        self.groups.entry(name.to_owned()).or_default()
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

    /// The names of its hosts.
    pub fn names(&self) -> impl ExactSizeIterator<Item = &str> {
        self.hosts.iter().map(|host| host.name.as_str())
    }

    /// The names of the groups, `all` included.
    #[must_use]
    pub fn group_names(&self) -> Vec<String> {
        let mut names: Vec<String> = self.groups.keys().cloned().collect();
        if !self.groups.contains_key("all") {
            names.insert(0, "all".to_owned());
        }
        names
    }

    /// The hosts of a group and of those in it, in the order of the inventory; `None` if there is no
    /// such group.
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
        // From strong to weak, as Ansible has it.
        let in_files = self.group_variables(|group| &group.in_file);
        let in_inventory = self.group_variables(|group| &group.variables);
        let mut list = HostList::default();
        // Most hosts of an inventory share what is said about them.
        let mut shared: HashSet<Arc<InventoryVariables>> = HashSet::new();
        for position in members {
            let Host {
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

    /// A group and all groups in it.
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

    /// What the groups of each host say about it: the deeper group wins over the one around it, and
    /// of two at the same depth the one whose name comes last.
    fn group_variables(&self, of: fn(&Group) -> &Variables) -> Vec<Variables> {
        let mut result = vec![Variables::default(); self.hosts.len()];
        let depths = self.depths().into_iter();
        let mut groups: Vec<(usize, &str)> = depths.map(|(name, depth)| (depth, name)).collect();
        groups.sort_unstable();
        for (_, name) in groups {
            let variables = of(&self.groups[name]);
            if *variables == Variables::default() {
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

    /// How many groups are around each group at most; `all` is around every other. As the groups do
    /// not contain each other, as many rounds as there are groups one in the other are enough.
    fn depths(&self) -> BTreeMap<&str, usize> {
        let start = |name: &String| usize::from(name != "all");
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

/// A name or address as a list of this one host.
fn address(text: &str) -> Result<HostList, String> {
    let hosts = HostList::parse_in_file(text, 1).map_err(|error| format!("{text}: {error}"))?;
    let plain = Says::of(&hosts) == Says::default();
    if !plain || hosts.mentions() != 1 {
        return Err(format!("{text:?} is not the name or address of one host"));
    }
    Ok(hosts)
}
