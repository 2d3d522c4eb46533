//! The status that the program ends with. This is the only table of its numbers.
//!
//! | status | meaning |
//! | --- | --- |
//! | 0 | the command succeeded on every host |
//! | 1 | the command failed on some host, and every host was reached |
//! | 2 | wrong usage, configuration or set-up: nothing was run |
//! | 3 | some host could not be reached, timed out or was lost; others may have failed as well |
//! | 4 | stopped early, by failures or the deadline: not every host was run to its end; or the reports could not be written |
//! | a signal | the program dies of the signal that stopped it, and of SIGPIPE when nobody reads |
//!
//! With `--gather-stdin`, 1 says that lines of the input named no host, and 4 that the input could not be
//! read or the report not be written.
//!
//! With `-S` the largest remote status takes the place of 0 and 1, and 255 that of 3.

use std::io;
use std::process::ExitCode;

use signal_hook::consts::SIGPIPE;
use signal_hook::low_level::emulate_default_handler;

use crate::event::{CancelReason, RunStats};

/// How the program ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "somebody has to end with it"]
pub enum ExitStatus {
    /// With this exit status.
    Code(u8),
    /// By this signal.
    Signal(i32),
}

/// What matters most about a run, strongest first.
enum Ending {
    /// A signal stopped it.
    Signaled(i32),
    /// Nobody reads its reports any more.
    Unread,
    /// Its reports cannot be written.
    ReportFailed,
    /// Hosts were stopped at the deadline, or not started for that or for the failures of others.
    StoppedEarly,
    /// Hosts could not be reached, timed out or were lost.
    Unreached,
    /// The command failed on some host.
    CommandFailed,
    /// All is well.
    Succeeded,
}

impl ExitStatus {
    /// The command succeeded on every host.
    pub const SUCCESS: ExitStatus = ExitStatus::Code(0);
    /// The command failed on some host, and every host was reached.
    pub const COMMAND_FAILED: ExitStatus = ExitStatus::Code(1);
    /// Wrong usage, configuration or set-up: nothing was run.
    pub const SETUP: ExitStatus = ExitStatus::Code(2);
    /// Some host could not be reached, timed out or was lost, whatever happened on the others.
    pub const UNREACHED: ExitStatus = ExitStatus::Code(3);
    /// Not every host was run to its end, or the reports could not be written.
    pub const STOPPED: ExitStatus = ExitStatus::Code(4);
    /// With `-S`, some host could not be reached, timed out or was lost.
    pub const WORST_UNREACHED: ExitStatus = ExitStatus::Code(255);

    /// The status of a filter: how many lines of its input named no host, or why it did not end well.
    pub fn of_filter(ended: Result<u64, &io::Error>) -> Self {
        match ended {
            Ok(0) => Self::SUCCESS,
            Ok(_) => Self::COMMAND_FAILED,
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitStatus::Signal(SIGPIPE),
            Err(_) => Self::STOPPED,
        }
    }

    /// The status for a run with these numbers. `worst` is `-S`; `report` is what the reporter
    /// thread ended with.
    pub fn of_run(stats: &RunStats, worst: bool, report: Result<(), &io::Error>) -> Self {
        let worst_status = stats.worst_status.unwrap_or(0);
        match (ending(stats, report), worst) {
            (Ending::Signaled(signal), _) => ExitStatus::Signal(signal),
            (Ending::Unread, _) => ExitStatus::Signal(SIGPIPE),
            (Ending::ReportFailed, _) => Self::STOPPED,
            // What stopped the run may have been the very failure that `-S` is to tell.
            (Ending::StoppedEarly, true) if stats.failed > 0 => Self::WORST_UNREACHED,
            (Ending::StoppedEarly, true) if worst_status > 0 => ExitStatus::Code(worst_status),
            (Ending::StoppedEarly, _) => Self::STOPPED,
            (Ending::Unreached, true) => Self::WORST_UNREACHED,
            (Ending::Unreached, false) => Self::UNREACHED,
            (Ending::CommandFailed, true) => ExitStatus::Code(worst_status.max(1)),
            (Ending::CommandFailed, false) => Self::COMMAND_FAILED,
            (Ending::Succeeded, _) => Self::SUCCESS,
        }
    }

