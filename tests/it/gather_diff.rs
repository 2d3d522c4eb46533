//! Gathered output of whole runs, and a comparison with the output of `dshbak -c` and `clubak -b` for the same input.
//! These differences are intended:
//!
//! - clubak keeps the space after the colon in the text. The option `-S ': '`, which is used here, removes it.
//! - The horizontal line of dshbak is one character longer. dshbak prints no count, folds only the last number of a
//!   name, and sorts groups by their first host. mrsh prints the largest group first, as ClusterShell does.
//! - clubak sorts groups of the same size by the name of their first host as text (`n10` before `n2`). mrsh sorts them
//!   by the number.
//! - clubak's --diff leaves out the text with which all others are compared, and bytes that are not UTF-8. If a
//!   difference can be written in several ways, clubak may choose another way.
//! - dshbak drops a line without a host, and clubak ends with an error. mrsh prints and counts such a line.
//! - dshbak drops a last line without a newline. clubak removes carriage returns from lines, and mrsh keeps them.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use mrsh::internals::HostList;

use crate::support::{Mrsh, may_skip};

/// Number of generated inputs.
const INPUTS: u64 = 210;

/// A program that runs clubak's code once for each line of a list: an input, an output, and arguments. One Python
/// process for each input would take a minute.
const CLUBAK: &str = r"
import os, sys
from ClusterShell.CLI import Clubak
for line in open(sys.argv[1]):
    source, target, *args = line.rstrip('\n').split('\t')
    if os.fork() == 0:
        os.dup2(os.open(source, os.O_RDONLY), 0)
        os.dup2(os.open(target, os.O_WRONLY | os.O_CREAT, 0o600), 1)
        sys.argv = ['clubak', '-S', ': ', '--color=never', *args]
        Clubak.main()
    if os.wait()[1] != 0:
        sys.exit('clubak failed on ' + source)
";

/// True if both tools are installed. Prints a message if one is missing.
fn tools_are_here() -> bool {
    let python = Command::new("/usr/bin/python3")
        .args(["-c", "import ClusterShell.CLI.Clubak"])
        .output();
    if !python.is_ok_and(|output| output.status.success()) {
        may_skip("clubak (Debian's clustershell) is not installed");
        return false;
    }
    if !Path::new("/usr/bin/dshbak").exists() {
        may_skip("dshbak (Debian's pdsh) is not installed");
        return false;
    }
    true
}

fn run_with_input(program: &str, args: &[&str], input: &Path) -> Output {
    Command::new(program)
        .args(args)
        .stdin(File::open(input).unwrap())
        .env_remove("NO_COLOR")
        .output()
        .unwrap()
}

fn mrsh(args: &[&str], input: &Path) -> Vec<u8> {
    let args = [&["--gather-stdin"], args].concat();
    let output = run_with_input(env!("CARGO_BIN_EXE_mrsh"), &args, input);
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{complaints}");
    assert_eq!(complaints, "");
    output.stdout
}

/// Returns clubak's output for each input, with the arguments of that input.
fn clubak(directory: &Path, calls: &[(PathBuf, &[&str])]) -> Vec<Vec<u8>> {
    let target = |at: usize| directory.join(format!("clubak-{at}"));
    let mut list = String::new();
    for (at, (input, args)) in calls.iter().enumerate() {
        let (input, target) = (input.display(), target(at));
        list += &format!("{input}\t{}\t{}\n", target.display(), args.join("\t"));
    }
    let path = directory.join("calls");
    fs::write(&path, list).unwrap();
    let output = Command::new("/usr/bin/python3")
        .args(["-c", CLUBAK])
        .arg(&path)
        .output()
        .unwrap();
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{complaints}");
    let outputs = (0..calls.len()).map(|at| fs::read(target(at)).unwrap());
    outputs.collect()
}

