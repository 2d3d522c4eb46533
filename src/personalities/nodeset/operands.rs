//! The set that the words of the command line make, from left to right.

use std::io::{self, BufRead};

use nodeset::{FoldStyle, NodeSet, RangeSet};

use super::{NodesetOptions, NodesetStop};
use crate::personalities::Streams;
use crate::personalities::clustershell::{ClusterShellError, GroupResolver, ranges};
use crate::personalities::python::text;

/// A set of nodes, or of numbers with `-R`.
#[derive(Clone, Debug)]
pub(super) enum OperandSet {
    Nodes(NodeSet),
    Ranges(RangeSet),
}

/// An operation with the set so far and the next operand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OperandOperation {
    Union,
    Intersection,
    Difference,
    Symmetric,
}

impl OperandOperation {
    /// Returns the operation that a word of the command line stands for.
    fn of_word(word: &str) -> Option<OperandOperation> {
        match word {
            "-i" | "--intersection" => Some(OperandOperation::Intersection),
            "-x" | "--exclude" => Some(OperandOperation::Difference),
            "-X" | "--xor" => Some(OperandOperation::Symmetric),
            _ => None,
        }
    }
}

impl OperandSet {
    fn apply(self, operation: OperandOperation, other: OperandSet) -> OperandSet {
        match (self, other) {
            (OperandSet::Nodes(set), OperandSet::Nodes(other)) => {
                OperandSet::Nodes(match operation {
                    OperandOperation::Union if set.is_empty() => other,
                    OperandOperation::Union => set.union(&other),
                    OperandOperation::Intersection => set.intersection(&other),
                    OperandOperation::Difference => set.difference(&other),
                    OperandOperation::Symmetric => set.symmetric_difference(&other),
                })
            }
            (OperandSet::Ranges(set), OperandSet::Ranges(other)) => {
                OperandSet::Ranges(match operation {
                    OperandOperation::Union => set.union(&other),
                    OperandOperation::Intersection => set.intersection(&other),
                    OperandOperation::Difference => set.difference(&other),
                    OperandOperation::Symmetric => set.symmetric_difference(&other),
                })
            }
            // All sets of a command line are of one kind.
            (set, _) => set,
        }
    }

    pub(super) fn len(&self) -> u64 {
        match self {
            OperandSet::Nodes(set) => set.len(),
            OperandSet::Ranges(set) => set.len(),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(super) fn folded(&self, style: &FoldStyle) -> String {
        match self {
            OperandSet::Nodes(set) => set.folded(style),
            OperandSet::Ranges(set) => set.folded(style),
        }
    }

    pub(super) fn names(&self) -> Box<dyn Iterator<Item = String> + '_> {
        match self {
            OperandSet::Nodes(set) => Box::new(set.iter()),
            OperandSet::Ranges(set) => Box::new(set.iter()),
        }
    }

    pub(super) fn select(&self, positions: &[std::ops::Range<u64>]) -> OperandSet {
        match self {
            OperandSet::Nodes(set) => OperandSet::Nodes(set.select(positions)),
            OperandSet::Ranges(set) => OperandSet::Ranges(set.select(positions)),
        }
    }

    pub(super) fn split(&self, parts: usize) -> Vec<OperandSet> {
        match self {
            OperandSet::Nodes(set) => set
                .split(parts)
                .into_iter()
                .map(OperandSet::Nodes)
                .collect(),
            OperandSet::Ranges(set) => set
                .split(parts)
                .into_iter()
                .map(OperandSet::Ranges)
                .collect(),
        }
    }

    pub(super) fn contiguous(&self) -> Vec<OperandSet> {
        match self {
            OperandSet::Nodes(set) => set
                .contiguous()
                .into_iter()
                .map(OperandSet::Nodes)
                .collect(),
            OperandSet::Ranges(set) => set
                .contiguous()
                .into_iter()
                .map(OperandSet::Ranges)
                .collect(),
        }
    }
}

/// The evaluation of the words of a command line.
pub(super) struct Operands<'a> {
    options: &'a NodesetOptions,
    resolver: &'a GroupResolver,
}

impl<'a> Operands<'a> {
    pub(super) fn new(options: &'a NodesetOptions, resolver: &'a GroupResolver) -> Operands<'a> {
        Operands { options, resolver }
    }

    /// Returns the set of the options and words.
    pub(super) fn evaluate(&self, streams: &mut Streams<'_>) -> Result<OperandSet, NodesetStop> {
        let options = self.options;
        let mut set = self.union(&[])?;
        if options.all {
            set = OperandSet::Nodes(self.resolver.all(None)?);
        }
        if options.words.is_empty() && !options.all && !options.is_listing() {
            set = self.with_input(set, OperandOperation::Union, streams)?;
        }
        if set.is_empty() && options.has_operations() && !options.quiet {
            streams.complain("WARNING: empty left operand for set operation\n");
        }
        // nodeset has one list for each option: all `-i` come before all `-x`, in any written order.
        for (operation, texts) in [
            (OperandOperation::Intersection, &options.intersections),
            (OperandOperation::Difference, &options.differences),
            (OperandOperation::Symmetric, &options.symmetrics),
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
    fn with_words(
        &self,
        mut set: OperandSet,
        streams: &mut Streams<'_>,
    ) -> Result<OperandSet, NodesetStop> {
        let mut pending: Vec<&str> = Vec::new();
        let mut words = self.options.words.iter();
        while let Some(word) = words.next() {
            let operation = OperandOperation::of_word(word);
            if operation.is_none() && word != "-" {
                // Words without an operation are joined at once, since a union for each would take quadratic time.
                pending.extend(text::lines(word));
                continue;
            }
            set = set.apply(
                OperandOperation::Union,
                self.union(&std::mem::take(&mut pending))?,
            );
            let Some(operation) = operation else {
                set = self.with_input(set, OperandOperation::Union, streams)?;
                continue;
            };
            let missing = || ClusterShellError::Fault("pop from empty list".to_owned());
            let operand = words.next().ok_or_else(missing)?;
            set = if operand == "-" {
                self.with_input(set, operation, streams)?
            } else {
                set.apply(operation, self.union(&text::lines(operand))?)
            };
        }
        Ok(set.apply(OperandOperation::Union, self.union(&pending)?))
    }

    /// Applies the words of standard input, if there are any.
    fn with_input(
        &self,
        set: OperandSet,
        operation: OperandOperation,
        streams: &mut Streams<'_>,
    ) -> Result<OperandSet, NodesetStop> {
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

    fn one(&self, text: &str) -> Result<OperandSet, ClusterShellError> {
        if self.options.ranges {
            return Ok(OperandSet::Ranges(ranges(text)?));
        }
        Ok(OperandSet::Nodes(self.resolver.set(text)?))
    }

    fn union(&self, texts: &[&str]) -> Result<OperandSet, ClusterShellError> {
        if !self.options.ranges {
            return Ok(OperandSet::Nodes(self.resolver.union(texts)?));
        }
        let mut set = RangeSet::default();
        for text in texts {
            set = set.union(&ranges(text)?);
        }
        Ok(OperandSet::Ranges(set))
    }
}

/// Reads the rest of an input, which must be text.
fn read_text(input: &mut dyn BufRead) -> Result<String, NodesetStop> {
    let mut text = String::new();
    match input.read_to_string(&mut text) {
        Ok(_) => Ok(text),
        Err(error) if error.kind() == io::ErrorKind::InvalidData => {
            let message = "standard input is not UTF-8".to_owned();
            Err(ClusterShellError::Fault(message).into())
        }
        Err(error) => Err(error.into()),
    }
}
