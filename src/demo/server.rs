//! The accept loop, which owns a task for every session.

use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::{select, time};

use super::script::{Script, Seen};
use super::session::Shell;
use super::{demo_index, play, session};

/// How long to wait when a connection cannot be accepted, as for want of descriptors: sessions that
/// end give them back.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// How long killed commands may take to be gone when the daemons stop.
const STOP_LIMIT: Duration = Duration::from_secs(5);

/// What the daemons do with their callers.
#[derive(Debug)]
pub(super) enum Part {
    /// They run the command.
    Shell(Shell),
    /// They play the script of the target that was called.
    Scripts {
        /// By target.
        scripts: Vec<Script>,
        /// Where a test reads what happened.
        seen: Sender<Seen>,
    },
}

/// The word to stop, given by dropping the sender.
#[derive(Clone, Debug)]
pub(super) struct Stop(watch::Receiver<()>);

impl Stop {
    pub(super) fn new(receiver: watch::Receiver<()>) -> Stop {
        Stop(receiver)
    }

    /// Returns when the daemons are to stop. Cancel safe.
    pub(super) async fn requested(&mut self) {
        while self.0.changed().await.is_ok() {}
    }
}

/// Serves every caller until the daemons are to stop; then ends all sessions.
pub(super) async fn serve(listener: TcpListener, part: Arc<Part>, mut stop: Stop) {
    let mut sessions = JoinSet::new();
    loop {
        select! {
            biased;
            () = stop.requested() => break,
            // Nobody asks how a session ended: its client has been told what there is to tell.
            Some(_) = sessions.join_next() => {}
            accepted = listener.accept() => match accepted {
                Ok((main, peer)) => {
                    if let (IpAddr::V4(peer), Ok(IpAddr::V4(called))) =
                        (peer.ip(), main.local_addr().map(|address| address.ip()))
                        && peer.is_loopback()
                    {
                        let call = Call { main, peer, called };
                        sessions.spawn(attend(call, Arc::clone(&part), stop.clone()));
                    }
                }
                Err(_) => time::sleep(ACCEPT_PAUSE).await,
            },
        }
    }
    // Refuse new callers while the sessions, which have the same word to stop, end their commands.
    drop(listener);
    let all = async { while sessions.join_next().await.is_some() {} };
    // Those that are not done by then are dropped, and their commands killed once more.
    let _ = time::timeout(STOP_LIMIT, all).await;
}

/// An accepted connection.
#[derive(Debug)]
pub(super) struct Call {
    /// The connection.
    pub(super) main: TcpStream,
    /// Who called.
    pub(super) peer: Ipv4Addr,
    /// Which address was called.
    pub(super) called: Ipv4Addr,
}

/// One session. Errors of its connections end it and concern nobody else.
async fn attend(call: Call, part: Arc<Part>, mut stop: Stop) -> io::Result<()> {
    match &*part {
        Part::Shell(shell) => {
            let mut running = None;
            let result = select! {
                biased;
                () = stop.requested() => Ok(()),
                result = session::converse(call, shell, &mut running) => result,
            };
            if let Some(command) = running {
                command.end().await;
            }
            result
        }
        Part::Scripts { scripts, seen } => {
            let script = demo_index(call.called).and_then(|index| scripts.get(index));
            select! {
                biased;
                () = stop.requested() => Ok(()),
                result = async {
                    match script {
                        Some(script) => play::play(call, script, seen).await,
                        None => Ok(()),
                    }
                } => result,
            }
        }
    }
}
