//! What was typed: the command line, and nothing decided yet. No I/O; `plan` gives it meaning.

use std::ffi::OsString;
use std::num::{NonZeroU32, NonZeroUsize};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{ArgAction, Parser, ValueEnum};

use crate::ports::SourcePorts;
use crate::run::policy::Share;
use crate::run::signal::Keys;
use crate::targets::TransportKind;
use crate::transport::StderrMode;

/// Run one command on many hosts at once, over rsh or ssh, from one process.
#[derive(Debug, Parser)]
#[command(
    name = "mrsh",
    version,
    override_usage = "mrsh [OPTIONS] [--] COMMAND...\n       mrsh --gather-stdin [-L | --diff]\n       mrsh --ports [--source-ports LO-HI]\n       mrsh --generate man|bash|zsh|fish",
    after_help = AFTER_HELP,
    max_term_width = 100,
    arg_required_else_help = false,
    // The last of two wins, as in every shell alias.
    args_override_self = true
)]
pub struct Cli {
    /// Hosts to run on: names and ranges, as in node[1-40,7] or root@gw:514; adds up
    #[arg(
        short = 'w',
        long = "hosts",
        value_name = "EXPR",
        help_heading = "Targets",
        allow_hyphen_values = true
    )]
    pub hosts: Vec<String>,

    /// A file of hosts, one or a range a line (see hosts.example); - is standard input; adds up
    #[arg(
        short = 'f',
        long = "hosts-file",
        value_name = "FILE",
        help_heading = "Targets",
        allow_hyphen_values = true
    )]
    pub hosts_files: Vec<PathBuf>,

    /// Hosts of a group: NAME, or SOURCE:NAME (clustershell's, dsh's, genders, mrsh's own); adds up
    #[arg(
        short = 'g',
        long = "group",
        value_name = "NAME",
        help_heading = "Targets"
    )]
    pub groups_named: Vec<String>,

    /// All hosts that the source of groups knows
    #[arg(short = 'a', long = "all", help_heading = "Targets")]
    pub all: bool,

    /// Leave these hosts out
    #[arg(
        short = 'x',
        long = "exclude",
        value_name = "EXPR",
        help_heading = "Targets"
    )]
    pub exclude: Vec<String>,

    /// How hosts are reached that do not say it themselves, as in ssh://node1: rsh; ssh; openssh, the
    /// system's ssh; or exec, a local command for each host, with %h for the host
    #[arg(short = 'R', long = "transport", value_name = "NAME", default_value = "rsh", value_parser = transport(), hide_possible_values = true, help_heading = "Targets")]
    pub transport: TransportKind,

    /// The remote user, for hosts that name none [default: the local one]
    #[arg(
        short = 'l',
        long = "user",
        value_name = "NAME",
        help_heading = "Targets"
    )]
    pub user: Option<String>,

    /// The remote port, for hosts that name none [default: 514 for rsh, 22 for ssh]
    #[arg(short = 'p', long = "port", value_name = "N", help_heading = "Targets", value_parser = clap::value_parser!(u16).range(1..))]
    pub port: Option<u16>,

    /// Take the targets in nodeset's order, not as given
    #[arg(long = "sort", help_heading = "Targets")]
    pub sort: bool,

    /// Of all targets only those at these positions, counted from 0, as in 0-9 or 0-100/10
    #[arg(long = "slice", value_name = "RANGES", help_heading = "Targets")]
    pub slice: Option<String>,

    /// Of all targets only N, chosen at random
    #[arg(long = "pick", value_name = "N", value_parser = at_least_one::<NonZeroUsize>, help_heading = "Targets")]
    pub pick: Option<NonZeroUsize>,

    /// The most targets that expressions and files may name
    #[arg(
        long = "max-targets",
        value_name = "N",
        default_value = "1000000",
        value_parser = at_least_one::<NonZeroUsize>,
        help_heading = "Targets"
    )]
    pub max_targets: NonZeroUsize,

    /// The fan-out: how many hosts at once
    #[arg(
        short = 'j',
        long = "jobs",
        value_name = "N",
        default_value = "32",
        value_parser = at_least_one::<NonZeroUsize>,
        help_heading = "Running"
    )]
    pub jobs: NonZeroUsize,

    /// Give up on a host whose command has not started after this time
    #[arg(short = 't', long = "connect-timeout", value_name = "SECS", default_value = "10", value_parser = seconds, help_heading = "Running")]
    pub connect_timeout: Duration,

    /// End a command that runs longer than this [default: no limit]
    #[arg(short = 'u', long = "command-timeout", value_name = "SECS", value_parser = seconds, help_heading = "Running")]
    pub command_timeout: Option<Duration>,

    /// End a command that has written nothing for this time [default: no limit]
    #[arg(long = "idle-timeout", value_name = "SECS", value_parser = seconds, help_heading = "Running")]
    pub idle_timeout: Option<Duration>,

    /// End the whole run after this time; hosts not started by then are not [default: no limit]
    #[arg(long = "deadline", value_name = "SECS", value_parser = seconds, help_heading = "Running")]
    pub deadline: Option<Duration>,

    /// How long a command that is to end has from TERM to KILL
    #[arg(long = "kill-after", value_name = "SECS", default_value = "2", value_parser = grace, help_heading = "Running")]
    pub kill_after: Duration,

    /// Try a host up to N times more if its command provably did not start, with growing pauses
    #[arg(
        long = "retries",
        value_name = "N",
        default_value = "0",
        help_heading = "Running"
    )]
    pub retries: u32,

    /// Call at most N hosts a second, retries included [default: no limit]
    #[arg(long = "rate", value_name = "N", value_parser = at_least_one::<NonZeroU32>, help_heading = "Running")]
    pub rate: Option<NonZeroU32>,

    /// Start no more hosts once one has failed; as --max-failures 1
    #[arg(
        long = "fail-fast",
        help_heading = "Running",
        overrides_with = "max_failures"
    )]
    pub fail_fast: bool,

    /// Start no more hosts once so many, or N% of all, have failed [default: no limit]
    #[arg(long = "max-failures", value_name = "N|N%", value_parser = share, overrides_with = "fail_fast", help_heading = "Running")]
    pub max_failures: Option<Share>,

    /// Start hosts in waves of these sizes, the last one again and again, as in 1,10%,100%; a wave
    /// with a failure is the last, unless --max-failures says how many are too many
    #[arg(long = "batch", value_name = "SIZES", value_parser = shares, help_heading = "Running")]
    pub batch: Option<Shares>,

    /// Send standard input to every host; without it the commands read an end of file at once
    #[arg(short = 'i', long = "stdin", help_heading = "Running")]
    pub stdin: bool,

    /// With -i: the most standard input to keep, in memory and a temporary file, for slow hosts and for
    /// those still to be started; a regular file needs none
    #[arg(long = "stdin-spool", value_name = "SIZE", default_value = "1G", value_parser = size, help_heading = "Running")]
    pub stdin_spool: usize,

    /// Print output without the host's name in front
    #[arg(
        short = 'N',
        long = "no-label",
        overrides_with = "label",
        help_heading = "Output"
    )]
    pub no_label: bool,

    /// What stands before each line [default: '%l: ']: %l the label, %h the host, %u the user, %p the
    /// port, %n the number from 0; %-12l pads
    #[arg(
        long = "label",
        value_name = "FORMAT",
        overrides_with = "no_label",
        help_heading = "Output"
    )]
    pub label: Option<String>,

    /// Gather: equal outputs once, under their hosts' names, the most common first
    #[arg(short = 'b', long = "gather", help_heading = "Output")]
    pub gather: bool,

    /// Gather as -b does, with standard error in the same text as standard output
    #[arg(short = 'B', long = "gather-all", help_heading = "Output")]
    pub gather_all: bool,

    /// Keep the lines of a host together, hosts in their order; with -b, names before each line
    #[arg(short = 'L', long = "lines-together", help_heading = "Output")]
    pub lines_together: bool,

    /// Gather, and print all but the most common output as a diff against it
    #[arg(long = "diff", help_heading = "Output")]
    pub diff: bool,

    /// Print lines as they come as well, before the gathered output
    #[arg(long = "live", help_heading = "Output")]
    pub live: bool,

    /// Gathered output past this size waits in a temporary file, as in 64M
    #[arg(long = "spool-memory", value_name = "SIZE", default_value = "16M", value_parser = size, help_heading = "Output")]
    pub spool_memory: usize,

    /// Write each host's standard output to a file of its name in this directory, not to the screen
    #[arg(
        short = 'o',
        long = "output-dir",
        value_name = "DIR",
        help_heading = "Output"
    )]
    pub output_dir: Option<PathBuf>,

    /// The same for standard error
    #[arg(
        short = 'e',
        long = "error-dir",
        value_name = "DIR",
        help_heading = "Output"
    )]
    pub error_dir: Option<PathBuf>,

    /// Append to the files of -o and -e instead of emptying them first
    #[arg(long = "append", help_heading = "Output")]
    pub append: bool,

    /// Print only the output of hosts that failed, and nothing at all if none did; output without a
    /// summary; or the gathered output of hosts that differ from most
    #[arg(
        long = "only",
        value_enum,
        value_name = "WHAT",
        help_heading = "Output"
    )]
    pub only: Option<OnlyArg>,

    /// Say nothing about the run at its end
    #[arg(short = 'q', long = "quiet", help_heading = "Output")]
    pub quiet: bool,

    /// List the targets that failed in this file, ready for -f; - is standard output, which then has
    /// nothing else
    #[arg(long = "failed-to", value_name = "FILE", help_heading = "Output")]
    pub failed_to: Option<PathBuf>,

    /// Write the run as a page to this file at the end: outcome, times of every host, outputs and
    /// what differs in them; it is complete in itself
    #[arg(long = "report", value_name = "FILE.html", help_heading = "Output")]
    pub report: Option<PathBuf>,

    /// Tell at the end where the time went: by phase, by the slowest hosts, and in CPU
    #[arg(long = "stats", help_heading = "Output")]
    pub stats: bool,

    /// Show on standard error how far the run is [default: if it is a terminal, and without -q]
    #[arg(
        long = "progress",
        value_enum,
        value_name = "WHEN",
        default_value = "auto",
        hide_default_value = true,
        help_heading = "Output"
    )]
    pub progress: WhenArg,

    /// Colour labels and diffs [default: on terminals, unless NO_COLOR is set]
    #[arg(
        long = "color",
        value_enum,
        value_name = "WHEN",
        default_value = "auto",
        hide_default_value = true,
        help_heading = "Output"
    )]
    pub color: WhenArg,

    /// Print one JSON object a line for every event, for programs; errors stay on standard error
    #[arg(long = "json", help_heading = "Output", conflicts_with_all = ["no_label", "only", "label", "gather", "gather_all", "lines_together", "diff"])]
    pub json: bool,

    /// Exit with the largest status of any remote command; 255 if a host could not be reached
    #[arg(short = 'S', long = "worst-status", help_heading = "Output")]
    pub worst_status: bool,

    /// Say more about the run itself
    #[arg(short = 'v', long = "verbose", help_heading = "Output")]
    pub verbose: bool,

    /// Remote standard error: over a connection of its own, merged into standard output, or dropped
    #[arg(long = "stderr", value_enum, default_value_t, help_heading = "rsh")]
    pub stderr: StderrArg,

    /// Source ports: reserved (512-1023, which rshd demands), any, or LO-HI [default: reserved for rsh, any for ssh]
    #[arg(long = "source-ports", value_name = "PORTS", value_parser = source_ports, help_heading = "rsh")]
    pub source_ports: Option<SourcePorts>,

    /// Send COMMAND as it is, for appliances without a shell; no exit status then
    #[arg(long = "raw", help_heading = "rsh")]
    pub raw: bool,

    /// The configuration of ssh in place of ~/.ssh/config and the system's; none for none
    #[arg(
        short = 'F',
        long = "ssh-config",
        value_name = "FILE",
        help_heading = "ssh"
    )]
    pub ssh_config: Option<PathBuf>,

    /// A setting of ssh_config(5) that comes before its files, as in StrictHostKeyChecking=accept-new; adds
    /// up
    #[arg(
        long = "ssh-option",
        value_name = "KEY=VALUE",
        help_heading = "ssh",
        allow_hyphen_values = true
    )]
    pub ssh_options: Vec<String>,

    /// A private key to log in with, before those of the configuration; adds up
    #[arg(long = "identity", value_name = "FILE", help_heading = "ssh")]
    pub identities: Vec<PathBuf>,

    /// Ask for a password, once for all hosts and before the first connection
    #[arg(
        long = "password",
        help_heading = "ssh",
        conflicts_with = "password_fd"
    )]
    pub password: bool,

    /// Read the password from file descriptor N, up to the end of its first line
    #[arg(long = "password-fd", value_name = "N", help_heading = "ssh")]
    pub password_fd: Option<u32>,

    /// Say what would be done: the targets with their addresses, and what the run needs; connect to
    /// nothing
    #[arg(short = 'n', long = "dry-run", help_heading = "Other modes")]
    pub dry_run: bool,

    /// Try anything, harm nothing: daemons within this process on loopback answer for every host
    #[arg(long = "demo", help_heading = "Other modes")]
    pub demo: bool,

    /// Gather "host: line" from standard input, as dshbak -c and clubak -b do
    #[arg(long = "gather-stdin", help_heading = "Other modes", conflicts_with_all = ["ports", "command", "stdin", "live", "output_dir", "error_dir", "failed_to", "report", "stats", "json"])]
    pub gather_stdin: bool,

    /// Print what the kernel says about the source ports now, and which of them a run would use
    #[arg(long = "ports", help_heading = "Other modes", conflicts_with_all = ["demo", "command"])]
    pub ports: bool,

    /// Print the targets, one a line, and run nothing; with these modes words are expressions, too, and
    /// options may follow them
    #[arg(long = "list", group = "listing", help_heading = "Listing")]
    pub list: bool,

    /// Print the targets on one line
    #[arg(long = "expand", group = "listing", help_heading = "Listing")]
    pub expand: bool,

    /// Print the targets as one node set
    #[arg(long = "fold", group = "listing", help_heading = "Listing")]
    pub fold: bool,

    /// Print how many targets there are
    #[arg(long = "count", group = "listing", help_heading = "Listing")]
    pub count: bool,

    /// Print the targets as one node set, in terms of groups where they are whole
    #[arg(
        short = 'r',
        long = "regroup",
        group = "listing",
        help_heading = "Listing"
    )]
    pub regroup: bool,

    /// Print the groups that there are, of SOURCE or of all sources; with -v, what is in them
    #[arg(long = "groups", value_name = "SOURCE", num_args = 0..=1, require_equals = true, default_missing_value = "", conflicts_with_all = ["listing", "command"], help_heading = "Listing")]
    pub groups: Option<String>,

    /// What stands between targets [default: a newline with --list, a space with --expand]
    #[arg(
        long = "separator",
        value_name = "TEXT",
        requires = "listing",
        help_heading = "Listing"
    )]
    pub separator: Option<String>,

    /// Print N parts of about equal size, one after the other
    #[arg(
        long = "split",
        value_name = "N",
        value_parser = at_least_one::<NonZeroUsize>,
        requires = "listing",
        help_heading = "Listing"
    )]
    pub split: Option<NonZeroUsize>,

    /// Use the settings of [profile.NAME] in the configuration files
    #[arg(
        short = 'P',
        long = "profile",
        value_name = "NAME",
        help_heading = "Configuration"
    )]
    pub profile: Option<String>,

    /// Read this configuration file, and neither the system's nor the user's
    #[arg(long = "config", value_name = "FILE", help_heading = "Configuration")]
    pub config: Option<PathBuf>,

    /// Read no configuration file
    #[arg(
        long = "no-config",
        help_heading = "Configuration",
        conflicts_with_all = ["config", "profile"]
    )]
    pub no_config: bool,

    /// Print every setting in force and where it comes from, in the form of a configuration file
    #[arg(long = "show-config", help_heading = "Configuration")]
    pub show_config: bool,

    /// Print the manual page, or completions for a shell, and do nothing else
    #[arg(
        long = "generate",
        value_enum,
        value_name = "WHAT",
        hide_possible_values = true,
        conflicts_with = "command",
        help_heading = "Other modes"
    )]
    pub generate: Option<GenerateArg>,

    /// For a host, from its name's look-up to the command's end; an option of multi-rsh alone
    #[arg(skip)]
    pub host_timeout: Option<Duration>,

    /// What ^C and ^\ mean; multi-rsh has its own
    #[arg(skip)]
    pub keys: Keys,

    /// The command: its words are joined by spaces and interpreted by the remote user's login shell
    #[arg(trailing_var_arg = true, value_name = "COMMAND", action = ArgAction::Append)]
    pub command: Vec<OsString>,
}

