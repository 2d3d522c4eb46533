//! What is decided: the command line made into specifications that the rest follows without asking again.
//!
//! Everything that needs the world (files, the password database, terminals) is looked up here, once.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::{self, IsTerminal};
use std::num::NonZeroUsize;
use std::ops::RangeInclusive;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use reserved_ports::{RESERVED, SourcePorts};
use uzers::os::unix::UserExt;

use crate::cli::{Cli, WhenArg};
use crate::error::Error;
use crate::event::Notice;
use crate::listing::{Form, Listing};
use crate::reader::Reader;
use crate::report::{Colors, GatherSpec, ReportSpec, RunInfo, Terminals};
use crate::run::RunSpec;
use crate::run::signal::SignalKeys;
use crate::targets::groups::{Groups, OwnGroup};
use crate::targets::{Selection, TargetError};
use crate::transport::StderrMode;
use crate::transport::input::InputLimits;

mod remote_names;
mod report;
mod rules;
mod targets;
mod transports;

pub use transports::TransportPlan;

/// How much longer than a connection may take a run waits before it finds that hosts to be started need
/// more of standard input than can be kept.
const INPUT_PATIENCE: Duration = Duration::from_secs(5);

/// How much of standard input is kept in memory, in bytes.
const INPUT_MEMORY: usize = 8 << 20;

/// What the program is to do.
#[derive(Debug)]
pub enum Plan {
    /// Print the state of these source ports.
    Ports(RangeInclusive<u16>),
    /// Gather what comes on standard input.
    Filter(FilterPlan),
    /// Print this about targets or groups.
    Print {
        /// This.
        listing: Box<Listing>,
        /// What should be in it and could not be had.
        failed: Vec<Error>,
        /// Warnings about what was read for it.
        warnings: Vec<String>,
    },
    /// Run no command, and say why: a list of failed targets has none.
    NoTargets(TargetError),
    /// Run a command.
    Run(Box<RunPlan>),
}

/// A filter, all decided.
#[derive(Debug)]
pub struct FilterPlan {
    /// How it looks.
    pub gather: GatherSpec,
    /// Whether hosts are named.
    pub label: bool,
    /// Where labels and diffs are coloured.
    pub colors: Colors,
    /// Which of our two streams are terminals.
    pub terminals: Terminals,
    /// True if the colours in the input reach a terminal.
    pub pass_colors: bool,
}

/// A run, all decided.
#[derive(Debug)]
pub struct RunPlan {
    /// What the dispatcher is to do.
    pub run: RunSpec,
    /// What the transports are told.
    pub transports: TransportPlan,
    /// Which keys of the terminal say what.
    pub keys: SignalKeys,
    /// What of standard input is kept for the commands, if they read it.
    pub stdin: Option<InputLimits>,
    /// Whether embedded daemons answer.
    pub demo: bool,
    /// Whether only to say what would be done.
    pub dry: bool,
    /// What the reports may say of it.
    pub info: RunInfo,
    /// What is shown.
    pub report: ReportSpec,
    /// Which of our two streams are terminals.
    pub terminals: Terminals,
    /// True if the colours that hosts send reach a terminal.
    pub pass_colors: bool,
    /// Whether to end with the largest remote status.
    pub worst_status: bool,
}

impl RunPlan {
    /// Whether the run connects from the ports that rshd trusts. Embedded daemons do without: they connect
    /// back to whatever port of this machine they are told.
    #[must_use]
    pub fn binds_reserved(&self) -> bool {
        !self.demo && self.transports.binds_reserved()
    }
}

