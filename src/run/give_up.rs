//! The time after which a run that is to stop does not wait any longer for the reader of its reports.

use std::time::Duration;

use crate::clock::{Alarm, ProcessClock};
use crate::reader::Reader;

/// A moment at which a reader that takes nothing is given up.
#[derive(Debug)]
pub(super) struct GiveUp {
    /// The time for which it may take nothing.
    patience: Duration,
    at: Alarm,
    /// Number of writes that it had taken when this was set.
    writes: u64,
    clock: ProcessClock,
    reader: Reader,
}

impl GiveUp {
    /// A moment so long from now on; earlier, if the reader was to be given up in less time.
    pub(super) fn after(
        patience: Duration,
        known: Option<GiveUp>,
        clock: ProcessClock,
        reader: Reader,
    ) -> Self {
        let patience = known.map_or(patience, |known| known.patience.min(patience));
        GiveUp {
            patience,
            at: clock.alarm(patience),
            writes: reader.writes(),
            clock,
            reader,
        }
    }

    /// The same time, from now on.
    pub(super) fn anew(self) -> Self {
        GiveUp::after(self.patience, None, self.clock, self.reader)
    }

    pub(super) fn at(&self) -> Alarm {
        self.at.clone()
    }

    /// True if the reader has taken nothing since this was set.
    pub(super) fn is_reader_idle(&self) -> bool {
        self.reader.writes() == self.writes
    }
}
