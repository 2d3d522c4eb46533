//! A running rsh session: both streams to their end, then the close.

use std::sync::Arc;
use std::time::Duration;

use reserved_ports::PortLease;
use tokio::time::Instant;

use super::feed::{self, Fed, Feed};
use super::output::MainStream;
use crate::clock::reached;
use crate::event::{Chunk, RemoteExit, Side, Stream};
use crate::targets::TargetId;
use crate::transport::input::InputError;
use crate::transport::stream::{Connection, ReadResult};
use crate::transport::{Output, OutputPermit, RemoteSignal, Session, TransportError};

/// A command that an rsh daemon says it has started. The sockets come before the lease: fields are
/// dropped in this order.
#[derive(Debug)]
pub struct RshSession {
    pub(super) id: TargetId,
    pub(super) main: Connection,
    /// Standard error and signals, if asked for.
    pub(super) err: Option<Connection>,
    pub(super) lease: PortLease,
    pub(super) show_stderr: bool,
    /// Output that came in one piece with the daemon's answer.
    pub(super) early: Vec<u8>,
    pub(super) stream: MainStream,
    /// What is still to be sent to the command.
    pub(super) feed: Option<Feed>,
    /// Why its input is not to be had whole, and until when it may take to end.
    pub(super) failed_input: Option<(Arc<InputError>, Instant)>,
}

/// How long the streams of a command that is killed for want of its input have to end.
const AFTER_KILL: Duration = Duration::from_millis(500);

impl RshSession {
    fn err_is_open(&self) -> bool {
        self.err.as_ref().is_some_and(Connection::is_open)
    }

    /// Reads what a stream has and passes it on.
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

    fn read_main(&mut self) -> Result<Vec<u8>, TransportError> {
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
                    *feed = None;
                    // A connection that was reset leaves no trace; the other kind leaves it where it was
                    // closed first.
                    match main.was_reset() {
                        true => {}
                        false if main.closes_first() => lease.local_closed_first(),
                        false => lease.remote_closed_first(),
                    }
                    stream.end(main.was_reset())
                }
            },
        )
    }

    fn read_err(&mut self) -> Result<Vec<u8>, TransportError> {
        let Some(err) = &mut self.err else {
            return Ok(Vec::new());
        };
        let show = self.show_stderr;
        let keep = |bytes: &[u8]| if show { bytes.to_vec() } else { Vec::new() };
        match err.read(keep).map_err(TransportError::lost)? {
            ReadResult::Data(output) => Ok(output),
            ReadResult::Nothing | ReadResult::End => Ok(Vec::new()),
        }
    }
}

/// What a session waits for, when it has come.
enum Step<'a> {
    /// There is something to read on this stream.
    Readable(Stream),
    /// There is room for it in the queue.
    Room(OutputPermit<'a>),
    /// Input was sent.
    Fed(Fed),
    /// A command whose input failed has had its time to end.
    GivenUp,
}

impl RshSession {
    /// Decides what follows when input was sent.
    fn on_fed(&mut self, fed: Fed) {
        match fed {
            Fed::Some => self.leave_the_rest(),
            Fed::All => {
                if self.feed.take().is_some_and(|feed| feed.ends_by_close()) {
                    self.main.half_close();
                }
            }
            Fed::Broken => {
                self.feed = None;
                self.main.write_failed();
            }
            Fed::Failed(error) => {
                self.feed = None;
                // It must not read an end of file where there was none to read.
                self.signal(RemoteSignal::Kill);
                self.failed_input = Some((error, Instant::now() + AFTER_KILL));
            }
        }
    }

    /// Sends no more to a command that has ended.
    fn leave_the_rest(&mut self) {
        if self.stream.has_marker() && self.feed.as_ref().is_some_and(Feed::is_much) {
            self.feed = None;
            self.main.half_close();
        }
    }

    fn verdict(&mut self) -> Result<RemoteExit, TransportError> {
        match self.failed_input.take() {
            Some((error, _)) => Err(TransportError::Input(error)),
            None => self.stream.verdict(),
        }
    }
}

impl Session for RshSession {
    async fn pump(&mut self, output: &Output) -> Result<RemoteExit, TransportError> {
        // Output waits for room in the queue, input for room in the connection and for more of it, and
        // none of these for another.
        let mut found = None;
        while !self.early.is_empty() || self.main.is_open() || self.err_is_open() {
            let early = !self.early.is_empty();
            let give_up_at = self.failed_input.as_ref().map(|(_, at)| *at);
            let step = tokio::select! {
                found = readable(early, &self.main, self.err.as_ref()), if found.is_none() => {
                    Step::Readable(found.map_err(TransportError::lost)?)
                }
                permit = output.reserve(), if found.is_some() => Step::Room(permit),
                fed = feed::send(&mut self.feed, &self.main) => Step::Fed(fed),
                () = reached(give_up_at) => Step::GivenUp,
            };
            match step {
                Step::Readable(stream) => found = Some(stream),
                Step::Room(permit) => {
                    if let Some(stream) = found.take() {
                        self.read(stream, permit)?;
                        self.leave_the_rest();
                    }
                }
                Step::Fed(fed) => self.on_fed(fed),
                Step::GivenUp => break,
            }
        }
        self.verdict()
    }

    fn signal(&mut self, signal: RemoteSignal) -> bool {
        // rshd(8): a byte on this connection is a signal number for the command's process group.
        let number = match signal {
            RemoteSignal::Term => 15,
            RemoteSignal::Kill => 9,
        };
        self.err
            .as_ref()
            .is_some_and(|err| err.try_write_byte(number))
    }

    fn closes_first(&self) -> Option<Side> {
        Some(match self.main.closes_first() {
            true => Side::Local,
            false => Side::Remote,
        })
    }
}

/// Waits until a stream has something to read, or its end. Cancel safe.
async fn readable(
    early: bool,
    main: &Connection,
    err: Option<&Connection>,
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
