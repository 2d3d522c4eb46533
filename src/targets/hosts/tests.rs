//! Tests of words with users, ports, transports and addresses, and of folded labels.

use std::collections::BTreeMap;

use nodeset::{Fault, GroupError, GroupSource, HostFiles, NodeSetError};
use proptest::prelude::*;

use super::*;
use crate::targets::{fold, help};

const LIMIT: usize = 1_000_000;

fn labels(text: &str) -> String {
    let mut labels = Vec::new();
    let list = HostList::parse(text, LIMIT).unwrap_or_else(|e| panic!("{text:?}: {e}"));
    list.for_each(|host| labels.push(host.label.to_owned()));
    labels.join(" ")
}

#[test]
fn words_may_have_users_ports_and_addresses() {
    assert_eq!(labels("root@n[1-2]:514"), "root@n1:514 root@n2:514");
    let list = HostList::parse("[2001:db8::1]:514 2001:db8::2 op@192.0.2.7", LIMIT).unwrap();
    let mut seen = Vec::new();
    list.for_each(|node| {
        let host = Host::from(node);
        seen.push((
            host.label.to_owned(),
            host.name.to_owned(),
            host.user.map(ToString::to_string),
            host.port,
        ));
    });
    let entry = |label: &str, name: &str, user: Option<&str>, port| {
        (
            label.to_owned(),
            name.to_owned(),
            user.map(str::to_owned),
            port,
        )
    };
    assert_eq!(
        seen,
        [
            entry("[2001:db8::1]:514", "2001:db8::1", None, Some(514)),
            entry("2001:db8::2", "2001:db8::2", None, None),
            entry("op@192.0.2.7", "192.0.2.7", Some("op"), None),
        ]
    );
    assert_eq!(labels("rsh://op@n1:514/"), "op@n1:514");
    assert_eq!(labels("fe80::1%eth0"), "fe80::1%eth0");
    assert_eq!(
        HostList::parse("[1-3]", LIMIT)
            .unwrap()
            .to_set()
            .to_string(),
        "[1-3]"
    );
}

#[test]
fn a_list_with_more_than_names_is_not_plain() {
    for other in [
        "op@n1",
        "n1:5",
        "2001:db8::1",
        "n[1-2]:5",
        "[2001:db8::1]",
        "ssh://n1",
    ] {
        assert!(
            !HostList::parse(other, LIMIT).unwrap().is_plain(),
            "{other}"
        );
    }
}

#[test]
fn the_options_of_words_are_known() {
    let says = |text: &str| Says::of(&HostList::parse(text, LIMIT).unwrap());
    assert_eq!(says("a,b[1-2]"), Says::default());
    let all = says("op@a,b:5,ssh:c");
    assert!(all.user && all.port && all.transport);
    let list = HostList::parse("op@a,b:5,ssh:c,d", LIMIT).unwrap();
    assert_eq!(plain_set(&list).to_string(), "c,d");
}

#[test]
fn errors_have_the_span_of_the_fault() {
    let cases = [
        ("root@", "", "there is no host name here"),
        ("root@@", "root@@", "there is no host name here"),
        ("r[1-2]@n1", "r[1-2]", "\"r[1-2]\" cannot be a user name"),
        ("n1:0", "0", "\"0\" is not a port number from 1 to 65535"),
        ("n1:+5", "+5", "\"+5\" is not a port number from 1 to 65535"),
        (
            "n1:514:9",
            "n1:514:9",
            "\"n1:514:9\" is not an IPv6 address",
        ),
        (
            "[2001:db8::g]",
            "2001:db8::g",
            "\"2001:db8::g\" is not an IPv6 address",
        ),
        (
            "a telnet://n1",
            "telnet",
            "the transport \"telnet\" is not known here",
        ),
        (
            "n1!ssh://n1",
            "ssh://n1",
            "a user, a port or a transport has no meaning after '!'",
        ),
        (
            "n1&root@n1",
            "root@n1",
            "a user, a port or a transport has no meaning after '&'",
        ),
        (
            "n1!n1:5",
            "n1:5",
            "a user, a port or a transport has no meaning after '!'",
        ),
    ];
    for (text, at, message) in cases {
        let NodeSetError { span, fault } = HostList::parse(text, LIMIT).expect_err(text);
        assert_eq!(&text[span], at, "{text}");
        assert_eq!(fault.to_string(), message, "{text}");
        assert!(help(&fault).is_some(), "{text}");
    }
}

/// Groups and files in memory.
struct MemorySource(BTreeMap<&'static str, &'static str>);

