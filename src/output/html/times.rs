//! How one host ended and what its time went into, small enough to be kept for every host.

use std::fmt::{self, Display, Formatter};
use std::time::Duration;

use crate::event::{Finished, Outcome};

/// A time in tenths of a millisecond; after five days it stays what it is.
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

/// In seconds to the millisecond, without the unit: what the columns of a table have.
impl Display for Tenths {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{:.3}", self.seconds())
    }
}

/// The ways to end, as they are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    Succeeded,
    ExitFailed,
    Failed,
    Stopped,
    NotStarted,
}

impl Class {
    /// All of them, best first.
    pub(super) const ALL: [Class; 5] = [
        Class::Succeeded,
        Class::ExitFailed,
        Class::Failed,
        Class::Stopped,
        Class::NotStarted,
    ];

    /// True if something went wrong on the host. Nothing did on one that was never started.
    pub(super) fn is_failure(self) -> bool {
        match self {
            Class::ExitFailed | Class::Failed | Class::Stopped => true,
            Class::Succeeded | Class::NotStarted => false,
        }
    }

    /// Its name, as it is spelled in the page.
    pub(super) fn name(self) -> &'static str {
        match self {
            Class::Succeeded => "succeeded",
            Class::ExitFailed => "command failed",
            Class::Failed => "not reached or lost",
            Class::Stopped => "stopped",
            Class::NotStarted => "not started",
        }
    }

    /// Its name in the style.
    pub(super) fn style(self) -> &'static str {
        match self {
            Class::Succeeded => "ok",
            Class::ExitFailed => "exit",
            Class::Failed => "lost",
            Class::Stopped => "stopped",
            Class::NotStarted => "never",
        }
    }
}

/// What a host's time went into, in its order. Each has its name, and its name in the style.
pub(super) const PHASES: [(&str, &str); 7] = [
    ("resolve", "p0"),
    ("port wait", "p1"),
    ("retry wait", "p5"),
    ("connect", "p2"),
    ("start", "p3"),
    ("run", "p4"),
    ("queued locally", "p6"),
];

/// A host's end and its times.
#[derive(Clone, Copy, Debug)]
pub(super) struct HostTimes {
    pub(super) class: Class,
    /// When it was started, from the run's beginning; `None` if it never was.
    pub(super) began: Option<Tenths>,
    /// In the order of [`PHASES`]; `None` where it did not come so far.
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
        let delayed = began.map(|_| facts.delayed(elapsed));
        HostTimes {
            class: match outcome {
                outcome if outcome.is_success() => Class::Succeeded,
                Outcome::Exited(_) => Class::ExitFailed,
                Outcome::Failed(_) | Outcome::Internal(_) => Class::Failed,
                Outcome::Cancelled(_) => Class::Stopped,
                Outcome::NotStarted(_) => Class::NotStarted,
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

    /// The phase that took longest.
    pub(super) fn longest_phase(&self) -> usize {
        let longest = (0..PHASES.len()).max_by_key(|at| self.phases[*at].unwrap_or_default());
        longest.unwrap_or_default()
    }
}

/// A time as people want it in a sentence: to three digits.
pub(super) fn words(seconds: f64) -> String {
    match seconds {
        s if s < 0.9995 => format!("{:.0} ms", s * 1e3),
        s if s < 9.995 => format!("{s:.2} s"),
        s if s < 99.95 => format!("{s:.1} s"),
        s if s < 3600.0 => format!("{} min {:.0} s", (s / 60.0).floor(), (s % 60.0).floor()),
        s => format!(
            "{} h {} min",
            (s / 3600.0).floor(),
            (s % 3600.0 / 60.0).floor()
        ),
    }
}
