//! `dshbak`.

use std::fs;

use fastrand::Rng;

use super::{Call, Names, assert_outputs, installed, run};

/// Number of generated calls.
const CALLS: usize = 200;

const RULE: &str = "----------------\n";

#[test]
fn scripts_get_what_they_depend_on() {
    let block = |name: &str, text: &str| format!("{RULE}{name}\n{RULE}{text}");
    let same = |names: &str| {
        names
            .split(' ')
            .map(|name| format!("{name}: bar\n"))
            .collect::<String>()
    };
    assert_outputs(&[
        (
            "dshbak",
            "foo1: bar\nfoo0:  baz\n",
            &(block("foo0", " baz\n") + &block("foo1", "bar\n")),
        ),
        (
            "dshbak -c",
            &same("foo8 foo9 foo10 foo11"),
            &block("foo[8-11]", "bar\n"),
        ),
        // Only the last number of a name folds.
        (
            "dshbak -c",
            &same("foo1x8 foo1x9 foo2x8 foo2x9"),
            &block("foo1x[8-9],foo2x[8-9]", "bar\n"),
        ),
        (
            "dshbak -c",
            &same("foo0 foo03 foo01 foo2"),
            &block("foo[0,01,2,03]", "bar\n"),
        ),
        // Groups in the order of the numbers at the end.
        (
            "dshbak -c",
            "a9: x\nb10: y\na8: y\n",
            &(block("a8,b10", "y\n") + &block("a9", "x\n")),
        ),
        // Lines without a host, and a last line without a newline, are left out.
        ("dshbak", "no host\n\n a : x\nb: y", &block("a", "x\n")),
        ("dshbak", "", ""),
    ]);
}

#[test]
fn options_and_errors_are_those_of_dshbak() {
    let names = Names::new();
    for (line, status, message) in [
        (
            "dshbak -c -d x",
            1,
            "dshbak: Fatal: Do not specify both -c and -d\n",
        ),
        (
            "dshbak -d missing",
            1,
            "dshbak: Fatal: Output directory missing does not exist\n",
        ),
        (
            "dshbak -f",
            1,
            "dshbak: Fatal: Option -f may only be used with -d\n",
        ),
        ("dshbak -h", 0, " -f       With -d, force creation of DIR\n"),
        ("dshbak -z", 0, " -f       With -d, force creation of DIR\n"),
    ] {
        let answer = names.answer(&Call::new(line, ""));
        assert_eq!(answer.status, Some(status), "{line}");
        assert!(
            answer.stderr.ends_with(message),
            "{line}: {}",
            answer.stderr
        );
        assert_eq!(answer.stdout, "", "{line}");
    }
    let call = Call::new("dshbak -f -d a/b", "n1: x\nn2: y\nn1: z\n");
    assert_eq!(names.answer(&call).status, Some(0));
    let file = |name: &str| fs::read_to_string(names.path().join("a/b").join(name)).unwrap();
    assert_eq!(
        (file("n1"), file("n2")),
        ("x\nz\n".to_owned(), "y\n".to_owned())
    );
}

#[test]
fn no_host_leads_out_of_the_folder() {
    let names = Names::new();
    fs::create_dir(names.path().join("out")).unwrap();
    for host in ["../x", ".."] {
        let answer = names.answer(&Call::new("dshbak -d out", &format!("{host}: x\n")));
        assert_eq!(answer.status, Some(1));
        assert!(
            answer.stderr.contains("Failed to open output file"),
            "{}",
            answer.stderr
        );
    }
    assert!(!names.path().join("x").exists());
}

/// Returns a call in which every host has another number. dshbak prints hosts with the same number in any order.
fn call(random: &mut Rng) -> Call {
    let prefix = ["foo", "n1x", "r-"][random.usize(..3)];
    let mut numbers = random.choose_multiple(0..130, random.clone().usize(1..16));
    random.shuffle(&mut numbers);
    let same = random.bool();
    let mut lines = Vec::new();
    for number in numbers {
        let width = [0, 0, 2, 3][random.usize(..4)];
        for _ in 0..if same { 1 } else { random.usize(1..4) } {
            let separator = [":", ": ", " : ", ":  "][random.usize(..4)];
            let text = if same {
                "same"
            } else {
                ["ok", "x: y", ""][random.usize(..3)]
            };
            lines.push(format!("{prefix}{number:0width$}{separator}{text}\n"));
        }
    }
    random.shuffle(&mut lines);
    let mut args = vec!["dshbak".to_owned()];
    args.extend(random.bool().then(|| "-c".to_owned()));
    Call {
        args,
        input: lines.concat().into_bytes(),
    }
}

#[test]
fn generated_calls_have_the_answer_of_dshbak() {
    let Some(program) = installed("/usr/bin/dshbak", "pdsh") else {
        return;
    };
    let names = Names::new();
    let mut random = Rng::with_seed(14);
    for _ in 0..CALLS {
        let call = call(&mut random);
        let theirs = run(names.command(&program), &call);
        assert_eq!(names.answer(&call), theirs, "{call:?}");
    }
}