/// Lines of up to twelve hosts in any order. Most of the lines are equal.
fn generated(seed: u64) -> Vec<u8> {
    const NAMES: [&[&str]; 4] = [
        &[
            "n1", "n2", "n3", "n4", "n5", "n6", "n7", "n8", "n9", "n10", "n11", "n12",
        ],
        &[
            "n01", "n02", "n09", "n10", "n11", "web", "db", "n1-ib", "n2-ib", "n4-ib",
        ],
        &[
            "r1n1",
            "r1n2",
            "r1n3",
            "r2n1",
            "r2n2",
            "r2n3",
            "r3n3",
            "login.example.org",
        ],
        &["alpha", "beta-2", "beta-3", "gamma_1", "x9y", "x10y"],
    ];
    const LINES: [&[u8]; 9] = [
        b"ok",
        b"",
        b"  indented",
        b"a: b",
        b"tab\there",
        b"\xff\xfe\0",
        b"-- --",
        b"+1",
        "größer".as_bytes(),
    ];
    let mut random = fastrand::Rng::with_seed(seed);
    let names = NAMES[random.usize(0..NAMES.len())];
    let usual: Vec<&[u8]> = (0..random.usize(1..8))
        .map(|_| LINES[random.usize(0..LINES.len())])
        .collect();
    let mut rest: Vec<(&str, Vec<&[u8]>)> = Vec::new();
    for name in names {
        let mut lines = usual.clone();
        for _ in 0..random.usize(0..4).saturating_sub(1) {
            let at = random.usize(0..lines.len());
            match random.u8(0..3) {
                0 => lines[at] = LINES[random.usize(0..LINES.len())],
                1 => lines.insert(at, LINES[random.usize(0..LINES.len())]),
                _ if lines.len() > 1 => drop(lines.remove(at)),
                _ => {}
            }
        }
        rest.push((name, lines));
    }
    let mut input = Vec::new();
    while !rest.is_empty() {
        let at = random.usize(0..rest.len());
        let line = rest[at].1.remove(0);
        input.extend([rest[at].0.as_bytes(), b": ", line, b"\n"].concat());
        if rest[at].1.is_empty() {
            rest.remove(at);
        }
    }
    input
}

/// A temporary directory with all inputs, and their paths.
fn inputs() -> (tempfile::TempDir, Vec<PathBuf>) {
    let directory = tempfile::tempdir().unwrap();
    let write = |seed| {
        let path = directory.path().join(format!("input-{seed}"));
        fs::write(&path, generated(seed)).unwrap();
        path
    };
    let paths = (0..INPUTS).map(write).collect();
    (directory, paths)
}

/// The blocks of a gathered output: their titles and texts, in order.
fn blocks(output: &[u8], rule: &[u8]) -> Vec<(String, Vec<u8>)> {
    let mut blocks: Vec<(String, Vec<u8>)> = Vec::new();
    let mut lines = output.split_inclusive(|byte| *byte == b'\n');
    while let Some(line) = lines.next() {
        if line.strip_suffix(b"\n") == Some(rule) {
            let title = String::from_utf8(lines.next().unwrap().to_vec()).unwrap();
            assert_eq!(lines.next().unwrap().strip_suffix(b"\n"), Some(rule));
            blocks.push((title.trim_end().to_owned(), Vec::new()));
        } else {
            blocks.last_mut().unwrap().1.extend_from_slice(line);
        }
    }
    blocks
}

/// The names of a folded set, sorted.
fn names(folded: &str) -> Vec<String> {
    let folded = folded.split(" (").next().unwrap();
    let mut names = Vec::new();
    let list = HostList::parse(folded, 1000).unwrap();
    list.for_each(|host| names.push(host.label.to_owned()));
    names.sort();
    names
}

