//! Node sets compared with ClusterShell, and host lists compared with pdsh.
//!
//! Both programs evaluate a few thousand expressions, made from a fixed seed. Intended differences are in a list here,
//! each with its reason. Any other difference fails the test.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use mrsh::internals::{Groups, HostList, HostResolver, Places, fold, regroup};
use nodeset::NoLookup;

use crate::support::may_skip;

mod pdsh;

/// A program that prints the result of `nodeset -f` and `nodeset -e` for each line of its input. One process for all
/// lines, because Python starts slowly.
const ORACLE: &str = r#"
import sys
from ClusterShell.NodeSet import NodeSet, NodeSetException, RESOLVER_NOGROUP
for line in sys.stdin:
    try:
        nodes = NodeSet(line.rstrip("\n"), resolver=RESOLVER_NOGROUP)
        print("%s|%s" % (nodes, " ".join(nodes)))
    except (NodeSetException, ValueError, AssertionError):
        print("error")
"#;

/// Asks ClusterShell about each line; `None` if it is not installed, which is a failure in CI.
fn ask(oracle: &str, lines: &[String], config: Option<&Path>) -> Option<Vec<String>> {
    let mut command = Command::new("/usr/bin/python3");
    if let Some(config) = config {
        command.env("CLUSTERSHELL_CFGDIR", config);
    }
    let mut child = command
        .args(["-c", oracle])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .ok()?;
    let mut stdin = child.stdin.take().unwrap();
    let input = lines.join("\n") + "\n";
    let writer = std::thread::spawn(move || {
        // If ClusterShell is not installed, Python ends before it reads, and the write fails.
        let _ = stdin.write_all(input.as_bytes());
    });
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let answers: Vec<String> = text.lines().map(str::to_owned).collect();
    if !output.status.success() {
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(error.contains("ModuleNotFoundError"), "{error}");
        return None;
    }
    assert_eq!(answers.len(), lines.len());
    Some(answers)
}

fn clustershell(lines: &[String]) -> Option<Vec<String>> {
    ask(ORACLE, lines, None)
}

/// Returns the result of mrsh for the same line.
fn mrsh_result(line: &str) -> String {
    let Ok(list) = HostList::parse(line, 1_000_000) else {
        return "error".to_owned();
    };
    let set = list.to_set();
    let mut names = Vec::new();
    set.for_each(|name| names.push(name.to_owned()));
    format!("{set}|{}", names.join(" "))
}

