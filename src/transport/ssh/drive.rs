//! libssh2's calls as futures: called again whenever the socket has something for them.

use std::time::Duration;

use tokio::time::sleep;

use super::ffi::{Fault, Peer, Step};

/// libssh2 can say "again" without having looked at the socket. Twice in a row is no rule of the
/// protocol, so it is given time.
const PAUSE: Duration = Duration::from_millis(5);

/// How long a peer that cannot say what it waits for is left alone at most.
const FRUITLESS: u32 = 2;

impl Peer {
    /// Makes a call until it is done. It is always the same call: libssh2 keeps its state between them.
    /// Cancel safe as far as the caller makes the same call again, or none but to drop the peer.
    pub(super) async fn drive<T>(
        &mut self,
        mut call: impl FnMut(&mut Peer) -> Step<T>,
    ) -> Result<T, Fault> {
        let mut turns = Turns::default();
        loop {
            self.pipe_mut().begin();
            if let Some(done) = call(self)? {
                return Ok(done);
            }
            turns.wait(self).await;
        }
    }
}

/// What was seen of a peer between calls.
#[derive(Debug, Default)]
pub(super) struct Turns {
    received: u64,
    fruitless: u32,
}

impl Turns {
    /// Waits until it makes sense to make a call again that could not be done. Cancel safe.
    pub(super) async fn wait(&mut self, peer: &mut Peer) {
        peer.pipe_mut().flush();
        if peer.pipe().is_drained() {
            self.fruitless = 0;
            // An error of the socket is found by the next call.
            let _ = peer.pipe().ready().await;
            return;
        }
        let received = peer.pipe().received();
        if received == self.received {
            self.fruitless += 1;
        } else {
            self.fruitless = 0;
            self.received = received;
        }
        match self.fruitless {
            0..=FRUITLESS => tokio::task::yield_now().await,
            _ => sleep(PAUSE).await,
        }
    }
}
