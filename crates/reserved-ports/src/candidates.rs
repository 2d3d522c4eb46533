//! The ports that a pool may use: a range without the ports that others on this machine need.

use std::fs;
use std::ops::RangeInclusive;
use std::path::Path;

/// Source ports that rshd accepts as those of a privileged program (rshd(8): from `IPPORT_RESERVED/2` on).
pub const RESERVED: RangeInclusive<u16> = 512..=1023;

/// A choice of source ports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SourcePorts {
    /// [`RESERVED`], which rshd demands, without the ports that others need.
    Reserved,
    /// Ports that the kernel chooses, for daemons that do not check them.
    Any,
    /// Ports of this range.
    Range(RangeInclusive<u16>),
}

impl SourcePorts {
    /// True if rshd accepts all of them.
    #[must_use]
    pub fn are_reserved(&self) -> bool {
        match self {
            SourcePorts::Reserved => true,
            SourcePorts::Any => false,
            SourcePorts::Range(range) => {
                RESERVED.contains(range.start()) && RESERVED.contains(range.end())
            }
        }
    }
}

/// Ports in 512–1023 on which a server of this machine may want to listen later, or from which no packet arrives.
const WANTED_BY_OTHERS: [RangeInclusive<u16>; 26] = [
    // exec, login, shell and printer: rexecd, rlogind, rshd and lpd.
    512..=515,
    540..=540,
    543..=544,
    548..=548,
    554..=554,
    563..=563,
    587..=587,
    // IPMI RMCP, and 664 for its secure form: a management controller that shares the network card takes their packets.
    623..=623,
    631..=631,
    636..=636,
    646..=646,
    // Kerberos: administration, version 4, and propagation to replicas (754).
    655..=655,
    664..=664,
    749..=751,
    754..=754,
    774..=774,
    783..=783,
    830..=830,
    853..=853,
    860..=860,
    873..=873,
    // lwresd and rndc of BIND.
    921..=921,
    953..=953,
    // FTP, telnet, IMAP and POP3 over TLS.
    989..=990,
    992..=993,
    995..=995,
];

/// A reason not to use a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Skip {
    /// Servers or management controllers need it.
    WantedByOthers,
    /// `/etc/bindresvport.blacklist` names it.
    Blacklist,
    /// `net.ipv4.ip_local_reserved_ports` names it.
    LocalReserved,
}

/// Ports of a range that a pool may use, and the others with the reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidates {
    /// Ports to use, in ascending order.
    pub usable: Vec<u16>,
    /// Ports to leave unused, in ascending order.
    pub skipped: Vec<(u16, Skip)>,
}

/// Divides a range by the machine's own lists: `/etc/bindresvport.blacklist` and the setting
/// `net.ipv4.ip_local_reserved_ports`. A list that cannot be read counts as empty, because both are optional.
///
/// ```
/// use reserved_ports::{RESERVED, Skip, candidates};
///
/// let found = candidates(RESERVED);
/// assert!(!found.usable.contains(&623));
/// assert!(found.skipped.contains(&(623, Skip::WantedByOthers)));
/// ```
#[must_use]
pub fn candidates(range: RangeInclusive<u16>) -> Candidates {
    let read = |path: &str| fs::read_to_string(Path::new(path)).unwrap_or_default();
    sort_out(
        range,
        &blacklist(&read("/etc/bindresvport.blacklist")),
        &reserved_ports(&read("/proc/sys/net/ipv4/ip_local_reserved_ports")),
    )
}

fn sort_out(
    range: RangeInclusive<u16>,
    blacklist: &[u16],
    reserved: &[RangeInclusive<u16>],
) -> Candidates {
    let mut found = Candidates {
        usable: Vec::new(),
        skipped: Vec::new(),
    };
    for port in range {
        let skip = if WANTED_BY_OTHERS.iter().any(|r| r.contains(&port)) {
            Some(Skip::WantedByOthers)
        } else if blacklist.contains(&port) {
            Some(Skip::Blacklist)
        } else if reserved.iter().any(|r| r.contains(&port)) {
            Some(Skip::LocalReserved)
        } else {
            None
        };
        match skip {
            Some(why) => found.skipped.push((port, why)),
            None => found.usable.push(port),
        }
    }
    found
}

/// One port a line, `#` comments: bindresvport.blacklist(5).
fn blacklist(text: &str) -> Vec<u16> {
    text.lines()
        .filter_map(|line| line.split('#').next()?.trim().parse().ok())
        .collect()
}

/// `8080,9148-9150`: the kernel's ip-sysctl documentation.
fn reserved_ports(text: &str) -> Vec<RangeInclusive<u16>> {
    text.trim()
        .split(',')
        .filter_map(|item| match item.split_once('-') {
            Some((lo, hi)) => Some(lo.parse().ok()?..=hi.parse().ok()?),
            None => item.parse().ok().map(|p| p..=p),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leaves_the_reserved_range_478_ports() {
        let found = sort_out(RESERVED, &[], &[]);
        assert_eq!(found.usable.len(), 478);
        assert_eq!(found.usable.len() + found.skipped.len(), 512);
        assert!(found.skipped.contains(&(623, Skip::WantedByOthers)));
    }

    #[test]
    fn reads_the_machines_lists() {
        let black = blacklist("# comment\n\n 700 # cups\nrubbish\n701\n");
        let kept = reserved_ports("800,802-804\n");
        let found = sort_out(699..=805, &black, &kept);
        let skipped: Vec<u16> = found.skipped.iter().map(|s| s.0).collect();
        assert_eq!(
            skipped,
            [700, 701, 749, 750, 751, 754, 774, 783, 800, 802, 803, 804]
        );
        assert!(reserved_ports("\n").is_empty());
    }
}
