//! `mrsh` runs one command on many hosts at once, over rsh or ssh, from one process.
//!
//! Data flows one way: argv ([`cli`]) → [`plan`] → dispatcher ([`run`]) → [`transport`] →
//! [events](event) → [`output`] → [`exit`] status. Imports point down only: `plan` knows the
//! others, `run` knows transports by their trait, `transport` takes its ports from [`reserved_ports`], and
//! `output` sees only events.

#![cfg(target_os = "linux")]

use std::ffi::OsString;
use std::process::ExitCode;

use error::Error;

pub mod cli;
mod clock;
mod complete;
pub mod config;
pub mod dry_run;
pub mod error;
mod error_text;
pub mod event;
pub mod exit;
pub mod generate;
mod help;
mod inherited;
pub mod listing;
mod messages;
mod modes;
pub mod multi_rsh;
pub mod output;
pub mod plan;
pub mod policy;
pub mod privilege;
mod random;
pub mod reader;
pub mod run;
mod setup;
pub mod targets;
pub mod transport;
mod trusted;

/// Runs the whole program and returns the status to end with.
///
/// `no_output` is true if standard output was closed at the start. By now its descriptor is another file.
pub fn main(args: impl IntoIterator<Item = OsString>, no_output: bool) -> ExitCode {
    let args: Vec<OsString> = args.into_iter().collect();
    let result = if no_output {
        Err(Error::NoOutput)
    } else {
        modes::run(&args)
    };
    let status = result.unwrap_or_else(|error| messages::refuse(&error, &args));
    status.end()
}
