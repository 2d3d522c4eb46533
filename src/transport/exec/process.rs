//! A local process in a session of its own: both of its streams to their end, then its status.
//!
//! Made by [`ExecTransport`](super::ExecTransport) and by [`OpenSshTransport`](super::openssh::OpenSshTransport).
//! The process is not reaped before its streams have ended, so that a signal to its group can never reach a
//! stranger that got its number.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::io;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;

use process_wrap::std::{CommandWrap, CommandWrapper, ProcessSession};
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::net::unix::pipe::{Receiver, Sender};
use tokio::process::{Child, Command};

use crate::event::{Chunk, RemoteExit, Side, Stream};
use crate::targets::TargetId;
use crate::transport::input::InputError;
use crate::transport::scratch;
use crate::transport::{
    AttemptError, Input, InputReader, Output, OutputPermit, RemoteSignal, Session, StderrMode,
    TransportError,
};

/// How many descriptors a process takes here: three pipes and what tells of its end.
pub const DESCRIPTORS: u32 = 4;

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
    /// Its standard input, until that has ended.
    input: Option<Sender>,
    reader: Option<InputReader>,
}

/// Starts a program with these arguments in a session of its own. Its standard input is at its end, or, if
/// it `reads`, what [`LocalProcess::feed`] gives it.
///
/// # Errors
/// [`AttemptError::Shortage`] if this machine lacks processes, memory or descriptors; else the host has failed.
pub(super) fn start(
    id: TargetId,
    words: &[OsString],
    stderr: StderrMode,
    reads: bool,
) -> Result<LocalProcess, AttemptError> {
    let (program, arguments) = words.split_first().expect("a command has a word");
    let cannot = |source: io::Error| match is_shortage(&source) {
        true => AttemptError::Shortage(source),
        false => AttemptError::Failed(TransportError::Spawn {
            program: program.to_string_lossy().escape_debug().to_string(),
            source,
        }),
    };
    let mut command = Command::new(program);
    command
        .args(arguments)
        .stdin(Stdio::null())
        .kill_on_drop(true);
    let mut input = None;
    if reads {
        let (far, near) = io::pipe().map_err(cannot)?;
        input = Some(Sender::from_owned_fd(near.into()).map_err(cannot)?);
        command.stdin(far);
    }
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
    own_session(command.as_std_mut()).map_err(cannot)?;
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
        input,
        reader: None,
    })
}

/// Has a command start in a session of its own, and so in a process group of its own, as pdsh's commands do.
///
/// In a group of its own within the session of the terminal, a command that asked for the terminal (a password,
/// `stty`) would be stopped for ever. In a session of its own it has no terminal, and an error says so.
fn own_session(command: &mut std::process::Command) -> io::Result<()> {
    // The other of the two commands is for wrappers that belong together.
    let unused = CommandWrap::with_new("", |_| {});
    ProcessSession.pre_spawn(command, &unused)
}

fn receiver(pipe: io::PipeReader) -> io::Result<Receiver> {
    Receiver::from_owned_fd(pipe.into())
}

/// Whether an error of starting a process passes when others have ended: fork(2) says of the limit on
/// processes that it is to be tried again.
fn is_shortage(error: &io::Error) -> bool {
    let too_many = rustix::io::Errno::AGAIN.raw_os_error();
    reserved_ports::is_shortage(error) || error.raw_os_error() == Some(too_many)
}

