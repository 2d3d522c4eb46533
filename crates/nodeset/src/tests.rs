//! Tests of whole expressions: their names, the order of the names, and faults.

use proptest::prelude::*;

use super::*;

const LIMIT: usize = 1_000_000;

fn labels(text: &str) -> Vec<String> {
    let list = NodeList::<()>::parse(text, LIMIT).unwrap_or_else(|e| panic!("{text:?}: {e}"));
    let mut labels = Vec::new();
    list.for_each(|host| labels.push(host.label.to_owned()));
    labels
}

fn expanded(text: &str) -> String {
    labels(text).join(" ")
}

fn folded(text: &str) -> String {
    NodeList::<()>::parse(text, LIMIT)
        .unwrap_or_else(|e| panic!("{text:?}: {e}"))
        .to_set()
        .to_string()
}

fn fault(text: &str) -> (String, Fault) {
    let error = NodeList::<()>::parse(text, LIMIT)
        .map(|_| ())
        .expect_err(text);
    (text[error.span].to_owned(), error.fault)
}

#[test]
fn the_written_order_is_kept() {
    assert_eq!(expanded("b,a"), "b a");
    assert_eq!(expanded("n[3,1-2]"), "n3 n1 n2");
    assert_eq!(expanded("r[2,1]n[1-2]"), "r2n1 r2n2 r1n1 r1n2");
    assert_eq!(expanded("c,n[1-4]!n2,b"), "c n1 n3 n4 b");
    assert_eq!(expanded("a,b!a,a"), "b a");
    assert_eq!(expanded("n[1-5]^n[7,4]"), "n1 n2 n3 n5 n7");
    assert_eq!(expanded("n[1-9]&n[7,4]"), "n4 n7");
}

#[test]
fn ranges_have_padding_and_steps() {
    assert_eq!(expanded("n[08-11]"), "n08 n09 n10 n11");
    assert_eq!(expanded("n[8-11]"), "n8 n9 n10 n11");
    assert_eq!(expanded("n[0-10/5]"), "n0 n5 n10");
    assert_eq!(expanded("n[00-10/5]"), "n00 n05 n10");
    assert_eq!(expanded("n[7-31/8]"), "n7 n15 n23 n31");
    assert_eq!(expanded("n[ 1 - 2 , 5 ]"), "n1 n2 n5");
    assert_eq!(expanded("n[098-101]"), "n098 n099 n100 n101");
    assert_eq!(expanded("n[08-101/31]"), "n08 n39 n70 n101");
    assert_eq!(folded("n[1-10,001-010]"), "n[1-10,001-010]");
    assert_eq!(folded("n[1-150,001-099]"), "n[1-99,001-150]");
}

#[test]
fn digits_beside_brackets_belong_to_the_number() {
    assert_eq!(expanded("n1[0-2]"), "n10 n11 n12");
    assert_eq!(expanded("n[1-3]5"), "n15 n25 n35");
    assert_eq!(expanded("n[8-11]05"), "n805 n905 n1005 n1105");
    assert_eq!(expanded("n[1-2][3-4]"), "n13 n14 n23 n24");
    assert_eq!(folded("n0[1-2]"), "n[01-02]");
    assert_eq!(folded("n[1-2][0-9]"), "n[10-29]");
}

#[test]
fn plain_names_give_the_same_list_as_the_parser() {
    for name in ["n1", "a.b-c_d", "0x", &"a".repeat(255)] {
        let quick = NodeList::<()>::of_plain_name(name).unwrap();
        let parsed = NodeList::<()>::parse(name, LIMIT).unwrap();
        assert_eq!(format!("{quick:?}"), format!("{parsed:?}"));
        assert!(quick.is_plain());
    }
    let long = "a".repeat(256);
    for other in [
        "", "-a", ".a", "a b", "a,b", "a#b", "@g", "n[1]", "a:1", "é", &long,
    ] {
        assert!(NodeList::<()>::of_plain_name(other).is_none(), "{other}");
    }
}

#[test]
fn a_step_of_one_needs_no_range() {
    assert_eq!(expanded("n[05/1,7/01,9]"), "n05 n7 n9");
}

#[test]
fn commas_may_be_doubled() {
    assert_eq!(expanded(",a,,b c,"), "a b c");
    assert_eq!(expanded("a , b\tc\nd"), "a b c d");
    assert_eq!(expanded(""), "");
}

