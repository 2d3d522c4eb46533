//! Tests of the command line: values, conflicts and messages, and the options in the manual and the README.

use super::*;
use clap::CommandFactory;

fn parse(args: &[&str]) -> Result<Cli, clap::Error> {
    Cli::try_parse_from([&["mrsh"], args].concat())
}

#[test]
fn the_definition_is_consistent() {
    Cli::command().debug_assert();
}

#[test]
fn everything_after_the_first_word_is_the_command() {
    let cli = parse(&["-w", "a", "ls", "-l", "-j", "3"]).unwrap();
    assert_eq!(cli.command, ["ls", "-l", "-j", "3"]);
    assert_eq!(cli.jobs.get(), 32);
    let cli = parse(&["-w", "a", "--", "-x"]).unwrap();
    assert_eq!(cli.command, ["-x"]);
    let cli = parse(&["-j2", "-wx", "-f", "-", "-f", "b", "true"]).unwrap();
    assert_eq!(cli.hosts_files, [PathBuf::from("-"), PathBuf::from("b")]);
}

#[test]
fn gathering_standard_input_takes_no_option_that_only_a_run_can_follow() {
    for option in [
        "--json",
        "--live",
        "--stats",
        "-i",
        "-od",
        "-ed",
        "--failed-to=f",
        "--report=f",
    ] {
        let error = parse(&["--gather-stdin", option]).unwrap_err();
        assert_eq!(
            error.kind(),
            clap::error::ErrorKind::ArgumentConflict,
            "{option}"
        );
    }
    parse(&["--gather-stdin", "-BL", "--diff", "--only=odd", "-q"]).unwrap();
}

#[test]
fn standard_error_is_merged_with_gather_all_unless_another_option_needs_separate_streams() {
    for (args, mode) in [
        (&["x"][..], StderrMode::Separate),
        (&["-b", "x"], StderrMode::Separate),
        (&["-B", "x"], StderrMode::Merge),
        (&["-B", "--live", "x"], StderrMode::Separate),
        (&["-B", "-e", "d", "x"], StderrMode::Separate),
        (&["-B", "--stderr", "separate", "x"], StderrMode::Separate),
        (&["--stderr", "drop", "-B", "x"], StderrMode::Drop),
    ] {
        assert_eq!(parse(args).unwrap().stderr_mode(), mode, "{args:?}");
    }
}

#[test]
fn sizes_have_units() {
    for (text, bytes) in [
        ("0", 0),
        ("64k", 65_536),
        ("16M", 1 << 24),
        ("1GiB", 1 << 30),
        ("1.5K", 1536),
        ("7b", 7),
        ("1t", 1 << 40),
    ] {
        let cli = parse(&["--spool-memory", text, "true"]).unwrap();
        assert_eq!(cli.spool_memory, bytes);
    }
}

#[test]
fn times_have_units() {
    for (text, ms) in [
        ("3", 3000),
        ("0.5", 500),
        ("500ms", 500),
        ("5s", 5000),
        ("2m", 120_000),
        ("2min", 120_000),
        ("1h", 3_600_000),
        ("1.5h", 5_400_000),
        ("1h30m", 5_400_000),
        ("1d", 86_400_000),
    ] {
        for option in ["-t", "-u", "--deadline", "--idle-timeout", "--kill-after"] {
            let cli = parse(&[option, text, "true"]).unwrap();
            let times = [
                Some(cli.connect_timeout),
                cli.command_timeout,
                cli.deadline,
                cli.idle_timeout,
                Some(cli.kill_after),
            ];
            assert!(
                times.contains(&Some(Duration::from_millis(ms))),
                "{option} {text}"
            );
        }
    }
    for text in [
        "", "s", "5x", "-5s", "5 s", "m5", "0s", "1h-1m", "400d", "1..5s",
    ] {
        assert!(parse(&["-u", text, "true"]).is_err(), "{text}");
    }
    assert_eq!(
        parse(&["--kill-after", "0s", "x"]).unwrap().kill_after,
        Duration::ZERO
    );
}

