//! The dialogue of `--fetch` with one target: list, attributes, checksums of what is here already, data, and the
//! checksums of what arrived. It runs on the thread that writes the files.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use super::FetchShared;
use super::incoming::Incoming;
use super::local::{HostDirectory, LocalError, display};
use super::remote::{ListFault, RemoteEntry, RemoteKind, RemoteList, parse_about, unescape};
use crate::copy::HostDialogue;
use crate::copy::blocks::{self, Checksum};
use crate::copy::result::{CopyResult, message};
use crate::copy::shell::{FarPrograms, Hello, Next, ShellChannel, TooLong};
use crate::copy::snapshot::LARGE;
use crate::event::TargetProgress;
use crate::targets::TargetId;

/// The function of the far side that computes checksums.
pub(in crate::copy) const SUMS: &str = "fetched";

/// The reply that is awaited.
#[derive(Debug)]
pub(in crate::copy) enum FetchStep {
    Hello,
    /// The list of the pattern before this index.
    List(usize),
    /// Attributes for batches of entries. The number counts the entries of the first batch whose attributes are known.
    About(VecDeque<Vec<usize>>, usize),
    /// Contents of batches of links, with the number of links of the first batch whose contents are known.
    Links(VecDeque<Vec<usize>>, usize),
    /// Checksums of batches of files that may be here already.
    Sums(VecDeque<Vec<usize>>, Vec<Vec<u8>>),
    /// Data of the first of these batches.
    Data(VecDeque<Vec<usize>>, Box<Incoming>),
    /// Checksums of the first of these batches, which has arrived.
    Arrived(VecDeque<Vec<usize>>, Vec<Vec<u8>>),
    /// Checksums of the first bytes of files that have changed meanwhile.
    Prefixes(VecDeque<usize>),
    /// Nothing more is expected.
    Ended,
}

/// The dialogue with one target.
#[derive(Debug)]
pub(in crate::copy) struct HostFetch {
    pub(in crate::copy) shared: Arc<FetchShared>,
    target: TargetId,
    pub(in crate::copy) shell: ShellChannel,
    pub(in crate::copy) step: FetchStep,
    pub(in crate::copy) programs: FarPrograms,
    pub(in crate::copy) list: RemoteList,
    pub(in crate::copy) directory: HostDirectory,
    /// Files whose checksum is to be compared with that of their first bytes.
    pub(in crate::copy) changed_meanwhile: Vec<usize>,
    /// Number of bytes of content that have arrived.
    pub(in crate::copy) received: u64,
    is_abandoned: bool,
    pub(in crate::copy) result: CopyResult,
    pub(in crate::copy) progress: TargetProgress,
}

impl HostFetch {
    pub(in crate::copy) fn new(shared: Arc<FetchShared>, target: TargetId) -> HostFetch {
        let label = &shared.spec.directories[target.index()];
        let staging = format!(".mrsh-{}-{}", shared.nonce, target.0);
        // A target whose directory cannot be opened fails when its dialogue begins, as one of many.
        let directory = HostDirectory::open(shared.spec.destination.clone(), label, staging);
        let (directory, error) = match directory {
            Ok(directory) => (directory, None),
            Err(error) => (HostDirectory::default(), Some(error)),
        };
        let mut host = HostFetch {
            step: FetchStep::Hello,
            programs: FarPrograms {
                checksum: Checksum::Cksum,
                has_times: false,
                has_tar: false,
                compares_owner: false,
            },
            shell: ShellChannel::new(&shared.script),
            list: RemoteList::default(),
            directory,
            changed_meanwhile: Vec::new(),
            received: 0,
            is_abandoned: false,
            result: CopyResult::default(),
            progress: shared.progress.begin(),
            shared,
            target,
        };
        if let Some(error) = error {
            host.fail_here(&error);
        }
        host
    }

    pub(in crate::copy) fn fail(&mut self, text: String) {
        self.result.error.get_or_insert(text);
        self.step = FetchStep::Ended;
        // The far side waits for the end of its input.
        self.shell.end();
        self.directory.clean();
    }

    /// Fails because of something that an honest target never sends, or that it must stop sending.
    pub(in crate::copy) fn abandon(&mut self, text: String) {
        self.fail(text);
        self.is_abandoned = true;
    }

    pub(in crate::copy) fn fail_protocol(&mut self, what: &str) {
        self.abandon(format!("the host's shell answered with {what}"));
    }

    pub(in crate::copy) fn fail_unexpected(&mut self, line: &[u8]) {
        let text = format!("an unexpected line: {}", message(line));
        self.fail_protocol(&text);
    }

