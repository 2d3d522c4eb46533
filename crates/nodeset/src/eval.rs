//! Evaluation of expressions: applies the operators, and looks up groups, masks and files.
//!
//! Groups may name groups. The depth is bounded, a cycle is an error, and each group is evaluated once.

use std::cell::RefCell;
use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use regex_lite::Regex;

use crate::attributes::Attributes;
use crate::error::{Fault, NodeSetError};
use crate::list::{Data, Filter, ListWord, NodeList, Test};
use crate::lookup::{Definition, GroupError, GroupSource, HostFiles, NoLookup};
use crate::mask::fits;
use crate::names::Names;
use crate::parse::{self, Grammar, Item, Op, Operand};
use crate::set::NodeSet;

/// Maximum depth of groups in groups.
const MAX_DEPTH: usize = 50;

/// Maximum number of comparisons of names with masks.
// A mask with ranges is many masks.
const MAX_MATCHES: u128 = 50_000_000;

/// A source and a group in it.
type GroupName = (Option<String>, String);

/// An evaluator of expressions, with a limit, a source of groups, and a reader of files.
///
/// Each group is looked up once, so use one resolver for all expressions. [`GroupSource`] has an example.
pub struct Resolver<'a, A = ()> {
    limit: usize,
    groups: &'a dyn GroupSource<A>,
    files: &'a dyn HostFiles<A>,
    /// Groups that were evaluated before.
    known: RefCell<HashMap<GroupName, Arc<NodeList<A>>>>,
}

/// The context of an expression.
#[derive(Clone, Copy)]
struct Scope<'a> {
    /// The source of groups that are named without one.
    source: Option<&'a str>,
    /// The groups whose definitions are being evaluated, innermost first.
    inside: Option<&'a GroupFrame<'a>>,
    grammar: Grammar,
}

struct GroupFrame<'a> {
    group: &'a GroupName,
    outer: Option<&'a GroupFrame<'a>>,
}

impl<A: Attributes> NodeList<A> {
    /// Reads an expression of a command line, with pdsh's forms and without groups and files.
    ///
    /// # Errors
    /// The expression has a fault, or names more than `limit` hosts.
    pub fn parse(text: &str, limit: usize) -> Result<Self, NodeSetError> {
        Resolver::new(limit, &NoLookup, &NoLookup).hosts(text)
    }

    /// Reads an expression of a file, without pdsh's forms and without groups.
    ///
    /// # Errors
    /// The expression has a fault, or names more than `limit` hosts.
    pub fn parse_in_file(text: &str, limit: usize) -> Result<Self, NodeSetError> {
        Resolver::new(limit, &NoLookup, &NoLookup).hosts_in_file(text)
    }
}

