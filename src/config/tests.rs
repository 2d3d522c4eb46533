use std::ffi::OsStr;

use super::*;
use crate::help::with_help;
use crate::targets::TransportKind;
use tempfile::TempDir;

/// A configuration file of the system and one of the user, with environment variables.
struct Fixture {
    dir: TempDir,
    variables: Vec<(&'static str, &'static str)>,
}

impl Fixture {
    fn new(system: &str, user: &str) -> Fixture {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("system.toml"), system).unwrap();
        fs::write(dir.path().join("user.toml"), user).unwrap();
        Fixture {
            dir,
            variables: Vec::new(),
        }
    }

    fn with(mut self, name: &'static str, value: &'static str) -> Fixture {
        self.variables.push((name, value));
        self
    }

    fn load(&self, args: &[&str]) -> Result<Config, SettingsError> {
        let variable = |name: &str| {
            self.variables
                .iter()
                .find(|v| v.0 == name)
                .map(|v| OsString::from(v.1))
        };
        let file = |name| self.dir.path().join(name);
        let inputs = ConfigInputs {
            files: vec![file("system.toml"), file("user.toml")],
            variable: &variable,
        };
        let args = [&["mrsh"], args].concat();
        Config::load_from(args.into_iter().map(OsString::from).collect(), &inputs)
    }

    fn cli(&self, args: &[&str]) -> Cli {
        self.load(args).unwrap().cli
    }

    /// The message without the changing name of the directory.
    fn error(&self, args: &[&str]) -> String {
        let error = self.load(args).unwrap_err();
        with_help(&error, error.help()).replace(&self.dir.path().display().to_string(), "DIR")
    }
}

#[test]
fn the_stronger_source_wins() {
    let fixture = Fixture::new(
        "jobs = 1\nuser = \"sys\"\nport = 1000",
        "jobs = 2\nconnect-timeout = 2.5",
    );
    let cli = fixture.cli(&["true"]);
    assert_eq!(
        (cli.jobs.get(), cli.user.as_deref(), cli.port),
        (2, Some("sys"), Some(1000))
    );
    assert_eq!(cli.connect_timeout.as_millis(), 2500);
    assert_eq!(fixture.cli(&["-j", "9", "true"]).jobs.get(), 9);
    let fixture = fixture.with("MRSH_JOBS", "3");
    assert_eq!(fixture.cli(&["true"]).jobs.get(), 3);
    assert_eq!(fixture.cli(&["-j9", "true"]).jobs.get(), 9);
    assert_eq!(fixture.cli(&["--no-config", "true"]).port, None);
}

#[test]
fn a_profile_is_a_set_of_options_by_name() {
    let fixture = Fixture::new(
        "jobs = 5\n[profile.web]\nhosts = \"web[1-3]\"\njobs = 7\nuser = \"www\"",
        "[profile.web]\nuser = \"me\"\nno-label = true",
    )
    .with("MRSH_JOBS", "6");
    let cli = fixture.cli(&["-P", "web", "uptime"]);
    assert_eq!(
        (cli.jobs.get(), cli.user.as_deref(), cli.no_label),
        (7, Some("me"), true)
    );
    assert_eq!(cli.hosts, ["web[1-3]"]);
    assert_eq!(fixture.cli(&["uptime"]).jobs.get(), 6);
    assert_eq!(
        fixture.error(&["-P", "wed", "x"]),
        "cannot find the profile \"wed\"\n  = help: is it \"web\"?"
    );
    assert_eq!(
        fixture.error(&["-P", "q", "x"]),
        "cannot find the profile \"q\"\n  = help: profiles are web"
    );
}

#[test]
fn targets_replace_the_targets_of_weaker_sources() {
    let fixture = Fixture::new("hosts = [\"a\", \"b\"]", "hosts-file = \"more/list\"");
    let cli = fixture.cli(&["true"]);
    assert!(cli.hosts.is_empty());
    assert_eq!(
        cli.hosts_files,
        [fixture.dir.path().join("more/list")],
        "beside its file"
    );
    let cli = fixture.cli(&["-w", "c", "true"]);
    assert_eq!((cli.hosts, cli.hosts_files), (vec!["c".to_owned()], vec![]));
    let cli = fixture.with("WCOLL", "/w").cli(&["true"]);
    assert_eq!(cli.hosts_files, [PathBuf::from("/w")]);
}

