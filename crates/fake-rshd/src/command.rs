//! A command that a daemon runs: its process group, its standard error, and its end.
//!
//! The child has the socket itself as standard input and output, as under inetd. The leader of the
//! process group is reaped last: until then the kernel cannot give its number to another group.
//! Dropping a [`RunningCommand`] kills its group.

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
use tokio::time::{Instant, sleep_until};
use tokio::{io as tokio_io, select};

/// Time that a command has to end after its client has disconnected.
// The command gets no HUP meanwhile, which could interrupt its reaction to the TERM that the client sent before.
const GRACE: Duration = Duration::from_secs(1);

/// A child and the process group that it leads.
#[derive(Debug)]
pub(crate) struct RunningCommand {
    child: Child,
    group: Option<Pid>,
}

impl RunningCommand {
    /// Returns a copy of the socket for a child, in blocking mode. The original changes its mode too.
    pub(crate) fn share(socket: &TcpStream) -> io::Result<Stdio> {
        // Commands expect blocking streams. The flag belongs to the open file, so it changes for both copies
        // (fcntl(2)).
        SockRef::from(socket).set_nonblocking(false)?;
        Ok(socket.as_fd().try_clone_to_owned()?.into())
    }

    /// Starts a command that leads a process group.
    pub(crate) fn spawn(command: &mut Command) -> io::Result<RunningCommand> {
        let child = command.spawn()?;
        let group = child
            .id()
            .and_then(|id| i32::try_from(id).ok())
            .and_then(Pid::from_raw);
        Ok(RunningCommand { child, group })
    }

    /// Copies standard error to the callback and sends the signals that arrive there to the group,
    /// until the command has ended and no process has its standard error open. After a client has
    /// closed the callback, its command has [`GRACE`] to end.
    pub(crate) async fn supervise(&mut self, mut callback: TcpStream) {
        let group = self.group;
        let stderr = self.child.stderr.take();
        let (mut signals, mut output) = callback.split();
        let mut ended = pin!(async {
            if let Some(mut stderr) = stderr {
                // The copy fails if the client has disconnected. The other half reports that.
                let _ = tokio_io::copy(&mut stderr, &mut output).await;
            }
            // A command may close its standard error long before it ends.
            let _ = output.shutdown().await;
            let _ = self.child.wait().await;
        });
        let mut bytes = [0; 64];
        let mut deadline = None;
        loop {
            select! {
                biased;
                () = &mut ended => break self.group = None,
                read = signals.read(&mut bytes), if deadline.is_none() => match read {
                    Ok(n @ 1..) => bytes[..n].iter().for_each(|&byte| send_number(group, byte)),
                    Ok(0) | Err(_) => deadline = Some(Instant::now() + GRACE),
                },
                // The caller ends the group: a process may keep standard error open without end.
                () = reached(deadline) => break,
            }
        }
    }

    /// Waits for the end of a command whose standard error is the socket too. A broken connection
    /// means that the client has disconnected; a half-closed one may only be the end of standard input.
    pub(crate) async fn supervise_merged(&mut self, main: TcpStream) {
        let mut deadline = None;
        loop {
            select! {
                biased;
                _ = self.child.wait() => break self.group = None,
                _ = main.ready(tokio_io::Interest::ERROR), if deadline.is_none() => {
                    deadline = Some(Instant::now() + GRACE);
                }
                () = reached(deadline) => break,
            }
        }
    }

    /// Kills the rest of the group and reaps its leader.
    pub(crate) async fn end(mut self) {
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

/// Returns at the deadline. If there is none, never returns. Cancel safe.
async fn reached(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

/// Sends the signal with this number. Like real daemons, it ignores numbers that are no signal.
fn send_number(group: Option<Pid>, number: u8) {
    if let Some(signal) = Signal::from_named_raw(i32::from(number)) {
        send(group, signal);
    }
}

fn send(group: Option<Pid>, signal: Signal) {
    if let Some(group) = group {
        // The call fails only if the whole group has ended already.
        let _ = kill_process_group(group, signal);
    }
}
