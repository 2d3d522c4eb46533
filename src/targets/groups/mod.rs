//! The sources of groups: ClusterShell's configuration, dsh's group files, genders, mrsh's own configuration, and
//! Ansible inventories.
//!
//! `plan` makes one [`Groups`] from the [`Places`] of its environment and hands it to
//! [`TargetListBuilder`](super::TargetListBuilder). Nothing is read before the first group is named,
//! so a broken configuration is an error only for runs that name a group.
//!
//! A group that is named without its source is looked for in the source that `--group-source` names, and then in all
//! others: the inventories of `-f`, mrsh's own groups, ClusterShell's default source, dsh's groups and genders. If
//! several of these have it, that is an error. All hosts are those of the inventories, if there are any. Inside a
//! definition, a group without a source belongs to the source of that definition; mrsh's own definitions can name
//! groups of any source.

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nodeset::{DefinitionPlace, GroupError, GroupSource};

use super::inventory::Inventory;
use super::{GroupDefinition, Limits, Options, TargetError, Warnings, files};
use crate::trusted;
use inventories::Inventories;
use table::GroupTable;

mod clustershell;
mod clustershell_sources;
mod dsh;
mod genders;
mod ini;
mod inventories;
mod regroup;
mod substitute;
mod table;
mod upcall;
mod yaml;

#[cfg(test)]
mod tests;

pub use clustershell_sources::ClusterShellSources;
pub use genders::Genders;
pub use nodeset::GroupError as SourceError;
pub use regroup::regroup;
pub(super) use yaml::{YamlEntry, YamlNode, parse as parse_yaml};

/// Files and folders in which groups may be defined.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Places {
    /// ClusterShell's configuration folders; a later one overrides an earlier one.
    pub clustershell: Vec<PathBuf>,
    /// Folders with a file for each of dsh's groups, searched in this order.
    pub dsh_groups: Vec<PathBuf>,
    /// Files with all of dsh's machines, searched in this order.
    pub dsh_machines: Vec<PathBuf>,
    /// The genders file.
    pub genders: Option<PathBuf>,
}

impl Places {
    /// Returns the usual places, and those that the environment names.
    #[must_use]
    pub fn new(variable: impl Fn(&str) -> Option<PathBuf>) -> Places {
        let home = variable("HOME");
        let in_home = |path: &str| home.as_ref().map(|home| home.join(path));
        let config = variable("XDG_CONFIG_HOME").or_else(|| in_home(".config"));
        let clustershell = [
            Some(PathBuf::from("/etc/clustershell")),
            in_home(".local/etc/clustershell"),
            config.map(|config| config.join("clustershell")),
            variable("CLUSTERSHELL_CFGDIR"),
        ];
        let system_groups = match variable("DSHGROUP_PATH") {
            Some(path) => std::env::split_paths(&path).collect(),
            None => vec![PathBuf::from("/etc/dsh/group")],
        };
        let dsh_groups = in_home(".dsh/group").into_iter().chain(system_groups);
        let dsh_machines = in_home(".dsh/machines.list")
            .into_iter()
            .chain([PathBuf::from("/etc/dsh/machines.list")]);
        let genders_folder = variable("PDSH_GENDERS_DIR").unwrap_or_else(|| "/etc".into());
        let genders_file = variable("PDSH_GENDERS_FILE").unwrap_or_else(|| "genders".into());
        // As in pdsh, a path that starts with a dot is relative to the current directory.
        let genders = if genders_file.starts_with(".") || genders_file.starts_with("..") {
            genders_file
        } else {
            genders_folder.join(genders_file)
        };
        Places {
            clustershell: clustershell.into_iter().flatten().collect(),
            dsh_groups: dsh_groups.collect(),
            dsh_machines: dsh_machines.collect(),
            genders: Some(genders),
        }
    }
}

impl Places {
    /// Returns the files of ClusterShell's group sources; a later one overrides an earlier one.
    #[must_use]
    pub fn clustershell_files(&self) -> Vec<PathBuf> {
        let folders = self.clustershell.iter();
        folders
            .map(|folder| folder.join(clustershell::FILE))
            .collect()
    }
}

