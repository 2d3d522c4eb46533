//! A file that appears complete at the end of the run (`--report`, `--failed-to`).
//!
//! A temporary file in the same directory is created before the first connection, so that a bad path fails at once. It
//! replaces the file at the end. Until then, and if the run is killed, the file of the last run stays.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Mode, OFlags, fchmod, fstat, openat, renameat, unlinkat};
use rustix::io::Errno;
use rustix::process::geteuid;

use super::output_path::{self, OutputPath};
use crate::random;

/// A file that is replaced at the end of the run.
#[derive(Debug)]
pub(super) struct ReplacedFile {
    path: PathBuf,
    to: OpenedDestination,
}

#[derive(Debug)]
enum OpenedDestination {
    /// A temporary file that replaces the file when it is complete.
    Replace(TemporaryFile),
    /// A device or a pipe, which cannot be replaced.
    Direct(File),
}

/// A temporary file, which is removed unless it replaced the file.
#[derive(Debug)]
struct TemporaryFile {
    directory: OwnedFd,
    temporary: OsString,
    name: OsString,
    file: File,
    is_in_place: bool,
}

impl ReplacedFile {
    /// # Errors
    /// The file cannot be made; the message names it.
    pub(super) fn create(path: &Path) -> io::Result<Self> {
        let to = output_path::find(path).and_then(OpenedDestination::open);
        Ok(ReplacedFile {
            path: path.to_owned(),
            to: to.map_err(|error| failed("make", path, &error))?,
        })
    }

    /// Writes the text and replaces the file.
    ///
    /// # Errors
    /// An error of `write`, or the file cannot be written; the message names it.
    pub(super) fn write(
        self,
        text: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> io::Result<()> {
        let mut to = BufWriter::new(match &self.to {
            OpenedDestination::Replace(beside) => &beside.file,
            OpenedDestination::Direct(file) => file,
        });
        let written = text(&mut to).and_then(|()| to.flush());
        drop(to);
        let written = written.and_then(|()| match self.to {
            OpenedDestination::Replace(beside) => beside.put_in_place(),
            OpenedDestination::Direct(_) => Ok(()),
        });
        written.map_err(|error| failed("write to", &self.path, &error))
    }
}

impl OpenedDestination {
    fn open(place: OutputPath) -> io::Result<OpenedDestination> {
        let there = place.stat()?;
        if let Some(there) = &there {
            if !output_path::is_regular(there) {
                return place.open(OFlags::WRONLY).map(OpenedDestination::Direct);
            }
            // A sticky bit on the directory would forbid the rename at the end of the run.
            if output_path::is_kept_by_sticky_bit(&fstat(&place.directory)?, there) {
                return Err(Errno::PERM.into());
            }
        }
        let mut word = [0; 8];
        random::fill(&mut word)?;
        // A random name, so that two runs never use one temporary file.
        let temporary = OsString::from(format!(".mrsh-{:016x}", u64::from_ne_bytes(word)));
        // O_EXCL also refuses a symbolic link with this name (open(2)).
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let file = openat(&place.directory, &temporary, flags, Mode::from(0o666))?;
        let beside = TemporaryFile {
            directory: place.directory,
            temporary,
            name: place.name,
            file: file.into(),
            is_in_place: false,
        };
        if let Some(there) = there.filter(|there| there.st_uid == geteuid().as_raw()) {
            // Keep the permissions: a list may be readable only by its owner.
            fchmod(&beside.file, Mode::from_raw_mode(there.st_mode & 0o777))?;
        }
        Ok(OpenedDestination::Replace(beside))
    }
}

impl TemporaryFile {
    fn put_in_place(mut self) -> io::Result<()> {
        // rename(2) is atomic: readers see the earlier file or the complete one.
        renameat(
            &self.directory,
            &self.temporary,
            &self.directory,
            &self.name,
        )?;
        self.is_in_place = true;
        Ok(())
    }
}

impl Drop for TemporaryFile {
    fn drop(&mut self) {
        if !self.is_in_place {
            // An error in `drop` cannot be reported.
            let _ = unlinkat(&self.directory, &self.temporary, AtFlags::empty());
        }
    }
}

/// Adds the path to an error. The kind is never `BrokenPipe`, which would end the run without a message.
pub(super) fn failed(doing: &str, path: &Path, error: &io::Error) -> io::Error {
    let kind = match error.kind() {
        io::ErrorKind::BrokenPipe => io::ErrorKind::Other,
        kind => kind,
    };
    io::Error::new(kind, format!("cannot {doing} {}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn the_last_file_stays_until_the_next_is_whole() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("page.html");
        let link = dir.path().join("link.html");
        symlink(&path, &link).unwrap();
        for (name, text) in [(&path, "first"), (&link, "second")] {
            let before = fs::read_to_string(&path).ok();
            let page = ReplacedFile::create(name).unwrap();
            assert_eq!(fs::read_to_string(&path).ok(), before);
            page.write(|to| to.write_all(text.as_bytes())).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
        }
        let page = ReplacedFile::create(&path).unwrap();
        let error = page
            .write(|_| Err(io::Error::other("no text")))
            .unwrap_err();
        assert!(error.to_string().ends_with("page.html: no text"), "{error}");
        drop(ReplacedFile::create(&path).unwrap());
        assert_eq!(fs::read_to_string(&path).unwrap(), "second");
        let mut names: Vec<_> = fs::read_dir(dir.path())
            .unwrap()
            .map(|e| e.unwrap().file_name())
            .collect();
        names.sort();
        assert_eq!(names, ["link.html", "page.html"], "nothing is left behind");
    }

    #[test]
    fn a_new_file_has_the_usual_mode_and_an_old_one_keeps_its_own() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("list");
        let usual = dir.path().join("usual");
        fs::write(&usual, "").unwrap();
        let replace = || {
            let file = ReplacedFile::create(&path).unwrap();
            file.write(|to| to.write_all(b"x")).unwrap();
        };
        replace();
        assert_eq!(mode(&path), mode(&usual));
        fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        replace();
        assert_eq!(mode(&path), 0o600);
    }

    #[test]
    fn errors_name_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let said = |path: &Path| {
            let file = ReplacedFile::create(path);
            let written = file.and_then(|file| file.write(|to| to.write_all(&[b'x'; 100_000])));
            written
                .unwrap_err()
                .to_string()
                .replace(dir.path().to_str().unwrap(), "[dir]")
        };
        insta::assert_snapshot!(said(&dir.path().join("no/page.html")), @"cannot make [dir]/no/page.html: No such file or directory (os error 2)");
        insta::assert_snapshot!(said(dir.path()), @"cannot make [dir]: Is a directory (os error 21)");
        insta::assert_snapshot!(said(Path::new("/dev/full")), @"cannot write to /dev/full: No space left on device (os error 28)");
        assert!(Path::new("/dev/full").exists());
        let open = dir.path().join("open");
        fs::create_dir(&open).unwrap();
        fs::set_permissions(&open, Permissions::from_mode(0o777)).unwrap();
        symlink("/etc/passwd", open.join("list")).unwrap();
        insta::assert_snapshot!(said(&open.join("list")), @"cannot make [dir]/open/list: [dir]/open/list is a symbolic link in a directory that others can write to; remove the link or choose another directory");
    }
}
