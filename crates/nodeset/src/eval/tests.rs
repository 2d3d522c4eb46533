//! Tests of groups, masks and files in expressions, and of pdsh's forms.

use std::cell::Cell;
use std::collections::BTreeMap;

use super::*;

/// Sources of groups in memory.
#[derive(Default)]
struct Groups {
    sources: BTreeMap<&'static str, BTreeMap<&'static str, &'static str>>,
    lookups: Cell<usize>,
}

impl Groups {
    fn groups(&self, source: Option<&str>) -> Result<&BTreeMap<&str, &str>, GroupError> {
        let name = source.unwrap_or("default");
        self.sources
            .get(name)
            .ok_or_else(|| GroupError::UnknownSource {
                name: name.to_owned(),
                known: self.sources.keys().map(ToString::to_string).collect(),
            })
    }
}

impl GroupSource for Groups {
    fn lookup(&self, source: Option<&str>, group: &str) -> Result<Definition, GroupError> {
        self.lookups.set(self.lookups.get() + 1);
        let groups = self.groups(source)?;
        match groups.get(group) {
            Some(definition) => Ok(Definition::Text {
                text: (*definition).to_owned(),
                source: source.map(str::to_owned),
                place: None,
            }),
            None => Err(GroupError::UnknownGroup {
                name: group.to_owned(),
                known: self.list(source)?,
            }),
        }
    }

    fn all(&self, source: Option<&str>) -> Result<Option<Definition>, GroupError> {
        let all = self.groups(source)?.get("all");
        Ok(all.map(|text| Definition::Text {
            text: text.to_string(),
            source: source.map(str::to_owned),
            place: None,
        }))
    }

    fn list(&self, source: Option<&str>) -> Result<Vec<String>, GroupError> {
        Ok(self
            .groups(source)?
            .keys()
            .map(ToString::to_string)
            .collect())
    }
}

impl HostFiles for Groups {
    fn read(&self, path: &str) -> Result<Arc<NodeList>, String> {
        match path {
            "hosts" => Ok(Arc::new(NodeList::parse("f[1-3]", 100).unwrap())),
            "-" => Ok(Arc::new(NodeList::parse("s1", 100).unwrap())),
            _ => Err(format!("cannot read {path}")),
        }
    }
}

fn groups() -> Groups {
    let racks = [
        ("rack1", "n[1-3]"),
        ("rack2", "n[4-6]"),
        ("rack3", "n7 n8\nn9"),
        ("odd", "@rack[1,3]"),
        ("a=b", "x1"),
    ];
    let default = [
        ("all", "@racks:*,gw"),
        ("io", "n[2-3],gw"),
        ("some", "@io!gw"),
        ("bad", "n[1-"),
        ("worse", "a,@bad"),
        ("loop", "x,@loop2"),
        ("loop2", "@default:loop3"),
        ("loop3", "@loop2"),
        ("empty", ""),
        ("files", "^hosts"),
    ];
    Groups {
        sources: [("racks", racks.into()), ("default", default.into())].into(),
        ..Groups::default()
    }
}

fn labels(text: &str) -> String {
    let groups = groups();
    let resolver = Resolver::new(1000, &groups, &groups);
    let list = resolver
        .hosts(text)
        .unwrap_or_else(|error| panic!("{text:?}: {error}"));
    let mut labels = Vec::new();
    list.for_each(|host| labels.push(host.label.to_owned()));
    labels.join(" ")
}

fn fault(text: &str) -> Fault {
    let groups = groups();
    let resolver = Resolver::new(1000, &groups, &groups);
    resolver.hosts(text).map(|_| ()).expect_err(text).fault
}

#[test]
fn groups_are_operands() {
    assert_eq!(labels("@io"), "n2 n3 gw");
    assert_eq!(labels("@racks:odd"), "n1 n2 n3 n7 n8 n9");
    assert_eq!(labels("n1,@some"), "n1 n2 n3");
    assert_eq!(labels("@racks:rack[1-2]!@io"), "n1 n4 n5 n6");
    assert_eq!(labels("@io&n[3-9]"), "n3");
    assert_eq!(labels("@io^n[3-4]"), "n2 gw n4");
    assert_eq!(labels("@racks:a=b"), "x1");
    assert_eq!(labels("@empty,z"), "z");
}

#[test]
fn all_hosts_and_all_groups() {
    assert_eq!(labels("@racks:*"), "n1 n2 n3 n4 n5 n6 n7 n8 n9 x1");
    assert_eq!(labels("@*&gw"), "gw");
    assert_eq!(labels("@@racks"), "a=b odd rack1 rack2 rack3");
}

#[test]
fn masks_select_from_all_hosts() {
    assert_eq!(labels("g*"), "gw");
    assert_eq!(labels("n[1-2]*,*9"), "n1 n2 n9");
    assert_eq!(labels("?w,z?"), "gw");
    assert_eq!(labels("@io!n*"), "gw");
}

