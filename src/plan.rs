//! The plan: everything that is decided before a run, from the command line, files and the environment.
//!
//! Files, the password database and terminals are looked at here, once. Nothing below the plan asks again.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::{self, IsTerminal};
use std::num::NonZeroUsize;
use std::ops::RangeInclusive;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use fake_rshd::DESCRIPTORS_PER_SESSION;
use reserved_ports::{RESERVED, SourcePorts};
use uzers::os::unix::UserExt;

use crate::cli::{Cli, ListingArgs, WhenArg};
use crate::copy::CopySpec;
use crate::copy::fetch::{DESCRIPTORS_PER_FETCH, FetchSpec};
use crate::error::Error;
use crate::event::Notice;
use crate::exit::StatusRule;
use crate::listing::{Listing, ListingForm};
use crate::output::{Colors, GatherSpec, LeftOutTarget, ReportSpec, RunInfo, Terminals};
use crate::random;
use crate::run::signal::{PauseInput, SignalKeys};
use crate::targets::groups::{Groups, OwnGroup, Places};
use crate::targets::{Selection, Target, TargetError};
use crate::transport::exec::ExecCommands;
use crate::transport::input::InputLimits;
use crate::transport::{RemoteCommand, StderrMode};

mod caution;
mod copy;
mod down;
mod fetch;
mod journal;
mod output;
mod remote_names;
mod rules;
mod script;
mod target_paths;
mod targets;
mod transports;
mod user_change;
mod variables;

pub(crate) use journal::count;
pub use journal::{JournalPlan, ResumedRun};
pub use script::ScriptPlan;
pub use transports::TransportPlan;
pub use user_change::{ChangePassword, UserChangePlan};

/// Time beyond the connect timeout for which a run waits before it finds that targets to be started need more of
/// standard input than can be kept.
const INPUT_GRACE: Duration = Duration::from_secs(5);

/// Memory for standard input, in bytes. The rest is in a temporary file.
const INPUT_MEMORY: usize = 8 << 20;

/// Work of the program.
#[derive(Debug)]
pub enum Plan {
    /// Print the state of these source ports.
    Ports(RangeInclusive<u16>),
    /// Gather the lines of standard input.
    Filter(FilterPlan),
    /// Print targets or groups.
    Print {
        /// The text or names to print.
        listing: Box<Listing>,
        /// Errors of groups that the listing lacks.
        failed: Vec<Error>,
        /// Warnings about files that were read for the listing.
        warnings: Vec<String>,
    },
    /// Run nothing and print this reason: the hosts file is a list of failed targets and has none.
    NoTargets(TargetError),
    /// Run a command.
    Run(Box<RunPlan>),
}

/// Everything that is decided about gathering standard input.
#[derive(Debug)]
pub struct FilterPlan {
    /// ListingForm of the output.
    pub gather: GatherSpec,
    /// True if hosts are named.
    pub label: bool,
    /// Streams on which labels and diffs are coloured.
    pub colors: Colors,
    /// Streams of this process that are terminals.
    pub terminals: Terminals,
    /// True if the colours in the input reach a terminal.
    pub pass_colors: bool,
}

/// Everything that is decided about a run before it is set up. Nothing changes it later.
#[derive(Debug)]
pub struct RunPlan {
    /// Settings that the reports show, among them the targets as they were named.
    pub info: RunInfo,
    /// Maximum number of descriptors for one target, those of `--demo` included.
    pub descriptors_per_host: u32,
    /// Warnings about hosts files and groups.
    pub notices: Vec<Notice>,
    /// Options of the transports that targets use.
    pub transports: TransportPlan,
    /// Change of the user before commands, if there is one.
    pub user_change: Option<UserChangePlan>,
    /// Files to copy.
    pub copy: Option<CopySpec>,
    /// Files to fetch. Their destination is opened in the set-up.
    pub fetch: Option<FetchSpec>,
    /// Script to run, in the place of a command.
    pub script: Option<ScriptPlan>,
    /// The journal, if the run has one.
    pub journal: Option<JournalPlan>,
    /// True if the user is asked before the run.
    pub confirm: bool,
    /// Words for a run that a wave has ended: the way to go on with the others.
    pub go_on: String,
    /// Meaning of ^C and ^\.
    pub keys: SignalKeys,
    /// Input of the user in the pauses between waves, if there are pauses.
    pub pause: Option<PauseInput>,
    /// Limits of the spool for standard input, if the commands read it.
    pub stdin: Option<InputLimits>,
    /// True if the plan is only printed (`-n`).
    pub dry: bool,
    /// Choice and form of the reports.
    pub report: ReportSpec,
    /// Streams of this process that are terminals.
    pub terminals: Terminals,
    /// True if the colours that hosts send reach a terminal.
    pub pass_colors: bool,
    /// Rule for the exit status.
    pub status: StatusRule,
}