#[test]
fn faults_are_pointed_at() {
    let cases: &[(&str, &str, Fault)] = &[
        ("a,n[1-2", "[", Fault::UnclosedBracket),
        ("n1]", "]", Fault::StrayBracket),
        ("n[]", "", Fault::MissingNumber),
        ("n[1-]", "", Fault::MissingNumber),
        ("n[1, ,2]", " ", Fault::MissingNumber),
        ("n[a-b]", "a", Fault::NotANumber("a".into())),
        ("n[1-3-5]", "3-5", Fault::NotANumber("3-5".into())),
        ("n[9-3]", "9-3", Fault::Backwards(9, 3)),
        ("n[1-010]", "1-010", Fault::PaddingMismatch),
        ("n[1-3/0]", "0", Fault::ZeroStep),
        ("n[5/2]", "5/2", Fault::StepWithoutRange),
        ("n[5/0]", "0", Fault::ZeroStep),
        (
            "n[1-1234567890123456789]",
            "1234567890123456789",
            Fault::TooManyDigits,
        ),
        ("a!", "!", Fault::MissingOperand('!')),
        ("!a", "!", Fault::MissingOperand('!')),
        ("a&&b", "&", Fault::MissingOperand('&')),
        ("a&,b", "&", Fault::MissingOperand('&')),
        ("a!-b", "-", Fault::LeadingDash),
        ("n{1..3}", "{", Fault::BadCharacter('{')),
        ("a\u{0}b", "\u{0}", Fault::BadCharacter('\u{0}')),
        ("@", "@", Fault::EmptyName),
        ("n1:5", ":", Fault::BadCharacter(':')),
        ("op@n1", "@", Fault::BadCharacter('@')),
        ("a,@x", "@x", Fault::Group(Box::new(GroupError::NoSource))),
        ("a,n*", "n*", Fault::Group(Box::new(GroupError::NoSource))),
        ("a,^", "^", Fault::MissingFile),
        ("a,//", "/", Fault::MisplacedRegex),
        ("a^/x/", "/x", Fault::MisplacedRegex),
    ];
    for (text, at, expected) in cases {
        assert_eq!(
            fault(text),
            ((*at).to_owned(), expected.clone()),
            "{text:?}"
        );
        assert!(expected.help().is_some());
    }
}

#[test]
fn limits_hold_before_anything_is_expanded() {
    let big = "a[0-99999999999]";
    assert_eq!(
        fault(big),
        (
            big.into(),
            Fault::TooMany {
                count: 100_000_000_000,
                limit: LIMIT
            }
        )
    );
    assert!(matches!(
        fault("a[0-999999]b[0-999999]c[0-999999]").1,
        Fault::TooMany { .. }
    ));
    assert!(matches!(
        fault(&"[0-9]".repeat(18)).1,
        Fault::TooMany { .. }
    ));
    assert_eq!(
        fault(&"[0-9]".repeat(19)[..]).1,
        fault(&"[0-9]".repeat(7)).1
    );
    assert!(matches!(
        fault("a[0-999999],b").1,
        Fault::TooMany {
            count: 1_000_001,
            ..
        }
    ));
    assert!(matches!(
        fault("b!a[0-9999999999]").1,
        Fault::TooMany { .. }
    ));
    assert!(matches!(fault(&"a".repeat(256)).1, Fault::NameTooLong(256)));
    assert!(matches!(
        fault(&format!("{}[1-9]", "a".repeat(255))).1,
        Fault::NameTooLong(256)
    ));
    assert!(matches!(
        fault(&"[".repeat(100_000)).1,
        Fault::UnclosedBracket
    ));
    assert!(matches!(
        fault(&"a[1]b".repeat(100_000)).1,
        Fault::NameTooLong(_)
    ));
}

#[test]
fn folding_is_that_of_clustershell() {
    fn fold<const N: usize>(names: [&str; N]) -> String {
        names.into_iter().collect::<NodeSet>().to_string()
    }
    // Expected values are what nodeset 1.9.1 prints.
    assert_eq!(fold(["node7", "node8", "node12"]), "node[7-8,12]");
    assert_eq!(fold(["node1", "node01", "node2"]), "node[1-2,01]");
    assert_eq!(fold(["n9", "n10", "n11", "n09"]), "n[9,09-11]");
    assert_eq!(fold(["b", "a", "a2", "a1-x"]), "a,a2,a1-x,b");
    assert_eq!(fold(["r1n1", "r1n2", "r2n1", "r2n2"]), "r[1-2]n[1-2]");
    assert_eq!(fold(["r1n1", "r1n2", "r2n1"]), "r1n[1-2],r2n1");
    assert_eq!(fold([]), "");
}

