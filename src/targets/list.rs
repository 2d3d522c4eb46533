//! The list of a run's targets, gathered from expressions and hosts files.
//!
//! `plan` builds it once before anything is connected; afterwards it does not change. A target is
//! known by its label and its host: the first mention wins, whatever options a later one has.

use std::collections::HashSet;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::ops::Deref;
use std::path::Path;
use std::sync::Arc;

use super::error::{Diagnostic, Origin, TargetError};
use super::hosts_file::{self, Line, LineError};
use super::nodeset::{Host, HostList, NodeSet};
use super::{Limits, Target};

/// The targets of a run in the order in which they were named. Never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TargetList {
    targets: Arc<[Target]>,
}

impl TargetList {
    /// The targets, to be shared.
    #[must_use]
    pub fn into_shared(self) -> Arc<[Target]> {
        self.targets
    }
}

impl Deref for TargetList {
    type Target = [Target];

    fn deref(&self) -> &[Target] {
        &self.targets
    }
}

/// Lines of a hosts file may have this many bytes; a longer one is no hosts file.
const MAX_LINE: u64 = 1 << 20;

/// Gathers targets in the order of the calls; exclusions hold for all of them.
#[derive(Debug)]
pub struct TargetListBuilder {
    limits: Limits,
    targets: Vec<Target>,
    seen: HashSet<(Arc<str>, Arc<str>)>,
    /// What was read, for the message that there was nothing in it.
    sources: Vec<String>,
    excluded_hosts: Vec<NodeSet>,
    excluded_labels: HashSet<Box<str>>,
}

impl TargetListBuilder {
    /// Starts an empty list.
    #[must_use]
    pub fn new(limits: Limits) -> TargetListBuilder {
        TargetListBuilder {
            limits,
            targets: Vec::new(),
            seen: HashSet::new(),
            sources: Vec::new(),
            excluded_hosts: Vec::new(),
            excluded_labels: HashSet::new(),
        }
    }

    /// Adds the hosts that an expression names.
    pub fn add_expr(&mut self, text: &str, origin: Origin) -> Result<(), TargetError> {
        let hosts = self.parse(text, &origin)?;
        let line = Line {
            hosts,
            span: 0..text.len(),
            options: hosts_file::Options::default(),
        };
        self.add_line(line, text, &origin)?;
        self.add_source(origin.name());
        Ok(())
    }

    /// Adds the hosts that a hosts file names.
    pub fn add_hosts_file(&mut self, path: impl AsRef<Path>) -> Result<(), TargetError> {
        let path = path.as_ref();
        let name = path.display().to_string();
        match File::open(path) {
            Ok(file) => self.add_reader(&name, BufReader::new(file)),
            Err(source) => Err(TargetError::Read { name, source }),
        }
    }