const AFTER_HELP: &str = "\
Exit status:
  0  the command succeeded on every host
  1  it failed on some host
  2  wrong usage or set-up; nothing was run
  3  some host could not be reached, timed out or was lost
  4  stopped early, by --deadline or after failures, or a report could not be
     written
A run that a signal ends dies of that signal. See -S for the remote commands' own statuses.

What a file or an alias switches on, --no-NAME switches off again, as in --no-gather; --label FORMAT takes --no-label back.

Examples:
  mrsh -w 'node[1-40]' uptime
  mrsh -j 64 -f hosts -x node7 'df -h / | tail -n 1'
  mrsh -b -w 'node[1-40]' 'uname -r'
  pdsh -w 'node[1-40]' uname -r | mrsh --gather-stdin
  mrsh --demo -w 'node[1-9]' 'echo $MRSH_HOST'";

/// When something is shown that is meant for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum WhenArg {
    /// When a person is there to see it
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

/// What is printed with `--only`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum OnlyArg {
    /// The output of hosts that failed, and why they did
    Failed,
    /// Output, and no word about the run
    Output,
    /// Gathered output of hosts whose output or exit status differs from that of most
    Odd,
}

/// [`StderrMode`] as it is spelled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum StderrArg {
    /// A second connection, from the daemon back to a reserved port here
    #[default]
    Separate,
    /// In standard output's stream
    Merge,
    /// Not at all
    Drop,
}