#[test]
fn output_is_the_same_as_that_of_dshbak() {
    if !tools_are_here() {
        return;
    }
    let (_directory, inputs) = inputs();
    for (seed, input) in inputs.iter().enumerate() {
        let by_names = |output: &[u8], rule: &[u8]| {
            let blocks = blocks(output, rule).into_iter();
            let by_names: BTreeMap<_, _> =
                blocks.map(|(title, text)| (names(&title), text)).collect();
            by_names
        };
        let theirs = run_with_input("/usr/bin/dshbak", &["-c"], input).stdout;
        let ours = mrsh(&[], input);
        let (theirs, ours) = (by_names(&theirs, &[b'-'; 16]), by_names(&ours, &[b'-'; 15]));
        assert_eq!(ours, theirs, "input {seed}");

        // Without -c, dshbak prints a block for every host. `mrsh -L` prints the same lines.
        if seed % 4 == 0 {
            let theirs = run_with_input("/usr/bin/dshbak", &[], input).stdout;
            let theirs = by_names(&theirs, &[b'-'; 16]);
            let mut ours: BTreeMap<Vec<String>, Vec<u8>> = BTreeMap::new();
            for line in mrsh(&["-L"], input).split_inclusive(|byte| *byte == b'\n') {
                let colon = memchr::memmem::find(line, b": ").unwrap();
                let name = String::from_utf8(line[..colon].to_vec()).unwrap();
                ours.entry(vec![name])
                    .or_default()
                    .extend(&line[colon + 2..]);
            }
            assert_eq!(ours, theirs, "input {seed}");
        }
    }
}

#[test]
fn output_is_the_same_as_that_of_clubak() {
    if !tools_are_here() {
        return;
    }
    let (directory, inputs) = inputs();
    const MODES: [&[&str]; 3] = [&["-b"], &["-L"], &["-b", "-L"]];
    let modes = MODES.into_iter().cycle();
    let calls: Vec<(PathBuf, &[&str])> = inputs.into_iter().zip(modes).collect();
    let theirs = clubak(directory.path(), &calls);
    for ((input, mode), theirs) in calls.iter().zip(theirs) {
        let ours = mrsh(mode, input);
        let input = input.display();
        match *mode {
            ["-b"] => {
                let [mut ours, mut theirs] =
                    [ours, theirs].map(|output| blocks(&output, &[b'-'; 15]));
                let sizes: Vec<usize> = ours.iter().map(|(title, _)| names(title).len()).collect();
                assert!(sizes.is_sorted_by(|a, b| a >= b), "{input}: {sizes:?}");
                ours.sort();
                theirs.sort();
                assert_eq!(ours, theirs, "{input}");
            }
            ["-L"] => assert_eq!(ours, theirs, "{input}"),
            _ => {
                let [ours, theirs] = [&ours, &theirs].map(|output| {
                    let mut lines: Vec<&[u8]> = output.split(|byte| *byte == b'\n').collect();
                    // A stable sort by names: each group's lines keep their order.
                    lines.sort_by_key(|line| {
                        memchr::memmem::find(line, b": ").map(|at| &line[..at])
                    });
                    lines
                });
                assert_eq!(ours, theirs, "{input}");
            }
        }
    }
}

/// One diff: the titles of both sides, and the text that results if the diff is applied.
struct Diff {
    titles: [String; 2],
    new: Vec<u8>,
}

/// Reads diffs and applies them. Panics if a line of the old text does not match.
fn followed(diffs: &[u8], old: &[u8]) -> Vec<Diff> {
    let old: Vec<&[u8]> = old.split_inclusive(|byte| *byte == b'\n').collect();
    let mut lines = diffs.split_inclusive(|byte| *byte == b'\n').peekable();
    let mut found = Vec::new();
    while let Some(line) = lines.next() {
        let title = |line: &[u8], mark: &str| {
            let line = std::str::from_utf8(line).unwrap().trim_end();
            line.strip_prefix(mark).unwrap().to_owned()
        };
        let titles = [title(line, "--- "), title(lines.next().unwrap(), "+++ ")];
        let (mut new, mut at) = (Vec::new(), 0);
        while let Some(header) = lines.next_if(|line| line.starts_with(b"@@ -")) {
            let header = std::str::from_utf8(header).unwrap();
            let mut ranges = header
                .split_ascii_whitespace()
                .skip(1)
                .take(2)
                .map(|range| {
                    let (begin, length) = range[1..].split_once(',').unwrap_or((&range[1..], "1"));
                    let length = length.parse::<usize>().unwrap();
                    (
                        begin.parse::<usize>().unwrap() - usize::from(length > 0),
                        length,
                    )
                });
            let ((begin, mut left), (_, mut right)) =
                (ranges.next().unwrap(), ranges.next().unwrap());
            new.extend(old[at..begin].concat());
            at = begin;
            while left + right > 0 {
                let (mark, text) = lines.next().unwrap().split_first().unwrap();
                if *mark != b'+' {
                    assert_eq!(old[at], text);
                    at += 1;
                    left -= 1;
                }
                if *mark != b'-' {
                    new.extend(text);
                    right -= 1;
                }
            }
        }
        new.extend(old[at..].concat());
        found.push(Diff { titles, new });
    }
    found
}

