//! The folders `host_vars` and `group_vars` beside an inventory.
//!
//! Each host and each group, also `all`, may have a YAML file of its name there, or a folder of YAML files. Files that
//! `ansible-vault` has encrypted are ignored, so the variables for connections must not be encrypted.

use std::collections::HashMap;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use super::{Inventory, Variables, yaml};
use crate::targets::groups::parse_yaml;

/// Maximum size of a file in bytes.
const MAX_FILE: u64 = 4 << 20;

/// Maximum number of entries of a folder.
const MAX_ENTRIES: usize = 1_000_000;

/// Endings that are not a part of the name of the host or group.
const ENDINGS: [&str; 3] = ["yml", "yaml", "json"];

/// Reads the variables of the hosts and groups of the inventory from the folders in `beside`.
pub(super) fn read(inventory: &mut Inventory, beside: &Path) -> Result<(), String> {
    let files = files(&beside.join("host_vars"))?;
    for host in &mut inventory.hosts {
        host.in_file = variables(files.get(&host.name), inventory.exports)?;
    }
    let files = self::files(&beside.join("group_vars"))?;
    // An inventory need not name `all`, which has every host.
    if files.contains_key("all") {
        inventory.group("all");
    }
    for (name, group) in &mut inventory.groups {
        group.in_file = variables(files.get(name), inventory.exports)?;
    }
    Ok(())
}

/// Returns the files of a folder by the name of their host or group. A missing folder has none.
fn files(folder: &Path) -> Result<HashMap<String, Vec<PathBuf>>, String> {
    let mut files: HashMap<String, Vec<PathBuf>> = HashMap::new();
    for path in entries(folder)? {
        let known = path.extension().and_then(|ending| ending.to_str());
        let name = match known {
            // The name of a folder is taken whole, since a dot in it starts no ending.
            Some(ending) if ENDINGS.contains(&ending) && path.is_file() => path.file_stem(),
            _ => path.file_name(),
        };
        if let Some(name) = name.and_then(|name| name.to_str()) {
            files.entry(name.to_owned()).or_default().push(path);
        }
    }
    Ok(files)
}

/// Returns the entries of a folder, sorted, without hidden files and editors' backups.
fn entries(folder: &Path) -> Result<Vec<PathBuf>, String> {
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    let fail = |error| format!("cannot read {}: {error}", folder.display());
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder).map_err(fail)?.take(MAX_ENTRIES) {
        let path = entry.map_err(fail)?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if !name.starts_with('.') && !name.ends_with('~') {
            paths.push(path);
        }
    }
    // Ansible reads the files of a folder in the order of their names, and the last one decides.
    paths.sort();
    Ok(paths)
}

/// Returns the variables of these files. A later file overrides an earlier one.
fn variables(paths: Option<&Vec<PathBuf>>, exports: bool) -> Result<Variables, String> {
    let mut result = Variables::default();
    for path in paths.into_iter().flatten() {
        let files = if path.is_dir() {
            entries(path)?
        } else {
            vec![path.clone()]
        };
        for file in files.iter().filter(|file| file.is_file()) {
            let fail = |message: String| format!("{}: {message}", file.display());
            let mut text = String::new();
            fs::File::open(file)
                .and_then(|open| open.take(MAX_FILE).read_to_string(&mut text))
                .map_err(|error| format!("cannot read {}: {error}", file.display()))?;
            // An encrypted file has this header. Only Ansible has the password.
            if text.starts_with("$ANSIBLE_VAULT") {
                continue;
            }
            let tree = parse_yaml(&text).map_err(fail)?;
            let mut own = Variables::new(exports);
            yaml::set(&mut own, &tree, &file.display().to_string()).map_err(fail)?;
            result = own.or(&result);
        }
    }
    Ok(result)
}
