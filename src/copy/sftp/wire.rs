//! Packets of SFTP version 3 (draft-ietf-secsh-filexfer-02), as bytes and as values. No I/O.

use std::collections::BTreeSet;

use super::super::result::message;

/// Version of the protocol. OpenSSH's server knows no other.
pub(super) const VERSION: u32 = 3;

/// Maximum length of a packet, in bytes. OpenSSH's server and client have the same.
pub(super) const MAX_PACKET: usize = 256 * 1024;

/// Maximum length of a handle, in bytes (section 6.3).
const MAX_HANDLE: usize = 256;

/// Maximum number of extensions of a server. OpenSSH's has about ten.
const MAX_EXTENSIONS: usize = 256;

/// Types of packets (section 3).
pub(super) mod kind {
    pub(in super::super) const INIT: u8 = 1;
    pub(in super::super) const VERSION: u8 = 2;
    pub(in super::super) const OPEN: u8 = 3;
    pub(in super::super) const CLOSE: u8 = 4;
    pub(in super::super) const READ: u8 = 5;
    pub(in super::super) const WRITE: u8 = 6;
    pub(in super::super) const LSTAT: u8 = 7;
    pub(in super::super) const FSTAT: u8 = 8;
    pub(in super::super) const SETSTAT: u8 = 9;
    pub(in super::super) const FSETSTAT: u8 = 10;
    pub(in super::super) const OPENDIR: u8 = 11;
    pub(in super::super) const READDIR: u8 = 12;
    pub(in super::super) const REMOVE: u8 = 13;
    pub(in super::super) const MKDIR: u8 = 14;
    pub(in super::super) const RMDIR: u8 = 15;
    pub(in super::super) const STAT: u8 = 17;
    pub(in super::super) const RENAME: u8 = 18;
    pub(in super::super) const READLINK: u8 = 19;
    pub(in super::super) const SYMLINK: u8 = 20;
    pub(in super::super) const STATUS: u8 = 101;
    pub(in super::super) const HANDLE: u8 = 102;
    pub(in super::super) const DATA: u8 = 103;
    pub(in super::super) const NAME: u8 = 104;
    pub(in super::super) const ATTRS: u8 = 105;
    pub(in super::super) const EXTENDED: u8 = 200;
    pub(in super::super) const EXTENDED_REPLY: u8 = 201;
}

/// Flags of OPEN (section 6.3).
pub(super) mod open {
    pub(in super::super) const READ: u32 = 1;
    pub(in super::super) const WRITE: u32 = 2;
    pub(in super::super) const CREATE: u32 = 8;
    pub(in super::super) const EXCLUSIVE: u32 = 0x20;
}

/// Flags of attributes (section 5).
mod attribute {
    pub(super) const SIZE: u32 = 1;
    pub(super) const OWNER: u32 = 2;
    pub(super) const PERMISSIONS: u32 = 4;
    pub(super) const TIMES: u32 = 8;
    pub(super) const EXTENDED: u32 = 0x8000_0000;
}

/// Codes of STATUS (section 7).
pub(super) mod code {
    pub(in super::super) const OK: u32 = 0;
    pub(in super::super) const EOF: u32 = 1;
    pub(in super::super) const NO_SUCH_FILE: u32 = 2;
    pub(in super::super) const PERMISSION_DENIED: u32 = 3;
    #[cfg(test)]
    pub(in super::super) const FAILURE: u32 = 4;
    pub(in super::super) const BAD_MESSAGE: u32 = 5;
    pub(in super::super) const NO_CONNECTION: u32 = 6;
    pub(in super::super) const CONNECTION_LOST: u32 = 7;
    pub(in super::super) const UNSUPPORTED: u32 = 8;
}

/// A reply that no server sends that keeps to the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SftpViolation(pub(super) &'static str);

const CUT: SftpViolation = SftpViolation("a packet that is too short");

/// Attributes of a file. Absent fields are unknown, or stay as they are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct SftpAttributes {
    pub(super) size: Option<u64>,
    pub(super) owner: Option<(u32, u32)>,
    /// Mode with the kind of the file.
    pub(super) permissions: Option<u32>,
    /// Times of the last access and of the last modification, in seconds.
    pub(super) times: Option<(u32, u32)>,
}

/// The kind of a file at the target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FileKind {
    Directory,
    Regular,
    Link,
    Other,
}

