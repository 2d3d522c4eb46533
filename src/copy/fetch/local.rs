//! The directory of one target's files. Nothing that the target says leads out of it, and no symbolic link in it is
//! followed.
//!
//! Files arrive in a temporary directory inside it, under numbers. When all have arrived and are checked, each is
//! renamed into its place.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::sync::Arc;

use openssl::sha::Sha256;
use rustix::fs::{
    AtFlags, FileType, Mode, OFlags, ResolveFlags, Stat, Timespec, Timestamps, UTIME_OMIT, fchmod,
    fstat, futimens, linkat, mkdirat, openat, openat2, readlinkat, renameat, symlinkat, unlinkat,
};
use rustix::io::Errno;

use super::remote::FileAttributes;
use crate::copy::blocks::{Checksum, Cksum, split};
use crate::random::hex;

/// Calculation of the checksum that a target prints.
pub(in crate::copy) enum RunningSum {
    Sha256(Sha256),
    Cksum(Cksum),
}

impl RunningSum {
    pub(in crate::copy) fn new(checksum: Checksum) -> RunningSum {
        match checksum {
            Checksum::Sha256(_) => RunningSum::Sha256(Sha256::new()),
            Checksum::Cksum => RunningSum::Cksum(Cksum::default()),
        }
    }

    pub(in crate::copy) fn update(&mut self, bytes: &[u8]) {
        match self {
            RunningSum::Sha256(hash) => hash.update(bytes),
            RunningSum::Cksum(cksum) => cksum.update(bytes),
        }
    }

    pub(in crate::copy) fn finish(self) -> String {
        match self {
            RunningSum::Sha256(hash) => hex(&hash.finish()),
            RunningSum::Cksum(cksum) => cksum.finish(),
        }
    }
}

/// An error of a local file: what was done, the name below the target's directory, and the cause.
#[derive(Debug)]
pub(in crate::copy) struct LocalError {
    pub(in crate::copy) doing: &'static str,
    pub(in crate::copy) name: Vec<u8>,
    pub(in crate::copy) cause: String,
}

fn error(doing: &'static str, name: &[u8]) -> impl FnOnce(Errno) -> LocalError {
    let name = name.to_vec();
    move |errno| LocalError {
        doing,
        name,
        cause: io::Error::from(errno).to_string(),
    }
}

/// The directory of one target, below the destination.
#[derive(Debug, Default)]
pub(in crate::copy) struct HostDirectory {
    /// The destination; `None` if it is missing, which only a comparison allows.
    destination: Option<Arc<OwnedFd>>,
    label: String,
    /// Name of the temporary directory.
    staging_name: String,
    /// The directory; `None` if it is missing.
    root: Option<OwnedFd>,
    staging: Option<OwnedFd>,
    /// Number of names that may be in the temporary directory.
    staged: usize,
    /// The directory that was opened last, and its name.
    parent: Option<(Vec<u8>, OwnedFd)>,
}

const DIRECTORY: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::CLOEXEC);

impl HostDirectory {
    /// Opens the directory, if it exists.
    pub(in crate::copy) fn open(
        destination: Option<Arc<OwnedFd>>,
        label: &str,
        staging_name: String,
    ) -> Result<HostDirectory, LocalError> {
        let root = match &destination {
            Some(destination) => match open_beneath(destination, label.as_bytes(), DIRECTORY) {
                Ok(root) => Some(root),
                // It is made when the first file arrives, so a target that fails before leaves no trace.
                Err(Errno::NOENT) => None,
                Err(errno) => return Err(error("open", b"")(errno)),
            },
            None => None,
        };
        Ok(HostDirectory {
            destination,
            label: label.to_owned(),
            staging_name,
            root,
            staging: None,
            staged: 0,
            parent: None,
        })
    }

    /// Returns what a name is, or `None` if there is nothing.
    pub(in crate::copy) fn stat(&self, name: &[u8]) -> Result<Option<Stat>, LocalError> {
        let Some(root) = &self.root else {
            return Ok(None);
        };
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        match open_beneath(root, name, flags).and_then(fstat) {
            Ok(stat) => Ok(Some(stat)),
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => Err(error("look at", name)(errno)),
        }
    }