/// A user before names, and before groups as `user@@group`.
#[derive(Clone, Debug, Default, PartialEq)]
struct User(Option<String>);

impl Attributes for User {
    fn split(word: &str, operator: Option<char>) -> Result<Word<User>, WordError> {
        let at = word.find("@@").or_else(|| word.rfind('@'));
        let Some(at) = at.filter(|&at| at > 0) else {
            return Ok(Word::plain(word));
        };
        if operator.is_some() {
            return Err(WordError {
                span: 0..at,
                message: "no user here".to_owned(),
                help: None,
            });
        }
        Ok(Word {
            attributes: User(Some(word[..at].to_owned())),
            names: at + 1..word.len(),
            ..Word::plain(word)
        })
    }

    fn or(&self, outer: &User) -> User {
        User(self.0.clone().or_else(|| outer.0.clone()))
    }

    fn label(&self, label: &str, own: Option<&User>) -> Option<String> {
        match (&self.0, own) {
            (Some(user), None) => Some(format!("{user}@{label}")),
            _ => None,
        }
    }
}

/// A source of one group.
struct One;

impl GroupSource<User> for One {
    fn lookup(&self, _: Option<&str>, _: &str) -> Result<Definition<User>, GroupError> {
        let text = "op@n1,n2".to_owned();
        Ok(Definition::Text {
            text,
            source: None,
            place: None,
        })
    }

    fn all(&self, _: Option<&str>) -> Result<Option<Definition<User>>, GroupError> {
        self.lookup(None, "").map(Some)
    }

    fn list(&self, _: Option<&str>) -> Result<Vec<String>, GroupError> {
        Ok(vec!["one".to_owned()])
    }
}

#[test]
fn data_is_kept_beside_names() {
    let resolver = Resolver::new(LIMIT, &One, &NoLookup);
    let walked = |text: &str| {
        let mut walked = Vec::new();
        resolver.hosts(text).unwrap().for_each(|node| {
            let user = node.attributes.and_then(|user| user.0.as_deref());
            walked.push(format!("{}={}", node.label, user.unwrap_or("")));
        });
        walked.join(" ")
    };
    assert_eq!(walked("a@n[1-2],n3!n2"), "a@n1=a n3=");
    assert_eq!(walked("a@@g"), "op@n1=op a@n2=a");
    assert_eq!(walked("x,@g,a@n1"), "x= op@n1=op n2= a@n1=a");
    assert_eq!(walked("a@n?&n2"), "a@n2=a");
    assert_eq!(walked("op@n1,-a@n1"), "");
    let list = resolver.hosts("a@n[1-2],n3").unwrap();
    assert_eq!(list.to_set_where(&|user| user.is_none()).to_string(), "n3");
    assert_eq!(list.word_attributes().count(), 1);
    assert!(!list.is_plain());
}

#[test]
fn faults_of_data_are_pointed_at() {
    let error = |text: &str| NodeList::<User>::parse(text, LIMIT).unwrap_err();
    let (message, help) = ("no user here".into(), None);
    let fault = Fault::Word { message, help };
    assert_eq!(error("x,n2!a@n1").span, 5..6);
    assert_eq!(error("x,n2!a@n1").fault, fault);
    assert_eq!(error("a@").fault, Fault::EmptyName);
    assert_eq!(error("x,a@").span, 4..4);
}

#[test]
fn sets_are_built_and_divided() {
    let mut set = NodeSet::new();
    assert!(set.is_empty() && set.split(3).is_empty());
    set.extend(["n3", "n1", "x[1]"]);
    assert_eq!(set.iter().collect::<Vec<_>>(), ["n1", "n3", "x[1]"]);
    let set: NodeSet = "r[1-2]n[08-11/2],gw".parse().unwrap();
    let names: Vec<String> = (&set).into_iter().collect();
    assert_eq!(names, ["gw", "r1n08", "r1n10", "r2n08", "r2n10"]);
    let split = |parts| {
        let parts = set.split(parts);
        parts.iter().map(NodeSet::len).collect::<Vec<_>>()
    };
    assert_eq!(split(0), [5]);
    assert_eq!(split(2), [3, 2]);
    assert_eq!(split(9), [1; 5]);
    let half: NodeSet = "r1n[08,10]".parse().unwrap();
    assert!(half.is_subset(&set) && !set.is_subset(&half));
    assert!(half.is_disjoint(&(&set - &half)));
    assert_eq!(&(&set ^ &half) | &(&set & &half), set);
}

