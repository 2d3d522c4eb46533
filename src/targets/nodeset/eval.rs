//! Evaluates expressions: applies the operators, and looks up groups, masks and files.
//!
//! [`Resolver`] is the way in for everybody who has text. Groups may name groups; how deep is
//! bounded, a circle is found and named, and each group is evaluated once however often it is named.

use std::cell::RefCell;
use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use regex_lite::Regex;

use super::error::{Fault, NodeSetError};
use super::list::{Filter, HostList, Options, Test};
use super::lookup::{Definition, GroupError, GroupSource, HostFiles, Nothing};
use super::mask::fits;
use super::parse::{self, Grammar, Item, Op, Operand};
use super::set::NodeSet;
use super::words::{HostWord, Names};

/// Groups may name groups this deep.
const MAX_DEPTH: usize = 50;

/// How often names may be compared with masks; a mask with ranges is many masks.
const MAX_MATCHES: u128 = 50_000_000;

/// A source and a group in it.
type GroupName = (Option<String>, String);

/// Evaluates expressions with the same sources and the same limit.
pub struct Resolver<'a> {
    limit: usize,
    groups: &'a dyn GroupSource,
    files: &'a dyn HostFiles,
    /// Groups that are evaluated already.
    known: RefCell<HashMap<GroupName, Arc<HostList>>>,
}

/// Where an expression stands.
#[derive(Clone, Copy)]
struct Scope<'a> {
    /// The source whose groups are named without a source.
    source: Option<&'a str>,
    /// The groups in whose definitions this is, innermost first.
    inside: Option<&'a Frame<'a>>,
    grammar: Grammar,
}

struct Frame<'a> {
    group: &'a GroupName,
    outer: Option<&'a Frame<'a>>,
}

impl HostList {
    /// Reads an expression without groups and files that names at most `limit` hosts.
    pub fn parse(text: &str, limit: usize) -> Result<HostList, NodeSetError> {
        Resolver::new(limit, &Nothing, &Nothing).hosts(text)
    }

    /// The same for an expression that stands in a file, where pdsh's forms mean nothing.
    pub fn parse_in_file(text: &str, limit: usize) -> Result<HostList, NodeSetError> {
        Resolver::new(limit, &Nothing, &Nothing).hosts_in_file(text)
    }
}

impl<'a> Resolver<'a> {
    /// Expressions may name at most `limit` hosts, before any operator takes some away.
    #[must_use]
    pub fn new(limit: usize, groups: &'a dyn GroupSource, files: &'a dyn HostFiles) -> Self {
        Resolver {
            limit,
            groups,
            files,
            known: RefCell::default(),
        }
    }

    /// The hosts that an expression from a command line names, pdsh's forms included.
    pub fn hosts(&self, text: &str) -> Result<HostList, NodeSetError> {
        self.evaluate(text, self.scope(true))
    }

    /// The hosts that an expression from a file names: files and exclusions do not stand there.
    pub fn hosts_in_file(&self, text: &str) -> Result<HostList, NodeSetError> {
        self.evaluate(text, self.scope(false))
    }

    /// The hosts of a group, whatever its name looks like.
    pub fn group(&self, source: Option<&str>, name: &str) -> Result<Arc<HostList>, Fault> {
        let name = (source.map(str::to_owned), name.to_owned());
        self.group_hosts(name, self.scope(false))
    }

