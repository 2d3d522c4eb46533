//! `--copy`: one snapshot of files, the dialogue with a shell at each target that installs it, and its result.
//!
//! The far side is a short shell script (`far.sh` and `copy.sh`), so nothing has to be installed there. mrsh sends it at the
//! head of the command's standard input, and then blocks of code that call its functions; each block gets a reply. So the far
//! side decides nothing, and mrsh sends nothing before the reply to the block before. That is why a `head` or `tar` that
//! reads more than it needs takes nothing from the next block.
//!
//! The files arrive in a temporary directory beside the destination. There they are checked, and then renamed into
//! place. Nothing of the destination changes before everything has arrived.

mod archive;
mod blocks;
mod checks;
mod commit;
mod diff;
mod differences;
pub mod fetch;
mod host;
mod queue;
mod rcp;
mod result;
mod sftp;
mod shell;
mod snapshot;
mod snapshot_error;
mod snapshots;
mod source_reader;
mod swap;
#[cfg(test)]
pub mod testing;

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::io;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, mpsc};

use fetch::{FetchShared, FetchSpec, HostFetch, Writer};
use host::HostCopy;
use rcp::RcpCopy;
pub use result::CopyResult;
#[cfg(fuzzing)]
pub use sftp::fuzzed::replay;
use sftp::{SftpCopy, SftpFetch};
use shell::Next;
pub use snapshot::{EntryKind, Segment};
pub use snapshot_error::SnapshotError;
use snapshots::EntryCounts;
pub use snapshots::{Snapshots, SourcePaths};
pub use source_reader::SourceRules;

use crate::event::{Chunk, CopyProgress};
use crate::targets::{TargetId, TargetVariables};

/// The parts of the script of the far side.
const FAR: &str = include_str!("far.sh");
const FAR_COPY: &str = include_str!("copy.sh");

/// The snapshots with their destination and the options of the copy.
#[derive(Debug)]
pub struct CopySpec {
    /// The snapshots.
    pub snapshots: Snapshots,
    /// The directory at the targets to which the names of a snapshot are relative. Not empty.
    pub directory: Vec<u8>,
    /// Directories that may be made.
    pub parents: MissingDirectories,
    /// Owner and group, for `chown`.
    pub owner: Option<String>,
    /// Command that runs at each target after its copy; empty if there is none.
    pub command: Vec<u8>,
    /// Variables of the command at each target, if there are any.
    pub variables: Option<TargetVariables>,
    /// Handling of the command's standard error.
    pub stderr: CommandStderr,
    /// True if the command runs only where something changed.
    pub only_changed: bool,
    /// True if the targets are only compared.
    pub check: bool,
    /// True if the destination directory is replaced as a whole.
    pub swap: bool,
    /// True if the differences of files are printed. Only with `check`.
    pub diff: bool,
    /// The way in which targets take files.
    pub protocol: CopyProtocol,
}

/// The way in which targets take files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CopyProtocol {
    /// The script in a shell, or SFTP where there is none.
    Shell,
    /// `rcp -t`.
    Rcp,
    /// `scp -t`, which speaks the protocol of rcp.
    Scp,
    /// Another command that speaks the protocol of rcp. It decides if the destination is a directory.
    Sink(RcpSink),
}

/// A command that takes files by the protocol of rcp.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RcpSink {
    /// The command, which a shell interprets.
    pub command: Vec<u8>,
    /// True if it gets the times of files.
    pub preserve: bool,
}

/// Handling of the standard error of the command after a copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommandStderr {
    /// A stream of its own.
    Separate,
    /// The stream of standard output.
    Merged,
    /// Discarded.
    Dropped,
}

/// Directories that may be made if they are missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MissingDirectories {
    /// None: the destination directory must exist.
    None,
    /// The destination directory itself.
    Last,
    /// All of its parents as well.
    All,
}

impl CopySpec {
    /// Returns what is copied and where to, in words.
    #[must_use]
    pub fn summary(&self) -> String {
        let (common, own) = self.snapshots.counts();
        let words = |counts: EntryCounts| {
            let EntryCounts {
                files,
                bytes,
                others,
            } = counts;
            format!("{files} files of {bytes} bytes, {others} directories and links")
        };
        let none = EntryCounts::default();
        let text = match (common == none, own == none) {
            (_, true) => words(common),
            (true, false) => format!("{} for single targets", words(own)),
            (false, false) => format!(
                "{} for all targets; {} for single targets",
                words(common),
                words(own)
            ),
        };
        format!("{text}, to {}", String::from_utf8_lossy(&self.directory))
    }

