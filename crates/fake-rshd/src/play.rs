//! Plays a [`Script`] for one client.

use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::sync::mpsc::Sender;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::{join, time};

use crate::callback;
use crate::request::{Request, RequestReader};
use crate::script::{Callback, Connection, Observation, Script, Step};
use crate::server::Client;

/// Pause between two single bytes.
// Most clients read one byte before the next one arrives.
const BYTEWISE_PAUSE: Duration = Duration::from_millis(1);

/// Plays all steps, or those before the first write that fails.
pub(crate) async fn play(
    client: Client,
    script: &Script,
    observations: &Sender<Observation>,
) -> io::Result<()> {
    let port = client.main.peer_addr()?.port();
    let mut session = ScriptedSession {
        main: Some(client.main),
        callback: None,
        unused_callbacks: Vec::new(),
        partial_request: None,
        request: None,
        called_back: false,
        peer: client.peer,
        called: client.called,
        observations,
    };
    session.report(Observation::Connected(port));
    let result = session.play_all(script).await;
    let last = match result {
        Ok(()) => {
            // The observation is sent after the connections are closed.
            drop(session);
            Observation::Finished
        }
        Err(_) => Observation::Aborted,
    };
    let _ = observations.send(last);
    result
}

/// The state of a session between two steps.
struct ScriptedSession<'a> {
    main: Option<TcpStream>,
    callback: Option<TcpStream>,
    unused_callbacks: Vec<TcpStream>,
    /// A request that has been read as far as its port, and the port.
    partial_request: Option<(RequestReader, Option<u16>)>,
    request: Option<Request>,
    called_back: bool,
    peer: Ipv4Addr,
    called: Ipv4Addr,
    observations: &'a Sender<Observation>,
}

