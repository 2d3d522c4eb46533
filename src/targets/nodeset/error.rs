//! What can be wrong with a node set expression, and where in its text.
//!
//! Made by [`parse`](super::parse); the callers add which option or file the text came from. Every
//! fault says how to mend it.

use std::ops::Range;
use std::sync::Arc;

use super::lookup::{DefinitionPlace, GroupError};
use crate::targets::suggest::nearest;

/// A fault and the bytes of the expression that it is about.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{fault}")]
pub struct NodeSetError {
    /// The bytes at fault; empty where something is missing.
    pub span: Range<usize>,
    /// What is wrong with them.
    pub fault: Fault,
}

/// What is wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// A `[` without its `]`.
    #[error("this bracket is never closed")]
    UnclosedBracket,
    /// A `]` without its `[`.
    #[error("this bracket was never opened")]
    StrayBracket,
    /// Nothing where a number was expected.
    #[error("a number is missing here")]
    MissingNumber,
    /// Something else where a number was expected.
    #[error("\"{0}\" is not a number")]
    NotANumber(Box<str>),
    /// A number, or the digits of a name around a bracket, beyond what can be counted.
    #[error("more than {} digits", super::index::MAX_DIGITS)]
    TooManyDigits,
    /// The first number of a range is the larger one.
    #[error("the range {0}-{1} runs backwards")]
    Backwards(u64, u64),
    /// A padded range whose two numbers have different lengths.
    #[error("one end of this range is padded with zeros and the other is not")]
    PaddingMismatch,
    /// A step of zero.
    #[error("a step of 0 leads nowhere")]
    ZeroStep,
    /// A step after a single number.
    #[error("a step needs a range")]
    StepWithoutRange,
    /// The expression names more than it may.
    #[error("this is {count} names, more than the limit of {limit}")]
    TooMany {
        /// How many names it would be.
        count: u128,
        /// How many it may be.
        limit: usize,
    },
    /// An operator with nothing on one side.
    #[error("the operator '{0}' needs a name on both sides")]
    MissingOperand(char),
    /// A name longer than any resolver takes.
    #[error("a name of {0} bytes; host names have at most {MAX_NAME}")]
    NameTooLong(usize),
    /// No name at all, where user or port are.
    #[error("there is no host name here")]
    EmptyName,
    /// A name that other programs would take for an option.
    #[error("a host name cannot start with '-'")]
    LeadingDash,
    /// A character that no host name has.
    #[error("{0:?} cannot be part of a host name")]
    BadCharacter(char),
    /// The part before `@` is not a plain user name.
    #[error("\"{0}\" cannot be a user name")]
    BadUser(Box<str>),
    /// The part after `:` is not a port.
    #[error("\"{0}\" is not a port number from 1 to 65535")]
    BadPort(Box<str>),
    /// Brackets with a colon inside, or many colons, that are not an IPv6 address.
    #[error("\"{0}\" is not an IPv6 address")]
    BadAddress(Box<str>),
    /// No transport has this name.
    #[error("the transport \"{0}\" is not known here")]
    UnknownScheme(Box<str>),
    /// User, port or transport where only hosts are compared.
    #[error("a user, a port or a transport has no meaning after '{0}'")]
    Decorated(char),
    /// `^` without the name of a file.
    #[error("a file's name is missing here")]
    MissingFile,
    /// A regular expression with nothing in it, or after `^`.
    #[error("a regular expression cannot stand here")]
    MisplacedRegex,
    /// A regular expression that is none.
    #[error("this regular expression cannot be understood: {0}")]
    BadRegex(Box<str>),
    /// `^file` could not be read, or there is something wrong in it.
    #[error("{0}")]
    File(Box<str>),
    /// A group or a mask could not be looked up.
    #[error("{0}")]
    Group(Box<GroupError>),
    /// Groups whose definitions name each other.
    #[error("these groups name each other: {0}")]
    GroupCycle(Box<str>),
    /// Groups in groups in groups.
    #[error("groups are defined by groups more than {0} deep")]
    GroupsTooDeep(usize),
    /// A mask with ranges that is too many masks.
    #[error("these are too many masks to compare all names with")]
    TooManyMasks,
    /// What a group is defined as cannot be understood.
    #[error("in {what} ({text}{}): {fault}", at(place.as_deref()))]
    InDefinition {
        /// Which group.
        what: Box<str>,
        /// The definition, or the part at fault.
        text: Box<str>,
        /// Its place, if that is known.
        place: Option<Arc<DefinitionPlace>>,
        /// What is wrong with it.
        fault: Box<Fault>,
    },
}

