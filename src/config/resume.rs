//! The command line of a resumed run: the options of the journal, under those that the line of `--resume` adds.
//!
//! Configuration files and the environment do not count, because the journal has their settings.

use std::ffi::OsString;

use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command, FromArgMatches};

use super::{ConfigError, command, excluded, opposite, option, parse};
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
    Config(#[from] ConfigError),
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
    let command = command();
    let typed = parse(args)?;
    let recorded = parse(&line(options.iter().cloned(), words))?;
    if recorded.get_flag("stdin") && !typed.get_flag("stdin") {
        return Err(ResumeError::NoInput);
    }
    check(&command, &typed, &recorded)?;
    let mut all = Vec::new();
    for arg in options_of(&command, &recorded) {
        let is_replaced = is_allowed(&command, arg)
            && (was_typed(&typed, arg) || switched(&command, &typed, arg));
        let key = arg.get_long().unwrap_or_default();
        if !is_replaced && !excluded(&command, &typed, key) && key != "journal" {
            all.extend(as_words(arg, &recorded));
        }
    }
    for arg in options_of(&command, &typed) {
        if is_allowed(&command, arg) {
            all.extend(as_words(arg, &typed));
        }
    }
    let matches = parse(&line(all.into_iter(), words))?;
    let cli = Cli::from_arg_matches(&matches).map_err(|error| ConfigError::from(Box::new(error)));
    Ok(cli?)
}

/// Returns the typed options, and the words of the command, of a command line with all settings.
pub(super) fn split(words: &[OsString], matches: &ArgMatches) -> (Vec<OsString>, Vec<OsString>) {
    let command: Vec<OsString> = match matches.get_many::<OsString>("command") {
        Some(words) => words.cloned().collect(),
        None => Vec::new(),
    };
    let before = words.len() - command.len().min(words.len());
    let mut options = words[..before].to_vec();
    options.pop_if(|last| last == "--");
    (options, command)
}

fn line(options: impl Iterator<Item = OsString>, words: &[OsString]) -> Vec<OsString> {
    let mut all = vec![OsString::from("mrsh")];
    all.extend(options);
    all.push("--".into());
    all.extend(words.iter().cloned());
    all
}

fn was_typed(matches: &ArgMatches, arg: &Arg) -> bool {
    matches.value_source(arg.get_id().as_str()) == Some(ValueSource::CommandLine)
}

/// True if the typed line has the option that switches this one off, or that it switches off.
fn switched(command: &Command, typed: &ArgMatches, arg: &Arg) -> bool {
    let key = opposite(arg.get_long().unwrap_or_default());
    let other = super::argument(command, &key);
    other.is_some_and(|other| was_typed(typed, other))
}

/// Returns the options that a command line has.
fn options_of<'a>(command: &'a Command, matches: &'a ArgMatches) -> impl Iterator<Item = &'a Arg> {
    let options = command
        .get_arguments()
        .filter(|arg| arg.get_long().is_some());
    options.filter(|arg| was_typed(matches, arg))
}

fn as_words(arg: &Arg, matches: &ArgMatches) -> Vec<OsString> {
    let key = arg.get_long().unwrap_or_default();
    match arg.get_action() {
        ArgAction::SetTrue => vec![format!("--{key}").into()],
        _ => {
            let values = matches.get_raw(arg.get_id().as_str());
            let values = values.into_iter().flatten();
            values.map(|value| option(key, value)).collect()
        }
    }
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
    let raw = |matches: &ArgMatches, id: &str| -> Vec<OsString> {
        let values = matches.get_raw(id).into_iter().flatten();
        values.map(OsString::from).collect()
    };
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
    fn a_line_is_split_at_its_command() {
        for (line, options) in [
            ("-w a -- uptime -s", "-w a"),
            ("-w a uptime -s", "-w a"),
            ("--jobs=3 -w a uptime -- -s", "--jobs=3 -w a"),
        ] {
            let all = words(&format!("mrsh {line}"));
            let found = split(&all[1..], &parse(&all).unwrap());
            assert_eq!(found.0, words(options), "{line}");
            let again = parse(&super::line(found.0.into_iter(), &found.1)).unwrap();
            let command = |matches: &ArgMatches| {
                matches
                    .get_raw("command")
                    .unwrap()
                    .collect::<Vec<_>>()
                    .join(std::ffi::OsStr::new(" "))
            };
            assert_eq!(command(&again), command(&parse(&all).unwrap()));
        }
    }
}