impl ScriptedSession<'_> {
    async fn play_all(&mut self, script: &Script) -> io::Result<()> {
        for step in script.steps() {
            self.play(step).await?;
        }
        self.read_rest().await
    }

    async fn play(&mut self, step: &Step) -> io::Result<()> {
        // A client may send the rest of its request only after it has been called back.
        if !matches!(step, Step::CallBack(_) | Step::Sleep(_)) {
            self.read_rest().await?;
        }
        match step {
            Step::ReadRequest => {
                if let Some(main) = &mut self.main {
                    let mut reader = RequestReader::default();
                    let port = reader.port(main).await.map_err(io::Error::other)?;
                    self.partial_request = Some((reader, port));
                }
            }
            Step::CallBack(how) => self.call_back(how).await,
            Step::Send(to, bytes) => self.send(*to, bytes).await?,
            Step::SendBytewise(to, bytes) => self.send_bytewise(*to, bytes).await?,
            Step::Repeat { to, bytes, times } => {
                for _ in 0..*times {
                    for to in to {
                        self.send(*to, bytes).await?;
                    }
                }
            }
            Step::EndMarker(status) => {
                self.send(Connection::Main, &self.end_marker(*status)?)
                    .await?;
            }
            Step::EndMarkerStart(length) => {
                let marker = self.end_marker(0)?;
                let start = &marker[..marker.len().min(*length)];
                self.send(Connection::Main, start).await?;
            }
            Step::EndMarkerBytewise(status) => {
                self.send_bytewise(Connection::Main, &self.end_marker(*status)?)
                    .await?;
            }
            Step::Sleep(duration) => time::sleep(*duration).await,
            Step::AwaitClose => {
                let main = observe(&mut self.main, Connection::Main, self.observations, None);
                let callback = observe(
                    &mut self.callback,
                    Connection::Callback,
                    self.observations,
                    None,
                );
                join!(main, callback);
            }
            Step::AwaitSignal(number) => {
                observe(
                    &mut self.callback,
                    Connection::Callback,
                    self.observations,
                    Some(*number),
                )
                .await;
            }
            Step::Stall => std::future::pending().await,
            Step::HalfClose(connection) => {
                if let Some(socket) = self.socket(*connection) {
                    socket.shutdown().await?;
                }
            }
            Step::Close(connection) => drop(self.socket(*connection).take()),
            Step::Reset(connection) => {
                if let Some(socket) = self.socket(*connection).take() {
                    // A close with a linger time of zero sends RST (socket(7)).
                    socket.set_zero_linger()?;
                }
            }
        }
        Ok(())
    }

    /// Reads the part of the request that follows the port. A client that waits for its callback may
    /// not have sent it.
    async fn read_rest(&mut self) -> io::Result<()> {
        let (Some((reader, port)), Some(main)) = (&mut self.partial_request, &mut self.main) else {
            return Ok(());
        };
        let rest = reader.rest(main);
        let request = if port.is_some() && !self.called_back {
            // The callback must not wait for the rest of the request, so only bytes that have arrived are read.
            match time::timeout(Duration::ZERO, rest).await {
                Ok(request) => request,
                Err(_) => return Ok(()),
            }
        } else {
            rest.await
        };
        let request = request.map_err(io::Error::other)?;
        self.partial_request = None;
        self.report(Observation::Request(request.clone()));
        self.request = Some(request);
        Ok(())
    }

    async fn call_back(&mut self, how: &Callback) {
        let partial = self.partial_request.as_ref().and_then(|(_, port)| *port);
        let complete = self.request.as_ref().and_then(|r| r.callback_port);
        let Some(port) = partial.or(complete) else {
            return;
        };
        let from = how.address.unwrap_or(self.called);
        let to = SocketAddrV4::new(self.peer, port);
        self.called_back = true;
        match callback::connect(from, to, how.port).await {
            Ok(socket) => {
                let port = socket.local_addr().map_or(0, |address| address.port());
                self.report(Observation::CalledBack(port));
                // Separate writes of a script shall be separate packets.
                let _ = socket.set_nodelay(true);
                match self.callback {
                    None => self.callback = Some(socket),
                    Some(_) => self.unused_callbacks.push(socket),
                }
            }
            Err(_) => self.report(Observation::CallbackFailed),
        }
    }

    async fn send(&mut self, to: Connection, bytes: &[u8]) -> io::Result<()> {
        match self.output(to) {
            Some(output) => output.write_all(bytes).await,
            None => Ok(()),
        }
    }

    async fn send_bytewise(&mut self, to: Connection, bytes: &[u8]) -> io::Result<()> {
        if let Some(output) = self.output(to) {
            // Nagle's algorithm would join the bytes to larger packets.
            output.set_nodelay(true)?;
            for byte in bytes {
                output.write_all(std::slice::from_ref(byte)).await?;
                time::sleep(BYTEWISE_PAUSE).await;
            }
        }
        Ok(())
    }

    /// Returns the end marker that the client's wrapper prints for this exit status.
    fn end_marker(&self, status: u8) -> io::Result<Vec<u8>> {
        let token = self
            .request
            .as_ref()
            .and_then(Request::end_marker_token)
            .ok_or_else(|| io::Error::other("the command has no end marker"))?;
        let mut marker = token.to_vec();
        marker.extend_from_slice(format!(":{status}\n").as_bytes());
        Ok(marker)
    }

    fn output(&mut self, to: Connection) -> Option<&mut TcpStream> {
        match to {
            Connection::Callback if self.callback.is_some() => self.callback.as_mut(),
            Connection::Main | Connection::Callback => self.main.as_mut(),
        }
    }

    fn socket(&mut self, connection: Connection) -> &mut Option<TcpStream> {
        match connection {
            Connection::Main => &mut self.main,
            Connection::Callback => &mut self.callback,
        }
    }

    fn report(&self, observation: Observation) {
        // Sending fails if the test has dropped the receiver. That is no error.
        let _ = self.observations.send(observation);
    }
}

/// Reads a connection until the client ends it or has sent the signal `until` over the callback.
async fn observe(
    socket: &mut Option<TcpStream>,
    connection: Connection,
    observations: &Sender<Observation>,
    until: Option<u8>,
) {
    let Some(socket) = socket else { return };
    let mut buffer = vec![0; 16 << 10];
    let last = loop {
        match socket.read(&mut buffer).await {
            Ok(0) => break Observation::Closed(connection),
            Err(_) => break Observation::Reset(connection),
            Ok(n) if connection == Connection::Main => {
                let _ = observations.send(Observation::Stdin(buffer[..n].to_vec()));
            }
            Ok(n) => {
                for &number in &buffer[..n] {
                    let _ = observations.send(Observation::Signal(number));
                }
                if until.is_some_and(|number| buffer[..n].contains(&number)) {
                    return;
                }
            }
        }
    };
    let _ = observations.send(last);
}
