//! dsh's groups: a file for each group in `/etc/dsh/group` or `~/.dsh/group`, a host a line.
//!
//! pdsh reads them too, and lets one include another by `#include NAME`.

use std::path::{Path, PathBuf};

use super::{GroupError, Source, read_text, unreadable};

/// Files may include files by their paths this deep.
const MAX_DEPTH: usize = 20;

/// The group files of a machine and a user.
pub(super) struct Dsh {
    folders: Vec<PathBuf>,
    machines: Vec<PathBuf>,
}

impl Dsh {
    /// The source, if any of its files or folders is there.
    pub(super) fn find(folders: &[PathBuf], machines: &[PathBuf]) -> Option<Dsh> {
        let there = |paths: &[PathBuf]| -> Vec<PathBuf> {
            paths.iter().filter(|path| path.exists()).cloned().collect()
        };
        let (folders, machines) = (there(folders), there(machines));
        (!folders.is_empty() || !machines.is_empty()).then_some(Dsh { folders, machines })
    }
}

impl Source for Dsh {
    fn name(&self) -> &str {
        "dsh"
    }

    fn lookup(&self, group: &str) -> Result<Option<String>, GroupError> {
        if !is_file_name(group) {
            return Ok(None);
        }
        let files = self.folders.iter().map(|folder| folder.join(group));
        match files.into_iter().find(|file| file.is_file()) {
            Some(file) => expression(&file, 0).map(Some),
            None => Ok(None),
        }
    }

    fn all(&self) -> Result<Option<String>, GroupError> {
        match self.machines.first() {
            Some(file) => expression(file, 0).map(Some),
            None => self.lookup("all"),
        }
    }

    fn list(&self) -> Result<Option<Vec<String>>, GroupError> {
        let mut names = Vec::new();
        for folder in &self.folders {
            let entries = std::fs::read_dir(folder).map_err(|error| unreadable(folder, &error))?;
            for entry in entries {
                let entry = entry.map_err(|error| unreadable(folder, &error))?;
                let name = entry.file_name().to_string_lossy().into_owned();
                if is_file_name(&name) && entry.path().is_file() {
                    names.push(name);
                }
            }
        }
        Ok(Some(names))
    }
}

/// Whether this can be a group's file: no path, not hidden, no editor's copy.
fn is_file_name(name: &str) -> bool {
    !name.is_empty() && !name.contains('/') && !name.starts_with('.') && !name.ends_with('~')
}

/// The lines of a file as one expression. A name that is included is a group of this source, a path
/// is another file.
fn expression(file: &Path, depth: usize) -> Result<String, GroupError> {
    if depth > MAX_DEPTH {
        let message = format!("{}: files include files too deep", file.display());
        return Err(GroupError::Failed(message));
    }
    let mut parts = Vec::new();
    for line in read_text(file)?.lines() {
        let line = line.trim();
        if let Some(included) = line.strip_prefix("#include ") {
            let included = included.trim();
            parts.push(if included.contains('/') {
                expression(Path::new(included), depth + 1)?
            } else {
                format!("@{included}")
            });
            continue;
        }
        let comment = line.find(" #").or_else(|| line.find("\t#"));
        let hosts = &line[..comment.unwrap_or(line.len())];
        if !hosts.is_empty() && !hosts.starts_with('#') {
            parts.push(hosts.to_owned());
        }
    }
    Ok(parts.join(","))
}
