//! The exit status of the program. This is the only table of its numbers.
//!
//! | status | meaning |
//! | --- | --- |
//! | 0 | the command succeeded on every host |
//! | 1 | the command failed on some host, and every host was reached |
//! | 2 | wrong usage, configuration, set-up or password for sudo: nothing was run; or the journal kept hosts from their start |
//! | 3 | some host could not be reached, timed out or was lost; others may have failed as well |
//! | 4 | stopped early, by failures, the deadline or an answer, before every host had ended; or no complete reports |
//! | a signal | the program dies of the signal that stopped it, and of SIGPIPE if nobody reads its output |
//!
//! `--gather-stdin`: 1 means that lines of the input named no host, and 4 that the input could not be read or the
//! report could not be written.
//!
//! `-S`: the largest remote status replaces 0 and 1, and 255 replaces 3.
//!
//! pdsh: 0, whatever happened at the targets; 1 after ^C and for names that cannot be resolved. `-S`: the largest
//! remote status, 254 for a target without one, 255 for a local command that does not exist. `-k`: 1 if a target failed.

use std::io;
use std::process::ExitCode;

use signal_hook::consts::{SIGINT, SIGPIPE};
use signal_hook::low_level::emulate_default_handler;

use crate::event::{CancelReason, FailureClass, RunStats};

/// The end of the program: an exit status or a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "the program must end with it"]
pub enum ExitStatus {
    /// An exit status.
    Code(u8),
    /// Death by this signal.
    Signal(i32),
}

/// The rule by which a run has its exit status.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StatusRule {
    /// The table of this module.
    #[default]
    Own,
    /// The table of this module with `-S`.
    Largest,
    /// The rule of pdsh: failures change nothing, unless an option asks for it.
    Pdsh {
        /// `-S`: the largest remote status.
        largest: bool,
        /// `-k`: the first failure ends the run.
        fail_fast: bool,
    },
}

/// pdsh's status if it ends a run early.
const PDSH_ENDED: ExitStatus = ExitStatus::Code(1);

/// Status of a target without one in pdsh's `-S`.
const PDSH_UNREACHED: u8 = 254;

/// Status of a target in pdsh's `-S` if its local command does not exist.
const PDSH_NOT_STARTED: u8 = 255;

impl StatusRule {
    /// Returns the status of a run. `report` is the result of the reporter thread.
    pub fn status(self, stats: &RunStats, report: Result<(), &io::Error>) -> ExitStatus {
        match self {
            StatusRule::Own => ExitStatus::of_run(stats, false, report),
            StatusRule::Largest => ExitStatus::of_run(stats, true, report),
            StatusRule::Pdsh { largest, fail_fast } => {
                pdsh_status(stats, largest, fail_fast, report)
            }
        }
    }
}

fn pdsh_status(
    stats: &RunStats,
    largest: bool,
    fail_fast: bool,
    report: Result<(), &io::Error>,
) -> ExitStatus {
    let failed = |class| stats.failed_by_class.get(&class).copied().unwrap_or(0);
    match (stats.cancel, report) {
        (Some(CancelReason::Signal(SIGINT)), _) => return PDSH_ENDED,
        (Some(CancelReason::Signal(signal)), _) => return ExitStatus::Signal(signal),
        // pdsh ignores SIGPIPE and the errors of its writes.
        (_, Err(error)) if error.kind() == io::ErrorKind::BrokenPipe => {}
        (_, Err(_)) => return PDSH_ENDED,
        (_, Ok(())) => {}
    }
    if fail_fast && stats.failed + stats.exit_failed > 0 {
        return PDSH_ENDED;
    }
    // pdsh ends before the first connection if it cannot resolve a name.
    if failed(FailureClass::Name) > 0 {
        return PDSH_ENDED;
    }
    if !largest {
        return ExitStatus::SUCCESS;
    }
    let not_started = failed(FailureClass::Spawn);
    let others = stats.failed.saturating_sub(not_started) + stats.cancelled + stats.not_started;
    let unreached = (others > 0).then_some(PDSH_UNREACHED);
    let not_started = (not_started > 0).then_some(PDSH_NOT_STARTED);
    let status = stats.largest_code.max(unreached).max(not_started);
    ExitStatus::Code(status.unwrap_or(0))
}