impl GroupSource<Options> for MemorySource {
    fn lookup(&self, _: Option<&str>, group: &str) -> Result<GroupDefinition, GroupError> {
        let text = self.0.get(group).ok_or(GroupError::NoSource)?.to_string();
        Ok(GroupDefinition::Text {
            text,
            source: None,
            place: None,
        })
    }

    fn all(&self, _: Option<&str>) -> Result<Option<GroupDefinition>, GroupError> {
        self.lookup(None, "all").map(Some)
    }

    fn list(&self, _: Option<&str>) -> Result<Vec<String>, GroupError> {
        Ok(self.0.keys().map(ToString::to_string).collect())
    }
}

impl HostFiles<Options> for MemorySource {
    fn read(&self, path: &str) -> Result<Arc<HostList>, String> {
        HostList::parse_in_file(self.0[path], LIMIT)
            .map(Arc::new)
            .map_err(|error| error.to_string())
    }
}

#[test]
fn groups_and_masks_may_have_users_and_ports() {
    let groups = [
        ("all", "n[1-9]"),
        ("io", "n[2-3],gw"),
        ("users", "op@n1,n2:22"),
        ("bad", "n1:x"),
    ];
    let site = MemorySource(groups.into());
    let resolver = HostResolver::new(1000, &site, &site);
    let labels = |text: &str| {
        let mut labels = Vec::new();
        let list = resolver.hosts(text).unwrap();
        list.for_each(|host| labels.push(host.label.to_owned()));
        labels.join(" ")
    };
    assert_eq!(labels("root@@io"), "root@n2 root@n3 root@gw");
    assert_eq!(labels("root@@users"), "op@n1 root@n2:22");
    assert_eq!(labels("root@@default:users"), "op@n1 root@n2:22");
    assert_eq!(labels("op@n?:99&n3"), "op@n3:99");
    assert_eq!(labels("^users,-n2"), "op@n1");
    let mut transports = Vec::new();
    let list = resolver.hosts("ssh://@io,exec:x,root@@users").unwrap();
    list.for_each(|node| {
        let host = Host::from(node);
        transports.push(format!(
            "{} {:?} {:?}",
            host.name,
            host.transport.map(TransportKind::name),
            host.user
        ));
    });
    assert_eq!(
        transports,
        [
            "n2 Some(\"ssh\") None",
            "n3 Some(\"ssh\") None",
            "gw Some(\"ssh\") None",
            "x Some(\"exec\") None",
            "n1 None Some(\"op\")",
            "n2 None Some(\"root\")",
        ]
    );
    assert_eq!(
        resolver.hosts("@bad").unwrap_err().to_string(),
        "in the group @bad (n1:x): \"x\" is not a port number from 1 to 65535"
    );
}

#[test]
fn labels_that_are_no_names_are_not_folded() {
    let labels = [
        "root@n2:514",
        "n1",
        "2001:db8::2",
        "2001:db8::1",
        "root@n1:514",
        "free text 7",
        "n1",
        "",
    ];
    assert_eq!(
        fold(labels),
        "n1,root@n[1-2]:514,2001:db8::1,2001:db8::2,free text 7"
    );
    assert_eq!(fold([]), "");
    assert_eq!(fold(["node3", "node1", "node2"]), "node[1-3]");
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in ".*", dense in "[a0-9\\[\\],/@:!&^*%{} -]{0,40}") {
        for text in [text, dense] {
            fold(text.split(' '));
            if let Err(error) = HostList::parse(&text, 1000) {
                prop_assert!(text.get(error.span.clone()).is_some());
                let file = matches!(error.fault, Fault::File(_));
                prop_assert!(file || help(&error.fault).is_some());
            }
        }
    }

    #[test]
    fn labels_fold_as_the_names_in_them(names in prop::collection::vec("n[0-9]{1,3}(-ib)?", 1..40)) {
        let set: NodeSet = names.iter().collect();
        prop_assert_eq!(fold(names.iter().map(String::as_str)), set.to_string());
        let labels: Vec<String> = names.iter().map(|name| format!("op@{name}:22")).collect();
        let folded = fold(labels.iter().map(String::as_str));
        prop_assert_eq!(&folded, &set.folded_between("op@", ":22"));
        prop_assert_eq!(HostList::parse(&folded, LIMIT).unwrap().to_set(), set);
    }
}

include!(concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/tests/fuzz/properties/nodeset.rs"
));

#[test]
fn the_fuzz_corpus_passes() {
    let corpus = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fuzz/corpus/nodeset");
    let mut files = 0;
    for file in std::fs::read_dir(corpus).unwrap() {
        // The fuzzer makes bytes. The fuzz target skips those that are not UTF-8.
        if let Ok(text) = std::fs::read_to_string(file.unwrap().path()) {
            check(&text);
            files += 1;
        }
    }
    assert!(files > 50);
}