impl Plan {
    /// Decides everything.
    ///
    /// # Errors
    /// What was typed, or a file that it names, makes no sense; nothing has been done yet.
    pub fn new(cli: Cli, own_groups: BTreeMap<String, OwnGroup>) -> Result<Plan, Error> {
        if cli.ports {
            return Ok(Plan::Ports(match &cli.source_ports {
                Some(SourcePorts::Range(range)) => range.clone(),
                Some(SourcePorts::Reserved | SourcePorts::Any) | None => RESERVED,
            }));
        }
        let terminals = terminals();
        if cli.gather_stdin {
            return Ok(Plan::Filter(FilterPlan {
                gather: report::gather(&cli)?,
                label: !cli.no_label,
                colors: report::colors(cli.color, terminals),
                terminals,
                pass_colors: cli.color == WhenArg::Always,
            }));
        }
        let groups = targets::groups(own_groups, &cli)?;
        if let Some((listing, failed)) = listing(&cli, &groups)? {
            let warnings = groups.warnings().take();
            return Ok(Plan::Print {
                listing: Box::new(listing),
                failed,
                warnings,
            });
        }
        if cli.command.is_empty() {
            return Err(Error::NoCommand);
        }
        if cli.stdin && targets::from_standard_input(&cli) {
            return Err(Error::OneStandardInput);
        }
        let report = report::report(&cli, terminals)?;
        let policy = rules::policy(&cli);
        let targets = match targets::of_run(&cli, &groups) {
            Err(Error::Targets(why @ TargetError::NoTargetFailed(_))) => {
                return Ok(Plan::NoTargets(why));
            }
            targets => targets?,
        };
        if let Some(name) = &cli.user
            && (name.is_empty() || name.contains(char::is_control))
        {
            return Err(Error::UserName { name: name.clone() });
        }
        let command = command(&cli.command)?;
        let transports = transports::decide(&cli, &targets, &command)?;
        let info = RunInfo {
            targets: Arc::clone(&targets),
            command: command.clone(),
            transport: cli.default_transport(),
            user: match &cli.user {
                Some(name) => name.clone(),
                None => caller(),
            },
            user_given: cli.user.is_some(),
            port: cli.port,
            decided: transports.decided(&targets)?,
            jobs: cli.jobs.get(),
            connect_timeout: cli.connect_timeout,
            command_timeout: cli.command_timeout,
            rules: rules::words(&policy, targets.len()),
            stderr: match cli.stderr_mode() {
                StderrMode::Separate => "separate",
                StderrMode::Merge => "merge",
                StderrMode::Drop => "drop",
            },
            source_ports: match &transports.source_ports {
                SourcePorts::Reserved => "reserved".to_owned(),
                SourcePorts::Any => "any".to_owned(),
                SourcePorts::Range(range) => format!("{}-{}", range.start(), range.end()),
            },
            raw: cli.raw,
            stdin: cli.stdin,
            demo: cli.demo,
        };
        Ok(Plan::Run(Box::new(RunPlan {
            info,
            run: RunSpec {
                targets,
                fanout: cli.jobs,
                connect_timeout: cli.connect_timeout,
                command_timeout: cli.command_timeout,
                descriptors_per_host: transports.descriptors_per_host(),
                policy,
                input: None,
                notices: notices(&groups),
                reader: Reader::default(),
                details: cli.verbose,
                say: None,
                report_failed: Arc::default(),
            },
            transports,
            keys: cli.keys,
            stdin: cli.stdin.then_some(InputLimits {
                memory: INPUT_MEMORY,
                spool: cli.stdin_spool as u64,
                stall_timeout: cli.connect_timeout + INPUT_PATIENCE,
            }),
            demo: cli.demo,
            dry: cli.dry_run,
            report,
            terminals,
            pass_colors: cli.color == WhenArg::Always,
            worst_status: cli.worst_status,
        })))
    }
}

/// The warnings about hosts files and groups, for the run's reports.
fn notices(groups: &Groups) -> Vec<Notice> {
    let warnings = groups.warnings().take().into_iter();
    warnings
        .map(|text| Notice {
            verbose: false,
            text,
        })
        .collect()
}

/// The answer of a listing mode, if one was asked for.
fn listing(cli: &Cli, groups: &Groups) -> Result<Option<(Listing, Vec<Error>)>, Error> {
    let limits = targets::limits(cli);
    if let Some(source) = &cli.groups {
        let source = Some(source.as_str()).filter(|name| !name.is_empty());
        return Listing::of_groups(groups, source, cli.verbose, limits).map(Some);
    }
    let separator = |default: &str| cli.separator.clone().unwrap_or_else(|| default.to_owned());
    let form = match cli {
        Cli { list: true, .. } => Form::Each(separator("\n")),
        Cli { expand: true, .. } => Form::Each(separator(" ")),
        Cli { fold: true, .. } => Form::Folded,
        Cli { regroup: true, .. } => Form::Regrouped,
        Cli { count: true, .. } => Form::Count,
        _ => return Ok(None),
    };
    let words = targets::expressions(cli)?;
    let all = match targets::select(cli, groups, Some(&words)) {
        Err(Error::Targets(error)) if error.is_empty_result() => Selection::empty(),
        all => all?,
    };
    let parts = cli.split.map_or(1, NonZeroUsize::get);
    let listing = Listing::of_targets(all, form, parts, groups, limits)?;
    Ok(Some((listing, Vec::new())))
}

fn terminals() -> Terminals {
    Terminals {
        out: io::stdout().is_terminal(),
        err: io::stderr().is_terminal(),
    }
}

/// The words, joined by single spaces as ssh does.
fn command(words: &[OsString]) -> Result<Vec<u8>, Error> {
    let command = words
        .iter()
        .map(|word| word.as_bytes())
        .collect::<Vec<_>>()
        .join(&b' ');
    if command.contains(&0) {
        return Err(Error::CommandHasNul);
    }
    Ok(command)
}

/// The real user's name: whatever privilege this program has, it speaks for its caller only.
fn local_user() -> Result<String, Error> {
    account().map(|(name, _)| name)
}

/// What a user is called to whom no server needs a name: by number, where the password database has none, as in
/// many a container.
fn caller() -> String {
    local_user().unwrap_or_else(|_| uzers::get_current_uid().to_string())
}

/// The real user's name, and the home directory that the password database has for it.
fn account() -> Result<(String, PathBuf), Error> {
    let uid = uzers::get_current_uid();
    uzers::get_user_by_uid(uid)
        .and_then(|user| Some((user.name().to_str()?.to_owned(), user.home_dir().to_owned())))
        .ok_or(Error::NoUserName { uid })
}