/// The result of a run, by precedence, highest first.
enum RunResult {
    /// A signal stopped the run.
    Signaled(i32),
    /// The journal cannot be written, which kept hosts from their start.
    NotRecorded,
    /// A host refused the password for sudo, and no command has run.
    PasswordRefused,
    /// The reader of the reports has closed its end.
    Unread,
    /// The reports cannot be written.
    ReportFailed,
    /// The deadline, too many failures or the user kept hosts from their end or their start.
    StoppedEarly,
    /// Hosts could not be reached, timed out or were lost.
    Unreached,
    /// The command failed on some host.
    CommandFailed,
    /// The command succeeded on every host.
    Succeeded,
}

impl ExitStatus {
    /// The command succeeded on every host.
    pub const SUCCESS: ExitStatus = ExitStatus::Code(0);
    /// The command failed on some host, and every host was reached.
    pub const COMMAND_FAILED: ExitStatus = ExitStatus::Code(1);
    /// Wrong usage, configuration, set-up or password for sudo: nothing was run. Or the journal kept hosts from their start.
    pub const SETUP: ExitStatus = ExitStatus::Code(2);
    /// Some host could not be reached, timed out or was lost.
    pub const UNREACHED: ExitStatus = ExitStatus::Code(3);
    /// Not every host was run to its end, or the reports could not be written.
    pub const STOPPED: ExitStatus = ExitStatus::Code(4);
    /// `-S`: some host could not be reached, timed out or was lost.
    pub const WORST_UNREACHED: ExitStatus = ExitStatus::Code(255);

    /// Returns the status of `--gather-stdin`, from the number of lines that named no host, or its error.
    pub fn of_filter(ended: Result<u64, &io::Error>) -> Self {
        match ended {
            Ok(0) => Self::SUCCESS,
            Ok(_) => Self::COMMAND_FAILED,
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitStatus::Signal(SIGPIPE),
            Err(_) => Self::STOPPED,
        }
    }

    /// Returns the status of a run. `worst` is `-S`; `report` is the result of the reporter thread.
    pub fn of_run(stats: &RunStats, worst: bool, report: Result<(), &io::Error>) -> Self {
        let worst_status = stats.worst_status.unwrap_or(0);
        match (run_result(stats, report), worst) {
            (RunResult::Signaled(signal), _) => ExitStatus::Signal(signal),
            (RunResult::NotRecorded | RunResult::PasswordRefused, _) => Self::SETUP,
            (RunResult::Unread, _) => ExitStatus::Signal(SIGPIPE),
            (RunResult::ReportFailed, _) => Self::STOPPED,
            // The failure that stopped the run is the one that `-S` must show.
            (RunResult::StoppedEarly, true) if stats.failed > 0 => Self::WORST_UNREACHED,
            (RunResult::StoppedEarly, true) if worst_status > 0 => ExitStatus::Code(worst_status),
            (RunResult::StoppedEarly, _) => Self::STOPPED,
            (RunResult::Unreached, true) => Self::WORST_UNREACHED,
            (RunResult::Unreached, false) => Self::UNREACHED,
            (RunResult::CommandFailed, true) => ExitStatus::Code(worst_status.max(1)),
            (RunResult::CommandFailed, false) => Self::COMMAND_FAILED,
            (RunResult::Succeeded, _) => Self::SUCCESS,
        }
    }

    /// Returns the status for `main`, or dies of the signal, so that shells and cron see the signal. All output must
    /// have been written before.
    #[must_use]
    pub fn end(self) -> ExitCode {
        match self {
            ExitStatus::Code(code) => ExitCode::from(code),
            ExitStatus::Signal(signal) => {
                // This returns only if the signal does not kill by default. A shell would show 128 + n.
                let _ = emulate_default_handler(signal);
                ExitCode::from(u8::try_from(128_i32.saturating_add(signal)).unwrap_or(u8::MAX))
            }
        }
    }
}

