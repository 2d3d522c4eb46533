//! Set-up of a run: privileges, daemons of `--demo`, password, standard input, transports and reports, in the order
//! in which they can fail. The plan stays as it is; what starts here is passed on as values.

use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;

use tokio::runtime::Runtime;

use crate::copy::Copies;
use crate::copy::fetch::FetchSpec;
use crate::error::Error;
use crate::event::RunStats;
use crate::exit::{ExitStatus, StatusRule};
use crate::messages::{print_error, print_message_on_thread, print_message_without_wait};
use crate::output::{self, Console, Reports};
use crate::plan::RunPlan;
use crate::privilege;
use crate::reader::Reader;
use crate::run::signal::SignalSource;
use crate::run::{self, RunSpec};
use crate::targets::Target;
use crate::transport::input::InputLimits;
use crate::transport::ssh::PasswordSource;
use crate::transport::{Input, LOOKUP_THREADS};
use demo::EmbeddedDaemons;
use journal::OpenJournal;
use transports::Started;

mod demo;
mod journal;
mod ports;
mod transports;
mod user_change;

/// Maximum number of threads for calls that block: name look-ups, and reads of a spooled standard input.
// Every target may want to read at the same time, so the number is bounded.
const BLOCKING_THREADS: usize = LOOKUP_THREADS + 16;

/// Sets up a run and runs it to its end.
///
/// # Errors
/// Something that the run needs is not available. No host has been contacted.
pub(crate) fn run(mut plan: RunPlan) -> Result<ExitStatus, Error> {
    // A run that needs no reserved port gives up the right to them: the daemons of --demo connect to any port that a
    // client names.
    if !plan.binds_reserved() {
        privilege::give_up().map_err(Error::system(privilege::DROP))?;
    }
    let stdin = plan.info.stdin;
    let open_journal = plan
        .journal
        .take()
        .map(|journal| OpenJournal::open(journal, stdin));
    let open_journal = open_journal.transpose()?;
    let demo = if plan.info.demo {
        Some(EmbeddedDaemons::start(&plan)?)
    } else {
        None
    };
    // This comes before the first thread, because the kernel keeps privileges by thread.
    if !plan.transports.starts_processes() {
        privilege::bar_new().map_err(Error::system(privilege::DROP))?;
    }
    // The password is read before the input, which goes to hosts and may follow on the same descriptor.
    let password = password(&plan)?;
    if let Some(change) = &plan.user_change {
        user_change::read_password(change)?;
    }
    let copies = match (plan.copy, plan.fetch) {
        (Some(spec), _) => {
            Some(Copies::to_targets(spec).map_err(Error::system("get random bytes"))?)
        }
        (None, Some(fetch)) => Some(fetches(fetch)?),
        (None, None) => None,
    };
    let input = match &copies {
        Some(copies) => Some(Input::of_copies(copies.clone())),
        None => {
            let head = plan.script.map(|script| script.head);
            input(plan.stdin, head, plan.info.targets.len())?
        }
    };
    let info = Arc::new(plan.info);
    let targets = match &demo {
        Some(demo) => demo.targets(&info.targets),
        None => Arc::clone(&info.targets),
    };
    let mut notices = plan.notices;
    notices.extend(demo.as_ref().map(EmbeddedDaemons::notice));
    let started = Started {
        password,
        input: input.clone(),
        demo: demo.as_ref(),
    };
    let runtime = event_loop()?;
    let transport = runtime.block_on(transports::set_up(
        plan.transports,
        started,
        &targets,
        &mut notices,
    ))?;
    if let Some(change) = &plan.user_change {
        user_change::reuse_password(change, &transport)?;
    }
    let copied = copies.as_ref().map(Copies::progress);
    let reader = Reader::default();
    let console = Console::stdio(plan.terminals, &reader).pass_colors(plan.pass_colors);
    let Reports {
        messages,
        failed: report_failed,
        thread,
    } = output::start(&plan.report, &info, copied, console)
        .map_err(Error::system("set up the reports"))?;
    let mut spec = RunSpec {
        targets,
        fanout: info.fanout,
        connect_timeout: info.connect_timeout,
        command_timeout: info.command_timeout,
        policy: info.policy.clone(),
        descriptors_per_host: plan.descriptors_per_host,
        input: input.clone(),
        journal: None,
        notices,
        reader,
        details: plan.report.verbose,
        go_on: plan.go_on,
        say: Some(print_message_on_thread),
        report_failed,
    };
    let (stats, journal) = runtime.block_on(async {
        let signals = SignalSource::system(plan.keys, plan.pause)
            .map_err(Error::system("take over signals"))?;
        if let Some(input) = input {
            input.look_ahead().await.map_err(Error::Input)?;
        }
        // The last step: a set-up that fails leaves no journal of a run that did nothing.
        let journal = open_journal
            .map(|open| open.start(&info.run_id, &spec.targets))
            .transpose()?;
        if let Some(journal) = &journal {
            spec.journal = Some(journal.writer.journal());
            spec.notices.extend(journal.notice());
        }
        let stats = run::run(spec, transport, signals, messages.clone()).await;
        Ok::<_, Error>((stats, journal))
    })?;
    // A name look-up that hangs must not keep the program.
    runtime.shutdown_background();
    if let Some(copies) = copies {
        copies.join();
    }
    // A closed channel says that the thread has written everything that can be written.
    let mut errors = if messages.is_closed() {
        join_reports(thread, &info.targets, &stats)
    } else {
        // The run has given up waiting for the reader of the reports. The thread ends with the process.
        print_message_without_wait(
            "not all output was written: its reader did not take it in time",
        );
        name_left_running(&info.targets, &stats);
        Vec::new()
    };
    // A resumed run has the status of all its sessions.
    let stats = match journal {
        Some(journal) => journal.end(stats, &mut errors),
        None => stats,
    };
    Ok(status(&stats, plan.status, &errors))
}

