//! The content of one file on its way from a target: a state machine of several requests.

use super::super::file::OrderedRead;
use super::super::wire::{
    Reply, SftpAttributes, SftpRequest, SftpStatus, SftpViolation, code, kind, open,
};

/// The purpose of a request of a download.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DownloadRequest {
    Open,
    Read {
        at: u64,
        length: u64,
    },
    /// The attributes after the last byte.
    Stat,
    Close,
}

/// The end of a download.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum DownloadEnd {
    Done,
    /// The file was changed while it was read.
    Changed,
    Failed(SftpStatus),
}

#[derive(Debug)]
enum DownloadStage {
    Open,
    Read,
    Stat,
    Close,
    Closed,
}

/// The download of one file.
#[derive(Debug)]
pub(super) struct Download {
    path: Vec<u8>,
    /// Length and time before the first byte.
    length: u64,
    mtime: Option<u32>,
    handle: Box<[u8]>,
    stage: DownloadStage,
    read: OrderedRead,
    /// Number of requests without a reply.
    waiting: usize,
    end: DownloadEnd,
}

impl Download {
    pub(super) fn new(path: Vec<u8>, length: u64, mtime: Option<u32>) -> Download {
        Download {
            path,
            length,
            mtime,
            handle: Box::default(),
            stage: DownloadStage::Open,
            read: OrderedRead::default(),
            waiting: 0,
            end: DownloadEnd::Done,
        }
    }

    /// Returns how it ended, if nothing more is to come.
    pub(super) fn end(&self) -> Option<&DownloadEnd> {
        (matches!(self.stage, DownloadStage::Closed) && self.waiting == 0).then_some(&self.end)
    }

    /// Returns the next request.
    pub(super) fn next(&mut self) -> Option<(DownloadRequest, SftpRequest)> {
        let on_handle = |kind: u8| SftpRequest::new(kind).string(&self.handle);
        let next = match self.stage {
            DownloadStage::Read => {
                let (at, length) = self.read.next(self.length)?;
                let most = u32::try_from(length).unwrap_or(u32::MAX);
                let request = on_handle(kind::READ).long(at).number(most);
                (DownloadRequest::Read { at, length }, request)
            }
            // All others wait for the requests before them.
            _ if self.waiting > 0 => return None,
            DownloadStage::Open => {
                let request = SftpRequest::new(kind::OPEN)
                    .string(&self.path)
                    .number(open::READ);
                let request = request.attributes(&SftpAttributes::default());
                (DownloadRequest::Open, request)
            }
            DownloadStage::Stat => (DownloadRequest::Stat, on_handle(kind::FSTAT)),
            DownloadStage::Close => {
                let request = on_handle(kind::CLOSE);
                self.stage = DownloadStage::Closed;
                (DownloadRequest::Close, request)
            }
            DownloadStage::Closed => return None,
        };
        self.waiting += 1;
        Some(next)
    }

    /// Takes the reply to a request. Gives the bytes that follow those before to `sink`.
    pub(super) fn on_reply(
        &mut self,
        purpose: DownloadRequest,
        reply: Reply,
        sink: impl FnMut(&[u8]),
    ) -> Result<(), SftpViolation> {
        self.waiting -= 1;
        match (purpose, reply) {
            (DownloadRequest::Open, Reply::Handle(handle)) if !handle.is_empty() => {
                self.handle = handle;
                self.stage = DownloadStage::Read;
            }
            (DownloadRequest::Read { at, length }, Reply::Data(data)) => {
                self.read.take(at, length, data, sink)?;
            }
            // It has become shorter.
            (DownloadRequest::Read { .. }, Reply::Status(status)) if status.code == code::EOF => {
                self.stop(DownloadEnd::Changed);
            }
            (DownloadRequest::Stat, Reply::Attributes(now)) => {
                // A log that grows keeps its first bytes. A file that only has another time was written to.
                let has_grown = now.size.is_some_and(|size| size > self.length);
                let is_same = now.size == Some(self.length)
                    && now.times.map(|(_, mtime)| mtime) == self.mtime;
                if !has_grown && !is_same {
                    self.end = DownloadEnd::Changed;
                }
                self.stage = DownloadStage::Close;
            }
            // An error of closing says nothing about bytes that were read.
            (DownloadRequest::Close, Reply::Status(_)) => {}
            (_, Reply::Status(status)) if !status.is_ok() => {
                self.stop(DownloadEnd::Failed(status));
            }
            _ => return Err(SftpViolation("a reply that does not fit its request")),
        }
        if matches!(self.stage, DownloadStage::Read)
            && self.waiting == 0
            && self.read.taken == self.length
        {
            self.stage = DownloadStage::Stat;
        }
        Ok(())
    }

    fn stop(&mut self, end: DownloadEnd) {
        if matches!(
            self.stage,
            DownloadStage::Open | DownloadStage::Read | DownloadStage::Stat
        ) {
            self.end = end;
            self.stage = if self.handle.is_empty() {
                DownloadStage::Closed
            } else {
                DownloadStage::Close
            };
        }
    }
}
