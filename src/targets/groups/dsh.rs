//! dsh's groups: a file for each group in `/etc/dsh/group` or `~/.dsh/group`, with one host per line.
//!
//! pdsh reads them too, and lets one include another by `#include NAME`.

use std::path::{Path, PathBuf};

use super::{GroupError, Source, expression, read_text, unreadable};
use crate::targets::{GroupDefinition, Warnings};

/// Maximum depth of files that include files.
const MAX_DEPTH: usize = 20;

/// The group files of a machine and a user.
pub(super) struct Dsh {
    folders: Vec<PathBuf>,
    machines: Vec<PathBuf>,
    warnings: Warnings,
}

impl Dsh {
    /// Returns the source, if any of its files or folders exists.
    pub(super) fn find(
        folders: &[PathBuf],
        machines: &[PathBuf],
        warnings: &Warnings,
    ) -> Option<Dsh> {
        let there = |paths: &[PathBuf]| -> Vec<PathBuf> {
            paths.iter().filter(|path| path.exists()).cloned().collect()
        };
        let (folders, machines) = (there(folders), there(machines));
        (!folders.is_empty() || !machines.is_empty()).then_some(Dsh {
            folders,
            machines,
            warnings: warnings.clone(),
        })
    }

    /// Returns the file of a group, if it exists.
    fn file(&self, group: &str) -> Option<PathBuf> {
        let files = self.folders.iter().map(|folder| folder.join(group));
        files.into_iter().find(|file| file.is_file())
    }

    fn definition(&self, file: &Path) -> Result<GroupDefinition, GroupError> {
        let text = self.text(file, &mut Vec::new())?;
        Ok(expression(self.name(), text))
    }

    /// Returns the lines of a file as one expression. `open` has the files that include it. `#include` with a name
    /// includes a group of this source, with a path another file.
    fn text(&self, file: &Path, open: &mut Vec<PathBuf>) -> Result<String, GroupError> {
        if open.len() > MAX_DEPTH {
            let message = format!("{}: files include files too deep", file.display());
            return Err(GroupError::Failed(message));
        }
        open.push(file.to_owned());
        let mut parts = Vec::new();
        for (number, line) in read_text(file)?.lines().enumerate() {
            let line = line.trim();
            let warn = |message: &str| {
                let place = format!("{}:{}", file.display(), number + 1);
                self.warnings.add(format!("{place}: {message}"));
            };
            if let Some(included) = include(line) {
                let mut words = included.split_whitespace();
                let (Some(included), None) = (words.next(), words.next()) else {
                    warn("this #include names no group and no file: ignored");
                    continue;
                };
                let found = if included.contains('/') {
                    Some(PathBuf::from(included))
                } else {
                    self.file(included)
                };
                match found {
                    // As in pdsh, a cycle is no error: its hosts are in the list already.
                    Some(found) if open.contains(&found) => {
                        warn("these files include each other: ignored");
                    }
                    Some(found) => parts.push(self.text(&found, open)?),
                    // Another source may have the group.
                    None => parts.push(format!("@{included}")),
                }
                continue;
            }
            // A `#` inside of a word belongs to the word.
            let comment = line.find(" #").or_else(|| line.find("\t#"));
            let hosts = &line[..comment.unwrap_or(line.len())];
            if !hosts.is_empty() && !hosts.starts_with('#') {
                parts.push(hosts.to_owned());
            }
        }
        open.pop();
        parts.retain(|part| !part.is_empty());
        Ok(parts.join(","))
    }
}

/// Returns the words after `#include`, if the line starts with it.
fn include(line: &str) -> Option<&str> {
    let rest = line.strip_prefix("#include")?;
    (rest.is_empty() || rest.starts_with(char::is_whitespace)).then_some(rest)
}

impl Source for Dsh {
    fn name(&self) -> &str {
        "dsh"
    }

    fn lookup(&self, group: &str) -> Result<Option<GroupDefinition>, GroupError> {
        // A group name comes from a command line, so it must not leave the folder.
        if !is_file_name(group) {
            return Ok(None);
        }
        let file = self.file(group);
        file.map(|file| self.definition(&file)).transpose()
    }

    fn all(&self) -> Result<Option<GroupDefinition>, GroupError> {
        // dsh's own list of all machines comes before a group of the name `all`.
        match self.machines.first() {
            Some(file) => self.definition(file).map(Some),
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

/// True if a file of this name can be a group: no path, no hidden file, no editor's backup.
fn is_file_name(name: &str) -> bool {
    !name.is_empty() && !name.contains('/') && !name.starts_with('.') && !name.ends_with('~')
}
