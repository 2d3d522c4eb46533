//! libssh2 under a safe type, and the only unsafe code of the library.
//!
//! [`Peer`] is a session with all its channels and the [`Pipe`] below it. Everything goes through `&mut
//! Peer`, so libssh2, which knows no locks, is never entered twice; and a peer is whole: its pointers live
//! and end with it. What the `ssh2` crate offers is used through it; the calls here are those that it
//! hides or gets wrong: channels that say whether a status came, signals, keys that sign elsewhere, and
//! I/O by callbacks. No call blocks: `None` is libssh2's "again".
#![expect(
    unsafe_code,
    reason = "libssh2 is a C library, and ssh2 has no safe way to these of its calls"
)]

use std::ffi::{CStr, CString, c_char, c_int, c_uchar, c_uint, c_ulong, c_void};
use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::{null, null_mut};

use libssh2_sys as raw;
use ssh2::{MethodType, Session};

use super::gate::{Proof, Violation};
use super::pipe::Pipe;
use crate::transport::scratch::{self, MAX_READ};

/// The bytes that the server may send of a channel before we have read some: libssh2's own default.
const WINDOW: c_uint = raw::LIBSSH2_CHANNEL_WINDOW_DEFAULT;
const PACKET: c_uint = raw::LIBSSH2_CHANNEL_PACKET_DEFAULT;

/// `LIBSSH2_CALLBACK_*`, as in libssh2.h.
const CALLBACK_DISCONNECT: c_int = 2;
const CALLBACK_SEND: c_int = 5;
const CALLBACK_RECV: c_int = 6;

/// The longest text of a server that is kept.
const MAX_FAREWELL: usize = 200;

/// A function pointer of any type, as `libssh2_session_callback_set2` takes it.
type Callback = unsafe extern "C" fn();

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
        callback: Option<Callback>,
    ) -> Option<Callback>;
    fn libssh2_version(required: c_int) -> *const c_char;
    fn malloc(size: usize) -> *mut c_void;
}

/// Returns the version of the libssh2 that is linked, as `1.11.2_DEV`.
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
    /// True if a read looks at the queue. libssh2 widens a narrow window first, which it cannot do during a key
    /// exchange, and then it reads nothing.
    pub(super) is_readable: bool,
}

/// What libssh2 says about a call that failed.
#[derive(Debug)]
pub(super) struct Fault {
    /// `LIBSSH2_ERROR_*`.
    pub(super) code: c_int,
    /// Its words.
    pub(super) text: String,
}

/// What a call gave: `None` if it is to be called again when the socket is ready.
pub(super) type Step<T> = Result<Option<T>, Fault>;

/// The answer to a demand for a signature.
pub(super) enum Signature {
    /// The signature, without the name of its algorithm.
    Made(Vec<u8>),
    /// It is not there yet; the call is to be made again.
    Later,
    /// This key cannot.
    Refused,
}

/// One of a peer's channels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Channel(usize);

/// How a command ended, as the server said.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Exit {
    /// By this signal, named without SIG.
    Signal(String),
    /// With this status.
    Status(c_int),
    /// The server said nothing of it.
    Unsaid,
}

/// An ssh session with a server.
pub(super) struct Peer {
    /// `None` only while it is being dropped.
    session: Option<Session>,
    /// The same session.
    raw: *mut raw::LIBSSH2_SESSION,
    /// From `Box::into_raw`; libssh2's callbacks have the same pointer.
    pipe: *mut Pipe,
    /// Null once freed.
    channels: Vec<*mut raw::LIBSSH2_CHANNEL>,
    /// For each channel, what libssh2 has begun to write and wants to be given again.
    begun: Vec<Option<Box<[u8]>>>,
    /// The host key that the server has proved; `None` before the first key exchange is done.
    proven_key: Option<Vec<u8>>,
}

// SAFETY: the pointers are to memory that only this peer knows, and libssh2 has no state of a thread.
unsafe impl Send for Peer {}

/// What libssh2 takes for a socket. It only asks whether it blocks; it never reads or writes it.
struct Socket(RawFd);

