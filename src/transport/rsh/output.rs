//! The main stream of a session made into output and an end, without I/O.

use super::wire::{Beginning, beginning};
use super::wrap::MarkerDecoder;
use crate::event::{Phase, RemoteExit};
use crate::transport::TransportError;

const KILLED: &str = "the command was killed, or its login shell runs no commands";
const SILENT: &str = "no output and no end marker; was it killed, or is its login shell missing?";

/// Takes the end marker out of the stream, and a refusal that comes as output.
#[derive(Debug)]
pub struct MainStream {
    /// `None` for a command that is not wrapped.
    decoder: Option<MarkerDecoder>,
    /// All output so far, held back as long as it may be a refusal in disguise.
    head: Option<Vec<u8>>,
    /// How the command ended, once the stream has.
    end: Option<Result<RemoteExit, TransportError>>,
}

impl MainStream {
    /// A stream that has not begun.
    #[must_use]
    pub fn new(decoder: Option<MarkerDecoder>) -> Self {
        // Of a command that is not wrapped nothing can be told.
        let head = decoder.is_some().then(Vec::new);
        MainStream {
            decoder,
            head,
            end: None,
        }
    }

    /// Takes the next bytes and gives those that are output.
    pub fn feed(&mut self, bytes: &[u8]) -> Vec<u8> {
        let Some(decoder) = &mut self.decoder else {
            return bytes.to_vec();
        };
        let mut output = Vec::with_capacity(bytes.len());
        decoder.feed(bytes, &mut output);
        let Some(mut head) = self.head.take() else {
            return output;
        };
        head.append(&mut output);
        match beginning(&head) {
            Beginning::Output => head,
            Beginning::Unclear | Beginning::Denial(_) => {
                self.head = Some(head);
                Vec::new()
            }
        }
    }

    /// Whether the command has ended, though its stream has not.
    #[must_use]
    pub fn has_marker(&self) -> bool {
        self.decoder.as_ref().is_some_and(MarkerDecoder::has_found)
    }

    /// The stream has ended, by a reset or not: gives the output that was still held back.
    pub fn end(&mut self, reset: bool) -> Vec<u8> {
        let Some(mut decoder) = self.decoder.take() else {
            self.end = (!reset).then_some(Ok(RemoteExit::Unknown));
            return Vec::new();
        };
        let (mut held, exit) = decoder.finish();
        let silent = self.head.as_ref().is_some_and(Vec::is_empty) && held.is_empty();
        let mut rest = self.head.take().unwrap_or_default();
        rest.append(&mut held);
        let hint = if silent { SILENT } else { KILLED };
        self.end = match (exit, beginning(&rest)) {
            (Some(exit), _) => Some(Ok(exit)),
            (None, Beginning::Denial(text)) => {
                rest.clear();
                Some(Err(TransportError::Denied {
                    text: text.to_owned(),
                }))
            }
            (None, _) if reset => None,
            (None, _) => Some(Err(TransportError::NoEndMarker { hint })),
        };
        rest
    }

    /// How the command ended, for the one who asks first. A stream that was cut has no end of its own.
    ///
    /// # Errors
    /// It did not end as commands do.
    pub fn verdict(&mut self) -> Result<RemoteExit, TransportError> {
        let cut = TransportError::Reset {
            phase: Phase::Run,
            hint: None,
        };
        self.end.take().unwrap_or(Err(cut))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transport::rsh::wrap::EndMarker;

    /// Feeds a stream byte by byte and gives all output and the end.
    fn run(stream: &[u8], reset: bool) -> (Vec<u8>, Result<RemoteExit, TransportError>) {
        let marker = EndMarker::random().unwrap();
        let full: Vec<u8> = stream
            .split_inclusive(|&b| b == b'@')
            .flat_map(|part| match part.strip_suffix(b"@") {
                Some(part) => [part, marker.needle(), b"7\n"].concat(),
                None => part.to_vec(),
            })
            .collect();
        let mut main = MainStream::new(Some(marker.decoder()));
        let mut output: Vec<u8> = full.iter().flat_map(|&b| main.feed(&[b])).collect();
        output.extend(main.end(reset));
        (output, main.verdict())
    }

    #[test]
    fn the_marker_alone_says_how_it_ended() {
        let code = RemoteExit::Code(7);
        let (output, end) = run(b"out\n@", false);
        assert_eq!((output.as_slice(), end.unwrap()), (&b"out\n"[..], code));
        assert_eq!(
            run(b"@", true).1.unwrap(),
            code,
            "a reset after it spoils nothing"
        );
        let (output, end) = run(b"cut", false);
        assert_eq!(output, b"cut");
        assert!(matches!(
            end,
            Err(TransportError::NoEndMarker { hint: KILLED })
        ));
        assert!(matches!(
            run(b"", false).1,
            Err(TransportError::NoEndMarker { hint: SILENT })
        ));
        assert!(matches!(
            run(b"cut", true).1,
            Err(TransportError::Reset { .. })
        ));
    }

    #[test]
    fn a_refusal_in_disguise_is_no_output() {
        let (output, end) = run(b"Authentication failure\n", false);
        assert_eq!(output, b"");
        assert!(
            matches!(end, Err(TransportError::Denied { text }) if text == "Authentication failure")
        );
        // A command that prints the same and ends as commands do.
        let (output, end) = run(b"Authentication failure\n@", false);
        assert_eq!(output, b"Authentication failure\n");
        assert_eq!(end.unwrap(), RemoteExit::Code(7));
        assert_eq!(
            run(b"Authentication failure\nand more", false).0,
            b"Authentication failure\nand more"
        );
        assert_eq!(run(b"Auth", false).0, b"Auth");
    }

    #[test]
    fn unwrapped_there_is_no_status_to_know() {
        let mut main = MainStream::new(None);
        assert_eq!(main.feed(b"Permission denied\n"), b"Permission denied\n");
        main.end(false);
        assert_eq!(main.verdict().unwrap(), RemoteExit::Unknown);
        let mut cut = MainStream::new(None);
        cut.end(true);
        assert!(cut.verdict().is_err());
    }
}
