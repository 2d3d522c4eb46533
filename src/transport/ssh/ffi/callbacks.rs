//! The callbacks of libssh2: I/O through the pipe, answers to questions, and signatures.
#![expect(unsafe_code, reason = "C calls these functions with pointers")]

use std::ffi::{c_char, c_int, c_uchar, c_uint, c_void};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};

use libssh2_sys as raw;

use super::{Signature, malloc};
use crate::transport::ssh::pipe::Pipe;

/// Maximum length of a disconnect message that is kept, in bytes.
const MAX_FAREWELL: usize = 200;

/// Converts a result to that of a system call: the count, or the negative errno.
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
pub(super) unsafe extern "C" fn receive(
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
    // A panic must not cross C. It ends the connection instead.
    catch_unwind(AssertUnwindSafe(|| system(pipe.receive(buffer)))).unwrap_or(0)
}

/// `LIBSSH2_SEND_FUNC`.
pub(super) unsafe extern "C" fn send(
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
pub(super) unsafe extern "C" fn disconnected(
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
    // The connection ends with or without the text.
    let _ = catch_unwind(AssertUnwindSafe(|| {
        pipe.set_disconnect_reason(message.escape_ascii().to_string());
    }));
}

/// `LIBSSH2_USERAUTH_KBDINT_RESPONSE_FUNC`. The one of `ssh2` leaves copies of the answers in memory.
pub(super) extern "C" fn questioned(
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
    // The server refuses a missing answer.
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
pub(super) unsafe extern "C" fn signed(
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