    /// Returns the checksum of a file.
    pub(in crate::copy) fn checksum(
        &self,
        name: &[u8],
        checksum: Checksum,
    ) -> Result<String, LocalError> {
        let mut file = self.open_file(name, OFlags::RDONLY)?;
        let mut sum = RunningSum::new(checksum);
        let mut buffer = vec![0; 1 << 17];
        loop {
            match file.read(&mut buffer) {
                Ok(0) => return Ok(sum.finish()),
                Ok(n) => sum.update(&buffer[..n]),
                Err(cause) if cause.kind() == io::ErrorKind::Interrupted => {}
                Err(cause) => {
                    return Err(LocalError {
                        doing: "read",
                        name: name.to_vec(),
                        cause: cause.to_string(),
                    });
                }
            }
        }
    }

    fn open_file(&self, name: &[u8], flags: OFlags) -> Result<File, LocalError> {
        let root = self.root.as_ref().ok_or(Errno::NOENT);
        // A fifo that took the file's place must not block.
        let flags = flags | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        root.and_then(|root| open_beneath(root, name, flags))
            .map(File::from)
            .map_err(error("open", name))
    }

    /// Returns the content of a symbolic link; `None` if the name is no link.
    pub(in crate::copy) fn link_content(&self, name: &[u8]) -> Option<Vec<u8>> {
        let root = self.root.as_ref()?;
        let (directory, last) = split(name);
        let parent = match directory {
            b"" => openat(root, ".", DIRECTORY, Mode::empty()),
            directory => open_beneath(root, directory, DIRECTORY),
        };
        let content = readlinkat(parent.ok()?, last, Vec::new()).ok()?;
        Some(content.into_bytes())
    }

    /// Makes the directory and the temporary one.
    pub(in crate::copy) fn stage(&mut self) -> Result<(), LocalError> {
        let destination = self.destination.as_ref().ok_or(Errno::NOENT);
        let destination = destination.map_err(error("open", b""))?;
        if self.root.is_none() {
            make(destination, self.label.as_bytes(), 0o777).map_err(error("make", b""))?;
            let root = open_beneath(destination, self.label.as_bytes(), DIRECTORY);
            self.root = Some(root.map_err(error("open", b""))?);
        }
        let root = self.root.as_ref().ok_or(Errno::NOENT);
        let staging = root.and_then(|root| {
            // Only the caller may look at files that are not checked yet. Its name is random, so an existing one is an error.
            mkdirat(root, &*self.staging_name, Mode::from_raw_mode(0o700))?;
            open_beneath(root, self.staging_name.as_bytes(), DIRECTORY)
        });
        self.staging = Some(staging.map_err(error("make a directory in", b""))?);
        Ok(())
    }

    fn staging(&self) -> Result<&OwnedFd, Errno> {
        self.staging.as_ref().ok_or(Errno::NOENT)
    }

    /// Creates the temporary file of this number.
    pub(in crate::copy) fn create(
        &mut self,
        number: usize,
        name: &[u8],
    ) -> Result<File, LocalError> {
        self.staged = self.staged.max(number + 1);
        // EXCL: nothing that another process put there is written to.
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mode = Mode::from_raw_mode(0o600);
        self.staging()
            .and_then(|staging| openat(staging, number.to_string(), flags, mode))
            .map(File::from)
            .map_err(error("create", name))
    }

    /// Creates a symbolic link in the temporary directory.
    pub(in crate::copy) fn create_link(
        &mut self,
        number: usize,
        name: &[u8],
        content: &[u8],
    ) -> Result<(), LocalError> {
        self.staged = self.staged.max(number + 1);
        self.staging()
            .and_then(|staging| symlinkat(content, staging, number.to_string()))
            .map_err(error("create", name))
    }

