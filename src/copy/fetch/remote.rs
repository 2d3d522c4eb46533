//! The list of what a target has: its lines are parsed and checked, since a hostile target may write anything there.

use std::collections::HashMap;
use std::sync::Arc;

use super::pattern::FetchPattern;
use crate::copy::blocks::split;

/// Maximum number of names of one target.
pub(in crate::copy) const MAX_ENTRIES: usize = 250_000;

/// Maximum number of bytes of all names of one target.
pub(in crate::copy) const MAX_NAMES: usize = 32 << 20;

/// Maximum length of a path, in bytes, as in the kernel.
const MAX_PATH: usize = 4095;

/// Maximum length of a part of a path, in bytes, as in the kernel.
const MAX_PART: usize = 255;

/// A time, as in the inode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::copy) struct FileTime {
    pub(in crate::copy) seconds: i64,
    /// 0 if the target cannot tell them.
    pub(in crate::copy) nanoseconds: u32,
}

/// Attributes that a file gets here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::copy) struct FileAttributes {
    /// Permission bits, without set-user-ID and set-group-ID.
    pub(in crate::copy) mode: u32,
    pub(in crate::copy) mtime: Option<FileTime>,
}

/// The size, attributes and inode of a file, as the target reports them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::copy) struct About {
    pub(in crate::copy) attributes: FileAttributes,
    pub(in crate::copy) size: u64,
    /// Text that identifies a file with several names; `None` for those with one.
    pub(in crate::copy) inode: Option<Box<[u8]>>,
}

/// Kind of an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::copy) enum RemoteKind {
    File,
    Directory,
    /// A symbolic link, and its content when it is known.
    Link(Box<[u8]>),
    /// A further name of the file at this index.
    HardLink(usize),
}

/// State of an entry here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::copy) enum LocalState {
    Unknown,
    Same,
    /// The content is the same, the mode or the time is not.
    Attributes,
    /// It is to be fetched.
    Differs,
}

/// A file, directory or link of a target.
#[derive(Clone, Debug)]
pub(in crate::copy) struct RemoteEntry {
    /// Path below the directory of the target.
    pub(in crate::copy) name: Arc<[u8]>,
    /// True if the path is below the root directory over there, false for the home directory.
    pub(in crate::copy) is_absolute: bool,
    pub(in crate::copy) kind: RemoteKind,
    pub(in crate::copy) attributes: FileAttributes,
    pub(in crate::copy) size: u64,
    pub(in crate::copy) state: LocalState,
    /// Checksum of what arrived.
    pub(in crate::copy) sum: Option<Box<str>>,
}

/// A line of the list that cannot be accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::copy) enum ListFault {
    /// Nothing has this name.
    Missing(Vec<u8>),
    /// This may not be read.
    Unreadable(Vec<u8>),
    /// This link leads back to a directory that contains it.
    Loop(Vec<u8>),
    /// This name was not asked for, or is no name.
    Name(Vec<u8>),
    /// There are too many names.
    TooMany,
    /// This is no line of a list.
    Line,
}

/// The names that a target has listed.
#[derive(Debug, Default)]
pub(in crate::copy) struct RemoteList {
    pub(in crate::copy) entries: Vec<RemoteEntry>,
    /// Names that are not fetched: links, and devices, sockets and fifos.
    pub(in crate::copy) links: Vec<Arc<[u8]>>,
    pub(in crate::copy) special: Vec<Arc<[u8]>>,
    /// The first entries of files with several names, by their inodes.
    pub(in crate::copy) inodes: HashMap<Box<[u8]>, usize>,
    /// All names, true for directories.
    names: HashMap<Arc<[u8]>, bool>,
    bytes: usize,
}

impl RemoteList {
    /// Adds a line of the reply about this pattern.
    pub(in crate::copy) fn add(
        &mut self,
        line: &[u8],
        pattern: &FetchPattern,
        keep_links: bool,
    ) -> Result<(), ListFault> {
        let [class, b' ', text @ ..] = line else {
            return Err(ListFault::Line);
        };
        let text = unescape(text).ok_or(ListFault::Line)?;
        // The script lists names relative to the directory in which it stands.
        let Some(name) = text.strip_prefix(b"./") else {
            return Err(ListFault::Name(text));
        };
        match class {
            b'-' => Err(ListFault::Missing(name.to_vec())),
            b'u' => Err(ListFault::Unreadable(name.to_vec())),
            b'r' => Err(ListFault::Loop(name.to_vec())),
            b'f' | b'd' | b'l' | b'o' => self.insert(*class, name, pattern, keep_links),
            _ => Err(ListFault::Line),
        }
    }