/// A condition on expressions, and the reason for the different result.
type Difference = (fn(&str) -> bool, &'static str);

/// The intended differences.
const DIFFERENCES: &[Difference] = &[
    (
        |e| e.trim().contains(char::is_whitespace),
        "white space separates names, as in pdsh and in shells; ClusterShell takes it for a part of a name",
    ),
    (
        |e| e.starts_with(',') || e.ends_with(',') || e.contains(",,"),
        "an empty place between commas is nothing, as in pdsh: joined lists have them",
    ),
    (
        |e| touching_brackets(e),
        "brackets may touch, as in pdsh: the digits are written one after the other",
    ),
    (
        |e| e.contains("[-") || has_negative(e),
        "numbers have no sign: \"node[-5-5]\" is more often a mistake than an intention",
    ),
    (
        |e| padded_first(e),
        "a range whose first number only is padded sets the least width, as in pdsh",
    ),
    (
        |e| e.contains("!,") || e.contains("^^") || starts_operand(e, '^'),
        "a '^' where a name could begin is pdsh's mark of a file",
    ),
    (
        |e| e.starts_with('-') || e.contains(['!', '&', '^', ',']) && starts_operand(e, '-'),
        "a name cannot start with '-': it excludes, as in pdsh",
    ),
    (
        |e| digits_beside_uneven_range(e),
        "\"node1[3-13]\" is node13 to node19 and node110 to node113, as in pdsh and as in \"node1{3..13}\" of a shell; \
         ClusterShell puts the 1 before both ends and counts from 13 to 113",
    ),
    (
        |e| inside(e).any(|part| part.contains("-00") && !part.starts_with("00")),
        "a range that ends in zeros is padded at its end only",
    ),
    (
        |e| e.contains('/') && step_before_digits(e),
        "digits may follow a range with a step; ClusterShell has no way to say the result",
    ),
    (
        |e| e.contains(['*', '?', '@', ':', '/', '{', '}']),
        "these are masks, groups, users, ports and regular expressions, or no part of a host name",
    ),
];

/// True if an operand starts with this character.
fn starts_operand(e: &str, mark: char) -> bool {
    let mut start = true;
    e.chars().any(|c| {
        let found = start && c == mark;
        start = ",!&^".contains(c);
        found
    })
}

/// True if a range has two dashes.
fn has_negative(e: &str) -> bool {
    inside(e).any(|part| part.matches('-').count() > 1)
}

/// True if only the first number of a range is padded.
fn padded_first(e: &str) -> bool {
    inside(e).any(|part| {
        let bounds = part.split('/').next().unwrap().split_once('-');
        bounds.is_some_and(|(first, last)| {
            let (first, last) = (first.trim(), last.trim());
            first.len() > 1 && first.starts_with('0') && first.len() != last.len()
        })
    })
}

/// True if only digits are between two pairs of brackets.
fn touching_brackets(e: &str) -> bool {
    e.split(']').skip(1).any(|after| {
        after
            .trim_start_matches(|c: char| c.is_ascii_digit())
            .starts_with('[')
    })
}

/// True if a digit touches brackets with a range whose two numbers have different lengths.
fn digits_beside_uneven_range(e: &str) -> bool {
    let mut rest = e;
    while let Some((before, after)) = rest.split_once('[') {
        let (brackets, after) = after.split_once(']').unwrap_or((after, ""));
        let beside = before.ends_with(|c: char| c.is_ascii_digit())
            || after.starts_with(|c: char| c.is_ascii_digit());
        let uneven = brackets.split(',').any(|part| {
            let bounds = part.split('/').next().unwrap().split_once('-');
            bounds.is_some_and(|(first, last)| first.trim().len() != last.trim().len())
        });
        if beside && uneven {
            return true;
        }
        rest = after;
    }
    false
}

/// True if a digit follows brackets that have a step.
fn step_before_digits(e: &str) -> bool {
    e.split('[').skip(1).any(|rest| {
        let (inside, after) = rest.split_once(']').unwrap_or((rest, ""));
        inside.contains('/') && after.starts_with(|c: char| c.is_ascii_digit())
    })
}

/// Returns the parts between commas of all brackets.
fn inside(e: &str) -> impl Iterator<Item = &str> {
    e.split('[')
        .skip(1)
        .flat_map(|rest| rest.split(']').next().unwrap().split(','))
}

/// A generator of expressions.
struct ExpressionMaker(fastrand::Rng);

impl ExpressionMaker {
    fn pick<'a>(&mut self, choices: &[&'a str]) -> &'a str {
        choices[self.0.usize(..choices.len())]
    }

    fn number(&mut self) -> u32 {
        let most = [3, 12, 30, 120][self.0.usize(..4)];
        self.0.u32(0..=most)
    }

    fn range(&mut self) -> String {
        let first = self.number();
        let last = first + self.0.u32(0..12);
        let width = [0, 0, 0, 2, 3][self.0.usize(..5)];
        match self.0.u8(0..6) {
            0..=2 => format!("{first:0width$}"),
            3 => {
                let step = self.0.u32(1..5);
                let width = width.max(if width > 0 { last.to_string().len() } else { 0 });
                format!("{first:0width$}-{last:0width$}/{step}")
            }
            _ => {
                let width = width.max(if width > 0 { last.to_string().len() } else { 0 });
                format!("{first:0width$}-{last:0width$}")
            }
        }
    }

    fn brackets(&mut self) -> String {
        let ranges: Vec<String> = (0..self.0.usize(1..4)).map(|_| self.range()).collect();
        format!("[{}]", ranges.join(","))
    }

    /// Returns a name with any number of brackets.
    fn word(&mut self) -> String {
        let mut word = self
            .pick(&["n", "n", "n", "r", "", "node", "é%"])
            .to_owned();
        let dimensions = [1, 1, 1, 1, 2, 2, 3, 0][self.0.usize(..8)];
        for dimension in 0..dimensions {
            if dimension > 0 {
                word += self.pick(&["n", "-", ".x", "p"]);
            }
            if self.0.u8(0..8) == 0 {
                write!(word, "{}", self.0.u8(0..3)).unwrap();
            }
            match self.0.u8(0..4) {
                0 => write!(word, "{}", self.number()).unwrap(),
                _ => word += &self.brackets(),
            }
            if self.0.u8(0..12) == 0 {
                write!(word, "{}", self.0.u8(0..20)).unwrap();
            }
        }
        word += self.pick(&["", "", "", "-ib", ".example.com"]);
        if word.is_empty() {
            "x".to_owned()
        } else {
            word
        }
    }

    fn expression(&mut self) -> String {
        let mut text = self.word();
        for _ in 0..self.0.usize(0..6) {
            text += self.pick(&[",", ",", ",", ",", "!", "&", "^"]);
            text += &self.word();
        }
        text
    }

    /// Returns an expression with one character removed, doubled or replaced.
    fn damaged(&mut self) -> String {
        let mut chars: Vec<char> = self.expression().chars().collect();
        let at = self.0.usize(..chars.len());
        match self.0.u8(0..4) {
            0 => drop(chars.remove(at)),
            1 => chars.insert(at, chars[at]),
            _ => {
                chars[at] = self
                    .pick(&["[", "]", ",", "-", "/", "!", "0", "x", "&", " "])
                    .chars()
                    .next()
                    .unwrap()
            }
        }
        chars.into_iter().collect()
    }
}

