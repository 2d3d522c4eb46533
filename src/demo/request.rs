//! The client's request: `port NUL client-user NUL server-user NUL command NUL`.
//!
//! [`Parser`] does no I/O and bounds every field; [`read`] takes exactly the request from the
//! socket and leaves what follows for the command's standard input.

use std::{fmt, io};

use memchr::{memchr, memmem};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

/// The longest user name.
pub(super) const NAME_MAX: usize = 64;
/// Port, client's user, server's user, command; without their NULs.
const FIELD_MAX: [usize; 4] = [5, NAME_MAX, NAME_MAX, 1 << 20];

/// What a client asks for.
#[derive(Clone, PartialEq, Eq)]
pub struct Request {
    /// The client's port for the second connection; `None` if it wants none.
    pub err_port: Option<u16>,
    /// Who the client says it is.
    pub client_user: Vec<u8>,
    /// Whom the command shall run as.
    pub server_user: Vec<u8>,
    /// The command, for a shell.
    pub command: Vec<u8>,
}

impl Request {
    /// The random token of the client's end marker, cut out of its wrapper's last command,
    /// `printf "TOKEN:%d\n" $?`.
    #[must_use]
    pub fn end_marker_token(&self) -> Option<&[u8]> {
        const BEFORE: &[u8] = br#"printf ""#;
        let start = memmem::find(&self.command, BEFORE)? + BEFORE.len();
        let rest = &self.command[start..];
        Some(&rest[..memmem::find(rest, b":%d")?])
    }
}

/// Readable, since it is read when a test fails.
impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |bytes: &[u8]| bytes.escape_ascii().to_string();
        f.debug_struct("Request")
            .field("err_port", &self.err_port)
            .field("client_user", &text(&self.client_user))
            .field("server_user", &text(&self.server_user))
            .field("command", &text(&self.command))
            .finish()
    }
}

/// Why a request is not one.
#[derive(Debug, thiserror::Error)]
pub(super) enum RequestError {
    #[error("request too long")]
    TooLong,
    #[error("bad port number")]
    BadPort,
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Collects a request from pieces of any size.
#[derive(Debug, Default)]
struct Parser {
    fields: [Vec<u8>; 4],
    complete: usize,
}

impl Parser {
    /// Takes what belongs to the request and says how many bytes that was.
    fn feed(&mut self, bytes: &[u8]) -> Result<usize, RequestError> {
        let mut used = 0;
        while let Some(field) = self.fields.get_mut(self.complete) {
            let rest = &bytes[used..];
            let end = memchr(0, rest);
            let piece = &rest[..end.unwrap_or(rest.len())];
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

    fn finish(self) -> Result<Request, RequestError> {
        let [port, client_user, server_user, command] = self.fields;
        Ok(Request {
            err_port: parse_port(&port)?,
            client_user,
            server_user,
            command,
        })
    }
}

/// Reads a request and not one byte more.
pub(super) async fn read(main: &mut TcpStream) -> Result<Request, RequestError> {
    Reader::default().rest(main).await
}

/// Reads a request in two parts, as daemons do that call back in between.
#[derive(Debug, Default)]
pub(super) struct Reader(Parser);

impl Reader {
    /// Reads as far as the port, and gives it.
    pub(super) async fn port(&mut self, main: &mut TcpStream) -> Result<Option<u16>, RequestError> {
        self.read_fields(main, 1).await?;
        parse_port(&self.0.fields[0])
    }

    /// Reads the rest. Cancel safe.
    pub(super) async fn rest(&mut self, main: &mut TcpStream) -> Result<Request, RequestError> {
        let all = self.0.fields.len();
        self.read_fields(main, all).await?;
        std::mem::take(&mut self.0).finish()
    }

    async fn read_fields(
        &mut self,
        main: &mut TcpStream,
        count: usize,
    ) -> Result<(), RequestError> {
        let mut buffer = vec![0; 16 << 10];
        while self.0.complete < count {
            let seen = main.peek(&mut buffer).await?;
            if seen == 0 {
                return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
            }
            let used = self.0.feed(&buffer[..seen])?;
            main.read_exact(&mut buffer[..used]).await?;
        }
        Ok(())
    }
}

/// The port of a request; none if it is empty or 0.
fn parse_port(field: &[u8]) -> Result<Option<u16>, RequestError> {
    let port = match field {
        [] => 0,
        digits => std::str::from_utf8(digits)
            .ok()
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
        let mut parser = Parser::default();
        let mut used = 0;
        for piece in pieces {
            used += parser.feed(piece)?;
        }
        assert!(parser.complete == parser.fields.len());
        Ok((parser.finish()?, used))
    }

    proptest! {
        #[test]
        fn the_cut_between_pieces_does_not_matter(cut in 0..WHOLE.len()) {
            let (head, tail) = WHOLE.split_at(cut);
            let (request, used) = parse(&[head, tail]).unwrap();
            prop_assert_eq!(used, WHOLE.len() - b"stdin".len());
            prop_assert_eq!(request, Request {
                err_port: Some(1022),
                client_user: b"me".to_vec(),
                server_user: b"you".to_vec(),
                command: b"echo a b".to_vec(),
            });
        }
    }

    #[test]
    fn no_port_is_no_second_connection() {
        for none in [&b"0\0\0\0\0"[..], b"\0\0\0\0"] {
            assert_eq!(parse(&[none]).unwrap().0.err_port, None);
        }
    }

    #[test]
    fn ports_are_plain_numbers() {
        for bad in [&b"65536\0\0\0\0"[..], b"+22\0\0\0\0", b"1o22\0\0\0\0"] {
            assert!(matches!(parse(&[bad]), Err(RequestError::BadPort)));
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
            assert!(matches!(parse(pieces), Err(RequestError::TooLong)));
        }
    }

    #[test]
    fn the_end_marker_is_found_in_the_wrapper() {
        let request = |command: &str| Request {
            err_port: None,
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
