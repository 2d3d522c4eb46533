//! Paths of output files, resolved without following links that other users could have created.
//!
//! A user who can write to a directory can put a symbolic link there, to a file that only this program's user may
//! write to. Therefore mrsh resolves a path directory by directory, holds each by a descriptor, and follows a symbolic
//! link only in a directory that only root and this user can write to. A later change of the path by other users has
//! no effect. The kernel's `protected_symlinks` does less: it covers only directories with a sticky
//! bit, and can be switched off.

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{
    AtFlags, FileType, Mode, OFlags, PROC_SUPER_MAGIC, Stat, fchmod, fstat, fstatfs, fsync,
    mkdirat, open, openat, readlinkat, statat,
};
use rustix::io::Errno;
use rustix::process::geteuid;

/// Maximum number of links in one path, as in the kernel.
const MAX_LINKS: usize = 40;

/// Permission bits that let others than the owner write.
const OTHERS_WRITE: u32 = 0o022;

/// A file name in a directory that was opened safely.
#[derive(Debug)]
pub(super) struct OutputPath {
    pub(super) directory: OwnedFd,
    pub(super) name: OsString,
    /// True for a magic link of the kernel (`/dev/fd/3`, `/dev/stdout`), which only the kernel can follow.
    is_kernel_link: bool,
}

/// Resolves the path of a file, which need not exist.
///
/// # Errors
/// A directory cannot be opened, or another user could have created a link.
pub(super) fn find(path: &Path) -> io::Result<OutputPath> {
    // An empty path is not the current directory (path_resolution(7)).
    if path.as_os_str().is_empty() {
        return Err(Errno::NOENT.into());
    }
    PathWalk::from(start()?, path).file()
}

/// Resolves the path of a file relative to a directory.
///
/// # Errors
/// As for [`find`].
pub(super) fn find_in(directory: impl AsFd, name: &str) -> io::Result<OutputPath> {
    // The walk replaces its descriptor, so it gets one of its own.
    let directory = openat(directory, ".", DIRECTORY, Mode::empty())?;
    PathWalk::from(directory, Path::new(name)).file()
}

/// Opens a directory, and creates it and its parents if they are missing.
///
/// # Errors
/// As for [`find`]; or a directory cannot be made.
pub fn make_directory(path: &Path) -> io::Result<OwnedFd> {
    if path.as_os_str().is_empty() {
        return Err(Errno::NOENT.into());
    }
    PathWalk::from(start()?, path).directory()
}

