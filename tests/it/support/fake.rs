//! Scripted daemons on loopback addresses and a port of their own.

use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use mrsh::demo::{Demo, Script, Seen, demo_address};

use super::Mrsh;

/// How long a test waits for something that a daemon is to see.
const DEADLINE: Duration = Duration::from_secs(20);

/// Daemons that play scripts; see [`Script`].
#[derive(Debug)]
pub(crate) struct FakeRshd {
    demo: Demo,
    hosts: u32,
    seen: Receiver<Seen>,
}

impl FakeRshd {
    /// One daemon.
    pub(crate) fn playing(script: Script) -> FakeRshd {
        FakeRshd::playing_all(vec![script])
    }

    /// A daemon for each script, at consecutive addresses.
    pub(crate) fn playing_all(scripts: Vec<Script>) -> FakeRshd {
        let (sender, seen) = channel();
        let hosts = u32::try_from(scripts.len()).unwrap();
        FakeRshd {
            demo: Demo::scripted(scripts, sender).unwrap(),
            hosts,
            seen,
        }
    }

    /// A call of the program for all of these daemons, with no demand on source ports.
    pub(crate) fn mrsh(&self) -> Mrsh {
        self.mrsh_from("any")
    }

    /// The same with `--source-ports`.
    pub(crate) fn mrsh_from(&self, source_ports: &str) -> Mrsh {
        let hosts: Vec<String> = (0..self.hosts).map(host).collect();
        Mrsh::new()
            .args(&["--source-ports", source_ports, "-w", &hosts.join(",")])
            .args(&["-p", &self.demo.port().to_string()])
    }

    /// Waits until a daemon has read a request.
    #[track_caller]
    pub(crate) fn has_a_request(&self) {
        loop {
            match self.seen.recv_timeout(DEADLINE) {
                Ok(Seen::Request(_)) => return,
                Ok(_) => {}
                Err(_) => panic!("no request"),
            }
        }
    }

    /// All that one daemon sees until its script has ended, in whichever way.
    #[track_caller]
    pub(crate) fn told(&self) -> Vec<Seen> {
        let mut told = Vec::new();
        while !matches!(told.last(), Some(Seen::Done | Seen::CutShort)) {
            match self.seen.recv_timeout(DEADLINE) {
                Ok(seen) => told.push(seen),
                Err(_) => panic!("no end of {told:?}"),
            }
        }
        told
    }
}

/// The name under which a daemon's output is shown.
pub(crate) fn host(index: u32) -> String {
    demo_address(index).to_string()
}
