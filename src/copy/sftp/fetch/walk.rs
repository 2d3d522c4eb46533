//! The list of what a target has, over SFTP: wildcards are expanded here, from the names that the server lists.

use std::collections::VecDeque;

use super::super::wire::{FileKind, SftpAttributes, SftpRequest, SftpStatus, code, kind};
use crate::copy::fetch::pattern::{FetchPattern, NamePart};
use crate::copy::fetch::remote::{ListFault, RemoteList};

/// Maximum number of directories that are open at a target.
const MAX_OPEN: usize = 8;

/// Maximum number of names that a target may list, those that no pattern wants included.
const MAX_NAMES: usize = 1_000_000;

/// A path that is to be looked at.
#[derive(Clone, Debug)]
struct PathToWalk {
    /// Path below the root directory or the home directory; empty for itself.
    path: Vec<u8>,
    pattern: usize,
    /// Number of parts of the pattern that the path has; `None` below what the pattern names.
    depth: Option<usize>,
}

/// The purpose of a request of the walk.
#[derive(Debug)]
pub(super) enum WalkRequest {
    /// Attributes of a path that a pattern names.
    Stat(PathOfWalk),
    Open(PathOfWalk),
    Read(Box<OpenDirectory>),
    Close,
}

/// A path in progress.
#[derive(Debug)]
pub(super) struct PathOfWalk(PathToWalk);

/// A directory that is being read.
#[derive(Debug)]
pub(super) struct OpenDirectory {
    path: PathToWalk,
    handle: Box<[u8]>,
}

/// The walk through the directories of a target.
#[derive(Debug, Default)]
pub(super) struct Walk {
    paths: VecDeque<PathToWalk>,
    /// Directories that are read, or to be closed.
    open: VecDeque<(WalkRequest, SftpRequest)>,
    /// Number of open directories.
    in_progress: usize,
    /// Number of requests without a reply.
    waiting: usize,
    /// Number of names for each pattern.
    found: Vec<usize>,
    seen: usize,
    keep_links: bool,
}

impl Walk {
    pub(super) fn new(patterns: usize, keep_links: bool) -> Walk {
        let paths = (0..patterns).map(|pattern| PathToWalk {
            path: Vec::new(),
            pattern,
            depth: Some(0),
        });
        Walk {
            paths: paths.collect(),
            found: vec![0; patterns],
            keep_links,
            ..Walk::default()
        }
    }

    /// True if everything is listed.
    pub(super) fn is_done(&self) -> bool {
        self.paths.is_empty() && self.open.is_empty() && self.waiting == 0
    }

    /// Returns a pattern that nothing matched.
    pub(super) fn missing(&self) -> Option<usize> {
        self.found.iter().position(|found| *found == 0)
    }

    /// Returns the next request.
    pub(super) fn next(&mut self, patterns: &[FetchPattern]) -> Option<(WalkRequest, SftpRequest)> {
        if let Some(next) = self.open.pop_front() {
            self.waiting += 1;
            return Some(next);
        }
        if self.in_progress >= MAX_OPEN {
            return None;
        }
        let mut path = self.paths.pop_front()?;
        let pattern = &patterns[path.pattern];
        self.waiting += 1;
        // Parts without wildcards need no request of their own.
        while let Some(depth) = path.depth
            && let Some(NamePart::Name(name)) = pattern.parts.get(depth)
        {
            push_part(&mut path.path, name);
            path.depth = Some(depth + 1);
        }
        let far = far_path(&path.path, pattern.is_absolute);
        if path.depth == Some(pattern.parts.len()) {
            // A link that is named is followed, as through a shell.
            let kind = if self.keep_links {
                kind::LSTAT
            } else {
                kind::STAT
            };
            let request = SftpRequest::new(kind).string(&far);
            return Some((WalkRequest::Stat(PathOfWalk(path)), request));
        }
        self.in_progress += 1;
        let request = SftpRequest::new(kind::OPENDIR).string(&far);
        Some((WalkRequest::Open(PathOfWalk(path)), request))
    }

    /// Takes the attributes of a path that a pattern names.
    pub(super) fn on_stat(
        &mut self,
        PathOfWalk(path): PathOfWalk,
        reply: Result<SftpAttributes, &SftpStatus>,
        patterns: &[FetchPattern],
        list: &mut RemoteList,
    ) -> Result<(), ListFault> {
        self.waiting -= 1;
        match reply {
            Ok(attributes) => {
                self.found[path.pattern] += 1;
                self.add(path.path, path.pattern, &attributes, patterns, list)
            }
            Err(status) if status.code == code::PERMISSION_DENIED => {
                Err(ListFault::Unreadable(path.path))
            }
            // Another name may match; if none does, the pattern is missing.
            Err(_) => Ok(()),
        }
    }

