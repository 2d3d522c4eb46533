//! Misbehaviour of a daemon as data: a [`Script`] is a list of [`Step`]s.

use std::net::Ipv4Addr;
use std::time::Duration;

use crate::callback::CallbackPort;
use crate::request::Request;

/// One of the two connections of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Connection {
    /// The client's connection to the daemon.
    Main,
    /// The daemon's connection to the client, for standard error and signals.
    Callback,
}

/// Address and port from which a daemon calls back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Callback {
    /// Source address; `None` for the address that the client called.
    pub address: Option<Ipv4Addr>,
    /// Kind of source port.
    pub port: CallbackPort,
}

/// The callback of a daemon that follows the protocol.
impl Default for Callback {
    fn default() -> Self {
        Callback {
            address: None,
            // Clients such as glibc's rcmd(3) refuse a callback from any other port.
            port: CallbackPort::Reserved,
        }
    }
}

/// One action of a scripted daemon.
///
/// Bytes for [`Connection::Callback`] go to [`Connection::Main`] if there is no callback, as with
/// real daemons. The script ends at the first write that fails.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Reads the request to its end. If a callback follows, it is made after the port has been read,
    /// as real daemons do.
    ReadRequest,
    /// Calls back, if the request asks for it. A second callback stays open and is not used.
    CallBack(Callback),
    /// Sends bytes in one write.
    Send(Connection, Vec<u8>),
    /// Sends bytes in writes, and if possible in packets, of one byte.
    SendBytewise(Connection, Vec<u8>),
    /// Sends bytes many times, to each of the connections in turn.
    Repeat {
        /// The connections.
        to: Vec<Connection>,
        /// The bytes of one write.
        bytes: Vec<u8>,
        /// Number of writes to each connection.
        times: usize,
    },
    /// Sends the client's end marker with this exit status, in one write.
    EndMarker(u8),
    /// Sends the first bytes of the client's end marker with status 0: this number of bytes.
    EndMarkerStart(usize),
    /// Sends the client's end marker with this exit status, byte by byte.
    EndMarkerBytewise(u8),
    /// Does nothing for this time.
    Sleep(Duration),
    /// Reads both connections until the client has closed them. Reports signals and ignores them.
    AwaitClose,
    /// Reads the callback until the signal with this number has arrived. Reports signals and ignores
    /// them.
    AwaitSignal(u8),
    /// Does nothing, and reads nothing, until the daemons are dropped.
    Stall,
    /// Ends the daemon's direction of a connection.
    HalfClose(Connection),
    /// Closes a connection.
    Close(Connection),
    /// Resets a connection.
    Reset(Connection),
}

/// An event that a scripted daemon observed, in order, for a test to wait for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Observation {
    /// A client connected from this port.
    Connected(u16),
    /// The client sent this request.
    Request(Request),
    /// The client accepted the callback from this port.
    CalledBack(u16),
    /// The client did not accept the callback.
    CallbackFailed,
    /// The client sent this signal.
    Signal(u8),
    /// The client sent this standard input. Reported only while the script reads it.
    Stdin(Vec<u8>),
    /// The client ended its direction of this connection.
    Closed(Connection),
    /// The client reset this connection.
    Reset(Connection),
    /// A read or write failed, and the script was aborted: the client has disconnected.
    Aborted,
    /// The script has been played to its end, and all connections are closed.
    Finished,
}

/// A list of steps that a daemon plays for each of its clients. At its end it closes the connections
/// that are still open.
///
/// ```
/// use std::io::{Read, Write};
/// use std::net::TcpStream;
///
/// use fake_rshd::{Connection, Daemons, Observation, Script, Step, address};
///
/// // Starts the command, sends half a line, and dies.
/// let script = Script::after_start()
///     .send(Connection::Main, "half a li")
///     .then(Step::Reset(Connection::Main));
/// let (daemons, observations) = Daemons::play_scripts(vec![script])?;
/// let mut client = TcpStream::connect((address(0), daemons.port()))?;
/// client.write_all(b"0\0me\0root\0uptime\0")?;
/// let mut output = Vec::new();
/// let error = client.read_to_end(&mut output).unwrap_err();
/// assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
/// assert!(matches!(observations.recv(), Ok(Observation::Connected(_))));
/// assert!(matches!(observations.recv(), Ok(Observation::Request(r)) if r.command == b"uptime"));
/// assert_eq!(observations.recv(), Ok(Observation::Finished));
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Script(Vec<Step>);

/// The status byte of a daemon that starts the command.
const ACCEPTED: u8 = 0;
/// The status byte of a daemon that refuses.
const REFUSED: u8 = 1;

impl Script {
    /// A script without steps: the daemon closes the connection at once.
    #[must_use]
    pub fn new() -> Script {
        Script::default()
    }

    /// A script whose next step follows the request.
    #[must_use]
    pub fn after_request() -> Script {
        Script::new().then(Step::ReadRequest)
    }

    /// A script whose next step follows the callback.
    #[must_use]
    pub fn after_callback() -> Script {
        Script::after_request().then(Step::CallBack(Callback::default()))
    }

    /// A script whose next step follows the status byte of a started command.
    #[must_use]
    pub fn after_start() -> Script {
        Script::after_callback().send(Connection::Main, [ACCEPTED])
    }

    /// A daemon that refuses with this text. The text needs its own newline.
    #[must_use]
    pub fn refusing(text: impl AsRef<[u8]>) -> Script {
        let mut bytes = vec![REFUSED];
        bytes.extend_from_slice(text.as_ref());
        // rshd calls back before it refuses, too: old clients wait for the callback before they read the status.
        Script::after_callback().send(Connection::Main, bytes)
    }

    /// A daemon that refuses as rsh-redone does: it accepts, and prints the refusal as output.
    #[must_use]
    pub fn refusing_after_start() -> Script {
        // Status 0 comes first: rsh-redone sends it before it has checked anyone.
        Script::after_start().send(Connection::Main, "Authentication failure\n")
    }

    /// A command that prints this text and exits with this status.
    #[must_use]
    pub fn printing(stdout: impl AsRef<[u8]>, status: u8) -> Script {
        Script::after_start()
            .send(Connection::Main, stdout)
            .then(Step::EndMarker(status))
    }

    /// Adds a step.
    #[must_use]
    pub fn then(mut self, step: Step) -> Script {
        self.0.push(step);
        self
    }

    /// Adds a step that sends bytes.
    #[must_use]
    pub fn send(self, to: Connection, bytes: impl AsRef<[u8]>) -> Script {
        self.then(Step::Send(to, bytes.as_ref().to_vec()))
    }

    /// Returns the steps.
    #[must_use]
    pub fn steps(&self) -> &[Step] {
        &self.0
    }
}
