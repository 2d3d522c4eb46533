//! Keys of the terminal during a pause between waves.
//!
//! The terminal is read only in a pause. Then a key arrives without Enter and is not shown. ^C and ^Z stay signals. ^\
//! is a key, because its signal would end the program without a chance to restore the terminal.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::OFlags;
use rustix::io::Errno;
use rustix::process::getpgrp;
use rustix::termios::{
    LocalModes, OptionalActions, QueueSelector, SpecialCodeIndex, Termios, tcflush, tcgetattr,
    tcgetpgrp, tcsetattr,
};
use tokio::sync::mpsc;

use super::signal::ControlRequest;

/// Capacity of the channel from the thread that reads the terminal.
const WAITING: usize = 8;

/// The terminal in the modes of a pause, until this is dropped, and the thread that reads it.
#[derive(Debug)]
pub(super) struct PauseKeys {
    terminal: Arc<File>,
    before: Termios,
    requests: mpsc::Receiver<ControlRequest>,
    /// Ends the thread when it is closed.
    stop: Option<UnixStream>,
    thread: Option<JoinHandle<()>>,
}

impl PauseKeys {
    /// Opens the terminal. Returns `None` if there is none, or if other programs use it now.
    pub(super) fn open() -> Option<PauseKeys> {
        // A terminal that is stopped (^S) must not stop the event loop.
        let nonblocking = i32::try_from((OFlags::NONBLOCK | OFlags::NOCTTY).bits()).ok()?;
        let terminal = OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags(nonblocking)
            .open("/dev/tty")
            .ok()?;
        // The kernel stops a process in the background that changes the modes or reads.
        if !is_in_foreground(&terminal) {
            return None;
        }
        let before = tcgetattr(&terminal).ok()?;
        let mut modes = before.clone();
        modes.local_modes -= LocalModes::ECHO | LocalModes::ECHONL | LocalModes::ICANON;
        // Without ICANON, VMIN and VTIME decide when read(2) returns (termios(3)).
        modes.special_codes[SpecialCodeIndex::VMIN] = 1;
        modes.special_codes[SpecialCodeIndex::VTIME] = 0;
        // 0 is _POSIX_VDISABLE of Linux: no character is this one.
        modes.special_codes[SpecialCodeIndex::VQUIT] = 0;
        let terminal = Arc::new(terminal);
        let (stop, stopped) = UnixStream::pair().ok()?;
        let (sender, requests) = mpsc::channel(WAITING);
        // `Flush` would wait for output, which ^S may have stopped.
        tcsetattr(&terminal, OptionalActions::Now, &modes).ok()?;
        // From here on, dropping this restores the modes.
        let mut keys = PauseKeys {
            terminal: Arc::clone(&terminal),
            before,
            requests,
            stop: Some(stop),
            thread: None,
        };
        // Keys typed before the pause are discarded: they are no answer to it.
        tcflush(&*terminal, QueueSelector::IFlush).ok()?;
        let thread = thread::Builder::new().name("keys".to_owned());
        let reading = Arc::clone(&keys.terminal);
        let thread = thread.spawn(move || read_keys(&reading, &stopped, &sender));
        keys.thread = Some(thread.ok()?);
        Some(keys)
    }

    /// Shows a line.
    pub(super) fn show(&self, text: &str) {
        // An error means that the terminal is gone or stopped. The line is in the reports as well.
        let _ = (&*self.terminal).write_all(format!("mrsh: {text}\n").as_bytes());
    }

    /// Returns the request of the next key. Cancel safe.
    pub(super) async fn next(&mut self) -> ControlRequest {
        // A closed channel is the end of the thread, which ends with the terminal.
        let request = self.requests.recv().await;
        request.unwrap_or(ControlRequest::NoKeys)
    }
}

/// Sends the request of each key, until `stopped` is closed or the terminal is gone.
fn read_keys(mut terminal: &File, stopped: &UnixStream, sender: &mpsc::Sender<ControlRequest>) {
    loop {
        let mut polled = [
            PollFd::new(stopped, PollFlags::IN),
            PollFd::new(terminal, PollFlags::IN),
        ];
        match poll(&mut polled, None) {
            Err(Errno::INTR) => continue,
            Err(_) => return,
            Ok(_) if !polled[0].revents().is_empty() => return,
            Ok(_) => {}
        }
        let mut key = [0];
        let request = match terminal.read(&mut key) {
            Ok(0) => return,
            Ok(_) => request(key[0]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
            Err(_) => return,
        };
        if sender.blocking_send(request).is_err() {
            return;
        }
    }
}

impl Drop for PauseKeys {
    fn drop(&mut self) {
        // The thread may wait for a place in the channel, or for a key.
        self.requests.close();
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            // A panic of the thread has been printed.
            let _ = thread.join();
        }
        let terminal = &*self.terminal;
        // In the background, the shell has restored the modes itself. An error means that the terminal is gone.
        if is_in_foreground(terminal) {
            let _ = tcsetattr(terminal, OptionalActions::Now, &self.before);
        }
    }
}

fn is_in_foreground(terminal: &File) -> bool {
    tcgetpgrp(terminal).is_ok_and(|group| group == getpgrp())
}

/// Returns the meaning of a key.
fn request(key: u8) -> ControlRequest {
    // Without ICANON, ^D is an ordinary byte. ^\ is one because its signal is switched off.
    const END: u8 = 4;
    const QUIT: u8 = 0x1c;
    match key {
        // A terminal without ICRNL sends Enter as a carriage return.
        b'\n' | b'\r' | b' ' | b'y' | b'Y' => ControlRequest::GoOn,
        b'q' | b'Q' | b'n' | b'N' | END | QUIT => ControlRequest::EndWaves,
        _ => ControlRequest::OtherKey,
    }
}