    /// Adds a name of a class: `f` for a file, `d` for a directory, `l` for a link, others are not fetched.
    pub(in crate::copy) fn insert(
        &mut self,
        class: u8,
        name: &[u8],
        pattern: &FetchPattern,
        keep_links: bool,
    ) -> Result<(), ListFault> {
        if !is_safe(name) || !pattern.names(name) {
            return Err(ListFault::Name(name.to_vec()));
        }
        let is_directory = class == b'd';
        if let Some(known) = self.names.get(name) {
            // Two patterns may name one file.
            return if *known == is_directory {
                Ok(())
            } else {
                Err(ListFault::Name(name.to_vec()))
            };
        }
        // Each name costs memory here, so a target cannot list without end.
        self.bytes += name.len();
        if self.names.len() >= MAX_ENTRIES || self.bytes > MAX_NAMES {
            return Err(ListFault::TooMany);
        }
        let name: Arc<[u8]> = name.into();
        self.names.insert(Arc::clone(&name), is_directory);
        let kind = match class {
            b'f' => RemoteKind::File,
            b'd' => RemoteKind::Directory,
            b'l' if keep_links => RemoteKind::Link([].into()),
            b'l' => {
                self.links.push(name);
                return Ok(());
            }
            _ => {
                self.special.push(name);
                return Ok(());
            }
        };
        self.entries.push(RemoteEntry {
            name,
            is_absolute: pattern.is_absolute,
            kind,
            attributes: FileAttributes {
                mode: 0,
                mtime: None,
            },
            size: 0,
            state: LocalState::Unknown,
            sum: None,
        });
        Ok(())
    }

    /// Ends the list: a name below something that is no directory is a fault.
    pub(in crate::copy) fn end(&mut self) -> Result<(), ListFault> {
        for entry in &self.entries {
            let mut parent = split(&entry.name).0;
            // A link as a parent would lead out of the directory; a file would stop the installation half-way.
            while !parent.is_empty() {
                if self.names.get(parent) == Some(&false) {
                    return Err(ListFault::Name(entry.name.to_vec()));
                }
                parent = split(parent).0;
            }
        }
        // It is not needed any more.
        self.names = HashMap::new();
        Ok(())
    }
}

/// True if a path has only names, and none that the kernel refuses.
fn is_safe(name: &[u8]) -> bool {
    name.len() <= MAX_PATH
        && !name.contains(&0)
        && name
            .split(|&byte| byte == b'/')
            .all(|part| !matches!(part, b"" | b"." | b"..") && part.len() <= MAX_PART)
}

/// Reverses the script's `entry`.
pub(in crate::copy) fn unescape(text: &[u8]) -> Option<Vec<u8>> {
    let mut plain = Vec::with_capacity(text.len());
    let mut bytes = text.iter();
    while let Some(&byte) = bytes.next() {
        plain.push(match byte {
            b'\\' => match bytes.next()? {
                b'n' => b'\n',
                b'\\' => b'\\',
                _ => return None,
            },
            byte => byte,
        });
    }
    Some(plain)
}

/// Reads a line of `about`: mode, size, number of names, inode, and two forms of the time if the target can tell it.
pub(in crate::copy) fn parse_about(line: &[u8]) -> Option<About> {
    let line = std::str::from_utf8(line).ok()?;
    let mut words = line.split(' ');
    let mode = mode_of_text(words.next()?)?;
    let size = words.next()?.parse().ok()?;
    let names: u64 = words.next()?.parse().ok()?;
    let inode = words.next().filter(|text| !text.is_empty())?;
    // Without stat there is no time, and that of the archive counts.
    let mtime = match words.next() {
        Some(seconds) => Some(FileTime {
            seconds: seconds.parse().ok()?,
            nanoseconds: words.nth(1).map_or(0, nanoseconds),
        }),
        None => None,
    };
    Some(About {
        attributes: FileAttributes { mode, mtime },
        size,
        inode: (names > 1).then(|| inode.as_bytes().into()),
    })
}

