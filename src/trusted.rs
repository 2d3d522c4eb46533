//! The check of files that decide what is run and where: configuration and groups.
//!
//! If root runs mrsh, a file that another user can change is refused, as ssh refuses it. Other users read what the
//! system lets them read.

use std::fs::File;
use std::io;
use std::path::Path;

use rustix::fs::{FileType, Stat, fstat};
use rustix::process::geteuid;

/// A file that another user can change, as the source of an [`io::Error`].
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
struct UntrustedFile {
    message: String,
    help: String,
}

/// Returns the help for an error of [`open`], if there is one.
pub(crate) fn help(error: &io::Error) -> Option<&str> {
    let untrusted = error.get_ref()?.downcast_ref::<UntrustedFile>()?;
    Some(&untrusted.help)
}

/// Permissions to write for the group and for others.
const OTHERS_WRITE: u32 = 0o022;

/// Opens a file for reading.
///
/// # Errors
/// The file cannot be opened; or root runs this program, and another user can change the file.
pub(crate) fn open(path: &Path) -> io::Result<File> {
    let file = File::open(path)?;
    if geteuid().is_root() {
        // The open file is checked and not its path, which another user could change in between.
        check(path, &fstat(&file)?)?;
    }
    Ok(file)
}

fn check(path: &Path, file: &Stat) -> io::Result<()> {
    // A pipe, such as that of `<(…)`, comes from the caller.
    if FileType::from_raw_mode(file.st_mode) != FileType::RegularFile {
        return Ok(());
    }
    let path = path.display();
    if file.st_uid != 0 {
        let owner = file.st_uid;
        return Err(io::Error::other(UntrustedFile {
            message: format!("it belongs to user {owner}, and root trusts only its own"),
            help: format!("chown root {path}"),
        }));
    }
    if file.st_mode & OTHERS_WRITE != 0 {
        return Err(io::Error::other(UntrustedFile {
            message: "others than root can write to it".to_owned(),
            help: format!("chmod go-w {path}"),
        }));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::{PermissionsExt, chown};

    use super::*;

    #[test]
    fn root_refuses_files_that_another_user_can_change() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        fs::write(&path, "").unwrap();
        let set = |mode| fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        let refusal = || {
            let stat = fstat(File::open(&path).unwrap()).unwrap();
            let checked = check(Path::new("/etc/x"), &stat);
            checked.err().map(|error| {
                (
                    error.to_string(),
                    help(&error).unwrap_or_default().to_owned(),
                )
            })
        };
        set(0o644);
        let own = refusal();
        if chown(&path, Some(12_345), None).is_err() {
            assert!(own.is_some_and(|(message, _)| message.contains("belongs to user")));
            return;
        }
        let expected = |message: &str, help: &str| (message.to_owned(), help.to_owned());
        assert_eq!(
            refusal().unwrap(),
            expected(
                "it belongs to user 12345, and root trusts only its own",
                "chown root /etc/x"
            )
        );
        assert!(open(&path).is_err());
        chown(&path, Some(0), None).unwrap();
        assert_eq!(own, None);
        open(&path).unwrap();
        for mode in [0o664, 0o646] {
            set(mode);
            assert_eq!(
                refusal().unwrap(),
                expected("others than root can write to it", "chmod go-w /etc/x")
            );
        }
        // The check is about the file that a link leads to.
        let link = dir.path().join("link");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        assert!(open(&link).is_err());
    }
}
