//! Expressions with the groups of ClusterShell's configuration.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::PathBuf;

use nodeset::{FoldStyle, GroupError, NodeSet, NodeSetBuilder, fits_mask};

use super::ClusterShellError;
use super::expression::{ExpressionWord, Operator, Scanner};
use crate::targets::groups::ClusterShellSources;

/// Characters that the name of a group must not have.
const ILLEGAL: [char; 6] = ['@', ',', '!', '&', '^', '*'];

/// Maximum depth of groups in groups. Python's recursion ends in the same order of magnitude.
const MAX_DEPTH: usize = 300;

/// A reader of expressions, and the groups that they name.
pub(in crate::personalities) struct GroupResolver {
    files: Vec<PathBuf>,
    /// The sources; `None` before the first group is named.
    sources: RefCell<Option<ClusterShellSources>>,
}

/// A group of some nodes: all its nodes, and those of the nodes that are in it.
pub(in crate::personalities) struct GroupOfNodes {
    pub(in crate::personalities) all: NodeSet,
    pub(in crate::personalities) inside: NodeSet,
}

/// The state of the evaluation of an expression.
#[derive(Clone, Copy)]
struct GroupScope<'a> {
    /// The source of groups that are named without one.
    source: Option<&'a str>,
    /// False in the list of all nodes, which masks are compared with.
    masks: bool,
    depth: usize,
}

impl GroupResolver {
    pub(in crate::personalities) fn new(files: Vec<PathBuf>) -> GroupResolver {
        GroupResolver {
            files,
            sources: RefCell::new(None),
        }
    }

    /// Evaluates an expression.
    pub(in crate::personalities) fn set(&self, text: &str) -> Result<NodeSet, ClusterShellError> {
        let scope = GroupScope {
            source: None,
            masks: true,
            depth: 0,
        };
        // ClusterShell turns a failed query into a parse error of the whole expression.
        self.evaluate(text, scope).map_err(|error| match error {
            ClusterShellError::QueryFailed(command) => {
                ClusterShellError::Parse(format!("{command}: \"{text}\""))
            }
            error => error,
        })
    }

    /// Returns the union of expressions. Fast for many names.
    pub(in crate::personalities) fn union<S: AsRef<str>>(
        &self,
        texts: impl IntoIterator<Item = S>,
    ) -> Result<NodeSet, ClusterShellError> {
        let mut names = NodeSetBuilder::default();
        let mut sets = Vec::new();
        for text in texts {
            let text = text.as_ref();
            if is_plain_name(text) {
                names.add(text);
            } else {
                sets.push(self.set(text)?);
            }
        }
        sets.push(names.build());
        Ok(NodeSet::union_all(sets))
    }

    /// Sets the default source.
    pub(in crate::personalities) fn set_default(
        &self,
        name: &str,
    ) -> Result<(), ClusterShellError> {
        self.with_sources(|_| Ok(()))?;
        let mut sources = self.sources.borrow_mut();
        let known = |sources: &mut ClusterShellSources| sources.set_default(name);
        if sources.as_mut().is_some_and(known) {
            Ok(())
        } else {
            Err(ClusterShellError::UnknownSource(name.to_owned()))
        }
    }

    /// Returns the names of the sources, with the default one first.
    pub(in crate::personalities) fn source_names(&self) -> Result<Vec<String>, ClusterShellError> {
        self.with_sources(|sources| Ok(sources.names().map(str::to_owned).collect()))
    }

    /// Returns all nodes of a source.
    pub(in crate::personalities) fn all(
        &self,
        source: Option<&str>,
    ) -> Result<NodeSet, ClusterShellError> {
        let words = self.all_words(source).map_err(|error| {
            let (kind, text) = match error {
                ClusterShellError::UnknownSource(name) => ("GroupResolverSourceError", name),
                ClusterShellError::IllegalCharacter(text) => {
                    ("GroupResolverIllegalCharError", text)
                }
                ClusterShellError::Configuration(text) => ("GroupResolverConfigError", text),
                error => return error,
            };
            ClusterShellError::External(format!("Group source error ({kind}: {text})"))
        })?;
        self.union(words)
    }

