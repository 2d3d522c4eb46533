//! Standard input that is sent to one command while its output is read.

use std::io;
use std::sync::Arc;

use rustix::io::Errno;

use crate::transport::InputReader;
use crate::transport::input::{InputData, InputError, MAX_INPUT_CHUNK};
use crate::transport::stream::TcpConnection;

/// Maximum length of input that is sent to a command after its end.
// The `head` that counts the input waits for the rest. A longer rest is not sent: the connection is half-closed, which
// keeps the port in TIME_WAIT for a minute. This length times a thousand hosts takes a network ten seconds.
const MAX_LEFTOVER: u64 = 1 << 20;

/// Input of one command, until it has ended.
#[derive(Debug)]
pub(super) struct InputFeed {
    reader: InputReader,
    /// True if the wrapper knows how many bytes will come.
    counted: bool,
}

/// Result of one write of input.
#[derive(Debug)]
pub(super) enum SendOutcome {
    /// A part was sent.
    Some,
    /// All input is sent.
    All,
    /// The connection takes no more input.
    Broken,
    /// The input cannot be read.
    Failed(Arc<InputError>),
}

impl InputFeed {
    pub(super) fn new(reader: InputReader, counted: bool) -> Self {
        InputFeed { reader, counted }
    }

    /// True if the end of the input is shown by a half-close.
    pub(super) fn ends_by_close(&self) -> bool {
        !self.counted
    }

    /// True if the input that is left is too long to send it to a command that has ended. The connection is then
    /// half-closed instead.
    pub(super) fn has_large_rest(&self) -> bool {
        // A dialogue has nothing to send that its command does not read.
        !self.counted && !self.reader.is_dialogue()
            || self.counted && self.reader.left().is_none_or(|left| left > MAX_LEFTOVER)
    }

    /// Waits until the connection takes bytes and there is input, and sends a part. Cancel safe.
    async fn send(&mut self, main: &TcpConnection) -> SendOutcome {
        // The connection is awaited first, so that no input is held in memory for a slow host.
        if main.writable().await.is_err() {
            return SendOutcome::Broken;
        }
        let data = match self.reader.peek_data().await {
            Ok(data) => data,
            Err(error) => return SendOutcome::Failed(error),
        };
        let sent = match &data {
            InputData::Bytes(bytes) if bytes.is_empty() => return SendOutcome::All,
            InputData::Bytes(bytes) => main.write(bytes),
            InputData::File(part) if part.is_checked() => {
                match main.send_file(part.file(), part.at(), part.length()) {
                    Err(e) if is_of_file(&e) => {
                        // A read of the file reports the error, or succeeds where sendfile(2) is not possible.
                        self.reader.refuse_files();
                        return SendOutcome::Some;
                    }
                    sent => sent,
                }
            }
            InputData::File(part) => match part.read(0, MAX_INPUT_CHUNK) {
                Ok(bytes) => main.write(&bytes),
                Err(error) => return SendOutcome::Failed(error),
            },
        };
        match sent {
            Ok(n) => {
                self.reader.advance(n);
                // `head` ends by itself after the last byte, so nothing more is sent.
                if self.counted && self.reader.left() == Some(0) {
                    SendOutcome::All
                } else {
                    SendOutcome::Some
                }
            }
            Err(e) if e.kind() == io::ErrorKind::Interrupted => SendOutcome::Some,
            // A daemon that resets may have sent output before, which is still read. So this is no failure yet.
            Err(_) => SendOutcome::Broken,
        }
    }
}

/// True if an error of sendfile(2) concerns the file and not the connection.
fn is_of_file(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::UnexpectedEof
        || matches!(
            Errno::from_io_error(error),
            // The file cannot be sent in this way, its disk has an error, or its file system is damaged.
            Some(Errno::INVAL | Errno::NOSYS | Errno::IO | Errno::BADMSG | Errno::UCLEAN)
        )
}

/// Sends a part of the input; never returns if there is none. Cancel safe.
pub(super) async fn send(feed: &mut Option<InputFeed>, main: &TcpConnection) -> SendOutcome {
    match feed {
        Some(feed) => feed.send(main).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};
    use std::thread;

    use super::*;
    use crate::copy::Segment;

    /// Returns both ends of a connection.
    fn connected() -> (TcpConnection, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        near.set_nonblocking(true).unwrap();
        let far = listener.accept().unwrap().0;
        let near = tokio::net::TcpStream::from_std(near).unwrap();
        (TcpConnection::new(near), far)
    }

    /// Returns a file of this length, and its content.
    fn file(length: usize) -> (File, Vec<u8>) {
        let bytes: Vec<u8> = (0..length).map(|at| (at * 31 % 251) as u8).collect();
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&bytes).unwrap();
        (file, bytes)
    }

    fn feed(segments: Vec<Segment>) -> InputFeed {
        InputFeed::new(InputReader::of_segments(segments), false)
    }

    /// Sends until the outcome is another one than a part.
    async fn send_all(feed: &mut InputFeed, main: &TcpConnection) -> SendOutcome {
        loop {
            match feed.send(main).await {
                SendOutcome::Some => {}
                outcome => return outcome,
            }
        }
    }

    #[tokio::test]
    async fn files_and_bytes_arrive_in_order() {
        let (file, bytes) = file(9_000_000);
        let text = |text: &str| Segment::Bytes(text.as_bytes().into());
        let file = Segment::File {
            file: file.into(),
            at: 3,
            length: 8_999_990,
        };
        let mut feed = feed(vec![text("head"), file, text("tail")]);
        let (mut main, mut far) = connected();
        let far = thread::spawn(move || {
            let mut all = Vec::new();
            far.read_to_end(&mut all).map(|_| all)
        });
        assert!(matches!(send_all(&mut feed, &main).await, SendOutcome::All));
        main.half_close();
        let expected = [b"head", &bytes[3..8_999_993], b"tail"].concat();
        assert!(far.join().unwrap().unwrap() == expected);
    }

    #[tokio::test]
    async fn a_file_that_becomes_shorter_while_it_is_sent_is_an_error() {
        let (file, bytes) = file(9_000_000);
        let mut feed = feed(vec![Segment::File {
            file: file.try_clone().unwrap().into(),
            at: 0,
            length: 9_000_000,
        }]);
        let (main, mut far) = connected();
        assert!(matches!(feed.send(&main).await, SendOutcome::Some));
        file.set_len(4_000_000).unwrap();
        let far = thread::spawn(move || {
            let mut all = Vec::new();
            let _ = far.read_to_end(&mut all);
            all
        });
        let outcome = send_all(&mut feed, &main).await;
        assert!(
            matches!(&outcome, SendOutcome::Failed(error) if matches!(**error, InputError::Shrunk)),
            "{outcome:?}"
        );
        drop(main);
        // The connection is reset, so the end of what was sent may be lost.
        assert!(bytes[..4_000_000].starts_with(&far.join().unwrap()));
    }

    #[tokio::test]
    async fn a_closed_connection_is_no_error_of_the_file() {
        let (file, _) = file(9_000_000);
        let mut feed = feed(vec![Segment::File {
            file: file.into(),
            at: 0,
            length: 9_000_000,
        }]);
        let (main, far) = connected();
        drop(far);
        assert!(matches!(
            send_all(&mut feed, &main).await,
            SendOutcome::Broken
        ));
    }
}
