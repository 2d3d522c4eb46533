//! Files that decide what is run and where: configuration and groups.
//!
//! Root does not follow what another user can change: such a file is refused, as ssh refuses it. Any other user
//! reads what the system lets them read.

use std::fs::File;
use std::io;
use std::path::Path;

use rustix::fs::{FileType, Stat, fstat};
use rustix::process::geteuid;

/// Why a file is not read, as the source of an [`io::Error`].
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
struct Untrusted {
    message: String,
    help: String,
}

/// Returns what to do about an error of [`open`], if that is known.
pub(crate) fn help(error: &io::Error) -> Option<&str> {
    let untrusted = error.get_ref()?.downcast_ref::<Untrusted>()?;
    Some(&untrusted.help)
}

/// The permissions to write for others than the owner.
const OTHERS_WRITE: u32 = 0o022;

/// Opens a file for reading.
///
/// # Errors
/// The system's; or this program runs as root, and another user can change the file.
pub(crate) fn open(path: &Path) -> io::Result<File> {
    let file = File::open(path)?;
    if geteuid().is_root() {
        check(path, &fstat(&file)?)?;
    }
    Ok(file)
}

fn check(path: &Path, file: &Stat) -> io::Result<()> {
    // A pipe, such as of `<(…)`, is of whoever started this program.
    if FileType::from_raw_mode(file.st_mode) != FileType::RegularFile {
        return Ok(());
    }
    let path = path.display();
    if file.st_uid != 0 {
        let owner = file.st_uid;
        return Err(io::Error::other(Untrusted {
            message: format!("it belongs to user {owner}, and root trusts only its own"),
            help: format!("chown root {path}"),
        }));
    }
    if file.st_mode & OTHERS_WRITE != 0 {
        return Err(io::Error::other(Untrusted {
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
    fn what_another_user_can_change_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        fs::write(&path, "").unwrap();
        let set = |mode| fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        let said = || {
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
        let own = said();
        if chown(&path, Some(12_345), None).is_err() {
            assert!(own.is_some_and(|(said, _)| said.contains("belongs to user")));
            return;
        }
        let expected = |message: &str, help: &str| (message.to_owned(), help.to_owned());
        assert_eq!(
            said().unwrap(),
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
                said().unwrap(),
                expected("others than root can write to it", "chmod go-w /etc/x")
            );
        }
        // Not what it is reached by counts, but what it is.
        let link = dir.path().join("link");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        assert!(open(&link).is_err());
    }
}
