//! Targets from genders and from dsh's groups, by the rules of pdsh's modules.

use std::env;
use std::path::{Path, PathBuf};

use super::hosts::PdshHostList;
use super::messages::{Ended, PdshCaller};
use super::modules::Misc;
use super::wcoll::{Wcoll, read_group};
use crate::targets::groups::{Genders, SourceError};

/// The attribute of hosts that `-a` leaves out.
const SKIPPED: &str = "pdsh_all_skip";

/// The attribute with another name of a host.
const OTHER_NAME: &str = "altname";

/// The attribute with the way to a host.
const RCMD: &str = "pdsh_rcmd_type";

/// Values of the options of both sources.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct GroupOptions {
    pub(super) misc: Misc,
    /// `-g`, split at commas.
    pub(super) named: Vec<String>,
    /// `-X`, split at commas.
    pub(super) excluded: Vec<String>,
    /// `-a` or `-A`.
    pub(super) all: bool,
    /// `-i`: the other kind of names.
    pub(super) other_names: bool,
    /// `-F`.
    pub(super) file: Option<String>,
    /// True if any option was given.
    pub(super) is_used: bool,
}

/// What one of the sources does with the targets.
pub(super) struct GroupModule<'c> {
    options: GroupOptions,
    caller: &'c PdshCaller,
    /// The database; `None` if its file need not exist and does not.
    genders: Option<GendersFile>,
    /// True if genders named the targets.
    filled: bool,
}

/// A genders file with its path.
struct GendersFile {
    path: String,
    genders: Genders,
}

