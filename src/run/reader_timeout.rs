//! Time limit of a cancelled run for a reader of the reports that takes nothing.

use std::time::Duration;

use crate::clock::{Alarm, ProcessClock};
use crate::reader::Reader;

/// A limit on the time for which the reader takes nothing.
#[derive(Debug)]
pub(super) struct ReaderTimeout {
    limit: Duration,
    at: Alarm,
    /// Number of finished writes when the limit was set.
    writes: u64,
    clock: ProcessClock,
    reader: Reader,
}

impl ReaderTimeout {
    /// Returns a timeout that starts now, with the smaller one of `limit` and the limit of the `known` timeout.
    pub(super) fn after(
        limit: Duration,
        known: Option<ReaderTimeout>,
        clock: ProcessClock,
        reader: Reader,
    ) -> Self {
        let limit = known.map_or(limit, |known| known.limit.min(limit));
        ReaderTimeout {
            limit,
            at: clock.alarm(limit),
            writes: reader.writes(),
            clock,
            reader,
        }
    }

    /// Returns a timeout with the same limit that starts now.
    pub(super) fn restart(self) -> Self {
        ReaderTimeout::after(self.limit, None, self.clock, self.reader)
    }

    pub(super) fn at(&self) -> Alarm {
        self.at.clone()
    }

    /// True if the reader has taken nothing since the timeout started.
    pub(super) fn is_reader_idle(&self) -> bool {
        self.reader.writes() == self.writes
    }
}