/// Targets that a personality has decided by the rules of its program.
#[derive(Debug)]
pub struct KnownTargets {
    /// The targets. Hosts and labels may repeat.
    pub targets: Arc<[Target]>,
    /// Local commands of the targets with the transport exec. Without them, the command line has the command.
    pub commands: Option<ExecCommands>,
}

impl RunPlan {
    /// Returns true if the run connects from the ports that rshd trusts. Embedded daemons accept any port.
    #[must_use]
    pub fn binds_reserved(&self) -> bool {
        !self.info.demo && self.transports.binds_reserved()
    }
}

impl Plan {
    /// Decides everything that can be decided before the set-up of a run.
    ///
    /// # Errors
    /// The command line, or a file that it names, is wrong. Nothing has been started.
    pub fn new(cli: Cli, own_groups: BTreeMap<String, OwnGroup>) -> Result<Plan, Error> {
        Plan::decide(cli, own_groups, None, None)
    }

    /// Decides a run whose targets are known. The caller can change what a command line cannot say.
    ///
    /// # Errors
    /// The same as those of [`Plan::new`].
    pub fn of_targets(cli: Cli, known: KnownTargets) -> Result<Box<RunPlan>, Error> {
        match Plan::decide(cli, BTreeMap::new(), None, Some(known))? {
            Plan::Run(plan) => Ok(plan),
            Plan::Ports(_) | Plan::Filter(_) | Plan::Print { .. } | Plan::NoTargets(_) => {
                Err(Error::NoCommand)
            }
        }
    }

    /// Decides a run that is taken up again. The journal has its targets.
    ///
    /// # Errors
    /// The same as those of [`Plan::new`]; or the run is not the one of the journal.
    pub fn resumed(cli: Cli, run: ResumedRun) -> Result<Plan, Error> {
        Plan::decide(cli, BTreeMap::new(), Some(run), None)
    }

