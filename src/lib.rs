//! `mrsh` runs one command on many hosts at once, over rsh or ssh, from one process.
//!
//! Data flows one way: argv ([`cli`]) → [`plan`] → dispatcher ([`run`]) → [`transport`] →
//! [events](event) → [`report`] → [`exit`] status. Imports point down only: `plan` knows the
//! others, `run` knows transports by their trait, `transport` takes its ports from [`reserved_ports`], and
//! `report` sees only events.

#![cfg(target_os = "linux")]

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::{self, Write};
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use config::{Config, ConfigError};
use error::Error;
use event::Notice;
use exit::ExitStatus;
use fake_rshd::{CallbackPort, Daemons, Shell};
use help::with_help;
use plan::{FilterPlan, Plan, RunPlan, TransportPlan};
use reader::Reader;
use report::{Console, Reports, Words};
use reserved_ports::{PortPool, RESERVED, SourcePorts, candidates, kernel, may_bind};
use run::signal::SignalSource;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use targets::{Target, TransportKind};
use transport::any::AnyTransport;
use transport::exec::ExecTransport;
use transport::exec::openssh::OpenSshTransport;
use transport::rsh::RshTransport;
use transport::ssh::SshTransport;
use transport::ssh::prompt::Terminal;
use transport::{Input, LOOKUP_THREADS, NameResolver};

pub mod cli;
mod clock;
mod complete;
pub mod config;
pub mod dry_run;
pub mod error;
pub mod event;
pub mod exit;
pub mod generate;
mod help;
mod inherited;
pub mod listing;
pub mod multi_rsh;
pub mod plan;
pub mod privilege;
mod random;
pub mod reader;
pub mod report;
pub mod run;
pub mod targets;
pub mod transport;
mod trusted;

/// The most threads for what blocks: look-ups of names, and reads of a spooled standard input, of which every
/// host may want one.
const BLOCKING_THREADS: usize = LOOKUP_THREADS + 16;

/// What must not fail where the program's file lends rights to its caller.
const NO_LOAN: &str = "give up the rights that the program's file lends";

/// The whole program: parses the arguments, does what they say, and gives the status to end with.
///
/// `no_output` is true if standard output was closed at the start; it is another file by now.
pub fn main(args: impl IntoIterator<Item = OsString>, no_output: bool) -> ExitCode {
    let args: Vec<OsString> = args.into_iter().collect();
    if no_output {
        refuse(&Error::NoOutput, &args);
        return ExitStatus::SETUP.end();
    }
    match run_args(args.clone()) {
        Ok(status) => status.end(),
        Err(Error::Config(ConfigError::CommandLine(error))) => {
            if error.use_stderr() {
                say(&cli::usage::message(&error));
                return ExitStatus::SETUP.end();
            }
            // Help and version come this way too; a closed pipe is no reason to say more.
            match error.print() {
                Err(lost) if lost.kind() != io::ErrorKind::BrokenPipe => {
                    complain(&Error::system("write to standard output")(lost));
                    ExitStatus::SETUP.end()
                }
                _ => ExitStatus::SUCCESS.end(),
            }
        }
        Err(error) => {
            refuse(&error, &args);
            ExitStatus::SETUP.end()
        }
    }
}

fn run_args(args: Vec<OsString>) -> Result<ExitStatus, Error> {
    // Before any file is opened: it would be with rights that the caller lacks.
    privilege::settle().map_err(Error::system(NO_LOAN))?;
    inherited::settle_signals().map_err(Error::system("take over signals"))?;
    if args.get(1).is_some_and(|word| word == complete::ARGUMENT) {
        print(complete::answer(&args[2..]))?;
        return Ok(ExitStatus::SUCCESS);
    }
    if multi_rsh::is_called(&args) {
        return carry_out(Plan::new(multi_rsh::cli(args)?, BTreeMap::new())?);
    }
    let config = Config::load(args)?;
    if let Some(what) = config.cli.generate {
        print(generate::text(what))?;
        return Ok(ExitStatus::SUCCESS);
    }
    if config.cli.show_config {
        print(config.show())?;
        return Ok(ExitStatus::SUCCESS);
    }
    carry_out(Plan::new(config.cli, config.groups)?)
}

