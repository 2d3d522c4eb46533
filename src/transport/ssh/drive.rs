//! libssh2's calls as futures: a call is repeated whenever the socket is ready.

use std::time::Duration;

use tokio::time::sleep;

use super::ffi::{CallResult, Libssh2Error, Peer};

/// Pause before a call is repeated that read nothing.
// libssh2 can return EAGAIN without having read the socket, which is no rule of the protocol.
const PAUSE: Duration = Duration::from_millis(5);

/// Number of repeated calls without new data before the first pause.
const MAX_FRUITLESS: u32 = 2;

impl Peer {
    /// Repeats a call until it is done. libssh2 keeps the state of a call between repetitions, so the same call must
    /// be repeated. Cancel safe if the caller then repeats that call or drops the peer.
    pub(super) async fn drive<T>(
        &mut self,
        mut call: impl FnMut(&mut Peer) -> CallResult<T>,
    ) -> Result<T, Libssh2Error> {
        let mut pacer = CallPacer::default();
        loop {
            self.pipe_mut().begin_call();
            if let Some(done) = call(self)? {
                return Ok(done);
            }
            pacer.wait(self).await;
        }
    }
}

/// Waits between repetitions of a call.
#[derive(Debug, Default)]
pub(super) struct CallPacer {
    received: u64,
    fruitless: u32,
}

impl CallPacer {
    /// Waits until a call that could not finish may be repeated. Cancel safe.
    pub(super) async fn wait(&mut self, peer: &mut Peer) {
        // An answer can come only after the request has left.
        peer.pipe_mut().flush();
        if peer.pipe().is_drained() {
            self.fruitless = 0;
            // The next call finds an error of the socket.
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
            // Other tasks and their timers get a turn between two calls.
            0..=MAX_FRUITLESS => tokio::task::yield_now().await,
            _ => sleep(PAUSE).await,
        }
    }
}