impl SftpAttributes {
    /// Returns the kind of the file; `None` if the server does not tell it.
    pub(super) fn kind(&self) -> Option<FileKind> {
        Some(match self.permissions? & 0o170_000 {
            0o040_000 => FileKind::Directory,
            0o100_000 => FileKind::Regular,
            0o120_000 => FileKind::Link,
            _ => FileKind::Other,
        })
    }
}

/// A request without its number.
#[derive(Clone, Debug)]
pub(super) struct SftpRequest {
    kind: u8,
    body: Vec<u8>,
}

impl SftpRequest {
    pub(super) fn new(kind: u8) -> SftpRequest {
        SftpRequest {
            kind,
            body: Vec::new(),
        }
    }

    /// Returns a request of a vendor's extension.
    pub(super) fn extended(name: &str) -> SftpRequest {
        SftpRequest::new(kind::EXTENDED).string(name.as_bytes())
    }

    pub(super) fn number(mut self, number: u32) -> SftpRequest {
        self.body.extend_from_slice(&number.to_be_bytes());
        self
    }

    pub(super) fn long(mut self, number: u64) -> SftpRequest {
        self.body.extend_from_slice(&number.to_be_bytes());
        self
    }

    pub(super) fn string(mut self, text: &[u8]) -> SftpRequest {
        let length = u32::try_from(text.len()).expect("a path is shorter than 4 GiB");
        self = self.number(length);
        self.body.extend_from_slice(text);
        self
    }

    pub(super) fn attributes(mut self, attributes: &SftpAttributes) -> SftpRequest {
        let SftpAttributes {
            size,
            owner,
            permissions,
            times,
        } = *attributes;
        let flag = |is_set: bool, flag: u32| if is_set { flag } else { 0 };
        self = self.number(
            flag(size.is_some(), attribute::SIZE)
                | flag(owner.is_some(), attribute::OWNER)
                | flag(permissions.is_some(), attribute::PERMISSIONS)
                | flag(times.is_some(), attribute::TIMES),
        );
        if let Some(size) = size {
            self = self.long(size);
        }
        let pairs = [owner, permissions.map(|mode| (mode, 0)), times];
        for (index, pair) in pairs.into_iter().enumerate() {
            if let Some((first, second)) = pair {
                self = self.number(first);
                if index != 1 {
                    self = self.number(second);
                }
            }
        }
        self
    }

    /// Returns the packet. `data` is the number of bytes that follow it as its last string.
    pub(super) fn packet(&self, id: u32, data: Option<u32>) -> Vec<u8> {
        let rest = data.map_or(0, |data| 4 + data as usize);
        let length = u32::try_from(5 + self.body.len() + rest).expect("a packet is short");
        let mut packet = length.to_be_bytes().to_vec();
        packet.push(self.kind);
        packet.extend_from_slice(&id.to_be_bytes());
        packet.extend_from_slice(&self.body);
        if let Some(data) = data {
            packet.extend_from_slice(&data.to_be_bytes());
        }
        packet
    }
}

/// Returns the first packet of a client. It has the version in the place of the number.
pub(super) fn init() -> Vec<u8> {
    SftpRequest::new(kind::INIT).packet(VERSION, None)
}

/// The status of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SftpStatus {
    pub(super) code: u32,
    text: Vec<u8>,
}

impl SftpStatus {
    pub(super) fn is_ok(&self) -> bool {
        self.code == code::OK
    }

    /// Returns the status in words. The server's own text is used only where the code says nothing.
    pub(super) fn words(&self) -> String {
        let known = match self.code {
            code::OK => "an answer that does not fit the request",
            code::EOF => "end of file",
            code::NO_SUCH_FILE => "no such file or directory",
            code::PERMISSION_DENIED => "permission denied",
            code::BAD_MESSAGE => "the server calls the request malformed",
            code::NO_CONNECTION | code::CONNECTION_LOST => "the server has lost its own connection",
            code::UNSUPPORTED => "the server does not support this operation",
            // FAILURE, and codes of later versions.
            _ => {
                return match &*self.text {
                    // OpenSSH's server answers so to every error that SFTP has no code for.
                    b"" | b"Failure" => {
                        "the server gives no cause; the disk may be full".to_owned()
                    }
                    text => format!("the server says: {}", message(text)),
                };
            }
        };
        known.to_owned()
    }
}

