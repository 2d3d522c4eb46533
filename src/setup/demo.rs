//! The embedded daemons of `--demo`, and the values that replace those of the plan in a run with them.

use std::sync::Arc;

use fake_rshd::{CallbackPort, Daemons, Shell};

use crate::error::Error;
use crate::event::Notice;
use crate::plan::{RunPlan, range_text};
use crate::random;
use crate::targets::{Target, TransportKind};
use crate::transport::rsh::RshOptions;
use reserved_ports::{RESERVED, SourcePorts};

/// The daemons of a run. They end, with the commands that they run, when this is dropped.
#[derive(Debug)]
pub(super) struct EmbeddedDaemons {
    daemons: Daemons,
    /// Random user name that only this process sends, so that the daemons accept no other client.
    token: String,
    source_ports: SourcePorts,
}

impl EmbeddedDaemons {
    /// Starts a daemon for each target.
    pub(super) fn start(plan: &RunPlan) -> Result<EmbeddedDaemons, Error> {
        let labels = plan.info.targets.iter().map(|target| &*target.label);
        // Other users of this machine can connect to the daemons, and must not get commands run.
        let token = random::token().map_err(Error::system("get random bytes"))?;
        let shell = Shell::new(token.clone(), labels);
        let daemons =
            Daemons::run_commands(shell).map_err(Error::system("start the embedded daemons"))?;
        let source_ports = if daemons.callback_port() == CallbackPort::Reserved {
            plan.transports.source_ports.clone()
        } else {
            SourcePorts::Any
        };
        Ok(EmbeddedDaemons {
            daemons,
            token,
            source_ports,
        })
    }

    /// Returns the targets with the addresses of their daemons.
    pub(super) fn targets(&self, named: &[Target]) -> Arc<[Target]> {
        (0..)
            .zip(named)
            .map(|(index, target)| Target {
                host: fake_rshd::address(index).to_string().into(),
                port: Some(self.daemons.port()),
                // The embedded daemons speak rsh only.
                transport: Some(TransportKind::Rsh),
                ..target.clone()
            })
            .collect()
    }

    /// Returns the options of rsh with the values of these daemons.
    pub(super) fn options(&self, options: RshOptions) -> RshOptions {
        RshOptions {
            local_user: self.token.clone(),
            reserved_callers: self.calls_back_from_reserved(),
            ..options
        }
    }

    /// True if call-backs come from reserved ports.
    fn calls_back_from_reserved(&self) -> bool {
        self.daemons.callback_port() == CallbackPort::Reserved
    }

    pub(super) fn source_ports(&self) -> &SourcePorts {
        &self.source_ports
    }

    /// Returns the notice that no real host is called.
    pub(super) fn notice(&self) -> Notice {
        let ports = match &self.source_ports {
            SourcePorts::Any if self.calls_back_from_reserved() => "any".to_owned(),
            SourcePorts::Any => "any, because mrsh has no right to use 512-1023".to_owned(),
            SourcePorts::Reserved => range_text(&RESERVED),
            SourcePorts::Range(range) => range_text(range),
        };
        Notice {
            verbose: false,
            text: format!(
                "demo: embedded daemons on loopback answer for every host; source ports: {ports}"
            ),
        }
    }
}
