//! The modes of the program: a run, or an answer instead of it.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::{self, BufReader, BufWriter, IsTerminal, Write};
use std::ops::RangeInclusive;
use std::path::Path;

use crate::cli::Cli;
use crate::complete;
use crate::config::Config;
use crate::confirm;
use crate::dry_run;
use crate::error::Error;
use crate::exit::ExitStatus;
use crate::generate;
use crate::inherited;
use crate::listing::Listing;
use crate::messages::{print, print_error, print_message, print_set_up_error, print_with};
use crate::output::{self, Console, SummaryLevel};
use crate::personalities::{self, Call, Personality, Streams};
use crate::plan::{FilterPlan, Plan, RunPlan};
use crate::privilege;
use crate::reader::Reader;
use crate::resume;
use crate::setup;
use reserved_ports::{candidates, kernel};

/// Does what the command line asks for.
///
/// # Errors
/// The command line or the set-up is wrong; no host has been contacted.
pub(crate) fn run(args: &[OsString]) -> Result<ExitStatus, Error> {
    // The rights are dropped before any file is opened, because the caller may lack the right to open it.
    privilege::settle().map_err(Error::system(privilege::DROP))?;
    inherited::reset_signals().map_err(Error::system("take over signals"))?;
    // Before the options are read: an unfinished command line would be an error.
    if args.get(1).is_some_and(|word| word == complete::ARGUMENT) {
        print(complete::answer(&args[2..]))?;
        return Ok(ExitStatus::SUCCESS);
    }
    match personalities::called(args) {
        None => {}
        Some(Personality::Run(cli)) => {
            return carry_out(Plan::new(cli(args)?, BTreeMap::new())?);
        }
        Some(Personality::Filter(run)) => return Ok(filter(args, run)),
        Some(Personality::Program(run)) => return run(args),
    }
    let config = Config::load(args.to_owned())?;
    if let Some(text) = config.cli.generate {
        print(generate::text(text))?;
        return Ok(ExitStatus::SUCCESS);
    }
    if config.cli.show_config {
        print(config.show())?;
        return Ok(ExitStatus::SUCCESS);
    }
    if let Some(path) = &config.cli.journal.resume {
        return resume(path, args, &config.cli);
    }
    carry_out(Plan::new(config.cli, config.groups)?)
}

/// Runs a program that reads and writes text.
fn filter(args: &[OsString], run: fn(&Call<'_>, &mut Streams<'_>) -> ExitStatus) -> ExitStatus {
    let variable = |name: &str| std::env::var_os(name);
    let terminal = io::stdout().is_terminal();
    let mut output = BufWriter::with_capacity(64 * 1024, io::stdout().lock());
    let status = run(
        &Call::new(args, &variable, terminal),
        &mut Streams {
            input: &mut BufReader::with_capacity(64 * 1024, io::stdin().lock()),
            output: &mut output,
            errors: &mut io::stderr().lock(),
        },
    );
    match output.flush() {
        Ok(()) => status,
        Err(error) => {
            if error.kind() != io::ErrorKind::BrokenPipe {
                print_error(&error);
            }
            ExitStatus::of_filter(Err(&error))
        }
    }
}

/// `--resume`.
fn resume(path: &Path, args: &[OsString], typed: &Cli) -> Result<ExitStatus, Error> {
    if typed.journal.status {
        return resume::print_status(path, typed.worst_status);
    }
    let (cli, run) = resume::open(path, args, typed.journal.failed)?;
    if run.numbers.is_empty() {
        return Ok(resume::nothing_left(&run, cli.worst_status));
    }
    carry_out(Plan::resumed(cli, run)?)
}

fn carry_out(plan: Plan) -> Result<ExitStatus, Error> {
    match plan {
        Plan::Ports(range) => print_ports(&range),
        Plan::Filter(plan) => Ok(gather_standard_input(&plan)),
        Plan::Print {
            listing,
            failed,
            warnings,
        } => print_listing(&listing, &failed, &warnings),
        // A script that runs the failed targets again has nothing left to do.
        Plan::NoTargets(reason) => {
            print_error(&reason);
            Ok(ExitStatus::SUCCESS)
        }
        Plan::Run(plan) if plan.dry => print_plan(&plan),
        Plan::Run(plan) => {
            // Before passwords are asked for, and before anything is made or contacted.
            if plan.confirm
                && let Some(status) = confirm::ask(&plan)?
            {
                return Ok(status);
            }
            setup::run(*plan)
        }
    }
}

/// `--ports`.
fn print_ports(range: &RangeInclusive<u16>) -> Result<ExitStatus, Error> {
    let sockets =
        kernel::sockets(range).map_err(Error::system("ask the kernel for its sockets"))?;
    let candidates = candidates(range.clone());
    print(output::ports::describe(range, &candidates, &sockets))?;
    Ok(ExitStatus::SUCCESS)
}

/// `--list` and the other listing modes.
fn print_listing(
    listing: &Listing,
    failed: &[Error],
    warnings: &[String],
) -> Result<ExitStatus, Error> {
    warnings.iter().for_each(|text| print_message(text));
    print_with(|out| listing.write_to(out))?;
    failed
        .iter()
        .for_each(|error| print_set_up_error(error, &[]));
    Ok(if failed.is_empty() {
        ExitStatus::SUCCESS
    } else {
        ExitStatus::SETUP
    })
}

/// `-n`.
fn print_plan(plan: &RunPlan) -> Result<ExitStatus, Error> {
    let (text, all_resolved) =
        dry_run::describe(plan).map_err(Error::system("start the event loop"))?;
    let shows_notices = match plan.report.words {
        SummaryLevel::All => true,
        SummaryLevel::IfFailed => !all_resolved,
        SummaryLevel::None => false,
    };
    plan.notices
        .iter()
        .filter(|notice| shows_notices && (plan.report.verbose || !notice.verbose))
        .for_each(|notice| print_message(&notice.text));
    print(text)?;
    Ok(if all_resolved {
        ExitStatus::SUCCESS
    } else {
        ExitStatus::UNREACHED
    })
}

/// `--gather-stdin`.
fn gather_standard_input(plan: &FilterPlan) -> ExitStatus {
    let mut console =
        Console::stdio(plan.terminals, &Reader::default()).pass_colors(plan.pass_colors);
    let mut input = io::stdin().lock();
    let ended = output::filter(
        &plan.gather,
        plan.label,
        plan.colors,
        &mut input,
        &mut console,
    );
    if let Err(error) = &ended
        && error.kind() != io::ErrorKind::BrokenPipe
    {
        print_error(error);
    }
    ExitStatus::of_filter(ended.as_ref().copied())
}
