//! A local process in a group of its own, as a session: both of its streams to their end, then its status.
//!
//! Made by [`ExecTransport`](super::ExecTransport) and by [`OpenSshTransport`](super::openssh::OpenSshTransport).
//! The process is not reaped before its streams have ended, so that a signal to its group can never reach a
//! stranger that got its number.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::io;
use std::process::Stdio;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::net::unix::pipe::Receiver;
use tokio::process::{Child, Command};
use tokio::sync::mpsc;

use crate::targets::TargetId;
use crate::transport::scratch;
use crate::transport::{
    Chunk, Phase, RemoteExit, RemoteSignal, Session, Setback, Side, StderrMode, Stream,
    TransportError,
};

/// How many descriptors a process takes here: two pipes and what tells of its end.
pub const DESCRIPTORS: u32 = 3;

/// A local command that runs for a host. Dropping it kills its whole group.
#[derive(Debug)]
pub struct LocalProcess {
    pub(super) id: TargetId,
    child: Child,
    /// The group's number; `None` once the process has been reaped.
    group: Option<Pid>,
    out: Option<Receiver>,
    err: Option<Receiver>,
    /// Output that was read before the session began.
    early: VecDeque<(Stream, Vec<u8>)>,
}

/// Starts a program with these arguments in a process group of its own, with its standard input at its end.
///
/// # Errors
/// [`Setback::Shortage`] if this machine lacks processes, memory or descriptors; else the host has failed.
pub(super) fn start(
    id: TargetId,
    words: &[OsString],
    stderr: StderrMode,
) -> Result<LocalProcess, Setback> {
    let (program, arguments) = words.split_first().expect("a command has a word");
    let cannot = |source: io::Error| match is_shortage(&source) {
        true => Setback::Shortage(source),
        false => Setback::Failed(TransportError::Spawn {
            program: program.to_string_lossy().escape_debug().to_string(),
            source,
        }),
    };
    let mut command = Command::new(program);
    command
        .args(arguments)
        .process_group(0)
        .stdin(Stdio::null())
        .kill_on_drop(true);
    let (out, far) = io::pipe().map_err(cannot)?;
    let mut err = None;
    match stderr {
        StderrMode::Separate => {
            let (near, far) = io::pipe().map_err(cannot)?;
            err = Some(receiver(near).map_err(cannot)?);
            command.stderr(far);
        }
        StderrMode::Merge => {
            command.stderr(far.try_clone().map_err(cannot)?);
        }
        StderrMode::Drop => {
            command.stderr(Stdio::null());
        }
    }
    command.stdout(far);
    let out = Some(receiver(out).map_err(cannot)?);
    let child = command.spawn().map_err(cannot)?;
    // The far ends of the pipes are in `command`, and would keep them open.
    drop(command);
    let group = child
        .id()
        .and_then(|id| i32::try_from(id).ok())
        .and_then(Pid::from_raw);
    Ok(LocalProcess {
        id,
        child,
        group,
        out,
        err,
        early: VecDeque::new(),
    })
}

fn receiver(pipe: io::PipeReader) -> io::Result<Receiver> {
    Receiver::from_owned_fd(pipe.into())
}

/// Whether an error of starting a process passes when others have ended.
fn is_shortage(error: &io::Error) -> bool {
    use rustix::io::Errno;
    const SHORTAGES: [Errno; 4] = [Errno::AGAIN, Errno::MFILE, Errno::NFILE, Errno::NOMEM];
    let code = error.raw_os_error();
    SHORTAGES
        .iter()
        .any(|errno| code == Some(errno.raw_os_error()))
}

impl LocalProcess {
    /// Reads what is there of a stream; nothing and `None` in the field when it has ended.
    pub(super) fn read(&mut self, stream: Stream) -> io::Result<Vec<u8>> {
        let place = match stream {
            Stream::Stdout => &mut self.out,
            Stream::Stderr => &mut self.err,
        };
        let Some(pipe) = place else {
            return Ok(Vec::new());
        };
        let read = scratch::with(|buffer| {
            let length = pipe.try_read(buffer)?;
            Ok::<_, io::Error>(buffer[..length].to_vec())
        });
        match read {
            Ok(data) => {
                if data.is_empty() {
                    *place = None;
                }
                Ok(data)
            }
            Err(error) => match error.kind() {
                io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted => Ok(Vec::new()),
                _ => Err(error),
            },
        }
    }

    /// Gives output back that was read too early, to come before all other.
    pub(super) fn put_back(&mut self, stream: Stream, data: Vec<u8>) {
        self.early.push_back((stream, data));
    }

    /// Waits until a stream can be read, or has ended; for ever once both have. Cancel safe.
    pub(super) async fn readable(&self) -> io::Result<Stream> {
        tokio::select! {
            ready = readable(self.out.as_ref()) => ready.map(|()| Stream::Stdout),
            ready = readable(self.err.as_ref()) => ready.map(|()| Stream::Stderr),
        }
    }

    pub(super) fn has_output(&self) -> bool {
        self.out.is_some() || self.err.is_some()
    }

    /// Waits for the end of the process, whose streams have ended. Cancel safe.
    pub(super) async fn wait(&mut self) -> io::Result<RemoteExit> {
        use std::os::unix::process::ExitStatusExt;
        let status = self.child.wait().await?;
        self.group = None;
        let small = |n: i32| u8::try_from(n).ok();
        Ok(
            match (
                status.code().and_then(small),
                status.signal().and_then(small),
            ) {
                (Some(code), _) => RemoteExit::Code(code),
                (None, Some(signal)) => RemoteExit::Signaled(signal),
                (None, None) => RemoteExit::Unknown,
            },
        )
    }
}

async fn readable(pipe: Option<&Receiver>) -> io::Result<()> {
    match pipe {
        Some(pipe) => pipe.readable().await,
        None => std::future::pending().await,
    }
}

fn lost(source: io::Error) -> TransportError {
    TransportError::Io {
        phase: Phase::Run,
        source,
    }
}

impl Session for LocalProcess {
    async fn pump(&mut self, output: &mpsc::Sender<Chunk>) -> Result<RemoteExit, TransportError> {
        while !self.early.is_empty() || self.has_output() {
            let stream = match self.early.is_empty() {
                true => self.readable().await.map_err(lost)?,
                false => Stream::Stdout,
            };
            let Ok(permit) = output.reserve().await else {
                // Nobody reads: the run is being given up, and the host's task is told by other means.
                std::future::pending().await
            };
            let (stream, data) = match self.early.pop_front() {
                Some(early) => early,
                None => (stream, self.read(stream).map_err(lost)?),
            };
            if !data.is_empty() {
                permit.send(Chunk {
                    target: self.id,
                    stream,
                    data,
                });
            }
        }
        self.wait().await.map_err(lost)
    }

    fn signal(&mut self, signal: RemoteSignal) -> bool {
        let signal = match signal {
            RemoteSignal::Term => Signal::TERM,
            RemoteSignal::Kill => Signal::KILL,
        };
        self.group
            .is_some_and(|group| kill_process_group(group, signal).is_ok())
    }

    /// There is no connection.
    fn closes_first(&self) -> Option<Side> {
        None
    }
}

impl Drop for LocalProcess {
    fn drop(&mut self) {
        // It fails only if there is nobody left in the group. tokio reaps the process itself.
        self.signal(RemoteSignal::Kill);
    }
}
