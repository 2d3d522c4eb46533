//! The command line of *multi-rsh*, used if the program is called by that name. A link is enough.
//!
//! The options are those that the page of the original's author describes. As in the original, no configuration is
//! read, standard error is merged into standard output, and one limit covers connection and command.

use std::ffi::OsString;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser};

use crate::cli::{Cli, StderrArg, at_least_one, time};
use crate::config::SettingsError;
use crate::run::signal::SignalKeys;
use crate::targets::TransportKind;

pub(super) const NAME: &str = "multi-rsh";

/// Run one command on many hosts at once, over rsh
#[derive(Debug, Parser)]
#[command(
    name = NAME,
    version,
    override_usage = "multi-rsh [OPTIONS] COMMAND HOST...\n       multi-rsh [OPTIONS] -l FILE COMMAND [ARG]...",
    after_help = "^C prints which hosts are still running, ^\\ ends their commands and the run. Called by the name mrsh, \
                  this program has more options: mrsh --help.",
    max_term_width = 100,
    args_override_self = true
)]
struct Args {
    /// Maximum number of connections
    #[arg(short = 'p', value_name = "N", default_value = "20", value_parser = at_least_one::<NonZeroUsize>)]
    connections: NonZeroUsize,

    /// Maximum time for a host, for connection and command together
    #[arg(short = 't', value_name = "SECONDS", default_value = "15", value_parser = time)]
    timeout: Duration,

    /// Remote user [default: the local user]
    #[arg(short = 'u', value_name = "USER")]
    user: Option<String>,

    /// Hosts file; - is standard input
    #[arg(short = 'l', value_name = "FILE", allow_hyphen_values = true)]
    list: Option<PathBuf>,

    /// Command in one word, then the hosts; with -l, the words of the command
    #[arg(trailing_var_arg = true, required = true, value_name = "COMMAND")]
    words: Vec<OsString>,
}

/// Returns the command line of multi-rsh as that of mrsh.
///
/// # Errors
/// The command line is wrong.
pub(super) fn cli(args: &[OsString]) -> Result<Cli, SettingsError> {
    let Args {
        connections,
        timeout,
        user,
        list,
        mut words,
    } = Args::try_parse_from(args).map_err(Box::new)?;
    // With `-l`, all words belong to the command, so no hosts can follow it.
    let hosts = match list {
        Some(_) => Vec::new(),
        None => host_names(words.split_off(1))?,
    };
    // The defaults of mrsh without its configuration files, which the original does not have.
    let defaults = Cli::try_parse_from(["mrsh"]).map_err(Box::new)?;
    Ok(Cli {
        transport: Some(TransportKind::Rsh),
        // In the original both streams come back through one connection.
        stderr: Some(StderrArg::Merge),
        jobs: connections,
        // The original has one limit for connection and command, so the connection may use all of it.
        connect_timeout: timeout,
        host_timeout: Some(timeout),
        keys: SignalKeys::MultiRsh,
        user,
        hosts,
        hosts_files: list.into_iter().collect(),
        command: words,
        ..defaults
    })
}

/// Checks the words that follow the command.
fn host_names(words: Vec<OsString>) -> Result<Vec<String>, SettingsError> {
    let error = |kind, message| Box::new(Args::command().error(kind, message));
    if words.is_empty() {
        let message = "no hosts: name them after the command, or in a file with -l FILE";
        return Err(error(ErrorKind::MissingRequiredArgument, message).into());
    }
    let names: Result<_, OsString> = words.into_iter().map(OsString::into_string).collect();
    names.map_err(|_| error(ErrorKind::InvalidUtf8, "a host name is not UTF-8").into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(args: &[&str]) -> Result<Cli, SettingsError> {
        let args = [&[NAME], args].concat();
        cli(&args.iter().map(OsString::from).collect::<Vec<_>>())
    }

    #[test]
    fn the_definition_is_consistent() {
        Args::command().debug_assert();
    }

    #[test]
    fn hosts_follow_the_command_or_are_in_a_file() {
        let cli = parse(&["uptime -p", "a", "b"]).unwrap();
        assert_eq!(cli.command, ["uptime -p"]);
        assert_eq!(cli.hosts, ["a", "b"]);
        assert_eq!(cli.jobs.get(), 20);
        assert_eq!(cli.connect_timeout, Duration::from_secs(15));
        assert_eq!(cli.host_timeout, Some(Duration::from_secs(15)));
        assert_eq!(cli.keys, SignalKeys::MultiRsh);
        let cli = parse(&["-p3", "-t", "2.5", "-u", "me", "-l", "-", "ls", "-l", "x"]).unwrap();
        assert_eq!(cli.command, ["ls", "-l", "x"]);
        assert_eq!(cli.hosts_files, [PathBuf::from("-")]);
        assert_eq!((cli.jobs.get(), cli.user.as_deref()), (3, Some("me")));
        assert_eq!(cli.host_timeout, Some(Duration::from_millis(2500)));
    }

    #[test]
    fn errors_name_the_missing_or_wrong_word() {
        for (args, words) in [
            (&["uptime"][..], "no hosts"),
            (&[], "COMMAND"),
            (&["-p", "0", "x", "a"], "-p"),
            (&["-j", "3", "x", "a"], "-j"),
        ] {
            let error = parse(args).unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        }
    }
}
