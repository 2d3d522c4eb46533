//! `nodeset` and `cluset`.

use fastrand::Rng;

use super::{Answer, Call, Names, assert_outputs};

/// Number of generated calls.
const CALLS: usize = 300;

#[test]
fn scripts_get_what_they_depend_on() {
    assert_outputs(&[
        // Sorted, and each name once.
        ("nodeset -f node3 node1 node2 node1", "", "node[1-3]\n"),
        ("cluset -e node[3,1-2]", "", "node1 node2 node3\n"),
        // Operators from left to right: C is added again.
        ("nodeset -f a[1-5] -x a[2-3] a3", "", "a[1,3-5]\n"),
        ("nodeset -f a[1-5] -i a[2-9] -X a[5-6]", "", "a[2-4,6]\n"),
        ("nodeset -f a[1-3] -x -", "a1 # a2\na3\n", "a2\n"),
        // Empty sets.
        ("nodeset -f a1 -x a1", "", "\n"),
        ("nodeset -e", "", "\n"),
        ("nodeset -c", "\n", "0\n"),
        ("nodeset -c @unknown", "", "0\n"),
        // Forms of the output.
        ("nodeset --autostep=3 -f n[1,3,5,8]", "", "n[1-5/2,8]\n"),
        ("nodeset --autostep=auto -f n[2,4,6]", "", "n[2-6/2]\n"),
        (
            "nodeset --axis=1 -f r[1-2]n[1-2]",
            "",
            "r[1-2]n1,r[1-2]n2\n",
        ),
        ("nodeset --contiguous -f n[1-2,5]", "", "n[1-2]\nn5\n"),
        ("nodeset --split 2 -e n[1-3]", "", "n1 n2\nn3\n"),
        ("nodeset -I 1-2 -f n[1-9]", "", "n[2-3]\n"),
        ("nodeset -S ,\\\\n -e n[1-2]", "", "n1,\nn2\n"),
        ("nodeset -O %s-ib -f n[1-2]", "", "n[1-2]-ib\n"),
        ("nodeset -O '%5s|' -e n[1-2]", "", "   n1|    n2|\n"),
        ("nodeset --pick 9 -f n[1-3]", "", "n[1-3]\n"),
        // Numbers.
        ("nodeset -R -f 3 1-2 -x 2", "", "1,3\n"),
        ("nodeset -R -f -- -5-3", "", "-5-3\n"),
        // Groups.
        (
            "nodeset -l",
            "",
            "@all\n@grp-1\n@grp-2\n@half\n@io\n@login\n@odd\n@rack1\n@rack2\n",
        ),
        ("nodeset -s roles -lll gpu", "", ""),
        (
            "nodeset -s roles -ll",
            "",
            "@roles:adm example0\n@roles:all example0,n[1-4,7-9]\n@roles:compute n[1-4,7-9]\n@roles:gpu n[1-4,7-9]\n",
        ),
        (
            "nodeset -G -lll node[1-2]",
            "",
            "@all node[1-2] 2/45\n@grp-1 node1 1/1\n@grp-2 node2 1/1\n@half node[1-2] 2/20\n@odd node1 1/20\n@rack1 node[1-2] 2/20\n",
        ),
        ("nodeset -f @login", "", "gw\n"),
        (
            "nodeset -f @roles:gpu @@roles",
            "",
            "adm,all,compute,gpu,n[1-4,7-9]\n",
        ),
        ("nodeset -r node[1-22]", "", "@half,node[21-22]\n"),
        ("nodeset -s nolist -r node[1-20]", "", "node[1-20]\n"),
        ("nodeset -s reverse -r a[1-3]", "", "@reverse:three\n"),
        ("nodeset -f node?,io*", "", "io[0-3],node[1-9]\n"),
        (
            "nodeset -q --groupsources",
            "",
            "local\nroles\nnolist\nreverse\nfails\n",
        ),
        ("nodeset --groupsconf /dev/null -L", "", ""),
    ]);
}

#[test]
fn later_versions_are_followed() {
    assert_outputs(&[
        // 1.9.1 drops the last character of an input without a newline.
        ("nodeset -f", "node12", "node12\n"),
        ("nodeset -s roles -l -G", "", "@adm\n@all\n@compute\n@gpu\n"),
        (
            "nodeset -s roles --completion @gpu",
            "",
            "@roles:adm\n@roles:all\n@roles:compute\n@roles:gpu\nn1 n2 n3 n4 n7 n8 n9\n",
        ),
        ("nodeset --index node3 node[1-9]", "", "2\n"),
    ]);
}

