//! The older format of inventories: sections of hosts, of variables and of groups.

use super::Inventory;
use super::connection::Place;
use super::pattern::{expand, split_port};

/// What the lines of a section are.
enum Section {
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
    let mut section = Section::Hosts("ungrouped".to_owned());
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with(['#', ';']) {
            continue;
        }
        let place = Place {
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
    section: &mut Section,
    line: &str,
    place: Place<'_>,
    limit: usize,
) -> Result<(), String> {
    if let Some(new) = header(line) {
        *section = new?;
        let (Section::Hosts(name) | Section::Children(name) | Section::Variables(name)) = section;
        inventory.group(name);
        return Ok(());
    }
    let words = split_words(line)?;
    match section {
        Section::Hosts(group) => {
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
                }
                inventory.group(group).hosts.push(position);
            }
        }
        Section::Children(group) => {
            let [child] = words.as_slice() else {
                return Err("expected the name of one group".into());
            };
            inventory.group(child);
            inventory.group(group).children.push(child.clone());
        }
        Section::Variables(group) => {
            let Some((key, value)) = line.split_once('=') else {
                return Err("expected KEY=VALUE".into());
            };
            let value = split_words(value)?.join(" ");
            let variables = &mut inventory.group(group).variables;
            variables.set(key.trim(), &value, place)?;
        }
    }
    Ok(())
}

/// Reads `[name]`, `[name:children]` or `[name:vars]`; `None` if the line is none of these, but a
/// host whose name begins with a range or an address.
fn header(line: &str) -> Option<Result<Section, String>> {
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
    if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let name = name.to_owned();
    Some(match kind {
        None | Some("hosts") => Ok(Section::Hosts(name)),
        Some("children") => Ok(Section::Children(name)),
        Some("vars") => Ok(Section::Variables(name)),
        // An address in brackets.
        Some(_) if inside.contains("::") => return None,
        Some(kind) => Err(format!(
            "expected [{name}:children] or [{name}:vars], not \"{kind}\""
        )),
    })
}

/// Splits at white space outside quotes; a `#` at the start of a word begins a comment.
fn split_words(line: &str) -> Result<Vec<String>, String> {
    shlex::split(line).ok_or_else(|| "a quote is never closed".into())
}
