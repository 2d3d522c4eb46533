//! A local process in a session of its own: reads both streams to their end, then the status.
//!
//! [`ExecTransport`](super::ExecTransport) and [`OpenSshTransport`](super::openssh::OpenSshTransport) start it. It is
//! reaped after its streams have ended. So a signal to its group never reaches another process that got its number.

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::io;
use std::num::NonZeroU32;
use std::os::unix::ffi::OsStrExt;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;

use process_wrap::std::{CommandWrap, CommandWrapper, ProcessSession};
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::net::unix::pipe::{Receiver, Sender};
use tokio::process::{Child, Command};

use crate::event::{Chunk, RemoteExit, Side, Stream};
use crate::targets::{TargetId, Variable};
use crate::transport::input::InputError;
use crate::transport::scratch;
use crate::transport::user_change::ChangeChannel;
use crate::transport::{
    AttemptError, Input, InputReader, Output, OutputPermit, RemoteSignal, Session, StderrMode,
    TransportError,
};

/// Number of descriptors of a process: three pipes and its pidfd.
pub const DESCRIPTORS: u32 = 4;

/// A local command that runs for a host. Dropping it kills its process group.
#[derive(Debug)]
pub struct LocalProcess {
    pub(super) id: TargetId,
    child: Child,
    /// Process group; `None` after the process was reaped.
    group: Option<Pid>,
    out: Option<Receiver>,
    err: Option<Receiver>,
    /// Output that was read before the session started.
    early: VecDeque<(Stream, Vec<u8>)>,
    /// Standard input, until it has ended.
    input: Option<Sender>,
    reader: Option<InputReader>,
}

/// Starts a program with these arguments and variables in a session of its own. If `reads` is true, its standard input comes from
/// [`LocalProcess::feed`], else it is at its end.
///
/// # Errors
/// [`AttemptError::Shortage`] if this machine lacks processes, memory or descriptors; else [`AttemptError::Failed`].
pub(super) fn start(
    id: TargetId,
    words: &[OsString],
    variables: &[Variable],
    stderr: StderrMode,
    reads: bool,
) -> Result<LocalProcess, AttemptError> {
    let (program, arguments) = words.split_first().expect("a command has a word");
    let cannot = |source: io::Error| {
        if is_shortage(&source) {
            AttemptError::Shortage(source)
        } else {
            AttemptError::Failed(TransportError::Spawn {
                program: program.to_string_lossy().escape_debug().to_string(),
                source,
            })
        }
    };
    let mut command = Command::new(program);
    command
        .args(arguments)
        .envs(
            variables
                .iter()
                .map(|variable| (variable.name(), OsStr::from_bytes(variable.value()))),
        )
        .stdin(Stdio::null())
        .kill_on_drop(true);
    let mut input = None;
    if reads {
        let (far, near) = io::pipe().map_err(cannot)?;
        // tokio's type for pipes makes this end non-blocking, which the command's end must not be.
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
            // One pipe for both streams keeps the order in which the command wrote.
            command.stderr(far.try_clone().map_err(cannot)?);
        }
        StderrMode::Drop => {
            command.stderr(Stdio::null());
        }
    }
    command.stdout(far);
    start_new_session(command.as_std_mut()).map_err(cannot)?;
    let out = Some(receiver(out).map_err(cannot)?);
    let child = command.spawn().map_err(cannot)?;
    // `command` holds the child's ends of the pipes and would keep them open.
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

/// Starts a command in a session of its own, and so in a process group of its own, as pdsh does.
fn start_new_session(command: &mut std::process::Command) -> io::Result<()> {
    // A process group of its own in the session of the terminal is not enough: a command that uses the terminal (a
    // password, `stty`) would be stopped for ever. In a session of its own it has no terminal and reports an error.
    // The second argument is for wrappers that depend on each other.
    let unused = CommandWrap::with_new("", |_| {});
    ProcessSession.pre_spawn(command, &unused)
}

fn receiver(pipe: io::PipeReader) -> io::Result<Receiver> {
    Receiver::from_owned_fd(pipe.into())
}

/// True if starting a process may succeed after others have ended.
fn is_shortage(error: &io::Error) -> bool {
    // fork(2) returns EAGAIN at the limit on processes.
    let too_many = rustix::io::Errno::AGAIN.raw_os_error();
    reserved_ports::is_shortage(error) || error.raw_os_error() == Some(too_many)
}

impl LocalProcess {
    /// Returns the number of the process, until it is reaped.
    pub(super) fn number(&self) -> Option<NonZeroU32> {
        self.child.id().and_then(NonZeroU32::new)
    }

    /// Connects the run's input to the process, or ends its input.
    pub(super) fn feed(&mut self, input: Option<&Input>) {
        match input {
            Some(input) => self.reader = Some(input.reader(self.id)),
            None => self.input = None,
        }
    }

