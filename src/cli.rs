//! What was typed: the command line, and nothing decided yet. No I/O; `plan` gives it meaning.

use std::ffi::OsString;
use std::num::{NonZeroU32, NonZeroUsize};
use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgAction, Parser};
use reserved_ports::SourcePorts;

use crate::run::policy::Share;
use crate::run::signal::SignalKeys;
use crate::targets::{Network, TransportKind};
use crate::transport::StderrMode;

pub(crate) mod usage;
mod values;

#[cfg(test)]
mod tests;

pub use values::{GenerateArg, OnlyArg, Shares, StderrArg, WhenArg};
pub(crate) use values::{at_least_one, time};
use values::{grace, share, shares, size, source_ports, transport};

/// Run one command on many hosts at once, over rsh or ssh, from one process.
#[derive(Debug, Parser)]
#[command(
    name = "mrsh",
    version,
    long_version = format!("{}\n{}", env!("CARGO_PKG_VERSION"), crate::transport::ssh::library::versions()),
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

    /// A file of hosts, one or a range a line (see hosts.example), or an Ansible inventory, all of whose
    /// hosts are meant unless -g or an expression names its groups; - is standard input; adds up
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

    /// The source of groups that are named without one, and of -a [default: the only one that has them]
    #[arg(long = "group-source", value_name = "SOURCE", help_heading = "Targets")]
    pub group_source: Option<String>,

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
    /// system's ssh; or exec, a local command for each host, with %h for the host [default: rsh, ssh for
    /// hosts of an Ansible inventory]
    #[arg(short = 'R', long = "transport", value_name = "NAME", value_parser = transport(), hide_possible_values = true, help_heading = "Targets")]
    pub transport: Option<TransportKind>,

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
    #[arg(short = 't', long = "connect-timeout", value_name = "TIME", default_value = "10", value_parser = time, help_heading = "Running")]
    pub connect_timeout: Duration,

    /// End a command that runs longer than this [default: no limit]
    #[arg(short = 'u', long = "command-timeout", value_name = "TIME", value_parser = time, help_heading = "Running")]
    pub command_timeout: Option<Duration>,

    /// End a command that has written nothing for this time [default: no limit]
    #[arg(long = "idle-timeout", value_name = "TIME", value_parser = time, help_heading = "Running")]
    pub idle_timeout: Option<Duration>,

    /// End the whole run after this time; hosts not started by then are not [default: no limit]
    #[arg(long = "deadline", value_name = "TIME", value_parser = time, help_heading = "Running")]
    pub deadline: Option<Duration>,

    /// How long a command that is to end has from TERM to KILL
    #[arg(long = "kill-after", value_name = "TIME", default_value = "2", value_parser = grace, help_heading = "Running")]
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

    /// Colour labels and diffs [default: on terminals, unless NO_COLOR is set]; always lets the colours that
    /// hosts send through to a terminal
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

    /// Remote standard error: over a connection of its own, merged into standard output, or dropped [default:
    /// separate; merge with -B, unless -e or --live tells the two apart]
    #[arg(long = "stderr", value_enum, value_name = "MODE", help_heading = "rsh")]
    pub stderr: Option<StderrArg>,

    /// Addresses or a network from which any host's daemon may connect back for standard error, besides
    /// the host's own addresses: for hosts with several (repeatable)
    #[arg(long = "callback-from", value_name = "NET", help_heading = "rsh")]
    pub callback_from: Vec<Network>,

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
    #[arg(long = "gather-stdin", help_heading = "Other modes", conflicts_with_all = ["ports", "command", "list", "expand", "fold", "count", "regroup", "groups", "stdin", "live", "output_dir", "error_dir", "failed_to", "report", "stats", "json"])]
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
    #[arg(long = "groups", value_name = "SOURCE", num_args = 0..=1, require_equals = true, default_missing_value = "", conflicts_with_all = ["list", "expand", "fold", "count", "regroup", "command"], help_heading = "Listing")]
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
    pub keys: SignalKeys,

    /// The command: its words are joined by spaces and interpreted by the remote user's login shell
    #[arg(trailing_var_arg = true, value_name = "COMMAND", action = ArgAction::Append)]
    pub command: Vec<OsString>,
}

impl Cli {
    /// The transport of targets that name none.
    #[must_use]
    pub fn default_transport(&self) -> TransportKind {
        self.transport.unwrap_or_default()
    }

    /// What becomes of remote standard error.
    #[must_use]
    pub fn stderr_mode(&self) -> StderrMode {
        match self.stderr {
            Some(mode) => mode.into(),
            // Two streams race on their way here, so that equal hosts would differ by chance.
            None if self.gather_all && self.error_dir.is_none() && !self.live => StderrMode::Merge,
            None => StderrMode::Separate,
        }
    }
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

A TIME is in seconds, or has units: 500ms, 30s, 2m, 1h30m. A SIZE is in bytes, or has a unit: 500K, 16M, 1.5G.

What a file or an alias switches on, --no-NAME switches off again, as in --no-gather; --label FORMAT takes --no-label back.

Examples:
  mrsh -w 'node[1-40]' uptime
  mrsh -j 64 -f hosts -x node7 'df -h / | tail -n 1'
  mrsh -b -w 'node[1-40]' 'uname -r'
  pdsh -w 'node[1-40]' uname -r | mrsh --gather-stdin
  mrsh --demo -w 'node[1-9]' 'echo $MRSH_HOST'";
