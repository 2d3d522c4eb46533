//! The loopback addresses of the daemons.

use std::net::Ipv4Addr;

/// Address of the first daemon. The others follow in order.
const FIRST: Ipv4Addr = Ipv4Addr::new(127, 77, 0, 1);
/// Last address of the loopback network that is not its broadcast address.
const LAST: Ipv4Addr = Ipv4Addr::new(127, 255, 255, 254);
/// Highest index with an address of its own.
const HIGHEST_INDEX: u32 = LAST.to_bits() - FIRST.to_bits();

/// Returns the loopback address of the daemon with this index.
///
/// The eleven million addresses of the loopback network have one daemon each. Higher indices share
/// the last address; [`Daemons::run_commands`](crate::Daemons::run_commands) refuses such fleets.
#[must_use]
pub fn address(index: u32) -> Ipv4Addr {
    Ipv4Addr::from_bits(FIRST.to_bits() + index.min(HIGHEST_INDEX))
}

/// Returns the index of the daemon with this address. The inverse of [`address`].
pub(crate) fn index(address: Ipv4Addr) -> Option<usize> {
    let index = address.to_bits().checked_sub(FIRST.to_bits())?;
    usize::try_from(index).ok()
}

/// True if there are enough addresses for this number of daemons.
pub(crate) fn suffice_for(daemons: usize) -> bool {
    u32::try_from(daemons).is_ok_and(|daemons| daemons <= HIGHEST_INDEX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_count_up_and_stay_on_loopback() {
        assert_eq!(address(0), Ipv4Addr::new(127, 77, 0, 1));
        assert_eq!(address(300), Ipv4Addr::new(127, 77, 1, 45));
        assert_eq!(address(u32::MAX), LAST);
        for number in [0, 1, 70_000, 999_999] {
            assert!(address(number).is_loopback());
            assert_eq!(index(address(number)), Some(number as usize));
        }
        assert_eq!(index(Ipv4Addr::LOCALHOST), None);
    }

    #[test]
    fn more_daemons_than_addresses_are_noticed() {
        assert!(suffice_for(0));
        assert!(suffice_for(11_000_000));
        assert!(!suffice_for(12_000_000));
        assert!(!suffice_for(usize::MAX));
    }
}
