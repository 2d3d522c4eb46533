//! The command line of *multi-rsh*, for whoever calls this program by that name: a link is enough.
//!
//! The options are the original's, as far as its author's page tells them; what they say is typed anew as
//! options of our own. Like the original it reads no configuration, takes all output through one stream, and counts
//! connecting and running together.

use std::ffi::{OsStr, OsString};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser};

use crate::cli::{Cli, at_least_one, time};
use crate::config::{ConfigError, option};
use crate::run::signal::SignalKeys;

const NAME: &str = "multi-rsh";

/// Run one command on many hosts at once, over rsh
#[derive(Debug, Parser)]
#[command(
    name = NAME,
    version,
    override_usage = "multi-rsh [OPTIONS] COMMAND HOST...\n       multi-rsh [OPTIONS] -l FILE COMMAND [ARG]...",
    after_help = "^C says which hosts are still running, ^\\ ends their commands and the run. Called by the name mrsh, \
                  the same program has more to offer: mrsh --help.",
    max_term_width = 100,
    args_override_self = true
)]
struct Args {
    /// How many connections are kept open at once
    #[arg(short = 'p', value_name = "N", default_value = "20", value_parser = at_least_one::<NonZeroUsize>)]
    connections: NonZeroUsize,

    /// The time for a host, for connection and command together
    #[arg(short = 't', value_name = "SECONDS", default_value = "15", value_parser = time)]
    timeout: Duration,

    /// The remote user [default: the local one]
    #[arg(short = 'u', value_name = "USER")]
    user: Option<OsString>,

    /// A file of hosts, one a line; - is standard input
    #[arg(short = 'l', value_name = "FILE", allow_hyphen_values = true)]
    list: Option<PathBuf>,

    /// The command, in one word, and the hosts; with -l, the words of the command
    #[arg(trailing_var_arg = true, required = true, value_name = "COMMAND")]
    words: Vec<OsString>,
}

/// Whether this is the name by which the program was called.
#[must_use]
pub fn is_called(args: &[OsString]) -> bool {
    let name = args.first().and_then(|path| Path::new(path).file_name());
    name == Some(OsStr::new(NAME))
}

/// What was typed, as if it had been typed in our own options.
///
/// # Errors
/// It makes no sense.
pub fn cli(args: Vec<OsString>) -> Result<Cli, ConfigError> {
    let Args {
        connections,
        timeout,
        user,
        list,
        mut words,
    } = Args::try_parse_from(args).map_err(Box::new)?;
    let mut typed: Vec<OsString> = ["mrsh", "--transport=rsh", "--stderr=merge"]
        .map(OsString::from)
        .into();
    typed.push(format!("--jobs={connections}").into());
    typed.extend(user.map(|name| option("user", &name)));
    match list {
        Some(file) => typed.push(option("hosts-file", file.as_os_str())),
        None => {
            let hosts = words.split_off(1);
            if hosts.is_empty() {
                let missing = "no hosts: name them behind the command, or in a file with -l FILE";
                let error = Args::command().error(ErrorKind::MissingRequiredArgument, missing);
                return Err(Box::new(error).into());
            }
            typed.extend(hosts.iter().map(|host| option("hosts", host)));
        }
    }
    typed.push("--".into());
    typed.extend(words);
    let cli = Cli::try_parse_from(typed).map_err(Box::new)?;
    Ok(Cli {
        connect_timeout: timeout,
        host_timeout: Some(timeout),
        keys: SignalKeys::MultiRsh,
        ..cli
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(args: &[&str]) -> Result<Cli, ConfigError> {
        cli([&[NAME], args]
            .concat()
            .iter()
            .map(OsString::from)
            .collect())
    }

    #[test]
    fn the_definition_is_consistent() {
        Args::command().debug_assert();
    }

    #[test]
    fn it_goes_by_the_name() {
        for (name, is) in [
            ("multi-rsh", true),
            ("/usr/local/bin/multi-rsh", true),
            ("mrsh", false),
            ("multi-rsh/mrsh", false),
        ] {
            assert_eq!(is_called(&[name.into(), "multi-rsh".into()]), is, "{name}");
        }
        assert!(!is_called(&[]));
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
    fn what_is_missing_is_named() {
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