    /// Fails because of a file or directory on this machine.
    pub(in crate::copy) fn fail_here(&mut self, error: &LocalError) {
        let directory = &self.shared.spec.directories[self.target.index()];
        let mut path = self.shared.spec.path.join(directory);
        if !error.name.is_empty() {
            path.push(display(&error.name));
        }
        let LocalError { doing, cause, .. } = error;
        self.result.common = Some(format!("cannot {doing} a fetched file here: {cause}"));
        self.abandon(format!("cannot {doing} {}: {cause}", path.display()));
    }

    /// Returns a name as it is over there.
    pub(in crate::copy) fn far_name(&self, name: &[u8], is_absolute: bool) -> String {
        let slash = if is_absolute { "/" } else { "" };
        format!("{slash}{}", message(name))
    }

    pub(in crate::copy) fn far_name_of(&self, entry: usize) -> String {
        let entry = &self.list.entries[entry];
        self.far_name(&entry.name, entry.is_absolute)
    }

    fn on_line(&mut self, line: &[u8]) {
        // The script has ended by itself, so there is nothing to stop.
        if let [b'E', b' ', text @ ..] = line
            && !matches!(self.step, FetchStep::Hello)
        {
            return self.fail(message(text));
        }
        match std::mem::replace(&mut self.step, FetchStep::Ended) {
            FetchStep::Hello => self.on_hello(line),
            FetchStep::List(patterns) => self.on_list(line, patterns),
            FetchStep::About(batches, known) => self.on_about(line, batches, known),
            FetchStep::Links(batches, known) => self.on_link(line, batches, known),
            FetchStep::Sums(batches, sums) => self.on_sums(line, batches, sums),
            FetchStep::Arrived(parts, sums) => self.on_arrived(line, parts, sums),
            FetchStep::Prefixes(files) => self.on_prefix(line, files),
            // Data is no line, and after an error more may follow.
            FetchStep::Data(..) | FetchStep::Ended => {}
        }
    }

    fn on_hello(&mut self, line: &[u8]) {
        match self.shell.hello(line, &self.shared.nonce) {
            Hello::Programs(programs) => {
                self.programs = programs;
                self.result.copied.checksum = programs.checksum.program();
                self.result.answered = true;
                let mut block = Vec::new();
                for pattern in &self.shared.spec.patterns {
                    push_cd(pattern.is_absolute, &mut block);
                    block.extend_from_slice(b"asked");
                    pattern.push_word(&mut block);
                    block.push(b'\n');
                }
                self.shell.send_block(block);
                self.step = FetchStep::List(0);
            }
            Hello::Noise => self.step = FetchStep::Hello,
            Hello::TooMuchNoise => self.abandon("no POSIX shell answered".to_owned()),
            Hello::Unexpected => self.fail_unexpected(line),
        }
    }

    fn on_list(&mut self, line: &[u8], patterns: usize) {
        let shared = Arc::clone(&self.shared);
        let spec = &shared.spec;
        match line {
            b"p" if patterns < spec.patterns.len() => self.step = FetchStep::List(patterns + 1),
            b"." if patterns == spec.patterns.len() => match self.list.end() {
                Ok(()) => self.after_list(),
                Err(fault) => self.fail_list(&fault, false),
            },
            _ => {
                // The list of a pattern comes after its `p`, so a name before the first `p` belongs to none.
                let Some(pattern) = patterns.checked_sub(1).map(|last| &spec.patterns[last]) else {
                    return self.fail_unexpected(line);
                };
                self.step = FetchStep::List(patterns);
                if let Err(fault) = self.list.add(line, pattern, spec.links) {
                    if fault == ListFault::Line {
                        return self.fail_unexpected(line);
                    }
                    self.fail_list(&fault, pattern.is_absolute);
                }
            }
        }
    }

    pub(in crate::copy) fn fail_list(&mut self, fault: &ListFault, is_absolute: bool) {
        match fault {
            ListFault::Missing(name) => {
                let name = self.far_name(name, is_absolute);
                self.fail(format!("{name}: no such file or directory"));
            }
            ListFault::Unreadable(name) => {
                let name = self.far_name(name, is_absolute);
                self.fail(format!("{name}: permission denied"));
            }
            ListFault::Loop(name) => {
                let name = self.far_name(name, is_absolute);
                self.fail(format!(
                    "{name}: leads back to a directory that contains it; fetch without --dereference"
                ));
            }
            ListFault::Name(name) => {
                let text = format!("a name that was not asked for: {}", message(name));
                self.fail_protocol(&text);
            }
            ListFault::TooMany => self.abandon(format!(
                "too many files: more than {} names; fetch an archive instead",
                super::remote::MAX_ENTRIES
            )),
            ListFault::Line => self.fail_protocol("a line that is no name"),
        }
    }

