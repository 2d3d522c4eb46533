//! The command line of a resumed run: the options of the journal, under those that the line of `--resume` adds.
//!
//! Configuration files and the environment do not count, because the journal has their settings.

use std::ffi::OsString;

use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command, FromArgMatches};

use super::{
    OptionSettings, SettingsError, built_command, command, opposite, parse, replaces, with_defaults,
};
use crate::cli::Cli;

/// Options that the line of `--resume` may have beside those of output.
// They change neither what runs nor where. Passwords are not in the journal.
const ALLOWED: [&str; 19] = [
    "confirm",
    "connect-timeout",
    "deadline",
    "dry-run",
    "failed",
    "jobs",
    "no-confirm",
    "no-pause",
    "password",
    "password-fd",
    "pause",
    "rate",
    "resume",
    "retries",
    "status",
    "stdin",
    "sudo-password",
    "sudo-password-fd",
    "sudo-password-in-clear",
];

/// Heading of the options of output.
const OUTPUT: &str = "Output";

/// A command line that contradicts the journal.
#[derive(Debug, thiserror::Error)]
pub enum ResumeError {
    /// An option has another value in the journal.
    #[error("cannot use {option} with --resume: the journal has the options of the run")]
    Option {
        /// The option.
        option: String,
    },
    /// The command is another one.
    #[error("cannot run {typed:?} with --resume: the command of the journal is {recorded:?}")]
    Command {
        /// The command of the command line.
        typed: String,
        /// The command of the journal.
        recorded: String,
    },
    /// The commands read standard input, and the line has no `-i`.
    #[error("cannot resume the run without -i: its commands read standard input")]
    NoInput,
    /// The options together are wrong.
    #[error(transparent)]
    Config(#[from] SettingsError),
}

/// Returns the command line of a resumed run. `options` and `words` are the recorded options and command.
///
/// # Errors
/// The typed line contradicts the journal, or the options are wrong together.
pub(crate) fn resumed(
    args: &[OsString],
    options: &[OsString],
    words: &[OsString],
) -> Result<Cli, ResumeError> {
    let options_known = built_command();
    let typed = parse(command(), args)?;
    let recorded = parse(command(), &line(options, words))?;
    if recorded.get_flag("stdin") && !typed.get_flag("stdin") {
        return Err(ResumeError::NoInput);
    }
    check(&options_known, &typed, &recorded)?;
    let recorded: Vec<(&str, Vec<OsString>)> = options_of(&options_known, &recorded)
        .filter_map(|arg| Some((arg.get_long()?, raw(&recorded, arg.get_id().as_str()))))
        .filter(|(key, _)| *key != "journal" && !replaces(&options_known, &typed, key))
        .collect();
    let values = recorded.iter().map(|(key, values)| (*key, &**values));
    let command =
        with_defaults(command(), values).mut_arg("command", |arg| arg.default_values_os(words));
    let matches = parse(command, args)?;
    let cli = Cli::from_arg_matches(&matches).map_err(|error| SettingsError::from(Box::new(error)));
    Ok(cli?)
}

/// Returns the options of a run as words for its journal: those of the command line and the settings.
pub(super) fn recorded_options(
    command: &Command,
    matches: &ArgMatches,
    settings: &OptionSettings,
) -> Vec<OsString> {
    let has = |arg: &&Arg| {
        let key = arg.get_long();
        key.is_some_and(|key| was_typed(matches, arg) || settings.contains_key(key))
    };
    let options = command.get_arguments().filter(has);
    options.flat_map(|arg| as_words(arg, matches)).collect()
}

fn line(options: &[OsString], words: &[OsString]) -> Vec<OsString> {
    [&["mrsh".into()], options, &["--".into()], words].concat()
}

fn was_typed(matches: &ArgMatches, arg: &Arg) -> bool {
    matches.value_source(arg.get_id().as_str()) == Some(ValueSource::CommandLine)
}

/// Returns the options that a command line has.
fn options_of<'a>(command: &'a Command, matches: &'a ArgMatches) -> impl Iterator<Item = &'a Arg> {
    let options = command
        .get_arguments()
        .filter(|arg| arg.get_long().is_some());
    options.filter(|arg| was_typed(matches, arg))
}

/// Returns an option with its values, one word for each value.
fn as_words(arg: &Arg, matches: &ArgMatches) -> Vec<OsString> {
    let key = arg.get_long().unwrap_or_default();
    let id = arg.get_id().as_str();
    match arg.get_action() {
        ArgAction::SetTrue if matches.get_flag(id) => vec![format!("--{key}").into()],
        ArgAction::SetTrue => Vec::new(),
        _ => raw(matches, id)
            .into_iter()
            .map(|value| {
                let mut word = OsString::from(format!("--{key}="));
                word.push(value);
                word
            })
            .collect(),
    }
}

fn raw(matches: &ArgMatches, id: &str) -> Vec<OsString> {
    let values = matches.get_raw(id).into_iter().flatten();
    values.map(OsString::from).collect()
}

/// True for an option that may differ from the journal.
fn is_allowed(command: &Command, arg: &Arg) -> bool {
    let key = arg.get_long().unwrap_or_default();
    let heading = match arg.get_help_heading() {
        // A hidden option that switches another one off has no heading.
        None => super::argument(command, &opposite(key)).and_then(Arg::get_help_heading),
        heading => heading,
    };
    heading == Some(OUTPUT) || ALLOWED.contains(&key)
}

/// Checks that the typed line says nothing else than the journal.
fn check(command: &Command, typed: &ArgMatches, recorded: &ArgMatches) -> Result<(), ResumeError> {
    for arg in options_of(command, typed) {
        let id = arg.get_id().as_str();
        let is_same = was_typed(recorded, arg) && raw(typed, id) == raw(recorded, id);
        let key = arg.get_long().unwrap_or_default();
        // Input that the run did not have would change what the commands read.
        let is_new_input = key == "stdin" && !recorded.get_flag("stdin");
        if !is_same && (is_new_input || !is_allowed(command, arg)) {
            return Err(ResumeError::Option {
                option: format!("--{key}"),
            });
        }
    }
    let words = |matches| raw(matches, "command").join(std::ffi::OsStr::new(" "));
    let (typed, recorded) = (words(typed), words(recorded));
    if !typed.is_empty() && typed != recorded {
        return Err(ResumeError::Command {
            typed: typed.to_string_lossy().into_owned(),
            recorded: recorded.to_string_lossy().into_owned(),
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<OsString> {
        line.split_whitespace().map(OsString::from).collect()
    }

    fn resume(recorded: &str, typed: &str) -> Result<Cli, String> {
        let typed = format!("mrsh --resume J {typed}");
        let command = words("uptime -s");
        resumed(&words(&typed), &words(recorded), &command).map_err(|error| error.to_string())
    }

    #[test]
    fn the_options_of_the_journal_count() {
        let cli = resume("-w a,b -j 7 -b --journal J -u 5", "").unwrap();
        assert_eq!(cli.hosts, ["a,b"]);
        assert_eq!((cli.jobs.get(), cli.gather), (7, true));
        assert_eq!(cli.command, words("uptime -s"));
        assert_eq!(cli.journal.journal, None);
        assert_eq!(cli.journal.resume.unwrap().to_str(), Some("J"));
    }

    #[test]
    fn options_of_output_and_pace_replace_those_of_the_journal() {
        let cli = resume("-w a -j 7 -b", "-j 9 --json -q --failed").unwrap();
        assert_eq!((cli.jobs.get(), cli.gather, cli.json), (9, false, true));
        assert!(cli.quiet && cli.journal.failed);
        let cli = resume("-w a -b -o out", "--no-gather -o new").unwrap();
        assert!(!cli.gather);
        assert_eq!(cli.output_dir.unwrap().to_str(), Some("new"));
    }

    #[test]
    fn the_question_and_the_pause_replace_those_of_the_journal() {
        let recorded = "-w a --batch 1 --confirm=0 --pause=ask";
        let caution = |typed| resume(recorded, typed).unwrap().caution;
        assert!(caution("").asks_for(1) && caution("").pause().is_some());
        assert!(!caution("--no-confirm").asks_for(1));
        assert!(caution("--no-pause").pause().is_none());
        assert!(!caution("--confirm=5 --pause 1m").asks_for(1));
        assert!(resume("-w a", "--confirm").unwrap().caution.asks_for(1));
        assert!(resume("-w a", "--skip-down").is_err());
    }

    #[test]
    fn the_whole_line_may_be_repeated() {
        let cli = resume("-w a -w b -R exec", "-R exec -w a -w b uptime -s").unwrap();
        assert_eq!(cli.hosts, ["a", "b"]);
    }

    #[test]
    fn contradictions_are_refused() {
        let refused = |recorded, typed| resume(recorded, typed).unwrap_err();
        insta::assert_snapshot!(refused("-w a", "-w b"), @"cannot use --hosts with --resume: the journal has the options of the run");
        insta::assert_snapshot!(refused("-w a", "-R ssh"), @"cannot use --transport with --resume: the journal has the options of the run");
        insta::assert_snapshot!(refused("-w a", "-i"), @"cannot use --stdin with --resume: the journal has the options of the run");
        insta::assert_snapshot!(refused("-w a", "uptime"), @r#"cannot run "uptime" with --resume: the command of the journal is "uptime -s""#);
        insta::assert_snapshot!(refused("-w a -i", ""), @"cannot resume the run without -i: its commands read standard input");
        assert!(resume("-w a -i", "-i").unwrap().stdin);
    }

    #[test]
    fn recorded_options_are_read_again_as_they_were() {
        let matches = |line: &str| parse(command(), &words(&format!("mrsh {line}"))).unwrap();
        for (line, options) in [
            ("-w a -w -b -- uptime -s", "--hosts=a --hosts=-b"),
            ("--jobs=3 -bw a uptime -- -s", "--hosts=a --jobs=3 --gather"),
            ("-b --no-gather -N uptime", "--no-gather --no-label"),
            ("--journal J uptime", "--journal=J"),
        ] {
            let typed = matches(line);
            let mut found = recorded_options(&built_command(), &typed, &OptionSettings::new());
            let again = parse(command(), &super::line(&found, &raw(&typed, "command"))).unwrap();
            assert_eq!(raw(&again, "command"), raw(&typed, "command"), "{line}");
            for arg in built_command()
                .get_arguments()
                .filter(|arg| was_typed(&typed, arg))
            {
                let id = arg.get_id().as_str();
                assert_eq!(raw(&again, id), raw(&typed, id), "{line}: {id}");
            }
            let mut expected = words(options);
            found.sort();
            expected.sort();
            assert_eq!(found, expected, "{line}");
        }
    }
}
