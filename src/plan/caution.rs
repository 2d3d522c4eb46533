//! The part of the plan about caution: the question before a run, pauses between waves, and how a stopped run goes on.

use std::io::{self, IsTerminal};
use std::path::Path;

use crate::cli::Cli;
use crate::error::Error;
use crate::output::Terminals;
use crate::run::signal::PauseInput;

/// True if the user is asked before a run on this number of targets.
///
/// # Errors
/// A pause is typed for a run without waves.
pub(super) fn asks(cli: &Cli, targets: usize) -> Result<bool, Error> {
    // A setting of a file is for runs with waves, and means nothing for others.
    if cli.caution.pause_typed && cli.caution.pause().is_some() && cli.batch.is_none() {
        return Err(Error::PauseWithoutBatch);
    }
    // A comparison changes nothing, so there is nothing to be sure of.
    Ok(cli.caution.asks_for(targets) && !cli.check)
}

/// Returns how the user ends a pause, if the run has pauses.
pub(super) fn pause_input(cli: &Cli, terminals: Terminals) -> Option<PauseInput> {
    cli.caution.pause()?;
    Some(PauseInput {
        // Keys would go to the commands or to the pause, whichever reads first.
        reads_keys: !(cli.stdin && io::stdin().is_terminal()),
        // If standard error is a file, the user at the terminal would not see the question.
        shows_text: !terminals.err,
    })
}

/// Returns the words that say how a run goes on after a failed wave.
pub(super) fn go_on(cli: &Cli) -> String {
    let journal = cli.journal.journal.as_deref();
    if let Some(path) = journal.or(cli.journal.resume.as_deref()) {
        let path = quoted(path);
        return format!("mrsh --resume {path} goes on, and with --failed also where it failed");
    }
    match cli.failed_to.as_deref() {
        Some(path) if path != Path::new("-") => {
            let path = quoted(path);
            format!("the same options with -f {path} go on, also where it failed")
        }
        _ => "with --journal FILE, mrsh --resume FILE could go on".to_owned(),
    }
}

/// Returns a path as a word of shell.
fn quoted(path: &Path) -> String {
    let path = path.to_string_lossy();
    match shlex::try_quote(&path) {
        Ok(quoted) => quoted.into_owned(),
        // Only a NUL byte, which no path has.
        Err(_) => path.into_owned(),
    }
}