/// One source of groups. A method returns `None` if the source has no answer, or cannot give this kind of answer.
trait Source {
    fn name(&self) -> &str;

    /// Returns the definition of a group.
    fn lookup(&self, group: &str) -> Result<Option<GroupDefinition>, GroupError>;

    /// Returns the definition of all hosts.
    fn all(&self) -> Result<Option<GroupDefinition>, GroupError>;

    /// Returns the names of the groups.
    fn list(&self) -> Result<Option<Vec<String>>, GroupError>;

    /// True if [`reverse`](Source::reverse) has answers.
    fn has_reverse(&self) -> bool {
        false
    }

    /// Returns the groups of a host, if the source finds these faster than by listing all groups.
    fn reverse(&self, _host: &str) -> Result<Option<Vec<String>>, GroupError> {
        Ok(None)
    }
}

/// A group of mrsh's own configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnGroup {
    /// The definition, which is an expression.
    pub text: String,
    /// Its place in the configuration.
    pub place: Option<Arc<DefinitionPlace>>,
}

/// All groups of the machine, of mrsh's configuration and of inventories.
pub struct Groups {
    places: Places,
    own: GroupTable,
    inventories: Inventories,
    loaded: OnceCell<Result<Loaded, GroupError>>,
    /// The source that is asked first for a group without a source.
    default: Option<String>,
    warnings: Warnings,
}

/// The sources that exist in the places.
struct Loaded {
    sources: Vec<Box<dyn Source>>,
    /// Positions of the sources that are searched for a group without a source.
    searched: Vec<usize>,
}

/// The name of the source of mrsh's own groups.
const OWN: &str = "mrsh";

/// The name of the source of an inventory's groups.
const INVENTORY: &str = "inventory";

impl Groups {
    /// Returns the groups of these places, and those of mrsh's own configuration.
    #[must_use]
    pub fn new(places: Places, own: BTreeMap<String, OwnGroup>) -> Groups {
        let definition = |OwnGroup { text, place }| GroupDefinition::Text {
            text,
            source: None,
            place,
        };
        let own = own.into_iter();
        let own = own.map(|(name, group)| (name, definition(group)));
        Groups {
            places,
            own: GroupTable::new(OWN, own.collect()),
            inventories: Inventories::default(),
            loaded: OnceCell::new(),
            default: None,
            warnings: Warnings::default(),
        }
    }

    /// Sets the source that is asked first for a group without a source, and for all hosts.
    ///
    /// # Errors
    /// There is no such source.
    pub fn set_default(&mut self, name: &str) -> Result<(), GroupError> {
        // This source is no error in a run without an inventory.
        if name != INVENTORY {
            self.named(name)?;
        }
        self.default = Some(name.to_owned());
        Ok(())
    }

    /// Returns the list for warnings about the files of groups.
    #[must_use]
    pub fn warnings(&self) -> &Warnings {
        &self.warnings
    }

    /// Adds the groups of a hosts file to the source `inventory`, if the file is an inventory.
    ///
    /// # Errors
    /// The file cannot be read or parsed.
    pub fn add_inventory(&mut self, path: &Path, limits: Limits) -> Result<(), TargetError> {
        if let Some(inventory) = files::inventory_in(path, limits)? {
            self.inventories.0.push((path.to_owned(), inventory));
        }
        Ok(())
    }

    /// Returns the inventories that were added, each with its path.
    #[must_use]
    pub fn inventories(&self) -> &[(PathBuf, Inventory)] {
        &self.inventories.0
    }

    /// Returns the names of all sources, with the default one first.
    pub fn sources(&self) -> Result<Vec<String>, GroupError> {
        let loaded = self.loaded()?;
        let first = loaded.searched.iter().copied();
        let others = (0..loaded.sources.len()).filter(|at| !loaded.searched.contains(at));
        let of_machine = first.chain(others).map(|at| loaded.sources[at].as_ref());
        let all = self.given().chain(of_machine);
        Ok(all.map(|source| source.name().to_owned()).collect())
    }

    /// Returns the names of the sources that are searched for a group without a source.
    ///
    /// # Errors
    /// Their configuration cannot be read.
    pub fn searched_names(&self) -> Result<Vec<String>, GroupError> {
        let searched = self.searched()?.into_iter();
        Ok(searched.map(|source| source.name().to_owned()).collect())
    }