    fn decide(
        cli: Cli,
        own_groups: BTreeMap<String, OwnGroup>,
        resumed: Option<ResumedRun>,
        known: Option<KnownTargets>,
    ) -> Result<Plan, Error> {
        if cli.ports {
            return Ok(Plan::Ports(match &cli.source_ports {
                Some(SourcePorts::Range(range)) => range.clone(),
                Some(SourcePorts::Reserved | SourcePorts::Any) | None => RESERVED,
            }));
        }
        let terminals = terminals();
        if cli.gather_stdin {
            return Ok(Plan::Filter(FilterPlan {
                gather: output::gather(&cli)?,
                label: !cli.no_label,
                colors: output::colors(cli.color, terminals),
                terminals,
                pass_colors: cli.color == WhenArg::Always,
            }));
        }
        let groups = match (&resumed, &known) {
            // Files of groups may have changed, and the targets are known.
            (Some(_), _) | (_, Some(_)) => Groups::new(Places::default(), own_groups),
            (None, None) => targets::groups(own_groups, &cli)?,
        };
        if let Some((listing, failed)) = listing(&cli, &groups)? {
            let warnings = groups.warnings().take();
            return Ok(Plan::Print {
                listing: Box::new(listing),
                failed,
                warnings,
            });
        }
        let has_other_work =
            !cli.copy.is_empty() || !cli.fetch.is_empty() || cli.script.script.is_some();
        if cli.command.is_empty() && !has_other_work {
            return Err(Error::NoCommand);
        }
        if cli.stdin && resumed.is_none() && targets::from_standard_input(&cli) {
            return Err(Error::OneStandardInput);
        }
        let mut report = output::spec(&cli, terminals)?;
        let (targets, left_out) = match targets_of(&cli, &groups, resumed.as_ref(), known.as_ref())
        {
            Err(Error::Targets(reason @ TargetError::NoTargetFailed(_))) => {
                return Ok(Plan::NoTargets(reason));
            }
            targets => targets?,
        };
        if let Some(name) = &cli.user
            && (name.is_empty() || name.contains(char::is_control))
        {
            return Err(Error::UserName { name: name.clone() });
        }
        let command = match script::shown(&cli) {
            Some(shown) => shown,
            None => command(&cli.command)?,
        };
        let numbers = resumed.as_ref().map(|run| Arc::clone(&run.numbers));
        let (run_id, run_total) = match &resumed {
            // All sessions of a run have its identifier.
            Some(run) => (run.state.header.run.clone(), run.state.targets.len()),
            None => {
                let id = random::time_ordered_id().map_err(Error::system("get random bytes"))?;
                (id, targets.len())
            }
        };
        let user_change = user_change::decide(&cli, &targets)?;
        let commands = known.and_then(|known| known.commands);
        let mut transports = transports::decide(&cli, &targets, user_change.as_ref(), commands)?;
        let script = script::decide(&cli, transports.exec.is_some())?;
        let info = RunInfo {
            targets: Arc::clone(&targets),
            numbers,
            run_id: run_id.into(),
            run_total,
            command,
            transport: transports.default,
            user: match &cli.user {
                Some(name) => name.clone(),
                None => caller(),
            },
            user_given: cli.user.is_some(),
            port: cli.port,
            resolved: transports.resolved(&targets)?,
            fanout: cli.jobs,
            connect_timeout: cli.connect_timeout,
            command_timeout: cli.command_timeout,
            policy: rules::policy(&cli),
            stderr: match cli.stderr_mode() {
                StderrMode::Separate => "separate",
                StderrMode::Merge => "merge",
                StderrMode::Drop => "drop",
            },
            source_ports: match &transports.source_ports {
                SourcePorts::Reserved => "reserved".to_owned(),
                SourcePorts::Any => "any".to_owned(),
                SourcePorts::Range(range) => range_text(range),
            },
            raw: cli.raw,
            stdin: cli.stdin,
            demo: cli.demo,
            left_out,
        };
        let confirm = caution::asks(&cli, info.targets.len())?;
        report.files = output::files(&cli, &info)?;
        let variables = variables::decide(&cli, &info, script.as_ref())?;
        let text = match &script {
            Some(_) => crate::script::COMMAND.as_bytes(),
            None => &info.command,
        };
        let change = user_change.as_ref().map(|plan| Arc::clone(&plan.change));
        let remote = RemoteCommand::new(text, variables.variables.clone()).with_user_change(change);
        transports.set_command(&cli, &info, &remote)?;
        let copy = copy::decide(&cli, &info, transports.exec.is_some(), variables.variables)?;
        let mut notices = notices(&groups);
        // Only with -v: a run without failures ends without a word.
        notices.insert(
            0,
            Notice {
                verbose: true,
                text: format!("run {}", info.run_id),
            },
        );
        notices.extend(variables.notices);
        notices.extend(copy.as_ref().and_then(copy::notice));
        notices.extend(copy.as_ref().and_then(copy::link_notice));
        let recorded = script.as_ref().map(|script| &script.recorded);
        let journal = journal::decide(&cli, &info, recorded, resumed)?;
        let fetch = fetch::decide(&cli, &info, transports.exec.is_some())?;
        let mut descriptors_per_host = transports.descriptors_per_host();
        if cli.demo {
            descriptors_per_host += DESCRIPTORS_PER_SESSION;
        }
        // The files of a target are open beside its connection.
        if fetch.is_some() {
            descriptors_per_host += DESCRIPTORS_PER_FETCH;
        }
        Ok(Plan::Run(Box::new(RunPlan {
            info,
            descriptors_per_host,
            notices,
            transports,
            user_change,
            copy,
            fetch,
            script,
            journal,
            confirm,
            go_on: caution::go_on(&cli),
            keys: cli.keys,
            pause: caution::pause_input(&cli, terminals),
            stdin: cli.stdin.then_some(InputLimits {
                memory: INPUT_MEMORY,
                spool: cli.stdin_spool as u64,
                stall_timeout: cli.connect_timeout + INPUT_GRACE,
            }),
            dry: cli.dry_run && !cli.check,
            report,
            terminals,
            pass_colors: cli.color == WhenArg::Always,
            status: if cli.worst_status {
                StatusRule::Largest
            } else {
                StatusRule::Own
            },
        })))
    }
}