#[test]
fn pdsh_forms_are_understood() {
    assert_eq!(labels("^hosts"), "f1 f2 f3");
    assert_eq!(labels("a,^hosts,-f2"), "a f1 f3");
    assert_eq!(labels("-f2,^hosts"), "f1 f3");
    assert_eq!(labels("f[1-4],-^hosts"), "f4");
    assert_eq!(labels("f[1-4]!^hosts"), "f4");
    assert_eq!(labels("n[1-9],-/[34]/"), "n1 n2 n5 n6 n7 n8 n9");
    assert_eq!(labels("/n[12]/,n[1-9],x"), "n1 n2");
    assert_eq!(labels("foo[1-3],-/o1/,/o/"), "foo2 foo3");
    assert_eq!(labels("n[1-9]&/[12]$/!/1/"), "n2");
    assert_eq!(labels("n[1-9],/n1"), "n1");
    assert_eq!(labels("n[1-30],/^n1{2,3}$/"), "n11");
    assert_eq!(labels("a,-"), "a s1");
    assert_eq!(labels("n[1-3],-@io"), "n1");
    assert!(matches!(fault("^nothing"), Fault::File(_)));
    assert!(matches!(fault("/(/"), Fault::BadRegex(_)));
}

#[test]
fn a_definition_cannot_read_files() {
    assert!(matches!(fault("@files"), Fault::InDefinition { .. }));
}

#[test]
fn an_unknown_name_is_an_error_that_lists_the_known_ones() {
    let help = |text| fault(text).help().unwrap();
    assert_eq!(fault("@oi").to_string(), "there is no group \"oi\"");
    assert_eq!(help("@racks:x"), "there are a=b, odd, rack1, rack2, rack3");
    assert_eq!(help("@zzz:rack1"), "there are default, racks");
}

#[test]
fn faults_in_groups_name_the_group() {
    let expected = "in the group @bad (n[1-): this bracket is never closed";
    assert_eq!(fault("@bad").to_string(), expected);
    assert_eq!(fault("x,@worse").to_string(), expected);
}

#[test]
fn a_cycle_of_groups_is_an_error() {
    assert_eq!(
        fault("@loop").to_string(),
        "these groups name each other: @default:loop3 → @default:loop2 → @default:loop3"
    );
}

/// Each group names the next one twice.
struct Doubling;

impl GroupSource for Doubling {
    fn lookup(&self, source: Option<&str>, group: &str) -> Result<Definition, GroupError> {
        let number: u32 = group.parse().map_err(|_| GroupError::NoSource)?;
        let text = match number {
            0 => "x".to_owned(),
            _ => format!("@{0},@{0}", number - 1),
        };
        let source = source.map(str::to_owned);
        Ok(Definition::Text {
            text,
            source,
            place: None,
        })
    }

    fn all(&self, _: Option<&str>) -> Result<Option<Definition>, GroupError> {
        Err(GroupError::NoSource)
    }

    fn list(&self, _: Option<&str>) -> Result<Vec<String>, GroupError> {
        Err(GroupError::NoSource)
    }
}

#[test]
fn depth_and_doubling_are_bounded() {
    let resolver = Resolver::new(1_000_000, &Doubling, &NoLookup);
    let fault = |text| resolver.hosts(text).unwrap_err().fault;
    assert_eq!(resolver.hosts("@19").unwrap().mentions(), 1 << 19);
    let Fault::InDefinition { fault: inner, .. } = fault("@45") else {
        panic!()
    };
    assert!(matches!(*inner, Fault::TooMany { count: 1048576, .. }));
    let resolver = Resolver::new(1_000_000, &Doubling, &NoLookup);
    assert_eq!(
        resolver.hosts("@60").unwrap_err().fault,
        Fault::GroupsTooDeep(MAX_DEPTH)
    );
}

#[test]
fn a_group_is_looked_up_once() {
    let groups = groups();
    let resolver = Resolver::new(1000, &groups, &groups);
    resolver.hosts("@io,@io,@some").unwrap();
    assert_eq!(groups.lookups.get(), 2);
}

/// One group, whose list is marked, and one without a mark.
struct Marked;

impl GroupSource for Marked {
    fn lookup(&self, _: Option<&str>, group: &str) -> Result<Definition, GroupError> {
        let mut list = NodeList::parse("n[1-3]", 10).unwrap();
        if group == "marked" {
            list.mark();
        }
        Ok(Definition::Hosts(Arc::new(list)))
    }

    fn all(&self, source: Option<&str>) -> Result<Option<Definition>, GroupError> {
        match source {
            Some(_) => Ok(None),
            None => self.lookup(None, "marked").map(Some),
        }
    }

    fn list(&self, _: Option<&str>) -> Result<Vec<String>, GroupError> {
        Ok(vec!["plain".to_owned(), "marked".to_owned()])
    }
}

#[test]
fn a_mark_outlasts_every_operator() {
    let resolver = Resolver::new(1000, &Marked, &NoLookup);
    for (text, marked) in [
        ("n1", false),
        ("n1,@plain!n1", false),
        ("@marked", true),
        ("n1,@marked!n[1-9]", true),
        ("@marked&x", true),
        ("x!@marked", true),
        ("x&@marked", true),
        ("x^@marked", true),
        ("@*", true),
        ("@other:*", true),
        ("x,m*", true),
    ] {
        let list = resolver.hosts(text).unwrap();
        assert_eq!(list.is_marked(), marked, "{text}");
        let mut outer = NodeList::default();
        outer.append(list);
        assert_eq!(outer.is_marked(), marked, "{text}");
    }
}
