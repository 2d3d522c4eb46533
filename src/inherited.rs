//! Signals that the process was started to block or to ignore.
//!
//! A blocked or ignored signal stays so across `execve`. A parent (cron, a supervisor, a script with `trap`) rarely
//! intends this for the programs that it starts:
//!
//! - An ignored CHLD makes the kernel forget how children end, so that a command's status would be lost.
//! - A blocked TERM could not stop a run, nor a command that is started here.
//!
//! Therefore all signals are unblocked, and ignored signals get a handler. Exceptions are HUP, INT and QUIT, which
//! `nohup` and the shell's `&` ignore on purpose, and the signals of job control, which shells without it ignore.
//! Children inherit the same: the standard library unblocks all signals in them and gives PIPE its default.

use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use nix::sys::signal::SigSet;
use signal_hook::consts::{SIGHUP, SIGINT, SIGPIPE, SIGQUIT, SIGTSTP, SIGTTIN, SIGTTOU};

/// Signals that stay ignored. The standard library ignores PIPE, for this process alone.
const KEPT: [i32; 7] = [SIGHUP, SIGINT, SIGQUIT, SIGPIPE, SIGTSTP, SIGTTIN, SIGTTOU];

/// Unblocks all signals and stops ignoring those that are not ignored on purpose. Must be called before any thread or
/// child is started.
///
/// # Errors
/// The system refuses a signal handler or mask.
pub(crate) fn reset_signals() -> io::Result<()> {
    let ignored = ignored();
    for signal in (1..=31).filter(|signal| !KEPT.contains(signal)) {
        if ignored >> (signal - 1) & 1 != 0 && !signal_hook::consts::FORBIDDEN.contains(&signal) {
            // A handler without effect ignores the signal in this process only, because `execve` removes it.
            signal_hook::flag::register(signal, Arc::new(AtomicBool::new(false)))?;
        }
    }
    Ok(SigSet::all().thread_unblock()?)
}

/// Returns the ignored signals as bits: signal 1 is bit 0. Without /proc there are none.
pub(crate) fn ignored() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    status
        .lines()
        .find_map(|line| line.strip_prefix("SigIgn:"))
        .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .unwrap_or(0)
}
