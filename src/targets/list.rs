//! The list of a run's targets, gathered from expressions and hosts files.
//!
//! `plan` builds it once before anything is connected; afterwards it does not change. A target is
//! known by its host and the label given to it: its place is that of the first mention, and what counts is the first
//! that says more than the name.

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
use super::{Host, HostList, Limits, Options, Resolver, Selection, Target, Warnings, plain_set};

/// The targets of a run in the order in which they were named. Never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TargetList {
    targets: Arc<[Target]>,
}

impl TargetList {
    /// The targets, to be shared.
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

/// Gathers targets in the order of the calls; exclusions hold for all of them.
pub struct TargetListBuilder<'a> {
    limits: Limits,
    groups: &'a dyn GroupSource<Options>,
    gathered: Gathered,
    /// What was read, for the message that there was nothing in it.
    sources: Vec<String>,
    /// Those of them that `--failed-to` wrote when no target had failed.
    none_failed: Vec<String>,
    excluded_hosts: Vec<NodeSet>,
    excluded_labels: HashSet<Box<str>>,
    /// What regular expressions and pdsh's `-name` say about all targets.
    filters: Vec<Filter>,
    warnings: Warnings,
}

impl<'a> TargetListBuilder<'a> {
    /// Starts an empty list, in which no groups can be named.
    #[must_use]
    pub fn new(limits: Limits) -> TargetListBuilder<'a> {
        TargetListBuilder::with_groups(limits, &NoLookup)
    }

    /// Starts an empty list, in which these groups can be named.
    #[must_use]
    pub fn with_groups(
        limits: Limits,
        groups: &'a dyn GroupSource<Options>,
    ) -> TargetListBuilder<'a> {
        TargetListBuilder {
            limits,
            groups,
            gathered: Gathered::Plain(HostList::default()),
            sources: Vec::new(),
            none_failed: Vec::new(),
            excluded_hosts: Vec::new(),
            excluded_labels: HashSet::new(),
            filters: Vec::new(),
            warnings: Warnings::default(),
        }
    }

    /// Adds warnings about files to this list.
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
        self.filters.extend(hosts.take_overall());
        self.add_source(origin.name());
        self.add_hosts(hosts, &origin, text, 0..text.len())
    }

    /// Adds the hosts of a group, whose name may have characters that mean something in expressions
    /// (genders: `mgmt&&!login`); `source:name` names the source too.
    pub fn add_group(&mut self, name: &str, origin: Origin) -> Result<(), TargetError> {
        let files = FileReader::new(self.limits, self.groups, &self.warnings);
        let resolver = Resolver::new(self.limits.max_targets, self.groups, &files);
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
        reader.read_file(path, &mut |hosts, origin, text, span| {
            self.add_hosts(hosts, origin, text, span)
        })?;
        self.none_failed
            .extend(reader.no_target_failed().then_some(name));
        Ok(())
    }

    /// Adds all hosts of an inventory, which is this file.
    pub fn add_inventory(&mut self, path: &Path, inventory: &Inventory) -> Result<(), TargetError> {
        self.add_source(&path.display().to_string());
        files::all_hosts(path, inventory, &mut |hosts, origin, text, span| {
            self.add_hosts(hosts, origin, text, span)
        })
    }

    /// The names of the hosts that have been added.
    #[must_use]
    pub fn names(&self) -> NodeSet {
        self.gathered.names()
    }

    /// Adds the hosts that a text in the syntax of hosts files names; errors call it `name`.
    pub fn add_reader(&mut self, name: &str, reader: impl BufRead) -> Result<(), TargetError> {
        self.add_source(name);
        let warnings = self.warnings.clone();
        let files = FileReader::new(self.limits, self.groups, &warnings);
        files.read_lines(name, reader, &mut |hosts, origin, text, span| {
            self.add_hosts(hosts, origin, text, span)
        })?;
        self.none_failed
            .extend(files.no_target_failed().then(|| name.to_owned()));
        Ok(())
    }

    /// Takes away the hosts that an expression names, also those that are added later. A plain name
    /// takes away every target on that host and those with that label; `user@name` and `name:port`
    /// take away the target with that label. What is not there need not be.
    pub fn exclude_expr(&mut self, text: &str, origin: Origin) -> Result<(), TargetError> {
        let mut hosts = self.parse(text, &origin)?;
        // A regular expression stands here for the names that match it.
        for filter in hosts.take_overall() {
            self.filters.push(filter.removing());
        }
        hosts.for_each(|node| {
            let host = Host::from(node);
            if host.user.is_some() || host.port.is_some() {
                self.excluded_labels.insert(host.label.into());
            }
        });
        self.excluded_hosts.push(plain_set(&hosts));
        Ok(())
    }

    /// The finished list; it is an error if nothing is left in it.
    pub fn build(self) -> Result<TargetList, TargetError> {
        Ok(self.select()?.into_targets())
    }

    /// The same as ranges, where that is enough.
    pub fn select(self) -> Result<Selection, TargetError> {
        let none = |sources: &[String]| match sources {
            [] => TargetError::NothingNamed,
            // An empty file beside it may be an accident.
            all if all.iter().all(|name| self.none_failed.contains(name)) => {
                TargetError::NoTargetFailed(all.join(", "))
            }
            sources => TargetError::NoneIn(sources.join(", ")),
        };
        match self.gathered {
            Gathered::Plain(mut list) => {
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
        Resolver::new(self.limits.max_targets, self.groups, &files)
            .hosts(text)
            .map_err(|error| Diagnostic::from_nodeset(origin, text, &error).into())
    }

    fn add_source(&mut self, name: &str) {
        if !self.sources.iter().any(|source| source == name) {
            self.sources.push(name.to_owned());
        }
    }

    /// Adds the hosts that stand in this part of a text.
    fn add_hosts(
        &mut self,
        hosts: HostList,
        origin: &Origin,
        text: &str,
        span: Range<usize>,
    ) -> Result<(), TargetError> {
        self.gathered.add(hosts, self.limits, origin, text, span)
    }
}