impl From<StderrArg> for StderrMode {
    fn from(arg: StderrArg) -> Self {
        match arg {
            StderrArg::Separate => StderrMode::Separate,
            StderrArg::Merge => StderrMode::Merge,
            StderrArg::Drop => StderrMode::Drop,
        }
    }
}

/// What is printed with `--generate`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum GenerateArg {
    /// The manual page, for man(7)
    Man,
    /// Completions for bash
    Bash,
    /// Completions for zsh
    Zsh,
    /// Completions for fish
    Fish,
}

/// Seconds above 0, with a fraction if need be; a year at most, so that every sum of times fits.
pub(crate) fn seconds(text: &str) -> Result<Duration, String> {
    const YEAR: f64 = 366.0 * 86_400.0;
    match text.parse::<f64>() {
        Ok(s) if s > 0.0 && s <= YEAR => Ok(Duration::from_secs_f64(s)),
        Ok(_) => Err("must be above 0 and at most a year".to_owned()),
        Err(_) => Err("not a number of seconds, such as 10 or 0.5".to_owned()),
    }
}

/// A number that is not 0.
pub(crate) fn at_least_one<T: FromStr>(text: &str) -> Result<T, &'static str> {
    text.parse().map_err(|_| "expected a number from 1 up")
}

/// Seconds, none included.
fn grace(text: &str) -> Result<Duration, String> {
    match text.parse::<f64>() {
        Ok(0.0) => Ok(Duration::ZERO),
        _ => seconds(text),
    }
}

