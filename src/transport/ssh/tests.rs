use std::sync::Arc;
use std::time::Instant;

use tokio::net::TcpStream;
use tokio::sync::mpsc;

use super::auth::{Candidate, Claim, Proof, log_in};
use super::connect::{Algorithms, Progress, exec, greet};
use super::pipe::Line;
use super::session::{SshSession, State, Streams};
use crate::targets::TargetId;
use crate::transport::{RemoteExit, RemoteSignal, Session, Stream};

async fn start(command: &str) -> SshSession {
    let port: u16 = std::env::var("SCRATCH_PORT").unwrap().parse().unwrap();
    let key = ssh_key::PrivateKey::read_openssh_file(std::path::Path::new(
        &std::env::var("SCRATCH_KEY").unwrap(),
    ))
    .unwrap();
    let stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    stream.set_nodelay(true).unwrap();
    let mut progress = Progress::new();
    let mut peer = greet(Line::Direct(stream), &Algorithms::default(), &mut progress)
        .await
        .unwrap();
    assert!(peer.host_key().is_some());
    let seed = key.key_data().ed25519().unwrap().private.to_bytes();
    let methods = ["publickey".to_owned()];
    let keys = [Candidate {
        blob: key.public_key().to_bytes().unwrap().into(),
        name: "key".into(),
        proof: Proof::Key(Arc::new(seed)),
    }];
    let claim = Claim {
        user: "root",
        methods: &methods,
        keys: &keys,
        password: None,
    };
    log_in(&mut peer, &claim, &mut progress).await.unwrap();
    let channel = exec(&mut peer, command.as_bytes(), &mut progress)
        .await
        .unwrap();
    SshSession {
        id: TargetId(0),
        peer,
        channel,
        lease: None,
        alive: None,
        options: Streams {
            stderr: Some(Stream::Stderr),
            raw: false,
        },
        input_ended: false,
        state: State::Running,
        signal: None,
    }
}

async fn run(command: &str) -> (Vec<u8>, Vec<u8>, Result<RemoteExit, String>) {
    let mut session = start(command).await;
    let (sender, mut receiver) = mpsc::channel(4);
    let collect = tokio::spawn(async move {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        while let Some(chunk) = receiver.recv().await {
            let chunk: crate::transport::Chunk = chunk;
            match chunk.stream {
                Stream::Stdout => out.extend(chunk.data),
                Stream::Stderr => err.extend(chunk.data),
            }
        }
        (out, err)
    });
    let exit = session.pump(&sender).await.map_err(|e| e.to_string());
    drop(session);
    drop(sender);
    let (out, err) = collect.await.unwrap();
    (out, err, exit)
}

#[tokio::test]
async fn scratch() {
    let begin = Instant::now();
    println!("{:?}", run("echo hello; echo err >&2; exit 3").await);
    println!("{:?}", begin.elapsed());
    println!("{:?}", run("kill -TERM $$").await);
    println!("{:?}", run("cat; exec >&- 2>&-; sleep 1; exit 7").await);
    let begin = Instant::now();
    let (out, err, exit) =
        run("head -c 100000000 /dev/zero | tee /dev/stderr; exit 9").await;
    println!("{} {} {exit:?} {:?}", out.len(), err.len(), begin.elapsed());
    let mut session = start("sleep 1000").await;
    let (sender, _receiver) = mpsc::channel(4);
    assert!(session.signal(RemoteSignal::Term));
    println!("{:?}", session.pump(&sender).await);
}