    /// Ends with this status: gives it to `main`, or dies of the signal, so that shells and cron
    /// see what happened. Whatever has to be said must have been written before.
    #[must_use]
    pub fn end(self) -> ExitCode {
        match self {
            ExitStatus::Code(code) => ExitCode::from(code),
            ExitStatus::Signal(signal) => {
                // This comes back only for a signal that kills nobody; a shell would say 128 + n.
                let _ = emulate_default_handler(signal);
                ExitCode::from(u8::try_from(128_i32.saturating_add(signal)).unwrap_or(u8::MAX))
            }
        }
    }
}

/// Weighs what happened.
fn ending(stats: &RunStats, report: Result<(), &io::Error>) -> Ending {
    // Every number is named, so that a new one has to find its place here.
    let RunStats {
        total,
        succeeded,
        exit_failed,
        failed,
        cancelled,
        not_started,
        worst_status: _,
        left_running: _,
        may_be_running: _,
        cancel,
        elapsed: _,
        time_wait: _,
    } = stats;
    match (cancel, report) {
        (Some(CancelReason::Signal(signal)), _) => return Ending::Signaled(*signal),
        (_, Err(error)) if error.kind() == io::ErrorKind::BrokenPipe => return Ending::Unread,
        (_, Err(_)) | (Some(CancelReason::ReportFailed), Ok(())) => return Ending::ReportFailed,
        // Weighed by what became of the hosts: all may have come to their end all the same.
        (None | Some(CancelReason::Failures | CancelReason::Deadline), Ok(())) => {}
    }
    match () {
        () if cancelled + not_started > 0 => Ending::StoppedEarly,
        () if *failed > 0 => Ending::Unreached,
        () if *exit_failed > 0 => Ending::CommandFailed,
        () if succeeded == total => Ending::Succeeded,
        // A host that was counted nowhere was lost by us: never a success.
        () => Ending::Unreached,
    }
}

#[cfg(test)]
mod tests {
    use std::env;
    use std::os::unix::process::ExitStatusExt;
    use std::process::Command;

    use super::*;

    /// Numbers of a run: succeeded, exit failed, failed, cancelled, not started; largest status.
    fn stats(counts: [usize; 5], worst_status: Option<u8>) -> RunStats {
        let [succeeded, exit_failed, failed, cancelled, not_started] = counts;
        RunStats {
            total: counts.iter().sum(),
            succeeded,
            exit_failed,
            failed,
            cancelled,
            not_started,
            worst_status,
            ..RunStats::default()
        }
    }

    #[test]
    fn the_table_of_finished_runs() {
        // The numbers, the largest remote status, the status, the status with -S.
        let table = [
            ([5, 0, 0, 0, 0], Some(0), 0, 0),
            ([5, 0, 0, 0, 0], None, 0, 0),
            ([0, 0, 0, 0, 0], None, 0, 0),
            ([4, 1, 0, 0, 0], Some(7), 1, 7),
            ([4, 1, 0, 0, 0], Some(137), 1, 137),
            ([4, 1, 0, 0, 0], None, 1, 1),
            ([4, 0, 1, 0, 0], Some(0), 3, 255),
            ([3, 1, 1, 0, 0], Some(7), 3, 255),
            ([0, 0, 5, 0, 0], None, 3, 255),
            ([4, 0, 0, 1, 0], Some(0), 4, 4),
            ([4, 0, 0, 0, 1], None, 4, 4),
            ([3, 1, 0, 1, 0], Some(7), 4, 7),
            ([2, 1, 1, 0, 1], Some(7), 4, 255),
        ];
        for (counts, worst_status, plain, worst) in table {
            let stats = stats(counts, worst_status);
            let found = [false, true].map(|flag| ExitStatus::of_run(&stats, flag, Ok(())));
            assert_eq!(found, [plain, worst].map(ExitStatus::Code), "{stats:?}");
        }
    }

