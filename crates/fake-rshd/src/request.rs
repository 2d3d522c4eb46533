//! The client's request: `port NUL client-user NUL server-user NUL command NUL`.
//!
//! [`RequestParser`] does no I/O and bounds every field. [`read`] takes exactly the request from the
//! socket: the bytes after it are the command's standard input.

use std::{fmt, io};

use memchr::memchr;
#[cfg(feature = "script")]
use memchr::memmem;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

/// Maximum length of a user name.
pub(crate) const NAME_MAX: usize = 64;
/// Maximum lengths of the port, the client's user, the server's user and the command, without NULs.
const FIELD_MAX: [usize; 4] = [5, NAME_MAX, NAME_MAX, 1 << 20];

/// The request of a client.
#[derive(Clone, PartialEq, Eq)]
pub struct Request {
    /// The client's port for the callback; `None` if it wants no callback.
    pub callback_port: Option<u16>,
    /// The user name of the client, as the client says.
    pub client_user: Vec<u8>,
    /// The user that the command shall run as.
    pub server_user: Vec<u8>,
    /// The command, for a shell.
    pub command: Vec<u8>,
}

impl Request {
    /// Parses the request at the start of `bytes`. Returns it with its length, or `None` if more
    /// bytes must follow.
    ///
    /// ```
    /// use fake_rshd::Request;
    ///
    /// let bytes = b"1022\0me\0root\0wc -c\0standard input";
    /// let (request, length) = Request::parse(bytes)?.unwrap();
    /// assert_eq!(request.callback_port, Some(1022));
    /// assert_eq!(request.command, b"wc -c");
    /// assert_eq!(&bytes[length..], b"standard input");
    /// assert_eq!(Request::parse(b"1022\0me\0ro")?, None);
    /// # Ok::<(), fake_rshd::RequestError>(())
    /// ```
    ///
    /// # Errors
    /// A field that is too long, or a port that is no number.
    pub fn parse(bytes: &[u8]) -> Result<Option<(Request, usize)>, RequestError> {
        let mut parser = RequestParser::default();
        let used = parser.feed(bytes)?;
        if parser.is_complete() {
            Ok(Some((parser.finish()?, used)))
        } else {
            Ok(None)
        }
    }

    /// Returns the token of the client's end marker, if the command has one: a client that needs the
    /// exit status appends `printf "TOKEN:%d\n" $?` to the command, with a random TOKEN.
    #[cfg(feature = "script")]
    #[must_use]
    pub fn end_marker_token(&self) -> Option<&[u8]> {
        const BEFORE: &[u8] = br#"printf ""#;
        let start = memmem::find(&self.command, BEFORE)? + BEFORE.len();
        let rest = &self.command[start..];
        Some(&rest[..memmem::find(rest, b":%d")?])
    }
}

/// Shows the bytes as text, to be readable when a test fails.
impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |bytes: &[u8]| bytes.escape_ascii().to_string();
        f.debug_struct("Request")
            .field("callback_port", &self.callback_port)
            .field("client_user", &text(&self.client_user))
            .field("server_user", &text(&self.server_user))
            .field("command", &text(&self.command))
            .finish()
    }
}

/// The reason why bytes are no request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RequestError {
    /// A field is longer than the daemons accept.
    #[error("request too long")]
    TooLong,
    /// The port is not a number from 0 to 65535.
    #[error("bad port number")]
    BadPort,
}

