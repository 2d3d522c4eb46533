//! A command that the daemon runs: its process group, its standard error, and its end.
//!
//! As under inetd, the child has the socket itself as standard input and output. The group's leader
//! is reaped last, because until then its number cannot come to mean other processes. Whoever drops
//! a [`RunningCommand`] kills its group.

use std::io;
use std::os::fd::AsFd;
use std::pin::pin;
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use socket2::SockRef;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::time::Instant;
use tokio::{io as tokio_io, select};

use crate::clock::reached;

/// How long a command may go on after its client has gone. It gets no HUP meanwhile, which would cut
/// short what it does about the TERM that a client sends before it gives up.
const GRACE: Duration = Duration::from_secs(1);

/// A child and the process group that it leads.
#[derive(Debug)]
pub(super) struct RunningCommand {
    child: Child,
    group: Option<Pid>,
}

impl RunningCommand {
    /// The socket as a child can have it: a copy, in blocking mode. The mode is the original's too.
    pub(super) fn share(socket: &TcpStream) -> io::Result<Stdio> {
        SockRef::from(socket).set_nonblocking(false)?;
        Ok(socket.as_fd().try_clone_to_owned()?.into())
    }

    /// Starts a command that is to lead a process group.
    pub(super) fn spawn(command: &mut Command) -> io::Result<RunningCommand> {
        let child = command.spawn()?;
        let group = child
            .id()
            .and_then(|id| i32::try_from(id).ok())
            .and_then(Pid::from_raw);
        Ok(RunningCommand { child, group })
    }

    /// Copies standard error to the second connection and sends the signals that come from there to
    /// the group, until the command has ended and nobody has its standard error open. A client that
    /// closes this connection has gone: its command has a little time to end before it is killed.
    pub(super) async fn supervise(&mut self, mut err: TcpStream) {
        let group = self.group;
        let stderr = self.child.stderr.take();
        let (mut signals, mut output) = err.split();
        let mut ended = pin!(async {
            if let Some(mut stderr) = stderr {
                // An error is the client's going, which the other half reports.
                let _ = tokio_io::copy(&mut stderr, &mut output).await;
            }
            // A command may close its standard error long before it ends.
            let _ = output.shutdown().await;
            let _ = self.child.wait().await;
        });
        let mut bytes = [0; 64];
        let mut gone_until = None;
        loop {
            select! {
                biased;
                () = &mut ended => break self.group = None,
                read = signals.read(&mut bytes), if gone_until.is_none() => match read {
                    Ok(n @ 1..) => bytes[..n].iter().for_each(|&byte| signal(group, byte)),
                    Ok(0) | Err(_) => gone_until = Some(Instant::now() + GRACE),
                },
                // The caller ends what is left: somebody may hold standard error for ever.
                () = reached(gone_until) => break,
            }
        }
    }

    /// Waits for the end of a command whose standard error is the socket too. Its client has gone
    /// when the connection breaks; one that closes its side may only have ended standard input.
    pub(super) async fn supervise_merged(&mut self, main: TcpStream) {
        let mut gone_until = None;
        loop {
            select! {
                biased;
                _ = self.child.wait() => break self.group = None,
                _ = main.ready(tokio_io::Interest::ERROR), if gone_until.is_none() => {
                    gone_until = Some(Instant::now() + GRACE);
                }
                () = reached(gone_until) => break,
            }
        }
    }

    /// Kills what is left of the group and reaps its leader.
    pub(super) async fn end(mut self) {
        if self.group.is_some() {
            send(self.group, Signal::KILL);
            let _ = self.child.wait().await;
            self.group = None;
        }
    }
}

impl Drop for RunningCommand {
    fn drop(&mut self) {
        send(self.group, Signal::KILL);
    }
}

/// Numbers that are no signal do nothing, as with real daemons.
fn signal(group: Option<Pid>, number: u8) {
    if let Some(signal) = Signal::from_named_raw(i32::from(number)) {
        send(group, signal);
    }
}

fn send(group: Option<Pid>, signal: Signal) {
    if let Some(group) = group {
        // It fails only if the whole group has ended already.
        let _ = kill_process_group(group, signal);
    }
}
