//! The listing modes: targets and groups printed instead of run on, so that scripts need no `nodeset`.

use std::fmt::Write as _;
use std::io::{self, Write};

use nodeset::{GroupError, GroupSource, Joined, NoLookup, NodeSet};

use crate::error::Error;
use crate::targets::groups::{Groups, regroup};
use crate::targets::{Limits, Resolver, Selection, fold};

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

/// What is printed.
#[derive(Debug)]
pub enum Listing {
    /// This text.
    Text(String),
    /// The names of targets, made as they are written: a million of them take no memory.
    Names {
        /// The targets.
        targets: Selection,
        /// What stands between two.
        separator: String,
        /// How many there are on each line.
        parts: Vec<usize>,
    },
}

impl Listing {
    /// Targets in this form, cut into so many parts.
    ///
    /// # Errors
    /// Groups that cannot be read.
    pub fn of_targets(
        targets: Selection,
        form: Form,
        parts: usize,
        groups: &Groups,
        limits: Limits,
    ) -> Result<Listing, Error> {
        let sizes = targets.part_sizes(parts);
        let mut text = String::new();
        match form {
            // One a line, and there is none.
            Form::Each(separator) if targets.is_empty() && separator == "\n" => {}
            Form::Each(separator) => {
                return Ok(Listing::Names {
                    targets,
                    separator,
                    parts: sizes,
                });
            }
            Form::Count => {
                for size in sizes {
                    writeln!(text, "{size}").expect("a string takes all that is written");
                }
            }
            Form::Folded if sizes.len() == 1 => text = targets.folded() + "\n",
            Form::Regrouped if sizes.len() == 1 => {
                text = regroup(&targets.to_set(), groups, limits.max_targets)? + "\n";
            }
            Form::Folded | Form::Regrouped => {
                let (mut sizes, mut part) = (sizes.into_iter(), Vec::new());
                let mut size = sizes.next();
                targets.try_for_each(|label| {
                    part.push(label.to_owned());
                    if size == Some(part.len()) {
                        let labels = part.iter().map(String::as_str);
                        text += &match form {
                            Form::Folded => fold(labels),
                            _ => {
                                let set: NodeSet = labels.collect();
                                regroup(&set, groups, limits.max_targets)?
                            }
                        };
                        text.push('\n');
                        part.clear();
                        size = sizes.next();
                    }
                    Ok::<(), Error>(())
                })?;
            }
        }
        Ok(Listing::Text(text))
    }

    /// The groups of one source, or of all, with what is in them if that is wanted; and why some could not be had,
    /// which takes nothing from the others.
    ///
    /// # Errors
    /// The configuration of groups cannot be read.
    pub fn of_groups(
        groups: &Groups,
        source: Option<&str>,
        members: bool,
        limits: Limits,
    ) -> Result<(Listing, Vec<Error>), Error> {
        let sources = match source {
            Some(source) => vec![source.to_owned()],
            None => groups.sources()?,
        };
        let resolver = Resolver::new(limits.max_targets, groups, &NoLookup);
        let (mut text, mut failed) = (String::new(), Vec::new());
        let all = source.is_none();
        for source in sources {
            let names = match groups.list(Some(&source)) {
                Ok(names) => names,
                // A source that was not asked for by name need not be able to list its groups.
                Err(error @ GroupError::Unsupported { .. }) if all => {
                    groups.warnings().add(error.to_string());
                    continue;
                }
                Err(error) => {
                    failed.push(error.into());
                    continue;
                }
            };
            for name in names {
                let set = match members {
                    true => match resolver.group(Some(&source), &name) {
                        Ok(set) => format!(" {}", set.to_set()),
                        Err(fault) => {
                            failed.push(fault.into());
                            continue;
                        }
                    },
                    false => String::new(),
                };
                writeln!(text, "@{source}:{name}{set}")
                    .expect("a string takes all that is written");
            }
        }
        Ok((Listing::Text(text), failed))
    }

    /// Writes it.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn write_to(&self, out: &mut impl Write) -> io::Result<()> {
        let (targets, separator, parts) = match self {
            Listing::Text(text) => return out.write_all(text.as_bytes()),
            Listing::Names {
                targets,
                separator,
                parts,
            } => (targets, separator, parts),
        };
        let mut names = Joined::new(out, separator);
        if let [_] = parts[..] {
            targets.write_to(&mut names)?;
            names.end_line();
            return names.finish();
        }
        let mut parts = parts.iter();
        let mut left = parts.next().copied().unwrap_or(0);
        targets.try_for_each(|label| {
            names.push(label)?;
            left = left.saturating_sub(1);
            if left == 0 {
                left = parts.next().copied().unwrap_or(0);
                names.end_line();
            }
            Ok::<(), io::Error>(())
        })?;
        names.finish()
    }
}
