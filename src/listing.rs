//! The listing modes: they print targets or groups and run nothing, so that scripts need no `nodeset`.

use std::fmt::Write as _;
use std::io::{self, Write};

use nodeset::{GroupError, GroupSource, Joined, NoLookup, NodeSet};

use crate::error::Error;
use crate::targets::groups::{Groups, regroup};
use crate::targets::{HostResolver, Limits, Selection, fold};

/// Form in which targets are printed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListingForm {
    /// All targets, with this text between them.
    Each(String),
    /// One node set.
    Folded,
    /// One node set, in terms of groups where they are complete.
    Regrouped,
    /// The number of targets.
    Count,
}

/// Targets or groups to print.
#[derive(Debug)]
pub enum Listing {
    /// Text that is ready.
    Text(String),
    /// Names of targets, made while they are written, because a million of them would take much memory.
    Names {
        /// The targets.
        targets: Selection,
        /// Text between two targets.
        separator: String,
        /// Number of targets on each line.
        parts: Vec<usize>,
    },
}

impl Listing {
    /// Lists targets in a form, in a number of parts.
    ///
    /// # Errors
    /// Groups cannot be read.
    pub fn of_targets(
        targets: Selection,
        form: ListingForm,
        parts: usize,
        groups: &Groups,
        limits: Limits,
    ) -> Result<Listing, Error> {
        let sizes = targets.part_sizes(parts);
        let mut text = String::new();
        match form {
            // Without targets there is no line.
            ListingForm::Each(separator) if targets.is_empty() && separator == "\n" => {}
            ListingForm::Each(separator) => {
                return Ok(Listing::Names {
                    targets,
                    separator,
                    parts: sizes,
                });
            }
            ListingForm::Count => {
                for size in sizes {
                    writeln!(text, "{size}").expect("a string takes all that is written");
                }
            }
            // In one part the ranges stay ranges, and no name is written out.
            ListingForm::Folded if sizes.len() == 1 => text = targets.folded() + "\n",
            ListingForm::Regrouped if sizes.len() == 1 => {
                text = regroup(&targets.to_set(), groups, limits.max_targets)? + "\n";
            }
            ListingForm::Folded | ListingForm::Regrouped => {
                let (mut sizes, mut part) = (sizes.into_iter(), Vec::new());
                let mut size = sizes.next();
                targets.try_for_each(|label| {
                    part.push(label.to_owned());
                    if size == Some(part.len()) {
                        let labels = part.iter().map(String::as_str);
                        text += &match form {
                            ListingForm::Folded => fold(labels),
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

    /// Lists the groups of one source or of all sources, with their members if `members` is true. Returns the errors
    /// of sources and groups that the listing lacks.
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
        let resolver = HostResolver::new(limits.max_targets, groups, &NoLookup);
        let (mut text, mut failed) = (String::new(), Vec::new());
        let lists_all = source.is_none();
        for source in sources {
            let names = match groups.list(Some(&source)) {
                Ok(names) => names,
                // Some sources cannot list their groups. That is an error only if the user named the source.
                Err(error @ GroupError::Unsupported { .. }) if lists_all => {
                    groups.warnings().add(error.to_string());
                    continue;
                }
                Err(error) => {
                    failed.push(error.into());
                    continue;
                }
            };
            for name in names {
                let set = if members {
                    match resolver.group(Some(&source), &name) {
                        Ok(set) => format!(" {}", set.to_set()),
                        Err(fault) => {
                            failed.push(fault.into());
                            continue;
                        }
                    }
                } else {
                    String::new()
                };
                writeln!(text, "@{source}:{name}{set}")
                    .expect("a string takes all that is written");
            }
        }
        Ok((Listing::Text(text), failed))
    }

    /// Writes the listing.
    ///
    /// # Errors
    /// `out` cannot be written.
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
        // One part is written from the ranges, without a list of its names.
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