#[test]
fn differences_are_the_same_as_those_of_clubak() {
    if !tools_are_here() {
        return;
    }
    let (directory, mut inputs) = inputs();
    inputs.retain(|input| !fs::read(input).unwrap().contains(&0xff));
    let calls: Vec<(PathBuf, &[&str])> = inputs
        .into_iter()
        .map(|input| (input, &["--diff"][..]))
        .collect();
    let mut compared = 0;
    for ((input, _), theirs) in calls.iter().zip(clubak(directory.path(), &calls)) {
        let ours = mrsh(&["--diff"], input);
        let texts: BTreeMap<String, Vec<u8>> =
            blocks(&mrsh(&[], input), &[b'-'; 15]).into_iter().collect();
        // mrsh prints the most common text first.
        let (usual, text) = &blocks(&mrsh(&[], input), &[b'-'; 15])[0];
        let head = [usual.len() + 2 * 16 + 1, text.len()].iter().sum();
        let ours = followed(&ours[head..], text);
        for diff in &ours {
            assert_eq!(diff.titles[0], *usual, "{}", input.display());
            assert_eq!(diff.new, texts[&diff.titles[1]], "{}", input.display());
        }
        assert_eq!(ours.len() + 1, texts.len(), "{}", input.display());
        // If several groups have the same size, clubak may choose another one as the most common.
        if theirs.is_empty() {
            assert!(ours.is_empty(), "{}", input.display());
        } else if theirs.starts_with(format!("--- {usual}\n").as_bytes()) {
            let by_title = |diffs: Vec<Diff>| -> BTreeMap<[String; 2], Vec<u8>> {
                diffs
                    .into_iter()
                    .map(|diff| (diff.titles, diff.new))
                    .collect()
            };
            let theirs = by_title(followed(&theirs, text));
            assert_eq!(by_title(ours), theirs, "{}", input.display());
            compared += 1;
        }
    }
    assert!(compared > 40, "only {compared} inputs were compared");
}

/// The result of dshbak and clubak for a line without a host. The test fails if a new version changes it.
#[test]
fn a_line_without_a_host_is_handled_differently() {
    if !tools_are_here() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let input = directory.path().join("input");
    fs::write(&input, "a: 1\nno host here\na: 2").unwrap();

    let dshbak = run_with_input("/usr/bin/dshbak", &["-c"], &input);
    assert_eq!(dshbak.stdout, b"----------------\na\n----------------\n1\n");
    assert_eq!(dshbak.status.code(), Some(0));

    let clubak = run_with_input("/usr/bin/clubak", &["-b"], &input);
    assert_eq!((clubak.stdout, clubak.status.code()), (Vec::new(), Some(1)));

    let ours = run_with_input(env!("CARGO_BIN_EXE_mrsh"), &["--gather-stdin"], &input);
    assert_eq!(ours.stdout, b"---------------\na\n---------------\n1\n2\n");
    assert_eq!(
        String::from_utf8(ours.stderr).unwrap(),
        "no host here\nmrsh: 1 line of standard input begins with no \"HOST:\"; it is above, on standard error\n"
    );
    assert_eq!(ours.status.code(), Some(1));
}

