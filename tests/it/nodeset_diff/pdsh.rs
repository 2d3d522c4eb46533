//! Host lists compared with pdsh, with exclusions, filters and files.

use std::process::{Command, Stdio};

use mrsh::internals::{Limits, Origin, TargetListBuilder};

use super::ExpressionMaker;
use crate::support::may_skip;

/// Returns the hosts that pdsh lists, and true if the list is complete; `None` if pdsh refuses the arguments.
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
    // pdsh cuts the list after a thousand characters, and prints a few commas for the rest.
    let cut = hosts.len() > 900;
    let mut seen: Vec<String> = hosts
        .split(',')
        .filter(|host| !host.is_empty())
        .map(str::to_owned)
        .collect();
    if cut {
        // The last name may be cut.
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

impl ExpressionMaker {
    /// Returns an operand of pdsh: names, and in a `simple` list exclusions, filters and files. A `simple` list has no
    /// name with two pairs of brackets: pdsh filters such names before it expands the second pair.
    fn pdsh_operand(&mut self, simple: bool, files: &[String]) -> String {
        let range = |maker: &mut ExpressionMaker| {
            let first = maker.number();
            let last = first + maker.0.u32(0..12);
            let width = [0, 0, 2, 3][maker.0.usize(..4)];
            if maker.0.bool() {
                format!("{first:0width$}")
            } else {
                format!("{first:0width$}-{last}")
            }
        };
        let brackets = |maker: &mut ExpressionMaker| {
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
    // pdsh keeps hosts that were named twice, and an exclusion removes only one mention. So hosts
    // that are named twice are not compared.
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
fn host_lists_have_the_hosts_of_pdsh() {
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
    let mut maker = ExpressionMaker(fastrand::Rng::with_seed(6));
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
            // `-x -name` has no documented meaning, so it is not compared.
            arguments.extend(["-x".to_owned(), operand.trim_start_matches('-').to_owned()]);
        }
        compare_with_pdsh(&arguments);
    }
}