/// A reply, without its number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Reply {
    Status(SftpStatus),
    Handle(Box<[u8]>),
    Data(Vec<u8>),
    /// A list of names, which is not empty, with the attributes of each.
    Names(Vec<(Vec<u8>, SftpAttributes)>),
    Attributes(SftpAttributes),
    /// The reply of an extension.
    Extended,
}

/// Reader of the fields of a packet.
struct Fields<'p>(&'p [u8]);

impl<'p> Fields<'p> {
    fn take(&mut self, length: usize) -> Result<&'p [u8], SftpViolation> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(CUT)?;
        self.0 = rest;
        Ok(taken)
    }

    fn byte(&mut self) -> Result<u8, SftpViolation> {
        Ok(self.take(1)?[0])
    }

    fn number(&mut self) -> Result<u32, SftpViolation> {
        let bytes = self.take(4)?;
        Ok(u32::from_be_bytes(bytes.try_into().expect("four bytes")))
    }

    fn long(&mut self) -> Result<u64, SftpViolation> {
        let bytes = self.take(8)?;
        Ok(u64::from_be_bytes(bytes.try_into().expect("eight bytes")))
    }

    fn string(&mut self) -> Result<&'p [u8], SftpViolation> {
        let length = self.number()?;
        self.take(length as usize)
    }

    fn attributes(&mut self) -> Result<SftpAttributes, SftpViolation> {
        let flags = self.number()?;
        let mut attributes = SftpAttributes::default();
        if flags & attribute::SIZE != 0 {
            attributes.size = Some(self.long()?);
        }
        if flags & attribute::OWNER != 0 {
            attributes.owner = Some((self.number()?, self.number()?));
        }
        if flags & attribute::PERMISSIONS != 0 {
            attributes.permissions = Some(self.number()?);
        }
        if flags & attribute::TIMES != 0 {
            attributes.times = Some((self.number()?, self.number()?));
        }
        if flags & attribute::EXTENDED != 0 {
            // Each field takes bytes of the packet, so a large number ends with it.
            for _ in 0..self.number()? {
                self.string()?;
                self.string()?;
            }
        }
        Ok(attributes)
    }
}

/// Reads the first packet of a server. Returns its version and the names of its extensions.
pub(super) fn read_version(packet: &[u8]) -> Result<(u32, BTreeSet<Vec<u8>>), SftpViolation> {
    let mut fields = Fields(packet);
    if fields.byte()? != kind::VERSION {
        return Err(SftpViolation("another packet than its version"));
    }
    let version = fields.number()?;
    let mut extensions = BTreeSet::new();
    while !fields.0.is_empty() {
        let name = fields.string()?;
        fields.string()?;
        extensions.insert(name.to_vec());
        if extensions.len() > MAX_EXTENSIONS {
            return Err(SftpViolation("too many extensions"));
        }
    }
    Ok((version, extensions))
}

/// Reads a reply and its number.
pub(super) fn read_reply(packet: &[u8]) -> Result<(u32, Reply), SftpViolation> {
    let mut fields = Fields(packet);
    let kind = fields.byte()?;
    let id = fields.number()?;
    let reply = match kind {
        kind::STATUS => {
            let code = fields.number()?;
            // Servers of early versions send no text.
            let text = fields.string().unwrap_or_default().to_vec();
            Reply::Status(SftpStatus { code, text })
        }
        kind::HANDLE => match fields.string()? {
            handle if handle.len() > MAX_HANDLE => {
                return Err(SftpViolation("a handle that is too long"));
            }
            handle => Reply::Handle(handle.into()),
        },
        kind::DATA => Reply::Data(fields.string()?.to_vec()),
        kind::NAME => {
            let mut names = Vec::new();
            // Each name takes bytes of the packet, so a large number ends with it.
            for _ in 0..fields.number()? {
                let name = fields.string()?.to_vec();
                // A line for people.
                fields.string()?;
                names.push((name, fields.attributes()?));
            }
            if names.is_empty() {
                return Err(SftpViolation("a list without a name"));
            }
            Reply::Names(names)
        }
        kind::ATTRS => Reply::Attributes(fields.attributes()?),
        kind::EXTENDED_REPLY => Reply::Extended,
        _ => return Err(SftpViolation("a packet of an unknown type")),
    };
    Ok((id, reply))
}