    /// Returns the user and the group of `--owner`; each is empty if it is not named. The group is `:` if it is the login
    /// group of the user.
    fn owner_words(&self) -> (&str, &str) {
        let owner = self.owner.as_deref().unwrap_or_default();
        match owner.split_once(':') {
            None => (owner, ""),
            Some((user, "")) => (user, ":"),
            Some((user, group)) => (user, group),
        }
    }

    /// Returns the path at a target of a staging directory.
    fn staged_path(&self, name: &[u8]) -> Vec<u8> {
        if !self.swap {
            return self.path_of(name);
        }
        let directory = &*self.directory;
        let length = directory.iter().rposition(|&byte| byte != b'/');
        let directory = &directory[..length.map_or(0, |last| last + 1)];
        let (parent, _) = blocks::split(directory);
        [parent, b"/", name].concat()
    }

    /// Returns the path at a target of a name of the snapshot.
    fn path_of(&self, name: &[u8]) -> Vec<u8> {
        let mut path = self.directory.clone();
        if !path.ends_with(b"/") {
            path.push(b'/');
        }
        path.extend_from_slice(name);
        path
    }
}

/// Data that all dialogues of `--copy` share.
#[derive(Debug)]
struct CopyShared {
    spec: CopySpec,
    /// Random text of the run.
    nonce: String,
    /// Bytes that are sent to all targets.
    progress: CopyProgress,
    /// The script with its values.
    script: Arc<[u8]>,
}

/// The direction of the files, and what its dialogues share.
#[derive(Clone, Debug)]
enum Job {
    Copy(Arc<CopyShared>),
    Fetch(Arc<FetchShared>, Arc<Writer>),
}

/// The copies of a run: one dialogue for each target in progress. Clones share them.
#[derive(Clone, Debug)]
pub struct Copies {
    job: Job,
    dialogues: Dialogues,
    /// Notified when a dialogue begins.
    begun: Arc<Notify>,
    /// Targets that offer SFTP and no shell.
    sftp_targets: Arc<Mutex<HashSet<TargetId>>>,
    /// The targets whose copy was cut off.
    cut: Arc<Mutex<HashMap<TargetId, CutOff>>>,
}

/// The remains of earlier attempts of a copy at a target, as far as they are known.
#[derive(Debug)]
struct CutOff {
    /// Number of attempts that made a staging directory.
    attempts: u32,
    /// The last one.
    left: String,
}

/// The dialogues with the targets in progress. Clones share them.
#[derive(Clone, Debug, Default)]
struct Dialogues(Arc<Mutex<HashMap<TargetId, Arc<Dialogue>>>>);

/// The dialogue with one target: a state machine without network.
trait HostDialogue: fmt::Debug + Send {
    /// Returns what is to be sent next.
    fn next(&self) -> Next;

    /// Removes the first `n` bytes of what is to be sent.
    fn advance(&mut self, n: u64);

    /// Takes bytes of the target's standard output. Returns output for the user: that of the command, or about the copy.
    fn receive(&mut self, data: &[u8]) -> Vec<u8>;

    /// True if the target must be stopped: it does what no honest one does, or nobody takes what it sends.
    fn is_abandoned(&self) -> bool;

    /// Returns the result so far.
    fn result(&self) -> CopyResult;
}

/// The dialogue with one target, which its input and its output share.
#[derive(Debug)]
pub struct Dialogue {
    host: Mutex<Box<dyn HostDialogue>>,
    /// Notified when there is more to send.
    changed: Notify,
    /// Notified when the target must be stopped.
    abandoned: Notify,
    /// Number of chunks that the writer has taken.
    taken: AtomicU64,
    /// Notified when it has taken one.
    taking: Notify,
}

impl Copies {
    /// Returns the copies of a run to its targets.
    ///
    /// # Errors
    /// The system has no random bytes.
    pub fn to_targets(spec: CopySpec) -> io::Result<Copies> {
        let nonce = crate::random::token()?;
        let mut script = format!("N={nonce}\nD=").into_bytes();
        blocks::push_quoted(&spec.directory, &mut script);
        let (user, group) = spec.owner_words();
        for (name, word) in [("\nX=", user), ("\nY=", group)] {
            script.extend_from_slice(name.as_bytes());
            blocks::push_quoted(word.as_bytes(), &mut script);
        }
        for part in ["\n", FAR, FAR_COPY, "serve\n"] {
            script.extend_from_slice(part.as_bytes());
        }
        Ok(Copies {
            job: Job::Copy(Arc::new(CopyShared {
                spec,
                nonce,
                progress: CopyProgress::default(),
                script: script.into(),
            })),
            dialogues: Dialogues::default(),
            begun: Arc::default(),
            cut: Arc::default(),
            sftp_targets: Arc::default(),
        })
    }

