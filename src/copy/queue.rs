//! The queue of what is to be sent to a target.

use std::collections::VecDeque;

use super::snapshot::Segment;

/// Input of the target's command.
#[derive(Debug)]
pub(super) enum Next {
    /// A part of what is to be sent.
    Segment(Segment),
    /// Nothing before the target's next reply.
    Wait,
    /// The end: the target's input is to be closed.
    End,
}

/// Segments that are to be sent, in order.
#[derive(Debug, Default)]
pub(super) struct SendQueue {
    segments: VecDeque<Segment>,
    is_ended: bool,
}

impl SendQueue {
    /// Returns what is to be sent next.
    pub(super) fn next(&self) -> Next {
        match self.segments.front() {
            Some(segment) => Next::Segment(segment.clone()),
            None if self.is_ended => Next::End,
            None => Next::Wait,
        }
    }

    /// Removes the first `n` bytes of what is to be sent. Returns how many of them are of a file.
    pub(super) fn advance(&mut self, n: u64) -> u64 {
        let Some(first) = self.segments.front_mut() else {
            return 0;
        };
        let of_file = match first {
            Segment::Bytes(_) => 0,
            Segment::File { .. } => n,
        };
        if n >= first.length() {
            self.segments.pop_front();
            return of_file;
        }
        match first {
            Segment::Bytes(bytes) => bytes.advance(n as usize),
            Segment::File { at, length, .. } => {
                *at += n;
                *length -= n;
            }
        }
        of_file
    }

    /// Appends a segment. An empty one would be an end of input.
    pub(super) fn push(&mut self, segment: Segment) {
        if segment.length() > 0 {
            self.segments.push_back(segment);
        }
    }

    /// Sends what is queued, and then the end.
    pub(super) fn end(&mut self) {
        self.is_ended = true;
    }

    /// Sends the end at once.
    pub(super) fn end_now(&mut self) {
        self.segments.clear();
        self.is_ended = true;
    }
}