    /// Returns the names of the groups of a source.
    pub(in crate::personalities) fn group_names(
        &self,
        source: Option<&str>,
    ) -> Result<Vec<String>, ClusterShellError> {
        let listed = self.with_source(source, |sources, name| {
            let listed = sources.list(source).map_err(failed)?;
            let missing = || ClusterShellError::NoUpcall {
                what: "list",
                source: name.to_owned(),
            };
            listed.ok_or_else(missing)
        })?;
        let mut set = NodeSet::new();
        // ClusterShell evaluates these names, so that a source can list groups as `rack[1-4]`.
        for text in checked(listed)? {
            let mut scanner = Scanner::new(&text);
            while let Some((operator, word)) = scanner.next()? {
                set = operator.apply(&set, &word.to_set());
            }
        }
        Ok(set.iter().collect())
    }

    /// Returns the groups of nodes, by the name of the group without `@`.
    pub(in crate::personalities) fn groups_of(
        &self,
        nodes: &NodeSet,
        source: Option<&str>,
    ) -> Result<BTreeMap<String, GroupOfNodes>, ClusterShellError> {
        let listed = match self.group_names(source) {
            // The groups of each node may still be found.
            Err(ClusterShellError::NoUpcall { .. } | ClusterShellError::QueryFailed(_)) => None,
            listed => Some(listed?),
        };
        // A query can start a process. As in ClusterShell, the smaller number of queries decides.
        let few = listed
            .as_ref()
            .is_none_or(|listed| listed.is_empty() || listed.len() as u64 >= nodes.len());
        let reverse = self.with_sources(|sources| Ok(sources.has_reverse(source)))?;
        let mut names = Vec::new();
        if reverse && few {
            for node in nodes {
                names.extend(self.groups_of_node(&node, source)?);
            }
        } else {
            for group in listed.unwrap_or_default() {
                let words = self.nodes(&group, source).map_err(|error| match error {
                    ClusterShellError::QueryFailed(command) => {
                        ClusterShellError::External(format!(
                            "Unable to map a group previously listed\n\tFailed command: {command}"
                        ))
                    }
                    error => error,
                })?;
                if !self.set(&words.join(","))?.is_disjoint(nodes) {
                    names.push(group);
                }
            }
        }
        let mut groups = BTreeMap::new();
        for name in names {
            // Many nodes are in the same groups, and each query can start a process.
            if groups.contains_key(&name) {
                continue;
            }
            let all = self.set(&self.nodes(&name, source)?.join(","))?;
            let inside = nodes.intersection(&all);
            groups.insert(name, GroupOfNodes { all, inside });
        }
        Ok(groups)
    }

    /// Writes nodes with the groups that are wholly among them, the largest first.
    pub(in crate::personalities) fn regroup(
        &self,
        nodes: &NodeSet,
        source: Option<&str>,
        prefix: bool,
        style: &FoldStyle,
    ) -> Result<String, ClusterShellError> {
        let groups = self.groups_of(nodes, source)?;
        let mut whole: Vec<(&String, &GroupOfNodes)> = groups.iter().collect();
        whole.retain(|(_, group)| group.inside.len() == group.all.len());
        // The sort is stable: groups of one size stay in the order of their names.
        whole.sort_by_key(|(_, group)| std::cmp::Reverse(group.all.len()));
        let mut rest = nodes.clone();
        let mut found = NodeSet::new();
        for (name, group) in whole {
            // Groups do not overlap.
            if !group.all.is_subset(&rest) {
                continue;
            }
            let name = shown(source.filter(|_| prefix), name);
            // ClusterShell folds the names of groups, too: `@rack[1-2]`.
            found = found.union(&without_groups(&name)?);
            rest = rest.difference(&group.all);
            if rest.is_empty() {
                return Ok(found.to_string());
            }
        }
        let rest = rest.folded(style);
        if found.is_empty() {
            return Ok(rest);
        }
        Ok(format!("{found},{rest}"))
    }

