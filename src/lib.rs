//! `mrsh` runs one command on many hosts at once, over rsh, from one process.
//!
//! Data flows one way: argv → plan → dispatcher → transport → [events](run::event) → reporter →
//! exit status. Imports point down only.

use std::ffi::OsString;
use std::process::ExitCode;

pub mod exit;
pub mod ports;
pub mod report;
pub mod run;
pub mod targets;
pub mod transport;

/// The whole program: parses the arguments, does what they say, and gives the status to end with.
pub fn main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let _ = args;
    ExitCode::from(2)
}
