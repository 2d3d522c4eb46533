//! The content of one file on its way to a target, or back from it: a state machine of several requests.

use std::collections::{BTreeMap, VecDeque};

use openssl::sha::Sha256;

use super::super::snapshot::Segment;
use super::TaskOutcome;
use super::wire::{Reply, SftpAttributes, SftpRequest, SftpViolation, code, kind, open};

/// Number of bytes of a request for data. All servers take packets of 32,768 bytes with their fields.
const CHUNK: u64 = 30_000;

/// A file of the snapshot that is written, or compared.
#[derive(Debug)]
pub(super) struct FileTransfer {
    path: Vec<u8>,
    length: u64,
    sha256: [u8; 32],
    /// Content and attributes to write; `None` if the file is only compared.
    source: Option<FileSource>,
    handle: Box<[u8]>,
    stage: TransferStage,
    /// Number of requests without a reply.
    waiting: usize,
    outcome: TaskOutcome,
}

/// The content and the attributes of a file that is written.
#[derive(Clone, Debug)]
pub(super) struct FileSource {
    pub(super) content: Segment,
    pub(super) owner: Option<(u32, u32)>,
    pub(super) permissions: u32,
    pub(super) times: (u32, u32),
    /// True if the server can write a file to its disk at once.
    pub(super) can_sync: bool,
}

#[derive(Debug)]
enum TransferStage {
    Open,
    /// Position of the next write.
    Write(u64),
    Sync,
    Read(Box<ReadBack>),
    Owner,
    Attributes,
    Close,
    /// Nothing more is sent.
    Closed,
}

/// The purpose of a request of a transfer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FileRequest {
    Open,
    Write,
    Sync,
    Read { at: u64, length: u64 },
    Owner,
    Attributes,
    Close,
}

/// The bytes of a file that are read back.
struct ReadBack {
    read: OrderedRead,
    hash: Sha256,
}

impl std::fmt::Debug for ReadBack {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.read.fmt(f)
    }
}

impl ReadBack {
    fn new() -> ReadBack {
        ReadBack {
            read: OrderedRead::default(),
            hash: Sha256::new(),
        }
    }
}

/// The bytes of a file in their order. Replies may come in any order.
#[derive(Debug, Default)]
pub(super) struct OrderedRead {
    /// Parts that are to be requested.
    missing: VecDeque<(u64, u64)>,
    /// Position up to which everything is requested.
    asked: u64,
    /// Position up to which everything is taken.
    pub(super) taken: u64,
    /// Parts after that position.
    early: BTreeMap<u64, Vec<u8>>,
}

impl OrderedRead {
    /// Returns the next part to request, of a file of this length.
    pub(super) fn next(&mut self, length: u64) -> Option<(u64, u64)> {
        if let Some(part) = self.missing.pop_front() {
            return Some(part);
        }
        let part = (self.asked, CHUNK.min(length - self.asked));
        self.asked += part.1;
        (part.1 > 0).then_some(part)
    }

    /// Takes the reply to a request. Gives the bytes that follow those before to `sink`.
    pub(super) fn take(
        &mut self,
        at: u64,
        wanted: u64,
        data: Vec<u8>,
        mut sink: impl FnMut(&[u8]),
    ) -> Result<(), SftpViolation> {
        let length = data.len() as u64;
        if length == 0 || length > wanted {
            return Err(SftpViolation("another number of bytes than was asked for"));
        }
        if length < wanted {
            // A server may return less; that does not mean the end of the file (section 6.4).
            self.missing.push_back((at + length, wanted - length));
        }
        self.early.insert(at, data);
        while let Some(data) = self.early.remove(&self.taken) {
            sink(&data);
            self.taken += data.len() as u64;
        }
        Ok(())
    }
}

impl FileTransfer {
    /// Returns the comparison of a file at the target with one of the snapshot.
    pub(super) fn compare(path: Vec<u8>, length: u64, sha256: [u8; 32]) -> FileTransfer {
        FileTransfer {
            path,
            length,
            sha256,
            source: None,
            handle: Box::default(),
            stage: TransferStage::Open,
            waiting: 0,
            outcome: TaskOutcome::Done,
        }
    }

    /// Returns the transfer of a file to a path at which nothing is.
    pub(super) fn send(
        path: Vec<u8>,
        length: u64,
        sha256: [u8; 32],
        source: FileSource,
    ) -> FileTransfer {
        FileTransfer {
            source: Some(source),
            ..FileTransfer::compare(path, length, sha256)
        }
    }

    /// Ends the transfer as soon as its requests have their replies and its handle is closed.
    pub(super) fn abort(&mut self) {
        self.stop(TaskOutcome::Done);
    }

    fn stop(&mut self, outcome: TaskOutcome) {
        if matches!(self.stage, TransferStage::Close | TransferStage::Closed) {
            return;
        }
        self.outcome = outcome;
        self.stage = if self.handle.is_empty() {
            TransferStage::Closed
        } else {
            TransferStage::Close
        };
    }

    /// Returns the outcome, if nothing more is to come.
    pub(super) fn outcome(&self) -> Option<TaskOutcome> {
        let is_done = matches!(self.stage, TransferStage::Closed) && self.waiting == 0;
        is_done.then(|| self.outcome.clone())
    }