#[test]
fn a_fault_names_file_line_and_key_and_the_nearest_key() {
    let error = |text: &str| Fixture::new(text, "").error(&["true"]);
    insta::assert_snapshot!(error("\njobz = 3"), @r"
    unknown key jobz
     --> DIR/system.toml:2:1
      |
      | jobz = 3
      | ^^^^
      = help: is it jobs?
    ");
    insta::assert_snapshot!(error("jobs = true"), @r"
    jobs takes text or a number, not boolean
     --> DIR/system.toml:1:8
      |
      | jobs = true
      |        ^^^^
    ");
    insta::assert_snapshot!(error("jobs = 0"), @r"
    invalid value '0' for '--jobs <N>': must be a number from 1 up
     --> DIR/system.toml:1:8
      |
      | jobs = 0
      |        ^
    ");
    insta::assert_snapshot!(error("[profile.a]\nverbose = 1"), @r"
    verbose takes true or false, not integer
     --> DIR/system.toml:2:11
      |
      | verbose = 1
      |           ^
    ");
    assert!(error("show-config = true").starts_with("unknown key show-config"));
    assert!(error("profile = 3").starts_with("expected a table"));
    assert!(error("jobs = ").contains("DIR/system.toml:1:"));
    assert_eq!(
        Fixture::new("", "")
            .with("MRSH_JOBS", "many")
            .error(&["true"]),
        "cannot use the environment variable MRSH_JOBS: invalid value 'many' for '--jobs <N>': must be a number from 1 up"
    );
}

#[test]
fn groups_are_read_and_the_users_win() {
    let fixture = Fixture::new(
        "[groups]\nweb = \"web[1-3]\"\ndb = [\"db1\", \"db[7-8]\"]",
        "[groups]\nweb = \"www\"",
    );
    let groups = fixture.load(&["x"]).unwrap().groups;
    assert_eq!(groups["web"].text, "www");
    assert_eq!(groups["db"].text, "db1,db[7-8]");
    let error = Fixture::new("[groups]\nweb = 3", "").error(&["x"]);
    assert!(error.starts_with("a group takes text"), "{error}");
}

#[test]
fn a_file_of_the_config_option_must_exist() {
    let fixture = Fixture::new("jobs = 1", "jobs = 2");
    assert!(matches!(
        fixture.load(&["--config", "/nowhere", "x"]),
        Err(SettingsError::Read { .. })
    ));
    let system = fixture.dir.path().join("system.toml");
    assert_eq!(
        fixture
            .cli(&["--config", system.to_str().unwrap(), "x"])
            .jobs
            .get(),
        1
    );
}

#[test]
fn show_config_prints_a_configuration_with_its_sources() {
    let fixture = Fixture::new(
        "jobs = 5\n[profile.p]\nuser = \"a \\\"b\\\"\"",
        "hosts = [\"x\", \"y\"]",
    );
    let config = fixture
        .load(&["-P", "p", "-N", "-t", "1.5", "--show-config"])
        .unwrap();
    let shown = config
        .show()
        .replace(&fixture.dir.path().display().to_string(), "DIR");
    for line in [
        "jobs = 5  # DIR/system.toml:1",
        "user = \"a \\\"b\\\"\"  # DIR/system.toml:3, profile p",
        "hosts = [\"x\", \"y\"]  # DIR/user.toml:1",
        "no-label = true  # command line",
        "connect-timeout = 1.5  # command line",
        "verbose = false  # default",
        "# stderr is not set",
        "# port is not set",
    ] {
        assert!(
            shown.lines().any(|l| l == line),
            "{line:?} is not in\n{shown}"
        );
    }
    // The printed settings can be read again.
    let again = Fixture::new(&shown, "");
    assert_eq!(again.cli(&["true"]).connect_timeout.as_millis(), 1500);
}

#[test]
fn completions_are_generated_despite_a_wrong_configuration() {
    let fixture = Fixture::new("jbos = 5", "");
    let cli = fixture.cli(&["--generate", "bash"]);
    assert_eq!(cli.generate, Some(crate::cli::GenerateArg::Bash));
}

#[test]
fn a_switch_can_be_switched_off() {
    command().debug_assert();
    let fixture = Fixture::new("gather = true\nno-label = true\nverbose = true", "");
    let cli = fixture.cli(&["true"]);
    assert!(cli.gather && cli.no_label && cli.verbose);
    let cli = fixture.cli(&["--no-gather", "--label", "%l> ", "true"]);
    assert!(!cli.gather && !cli.no_label && cli.verbose);
    assert_eq!(cli.label.as_deref(), Some("%l> "));
    // The last option counts. Words after the first word of COMMAND belong to COMMAND.
    assert!(fixture.cli(&["--no-gather", "-b", "true"]).gather);
    assert!(!fixture.cli(&["-b", "--no-gather", "true"]).gather);
    let cli = fixture.cli(&["true", "--no-gather"]);
    assert!(cli.gather);
    assert_eq!(cli.command, ["true", "--no-gather"]);
    let shown = fixture
        .load(&["--no-gather", "--show-config"])
        .unwrap()
        .show();
    assert!(
        shown.contains("gather = false  # command line\n"),
        "{shown}"
    );
    assert!(!shown.contains("no-gather"));
    // The negated option is no key. In a file, the value is true or false.
    assert!(
        Fixture::new("no-gather = true", "")
            .error(&["x"])
            .starts_with("unknown key")
    );
    assert!(!Fixture::new("gather = false", "").cli(&["x"]).gather);
}

#[test]
fn a_typed_option_replaces_settings_that_conflict_with_it() {
    let fixture = Fixture::new("no-label = true\nonly = \"failed\"", "");
    let cli = fixture.cli(&["--json", "true"]);
    assert!(cli.json && !cli.no_label && cli.only.is_none());
    let cli = Fixture::new("json = true", "").cli(&["-N", "true"]);
    assert!(!cli.json && cli.no_label);
    // Two typed options, or two settings, are equally strong.
    assert!(fixture.load(&["--json", "-N", "true"]).is_err());
    let both = Fixture::new("no-label = true\njson = true", "");
    assert!(both.load(&["true"]).is_err());
}

#[test]
fn a_setting_replaces_weaker_settings_that_conflict_with_it() {
    let fixture = Fixture::new("label = \"x\"\nfail-fast = true", "no-label = true");
    let cli = fixture.cli(&["true"]);
    assert!(cli.no_label && cli.label.is_none() && cli.fail_fast);
    let cli = fixture.cli(&["--max-failures", "3", "true"]);
    assert!(!cli.fail_fast && cli.max_failures.is_some());
    let fixture = Fixture::new("no-label = true", "label = \"x\"");
    assert_eq!(fixture.cli(&["true"]).label.as_deref(), Some("x"));
    // A switch that is off excludes nothing.
    let fixture = Fixture::new("json = true", "no-label = false");
    assert!(fixture.cli(&["true"]).json);
    // Listing modes exclude each other.
    let fixture = Fixture::new("list = true", "fold = true");
    let cli = fixture.cli(&["a"]);
    assert!(cli.listing.fold && !cli.listing.list);
    assert!(!fixture.cli(&["--count", "a"]).listing.fold);
    let both = Fixture::new("list = true\nfold = true", "").error(&["a"]);
    assert!(
        both.contains("'--fold' cannot be used with '--list'"),
        "{both}"
    );
}

#[test]
fn a_setting_counts_only_beside_the_options_that_it_requires() {
    let fixture = Fixture::new("parents = true\nmode = \"600\"\nseparator = \",\"", "");
    assert!(fixture.cli(&["true"]).copy.is_empty());
    let cli = fixture.cli(&["--copy", "a", "--dest", "/b"]);
    assert_eq!((cli.parents, cli.mode), (true, Some(0o600)));
    let cli = fixture.cli(&["--list", "a"]);
    assert_eq!(cli.listing.separator.as_deref(), Some(","));
    // A typed option still requires others.
    assert!(Fixture::new("", "").load(&["--parents", "true"]).is_err());
}

#[test]
fn a_journal_records_the_settings() {
    let fixture = Fixture::new("gather = true\nverbose = false", "hosts = [\"a\", \"b\"]")
        .with("MRSH_JOBS", "3");
    let cli = fixture.cli(&["--journal", "J", "-N", "ls", "-l"]);
    let mut options = cli.journal.line.options;
    options.sort();
    assert_eq!(
        options,
        [
            "--gather",
            "--hosts=a",
            "--hosts=b",
            "--jobs=3",
            "--journal=J",
            "--no-label"
        ]
    );
    assert_eq!(cli.journal.line.command, ["ls", "-l"]);
    assert_eq!(cli.journal.line.typed, ["--journal", "J", "-N", "ls", "-l"]);
}

#[test]
fn options_may_stand_among_the_words_of_a_listing() {
    let fixture = Fixture::new("", "");
    let cli = fixture.cli(&["--list", "n1", "--sort", "-x", "n2", "n[3-4]", "-"]);
    assert!(cli.listing.list && cli.sort);
    assert_eq!((cli.command.len(), cli.exclude), (3, vec!["n2".to_owned()]));
    let cli = fixture.cli(&["--fold", "n[1-9]", "--", "-n3"]);
    assert_eq!(cli.command, ["n[1-9]", "-n3"]);
    assert!(fixture.load(&["--count", "n1", "--nonsense"]).is_err());
    let cli = fixture.cli(&["-w", "a", "ls", "--list"]);
    assert_eq!(cli.command, ["ls", "--list"]);
}

#[test]
fn the_transport_may_be_in_the_environment() {
    let fixture = Fixture::new("transport = \"openssh\"", "").with("MRSH_TRANSPORT", "exec");
    assert_eq!(fixture.cli(&["x"]).transport, Some(TransportKind::Exec));
    assert_eq!(
        fixture.cli(&["-R", "rsh", "x"]).transport,
        Some(TransportKind::Rsh)
    );
    let error = Fixture::new("", "")
        .with("MRSH_TRANSPORT", "telnet")
        .error(&["x"]);
    assert!(
        error.starts_with(
            "cannot use the environment variable MRSH_TRANSPORT: invalid value 'telnet'"
        ),
        "{error}"
    );
}

#[test]
fn a_negative_number_is_an_invalid_value() {
    let error = |args: &[&str]| {
        let args = [&["mrsh"], args, &["-w", "n1", "true"]].concat();
        let found = command().try_get_matches_from(args).unwrap_err();
        let message = crate::cli::usage::message(&found);
        message.lines().next().unwrap_or_default().to_owned()
    };
    let most = "must be above 0 and at most a year";
    for (args, expected) in [
        (
            &["-t", "-1"][..],
            format!("'-1' for '--connect-timeout <TIME>': {most}"),
        ),
        (
            &["-u", "-5s"],
            format!("'-5s' for '--command-timeout <TIME>': {most}"),
        ),
        (
            &["-bu", "-1m30s"],
            format!("'-1m30s' for '--command-timeout <TIME>': {most}"),
        ),
        (
            &["--deadline", "-.5"],
            format!("'-.5' for '--deadline <TIME>': {most}"),
        ),
        (
            &["--kill-after", "-1s"],
            "'-1s' for '--kill-after <TIME>': must be 0 to a year".to_owned(),
        ),
        (
            &["-j", "-3"],
            "'-3' for '--jobs <N>': must be a number from 1 up".to_owned(),
        ),
        (
            &["-j", "-b"],
            "'-b' for '--jobs <N>': must be a number from 1 up".to_owned(),
        ),
        (
            &["-p", "-1"],
            "'-1' for '--port <N>': -1 is not in 1..=65535".to_owned(),
        ),
        (
            &["--max-failures", "-10%"],
            "'-10%' for '--max-failures <N|N%>': must be a number from 1 up, or 1% to 100%".to_owned(),
        ),
        (
            &["--spool-memory", "-1M"],
            "'-1M' for '--spool-memory <SIZE>': must be a size in bytes, such as 1000000, 500K, 16M or 1.5G"
                .to_owned(),
        ),
    ] {
        assert_eq!(error(args), format!("invalid value {expected}"));
    }
    // Words of COMMAND are no options of mrsh.
    let cli = Fixture::new("", "").cli(&["-j2", "-t", "5", "-w", "a", "sleep", "-1"]);
    assert_eq!((cli.jobs.get(), cli.command.len()), (2, 2));
}

#[test]
fn a_time_after_pause_is_its_value_and_any_other_word_is_not() {
    use crate::policy::Pause;
    let ask = Some(Pause::Ask);
    let minute = Some(Pause::For(std::time::Duration::from_secs(60)));
    for (line, pause, command) in [
        ("--pause uptime", ask, "uptime"),
        ("--pause 60s uptime", minute, "uptime"),
        ("--pause 1m -w b --sort uptime", minute, "uptime"),
        ("--pause=60 uptime", minute, "uptime"),
        ("--pause --pause 60 uptime", minute, "uptime"),
        ("--pause 60 --pause uptime", ask, "uptime"),
        ("--pause -- 60 uptime", ask, "60 uptime"),
        ("-- --pause 60 uptime", None, "--pause 60 uptime"),
        ("uptime --pause 60", None, "uptime --pause 60"),
        ("--pause 60 a --pause 5 b", minute, "a --pause 5 b"),
        // The rule between these two options holds behind the time, too.
        ("--pause 60 --parents --copy a --dest b", minute, ""),
        ("--parents --pause 60 --copy a --dest b", minute, ""),
        ("--pause 60 --no-pause uptime", None, "uptime"),
        ("--no-pause --pause 60 uptime", minute, "uptime"),
        ("--pause=never uptime", None, "uptime"),
        ("--pause=ask uptime", ask, "uptime"),
    ] {
        let mut args = vec!["-w", "a"];
        args.extend(line.split(' '));
        let cli = Fixture::new("", "").cli(&args);
        assert_eq!(cli.caution.pause(), pause, "{line}");
        assert_eq!(cli.command.join(OsStr::new(" ")), command, "{line}");
        // The journal has the line as it was typed, and it means the same there.
        let journal = [&["--journal", "J"], &*args].concat();
        let recorded = Fixture::new("", "").cli(&journal).journal.line;
        let resume = ["mrsh", "--resume", "J"].map(OsString::from);
        let again = resumed(&resume, &recorded.options, &recorded.command).unwrap();
        assert_eq!(again.caution.pause(), pause, "{line}");
        assert_eq!(again.command, cli.command, "{line}");
    }
}

#[test]
fn caution_in_a_file_is_taken_back_by_the_command_line() {
    let fixture = Fixture::new(
        "confirm = 0\npause = \"5m\"",
        "skip-down = true\nconfirm = 9",
    );
    let caution = |args: &[&str]| fixture.cli(&[args, &["-w", "a", "true"]].concat()).caution;
    let found = caution(&[]);
    assert!(found.skip_down && found.asks_for(10) && !found.asks_for(9));
    assert!(found.pause().is_some() && !found.pause_typed);
    let found = caution(&["--no-skip-down", "--no-confirm", "--no-pause"]);
    assert!(!found.skip_down && !found.asks_for(10));
    assert!(found.pause().is_none());
    let found = caution(&["--confirm", "--pause"]);
    assert!(found.asks_for(1) && found.pause_typed);
    let shown = fixture.load(&["--no-confirm"]).unwrap().show();
    assert!(shown.contains("# confirm is not set\n"), "{shown}");
    assert!(shown.contains("pause = \"5m\"  # "), "{shown}");
}
