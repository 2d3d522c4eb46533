//! One connection through a session with a host on the way: a channel and a socket pair, and what waits
//! between the two.

use tokio::io::Interest;
use tokio::net::UnixStream;

use super::ffi::{Channel, Fault, Peer};
use crate::transport::scratch;

/// What is read of a target's end at once: a packet's worth.
const PIECE: usize = 32 * 1024;

/// What of a channel may wait for a target that does not take it.
const MOST_HELD: usize = 256 * 1024;

/// One connection through it.
pub(super) struct Tunnel {
    pub(super) channel: Channel,
    /// Our end of the pair.
    end: UnixStream,
    /// What has come of the channel and waits for the target to take it.
    to_target: Vec<u8>,
    /// What the target has sent and the channel has not taken.
    from_target: Vec<u8>,
    /// The target sends no more.
    target_ended: bool,
    /// It has been told so.
    end_told: bool,
    /// The other host sends no more.
    host_ended: bool,
    /// Nothing more will pass.
    pub(super) closing: bool,
}

/// Waits until a target's end has something for us, or takes something from us.
pub(super) async fn any_ready(tunnels: &[Tunnel]) {
    let mut waits: Vec<_> = tunnels
        .iter()
        .filter_map(|tunnel| Some((tunnel, tunnel.interest()?)))
        .map(|(tunnel, interest)| Box::pin(tunnel.end.ready(interest)))
        .collect();
    if waits.is_empty() {
        return std::future::pending().await;
    }
    std::future::poll_fn(|context| {
        for wait in &mut waits {
            if wait.as_mut().poll(context).is_ready() {
                return std::task::Poll::Ready(());
            }
        }
        std::task::Poll::Pending
    })
    .await;
}

impl Tunnel {
    pub(super) fn new(channel: Channel, end: UnixStream) -> Tunnel {
        Tunnel {
            channel,
            end,
            to_target: Vec::new(),
            from_target: Vec::new(),
            target_ended: false,
            end_told: false,
            host_ended: false,
            closing: false,
        }
    }

    /// What to wait for at the target's end.
    fn interest(&self) -> Option<Interest> {
        let reads = !self.target_ended && self.from_target.is_empty();
        match (self.closing, reads, !self.to_target.is_empty()) {
            (true, _, _) | (false, false, false) => None,
            (false, true, false) => Some(Interest::READABLE),
            (false, false, true) => Some(Interest::WRITABLE),
            (false, true, true) => Some(Interest::READABLE | Interest::WRITABLE),
        }
    }

    /// Moves what can be moved, both ways; whether anything was.
    pub(super) fn pump(&mut self, peer: &mut Peer) -> Result<bool, Fault> {
        if self.closing {
            return Ok(false);
        }
        let down = self.deliver(peer)?;
        let up = self.forward(peer)?;
        if self.host_ended && self.to_target.is_empty() {
            self.closing = true;
        }
        Ok(down || up)
    }

    fn deliver(&mut self, peer: &mut Peer) -> Result<bool, Fault> {
        let mut moved = false;
        if !self.host_ended && self.to_target.len() < MOST_HELD {
            peer.pipe_mut().begin();
            let before = peer.queued(self.channel);
            let held = &mut self.to_target;
            let read = scratch::with(|buffer| {
                let read = peer.read(self.channel, 0, buffer);
                if let Ok(Some(n)) = read {
                    held.extend_from_slice(&buffer[..n]);
                }
                read
            })?;
            peer.pipe_mut().pay(read.unwrap_or(0));
            moved |= read.is_some_and(|n| n > 0);
            let after = peer.queued(self.channel);
            if read.is_none_or(|n| n == 0) && before.is_readable && before == after {
                // A connection has one stream only. What else comes would hide its end.
                peer.pipe_mut().begin();
                peer.drop_queued(self.channel, after.bytes)?;
                moved |= after.bytes > 0;
            }
            moved |= !before.is_readable && after.is_readable && after.bytes > 0;
            self.host_ended = peer.at_end(self.channel);
        }
        while !self.to_target.is_empty() {
            match self.end.try_write(&self.to_target) {
                Ok(n) => {
                    self.to_target.drain(..n);
                    moved = true;
                }
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => break,
                Err(_) => {
                    // The target has gone.
                    self.closing = true;
                    break;
                }
            }
        }
        Ok(moved)
    }

    fn forward(&mut self, peer: &mut Peer) -> Result<bool, Fault> {
        let mut moved = false;
        if !self.target_ended && self.from_target.is_empty() {
            let mut piece = vec![0; PIECE];
            match self.end.try_read(&mut piece) {
                Ok(0) => self.target_ended = true,
                Ok(n) => {
                    piece.truncate(n);
                    self.from_target = piece;
                }
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                Err(_) => self.closing = true,
            }
        }
        while !self.from_target.is_empty()
            && peer.window(self.channel) > 0
            && !peer.pipe().has_waiting()
        {
            peer.pipe_mut().begin();
            match peer.write(self.channel, &self.from_target) {
                Ok(Some(n)) if n > 0 => {
                    peer.pipe_mut().pay(n);
                    self.from_target.drain(..n);
                    moved = true;
                }
                Ok(_) => break,
                Err(fault) if fault.is_of_channel() => {
                    self.closing = true;
                    break;
                }
                Err(fault) => return Err(fault),
            }
        }
        if self.target_ended && self.from_target.is_empty() && !self.end_told {
            peer.pipe_mut().begin();
            match peer.end_input(self.channel) {
                Ok(told) => self.end_told = told.is_some(),
                Err(fault) if fault.is_of_channel() => self.closing = true,
                Err(fault) => return Err(fault),
            }
            // Nobody is left to read what the other host still sends.
            self.closing |= self.end_told;
        }
        Ok(moved)
    }
}