#[test]
fn folded_names_are_padded_as_other_text() {
    let set = NodeSet::parse("n[1-3]").unwrap();
    assert_eq!(format!("{set:>8}|"), "  n[1-3]|");
}

/// Names of few shapes and small numbers, so that they often fold.
fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        "[ab][0-9]{0,2}",
        "n[0-9]{1,3}(-ib)?",
        "r[0-3]n[0-9]{1,2}",
        "x[0-2]y[0-2]z[0-2]",
        "[a-z0-9.%é-]{1,6}".prop_filter("a name", |name| !name.starts_with('-')),
    ]
}

fn names() -> impl Strategy<Value = Vec<String>> {
    prop::collection::vec(name(), 0..60)
}

fn sorted(mut names: Vec<String>) -> Vec<String> {
    names.sort_unstable();
    names.dedup();
    names
}

fn set(names: &[String]) -> NodeSet {
    names.iter().map(String::as_str).collect()
}

proptest! {
    #[test]
    fn expanding_undoes_folding(names in names()) {
        let text = set(&names).to_string();
        prop_assert_eq!(sorted(labels(&text)), sorted(names.clone()));
        prop_assert_eq!(set(&names).len() as usize, sorted(names).len());
    }

    #[test]
    fn iterators_and_walks_agree(names in names(), parts in 0..9_usize) {
        let set = set(&names);
        let mut walked = Vec::new();
        set.for_each(|name| walked.push(name.to_owned()));
        prop_assert_eq!(set.iter().collect::<Vec<_>>(), walked);
        let split = set.split(parts);
        prop_assert!(split.iter().all(|part| !part.is_empty()));
        prop_assert_eq!(split.iter().fold(NodeSet::new(), |all, part| &all | part), set);
    }

    #[test]
    fn folding_twice_changes_nothing(names in names()) {
        let text = set(&names).to_string();
        prop_assert_eq!(folded(&text), text);
    }

    #[test]
    fn operators_are_those_of_sets(a in names(), b in names()) {
        let (left, right) = (set(&a), set(&b));
        let is = |result: NodeSet, keep: fn(bool, bool) -> bool| {
            let expected: Vec<String> = a
                .iter()
                .chain(&b)
                .filter(|name| keep(a.contains(name), b.contains(name)))
                .cloned()
                .collect();
            expected.iter().all(|name| result.contains(name)) && result == set(&expected)
        };
        prop_assert!(is(left.union(&right), |a, b| a || b));
        prop_assert!(is(left.difference(&right), |a, b| a && !b));
        prop_assert!(is(left.intersection(&right), |a, b| a && b));
        prop_assert!(is(left.symmetric_difference(&right), |a, b| a != b));
    }

    #[test]
    fn a_list_and_its_set_agree(parts in prop::collection::vec((name(), "[,!&^ ]"), 1..20)) {
        let text: String = parts.iter().flat_map(|(name, op)| [name.as_str(), op]).collect();
        let text = text.trim_end_matches([',', '!', '&', '^', ' ']);
        let list = NodeList::<()>::parse(text, LIMIT).unwrap();
        let mut walked = Vec::new();
        list.for_each(|host| walked.push(host.name.to_owned()));
        prop_assert_eq!(set(&walked), list.to_set());
    }

    #[test]
    fn no_text_makes_it_panic(text in ".*", dense in "[a0-9\\[\\],/@:!&^*%{} -]{0,40}") {
        for text in [text, dense] {
            let _: NodeSet = text.split(' ').collect();
            if let Err(error) = NodeList::<()>::parse(&text, 1000) {
                prop_assert!(text.get(error.span.clone()).is_some());
                let file = matches!(error.fault, Fault::File(_));
                prop_assert!(file || error.fault.help().is_some());
            }
        }
    }
}
