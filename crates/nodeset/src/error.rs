//! Faults of an expression, and their place in its text.
//!
//! Made by [`parse`](crate::parse) and [`eval`](crate::eval). The caller adds which option or file the text is from.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use crate::index::MAX_DIGITS;
use crate::lookup::{DefinitionPlace, GroupError};

/// A fault of an expression, and its place.
///
/// ```
/// use nodeset::{Fault, NodeSet};
///
/// let error = NodeSet::parse("node[9-3]").unwrap_err();
/// assert_eq!(error.span, 5..8);
/// assert_eq!(error.fault, Fault::Backwards(9, 3));
/// assert_eq!(error.to_string(), "the range 9-3 runs backwards");
/// assert_eq!(error.fault.help().unwrap(), "write the smaller number first: 3-9");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeSetError {
    /// Bytes of the expression; empty where something is missing.
    pub span: Range<usize>,
    /// The fault.
    pub fault: Fault,
}

impl fmt::Display for NodeSetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.fault.fmt(f)
    }
}

impl std::error::Error for NodeSetError {}

/// A fault of a word that [`Attributes::split`](crate::Attributes::split) found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WordError {
    /// Bytes of the word.
    pub span: Range<usize>,
    /// Text for the user.
    pub message: String,
    /// Advice for the user, if there is any.
    pub help: Option<String>,
}

/// A fault of an expression.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// A `[` without a `]`.
    UnclosedBracket,
    /// A `]` without a `[`.
    StrayBracket,
    /// No number where one was expected.
    MissingNumber,
    /// Another text where a number was expected.
    NotANumber(Box<str>),
    /// Too many digits in a number, or in the digits of a name around a bracket.
    TooManyDigits,
    /// A range whose first number is the larger one.
    Backwards(u64, u64),
    /// A padded range whose two numbers have different lengths.
    PaddingMismatch,
    /// A step of zero.
    ZeroStep,
    /// A step after a single number.
    StepWithoutRange,
    /// More names than the limit.
    TooMany {
        /// Number of names.
        count: u128,
        /// The limit.
        limit: usize,
    },
    /// An operator without a name on one side.
    MissingOperand(char),
    /// A name with more than [`MAX_NAME`] bytes.
    NameTooLong(usize),
    /// No name in a word.
    EmptyName,
    /// A name that other programs would take for an option.
    LeadingDash,
    /// A character that is not allowed in a host name.
    BadCharacter(char),
    /// A fault of a word's data, by the program's [`Attributes`](crate::Attributes).
    Word {
        /// Text for the user.
        message: Box<str>,
        /// Advice for the user, if there is any.
        help: Option<Box<str>>,
    },
    /// A `^` without the name of a file.
    MissingFile,
    /// A regular expression that is empty, or after a `^`.
    MisplacedRegex,
    /// A regular expression with a wrong syntax.
    BadRegex(Box<str>),
    /// A `^file` that cannot be read or that has a fault.
    File(Box<str>),
    /// A group or a list of all hosts that cannot be looked up.
    // Boxed, since every function of the parser returns this type.
    Group(Box<GroupError>),
    /// Groups whose definitions name each other.
    GroupCycle(Box<str>),
    /// Groups within groups in more than this number of levels.
    GroupsTooDeep(usize),
    /// A mask whose ranges make too many masks.
    TooManyMasks,
    /// A fault in the definition of a group.
    InDefinition {
        /// The group.
        what: Box<str>,
        /// The definition, or the part of it at fault.
        text: Box<str>,
        /// The fault.
        fault: Box<Fault>,
        /// The place of the definition, if that is known.
        place: Option<Arc<DefinitionPlace>>,
    },
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::UnclosedBracket => f.write_str("this bracket is never closed"),
            Fault::StrayBracket => f.write_str("this bracket was never opened"),
            Fault::MissingNumber => f.write_str("a number is missing here"),
            Fault::NotANumber(text) => write!(f, "\"{text}\" is not a number"),
            Fault::TooManyDigits => write!(f, "more than {MAX_DIGITS} digits"),
            Fault::Backwards(first, last) => write!(f, "the range {first}-{last} runs backwards"),
            Fault::PaddingMismatch => {
                f.write_str("one end of this range is padded with zeros and the other is not")
            }
            Fault::ZeroStep => f.write_str("the step must be at least 1"),
            Fault::StepWithoutRange => f.write_str("a step needs a range"),
            Fault::TooMany { count, limit } => {
                write!(f, "this is {count} names, more than the limit of {limit}")
            }
            Fault::MissingOperand(operator) => {
                write!(f, "the operator '{operator}' needs a name on both sides")
            }
            Fault::NameTooLong(length) => {
                write!(
                    f,
                    "a name of {length} bytes; host names have at most {MAX_NAME}"
                )
            }
            Fault::EmptyName => f.write_str("there is no host name here"),
            Fault::LeadingDash => f.write_str("a host name cannot start with '-'"),
            Fault::BadCharacter(c) => write!(f, "{c:?} cannot be part of a host name"),
            Fault::MissingFile => f.write_str("a file's name is missing here"),
            Fault::MisplacedRegex => f.write_str("a regular expression cannot stand here"),
            Fault::BadRegex(error) => {
                write!(f, "this regular expression cannot be understood: {error}")
            }
            Fault::Word { message: text, .. } | Fault::File(text) => f.write_str(text),
            Fault::Group(error) => error.fmt(f),
            Fault::GroupCycle(groups) => write!(f, "these groups name each other: {groups}"),
            Fault::GroupsTooDeep(depth) => {
                write!(f, "groups are defined by groups more than {depth} deep")
            }
            Fault::TooManyMasks => {
                f.write_str("these are too many masks to compare all names with")
            }
            Fault::InDefinition {
                what,
                text,
                fault,
                place: Some(place),
            } => write!(
                f,
                "in {what} ({text} at {}:{}): {fault}",
                place.file, place.line
            ),
            Fault::InDefinition {
                what, text, fault, ..
            } => write!(f, "in {what} ({text}): {fault}"),
        }
    }
}