/// The sizes of waves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shares(pub Vec<Share>);

fn share(text: &str) -> Result<Share, &'static str> {
    text.trim().parse()
}

fn shares(text: &str) -> Result<Shares, &'static str> {
    text.split(',')
        .map(share)
        .collect::<Result<_, _>>()
        .map(Shares)
}

/// Bytes, with K, M or G for powers of 1,024.
fn size(text: &str) -> Result<usize, String> {
    let digits = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let shift = match unit.to_ascii_uppercase().as_str() {
        "" => 0,
        "K" | "KB" | "KIB" => 10,
        "M" | "MB" | "MIB" => 20,
        "G" | "GB" | "GIB" => 30,
        _ => return Err("not a size, such as 16M or 500K".to_owned()),
    };
    let number: usize = number
        .parse()
        .map_err(|_| "not a size, such as 16M or 500K".to_owned())?;
    number
        .checked_mul(1 << shift)
        .ok_or_else(|| "more than there can be".to_owned())
}

fn transport() -> impl TypedValueParser<Value = TransportKind> {
    PossibleValuesParser::new(TransportKind::ALL.map(TransportKind::name))
        .try_map(|name| name.parse::<TransportKind>())
}

fn source_ports(text: &str) -> Result<SourcePorts, String> {
    match text {
        "reserved" => return Ok(SourcePorts::Reserved),
        "any" => return Ok(SourcePorts::Any),
        _ => {}
    }
    let range = text
        .split_once('-')
        .and_then(|(lo, hi)| Some((lo.parse::<u16>().ok()?, hi.parse::<u16>().ok()?)));
    match range {
        Some((lo, hi)) if 0 < lo && lo <= hi => Ok(SourcePorts::Range(lo..=hi)),
        Some(_) => Err("the range must rise from 1 at least, as in 600-1023".to_owned()),
        None => Err("expected reserved, any, or a range such as 600-1023".to_owned()),
    }
}