/// Runs with no memory for gathered output, so that all text goes through the temporary file.
#[test]
fn a_run_is_gathered() {
    let command = "echo up; case $MRSH_HOST in *3) echo oops >&2; exit 4;; esac";
    let run = |args: &[&str]| {
        let common = ["--demo", "--source-ports", "any", "--spool-memory", "0"];
        let ended = Mrsh::new().args(&common).args(args);
        ended.args(&["-w", "node[1-4]", command]).run()
    };
    let ended = run(&["-b"]);
    assert_eq!(ended.status, Some(1));
    let rule = "-".repeat(15);
    let expected =
        format!("{rule}\nnode[1-2,4] (3)\n{rule}\nup\n{rule}\nnode3, exit 4\n{rule}\nup\n");
    assert_eq!(String::from_utf8(ended.stdout).unwrap(), expected);
    let expected = format!("{rule}\nnode3, exit 4, stderr\n{rule}\noops\n");
    assert!(ended.stderr.contains(&expected), "{}", ended.stderr);

    // Merged by the remote shell: with two connections, either may be read first.
    let merged = ["-B", "--stderr", "merge"];
    let odd = ["--diff", "--only", "odd", "--color", "always"];
    let ended = run(&[&merged[..], &odd].concat());
    let expected = [
        "\x1b[1m--- node[1-2,4] (3)\x1b[0m\n",
        "\x1b[1m+++ node3, exit 4\x1b[0m\n",
        "\x1b[36m@@ -1 +1,2 @@\x1b[0m\n",
        " up\n",
        "\x1b[32m+oops\x1b[0m\n",
    ];
    assert_eq!(String::from_utf8(ended.stdout).unwrap(), expected.concat());

    let ended = run(&["-L", "--live"]);
    let text = String::from_utf8(ended.stdout).unwrap();
    // The live lines come in any order. The gathered lines come host by host.
    let (live, gathered) = text.split_at(text.len() / 2);
    let mut live: Vec<&str> = live.lines().collect();
    live.sort_unstable();
    assert_eq!(live, gathered.lines().collect::<Vec<_>>());
    assert_eq!(gathered, "node1: up\nnode2: up\nnode3: up\nnode4: up\n");
}

#[test]
fn a_filter_that_cannot_write_prints_an_error() {
    let directory = tempfile::tempdir().unwrap();
    let input = directory.path().join("input");
    fs::write(&input, "a: 1\n".repeat(100_000)).unwrap();
    let filter = |stdout: Stdio| {
        Command::new(env!("CARGO_BIN_EXE_mrsh"))
            .args(["--gather-stdin", "-L"])
            .stdin(File::open(&input).unwrap())
            .stdout(stdout)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
            .wait_with_output()
            .unwrap()
    };
    let full = File::options().write(true).open("/dev/full").unwrap();
    let ended = filter(full.into());
    assert_eq!(ended.status.code(), Some(4));
    assert_eq!(
        String::from_utf8(ended.stderr).unwrap(),
        "mrsh: cannot write to standard output: No space left on device\n"
    );

    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let ended = filter(writer.into());
    assert_eq!(ended.status.signal(), Some(13), "{:?}", ended.status);
    assert_eq!(ended.stderr, b"");
}

#[test]
fn equal_hosts_are_equal_with_standard_error_in_the_same_text() {
    let command = "echo out; echo err >&2; echo out again";
    let block = "---------------\nfoo[1-20] (20)\n---------------\nout\nerr\nout again\n";
    for args in [
        &["-R", "exec", "-B", "-w", "foo[1-20]", "sh", "-c", command][..],
        &["--demo", "-q", "-B", "-w", "foo[1-20]", command],
    ] {
        let ended = Mrsh::new().arg("--no-config").args(args).run();
        let printed = String::from_utf8(ended.stdout).unwrap();
        assert_eq!(printed, block, "{}", ended.stderr);
    }
}
