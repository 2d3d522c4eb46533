//! Where the page goes: a file that is there, whole, only when the run has ended.
//!
//! Until then the page's place is held by a file beside it, made before the first connection, so that
//! a bad path fails at once and a reader, such as a web server, has the last run's page meanwhile.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

/// A page that is to be written.
#[derive(Debug)]
pub(super) struct PageFile {
    path: PathBuf,
    to: To,
}

#[derive(Debug)]
enum To {
    /// A file that takes the other's place when it is whole.
    Beside(NamedTempFile),
    /// A device or a pipe, whose place cannot be taken.
    Itself(File),
}

impl PageFile {
    /// # Errors
    /// The file cannot be made; the message names it.
    pub(super) fn create(path: &Path) -> io::Result<Self> {
        let failed = |error: io::Error| failed("make", path, &error);
        let to = match fs::metadata(path) {
            Ok(there) if !there.is_file() => {
                To::Itself(File::options().write(true).open(path).map_err(failed)?)
            }
            there => {
                // A link stays one; the file that it leads to is replaced.
                let real = match there {
                    Ok(_) => path.canonicalize().map_err(failed)?,
                    Err(_) => path.to_owned(),
                };
                let directory = real.parent().filter(|dir| !dir.as_os_str().is_empty());
                let mut cause = None;
                let mut options = File::options();
                options.write(true).create_new(true);
                let beside = tempfile::Builder::new()
                    .prefix(".mrsh-report-")
                    .make_in(directory.unwrap_or(Path::new(".")), |path| {
                        let made = options.open(path);
                        made.inspect_err(|e| cause = e.raw_os_error())
                    })
                    // Its own error names the file beside, which is nobody's business.
                    .map_err(|e| failed(cause.map_or(e, io::Error::from_raw_os_error)))?;
                return Ok(PageFile {
                    path: real,
                    to: To::Beside(beside),
                });
            }
        };
        Ok(PageFile {
            path: path.to_owned(),
            to,
        })
    }

    /// Writes the page, and puts it in its place when it is whole.
    ///
    /// # Errors
    /// The page's, or the file cannot be written; the message names it.
    pub(super) fn write(
        self,
        page: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> io::Result<()> {
        let mut to = BufWriter::new(match &self.to {
            To::Beside(file) => file.as_file(),
            To::Itself(file) => file,
        });
        let written = page(&mut to).and_then(|()| to.flush());
        drop(to);
        let written = written.and_then(|()| match self.to {
            To::Beside(file) => file.persist(&self.path).map(drop).map_err(|e| e.error),
            To::Itself(_) => Ok(()),
        });
        written.map_err(|error| failed("write to", &self.path, &error))
    }
}

/// Says which file it was. A file is never the reader whose leaving ends a run quietly.
fn failed(doing: &str, path: &Path, error: &io::Error) -> io::Error {
    let kind = match error.kind() {
        io::ErrorKind::BrokenPipe => io::ErrorKind::Other,
        kind => kind,
    };
    io::Error::new(kind, format!("cannot {doing} {}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn the_last_page_stays_until_the_next_is_whole() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("page.html");
        let link = dir.path().join("link.html");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        for (name, text) in [(&path, "first"), (&link, "second")] {
            let before = fs::read_to_string(&path).ok();
            let page = PageFile::create(name).unwrap();
            assert_eq!(fs::read_to_string(&path).ok(), before);
            page.write(|to| to.write_all(text.as_bytes())).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
        }
        let page = PageFile::create(&path).unwrap();
        let error = page
            .write(|_| Err(io::Error::other("no text")))
            .unwrap_err();
        assert!(error.to_string().ends_with("page.html: no text"), "{error}");
        drop(PageFile::create(&path).unwrap());
        assert_eq!(fs::read_to_string(&path).unwrap(), "second");
        let mut names: Vec<_> = fs::read_dir(dir.path())
            .unwrap()
            .map(|e| e.unwrap().file_name())
            .collect();
        names.sort();
        assert_eq!(names, ["link.html", "page.html"], "nothing is left behind");
        // As open to others as the caller's mask allows.
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode();
        fs::write(dir.path().join("usual"), "").unwrap();
        assert_eq!(mode(&path), mode(&dir.path().join("usual")));
    }

    #[test]
    fn what_cannot_be_is_said() {
        let dir = tempfile::tempdir().unwrap();
        let said = |path: &Path| {
            let page = PageFile::create(path);
            let written = page.and_then(|page| page.write(|to| to.write_all(&[b'x'; 100_000])));
            written
                .unwrap_err()
                .to_string()
                .replace(dir.path().to_str().unwrap(), "[dir]")
        };
        insta::assert_snapshot!(said(&dir.path().join("no/page.html")), @"cannot make [dir]/no/page.html: No such file or directory (os error 2)");
        insta::assert_snapshot!(said(dir.path()), @"cannot make [dir]: Is a directory (os error 21)");
        insta::assert_snapshot!(said(Path::new("/dev/full")), @"cannot write to /dev/full: No space left on device (os error 28)");
        assert!(Path::new("/dev/full").exists());
    }
}
