//! Control requests: the state is printed, a pause ends, or the run is stopped.

use std::time::Duration;

use tokio::time::Instant;

use super::{Dispatcher, READER_TIMEOUTS};
use crate::event::CancelReason;
use crate::run::cancel::Urgency;
use crate::run::signal::ControlRequest;
use crate::targets::hosts_in_words;
use crate::transport::Transport;

/// Maximum time between two ^C that stop the run.
const INTERRUPT_INTERVAL: Duration = Duration::from_secs(1);

const INTERRUPT_HINT: &str = "^C again within a second stops the run";

const SIGINT: i32 = 2;

impl<T: Transport> Dispatcher<T> {
    pub(in crate::run) fn on_request(&mut self, request: ControlRequest) {
        match request {
            ControlRequest::PrintState => self.report_state(None),
            ControlRequest::Stop(signal) => self.stop(signal),
            ControlRequest::GoOn => self.go_on(),
            ControlRequest::EndWaves => self.end_waves(),
            ControlRequest::OtherKey => self.on_other_key(),
            ControlRequest::NoKeys => self.on_no_keys(),
            // Nothing runs in a pause, so there is nothing to print and to think over.
            ControlRequest::Interrupt if self.is_paused() || self.is_second_interrupt() => {
                self.stop(SIGINT)
            }
            ControlRequest::Interrupt => self.report_state(Some(INTERRUPT_HINT)),
        }
    }

    /// Handles a request while only the reports are being written. Returns a reason to end the wait for them.
    pub(in crate::run) fn on_late_request(
        &mut self,
        request: ControlRequest,
    ) -> Option<CancelReason> {
        let hint = match request {
            ControlRequest::PrintState => "",
            ControlRequest::GoOn
            | ControlRequest::EndWaves
            | ControlRequest::OtherKey
            | ControlRequest::NoKeys => return None,
            ControlRequest::Stop(signal) => return Some(CancelReason::Signal(signal)),
            ControlRequest::Interrupt if self.is_second_interrupt() => {
                return Some(CancelReason::Signal(SIGINT));
            }
            ControlRequest::Interrupt => "; ^C again within a second stops that",
        };
        if let Some(say) = self.say {
            let hosts = hosts_in_words(self.targets.len());
            say(format!("{hosts} done, the reports are being written{hint}"));
        }
        None
    }

    /// True for a ^C that stops the run: soon after another one, or after a signal that has stopped the run.
    fn is_second_interrupt(&mut self) -> bool {
        let now = Instant::now();
        let last = self.interrupted.replace(now);
        // After a signal, every ^C is a further one, whatever the time between them.
        last.is_some_and(|last| now - last <= INTERRUPT_INTERVAL) || self.canceller.is_by_signal()
    }

    /// Stops the run. A second signal stops it at once.
    fn stop(&mut self, signal: i32) {
        let again = self.canceller.is_by_signal();
        let urgency = if again {
            Urgency::AtOnce
        } else {
            Urgency::Stop
        };
        if !self.started.is_empty() {
            let hosts = hosts_in_words(self.started.len());
            let text = if again {
                format!("stopping {hosts} at once")
            } else {
                format!(
                    "stopping {hosts}: TERM now, KILL after {} s; a further signal stops at once",
                    self.context.policy.kill_after.as_secs_f64()
                )
            };
            self.push_notice(text);
        }
        self.cancel(CancelReason::Signal(signal), urgency);
        self.limit_reader(READER_TIMEOUTS[usize::from(again)]);
    }
}
