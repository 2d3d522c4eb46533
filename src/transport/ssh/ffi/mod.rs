//! libssh2 with a safe interface. All unsafe code of the library is in this module.
//!
//! [`Peer`] is a session with all its channels and the [`Pipe`] below it. All calls take `&mut Peer`, so two threads
//! never enter libssh2, which has no locks, with the same session. All pointers live as long as the peer.
//!
//! The crate `ssh2` is used where it is enough. The calls here are those that it hides or gets wrong: the exit status
//! of a channel, signals, signatures by other programs, and I/O by callbacks. No call blocks: `None` is libssh2's
//! `EAGAIN`.
#![expect(
    unsafe_code,
    reason = "libssh2 is a C library, and ssh2 has no safe way to these of its calls"
)]

use std::ffi::{CStr, CString, c_char, c_int, c_uchar, c_void};

use libssh2_sys as raw;
use ssh2::Session;
use zeroize::Zeroizing;

use super::gate::Violation;
use super::pipe::Pipe;

mod callbacks;
mod channel;
mod session;

/// A function pointer of any type, as `libssh2_session_callback_set2` takes it.
type CallbackPointer = unsafe extern "C" fn();

/// `LIBSSH2_USERAUTH_PUBLICKEY_SIGN_FUNC`.
type SignCallback = unsafe extern "C" fn(
    *mut raw::LIBSSH2_SESSION,
    *mut *mut c_uchar,
    *mut usize,
    *const c_uchar,
    usize,
    *mut *mut c_void,
) -> c_int;

// SAFETY: the signatures are those of libssh2.h 1.11.1 and later, which libssh2-sys builds and links, and
// of the C library's malloc, which is what a session made without its own allocator frees with.
unsafe extern "C" {
    fn libssh2_channel_has_exit_status(channel: *mut raw::LIBSSH2_CHANNEL) -> c_int;
    fn libssh2_channel_signal_ex(
        channel: *mut raw::LIBSSH2_CHANNEL,
        name: *const c_char,
        length: usize,
    ) -> c_int;
    fn libssh2_userauth_publickey(
        session: *mut raw::LIBSSH2_SESSION,
        user: *const c_char,
        key: *const c_uchar,
        key_length: usize,
        sign: SignCallback,
        context: *mut *mut c_void,
    ) -> c_int;
    fn libssh2_session_callback_set2(
        session: *mut raw::LIBSSH2_SESSION,
        kind: c_int,
        callback: Option<CallbackPointer>,
    ) -> Option<CallbackPointer>;
    fn libssh2_version(required: c_int) -> *const c_char;
    fn malloc(size: usize) -> *mut c_void;
}

/// Returns the version of the linked libssh2, such as `1.11.2_DEV`.
pub(super) fn version() -> String {
    // SAFETY: the function has no precondition; for 0 it returns a text that lives as long as the program.
    let text = unsafe { CStr::from_ptr(libssh2_version(0)) };
    text.to_string_lossy().into_owned()
}

/// The data of a channel that libssh2 keeps until it is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Queued {
    /// Number of bytes of all streams together.
    pub(super) bytes: usize,
    /// True if a read returns data of the queue. libssh2 first enlarges a small window. During a key exchange it
    /// cannot do that, and then it reads nothing.
    pub(super) is_readable: bool,
}

/// An error of libssh2.
#[derive(Debug)]
pub(super) struct Libssh2Error {
    /// `LIBSSH2_ERROR_*`.
    pub(super) code: c_int,
    /// libssh2's message.
    pub(super) text: String,
}

/// Reason why a server opened no channel to another host.
#[derive(Debug)]
pub(super) enum OpenFailure {
    /// The server cannot connect to the host: reason code SSH_OPEN_CONNECT_FAILED of RFC 4254.
    CannotConnect,
    /// The server does not allow or support it. Has libssh2's message.
    Refused(String),
    /// The session has failed.
    Session(Libssh2Error),
}

impl From<Libssh2Error> for OpenFailure {
    fn from(fault: Libssh2Error) -> OpenFailure {
        if !fault.is_of_channel() {
            OpenFailure::Session(fault)
        } else if fault.text.contains("connect failed") {
            // libssh2 drops the server's reason code. Its own message is the only trace of the code.
            OpenFailure::CannotConnect
        } else {
            OpenFailure::Refused(fault.text)
        }
    }
}

/// Result of a call. `None` means that the call must be repeated when the socket is ready.
pub(super) type CallResult<T> = Result<Option<T>, Libssh2Error>;

/// Result of a request for a signature.
pub(super) enum Signature {
    /// The signature, without the name of its algorithm.
    Made(Vec<u8>),
    /// The signature is not ready, and the call must be repeated.
    Later,
    /// The key cannot sign.
    Refused,
}

/// A channel of a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Channel(usize);