/// Returns the targets of a run: those that are left of a known one, those of a personality, or those that the command
/// line names. The second list has
/// those that are left out.
fn targets_of(
    cli: &Cli,
    groups: &Groups,
    resumed: Option<&ResumedRun>,
    known: Option<&KnownTargets>,
) -> Result<(Arc<[Target]>, Vec<LeftOutTarget>), Error> {
    match (resumed, known) {
        (Some(run), _) => Ok((run.targets(), Vec::new())),
        (None, Some(known)) => Ok((Arc::clone(&known.targets), Vec::new())),
        (None, None) => targets::of_run(cli, groups),
    }
}

/// Returns a range of ports as it is typed, such as `512-1023`.
pub(crate) fn range_text(range: &RangeInclusive<u16>) -> String {
    format!("{}-{}", range.start(), range.end())
}

/// Returns the warnings about hosts files and groups as notices of the run.
fn notices(groups: &Groups) -> Vec<Notice> {
    let warnings = groups.warnings().take().into_iter();
    warnings
        .map(|text| Notice {
            verbose: false,
            text,
        })
        .collect()
}

/// Returns the answer of a listing mode, if the command line asks for one, and errors of groups that it lacks.
fn listing(cli: &Cli, groups: &Groups) -> Result<Option<(Listing, Vec<Error>)>, Error> {
    let limits = targets::limits(cli);
    if let Some(source) = &cli.listing.groups {
        let source = Some(source.as_str()).filter(|name| !name.is_empty());
        return Listing::of_groups(groups, source, cli.verbose, limits).map(Some);
    }
    let separator = |default: &str| {
        cli.listing
            .separator
            .clone()
            .unwrap_or_else(|| default.to_owned())
    };
    let form = match cli.listing {
        ListingArgs { list: true, .. } => ListingForm::Each(separator("\n")),
        ListingArgs { expand: true, .. } => ListingForm::Each(separator(" ")),
        ListingArgs { fold: true, .. } => ListingForm::Folded,
        ListingArgs { regroup: true, .. } => ListingForm::Regrouped,
        ListingArgs { count: true, .. } => ListingForm::Count,
        _ => return Ok(None),
    };
    let words = targets::expressions(cli)?;
    let targets = match targets::select(cli, groups, Some(&words)) {
        Err(Error::Targets(error)) if error.is_empty_result() => Selection::empty(),
        targets => targets?.0,
    };
    let parts = cli.listing.split.map_or(1, NonZeroUsize::get);
    let listing = Listing::of_targets(targets, form, parts, groups, limits)?;
    Ok(Some((listing, Vec::new())))
}

fn terminals() -> Terminals {
    Terminals {
        out: io::stdout().is_terminal(),
        err: io::stderr().is_terminal(),
    }
}

/// Joins the words by single spaces, as ssh does.
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

/// Returns the real user's name. rshd believes it, so it never depends on the effective user or the environment.
fn local_user() -> Result<String, Error> {
    account().map(|(name, _)| name)
}

/// Returns the real user's name, for transports that work without one. It is the user's number if the password
/// database has no name, as in many containers.
fn caller() -> String {
    local_user().unwrap_or_else(|_| uzers::get_current_uid().to_string())
}

/// Returns the real user's name and home directory from the password database.
fn account() -> Result<(String, PathBuf), Error> {
    let uid = uzers::get_current_uid();
    uzers::get_user_by_uid(uid)
        .and_then(|user| Some((user.name().to_str()?.to_owned(), user.home_dir().to_owned())))
        .ok_or(Error::NoUserName { uid })
}
