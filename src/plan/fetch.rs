//! The part of the plan about `--fetch`: what is fetched, and the directories for it.

use crate::cli::Cli;
use crate::copy::fetch::{FetchPattern, FetchSpec};
use crate::error::Error;
use crate::output::{self, RunInfo};

/// Decides what is fetched. `has_exec` is true if COMMAND is the way to a host.
pub(super) fn decide(
    cli: &Cli,
    info: &RunInfo,
    has_exec: bool,
) -> Result<Option<FetchSpec>, Error> {
    if cli.fetch.is_empty() {
        return Ok(None);
    }
    let usage = |text: &str| Error::Copy(text.to_owned());
    let Some(path) = &cli.dest else {
        return Err(usage("--fetch needs a destination: --dest DIRECTORY"));
    };
    for (is_set, text) in [
        (
            cli.raw,
            "--fetch needs a shell at the hosts, so it cannot be used with --raw",
        ),
        (
            cli.stdin,
            "--fetch sends its script through standard input, so it cannot be used with -i",
        ),
        (
            !cli.command.is_empty() && !has_exec,
            "--fetch runs no COMMAND; run it with a second mrsh",
        ),
        (
            cli.links && cli.dereference,
            "--links fetches links, and --dereference what they point to: give one of them",
        ),
        (
            path.as_os_str().is_empty(),
            "--dest is empty; . is the current directory",
        ),
    ] {
        if is_set {
            return Err(usage(text));
        }
    }
    let mut patterns = Vec::new();
    for text in &cli.fetch {
        // Before the first connection: a wrong path is wrong for all targets.
        let pattern = FetchPattern::new(text.as_os_str())
            .map_err(|error| usage(&format!("--fetch {}: {error}", text.display())))?;
        patterns.push(pattern);
    }
    Ok(Some(FetchSpec {
        patterns,
        path: path.clone(),
        destination: None,
        directories: output::host_names(info).map_err(|error| usage(&error.to_string()))?,
        links: cli.links,
        dereference: cli.dereference,
        max_size: cli.max_size as u64,
        mode: cli.mode,
        check: cli.check,
    }))
}
