//! The data types of RFC 4251, without I/O. Keys, certificates, signatures and the messages of an ssh agent consist
//! of them.

/// Reads fields from the front of a buffer. A length beyond the end of the buffer gives `None`, never a panic.
///
/// ```
/// use ssh_files::WireReader;
///
/// let mut reader = WireReader::new(b"\0\0\0\x07ssh-rsa\0\0\0\x01");
/// assert_eq!(reader.text(), Some("ssh-rsa"));
/// assert_eq!(reader.u32(), Some(1));
/// assert!(reader.at_end());
/// assert_eq!(reader.byte(), None);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct WireReader<'a> {
    rest: &'a [u8],
}

impl<'a> WireReader<'a> {
    /// Starts at the first byte of a buffer.
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> WireReader<'a> {
        WireReader { rest: bytes }
    }

    /// The bytes that have not been read yet.
    #[must_use]
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// True if all bytes have been read.
    #[must_use]
    pub fn at_end(&self) -> bool {
        self.rest.is_empty()
    }

    /// Reads a `byte`.
    pub fn byte(&mut self) -> Option<u8> {
        self.take(1).map(|bytes| bytes[0])
    }

    /// Reads a `uint32`.
    pub fn u32(&mut self) -> Option<u32> {
        let (bytes, rest) = self.rest.split_first_chunk()?;
        self.rest = rest;
        Some(u32::from_be_bytes(*bytes))
    }

    /// Reads a `uint64`.
    pub fn u64(&mut self) -> Option<u64> {
        let (bytes, rest) = self.rest.split_first_chunk()?;
        self.rest = rest;
        Some(u64::from_be_bytes(*bytes))
    }

    /// Reads a `string`: a length, then as many bytes. An `mpint` has the same form.
    pub fn string(&mut self) -> Option<&'a [u8]> {
        let length = usize::try_from(self.u32()?).ok()?;
        self.take(length)
    }

    /// Reads a [`string`](Self::string) that must be UTF-8.
    pub fn text(&mut self) -> Option<&'a str> {
        std::str::from_utf8(self.string()?).ok()
    }

    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        // The sender chooses the length, so it can be larger than the rest.
        let (taken, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest;
        Some(taken)
    }
}

/// Appends a `string`.
///
/// # Panics
/// If `bytes` is 4 GiB long or longer, which the format cannot express.
pub fn put_string(to: &mut Vec<u8>, bytes: &[u8]) {
    let length = u32::try_from(bytes.len()).expect("a string is shorter than 4 GiB");
    to.extend_from_slice(&length.to_be_bytes());
    to.extend_from_slice(bytes);
}

/// Appends an `mpint` in its shortest form: a positive number, given as big-endian bytes.
pub(crate) fn put_number(to: &mut Vec<u8>, bytes: &[u8]) {
    // RFC 4251, section 5: an mpint has no unnecessary zero bytes.
    let zeros = bytes.iter().take_while(|&&byte| byte == 0).count();
    let digits = &bytes[zeros..];
    match digits.first() {
        // The top bit of an mpint is its sign.
        Some(top) if top & 0x80 != 0 => {
            let mut longer = Vec::with_capacity(digits.len() + 1);
            longer.push(0);
            longer.extend_from_slice(digits);
            put_string(to, &longer);
        }
        _ => put_string(to, digits),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_beyond_the_buffer_is_an_end() {
        assert_eq!(WireReader::new(&[0xff, 0xff, 0xff, 0xff, 1]).string(), None);
        assert_eq!(WireReader::new(&[0, 0, 0]).u32(), None);
        assert_eq!(WireReader::new(&[0; 7]).u64(), None);
        assert_eq!(WireReader::new(&[]).byte(), None);
        let mut reader = WireReader::new(&[0, 0, 0, 1, b'a', 7]);
        assert_eq!(reader.text(), Some("a"));
        assert_eq!(reader.byte(), Some(7));
        assert!(reader.at_end());
    }

    #[test]
    fn numbers_are_positive_and_short() {
        let number = |bytes: &[u8]| {
            let mut to = Vec::new();
            put_number(&mut to, bytes);
            to
        };
        assert_eq!(number(&[0, 0, 1]), [0, 0, 0, 1, 1]);
        assert_eq!(number(&[0x80]), [0, 0, 0, 2, 0, 0x80]);
        assert_eq!(number(&[0]), [0, 0, 0, 0]);
    }
}
