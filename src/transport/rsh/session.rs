//! A running rsh session: reads both streams to their end, then closes.

use std::sync::Arc;
use std::time::Duration;

use reserved_ports::PortLease;
use tokio::time::Instant;

use super::feed::{self, InputFeed, SendOutcome};
use super::output::MainStream;
use crate::clock::reached;
use crate::event::{Chunk, RemoteExit, Side, Stream};
use crate::targets::TargetId;
use crate::transport::input::InputError;
use crate::transport::stream::{ReadResult, TcpConnection};
use crate::transport::{Output, OutputPermit, RemoteSignal, Session, TransportError};

/// A command that an rsh daemon has accepted. The sockets are declared before the lease, since fields are dropped in
/// this order.
#[derive(Debug)]
pub struct RshSession {
    pub(super) id: TargetId,
    pub(super) main: TcpConnection,
    /// Callback connection, for standard error and signals.
    pub(super) err: Option<TcpConnection>,
    pub(super) lease: PortLease,
    pub(super) show_stderr: bool,
    /// Output that was read together with the daemon's answer.
    pub(super) early: Vec<u8>,
    /// Output that was read before the start of the command was known.
    pub(super) decoded: Vec<(Stream, Vec<u8>)>,
    pub(super) stream: MainStream,
    /// Input that is not sent yet.
    pub(super) feed: Option<InputFeed>,
    /// True if the connection was half-closed before the start of the command.
    pub(super) input_ended: bool,
    /// Input error, and the time until which the killed command may end.
    pub(super) failed_input: Option<(Arc<InputError>, Instant)>,
}

/// Time for a command to end after it was killed because its input failed.
const KILL_TIMEOUT: Duration = Duration::from_millis(500);

impl RshSession {
    pub(super) fn err_is_open(&self) -> bool {
        self.err.as_ref().is_some_and(TcpConnection::is_open)
    }

    /// Reads the available bytes of a stream and emits them.
    fn read(&mut self, stream: Stream, permit: OutputPermit<'_>) -> Result<(), TransportError> {
        let early = std::mem::take(&mut self.early);
        let data = match stream {
            Stream::Stdout if !early.is_empty() => self.stream.feed(&early),
            Stream::Stdout => self.read_main()?,
            Stream::Stderr => self.read_err()?,
        };
        if !data.is_empty() {
            permit.send(Chunk {
                target: self.id,
                stream,
                data,
            });
        }
        Ok(())
    }

    pub(super) fn read_main(&mut self) -> Result<Vec<u8>, TransportError> {
        let RshSession {
            main,
            stream,
            lease,
            feed,
            ..
        } = self;
        Ok(
            match main
                .read(|bytes| stream.feed(bytes))
                .map_err(TransportError::lost)?
            {
                ReadResult::Data(output) => output,
                ReadResult::Nothing => Vec::new(),
                ReadResult::End => {
                    // The daemon answers more input with a reset, and nothing reads it.
                    *feed = None;
                    // A reset connection leaves no TIME_WAIT. Any other connection leaves one at the side that
                    // closed first.
                    if !main.was_reset() {
                        if main.closes_first() {
                            lease.local_closed_first();
                        } else {
                            lease.remote_closed_first();
                        }
                    }
                    stream.end(main.was_reset())
                }
            },
        )
    }

    pub(super) fn read_err(&mut self) -> Result<Vec<u8>, TransportError> {
        let Some(err) = &mut self.err else {
            return Ok(Vec::new());
        };
        let show = self.show_stderr;
        // With `--raw --stderr drop` nothing at the host discards standard error, so it is discarded here.
        let keep = |bytes: &[u8]| if show { bytes.to_vec() } else { Vec::new() };
        match err.read(keep).map_err(TransportError::lost)? {
            ReadResult::Data(output) => Ok(output),
            ReadResult::Nothing | ReadResult::End => Ok(Vec::new()),
        }
    }
}

/// Next thing that a running session handles.
enum SessionEvent<'a> {
    /// A stream is readable.
    Readable(Stream),
    /// The event queue can take a chunk.
    Room(OutputPermit<'a>),
    /// A part of the input was sent, or none can be sent any more.
    SendOutcome(SendOutcome),
    /// The time for a killed command to end is over.
    GivenUp,
}