    /// Returns the next request, and the bytes of the file that follow it.
    pub(super) fn next(&mut self) -> Option<(FileRequest, SftpRequest, Option<Segment>)> {
        let on_handle = |kind: u8| SftpRequest::new(kind).string(&self.handle);
        let (purpose, request, data) = match &mut self.stage {
            TransferStage::Write(at) if *at < self.length => {
                let source = self.source.as_ref()?;
                let part = part_of(&source.content, *at, CHUNK.min(self.length - *at));
                let request = on_handle(kind::WRITE).long(*at);
                *at += part.length();
                (FileRequest::Write, request, Some(part))
            }
            TransferStage::Read(back) => {
                let (at, length) = back.read.next(self.length)?;
                let most = u32::try_from(length).unwrap_or(u32::MAX);
                let request = SftpRequest::new(kind::READ).string(&self.handle);
                let request = request.long(at).number(most);
                (FileRequest::Read { at, length }, request, None)
            }
            // All others wait for the requests before them.
            _ if self.waiting > 0 => return None,
            TransferStage::Open => {
                let (flags, attributes) = match &self.source {
                    None => (open::READ, SftpAttributes::default()),
                    Some(_) => (
                        open::READ | open::WRITE | open::CREATE | open::EXCLUSIVE,
                        SftpAttributes {
                            permissions: Some(0o600),
                            ..SftpAttributes::default()
                        },
                    ),
                };
                let request = SftpRequest::new(kind::OPEN)
                    .string(&self.path)
                    .number(flags);
                (FileRequest::Open, request.attributes(&attributes), None)
            }
            TransferStage::Sync => {
                let request = SftpRequest::extended("fsync@openssh.com").string(&self.handle);
                (FileRequest::Sync, request, None)
            }
            TransferStage::Owner => {
                let attributes = SftpAttributes {
                    owner: self.source.as_ref()?.owner,
                    ..SftpAttributes::default()
                };
                let request = on_handle(kind::FSETSTAT).attributes(&attributes);
                (FileRequest::Owner, request, None)
            }
            TransferStage::Attributes => {
                let source = self.source.as_ref()?;
                let attributes = SftpAttributes {
                    permissions: Some(source.permissions),
                    times: Some(source.times),
                    ..SftpAttributes::default()
                };
                let request = on_handle(kind::FSETSTAT).attributes(&attributes);
                (FileRequest::Attributes, request, None)
            }
            TransferStage::Close => {
                self.stage = TransferStage::Closed;
                let request = SftpRequest::new(kind::CLOSE).string(&self.handle);
                (FileRequest::Close, request, None)
            }
            TransferStage::Write(_) | TransferStage::Closed => return None,
        };
        self.waiting += 1;
        Some((purpose, request, data))
    }

    /// Takes the reply to a request.
    pub(super) fn on_reply(
        &mut self,
        purpose: FileRequest,
        reply: Reply,
    ) -> Result<(), SftpViolation> {
        self.waiting -= 1;
        match (purpose, reply) {
            (FileRequest::Open, Reply::Handle(handle)) => {
                if handle.is_empty() {
                    return Err(SftpViolation("a handle without a byte"));
                }
                self.handle = handle;
                match self.stage {
                    TransferStage::Open if self.source.is_some() => {
                        self.stage = TransferStage::Write(0)
                    }
                    TransferStage::Open => {
                        self.stage = TransferStage::Read(Box::new(ReadBack::new()))
                    }
                    // The transfer was stopped meanwhile.
                    _ => self.stage = TransferStage::Close,
                }
            }
            (FileRequest::Read { at, length }, Reply::Data(data)) => {
                if let TransferStage::Read(back) = &mut self.stage {
                    let ReadBack { read, hash } = &mut **back;
                    read.take(at, length, data, |bytes| hash.update(bytes))?;
                }
            }
            (FileRequest::Read { .. }, Reply::Status(status)) if status.code == code::EOF => {
                self.stop(TaskOutcome::Differs);
            }
            (
                FileRequest::Write
                | FileRequest::Sync
                | FileRequest::Owner
                | FileRequest::Attributes,
                Reply::Status(status),
            ) if status.is_ok() => {}
            // Some errors of writing are known only when the file is closed.
            (FileRequest::Close, Reply::Status(status)) => {
                if !status.is_ok() && self.source.is_some() && self.outcome == TaskOutcome::Done {
                    self.outcome = TaskOutcome::Failed(status);
                }
            }
            (_, Reply::Status(status)) => self.stop(TaskOutcome::Failed(status)),
            _ => return Err(SftpViolation("a reply that does not fit its request")),
        }
        self.go_on();
        Ok(())
    }

    /// Begins the next stage if this one is over.
    fn go_on(&mut self) {
        if self.waiting > 0 {
            return;
        }
        match &self.stage {
            TransferStage::Write(at) if *at == self.length => {
                let can_sync = self.source.as_ref().is_some_and(|source| source.can_sync);
                self.stage = if can_sync {
                    TransferStage::Sync
                } else {
                    TransferStage::Read(Box::new(ReadBack::new()))
                };
            }
            TransferStage::Sync => self.stage = TransferStage::Read(Box::new(ReadBack::new())),
            TransferStage::Owner => self.stage = TransferStage::Attributes,
            TransferStage::Attributes => self.stage = TransferStage::Close,
            _ => {}
        }
        if let TransferStage::Read(back) = &self.stage
            && back.read.taken == self.length
        {
            let is_same = back.hash.clone().finish() == self.sha256;
            match &self.source {
                _ if !is_same => self.stop(TaskOutcome::Differs),
                None => self.stop(TaskOutcome::Done),
                Some(FileSource { owner: Some(_), .. }) => self.stage = TransferStage::Owner,
                Some(_) => self.stage = TransferStage::Attributes,
            }
        }
    }
}

fn part_of(content: &Segment, from: u64, length: u64) -> Segment {
    match content {
        Segment::File { file, at, .. } => Segment::File {
            file: file.clone(),
            at: at + from,
            length,
        },
        Segment::Bytes(bytes) => {
            let from = from as usize;
            Segment::Bytes(bytes[from..from + length as usize].into())
        }
    }
}