    fn after_list(&mut self) {
        if let Some(refusal) = self.check_kinds() {
            return self.fail(refusal);
        }
        // `about` follows links, so it would describe what the links lead to.
        let entries = self.entries(|entry| !matches!(entry.kind, RemoteKind::Link(_)));
        let batches = self.ask("about", &entries);
        if batches.is_empty() {
            return self.ask_links();
        }
        self.step = FetchStep::About(batches, 0);
    }

    /// Returns a text about what is not fetched.
    fn note(&self) -> Option<String> {
        let link = if self.shared.spec.dereference {
            ("symbolic link to nothing", "")
        } else {
            ("symbolic link", "; --links fetches links")
        };
        let kinds = [
            (&self.list.links, link.0, link.1),
            (&self.list.special, "device, socket or fifo", ""),
        ];
        let texts: Vec<String> = kinds
            .into_iter()
            .filter_map(|(names, kind, help)| {
                let first = message(names.first()?);
                Some(match names.len() {
                    1 => format!("not fetched: {first} ({kind}){help}\n"),
                    n => format!("not fetched: {first} ({kind}) and {} more{help}\n", n - 1),
                })
            })
            .collect();
        (!texts.is_empty()).then(|| texts.concat())
    }

    pub(in crate::copy) fn entries(&self, is_wanted: impl Fn(&RemoteEntry) -> bool) -> Vec<usize> {
        let entries = &self.list.entries;
        (0..entries.len())
            .filter(|&index| is_wanted(&entries[index]))
            .collect()
    }

    /// Sends calls of a function with the names of these entries. Returns its batches.
    pub(in crate::copy) fn ask(&mut self, call: &str, entries: &[usize]) -> VecDeque<Vec<usize>> {
        let batches = self.batches(entries);
        let mut block = Vec::new();
        for batch in &batches {
            self.push_call(call, batch, &mut block);
        }
        if !batches.is_empty() {
            self.shell.send_block(block);
        }
        batches
    }

    /// Returns the entries in parts that fit into one call each, and that are below one directory.
    pub(in crate::copy) fn batches(&self, entries: &[usize]) -> VecDeque<Vec<usize>> {
        let all = &self.list.entries;
        // The shell changes its directory between the two, and names stay relative. tar would say something about each
        // absolute name.
        let (root, home): (Vec<usize>, Vec<usize>) =
            entries.iter().partition(|&&index| all[index].is_absolute);
        let mut batches = VecDeque::new();
        for group in [root, home] {
            let (large, others): (Vec<usize>, Vec<usize>) =
                group.iter().partition(|&&index| all[index].size >= LARGE);
            batches.extend(blocks::batches_of(&others, |index| all[index].name.len()));
            batches.extend(large.into_iter().map(|file| vec![file]));
        }
        batches
    }

    pub(in crate::copy) fn push_call(&self, call: &str, batch: &[usize], block: &mut Vec<u8>) {
        let first = &self.list.entries[batch[0]];
        push_cd(first.is_absolute, block);
        // A large file is alone in its batch.
        if call == SUMS && first.size >= LARGE {
            block.extend_from_slice(b"large ");
        }
        block.extend_from_slice(call.as_bytes());
        for &index in batch {
            blocks::push_name(&self.list.entries[index].name, block);
        }
        block.push(b'\n');
    }

    fn on_about(&mut self, line: &[u8], mut batches: VecDeque<Vec<usize>>, known: usize) {
        let Some(batch) = batches.front() else {
            return match line {
                b"." => self.after_about(),
                _ => self.fail_unexpected(line),
            };
        };
        let about = line.strip_prefix(b"a ").and_then(parse_about);
        let Some(about) = about else {
            // A file that has gone has no line.
            return match line {
                b"." => self.fail("files went away while they were listed; try again".to_owned()),
                _ => self.fail_unexpected(line),
            };
        };
        let entry = &mut self.list.entries[batch[known]];
        entry.attributes = about.attributes;
        if entry.kind == RemoteKind::File {
            entry.size = about.size;
            if let Some(mode) = self.shared.spec.mode {
                entry.attributes.mode = mode;
            }
            self.link(batch[known], about.inode);
        }
        let known = known + 1;
        let is_complete = known == batch.len();
        if is_complete {
            batches.pop_front();
        }
        self.step = FetchStep::About(batches, if is_complete { 0 } else { known });
    }