    fn scope(&self, pdsh: bool) -> Scope<'static> {
        let grammar = Grammar {
            limit: self.limit,
            pdsh,
        };
        Scope {
            source: None,
            inside: None,
            grammar,
        }
    }

    fn evaluate(&self, text: &str, scope: Scope<'_>) -> Result<HostList, NodeSetError> {
        let mut list = HostList::default();
        parse::expression(text, scope.grammar, |Item { op, span, operand }| {
            self.apply(&mut list, op, operand, scope)
                .and_then(|()| self.check(list.mentions()))
                .map_err(|fault| NodeSetError { span, fault })
        })?;
        Ok(list)
    }

    fn check(&self, count: u128) -> Result<(), Fault> {
        let limit = self.limit;
        if count > limit as u128 {
            return Err(Fault::TooMany { count, limit });
        }
        Ok(())
    }

    fn apply(
        &self,
        list: &mut HostList,
        op: Op,
        operand: Operand,
        scope: Scope<'_>,
    ) -> Result<(), Fault> {
        let operand = match operand {
            Operand::Regex(text) => {
                let test = Test::Regex(regex(&text)?);
                let filter = |keeps| Filter {
                    test: test.clone(),
                    keeps,
                };
                match op {
                    Op::Difference => list.push_filter(filter(false)),
                    Op::Intersection => list.push_filter(filter(true)),
                    Op::Exclusion => list.push_overall(filter(false)),
                    Op::Union | Op::Symmetric => list.push_overall(filter(true)),
                }
                return Ok(());
            }
            Operand::Hosts(word) if op == Op::Union => {
                list.push_word(word);
                return Ok(());
            }
            Operand::Hosts(word) => {
                let mut hosts = HostList::default();
                hosts.push_word(word);
                Arc::new(hosts)
            }
            Operand::Masks(word) => self.matching(&word, scope)?,
            Operand::Groups { options, names } => self.groups(&options, &names, scope)?,
            Operand::File(path) => {
                let hosts = self.files.read(&path);
                hosts.map_err(|message| Fault::File(message.into()))?
            }
        };
        let set = |keeps| Filter {
            test: Test::Set(operand.to_set()),
            keeps,
        };
        match op {
            Op::Union => list.push_list(operand, Options::default()),
            Op::Difference => list.push_filter(set(false)),
            Op::Intersection => list.push_filter(set(true)),
            Op::Exclusion => list.push_overall(set(false)),
            Op::Symmetric => {
                let before = Filter {
                    test: Test::Set(list.to_set()),
                    keeps: false,
                };
                list.push_filter(set(false));
                list.push_list_except(operand, Options::default(), Some(before));
            }
        }
        Ok(())
    }

    /// The hosts of all groups that a word names.
    fn groups(
        &self,
        options: &Options,
        names: &Names,
        scope: Scope<'_>,
    ) -> Result<Arc<HostList>, Fault> {
        let mut list = HostList::default();
        names.try_for_each(|name| {
            // `@@source` names the groups themselves.
            if let Some(source) = name.strip_prefix('@') {
                let source = Some(source).filter(|source| !source.is_empty());
                let mut groups = HostList::default();
                for name in self.groups.list(source.or(scope.source))? {
                    // Any character may be in the name of a group.
                    groups.push_name(&name);
                }
                list.push_list(Arc::new(groups), options.clone());
                return Ok(());
            }
            let (source, group) = match name.split_once(':') {
                Some((source, group)) => (Some(source), group),
                None => (scope.source, name),
            };
            let hosts = match group {
                "*" => self.all(source, scope)?,
                _ => self.group_hosts((source.map(str::to_owned), group.to_owned()), scope)?,
            };
            list.push_list(hosts, options.clone());
            self.check(list.mentions())
        })?;
        Ok(Arc::new(list))
    }

    /// The hosts of one group.
    fn group_hosts(&self, name: GroupName, scope: Scope<'_>) -> Result<Arc<HostList>, Fault> {
        check_frames(&name, scope)?;
        if let Some(hosts) = self.known.borrow().get(&name) {
            return Ok(Arc::clone(hosts));
        }
        let definition = self.groups.lookup(name.0.as_deref(), &name.1)?;
        let frame = Frame {
            group: &name,
            outer: scope.inside,
        };
        let inner = Scope {
            inside: Some(&frame),
            ..scope
        };
        let hosts = self.defined(definition, &format!("the group {}", shown(&name)), inner)?;
        self.known.borrow_mut().insert(name, Arc::clone(&hosts));
        Ok(hosts)
    }

    /// All hosts of a source.
    fn all(&self, source: Option<&str>, scope: Scope<'_>) -> Result<Arc<HostList>, Fault> {
        let all = (source.map(str::to_owned), "*".to_owned());
        check_frames(&all, scope)?;
        if let Some(hosts) = self.known.borrow().get(&all) {
            return Ok(Arc::clone(hosts));
        }
        let frame = Frame {
            group: &all,
            outer: scope.inside,
        };
        let scope = Scope {
            inside: Some(&frame),
            ..scope
        };
        let hosts = match self.groups.all(source)? {
            Some(definition) => self.defined(definition, "the list of all hosts", scope)?,
            None => {
                // Groups overlap, so their hosts are counted as a set and not as mentions.
                let mut hosts = NodeSet::default();
                for group in self.groups.list(source)? {
                    let name = (source.map(str::to_owned), group);
                    hosts = hosts.union(&self.group_hosts(name, scope)?.to_set());
                }
                let mut list = HostList::default();
                hosts.for_each(|name| list.push_name(name));
                Arc::new(list)
            }
        };
        self.known.borrow_mut().insert(all, Arc::clone(&hosts));
        Ok(hosts)
    }

    /// The hosts among all that fit a mask, with the user and port that stand around it.
    fn matching(&self, word: &HostWord, scope: Scope<'_>) -> Result<Arc<HostList>, Fault> {
        let all = self.all(scope.source, scope)?;
        let count = word.names.len() * all.mentions();
        if count > MAX_MATCHES {
            return Err(Fault::TooManyMasks);
        }
        let mut list = HostList::default();
        let mut name = Vec::new();
        word.names.try_for_each(|mask| {
            let mask: Vec<char> = mask.chars().collect();
            all.for_each(|host| {
                name.clear();
                name.extend(host.name.chars());
                if fits(&mask, &name) {
                    let names = Names::One(host.name.into());
                    list.push_word(HostWord {
                        names,
                        ..word.clone()
                    });
                }
            });
            self.check(list.mentions())
        })?;
        Ok(Arc::new(list))
    }

    /// Evaluates a definition, which the user did not write here; `what` says what it defines.
    fn defined(
        &self,
        definition: Definition,
        what: &str,
        scope: Scope<'_>,
    ) -> Result<Arc<HostList>, Fault> {
        let (text, source, place) = match &definition {
            Definition::Text {
                text,
                source,
                place,
            } => (text, source.as_deref(), place),
            Definition::Hosts(hosts) => return Ok(Arc::clone(hosts)),
        };
        let grammar = Grammar {
            pdsh: false,
            ..scope.grammar
        };
        let scope = Scope {
            source,
            grammar,
            ..scope
        };
        let hosts = self.evaluate(text, scope).map(Arc::new);
        hosts.map_err(|NodeSetError { span, fault }| match fault {
            // What is wrong with a group inside is said where that group is.
            Fault::InDefinition { .. } => fault,
            // The names of the groups say enough where no place can be shown.
            Fault::GroupCycle(_) | Fault::GroupsTooDeep(_) if place.is_none() => fault,
            _ => Fault::InDefinition {
                what: what.into(),
                text: excerpt(text, span).into(),
                place: place.clone(),
                fault: Box::new(fault),
            },
        })
    }
}