impl AsRawFd for Socket {
    fn as_raw_fd(&self) -> RawFd {
        self.0
    }
}

impl Peer {
    /// A session over `pipe` on which nothing has been said.
    pub(super) fn new(pipe: Pipe) -> Result<Peer, Fault> {
        let descriptor = pipe.descriptor();
        let mut session = Session::new().map_err(Fault::from)?;
        session.set_blocking(false);
        session.set_tcp_stream(Socket(descriptor));
        let handle = {
            let mut locked = session.raw();
            &raw mut *locked
        };
        let pipe = Box::into_raw(Box::new(pipe));
        // SAFETY: the session lives; its place for a pointer of ours is always there. The callbacks have
        // the types that their kinds stand for, and are called with that same type.
        unsafe {
            *raw::libssh2_session_abstract(handle) = pipe.cast();
            let set = |kind, callback| libssh2_session_callback_set2(handle, kind, Some(callback));
            set(
                CALLBACK_RECV,
                std::mem::transmute::<*const c_void, Callback>(receive as *const c_void),
            );
            set(
                CALLBACK_SEND,
                std::mem::transmute::<*const c_void, Callback>(send as *const c_void),
            );
            set(
                CALLBACK_DISCONNECT,
                std::mem::transmute::<*const c_void, Callback>(disconnected as *const c_void),
            );
        }
        Ok(Peer {
            session: Some(session),
            raw: handle,
            pipe,
            channels: Vec::new(),
            begun: Vec::new(),
            proven_key: None,
        })
    }

    /// The connection below.
    pub(super) fn pipe(&self) -> &Pipe {
        // SAFETY: it lives as long as the peer, and callbacks, which change it, run only within calls
        // that have the peer to themselves.
        unsafe { &*self.pipe }
    }

    /// The connection below.
    pub(super) fn pipe_mut(&mut self) -> &mut Pipe {
        // SAFETY: as for `pipe`.
        unsafe { &mut *self.pipe }
    }

    fn session(&mut self) -> &mut Session {
        self.session.as_mut().expect("only drop takes it")
    }

    /// Asks for these algorithms, in this order; those that libssh2 does not know are left out.
    pub(super) fn prefer(&mut self, kind: MethodType, list: &str) -> Result<(), Fault> {
        Ok(self.session().method_pref(kind, list)?)
    }

    /// Names this program to the server.
    pub(super) fn introduce(&mut self, version: &str) -> Result<(), Fault> {
        Ok(self.session().set_banner(version)?)
    }

    /// Offers compression.
    pub(super) fn compress(&mut self) {
        self.session().set_compress(true);
    }

    /// Greeting, key exchange, and the service for authentication.
    pub(super) fn handshake(&mut self) -> Step<()> {
        let result = step(self.session().handshake());
        self.checked(result)
    }

