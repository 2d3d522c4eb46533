// Included by the fuzz target and by the unit test that replays its corpus. Expects `replay` in scope.

/// Checks the properties of any replies of a server. The first byte is the size of the pieces; the rest are steps.
fn check(bytes: &[u8]) {
    let Some((&cut, steps)) = bytes.split_first() else {
        return;
    };
    let (stream, replies) = stream(steps);
    let whole = replay(std::iter::once(&*stream));
    let pieces = replay(stream.chunks(usize::from(cut) + 1));
    assert_eq!(whole.result, pieces.result);
    // After a protocol error, what is not sent yet is dropped.
    assert!(pieces.sent.starts_with(&whole.sent));
    // The first packet, and at most 64 requests without a reply.
    assert!(pieces.packets <= 1 + 64 + replies, "{}", pieces.packets);
    let result = &whole.result;
    assert!(!(result.done && result.error.is_some()));
    assert!(result.error.as_ref().is_none_or(|error| error.len() < 4_000));
}

/// Makes the replies of a server out of steps of two bytes: a kind, and a value. Returns them and their number.
fn stream(steps: &[u8]) -> (Vec<u8>, usize) {
    let string = |text: &[u8]| [&(text.len() as u32).to_be_bytes()[..], text].concat();
    let mut stream = Vec::new();
    let (mut replies, mut id) = (0, 0_u32);
    for step in steps.chunks_exact(2) {
        let (kind, value) = (step[0], step[1]);
        let number = u32::from(value).to_be_bytes();
        let (kind, body) = match kind {
            b'v' => {
                let mut body = 3_u32.to_be_bytes().to_vec();
                for (bit, name) in ["posix-rename", "hardlink", "fsync"].iter().enumerate() {
                    if value >> bit & 1 == 1 {
                        body.extend(string(format!("{name}@openssh.com").as_bytes()));
                        body.extend(string(b"1"));
                    }
                }
                stream.extend((body.len() as u32 + 1).to_be_bytes());
                stream.push(2);
                stream.extend(body);
                continue;
            }
            b's' => (101, [&number[..], &string(b"text"), &string(b"")].concat()),
            b'h' => (102, string(&vec![b'h'; usize::from(value)])),
            b'd' => (103, string(&vec![b'x'; usize::from(value)])),
            b'n' => {
                // One name, a line for people, and attributes without a field.
                let name = string(&vec![b'a'; usize::from(value)]);
                let body = [&1_u32.to_be_bytes()[..], &name, &string(b"-"), &[0; 4]].concat();
                (104, body)
            }
            b'a' => {
                // The kind of the file in three bits, and its length in the others.
                let mode = u32::from(value & 7) << 13 | 0o600;
                let mut body = 5_u32.to_be_bytes().to_vec();
                body.extend(u64::from(value >> 3).to_be_bytes());
                body.extend(mode.to_be_bytes());
                (105, body)
            }
            b'i' => {
                id = id.wrapping_add(u32::from(value)).wrapping_sub(128);
                continue;
            }
            _ => {
                stream.extend([kind, value]);
                continue;
            }
        };
        stream.extend((body.len() as u32 + 5).to_be_bytes());
        stream.push(kind);
        stream.extend(id.to_be_bytes());
        stream.extend(body);
        id = id.wrapping_add(1);
        replies += 1;
    }
    (stream, replies)
}