impl std::error::Error for Fault {}

/// Maximum length of a name in bytes: the limit of the DNS, and of `NAME_MAX` for files named after hosts.
pub const MAX_NAME: usize = 255;

impl Fault {
    /// Advice to the user, if there is any.
    #[must_use]
    pub fn help(&self) -> Option<String> {
        let text = match self {
            Fault::UnclosedBracket => "ranges look like node[1-9] or node[1,3,7-9]",
            Fault::StrayBracket => "remove it, or write the '[' that belongs to it",
            Fault::MissingNumber | Fault::NotANumber(_) => {
                "inside brackets are numbers and ranges: [1,3,7-9] or [0-10/2]"
            }
            Fault::TooManyDigits => "shorten the number",
            Fault::Backwards(first, last) => {
                return Some(format!("write the smaller number first: {last}-{first}"));
            }
            Fault::PaddingMismatch => "give both the same number of digits: [001-100] or [1-100]",
            Fault::ZeroStep => "count up by at least one: [0-10/2]",
            Fault::StepWithoutRange => "write the first and the last number: [0-10/2]",
            Fault::TooMany { .. } => "name fewer hosts",
            Fault::MissingOperand(_) => "operators stand between names: node[1-9]!node3",
            // So long a name is usually several names.
            Fault::NameTooLong(_) => "is a separator missing between names?",
            Fault::EmptyName => "write a host name",
            Fault::LeadingDash => "remove the '-'",
            // Braces are ranges in shells, so users try them.
            Fault::BadCharacter('{' | '}') => "ranges are written in brackets: node[1-9]",
            Fault::BadCharacter(_) => "host names have letters, digits, '-', '_' and '.'",
            Fault::Word { help, .. } => return help.as_deref().map(str::to_owned),
            Fault::MissingFile => "write ^FILE for the hosts in a hosts file",
            Fault::MisplacedRegex => {
                "write NAMES&/REGEX/ to keep what matches, NAMES!/REGEX/ to remove"
            }
            Fault::BadRegex(_) => "write a regular expression, like /^node[12]/",
            Fault::File(_) => return None,
            Fault::Group(error) => return error.help(),
            // The definition of all hosts is the place to correct, not that of a group.
            Fault::GroupCycle(names) if names.ends_with('*') => {
                "masks and @* are looked up in the list of all hosts: write names where that is defined"
            }
            Fault::GroupCycle(_) | Fault::GroupsTooDeep(_) => "mend the groups' definitions",
            Fault::TooManyMasks => "write fewer ranges together with '*' and '?'",
            Fault::InDefinition { fault, .. } => return fault.help(),
        };
        Some(text.to_owned())
    }
}
