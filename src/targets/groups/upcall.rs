//! Sources that are commands: the `map`, `all`, `list` and `reverse` of ClusterShell's configuration.
//!
//! The administrator writes the commands. They run in a shell, and the names of groups and hosts are inserted without
//! quotes. Names come from files and command lines that others may have written. A name with a character that has a
//! meaning in a shell is therefore never inserted.
//!
//! `cache_time` is the time after which a long-running program runs the commands again. mrsh knows all targets before
//! the run begins, runs each command once, and ignores the setting.

use std::cell::RefCell;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::substitute::substitute;
use super::{GroupError, MAX_FILE, Source, expression};
use crate::targets::{GroupDefinition, HostList, child};

/// The commands of a source.
#[derive(Clone, Debug, Default)]
pub(super) struct Commands {
    pub(super) map: String,
    pub(super) all: Option<String>,
    pub(super) list: Option<String>,
    pub(super) reverse: Option<String>,
}

/// A source that runs commands.
pub(super) struct Upcall {
    name: String,
    commands: Commands,
    /// Folder of the configuration: the value of `$CFGDIR`, and the working directory of the commands.
    folder: PathBuf,
    /// Output of each command that has run.
    printed: RefCell<HashMap<String, String>>,
}

impl Upcall {
    pub(super) fn new(name: &str, commands: Commands, folder: &Path) -> Upcall {
        Upcall {
            name: name.to_owned(),
            commands,
            folder: folder.to_owned(),
            printed: RefCell::default(),
        }
    }

    /// Returns the output of a command, with `value` in place of `$variable`. Each command runs once.
    fn run(&self, template: &str, variable: &str, value: &str) -> Result<String, GroupError> {
        let folder = self.folder.to_string_lossy();
        let command = substitute(template, |name| match name {
            "CFGDIR" => Some(&folder),
            "SOURCE" => Some(&self.name),
            _ => Some(value).filter(|_| name == variable),
        });
        if let Some(printed) = self.printed.borrow().get(&command) {
            return Ok(printed.clone());
        }
        let failed = |cause| GroupError::CommandFailed {
            name: self.name.clone(),
            command: command.clone(),
            cause,
        };
        let printed = self.run_shell(&command).map_err(failed)?;
        self.printed.borrow_mut().insert(command, printed.clone());
        Ok(printed)
    }

    fn run_shell(&self, command: &str) -> Result<String, String> {
        let mut shell = Command::new("/bin/sh");
        shell.args(["-c", command]).current_dir(&self.folder);
        let printed =
            child::output(&mut shell, MAX_FILE, None).map_err(|error| error.to_string())?;
        match String::from_utf8(printed) {
            Ok(printed) => Ok(printed.trim().to_owned()),
            Err(_) => Err("it printed text that is not UTF-8".to_owned()),
        }
    }
}

impl Source for Upcall {
    fn name(&self) -> &str {
        &self.name
    }

    fn lookup(&self, group: &str) -> Result<Option<GroupDefinition>, GroupError> {
        if !is_harmless(group) {
            return Ok(None);
        }
        let hosts = self.run(&self.commands.map, "GROUP", group)?;
        if hosts.is_empty() {
            // A map command prints nothing for an unknown group and for an empty one. Only the list distinguishes them.
            let list = self.list().unwrap_or_default();
            let known = list.is_some_and(|groups| groups.iter().any(|known| known == group));
            if !known {
                return Ok(None);
            }
        }
        Ok(Some(expression(&self.name, hosts)))
    }

    fn all(&self) -> Result<Option<GroupDefinition>, GroupError> {
        let Some(command) = &self.commands.all else {
            return Ok(None);
        };
        let hosts = self.run(command, "", "")?;
        Ok(Some(expression(&self.name, hosts)))
    }

    fn list(&self) -> Result<Option<Vec<String>>, GroupError> {
        let Some(command) = &self.commands.list else {
            return Ok(None);
        };
        let mut names = Vec::new();
        for word in self.run(command, "", "")?.split_whitespace() {
            // A list may name groups as ranges, for example `rack[1-9]`.
            match HostList::parse_in_file(word, 100_000) {
                Ok(list) if word.contains('[') => {
                    list.for_each(|group| names.push(group.name.into()))
                }
                _ => names.push(word.to_owned()),
            }
        }
        Ok(Some(names))
    }

    fn has_reverse(&self) -> bool {
        self.commands.reverse.is_some()
    }

    fn reverse(&self, host: &str) -> Result<Option<Vec<String>>, GroupError> {
        let Some(command) = self.commands.reverse.as_ref().filter(|_| is_harmless(host)) else {
            return Ok(None);
        };
        let groups = self.run(command, "NODE", host)?;
        Ok(Some(groups.split_whitespace().map(str::to_owned).collect()))
    }
}

/// True if a shell takes the name literally, even without quotes.
fn is_harmless(name: &str) -> bool {
    // A leading `-` would be an option of the command.
    let harmless = |c: char| c.is_alphanumeric() || "-_.:+=/%@".contains(c);
    !name.is_empty() && !name.starts_with('-') && name.chars().all(harmless)
}