    #[test]
    fn the_table_of_broken_runs() {
        let signal = Some(CancelReason::Signal(15));
        let unread = Some(CancelReason::ReportFailed);
        let pipe = io::ErrorKind::BrokenPipe;
        let full = io::ErrorKind::StorageFull;
        let table = [
            (signal, None, ExitStatus::Signal(15)),
            (signal, Some(pipe), ExitStatus::Signal(15)),
            (signal, Some(full), ExitStatus::Signal(15)),
            (unread, Some(pipe), ExitStatus::Signal(SIGPIPE)),
            (None, Some(pipe), ExitStatus::Signal(SIGPIPE)),
            (unread, Some(full), ExitStatus::STOPPED),
            (None, Some(full), ExitStatus::STOPPED),
            (unread, None, ExitStatus::STOPPED),
        ];
        for (cancel, report, expected) in table {
            for counts in [[5, 0, 0, 0, 0], [1, 1, 1, 1, 1]] {
                let stats = RunStats {
                    cancel,
                    ..stats(counts, Some(9))
                };
                let report = report.map(io::Error::from);
                let report = report.as_ref().map_or(Ok(()), Err);
                for flag in [false, true] {
                    let found = ExitStatus::of_run(&stats, flag, report);
                    assert_eq!(found, expected, "{stats:?} {report:?}");
                }
            }
        }
    }

    #[test]
    fn what_called_a_run_off_counts_only_if_it_kept_hosts_from_their_end() {
        for cancel in [CancelReason::Failures, CancelReason::Deadline] {
            let of = |counts, flag| {
                let stats = RunStats {
                    cancel: Some(cancel),
                    ..stats(counts, Some(7))
                };
                ExitStatus::of_run(&stats, flag, Ok(()))
            };
            assert_eq!(of([3, 1, 0, 0, 1], false), ExitStatus::STOPPED);
            assert_eq!(of([3, 0, 0, 2, 0], false), ExitStatus::STOPPED);
            assert_eq!(of([3, 1, 0, 0, 1], true), ExitStatus::Code(7));
            assert_eq!(of([3, 0, 1, 0, 1], true), ExitStatus::WORST_UNREACHED);
            assert_eq!(of([4, 1, 0, 0, 0], false), ExitStatus::COMMAND_FAILED);
            assert_eq!(of([4, 0, 1, 0, 0], false), ExitStatus::UNREACHED);
            assert_eq!(of([5, 0, 0, 0, 0], false), ExitStatus::SUCCESS);
            let full = io::Error::from(io::ErrorKind::StorageFull);
            let stats = RunStats {
                cancel: Some(cancel),
                ..stats([5, 0, 0, 0, 0], None)
            };
            let unwritten = ExitStatus::of_run(&stats, false, Err(&full));
            assert_eq!(unwritten, ExitStatus::STOPPED);
        }
    }

    #[test]
    fn a_host_that_was_not_counted_is_no_success() {
        let stats = RunStats {
            total: 2,
            succeeded: 1,
            ..RunStats::default()
        };
        assert_eq!(
            ExitStatus::of_run(&stats, false, Ok(())),
            ExitStatus::UNREACHED
        );
    }

    #[test]
    fn a_signal_is_died_of() {
        const NAME: &str = "exit::tests::a_signal_is_died_of";
        const VARIABLE: &str = "MRSH_TEST_DIE_OF";
        if let Ok(signal) = env::var(VARIABLE) {
            let _ = ExitStatus::Signal(signal.parse().unwrap()).end();
            return;
        }
        for signal in [1, 2, SIGPIPE, 15] {
            let status = Command::new(env::current_exe().unwrap())
                .args(["--exact", NAME, "--nocapture"])
                .env(VARIABLE, signal.to_string())
                .output()
                .unwrap()
                .status;
            assert_eq!(status.signal(), Some(signal), "{status}");
        }
    }

    #[test]
    fn a_code_is_passed_on() {
        assert_eq!(ExitStatus::SETUP.end(), ExitCode::from(2));
        // SIGCHLD kills nobody: the status is what a shell would show.
        assert_eq!(ExitStatus::Signal(17).end(), ExitCode::from(145));
    }
}