fn carry_out(plan: Plan) -> Result<ExitStatus, Error> {
    match plan {
        Plan::Ports(range) => show_ports(&range),
        Plan::Filter(plan) => Ok(run_filter(&plan)),
        Plan::Print {
            listing,
            failed,
            warnings,
        } => {
            warnings.iter().for_each(|text| say(text));
            let mut out = io::stdout().lock();
            printed(listing.write_to(&mut out).and_then(|()| out.flush()))?;
            failed.iter().for_each(|error| refuse(error, &[]));
            Ok(match failed.is_empty() {
                true => ExitStatus::SUCCESS,
                false => ExitStatus::SETUP,
            })
        }
        Plan::NoTargets(why) => {
            complain(&why);
            Ok(ExitStatus::SUCCESS)
        }
        Plan::Run(plan) if plan.dry => show_plan(&plan),
        Plan::Run(plan) => run_plan(*plan),
    }
}

/// Prints a set-up error with its causes and its help. `args` are the words of the command line.
fn refuse(error: &Error, args: &[OsString]) {
    say(&with_help(with_causes(error), error.help(args)));
}

/// Prints an error with its causes, on standard error.
fn complain(error: &dyn std::error::Error) {
    say(&with_causes(error));
}

/// The text of an error with its causes.
fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let words = error.to_string();
        // Some errors of others say their causes themselves.
        if !text.ends_with(&words) {
            text.push_str(": ");
            text.push_str(&words);
        }
        cause = error.source();
    }
    text
}

/// Prints a line of this program's own on standard error.
fn say(text: &str) {
    let mut line = format!("mrsh: {text}\n");
    error::without_numbers(&mut line);
    // There is no third stream to complain on.
    let _ = io::stderr().write_all(line.as_bytes());
}

/// The same from the event loop, which must not wait for the reader of standard error.
fn say_aside(text: String) {
    tokio::task::spawn_blocking(move || say(&text));
}

/// The same at the end, unless it would wait for a reader of standard error that has stopped.
fn say_if_read(text: &str) {
    let err = rustix::stdio::stderr();
    let mut asked = [PollFd::new(&err, PollFlags::OUT)];
    if poll(&mut asked, Some(&Timespec::default())) != Ok(0) {
        say(text);
    }
}

fn show_ports(range: &RangeInclusive<u16>) -> Result<ExitStatus, Error> {
    let sockets =
        kernel::sockets(range).map_err(Error::system("ask the kernel for its sockets"))?;
    print(report::ports::describe(
        range,
        &candidates(range.clone()),
        &sockets,
    ))?;
    Ok(ExitStatus::SUCCESS)
}

fn show_plan(plan: &RunPlan) -> Result<ExitStatus, Error> {
    let (text, all_found) =
        dry_run::describe(plan).map_err(Error::system("start the event loop"))?;
    let says = match plan.report.words {
        Words::All => true,
        Words::IfFailed => !all_found,
        Words::None => false,
    };
    let notes = plan.run.notices.iter();
    notes
        .filter(|note| says && (plan.report.verbose || !note.verbose))
        .for_each(|note| say(&note.text));
    print(text)?;
    Ok(match all_found {
        true => ExitStatus::SUCCESS,
        false => ExitStatus::UNREACHED,
    })
}

/// Prints the whole answer to what was asked instead of a run.
fn print(text: impl AsRef<[u8]>) -> Result<(), Error> {
    printed(io::stdout().write_all(text.as_ref()))
}

/// A reader that has gone wants no more; that is no failure.
fn printed(written: io::Result<()>) -> Result<(), Error> {
    match written {
        Err(e) if e.kind() != io::ErrorKind::BrokenPipe => {
            Err(Error::system("write to standard output")(e))
        }
        _ => Ok(()),
    }
}

/// Gathers what comes on standard input.
fn run_filter(plan: &FilterPlan) -> ExitStatus {
    let mut console =
        Console::stdio(plan.terminals, &Reader::default()).pass_colors(plan.pass_colors);
    let mut input = io::stdin().lock();
    let ended = report::filter(
        &plan.gather,
        plan.label,
        plan.colors,
        &mut input,
        &mut console,
    );
    if let Err(error) = &ended
        && error.kind() != io::ErrorKind::BrokenPipe
    {
        complain(error);
    }
    ExitStatus::of_filter(ended.as_ref().copied())
}

