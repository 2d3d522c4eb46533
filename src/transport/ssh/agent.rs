//! Client of the ssh agent (draft-ietf-sshm-ssh-agent): one connection for all sessions of a run that use the same
//! socket. Keys are listed once. Signatures are requested one after the other, since agents do not sign in
//! parallel.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::sync::{Mutex, OnceCell};
use tokio::time::timeout;

use ssh_files::{AgentKey, KeyType, WireReader, fingerprint, put_string, signing_algorithm};

/// Maximum length of a message, as in OpenSSH.
const MAX_MESSAGE: u32 = 256 * 1024;

/// Maximum number of keys, as in OpenSSH.
const MAX_KEYS: u32 = 2048;

/// Maximum time to list the keys.
// An agent asks nobody for a list. For a signature it may ask its user, which only the host's own timeout limits.
const LIST_TIMEOUT: Duration = Duration::from_secs(10);

// Message numbers of draft-ietf-sshm-ssh-agent.
const FAILURE: u8 = 5;
const REQUEST_IDENTITIES: u8 = 11;
const IDENTITIES_ANSWER: u8 = 12;
const SIGN_REQUEST: u8 = 13;
const SIGN_RESPONSE: u8 = 14;

/// Flags for RSA signatures other than SHA-1.
const RSA_SHA2_256: u32 = 2;
const RSA_SHA2_512: u32 = 4;

/// Failure of an agent.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// There is no agent, or its socket is not accessible.
    #[error("cannot reach the ssh agent at {}", socket.display())]
    Connect {
        /// Socket of the agent.
        socket: PathBuf,
        /// Cause.
        #[source]
        source: io::Error,
    },
    /// The connection failed.
    #[error("lost the ssh agent at {}", socket.display())]
    Lost {
        /// Socket of the agent.
        socket: PathBuf,
        /// Cause.
        #[source]
        source: io::Error,
    },
    /// The answer violates the protocol.
    #[error("the ssh agent at {} answered {what}", socket.display())]
    Answer {
        /// Socket of the agent.
        socket: PathBuf,
        /// Fault of the answer.
        what: String,
    },
    /// The agent refuses to sign: the key is gone, or its user declined.
    #[error("the ssh agent refused to sign with the key {key}")]
    Refused {
        /// Fingerprint of the key.
        key: String,
    },
}

/// Connection to one agent. It connects for the first request, and again after a request that was cancelled.
#[derive(Debug)]
pub struct AgentClient {
    socket: PathBuf,
    /// Empty during a request: if that is cancelled, the half-read connection is dropped with it.
    connection: Mutex<Option<UnixStream>>,
    keys: OnceCell<Vec<AgentKey>>,
}

impl AgentClient {
    /// Creates a client for the agent at this socket.
    #[must_use]
    pub fn new(socket: PathBuf) -> AgentClient {
        AgentClient {
            socket,
            connection: Mutex::new(None),
            keys: OnceCell::new(),
        }
    }

    /// Returns the agent's keys. They are requested once.
    ///
    /// # Errors
    /// The agent is not there, violates the protocol, or does not answer in time.
    pub async fn keys(&self) -> Result<&[AgentKey], AgentError> {
        let asked = async {
            match timeout(LIST_TIMEOUT, self.list()).await {
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
            // A locked agent answers with a failure.
            Some(FAILURE) => Ok(Vec::new()),
            kind => Err(self.answered(&unexpected(kind))),
        }
    }

    /// Signs data with a key of the agent. For a certificate the algorithm may be that of its key or its own. Returns
    /// the signature without the algorithm's name and without its length, as libssh2's sign callback needs it. The
    /// signature of a security key has its length, and flags and a counter follow. Cancel safe.
    ///
    /// # Errors
    /// The agent is not there, does not sign, or uses another algorithm.
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
        if length > MAX_MESSAGE {
            return Err(lost(io::Error::other("the request is too long for it")));
        }
        // Held during the request: an agent handles requests in turn anyway.
        let mut connection_slot = self.connection.lock().await;
        // Taken out of the slot: if this future is dropped, the rest of its answer must not be read as the next answer.
        let mut connection = match connection_slot.take() {
            Some(connection) => connection,
            None => self.connect().await?,
        };
        let mut message = length.to_be_bytes().to_vec();
        message.extend_from_slice(request);
        connection.write_all(&message).await.map_err(lost)?;
        let length = connection.read_u32().await.map_err(lost)?;
        // Checked before memory is taken for the answer.
        if !(1..=MAX_MESSAGE).contains(&length) {
            return Err(self.answered(&format!("with {length} bytes")));
        }
        let mut answer = vec![0; length as usize];
        connection.read_exact(&mut answer).await.map_err(lost)?;
        *connection_slot = Some(connection);
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

/// Parses the list of keys. Keys of an unknown type are left out.
fn keys(mut reader: WireReader<'_>) -> Result<Vec<AgentKey>, &'static str> {
    let count = reader.u32().ok_or("with half a list")?;
    if count > MAX_KEYS {
        return Err("with more keys than any agent has");
    }
    let mut keys = Vec::new();
    for _ in 0..count {
        let blob = reader.string().ok_or("with half a list")?;
        let comment = reader.string().ok_or("with half a list")?;
        // Keys of unknown types cannot sign here, and are no error of the agent.
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

/// Returns the signature in an answer, if it has the requested algorithm.
fn signature(mut reader: WireReader<'_>, algorithm: &str) -> Result<Vec<u8>, String> {
    let half = || "with half a signature".to_owned();
    let mut signature = WireReader::new(reader.string().ok_or_else(half)?);
    let name = signature.text().ok_or_else(half)?;
    // Agents that ignore the flags sign with SHA-1, which servers refuse.
    if name != algorithm {
        return Err(format!("with a signature by {name:?}, not {algorithm}"));
    }
    let whole = signature.rest();
    let raw = signature.string().ok_or_else(half)?;
    match KeyType::of_algorithm(name) {
        // A flag byte and a counter follow the signature of a security key (OpenSSH's PROTOCOL.u2f).
        Some((KeyType::SkEd25519 | KeyType::SkEcdsa, _)) => Ok(whole.to_vec()),
        _ if signature.at_end() => Ok(raw.to_vec()),
        _ => Err("with more than a signature".to_owned()),
    }
}

#[cfg(test)]
mod tests;
