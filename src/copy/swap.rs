//! `--swap`: the parts of the dialogue about the directory that is replaced.

use super::host::{EntryState, HostCopy};
use super::snapshot::Entry;

/// A directory at a target that is to be replaced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct OldDirectory {
    /// Its permission bits.
    pub(super) mode: u32,
    /// Its owner and group, in the form of `chown`.
    pub(super) owner: String,
    /// Number of lines that the names in it take, and its own.
    names: u64,
    /// True if a part of it is on another file system.
    pub(super) has_mount: bool,
}

impl OldDirectory {
    /// Reads the report of the script, after its first letter.
    pub(super) fn of_line(line: &[u8]) -> Option<OldDirectory> {
        let line = std::str::from_utf8(line).ok()?;
        let words: Vec<&str> = line.split(' ').collect();
        let [mode, owner, names, on_device] = words.as_slice() else {
            return None;
        };
        let is_owner = |c: char| c.is_ascii_digit() || c == ':';
        let (names, on_device): (u64, u64) = (names.parse().ok()?, on_device.parse().ok()?);
        owner.chars().all(is_owner).then_some(())?;
        Some(OldDirectory {
            mode: parse_mode(mode.as_bytes())?,
            owner: (*owner).to_owned(),
            names,
            // Without names, `find` does not know the option.
            has_mount: on_device > 0 && names != on_device,
        })
    }
}

/// Reads permission bits as `ls -l` prints them.
fn parse_mode(text: &[u8]) -> Option<u32> {
    let bits = text.get(1..10)?;
    let mut mode = 0;
    for (index, bit) in bits.iter().enumerate() {
        let (value, special) = (0o400 >> index, 0o4000 >> (index / 3));
        mode |= match bit {
            b'-' => 0,
            b'r' | b'w' | b'x' => value,
            b's' | b't' => value | special,
            b'S' | b'T' => special,
            _ => return None,
        };
    }
    Some(mode)
}

impl HostCopy {
    /// Decides if the directory is replaced. If it is, everything is sent.
    pub(super) fn decide_swap(&mut self) {
        let is_same = |state: &EntryState| *state == EntryState::Same;
        if self.states.iter().all(is_same) && !self.is_new && !self.has_others() {
            return;
        }
        self.states.fill(EntryState::Missing);
        self.result.copied.changed = true;
    }

    /// True if the old directory has names that the snapshot has not. The names of the snapshot that are there are
    /// counted, so that a number says it, and no list has to be sent.
    fn has_others(&self) -> bool {
        // `find` prints a name with newlines on several lines.
        let lines = |entry: &Entry| 1 + memchr::memchr_iter(b'\n', &entry.name).count() as u64;
        let states = self.states.iter().zip(&self.snapshot.entries);
        let known = states
            .filter(|(state, _)| **state != EntryState::Missing)
            .map(|(_, entry)| lines(entry));
        let known = 1 + known.sum::<u64>();
        self.old.as_ref().is_some_and(|old| old.names != known)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_report_about_a_directory_is_read() {
        let old = OldDirectory::of_line(b"drwxrwsr-t. 1000:33 12 12").unwrap();
        assert_eq!((old.mode, &*old.owner, old.names), (0o3775, "1000:33", 12));
        assert!(!old.has_mount);
        assert!(
            OldDirectory::of_line(b"drwxr-xr-x 0:0 12 11")
                .unwrap()
                .has_mount
        );
        for line in [
            &b"drwxr-xr-x 0:0 12"[..],
            b"drwxr-xr-x $(x) 1 1",
            b"drwxr-xr-? 0:0 1 1",
            b"drwx 0:0 1 1",
        ] {
            assert_eq!(OldDirectory::of_line(line), None);
        }
    }
}
