//! `--fetch` from targets that have SFTP and no shell: the dialogue with one target. It runs on the thread that writes
//! the files.
//!
//! Such a target calculates no checksums, so every file is read, and what arrived is compared with what is here. A file
//! is accepted if its attributes after the last byte are those before the first, or if it has only grown. SFTP does not
//! tell which names are one file, so hard links arrive as files of their own.

mod download;
mod walk;

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Write};
use std::sync::Arc;

use super::channel::SftpChannel;
use super::wire::{self, Reply, SftpRequest, SftpViolation, code, kind};
use crate::copy::HostDialogue;
use crate::copy::blocks::Checksum;
use crate::copy::fetch::FetchShared;
use crate::copy::fetch::host::HostFetch;
use crate::copy::fetch::local::{LocalError, RunningSum, set_attributes};
use crate::copy::fetch::remote::{FileAttributes, FileTime, LocalState, RemoteKind};
use crate::copy::queue::Next;
use crate::copy::result::{CopyResult, message};
use crate::targets::TargetId;
use download::{Download, DownloadEnd, DownloadRequest};
use walk::{Walk, WalkRequest, far_path};

/// Maximum number of files that are open at a target.
const MAX_OPEN: usize = 8;

/// Word for the way in which files are checked.
const CHECKSUM: &str = "sftp-read";

/// Checksum of the comparisons here.
const SHA256: Checksum = Checksum::Sha256(CHECKSUM);

/// The part of the fetch that is in progress.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SftpFetchStep {
    /// The server's version is awaited.
    Version,
    List,
    /// Contents of links.
    Links,
    Data,
    Ended,
}

/// The purpose of a request.
#[derive(Debug)]
enum FetchPurpose {
    Walk(WalkRequest),
    /// The content of the link at this index.
    Link(usize),
    Download(usize, DownloadRequest),
}

/// A file that arrives.
struct Arriving {
    /// Index of its entry.
    entry: usize,
    download: Download,
    /// Its temporary file; `None` if files are only compared.
    file: Option<File>,
    sum: RunningSum,
    error: Option<io::Error>,
}

impl std::fmt::Debug for Arriving {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Arriving")
            .field("entry", &self.entry)
            .finish_non_exhaustive()
    }
}

/// The dialogue with one target.
#[derive(Debug)]
pub(in crate::copy) struct SftpFetch {
    shared: Arc<FetchShared>,
    /// The list, the directory here and the result, which are the same for a shell and for SFTP.
    host: HostFetch,
    channel: SftpChannel<FetchPurpose>,
    step: SftpFetchStep,
    walk: Walk,
    /// Links whose content, or files whose data is still to be asked for.
    entries: VecDeque<usize>,
    arriving: Vec<Option<Arriving>>,
    /// Number of contents of links that are awaited.
    waiting: usize,
}

/// Returns the attributes that a file gets here.
fn attributes_of(attributes: &wire::SftpAttributes) -> FileAttributes {
    FileAttributes {
        mode: attributes.permissions.unwrap_or(0o600) & 0o1777,
        mtime: attributes.times.map(|(_, mtime)| FileTime {
            seconds: mtime.into(),
            nanoseconds: 0,
        }),
    }
}

impl SftpFetch {
    pub(in crate::copy) fn new(shared: Arc<FetchShared>, target: TargetId) -> SftpFetch {
        SftpFetch {
            host: HostFetch::new(Arc::clone(&shared), target),
            channel: SftpChannel::new(),
            step: SftpFetchStep::Version,
            walk: Walk::new(shared.spec.patterns.len(), shared.spec.links),
            entries: VecDeque::new(),
            arriving: Vec::new(),
            waiting: 0,
            shared,
        }
    }

    /// Ends the dialogue at once.
    fn end(&mut self) {
        self.step = SftpFetchStep::Ended;
        self.channel.end_now();
        self.arriving.clear();
    }

    fn fail(&mut self, text: String) {
        self.host.fail(text);
        self.end();
    }

    fn fail_here(&mut self, error: &LocalError) {
        self.host.fail_here(error);
        self.end();
    }

    fn fail_protocol(&mut self, violation: SftpViolation) {
        let text = format!("the SFTP server answered with {}", violation.0);
        self.host.abandon(text);
        self.end();
    }

