//! The client's command, and the end marker that the client expects.

/// Returns the command of a request, the fourth string that ends with NUL, if it is complete.
pub(crate) fn command(request: &[u8]) -> Option<&[u8]> {
    request
        .split(|&byte| byte == 0)
        .nth(3)
        .filter(|_| request.iter().filter(|&&byte| byte == 0).count() >= 4)
}

/// Appends the output with which the command reports its exit status: mrsh's wrapper has
/// `printf "TOKEN:%d\n" $?`, pdsh -S appends `;echo XXRETCODE:$?`, and a plain command prints nothing.
pub(crate) fn end_marker(command: &[u8], status: u8, reply: &mut Vec<u8>) {
    const BEFORE: &[u8] = br#"printf ""#;
    if let Some(start) = find(command, BEFORE).map(|at| at + BEFORE.len())
        && let Some(length) = find(&command[start..], b"\"")
    {
        let mut format = command[start..start + length].iter();
        while let Some(&byte) = format.next() {
            match byte {
                b'\\' => reply.extend(format.next().map(|_| b'\n')),
                b'%' => {
                    format.next();
                    reply.extend_from_slice(status.to_string().as_bytes());
                }
                _ => reply.push(byte),
            }
        }
    } else if find(command, b";echo XXRETCODE:$?").is_some() {
        reply.extend_from_slice(format!("XXRETCODE:{status}\n").as_bytes());
    }
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack
        .windows(needle.len())
        .position(|window| window == needle)
}
