//! How a daemon misbehaves, as data: a [`Script`] is a list of small [`Step`]s.
//!
//! Only tests make scripts; nothing that the program can be told selects one. A script that is done
//! closes what is still open.

use std::net::Ipv4Addr;
use std::time::Duration;

use super::callback::SourcePort;
use super::request::Request;

/// One of the two connections of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Wire {
    /// The client's connection to the daemon.
    Main,
    /// The daemon's connection to the client, for standard error and signals.
    Err,
}

/// How to make the second connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CallBack {
    /// From which address; `None` is the one that was called.
    pub address: Option<Ipv4Addr>,
    /// From what port.
    pub port: SourcePort,
}

/// The call-back of an honest daemon.
impl Default for CallBack {
    fn default() -> Self {
        CallBack {
            address: None,
            port: SourcePort::Reserved,
        }
    }
}

/// One thing that a scripted daemon does.
///
/// What goes to [`Wire::Err`] goes to [`Wire::Main`] where there is no second connection, as with
/// real daemons. The script ends at the first write that fails.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Reads the request to its end. If a call-back follows, it is made once the port has been read, as real
    /// daemons do.
    ReadRequest,
    /// Makes a second connection, if the request asks for one. Once more: makes another one, which
    /// stays open and is not used.
    CallBack(CallBack),
    /// Sends bytes in one write.
    Send(Wire, Vec<u8>),
    /// Sends bytes in writes, and as far as possible in packets, of one byte.
    Dribble(Wire, Vec<u8>),
    /// Sends a piece so many times, to each of these connections in turn.
    Repeat {
        /// Where to.
        to: Vec<Wire>,
        /// What.
        piece: Vec<u8>,
        /// How often.
        times: usize,
    },
    /// Sends the client's end marker with this exit status, in one write.
    Marker(u8),
    /// Sends so many bytes of the client's end marker with status 0.
    MarkerStart(usize),
    /// Sends the client's end marker with this exit status, byte by byte.
    DribbleMarker(u8),
    /// Does nothing for a while.
    Sleep(Duration),
    /// Reads both connections, without obeying, until the client has closed them.
    AwaitClient,
    /// Reads signals, without obeying, until one with this number has come.
    AwaitSignal(u8),
    /// Does nothing, and reads nothing, until the daemon is dropped.
    Stall,
    /// Ends what the daemon sends on a connection, and keeps it otherwise.
    HalfClose(Wire),
    /// Closes a connection.
    Close(Wire),
    /// Resets a connection.
    Reset(Wire),
}

/// What a scripted daemon did and met, in order, for tests to wait for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    /// A client connected from this port.
    Connected(u16),
    /// It made this request.
    Request(Request),
    /// It was called back from this port.
    CalledBack(u16),
    /// It did not accept the call-back.
    CallBackFailed,
    /// It sent this signal.
    Signal(u8),
    /// It sent so much standard input, as far as the script read it.
    Stdin(Vec<u8>),
    /// It ended its side of this connection properly.
    Closed(Wire),
    /// It reset this connection.
    WasReset(Wire),
    /// A write failed: the client had gone, and the script was cut short.
    CutShort,
    /// The script has been played.
    Done,
}

/// What a scripted daemon does with each of its callers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Script(Vec<Step>);

/// The status byte that says that the command starts.
const ACCEPTED: u8 = 0;
/// The status byte that says that it does not.
const REFUSED: u8 = 1;

impl Script {
    /// A daemon that closes the connection at once.
    #[must_use]
    pub fn new() -> Script {
        Script::default()
    }

    /// A daemon that has read the request.
    #[must_use]
    pub fn asked() -> Script {
        Script::new().then(Step::ReadRequest)
    }

    /// A daemon that has read the request and called back.
    #[must_use]
    pub fn called_back() -> Script {
        Script::asked().then(Step::CallBack(CallBack::default()))
    }

    /// A daemon that has said that the command starts.
    #[must_use]
    pub fn started() -> Script {
        Script::called_back().send(Wire::Main, [ACCEPTED])
    }

    /// A daemon that refuses with these bytes, newline included or not.
    #[must_use]
    pub fn refusing(text: impl AsRef<[u8]>) -> Script {
        let mut bytes = vec![REFUSED];
        bytes.extend_from_slice(text.as_ref());
        Script::called_back().send(Wire::Main, bytes)
    }

    /// rsh-redone's way to deny: it accepts, and then prints so.
    #[must_use]
    pub fn denying_after_status() -> Script {
        Script::started().send(Wire::Main, "Authentication failure\n")
    }

    /// A command that prints this and exits with this status.
    #[must_use]
    pub fn printing(stdout: impl AsRef<[u8]>, status: u8) -> Script {
        Script::started()
            .send(Wire::Main, stdout)
            .then(Step::Marker(status))
    }

    /// The script with one step more.
    #[must_use]
    pub fn then(mut self, step: Step) -> Script {
        self.0.push(step);
        self
    }

    /// The script with bytes to send.
    #[must_use]
    pub fn send(self, to: Wire, bytes: impl AsRef<[u8]>) -> Script {
        self.then(Step::Send(to, bytes.as_ref().to_vec()))
    }

    /// Its steps.
    #[must_use]
    pub fn steps(&self) -> &[Step] {
        &self.0
    }
}