    fn on_packet(&mut self, packet: &[u8]) -> Result<(), SftpViolation> {
        if self.step == SftpFetchStep::Version {
            let (version, _) = wire::read_version(packet)?;
            if version != wire::VERSION {
                self.fail(format!(
                    "the server speaks version {version} of SFTP, and mrsh version 3"
                ));
                return Ok(());
            }
            // No program over there is involved; the word says how the files were checked.
            self.host.result.copied.checksum = CHECKSUM;
            self.host.result.answered = true;
            if self.shared.spec.dereference {
                // Each link would need requests of its own, and so would the guard against loops.
                self.fail("--dereference needs a shell, and this host has only SFTP".to_owned());
                return Ok(());
            }
            self.step = SftpFetchStep::List;
            self.fill();
            return Ok(());
        }
        let (purpose, reply) = self.channel.reply(packet)?;
        match purpose {
            FetchPurpose::Walk(request) => self.on_walk(request, reply)?,
            FetchPurpose::Link(entry) => self.on_link(entry, reply)?,
            FetchPurpose::Download(slot, request) => self.on_download(slot, request, reply)?,
        }
        self.fill();
        Ok(())
    }

    fn on_walk(&mut self, request: WalkRequest, reply: Reply) -> Result<(), SftpViolation> {
        let shared = Arc::clone(&self.shared);
        let (patterns, list) = (&shared.spec.patterns, &mut self.host.list);
        let unfit = SftpViolation("a reply that does not fit its request");
        let taken = match (request, &reply) {
            (WalkRequest::Stat(path), Reply::Attributes(found)) => {
                self.walk.on_stat(path, Ok(*found), patterns, list)
            }
            (WalkRequest::Stat(path), Reply::Status(status)) if !status.is_ok() => {
                self.walk.on_stat(path, Err(status), patterns, list)
            }
            (WalkRequest::Open(path), Reply::Handle(handle)) => {
                self.walk.on_open(path, Ok(handle.clone()))
            }
            (WalkRequest::Open(path), Reply::Status(status)) if !status.is_ok() => {
                self.walk.on_open(path, Err(status))
            }
            (WalkRequest::Read(directory), Reply::Names(names)) => {
                self.walk
                    .on_names(directory, Some(names.clone()), patterns, list)
            }
            (WalkRequest::Read(directory), Reply::Status(status)) if status.code == code::EOF => {
                self.walk.on_names(directory, None, patterns, list)
            }
            (WalkRequest::Read(_), Reply::Status(status)) if !status.is_ok() => {
                let words = status.words();
                self.fail(format!("cannot list a directory: {words}"));
                return Ok(());
            }
            (WalkRequest::Close, Reply::Status(_)) => {
                self.walk.on_close();
                Ok(())
            }
            _ => return Err(unfit),
        };
        if let Err(fault) = taken {
            let is_absolute = patterns.first().is_some_and(|pattern| pattern.is_absolute);
            self.host.fail_list(&fault, is_absolute);
            self.end();
        }
        Ok(())
    }

    fn on_link(&mut self, entry: usize, reply: Reply) -> Result<(), SftpViolation> {
        self.waiting -= 1;
        match reply {
            Reply::Names(mut names) => {
                let content = names.swap_remove(0).0;
                if content.is_empty() || content.contains(&0) {
                    return Err(SftpViolation("a link without content"));
                }
                self.host.list.entries[entry].kind = RemoteKind::Link(content.into());
            }
            Reply::Status(status) if !status.is_ok() => {
                let name = self.host.far_name_of(entry);
                self.fail(format!("{name}: {}", status.words()));
            }
            _ => return Err(SftpViolation("a reply that does not fit its request")),
        }
        Ok(())
    }

    /// Sends requests while there are some, and begins the next step after the last reply.
    fn fill(&mut self) {
        while self.step != SftpFetchStep::Ended {
            while self.channel.has_room() {
                let Some((purpose, request)) = self.next_request() else {
                    break;
                };
                self.channel.send(purpose, &request, None);
            }
            let is_over = match self.step {
                SftpFetchStep::List => self.walk.is_done(),
                SftpFetchStep::Links => self.entries.is_empty() && self.waiting == 0,
                SftpFetchStep::Data => {
                    self.entries.is_empty() && self.arriving.iter().all(Option::is_none)
                }
                SftpFetchStep::Version | SftpFetchStep::Ended => false,
            };
            if !is_over {
                return;
            }
            match self.step {
                SftpFetchStep::List => self.after_list(),
                SftpFetchStep::Links => self.compare(),
                SftpFetchStep::Data => self.commit(),
                SftpFetchStep::Version | SftpFetchStep::Ended => return,
            }
        }
    }