#[test]
fn options_of_other_programs_are_explained() {
    let message = |args: &[&str]| usage::message(&parse(args).unwrap_err());
    for (option, help) in [
        ("--fanout=3", "the fan-out is -j N"),
        ("--forks", "the fan-out is -j N"),
        ("--inventory", "an inventory is -f FILE"),
        ("--private-key", "a key is --identity FILE"),
        ("-X", "a group is left out with -x @GROUP"),
        ("--maxrc", "it is -S, or --worst-status"),
        (
            "--module-name",
            "clush: there are no modes, sudo is --sudo; Ansible: there are no modules, \
             COMMAND is a line of shell, and --script FILE runs a script",
        ),
        (
            "-Q",
            "--expand prints the targets; -n prints what a run would do",
        ),
        (
            "-d",
            "-v prints more about the run, --stats prints where the time went",
        ),
        (
            "--line_mode",
            "output comes line by line by itself; -L keeps the lines of a host together",
        ),
    ] {
        let name = option.split('=').next().unwrap();
        assert_eq!(
            message(&[option, "x"]),
            format!("unexpected argument '{name}' found\n  = help: {help}")
        );
    }
    insta::assert_snapshot!(message(&["--gathre"]), @"
    unexpected argument '--gathre' found
      = help: a similar argument exists: '--gather'
    ");
    insta::assert_snapshot!(message(&["--only", "x"]), @"
    invalid value 'x' for '--only <WHAT>'
      = help: possible values: failed, output, odd
    ");
    insta::assert_snapshot!(message(&["-j", "x"]), @"
    invalid value 'x' for '--jobs <N>': must be a number from 1 up
      = help: mrsh --help lists the options
    ");
    let copies = message(&["--rcopy", "/etc/hosts"]);
    assert_eq!(
        message(&["-c", "/etc/hosts"]).replace("-c'", "--rcopy'"),
        copies
    );
    insta::assert_snapshot!(copies, @"
    unexpected argument '--rcopy' found
      = help: copy files with --copy PATH --dest PATH, fetch one with -o DIR 'cat FILE'
    ");
    insta::assert_snapshot!(message(&["-A", "x"]), @"
    unexpected argument '-A' found
      = help: pdsh: all hosts are -a; pssh: a password is asked for with --password
    ");
}

#[test]
fn a_conflict_names_the_option_that_was_given() {
    let message = |args: &[&str]| usage::message(&parse(args).unwrap_err());
    let first = |args: &[&str]| message(args).lines().next().unwrap_or_default().to_owned();
    for (short, long) in [
        ("-r", "--regroup"),
        ("--list", "--list"),
        ("--count", "--count"),
    ] {
        assert_eq!(
            first(&["--gather-stdin", short]),
            format!("the argument '--gather-stdin' cannot be used with '{long}'")
        );
    }
    assert_eq!(
        first(&["--groups", "--fold"]),
        "the argument '--groups[=<SOURCE>]' cannot be used with '--fold'"
    );
}

#[test]
fn short_options_that_became_a_value_are_explained() {
    let explained = |typed: &[&str], value: &str| {
        let args: Vec<OsString> = ["mrsh"].iter().chain(typed).map(OsString::from).collect();
        usage::grouped(&args, 'f', value)
    };
    insta::assert_snapshot!(explained(&["-fan", "3"], "an").unwrap(), @"'-fan' means '-f an': of short options in one word, the one with a value comes last");
    insta::assert_snapshot!(explained(&["-w", "n1", "-bfan", "x"], "an").unwrap(), @"'-bfan' means '-bf an': of short options in one word, the one with a value comes last");
    // -z is no option. The separate word `an` is a name.
    assert_eq!(explained(&["-faz", "x"], "az"), None);
    assert_eq!(explained(&["-f", "an", "ls", "-fan"], "an"), None);
    assert_eq!(explained(&["-w", "x", "--", "-fan"], "an"), None);
}

#[test]
fn help_for_options_of_other_programs_names_only_options_of_mrsh() {
    let command = crate::config::command();
    let is_ours = |name: &str| {
        command.get_arguments().any(|arg| {
            let long = arg.get_long().map(|long| format!("--{long}"));
            let short = arg.get_short().map(|short| format!("-{short}"));
            long.iter().chain(&short).any(|ours| ours == name)
        })
    };
    let mut seen = std::collections::BTreeSet::new();
    for (names, help) in usage::FOREIGN {
        for name in names {
            assert!(!is_ours(name), "{name}");
            assert!(seen.insert(name), "{name} is there twice");
        }
        let words = help.split([' ', ',', ';', ':']);
        let options: Vec<&str> = words.filter(|word| word.starts_with('-')).collect();
        for option in options {
            assert!(is_ours(option), "{option} in {help:?}");
        }
    }
}

#[test]
fn batch_is_a_list_of_shares() {
    let cli = parse(&["--batch", "1, 10%,100%", "--kill-after", "0", "true"]).unwrap();
    let text = |share: &Share| share.to_string();
    let sizes: Vec<String> = cli.batch.unwrap().0.iter().map(text).collect();
    assert_eq!(sizes, ["1", "10%", "100%"]);
    assert_eq!(cli.kill_after, Duration::ZERO);
}

#[test]
fn the_last_of_two_limits_on_failures_wins() {
    // A configuration file comes before the typed words, so the typed limit wins over it.
    let limits = |args: [&str; 4]| {
        let cli = parse(&args).unwrap();
        (cli.fail_fast, cli.max_failures.map(|most| most.to_string()))
    };
    let some = Some("3".to_owned());
    assert_eq!(
        limits(["--fail-fast", "--max-failures", "3", "x"]),
        (false, some)
    );
    assert_eq!(
        limits(["--max-failures", "3", "--fail-fast", "x"]),
        (true, None)
    );
}

#[test]
fn bad_values_are_named() {
    for args in [
        ["-j", "0"],
        ["-t", "0"],
        ["-t", "nan"],
        ["-u", "-1"],
        ["-p", "0"],
        ["--source-ports", "9-1"],
        ["--deadline", "0"],
        ["--kill-after", "-1"],
        ["--rate", "0"],
        ["--max-failures", "0"],
        ["--max-failures", "101%"],
        ["--batch", "1,,2"],
        ["--batch", ""],
        ["--spool-memory", "1x"],
        ["--spool-memory", "M"],
    ] {
        let error = parse(&[&args[..], &["-w", "a", "true"]].concat()).unwrap_err();
        assert!(error.to_string().contains(args[1]), "{error}");
    }
    assert_eq!(
        parse(&["--source-ports", "600-700", "x"])
            .unwrap()
            .source_ports,
        Some(SourcePorts::Range(600..=700))
    );
}

#[test]
fn pages_name_every_option_and_no_unknown_one() {
    let pages = [
        ("docs/manual.md", include_str!("../../docs/manual.md")),
        ("README.md", include_str!("../../README.md")),
    ];
    let command = crate::config::command();
    let (_, manual) = pages[0];
    let is_in_manual = |name: &str| {
        manual.match_indices(name).any(|(at, _)| {
            let around = [
                manual[..at].chars().next_back(),
                manual[at + name.len()..].chars().next(),
            ];
            let part_of_a_word = |c: char| c.is_ascii_alphanumeric() || c == '-';
            !around.into_iter().flatten().any(part_of_a_word)
        })
    };
    for arg in command.get_arguments().filter(|arg| !arg.is_hide_set()) {
        let short = arg.get_short().map(|c| format!("-{c}"));
        let long = arg.get_long().map(|long| format!("--{long}"));
        for name in long.iter().chain(&short) {
            assert!(is_in_manual(name), "docs/manual.md lacks {name}");
        }
    }
    // clap adds the first two when it parses; the others are options of cargo and of tests/run.
    let others = [
        "help",
        "version",
        "quick",
        "release",
        "open",
        "document-private-items",
        "no-default-features",
    ];
    // The options of other programs are those of their names.
    let (own, rest) = manual.split_once("\n## Other names\n").unwrap();
    let (_, after) = rest.split_once("\n## ").unwrap();
    let pages = [(pages[0].0, own), (pages[0].0, after), pages[1]];
    for (page, text) in pages {
        for (at, _) in text.match_indices("--") {
            let word: String = text[at + 2..]
                .chars()
                .take_while(|&c| c.is_ascii_lowercase() || c == '-')
                .collect();
            let known = command
                .get_arguments()
                .any(|arg| arg.get_long() == Some(&word));
            let is_option =
                word.starts_with(|c: char| c.is_ascii_lowercase()) && !text[..at].ends_with('-');
            // The README compares this program with others.
            let foreign = usage::FOREIGN.iter().any(|(names, _)| {
                names
                    .iter()
                    .any(|name| name.strip_prefix("--") == Some(&word))
            });
            // NAME in --no-NAME is a placeholder for any option.
            let other = foreign || word == "no-" || others.contains(&word.as_str());
            assert!(
                !is_option || known || other,
                "{page}: --{word} is no option"
            );
        }
    }
}
