//! Addresses and networks in text form: `192.0.2.7`, `10.1.0.0/16`, `2001:db8::/32`.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// A range of addresses with a common prefix. A single address has the longest possible prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Network {
    /// The first address.
    address: IpAddr,
    /// The number of bits that all addresses share.
    prefix: u8,
}

/// A text that names no network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected an address or a network, such as 192.0.2.7 or 10.1.0.0/16")]
pub struct NotANetwork;

impl Network {
    /// True if the address is in the range.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address) {
            (IpAddr::V4(net), IpAddr::V4(ip)) => same(net.to_bits(), ip.to_bits(), 32, self.prefix),
            (IpAddr::V6(net), IpAddr::V6(ip)) => {
                same(net.to_bits(), ip.to_bits(), 128, self.prefix)
            }
            _ => false,
        }
    }

    /// True if some address is in both ranges.
    #[must_use]
    pub fn overlaps(&self, other: &Network) -> bool {
        // CIDR ranges never overlap in part (RFC 4632): the shorter prefix has all addresses of the other range or none.
        self.contains(other.address) || other.contains(self.address)
    }

    /// Returns the text of several networks, separated by commas.
    #[must_use]
    pub fn list(networks: &[Network]) -> String {
        let texts: Vec<String> = networks.iter().map(Network::to_string).collect();
        texts.join(",")
    }

    /// True for a single address.
    #[must_use]
    pub fn is_single(&self) -> bool {
        self.prefix == width(self.address)
    }
}

/// The number of bits of an address.
fn width(address: IpAddr) -> u8 {
    match address {
        IpAddr::V4(_) => 32,
        IpAddr::V6(_) => 128,
    }
}

/// True if two numbers of `width` bits agree in the first `prefix` bits.
fn same(a: impl Into<u128>, b: impl Into<u128>, width: u32, prefix: u8) -> bool {
    let differ = a.into() ^ b.into();
    // A prefix of 0 would shift by the whole width, which overflows.
    differ.checked_shr(width - u32::from(prefix)).unwrap_or(0) == 0
}

impl FromStr for Network {
    type Err = NotANetwork;

    fn from_str(text: &str) -> Result<Network, NotANetwork> {
        let (address, prefix) = match text.split_once('/') {
            // Rust's parser of numbers accepts a plus sign.
            Some((address, digits)) if digits.bytes().all(|b| b.is_ascii_digit()) => {
                (address, Some(digits.parse().map_err(|_| NotANetwork)?))
            }
            Some(_) => return Err(NotANetwork),
            None => (text, None),
        };
        let typed: IpAddr = address.parse().map_err(|_| NotANetwork)?;
        let prefix = prefix.unwrap_or(width(typed));
        if prefix > width(typed) {
            return Err(NotANetwork);
        }
        // The bits of the host are cleared, so that equal networks are equal values.
        let masked = |bits: u128, width: u8| {
            let host_bits = u32::from(width - prefix);
            let kept = bits.checked_shr(host_bits).unwrap_or(0);
            kept.checked_shl(host_bits).unwrap_or(0)
        };
        let address = match typed {
            IpAddr::V4(ip) => {
                let bits = masked(ip.to_bits().into(), 32);
                IpAddr::V4(u32::try_from(bits).map_err(|_| NotANetwork)?.into())
            }
            IpAddr::V6(ip) => IpAddr::V6(masked(ip.to_bits(), 128).into()),
        };
        Ok(Network { address, prefix })
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_single() {
            write!(f, "{}", self.address)
        } else {
            write!(f, "{}/{}", self.address, self.prefix)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn network(text: &str) -> Network {
        text.parse().unwrap()
    }

    #[test]
    fn networks_contain_their_addresses_and_no_others() {
        for (net, inside, outside) in [
            ("10.1.0.0/16", "10.1.255.255", "10.2.0.0"),
            ("10.1.7.9/16", "10.1.0.0", "10.0.255.255"),
            ("192.0.2.7", "192.0.2.7", "192.0.2.8"),
            ("0.0.0.0/0", "255.255.255.255", "::1"),
            ("2001:db8::/32", "2001:db8:ffff::1", "2001:db9::"),
            ("::/0", "ffff::1", "10.0.0.1"),
            ("::1", "::1", "::2"),
        ] {
            assert!(network(net).contains(inside.parse().unwrap()), "{net}");
            assert!(!network(net).contains(outside.parse().unwrap()), "{net}");
        }
        assert_eq!(network("10.1.7.9/16").to_string(), "10.1.0.0/16");
        assert_eq!(network("10.1.7.9/32").to_string(), "10.1.7.9");
        assert!(network("10.0.0.0/8").overlaps(&network("10.1.0.0/16")));
        assert!(network("10.1.0.0/16").overlaps(&network("10.0.0.0/8")));
        assert!(!network("10.1.0.0/16").overlaps(&network("10.2.0.0/16")));
    }

    #[test]
    fn texts_that_are_no_network_are_refused() {
        for text in [
            "",
            "h1",
            "10.1",
            "10.0.0.0/33",
            "10.0.0.0/",
            "10.0.0.0/+8",
            "10.0.0.0/-1",
            "::/129",
            "/8",
            "10.0.0.0/8/8",
            "10.0.0.0/999",
        ] {
            assert_eq!(text.parse::<Network>(), Err(NotANetwork), "{text}");
        }
    }

    proptest! {
        #[test]
        fn printed_networks_parse_to_the_same_value(bits: u128, prefix in 0..=128_u8, v4: bool) {
            let text = if v4 {
                format!("{}/{}", std::net::Ipv4Addr::from(bits as u32), prefix / 4)
            } else {
                format!("{}/{prefix}", std::net::Ipv6Addr::from(bits))
            };
            let network = network(&text);
            prop_assert_eq!(network.to_string().parse(), Ok(network));
            prop_assert!(network.contains(network.address));
            prop_assert!(network.overlaps(&network));
        }
    }
}
