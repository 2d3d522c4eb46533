//! Waves, and the pauses between them.

use std::time::Duration;

use super::Dispatcher;
use crate::clock::Alarm;
use crate::event::{CancelReason, Event, Finished, Notice};
use crate::policy::Pause;
use crate::run::messages::failed;
use crate::targets::hosts_in_words;
use crate::targets::{TargetId, fold};
use crate::transport::Transport;

/// Maximum length of the names of failed targets in a message, in bytes.
const NAMES: usize = 1000;

/// The waves of a run.
#[derive(Debug)]
pub(super) struct Waves {
    /// Each wave as the index after its last target.
    ends: Vec<usize>,
    /// Index of the current wave.
    current: usize,
    /// Number of targets of this wave that succeeded.
    succeeded: usize,
    /// Targets of this wave that failed.
    failed: Vec<TargetId>,
    pause: Option<WavePause>,
}

/// A pause after the current wave.
#[derive(Debug)]
struct WavePause {
    /// Running time of the clock at its beginning.
    begun: Duration,
    /// The end of a pause of a fixed time.
    until: Option<Alarm>,
}

impl Waves {
    pub(super) fn new(ends: Vec<usize>) -> Waves {
        Waves {
            ends,
            current: 0,
            succeeded: 0,
            failed: Vec::new(),
            pause: None,
        }
    }

    /// Returns the index after the last target of the current wave.
    pub(super) fn end(&self) -> usize {
        self.ends.get(self.current).copied().unwrap_or_default()
    }

    pub(super) fn has_several(&self) -> bool {
        self.ends.len() > 1
    }

    /// Counts the outcome of a target of the current wave. Targets that were never started do not count.
    pub(super) fn count(&mut self, finished: &Finished) {
        // The list of failed targets is needed only for messages about waves.
        if self.has_several() && finished.began.is_some() {
            if finished.outcome.is_success() {
                self.succeeded += 1;
            } else {
                self.failed.push(finished.target);
            }
        }
    }
}

impl<T: Transport> Dispatcher<T> {
    /// Begins the next wave, or the pause before it, if all targets of this one have outcomes and not too many failed.
    /// Returns true if a pause begins, which must be announced.
    pub(in crate::run) fn next_wave(&mut self) -> bool {
        let over = self.waves.end() == self.next && self.is_idle() && self.waves.pause.is_none();
        if !over || !self.has_more() || self.canceller.current().is_some() {
            return false;
        }
        let failures = self.failures();
        // With --max-failures, too many failures have already cancelled the run.
        if self.context.policy.ends_waves(failures, self.targets.len()) {
            let (wave, of) = (self.waves.current + 1, self.waves.ends.len());
            let names = self.failed_names();
            let cause = format!("{} in wave {wave} of {of} ({names})", failed(failures));
            self.drain(cause, CancelReason::Failures);
            return false;
        }
        let Some(pause) = self.context.policy.pause else {
            self.begin_wave();
            return false;
        };
        let clock = &self.context.clock;
        self.waves.pause = Some(WavePause {
            // The deadline does not count stopped time either, so ^Z in a pause must not count twice.
            begun: clock.running(),
            until: match pause {
                Pause::Ask => None,
                Pause::For(time) => Some(clock.alarm(time)),
            },
        });
        true
    }

    fn begin_wave(&mut self) {
        self.waves.current += 1;
        self.waves.succeeded = 0;
        self.waves.failed.clear();
        self.report_wave();
    }

    /// True if the run waits between two waves.
    pub(in crate::run) fn is_paused(&self) -> bool {
        self.waves.pause.is_some()
    }

    /// Returns the end of a pause of a fixed time.
    pub(in crate::run) fn pause_ends_at(&self) -> Option<Alarm> {
        self.waves.pause.as_ref()?.until.clone()
    }