    fn groups_of_node(
        &self,
        node: &str,
        source: Option<&str>,
    ) -> Result<Vec<String>, ClusterShellError> {
        let found = self.with_source(source, |sources, _| {
            sources.reverse(source, node).map_err(failed)
        });
        let found = found.map_err(|error| match error {
            ClusterShellError::QueryFailed(command) => {
                ClusterShellError::External(format!("Group source query failed: {command}"))
            }
            error => error,
        })?;
        checked(found.unwrap_or_default())
    }

    fn evaluate(&self, text: &str, scope: GroupScope<'_>) -> Result<NodeSet, ClusterShellError> {
        // Groups can contain each other in a circle, and only this limit ends it.
        if scope.depth > MAX_DEPTH {
            let message = "maximum recursion depth exceeded while calling a Python object";
            return Err(ClusterShellError::QueryFailed(message.to_owned()));
        }
        let mut set: Option<NodeSet> = None;
        // The first operand is most often the only one, and its set is the result.
        let mut apply = |operator: Operator, operand: NodeSet| {
            set = Some(match (&set, operator) {
                (None, Operator::Union) => operand,
                (None, _) => operator.apply(&NodeSet::new(), &operand),
                (Some(set), _) => operator.apply(set, &operand),
            });
        };
        let mut all: Option<NodeSet> = None;
        let mut scanner = Scanner::new(text);
        while let Some((operator, word)) = scanner.next()? {
            let operand = if word.is_group() {
                let mut operand = NodeSet::new();
                for group in &word.to_set() {
                    operand = operand.union(&self.group(&group, scope)?);
                }
                operand
            } else if scope.masks && word.has_wildcard() {
                // The list of all nodes can need a process, so an expression asks for it once.
                if all.is_none() {
                    let inner = GroupScope {
                        masks: false,
                        depth: scope.depth + 1,
                        ..scope
                    };
                    let words = self.all_words(scope.source)?.into_iter();
                    let sets = words.map(|word| self.evaluate(&word, inner));
                    all = Some(NodeSet::union_all(sets.collect::<Result<_, _>>()?));
                }
                let masks: Vec<String> = word.to_set().iter().collect();
                let fits = |name: &str| masks.iter().any(|mask| fits_mask(mask, name));
                all.as_ref()
                    .map(|all| all.filtered(fits))
                    .unwrap_or_default()
            } else {
                word.to_set()
            };
            apply(operator, operand);
        }
        Ok(set.unwrap_or_default())
    }

    /// Evaluates a group, whose name starts with `@`.
    fn group(&self, name: &str, scope: GroupScope<'_>) -> Result<NodeSet, ClusterShellError> {
        let name = name.strip_prefix('@').unwrap_or(name);
        let (source, group) = match name.split_once(':') {
            Some((source, group)) => (Some(source), group),
            None => (scope.source, name),
        };
        let source = source.filter(|source| !source.is_empty());
        let words = match group.strip_prefix('@') {
            _ if group == "*" => self.all_words(source)?,
            // `@@source` stands for the names of the groups.
            Some(_) => {
                let source = name.get(1..).filter(|source| !source.is_empty());
                self.group_names(source)?
            }
            None => self.nodes(group, source)?,
        };
        let inner = GroupScope {
            source,
            depth: scope.depth + 1,
            ..scope
        };
        self.evaluate(&words.join(","), inner)
    }