impl<'c> GroupModule<'c> {
    pub(super) fn new(options: GroupOptions, caller: &'c PdshCaller) -> GroupModule<'c> {
        GroupModule {
            options,
            caller,
            genders: None,
            filled: false,
        }
    }

    /// Names the targets, if `-w` names none.
    ///
    /// # Errors
    /// Options contradict each other, or a file cannot be read.
    pub(super) fn fill(&mut self, wcoll: &mut Wcoll) -> Result<(), Ended> {
        let GroupOptions {
            misc, named, all, ..
        } = &self.options;
        match misc {
            Misc::Genders if *all && !named.is_empty() => {
                return Err(self.caller.ended("Do not specify -A or -a with -g"));
            }
            // Beside `-w`, the queries of `-g` are a filter, so they name no hosts here.
            Misc::Genders if wcoll.hosts.is_none() && (*all || !named.is_empty()) => {
                let queries = named.clone();
                self.open()?;
                self.filled = true;
                wcoll.hosts = Some(if queries.is_empty() {
                    self.select(None)?
                } else {
                    self.select_any(&queries)?
                });
                // The queries have been used, so they are no filter.
                self.options.named.clear();
            }
            Misc::Dshgroup if !named.is_empty() => {
                if wcoll.hosts.is_some() {
                    // This message of pdsh does not begin with the name of the program.
                    let text = "Do not specify both -w and -g";
                    return Err(Ended::Message(text.to_owned()));
                }
                wcoll.hosts = Some(self.read_groups(named)?);
            }
            Misc::Genders | Misc::Dshgroup => {}
        }
        Ok(())
    }

    /// Removes targets, and takes their other names and their ways from genders.
    ///
    /// # Errors
    /// A file cannot be read, or a query is wrong.
    pub(super) fn finish(&mut self, wcoll: &mut Wcoll) -> Result<(), Ended> {
        let Some(mut hosts) = wcoll.hosts.take() else {
            return Ok(());
        };
        match self.options.misc {
            Misc::Dshgroup => {
                let excluded = self.read_groups(&self.options.excluded)?;
                hosts.remove_mentions(&excluded);
            }
            Misc::Genders => {
                self.open()?;
                hosts = self.filter(hosts)?;
                self.take_rcmds(&hosts, wcoll)?;
            }
        }
        wcoll.hosts = Some(hosts);
        Ok(())
    }

    fn filter(&self, mut hosts: PdshHostList) -> Result<PdshHostList, Ended> {
        let named = &self.options.named;
        if !named.is_empty() {
            let mut selected = PdshHostList::default();
            for query in named {
                let mut found = self.select(Some(query))?;
                found.append(self.other_names(&found)?);
                selected.append(hosts.common(&found));
            }
            // Several queries may select the same host. pdsh removes duplicates after this filter.
            selected.sort_distinct();
            hosts = selected;
        }
        let excluded = &self.options.excluded;
        if !excluded.is_empty() {
            let excluded = self.select_any(excluded)?;
            hosts.remove_mentions(&excluded);
            // The targets may have their other names, by which they are excluded as well.
            hosts.remove_mentions(&self.other_names(&excluded)?);
        }
        // Hosts of the database have their other names, unless -i asks for the opposite.
        if self.filled != self.options.other_names {
            hosts = self.other_names(&hosts)?;
        }
        Ok(hosts)
    }

    /// Reads the database once. Only options of this source make a missing file an error.
    fn open(&mut self) -> Result<(), Ended> {
        if self.genders.is_some() {
            return Ok(());
        }
        let variable = |name| env::var(name).ok();
        let name = self.options.file.clone();
        let name = name.or_else(|| variable("PDSH_GENDERS_FILE"));
        let name = name.unwrap_or_else(|| "genders".to_owned());
        let path = if name.starts_with(['/', '.']) {
            name
        } else {
            let folder = variable("PDSH_GENDERS_DIR").unwrap_or_else(|| "/etc".to_owned());
            format!("{folder}/{name}")
        };
        if !Path::new(&path).exists() {
            if self.options.is_used {
                let text = format!("{path}: error opening genders file");
                return Err(self.caller.ended(text));
            }
            return Ok(());
        }
        let genders = Genders::new(Path::new(&path));
        // A file that no option asks for must not end a run without genders.
        if let Err(error) = genders.select(None)
            && !self.options.is_used
        {
            drop(error);
            return Ok(());
        }
        self.genders = Some(GendersFile { path, genders });
        Ok(())
    }

    fn error(&self, database: &GendersFile, error: &SourceError) -> Ended {
        self.caller.ended(format!("{}: {error}", database.path))
    }

    /// Returns the hosts of a query, sorted; all hosts without one.
    fn select(&self, query: Option<&str>) -> Result<PdshHostList, Ended> {
        let Some(database) = &self.genders else {
            return Ok(PdshHostList::default());
        };
        let found = database.genders.select(query);
        let found = found.map_err(|error| self.error(database, &error))?;
        let mut names = Vec::new();
        found.for_each(|name| names.push(name.to_owned()));
        let mut hosts = PdshHostList::of(names);
        hosts.sort_distinct();
        Ok(hosts)
    }

    /// Returns the hosts that any of the queries selects, sorted.
    fn select_any(&self, queries: &[String]) -> Result<PdshHostList, Ended> {
        let mut hosts = PdshHostList::default();
        for query in queries {
            hosts.append(self.select(Some(query))?);
        }
        hosts.sort_distinct();
        Ok(hosts)
    }

    /// Returns the hosts by their other names: `altname`, or the canonical name of a host that is named by it.
    fn other_names(&self, hosts: &PdshHostList) -> Result<PdshHostList, Ended> {
        let Some(database) = &self.genders else {
            return Ok(hosts.clone());
        };
        let failed = |error: SourceError| self.error(database, &error);
        let names = database.genders.values_of(OTHER_NAME).map_err(failed)?;
        if names.is_empty() {
            return Ok(hosts.clone());
        }
        let all = database.genders.select(None).map_err(failed)?;
        let canonical = |name: &str| {
            let mut pairs = names.iter();
            pairs.find_map(|(host, other)| (*other == name).then_some(host.as_str()))
        };
        let other = |name: &String| -> String {
            let found = match names.get(name.as_str()) {
                Some(other) => Some(*other),
                None if !all.contains(name) => canonical(name),
                None => None,
            };
            found.unwrap_or(name).to_owned()
        };
        Ok(PdshHostList::of(hosts.names().iter().map(other).collect()))
    }

    /// Takes `pdsh_rcmd_type` of each host: `rcmd`, `user@` or `user@rcmd`.
    fn take_rcmds(&self, hosts: &PdshHostList, wcoll: &mut Wcoll) -> Result<(), Ended> {
        let Some(database) = &self.genders else {
            return Ok(());
        };
        let failed = |error: SourceError| self.error(database, &error);
        let rcmds = database.genders.values_of(RCMD).map_err(failed)?;
        if rcmds.is_empty() {
            return Ok(());
        }
        let canonical = self.other_names(hosts)?;
        for (host, canonical) in hosts.names().iter().zip(canonical.names()) {
            // The database has attributes by canonical name, but a target may have its `altname`.
            let value = rcmds.get(host.as_str()).or(rcmds.get(canonical.as_str()));
            let Some(value) = value else { continue };
            let (user, rcmd) = match value.split_once('@') {
                Some((user, rcmd)) => (Some(user), (!rcmd.is_empty()).then_some(rcmd)),
                None => (None, Some(*value)),
            };
            wcoll.set_rcmd(host, rcmd, user);
        }
        Ok(())
    }

    /// Returns the hosts of dsh's groups, sorted.
    fn read_groups(&self, groups: &[String]) -> Result<PdshHostList, Ended> {
        let mut hosts = PdshHostList::default();
        for group in groups {
            // Two groups may include the same file, so each group has its own record of included files.
            let folders = group_folders();
            hosts.append(read_group(group, folders, self.caller)?);
        }
        hosts.sort_distinct();
        Ok(hosts)
    }
}

/// Returns the folders of dsh's groups, in the order in which they are searched.
fn group_folders() -> Vec<PathBuf> {
    // The folder of the user is first, so that a user can replace a group of the system.
    let home = env::var_os("HOME").map(|home| PathBuf::from(home).join(".dsh/group"));
    let system: Vec<PathBuf> = match env::var_os("DSHGROUP_PATH") {
        Some(path) => env::split_paths(&path).collect(),
        None => vec![PathBuf::from("/etc/dsh/group")],
    };
    home.into_iter().chain(system).collect()
}

impl GroupOptions {
    /// Takes an option. Returns false if the active source does not have it.
    pub(super) fn take(&mut self, letter: char, value: &str) -> bool {
        let words = || value.split(',').filter(|word| !word.is_empty());
        match (self.misc, letter) {
            (_, 'g') => self.named.extend(words().map(str::to_owned)),
            (_, 'X') => self.excluded.extend(words().map(str::to_owned)),
            (Misc::Genders, 'a') => {
                // Beside `-w`, this is all that `-a` does in pdsh.
                self.excluded.push(SKIPPED.to_owned());
                self.all = true;
            }
            (Misc::Genders, 'A') => self.all = true,
            (Misc::Genders, 'i') => self.other_names = true,
            (Misc::Genders, 'F') => self.file = Some(value.to_owned()),
            (_, _) => return false,
        }
        self.is_used = true;
        true
    }
}