#[test]
fn errors_have_the_words_of_nodeset() {
    let names = Names::new();
    for (line, status, message) in [
        ("nodeset", 2, "nodeset: error: No command specified.\n"),
        (
            "nodeset -f -e a",
            2,
            "nodeset: error: Multiple commands not allowed.\n",
        ),
        (
            "nodeset -f --bad",
            2,
            "nodeset: error: no such option: --bad\n",
        ),
        (
            "nodeset -f a[1-2",
            1,
            "nodeset: Parse error: missing bracket: \"a[1-2\"\n",
        ),
        (
            "nodeset -f a[01-100]",
            1,
            "nodeset: Parse error: bad range: \"padding length mismatch : \"01-100\"\"\n",
        ),
        (
            "nodeset -f @none:x",
            1,
            "nodeset: Unknown group source: \"none\"\n",
        ),
        (
            "nodeset -f @fails:x",
            1,
            "nodeset: Parse error: false: \"@fails:x\"\n",
        ),
        (
            "nodeset -s nolist -l",
            1,
            "nodeset: No list upcall defined for group source \"nolist\"\n",
        ),
        ("nodeset -f a -x", 1, "ERROR: pop from empty list\n"),
        ("nodeset -e -S \\\\ a", 1, "ERROR: invalid separator\n"),
        (
            "nodeset --index n3 n[03-9]",
            1,
            "padding length mismatch : \"03-9\"\"\n",
        ),
        (
            "nodeset --index n3 n[1-2]",
            1,
            "ERROR: 'n3' is not in nodeset\n",
        ),
        (
            "nodeset -R --index 50 0-9",
            1,
            "ERROR: 50 is not in RangeSet\n",
        ),
        (
            "nodeset --index n[1-2] n1",
            1,
            "ERROR: index() argument must be a single node\n",
        ),
    ] {
        let Answer {
            status: found,
            stderr,
            ..
        } = names.answer(&Call::new(line, ""));
        assert_eq!(found, Some(status), "{line}");
        assert!(stderr.ends_with(message), "{line}: {stderr}");
    }
}

#[test]
fn an_output_that_cannot_be_written_is_an_error() {
    let names = Names::new();
    let mut command = names.command(&names.path().join("nodeset"));
    let full = std::fs::File::create("/dev/full").unwrap();
    let output = command
        .args(["-e", "a[1-9]"])
        .stdout(full)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(4));
    let message = String::from_utf8_lossy(&output.stderr);
    assert!(message.contains("No space left"), "{message}");
}

#[test]
fn numbers_of_any_length_have_an_answer() {
    let long = "3".repeat(103);
    let names = Names::new();
    let answer = |text: &str| names.answer(&Call::new(&format!("nodeset -f {text}"), ""));
    let refused = answer(&format!("n{long}"));
    assert_eq!(refused.status, Some(1));
    let message = "nodeset: Parse error: bad range: \"invalid rangeset index : \"";
    assert!(refused.stderr.starts_with(message), "{}", refused.stderr);
    assert_eq!(answer(&format!("n{}", &long[..40])).status, Some(0));
    assert_eq!(answer("n[-5-5]").stdout, "n[-5-5]\n");
}

/// A generator of calls.
struct Generator {
    random: Rng,
}