    /// Returns the groups of a source that have this host, if the source finds these faster than by listing all.
    pub fn reverse(&self, source: &str, host: &str) -> Result<Option<Vec<String>>, GroupError> {
        self.named(source)?.reverse(host)
    }

    fn loaded(&self) -> Result<&Loaded, GroupError> {
        let loaded = self.loaded.get_or_init(|| {
            let (mut sources, default) = clustershell::load(&self.places.clustershell_files())?;
            let mut searched: Vec<usize> = default.into_iter().collect();
            let Places {
                dsh_groups,
                dsh_machines,
                genders,
                ..
            } = &self.places;
            let mut add = |source: Option<Box<dyn Source>>| {
                // ClusterShell's configuration may define a source with the name of a built-in one. It overrides that one.
                let source =
                    source.filter(|new| sources.iter().all(|old| old.name() != new.name()));
                if let Some(source) = source {
                    searched.push(sources.len());
                    sources.push(source);
                }
            };
            let dsh = dsh::Dsh::find(dsh_groups, dsh_machines, &self.warnings);
            add(dsh.map(|dsh| Box::new(dsh) as _));
            if let Some(file) = genders.as_ref().filter(|file| file.exists()) {
                add(Some(Box::new(genders::Genders::new(file))));
            }
            Ok(Loaded { sources, searched })
        });
        loaded.as_ref().map_err(Clone::clone)
    }

    /// Returns the sources of the command line and of mrsh's configuration, if they have groups.
    fn given(&self) -> impl Iterator<Item = &dyn Source> {
        let inventories = &self.inventories as &dyn Source;
        let inventories = (!self.inventories.0.is_empty()).then_some(inventories);
        let own = (!self.own.is_empty()).then_some(&self.own as &dyn Source);
        inventories.into_iter().chain(own)
    }

    /// Returns the sources that are searched for a group without a source.
    fn searched(&self) -> Result<Vec<&dyn Source>, GroupError> {
        let loaded = self.loaded()?;
        let positions = loaded.searched.iter();
        let of_machine = positions.map(|&at| loaded.sources[at].as_ref());
        let all: Vec<_> = self.given().chain(of_machine).collect();
        if all.is_empty() {
            return Err(GroupError::NoSource);
        }
        Ok(all)
    }

    /// Returns the source of this name.
    fn named(&self, name: &str) -> Result<&dyn Source, GroupError> {
        // This source exists even if it has no groups.
        if name == OWN {
            return Ok(&self.own);
        }
        // Before the files of the machine, which need not be read then.
        if let Some(source) = self.given().find(|source| source.name() == name) {
            return Ok(source);
        }
        let mut of_machine = self.loaded()?.sources.iter();
        match of_machine.find(|source| source.name() == name) {
            Some(source) => Ok(source.as_ref()),
            None => Err(GroupError::UnknownSource {
                name: name.to_owned(),
                known: self.sources()?,
            }),
        }
    }

    /// Returns the source of all hosts, if the user named it with `-f`. The configuration that ClusterShell's packages
    /// install has a list of all hosts, too, as an example.
    fn source_of_all(&self) -> Option<&'static str> {
        (!self.inventories.0.is_empty()).then_some(INVENTORY)
    }

    /// Returns the sources to ask for a group: the named one, or those that are searched.
    fn asked(&self, name: Option<&str>) -> Result<Vec<&dyn Source>, GroupError> {
        match name {
            Some(name) => Ok(vec![self.named(name)?]),
            None => self.searched(),
        }
    }
}

/// Returns the definition that sources gave; an error if there are several. `what` names the group for the error.
fn the_only(
    mut found: Vec<(&str, GroupDefinition)>,
    what: &str,
    name: &str,
) -> Result<Option<GroupDefinition>, GroupError> {
    // The same name in two sources may mean different hosts, so the user must choose.
    if let [_, _, ..] = found.as_slice() {
        return Err(GroupError::Ambiguous {
            what: what.to_owned(),
            name: name.to_owned(),
            sources: found.iter().map(|(name, _)| (*name).to_owned()).collect(),
        });
    }
    Ok(found.pop().map(|(_, definition)| definition))
}

