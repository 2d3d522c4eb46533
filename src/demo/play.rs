//! Plays a [`Script`] for one caller.

use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::sync::mpsc::Sender;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::{join, time};

use super::callback;
use super::request::{self, Request};
use super::script::{CallBack, Script, Seen, Step, Wire};
use super::server::Call;

/// Long enough for most clients to read one byte before the next one comes.
const DRIBBLE_PACE: Duration = Duration::from_millis(1);

/// Plays all steps, or those before the first write that fails.
pub(super) async fn play(call: Call, script: &Script, seen: &Sender<Seen>) -> io::Result<()> {
    let port = call.main.peer_addr()?.port();
    let mut stage = Stage {
        main: Some(call.main),
        err: None,
        more: Vec::new(),
        asked: None,
        request: None,
        called_back: false,
        peer: call.peer,
        called: call.called,
        seen,
    };
    stage.tell(Seen::Connected(port));
    for step in script.steps() {
        if let Err(error) = stage.play(step).await {
            stage.tell(Seen::CutShort);
            return Err(error);
        }
    }
    if let Err(error) = stage.read_rest().await {
        stage.tell(Seen::CutShort);
        return Err(error);
    }
    // Told when it is true.
    let told = stage.seen;
    drop(stage);
    let _ = told.send(Seen::Done);
    Ok(())
}

/// The state of a session between two steps.
struct Stage<'a> {
    main: Option<TcpStream>,
    err: Option<TcpStream>,
    more: Vec<TcpStream>,
    /// The port of a request of which the rest is still to be read.
    asked: Option<(request::Reader, Option<u16>)>,
    request: Option<Request>,
    called_back: bool,
    peer: Ipv4Addr,
    called: Ipv4Addr,
    seen: &'a Sender<Seen>,
}

