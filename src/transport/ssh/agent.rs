//! The ssh agent (draft-ietf-sshm-ssh-agent): one connection for all sessions of a run that use the same
//! socket. It is asked for its keys once, and signs one request after the other, as agents do anyhow.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::sync::{Mutex, OnceCell};
use tokio::time::timeout;

use ssh_files::{AgentKey, KeyType, WireReader, fingerprint, put_string, signing_algorithm};

/// No message is longer (OpenSSH's bound).
const LONGEST: u32 = 256 * 1024;

/// No agent has more keys (OpenSSH's bound).
const MOST_KEYS: u32 = 2048;

/// To list its keys an agent asks nobody. (To sign it may ask its user; the host's own time limits that.)
const PATIENCE: Duration = Duration::from_secs(10);

const FAILURE: u8 = 5;
const REQUEST_IDENTITIES: u8 = 11;
const IDENTITIES_ANSWER: u8 = 12;
const SIGN_REQUEST: u8 = 13;
const SIGN_RESPONSE: u8 = 14;

/// Flags that ask an RSA key for another signature than SHA-1.
const RSA_SHA2_256: u32 = 2;
const RSA_SHA2_512: u32 = 4;

/// An agent that does not do what it should.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// There is no agent, or it may not be talked to.
    #[error("cannot reach the ssh agent at {}", socket.display())]
    Connect {
        /// Its socket.
        socket: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The conversation broke off.
    #[error("lost the ssh agent at {}", socket.display())]
    Lost {
        /// Its socket.
        socket: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// What it says is not the protocol.
    #[error("the ssh agent at {} answered {what}", socket.display())]
    Answer {
        /// Its socket.
        socket: PathBuf,
        /// What was wrong with the answer.
        what: String,
    },
    /// It will not sign: the key is gone, or its user said no.
    #[error("the ssh agent refused to sign with the key {key}")]
    Refused {
        /// Its fingerprint.
        key: String,
    },
}

/// The way to one agent. Connects when it is first asked, and again after a request that was broken
/// off, whose answer would be taken for the next one's.
#[derive(Debug)]
pub struct AgentClient {
    socket: PathBuf,
    /// Empty while a request is under way: dropping that leaves no half-read connection behind.
    connection: Mutex<Option<UnixStream>>,
    keys: OnceCell<Vec<AgentKey>>,
}

impl AgentClient {
    /// The agent that listens at that socket.
    #[must_use]
    pub fn new(socket: PathBuf) -> AgentClient {
        AgentClient {
            socket,
            connection: Mutex::new(None),
            keys: OnceCell::new(),
        }
    }

    /// Where it listens.
    #[must_use]
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// The keys that it has. It is asked once.
    ///
    /// # Errors
    /// It is not there, answers nonsense, or nothing for a while.
    pub async fn keys(&self) -> Result<&[AgentKey], AgentError> {
        let asked = async {
            match timeout(PATIENCE, self.list()).await {
                Ok(keys) => keys,
                Err(_) => Err(AgentError::Lost {
                    socket: self.socket.clone(),
                    source: io::ErrorKind::TimedOut.into(),
                }),
            }
        };
        let keys = self.keys.get_or_try_init(|| asked).await?;
        Ok(keys)
    }

    async fn list(&self) -> Result<Vec<AgentKey>, AgentError> {
        let answer = self.request(&[REQUEST_IDENTITIES]).await?;
        let mut reader = WireReader::new(&answer);
        match reader.byte() {
            Some(IDENTITIES_ANSWER) => keys(reader).map_err(|what| self.answered(what)),
            // That is how a locked one says that it has none to show.
            Some(FAILURE) => Ok(Vec::new()),
            kind => Err(self.answered(&unexpected(kind))),
        }
    }

    /// Signs data with a key that it has, by an algorithm (of a certificate: that of its key or its own),
    /// and gives the signature without the algorithm's name and its own length: what libssh2's sign
    /// callback hands back. That of a security key has its length and is followed by flags and counter.
    /// Cancel safe.
    ///
    /// # Errors
    /// It is not there, does not sign, or signs otherwise.
    pub async fn sign(
        &self,
        blob: &[u8],
        data: &[u8],
        algorithm: &str,
    ) -> Result<Vec<u8>, AgentError> {
        let algorithm = signing_algorithm(algorithm);
        let flags = match algorithm {
            "rsa-sha2-256" => RSA_SHA2_256,
            "rsa-sha2-512" => RSA_SHA2_512,
            _ => 0,
        };
        let mut request = vec![SIGN_REQUEST];
        put_string(&mut request, blob);
        put_string(&mut request, data);
        request.extend(flags.to_be_bytes());
        let answer = self.request(&request).await?;
        let mut reader = WireReader::new(&answer);
        match reader.byte() {
            Some(SIGN_RESPONSE) => {
                signature(reader, algorithm).map_err(|what| self.answered(&what))
            }
            Some(FAILURE) => Err(AgentError::Refused {
                key: fingerprint(blob),
            }),
            kind => Err(self.answered(&unexpected(kind))),
        }
    }

    /// Sends a request and reads its answer.
    async fn request(&self, request: &[u8]) -> Result<Vec<u8>, AgentError> {
        let lost = |source| AgentError::Lost {
            socket: self.socket.clone(),
            source,
        };
        let length = u32::try_from(request.len()).unwrap_or(u32::MAX);
        if length > LONGEST {
            return Err(lost(io::Error::other("the request is too long for it")));
        }
        let mut place = self.connection.lock().await;
        let mut connection = match place.take() {
            Some(connection) => connection,
            None => self.connect().await?,
        };
        let mut message = length.to_be_bytes().to_vec();
        message.extend_from_slice(request);
        connection.write_all(&message).await.map_err(lost)?;
        let length = connection.read_u32().await.map_err(lost)?;
        if !(1..=LONGEST).contains(&length) {
            return Err(self.answered(&format!("with {length} bytes")));
        }
        let mut answer = vec![0; length as usize];
        connection.read_exact(&mut answer).await.map_err(lost)?;
        *place = Some(connection);
        Ok(answer)
    }

    async fn connect(&self) -> Result<UnixStream, AgentError> {
        let connected = UnixStream::connect(&self.socket).await;
        connected.map_err(|source| AgentError::Connect {
            socket: self.socket.clone(),
            source,
        })
    }

    fn answered(&self, what: &str) -> AgentError {
        AgentError::Answer {
            socket: self.socket.clone(),
            what: what.to_owned(),
        }
    }
}

fn unexpected(kind: Option<u8>) -> String {
    kind.map_or_else(
        || "nothing".to_owned(),
        |kind| format!("with a message of type {kind}"),
    )
}

/// The list of keys. Those of a type that nobody here knows are left out.
fn keys(mut reader: WireReader<'_>) -> Result<Vec<AgentKey>, &'static str> {
    let count = reader.u32().ok_or("with half a list")?;
    if count > MOST_KEYS {
        return Err("with more keys than any agent has");
    }
    let mut keys = Vec::new();
    for _ in 0..count {
        let blob = reader.string().ok_or("with half a list")?;
        let comment = reader.string().ok_or("with half a list")?;
        let name = WireReader::new(blob).text().unwrap_or_default();
        if KeyType::of_blob(blob).is_some() || KeyType::of_certificate_name(name).is_some() {
            keys.push(AgentKey {
                blob: blob.into(),
                comment: String::from_utf8_lossy(comment).into_owned(),
            });
        }
    }
    Ok(keys)
}

/// The signature in an answer, if it was made with that algorithm.
fn signature(mut reader: WireReader<'_>, algorithm: &str) -> Result<Vec<u8>, String> {
    let half = || "with half a signature".to_owned();
    let mut signature = WireReader::new(reader.string().ok_or_else(half)?);
    let name = signature.text().ok_or_else(half)?;
    if name != algorithm {
        return Err(format!("with a signature by {name:?}, not {algorithm}"));
    }
    let whole = signature.rest();
    let raw = signature.string().ok_or_else(half)?;
    match KeyType::of_algorithm(name) {
        Some((KeyType::SkEd25519 | KeyType::SkEcdsa, _)) => Ok(whole.to_vec()),
        _ if signature.at_end() => Ok(raw.to_vec()),
        _ => Err("with more than a signature".to_owned()),
    }
}

#[cfg(test)]
mod tests;