impl LocalProcess {
    /// Has it read the run's input from now on; without one it reads the end.
    pub(super) fn feed(&mut self, input: Option<&Input>) {
        match input {
            Some(input) => self.reader = Some(input.reader(self.id)),
            None => self.input = None,
        }
    }

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
        ready(None, self.out.as_ref(), self.err.as_ref()).await
    }

    pub(super) fn has_output(&self) -> bool {
        self.out.is_some() || self.err.is_some()
    }

    /// Waits for the end of the process, whose streams have ended. Cancel safe.
    pub(super) async fn wait(&mut self) -> io::Result<RemoteExit> {
        let status = self.child.wait().await?;
        Ok(self.reaped(status))
    }

    /// Says how it ended; its number may be a stranger's from now on.
    fn reaped(&mut self, status: ExitStatus) -> RemoteExit {
        use std::os::unix::process::ExitStatusExt;
        self.group = None;
        let small = |n: i32| u8::try_from(n).ok();
        match (
            status.code().and_then(small),
            status.signal().and_then(small),
        ) {
            (Some(code), _) => RemoteExit::Code(code),
            (None, Some(signal)) => RemoteExit::Signaled(signal),
            (None, None) => RemoteExit::Unknown,
        }
    }

    /// Decides what follows when input was written.
    fn on_fed(&mut self, fed: Result<Fed, Arc<InputError>>) -> Result<(), TransportError> {
        match fed {
            Ok(Fed::Some) => Ok(()),
            Ok(Fed::All) => {
                self.input = None;
                self.reader = None;
                Ok(())
            }
            Err(error) => {
                // Before it can read an end of file: the pipe is closed when this is dropped.
                self.signal(RemoteSignal::Kill);
                Err(TransportError::Input(error))
            }
        }
    }
}

/// Waits until a stream can be read, or has ended; early output is there already. Cancel safe.
async fn ready(
    early: Option<Stream>,
    out: Option<&Receiver>,
    err: Option<&Receiver>,
) -> io::Result<Stream> {
    if let Some(stream) = early {
        return Ok(stream);
    }
    tokio::select! {
        ready = readable(out) => ready.map(|()| Stream::Stdout),
        ready = readable(err) => ready.map(|()| Stream::Stderr),
    }
}

async fn readable(pipe: Option<&Receiver>) -> io::Result<()> {
    match pipe {
        Some(pipe) => pipe.readable().await,
        None => std::future::pending().await,
    }
}

/// What a session waits for, when it has come.
enum Step<'a> {
    /// There is something to read on this stream.
    Readable(Stream),
    /// There is room for it in the queue.
    Room(OutputPermit<'a>),
    /// Input was written, or all of it, or as much as the process wants.
    Fed(Result<Fed, Arc<InputError>>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fed {
    Some,
    All,
}

/// Waits for room in the pipe and for input, and writes some; never returns without either. Cancel safe.
async fn write(
    pipe: Option<&Sender>,
    reader: Option<&mut InputReader>,
) -> Result<Fed, Arc<InputError>> {
    let (Some(pipe), Some(reader)) = (pipe, reader) else {
        return std::future::pending().await;
    };
    if pipe.writable().await.is_err() {
        return Ok(Fed::All);
    }
    let bytes = reader.peek().await?;
    if bytes.is_empty() {
        return Ok(Fed::All);
    }
    match pipe.try_write(&bytes) {
        Ok(n) => reader.advance(n),
        Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
        // It reads no more, which is its own affair.
        Err(_) => return Ok(Fed::All),
    }
    Ok(Fed::Some)
}

impl Session for LocalProcess {
    async fn pump(&mut self, output: &Output) -> Result<RemoteExit, TransportError> {
        let mut found = None;
        while !self.early.is_empty() || self.has_output() {
            let early = self.early.front().map(|(stream, _)| *stream);
            let step = tokio::select! {
                ready = ready(early, self.out.as_ref(), self.err.as_ref()), if found.is_none() => {
                    Step::Readable(ready.map_err(TransportError::lost)?)
                }
                permit = output.reserve(), if found.is_some() => Step::Room(permit),
                fed = write(self.input.as_ref(), self.reader.as_mut()) => Step::Fed(fed),
            };
            match step {
                Step::Readable(stream) => found = Some(stream),
                Step::Room(permit) => {
                    let Some(stream) = found.take() else { continue };
                    let (stream, data) = match self.early.pop_front() {
                        Some(early) => early,
                        None => (stream, self.read(stream).map_err(TransportError::lost)?),
                    };
                    if !data.is_empty() {
                        permit.send(Chunk {
                            target: self.id,
                            stream,
                            data,
                        });
                    }
                }
                Step::Fed(fed) => self.on_fed(fed)?,
            }
        }
        // It may read on, though it says no more.
        loop {
            tokio::select! {
                exit = self.child.wait() => return exit.map(|exit| self.reaped(exit)).map_err(TransportError::lost),
                fed = write(self.input.as_ref(), self.reader.as_mut()) => self.on_fed(fed)?,
            }
        }
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
