//! The record of an outcome in `--json` and in journals. The names of the fields are stable.

use std::time::Duration;

use serde::{Serialize, Serializer};

use super::{CancelReason, Finished, LeftRunning, Outcome, RemoteExit, Side};
use crate::error_text::plain;

/// Class and outcome of a defect in mrsh.
pub const INTERNAL: &str = "internal";

/// A time in milliseconds with microsecond precision.
#[derive(Clone, Copy, Debug)]
pub struct Millis(pub Duration);

impl Serialize for Millis {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // Rounded, or the binary fraction would have up to 17 digits.
        serializer.serialize_f64((self.0.as_secs_f64() * 1e6).round() / 1e3)
    }
}

/// The outcome of a target, without the version and the name of the event.
// The order of the fields is the order in the line.
#[derive(Debug, Serialize)]
pub struct FinishedRecord<'a> {
    target: u32,
    label: &'a str,
    outcome: &'static str,
    success: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    signal: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    failure: Option<FailureRecord>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<ReasonRecord>,
    ms: TimesRecord,
    attempts: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    local_port: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    closed_first: Option<&'static str>,
    /// Present only if true.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    left_running: bool,
    /// Present only if true.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    may_be_running: bool,
    /// Result of `--copy`.
    #[serde(skip_serializing_if = "Option::is_none")]
    copy: Option<CopyRecord>,
}

#[derive(Debug, Serialize)]
struct CopyRecord {
    changed: bool,
    files: u64,
    bytes: u64,
    checksum: &'static str,
}

#[derive(Debug, Serialize)]
struct FailureRecord {
    class: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    phase: Option<&'static str>,
    message: String,
}

/// The reason for an early end.
#[derive(Debug, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum ReasonRecord {
    /// A report could not be written.
    ReportFailed,
    /// The journal could not be written.
    JournalFailed,
    /// Too many targets failed.
    Failures,
    /// The user ended the run at a pause.
    Declined,
    /// `--deadline` ended.
    Deadline,
    /// The password for sudo was refused.
    PasswordRefused,
    /// A signal ended the run.
    Signal {
        /// Its number.
        signal: i32,
    },
}

impl From<CancelReason> for ReasonRecord {
    fn from(reason: CancelReason) -> Self {
        match reason {
            CancelReason::ReportFailed => ReasonRecord::ReportFailed,
            CancelReason::JournalFailed => ReasonRecord::JournalFailed,
            CancelReason::Failures => ReasonRecord::Failures,
            CancelReason::Declined => ReasonRecord::Declined,
            CancelReason::Deadline => ReasonRecord::Deadline,
            CancelReason::PasswordRefused => ReasonRecord::PasswordRefused,
            CancelReason::Signal(signal) => ReasonRecord::Signal { signal },
        }
    }
}

#[derive(Debug, Serialize)]
struct TimesRecord {
    #[serde(skip_serializing_if = "Option::is_none")]
    began: Option<Millis>,
    #[serde(skip_serializing_if = "Option::is_none")]
    resolve: Option<Millis>,
    #[serde(skip_serializing_if = "Option::is_none")]
    port_wait: Option<Millis>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_wait: Option<Millis>,
    #[serde(skip_serializing_if = "Option::is_none")]
    connect: Option<Millis>,
    #[serde(skip_serializing_if = "Option::is_none")]
    start: Option<Millis>,
    #[serde(skip_serializing_if = "Option::is_none")]
    run: Option<Millis>,
    #[serde(skip_serializing_if = "Option::is_none")]
    delayed: Option<Millis>,
    total: Millis,
}

impl<'a> FinishedRecord<'a> {
    /// Replaces the number of the target.
    #[must_use]
    pub fn with_number(self, target: u32) -> Self {
        FinishedRecord { target, ..self }
    }

    /// Makes the record of an outcome. `label` is the label of its target.
    #[must_use]
    pub fn new(finished: &Finished, label: &'a str) -> Self {
        let Finished {
            target,
            ref outcome,
            began,
            elapsed,
            facts,
        } = *finished;
        let mut end = FinishedRecord {
            target: target.0,
            label,
            outcome: "",
            success: outcome.is_success(),
            status: None,
            signal: None,
            failure: None,
            reason: None,
            ms: TimesRecord {
                began: began.map(Millis),
                resolve: facts.resolve.map(Millis),
                port_wait: facts.port_wait.map(Millis),
                retry_wait: facts.retry_wait.map(Millis),
                connect: facts.connect.map(Millis),
                start: facts.start.map(Millis),
                run: facts.run.map(Millis),
                // A target that was never started did not wait for this machine.
                delayed: began.map(|_| Millis(facts.delayed(elapsed))),
                total: Millis(elapsed),
            },
            attempts: facts.attempts,
            local_port: facts.local_port,
            closed_first: facts.closed_first.map(side),
            // Each is left out if it is false, since most targets have neither.
            left_running: facts.left_running == LeftRunning::Yes,
            may_be_running: facts.left_running == LeftRunning::Maybe,
            copy: facts.copied.map(|copied| CopyRecord {
                changed: copied.changed,
                files: copied.files,
                bytes: copied.bytes,
                checksum: copied.checksum,
            }),
        };
        end.outcome = match outcome {
            Outcome::Exited(RemoteExit::Code(code)) => {
                end.status = Some(*code);
                "exited"
            }
            Outcome::Exited(RemoteExit::Signaled(signal)) => {
                end.signal = Some(*signal);
                "signaled"
            }
            Outcome::Exited(RemoteExit::Unknown) => "ended",
            Outcome::Failed(failure) => {
                end.failure = Some(FailureRecord {
                    class: failure.class.name(),
                    phase: Some(failure.phase.name()),
                    message: failure.message.clone(),
                });
                "failed"
            }
            Outcome::Cancelled(reason) => {
                end.reason = Some((*reason).into());
                "cancelled"
            }
            Outcome::NotStarted(reason) => {
                end.reason = Some((*reason).into());
                "not-started"
            }
            Outcome::Internal(text) => {
                end.failure = Some(FailureRecord {
                    class: INTERNAL,
                    // A defect can be in any phase.
                    phase: None,
                    message: plain(text),
                });
                INTERNAL
            }
        };
        end
    }
}

fn side(side: Side) -> &'static str {
    match side {
        Side::Local => "local",
        Side::Remote => "remote",
    }
}
