// Included by the fuzz target and by the unit test that replays its corpus. Expects `OutputStart`,
// `RefusalText`, `classify_start` and `request` in scope.

/// Checks the properties of any answer of a daemon. The first byte is the size of the pieces.
fn check(bytes: &[u8]) {
    let Some((&cut, bytes)) = bytes.split_first() else {
        return;
    };
    let size = usize::from(cut % 16) + 1;

    // The text of a refusal is one line of bounded length without control characters, in any pieces.
    let line = |size: usize| {
        let mut text = RefusalText::default();
        for piece in bytes.chunks(size) {
            text.push(piece);
        }
        text.into_line()
    };
    let (whole, cut) = (line(bytes.len().max(1)), line(size));
    assert_eq!(whole, cut, "the result must not depend on the pieces");
    assert!(!whole.is_empty() && whole.len() <= 4 * 1024);
    assert!(!whole.chars().any(char::is_control));

    // Text that is output stays output when more arrives. A denial is known only at the end of its line.
    let mut output = false;
    for length in 0..=bytes.len().min(200) {
        let found = classify_start(&bytes[..length]);
        assert!(!output || found == OutputStart::Output, "after {length} bytes");
        output = found == OutputStart::Output;
        if let OutputStart::Denial(text) = found {
            assert_eq!(&bytes[..length], format!("{text}\n").as_bytes());
        }
    }

    // A request is read as it was built.
    let mut parts = bytes.split(|&byte| byte == 0);
    let mut name = || String::from_utf8_lossy(parts.next().unwrap_or_default()).into_owned();
    let (local, remote) = (name(), name());
    let command = parts.next().unwrap_or_default();
    let port = size as u16 * 60;
    let sent = request(port, &local, &remote, command);
    let fields: Vec<&[u8]> = sent.split(|&byte| byte == 0).collect();
    let port = port.to_string();
    assert_eq!(fields, [port.as_bytes(), local.as_bytes(), remote.as_bytes(), command, b""]);
}
