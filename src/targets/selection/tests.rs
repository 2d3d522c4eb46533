//! Tests of order and parts, and a comparison of ranges with targets.

use proptest::prelude::*;

use super::*;
use crate::targets::{Limits, TargetListBuilder};

fn origin() -> Origin {
    Origin::named("-w")
}

fn select(hosts: &str) -> Selection {
    let mut builder = TargetListBuilder::new(Limits::default());
    builder.add_reader("hosts", hosts.as_bytes()).unwrap();
    builder.select().unwrap()
}

fn labels(selection: &Selection) -> Vec<String> {
    let mut labels = Vec::new();
    let Ok(()) = selection.try_for_each(|label| {
        labels.push(label.to_owned());
        Ok::<(), std::convert::Infallible>(())
    });
    assert_eq!(labels.len(), selection.len());
    labels
}

/// Returns the labels with `separator` between them.
fn written(selection: &Selection, separator: &str) -> String {
    let mut text = Vec::new();
    let mut out = Joined::new(&mut text, separator);
    selection.write_to(&mut out).unwrap();
    out.end_line();
    out.finish().unwrap();
    String::from_utf8(text).unwrap()
}

#[test]
fn sorting_is_that_of_nodeset() {
    // As nodeset -e prints these names.
    let expected = [
        "a", "b", "n9", "n09", "n10", "n9-x", "r1n1", "r1n2", "r2n1", "z",
    ];
    for last in ["n10 label=z", "z"] {
        let list = select(&format!(
            "b\nn10\nn9\nn09\na\nr2n1\nr1n[1-2]\nn9-x\n{last}\n"
        ));
        assert_eq!(labels(&list.sorted()), expected);
    }
}

#[test]
fn parts_of_a_list_keep_its_order() {
    for hosts in ["n[3,1,4,5,9,2,6]", "n[3,1,4,5,9,2] n6\nn6 user=op"] {
        let list = select(hosts);
        let slice = |text| {
            let list = list.clone().slice(text, &origin());
            list.map(|list| labels(&list).join(" "))
        };
        assert_eq!(slice("4,0-1").unwrap(), "n3 n1 n9");
        assert_eq!(slice("1-99999999999/2,1").unwrap(), "n1 n5 n2");
        assert!(matches!(slice("7-9"), Err(TargetError::NothingAt(7))));
        assert!(
            slice("1-x")
                .unwrap_err()
                .to_string()
                .contains("\"x\" is not a number")
        );
        let twice = list.clone().slice("1-5", &origin()).unwrap();
        let twice = twice.slice("0,2,4", &origin()).unwrap();
        assert_eq!(labels(&twice), ["n1", "n5", "n2"]);
        assert_eq!(labels(&list.clone().sorted())[0], "n1");

        assert_eq!(list.part_sizes(3), [3, 2, 2]);
        assert_eq!(list.part_sizes(0), [7]);
        assert_eq!(list.part_sizes(99), [1; 7]);

        let all = labels(&list);
        let mut random = fastrand::Rng::with_seed(1);
        for count in 1..9 {
            let picked = labels(&list.clone().pick(count, &mut random));
            assert_eq!(picked.len(), count.min(7));
            let positions = picked
                .iter()
                .map(|label| all.iter().position(|other| other == label));
            assert!(positions.is_sorted_by(|a, b| a < b));
        }
    }
}

#[test]
fn a_million_names_are_counted_without_making_them() {
    let mut builder = TargetListBuilder::new(Limits::default());
    builder.add_expr("n[1-1000]x[1-999]", origin()).unwrap();
    builder.exclude_expr("n7x[1-9]", origin()).unwrap();
    let selection = builder.select().unwrap();
    assert!(matches!(selection.from, SelectedHosts::Names { .. }));
    assert_eq!(selection.len(), 998_991);
    assert_eq!(selection.folded(), "n[1-6,8-1000]x[1-999],n7x[10-999]");
}

#[test]
fn names_are_written_in_the_order_of_the_walk() {
    for hosts in [
        "n1",
        "n[1-20000]",
        "r[1-30]n[1-1000]",
        "n[08-20011/3]-ib,b,c[5,1-3,099-1001]",
        "é[7-12]%[095-3001]%s",
        "a,b,r[9-11]n[1-4000]x[1,01]y,m[3,1]!m3,z",
        "n[1-9000/4]x!n[5-900]x",
        "r[1-3]n[1-9],r2n[1-9]",
        "op@n[1-30000]:22,[::1]",
        "[999999999999999998-999999999999999999]",
    ] {
        let mut builder = TargetListBuilder::new(Limits::default());
        builder.add_expr(hosts, origin()).unwrap();
        let list = builder.select().unwrap();
        let told = [list.clone(), list.sorted()];
        for (selection, separator) in told.iter().flat_map(|s| [(s, " "), (s, ""), (s, ", é")]) {
            let mut expected = labels(selection).join(separator);
            expected.push('\n');
            assert!(
                written(selection, separator) == expected,
                "{hosts} {separator:?}"
            );
        }
    }
}

/// Expressions over few names, so that operators often apply.
fn expression() -> impl Strategy<Value = String> {
    let word = prop_oneof![
        "[ab][0-9]?",
        "n\\[[0-4]-[5-9](,0[1-7])?\\]",
        "x[0-2]y\\[[0-2]-[3-4]\\]",
    ];
    let operator = prop_oneof![4 => Just(","), 1 => Just("!"), 1 => Just("&"), 1 => Just("^")];
    prop::collection::vec((word, operator), 1..6).prop_map(|parts| {
        let text: String = parts.iter().flat_map(|(w, op)| [w.as_str(), op]).collect();
        text.trim_end_matches([',', '!', '&', '^']).to_owned()
    })
}

proptest! {
    #[test]
    fn ranges_and_targets_answer_alike(
        expressions in prop::collection::vec(expression(), 1..4),
        excluded in prop::option::of(prop_oneof![expression(), "/[0-3]/".prop_map(String::from)]),
        sort: bool,
        slice in prop::option::of("[0-2]-[3-9]"),
    ) {
        let select = |ranges: bool| {
            let mut builder = TargetListBuilder::new(Limits::default());
            if !ranges {
                // Plain names are kept as ranges. After one name with a user, they are kept as single targets.
                builder.add_expr("op@zz", origin()).unwrap();
                builder.exclude_expr("op@zz", origin()).unwrap();
            }
            for text in &expressions {
                builder.add_expr(text, origin()).unwrap();
            }
            if let Some(text) = &excluded {
                builder.exclude_expr(text, origin()).unwrap();
            }
            let mut selection = builder.select().ok()?;
            assert_eq!(matches!(selection.from, SelectedHosts::Names { .. }), ranges);
            if sort {
                selection = selection.sorted();
            }
            match &slice {
                Some(slice) => selection.slice(slice, &origin()).ok(),
                None => Some(selection),
            }
        };
        match (select(true), select(false)) {
            (Some(ranges), Some(targets)) => {
                prop_assert_eq!(labels(&ranges), labels(&targets));
                prop_assert_eq!(written(&ranges, ", "), labels(&ranges).join(", ") + "\n");
                prop_assert_eq!(ranges.folded(), targets.folded());
                prop_assert_eq!(ranges.to_set(), targets.to_set());
                prop_assert_eq!(ranges.into_targets(), targets.into_targets());
            }
            (ranges, targets) => prop_assert_eq!(ranges.is_none(), targets.is_none()),
        }
    }
}
