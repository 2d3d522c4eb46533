//! Tests against the real ssh-agent, and with invalid answers.

use std::process::{Child, Stdio};
use std::sync::Arc;

use proptest::prelude::*;
use tokio::net::UnixListener;

use super::*;
use crate::transport::ssh::testing::OpensshTools;
use ssh_files::verify_signature;

/// A real agent, which is killed when dropped.
struct RunningAgent {
    child: Child,
}

impl RunningAgent {
    fn start(bench: &OpensshTools) -> RunningAgent {
        let mut child = bench
            .command("ssh-agent")
            .args(["-D", "-a", "agent"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        // ssh-agent prints the path of its socket when it listens.
        let mut said = [0; 1];
        let mut out = child.stdout.take().unwrap();
        io::Read::read_exact(&mut out, &mut said).unwrap();
        RunningAgent { child }
    }
}

impl Drop for RunningAgent {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn add(bench: &OpensshTools, args: &[&str]) {
    let output = bench
        .command("ssh-add")
        .env("SSH_AUTH_SOCK", bench.path("agent"))
        .args(args)
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
}

#[tokio::test]
async fn keys_of_every_type_sign_in_a_real_agent() {
    let Some(bench) = OpensshTools::new() else {
        return;
    };
    let agent = RunningAgent::start(&bench);
    let client = AgentClient::new(bench.path("agent"));
    assert_eq!(client.list().await.unwrap(), []);
    let types: [(&str, &[&str]); 4] = [
        ("ed25519", &["-t", "ed25519"]),
        ("p256", &["-t", "ecdsa", "-b", "256"]),
        ("p521", &["-t", "ecdsa", "-b", "521"]),
        ("rsa", &["-t", "rsa", "-b", "2048"]),
    ];
    for (name, args) in types {
        bench.key(name, args);
    }
    bench.run("ssh-keygen", &["-q", "-s", "p256", "-I", "me", "rsa.pub"]);
    for (name, _) in types {
        add(&bench, &["-q", name]);
    }
    let keys = client.keys().await.unwrap();
    let blobs: Vec<Vec<u8>> = keys.iter().map(|key| key.blob.to_vec()).collect();
    let files = ["ed25519", "p256", "p521", "rsa", "rsa-cert"];
    assert_eq!(blobs, files.map(|name| bench.blob(&format!("{name}.pub"))));
    assert_eq!(keys[0].comment, "some comment");
    let mut count = 0;
    for (key, name) in keys.iter().zip(["ed25519", "p256", "p521", "rsa", "rsa"]) {
        let public = bench.blob(&format!("{name}.pub"));
        for algorithm in KeyType::of_blob(&public).unwrap().algorithms() {
            let raw = client.sign(&key.blob, b"data", algorithm).await.unwrap();
            let mut signature = Vec::new();
            put_string(&mut signature, algorithm.as_bytes());
            put_string(&mut signature, &raw);
            assert!(
                verify_signature(&public, b"data", &signature),
                "{name} {algorithm}"
            );
            count += 1;
        }
    }
    assert_eq!(count, 7);
    // The algorithms of a certificate sign like those of its key.
    let certified = "rsa-sha2-512-cert-v01@openssh.com";
    assert!(client.sign(&keys[4].blob, b"data", certified).await.is_ok());
    // Without a flag an RSA key signs with SHA-1.
    let error = client.sign(&keys[3].blob, b"data", "ssh-ed25519").await;
    assert!(matches!(error, Err(AgentError::Answer { .. })), "{error:?}");
    let error = client.sign(b"no key", b"data", "ssh-ed25519").await;
    assert!(
        matches!(error, Err(AgentError::Refused { .. })),
        "{error:?}"
    );
    let long = vec![0; 300_000];
    let error = client.sign(&keys[0].blob, &long, "ssh-ed25519").await;
    assert!(matches!(error, Err(AgentError::Lost { .. })), "{error:?}");
    // Nothing of the long request was sent.
    assert!(
        client
            .sign(&keys[0].blob, b"data", "ssh-ed25519")
            .await
            .is_ok()
    );

    drop(agent);
    let error = client.sign(&keys[0].blob, b"data", "ssh-ed25519").await;
    assert!(matches!(error, Err(AgentError::Lost { .. })), "{error:?}");
    let error = client.sign(&keys[0].blob, b"data", "ssh-ed25519").await;
    assert!(
        matches!(error, Err(AgentError::Connect { .. })),
        "{error:?}"
    );
    // The list of keys is kept.
    assert_eq!(client.keys().await.unwrap().len(), 5);
}

#[tokio::test]
async fn sessions_share_a_connection_and_a_dropped_request_harms_none() {
    let Some(bench) = OpensshTools::new() else {
        return;
    };
    let _agent = RunningAgent::start(&bench);
    bench.key("rsa", &["-t", "rsa", "-b", "2048"]);
    add(&bench, &["-q", "rsa"]);
    let client = Arc::new(AgentClient::new(bench.path("agent")));
    let public = bench.blob("rsa.pub");
    let mut tasks = tokio::task::JoinSet::new();
    for i in 0u32..60 {
        let client = client.clone();
        let public = public.clone();
        tasks.spawn(async move {
            let data = i.to_be_bytes();
            let sign = client.sign(&public, &data, "rsa-sha2-512");
            if i % 3 == 0 {
                // Cancelled at any point: before the start, in the queue, or during the request.
                let patience = Duration::from_micros(u64::from(i) * 300);
                return timeout(patience, sign).await.is_err();
            }
            let raw = sign.await.unwrap();
            let mut signature = Vec::new();
            put_string(&mut signature, b"rsa-sha2-512");
            put_string(&mut signature, &raw);
            assert!(verify_signature(&public, &data, &signature), "{i}");
            false
        });
    }
    let given_up = tasks
        .join_all()
        .await
        .into_iter()
        .filter(|gone| *gone)
        .count();
    assert!(given_up > 0);
}

/// Answers every connection with these bytes, then closes.
async fn answers(bytes: &'static [u8]) -> Result<Vec<AgentKey>, AgentError> {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("agent");
    let listener = UnixListener::bind(&socket).unwrap();
    let client = AgentClient::new(socket);
    let serve = async {
        let (mut connection, _) = listener.accept().await.unwrap();
        let mut request = [0; 5];
        connection.read_exact(&mut request).await.unwrap();
        assert_eq!(request, [0, 0, 0, 1, 11]);
        connection.write_all(bytes).await.unwrap();
    };
    let (keys, ()) = tokio::join!(client.list(), serve);
    keys
}

#[tokio::test]
async fn an_agent_that_dies_or_breaks_the_protocol_is_an_error() {
    for (bytes, words) in [
        (&b""[..], "lost the ssh agent at "),
        (b"\0\0", "lost the ssh agent at "),
        (b"\0\0\0\x05\x0c\0\0", "lost the ssh agent at "),
        (b"\0\0\0\0", "answered with 0 bytes"),
        (b"\xff\xff\xff\xff", "answered with 4294967295 bytes"),
        (b"HTTP/1.1 400", "answered with 1213486160 bytes"),
        (b"\0\0\0\x01\x63", "answered with a message of type 99"),
        (b"\0\0\0\x01\x0c", "answered with half a list"),
        (b"\0\0\0\x05\x0c\0\0\0\x01", "answered with half a list"),
        (
            b"\0\0\0\x05\x0c\xff\xff\xff\xff",
            "answered with more keys than any agent has",
        ),
    ] {
        let error = answers(bytes).await.unwrap_err().to_string();
        assert!(error.contains(words), "{bytes:?}: {error}");
    }
    assert_eq!(answers(b"\0\0\0\x01\x05").await.unwrap(), []);
    // A key of an unknown type is left out.
    let strange = b"\0\0\0\x13\x0c\0\0\0\x01\0\0\0\x06\0\0\0\x02xy\0\0\0\0";
    assert_eq!(answers(strange).await.unwrap(), []);
}

#[tokio::test(start_paused = true)]
async fn an_agent_without_an_answer_times_out() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("agent");
    let _listener = UnixListener::bind(&socket).unwrap();
    let client = AgentClient::new(socket);
    let error = client.keys().await.unwrap_err();
    assert!(matches!(error, AgentError::Lost { .. }), "{error}");
}

#[tokio::test]
async fn no_agent_is_an_error_that_names_the_socket() {
    let folder = tempfile::tempdir().unwrap();
    let client = AgentClient::new(folder.path().join("agent"));
    let error = client.keys().await.unwrap_err().to_string();
    assert!(
        error.starts_with("cannot reach the ssh agent at /"),
        "{error}"
    );
}

proptest! {
    #[test]
    fn every_answer_is_parsed_without_a_panic(bytes in any::<Vec<u8>>()) {
        let _ = keys(WireReader::new(&bytes));
        let _ = signature(WireReader::new(&bytes), "ssh-ed25519");
    }
}
