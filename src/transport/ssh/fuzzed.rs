//! A whole session over a stream, for the fuzz target of the channel layer (tests/fuzz/channel.rs), and the test
//! that replays its corpus.

use std::os::unix::net;
use std::time::Duration;

use tokio::net::UnixStream;
use tokio::sync::{Semaphore, mpsc};
use tokio::time::timeout;
use zeroize::Zeroizing;

use super::algorithms::Algorithms;
use super::auth::{Credentials, PASSWORD, log_in};
use super::connect::{self, ChannelProgram, ConnectFailure, EXCHANGES, LoginProgress};
use super::pipe::ServerStream;
use super::session::{SessionState, SignalWay, SshSession, StreamOptions};
use crate::clock::ProcessClock;
use crate::event::{RemoteExit, Stream};
use crate::reader::Reader;
use crate::targets::TargetId;
use crate::transport::output::Output;
use crate::transport::trials::Trials;
use crate::transport::{Budget, Session, StartRequest, TransportError};

/// Maximum duration of a session whose server closes when it has sent everything.
const MAX_DURATION: Duration = Duration::from_secs(30);

/// The end of a session.
#[derive(Debug)]
pub struct SessionEnd {
    /// The exit of the command, or the failure.
    pub exit: Result<RemoteExit, TransportError>,
    /// The bytes of output.
    pub output: usize,
}

/// Runs a command on the server at the other end of `stream`, whatever its host key. Panics if it does not end.
pub fn session(stream: net::UnixStream) -> SessionEnd {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("the process has descriptors");
    runtime.block_on(async {
        let (sender, mut receiver) = mpsc::channel(16);
        let run = async {
            let output = Output::new(sender, Reader::default(), ProcessClock::default(), None);
            let exit = run(stream, &output).await;
            drop(output);
            exit
        };
        let count = async {
            let mut output = 0;
            while let Some(chunk) = receiver.recv().await {
                output += chunk.data.len();
            }
            output
        };
        let both = async { tokio::join!(run, count) };
        let (exit, output) = timeout(MAX_DURATION, both).await.expect("the session ends");
        SessionEnd { exit, output }
    })
}

async fn run(stream: net::UnixStream, output: &Output) -> Result<RemoteExit, TransportError> {
    let failed = |failure| match failure {
        ConnectFailure::Failed(error) => error,
        other => TransportError::Handshake {
            reason: format!("{other:?}"),
        },
    };
    stream.set_nonblocking(true).expect("it is a socket");
    let line = ServerStream::Tunnel(UnixStream::from_std(stream).expect("the runtime is there"));
    let exchanges = Semaphore::new(EXCHANGES);
    let mut progress = LoginProgress::new(&Budget::new(MAX_DURATION, ProcessClock::default()));
    let algorithms = Algorithms {
        kex: "curve25519-sha256".to_owned(),
        host_key: "ssh-ed25519".to_owned(),
        ciphers: "aes128-ctr".to_owned(),
        macs: "hmac-sha2-256".to_owned(),
        ..Algorithms::default()
    };
    let proved = connect::prove(line, &algorithms, &exchanges, &mut progress);
    let proved = proved.await.map_err(failed)?;
    let mut peer = connect::proceed(proved, &mut progress)
        .await
        .map_err(failed)?;
    let credentials = Credentials {
        user: "user",
        methods: &[PASSWORD.to_owned()],
        keys: &[],
        password: Some(&Zeroizing::new("password".to_owned())),
        host: "host",
        trials: &Trials::default(),
    };
    log_in(&mut peer, &credentials, &mut progress).await?;
    let program = ChannelProgram::Command(b"command");
    let request = &mut StartRequest::default();
    let channel = connect::exec(&mut peer, program, &[], None, request).await?;
    let mut session = SshSession {
        id: TargetId(0),
        peer,
        channel,
        lease: None,
        alive: None,
        options: StreamOptions {
            stderr: Some(Stream::Stderr),
            raw: false,
        },
        input: None,
        input_ended: false,
        state: SessionState::Running,
        signal: None,
        early: Vec::new(),
        signal_way: SignalWay::Request,
    };
    session.pump(output).await
}

#[cfg(test)]
mod replay;