    /// Creates a further name of a file that is in its place already.
    pub(in crate::copy) fn create_hard_link(
        &mut self,
        number: usize,
        name: &[u8],
        first: &[u8],
    ) -> Result<(), LocalError> {
        self.staged = self.staged.max(number + 1);
        let (directory, last) = split(first);
        let directory = self.directory(directory)?.try_clone();
        let linked = directory.map_err(|_| Errno::MFILE).and_then(|directory| {
            let staging = self.staging()?;
            linkat(
                directory,
                last,
                staging,
                number.to_string(),
                AtFlags::empty(),
            )
        });
        linked.map_err(error("link", name))
    }

    /// Makes a directory and its parents.
    pub(in crate::copy) fn make_directory(&mut self, name: &[u8]) -> Result<(), LocalError> {
        self.directory(name).map(drop)
    }

    /// Opens a directory of the target, and makes it and its parents if they are missing.
    fn directory(&mut self, name: &[u8]) -> Result<&OwnedFd, LocalError> {
        // Entries come in the order of their directories, so one open directory serves most of them.
        let is_open = self.parent.as_ref().is_some_and(|(open, _)| open == name);
        if !is_open {
            let root = self.root.as_ref().ok_or(Errno::NOENT);
            let opened = root.and_then(|root| open_or_make(root, name));
            self.parent = Some((name.to_vec(), opened.map_err(error("make", name))?));
        }
        match &self.parent {
            Some((_, directory)) => Ok(directory),
            None => Err(error("open", name)(Errno::NOENT)),
        }
    }

    /// Moves the temporary file of this number into its place.
    pub(in crate::copy) fn install(
        &mut self,
        number: usize,
        name: &[u8],
    ) -> Result<(), LocalError> {
        let (directory, last) = split(name);
        self.directory(directory)?;
        let Some((_, directory)) = &self.parent else {
            return Ok(());
        };
        self.staging()
            .and_then(|staging| renameat(staging, number.to_string(), directory, last))
            .map_err(error("replace", name))
    }

    /// Sets mode and time of a file or directory that is in its place.
    pub(in crate::copy) fn set_attributes(
        &self,
        name: &[u8],
        attributes: &FileAttributes,
    ) -> Result<(), LocalError> {
        let file = self.open_file(name, OFlags::RDONLY)?;
        set_attributes(&file, attributes).map_err(error("set the mode of", name))
    }

    /// Removes the temporary directory with its content.
    pub(in crate::copy) fn clean(&mut self) {
        let (Some(staging), Some(root)) = (self.staging.take(), &self.root) else {
            return;
        };
        for number in 0..self.staged {
            // Most are in their places by now.
            let _ = unlinkat(&staging, number.to_string(), AtFlags::empty());
        }
        let _ = unlinkat(root, &*self.staging_name, AtFlags::REMOVEDIR);
        // Only an empty directory can be removed, and only this run leaves one empty.
        if let Some(destination) = &self.destination {
            let _ = unlinkat(destination, &*self.label, AtFlags::REMOVEDIR);
        }
    }
}

impl Drop for HostDirectory {
    fn drop(&mut self) {
        self.clean();
    }
}

/// Sets mode and time of an open file.
pub(in crate::copy) fn set_attributes(
    file: impl AsFd,
    attributes: &FileAttributes,
) -> Result<(), Errno> {
    // The umask does not apply: the mode is that of the target, without set-user-ID and set-group-ID bits.
    fchmod(&file, Mode::from_raw_mode(attributes.mode))?;
    if let Some(mtime) = attributes.mtime {
        let times = Timestamps {
            last_access: Timespec {
                tv_sec: 0,
                tv_nsec: UTIME_OMIT,
            },
            last_modification: Timespec {
                tv_sec: mtime.seconds,
                tv_nsec: mtime.nanoseconds.into(),
            },
        };
        futimens(&file, &times)?;
    }
    Ok(())
}

/// True if this is a regular file.
pub(in crate::copy) fn is_file(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile
}