#[cfg(test)]
mod tests {
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
    fn sizes_have_units() {
        for (text, bytes) in [
            ("0", 0),
            ("64k", 65_536),
            ("16M", 1 << 24),
            ("1GiB", 1 << 30),
        ] {
            let cli = parse(&["--spool-memory", text, "true"]).unwrap();
            assert_eq!(cli.spool_memory, bytes);
        }
    }

    #[test]
    fn waves_are_shares_in_a_row() {
        let cli = parse(&["--batch", "1, 10%,100%", "--kill-after", "0", "true"]).unwrap();
        let text = |share: &Share| share.to_string();
        let sizes: Vec<String> = cli.batch.unwrap().0.iter().map(text).collect();
        assert_eq!(sizes, ["1", "10%", "100%"]);
        assert_eq!(cli.kill_after, Duration::ZERO);
    }

    #[test]
    fn the_last_of_two_limits_on_failures_wins() {
        // So does what is typed over a configuration file, which comes as if typed before.
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
    fn the_readme_names_every_option_and_no_other() {
        let readme = include_str!("../README.md");
        let command = crate::config::command();
        let is_in = |name: &str| {
            readme.match_indices(name).any(|(at, _)| {
                let around = [
                    readme[..at].chars().next_back(),
                    readme[at + name.len()..].chars().next(),
                ];
                let part_of_a_word = |c: char| c.is_ascii_alphanumeric() || c == '-';
                !around.into_iter().flatten().any(part_of_a_word)
            })
        };
        for arg in command.get_arguments().filter(|arg| !arg.is_hide_set()) {
            let short = arg.get_short().map(|c| format!("-{c}"));
            let long = arg.get_long().map(|long| format!("--{long}"));
            let named = long.iter().chain(&short).any(|name| is_in(name));
            assert!(named || arg.is_positional(), "README.md lacks {long:?}");
        }
        let cargos = [
            "release",
            "open",
            "document-private-items",
            "no-default-features",
        ];
        for (at, _) in readme.match_indices("--") {
            let word: String = readme[at + 2..]
                .chars()
                .take_while(|&c| c.is_ascii_lowercase() || c == '-')
                .collect();
            let known = command
                .get_arguments()
                .any(|arg| arg.get_long() == Some(&word));
            let is_option =
                word.starts_with(|c: char| c.is_ascii_lowercase()) && !readme[..at].ends_with('-');
            // NAME stands for any: --no-NAME.
            assert!(
                !is_option || known || word == "no-" || cargos.contains(&word.as_str()),
                "--{word} is no option"
            );
        }
    }
}
