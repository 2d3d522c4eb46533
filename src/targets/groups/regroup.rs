//! Writes a set of hosts with the names of groups that are wholly in it, as `nodeset -r` does.

use std::collections::BTreeMap;

use nodeset::{Fault, GroupSource, NoLookup, NodeSet};

use super::{GroupError, Groups};
use crate::targets::HostResolver;

/// Folds a set into groups, the largest first, and the other hosts into names. `limit` is the maximum number of hosts of
/// a group.
///
/// # Errors
/// A group, or the list of a source's groups, cannot be read.
pub fn regroup(hosts: &NodeSet, groups: &Groups, limit: usize) -> Result<String, Fault> {
    let resolver = HostResolver::new(limit, groups, &NoLookup);
    let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for source in groups.searched_names()? {
        for name in candidates(hosts, groups, &source)? {
            let sources = found.entry(name).or_default();
            if !sources.contains(&source) {
                sources.push(source.clone());
            }
        }
    }
    let mut whole: BTreeMap<String, NodeSet> = BTreeMap::new();
    for (name, sources) in found {
        for source in &sources {
            let members = resolver.group(Some(source), &name)?.to_set();
            if !members.is_empty() && members.difference(hosts).is_empty() {
                // A group that several sources define is ambiguous without its source.
                let shown = match sources.len() {
                    1 => format!("@{name}"),
                    _ => format!("@{source}:{name}"),
                };
                whole.insert(shown, members);
            }
        }
    }
    let mut whole: Vec<(String, NodeSet)> = whole.into_iter().collect();
    // The sort is stable: groups of one size stay in the order of their names.
    whole.sort_by_key(|(_, members)| std::cmp::Reverse(members.len()));
    let mut rest = hosts.clone();
    let mut chosen = Vec::new();
    for (name, members) in whole {
        // Only groups that are wholly among the remaining hosts count, so groups do not overlap.
        if members.difference(&rest).is_empty() {
            rest = rest.difference(&members);
            chosen.push(name);
        }
    }
    let chosen: NodeSet = chosen.iter().map(String::as_str).collect();
    let parts = [chosen, rest].map(|set| set.to_string());
    let parts: Vec<String> = parts.into_iter().filter(|part| !part.is_empty()).collect();
    Ok(parts.join(","))
}

/// Returns the groups of a source that may be wholly in the set. Asks for the groups of each host if the set has fewer
/// hosts than the source has groups, or if the source cannot list its groups. Else returns all groups.
fn candidates(hosts: &NodeSet, groups: &Groups, source: &str) -> Result<Vec<String>, GroupError> {
    let list = match groups.list(Some(source)) {
        Err(GroupError::Unsupported { .. }) => None,
        list => Some(list?),
    };
    // A question for a host may run a command, so the smaller number of questions is chosen.
    let few = |list: &Vec<String>| list.len() as u64 >= hosts.len();
    if list.as_ref().is_some_and(|list| !few(list)) {
        return Ok(list.unwrap_or_default());
    }
    let mut found = Vec::new();
    let mut names = Vec::new();
    hosts.for_each(|host| names.push(host.to_owned()));
    for host in names {
        match groups.reverse(source, &host)? {
            Some(groups) => found.extend(groups),
            None => return Ok(list.unwrap_or_default()),
        }
    }
    Ok(found)
}
