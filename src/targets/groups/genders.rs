//! Genders: a file of hosts with attributes, and queries for hosts by their attributes.
//!
//! A line is `hosts attribute,attribute=value,…`. A query is an attribute or `attribute=value`, joined
//! by `||` union, `&&` intersection and `--` difference from left to right, with `~` for all others
//! and parentheses; pdsh joins queries by commas. The attribute `pdsh_all_skip` keeps hosts out of
//! all, as in pdsh. `altname` is the name to connect to, and `pdsh_rcmd_type` the transport. These two apply only to
//! hosts that a query names.

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use nodeset::NodeSet;

use super::{GroupError, Source, expression, read_text};
use crate::targets::{GroupDefinition, HostList, TransportKind};

const NAME: &str = "genders";

/// Maximum number of hosts in a line.
const MAX_HOSTS: usize = 1_000_000;

/// Maximum depth of parentheses in a query.
// The parser is recursive.
const MAX_DEPTH: usize = 50;

/// A genders file, read at the first query.
pub struct Genders {
    file: PathBuf,
    database: OnceCell<Result<Database, GroupError>>,
}

#[derive(Default)]
struct Database {
    all: NodeSet,
    /// Hosts by attribute, with the keys `attribute` and `attribute=value`.
    attributes: BTreeMap<String, NodeSet>,
}

impl Genders {
    /// Creates a source for this file.
    #[must_use]
    pub fn new(file: &Path) -> Genders {
        Genders {
            file: file.to_owned(),
            database: OnceCell::new(),
        }
    }

    /// Returns the hosts that a query selects; all hosts of the file without a query. An unknown attribute selects none.
    ///
    /// # Errors
    /// The file cannot be read or parsed, or the query is wrong.
    pub fn select(&self, query: Option<&str>) -> Result<NodeSet, GroupError> {
        let database = self.database()?;
        let Some(query) = query else {
            return Ok(database.all.clone());
        };
        let mut parser = Query {
            database,
            query,
            at: 0,
            depth: 0,
            known: false,
        };
        parser.list().map_err(GroupError::Failed)
    }

    /// Returns the value of an attribute for each host that gives it a value.
    ///
    /// # Errors
    /// The file cannot be read or parsed.
    pub fn values_of(&self, attribute: &str) -> Result<BTreeMap<String, &str>, GroupError> {
        Ok(self.database()?.values(attribute))
    }

    fn database(&self) -> Result<&Database, GroupError> {
        let read = || parse(&read_text(&self.file)?, &self.file.display().to_string());
        let database = self.database.get_or_init(read);
        database.as_ref().map_err(Clone::clone)
    }
}

impl Source for Genders {
    fn name(&self) -> &str {
        NAME
    }

    fn lookup(&self, query: &str) -> Result<Option<GroupDefinition>, GroupError> {
        let database = self.database()?;
        let mut parser = Query {
            database,
            query,
            at: 0,
            depth: 0,
            known: false,
        };
        match parser.list() {
            // genders does not distinguish an attribute that no host has from an unknown one.
            Ok(_) if !parser.known => Ok(None),
            Ok(hosts) => database.reached(&hosts).map(Some),
            // Without an operator this is no query but the name of a group, perhaps of another source.
            Err(_) if !query.contains(['&', '|', '~', '(']) && !query.contains("--") => Ok(None),
            Err(message) => Err(GroupError::Failed(message)),
        }
    }

    fn all(&self) -> Result<Option<GroupDefinition>, GroupError> {
        let database = self.database()?;
        let skipped = database.attributes.get("pdsh_all_skip");
        let all = match skipped {
            Some(skipped) => database.reached(&database.all.difference(skipped)),
            None => database.reached(&database.all),
        };
        all.map(Some)
    }

    fn list(&self) -> Result<Option<Vec<String>>, GroupError> {
        let names = self.database()?.attributes.keys();
        Ok(Some(
            names.filter(|name| !name.contains('=')).cloned().collect(),
        ))
    }
}

impl Database {
    /// Returns the hosts as pdsh connects to them: by `altname`, with the transport of `pdsh_rcmd_type`.
    fn reached(&self, hosts: &NodeSet) -> Result<GroupDefinition, GroupError> {
        let (altnames, kinds) = (self.values("altname"), self.values("pdsh_rcmd_type"));
        if altnames.is_empty() && kinds.is_empty() {
            return Ok(expression(NAME, hosts.to_string()));
        }
        let mut words = Vec::new();
        let mut failure = None;
        hosts.for_each(|host| {
            let name = altnames.get(host).copied().unwrap_or(host);
            words.push(match kinds.get(host).map(|kind| (kind, kind.parse())) {
                None => name.to_owned(),
                Some((_, Ok::<TransportKind, _>(kind))) => format!("{kind}://{name}"),
                Some((kind, Err(_))) => {
                    failure.get_or_insert(format!(
                        "{host} has pdsh_rcmd_type={kind} in genders, and there are only {}",
                        TransportKind::ALL.map(TransportKind::name).join(", ")
                    ));
                    return;
                }
            });
        });
        match failure {
            Some(message) => Err(GroupError::Failed(message)),
            None => Ok(expression(NAME, words.join(","))),
        }
    }