    /// Compares libssh2's state with what the server has proved; names the first difference.
    pub(super) fn difference(&mut self, proof: &Proof) -> Option<&'static str> {
        let session = self.session();
        if session.host_key().map(|(key, _)| key) != Some(&proof.host_key) {
            return Some("host key");
        }
        let mut methods = proof.methods.by_kind();
        // libssh2 has a name of its own for a MAC that is part of the cipher.
        methods.retain(|(kind, _)| match kind {
            MethodType::MacCs => !proof.methods.replaces_mac(0),
            MethodType::MacSc => !proof.methods.replaces_mac(1),
            _ => true,
        });
        let differs = |(kind, name): &(MethodType, &str)| session.methods(*kind) != Some(name);
        methods.iter().any(differs).then_some("algorithm")
    }

    /// Sets the host key that the server has proved. From now on each call fails if a later key exchange has brought
    /// another host key.
    pub(super) fn hold_to_key(&mut self, host_key: Vec<u8>) {
        self.proven_key = Some(host_key);
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
    fn checked<T>(&mut self, result: Step<T>) -> Step<T> {
        match self.alteration() {
            None => result,
            Some(violation) => Err(self.refused(violation)),
        }
    }

    /// Ends the connection for this reason.
    fn refused(&mut self, violation: Violation) -> Fault {
        let fault = Fault::bad_use(&violation.to_string());
        self.pipe_mut().refuse(violation);
        fault
    }

    /// Asks to be let in without anything; the methods that the server takes, `None` within if it let us in.
    pub(super) fn methods(&mut self, user: &str) -> Step<Option<String>> {
        let user = c_string(user)?;
        let length = c_uint::try_from(user.as_bytes().len()).unwrap_or(c_uint::MAX);
        // SAFETY: the session lives and the name is as long as is said. The list, if there is one, ends
        // with a zero and lives until the next call.
        let methods = unsafe {
            let methods = raw::libssh2_userauth_list(self.raw, user.as_ptr(), length);
            match methods.is_null() {
                true => None,
                false => Some(CStr::from_ptr(methods).to_string_lossy().into_owned()),
            }
        };
        match methods {
            Some(methods) => Ok(Some(Some(methods))),
            None if self.is_authenticated() => Ok(Some(None)),
            None => self.failure(),
        }
    }

    /// Authenticates with a key: `sign` is given the data once the server takes the key.
    pub(super) fn public_key(
        &mut self,
        user: &str,
        blob: &[u8],
        sign: &mut dyn FnMut(&[u8]) -> Signature,
    ) -> Step<()> {
        let user = c_string(user)?;
        let mut sign = sign;
        let mut context: *mut c_void = (&raw mut sign).cast();
        // SAFETY: all pointers are to what outlives the call, the session among them; `context` is what
        // `signed` takes it for.
        let code = unsafe {
            libssh2_userauth_publickey(
                self.raw,
                user.as_ptr(),
                blob.as_ptr(),
                blob.len(),
                signed,
                &raw mut context,
            )
        };
        self.done(code)
    }

    /// Authenticates with a password.
    pub(super) fn password(&mut self, user: &str, password: &str) -> Step<()> {
        let result = step(self.session().userauth_password(user, password));
        self.checked(result)
    }

    /// Authenticates by answering the server's questions, as the pipe was told to.
    pub(super) fn keyboard_interactive(&mut self, user: &str) -> Step<()> {
        let user = c_string(user)?;
        let length = c_uint::try_from(user.as_bytes().len()).unwrap_or(c_uint::MAX);
        // SAFETY: the session lives and the name is as long as is said.
        let code = unsafe {
            raw::libssh2_userauth_keyboard_interactive_ex(
                self.raw,
                user.as_ptr(),
                length,
                Some(questioned),
            )
        };
        self.done(code)
    }

    /// Whether the server has let us in.
    pub(super) fn is_authenticated(&mut self) -> bool {
        self.session().authenticated()
    }

    /// Sends a question that only shows whether the server is there, if it is time.
    pub(super) fn keep_alive(&mut self) -> Result<(), Fault> {
        Ok(self.session().keepalive_send().map(drop)?)
    }

    /// How often such questions are sent, in seconds.
    pub(super) fn set_keep_alive(&mut self, interval: u32) {
        self.session().set_keepalive(true, interval);
    }

    /// Tells the server that this is the end.
    pub(super) fn disconnect(&mut self) -> Step<()> {
        step(
            self.session()
                .disconnect(Some(ssh2::ByApplication), "done", None),
        )
    }

    /// Opens a channel for a command.
    pub(super) fn open(&mut self) -> Step<Channel> {
        const KIND: &[u8] = b"session";
        let length = c_uint::try_from(KIND.len()).expect("seven");
        // SAFETY: the session lives, the name too, and there is no message.
        let channel = unsafe {
            raw::libssh2_channel_open_ex(
                self.raw,
                KIND.as_ptr().cast(),
                length,
                WINDOW,
                PACKET,
                null(),
                0,
            )
        };
        self.opened(channel)
    }

    /// Has the server connect on to another host.
    pub(super) fn open_through(&mut self, host: &str, port: u16) -> Step<Channel> {
        let host = c_string(host)?;
        // SAFETY: the session lives, and both texts end with a zero and outlive the call, which copies them.
        let channel = unsafe {
            raw::libssh2_channel_direct_tcpip_ex(
                self.raw,
                host.as_ptr(),
                c_int::from(port),
                c"127.0.0.1".as_ptr(),
                0,
            )
        };
        self.opened(channel)
    }

    fn opened(&mut self, channel: *mut raw::LIBSSH2_CHANNEL) -> Step<Channel> {
        if channel.is_null() {
            return self.failure();
        }
        // Places of freed channels are used again: a session with a jump host sees many.
        let free = self.channels.iter().position(|channel| channel.is_null());
        let place = free.unwrap_or_else(|| {
            self.channels.push(null_mut());
            self.begun.push(None);
            self.channels.len() - 1
        });
        self.channels[place] = channel;
        Ok(Some(Channel(place)))
    }

    /// The pointer; null after `free`, which libssh2's own calls take for a wrong use and not for memory.
    fn pointer(&self, channel: Channel) -> *mut raw::LIBSSH2_CHANNEL {
        self.channels.get(channel.0).copied().unwrap_or(null_mut())
    }

    /// Sets a variable in the environment of the command that will be started.
    pub(super) fn set_variable(&mut self, channel: Channel, name: &str, value: &str) -> Step<()> {
        let (Ok(name_length), Ok(value_length)) =
            (c_uint::try_from(name.len()), c_uint::try_from(value.len()))
        else {
            return Err(Fault::bad_use("the variable is too long"));
        };
        // SAFETY: the channel is null or lives, and the texts, whose lengths are right, are copied.
        let code = unsafe {
            raw::libssh2_channel_setenv_ex(
                self.pointer(channel),
                name.as_ptr().cast(),
                name_length,
                value.as_ptr().cast(),
                value_length,
            )
        };
        self.done(code)
    }

    /// Starts a command in the channel.
    pub(super) fn exec(&mut self, channel: Channel, command: &[u8]) -> Step<()> {
        const KIND: &[u8] = b"exec";
        let (Ok(kind_length), Ok(length)) = (
            c_uint::try_from(KIND.len()),
            c_uint::try_from(command.len()),
        ) else {
            return Err(Fault::bad_use("the command is too long"));
        };
        // SAFETY: the channel is null or lives, and the texts outlive the call; their lengths are right.
        let code = unsafe {
            raw::libssh2_channel_process_startup(
                self.pointer(channel),
                KIND.as_ptr().cast(),
                kind_length,
                command.as_ptr().cast(),
                length,
            )
        };
        self.done(code)
    }

    /// Reads of a channel: 0 for standard output, 1 for standard error. 0 bytes are the end of all.
    pub(super) fn read(
        &mut self,
        channel: Channel,
        stream: c_int,
        buffer: &mut [u8],
    ) -> Step<usize> {
        // SAFETY: the channel is null or lives, and the buffer is as long as is said.
        let n = unsafe {
            raw::libssh2_channel_read_ex(
                self.pointer(channel),
                stream,
                buffer.as_mut_ptr().cast(),
                buffer.len(),
            )
        };
        if self.pipe().is_offer_unanswered() {
            return Err(self.refused(Violation::LaterExchange));
        }
        self.count(n)
    }

    /// Writes to a channel, as much as its window takes. Not done, it is to be called again with bytes that
    /// begin as these do.
    pub(super) fn write(&mut self, channel: Channel, bytes: &[u8]) -> Step<usize> {
        let Some(begun) = self.begun.get_mut(channel.0) else {
            return Err(Fault::bad_use("no such channel"));
        };
        // libssh2 remembers how many bytes it has begun with, and reads so many.
        let begun = begun.take();
        let bytes = begun.as_deref().unwrap_or(bytes);
        // SAFETY: the channel is null or lives, and the bytes are as many as is said.
        let n = unsafe {
            raw::libssh2_channel_write_ex(
                self.pointer(channel),
                0,
                bytes.as_ptr().cast(),
                bytes.len(),
            )
        };
        let written = self.count(n);
        if matches!(written, Ok(None)) {
            self.begun[channel.0] = Some(bytes.into());
        }
        written
    }

    /// How many bytes the server takes of a channel now.
    pub(super) fn window(&mut self, channel: Channel) -> usize {
        // SAFETY: the channel is null or lives; the second pointer may be null.
        let window =
            unsafe { raw::libssh2_channel_window_write_ex(self.pointer(channel), null_mut()) };
        usize::try_from(window).unwrap_or(usize::MAX)
    }

    /// Tells the command that its standard input has ended.
    pub(super) fn end_input(&mut self, channel: Channel) -> Step<()> {
        // SAFETY: the channel is null or lives.
        let code = unsafe { raw::libssh2_channel_send_eof(self.pointer(channel)) };
        self.done(code)
    }

    /// Whether both streams have ended and all of them has been read.
    pub(super) fn at_end(&self, channel: Channel) -> bool {
        // SAFETY: the channel is null or lives.
        unsafe { raw::libssh2_channel_eof(self.pointer(channel)) == 1 }
    }

    /// True if something of any stream waits to be read, without looking at the socket.
    pub(super) fn has_output(&self, channel: Channel) -> bool {
        self.queued(channel).bytes > 0
    }

    /// Returns what waits in a channel's queue, without looking at the socket.
    pub(super) fn queued(&self, channel: Channel) -> Queued {
        let (mut bytes, mut initial): (c_ulong, c_ulong) = (0, 0);
        // SAFETY: the channel is null or lives, and both numbers are ours.
        let window = unsafe {
            raw::libssh2_channel_window_read_ex(
                self.pointer(channel),
                &raw mut bytes,
                &raw mut initial,
            )
        };
        // The rule of libssh2's channel_read.
        let narrow = initial / 4 * 3 + MAX_READ as c_ulong;
        Queued {
            bytes: usize::try_from(bytes).unwrap_or(usize::MAX),
            is_readable: window >= narrow,
        }
    }

    /// Throws away the first `bytes` of a channel's queue, whatever stream they are of. The queue has at least as many,
    /// and if it has none, its empty extended data is thrown away.
    pub(super) fn drop_queued(&mut self, channel: Channel, bytes: usize) -> Result<(), Fault> {
        if bytes == 0 {
            const ALL_EXTENDED: c_int = -1;
            // SAFETY: the channel is null or lives.
            let code =
                unsafe { raw::libssh2_channel_flush_ex(self.pointer(channel), ALL_EXTENDED) };
            return self.done(code.min(0)).map(drop);
        }
        // Not libssh2_channel_flush_ex, where there are bytes: called during a key exchange, it counts what it throws
        // away again with each call, and then takes the window for full.
        const NORMAL: c_int = 0;
        const MERGE: c_int = 2;
        self.read_all_as_one(channel, MERGE);
        let read = scratch::with(|buffer| {
            let most = bytes.min(buffer.len());
            self.read(channel, 0, &mut buffer[..most])
        });
        self.read_all_as_one(channel, NORMAL);
        read.map(drop)
    }

    fn read_all_as_one(&mut self, channel: Channel, mode: c_int) {
        // SAFETY: the channel is null or lives. These modes only set a number, which cannot fail.
        unsafe { raw::libssh2_channel_handle_extended_data2(self.pointer(channel), mode) };
    }

    /// Waits for the server to close the channel, after its streams have ended.
    pub(super) fn closed(&mut self, channel: Channel) -> Step<()> {
        // SAFETY: the channel is null or lives.
        let code = unsafe { raw::libssh2_channel_wait_closed(self.pointer(channel)) };
        self.done(code)
    }

    /// Closes the channel, and waits for the server to do the same.
    pub(super) fn close(&mut self, channel: Channel) -> Step<()> {
        // SAFETY: the channel is null or lives.
        let code = unsafe { raw::libssh2_channel_close(self.pointer(channel)) };
        self.done(code)
    }

    /// Closes the channel and forgets it.
    pub(super) fn free(&mut self, channel: Channel) -> Step<()> {
        let pointer = self.pointer(channel);
        if pointer.is_null() {
            return Ok(Some(()));
        }
        // SAFETY: the channel lives.
        let code = unsafe { raw::libssh2_channel_free(pointer) };
        if code != raw::LIBSSH2_ERROR_EAGAIN {
            // Whatever else it says, the memory is gone.
            self.channels[channel.0] = null_mut();
            self.begun[channel.0] = None;
        }
        self.done(code)
    }

    /// Sends a signal, named without SIG, to the command of the channel.
    pub(super) fn signal(&mut self, channel: Channel, name: &str) -> Step<()> {
        // SAFETY: the channel is null or lives, and the name is as long as is said; it is copied.
        let code = unsafe {
            libssh2_channel_signal_ex(self.pointer(channel), name.as_ptr().cast(), name.len())
        };
        self.done(code)
    }

    /// How the channel's command ended. libssh2's number is 0 also if none was sent, or a signal was.
    pub(super) fn exit(&mut self, channel: Channel) -> Exit {
        let channel = self.pointer(channel);
        let mut name: *mut c_char = null_mut();
        let mut length = 0;
        // SAFETY: the channel is null or lives; what is not wanted may be null. The name, if there is
        // one, has `length` bytes, and is ours to free.
        unsafe {
            let code = raw::libssh2_channel_get_exit_signal(
                channel,
                &raw mut name,
                &raw mut length,
                null_mut(),
                null_mut(),
                null_mut(),
                null_mut(),
            );
            if code == 0 && !name.is_null() {
                let bytes = std::slice::from_raw_parts(name.cast::<u8>(), length);
                let text = String::from_utf8_lossy(bytes).into_owned();
                raw::libssh2_free(self.raw, name.cast());
                return Exit::Signal(text);
            }
            match libssh2_channel_has_exit_status(channel) {
                0 => Exit::Unsaid,
                _ => Exit::Status(raw::libssh2_channel_get_exit_status(channel)),
            }
        }
    }

    fn count(&mut self, n: isize) -> Step<usize> {
        match usize::try_from(n) {
            Ok(n) => self.checked(Ok(Some(n))),
            Err(_) => {
                let code = c_int::try_from(n).unwrap_or(raw::LIBSSH2_ERROR_BAD_USE);
                self.done(code).map(|_| None)
            }
        }
    }

    /// What a call that gives no code says by giving nothing.
    fn failure<T>(&mut self) -> Step<T> {
        // SAFETY: the session lives.
        let code = match unsafe { raw::libssh2_session_last_errno(self.raw) } {
            // Without an error of its own it would be taken for success.
            0 => raw::LIBSSH2_ERROR_PROTO,
            code => code,
        };
        self.done(code).map(|_| None)
    }

    fn done(&mut self, code: c_int) -> Step<()> {
        let result = match code {
            raw::LIBSSH2_ERROR_EAGAIN => Ok(None),
            0.. => Ok(Some(())),
            _ => Err(ssh2::Error::from_session_error(self.session(), code).into()),
        };
        self.checked(result)
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.pipe_mut().kill();
        // libssh2 closes open channels before it frees them, which on a connection that does not know
        // that it is gone can end in "again" and leave all of it behind. A read tells it.
        for &channel in &self.channels {
            if !channel.is_null() {
                // SAFETY: the channel lives.
                unsafe { raw::libssh2_channel_wait_eof(channel) };
            }
        }
        // Frees the session and its channels.
        drop(self.session.take());
        // SAFETY: it is from `Box::into_raw`, this is the only place that takes it back, and the session
        // whose callbacks knew it is gone. If libssh2 kept it after all, nobody can call into it.
        drop(unsafe { Box::from_raw(self.pipe) });
    }
}