impl Generator {
    fn one<'a>(&mut self, texts: &[&'a str]) -> &'a str {
        texts[self.random.usize(..texts.len())]
    }

    fn one_in(&mut self, n: usize) -> bool {
        self.random.usize(..n) == 0
    }

    fn number(&mut self) -> String {
        let width = [0, 0, 2, 3][self.random.usize(..4)];
        let limit = [3, 12, 120][self.random.usize(..3)];
        format!("{:0width$}", self.random.usize(..=limit))
    }

    fn ranges(&mut self) -> String {
        let range = |own: &mut Generator| {
            let width = [0, 0, 2, 3][own.random.usize(..4)];
            let first = own.random.usize(..15);
            let last = first + own.random.usize(..14);
            match own.random.usize(..10) {
                0..3 => format!("{first:0width$}-{last:0width$}/{}", own.random.usize(1..5)),
                3..5 => format!("{first:0width$}"),
                _ => format!("{first:0width$}-{last:0width$}"),
            }
        };
        let ranges: Vec<String> = (0..self.random.usize(1..4)).map(|_| range(self)).collect();
        ranges.join(",")
    }

    fn word(&mut self) -> String {
        const GROUPS: [&str; 14] = [
            "@rack1",
            "@half",
            "@io",
            "@nope",
            "@roles:gpu",
            "@roles:*",
            "@*",
            "@grp-[1-2]",
            "node*",
            "io?",
            "@nolist:odd",
            "@bad:x",
            "@@roles",
            "@fails:x",
        ];
        if self.one_in(8) {
            return self.one(&GROUPS).to_owned();
        }
        let mut word = String::new();
        for _ in 0..self.random.usize(1..4) {
            word += self.one(&["a", "b", "n-", "1", "%"]);
            word += &if self.one_in(3) {
                self.number()
            } else {
                format!("[{}]", self.ranges())
            };
        }
        word + self.one(&["", "", "", "-x", "0", " "])
    }

    /// Returns an expression, which in one of ten cases is damaged.
    fn expression(&mut self) -> String {
        let mut text = self.word();
        for _ in 0..[0, 0, 1, 2][self.random.usize(..4)] {
            text += self.one(&[",", ",", "!", "&", "^"]);
            text += &self.word();
        }
        if self.one_in(10) {
            let mut chars: Vec<char> = text.chars().collect();
            let at = self.random.usize(..chars.len());
            if self.one_in(2) {
                chars.remove(at);
            } else {
                let texts = [
                    "[", "]", "-", ",", "/", "!", "&", "^", "@", "*", "?", "0", " ", "a",
                ];
                chars.splice(at..at, self.one(&texts).chars());
            }
            text = chars.into_iter().collect();
        }
        text
    }

    fn operand(&mut self, ranges: bool) -> String {
        if ranges {
            self.ranges()
        } else {
            self.expression()
        }
    }

    fn call(&mut self) -> Call {
        // Lists of groups run a command for each group, which takes time.
        let command = if self.one_in(10) {
            self.one(&["-r", "-l", "-ll", "-lll", "-L", "-LLL"])
        } else {
            self.one(&["-f", "-f", "-e", "-c", "--fo"])
        };
        let ranges = self.one_in(8) && ["-f", "-e", "-c"].contains(&command);
        let mut args = vec!["nodeset", command];
        args.extend(ranges.then_some("-R"));
        for (option, values) in [
            ("--autostep", &["3", "4", "auto", "50%", "1", "x"][..]),
            ("--split", &["2", "3", "7"]),
            ("--slice", &["0", "1-3", "0-10/2", "2,5-7", "x"]),
            ("-S", &[",", "\\n", ":", "x y", "\\"]),
            ("-O", &["%s-ib", "x%sy", "%10s", "%d", "%", "5%s"]),
            ("--axis", &["1", "2", "-1", "1,3"]),
        ] {
            if self.one_in(7) && (option != "--axis" || command == "-f") {
                args.extend([option, self.one(values)]);
            }
        }
        // 1.9.3 and later list the groups of `-s` without its name.
        if self.one_in(12) && !command.starts_with("-L") {
            args.extend(["-s", self.one(&["roles", "local", "nolist", "bad"])]);
        }
        for flag in ["-q", "-G", "-a"] {
            args.extend(self.one_in(12).then_some(flag));
        }
        let mut args: Vec<String> = args.into_iter().map(str::to_owned).collect();
        for operator in ["-x", "-i", "-X"] {
            if self.one_in(12) {
                args.extend([operator.to_owned(), self.operand(ranges)]);
            }
        }
        for _ in 0..self.random.usize(..4) {
            if self.one_in(4) {
                args.push(self.one(&["-x", "-i", "-X"]).to_owned());
            }
            args.push(if self.one_in(10) {
                "-".to_owned()
            } else {
                self.operand(ranges)
            });
        }
        let lines = (0..self.random.usize(..4)).map(|_| self.operand(ranges) + "\n");
        let input: String = lines.collect();
        Call {
            args,
            input: input.into_bytes(),
        }
    }
}

/// True if ClusterShell loses a step or an axis that was asked for; see the manual.
fn is_known(call: &Call) -> bool {
    let has = |option: &str| call.args.iter().any(|word| word == option);
    // An intersection of names with several numbers forgets the steps.
    has("--autostep") && (has("-i") || has("--slice"))
}

#[test]
fn generated_calls_have_the_answer_of_nodeset() {
    let mut generator = Generator {
        random: Rng::with_seed(14),
    };
    let calls = std::iter::repeat_with(|| generator.call()).filter(|call| !is_known(call));
    Names::new().compare(&calls.take(CALLS).collect::<Vec<_>>());
}
