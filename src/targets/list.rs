//! The list of a run's targets, gathered from expressions and hosts files.
//!
//! `plan` builds it once before the first connection. Afterwards it does not change. A target has the position of its
//! first mention, and the options of the first mention that has options.

use std::collections::HashSet;
use std::io::BufRead;
use std::ops::{Deref, Range};
use std::path::Path;
use std::sync::Arc;

use nodeset::{Filter, GroupSource, NoLookup, NodeSet};

use super::error::{Diagnostic, Origin, TargetError};
use super::files::{self, FileReader};
use super::gather::Gathered;
use super::inventory::Inventory;
use super::{
    Host, HostList, HostResolver, Limits, Options, Selection, Target, Warnings, plain_set,
};

/// The targets of a run in the order in which they were named. Never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TargetList {
    targets: Arc<[Target]>,
}

impl TargetList {
    /// Returns the targets as a shared slice.
    #[must_use]
    pub fn into_shared(self) -> Arc<[Target]> {
        self.targets
    }
}

impl From<Vec<Target>> for TargetList {
    fn from(targets: Vec<Target>) -> TargetList {
        TargetList {
            targets: targets.into(),
        }
    }
}

impl Deref for TargetList {
    type Target = [Target];

    fn deref(&self) -> &[Target] {
        &self.targets
    }
}

/// A builder that gathers targets in the order of the calls. Exclusions apply to all targets.
pub struct TargetListBuilder<'a> {
    limits: Limits,
    groups: &'a dyn GroupSource<Options>,
    gathered: Gathered,
    uses_inventory_groups: bool,
    /// Names of the sources, for the error that they contain no host.
    sources: Vec<String>,
    /// The sources that `--failed-to` wrote when no target had failed.
    none_failed: Vec<String>,
    excluded_hosts: Vec<NodeSet>,
    excluded_labels: HashSet<Box<str>>,
    /// Filters of regular expressions and of pdsh's `-name`, which apply to all targets.
    filters: Vec<Filter>,
    warnings: Warnings,
}