impl<'a, A: Attributes> Resolver<'a, A> {
    /// Returns an evaluator of expressions that name at most `limit` hosts. Hosts that an operator removes count.
    #[must_use]
    pub fn new(
        limit: usize,
        groups: &'a dyn GroupSource<A>,
        files: &'a dyn HostFiles<A>,
    ) -> Resolver<'a, A> {
        Resolver {
            limit,
            groups,
            files,
            known: RefCell::default(),
        }
    }

    /// Evaluates an expression of a command line, with pdsh's forms.
    ///
    /// # Errors
    /// The expression has a fault, names too many hosts, or needs something that cannot be looked up.
    pub fn hosts(&self, text: &str) -> Result<NodeList<A>, NodeSetError> {
        self.evaluate(text, self.scope(true))
    }

    /// Evaluates an expression of a file, without pdsh's forms.
    ///
    /// # Errors
    /// The expression has a fault, names too many hosts, or needs something that cannot be looked up.
    pub fn hosts_in_file(&self, text: &str) -> Result<NodeList<A>, NodeSetError> {
        self.evaluate(text, self.scope(false))
    }

    /// Looks up a group, whose name may have any characters.
    ///
    /// # Errors
    /// The group cannot be looked up, or its definition has a fault.
    pub fn group(&self, source: Option<&str>, name: &str) -> Result<Arc<NodeList<A>>, Fault> {
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

    fn evaluate(&self, text: &str, scope: Scope<'_>) -> Result<NodeList<A>, NodeSetError> {
        let mut list = NodeList::default();
        parse::expression(text, scope.grammar, |Item { op, span, operand }| {
            self.apply(&mut list, op, operand, scope)
                // After every operand, so that a short text cannot fill the memory.
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
        list: &mut NodeList<A>,
        op: Op,
        operand: Operand<A>,
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
                    // As in pdsh, a regular expression without an operator keeps the matching names of the whole list.
                    Op::Union | Op::Symmetric => list.push_overall(filter(true)),
                }
                return Ok(());
            }
            Operand::Hosts(word) if op == Op::Union => {
                list.push_word(word);
                return Ok(());
            }
            Operand::Hosts(word) => {
                let mut hosts = NodeList::default();
                hosts.push_word(word);
                Arc::new(hosts)
            }
            Operand::Masks(word) => self.matching(&word, scope)?,
            Operand::Groups { attributes, names } => self.groups(&attributes, &names, scope)?,
            Operand::File(path) => {
                let hosts = self.files.read(&path);
                hosts.map_err(|message| Fault::File(message.into()))?
            }
        };
        // The operand may become a filter, which is only a set of names.
        if operand.is_marked() {
            list.mark();
        }
        let set = |keeps| Filter {
            test: Test::Set(operand.to_set()),
            keeps,
        };
        match op {
            Op::Union => list.push_data(operand, None, None),
            Op::Difference => list.push_filter(set(false)),
            Op::Intersection => list.push_filter(set(true)),
            Op::Exclusion => list.push_overall(set(false)),
            Op::Symmetric => {
                // Names of both sides: this filter keeps them out of the operand, and the next one takes them out of
                // the list.
                let before = Filter {
                    test: Test::Set(list.to_set()),
                    keeps: false,
                };
                list.push_filter(set(false));
                list.push_data(operand, None, Some(before));
            }
        }
        Ok(())
    }

    /// Evaluates the groups of a word.
    fn groups(
        &self,
        attributes: &Data<A>,
        names: &Names,
        scope: Scope<'_>,
    ) -> Result<Arc<NodeList<A>>, Fault> {
        let mut list = NodeList::default();
        names.try_for_each(|name| {
            // `@@source` stands for the names of the groups.
            if let Some(source) = name.strip_prefix('@') {
                let source = Some(source).filter(|source| !source.is_empty());
                let mut groups = NodeList::default();
                for name in self.groups.list(source.or(scope.source))? {
                    // The name of a group may have any characters.
                    groups.push_name(&name);
                }
                list.push_data(Arc::new(groups), attributes.clone(), None);
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
            list.push_data(hosts, attributes.clone(), None);
            self.check(list.mentions())
        })?;
        Ok(Arc::new(list))
    }

    /// Evaluates one group.
    fn group_hosts(&self, name: GroupName, scope: Scope<'_>) -> Result<Arc<NodeList<A>>, Fault> {
        // First, because a group is not in `known` while its definition is evaluated.
        check_frames(&name, scope)?;
        if let Some(hosts) = self.known.borrow().get(&name) {
            return Ok(Arc::clone(hosts));
        }
        let definition = self.groups.lookup(name.0.as_deref(), &name.1)?;
        let frame = GroupFrame {
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

    /// Evaluates the list of all hosts of a source.
    fn all(&self, source: Option<&str>, scope: Scope<'_>) -> Result<Arc<NodeList<A>>, Fault> {
        let all = (source.map(str::to_owned), "*".to_owned());
        check_frames(&all, scope)?;
        if let Some(hosts) = self.known.borrow().get(&all) {
            return Ok(Arc::clone(hosts));
        }
        let frame = GroupFrame {
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
                // Groups overlap, so their hosts are counted as a set.
                let mut hosts = NodeSet::default();
                let mut list = NodeList::default();
                for group in self.groups.list(source)? {
                    let name = (source.map(str::to_owned), group);
                    let group = self.group_hosts(name, scope)?;
                    hosts = hosts.union(&group.to_set());
                    if group.is_marked() {
                        list.mark();
                    }
                }
                hosts.for_each(|name| list.push_name(name));
                Arc::new(list)
            }
        };
        self.known.borrow_mut().insert(all, Arc::clone(&hosts));
        Ok(hosts)
    }

    /// Returns all hosts whose names fit a mask, with the data of the mask's word.
    fn matching(&self, word: &ListWord<A>, scope: Scope<'_>) -> Result<Arc<NodeList<A>>, Fault> {
        let all = self.all(scope.source, scope)?;
        // Each mask is compared with each host, so two short texts can cause billions of comparisons.
        let count = word.names.len() * all.mentions();
        if count > MAX_MATCHES {
            return Err(Fault::TooManyMasks);
        }
        let mut list = NodeList::default();
        if all.is_marked() {
            list.mark();
        }
        let mut name = Vec::new();
        word.names.try_for_each(|mask| {
            let mask: Vec<char> = mask.chars().collect();
            all.for_each(|host| {
                name.clear();
                name.extend(host.name.chars());
                if fits(&mask, &name) {
                    let names = Names::One(host.name.into());
                    list.push_word(ListWord {
                        names,
                        ..word.clone()
                    });
                }
            });
            self.check(list.mentions())
        })?;
        Ok(Arc::new(list))
    }

    /// Evaluates a definition. `what` names the group for errors.
    fn defined(
        &self,
        definition: Definition<A>,
        what: &str,
        scope: Scope<'_>,
    ) -> Result<Arc<NodeList<A>>, Fault> {
        let (text, source, place) = match &definition {
            Definition::Text {
                text,
                source,
                place,
            } => (text, source.as_deref(), place),
            Definition::Hosts(hosts) => return Ok(Arc::clone(hosts)),
        };
        // Definitions have ClusterShell's grammar, in which `-` and `/` have no meaning.
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
            // The fault is in a group that this definition names, and its message already has the name of that group.
            Fault::InDefinition { .. } => fault,
            // Without a place in a file to show, the names of the groups in the message are enough.
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

/// Checks that a group is not within its own definition and not too deep.
fn check_frames(name: &GroupName, scope: Scope<'_>) -> Result<(), Fault> {
    let frames = || std::iter::successors(scope.inside, |frame| frame.outer);
    if let Some(start) = frames().position(|frame| frame.group == name) {
        let mut names: Vec<String> = frames()
            .take(start + 1)
            .map(|frame| shown(frame.group))
            .collect();
        // Frames are listed from the inside out. The message shows the cycle from the outside in.
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

/// Returns the whole text if it is short, else the part that begins at the fault.
fn excerpt(text: &str, span: Range<usize>) -> &str {
    const LONG: usize = 60;
    let text = text.trim();
    let from = if text.len() <= LONG {
        0
    } else {
        span.start.min(text.len())
    };
    // The start of the span need not be a character boundary of the trimmed text.
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
