//! The older format of inventories: sections of hosts, of variables and of groups.

use super::Inventory;
use super::connection::VariablePlace;
use super::pattern::{expand, split_port};

/// The kind of the lines in a section.
enum InventorySection {
    Hosts(String),
    Children(String),
    Variables(String),
}

/// Reads the text into the inventory.
pub(super) fn read(
    inventory: &mut Inventory,
    text: &str,
    file: &str,
    limit: usize,
) -> Result<(), String> {
    // Ansible's group for the hosts before the first section.
    let mut section = InventorySection::Hosts("ungrouped".to_owned());
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with(['#', ';']) {
            continue;
        }
        let place = VariablePlace {
            file,
            line: number + 1,
        };
        read_line(inventory, &mut section, line, place, limit)
            .map_err(|message| format!("line {}: {message}", number + 1))?;
    }
    Ok(())
}

fn read_line(
    inventory: &mut Inventory,
    section: &mut InventorySection,
    line: &str,
    place: VariablePlace<'_>,
    limit: usize,
) -> Result<(), String> {
    if let Some(new) = header(line) {
        *section = new?;
        let (InventorySection::Hosts(name)
        | InventorySection::Children(name)
        | InventorySection::Variables(name)) = section;
        inventory.group(name);
        return Ok(());
    }
    let words = split_words(line)?;
    match section {
        InventorySection::Hosts(group) => {
            let Some((pattern, variables)) = words.split_first() else {
                return Ok(());
            };
            let (pattern, port) = split_port(pattern);
            for name in expand(pattern, limit)? {
                let position = inventory.host(&name, limit)?;
                let known = &mut inventory.hosts[position].variables;
                if let Some(port) = port {
                    known.set("ansible_port", port, place)?;
                }
                for variable in variables {
                    let Some((key, value)) = variable.split_once('=') else {
                        return Err(format!("expected KEY=VALUE, not {variable:?}"));
                    };
                    known.set(key, value, place)?;
                    if is_collection(value) {
                        known.set_other(key, false);
                    }
                }
                inventory.group(group).hosts.push(position);
            }
        }
        InventorySection::Children(group) => {
            let [child] = words.as_slice() else {
                return Err("expected the name of one group".into());
            };
            inventory.group(child);
            inventory.group(group).children.push(child.clone());
        }
        InventorySection::Variables(group) => {
            let Some((key, value)) = line.split_once('=') else {
                return Err("expected KEY=VALUE".into());
            };
            let value = split_words(value)?.join(" ");
            // Here Ansible allows blanks around the equals sign, and not after a host.
            let variables = &mut inventory.group(group).variables;
            variables.set(key.trim(), &value, place)?;
            if is_collection(&value) {
                variables.set_other(key.trim(), false);
            }
        }
    }
    Ok(())
}

/// True if a value looks like a list or a dictionary of Python, as which Ansible reads it.
fn is_collection(value: &str) -> bool {
    [('[', ']'), ('{', '}')]
        .iter()
        .any(|(start, end)| value.starts_with(*start) && value.ends_with(*end))
}

/// Parses `[name]`, `[name:children]` or `[name:vars]`; `None` if the line is a host whose name begins with a range or
/// an address.
fn header(line: &str) -> Option<Result<InventorySection, String>> {
    let inside = line.strip_prefix('[')?;
    let (name, after) = inside.split_once(']')?;
    let comment = after.trim_start();
    if !comment.is_empty() && !comment.starts_with('#') {
        return None;
    }
    let (name, kind) = match name.split_once(':') {
        None => (name, None),
        Some((name, kind)) => (name, Some(kind)),
    };
    // A range of numbers at the start of a name, such as `[01:50]web`.
    if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let name = name.to_owned();
    Some(match kind {
        None | Some("hosts") => Ok(InventorySection::Hosts(name)),
        Some("children") => Ok(InventorySection::Children(name)),
        Some("vars") => Ok(InventorySection::Variables(name)),
        // An address in brackets.
        Some(_) if inside.contains("::") => return None,
        Some(kind) => Err(format!(
            "expected [{name}:children] or [{name}:vars], not \"{kind}\""
        )),
    })
}

/// Splits a line at white space outside quotes. A `#` at the start of a word begins a comment.
fn split_words(line: &str) -> Result<Vec<String>, String> {
    shlex::split(line).ok_or_else(|| "a quote is never closed".into())
}