    /// Takes the handle of a directory.
    pub(super) fn on_open(
        &mut self,
        PathOfWalk(path): PathOfWalk,
        reply: Result<Box<[u8]>, &SftpStatus>,
    ) -> Result<(), ListFault> {
        self.waiting -= 1;
        match reply {
            Ok(handle) => {
                self.read(Box::new(OpenDirectory { path, handle }));
                Ok(())
            }
            Err(status) => {
                self.in_progress -= 1;
                // A wildcard in the middle of a path matches files as well, and they are not meant.
                let may_be_no_directory = path.depth.is_some();
                if may_be_no_directory && status.code != code::PERMISSION_DENIED {
                    return Ok(());
                }
                Err(ListFault::Unreadable(path.path))
            }
        }
    }

    fn read(&mut self, directory: Box<OpenDirectory>) {
        let request = SftpRequest::new(kind::READDIR).string(&directory.handle);
        self.open.push_back((WalkRequest::Read(directory), request));
    }

    /// Takes names of a directory; `None` is its end.
    pub(super) fn on_names(
        &mut self,
        directory: Box<OpenDirectory>,
        names: Option<Vec<(Vec<u8>, SftpAttributes)>>,
        patterns: &[FetchPattern],
        list: &mut RemoteList,
    ) -> Result<(), ListFault> {
        self.waiting -= 1;
        let Some(names) = names else {
            let request = SftpRequest::new(kind::CLOSE).string(&directory.handle);
            self.open.push_back((WalkRequest::Close, request));
            return Ok(());
        };
        self.seen += names.len();
        if self.seen > MAX_NAMES {
            return Err(ListFault::TooMany);
        }
        let path = &directory.path;
        let pattern = &patterns[path.pattern];
        for (name, attributes) in names {
            // Servers list both, as readdir(3) does.
            if matches!(&*name, b"." | b"..") {
                continue;
            }
            let mut full = path.path.clone();
            push_part(&mut full, &name);
            match path.depth {
                None => self.add(full, path.pattern, &attributes, patterns, list)?,
                Some(depth) => {
                    // A name with a slash would be a path of several parts.
                    let is_named = !name.contains(&b'/')
                        && pattern.parts.get(depth).is_some_and(|part| part.is(&name));
                    if is_named {
                        self.paths.push_back(PathToWalk {
                            path: full,
                            pattern: path.pattern,
                            depth: Some(depth + 1),
                        });
                    }
                }
            }
        }
        self.read(directory);
        Ok(())
    }

    pub(super) fn on_close(&mut self) {
        self.waiting -= 1;
        self.in_progress -= 1;
    }

    /// Adds a name to the list, and a directory to those that are to be read.
    fn add(
        &mut self,
        path: Vec<u8>,
        pattern: usize,
        attributes: &SftpAttributes,
        patterns: &[FetchPattern],
        list: &mut RemoteList,
    ) -> Result<(), ListFault> {
        let class = match attributes.kind() {
            Some(FileKind::Regular) => b'f',
            Some(FileKind::Directory) => b'd',
            Some(FileKind::Link) => b'l',
            Some(FileKind::Other) | None => b'o',
        };
        // The list may have the name from another pattern, or leave it out.
        let before = list.entries.len();
        list.insert(class, &path, &patterns[pattern], self.keep_links)?;
        if list.entries.len() == before {
            return Ok(());
        }
        if let Some(entry) = list.entries.last_mut() {
            entry.size = attributes.size.unwrap_or(0);
            entry.attributes = super::attributes_of(attributes);
        }
        if class == b'd' {
            self.paths.push_back(PathToWalk {
                path,
                pattern,
                depth: None,
            });
        }
        Ok(())
    }
}

fn push_part(path: &mut Vec<u8>, part: &[u8]) {
    if !path.is_empty() {
        path.push(b'/');
    }
    path.extend_from_slice(part);
}

/// Returns a path as the server reads it. A relative one is below the directory in which the server starts.
pub(super) fn far_path(path: &[u8], is_absolute: bool) -> Vec<u8> {
    match (is_absolute, path) {
        (true, path) => [b"/", path].concat(),
        (false, b"") => b".".to_vec(),
        (false, path) => [b"./", path].concat(),
    }
}