fn compare(lines: &[String]) {
    let Some(theirs) = clustershell(lines) else {
        return may_skip("ClusterShell is not installed (package clustershell)");
    };
    let (mut errors, mut meant, mut failures) = (0, 0, String::new());
    for (line, theirs) in lines.iter().zip(theirs) {
        let ours = mrsh_result(line);
        errors += usize::from(theirs == "error");
        if ours == theirs {
            continue;
        }
        if DIFFERENCES.iter().any(|(applies, _)| applies(line)) {
            meant += 1;
        } else {
            writeln!(
                failures,
                "{line:?}\n  nodeset {theirs:.120}\n  mrsh    {ours:.120}"
            )
            .unwrap();
        }
    }
    assert!(failures.is_empty(), "{failures}");
    println!(
        "{} expressions, {errors} refused by ClusterShell, {meant} intended differences",
        lines.len()
    );
}

#[test]
fn expressions_have_the_result_of_clustershell() {
    let mut maker = ExpressionMaker(fastrand::Rng::with_seed(3));
    compare(&(0..3000).map(|_| maker.expression()).collect::<Vec<_>>());
}

#[test]
fn damaged_expressions_are_refused_if_clustershell_refuses_them() {
    let mut maker = ExpressionMaker(fastrand::Rng::with_seed(4));
    compare(&(0..3000).map(|_| maker.damaged()).collect::<Vec<_>>());
}

#[test]
fn names_fold_as_in_clustershell() {
    let mut random = fastrand::Rng::with_seed(5);
    let mut lines = Vec::new();
    for _ in 0..1500 {
        let dimensions = random.usize(1..4);
        let most = [2, 3, 5, 12, 101][random.usize(..5)];
        let mut names = Vec::new();
        for _ in 0..random.usize(1..40) {
            let mut name = String::new();
            for dimension in 0..dimensions {
                let width = [1, 1, 1, 2][random.usize(..4)];
                write!(
                    name,
                    "{}{:0width$}",
                    ["a", "b", "c"][dimension],
                    random.u32(0..most)
                )
                .unwrap();
            }
            names.push(name);
        }
        lines.push(names.join(","));
    }
    let Some(theirs) = clustershell(&lines) else {
        return may_skip("ClusterShell is not installed (package clustershell)");
    };
    for (line, theirs) in lines.iter().zip(theirs) {
        let theirs = theirs.split('|').next().unwrap();
        assert_eq!(fold(line.split(',')), theirs, "{line}");
    }
}