/// Reads the fraction of a time such as `12:34:56.123456789`; 0 if there is none.
fn nanoseconds(time: &str) -> u32 {
    let fraction = time.split_once('.').map_or("", |(_, fraction)| fraction);
    if fraction.len() == 9 {
        fraction.parse().unwrap_or(0)
    } else {
        0
    }
}

/// Reads permission bits as `ls -l` prints them, without set-user-ID and set-group-ID.
fn mode_of_text(text: &str) -> Option<u32> {
    let letters: [u8; 10] = text.as_bytes().try_into().ok()?;
    let mut mode = 0;
    for (index, letter) in letters[1..].iter().enumerate() {
        let bit = 0o400 >> index;
        mode |= match (index % 3, letter) {
            (0, b'r') | (1, b'w') | (2, b'x' | b's') => bit,
            (2, b't') => bit | 0o1000,
            (2, b'T') => 0o1000,
            (2, b'S') | (_, b'-') => 0,
            _ => return None,
        };
    }
    Some(mode)
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;

    use super::*;

    fn list(pattern: &str, lines: &[&str], links: bool) -> Result<Vec<String>, ListFault> {
        let pattern = FetchPattern::new(OsStr::new(pattern)).unwrap();
        let mut list = RemoteList::default();
        for line in lines {
            list.add(line.as_bytes(), &pattern, links)?;
        }
        list.end()?;
        let names = list.entries.iter();
        Ok(names
            .map(|entry| String::from_utf8_lossy(&entry.name).into_owned())
            .collect())
    }

    #[test]
    fn names_that_were_not_asked_for_are_faults() {
        let name = |name: &str| Err(ListFault::Name(name.into()));
        assert_eq!(
            list("/log", &["d ./log", r"f ./log/a\nb\\c"], false).unwrap(),
            ["log", "log/a\nb\\c"]
        );
        assert_eq!(
            list("/log", &["f ./log/../../x"], false),
            name("log/../../x")
        );
        assert_eq!(list("/log", &["f /log"], false), name("/log"));
        assert_eq!(list("/log", &["f ./other"], false), name("other"));
        assert_eq!(list("/log", &["f ./log/"], false), name("log/"));
        assert_eq!(list("/log", &["f ./log//x"], false), name("log//x"));
        assert_eq!(list("/log", &["f ./log/a\0b"], false), name("log/a\0b"));
        let long = format!("f ./log/{}", "x".repeat(256));
        assert_eq!(list("/log", &[&long], false), name(&long[4..]));
        // A file cannot contain another one, and a link leads elsewhere.
        assert_eq!(
            list("/log", &["f ./log", "f ./log/a"], false),
            name("log/a")
        );
        assert_eq!(list("/log", &["l ./log", "f ./log/a"], true), name("log/a"));
        assert_eq!(list("/log", &["x ./log"], false), Err(ListFault::Line));
        assert_eq!(list("/log", &["f ./log\\x"], false), Err(ListFault::Line));
        assert_eq!(
            list("/log", &["- ./log"], false),
            Err(ListFault::Missing(b"log".to_vec()))
        );
    }

    #[test]
    fn attributes_are_read_in_both_forms() {
        let about = |mode, seconds, nanoseconds, size, inode: Option<&str>| About {
            attributes: FileAttributes {
                mode,
                mtime: Some(FileTime {
                    seconds,
                    nanoseconds,
                }),
            },
            size,
            inode: inode.map(|text| text.as_bytes().into()),
        };
        assert_eq!(
            parse_about(b"-rw-r--r-- 12 1 5:77 1700000000 2023-11-14 22:13:20.123456789 +0000"),
            Some(about(0o644, 1_700_000_000, 123_456_789, 12, None))
        );
        assert_eq!(
            parse_about(b"-rwsr-S--t 0 2 5:77 -1 1969-12-31 23:59:59 +0000"),
            Some(about(0o1741, -1, 0, 0, Some("5:77")))
        );
        let without_time = parse_about(b"drwxrwxrwx 4096 1 77").unwrap();
        assert_eq!(without_time.attributes.mtime, None);
        for wrong in [
            "",
            "-rw-r--r--",
            "rw-r--r-- 1 1 1",
            "-rw-r--r-- -1 1 1",
            "-rw-r--r-- 1 1 ",
            "-rq-r--r-- 1 1 1",
        ] {
            assert_eq!(parse_about(wrong.as_bytes()), None, "{wrong}");
        }
    }
}
