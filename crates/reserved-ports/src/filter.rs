//! The filter of a dump: the kernel lists a socket only if its local port is in a range.
//!
//! Without it, the kernel writes a message for every connection of the machine, which may be a hundred thousand. The
//! crate for netlink messages has no such attribute, so it is made here. Its form is in linux/inet_diag.h.

use std::ops::RangeInclusive;

/// `INET_DIAG_REQ_BYTECODE`: a program of comparisons.
const BYTECODE: u16 = 1;

/// `INET_DIAG_BC_S_GE`: the local port is at least the number in the next instruction.
const SOURCE_AT_LEAST: u8 = 2;

/// `INET_DIAG_BC_S_LE`: the local port is at most the number in the next instruction.
const SOURCE_AT_MOST: u8 = 3;

/// The length of an instruction (`struct inet_diag_bc_op`). A comparison takes two.
const INSTRUCTION: u8 = 4;

/// Adds the filter to a complete netlink message.
pub(crate) fn append(message: &mut Vec<u8>, ports: &RangeInclusive<u16>) {
    let comparisons = [
        (SOURCE_AT_LEAST, *ports.start()),
        (SOURCE_AT_MOST, *ports.end()),
    ];
    let whole = 2 * INSTRUCTION * 2;
    message.extend_from_slice(&u16::from(4 + whole).to_ne_bytes());
    message.extend_from_slice(&BYTECODE.to_ne_bytes());
    let mut left = whole;
    for (code, port) in comparisons {
        // True: on to the next comparison. False: one instruction past the end, which means "no".
        let (yes, no) = (2 * INSTRUCTION, u16::from(left + INSTRUCTION));
        message.extend_from_slice(&[code, yes]);
        message.extend_from_slice(&no.to_ne_bytes());
        message.extend_from_slice(&[0, 0]);
        message.extend_from_slice(&port.to_ne_bytes());
        left -= yes;
    }
    // The first field of a message is its length.
    let length = u32::try_from(message.len()).unwrap_or(u32::MAX);
    if let Some(field) = message.first_chunk_mut() {
        *field = length.to_ne_bytes();
    }
}
