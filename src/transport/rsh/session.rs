//! A running rsh session: both streams to their end, then the close.

use tokio::sync::mpsc;

use super::output::MainStream;
use crate::ports::PortLease;
use crate::targets::TargetId;
use crate::transport::stream::{Connection, Read};
use crate::transport::{
    Chunk, Phase, RemoteExit, RemoteSignal, Session, Side, Stream, TransportError,
};

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
}

impl RshSession {
    fn err_is_open(&self) -> bool {
        self.err.as_ref().is_some_and(Connection::is_open)
    }

    fn read_main(&mut self) -> Result<Vec<u8>, TransportError> {
        let RshSession {
            main,
            stream,
            lease,
            ..
        } = self;
        Ok(match main.read(|bytes| stream.feed(bytes)).map_err(lost)? {
            Read::Data(output) => output,
            Read::Nothing => Vec::new(),
            Read::End => {
                if !main.was_reset() {
                    // A connection that was reset leaves no trace; the other kind leaves it over there.
                    lease.remote_closed_first();
                }
                stream.end(main.was_reset())
            }
        })
    }

    fn read_err(&mut self) -> Result<Vec<u8>, TransportError> {
        let Some(err) = &mut self.err else {
            return Ok(Vec::new());
        };
        let show = self.show_stderr;
        let keep = |bytes: &[u8]| if show { bytes.to_vec() } else { Vec::new() };
        match err.read(keep).map_err(lost)? {
            Read::Data(output) => Ok(output),
            Read::Nothing | Read::End => Ok(Vec::new()),
        }
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
        while !self.early.is_empty() || self.main.is_open() || self.err_is_open() {
            let stream = match self.early.is_empty() {
                false => Stream::Stdout,
                true => tokio::select! {
                    ready = self.main.readable() => ready.map(|()| Stream::Stdout),
                    ready = readable(self.err.as_ref()) => ready.map(|()| Stream::Stderr),
                }
                .map_err(lost)?,
            };
            let permit = room().await;
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
        }
        self.stream.verdict()
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
        Some(match self.main.is_open() {
            true => Side::Local,
            false => Side::Remote,
        })
    }
}

async fn readable(connection: Option<&Connection>) -> std::io::Result<()> {
    match connection {
        Some(connection) => connection.readable().await,
        None => std::future::pending().await,
    }
}
