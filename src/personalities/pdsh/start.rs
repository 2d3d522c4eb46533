//! The plan of a run of pdsh, and the run.

use std::num::NonZeroUsize;
use std::time::Duration;

use super::defaults;
use super::hosts::PdshHostList;
use super::messages::{Ended, PdshCaller};
use super::modules::Rcmd;
use super::options::PdshSettings;
use super::rcmd::{PdshCommand, shell_words, ways};
use super::show::fanout;
use crate::cli::{Cli, StderrArg, WhenArg};
use crate::exit::{ExitStatus, StatusRule};
use crate::output::{MessageForm, PdshForm};
use crate::plan::{Plan, RunPlan};
use crate::run::signal::SignalKeys;
use crate::setup;

/// Connect timeout for no limit: ten years.
const NO_TIMEOUT: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

/// Runs a command on the hosts.
///
/// # Errors
/// The plan or the set-up failed; no host has been contacted.
pub(super) fn run(
    settings: &PdshSettings,
    hosts: &PdshHostList,
    command: PdshCommand<'_>,
    local_user: &str,
    caller: &PdshCaller,
) -> Result<ExitStatus, Ended> {
    let cli = cli(settings, hosts)?;
    let (plan, _) = plan(settings, hosts, command, cli, local_user, caller)?;
    Ok(setup::run(*plan)?)
}

/// Returns the plan of a run with these options of mrsh, and the way of each target.
pub(super) fn plan(
    settings: &PdshSettings,
    hosts: &PdshHostList,
    command: PdshCommand<'_>,
    cli: Cli,
    local_user: &str,
    caller: &PdshCaller,
) -> Result<(Box<RunPlan>, Vec<Rcmd>), Ended> {
    let ways = ways(settings, hosts, command, local_user, caller)?;
    let has_rsh = ways.rcmds.contains(&Rcmd::Rsh);
    let cli = Cli {
        command: if has_rsh {
            shell_words(settings, command)
        } else {
            words_of(command)
        },
        ..cli
    };
    let mut plan = Plan::of_targets(cli, ways.known)?;
    plan.info.policy.stop_at_failure = settings.fail_fast;
    plan.status = StatusRule::Pdsh {
        largest: settings.largest,
        fail_fast: settings.fail_fast,
    };
    plan.report.form = MessageForm::Pdsh(PdshForm {
        program: caller.who().to_owned(),
        commands: ways.programs,
        fail_fast: settings.fail_fast,
        batch: settings.batch,
    });
    // As with `--color always`: other control characters stay visible.
    plan.pass_colors = true;
    plan.report.open_ends = true;
    // pdsh ignores SIGPIPE, so its commands run on after `| head` has ended.
    plan.report.outlives_reader = true;
    Ok((plan, ways.rcmds))
}

/// Returns the options of mrsh that all of these programs have in common.
pub(super) fn cli(settings: &PdshSettings, hosts: &PdshHostList) -> Result<Cli, Ended> {
    let seconds = |seconds: i64| u64::try_from(seconds).ok().filter(|&n| n > 0);
    Ok(Cli {
        jobs: NonZeroUsize::new(fanout(settings, hosts)).unwrap_or(NonZeroUsize::MIN),
        connect_timeout: seconds(settings.connect_timeout).map_or(NO_TIMEOUT, Duration::from_secs),
        command_timeout: seconds(settings.command_timeout).map(Duration::from_secs),
        user: settings.user.clone(),
        no_label: !settings.labels,
        stderr: Some(StderrArg::Separate),
        color: WhenArg::Never,
        progress: WhenArg::Never,
        keys: if settings.batch {
            SignalKeys::Batch
        } else {
            SignalKeys::Own
        },
        ..defaults()?
    })
}

/// Returns the words of a command for the record of the run.
fn words_of(command: PdshCommand<'_>) -> Vec<std::ffi::OsString> {
    match command {
        PdshCommand::Words(words) => words.to_vec(),
        PdshCommand::Line(line) => vec![line.to_owned()],
        PdshCommand::Copy => Vec::new(),
    }
}
