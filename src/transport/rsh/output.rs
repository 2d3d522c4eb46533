//! Separates the main stream of a session into output and exit status. No I/O.

use super::wire::{OutputStart, classify_start};
use crate::event::{Phase, RemoteExit};
use crate::transport::TransportError;
use crate::transport::wrap::MarkerDecoder;

const HINT_KILLED: &str = "the command was killed, or its login shell runs no commands";
const HINT_NO_OUTPUT: &str =
    "no output and no end marker; was it killed, or is its login shell missing?";

/// Decoder of the main stream: removes the end marker, and detects a refusal that comes as output.
#[derive(Debug)]
pub struct MainStream {
    /// `None` for a command that is not wrapped.
    decoder: Option<MarkerDecoder>,
    /// All output so far, while it may still be a refusal that the daemon sends as output.
    head: Option<Vec<u8>>,
    /// Exit of the command, set when the stream has ended.
    end: Option<Result<RemoteExit, TransportError>>,
}

impl MainStream {
    /// Creates a decoder for a new stream.
    #[must_use]
    pub fn new(decoder: Option<MarkerDecoder>) -> Self {
        // Without a wrapper a command's output and a refusal look the same.
        let head = decoder.is_some().then(Vec::new);
        MainStream {
            decoder,
            head,
            end: None,
        }
    }

    /// Takes the next bytes and returns the output among them.
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
        match classify_start(&head) {
            OutputStart::Output => head,
            // Held back while it can still become the refusal of rsh-redone, which is no output of the command.
            OutputStart::Unclear | OutputStart::Denial(_) => {
                self.head = Some(head);
                Vec::new()
            }
        }
    }

    /// True if the end marker has come. The stream may still go on.
    #[must_use]
    pub fn has_marker(&self) -> bool {
        self.decoder.as_ref().is_some_and(MarkerDecoder::has_found)
    }

    /// Ends the stream and returns the output that was still held back.
    pub fn end(&mut self, reset: bool) -> Vec<u8> {
        let Some(mut decoder) = self.decoder.take() else {
            // The protocol has no exit status, and `--raw` has no end marker.
            self.end = (!reset).then_some(Ok(RemoteExit::Unknown));
            return Vec::new();
        };
        let (mut held, exit) = decoder.finish();
        let silent = self.head.as_ref().is_some_and(Vec::is_empty) && held.is_empty();
        let mut rest = self.head.take().unwrap_or_default();
        rest.append(&mut held);
        let hint = if silent { HINT_NO_OUTPUT } else { HINT_KILLED };
        self.end = match (exit, classify_start(&rest)) {
            // A reset after the marker changes nothing: a daemon resets if the command left input unread.
            (Some(exit), _) => Some(Ok(exit)),
            // rsh-redone accepts with status 0 before it checks the user. Its refusal comes as output.
            (None, OutputStart::Denial(text)) => {
                rest.clear();
                Some(Err(TransportError::denied(text)))
            }
            (None, _) if reset => None,
            (None, _) => Some(Err(TransportError::NoEndMarker { hint })),
        };
        rest
    }

    /// Takes the exit of the command. A stream that was reset has none, unless its marker came first.
    ///
    /// # Errors
    /// The stream ended without an exit status, or was a refusal.
    pub fn take_exit(&mut self) -> Result<RemoteExit, TransportError> {
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
    use crate::transport::wrap::EndMarker;

    /// Decodes a stream byte by byte; `@` stands for an end marker with status 7. Returns the output and the exit.
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
        (output, main.take_exit())
    }

    #[test]
    fn the_exit_status_comes_from_the_marker_alone() {
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
            Err(TransportError::NoEndMarker { hint: HINT_KILLED })
        ));
        assert!(matches!(
            run(b"", false).1,
            Err(TransportError::NoEndMarker {
                hint: HINT_NO_OUTPUT
            })
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
            matches!(end, Err(TransportError::Denied { text, .. }) if text == "Authentication failure")
        );
        // A command that prints the same text and has an end marker.
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
    fn without_a_wrapper_the_exit_status_is_unknown() {
        let mut main = MainStream::new(None);
        assert_eq!(main.feed(b"Permission denied\n"), b"Permission denied\n");
        main.end(false);
        assert_eq!(main.take_exit().unwrap(), RemoteExit::Unknown);
        let mut cut = MainStream::new(None);
        cut.end(true);
        assert!(cut.take_exit().is_err());
    }
}