impl Stage<'_> {
    async fn play(&mut self, step: &Step) -> io::Result<()> {
        // Clients may send the rest of the request when they have been called back.
        if !matches!(step, Step::CallBack(_) | Step::Sleep(_)) {
            self.read_rest().await?;
        }
        match step {
            Step::ReadRequest => {
                if let Some(main) = &mut self.main {
                    let mut reader = request::Reader::default();
                    let port = reader.port(main).await.map_err(io::Error::other)?;
                    self.asked = Some((reader, port));
                }
            }
            Step::CallBack(how) => self.call_back(how).await,
            Step::Send(to, bytes) => self.send(*to, bytes).await?,
            Step::Dribble(to, bytes) => self.dribble(*to, bytes).await?,
            Step::Repeat { to, piece, times } => {
                for _ in 0..*times {
                    for to in to {
                        self.send(*to, piece).await?;
                    }
                }
            }
            Step::Marker(status) => self.send(Wire::Main, &self.marker(*status)?).await?,
            Step::MarkerStart(length) => {
                let marker = self.marker(0)?;
                let start = &marker[..marker.len().min(*length)];
                self.send(Wire::Main, start).await?;
            }
            Step::DribbleMarker(status) => {
                self.dribble(Wire::Main, &self.marker(*status)?).await?;
            }
            Step::Sleep(duration) => time::sleep(*duration).await,
            Step::AwaitClient => {
                let main = listen(&mut self.main, Wire::Main, self.seen, None);
                let err = listen(&mut self.err, Wire::Err, self.seen, None);
                join!(main, err);
            }
            Step::AwaitSignal(number) => {
                listen(&mut self.err, Wire::Err, self.seen, Some(*number)).await;
            }
            Step::Stall => std::future::pending().await,
            Step::HalfClose(wire) => {
                if let Some(wire) = self.wire(*wire) {
                    wire.shutdown().await?;
                }
            }
            Step::Close(wire) => drop(self.wire(*wire).take()),
            Step::Reset(wire) => {
                if let Some(wire) = self.wire(*wire).take() {
                    wire.set_zero_linger()?;
                }
            }
        }
        Ok(())
    }

    /// Reads the part of the request that follows the port. A client that has not been called back, and wants
    /// to be, may not have sent it.
    async fn read_rest(&mut self) -> io::Result<()> {
        let (Some((reader, port)), Some(main)) = (&mut self.asked, &mut self.main) else {
            return Ok(());
        };
        let rest = reader.rest(main);
        let request = match port.is_some() && !self.called_back {
            true => match time::timeout(Duration::ZERO, rest).await {
                Ok(request) => request,
                Err(_) => return Ok(()),
            },
            false => rest.await,
        };
        let request = request.map_err(io::Error::other)?;
        self.asked = None;
        self.tell(Seen::Request(request.clone()));
        self.request = Some(request);
        Ok(())
    }

    async fn call_back(&mut self, how: &CallBack) {
        let asked = self.asked.as_ref().and_then(|(_, port)| *port);
        let known = self.request.as_ref().and_then(|request| request.err_port);
        let Some(port) = asked.or(known) else {
            return;
        };
        let from = how.address.unwrap_or(self.called);
        let to = SocketAddrV4::new(self.peer, port);
        self.called_back = true;
        match callback::connect(from, to, how.port).await {
            Ok(connection) => {
                let port = connection.local_addr().map_or(0, |address| address.port());
                self.tell(Seen::CalledBack(port));
                // What a script cuts in pieces shall arrive so.
                let _ = connection.set_nodelay(true);
                match self.err {
                    None => self.err = Some(connection),
                    Some(_) => self.more.push(connection),
                }
            }
            Err(_) => self.tell(Seen::CallBackFailed),
        }
    }

    async fn send(&mut self, to: Wire, bytes: &[u8]) -> io::Result<()> {
        match self.output(to) {
            Some(output) => output.write_all(bytes).await,
            None => Ok(()),
        }
    }

    async fn dribble(&mut self, to: Wire, bytes: &[u8]) -> io::Result<()> {
        if let Some(output) = self.output(to) {
            output.set_nodelay(true)?;
            for byte in bytes {
                output.write_all(std::slice::from_ref(byte)).await?;
                time::sleep(DRIBBLE_PACE).await;
            }
        }
        Ok(())
    }

    /// What the client's wrapper prints when the command has ended with this status.
    fn marker(&self, status: u8) -> io::Result<Vec<u8>> {
        let token = self
            .request
            .as_ref()
            .and_then(Request::end_marker_token)
            .ok_or_else(|| io::Error::other("the command has no end marker"))?;
        let mut marker = token.to_vec();
        marker.extend_from_slice(format!(":{status}\n").as_bytes());
        Ok(marker)
    }

    fn output(&mut self, to: Wire) -> Option<&mut TcpStream> {
        match to {
            Wire::Err if self.err.is_some() => self.err.as_mut(),
            Wire::Main | Wire::Err => self.main.as_mut(),
        }
    }

    fn wire(&mut self, wire: Wire) -> &mut Option<TcpStream> {
        match wire {
            Wire::Main => &mut self.main,
            Wire::Err => &mut self.err,
        }
    }

    fn tell(&self, what: Seen) {
        // A test that has seen enough has gone.
        let _ = self.seen.send(what);
    }
}

/// Reads a connection until the client ends it or, on the second one, has sent the signal `until`.
async fn listen(wire: &mut Option<TcpStream>, name: Wire, seen: &Sender<Seen>, until: Option<u8>) {
    let Some(connection) = wire else { return };
    let mut buffer = vec![0; 16 << 10];
    let last = loop {
        match connection.read(&mut buffer).await {
            Ok(0) => break Seen::Closed(name),
            Err(_) => break Seen::WasReset(name),
            Ok(n) if name == Wire::Main => {
                let _ = seen.send(Seen::Stdin(buffer[..n].to_vec()));
            }
            Ok(n) => {
                for &number in &buffer[..n] {
                    let _ = seen.send(Seen::Signal(number));
                }
                if until.is_some_and(|number| buffer[..n].contains(&number)) {
                    return;
                }
            }
        }
    };
    let _ = seen.send(last);
}
