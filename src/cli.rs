//! The command line as it was typed. No I/O and no decisions, which are made in `plan`.

use std::ffi::OsString;
use std::num::{NonZeroU32, NonZeroUsize};
use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgAction, Parser};
use reserved_ports::SourcePorts;

use crate::policy::Share;
use crate::run::signal::SignalKeys;
use crate::targets::{Network, TransportKind};
use crate::transport::StderrMode;

mod caution;
mod env;
mod journal;
mod listing;
mod script;
pub(crate) mod usage;
mod user_change;
mod values;

#[cfg(test)]
mod tests;

pub use caution::CautionArgs;
pub use env::EnvArgs;
pub use journal::{JournalArgs, TypedLine};
pub use listing::ListingArgs;
pub use script::ScriptArgs;
pub use user_change::{SudoPasswordArg, UserChangeArgs};
pub use values::{GenerateArg, OnlyArg, ProtocolArg, StderrArg, WaveSizes, WhenArg};
pub(crate) use values::{at_least_one, time};
use values::{mode, share, shares, size, source_ports, time_or_zero, transport};

/// Run one command on many hosts at once, over rsh or ssh, from one process.
#[derive(Debug, Parser)]
#[command(
    name = "mrsh",
    version,
    long_version = format!("{}\n{}", env!("CARGO_PKG_VERSION"), crate::transport::ssh::library::versions()),
    override_usage = "mrsh [OPTIONS] [--] COMMAND...\n       mrsh [OPTIONS] --copy PATH --dest PATH [--] [COMMAND...]\n       mrsh [OPTIONS] --script FILE [--] [ARG...]\n       mrsh [OPTIONS] --fetch PATH --dest DIRECTORY\n       mrsh --resume FILE [--failed | --status]\n       mrsh --gather-stdin [-L | --diff]\n       mrsh --ports [--source-ports LO-HI]\n       mrsh --generate man|bash|zsh|fish",
    after_help = usage::AFTER_HELP,
    max_term_width = 100,
    // The last of two wins, as in every shell alias.
    args_override_self = true
)]
pub struct Cli {
    /// Targets as an expression, as in node[1-40,7] or root@gw:514; - reads standard input as a hosts file (repeatable)
    #[arg(
        short = 'w',
        long = "hosts",
        value_name = "EXPR",
        help_heading = "Targets",
        allow_hyphen_values = true
    )]
    pub hosts: Vec<String>,

    /// Targets from a hosts file (see hosts.example) or an Ansible inventory; - is standard input (repeatable)
    #[arg(
        short = 'f',
        long = "hosts-file",
        value_name = "FILE",
        help_heading = "Targets",
        allow_hyphen_values = true
    )]
    pub hosts_files: Vec<PathBuf>,

    /// Targets of a group: NAME or SOURCE:NAME (repeatable)
    #[arg(
        short = 'g',
        long = "group",
        value_name = "NAME",
        help_heading = "Targets"
    )]
    pub groups_named: Vec<String>,

    /// Group source to ask first for groups that are named without one, and for -a [default: none]
    #[arg(long = "group-source", value_name = "SOURCE", help_heading = "Targets")]
    pub group_source: Option<String>,

    /// All hosts that the group source lists
    #[arg(short = 'a', long = "all", help_heading = "Targets")]
    pub all: bool,

    /// Hosts to leave out, as an expression (repeatable)
    #[arg(
        short = 'x',
        long = "exclude",
        value_name = "EXPR",
        help_heading = "Targets"
    )]
    pub exclude: Vec<String>,

    /// Transport for targets that name none: rsh; ssh; openssh, the system's ssh; or exec, a local command for each
    /// target [default: rsh, ssh for hosts of an Ansible inventory]
    #[arg(short = 'R', long = "transport", value_name = "NAME", value_parser = transport(), hide_possible_values = true, help_heading = "Targets")]
    pub transport: Option<TransportKind>,

    /// Remote user for targets that name none [default: the local user]
    #[arg(
        short = 'l',
        long = "user",
        value_name = "NAME",
        help_heading = "Targets"
    )]
    pub user: Option<String>,

    /// Remote port for targets that name none [default: 514 for rsh, 22 for ssh]
    #[arg(short = 'p', long = "port", value_name = "N", help_heading = "Targets", value_parser = clap::value_parser!(u16).range(1..))]
    pub port: Option<u16>,

    /// Order the targets as nodeset does, not as they were named
    #[arg(long = "sort", help_heading = "Targets")]
    pub sort: bool,

    /// Keep only the targets at these positions, counted from 0, as in 0-9 or 0-100/10
    #[arg(long = "slice", value_name = "RANGES", help_heading = "Targets")]
    pub slice: Option<String>,

    /// Keep only N targets, chosen at random
    #[arg(long = "pick", value_name = "N", value_parser = at_least_one::<NonZeroUsize>, help_heading = "Targets")]
    pub pick: Option<NonZeroUsize>,

    /// Maximum number of targets that expressions and files may name
    #[arg(
        long = "max-targets",
        value_name = "N",
        default_value = "1000000",
        value_parser = at_least_one::<NonZeroUsize>,
        help_heading = "Targets"
    )]
    pub max_targets: NonZeroUsize,

    /// Fan-out: maximum number of targets in progress
    #[arg(
        short = 'j',
        long = "jobs",
        value_name = "N",
        default_value = "32",
        value_parser = at_least_one::<NonZeroUsize>,
        help_heading = "Running"
    )]
    pub jobs: NonZeroUsize,

    /// Maximum time from the start of an attempt to the start of the command
    #[arg(short = 't', long = "connect-timeout", value_name = "TIME", default_value = "10", value_parser = time, help_heading = "Running")]
    pub connect_timeout: Duration,

    /// Maximum run time of the command [default: no limit]
    #[arg(short = 'u', long = "command-timeout", value_name = "TIME", value_parser = time, help_heading = "Running")]
    pub command_timeout: Option<Duration>,

    /// Maximum time in which the command writes nothing [default: no limit]
    #[arg(long = "idle-timeout", value_name = "TIME", value_parser = time, help_heading = "Running")]
    pub idle_timeout: Option<Duration>,

    /// Maximum time of the whole run [default: no limit]
    #[arg(long = "deadline", value_name = "TIME", value_parser = time, help_heading = "Running")]
    pub deadline: Option<Duration>,

    /// Time from TERM to KILL for a command that must end
    #[arg(long = "kill-after", value_name = "TIME", default_value = "2", value_parser = time_or_zero, help_heading = "Running")]
    pub kill_after: Duration,

    /// Maximum number of further attempts if the command cannot have started
    #[arg(
        long = "retries",
        value_name = "N",
        default_value = "0",
        help_heading = "Running"
    )]
    pub retries: u32,

    /// Maximum number of connections started per second, retries included [default: no limit]
    #[arg(long = "rate", value_name = "N", value_parser = at_least_one::<NonZeroU32>, help_heading = "Running")]
    pub rate: Option<NonZeroU32>,

    /// Start no more targets after the first failure; same as --max-failures 1
    #[arg(
        long = "fail-fast",
        overrides_with = "max_failures",
        help_heading = "Running"
    )]
    pub fail_fast: bool,

    /// Start no more targets after N failures, or after N% of all targets [default: no limit]
    #[arg(long = "max-failures", value_name = "N|N%", value_parser = share, overrides_with = "fail_fast", conflicts_with = "fail_fast", help_heading = "Running")]
    pub max_failures: Option<Share>,

    /// Run in waves of these sizes, as in 1,10%,100%; the last size repeats, and a failure ends the run after its
    /// wave [default: no waves]
    #[arg(long = "batch", value_name = "SIZES", value_parser = shares, help_heading = "Running")]
    pub batch: Option<WaveSizes>,

    /// Send standard input to every target; without it, commands read end of file at once
    #[arg(short = 'i', long = "stdin", help_heading = "Running")]
    pub stdin: bool,

    /// Maximum amount of standard input (-i) to keep for slow targets and for targets that start later
    #[arg(long = "stdin-spool", value_name = "SIZE", default_value = "1G", value_parser = size, help_heading = "Running")]
    pub stdin_spool: usize,

    /// Options for environment variables of COMMAND.
    #[command(flatten)]
    pub env: EnvArgs,

    /// File or directory to copy to the targets; a directory with a slash at its end stands for its content; the
    /// placeholders of --label, as in conf/%h.conf, stand for each target's own (repeatable)
    #[arg(
        long = "copy",
        value_name = "PATH",
        group = "files",
        help_heading = "Files"
    )]
    pub copy: Vec<PathBuf>,

    /// File or directory to fetch from the targets, with wildcards for their shells; each target's files go to
    /// DEST/LABEL/PATH (repeatable)
    #[arg(
        long = "fetch",
        value_name = "PATH",
        group = "files",
        help_heading = "Files"
    )]
    pub fetch: Vec<PathBuf>,

    /// Destination of --copy, where a slash at its end means a directory, or the directory for --fetch
    #[arg(
        long = "dest",
        value_name = "PATH",
        requires = "files",
        help_heading = "Files"
    )]
    pub dest: Option<PathBuf>,

    /// Make missing directories above the destination
    #[arg(long = "parents", requires = "copy", help_heading = "Files")]
    pub parents: bool,

    /// Copy or fetch what symbolic links point to, not the links
    #[arg(long = "dereference", requires = "files", help_heading = "Files")]
    pub dereference: bool,

    /// Mode of all copied files, in octal [default: that of each source]
    #[arg(long = "mode", value_name = "MODE", value_parser = mode, requires = "files", help_heading = "Files")]
    pub mode: Option<u32>,

    /// Owner and group of all copied files, as for chown [default: the remote user]
    #[arg(
        long = "owner",
        value_name = "USER:GROUP",
        requires = "copy",
        help_heading = "Files"
    )]
    pub owner: Option<String>,

    /// Keep set-user-ID and set-group-ID bits
    #[arg(long = "preserve-setid", requires = "copy", help_heading = "Files")]
    pub preserve_setid: bool,

    /// Replace the destination directory as a whole, by two renames; what exists only at the target is removed
    #[arg(long = "swap", requires = "copy", help_heading = "Files")]
    pub swap: bool,

    /// Run COMMAND only on targets on which --copy changed something
    #[arg(
        long = "only-changed",
        requires_all = ["copy", "command"],
        help_heading = "Files"
    )]
    pub only_changed: bool,

    /// Print which targets --copy or --fetch would change, and change nothing
    #[arg(long = "check", requires = "files", help_heading = "Files")]
    pub check: bool,

    /// Fetch symbolic links as links; without it they are not fetched, and links that --fetch names are followed
    #[arg(long = "links", requires = "fetch", help_heading = "Files")]
    pub links: bool,

    /// Maximum size of the files of one target for --fetch
    #[arg(long = "max-size", value_name = "SIZE", default_value = "1G", value_parser = size, help_heading = "Files")]
    pub max_size: usize,

    /// Copy to targets without a shell by rcp or scp: files are written in place, and nothing checks them
    #[arg(
        long = "protocol",
        value_enum,
        value_name = "PROTOCOL",
        requires = "copy",
        conflicts_with_all = ["parents", "owner", "only_changed", "check"],
        help_heading = "Files"
    )]
    pub protocol: Option<ProtocolArg>,

    /// Print lines without a label
    #[arg(
        short = 'N',
        long = "no-label",
        overrides_with = "label",
        conflicts_with = "label",
        help_heading = "Output"
    )]
    pub no_label: bool,

    /// Text before each line: %l label, %h host, %u user, %p port, %n position from 0; %-12l pads [default: '%l: ']
    #[arg(
        long = "label",
        value_name = "FORMAT",
        overrides_with = "no_label",
        help_heading = "Output"
    )]
    pub label: Option<String>,

    /// Print equal outputs once, below the folded names of their hosts, the most common first
    #[arg(short = 'b', long = "gather", help_heading = "Output")]
    pub gather: bool,

    /// Gather as -b does, with standard error in the same text as standard output
    #[arg(short = 'B', long = "gather-all", help_heading = "Output")]
    pub gather_all: bool,

    /// Print the lines of each host together, in the order of the hosts; with -b, put the names before each line
    #[arg(short = 'L', long = "lines-together", help_heading = "Output")]
    pub lines_together: bool,

    /// Gather, print the most common output in full, and every different output as a diff against it; with --check,
    /// print how the files of each target differ from the sources
    #[arg(long = "diff", help_heading = "Output")]
    pub diff: bool,

    /// Print the lines as they come as well, before the gathered output
    #[arg(long = "live", help_heading = "Output")]
    pub live: bool,

    /// Memory for gathered output; the rest is in a temporary file
    #[arg(long = "spool-memory", value_name = "SIZE", default_value = "16M", value_parser = size, help_heading = "Output")]
    pub spool_memory: usize,

    /// Write the standard output of each target to a file in DIR, and not to the screen; with the placeholders of
    /// --label, as in logs/%h.txt, to a file of this name
    #[arg(
        short = 'o',
        long = "output-dir",
        value_name = "DIR|PATTERN",
        help_heading = "Output"
    )]
    pub output_dir: Option<PathBuf>,

    /// Write the standard error of each target to a file in DIR, and not to the screen; PATTERN as for -o
    #[arg(
        short = 'e',
        long = "error-dir",
        value_name = "DIR|PATTERN",
        help_heading = "Output"
    )]
    pub error_dir: Option<PathBuf>,

    /// Append to the files of -o and -e instead of emptying them
    #[arg(long = "append", help_heading = "Output")]
    pub append: bool,

    /// Print only hosts that failed, only gathered output that differs from most (odd), or only output, without
    /// messages about the run
    #[arg(
        long = "only",
        value_enum,
        value_name = "WHAT",
        help_heading = "Output"
    )]
    pub only: Option<OnlyArg>,

    /// Print no summary at the end of the run
    #[arg(short = 'q', long = "quiet", help_heading = "Output")]
    pub quiet: bool,

    /// Write the targets that did not succeed to FILE, as a hosts file; - is standard output, which then has nothing
    /// else
    #[arg(long = "failed-to", value_name = "FILE", help_heading = "Output")]
    pub failed_to: Option<PathBuf>,

    /// Write the run as an HTML page to FILE.html at its end
    #[arg(long = "report", value_name = "FILE.html", help_heading = "Output")]
    pub report: Option<PathBuf>,

    /// Print at the end the times of the phases, the slowest hosts, and the CPU time of mrsh
    #[arg(long = "stats", help_heading = "Output")]
    pub stats: bool,

    /// Progress line at the bottom of the terminal [default: auto, on terminals and without -q]
    #[arg(
        long = "progress",
        value_enum,
        value_name = "WHEN",
        default_value = "auto",
        hide_default_value = true,
        help_heading = "Output"
    )]
    pub progress: WhenArg,

    /// Colours of labels and diffs; with always, colours in the output of hosts also reach a terminal [default: auto,
    /// on terminals unless NO_COLOR is set]
    #[arg(
        long = "color",
        value_enum,
        value_name = "WHEN",
        default_value = "auto",
        hide_default_value = true,
        help_heading = "Output"
    )]
    pub color: WhenArg,

    /// Print one JSON object on each line for every event; errors stay on standard error
    #[arg(long = "json", help_heading = "Output", conflicts_with_all = ["no_label", "only", "label", "gather", "gather_all", "lines_together", "diff"])]
    pub json: bool,

    /// Exit with the largest remote status; 255 if a host could not be reached
    #[arg(short = 'S', long = "worst-status", help_heading = "Output")]
    pub worst_status: bool,

    /// Print more about the run itself
    #[arg(short = 'v', long = "verbose", help_heading = "Output")]
    pub verbose: bool,

    /// Remote standard error: over a connection of its own, merged into standard output, or dropped [default: separate;
    /// merge with -B, unless -e or --live is given]
    #[arg(long = "stderr", value_enum, value_name = "MODE", help_heading = "rsh")]
    pub stderr: Option<StderrArg>,

    /// Address or network from which the daemon of any host may call back, besides the host's own addresses
    /// (repeatable)
    #[arg(long = "callback-from", value_name = "NET", help_heading = "rsh")]
    pub callback_from: Vec<Network>,

    /// Source ports: reserved (512-1023, which rshd demands), any, or LO-HI [default: reserved for rsh, any for ssh]
    #[arg(long = "source-ports", value_name = "PORTS", value_parser = source_ports, help_heading = "rsh")]
    pub source_ports: Option<SourcePorts>,

    /// Send COMMAND without the wrapper, for appliances without a shell; there is no exit status then
    #[arg(long = "raw", help_heading = "rsh")]
    pub raw: bool,

    /// Configuration file of ssh; with the word none, no file is read [default: ~/.ssh/config and the system's]
    #[arg(
        short = 'F',
        long = "ssh-config",
        value_name = "FILE",
        help_heading = "ssh"
    )]
    pub ssh_config: Option<PathBuf>,

    /// Setting of ssh_config(5) that comes before the files, as in StrictHostKeyChecking=accept-new (repeatable)
    #[arg(
        long = "ssh-option",
        value_name = "KEY=VALUE",
        help_heading = "ssh",
        allow_hyphen_values = true
    )]
    pub ssh_options: Vec<String>,

    /// Private key to try first (repeatable)
    #[arg(long = "identity", value_name = "FILE", help_heading = "ssh")]
    pub identities: Vec<PathBuf>,

    /// Ask for a password once, before the first connection
    #[arg(
        long = "password",
        help_heading = "ssh",
        conflicts_with = "password_fd"
    )]
    pub password: bool,

    /// Read the password from the first line of file descriptor N
    #[arg(long = "password-fd", value_name = "N", help_heading = "ssh")]
    pub password_fd: Option<u32>,

    /// Print the targets with their addresses, and what the run needs; connect to nothing
    #[arg(short = 'n', long = "dry-run", help_heading = "Other modes")]
    pub dry_run: bool,

    /// Answer for every host with rsh daemons inside this process; commands run here, as the caller
    #[arg(long = "demo", help_heading = "Other modes")]
    pub demo: bool,

    /// Gather lines "host: text" of standard input, as dshbak -c and clubak -b do
    #[arg(long = "gather-stdin", help_heading = "Other modes", conflicts_with_all = ["ports", "command", "list", "expand", "fold", "count", "regroup", "groups", "stdin", "live", "output_dir", "error_dir", "failed_to", "report", "stats", "json"])]
    pub gather_stdin: bool,

    /// Print what the kernel says about the source ports now, and which of them a run would use
    #[arg(long = "ports", help_heading = "Other modes", conflicts_with_all = ["demo", "command"])]
    pub ports: bool,

    /// Options of the listing modes.
    #[command(flatten)]
    pub listing: ListingArgs,

    /// Use the settings of [profile.NAME] in the configuration files
    #[arg(
        short = 'P',
        long = "profile",
        value_name = "NAME",
        help_heading = "Configuration"
    )]
    pub profile: Option<String>,

    /// Read this configuration file and no other
    #[arg(long = "config", value_name = "FILE", help_heading = "Configuration")]
    pub config: Option<PathBuf>,

    /// Read no configuration file
    #[arg(
        long = "no-config",
        help_heading = "Configuration",
        conflicts_with_all = ["config", "profile"]
    )]
    pub no_config: bool,

    /// Print every setting and where it comes from, in the form of a configuration file
    #[arg(long = "show-config", help_heading = "Configuration")]
    pub show_config: bool,

    /// Print the manual page (man) or completions (bash, zsh, fish), and do nothing else
    #[arg(
        long = "generate",
        value_enum,
        value_name = "WHAT",
        hide_possible_values = true,
        conflicts_with = "command",
        help_heading = "Other modes"
    )]
    pub generate: Option<GenerateArg>,

    /// Options of the change of the user.
    #[command(flatten)]
    pub user_change: UserChangeArgs,

    /// Options of caution.
    #[command(flatten)]
    pub caution: CautionArgs,

    /// Options of the journal.
    #[command(flatten)]
    pub journal: JournalArgs,

    /// Options of `--script`.
    #[command(flatten)]
    pub script: ScriptArgs,

    /// Maximum time from the name look-up to the end of the command; only multi-rsh sets it
    #[arg(skip)]
    pub host_timeout: Option<Duration>,

    /// Meaning of ^C and ^\; multi-rsh has its own
    #[arg(skip)]
    pub keys: SignalKeys,

    /// Command; the remote user's login shell interprets its words, joined by spaces
    #[arg(trailing_var_arg = true, value_name = "COMMAND", action = ArgAction::Append)]
    pub command: Vec<OsString>,
}

impl Cli {
    /// Returns the transport of targets that name none.
    #[must_use]
    pub fn default_transport(&self) -> TransportKind {
        self.transport.unwrap_or_default()
    }

    /// Returns the mode of remote standard error.
    #[must_use]
    pub fn stderr_mode(&self) -> StderrMode {
        match self.stderr {
            Some(mode) => mode.into(),
            // Two streams race on their way here, and equal hosts would differ by chance.
            None if self.gather_all && self.error_dir.is_none() && !self.live => StderrMode::Merge,
            None => StderrMode::Separate,
        }
    }
}
