//! Outcome and times of one host, small enough to keep for every host.

use std::fmt::{self, Display, Formatter};
use std::time::Duration;

use crate::event::{Finished, Outcome};

/// A time in tenths of a millisecond, at most five days.
// 32 bits, since a host has nine of these and a run can have a hundred thousand hosts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Tenths(u32);

impl Tenths {
    pub(super) fn seconds(self) -> f64 {
        f64::from(self.0) / 1e4
    }
}

impl From<Duration> for Tenths {
    fn from(time: Duration) -> Self {
        Tenths(u32::try_from(time.as_micros() / 100).unwrap_or(u32::MAX))
    }
}

/// Formats seconds with three decimals and without a unit, for columns of a table.
impl Display for Tenths {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{:.3}", self.seconds())
    }
}

/// Classes of outcomes, as the page counts them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OutcomeClass {
    Succeeded,
    ExitFailed,
    Failed,
    Stopped,
    NotStarted,
}

impl OutcomeClass {
    /// All classes, the best first.
    pub(super) const ALL: [OutcomeClass; 5] = [
        OutcomeClass::Succeeded,
        OutcomeClass::ExitFailed,
        OutcomeClass::Failed,
        OutcomeClass::Stopped,
        OutcomeClass::NotStarted,
    ];

    /// True for a failure. A host that was never started is no failure.
    pub(super) fn is_failure(self) -> bool {
        match self {
            OutcomeClass::ExitFailed | OutcomeClass::Failed | OutcomeClass::Stopped => true,
            OutcomeClass::Succeeded | OutcomeClass::NotStarted => false,
        }
    }

    /// Returns the name in the text of the page.
    pub(super) fn name(self) -> &'static str {
        match self {
            OutcomeClass::Succeeded => "succeeded",
            OutcomeClass::ExitFailed => "command failed",
            OutcomeClass::Failed => "not reached or lost",
            OutcomeClass::Stopped => "stopped",
            OutcomeClass::NotStarted => "not started",
        }
    }

    /// Returns the name of its CSS class.
    pub(super) fn style(self) -> &'static str {
        match self {
            OutcomeClass::Succeeded => "ok",
            OutcomeClass::ExitFailed => "exit",
            OutcomeClass::Failed => "lost",
            OutcomeClass::Stopped => "stopped",
            OutcomeClass::NotStarted => "never",
        }
    }
}

/// The phases of a host's time, in order: the name, and the name of the CSS class.
pub(super) const PHASES: [(&str, &str); 7] = [
    ("resolve", "p0"),
    ("port wait", "p1"),
    ("retry wait", "p5"),
    ("connect", "p2"),
    ("start", "p3"),
    ("run", "p4"),
    ("queued locally", "p6"),
];

/// Outcome and times of a host.
#[derive(Clone, Copy, Debug)]
pub(super) struct HostTimes {
    pub(super) class: OutcomeClass,
    /// Start time, from the start of the run; `None` if the host was never started.
    pub(super) began: Option<Tenths>,
    /// Times in the order of [`PHASES`]; `None` for phases that were not reached.
    pub(super) phases: [Option<Tenths>; PHASES.len()],
    pub(super) elapsed: Tenths,
}

impl HostTimes {
    pub(super) fn of(finished: &Finished) -> Self {
        let Finished {
            ref outcome,
            began,
            elapsed,
            facts,
            ..
        } = *finished;
        // A target that was never started did not wait for this machine.
        let delayed = began.map(|_| facts.delayed(elapsed));
        HostTimes {
            class: match outcome {
                outcome if outcome.is_success() => OutcomeClass::Succeeded,
                Outcome::Exited(_) => OutcomeClass::ExitFailed,
                Outcome::Failed(_) | Outcome::Internal(_) => OutcomeClass::Failed,
                Outcome::Cancelled(_) => OutcomeClass::Stopped,
                Outcome::NotStarted(_) => OutcomeClass::NotStarted,
            },
            began: began.map(Tenths::from),
            phases: [
                facts.resolve,
                facts.port_wait,
                facts.retry_wait,
                facts.connect,
                facts.start,
                facts.run,
                delayed,
            ]
            .map(|time| time.map(Tenths::from)),
            elapsed: elapsed.into(),
        }
    }

    /// Returns the index of the longest phase.
    pub(super) fn longest_phase(&self) -> usize {
        let longest = (0..PHASES.len()).max_by_key(|at| self.phases[*at].unwrap_or_default());
        longest.unwrap_or_default()
    }
}

/// Formats a time with three digits and a unit, for a sentence.
pub(super) fn words(seconds: f64) -> String {
    match seconds {
        // Above these limits, rounding would give one digit too many, such as `1000 ms`.
        s if s < 0.9995 => format!("{:.0} ms", s * 1e3),
        s if s < 9.995 => format!("{s:.2} s"),
        s if s < 99.95 => format!("{s:.1} s"),
        // Rounded, 59.7 s would be 60 s of the same minute.
        s if s < 3600.0 => format!("{} min {:.0} s", (s / 60.0).floor(), (s % 60.0).floor()),
        s => format!(
            "{} h {} min",
            (s / 3600.0).floor(),
            (s % 3600.0 / 60.0).floor()
        ),
    }
}