fn run_result(stats: &RunStats, report: Result<(), &io::Error>) -> RunResult {
    // All fields are named, so that a new field does not compile until this function handles it.
    let RunStats {
        total,
        succeeded,
        exit_failed,
        failed,
        cancelled,
        not_started,
        worst_status: _,
        largest_code: _,
        failed_by_class: _,
        left_running: _,
        may_be_running: _,
        cancel,
        elapsed: _,
        time_wait: _,
    } = stats;
    match (cancel, report) {
        (Some(CancelReason::Signal(signal)), _) => return RunResult::Signaled(*signal),
        (Some(CancelReason::JournalFailed), _) if *not_started > 0 => {
            return RunResult::NotRecorded;
        }
        (Some(CancelReason::PasswordRefused), Ok(())) if succeeded + exit_failed == 0 => {
            return RunResult::PasswordRefused;
        }
        (_, Err(error)) if error.kind() == io::ErrorKind::BrokenPipe => return RunResult::Unread,
        (_, Err(_)) | (Some(CancelReason::ReportFailed | CancelReason::JournalFailed), Ok(())) => {
            return RunResult::ReportFailed;
        }
        // The counts decide: all hosts may have ended in spite of the cancellation.
        (
            None
            | Some(
                CancelReason::Failures
                | CancelReason::Declined
                | CancelReason::Deadline
                | CancelReason::PasswordRefused,
            ),
            Ok(()),
        ) => {}
    }
    if cancelled + not_started > 0 {
        RunResult::StoppedEarly
    } else if *failed > 0 {
        RunResult::Unreached
    } else if *exit_failed > 0 {
        RunResult::CommandFailed
    } else if succeeded == total {
        RunResult::Succeeded
    } else {
        // A host that was not counted is a defect of this program, and no success.
        RunResult::Unreached
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
    fn the_table_of_pdsh() {
        let of = |stats: &RunStats| {
            [(false, false), (true, false), (false, true)].map(|(largest, fail_fast)| {
                StatusRule::Pdsh { largest, fail_fast }.status(stats, Ok(()))
            })
        };
        let codes = |codes: [u8; 3]| codes.map(ExitStatus::Code);
        let run = |counts, code, class: Option<FailureClass>| RunStats {
            largest_code: code,
            failed_by_class: class.into_iter().map(|class| (class, 1)).collect(),
            ..stats(counts, None)
        };
        let refused = Some(FailureClass::Refused);
        // The statuses: without options, with -S, with -k.
        for (stats, expected) in [
            (run([2, 0, 0, 0, 0], Some(0), None), [0, 0, 0]),
            (run([1, 1, 0, 0, 0], Some(7), None), [0, 7, 1]),
            (run([1, 1, 0, 0, 0], Some(0), None), [0, 0, 1]),
            (run([1, 0, 1, 0, 0], Some(0), refused), [0, 254, 1]),
            (run([0, 1, 1, 0, 0], Some(255), refused), [0, 255, 1]),
            (
                run([1, 0, 1, 0, 0], None, Some(FailureClass::Spawn)),
                [0, 255, 1],
            ),
            (
                run([1, 0, 1, 0, 0], None, Some(FailureClass::Name)),
                [1, 1, 1],
            ),
        ] {
            assert_eq!(of(&stats), codes(expected), "{stats:?}");
        }
        for (cancel, expected) in [(SIGINT, ExitStatus::Code(1)), (15, ExitStatus::Signal(15))] {
            let stats = RunStats {
                cancel: Some(CancelReason::Signal(cancel)),
                ..stats([0, 0, 0, 2, 0], None)
            };
            assert_eq!(of(&stats), [expected; 3]);
        }
        let rule = StatusRule::Pdsh {
            largest: false,
            fail_fast: false,
        };
        let stats = stats([2, 0, 0, 0, 0], None);
        for (kind, expected) in [
            (io::ErrorKind::BrokenPipe, 0),
            (io::ErrorKind::StorageFull, 1),
        ] {
            let found = rule.status(&stats, Err(&kind.into()));
            assert_eq!(found, ExitStatus::Code(expected));
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
    fn a_cancellation_counts_only_if_it_kept_hosts_from_their_end() {
        for cancel in [
            CancelReason::Failures,
            CancelReason::Declined,
            CancelReason::Deadline,
        ] {
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
    fn the_program_dies_of_the_signal() {
        const NAME: &str = "exit::tests::the_program_dies_of_the_signal";
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
    fn a_code_is_returned() {
        assert_eq!(ExitStatus::SETUP.end(), ExitCode::from(2));
        // SIGCHLD kills nobody: the status is what a shell would show.
        assert_eq!(ExitStatus::Signal(17).end(), ExitCode::from(145));
    }
}