impl std::fmt::Debug for Peer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Peer")
            .field("pipe", self.pipe())
            .finish_non_exhaustive()
    }
}

impl Fault {
    /// Whether it is about the channel alone: the session goes on.
    pub(super) fn is_of_channel(&self) -> bool {
        matches!(
            self.code,
            raw::LIBSSH2_ERROR_CHANNEL_CLOSED
                | raw::LIBSSH2_ERROR_CHANNEL_EOF_SENT
                | raw::LIBSSH2_ERROR_CHANNEL_FAILURE
                | raw::LIBSSH2_ERROR_CHANNEL_REQUEST_DENIED
        )
    }

    fn bad_use(text: &str) -> Fault {
        Fault {
            code: raw::LIBSSH2_ERROR_BAD_USE,
            text: text.to_owned(),
        }
    }
}

impl From<ssh2::Error> for Fault {
    fn from(error: ssh2::Error) -> Fault {
        let code = match error.code() {
            ssh2::ErrorCode::Session(code) | ssh2::ErrorCode::SFTP(code) => code,
        };
        Fault {
            code,
            text: error.message().to_owned(),
        }
    }
}

fn step<T>(result: Result<T, ssh2::Error>) -> Step<T> {
    match result {
        Ok(done) => Ok(Some(done)),
        Err(error) => match Fault::from(error) {
            fault if fault.code == raw::LIBSSH2_ERROR_EAGAIN => Ok(None),
            fault => Err(fault),
        },
    }
}

