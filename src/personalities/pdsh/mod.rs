//! pdsh, dsh, pdcp and rpdcp: their options, messages and exit statuses over the engine of mrsh.
//!
//! The reference is pdsh 2.35. `options` reads the command line, `wcoll` and `groups` find the targets, `rcmd` chooses
//! the ways to them, and `run` makes the plan.

use std::ffi::OsString;

use crate::cli::Cli;
use crate::error::Error;
use crate::exit::ExitStatus;
use crate::messages::print;

mod copy;
mod groups;
mod hosts;
mod messages;
mod modules;
mod options;
mod prompt;
mod rcmd;
mod self_test;
mod show;
mod slurm;
mod start;
mod table;
mod wcoll;

use groups::GroupModule;
use hosts::PdshHostList;
use messages::{Ended, PdshCaller};
use modules::Rcmd;
use options::{CONNECT_TIMEOUT, PdshSettings};
use rcmd::PdshCommand;

/// Runs the program.
///
/// # Errors
/// None: the errors of these programs have their own form.
pub(super) fn run(args: &[OsString]) -> Result<ExitStatus, Error> {
    let caller = PdshCaller::new(args);
    Ok(run_as(&caller, args).unwrap_or_else(|ended| caller.end(ended, args)))
}

fn run_as(caller: &PdshCaller, args: &[OsString]) -> Result<ExitStatus, Ended> {
    // pdsh looks for the account before it reads options, so even `-h` fails without one.
    let local_user = local_user(caller)?;
    let mut settings = options::parse(args, caller)?;
    let default = rcmd::default_rcmd(&settings, caller)?;
    // The far side of a copy has no targets, and must not fail for that reason.
    if let Some(letter) = settings.far_side {
        return Err(copy::far_side(letter, &settings, caller));
    }
    let hosts = targets(&mut settings, caller)?;
    verify(&settings, default, caller)?;
    // pdsh reports all faults of a call before it ends.
    let mut faults = Vec::new();
    if hosts.is_empty() {
        faults.push("no remote hosts specified".to_owned());
    }
    if !caller.is_dsh() {
        faults.extend(copy::faults(&settings, caller));
    }
    if !faults.is_empty() {
        let lines = faults
            .iter()
            .map(|text| format!("{}: {text}", caller.who()));
        return Err(Ended::Message(lines.collect::<Vec<_>>().join("\n")));
    }
    if settings.show_plan {
        print(show::command_line(&settings, &hosts, caller)?)?;
        return Ok(ExitStatus::SUCCESS);
    }
    if settings.info_only {
        let rcmd = settings.rcmd.as_deref().unwrap_or("rsh");
        print(table::table(&settings, &hosts, rcmd, &local_user, caller))?;
        return Ok(ExitStatus::SUCCESS);
    }
    if !caller.is_dsh() {
        return copy::run(&settings, &hosts, &local_user, caller);
    }
    let run =
        |command: PdshCommand<'_>| start::run(&settings, &hosts, command, &local_user, caller);
    if settings.words.is_empty() {
        prompt::serve(&caller.name, |line| run(PdshCommand::Line(&line)))
    } else {
        run(PdshCommand::Words(&settings.words))
    }
}

/// Returns the name of the real user, whom rshd believes.
fn local_user(caller: &PdshCaller) -> Result<String, Ended> {
    uzers::get_user_by_uid(uzers::get_current_uid())
        .and_then(|user| user.name().to_str().map(str::to_owned))
        .ok_or_else(|| caller.ended("who are you?"))
}

/// Finds the targets: the words of `-w`, groups, or the file that `WCOLL` names.
fn targets(settings: &mut PdshSettings, caller: &PdshCaller) -> Result<PdshHostList, Ended> {
    let mut groups = GroupModule::new(settings.groups.clone(), caller);
    groups.fill(&mut settings.wcoll)?;
    settings.slurm.fill(&mut settings.wcoll, caller)?;
    // Every option that names hosts comes before `WCOLL`, as in pdsh.
    if settings.wcoll.hosts.is_none()
        && let Ok(file) = std::env::var("WCOLL")
    {
        settings.wcoll.hosts = Some(wcoll::read_file(&file, caller)?);
    }
    settings.wcoll.filter();
    groups.finish(&mut settings.wcoll)?;
    // A way that is unknown is an error, whether its host is a target or not.
    for (host, own) in settings.wcoll.rcmds() {
        if let Some(name) = &own.rcmd {
            PdshSettings::rcmd_of_name(name, caller).map_err(|_| {
                Ended::Message(format!(
                    "No such rcmd module \"{name}\"\n{}: Failed to register rcmd \"{name}\" for \"{host}\"",
                    caller.who()
                ))
            })?;
        }
    }
    Ok(settings.wcoll.hosts.clone().unwrap_or_default())
}

/// Refuses settings that contradict each other.
fn verify(settings: &PdshSettings, default: Rcmd, caller: &PdshCaller) -> Result<(), Ended> {
    // A local command makes no connection, so pdsh refuses a limit for it.
    if default == Rcmd::Exec && settings.connect_timeout != CONNECT_TIMEOUT {
        return Err(caller.ended("Cannot specify -t with \"-R exec\""));
    }
    for (seconds, name) in [
        (settings.connect_timeout, "connect"),
        (settings.command_timeout, "command"),
    ] {
        if seconds < 0 {
            return Err(caller.ended(format!("{name} timeout must be >= 0")));
        }
    }
    Ok(())
}

/// Returns the defaults of mrsh without its configuration files, which these programs do not have.
fn defaults() -> Result<Cli, Ended> {
    use clap::Parser;
    let cli = Cli::try_parse_from(["mrsh"]);
    let cli = cli.map_err(|error| crate::config::SettingsError::from(Box::new(error)));
    Ok(cli.map_err(Error::from)?)
}