/// True if this is a directory.
pub(in crate::copy) fn is_directory(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::Directory
}

fn make(directory: impl AsFd, name: &[u8], mode: u32) -> Result<(), Errno> {
    match mkdirat(directory, name, Mode::from_raw_mode(mode)) {
        Err(Errno::EXIST) | Ok(()) => Ok(()),
        Err(errno) => Err(errno),
    }
}

/// Opens a directory below another, one part after the other, and makes those that are missing.
fn open_or_make(root: &OwnedFd, name: &[u8]) -> Result<OwnedFd, Errno> {
    let mut directory = openat(root, ".", DIRECTORY, Mode::empty())?;
    // Part by part, because a call that makes a directory cannot resolve a path beneath another one.
    for part in name
        .split(|&byte| byte == b'/')
        .filter(|part| !part.is_empty())
    {
        let flags = DIRECTORY | OFlags::NOFOLLOW;
        let opened = match openat(&directory, part, flags, Mode::empty()) {
            Err(Errno::NOENT) => {
                make(&directory, part, 0o777)?;
                openat(&directory, part, flags, Mode::empty())
            }
            opened => opened,
        };
        directory = opened?;
    }
    Ok(directory)
}

/// Opens a relative path. It never leads out of the directory and follows no symbolic link.
fn open_beneath(directory: impl AsFd, path: &[u8], flags: OFlags) -> Result<OwnedFd, Errno> {
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    match openat2(&directory, path, flags, Mode::empty(), resolve) {
        // Linux before 5.6, or a container whose filter of system calls does not know the call.
        Err(Errno::NOSYS | Errno::PERM) => open_by_parts(directory, path, flags),
        opened => opened,
    }
}

/// Opens a relative path part by part, which needs no `openat2`.
fn open_by_parts(directory: impl AsFd, path: &[u8], flags: OFlags) -> Result<OwnedFd, Errno> {
    let (parents, last) = split(path);
    if matches!(last, b"" | b"." | b"..") {
        return Err(Errno::INVAL);
    }
    let mut open = openat(directory, ".", DIRECTORY, Mode::empty())?;
    for part in parents
        .split(|&byte| byte == b'/')
        .filter(|part| !part.is_empty())
    {
        if part == b".." {
            return Err(Errno::XDEV);
        }
        open = openat(&open, part, DIRECTORY | OFlags::NOFOLLOW, Mode::empty())?;
    }
    openat(&open, last, flags | OFlags::NOFOLLOW, Mode::empty())
}

/// Returns a name for a message.
pub(in crate::copy) fn display(name: &[u8]) -> String {
    OsString::from_vec(name.to_vec()).display().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    #[test]
    fn no_path_leads_out_and_no_link_is_followed() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("in/sub")).unwrap();
        fs::write(dir.path().join("secret"), "x").unwrap();
        fs::write(dir.path().join("in/sub/file"), "x").unwrap();
        symlink("..", dir.path().join("in/up")).unwrap();
        symlink("sub/file", dir.path().join("in/link")).unwrap();
        let root = fs::File::open(dir.path().join("in")).unwrap();
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        type Open = fn(&fs::File, &[u8], OFlags) -> Result<OwnedFd, Errno>;
        let both: [Open; 2] = [
            |root, path, flags| open_beneath(root, path, flags),
            |root, path, flags| open_by_parts(root, path, flags),
        ];
        for open in both {
            open(&root, b"sub/file", flags).unwrap();
            for path in [
                "../secret",
                "up/secret",
                "sub/../../secret",
                "link",
                "..",
                "up",
            ] {
                assert!(open(&root, path.as_bytes(), flags).is_err(), "{path}");
            }
            let absolute = dir.path().join("secret");
            let absolute = absolute.as_os_str().as_encoded_bytes();
            // Part by part, an absolute path is one below the directory.
            assert!(open(&root, absolute, flags).is_err());
        }
        assert!(open_or_make(&root.into(), b"up/new").is_err());
        assert!(!dir.path().join("new").exists());
    }
}