/// Words for the place of a definition, after its text.
fn at(place: Option<&DefinitionPlace>) -> String {
    place.map_or_else(String::new, |place| {
        format!(" at {}:{}", place.file, place.line)
    })
}

/// Longer names are refused: it is the limit of the DNS, and of `NAME_MAX` for files named by host.
pub(super) const MAX_NAME: usize = 255;

impl Fault {
    /// How to mend it, in a few words.
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
            Fault::StepWithoutRange => "say from where to where: [0-10/2]",
            Fault::TooMany { .. } => "name fewer hosts in one run",
            Fault::MissingOperand(_) => "operators stand between names: node[1-9]!node3",
            Fault::NameTooLong(_) => "is a separator missing between names?",
            Fault::EmptyName => "write user@host:port",
            Fault::LeadingDash => "remove the '-'",
            Fault::BadCharacter('{' | '}') => "ranges are written in brackets: node[1-9]",
            Fault::BadCharacter('#') => "a comment needs white space before its '#'",
            Fault::BadCharacter('=') => {
                "options like user=NAME come after the name in a hosts file"
            }
            Fault::BadCharacter(_) => "host names have letters, digits, '-', '_' and '.'",
            Fault::BadUser(_) => "write user@host, with a plain user name",
            Fault::BadPort(_) => "write host:514, and an IPv6 address as [2001:db8::1]:514",
            Fault::BadAddress(_) => "write 2001:db8::1, or [2001:db8::1]:514 with a port",
            Fault::UnknownScheme(_) => {
                "write rsh://, ssh://, openssh:// or exec://, or a plain name and -R"
            }
            Fault::Decorated(_) => "write only the host's name after this operator",
            Fault::MissingFile => "write ^FILE for the hosts in a hosts file",
            Fault::MisplacedRegex => {
                "write NAMES&/REGEX/ to keep what matches, NAMES!/REGEX/ to remove"
            }
            Fault::BadRegex(_) => "write a regular expression, like /^node[12]/",
            Fault::File(_) => return None,
            Fault::Group(error) => return error.help(),
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

impl GroupError {
    /// How to mend it, in a few words.
    #[must_use]
    pub fn help(&self) -> Option<String> {
        match self {
            GroupError::UnknownSource { name, known }
            | GroupError::UnknownGroup { name, known } => {
                if let Some(near) = nearest(name, known.iter().map(String::as_str)) {
                    return Some(format!("did you mean {near}?"));
                }
                const MANY: usize = 10;
                let more = if known.len() > MANY { ", …" } else { "" };
                let first = &known[..known.len().min(MANY)];
                (!known.is_empty()).then(|| format!("there are {}{more}", first.join(", ")))
            }
            GroupError::Ambiguous { name, sources, .. } => {
                let first = sources.first().map_or("SOURCE", String::as_str);
                Some(format!(
                    "write @{first}:{name}, or choose a default source: --group-source {first}, or \
                     group-source = \"{first}\" in the configuration"
                ))
            }
            GroupError::NoSource => Some("name the hosts themselves".to_owned()),
            GroupError::Unreadable { help, .. } => help.clone(),
            GroupError::Unsupported { .. } | GroupError::Failed(_) => None,
        }
    }
}