    /// Returns the value of an attribute for each host that gives it a value.
    fn values(&self, attribute: &str) -> BTreeMap<String, &str> {
        let prefix = format!("{attribute}=");
        let mut values = BTreeMap::new();
        let of_attribute = self.attributes.range(prefix.clone()..);
        for (key, hosts) in of_attribute.take_while(|(key, _)| key.starts_with(&prefix)) {
            hosts.for_each(|host| {
                values.insert(host.to_owned(), &key[prefix.len()..]);
            });
        }
        values
    }
}

/// Reads a genders file; errors call it `name`.
fn parse(text: &str, name: &str) -> Result<Database, GroupError> {
    // Texts are collected first: a union for every line would take quadratic time.
    let mut hosts_of: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut all = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let line = line.split('#').next().unwrap_or_default();
        let mut words = line.split_whitespace();
        let Some(hosts) = words.next() else { continue };
        let fail = |message: &str| GroupError::Failed(format!("{name}:{}: {message}", number + 1));
        let list =
            HostList::parse_in_file(hosts, MAX_HOSTS).map_err(|error| fail(&error.to_string()))?;
        let attributes = words.next().unwrap_or_default();
        if words.next().is_some() {
            return Err(fail(
                "attributes are separated by commas, without white space",
            ));
        }
        list.for_each(|host| {
            all.push(host.name.to_owned());
            for attribute in attributes
                .split(',')
                .filter(|attribute| !attribute.is_empty())
            {
                let (key, value) = match attribute.split_once('=') {
                    Some((key, value)) => (key, Some(value)),
                    None => (attribute, None),
                };
                hosts_of
                    .entry(key.to_owned())
                    .or_default()
                    .push(host.name.to_owned());
                if let Some(value) = value {
                    // As in genders, `%n` is the name of the host and `%%` a percent sign. NUL replaces `%%` at first,
                    // so that `%%n` does not become the name of the host.
                    let value = value
                        .replace("%%", "\0")
                        .replace("%n", host.name)
                        .replace('\0', "%");
                    let key = format!("{key}={value}");
                    hosts_of.entry(key).or_default().push(host.name.to_owned());
                }
            }
        });
    }
    let set = |hosts: &[String]| hosts.iter().map(String::as_str).collect();
    Ok(Database {
        all: set(&all),
        attributes: hosts_of
            .iter()
            .map(|(key, hosts)| (key.clone(), set(hosts)))
            .collect(),
    })
}

/// Evaluates a query by recursive descent.
struct Query<'a> {
    database: &'a Database,
    query: &'a str,
    at: usize,
    depth: usize,
    /// True if any attribute of the query is known.
    known: bool,
}

impl Query<'_> {
    /// Evaluates queries between commas: the union of their hosts.
    fn list(&mut self) -> Result<NodeSet, String> {
        let mut hosts = self.terms()?;
        while self.take(",") {
            hosts = hosts.union(&self.terms()?);
        }
        if self.at < self.query.len() {
            return self.unexpected();
        }
        Ok(hosts)
    }

    fn terms(&mut self) -> Result<NodeSet, String> {
        let mut hosts = self.term()?;
        loop {
            // Operators of genders have no precedence and are taken from left to right.
            if self.take("||") {
                hosts = hosts.union(&self.term()?);
            } else if self.take("&&") {
                hosts = hosts.intersection(&self.term()?);
            } else if self.take("--") {
                hosts = hosts.difference(&self.term()?);
            } else {
                return Ok(hosts);
            }
        }
    }

    fn term(&mut self) -> Result<NodeSet, String> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(format!("the genders query is more than {MAX_DEPTH} deep"));
        }
        let hosts = if self.take("~") {
            // As in genders, `~` with an attribute that no host has selects all hosts.
            let hosts = self.database.all.difference(&self.term()?);
            self.known = true;
            hosts
        } else if self.take("(") {
            let hosts = self.terms()?;
            if !self.take(")") {
                return self.unexpected();
            }
            hosts
        } else {
            self.attribute()?
        };
        self.depth -= 1;
        Ok(hosts)
    }

    fn attribute(&mut self) -> Result<NodeSet, String> {
        self.skip_space();
        let rest = &self.query[self.at..];
        let ends = |at: usize, c: char| {
            c.is_whitespace() || ",()~&|".contains(c) || rest[at..].starts_with("--")
        };
        let end = rest.char_indices().find(|&(at, c)| ends(at, c));
        let length = end.map_or(rest.len(), |(at, _)| at);
        if length == 0 {
            return self.unexpected();
        }
        self.at += length;
        let hosts = self.database.attributes.get(&rest[..length]);
        self.known |= hosts.is_some();
        Ok(hosts.cloned().unwrap_or_default())
    }

    fn skip_space(&mut self) {
        let rest = &self.query[self.at..];
        self.at += rest.len() - rest.trim_start().len();
    }

    fn take(&mut self, mark: &str) -> bool {
        self.skip_space();
        let found = self.query[self.at..].starts_with(mark);
        if found {
            self.at += mark.len();
        }
        found
    }

    fn unexpected<T>(&self) -> Result<T, String> {
        let (before, after) = self.query.split_at(self.at);
        Err(format!(
            "the genders query cannot be understood after \"{before}\": \"{after}\""
        ))
    }
}
