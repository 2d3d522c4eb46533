//! Node sets and host lists beside the programs whose language they are: ClusterShell and pdsh.
//!
//! A few thousand expressions, made from a fixed seed, are answered by both. Where the two differ,
//! the difference is meant and stands in a list here with its reason; a difference that is not in the
//! list fails the test.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use mrsh::targets::groups::{Groups, Places, regroup};
use mrsh::targets::{HostList, Resolver, fold};
use mrsh::targets::{Limits, Origin, TargetListBuilder};
use nodeset::NoLookup;

use crate::support::may_skip;

/// Answers each line of its input as `nodeset -f` and `nodeset -e` would, without the start of a
/// Python for each.
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
        // A reference that is not installed does not read.
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

/// What we answer to the same.
fn ours(line: &str) -> String {
    let Ok(list) = HostList::parse(line, 1_000_000) else {
        return "error".to_owned();
    };
    let set = list.to_set();
    let mut names = Vec::new();
    set.for_each(|name| names.push(name.to_owned()));
    format!("{set}|{}", names.join(" "))
}

/// Which expressions differ, and why that is meant.
type Difference = (fn(&str) -> bool, &'static str);

/// Differences that are meant: what is special about an expression, and why it is answered otherwise.
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
        "numbers have no sign: \"node[-5-5]\" is more often a mistake than a wish",
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

/// Whether an operand starts with this character.
fn starts_operand(e: &str, mark: char) -> bool {
    let mut start = true;
    e.chars().any(|c| {
        let found = start && c == mark;
        start = ",!&^".contains(c);
        found
    })
}

/// Whether there are two dashes in one range.
fn has_negative(e: &str) -> bool {
    inside(e).any(|part| part.matches('-').count() > 1)
}

/// Whether only the first number of a range is padded.
fn padded_first(e: &str) -> bool {
    inside(e).any(|part| {
        let bounds = part.split('/').next().unwrap().split_once('-');
        bounds.is_some_and(|(first, last)| {
            let (first, last) = (first.trim(), last.trim());
            first.len() > 1 && first.starts_with('0') && first.len() != last.len()
        })
    })
}

/// Whether nothing but digits is between two pairs of brackets.
fn touching_brackets(e: &str) -> bool {
    e.split(']').skip(1).any(|after| {
        after
            .trim_start_matches(|c: char| c.is_ascii_digit())
            .starts_with('[')
    })
}

/// Whether a digit stands beside brackets in which the ends of a range have different lengths.
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

/// Whether a digit follows a bracket with a step in it.
fn step_before_digits(e: &str) -> bool {
    e.split('[').skip(1).any(|rest| {
        let (inside, after) = rest.split_once(']').unwrap_or((rest, ""));
        inside.contains('/') && after.starts_with(|c: char| c.is_ascii_digit())
    })
}

/// The parts between commas of everything that is in brackets.
fn inside(e: &str) -> impl Iterator<Item = &str> {
    e.split('[')
        .skip(1)
        .flat_map(|rest| rest.split(']').next().unwrap().split(','))
}

/// Makes expressions.
struct Maker(fastrand::Rng);

impl Maker {
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

    /// A name with any number of brackets.
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

    /// An expression in which one character is lost, doubled, or another.
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
        let ours = ours(line);
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
        "{} expressions, {errors} refused by ClusterShell, {meant} answered otherwise",
        lines.len()
    );
}

#[test]
fn expressions_mean_what_they_mean_to_clustershell() {
    let mut maker = Maker(fastrand::Rng::with_seed(3));
    compare(&(0..3000).map(|_| maker.expression()).collect::<Vec<_>>());
}