/// Exit of a command, as reported by the server.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Exit {
    /// A signal, named without SIG.
    Signal(String),
    /// An exit status.
    Status(c_int),
    /// The server reported nothing.
    Unsaid,
}

/// An ssh session with a server.
pub(super) struct Peer {
    /// `None` only while it is being dropped.
    session: Option<Session>,
    /// Pointer to the same session.
    raw: *mut raw::LIBSSH2_SESSION,
    /// From `Box::into_raw`. libssh2's callbacks have the same pointer.
    pipe: *mut Pipe,
    /// Channels by their number. A freed channel is null.
    channels: Vec<*mut raw::LIBSSH2_CHANNEL>,
    /// For each channel, the bytes of an unfinished write, which libssh2 requires again.
    begun: Vec<Option<Zeroizing<Vec<u8>>>>,
    /// The host key that the server has proved. `None` before the end of the first key exchange.
    proven_key: Option<Vec<u8>>,
}

// SAFETY: the pointers are to memory that only this peer knows, and libssh2 has no state of a thread.
unsafe impl Send for Peer {}

impl Peer {
    /// Returns the connection that carries the bytes of the ssh session.
    pub(super) fn pipe(&self) -> &Pipe {
        // SAFETY: it lives as long as the peer, and callbacks, which change it, run only within calls
        // that have the peer to themselves.
        unsafe { &*self.pipe }
    }

    /// Returns the same connection, to change it.
    pub(super) fn pipe_mut(&mut self) -> &mut Pipe {
        // SAFETY: as for `pipe`.
        unsafe { &mut *self.pipe }
    }

    fn session(&mut self) -> &mut Session {
        self.session.as_mut().expect("only drop takes it")
    }

    /// Returns the violation if a later key exchange has changed the host key.
    fn alteration(&mut self) -> Option<Violation> {
        let proven = self.proven_key.take()?;
        let session = self.session();
        let is_same = session.host_key().map(|(key, _)| key) == Some(&proven);
        self.proven_key = Some(proven);
        (!is_same).then_some(Violation::LaterKey)
    }

    /// Returns `result`, or ends the connection if a later key exchange has changed the host key.
    fn checked<T>(&mut self, result: CallResult<T>) -> CallResult<T> {
        match self.alteration() {
            None => result,
            Some(violation) => Err(self.refused(violation)),
        }
    }

    /// Ends the connection for this reason.
    fn refused(&mut self, violation: Violation) -> Libssh2Error {
        let fault = Libssh2Error::bad_use(&violation.to_string());
        self.pipe_mut().refuse(violation);
        fault
    }

    /// Returns the result of a call that returned null in place of a code.
    fn failure<T>(&mut self) -> CallResult<T> {
        // SAFETY: the session lives.
        let code = match unsafe { raw::libssh2_session_last_errno(self.raw) } {
            // The code 0 would be taken for success.
            0 => raw::LIBSSH2_ERROR_PROTO,
            code => code,
        };
        self.done(code).map(|_| None)
    }

    fn done(&mut self, code: c_int) -> CallResult<()> {
        let result = match code {
            raw::LIBSSH2_ERROR_EAGAIN => Ok(None),
            0.. => Ok(Some(())),
            _ => Err(ssh2::Error::from_session_error(self.session(), code).into()),
        };
        self.checked(result)
    }
}

impl Libssh2Error {
    /// True if the error concerns only a channel, so that the session continues.
    pub(super) fn is_of_channel(&self) -> bool {
        matches!(
            self.code,
            raw::LIBSSH2_ERROR_CHANNEL_CLOSED
                | raw::LIBSSH2_ERROR_CHANNEL_EOF_SENT
                | raw::LIBSSH2_ERROR_CHANNEL_FAILURE
                | raw::LIBSSH2_ERROR_CHANNEL_REQUEST_DENIED
        )
    }

    fn bad_use(text: &str) -> Libssh2Error {
        Libssh2Error {
            code: raw::LIBSSH2_ERROR_BAD_USE,
            text: text.to_owned(),
        }
    }
}

impl From<ssh2::Error> for Libssh2Error {
    fn from(error: ssh2::Error) -> Libssh2Error {
        let code = match error.code() {
            ssh2::ErrorCode::Session(code) | ssh2::ErrorCode::SFTP(code) => code,
        };
        Libssh2Error {
            code,
            text: error.message().to_owned(),
        }
    }
}

fn step<T>(result: Result<T, ssh2::Error>) -> CallResult<T> {
    match result {
        Ok(done) => Ok(Some(done)),
        Err(error) => match Libssh2Error::from(error) {
            fault if fault.code == raw::LIBSSH2_ERROR_EAGAIN => Ok(None),
            fault => Err(fault),
        },
    }
}

fn c_string(text: &str) -> Result<CString, Libssh2Error> {
    CString::new(text).map_err(|_| Libssh2Error::bad_use("a name with a zero byte in it"))
}
