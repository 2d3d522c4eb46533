//! The set that the words of the command line make, from left to right.

use std::io::{self, BufRead};

use nodeset::{FoldStyle, NodeSet, RangeSet};

use super::{Options, Stop};
use crate::personalities::Streams;
use crate::personalities::clustershell::{Error, Resolver, ranges};
use crate::personalities::python::text;

/// A set of nodes, or of numbers with `-R`.
#[derive(Clone, Debug)]
pub(super) enum Set {
    Nodes(NodeSet),
    Ranges(RangeSet),
}

/// An operation with the set so far and the next operand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operation {
    Union,
    Intersection,
    Difference,
    Symmetric,
}

impl Operation {
    /// Returns the operation that a word of the command line stands for.
    fn of_word(word: &str) -> Option<Operation> {
        match word {
            "-i" | "--intersection" => Some(Operation::Intersection),
            "-x" | "--exclude" => Some(Operation::Difference),
            "-X" | "--xor" => Some(Operation::Symmetric),
            _ => None,
        }
    }
}

impl Set {
    fn apply(self, operation: Operation, other: Set) -> Set {
        match (self, other) {
            (Set::Nodes(set), Set::Nodes(other)) => Set::Nodes(match operation {
                Operation::Union if set.is_empty() => other,
                Operation::Union => set.union(&other),
                Operation::Intersection => set.intersection(&other),
                Operation::Difference => set.difference(&other),
                Operation::Symmetric => set.symmetric_difference(&other),
            }),
            (Set::Ranges(set), Set::Ranges(other)) => Set::Ranges(match operation {
                Operation::Union => set.union(&other),
                Operation::Intersection => set.intersection(&other),
                Operation::Difference => set.difference(&other),
                Operation::Symmetric => set.symmetric_difference(&other),
            }),
            // All sets of a command line are of one kind.
            (set, _) => set,
        }
    }

    pub(super) fn len(&self) -> u64 {
        match self {
            Set::Nodes(set) => set.len(),
            Set::Ranges(set) => set.len(),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(super) fn folded(&self, style: &FoldStyle) -> String {
        match self {
            Set::Nodes(set) => set.folded(style),
            Set::Ranges(set) => set.folded(style),
        }
    }

    pub(super) fn names(&self) -> Box<dyn Iterator<Item = String> + '_> {
        match self {
            Set::Nodes(set) => Box::new(set.iter()),
            Set::Ranges(set) => Box::new(set.iter()),
        }
    }

    pub(super) fn select(&self, positions: &[std::ops::Range<u64>]) -> Set {
        match self {
            Set::Nodes(set) => Set::Nodes(set.select(positions)),
            Set::Ranges(set) => Set::Ranges(set.select(positions)),
        }
    }

    pub(super) fn split(&self, parts: usize) -> Vec<Set> {
        match self {
            Set::Nodes(set) => set.split(parts).into_iter().map(Set::Nodes).collect(),
            Set::Ranges(set) => set.split(parts).into_iter().map(Set::Ranges).collect(),
        }
    }

    pub(super) fn contiguous(&self) -> Vec<Set> {
        match self {
            Set::Nodes(set) => set.contiguous().into_iter().map(Set::Nodes).collect(),
            Set::Ranges(set) => set.contiguous().into_iter().map(Set::Ranges).collect(),
        }
    }
}

/// The evaluation of the words of a command line.
pub(super) struct Operands<'a> {
    options: &'a Options,
    resolver: &'a Resolver,
}

impl<'a> Operands<'a> {
    pub(super) fn new(options: &'a Options, resolver: &'a Resolver) -> Operands<'a> {
        Operands { options, resolver }
    }

    /// Returns the set of the options and words.
    pub(super) fn evaluate(&self, streams: &mut Streams<'_>) -> Result<Set, Stop> {
        let options = self.options;
        let mut set = self.union(&[])?;
        if options.all {
            set = Set::Nodes(self.resolver.all(None)?);
        }
        if options.words.is_empty() && !options.all && !options.is_listing() {
            set = self.with_input(set, Operation::Union, streams)?;
        }
        if set.is_empty() && options.has_operations() && !options.quiet {
            streams.complain("WARNING: empty left operand for set operation\n");
        }
        // nodeset has one list for each option: all `-i` come before all `-x`, in any written order.
        for (operation, texts) in [
            (Operation::Intersection, &options.intersections),
            (Operation::Difference, &options.differences),
            (Operation::Symmetric, &options.symmetrics),
        ] {
            for text in texts {
                set = if text == "-" {
                    self.with_input(set, operation, streams)?
                } else {
                    set.apply(operation, self.one(text)?)
                };
            }
        }
        self.with_words(set, streams)
    }

    /// Applies the words after the options. An operation is an option before its operand.
    fn with_words(&self, mut set: Set, streams: &mut Streams<'_>) -> Result<Set, Stop> {
        let mut pending: Vec<&str> = Vec::new();
        let mut words = self.options.words.iter();
        while let Some(word) = words.next() {
            let operation = Operation::of_word(word);
            if operation.is_none() && word != "-" {
                // Words without an operation are joined at once, since a union for each would take quadratic time.
                pending.extend(text::lines(word));
                continue;
            }
            set = set.apply(Operation::Union, self.union(&std::mem::take(&mut pending))?);
            let Some(operation) = operation else {
                set = self.with_input(set, Operation::Union, streams)?;
                continue;
            };
            let missing = || Error::Fault("pop from empty list".to_owned());
            let operand = words.next().ok_or_else(missing)?;
            set = if operand == "-" {
                self.with_input(set, operation, streams)?
            } else {
                set.apply(operation, self.union(&text::lines(operand))?)
            };
        }
        Ok(set.apply(Operation::Union, self.union(&pending)?))
    }

    /// Applies the words of standard input, if there are any.
    fn with_input(
        &self,
        set: Set,
        operation: Operation,
        streams: &mut Streams<'_>,
    ) -> Result<Set, Stop> {
        let text = read_text(streams.input)?;
        // Python's universal newlines: a single carriage return ends a line, too.
        let lines = text.split(['\n', '\r']);
        let words = lines.flat_map(|line| {
            let code = line.split('#').next().unwrap_or_default();
            code.split_whitespace()
        });
        let other = self.union(&words.collect::<Vec<_>>())?;
        // As in ClusterShell, an empty input is no operand.
        if other.is_empty() {
            return Ok(set);
        }
        Ok(set.apply(operation, other))
    }

    fn one(&self, text: &str) -> Result<Set, Error> {
        if self.options.ranges {
            return Ok(Set::Ranges(ranges(text)?));
        }
        Ok(Set::Nodes(self.resolver.set(text)?))
    }

    fn union(&self, texts: &[&str]) -> Result<Set, Error> {
        if !self.options.ranges {
            return Ok(Set::Nodes(self.resolver.union(texts)?));
        }
        let mut set = RangeSet::default();
        for text in texts {
            set = set.union(&ranges(text)?);
        }
        Ok(Set::Ranges(set))
    }
}

/// Reads the rest of an input, which must be text.
fn read_text(input: &mut dyn BufRead) -> Result<String, Stop> {
    let mut text = String::new();
    match input.read_to_string(&mut text) {
        Ok(_) => Ok(text),
        Err(error) if error.kind() == io::ErrorKind::InvalidData => {
            let message = "standard input is not UTF-8".to_owned();
            Err(Error::Fault(message).into())
        }
        Err(error) => Err(error.into()),
    }
}
