//! The listing modes: targets and groups printed instead of run on, so that scripts need no `nodeset`.

use std::fmt::Write;

use crate::error::Error;
use crate::targets::groups::{Groups, regroup};
use crate::targets::nodeset::{GroupSource, NodeSet, Nothing, Resolver, fold};
use crate::targets::{Limits, TargetList};

/// How targets are printed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Form {
    /// Each by itself, with this between them.
    Each(String),
    /// As one node set.
    Folded,
    /// In terms of groups where they are whole.
    Regrouped,
    /// Their number.
    Count,
}

/// The text for a list of targets, or for each part of one.
///
/// # Errors
/// Groups that cannot be read.
pub fn targets(
    parts: &[TargetList],
    form: &Form,
    groups: &Groups,
    limits: Limits,
) -> Result<String, Error> {
    let mut text = String::new();
    for part in parts {
        let labels = part.iter().map(|target| &*target.label);
        match form {
            Form::Each(separator) => {
                for (n, label) in labels.enumerate() {
                    if n > 0 {
                        text.push_str(separator);
                    }
                    text.push_str(label);
                }
            }
            Form::Folded => text.push_str(&fold(labels)),
            Form::Regrouped => {
                let set: NodeSet = labels.collect();
                text.push_str(&regroup(&set, groups, None, limits.max_targets)?);
            }
            Form::Count => text.push_str(&part.len().to_string()),
        }
        text.push('\n');
    }
    Ok(text)
}

/// The text for the groups of one source, or of all, with what is in them if that is wanted.
///
/// # Errors
/// Groups that cannot be read.
pub fn groups(
    groups: &Groups,
    source: Option<&str>,
    members: bool,
    limits: Limits,
) -> Result<String, Error> {
    let sources = match source {
        Some(source) => vec![source.to_owned()],
        None => groups.sources()?,
    };
    let mut text = String::new();
    for source in sources {
        let resolver = Resolver::new(limits.max_targets, groups, &Nothing);
        for name in groups.list(Some(&source))? {
            write!(text, "@{source}:{name}").expect("a string takes all that is written");
            if members {
                let set = resolver.group(Some(&source), &name)?.to_set();
                write!(text, " {set}").expect("a string takes all that is written");
            }
            text.push('\n');
        }
    }
    Ok(text)
}
