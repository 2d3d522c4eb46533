//! The text of `--ports`: sockets of the kernel on the source ports, and the ports that a run may use.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::ops::RangeInclusive;
use std::time::Duration;

use reserved_ports::kernel::{KernelSocket, KernelState};
use reserved_ports::{Candidates, Skip};

/// The sockets on one port.
#[derive(Debug, Default)]
struct PortSockets {
    listeners: usize,
    live: usize,
    waiting: Vec<Duration>,
}

/// Describes the ports of `range`, a line for each that has a socket.
#[must_use]
pub fn describe(
    range: &RangeInclusive<u16>,
    candidates: &Candidates,
    sockets: &[KernelSocket],
) -> String {
    let mut ports: BTreeMap<u16, PortSockets> = BTreeMap::new();
    for socket in sockets {
        let port = ports.entry(socket.local.port()).or_default();
        match socket.state {
            KernelState::Listen => port.listeners += 1,
            KernelState::Live => port.live += 1,
            KernelState::Waiting(left) => port.waiting.push(left),
        }
    }
    // Nobody can bind to the port of a listener, even with SO_REUSEADDR.
    let taken = |p: &&u16| ports.get(p).is_some_and(|port| port.listeners > 0);
    let usable = candidates.usable.len() - candidates.usable.iter().filter(taken).count();
    let mut text = String::new();
    let mut line = |args: std::fmt::Arguments| {
        text.write_fmt(args)
            .expect("a string takes all that is written");
        text.push('\n');
    };
    line(format_args!(
        "source ports {}-{}: {usable} usable at once towards each host",
        range.start(),
        range.end()
    ));
    for (why, words) in [
        (
            Skip::WantedByOthers,
            "servers or management controllers want",
        ),
        (Skip::Blacklist, "/etc/bindresvport.blacklist names"),
        (
            Skip::LocalReserved,
            "net.ipv4.ip_local_reserved_ports names",
        ),
    ] {
        let of_kind = candidates
            .skipped
            .iter()
            .filter(|s| s.1 == why)
            .map(|s| s.0);
        let list = ranges(of_kind);
        if !list.is_empty() {
            line(format_args!("not used, because {words} them: {list}"));
        }
    }
    for (number, port) in &ports {
        let mut parts = Vec::new();
        if port.listeners > 0 {
            parts.push("listened on".to_owned());
        }
        if port.live > 0 {
            parts.push(format!("{} in use", port.live));
        }
        // One port can have hundreds of connections, so only the first and the last time are shown.
        if let (Some(first), Some(last)) = (port.waiting.iter().min(), port.waiting.iter().max()) {
            let (first, last) = (first.as_secs(), last.as_secs());
            let when = if first == last {
                format!("{last}")
            } else {
                format!("{first} to {last}")
            };
            parts.push(format!(
                "{} closing or in TIME_WAIT, free in {when} s",
                port.waiting.len()
            ));
        }
        line(format_args!("port {number}: {}", parts.join("; ")));
    }
    if ports.is_empty() {
        line(format_args!("no socket of this machine is on any of them"));
    }
    text
}

/// `512-515 540`: consecutive numbers as ranges.
fn ranges(numbers: impl Iterator<Item = u16>) -> String {
    let mut runs: Vec<RangeInclusive<u16>> = Vec::new();
    for n in numbers {
        match runs.last_mut() {
            Some(run) if *run.end() + 1 == n => *run = *run.start()..=n,
            _ => runs.push(n..=n),
        }
    }
    let words = runs.iter().map(|run| match (run.start(), run.end()) {
        (lo, hi) if lo == hi => lo.to_string(),
        (lo, hi) => format!("{lo}-{hi}"),
    });
    words.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::SocketAddr;

    fn socket(port: u16, state: KernelState) -> KernelSocket {
        KernelSocket {
            local: SocketAddr::from(([10, 0, 0, 1], port)),
            peer: SocketAddr::from(([10, 0, 0, 2], 514)),
            state,
        }
    }

    #[test]
    fn each_port_is_shown_with_its_sockets() {
        let candidates = Candidates {
            usable: vec![600, 601, 602, 603],
            skipped: vec![
                (512, Skip::WantedByOthers),
                (513, Skip::WantedByOthers),
                (623, Skip::WantedByOthers),
                (700, Skip::Blacklist),
            ],
        };
        let wait = |s| KernelState::Waiting(Duration::from_secs(s));
        let sockets = [
            socket(600, KernelState::Listen),
            socket(601, wait(12)),
            socket(601, wait(59)),
            socket(601, KernelState::Live),
            socket(602, wait(3)),
        ];
        insta::assert_snapshot!(describe(&(512..=1023), &candidates, &sockets), @r"
        source ports 512-1023: 3 usable at once towards each host
        not used, because servers or management controllers want them: 512-513 623
        not used, because /etc/bindresvport.blacklist names them: 700
        port 600: listened on
        port 601: 1 in use; 2 closing or in TIME_WAIT, free in 12 to 59 s
        port 602: 1 closing or in TIME_WAIT, free in 3 s
        ");
        let none = Candidates {
            usable: vec![],
            skipped: vec![],
        };
        insta::assert_snapshot!(describe(&(512..=1023), &none, &[]), @r"
        source ports 512-1023: 0 usable at once towards each host
        no socket of this machine is on any of them
        ");
    }
}