    /// Returns the copies of a run from its targets, and starts the thread that writes the files.
    ///
    /// # Errors
    /// The system has no random bytes, or the thread cannot be started.
    pub fn from_targets(spec: FetchSpec) -> io::Result<Copies> {
        let dialogues = Dialogues::default();
        let shared = Arc::new(FetchShared::new(spec, crate::random::token()?));
        let writer = Arc::new(Writer::start(dialogues.clone())?);
        Ok(Copies {
            job: Job::Fetch(shared, writer),
            dialogues,
            begun: Arc::default(),
            cut: Arc::default(),
            sftp_targets: Arc::default(),
        })
    }

    /// Returns the queue for the output of targets. `reports` is the one to the reports, which gets what is no reply.
    #[must_use]
    pub fn connect(&self, reports: &mpsc::Sender<Chunk>) -> mpsc::Sender<Chunk> {
        match &self.job {
            Job::Copy(_) => None,
            Job::Fetch(_, writer) => writer.connect(reports.clone()),
        }
        .unwrap_or_else(|| reports.clone())
    }

    /// True if [`receive`](Copies::receive) takes the output of targets, and no thread.
    #[must_use]
    pub fn receives(&self) -> bool {
        matches!(self.job, Job::Copy(_))
    }

    /// Waits until all files are written. Nobody may have the queue any more.
    pub fn join(&self) {
        if let Job::Fetch(_, writer) = &self.job {
            writer.join();
        }
    }

    /// Returns the shell command that starts the script: it reads the script from its standard input. It is below the
    /// 1,023 bytes that rsh-redone accepts.
    #[must_use]
    pub fn command(&self) -> String {
        let length = match &self.job {
            Job::Copy(shared) => shared.script.len(),
            Job::Fetch(shared, _) => shared.script.len(),
        };
        format!("eval \"$(head -c {length} 2>/dev/null||dd bs=1 count={length} 2>/dev/null)\"")
    }

    /// Returns the counters of the bytes that are sent or fetched.
    #[must_use]
    pub fn progress(&self) -> CopyProgress {
        match &self.job {
            Job::Copy(shared) => shared.progress.clone(),
            Job::Fetch(shared, _) => shared.progress.clone(),
        }
    }

    /// Returns the command that takes the files at every target, if it is not the script.
    #[must_use]
    pub fn protocol_command(&self) -> Option<Vec<u8>> {
        let Job::Copy(shared) = &self.job else {
            return None;
        };
        let spec = &shared.spec;
        let program = match &spec.protocol {
            CopyProtocol::Shell => return None,
            CopyProtocol::Rcp => "rcp",
            CopyProtocol::Scp => "scp",
            CopyProtocol::Sink(sink) => return Some(sink.command.clone()),
        };
        Some(rcp::command(program, spec))
    }

    /// Records that a target has no shell, so that the next dialogue with it goes through the subsystem `sftp`. Returns
    /// false if that was known, or if the run has no other way.
    pub fn use_sftp(&self, target: TargetId) -> bool {
        let has_other = match &self.job {
            Job::Copy(shared) => shared.spec.protocol != CopyProtocol::Shell,
            Job::Fetch(..) => false,
        };
        !has_other && lock(&self.sftp_targets).insert(target)
    }

