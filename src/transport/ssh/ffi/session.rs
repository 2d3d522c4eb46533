//! The session of a [`Peer`]: set-up, handshake, authentication and end.
#![expect(
    unsafe_code,
    reason = "libssh2 is a C library, and ssh2 has no safe way to these of its calls"
)]

use std::ffi::{CStr, c_int, c_uint, c_void};
use std::os::fd::{AsRawFd, RawFd};

use libssh2_sys as raw;
use ssh2::{MethodType, Session};

use super::callbacks::{disconnected, questioned, receive, send, signed};
use super::{
    CallResult, CallbackPointer, Libssh2Error, Peer, Signature, c_string,
    libssh2_session_callback_set2, libssh2_userauth_publickey, step,
};
use crate::transport::ssh::gate::Proof;
use crate::transport::ssh::pipe::Pipe;

/// `LIBSSH2_CALLBACK_*`, as in libssh2.h.
const CALLBACK_DISCONNECT: c_int = 2;
const CALLBACK_SEND: c_int = 5;
const CALLBACK_RECV: c_int = 6;

/// The socket for libssh2, which only queries whether it blocks. The callbacks read and write.
struct Socket(RawFd);

impl AsRawFd for Socket {
    fn as_raw_fd(&self) -> RawFd {
        self.0
    }
}

impl Peer {
    /// Makes a session over `pipe` before its first byte.
    pub(crate) fn new(pipe: Pipe) -> Result<Peer, Libssh2Error> {
        let descriptor = pipe.descriptor();
        let mut session = Session::new().map_err(Libssh2Error::from)?;
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
                std::mem::transmute::<*const c_void, CallbackPointer>(receive as *const c_void),
            );
            set(
                CALLBACK_SEND,
                std::mem::transmute::<*const c_void, CallbackPointer>(send as *const c_void),
            );
            set(
                CALLBACK_DISCONNECT,
                std::mem::transmute::<*const c_void, CallbackPointer>(
                    disconnected as *const c_void,
                ),
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

    /// Sets the preferred algorithms, in order. Algorithms that libssh2 does not know are left out.
    pub(crate) fn prefer(&mut self, kind: MethodType, list: &str) -> Result<(), Libssh2Error> {
        Ok(self.session().method_pref(kind, list)?)
    }

    /// Sets the version line of this program.
    pub(crate) fn introduce(&mut self, version: &str) -> Result<(), Libssh2Error> {
        Ok(self.session().set_banner(version)?)
    }

    /// Offers compression.
    pub(crate) fn compress(&mut self) {
        self.session().set_compress(true);
    }

    /// Exchanges version lines and keys, and requests the service for authentication.
    pub(crate) fn handshake(&mut self) -> CallResult<()> {
        let result = step(self.session().handshake());
        self.checked(result)
    }

    /// Compares libssh2's state with the proof of the server. Returns the first difference.
    pub(crate) fn difference(&mut self, proof: &Proof) -> Option<&'static str> {
        let session = self.session();
        if session.host_key().map(|(key, _)| key) != Some(&proof.host_key) {
            return Some("host key");
        }
        let mut methods = proof.methods.by_kind();
        // libssh2 has another name for a MAC that is part of the cipher.
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
    pub(crate) fn hold_to_key(&mut self, host_key: Vec<u8>) {
        self.proven_key = Some(host_key);
    }

    /// Requests authentication with the method `none`. Returns the methods of the server, or `None` within if it has
    /// accepted.
    pub(crate) fn methods(&mut self, user: &str) -> CallResult<Option<String>> {
        let user = c_string(user)?;
        let length = c_uint::try_from(user.as_bytes().len()).unwrap_or(c_uint::MAX);
        // SAFETY: the session lives and the name is as long as stated. The list, if there is one, ends
        // with a zero and lives until the next call.
        let methods = unsafe {
            let methods = raw::libssh2_userauth_list(self.raw, user.as_ptr(), length);
            if methods.is_null() {
                None
            } else {
                Some(CStr::from_ptr(methods).to_string_lossy().into_owned())
            }
        };
        match methods {
            Some(methods) => Ok(Some(Some(methods))),
            None if self.is_authenticated() => Ok(Some(None)),
            None => self.failure(),
        }
    }

    /// Authenticates with a key. `sign` gets the data after the server has accepted the key.
    pub(crate) fn public_key(
        &mut self,
        user: &str,
        blob: &[u8],
        sign: &mut dyn FnMut(&[u8]) -> Signature,
    ) -> CallResult<()> {
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
    pub(crate) fn password(&mut self, user: &str, password: &str) -> CallResult<()> {
        let result = step(self.session().userauth_password(user, password));
        self.checked(result)
    }

    /// Authenticates with answers to the server's questions. The pipe has the answer.
    pub(crate) fn keyboard_interactive(&mut self, user: &str) -> CallResult<()> {
        let user = c_string(user)?;
        let length = c_uint::try_from(user.as_bytes().len()).unwrap_or(c_uint::MAX);
        // SAFETY: the session lives and the name is as long as stated.
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

    /// True if the server has accepted the authentication.
    pub(crate) fn is_authenticated(&mut self) -> bool {
        self.session().authenticated()
    }

    /// Sends a keep-alive message if it is time.
    pub(crate) fn keep_alive(&mut self) -> Result<(), Libssh2Error> {
        Ok(self.session().keepalive_send().map(drop)?)
    }

    /// Sets the interval of keep-alive messages, in seconds.
    pub(crate) fn set_keep_alive(&mut self, interval: u32) {
        self.session().set_keepalive(true, interval);
    }

    /// Sends the disconnect message.
    pub(crate) fn disconnect(&mut self) -> CallResult<()> {
        step(
            self.session()
                .disconnect(Some(ssh2::ByApplication), "done", None),
        )
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.pipe_mut().kill();
        // libssh2 closes open channels before it frees them. If it does not know that the connection has ended, that
        // can give EAGAIN and leak the session. A read shows it the end.
        for &channel in &self.channels {
            if !channel.is_null() {
                // SAFETY: the channel lives.
                unsafe { raw::libssh2_channel_wait_eof(channel) };
            }
        }
        // Frees the session and its channels.
        drop(self.session.take());
        // SAFETY: the pointer is from `Box::into_raw`, and only this line frees it. The session whose callbacks had
        // the pointer was freed above. Even if libssh2 has kept that session, no code can call libssh2 with it.
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