    fn next_request(&mut self) -> Option<(FetchPurpose, SftpRequest)> {
        match self.step {
            SftpFetchStep::List => {
                let (request, packet) = self.walk.next(&self.shared.spec.patterns)?;
                Some((FetchPurpose::Walk(request), packet))
            }
            SftpFetchStep::Links => {
                let entry = self.entries.pop_front()?;
                self.waiting += 1;
                let packet = SftpRequest::new(kind::READLINK).string(&self.path(entry));
                Some((FetchPurpose::Link(entry), packet))
            }
            SftpFetchStep::Data => self.next_of_data(),
            SftpFetchStep::Version | SftpFetchStep::Ended => None,
        }
    }

    /// Returns the path of an entry over there.
    fn path(&self, entry: usize) -> Vec<u8> {
        let entry = &self.host.list.entries[entry];
        far_path(&entry.name, entry.is_absolute)
    }

    fn after_list(&mut self) {
        if let Some(missing) = self.walk.missing() {
            let pattern = &self.shared.spec.patterns[missing];
            let name = self.host.far_name(&pattern.text, pattern.is_absolute);
            return self.fail(format!("{name}: no such file or directory"));
        }
        if let Err(fault) = self.host.list.end() {
            self.host.fail_list(&fault, false);
            return self.end();
        }
        if let Some(refusal) = self.host.check_kinds().or_else(|| self.host.check_size()) {
            return self.fail(refusal);
        }
        let links = self
            .host
            .entries(|entry| matches!(entry.kind, RemoteKind::Link(_)));
        self.entries = links.into();
        self.step = SftpFetchStep::Links;
    }

    /// Compares the list with what is here. Files of the same size are read as well.
    fn compare(&mut self) {
        if let Some(mode) = self.shared.spec.mode {
            let entries = self.host.list.entries.iter_mut();
            entries
                .filter(|entry| entry.kind == RemoteKind::File)
                .for_each(|entry| entry.attributes.mode = mode);
        }
        if !self.host.set_states() {
            return self.end();
        }
        let files = self.host.entries(|entry| entry.kind == RemoteKind::File);
        let has_work = self
            .host
            .list
            .entries
            .iter()
            .any(|entry| entry.state != LocalState::Same);
        // With files of unknown content too, since they are written before they are known to be the same.
        if has_work
            && !self.shared.spec.check
            && let Err(error) = self.host.directory.stage()
        {
            return self.fail_here(&error);
        }
        // Such a target computes no checksums, so all files are read.
        let sizes = files.iter().map(|&file| self.host.list.entries[file].size);
        self.host.progress.compared(sizes.sum());
        self.entries = files.into();
        self.step = SftpFetchStep::Data;
    }

    fn next_of_data(&mut self) -> Option<(FetchPurpose, SftpRequest)> {
        let mut free = None;
        for (slot, arriving) in self.arriving.iter_mut().enumerate() {
            let Some(arriving) = arriving else {
                free.get_or_insert(slot);
                continue;
            };
            if let Some((request, packet)) = arriving.download.next() {
                return Some((FetchPurpose::Download(slot, request), packet));
            }
        }
        let slot = match free {
            Some(slot) => slot,
            None if self.arriving.len() < MAX_OPEN => {
                self.arriving.push(None);
                self.arriving.len() - 1
            }
            None => return None,
        };
        let entry = self.entries.pop_front()?;
        let about = &self.host.list.entries[entry];
        let name = Arc::clone(&about.name);
        let mtime = about.attributes.mtime.map(|time| time.seconds as u32);
        let length = about.size;
        let file = if self.shared.spec.check {
            None
        } else {
            match self.host.directory.create(entry, &name) {
                Ok(file) => Some(file),
                Err(error) => {
                    self.fail_here(&error);
                    return None;
                }
            }
        };
        let mut download = Download::new(self.path(entry), length, mtime);
        let (request, packet) = download.next()?;
        self.arriving[slot] = Some(Arriving {
            entry,
            download,
            file,
            sum: RunningSum::new(SHA256),
            error: None,
        });
        Some((FetchPurpose::Download(slot, request), packet))
    }

