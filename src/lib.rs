//! `mrsh` runs one command on many hosts at once, over rsh or ssh, from one process.
//!
//! Data flows one way: argv (`cli`) → `plan` → dispatcher (`run`) → `transport` → events (`event`) → `output` →
//! status (`exit`). Imports point down only: `plan` knows the others, `run` knows transports by their trait,
//! `transport` takes its ports from [`reserved_ports`], and `output` sees only events.
//!
//! All modules are private, so that the compiler reports dead code.

#![cfg(target_os = "linux")]

use std::ffi::OsString;
use std::process::ExitCode;

use error::Error;

mod cli;
mod clock;
mod complete;
mod config;
mod confirm;
mod copy;
mod dry_run;
mod error;
mod error_text;
mod event;
mod exit;
mod generate;
mod help;
mod inherited;
mod journal;
mod listing;
mod messages;
mod modes;
mod output;
mod personalities;
mod plan;
mod policy;
mod privilege;
mod random;
mod reader;
mod resume;
mod run;
mod script;
mod setup;
mod spool;
mod targets;
mod transport;
mod trusted;

/// Parts of the program for the integration tests and the fuzz targets. They are not an interface and change
/// without notice.
#[doc(hidden)]
pub mod internals {
    pub use crate::targets::groups::{Groups, Places, regroup};
    pub use crate::targets::{HostList, HostResolver, Limits, Origin, TargetListBuilder, fold};

    #[cfg(fuzzing)]
    pub use crate::{
        copy::fetch::{ArchiveEvent, ArchiveReader, listed_names},
        copy::replay,
        event::{RemoteExit, Stream},
        journal::{JournalState, Progress},
        output::testing::printed,
        transport::TransportError,
        transport::rsh::output::MainStream,
        transport::rsh::wire::{OutputStart, RefusalText, classify_start, request},
        transport::ssh::fuzzed::{SessionEnd, session},
        transport::ssh::gate::{Gate, Violation},
        transport::wrap::EndMarker,
    };
}

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