fn c_string(text: &str) -> Result<CString, Fault> {
    CString::new(text).map_err(|_| Fault::bad_use("a name with a zero byte in it"))
}

/// What a system call would have returned: the count, or the negative errno.
fn system(result: io::Result<usize>) -> isize {
    let errno = |errno: rustix::io::Errno| -(errno.raw_os_error() as isize);
    match result {
        Ok(n) => isize::try_from(n).unwrap_or(isize::MAX),
        Err(error) => match error.kind() {
            io::ErrorKind::WouldBlock => errno(rustix::io::Errno::AGAIN),
            io::ErrorKind::BrokenPipe => errno(rustix::io::Errno::PIPE),
            _ => errno(rustix::io::Errno::CONNRESET),
        },
    }
}

/// `LIBSSH2_RECV_FUNC`.
unsafe extern "C" fn receive(
    _socket: c_int,
    buffer: *mut c_void,
    length: usize,
    _flags: c_int,
    context: *mut *mut c_void,
) -> isize {
    // SAFETY: the context is the peer's pipe (see `Peer::new`), to which nobody else has a reference
    // during a call of libssh2; the buffer is libssh2's, initialised, and as long as it says.
    let (pipe, buffer) = unsafe {
        (
            &mut *(*context).cast::<Pipe>(),
            std::slice::from_raw_parts_mut(buffer.cast::<u8>(), length),
        )
    };
    // A panic must not cross C; the connection ends by it.
    catch_unwind(AssertUnwindSafe(|| system(pipe.receive(buffer)))).unwrap_or(0)
}

