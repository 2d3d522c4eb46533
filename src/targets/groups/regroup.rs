//! Writes a set of hosts with the names of groups that are wholly in it, as `nodeset -r` does.

use std::collections::BTreeMap;

use super::{GroupError, Groups};
use crate::targets::nodeset::{Fault, GroupSource, NodeSet, Nothing, Resolver};

/// Folds a set into groups of one source, the largest first, and what is left of it into names.
/// `limit` bounds the hosts of a group.
pub fn regroup(
    hosts: &NodeSet,
    groups: &Groups,
    source: Option<&str>,
    limit: usize,
) -> Result<String, Fault> {
    let resolver = Resolver::new(limit, groups, &Nothing);
    let mut whole: BTreeMap<String, NodeSet> = BTreeMap::new();
    for name in candidates(hosts, groups, source)? {
        let members = resolver.group(source, &name)?.to_set();
        if !members.is_empty() && members.difference(hosts).is_empty() {
            whole.insert(name, members);
        }
    }
    let mut whole: Vec<(String, NodeSet)> = whole.into_iter().collect();
    whole.sort_by_key(|(_, members)| std::cmp::Reverse(members.len()));
    let mut rest = hosts.clone();
    let mut chosen = Vec::new();
    for (name, members) in whole {
        if members.difference(&rest).is_empty() {
            rest = rest.difference(&members);
            chosen.push(match source {
                Some(source) => format!("@{source}:{name}"),
                None => format!("@{name}"),
            });
        }
    }
    let chosen: NodeSet = chosen.iter().map(String::as_str).collect();
    let parts = [chosen, rest].map(|set| set.to_string());
    let parts: Vec<String> = parts.into_iter().filter(|part| !part.is_empty()).collect();
    Ok(parts.join(","))
}

/// The groups that may be wholly in the set: those of its hosts where the source is asked for fewer
/// hosts than it has groups, else all.
fn candidates(
    hosts: &NodeSet,
    groups: &Groups,
    source: Option<&str>,
) -> Result<Vec<String>, GroupError> {
    let list = groups.list(source);
    let few = list
        .as_ref()
        .map_or(true, |list| list.len() as u64 >= hosts.len());
    if !few {
        return list;
    }
    let mut found = Vec::new();
    let mut names = Vec::new();
    hosts.for_each(|host| names.push(host.to_owned()));
    for host in names {
        match groups.reverse(source, &host)? {
            Some(groups) => found.extend(groups),
            None => return list,
        }
    }
    Ok(found)
}
