// Included by the fuzz target and by the unit test that replays its corpus. Expects `ArchiveEvent`, `ArchiveReader` and
// `listed_names` in scope.

/// Checks what a host may send while files are fetched from it. The first byte chooses an archive or a list, the second
/// the size of the pieces.
fn check(bytes: &[u8]) {
    let [kind, cut, bytes @ ..] = bytes else {
        return;
    };
    if kind % 2 == 0 {
        let whole = read_archive(bytes, bytes.len().max(1));
        let pieces = read_archive(bytes, usize::from(*cut) + 1);
        assert_eq!(whole, pieces, "the pieces make no difference");
    } else {
        for name in listed_names("/var/l*g/[a-c]", bytes) {
            let parts: Vec<&[u8]> = name.split(|&byte| byte == b'/').collect();
            assert!(name.len() <= 4095 && !name.contains(&0));
            assert!(parts.iter().all(|part| !matches!(*part, b"" | b"." | b"..") && part.len() <= 255));
            assert_eq!(parts[0], b"var");
            assert!(parts[1].starts_with(b"l") && parts[1].ends_with(b"g"));
            assert!(matches!(parts[2], b"a" | b"b" | b"c"));
        }
    }
}

/// Name and content of a file.
type NamedFile = (Vec<u8>, Vec<u8>);

/// Returns the files of an archive, and how it ended.
fn read_archive(mut bytes: &[u8], size: usize) -> (Vec<NamedFile>, String) {
    let mut reader = ArchiveReader::default();
    let mut files: Vec<NamedFile> = Vec::new();
    while !bytes.is_empty() {
        let (mut piece, rest) = bytes.split_at(size.min(bytes.len()));
        bytes = rest;
        loop {
            match reader.next(&mut piece) {
                Ok(None) => break,
                Ok(Some(ArchiveEvent::File { name, .. })) => files.push((name, Vec::new())),
                Ok(Some(ArchiveEvent::Content(part))) => {
                    let (_, content) = files.last_mut().expect("a file has begun");
                    content.extend_from_slice(part);
                }
                Ok(Some(ArchiveEvent::FileEnd)) => {}
                Ok(Some(ArchiveEvent::End)) => {
                    return (files, format!("ended with {} left", piece.len() + bytes.len()));
                }
                Err(fault) => return (files, fault.to_string()),
            }
        }
    }
    (files, "not ended".to_owned())
}