impl<'a> TargetListBuilder<'a> {
    /// Returns an empty list for expressions without groups.
    #[must_use]
    pub fn new(limits: Limits) -> TargetListBuilder<'a> {
        TargetListBuilder::with_groups(limits, &NoLookup)
    }

    /// Returns an empty list for expressions with these groups.
    #[must_use]
    pub fn with_groups(
        limits: Limits,
        groups: &'a dyn GroupSource<Options>,
    ) -> TargetListBuilder<'a> {
        TargetListBuilder {
            limits,
            groups,
            gathered: Gathered::Plain(HostList::default()),
            uses_inventory_groups: false,
            sources: Vec::new(),
            none_failed: Vec::new(),
            excluded_hosts: Vec::new(),
            excluded_labels: HashSet::new(),
            filters: Vec::new(),
            warnings: Warnings::default(),
        }
    }

    /// Collects warnings about files in `warnings`.
    #[must_use]
    pub fn warn_to(self, warnings: &Warnings) -> TargetListBuilder<'a> {
        TargetListBuilder {
            warnings: warnings.clone(),
            ..self
        }
    }

    /// Adds the hosts that an expression names.
    pub fn add_expr(&mut self, text: &str, origin: Origin) -> Result<(), TargetError> {
        let mut hosts = self.parse(text, &origin)?;
        // A regular expression applies to the whole list, also to hosts that are added later.
        self.filters.extend(hosts.take_overall());
        self.add_source(origin.name());
        self.add_hosts(hosts, &origin, text, 0..text.len())
    }

    /// Adds the hosts of a group. The name may have operators of expressions, because it may be a query of genders
    /// (`mgmt&&!login`). `source:name` also names the source.
    pub fn add_group(&mut self, name: &str, origin: Origin) -> Result<(), TargetError> {
        let files = FileReader::new(self.limits, self.groups, &self.warnings);
        let resolver = HostResolver::new(self.limits.max_targets, self.groups, &files);
        let (source, group) = match name.split_once(':') {
            Some((source, group)) => (Some(source), group),
            None => (None, name),
        };
        let hosts = resolver
            .group(source, group)
            .map_err(|fault| Diagnostic::from_fault(&origin, name, 0..name.len(), &fault))?;
        self.add_source(origin.name());
        let mut list = HostList::default();
        list.push_list(hosts, Options::default());
        self.add_hosts(list, &origin, name, 0..name.len())
    }

    /// Adds the hosts that a hosts file names.
    pub fn add_hosts_file(&mut self, path: impl AsRef<Path>) -> Result<(), TargetError> {
        let path = path.as_ref();
        let warnings = self.warnings.clone();
        let reader = FileReader::new(self.limits, self.groups, &warnings);
        let name = path.display().to_string();
        self.add_source(&name);
        let no_target_failed = reader.read_file(path, &mut |hosts, origin, text, span| {
            self.add_hosts(hosts, origin, text, span)
        })?;
        self.none_failed.extend(no_target_failed.then_some(name));
        Ok(())
    }

    /// Adds all hosts of an inventory. `path` is its file, for errors.
    pub fn add_inventory(&mut self, path: &Path, inventory: &Inventory) -> Result<(), TargetError> {
        self.add_source(&path.display().to_string());
        files::all_hosts(path, inventory, &mut |hosts, origin, text, span| {
            self.add_hosts(hosts, origin, text, span)
        })
    }

    /// True if an expression that was added names a group of an inventory, or all its hosts.
    #[must_use]
    pub fn uses_inventory_groups(&self) -> bool {
        self.uses_inventory_groups
    }

    /// Returns the names of the hosts that have been added.
    #[must_use]
    pub fn names(&self) -> NodeSet {
        self.gathered.names()
    }

    /// Adds the hosts that a text in the syntax of hosts files names; errors call it `name`.
    pub fn add_reader(&mut self, name: &str, reader: impl BufRead) -> Result<(), TargetError> {
        self.add_source(name);
        let warnings = self.warnings.clone();
        let files = FileReader::new(self.limits, self.groups, &warnings);
        let no_target_failed =
            files.read_lines(name, reader, &mut |hosts, origin, text, span| {
                self.add_hosts(hosts, origin, text, span)
            })?;
        self.none_failed
            .extend(no_target_failed.then(|| name.to_owned()));
        Ok(())
    }

    /// Removes the hosts that an expression names, also those that are added later. A plain name removes every target
    /// with that host or label. `user@name` and `name:port` remove the target with that label. A name without a
    /// target is no error.
    pub fn exclude_expr(&mut self, text: &str, origin: Origin) -> Result<(), TargetError> {
        let mut hosts = self.parse(text, &origin)?;
        // In an exclusion, a regular expression removes the names that match it, instead of keeping them.
        for filter in hosts.take_overall() {
            self.filters.push(filter.removing());
        }
        hosts.for_each(|node| {
            let host = Host::from(node);
            // A plain name matches hosts and labels through the set. `user@name` matches only a label.
            if host.user.is_some() || host.port.is_some() {
                self.excluded_labels.insert(host.label.into());
            }
        });
        self.excluded_hosts.push(plain_set(&hosts));
        Ok(())
    }

    /// Returns the list.
    ///
    /// # Errors
    /// The list is empty.
    pub fn build(self) -> Result<TargetList, TargetError> {
        Ok(self.select()?.into_targets())
    }

    /// Returns the list as ranges if all hosts are plain names, else as targets.
    pub fn select(self) -> Result<Selection, TargetError> {
        let none = |sources: &[String]| match sources {
            [] => TargetError::NothingNamed,
            // `--failed-to` explains an empty list only if it wrote every source: another empty file may be a mistake.
            all if all.iter().all(|name| self.none_failed.contains(name)) => {
                TargetError::NoTargetFailed(all.join(", "))
            }
            sources => TargetError::NoneIn(sources.join(", ")),
        };
        match self.gathered {
            Gathered::Plain(mut list) => {
                // Plain names stay ranges, so that a million of them are never written out.
                let named = list.to_set();
                if named.is_empty() {
                    return Err(none(&self.sources));
                }
                let removed = self.excluded_hosts.into_iter().map(Filter::without);
                let filters: Vec<Filter> = removed.chain(self.filters).collect();
                if filters.is_empty() {
                    return Ok(Selection::of_names(list, named));
                }
                filters
                    .into_iter()
                    .for_each(|filter| list.push_overall(filter));
                let left = list.to_set();
                if left.is_empty() {
                    let all = usize::try_from(named.len()).unwrap_or(usize::MAX);
                    return Err(TargetError::AllExcluded(all));
                }
                Ok(Selection::of_names(list, left))
            }
            Gathered::Targets(targets) => {
                let mut targets = targets.into_list();
                if targets.is_empty() {
                    return Err(none(&self.sources));
                }
                let before = targets.len();
                let excluded = |name: &str| {
                    self.excluded_labels.contains(name)
                        || self.excluded_hosts.iter().any(|set| set.contains(name))
                };
                targets.retain(|target| {
                    !excluded(&target.label)
                        && !excluded(&target.host)
                        && self.filters.iter().all(|filter| {
                            let matches =
                                filter.matches(&target.label) || filter.matches(&target.host);
                            matches == filter.keeps()
                        })
                });
                if targets.is_empty() {
                    return Err(TargetError::AllExcluded(before));
                }
                Ok(Selection::of_targets(TargetList::from(targets)))
            }
        }
    }

    fn parse(&self, text: &str, origin: &Origin) -> Result<HostList, TargetError> {
        let files = FileReader::new(self.limits, self.groups, &self.warnings);
        HostResolver::new(self.limits.max_targets, self.groups, &files)
            .hosts(text)
            .map_err(|error| Diagnostic::from_nodeset(origin, text, &error).into())
    }

    fn add_source(&mut self, name: &str) {
        if !self.sources.iter().any(|source| source == name) {
            self.sources.push(name.to_owned());
        }
    }

    /// Adds the hosts that the part `span` of `text` names.
    fn add_hosts(
        &mut self,
        hosts: HostList,
        origin: &Origin,
        text: &str,
        span: Range<usize>,
    ) -> Result<(), TargetError> {
        self.uses_inventory_groups |= hosts.is_marked();
        self.gathered.add(hosts, self.limits, origin, text, span)
    }
}