/// A program that prints the result of `nodeset -f` for each line, with the groups in `CLUSTERSHELL_CFGDIR`. A line
/// `-r SET` is folded into groups.
const GROUP_ORACLE: &str = r#"
import sys
from ClusterShell.NodeSet import NodeSet, NodeSetException
from ClusterShell.NodeUtils import GroupResolverError
for line in sys.stdin:
    line = line.rstrip("\n")
    try:
        if line.startswith("-r "):
            print(NodeSet(line[3:]).regroup())
        else:
            print(NodeSet(line))
    except (NodeSetException, GroupResolverError):
        print("error")
"#;

const GROUPS: &[(&str, &str)] = &[
    (
        "groups.conf",
        "[Main]\ndefault: files\nconfdir: $CFGDIR/conf\nautodir: $CFGDIR/auto\n\
         [files]\nmap: sed -n 's/^$GROUP: *//p' flat\nall: sed -n 's/^all: *//p' flat\n\
         list: sed -n 's/^\\([a-z0-9]*\\):.*/\\1/p' flat\n",
    ),
    (
        "flat",
        "all: node[1-100],gw[1-2]\nadm: gw[1-2]\nio: node[1-4] node9\nodd: node[1-99/2]\n\
         low: node[1-50]\nhigh: node[51-100]\nr1: node[1-20]\nr2: node[21-40]\nr3: node[41-60]\n\
         both: @adm,@io\nless: @low!@io\n",
    ),
    (
        "conf/jobs.conf",
        "[job,j]\nmap: echo node[$GROUP-1$GROUP]\nlist: seq 1 3\n",
    ),
    (
        "auto/racks.yaml",
        "racks:\n  a1: 'n[1-3]'\n  a2: [ 'n[4-6]', n9 ]\n  new: '@a[1-2]'\n  mixed: '@files:adm,@a1'\n\
         roles:\n  all: '@racks:new'\n  x: ''\n",
    ),
];

#[test]
fn groups_have_the_hosts_of_clustershell() {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in GROUPS {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    let places = Places {
        clustershell: vec![folder.path().to_owned()],
        ..Places::default()
    };
    let groups = Groups::new(places, [].into());
    let resolver = HostResolver::new(1_000_000, &groups, &NoLookup);
    let lines = [
        "@io",
        "@both",
        "@less",
        "@all",
        "@*",
        "@files:io",
        "@r[1-3]",
        "@r[1,3]!@odd",
        "@io&@odd",
        "@io^@odd",
        "@racks:new",
        "@racks:mixed",
        "@racks:a[1-2]",
        "@racks:*",
        "@roles:*",
        "@roles:x",
        "@@racks",
        "@@files",
        "@j:5",
        "@job:[2-3]",
        "@job:*",
        "node1?",
        "node*&@odd",
        "gw*,node[1-2]*",
        "*1!gw*",
        "node100,@adm",
        "@nosource:x",
        "@racks:*!n[1-5]",
        "@files:r2,@racks:a1&n1",
        "-r node[1-50]",
        "-r node[1-100]",
        "-r node[1-100],gw[1-2]",
        "-r node[1-4,9]",
        "-r node[1-60]",
        "-r node[1-39]",
        "-r gw1",
        "-r gw[1-2],x",
        "-r node[1-99/2],gw[1-2]",
        "-r node[21-60]",
    ];
    let lines = lines.map(str::to_owned);
    let Some(theirs) = ask(GROUP_ORACLE, &lines, Some(folder.path())) else {
        return may_skip("ClusterShell is not installed (package clustershell)");
    };
    for (line, theirs) in lines.iter().zip(theirs) {
        let ours = match line.strip_prefix("-r ") {
            Some(hosts) => {
                let hosts = HostList::parse(hosts, 1000).unwrap().to_set();
                regroup(&hosts, &groups, 1000).unwrap()
            }
            None => match resolver.hosts(line) {
                Ok(hosts) => hosts.to_set().to_string(),
                Err(_) => "error".to_owned(),
            },
        };
        assert_eq!(ours, theirs, "{line}");
    }
}