/// `LIBSSH2_SEND_FUNC`.
unsafe extern "C" fn send(
    _socket: c_int,
    bytes: *const c_void,
    length: usize,
    _flags: c_int,
    context: *mut *mut c_void,
) -> isize {
    // SAFETY: as for `receive`.
    let (pipe, bytes) = unsafe {
        (
            &mut *(*context).cast::<Pipe>(),
            std::slice::from_raw_parts(bytes.cast::<u8>(), length),
        )
    };
    let broken = || system(Err(io::ErrorKind::BrokenPipe.into()));
    catch_unwind(AssertUnwindSafe(|| system(pipe.send(bytes)))).unwrap_or_else(|_| broken())
}

/// `LIBSSH2_DISCONNECT_FUNC`.
unsafe extern "C" fn disconnected(
    _session: *mut raw::LIBSSH2_SESSION,
    _reason: c_int,
    message: *const c_char,
    message_length: c_int,
    _language: *const c_char,
    _language_length: c_int,
    context: *mut *mut c_void,
) {
    let length = usize::try_from(message_length).unwrap_or(0);
    if message.is_null() || length == 0 {
        return;
    }
    // SAFETY: the context as for `receive`; the message is as long as libssh2 says, which has checked it
    // against the packet.
    let (pipe, message) = unsafe {
        (
            &mut *(*context).cast::<Pipe>(),
            std::slice::from_raw_parts(message.cast::<u8>(), length.min(MAX_FAREWELL)),
        )
    };
    // Without its text the end is the same.
    let _ = catch_unwind(AssertUnwindSafe(|| {
        pipe.set_disconnect_reason(message.escape_ascii().to_string());
    }));
}