    /// Adds the hosts that a text in the syntax of hosts files names; errors call it `name`.
    pub fn add_reader(&mut self, name: &str, mut reader: impl BufRead) -> Result<(), TargetError> {
        let shared: Arc<str> = name.into();
        let mut bytes = Vec::new();
        for number in 1.. {
            let origin = Origin::line(&shared, number);
            bytes.clear();
            reader
                .by_ref()
                .take(MAX_LINE)
                .read_until(b'\n', &mut bytes)
                .map_err(|source| TargetError::Read {
                    name: name.to_owned(),
                    source,
                })?;
            if bytes.is_empty() {
                break;
            }
            let mut line = match bytes.strip_suffix(b"\n") {
                Some(line) => line.strip_suffix(b"\r").unwrap_or(line),
                None => &bytes,
            };
            if number == 1 {
                line = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line);
            }
            let text = readable(line, &origin)?;
            match hosts_file::parse_line(text, self.limits.max_targets) {
                Ok(None) => {}
                Ok(Some(line)) => self.add_line(line, text, &origin)?,
                Err(LineError {
                    span,
                    message,
                    help,
                }) => {
                    return Err(Diagnostic::new(&origin, text, span, message, help).into());
                }
            }
        }
        self.add_source(name);
        Ok(())
    }

    /// Takes away the hosts that an expression names, also those that are added later. A plain name
    /// takes away every target on that host and those with that label; `user@name` and `name:port`
    /// take away the target with that label. What is not there need not be.
    pub fn exclude_expr(&mut self, text: &str, origin: Origin) -> Result<(), TargetError> {
        let hosts = self.parse(text, &origin)?;
        hosts.for_each(|host| {
            if host.user.is_some() || host.port.is_some() {
                self.excluded_labels.insert(host.label.into());
            }
        });
        self.excluded_hosts.push(hosts.to_plain_set());
        Ok(())
    }

    /// The finished list; it is an error if nothing is left in it.
    pub fn build(mut self) -> Result<TargetList, TargetError> {
        if self.targets.is_empty() {
            return Err(match self.sources.as_slice() {
                [] => TargetError::NothingNamed,
                sources => TargetError::NoneIn(sources.join(", ")),
            });
        }
        let before = self.targets.len();
        let excluded = |name: &str| {
            self.excluded_labels.contains(name)
                || self.excluded_hosts.iter().any(|set| set.contains(name))
        };
        self.targets
            .retain(|target| !excluded(&target.label) && !excluded(&target.host));
        if self.targets.is_empty() {
            return Err(TargetError::AllExcluded(before));
        }
        Ok(TargetList {
            targets: self.targets.into(),
        })
    }

    fn parse(&self, text: &str, origin: &Origin) -> Result<HostList, TargetError> {
        HostList::parse(text, self.limits.max_targets)
            .map_err(|error| Diagnostic::from_nodeset(origin, text, 0, &error).into())
    }

    fn add_source(&mut self, name: &str) {
        if !self.sources.iter().any(|source| source == name) {
            self.sources.push(name.to_owned());
        }
    }

    /// Adds the hosts of a line with its options; `text` is the whole line.
    fn add_line(&mut self, line: Line, text: &str, origin: &Origin) -> Result<(), TargetError> {
        let Line {
            hosts,
            span,
            options,
        } = line;
        let error = |span, message: &str, help: &str| {
            let diagnostic = Diagnostic::new(origin, text, span, message, Some(help.to_owned()));
            Err(TargetError::from(diagnostic))
        };
        let mut count = 0;
        hosts.try_for_each(|host: Host<'_>| {
            count += 1;
            match (&options.user, &options.port, &options.label) {
                (Some((span, _)), _, _) if host.user.is_some() => {
                    return error(
                        span.clone(),
                        "the user is given twice",
                        "keep user@ or user=",
                    );
                }
                (_, Some((span, _)), _) if host.port.is_some() => {
                    return error(
                        span.clone(),
                        "the port is given twice",
                        "keep :port or port=",
                    );
                }
                (_, _, Some((span, _))) if count > 1 => {
                    let help = "give each host a line and a label of its own";
                    return error(span.clone(), "one label for several hosts", help);
                }
                _ => {}
            }
            let name: Arc<str> = host.name.into();
            let label = match &options.label {
                Some((_, label)) => Arc::clone(label),
                None if host.label == host.name => Arc::clone(&name),
                None => host.label.into(),
            };
            if !self.seen.insert((Arc::clone(&label), Arc::clone(&name))) {
                return Ok(());
            }
            if self.targets.len() == self.limits.max_targets {
                let message = format!("more than {} targets", self.limits.max_targets);
                return error(span.clone(), &message, "name fewer hosts in one run");
            }
            self.targets.push(Target {
                label,
                host: name,
                user: host
                    .user
                    .or(options.user.as_ref().map(|(_, user)| user))
                    .cloned(),
                port: host.port.or(options.port.as_ref().map(|(_, port)| *port)),
            });
            Ok(())
        })
    }
}

/// The line as text, if it is text and not too long.
fn readable<'a>(line: &'a [u8], origin: &Origin) -> Result<&'a str, TargetError> {
    let refuse = |at: usize, message: &str| {
        let text = String::from_utf8_lossy(line);
        let help = Some("a hosts file is UTF-8 text with one node set a line".to_owned());
        Err(Diagnostic::new(origin, &text, at..at, message, help).into())
    };
    if line.len() as u64 >= MAX_LINE {
        return refuse(0, "this line is too long for a hosts file");
    }
    match std::str::from_utf8(line) {
        Ok(text) => Ok(text),
        Err(error) => refuse(error.valid_up_to(), "this is not UTF-8 text"),
    }
}
