//! Scripted daemons on loopback addresses and a port of their own.

use std::sync::mpsc::Receiver;
use std::time::Duration;

use fake_rshd::{Daemons, Observation, Script, address};

use super::Mrsh;

/// Maximum time to wait for an observation.
const DEADLINE: Duration = Duration::from_secs(20);

/// Daemons that play scripts; see [`Script`].
#[derive(Debug)]
pub(crate) struct FakeRshd {
    daemons: Daemons,
    hosts: u32,
    observations: Receiver<Observation>,
}

impl FakeRshd {
    /// Starts one daemon.
    pub(crate) fn playing(script: Script) -> FakeRshd {
        FakeRshd::playing_all(vec![script])
    }

    /// Starts a daemon for each script, at consecutive addresses.
    pub(crate) fn playing_all(scripts: Vec<Script>) -> FakeRshd {
        let hosts = u32::try_from(scripts.len()).unwrap();
        let (daemons, observations) = Daemons::play_scripts(scripts).unwrap();
        FakeRshd {
            daemons,
            hosts,
            observations,
        }
    }

    /// Returns a call of the program for all of these daemons, from any source ports.
    pub(crate) fn mrsh(&self) -> Mrsh {
        self.mrsh_from("any")
    }

    /// Returns such a call with these `--source-ports`.
    pub(crate) fn mrsh_from(&self, source_ports: &str) -> Mrsh {
        let hosts: Vec<String> = (0..self.hosts).map(host).collect();
        Mrsh::new()
            .args(&["--source-ports", source_ports, "-w", &hosts.join(",")])
            .args(&["-p", &self.daemons.port().to_string()])
    }

    /// Waits until a daemon has read a request.
    #[track_caller]
    pub(crate) fn has_a_request(&self) {
        loop {
            match self.observations.recv_timeout(DEADLINE) {
                Ok(Observation::Request(_)) => return,
                Ok(_) => {}
                Err(_) => panic!("the daemon got no request"),
            }
        }
    }

    /// Returns all observations of one daemon, after its script has ended or was aborted.
    #[track_caller]
    pub(crate) fn observed(&self) -> Vec<Observation> {
        let mut all = Vec::new();
        while !matches!(
            all.last(),
            Some(Observation::Finished | Observation::Aborted)
        ) {
            match self.observations.recv_timeout(DEADLINE) {
                Ok(observation) => all.push(observation),
                Err(_) => panic!("the script did not end: {all:?}"),
            }
        }
        all
    }
}

/// The label of a daemon.
pub(crate) fn host(index: u32) -> String {
    address(index).to_string()
}
