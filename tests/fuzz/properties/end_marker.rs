// Included by the fuzz target and by the unit test that replays its corpus. Expects `EndMarker`,
// `MainStream`, `RemoteExit` and `TransportError` in scope.

/// Checks the properties of any stream of a wrapped command. The first byte is the size of the pieces, the second the
/// end of the stream. 0xfa is replaced by the token, which cannot be guessed, and 0xfb by a denial that looks like
/// output.
fn check(bytes: &[u8]) {
    let [cut, end, bytes @ ..] = bytes else {
        return;
    };
    let (size, reset) = (usize::from(cut % 20) + 1, end % 2 == 1);
    let marker = EndMarker::from_bytes(*b"aabaabaabaabc");
    let mut stream = Vec::new();
    for &byte in bytes {
        match byte {
            0xfa => stream.extend_from_slice(marker.needle()),
            0xfb => stream.extend_from_slice(b"Authentication failure\n"),
            byte => stream.push(byte),
        }
    }
    let (output, statuses) = split(&stream, marker.needle());

    let mut decoder = marker.decoder();
    let mut decoded = Vec::new();
    for piece in stream.chunks(size) {
        decoder.feed(piece, &mut decoded);
    }
    assert_eq!(decoder.has_found(), !statuses.is_empty());
    let (held, exit) = decoder.finish();
    assert!(held.len() < marker.needle().len() + 4, "at most the start of a marker is held back");
    decoded.extend(held);
    assert_eq!(decoded, output, "only markers are removed");
    let expected = match statuses[..] {
        [status] => Some(status),
        _ => None,
    };
    assert_eq!(exit, expected, "the status counts only if there is exactly one marker");

    let mut main = MainStream::new(Some(marker.decoder()));
    let mut shown = Vec::new();
    for piece in stream.chunks(size) {
        shown.extend(main.feed(piece));
    }
    shown.extend(main.end(reset));
    match (main.take_exit(), expected) {
        (Ok(exit), expected) => {
            assert_eq!(Some(exit), expected);
            assert_eq!(shown, output);
        }
        (Err(TransportError::Denied { .. }), None) => {
            assert!(shown.is_empty());
            assert_eq!(output, b"Authentication failure\n");
        }
        (Err(TransportError::Reset { .. }), None) => {
            assert!(reset);
            assert_eq!(shown, output);
        }
        (Err(TransportError::NoEndMarker { .. }), None) => {
            assert!(!reset);
            assert_eq!(shown, output);
        }
        (found, expected) => panic!("{found:?} instead of {expected:?}"),
    }
}

/// Returns the output of a whole stream, and the statuses of its markers. Searches at every position.
fn split(stream: &[u8], needle: &[u8]) -> (Vec<u8>, Vec<RemoteExit>) {
    let (mut output, mut statuses) = (Vec::new(), Vec::new());
    let mut at = 0;
    while at < stream.len() {
        let rest = &stream[at..];
        let Some(tail) = rest.strip_prefix(needle) else {
            output.push(rest[0]);
            at += 1;
            continue;
        };
        let digits = tail.iter().take_while(|byte| byte.is_ascii_digit()).count();
        if (1..=3).contains(&digits) && tail.get(digits) == Some(&b'\n') {
            let text = std::str::from_utf8(&tail[..digits]).expect("digits are text");
            let number: u16 = text.parse().expect("three digits are a number");
            statuses.push(match u8::try_from(number) {
                Ok(code) => RemoteExit::Code(code),
                Err(_) => RemoteExit::Signaled((number & 0xff) as u8),
            });
            at += needle.len() + digits + 1;
        } else {
            output.extend_from_slice(needle);
            at += needle.len();
        }
    }
    (output, statuses)
}