/// Sets up everything that a run needs, in the order in which it can fail, then runs.
fn run_plan(mut plan: RunPlan) -> Result<ExitStatus, Error> {
    if !plan.binds_reserved() {
        privilege::give_up().map_err(Error::system(NO_LOAN))?;
    }
    // Outlives the run: dropping it ends the daemons and what they run.
    let _demo = if plan.demo {
        Some(set_up_demo(&mut plan)?)
    } else {
        None
    };
    // Before the first thread, for the kernel keeps rights by thread.
    if !plan.transports.starts_processes() {
        privilege::bar_new().map_err(Error::system(NO_LOAN))?;
    }
    // Before the input, which may follow it on the same descriptor and goes to hosts.
    plan.transports.read_password()?;
    let input = match plan.stdin {
        Some(limits) => {
            let input = Input::start(rustix::stdio::stdin(), limits, plan.run.targets.len())
                .map_err(Error::system("read standard input"))?;
            plan.transports.feed(&input);
            plan.run.input = Some(input.clone());
            Some(input)
        }
        None => None,
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(BLOCKING_THREADS)
        .build()
        .map_err(Error::system("start the event loop"))?;
    let transport = runtime.block_on(set_up(
        plan.transports,
        &plan.run.targets,
        &mut plan.run.notices,
    ))?;
    plan.run.say = Some(say_aside);
    let console = Console::stdio(plan.terminals, &plan.run.reader).pass_colors(plan.pass_colors);
    let targets = Arc::clone(&plan.info.targets);
    let Reports {
        messages,
        failed,
        thread,
    } = report::start(&plan.report, plan.info, console)
        .map_err(Error::system("set up the reports"))?;
    plan.run.report_failed = failed;
    let stats = runtime.block_on(async {
        let signals =
            SignalSource::system(plan.keys).map_err(Error::system("take over signals"))?;
        if let Some(input) = input {
            input.look_ahead().await.map_err(Error::Input)?;
        }
        Ok::<_, Error>(run::run(plan.run, transport, signals, messages.clone()).await)
    })?;
    // A name look-up that hangs must not keep the program.
    runtime.shutdown_background();
    let tell_left = || {
        let left = report::left_running(&targets, &stats).into_iter();
        left.chain(report::may_be_running(&targets, &stats))
            .for_each(|text| say_if_read(&text));
    };
    let unwritten = if messages.is_closed() {
        // The thread has written all that can be.
        thread.join().unwrap_or_else(|_| {
            tell_left();
            vec![io::Error::other("the reporter panicked")]
        })
    } else {
        // The wait for it was given up; the process ends without.
        say_if_read("not all output was written: its reader did not take it in time");
        tell_left();
        Vec::new()
    };
    let is_loud = |error: &&io::Error| error.kind() != io::ErrorKind::BrokenPipe;
    for error in unwritten.iter().filter(is_loud) {
        complain(error);
    }
    let written = match unwritten.iter().find(is_loud).or(unwritten.first()) {
        Some(error) => Err(error),
        None => Ok(()),
    };
    Ok(ExitStatus::of_run(&stats, plan.worst_status, written))
}

/// Makes the transports that the run's targets take.
async fn set_up(
    plan: TransportPlan,
    targets: &[Target],
    notes: &mut Vec<Notice>,
) -> Result<AnyTransport, Error> {
    let no_random = "get random bytes";
    let resolver = NameResolver::default();
    let mut pool = None;
    let rsh = match plan.rsh {
        Some(options) => {
            let pool = pool.insert(port_pool(&plan.source_ports, targets.len(), notes)?);
            let rsh = RshTransport::new(options, pool.clone(), resolver.clone());
            Some(rsh.map_err(Error::system(no_random))?)
        }
        None => None,
    };
    let ssh = match plan.ssh {
        Some(options) => {
            let pool = match pool {
                Some(pool) if plan.ssh_source_ports == plan.source_ports => pool,
                _ => port_pool(&plan.ssh_source_ports, targets.len(), notes)?,
            };
            let mine = targets
                .iter()
                .filter(|target| target.transport_or(plan.default) == TransportKind::Ssh);
            let mut told = Vec::new();
            let asked = &mut Terminal;
            let ssh = SshTransport::new(options, mine, pool, resolver, asked, &mut told).await?;
            notes.extend(told.into_iter().map(|note| Notice {
                verbose: note.verbose,
                text: note.text,
            }));
            Some(Box::new(ssh))
        }
        None => None,
    };
    let openssh = plan.openssh.map(OpenSshTransport::new).transpose();
    Ok(AnyTransport {
        default: plan.default,
        rsh,
        ssh,
        openssh: openssh.map_err(Error::system(no_random))?,
        exec: plan.exec.map(ExecTransport::new),
    })
}

/// Starts embedded daemons for all targets and directs the plan to them.
fn set_up_demo(plan: &mut RunPlan) -> Result<Daemons, Error> {
    let labels = plan.run.targets.iter().map(|target| &*target.label);
    let token = random::token().map_err(Error::system("get random bytes"))?;
    let shell = Shell::new(token.clone(), labels).label_variable("MRSH_HOST");
    let daemons =
        Daemons::run_commands(shell).map_err(Error::system("start the embedded daemons"))?;
    let reserved = daemons.callback_port() == CallbackPort::Reserved;
    let mut targets = plan.run.targets.to_vec();
    for (index, target) in (0..).zip(&mut targets) {
        target.host = fake_rshd::address(index).to_string().into();
        target.port = Some(daemons.port());
        target.transport = Some(TransportKind::Rsh);
    }
    plan.run.targets = targets.into();
    plan.run.descriptors_per_host += fake_rshd::DESCRIPTORS_PER_SESSION;
    if let Some(rsh) = &mut plan.transports.rsh {
        rsh.local_user = token;
        rsh.reserved_callers = reserved;
    }
    if !reserved {
        plan.transports.source_ports = SourcePorts::Any;
    }
    let ports = match &plan.transports.source_ports {
        SourcePorts::Any if reserved => "any".to_owned(),
        SourcePorts::Any => "any, for want of the right to use 512-1023".to_owned(),
        SourcePorts::Reserved => words(&RESERVED),
        SourcePorts::Range(range) => words(range),
    };
    plan.run.notices.push(Notice {
        verbose: false,
        text: format!(
            "demo: embedded daemons on loopback answer for every host; source ports: {ports}"
        ),
    });
    Ok(daemons)
}

/// A range as it is typed.
fn words(range: &RangeInclusive<u16>) -> String {
    format!("{}-{}", range.start(), range.end())
}

/// Fewest targets for which the kernel is asked what the ports are doing. It looks through a table of all
/// connections that is sized by the machine's memory: that takes milliseconds, and trying a port that is
/// taken takes microseconds.
const WORTH_ASKING: usize = 64;

/// Makes the pool of source ports and fills it with what the kernel knows of them, if there are enough
/// targets for that.
fn port_pool(
    source_ports: &SourcePorts,
    targets: usize,
    notes: &mut Vec<Notice>,
) -> Result<PortPool, Error> {
    let range = match source_ports {
        SourcePorts::Any => return Ok(PortPool::ephemeral()),
        SourcePorts::Reserved => RESERVED,
        SourcePorts::Range(range) => range.clone(),
    };
    let usable = candidates(range.clone()).usable;
    if usable.is_empty() {
        return Err(Error::NoPorts {
            range: words(&range),
        });
    }
    may_bind(&usable).map_err(|error| match error.kind() {
        io::ErrorKind::PermissionDenied if source_ports.are_reserved() => Error::NoRightToBind {
            range: words(&range),
            program: std::env::current_exe().unwrap_or_else(|_| PathBuf::from("mrsh")),
        },
        io::ErrorKind::PermissionDenied => Error::NoRightToBindOutside {
            range: words(&range),
        },
        _ => Error::system("bind a source port")(error),
    })?;
    let mut seed = [0; 8];
    random::fill(&mut seed).map_err(Error::system("get random bytes"))?;
    let pool = PortPool::new(usable, u64::from_ne_bytes(seed));
    if targets < WORTH_ASKING {
        return Ok(pool);
    }
    match kernel::sockets(&range) {
        Ok(sockets) => pool.observe(&sockets),
        // The pool finds out by trying; that takes longer and is no failure.
        Err(error) => notes.push(Notice {
            verbose: true,
            text: format!("the kernel's sockets are not known at the start: {error}"),
        }),
    }
    Ok(pool)
}