impl RshSession {
    /// Handles the result of sending input.
    fn on_input_sent(&mut self, outcome: SendOutcome) {
        match outcome {
            SendOutcome::Some => self.drop_rest_of_input(),
            SendOutcome::All => {
                if self.feed.take().is_some_and(|feed| feed.ends_by_close()) {
                    // Only the end of the stream ends an input of unknown length. This side then closes first.
                    self.main.half_close();
                }
            }
            SendOutcome::Broken => {
                self.feed = None;
                self.main.write_failed();
            }
            SendOutcome::Failed(error) => {
                self.feed = None;
                // The command is killed first, because it must not treat a failed input as complete.
                self.signal(RemoteSignal::Kill);
                self.failed_input = Some((error, Instant::now() + KILL_TIMEOUT));
            }
        }
    }

    /// Stops sending to a command that has ended.
    fn drop_rest_of_input(&mut self) {
        // The wrapper's `head` waits for the rest of the input. A half-close ends it, at the cost of a TIME_WAIT here.
        if self.stream.has_marker() && self.feed.as_ref().is_some_and(InputFeed::has_large_rest) {
            self.feed = None;
            self.main.half_close();
        }
    }

    pub(super) fn take_exit(&mut self) -> Result<RemoteExit, TransportError> {
        match self.failed_input.take() {
            // The command was killed for its input. The missing end marker only follows from that.
            Some((error, _)) => Err(TransportError::Input(error)),
            None => self.stream.take_exit(),
        }
    }
}

impl Session for RshSession {
    async fn pump(&mut self, output: &Output) -> Result<RemoteExit, TransportError> {
        while let Some((stream, _)) = self.decoded.first() {
            let is_shown = *stream == Stream::Stdout || self.show_stderr;
            // The slot comes first, so that a cancelled wait loses nothing.
            let permit = output.reserve().await;
            let (stream, data) = self.decoded.remove(0);
            if is_shown && !data.is_empty() {
                let target = self.id;
                permit.send(Chunk {
                    target,
                    stream,
                    data,
                });
            }
        }
        // Input and output must not wait for each other: a command may stop reading until its output is taken.
        let mut found = None;
        while !self.early.is_empty() || self.main.is_open() || self.err_is_open() {
            let early = !self.early.is_empty();
            let give_up_at = self.failed_input.as_ref().map(|(_, at)| *at);
            // Data is read only with a slot in the queue: a full queue blocks the command, and a cancelled wait loses
            // nothing.
            let step = tokio::select! {
                found = readable(early, &self.main, self.err.as_ref()), if found.is_none() => {
                    SessionEvent::Readable(found.map_err(TransportError::lost)?)
                }
                permit = output.reserve(), if found.is_some() => SessionEvent::Room(permit),
                outcome = feed::send(&mut self.feed, &self.main) => SessionEvent::SendOutcome(outcome),
                () = reached(give_up_at) => SessionEvent::GivenUp,
            };
            match step {
                SessionEvent::Readable(stream) => found = Some(stream),
                SessionEvent::Room(permit) => {
                    if let Some(stream) = found.take() {
                        self.read(stream, permit)?;
                        self.drop_rest_of_input();
                    }
                }
                SessionEvent::SendOutcome(outcome) => self.on_input_sent(outcome),
                SessionEvent::GivenUp => break,
            }
        }
        self.take_exit()
    }

    fn signal(&mut self, signal: RemoteSignal) -> bool {
        // A byte on the callback connection is a signal number for the command's process group (rshd(8)).
        let number = match signal {
            RemoteSignal::Term => 15,
            RemoteSignal::Kill => 9,
        };
        self.err
            .as_ref()
            .is_some_and(|err| err.try_write_byte(number))
    }

    fn closes_first(&self) -> Option<Side> {
        // Only the main connection counts: this side never half-closes the callback, so the daemon closes it first.
        Some(if self.main.closes_first() {
            Side::Local
        } else {
            Side::Remote
        })
    }
}

/// Waits until a stream is readable or has ended. Cancel safe.
pub(super) async fn readable(
    early: bool,
    main: &TcpConnection,
    err: Option<&TcpConnection>,
) -> std::io::Result<Stream> {
    if early {
        return Ok(Stream::Stdout);
    }
    let err = async {
        match err {
            Some(err) => err.readable().await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        ready = main.readable() => ready.map(|()| Stream::Stdout),
        ready = err => ready.map(|()| Stream::Stderr),
    }
}
