//! A running rsh session: both streams to their end, then the close.

use tokio::sync::mpsc;

use super::wire;
use super::wrap::MarkerDecoder;
use crate::ports::PortLease;
use crate::targets::TargetId;
use crate::transport::stream::{Connection, Read};
use crate::transport::{Chunk, Phase, RemoteExit, RemoteSignal, Session, Stream, TransportError};

/// A command that an rsh daemon says it has started. The sockets come before the lease: fields are
/// dropped in this order.
#[derive(Debug)]
pub struct RshSession {
    id: TargetId,
    main: Connection,
    /// Standard error and signals, if asked for.
    err: Option<Connection>,
    lease: PortLease,
    /// `None` for a command that is not wrapped.
    decoder: Option<MarkerDecoder>,
    show_stderr: bool,
    /// Output that came in one piece with the daemon's answer.
    early: Vec<u8>,
    /// The first output, kept as long as it may be a refusal.
    head: Vec<u8>,
    /// The status that the end marker carried, once the main stream has ended.
    exit: Option<RemoteExit>,
}

const KILLED: &str = "the command was killed, or its login shell runs no commands";
const SILENT: &str = "no output and no end marker; was it killed, or is its login shell missing?";

impl RshSession {
    pub(super) fn new(
        id: TargetId,
        main: Connection,
        err: Option<Connection>,
        lease: PortLease,
        decoder: Option<MarkerDecoder>,
        show_stderr: bool,
        early: Vec<u8>,
    ) -> Self {
        let exit = None;
        RshSession {
            id,
            main,
            err,
            lease,
            decoder,
            show_stderr,
            early,
            head: Vec::new(),
            exit,
        }
    }

    fn err_is_open(&self) -> bool {
        self.err.as_ref().is_some_and(Connection::is_open)
    }

    /// Takes bytes of the main stream and gives those that are output.
    fn decode(decoder: &mut Option<MarkerDecoder>, head: &mut Vec<u8>, bytes: &[u8]) -> Vec<u8> {
        let output = match decoder {
            Some(decoder) => {
                let mut output = Vec::with_capacity(bytes.len());
                decoder.feed(bytes, &mut output);
                output
            }
            None => bytes.to_vec(),
        };
        if head.len() < wire::MAX_DENIAL {
            let more = output.len().min(wire::MAX_DENIAL - head.len());
            head.extend_from_slice(&output[..more]);
        }
        output
    }

    fn read_main(&mut self) -> Result<Vec<u8>, TransportError> {
        let RshSession {
            main,
            decoder,
            head,
            ..
        } = self;
        let read = main
            .read(|bytes| Self::decode(decoder, head, bytes))
            .map_err(lost)?;
        Ok(match read {
            Read::Data(output) => output,
            Read::Nothing => Vec::new(),
            Read::End => self.end_main(),
        })
    }

    /// The main stream has ended: gives what had been held back for a marker.
    fn end_main(&mut self) -> Vec<u8> {
        match &mut self.decoder {
            Some(decoder) => {
                let (held, exit) = decoder.finish();
                self.exit = exit;
                self.head.extend_from_slice(&held);
                held
            }
            None => {
                self.exit = (!self.main.was_reset()).then_some(RemoteExit::Unknown);
                Vec::new()
            }
        }
    }

    fn read_err(&mut self) -> Result<Vec<u8>, TransportError> {
        let show = self.show_stderr;
        let Some(err) = &mut self.err else {
            return Ok(Vec::new());
        };
        let keep = |bytes: &[u8]| if show { bytes.to_vec() } else { Vec::new() };
        match err.read(keep).map_err(lost)? {
            Read::Data(output) => Ok(output),
            Read::Nothing | Read::End => Ok(Vec::new()),
        }
    }

    /// Both streams have ended: how did the command?
    fn verdict(&mut self) -> Result<RemoteExit, TransportError> {
        // A connection that was reset leaves no trace; the other kind leaves it to the other side.
        if !self.main.was_reset() {
            self.lease.remote_closed_first();
        }
        if let Some(exit) = self.exit {
            return Ok(exit);
        }
        if let Some(text) = wire::is_late_denial(&self.head) {
            return Err(TransportError::Denied {
                text: text.to_owned(),
            });
        }
        if self.main.was_reset() {
            return Err(TransportError::Reset {
                phase: Phase::Run,
                hint: None,
            });
        }
        let hint = if self.head.is_empty() { SILENT } else { KILLED };
        Err(TransportError::NoEndMarker { hint })
    }
}

fn lost(source: std::io::Error) -> TransportError {
    TransportError::Io {
        phase: Phase::Run,
        source,
    }
}

impl Session for RshSession {
    async fn pump(&mut self, output: &mpsc::Sender<Chunk>) -> Result<RemoteExit, TransportError> {
        // A queue without a reader means that the run is being given up: its host task is told so by
        // other means, and until then there is nothing to do.
        let room = async || match output.reserve().await {
            Ok(permit) => permit,
            Err(_) => std::future::pending().await,
        };
        if !self.early.is_empty() {
            let permit = room().await;
            let early = std::mem::take(&mut self.early);
            let data = Self::decode(&mut self.decoder, &mut self.head, &early);
            if !data.is_empty() {
                permit.send(Chunk {
                    target: self.id,
                    stream: Stream::Stdout,
                    data,
                });
            }
        }
        while self.main.is_open() || self.err_is_open() {
            let stream = tokio::select! {
                ready = self.main.readable() => ready.map(|()| Stream::Stdout),
                ready = readable(self.err.as_ref()) => ready.map(|()| Stream::Stderr),
            }
            .map_err(lost)?;
            let permit = room().await;
            let data = match stream {
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
}

async fn readable(connection: Option<&Connection>) -> std::io::Result<()> {
    match connection {
        Some(connection) => connection.readable().await,
        None => std::future::pending().await,
    }
}