#[test]
fn damaged_expressions_are_refused_where_clustershell_refuses() {
    let mut maker = Maker(fastrand::Rng::with_seed(4));
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

/// Answers each line as `nodeset -f` would with the groups in `CLUSTERSHELL_CFGDIR`; a line `-r SET`
/// is folded into groups, `-l` lists the groups.
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
fn groups_mean_what_they_mean_to_clustershell() {
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
    let resolver = Resolver::new(1_000_000, &groups, &NoLookup);
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

/// Asks pdsh which hosts it would go to, and whether it says them all; `None` if it refuses.
fn pdsh(arguments: &[String]) -> Option<(Vec<String>, bool)> {
    let output = Command::new("pdsh")
        .args(["-R", "exec", "-Q"])
        .args(arguments)
        .env_remove("WCOLL")
        .stdin(Stdio::null())
        .output()
        .expect("pdsh runs");
    let text = String::from_utf8(output.stdout).unwrap();
    let hosts = text.split_once("-- Target nodes --\n")?.1.trim();
    // It has room for a thousand characters, and what it shows of the rest are a few commas.
    let cut = hosts.len() > 900;
    let mut seen: Vec<String> = hosts
        .split(',')
        .filter(|host| !host.is_empty())
        .map(str::to_owned)
        .collect();
    if cut {
        // The last name may be cut, too.
        seen.pop();
    }
    Some((seen, !cut))
}

fn ours_as_pdsh(arguments: &[String]) -> Option<Vec<String>> {
    let mut builder = TargetListBuilder::new(Limits::default());
    for option in arguments.chunks(2) {
        match option[0].as_str() {
            "-w" => builder.add_expr(&option[1], Origin::named("-w")).ok()?,
            _ => builder.exclude_expr(&option[1], Origin::named("-x")).ok()?,
        }
    }
    let list = builder.build().ok()?;
    Some(list.iter().map(|target| target.label.to_string()).collect())
}

impl Maker {
    /// An operand of pdsh: names, and in a `simple` list exclusions, filters and files. pdsh filters
    /// names with two pairs of brackets before it has expanded the second: not to be imitated.
    fn pdsh_operand(&mut self, simple: bool, files: &[String]) -> String {
        let range = |maker: &mut Maker| {
            let first = maker.number();
            let last = first + maker.0.u32(0..12);
            let width = [0, 0, 2, 3][maker.0.usize(..4)];
            match maker.0.bool() {
                true => format!("{first:0width$}"),
                false => format!("{first:0width$}-{last}"),
            }
        };
        let brackets = |maker: &mut Maker| {
            let ranges: Vec<String> = (0..maker.0.usize(1..4)).map(|_| range(maker)).collect();
            format!("[{}]", ranges.join(","))
        };
        let prefix = self.pick(&["n", "n", "foo", "r-"]);
        let name = match self.0.u8(0..6) {
            0 => format!("{prefix}{}", self.number()),
            1 => format!("{prefix}{}-ib", brackets(self)),
            _ if simple => format!("{prefix}{}", brackets(self)),
            2 => format!("{prefix}{}x{}", brackets(self), brackets(self)),
            3 => format!("{prefix}{}{}", brackets(self), brackets(self)),
            _ => format!("{prefix}{}", brackets(self)),
        };
        match self.0.u8(0..20) {
            _ if !simple => name,
            0 => format!("/{}/", self.pick(&["[0-4]", "^n", "1$", "n|foo", "o{2}"])),
            1 => format!("-/{}/", self.pick(&["7", "^foo", "[89]", "x$"])),
            2 | 3 => format!("-{name}"),
            4 => format!("^{}", files[self.0.usize(..files.len())]),
            5 => format!("-^{}", files[self.0.usize(..files.len())]),
            _ => name,
        }
    }
}

fn compare_with_pdsh(arguments: &[String]) {
    let mut ours = ours_as_pdsh(arguments).unwrap_or_default();
    let (theirs, complete) = pdsh(arguments).unwrap_or((Vec::new(), true));
    // pdsh keeps hosts that were named twice, and an exclusion takes away only one of them: leave
    // out what is there more than once without the exclusions.
    let without: Vec<String> = arguments
        .chunks(2)
        .filter(|option| option[0] == "-w")
        .flat_map(|option| {
            let mut depth = 0;
            let outside = move |c: char| {
                depth += i32::from(c == '[') - i32::from(c == ']');
                c == ',' && depth == 0
            };
            let operands = option[1].split(outside);
            let named: Vec<&str> = operands.filter(|o| !o.starts_with(['-', '/'])).collect();
            ["-w".to_owned(), named.join(",")]
        })
        .collect();
    let (all, _) = pdsh(&without).unwrap_or_default();
    let once = |host: &String| all.iter().filter(|other| *other == host).count() <= 1;
    let mut expected: Vec<String> = Vec::new();
    for host in theirs {
        if !expected.contains(&host) {
            expected.push(host);
        }
    }
    if !complete {
        ours.truncate(expected.len());
    }
    if ours != expected {
        ours.retain(once);
        expected.retain(once);
    }
    assert_eq!(ours, expected, "{arguments:?}");
}

#[test]
fn host_lists_mean_what_they_mean_to_pdsh() {
    if Command::new("pdsh").arg("-V").output().is_err() {
        return may_skip("pdsh is not installed (package pdsh)");
    }
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let inner = write("inner", "n[30-32]\n");
    let files = [
        write("plain", "n1\n# n2\nn[3-5] # n6\n\n  foo7 foo8\n"),
        write(
            "outer",
            &format!("foo[1-3]\n#include {inner}\n#include plain\nn9,n10\n"),
        ),
        inner,
    ];
    let mut maker = Maker(fastrand::Rng::with_seed(6));
    for _ in 0..400 {
        let mut arguments = Vec::new();
        let simple = maker.0.bool();
        for _ in 0..maker.0.usize(1..3) {
            let operands: Vec<String> = (0..maker.0.usize(1..5))
                .map(|_| maker.pdsh_operand(simple, &files))
                .collect();
            arguments.extend(["-w".to_owned(), operands.join(",")]);
        }
        if simple && maker.0.bool() {
            let operand = maker.pdsh_operand(simple, &files);
            // What `-x -name` should mean is anybody's guess.
            arguments.extend(["-x".to_owned(), operand.trim_start_matches('-').to_owned()]);
        }
        compare_with_pdsh(&arguments);
    }
}