/// `LIBSSH2_USERAUTH_KBDINT_RESPONSE_FUNC`. ssh2's own leaves copies of the answers in memory.
extern "C" fn questioned(
    _name: *const c_char,
    _name_length: c_int,
    _instruction: *const c_char,
    _instruction_length: c_int,
    count: c_int,
    questions: *const raw::LIBSSH2_USERAUTH_KBDINT_PROMPT,
    responses: *mut raw::LIBSSH2_USERAUTH_KBDINT_RESPONSE,
    context: *mut *mut c_void,
) {
    let count = usize::try_from(count).unwrap_or(0);
    if count == 0 || questions.is_null() || responses.is_null() {
        return;
    }
    // SAFETY: the context as for `receive`; both lists are as long as libssh2 says and live during the call.
    let (pipe, questions, responses) = unsafe {
        (
            &mut *(*context).cast::<Pipe>(),
            std::slice::from_raw_parts(questions, count),
            std::slice::from_raw_parts_mut(responses, count),
        )
    };
    let hidden: Vec<bool> = questions
        .iter()
        .map(|question| question.echo == 0)
        .collect();
    // Without an answer the server refuses.
    let Ok(Some(answer)) = catch_unwind(AssertUnwindSafe(|| pipe.answer(&hidden))) else {
        return;
    };
    for (response, _) in responses
        .iter_mut()
        .zip(hidden)
        .filter(|(_, hidden)| *hidden)
    {
        // SAFETY: as for a signature: libssh2 frees it with free, and it is as long as was asked for.
        unsafe {
            let copy = malloc(answer.len().max(1)).cast::<c_char>();
            if copy.is_null() {
                return;
            }
            copy.copy_from_nonoverlapping(answer.as_ptr().cast(), answer.len());
            response.text = copy;
            response.length = c_uint::try_from(answer.len()).unwrap_or(0);
        }
    }
}

