//! The accept loop, which owns a task for every session.

use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
#[cfg(feature = "script")]
use std::sync::mpsc::Sender;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::{select, time};

use crate::session::{self, CommandService};
#[cfg(feature = "script")]
use crate::{
    address, play,
    script::{Observation, Script},
};

/// Pause after a connection could not be accepted.
// The usual cause is a lack of descriptors, and sessions that end return theirs.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// Maximum time for killed commands to end when the daemons stop.
const STOP_TIMEOUT: Duration = Duration::from_secs(5);

/// The service that the daemons give to their clients.
#[derive(Debug)]
pub(crate) enum Service {
    /// Run the command.
    Commands(CommandService),
    /// Play the script of the daemon that was called.
    #[cfg(feature = "script")]
    Scripts {
        /// Scripts by the index of the daemon.
        scripts: Vec<Script>,
        /// Receives what the daemons observe.
        observations: Sender<Observation>,
    },
}

/// The request to stop, which is made when the sender is dropped.
#[derive(Clone, Debug)]
pub(crate) struct StopRequest(watch::Receiver<()>);

impl StopRequest {
    pub(crate) fn new(receiver: watch::Receiver<()>) -> StopRequest {
        StopRequest(receiver)
    }

    /// Returns when the daemons are to stop. Cancel safe.
    pub(crate) async fn made(&mut self) {
        // No value is ever sent: an error means that the sender was dropped.
        while self.0.changed().await.is_ok() {}
    }
}

/// Serves every client until the daemons are to stop; then ends all sessions.
pub(crate) async fn serve(listener: TcpListener, service: Arc<Service>, mut stop: StopRequest) {
    let mut sessions = JoinSet::new();
    loop {
        select! {
            biased;
            () = stop.made() => break,
            // The result of a session is of no use here: its client has got all messages.
            Some(_) = sessions.join_next() => {}
            accepted = listener.accept() => match accepted {
                Ok((main, peer)) => {
                    if let (IpAddr::V4(peer), Ok(IpAddr::V4(called))) =
                        (peer.ip(), main.local_addr().map(|address| address.ip()))
                        // Without SO_BINDTODEVICE, the listener also gets connections from outside.
                        && peer.is_loopback()
                    {
                        let client = Client { main, peer, called };
                        sessions.spawn(attend(client, Arc::clone(&service), stop.clone()));
                    }
                }
                Err(_) => time::sleep(ACCEPT_PAUSE).await,
            },
        }
    }
    // Refuse new clients while the sessions, which have the same request to stop, end their commands.
    drop(listener);
    let all = async { while sessions.join_next().await.is_some() {} };
    // The remaining sessions are dropped, which kills their commands once more.
    let _ = time::timeout(STOP_TIMEOUT, all).await;
}

/// A client whose connection has been accepted.
#[derive(Debug)]
pub(crate) struct Client {
    /// The connection.
    pub(crate) main: TcpStream,
    /// The client's address.
    pub(crate) peer: Ipv4Addr,
    /// The address that the client called.
    pub(crate) called: Ipv4Addr,
}

/// Serves one client. An error of its connections ends its session and no other.
async fn attend(client: Client, service: Arc<Service>, mut stop: StopRequest) -> io::Result<()> {
    match &*service {
        Service::Commands(commands) => {
            let mut running = None;
            let result = select! {
                biased;
                () = stop.made() => Ok(()),
                result = session::converse(client, commands, &mut running) => result,
            };
            if let Some(command) = running {
                command.end().await;
            }
            result
        }
        #[cfg(feature = "script")]
        Service::Scripts {
            scripts,
            observations,
        } => {
            let script = address::index(client.called).and_then(|index| scripts.get(index));
            select! {
                biased;
                () = stop.made() => Ok(()),
                result = async {
                    match script {
                        Some(script) => play::play(client, script, observations).await,
                        None => Ok(()),
                    }
                } => result,
            }
        }
    }
}