    /// Reads the available output of a stream. Returns nothing and sets the field to `None` when the stream has
    /// ended.
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
                    // A pipe at its end is always readable, so a wait for it would never sleep.
                    *place = None;
                    // A dialogue without replies is over, and the command may wait for input.
                    if stream == Stream::Stdout
                        && self.reader.as_ref().is_some_and(InputReader::is_dialogue)
                    {
                        self.reader = None;
                        self.input = None;
                    }
                }
                Ok(data)
            }
            Err(error) => match error.kind() {
                io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted => Ok(Vec::new()),
                _ => Err(error),
            },
        }
    }

    /// Puts back output that was read too early. It is emitted before all other output.
    pub(super) fn put_back(&mut self, stream: Stream, data: Vec<u8>) {
        self.early.push_back((stream, data));
    }

    /// Waits until a stream is readable or has ended. Never returns after both have ended. Cancel safe.
    pub(super) async fn readable(&self) -> io::Result<Stream> {
        ready(None, self.out.as_ref(), self.err.as_ref()).await
    }

    pub(super) fn has_output(&self) -> bool {
        self.out.is_some() || self.err.is_some()
    }

    /// Waits for the process to end, after its streams have. Cancel safe.
    pub(super) async fn wait(&mut self) -> io::Result<RemoteExit> {
        let status = self.child.wait().await?;
        Ok(self.record_exit(status))
    }

    /// Returns the exit, and forgets the process group.
    fn record_exit(&mut self, status: ExitStatus) -> RemoteExit {
        use std::os::unix::process::ExitStatusExt;
        // The process was reaped, so another one may get its number.
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

    /// Handles the result of writing input.
    fn on_input_written(
        &mut self,
        fed: Result<InputProgress, Arc<InputError>>,
    ) -> Result<(), TransportError> {
        match fed {
            Ok(InputProgress::Some) => Ok(()),
            Ok(InputProgress::All) => {
                // Closing the pipe is the end of file for the command.
                self.input = None;
                self.reader = None;
                Ok(())
            }
            Err(error) => {
                // The command is killed before the pipe is closed, so that it reads no end of file.
                self.signal(RemoteSignal::Kill);
                Err(TransportError::Input(error))
            }
        }
    }
}

/// Waits until a stream is readable or has ended. Early output is readable at once. Cancel safe.
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

/// Next thing that a running process needs.
enum ProcessEvent<'a> {
    /// A stream is readable.
    Readable(Stream),
    /// The event queue can take a chunk.
    Room(OutputPermit<'a>),
    /// Input was written or has ended.
    InputState(Result<InputProgress, Arc<InputError>>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum InputProgress {
    Some,
    All,
}

/// Waits until the pipe takes bytes and there is input, and writes a part. Never returns without a pipe or input.
/// Cancel safe.
async fn write(
    pipe: Option<&Sender>,
    reader: Option<&mut InputReader>,
) -> Result<InputProgress, Arc<InputError>> {
    let (Some(pipe), Some(reader)) = (pipe, reader) else {
        return std::future::pending().await;
    };
    // The pipe is awaited first, so that no input is in memory for a command that does not read.
    if pipe.writable().await.is_err() {
        return Ok(InputProgress::All);
    }
    let bytes = reader.peek().await?;
    if bytes.is_empty() {
        return Ok(InputProgress::All);
    }
    match pipe.try_write(&bytes) {
        Ok(n) => reader.advance(n),
        Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
        // The process has closed its standard input, which is no failure.
        Err(_) => return Ok(InputProgress::All),
    }
    Ok(InputProgress::Some)
}

impl ChangeChannel for LocalProcess {
    async fn read(&mut self) -> Result<Option<(Stream, Vec<u8>)>, TransportError> {
        loop {
            if let Some(early) = self.early.pop_front() {
                return Ok(Some(early));
            }
            if !self.has_output() {
                return Ok(None);
            }
            let stream = self.readable().await.map_err(TransportError::lost)?;
            let data = LocalProcess::read(self, stream).map_err(TransportError::lost)?;
            if !data.is_empty() {
                return Ok(Some((stream, data)));
            }
        }
    }

    async fn write(&mut self, mut bytes: &[u8]) -> Result<(), TransportError> {
        let Some(pipe) = &self.input else {
            return Ok(());
        };
        while !bytes.is_empty() {
            // The process has closed its standard input. Its output says why.
            if pipe.writable().await.is_err() {
                return Ok(());
            }
            match pipe.try_write(bytes) {
                Ok(n) => bytes = &bytes[n..],
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) => return Ok(()),
            }
        }
        Ok(())
    }

    async fn exit(&mut self) -> Result<RemoteExit, TransportError> {
        self.wait().await.map_err(TransportError::lost)
    }
}

impl Session for LocalProcess {
    async fn pump(&mut self, output: &Output) -> Result<RemoteExit, TransportError> {
        let mut found = None;
        while !self.early.is_empty() || self.has_output() {
            let early = self.early.front().map(|(stream, _)| *stream);
            // Data is read only with a slot in the queue: a full queue blocks the command, and a cancelled wait loses
            // nothing.
            let step = tokio::select! {
                ready = ready(early, self.out.as_ref(), self.err.as_ref()), if found.is_none() => {
                    ProcessEvent::Readable(ready.map_err(TransportError::lost)?)
                }
                permit = output.reserve(), if found.is_some() => ProcessEvent::Room(permit),
                fed = write(self.input.as_ref(), self.reader.as_mut()) => ProcessEvent::InputState(fed),
            };
            match step {
                ProcessEvent::Readable(stream) => found = Some(stream),
                ProcessEvent::Room(permit) => {
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
                ProcessEvent::InputState(fed) => self.on_input_written(fed)?,
            }
        }
        // The process may still read input after it has closed its output.
        loop {
            tokio::select! {
                exit = self.child.wait() => return exit.map(|exit| self.record_exit(exit)).map_err(TransportError::lost),
                fed = write(self.input.as_ref(), self.reader.as_mut()) => self.on_input_written(fed)?,
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

    /// Returns `None`: there is no connection.
    fn closes_first(&self) -> Option<Side> {
        None
    }
}

impl Drop for LocalProcess {
    fn drop(&mut self) {
        // The signal fails only if the group is empty. tokio reaps the process itself.
        self.signal(RemoteSignal::Kill);
    }
}
