//! One connection through a jump session: a channel, a socket pair, and the data between them.

use tokio::io::Interest;
use tokio::net::UnixStream;

use super::ffi::{Channel, Libssh2Error, Peer};
use crate::transport::scratch;

/// Maximum number of bytes read from a target at once: one packet.
const READ_SIZE: usize = 32 * 1024;

/// Maximum number of bytes of a channel that wait for the target to read them.
const MAX_BUFFERED: usize = 256 * 1024;

/// One connection through a jump session.
pub(super) struct Tunnel {
    pub(super) channel: Channel,
    /// This side's end of the socket pair.
    end: UnixStream,
    /// Data from the channel for the target.
    to_target: Vec<u8>,
    /// Data from the target for the channel.
    from_target: Vec<u8>,
    /// True if the target sends no more.
    target_ended: bool,
    /// True if the end was sent to the other host.
    end_sent: bool,
    /// True if the other host sends no more.
    host_ended: bool,
    /// True if the tunnel can be freed.
    pub(super) closing: bool,
}

/// Waits until one target's end is readable or writable, as needed.
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
            end_sent: false,
            host_ended: false,
            closing: false,
        }
    }

    /// Returns the events to wait for at the target's end.
    fn interest(&self) -> Option<Interest> {
        // No more is read before the channel has taken it all, which bounds the memory.
        let reads = !self.target_ended && self.from_target.is_empty();
        match (self.closing, reads, !self.to_target.is_empty()) {
            (true, _, _) | (false, false, false) => None,
            (false, true, false) => Some(Interest::READABLE),
            (false, false, true) => Some(Interest::WRITABLE),
            (false, true, true) => Some(Interest::READABLE | Interest::WRITABLE),
        }
    }

    /// Copies data in both directions; true if there was any.
    pub(super) fn pump(&mut self, peer: &mut Peer) -> Result<bool, Libssh2Error> {
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

    fn deliver(&mut self, peer: &mut Peer) -> Result<bool, Libssh2Error> {
        let mut moved = false;
        // Data that is not read here fills the window of the channel, which stops the other host.
        if !self.host_ended && self.to_target.len() < MAX_BUFFERED {
            peer.pipe_mut().begin_call();
            let before = peer.queued(self.channel);
            let buffered = &mut self.to_target;
            let read = scratch::with(|buffer| {
                let read = peer.read(self.channel, 0, buffer);
                if let Ok(Some(n)) = read {
                    buffered.extend_from_slice(&buffer[..n]);
                }
                read
            })?;
            peer.pipe_mut().count_useful(read.unwrap_or(0));
            moved |= read.is_some_and(|n| n > 0);
            let after = peer.queued(self.channel);
            if read.is_none_or(|n| n == 0) && before.is_readable && before == after {
                // A TCP connection has one stream. Extended data would hide its end.
                peer.pipe_mut().begin_call();
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
                    // The target has closed its end.
                    self.closing = true;
                    break;
                }
            }
        }
        Ok(moved)
    }

    fn forward(&mut self, peer: &mut Peer) -> Result<bool, Libssh2Error> {
        let mut moved = false;
        if !self.target_ended && self.from_target.is_empty() {
            let mut bytes = vec![0; READ_SIZE];
            match self.end.try_read(&mut bytes) {
                Ok(0) => self.target_ended = true,
                Ok(n) => {
                    bytes.truncate(n);
                    self.from_target = bytes;
                }
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                Err(_) => self.closing = true,
            }
        }
        // The pipe fails if too much waits for the kernel, so nothing is added to it.
        while !self.from_target.is_empty()
            && peer.window(self.channel) > 0
            && !peer.pipe().has_waiting()
        {
            peer.pipe_mut().begin_call();
            match peer.write(self.channel, &self.from_target) {
                Ok(Some(n)) if n > 0 => {
                    peer.pipe_mut().count_useful(n);
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
        if self.target_ended && self.from_target.is_empty() && !self.end_sent {
            peer.pipe_mut().begin_call();
            match peer.end_input(self.channel) {
                Ok(sent) => self.end_sent = sent.is_some(),
                Err(fault) if fault.is_of_channel() => self.closing = true,
                Err(fault) => return Err(fault),
            }
            // The target reads nothing that the other host still sends.
            self.closing |= self.end_sent;
        }
        Ok(moved)
    }
}
