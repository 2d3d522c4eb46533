//! The channels of a [`Peer`]: commands, their streams and their exit.
#![expect(
    unsafe_code,
    reason = "libssh2 is a C library, and ssh2 has no safe way to these of its calls"
)]

use std::ffi::{c_char, c_int, c_uint, c_ulong};
use std::ptr::{null, null_mut};

use libssh2_sys as raw;
use zeroize::Zeroizing;

use super::{
    CallResult, Channel, Exit, Libssh2Error, OpenFailure, Peer, Queued, c_string,
    libssh2_channel_has_exit_status, libssh2_channel_signal_ex,
};
use crate::transport::scratch::{self, MAX_READ};
use crate::transport::ssh::gate::Violation;

/// Receive window of a channel in bytes, libssh2's default.
const WINDOW: c_uint = raw::LIBSSH2_CHANNEL_WINDOW_DEFAULT;
const PACKET: c_uint = raw::LIBSSH2_CHANNEL_PACKET_DEFAULT;

impl Peer {
    /// Opens a channel for a command.
    pub(crate) fn open(&mut self) -> CallResult<Channel> {
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

    /// Opens a connection from the server to another host.
    pub(crate) fn open_through(
        &mut self,
        host: &str,
        port: u16,
    ) -> Result<Option<Channel>, OpenFailure> {
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
        Ok(self.opened(channel)?)
    }

    fn opened(&mut self, channel: *mut raw::LIBSSH2_CHANNEL) -> CallResult<Channel> {
        if channel.is_null() {
            return self.failure();
        }
        // The entries of freed channels are reused, since a session with a jump host has many channels in its time.
        let free = self.channels.iter().position(|channel| channel.is_null());
        let place = free.unwrap_or_else(|| {
            self.channels.push(null_mut());
            self.begun.push(None);
            self.channels.len() - 1
        });
        self.channels[place] = channel;
        Ok(Some(Channel(place)))
    }

    /// Returns the pointer of a channel. It is null after `free`; libssh2 reports null as an error.
    fn pointer(&self, channel: Channel) -> *mut raw::LIBSSH2_CHANNEL {
        self.channels.get(channel.0).copied().unwrap_or(null_mut())
    }

    /// Sets a variable in the environment of the command that will be started.
    pub(crate) fn set_variable(
        &mut self,
        channel: Channel,
        name: &str,
        value: &str,
    ) -> CallResult<()> {
        let (Ok(name_length), Ok(value_length)) =
            (c_uint::try_from(name.len()), c_uint::try_from(value.len()))
        else {
            return Err(Libssh2Error::bad_use("the variable is too long"));
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

    /// Asks for a pseudo-terminal for the command that will be started. `modes` are those of RFC 4254, section 8.
    pub(crate) fn request_pty(
        &mut self,
        channel: Channel,
        terminal: &str,
        modes: &[u8],
        (columns, rows): (u16, u16),
    ) -> CallResult<()> {
        let (Ok(terminal_length), Ok(modes_length)) = (
            c_uint::try_from(terminal.len()),
            c_uint::try_from(modes.len()),
        ) else {
            return Err(Libssh2Error::bad_use(
                "the name of the terminal is too long",
            ));
        };
        // SAFETY: the channel is null or lives, and the texts, whose lengths are right, are copied.
        let code = unsafe {
            raw::libssh2_channel_request_pty_ex(
                self.pointer(channel),
                terminal.as_ptr().cast(),
                terminal_length,
                modes.as_ptr().cast(),
                modes_length,
                c_int::from(columns),
                c_int::from(rows),
                0,
                0,
            )
        };
        self.done(code)
    }

    /// Starts a command in the channel.
    pub(crate) fn exec(&mut self, channel: Channel, command: &[u8]) -> CallResult<()> {
        self.start(channel, b"exec", command)
    }

    /// Starts a subsystem in the channel (RFC 4254, section 6.5).
    pub(crate) fn subsystem(&mut self, channel: Channel, name: &str) -> CallResult<()> {
        self.start(channel, b"subsystem", name.as_bytes())
    }

    fn start(&mut self, channel: Channel, kind: &'static [u8], argument: &[u8]) -> CallResult<()> {
        let (Ok(kind_length), Ok(length)) = (
            c_uint::try_from(kind.len()),
            c_uint::try_from(argument.len()),
        ) else {
            return Err(Libssh2Error::bad_use("the command is too long"));
        };
        // SAFETY: the channel is null or lives, and the texts outlive the call; their lengths are right.
        let code = unsafe {
            raw::libssh2_channel_process_startup(
                self.pointer(channel),
                kind.as_ptr().cast(),
                kind_length,
                argument.as_ptr().cast(),
                length,
            )
        };
        self.done(code)
    }

    /// Reads from a stream of a channel: 0 is standard output, 1 is standard error. The result is 0 bytes at the end
    /// of both.
    pub(crate) fn read(
        &mut self,
        channel: Channel,
        stream: c_int,
        buffer: &mut [u8],
    ) -> CallResult<usize> {
        // SAFETY: the channel is null or lives, and the buffer is as long as stated.
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

    /// Writes as many bytes as the window of a channel allows. If it is not done, the next call must have bytes with
    /// the same start.
    pub(crate) fn write(&mut self, channel: Channel, bytes: &[u8]) -> CallResult<usize> {
        let Some(begun) = self.begun.get_mut(channel.0) else {
            return Err(Libssh2Error::bad_use("no such channel"));
        };
        // libssh2 keeps the number of bytes of the first call and reads as many from the next one.
        let begun = begun.take();
        let bytes = begun.as_ref().map_or(bytes, |begun| begun.as_slice());
        // SAFETY: the channel is null or lives, and the bytes are as many as stated.
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
            // It may be a password.
            self.begun[channel.0] = Some(Zeroizing::new(bytes.to_vec()));
        }
        written
    }

    /// Returns the number of bytes that the window of a channel allows.
    pub(crate) fn window(&mut self, channel: Channel) -> usize {
        // SAFETY: the channel is null or lives; the second pointer may be null.
        let window =
            unsafe { raw::libssh2_channel_window_write_ex(self.pointer(channel), null_mut()) };
        usize::try_from(window).unwrap_or(usize::MAX)
    }

    /// Ends the standard input of the command.
    pub(crate) fn end_input(&mut self, channel: Channel) -> CallResult<()> {
        // SAFETY: the channel is null or lives.
        let code = unsafe { raw::libssh2_channel_send_eof(self.pointer(channel)) };
        self.done(code)
    }

    /// True if both streams have ended and have been read to their end.
    pub(crate) fn at_end(&self, channel: Channel) -> bool {
        // SAFETY: the channel is null or lives.
        unsafe { raw::libssh2_channel_eof(self.pointer(channel)) == 1 }
    }

    /// True if the queue of a channel has data of any stream. The socket is not read.
    pub(crate) fn has_output(&self, channel: Channel) -> bool {
        self.queued(channel).bytes > 0
    }

    /// Returns the state of a channel's queue. The socket is not read.
    pub(crate) fn queued(&self, channel: Channel) -> Queued {
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

    /// Discards the first `bytes` of a channel's queue, of all streams. The queue must have as many. For 0, empty
    /// extended data is discarded.
    pub(crate) fn drop_queued(
        &mut self,
        channel: Channel,
        bytes: usize,
    ) -> Result<(), Libssh2Error> {
        if bytes == 0 {
            const ALL_EXTENDED: c_int = -1;
            // SAFETY: the channel is null or lives.
            let code =
                unsafe { raw::libssh2_channel_flush_ex(self.pointer(channel), ALL_EXTENDED) };
            return self.done(code.min(0)).map(drop);
        }
        // libssh2_channel_flush_ex cannot discard bytes: during a key exchange, each of its calls counts the same bytes
        // again, until it takes the window for full.
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

    /// Waits until the server closes the channel, after the end of its streams.
    pub(crate) fn closed(&mut self, channel: Channel) -> CallResult<()> {
        // SAFETY: the channel is null or lives.
        let code = unsafe { raw::libssh2_channel_wait_closed(self.pointer(channel)) };
        self.done(code)
    }

    /// Closes the channel, and waits until the server closes it too.
    pub(crate) fn close(&mut self, channel: Channel) -> CallResult<()> {
        // SAFETY: the channel is null or lives.
        let code = unsafe { raw::libssh2_channel_close(self.pointer(channel)) };
        self.done(code)
    }

    /// Closes the channel and frees its memory.
    pub(crate) fn free(&mut self, channel: Channel) -> CallResult<()> {
        let pointer = self.pointer(channel);
        if pointer.is_null() {
            return Ok(Some(()));
        }
        // SAFETY: the channel lives.
        let code = unsafe { raw::libssh2_channel_free(pointer) };
        if code != raw::LIBSSH2_ERROR_EAGAIN {
            // The memory is freed, whatever the code.
            self.channels[channel.0] = null_mut();
            self.begun[channel.0] = None;
        }
        self.done(code)
    }

    /// Sends a signal, named without SIG, to the command of the channel.
    pub(crate) fn signal(&mut self, channel: Channel, name: &str) -> CallResult<()> {
        // SAFETY: the channel is null or lives, and the name is as long as stated; it is copied.
        let code = unsafe {
            libssh2_channel_signal_ex(self.pointer(channel), name.as_ptr().cast(), name.len())
        };
        self.done(code)
    }

    /// Returns the exit of the channel's command. libssh2's own status is 0 also for a missing status and for a signal.
    pub(crate) fn exit(&mut self, channel: Channel) -> Exit {
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

    fn count(&mut self, n: isize) -> CallResult<usize> {
        match usize::try_from(n) {
            Ok(n) => self.checked(Ok(Some(n))),
            Err(_) => {
                let code = c_int::try_from(n).unwrap_or(raw::LIBSSH2_ERROR_BAD_USE);
                self.done(code).map(|_| None)
            }
        }
    }
}