    /// Returns the subsystem of ssh that takes the place of the command at a target, if one does.
    #[must_use]
    pub fn subsystem(&self, target: TargetId) -> Option<&'static str> {
        lock(&self.sftp_targets).contains(&target).then_some("sftp")
    }

    /// Begins the dialogue with a target whose command has started. A new attempt begins a new one.
    #[must_use]
    pub fn begin(&self, target: TargetId) -> Arc<Dialogue> {
        let host: Box<dyn HostDialogue> = match &self.job {
            Job::Copy(shared) if shared.spec.protocol != CopyProtocol::Shell => {
                Box::new(RcpCopy::new(shared, target))
            }
            Job::Copy(shared) if self.subsystem(target).is_some() => {
                Box::new(SftpCopy::new(Arc::clone(shared), target))
            }
            Job::Copy(shared) => {
                let cut = self.lock_cut().get(&target).map_or(0, |cut| cut.attempts);
                Box::new(HostCopy::new(Arc::clone(shared), target, cut))
            }
            Job::Fetch(shared, _) if self.subsystem(target).is_some() => {
                Box::new(SftpFetch::new(Arc::clone(shared), target))
            }
            Job::Fetch(shared, _) => Box::new(HostFetch::new(Arc::clone(shared), target)),
        };
        let is_abandoned = host.is_abandoned();
        let dialogue = Arc::new(Dialogue::new(host));
        if is_abandoned {
            dialogue.abandoned.notify_one();
        }
        self.dialogues.lock().insert(target, Arc::clone(&dialogue));
        self.begun.notify_waiters();
        dialogue
    }

    /// Takes bytes of a target's standard output. Returns output for the user: that of the command, or about the copy.
    #[must_use]
    pub fn receive(&self, target: TargetId, data: &[u8]) -> Vec<u8> {
        match self.dialogues.get(target) {
            Some(dialogue) => dialogue.receive(data),
            None => Vec::new(),
        }
    }

    /// Returns when the target must be stopped; never, if it is honest. Cancel safe.
    pub async fn abandoned(&self, target: TargetId) {
        loop {
            let mut begun = pin!(self.begun.notified());
            begun.as_mut().enable();
            match self.dialogues.get(target) {
                Some(dialogue) => return dialogue.abandoned.notified().await,
                None => begun.await,
            }
        }
    }

    /// Ends the dialogue with a target and returns its result; `None` if it never began. `sent` is the number of chunks of
    /// its output.
    pub async fn end(&self, target: TargetId, sent: u64) -> Option<CopyResult> {
        let dialogue = self.dialogues.get(target)?;
        if !self.receives() {
            while dialogue.taken.load(Ordering::Acquire) < sent {
                // A notification between the two lines is kept.
                dialogue.taking.notified().await;
            }
        }
        self.dialogues.lock().remove(&target);
        let mut result = dialogue.lock().result();
        if !result.done {
            let mut cut = self.lock_cut();
            match (&result.left, cut.get_mut(&target)) {
                (Some(left), known) => {
                    let attempts = known.map_or(0, |cut| cut.attempts) + 1;
                    let left = left.clone();
                    cut.insert(target, CutOff { attempts, left });
                }
                // The attempt ended before it could remove what an earlier one left.
                (None, Some(earlier)) => result.left = Some(earlier.left.clone()),
                (None, None) => {}
            }
        }
        Some(result)
    }

    /// Returns what earlier attempts may have left at a target, to be appended to an error.
    #[must_use]
    pub fn remains(&self, target: TargetId) -> String {
        let cut = self.lock_cut();
        cut.get(&target)
            .map_or(String::new(), |cut| result::left_text(&cut.left))
    }

    fn lock_cut(&self) -> MutexGuard<'_, HashMap<TargetId, CutOff>> {
        self.cut.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Dialogues {
    fn lock(&self) -> MutexGuard<'_, HashMap<TargetId, Arc<Dialogue>>> {
        lock(&self.0)
    }

    fn get(&self, target: TargetId) -> Option<Arc<Dialogue>> {
        self.lock().get(&target).map(Arc::clone)
    }

    fn clear(&self) {
        self.lock().clear();
    }
}

/// Locks a map or a set. A panic cannot leave it half changed, so a poisoned lock is usable.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Dialogue {
    fn new(host: Box<dyn HostDialogue>) -> Dialogue {
        Dialogue {
            host: Mutex::new(host),
            changed: Notify::new(),
            abandoned: Notify::new(),
            taken: AtomicU64::new(0),
            taking: Notify::new(),
        }
    }

    /// Waits for something to send; `None` is the end. Returns the same until [`advance`](Dialogue::advance). Cancel
    /// safe.
    pub async fn next(&self) -> Option<Segment> {
        loop {
            let mut changed = pin!(self.changed.notified());
            changed.as_mut().enable();
            let next = self.lock().next();
            match next {
                Next::Segment(segment) => return Some(segment),
                Next::End => return None,
                Next::Wait => changed.await,
            }
        }
    }

    /// Removes the first `n` bytes of what is to be sent.
    pub fn advance(&self, n: u64) {
        self.lock().advance(n);
    }

    /// Takes bytes of the target's standard output. Returns those that are output of its command.
    fn receive(&self, data: &[u8]) -> Vec<u8> {
        let mut host = self.lock();
        let output = host.receive(data);
        let is_abandoned = host.is_abandoned();
        drop(host);
        self.changed.notify_one();
        if is_abandoned {
            self.abandoned.notify_one();
        }
        output
    }

    /// Counts a chunk that the writer has taken.
    fn count(&self) {
        self.taken.fetch_add(1, Ordering::Release);
        self.taking.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, Box<dyn HostDialogue>> {
        self.host.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
