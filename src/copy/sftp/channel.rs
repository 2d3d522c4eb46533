//! The packets of one target: requests in flight by their numbers, and replies cut out of a stream of bytes.

use std::collections::HashMap;

use super::super::queue::{Next, SendQueue};
use super::super::snapshot::Segment;
use super::wire::{self, MAX_PACKET, Reply, SftpRequest, SftpViolation};

/// Maximum number of requests without a reply. OpenSSH's client has as many.
pub(super) const MAX_IN_FLIGHT: usize = 64;

/// Requests to a server and its replies. `T` says what a request is for.
#[derive(Debug)]
pub(super) struct SftpChannel<T> {
    queue: SendQueue,
    /// Start of a packet, its length included.
    packet: Vec<u8>,
    in_flight: HashMap<u32, T>,
    next_id: u32,
}

impl<T> SftpChannel<T> {
    /// Returns a channel that begins with the client's version.
    pub(super) fn new() -> SftpChannel<T> {
        let mut queue = SendQueue::default();
        queue.push(Segment::Bytes(wire::init().into()));
        SftpChannel {
            queue,
            packet: Vec::new(),
            in_flight: HashMap::new(),
            next_id: 0,
        }
    }

    pub(super) fn next(&self) -> Next {
        self.queue.next()
    }

    /// Removes the first `n` bytes of what is to be sent. Returns how many of them are of a file.
    pub(super) fn advance(&mut self, n: u64) -> u64 {
        self.queue.advance(n)
    }

    /// True if a further request may be sent.
    pub(super) fn has_room(&self) -> bool {
        self.in_flight.len() < MAX_IN_FLIGHT
    }

    /// Sends a request, and a part of a file as its last string.
    pub(super) fn send(&mut self, purpose: T, request: &SftpRequest, data: Option<Segment>) {
        let id = self.next_id;
        self.next_id = self.next_id.wrapping_add(1);
        let length = data.as_ref().map(|data| data.length() as u32);
        let packet = request.packet(id, length);
        self.queue.push(Segment::Bytes(packet.into()));
        if let Some(data) = data {
            self.queue.push(data);
        }
        self.in_flight.insert(id, purpose);
    }

    /// Sends the end after everything else.
    pub(super) fn end(&mut self) {
        self.queue.end();
    }

    /// Sends the end at once.
    pub(super) fn end_now(&mut self) {
        self.queue.end_now();
        self.in_flight.clear();
    }

    /// Takes bytes up to the end of a packet from `data`. Returns the packet without its length when it is complete.
    pub(super) fn take_packet(
        &mut self,
        data: &mut &[u8],
    ) -> Result<Option<Vec<u8>>, SftpViolation> {
        self.fill(data, 4);
        let Some(length) = self.packet.first_chunk::<4>() else {
            return Ok(None);
        };
        let length = u32::from_be_bytes(*length) as usize;
        if length > MAX_PACKET {
            return Err(SftpViolation("a packet that is too long"));
        }
        self.fill(data, 4 + length);
        if self.packet.len() < 4 + length {
            return Ok(None);
        }
        let packet = self.packet.split_off(4);
        self.packet.clear();
        Ok(Some(packet))
    }

    fn fill(&mut self, data: &mut &[u8], length: usize) {
        let missing = length.saturating_sub(self.packet.len());
        let (taken, rest) = data.split_at(missing.min(data.len()));
        self.packet.extend_from_slice(taken);
        *data = rest;
    }

    /// Returns the bytes of a packet that is not complete.
    pub(super) fn incomplete(&self) -> &[u8] {
        &self.packet
    }

    /// Reads a reply. Returns what its request was for.
    pub(super) fn reply(&mut self, packet: &[u8]) -> Result<(T, Reply), SftpViolation> {
        let (id, reply) = wire::read_reply(packet)?;
        let purpose = self.in_flight.remove(&id);
        let purpose = purpose.ok_or(SftpViolation("a reply without a request"))?;
        Ok((purpose, reply))
    }
}
