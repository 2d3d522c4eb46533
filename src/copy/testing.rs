//! Helpers for tests of other modules.

use std::sync::Arc;

use super::shell::{Next, ShellChannel};
use super::{CopyResult, Dialogue, HostDialogue, Segment};

/// A dialogue that sends its segments without awaiting replies, and then ends.
#[derive(Debug)]
struct Monologue(ShellChannel);

impl HostDialogue for Monologue {
    fn next(&self) -> Next {
        match self.0.next() {
            Next::Wait => Next::End,
            next => next,
        }
    }

    fn advance(&mut self, n: u64) {
        self.0.advance(n);
    }

    fn receive(&mut self, _: &[u8]) -> Vec<u8> {
        Vec::new()
    }

    fn is_abandoned(&self) -> bool {
        false
    }

    fn result(&self) -> CopyResult {
        CopyResult::default()
    }
}

/// Returns a dialogue that sends these segments, which are not empty, and then ends.
pub fn dialogue(segments: Vec<Segment>) -> Arc<Dialogue> {
    let mut channel = ShellChannel::new(&Arc::from([b'\n']));
    channel.advance(1);
    channel.send(segments);
    Arc::new(Dialogue::new(Box::new(Monologue(channel))))
}