/// Returns the source of the password. If that is a descriptor, the password has been read from it.
fn password(plan: &RunPlan) -> Result<PasswordSource, Error> {
    let mut password = plan.transports.password.clone();
    password.read()?;
    Ok(password)
}

/// Opens the destination of fetched files, and starts the thread that writes them.
fn fetches(mut spec: FetchSpec) -> Result<Copies, Error> {
    // A comparison changes nothing, so it makes no directory either.
    let destination = if spec.check {
        output::open_directory(&spec.path)
    } else {
        output::make_directory(&spec.path).map(Some)
    };
    let destination = destination.map_err(|source| Error::FetchDestination {
        path: spec.path.clone(),
        source,
    })?;
    spec.destination = destination.map(Arc::new);
    Copies::from_targets(spec).map_err(Error::system("start the thread that writes files"))
}

/// Returns the input of the commands: `head`, and standard input if they read it.
fn input(
    limits: Option<InputLimits>,
    head: Option<Arc<[u8]>>,
    targets: usize,
) -> Result<Option<Input>, Error> {
    let Some(limits) = limits else {
        return Ok(head.map(Input::of_bytes));
    };
    let input = Input::start(rustix::stdio::stdin(), limits, targets)
        .map_err(Error::system("read standard input"))?;
    Ok(Some(match head {
        Some(head) => input.after(head),
        None => input,
    }))
}

fn event_loop() -> Result<Runtime, Error> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(BLOCKING_THREADS)
        .build()
        .map_err(Error::system("start the event loop"))
}

/// Ends the thread of the reports and returns the errors of those that could not be written.
fn join_reports(
    thread: JoinHandle<Vec<io::Error>>,
    targets: &[Target],
    stats: &RunStats,
) -> Vec<io::Error> {
    thread.join().unwrap_or_else(|_| {
        name_left_running(targets, stats);
        vec![io::Error::other("the reporter panicked")]
    })
}

/// Names the targets whose command may still be running, where the summary cannot do it.
fn name_left_running(targets: &[Target], stats: &RunStats) {
    output::left_running(targets, stats)
        .into_iter()
        .chain(output::may_be_running(targets, stats))
        .for_each(|text| print_message_without_wait(&text));
}

/// Prints the errors of the reports and returns the exit status of the run. A closed pipe is not printed: its
/// reader has read all that it wanted.
fn status(stats: &RunStats, rule: StatusRule, errors: &[io::Error]) -> ExitStatus {
    let is_printed = |error: &&io::Error| error.kind() != io::ErrorKind::BrokenPipe;
    for error in errors.iter().filter(is_printed) {
        print_error(error);
    }
    // Any other error is more important than a closed pipe.
    let written = match errors.iter().find(is_printed).or(errors.first()) {
        Some(error) => Err(error),
        None => Ok(()),
    };
    rule.status(stats, written)
}