    fn on_download(
        &mut self,
        slot: usize,
        request: DownloadRequest,
        reply: Reply,
    ) -> Result<(), SftpViolation> {
        let arriving = self.arriving.get_mut(slot).and_then(Option::as_mut);
        let arriving = arriving.ok_or(SftpViolation("a reply without a request"))?;
        let Arriving {
            download,
            file,
            sum,
            error,
            ..
        } = arriving;
        let progress = &mut self.host.progress;
        download.on_reply(request, reply, |bytes| {
            progress.moved(bytes.len() as u64);
            sum.update(bytes);
            if let Some(file) = file
                && error.is_none()
                && let Err(cause) = file.write_all(bytes)
            {
                *error = Some(cause);
            }
        })?;
        let entry = arriving.entry;
        if let Some(cause) = arriving.error.take() {
            let name = self.host.list.entries[entry].name.to_vec();
            self.fail_here(&LocalError {
                doing: "write",
                name,
                cause: cause.to_string(),
            });
            return Ok(());
        }
        match arriving.download.end().cloned() {
            None => {}
            Some(DownloadEnd::Done) => {
                if let Some(arrived) = self.arriving[slot].take() {
                    self.on_arrived(arrived);
                }
            }
            Some(DownloadEnd::Changed) => {
                self.host.fail_changed(entry);
                self.end();
            }
            Some(DownloadEnd::Failed(status)) => {
                let name = self.host.far_name_of(entry);
                self.fail(format!("{name}: {}", status.words()));
            }
        }
        Ok(())
    }

    /// Compares a file that has arrived with the one that is here.
    fn on_arrived(&mut self, arrived: Arriving) {
        let Arriving {
            entry, file, sum, ..
        } = arrived;
        let sum = sum.finish();
        let about = &self.host.list.entries[entry];
        let state = match about.state {
            // The same size was here, so only now it is known if the content is the same.
            LocalState::Unknown => self.host.compare_sum(entry, sum.as_bytes(), SHA256),
            state => Ok(state),
        };
        let set = match &file {
            Some(file) => set_attributes(file, &about.attributes).map_err(|errno| LocalError {
                doing: "set the mode of",
                name: about.name.to_vec(),
                cause: io::Error::from(errno).to_string(),
            }),
            None => Ok(()),
        };
        match (state, set) {
            (Ok(state), Ok(())) => {
                let about = &mut self.host.list.entries[entry];
                about.sum = Some(sum.into());
                about.state = state;
            }
            (Err(error), _) | (_, Err(error)) => self.fail_here(&error),
        }
    }

    fn commit(&mut self) {
        // Files that turned out to be the same stay in the temporary directory, which is removed.
        if self.host.count_changes() {
            self.host.commit();
        } else {
            self.host.finish();
        }
        self.step = SftpFetchStep::Ended;
        self.channel.end();
    }
}

impl HostDialogue for SftpFetch {
    fn next(&self) -> Next {
        self.channel.next()
    }

    fn advance(&mut self, n: u64) {
        self.channel.advance(n);
    }

    fn receive(&mut self, mut data: &[u8]) -> Vec<u8> {
        // After the end nothing is of interest.
        while !data.is_empty() && self.step != SftpFetchStep::Ended {
            match self.channel.take_packet(&mut data) {
                Ok(None) => {}
                Ok(Some(packet)) => {
                    if let Err(violation) = self.on_packet(&packet) {
                        self.fail_protocol(violation);
                    }
                }
                Err(_) if self.step == SftpFetchStep::Version => {
                    let text = [self.channel.incomplete(), data].concat();
                    let line = text.split(|&byte| byte == b'\n').next().unwrap_or_default();
                    let line = message(line);
                    self.fail(format!("the server answered with text: {line}"));
                }
                Err(violation) => self.fail_protocol(violation),
            }
        }
        Vec::new()
    }

    fn is_abandoned(&self) -> bool {
        self.host.is_abandoned()
    }

    fn result(&self) -> CopyResult {
        CopyResult {
            has_no_answer: self.step == SftpFetchStep::Version,
            ..self.host.result.clone()
        }
    }
}
