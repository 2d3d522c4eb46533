//! The address plan of the fleet: one network for each fault. `fleet` documents it.

use std::net::Ipv4Addr;

/// Behaviour of all hosts of a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    None,
    /// Accepts the connection and sends nothing.
    Silent,
    /// Starts the command without a callback.
    NoCallback,
    /// Closes after the callback, before the status byte.
    Close,
    /// Resets after the callback, before the status byte.
    Reset,
    /// Refuses the command.
    Denied,
    /// Is no rsh daemon.
    Stranger,
    /// Closes without the end marker.
    Cut,
    /// Resets in the middle of the output.
    Lost,
    /// The command ends with the exit status in the host's address ([`exit_status`]).
    Exit,
    /// The command never ends.
    Hang,
    /// Answers late.
    Slow,
    /// Starts the command, and then refuses it in its output.
    DeniedLate,
    /// Calls back from another address.
    Elsewhere,
    /// Calls back from another address, and answers late.
    ElsewhereSlow,
    /// Follows the protocol, and later calls the client's listener again and again.
    Again,
}

impl Fault {
    pub(crate) fn of(address: Ipv4Addr) -> Fault {
        match address.octets() {
            [10, 79, ..] => Fault::Silent,
            [10, 82, ..] => Fault::NoCallback,
            [10, 83, ..] => Fault::Close,
            [10, 84, ..] => Fault::Reset,
            [10, 85, ..] => Fault::Denied,
            [10, 86, ..] => Fault::Stranger,
            [10, 87, ..] => Fault::Cut,
            [10, 88, ..] => Fault::Lost,
            [10, 89, ..] => Fault::Exit,
            [10, 90, ..] => Fault::Hang,
            [10, 91, ..] => Fault::Slow,
            [10, 92, ..] => Fault::DeniedLate,
            [10, 93, ..] => Fault::Elsewhere,
            [10, 94, ..] => Fault::ElsewhereSlow,
            [10, 96, ..] => Fault::Again,
            _ => Fault::None,
        }
    }
}

/// Exit status of [`Fault::Exit`]: 1 to 250.
pub(crate) fn exit_status(address: Ipv4Addr) -> u8 {
    address.octets()[3]
}

/// Second address of a host, from which [`Fault::Elsewhere`] calls back.
pub(crate) fn elsewhere(address: Ipv4Addr) -> Ipv4Addr {
    let [_, _, c, d] = address.octets();
    Ipv4Addr::new(10, 95, c, d)
}