    /// Makes an entry a further name of the first one with the same inode.
    fn link(&mut self, index: usize, inode: Option<Box<[u8]>>) {
        let Some(inode) = inode else {
            return;
        };
        // A file is sent once, whatever number of names it has, and the others become links to it here.
        let first = *self.list.inodes.entry(inode).or_insert(index);
        if first != index {
            self.list.entries[index].kind = RemoteKind::HardLink(first);
        }
    }

    fn after_about(&mut self) {
        self.list.inodes = HashMap::new();
        match self.check_size() {
            Some(refusal) => self.fail(refusal),
            None => self.ask_links(),
        }
    }

    /// Returns an error if there is nothing that can be fetched. Notes what is left out.
    pub(in crate::copy) fn check_kinds(&mut self) -> Option<String> {
        if let (true, Some(name)) = (self.list.entries.is_empty(), self.list.special.first()) {
            return Some(format!("{}: is a device, socket or fifo", message(name)));
        }
        self.result.note = self.note();
        None
    }

    /// Returns an error if the files are too large.
    pub(in crate::copy) fn check_size(&self) -> Option<String> {
        let files = self.list.entries.iter();
        let total = files
            .filter(|entry| entry.kind == RemoteKind::File)
            .fold(0_u64, |sum, entry| sum.saturating_add(entry.size));
        let most = self.shared.spec.max_size;
        (total > most)
            .then(|| format!("the files have {total} bytes, more than --max-size {most} allows"))
    }

    fn ask_links(&mut self) {
        let links = self.entries(|entry| matches!(entry.kind, RemoteKind::Link(_)));
        let batches = self.ask("contents", &links);
        if batches.is_empty() {
            return self.compare();
        }
        self.step = FetchStep::Links(batches, 0);
    }

    fn on_link(&mut self, line: &[u8], mut batches: VecDeque<Vec<usize>>, known: usize) {
        let content = line.strip_prefix(b"c ").and_then(unescape);
        match (batches.front(), content) {
            (None, None) if line == b"." => self.compare(),
            (Some(batch), Some(content)) if !content.is_empty() && !content.contains(&0) => {
                self.list.entries[batch[known]].kind = RemoteKind::Link(content.into());
                let known = known + 1;
                if known == batch.len() {
                    batches.pop_front();
                    self.step = FetchStep::Links(batches, 0);
                } else {
                    self.step = FetchStep::Links(batches, known);
                }
            }
            _ => self.fail_unexpected(line),
        }
    }

    pub(in crate::copy) fn finish(&mut self) {
        // Before the reply: when the target ends, nothing of this run is left here.
        self.directory.clean();
        self.result.done = true;
        self.shell.send_block(b"exit 0\n".to_vec());
        self.step = FetchStep::Ended;
    }
}

/// Appends a command that changes to the root directory or to the home directory.
pub(in crate::copy) fn push_cd(is_absolute: bool, block: &mut Vec<u8>) {
    block.extend_from_slice(if is_absolute {
        b"cd /\n"
    } else {
        b"cd \"$O\"\n"
    });
}

impl HostDialogue for HostFetch {
    fn next(&self) -> Next {
        self.shell.next()
    }

    fn advance(&mut self, n: u64) {
        self.shell.advance(n);
    }

    fn receive(&mut self, mut data: &[u8]) -> Vec<u8> {
        while !data.is_empty() {
            if matches!(self.step, FetchStep::Data(..)) {
                let FetchStep::Data(parts, incoming) =
                    std::mem::replace(&mut self.step, FetchStep::Ended)
                else {
                    break;
                };
                self.on_data(&mut data, parts, incoming);
                continue;
            }
            match self.shell.take_line(&mut data) {
                Ok(None) => {}
                // After the end nothing is of interest.
                _ if matches!(self.step, FetchStep::Ended) => {}
                Ok(Some(line)) => self.on_line(&line),
                Err(TooLong) if matches!(self.step, FetchStep::Hello) => {
                    if let Hello::TooMuchNoise = self.shell.noise(0) {
                        self.abandon("no POSIX shell answered".to_owned());
                    }
                }
                Err(TooLong) => self.fail_protocol("a line that is too long"),
            }
        }
        Vec::new()
    }

    fn is_abandoned(&self) -> bool {
        self.is_abandoned
    }

    fn result(&self) -> CopyResult {
        match self.step {
            FetchStep::Hello => self.shell.without_answer(self.result.clone()),
            _ => self.result.clone(),
        }
    }
}
