// Included by the fuzz target and by the unit test that replays its corpus. Expects `Stream` and
// `printed` in scope.

/// Checks the properties of the output of two hosts in any pieces. A piece has a byte for its host and stream, a byte
/// for its length, and its bytes.
fn check(bytes: &[u8]) {
    let Some((&first, mut rest)) = bytes.split_first() else {
        return;
    };
    // With the small limit, most of a long line goes to a file.
    let limit = if first % 4 == 0 { 20 } else { 1 << 20 };
    let mut pieces = Vec::new();
    let mut wrote = [const { Vec::new() }; 4];
    while let [whose, length, more @ ..] = rest {
        let (piece, next) = more.split_at(usize::from(*length).min(more.len()));
        rest = next;
        if piece.is_empty() {
            continue;
        }
        let whose = whose % 4;
        let stream = if whose < 2 { Stream::Stdout } else { Stream::Stderr };
        pieces.push((u32::from(whose % 2), stream, piece));
        wrote[usize::from(whose)].extend_from_slice(piece);
    }
    let shown = printed(limit, &pieces);
    for (i, wrote) in wrote.iter().enumerate() {
        let label = ["a: ", "b: "][i % 2].as_bytes();
        let mut expected = Vec::new();
        for line in wrote.split_inclusive(|&byte| byte == b'\n') {
            expected.extend_from_slice(label);
            expected.extend_from_slice(line.strip_suffix(b"\n").unwrap_or(line));
            expected.push(b'\n');
        }
        let lines = shown[i / 2].split_inclusive(|&byte| byte == b'\n');
        let own: Vec<u8> = lines.filter(|line| line.starts_with(label)).flatten().copied().collect();
        assert_eq!(own, expected, "complete lines, in order, each with the label of its host");
    }
    let all: usize = shown.iter().map(Vec::len).sum();
    let lines: usize = wrote
        .iter()
        .flat_map(|wrote| wrote.split_inclusive(|&byte| byte == b'\n'))
        .map(|line| line.strip_suffix(b"\n").unwrap_or(line).len() + 4)
        .sum();
    assert_eq!(all, lines, "no other text is printed");
}