/// Refuses a group within its own definition, and groups in groups without end.
fn check_frames(name: &GroupName, scope: Scope<'_>) -> Result<(), Fault> {
    let frames = || std::iter::successors(scope.inside, |frame| frame.outer);
    if let Some(start) = frames().position(|frame| frame.group == name) {
        let mut names: Vec<String> = frames()
            .take(start + 1)
            .map(|frame| shown(frame.group))
            .collect();
        names.reverse();
        names.push(shown(name));
        return Err(Fault::GroupCycle(names.join(" → ").into()));
    }
    if frames().count() >= MAX_DEPTH {
        return Err(Fault::GroupsTooDeep(MAX_DEPTH));
    }
    Ok(())
}

fn shown((source, group): &GroupName) -> String {
    match source {
        Some(source) => format!("@{source}:{group}"),
        None => format!("@{group}"),
    }
}

/// A text, or if it is long the part of it that is at fault and what follows.
fn excerpt(text: &str, span: Range<usize>) -> &str {
    const LONG: usize = 60;
    let text = text.trim();
    let from = if text.len() <= LONG {
        0
    } else {
        span.start.min(text.len())
    };
    let text = text.get(from..).unwrap_or(text);
    let end = text
        .char_indices()
        .nth(LONG)
        .map_or(text.len(), |(at, _)| at);
    &text[..end]
}

impl From<GroupError> for Fault {
    fn from(error: GroupError) -> Fault {
        Fault::Group(Box::new(error))
    }
}

fn regex(text: &str) -> Result<Regex, Fault> {
    Regex::new(text).map_err(|error| Fault::BadRegex(error.to_string().into()))
}

#[cfg(test)]
mod tests;