/// Returns a definition by an expression. Groups that it names without a source belong to `source`.
fn expression(source: &str, text: String) -> GroupDefinition {
    GroupDefinition::Text {
        text,
        source: Some(source.to_owned()),
        place: None,
    }
}

/// True if the definition names no hosts.
fn is_empty(definition: &GroupDefinition) -> bool {
    match definition {
        GroupDefinition::Text { text, .. } => text.is_empty(),
        GroupDefinition::Hosts(list) => list.mentions() == 0,
    }
}

impl GroupSource<Options> for Groups {
    fn lookup(&self, source: Option<&str>, group: &str) -> Result<GroupDefinition, GroupError> {
        let mut failure = None;
        if let Some(name) = self.default.as_deref().filter(|_| source.is_none()) {
            match self.lookup(Some(name), group) {
                Ok(found) => return Ok(found),
                // The default source is a preference: other sources are searched if it lacks the group.
                Err(GroupError::UnknownGroup { .. } | GroupError::UnknownSource { .. }) => {}
                Err(error) => failure = Some(error),
            }
        }
        let of_all = self.source_of_all().filter(|_| group == table::ALL);
        let source = source.or(of_all);
        let mut found = Vec::new();
        for source in self.asked(source)? {
            match source.lookup(group) {
                Ok(Some(definition)) => found.push((source.name(), definition)),
                Ok(None) => {}
                // A source that fails does not hide a group of another source.
                Err(error) => failure = failure.or(Some(error)),
            }
        }
        let what = format!("the group \"{group}\"");
        if let Some(definition) = the_only(found, &what, group)? {
            return Ok(definition);
        }
        Err(match failure {
            Some(error) => error,
            None => GroupError::UnknownGroup {
                name: group.to_owned(),
                known: self.list(source).unwrap_or_default(),
            },
        })
    }

    fn all(&self, source: Option<&str>) -> Result<Option<GroupDefinition>, GroupError> {
        if let Some(name) = self.default.as_deref().filter(|_| source.is_none()) {
            match self.all(Some(name)) {
                Ok(None) | Err(GroupError::UnknownSource { .. }) => {}
                found => return found,
            }
        }
        let source = source.or_else(|| self.source_of_all());
        let mut found = Vec::new();
        for source in self.asked(source)? {
            if let Some(definition) = source.all()? {
                found.push((source.name(), definition));
            }
        }
        if found.iter().any(|(_, definition)| !is_empty(definition)) {
            // An empty source is no second definition, so it makes nothing ambiguous.
            found.retain(|(_, definition)| !is_empty(definition));
        }
        the_only(found, "the list of all hosts", "*")
    }

    fn list(&self, source: Option<&str>) -> Result<Vec<String>, GroupError> {
        let sources = self.asked(source)?;
        let mut names: Vec<String> = Vec::new();
        let mut any = false;
        for source in &sources {
            if let Some(list) = source.list()? {
                any = true;
                names.extend(list);
            }
        }
        if !any {
            let name = sources.first().map_or(OWN, |source| source.name());
            return Err(GroupError::Unsupported {
                name: name.to_owned(),
                what: "which groups it has",
            });
        }
        names.sort_unstable();
        names.dedup();
        Ok(names)
    }
}

/// Returns the error for a file or folder that cannot be read.
fn unreadable(path: &Path, error: &std::io::Error) -> GroupError {
    GroupError::Unreadable {
        message: format!("cannot read {}: {error}", path.display()),
        help: trusted::help(error).map(str::to_owned),
    }
}

/// Maximum size of a configuration file in bytes. It also bounds endless files, such as devices.
const MAX_FILE: u64 = 64 << 20;

/// Reads a file, which must be UTF-8, up to [`MAX_FILE`] bytes.
fn read_text(path: &Path) -> Result<String, GroupError> {
    let mut text = String::new();
    trusted::open(path)
        .and_then(|file| file.take(MAX_FILE).read_to_string(&mut text))
        .map_err(|error| unreadable(path, &error))?;
    Ok(text)
}
