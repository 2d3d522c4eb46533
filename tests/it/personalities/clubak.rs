//! `clubak`.

use fastrand::Rng;

use super::{Call, Names, assert_outputs};

/// Number of generated calls.
const CALLS: usize = 200;

const RULE: &str = "---------------\n";

#[test]
fn scripts_get_what_they_depend_on() {
    let block = |name: &str, text: &str| format!("{RULE}{name}\n{RULE}{text}");
    let two = "n2: ok\nn1: ok\nn3: bad\n";
    let gathered = block("n[1-2] (2)", " ok\n") + &block("n3", " bad\n");
    let each = block("n1", " ok\n") + &block("n2", " ok\n") + &block("n3", " bad\n");
    let regrouped = block("@half,node21 (21)", "x\n");
    let racks: String = (1..=21).map(|n| format!("node{n}:x\n")).collect();
    let diff = "--- n[1-2] (2)\n+++ n3\n@@ -1 +1 @@\n- ok\n+ bad\n";
    let indented = |name: &str, line: &str| format!("  {RULE}  {name}\n  {RULE}  {line}\n");
    let tree = block("n[1-2] (2)", "a\n") + &indented("n2", "c") + &indented("n1", "b");
    assert_outputs(&[
        // The blank after the colon stays, and blocks do not need `-b`.
        ("clubak", two, &each),
        ("clubak -b", two, &gathered),
        ("clubak -bq", two, &gathered.replace(" (2)", "")),
        ("clubak -S ': ' -bL", two, "n[1-2]: ok\nn3: bad\n"),
        ("clubak -LN", two, " ok\n ok\n bad\n"),
        ("clubak --diff", two, diff),
        ("clubak -r", &racks, &regrouped),
        ("clubak -T -S:", "n1:a\nn2:a\nn1:b\nn2:c\n", &tree),
        ("clubak -Fb", two, &gathered),
        (
            "clubak -v -S=",
            "a=b\n",
            &format!("INPUT a=b\n{}", block("a", "b\n")),
        ),
        ("clubak --color=always -L", "n:x\n", "\x1b[94mn: \x1b[0mx\n"),
        // Keys with blanks and stray brackets are names.
        ("clubak", "my host[: x\n", &block("my host[", " x\n")),
        (
            "clubak --interpret-keys=never",
            "n[1-2]: x\n",
            &block("n[1-2]", " x\n"),
        ),
        (
            "clubak -b",
            "n[1-2]: x\n@login: x\n",
            &block("gw,n[1-2] (3)", " x\n"),
        ),
        // Carriage returns before a newline are removed.
        ("clubak -L", "n: x\r\n", "n:  x\n"),
        // An option of 1.10.
        (
            "clubak --axis=2 -b",
            "r1n1:x\nr1n2:x\nr2n1:x\nr2n2:x\n",
            &block("r1n[1-2],r2n[1-2] (4)", "x\n"),
        ),
    ]);
}

#[test]
fn errors_have_the_words_of_clubak() {
    let names = Names::new();
    for (line, input, status, message) in [
        (
            "clubak",
            "x\n",
            1,
            "clubak: not enough values to unpack (expected 2, got 1): \"x\"\n",
        ),
        ("clubak", " : x\n", 1, "clubak: no node found: \" : x\"\n"),
        (
            "clubak --interpret-keys=always",
            "a[: x\n",
            1,
            "clubak: Parse error: missing bracket: \"a[\"\n",
        ),
        (
            "clubak -FL",
            "",
            2,
            "clubak: error: incompatible tree options\n",
        ),
        (
            "clubak -L --diff",
            "",
            2,
            "clubak: error: option mismatch (diff not supported in line_mode)\n",
        ),
    ] {
        let answer = names.answer(&Call::new(line, input));
        assert_eq!(answer.status, Some(status), "{line}");
        assert!(
            answer.stderr.ends_with(message),
            "{line}: {}",
            answer.stderr
        );
    }
}

/// Returns lines of some nodes in any order, most of them equal.
fn input(random: &mut Rng, separator: &str) -> String {
    const NAMES: [&[&str]; 6] = [
        &["n1", "n2", "n3", "n9", "n10", "n11"],
        &["r1n08", "r1n09", "r1n10", "r2n08", "r2n09", "r2n10"],
        &["gw", "a1", "a01", "a10"],
        &["node[1-3]", "node2", "x,y"],
        &["@rack1", "gw"],
        &["foo[1-", "bar"],
    ];
    let names = NAMES[random.usize(..NAMES.len())];
    let length = random.usize(1..30);
    let line = |random: &mut Rng, n: usize| match random.usize(..20) {
        0 => format!("--dash {n}"),
        1 => "new é".to_owned(),
        2 => String::new(),
        _ => format!("line {}", n % 7),
    };
    let texts: Vec<Vec<String>> = (0..random.usize(1..4))
        .map(|_| (0..length).map(|n| line(random, n)).collect())
        .collect();
    let mut lines: Vec<(usize, String)> = Vec::new();
    for name in names {
        for (n, text) in texts[random.usize(..texts.len())].iter().enumerate() {
            lines.push((n, format!("{name}{separator} {text}\n")));
        }
    }
    // The lines of a node keep their order.
    random.shuffle(&mut lines);
    lines.sort_by_key(|(n, _)| *n);
    let mut text: String = lines.into_iter().map(|(_, line)| line).collect();
    if random.usize(..12) == 0 {
        text += "no key\n";
    }
    text
}

fn call(random: &mut Rng) -> Call {
    let mut args = vec!["clubak".to_owned()];
    for (flag, part) in [
        ("-b", 2),
        ("-L", 5),
        ("-N", 10),
        ("-q", 10),
        ("-T", 8),
        ("-F", 10),
        ("--diff", 4),
        ("-v", 20),
        ("-d", 20),
        ("-G", 10),
        ("--color=always", 8),
        ("--interpret-keys=always", 20),
    ] {
        if random.usize(..part) == 0 {
            args.push(flag.to_owned());
        }
    }
    // With names that are not expressions, ClusterShell prints nodes in any order, and crashes at `-r`.
    if random.usize(..8) == 0 {
        args.push("-r".to_owned());
    }
    let separator = ["=", ":", ":", "::"][random.usize(..4)];
    args.extend(["-S".to_owned(), separator.to_owned()]);
    let input = input(random, separator);
    Call {
        args,
        input: input.into_bytes(),
    }
}

/// True if ClusterShell prints keys that are no expressions in the order of a hash table.
fn is_known(call: &Call) -> bool {
    let gathers = |word: &String| ["-b", "-T", "-r", "--diff"].contains(&word.as_str());
    call.input.windows(6).any(|text| text == b"foo[1-") && call.args.iter().any(gathers)
}

#[test]
fn generated_calls_have_the_answer_of_clubak() {
    let mut random = Rng::with_seed(14);
    let calls = std::iter::repeat_with(|| call(&mut random)).filter(|call| !is_known(call));
    Names::new().compare(&calls.take(CALLS).collect::<Vec<_>>());
}