    /// Returns the words of the list of all nodes: that of the source, or those of all groups.
    fn all_words(&self, source: Option<&str>) -> Result<Vec<String>, ClusterShellError> {
        let words = self.with_source(source, |sources, _| sources.all(source).map_err(failed));
        let words = words.map_err(|error| match error {
            ClusterShellError::QueryFailed(command) => {
                ClusterShellError::External(format!("Failed to get all nodes: {command}"))
            }
            error => error,
        })?;
        if let Some(words) = words {
            return Ok(words);
        }
        let groups = self.group_names(source).map_err(|error| match error {
            ClusterShellError::NoUpcall { .. } => ClusterShellError::External(
                "Not enough working methods (all or map + list) to get all nodes".to_owned(),
            ),
            error => error,
        })?;
        let mut all = Vec::new();
        for group in groups {
            all.extend(self.nodes(&group, source)?);
        }
        Ok(all)
    }

    /// Returns the words of a group's definition.
    fn nodes(&self, group: &str, source: Option<&str>) -> Result<Vec<String>, ClusterShellError> {
        self.with_source(source, |sources, _| {
            sources.nodes(source, group).map_err(failed)
        })
    }

    /// Calls `ask` with the sources and the name of one of them.
    fn with_source<R>(
        &self,
        source: Option<&str>,
        ask: impl FnOnce(&ClusterShellSources, &str) -> Result<R, ClusterShellError>,
    ) -> Result<R, ClusterShellError> {
        self.with_sources(|sources| match sources.name(source) {
            Some(name) => ask(sources, name),
            None => Err(ClusterShellError::UnknownSource(
                source.unwrap_or("<default>").to_owned(),
            )),
        })
    }

    fn with_sources<R>(
        &self,
        ask: impl FnOnce(&ClusterShellSources) -> Result<R, ClusterShellError>,
    ) -> Result<R, ClusterShellError> {
        // As in ClusterShell, a call without groups does not fail because of a wrong file.
        if self.sources.borrow().is_none() {
            let loaded = ClusterShellSources::load(&self.files);
            let loaded =
                loaded.map_err(|error| ClusterShellError::Configuration(error.to_string()))?;
            *self.sources.borrow_mut() = Some(loaded);
        }
        match &*self.sources.borrow() {
            Some(sources) => ask(sources),
            None => Err(ClusterShellError::UnknownSource("<default>".to_owned())),
        }
    }
}

/// Returns the name of a group in an expression.
pub(in crate::personalities) fn shown(source: Option<&str>, group: &str) -> String {
    match source {
        Some(source) => format!("@{source}:{group}"),
        None => format!("@{group}"),
    }
}

/// Evaluates an expression in which `@` and masks have no meaning.
fn without_groups(text: &str) -> Result<NodeSet, ClusterShellError> {
    let mut set = NodeSet::new();
    let mut scanner = Scanner::new(text);
    while let Some((operator, word)) = scanner.next()? {
        set = operator.apply(&set, &word.to_set());
    }
    Ok(set)
}

/// Reads a name in which operators, brackets and groups have no meaning.
pub(in crate::personalities) fn single(name: &str) -> Result<NodeSet, ClusterShellError> {
    Ok(ExpressionWord::single(name.trim())?.to_set())
}

/// True if the expression is a name and nothing else.
fn is_plain_name(text: &str) -> bool {
    // ClusterShell refuses numbers with more than a hundred digits.
    const MAX_PLAIN: usize = 100;
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.:".contains(&b);
    !text.is_empty() && text.len() <= MAX_PLAIN && text.bytes().all(plain)
}

/// Checks the characters of groups' names.
fn checked(names: Vec<String>) -> Result<Vec<String>, ClusterShellError> {
    for name in &names {
        let found: Vec<char> = ILLEGAL.into_iter().filter(|c| name.contains(*c)).collect();
        if !found.is_empty() {
            let found: Vec<String> = found.into_iter().map(String::from).collect();
            return Err(ClusterShellError::IllegalCharacter(found.join(" ")));
        }
    }
    Ok(names)
}

fn failed(error: GroupError) -> ClusterShellError {
    match error {
        GroupError::CommandFailed { command, .. } => ClusterShellError::QueryFailed(command),
        error => ClusterShellError::Configuration(error.to_string()),
    }
}