/// The reason why no request could be read from a socket.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReadError {
    #[error(transparent)]
    Invalid(#[from] RequestError),
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Collects a request from pieces of any size.
#[derive(Debug, Default)]
struct RequestParser {
    fields: [Vec<u8>; 4],
    complete: usize,
}

impl RequestParser {
    /// Takes the bytes that belong to the request and returns their number.
    fn feed(&mut self, bytes: &[u8]) -> Result<usize, RequestError> {
        let mut used = 0;
        while let Some(field) = self.fields.get_mut(self.complete) {
            let rest = &bytes[used..];
            let end = memchr(0, rest);
            let piece = &rest[..end.unwrap_or(rest.len())];
            // A client that is not authenticated yet must not fill the memory.
            if field.len() + piece.len() > FIELD_MAX[self.complete] {
                return Err(RequestError::TooLong);
            }
            field.extend_from_slice(piece);
            used += piece.len();
            if end.is_none() {
                break;
            }
            used += 1;
            self.complete += 1;
        }
        Ok(used)
    }

    fn is_complete(&self) -> bool {
        self.complete == self.fields.len()
    }

    fn finish(self) -> Result<Request, RequestError> {
        let [port, client_user, server_user, command] = self.fields;
        Ok(Request {
            callback_port: parse_port(&port)?,
            client_user,
            server_user,
            command,
        })
    }
}

/// Reads a request, and no byte after it.
pub(crate) async fn read(main: &mut TcpStream) -> Result<Request, ReadError> {
    RequestReader::default().rest(main).await
}

/// Reads a request in two parts, for daemons that call back in between.
#[derive(Debug, Default)]
pub(crate) struct RequestReader(RequestParser);

impl RequestReader {
    /// Reads the port, and returns it.
    #[cfg(feature = "script")]
    pub(crate) async fn port(&mut self, main: &mut TcpStream) -> Result<Option<u16>, ReadError> {
        self.read_fields(main, 1).await?;
        Ok(parse_port(&self.0.fields[0])?)
    }

    /// Reads the rest. Cancel safe.
    pub(crate) async fn rest(&mut self, main: &mut TcpStream) -> Result<Request, ReadError> {
        let all = self.0.fields.len();
        self.read_fields(main, all).await?;
        Ok(std::mem::take(&mut self.0).finish()?)
    }

    async fn read_fields(&mut self, main: &mut TcpStream, count: usize) -> Result<(), ReadError> {
        let mut buffer = vec![0; 16 << 10];
        while self.0.complete < count {
            // The bytes after the request belong to the command, so only the request is taken from the socket.
            let available = main.peek(&mut buffer).await?;
            if available == 0 {
                return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
            }
            let used = self.0.feed(&buffer[..available])?;
            // These bytes have been peeked, so the read does not wait.
            main.read_exact(&mut buffer[..used]).await?;
        }
        Ok(())
    }
}

/// Returns the port of a request; `None` if it is empty or 0.
fn parse_port(field: &[u8]) -> Result<Option<u16>, RequestError> {
    let port = match field {
        // To daemons, an empty field means the same as 0: no callback.
        [] => 0,
        digits => std::str::from_utf8(digits)
            .ok()
            // `parse` alone would accept a sign.
            .filter(|text| text.bytes().all(|b| b.is_ascii_digit()))
            .and_then(|text| text.parse().ok())
            .ok_or(RequestError::BadPort)?,
    };
    Ok((port != 0).then_some(port))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const WHOLE: &[u8] = b"1022\0me\0you\0echo a b\0stdin";

    fn parse(pieces: &[&[u8]]) -> Result<(Request, usize), RequestError> {
        let mut parser = RequestParser::default();
        let mut used = 0;
        for piece in pieces {
            used += parser.feed(piece)?;
        }
        assert!(parser.is_complete());
        Ok((parser.finish()?, used))
    }

    proptest! {
        #[test]
        fn the_cut_between_pieces_does_not_matter(cut in 0..WHOLE.len()) {
            let (head, tail) = WHOLE.split_at(cut);
            let (request, used) = parse(&[head, tail]).unwrap();
            let length = WHOLE.len() - b"stdin".len();
            prop_assert_eq!(used, length);
            prop_assert_eq!(&request, &Request {
                callback_port: Some(1022),
                client_user: b"me".to_vec(),
                server_user: b"you".to_vec(),
                command: b"echo a b".to_vec(),
            });
            let expected = (cut >= length).then_some((request, length));
            prop_assert_eq!(Request::parse(head), Ok(expected));
        }
    }

    #[test]
    fn port_zero_or_none_means_no_callback() {
        for none in [&b"0\0\0\0\0"[..], b"\0\0\0\0"] {
            assert_eq!(parse(&[none]).unwrap().0.callback_port, None);
        }
    }

    #[test]
    fn ports_are_plain_numbers() {
        for bad in [&b"65536\0\0\0\0"[..], b"+22\0\0\0\0", b"1o22\0\0\0\0"] {
            assert_eq!(parse(&[bad]), Err(RequestError::BadPort));
        }
    }

    #[test]
    fn every_field_is_bounded() {
        let name = [b'x'; NAME_MAX + 1];
        let command = vec![b'x'; FIELD_MAX[3] + 1];
        let long: [&[&[u8]]; 4] = [
            &[b"123456"],
            &[b"0\0", &name],
            &[b"0\0\0", &name],
            &[b"0\0\0\0", &command[1..], b"x"],
        ];
        for pieces in long {
            assert_eq!(parse(pieces), Err(RequestError::TooLong));
        }
    }

    #[cfg(feature = "script")]
    #[test]
    fn the_end_marker_is_found_in_the_wrapper() {
        let request = |command: &str| Request {
            callback_port: None,
            client_user: Vec::new(),
            server_user: Vec::new(),
            command: command.into(),
        };
        let wrapped = request(
            r#"exec /bin/sh -c '"${SHELL:-/bin/sh}" -c "$(printf %b "$1")" </dev/null;printf "T0K:%d\n" $?' sh 'ls'"#,
        );
        assert_eq!(wrapped.end_marker_token(), Some(&b"T0K"[..]));
        assert_eq!(request("ls").end_marker_token(), None);
    }
}