    /// Ends the pause, if there is one, and begins the next wave.
    pub(in crate::run) fn go_on(&mut self) {
        if self.is_paused() {
            self.end_pause();
            self.begin_wave();
        }
    }

    /// Ends the pause, if there is one. The deadline does not count its time.
    pub(super) fn end_pause(&mut self) {
        if let Some(pause) = self.waves.pause.take() {
            let time = self.context.clock.running().saturating_sub(pause.begun);
            // The deadline is for hosts that hang. A long pause must not end commands of the next wave.
            if let Some(deadline) = &mut self.deadline {
                deadline.postpone(time);
            }
        }
    }

    /// Ends the run at a pause, as a wave with a failure would.
    pub(in crate::run) fn end_waves(&mut self) {
        if self.is_paused() {
            let (wave, of) = (self.waves.current + 1, self.waves.ends.len());
            let cause = format!("the run was ended after wave {wave} of {of}");
            self.drain(cause, CancelReason::Declined);
        }
    }

    /// Reports the pause that begins. `keys` is true if keys of the terminal end it. Returns the text.
    pub(in crate::run) fn announce_pause(&mut self, keys: bool) -> String {
        let waves = &self.waves;
        let (wave, of) = (waves.current + 1, waves.ends.len());
        let mut text = format!("wave {wave} of {of}: {} succeeded", waves.succeeded);
        if !waves.failed.is_empty() {
            let names = self.failed_names();
            text.push_str(&format!(", {} failed ({names})", self.waves.failed.len()));
        }
        let end = self.waves.ends.get(self.waves.current + 1);
        let next = end.copied().unwrap_or_default().saturating_sub(self.next);
        text.push_str(&format!("; next: {}", hosts_in_words(next)));
        let at_once = match self.context.policy.pause {
            Some(Pause::For(time)) => {
                text.push_str(&format!(" in {} s", time.as_secs_f64()));
                " at once"
            }
            Some(Pause::Ask) | None => "",
        };
        if self.deadline.is_some() {
            text.push_str("; the deadline does not count the pause");
        }
        text.push_str(&if keys {
            format!("; Enter goes on{at_once}, q ends the run")
        } else {
            go_on_by_signal(at_once)
        });
        self.push(Event::Paused(text.clone()));
        text
    }

    /// Reports the keys that end a pause, after another key.
    pub(in crate::run) fn on_other_key(&mut self) {
        if self.is_paused() {
            self.push(Event::Paused("Enter goes on, q ends the run".to_owned()));
        }
    }

    /// Reports what ends a pause whose terminal is gone.
    pub(in crate::run) fn on_no_keys(&mut self) {
        if self.is_paused() {
            let text = format!("the terminal is gone{}", go_on_by_signal(""));
            self.push(Event::Paused(text));
        }
    }

    /// Reports the first wave, if there are several.
    pub(in crate::run) fn on_first_wave(&mut self) {
        if self.waves.has_several() {
            self.report_wave();
        }
    }

    fn report_wave(&mut self) {
        let (wave, of) = (self.waves.current + 1, self.waves.ends.len());
        let hosts = hosts_in_words(self.waves.end() - self.next);
        let text = format!("wave {wave} of {of}: {hosts}");
        // After an answer, the user sees that it had an effect.
        let verbose = self.context.policy.pause.is_none() || self.waves.current == 0;
        if self.details || !verbose {
            self.push(Event::Notice(Notice { verbose, text }));
        }
    }

    /// Returns the folded names of the failed targets of this wave.
    fn failed_names(&self) -> String {
        let failed = self.waves.failed.iter();
        let labels = failed.map(|target| &*self.targets[target.index()].label);
        let mut names = fold(labels);
        if names.len() > NAMES {
            names.truncate(names.floor_char_boundary(NAMES));
            names.push('…');
        }
        names
    }
}

fn go_on_by_signal(at_once: &str) -> String {
    format!("; kill -USR2 {} goes on{at_once}", std::process::id())
}