/// Opens a directory, if it exists.
///
/// # Errors
/// It cannot be opened, or is no directory.
pub fn open_directory(path: &Path) -> io::Result<Option<OwnedFd>> {
    match open(path, DIRECTORY, Mode::empty()) {
        Ok(directory) => Ok(Some(directory)),
        Err(Errno::NOENT) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Opens a file for this user only, at whose end is written, and makes it if `make` is true.
///
/// # Errors
/// The same as those of [`find`]; or the file belongs to another user, or is no regular file.
pub fn open_private(path: &Path, make: bool) -> io::Result<File> {
    let place = find(path)?;
    let mut flags = OFlags::RDWR | OFlags::APPEND | OFlags::NONBLOCK | OFlags::NOCTTY;
    if make {
        flags |= OFlags::CREATE;
    }
    let is_new = make && place.stat()?.is_none();
    let file = place.open_with(flags, PRIVATE)?;
    let stat = fstat(&file)?;
    if !is_regular(&stat) {
        return Err(io::Error::other("it is no regular file"));
    }
    // Its text may become a command.
    if stat.st_uid != geteuid().as_raw() {
        return Err(io::Error::other("it belongs to another user"));
    }
    if make {
        fchmod(&file, PRIVATE)?;
    } else if stat.st_mode & OTHERS_WRITE != 0 {
        return Err(io::Error::other("other users can write to it"));
    }
    if is_new {
        // The name must be on the disk too. It is not if the directory cannot be read, which is no reason to stop.
        if let Ok(directory) = openat(&place.directory, ".", OFlags::RDONLY, Mode::empty()) {
            let _ = fsync(directory);
        }
    }
    Ok(file)
}

/// Permission bits of a file for one user.
const PRIVATE: Mode = Mode::RUSR.union(Mode::WUSR);

impl OutputPath {
    /// Opens the file.
    ///
    /// # Errors
    /// An error of the system, also if the file has become a link meanwhile.
    pub(super) fn open(&self, flags: OFlags) -> io::Result<File> {
        // The umask takes bits away, as for the files of other programs.
        self.open_with(flags, Mode::from(0o666))
    }

    fn open_with(&self, flags: OFlags, mode: Mode) -> io::Result<File> {
        let follow = if self.is_kernel_link {
            // Only the kernel can follow such a link; NOFOLLOW would refuse it.
            OFlags::empty()
        } else {
            OFlags::NOFOLLOW
        };
        let flags = flags | follow | OFlags::CLOEXEC;
        Ok(openat(&self.directory, &self.name, flags, mode)?.into())
    }

    /// Returns the status of the file; `None` if it does not exist.
    ///
    /// # Errors
    /// An error of the system.
    pub(super) fn stat(&self) -> io::Result<Option<Stat>> {
        let follow = if self.is_kernel_link {
            AtFlags::empty()
        } else {
            AtFlags::SYMLINK_NOFOLLOW
        };
        match statat(&self.directory, &self.name, follow) {
            Ok(stat) => Ok(Some(stat)),
            Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

/// Flags for a directory that is only used to resolve further names.
const DIRECTORY: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

fn start() -> io::Result<OwnedFd> {
    Ok(open(".", DIRECTORY, Mode::empty())?)
}

/// State of the resolution of a path.
struct PathWalk {
    at: OwnedFd,
    /// The resolved part of the path, for messages.
    behind: PathBuf,
    ahead: VecDeque<OsString>,
    links: usize,
}

impl PathWalk {
    fn from(at: OwnedFd, path: &Path) -> PathWalk {
        PathWalk {
            at,
            behind: PathBuf::new(),
            ahead: parts(path).collect(),
            links: 0,
        }
    }

    fn file(mut self) -> io::Result<OutputPath> {
        while let Some(part) = self.ahead.pop_front() {
            let found = self.look(&part)?;
            match found {
                PathPartKind::Link(target) => self.follow(&part, target)?,
                PathPartKind::Other | PathPartKind::KernelLink if self.ahead.is_empty() => {
                    return Ok(OutputPath {
                        directory: self.at,
                        name: part,
                        is_kernel_link: matches!(found, PathPartKind::KernelLink),
                    });
                }
                PathPartKind::Other | PathPartKind::KernelLink => {
                    self.enter(&part, found, false)?
                }
            }
        }
        Err(Errno::ISDIR.into())
    }

    fn directory(mut self) -> io::Result<OwnedFd> {
        while let Some(part) = self.ahead.pop_front() {
            match self.look(&part)? {
                PathPartKind::Link(target) => self.follow(&part, target)?,
                found => self.enter(&part, found, true)?,
            }
        }
        Ok(self.at)
    }

    /// Returns the kind of the next part of the path.
    fn look(&self, part: &OsStr) -> io::Result<PathPartKind> {
        if part == "/" {
            return Ok(PathPartKind::Other);
        }
        match readlinkat(&self.at, part, Vec::new()) {
            // Links in /proc lead to open files, which their text may not name.
            Ok(_) if fstatfs(&self.at)?.f_type == PROC_SUPER_MAGIC => Ok(PathPartKind::KernelLink),
            Ok(target) => Ok(PathPartKind::Link(
                OsString::from_vec(target.into_bytes()).into(),
            )),
            // The path is no link, or it does not exist.
            Err(Errno::INVAL | Errno::NOENT) => Ok(PathPartKind::Other),
            Err(error) => Err(error.into()),
        }
    }

    fn follow(&mut self, part: &OsStr, target: PathBuf) -> io::Result<()> {
        if others_can_write(&fstat(&self.at)?) {
            return Err(io::Error::other(format!(
                "{} is a symbolic link in a directory that others can write to; \
                 remove the link or choose another directory",
                self.behind.join(part).display()
            )));
        }
        self.links += 1;
        if self.links > MAX_LINKS {
            return Err(Errno::LOOP.into());
        }
        for part in parts(&target).rev() {
            self.ahead.push_front(part);
        }
        Ok(())
    }

    fn enter(&mut self, part: &OsStr, found: PathPartKind, make: bool) -> io::Result<()> {
        // `look` has decided about links. One that has appeared since is not followed.
        let follow = match found {
            PathPartKind::KernelLink => OFlags::empty(),
            PathPartKind::Other | PathPartKind::Link(_) => OFlags::NOFOLLOW,
        };
        let enter = || openat(&self.at, part, DIRECTORY | follow, Mode::empty());
        self.at = match enter() {
            Err(Errno::NOENT) if make => {
                match mkdirat(&self.at, part, Mode::from(0o777)) {
                    // Another process may have made it meanwhile.
                    Ok(()) | Err(Errno::EXIST) => {}
                    Err(error) => return Err(error.into()),
                }
                enter()?
            }
            entered => entered?,
        };
        self.behind.push(part);
        Ok(())
    }
}

/// The kind of a part of a path.
enum PathPartKind {
    /// A symbolic link with its target.
    Link(PathBuf),
    /// A magic link in /proc, which no user can create.
    KernelLink,
    /// A directory, a file, or nothing.
    Other,
}

/// Returns the parts of a path, the root first if it is absolute.
fn parts(path: &Path) -> impl DoubleEndedIterator<Item = OsString> {
    path.components()
        .filter(|part| *part != Component::CurDir)
        .map(|part| part.as_os_str().to_owned())
}

/// True if users other than root and this one can create and remove files in a directory.
fn others_can_write(directory: &Stat) -> bool {
    // An owner can change the permission bits at any time, so other owners are not trusted.
    let is_ours = [0, geteuid().as_raw()].contains(&directory.st_uid);
    !is_ours || directory.st_mode & OTHERS_WRITE != 0
}

/// True if the sticky bit of the directory forbids this user to remove the file.
pub(super) fn is_kept_by_sticky_bit(directory: &Stat, file: &Stat) -> bool {
    let user = geteuid().as_raw();
    // inode(7): in a sticky directory, only root and the owners of file and directory may remove a file.
    Mode::from_raw_mode(directory.st_mode).contains(Mode::SVTX)
        && user != 0
        && ![directory.st_uid, file.st_uid].contains(&user)
}

/// True for a regular file.
pub(super) fn is_regular(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::io::Write;
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    const WRITE: OFlags = OFlags::WRONLY.union(OFlags::CREATE);

    fn write(path: &Path) -> io::Result<()> {
        find(path)?.open(WRITE)?.write_all(b"x")
    }

    /// A directory of this user's own, with one in it that others can write to.
    fn directories() -> (tempfile::TempDir, PathBuf, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let [own, open] = ["own", "open"].map(|name| dir.path().join(name));
        for path in [&own, &open] {
            fs::create_dir(path).unwrap();
        }
        fs::set_permissions(&open, Permissions::from_mode(0o1777)).unwrap();
        (dir, own, open)
    }

    #[test]
    fn links_in_a_directory_of_the_user_are_followed() {
        let (dir, own, _) = directories();
        symlink("../file", own.join("link")).unwrap();
        symlink("link", own.join("to-the-link")).unwrap();
        symlink(dir.path(), own.join("up")).unwrap();
        write(&own.join("to-the-link")).unwrap();
        assert_eq!(fs::read(dir.path().join("file")).unwrap(), b"x");
        write(&own.join("up/own/../other")).unwrap();
        assert_eq!(fs::read(dir.path().join("other")).unwrap(), b"x");
        make_directory(&own.join("up/new/newer")).unwrap();
        assert!(dir.path().join("new/newer").is_dir());
        symlink("round", own.join("round")).unwrap();
        let error = write(&own.join("round")).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(Errno::LOOP.raw_os_error()));
    }

    #[test]
    fn links_where_others_can_write_are_refused_anywhere_on_the_path() {
        let (dir, own, open) = directories();
        fs::write(own.join("secret"), "kept").unwrap();
        symlink(own.join("secret"), open.join("file")).unwrap();
        symlink(&own, open.join("folder")).unwrap();
        symlink(open.join("file"), own.join("by-way")).unwrap();
        let refused = |error: io::Error| {
            let text = error.to_string();
            text.replace(dir.path().to_str().unwrap(), "[dir]")
        };
        insta::assert_snapshot!(refused(write(&open.join("file")).unwrap_err()), @"[dir]/open/file is a symbolic link in a directory that others can write to; remove the link or choose another directory");
        for path in [open.join("folder/secret"), own.join("by-way")] {
            let said = refused(write(&path).unwrap_err());
            assert!(said.contains("others can write to"), "{said}");
        }
        let said = refused(make_directory(&open.join("folder/new")).unwrap_err());
        assert!(
            said.starts_with("[dir]/open/folder is a symbolic link"),
            "{said}"
        );
        assert_eq!(fs::read(own.join("secret")).unwrap(), b"kept");
        assert!(!own.join("new").exists());
        // A regular file in that directory is accepted.
        write(&open.join("plain")).unwrap();
    }

    #[test]
    fn a_directory_of_another_user_is_not_trusted() {
        let (_dir, own, _) = directories();
        symlink("file", own.join("link")).unwrap();
        if std::os::unix::fs::chown(&own, Some(12_345), None).is_err() {
            return;
        }
        assert!(write(&own.join("link")).is_err());
    }

    #[test]
    fn open_files_of_this_process_can_be_named() {
        let (reader, writer) = io::pipe().unwrap();
        use std::os::fd::AsRawFd;
        write(Path::new(&format!("/dev/fd/{}", writer.as_raw_fd()))).unwrap();
        write(Path::new(&format!("/proc/self/fd/{}", writer.as_raw_fd()))).unwrap();
        drop(writer);
        assert_eq!(io::read_to_string(reader).unwrap(), "xx");
        let (_dir, own, _) = directories();
        let held = File::open(&own).unwrap();
        write(Path::new(&format!(
            "/proc/self/fd/{}/new",
            held.as_raw_fd()
        )))
        .unwrap();
        assert!(own.join("new").exists());
    }

    #[test]
    fn paths_that_are_no_files_have_the_errors_of_the_system() {
        let (_dir, own, _) = directories();
        let said = |path: &Path| write(path).unwrap_err().raw_os_error().unwrap();
        assert_eq!(said(&own.join("no/file")), Errno::NOENT.raw_os_error());
        assert_eq!(said(&own), Errno::ISDIR.raw_os_error());
        assert_eq!(said(Path::new("/")), Errno::ISDIR.raw_os_error());
        assert_eq!(said(Path::new("")), Errno::NOENT.raw_os_error());
        assert_eq!(said(Path::new("/dev/null/x")), Errno::NOTDIR.raw_os_error());
    }
}