/// `LIBSSH2_USERAUTH_PUBLICKEY_SIGN_FUNC`.
unsafe extern "C" fn signed(
    _session: *mut raw::LIBSSH2_SESSION,
    signature: *mut *mut c_uchar,
    signature_length: *mut usize,
    data: *const c_uchar,
    length: usize,
    context: *mut *mut c_void,
) -> c_int {
    // SAFETY: the context is the one that `Peer::public_key` gave for this very call; the data are
    // libssh2's and as long as it says.
    let (sign, data) = unsafe {
        (
            &mut *(*context).cast::<&mut dyn FnMut(&[u8]) -> Signature>(),
            std::slice::from_raw_parts(data, length),
        )
    };
    match catch_unwind(AssertUnwindSafe(|| sign(data))) {
        Ok(Signature::Made(bytes)) => {
            // SAFETY: libssh2 frees it with free, as the session has no allocator of its own; it is
            // written only if there is memory, and as long as was asked for.
            unsafe {
                let copy = malloc(bytes.len().max(1)).cast::<c_uchar>();
                if copy.is_null() {
                    return raw::LIBSSH2_ERROR_ALLOC;
                }
                copy.copy_from_nonoverlapping(bytes.as_ptr(), bytes.len());
                *signature = copy;
                *signature_length = bytes.len();
            }
            0
        }
        Ok(Signature::Later) => raw::LIBSSH2_ERROR_EAGAIN,
        Ok(Signature::Refused) | Err(_) => raw::LIBSSH2_ERROR_AUTHENTICATION_FAILED,
    }
}
