//! The pseudo-terminal of a command (`--tty`). No I/O.

/// A request for a pseudo-terminal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TerminalRequest {
    /// Name of the terminal's type, for `TERM`.
    pub name: String,
    /// Columns and rows.
    pub size: (u16, u16),
}

/// Modes of the terminal, as pairs of a number and a value (RFC 4254, section 8).
// Bytes pass through unchanged, and nothing is echoed: the input may have a password. There is no line editing, so a line
// may be longer than the 4096 bytes of a terminal's own.
pub(super) const MODES: &[u8] = &[
    36, 0, 0, 0, 0, // ICRNL
    38, 0, 0, 0, 0, // IXON
    50, 0, 0, 0, 0, // ISIG
    51, 0, 0, 0, 0, // ICANON
    53, 0, 0, 0, 0, // ECHO
    54, 0, 0, 0, 0, // ECHOE
    55, 0, 0, 0, 0, // ECHOK
    56, 0, 0, 0, 0, // ECHONL
    59, 0, 0, 0, 0, // IEXTEN
    70, 0, 0, 0, 0, // OPOST
    72, 0, 0, 0, 0, // ONLCR
    0, // the end
];
