//! Trees of files: random ones, and comparisons.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::time::{Duration, SystemTime};

/// Makes a tree in a directory, or adds to it and changes it.
pub(super) fn random_tree(random: &mut fastrand::Rng, directory: &Path) {
    fs::create_dir_all(directory).unwrap();
    fill(random, directory, 0);
}

fn fill(random: &mut fastrand::Rng, directory: &Path, depth: usize) {
    let mut file = None;
    for _ in 0..random.usize(2..8) {
        let path = directory.join(name(random));
        if fs::symlink_metadata(&path).is_ok() {
            continue;
        }
        match random.u8(0..10) {
            0..=1 if depth < 3 => {
                fs::create_dir(&path).unwrap();
                fill(random, &path, depth + 1);
                fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
            }
            2 => symlink(name(random), &path).unwrap(),
            3 if file.is_some() => fs::hard_link(file.as_ref().unwrap(), &path).unwrap(),
            _ => {
                let most = *random.choice(&[1, 600, 70_000, 1_200_000][..]).unwrap();
                let length = random.usize(0..most);
                let content: Vec<u8> = std::iter::repeat_with(|| random.u8(..))
                    .take(length)
                    .collect();
                fs::write(&path, content).unwrap();
                let mode = *random
                    .choice(&[0o644, 0o600, 0o755, 0o440, 0o666][..])
                    .unwrap();
                fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
                let time =
                    Duration::new(random.u64(1..1_900_000_000), random.u32(0..1_000_000_000));
                let opened = fs::File::open(&path).unwrap();
                opened.set_modified(SystemTime::UNIX_EPOCH + time).unwrap();
                file = Some(path);
            }
        }
    }
}

/// Returns a name with any bytes, or one that a shell or an option parser would misread, or a long one.
fn name(random: &mut fastrand::Rng) -> OsString {
    let special = [
        "-rf",
        "a b",
        "it's",
        "new\nline",
        "$(reboot)",
        "*",
        "\\",
        "~",
        "ä",
        "`x`",
        "-",
        "\"q\"",
        "tab\t",
    ];
    let mut bytes = match random.u8(0..4) {
        0 => random.choice(&special[..]).unwrap().as_bytes().to_vec(),
        1 => {
            let length = random.usize(1..20);
            std::iter::repeat_with(|| random.u8(1..))
                .take(length)
                .collect()
        }
        2 => vec![b'n'; random.usize(80..200)],
        _ => format!("file{}", random.u16(..)).into_bytes(),
    };
    bytes.retain(|&byte| byte != b'/');
    if bytes.is_empty() || bytes == b"." || bytes == b".." {
        bytes = b"x".to_vec();
    }
    OsString::from_vec(bytes)
}

/// Changes some files of a tree, as users at the target would.
pub(super) fn disturb(random: &mut fastrand::Rng, directory: &Path) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let about = fs::symlink_metadata(&path).unwrap();
        if about.is_dir() {
            disturb(random, &path);
        } else if random.u8(0..3) == 0 {
            fs::remove_file(&path).unwrap();
            if about.is_file() && random.bool() {
                fs::write(&path, "disturbed").unwrap();
            }
        }
    }
}

/// Everything about an entry that a copy keeps.
#[derive(Debug, PartialEq, Eq)]
struct Facts {
    kind: char,
    mode: u32,
    content: Vec<u8>,
    time: (i64, i64),
    /// First name of the same file.
    first: OsString,
}

fn facts(directory: &Path, nanoseconds: bool) -> BTreeMap<OsString, Facts> {
    let mut found = BTreeMap::new();
    let mut inodes = BTreeMap::new();
    collect(
        directory,
        OsStr::new(""),
        nanoseconds,
        &mut inodes,
        &mut found,
    );
    found
}

fn collect(
    directory: &Path,
    prefix: &OsStr,
    nanoseconds: bool,
    inodes: &mut BTreeMap<u64, OsString>,
    found: &mut BTreeMap<OsString, Facts>,
) {
    let mut names: Vec<OsString> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    names.sort();
    for name in names {
        let path = directory.join(&name);
        let full = OsString::from_vec([prefix.as_bytes(), b"/", name.as_bytes()].concat());
        let about = fs::symlink_metadata(&path).unwrap();
        let kind = about.file_type();
        let first = inodes
            .entry(about.ino())
            .or_insert_with(|| full.clone())
            .clone();
        let facts = Facts {
            kind: if kind.is_dir() {
                'd'
            } else if kind.is_symlink() {
                'l'
            } else {
                'f'
            },
            mode: if kind.is_symlink() {
                0
            } else {
                about.mode() & 0o7777
            },
            content: if kind.is_symlink() {
                fs::read_link(&path).unwrap().into_os_string().into_vec()
            } else if kind.is_file() {
                fs::read(&path).unwrap()
            } else {
                Vec::new()
            },
            time: match kind.is_file() {
                false => (0, 0),
                true if nanoseconds => (about.mtime(), about.mtime_nsec()),
                true => (about.mtime(), 0),
            },
            first,
        };
        found.insert(full.clone(), facts);
        if kind.is_dir() {
            collect(&path, &full, nanoseconds, inodes, found);
        }
    }
}

/// Both trees have the same entries.
#[track_caller]
pub(super) fn assert_same(one: &Path, other: &Path, nanoseconds: bool) {
    let (one, other) = (facts(one, nanoseconds), facts(other, nanoseconds));
    let names = |facts: &BTreeMap<OsString, Facts>| facts.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&one), names(&other));
    for (name, facts) in &one {
        assert!(
            other[name] == *facts,
            "{name:?} differs: {:?}",
            (&other[name].mode, &other[name].time, facts.mode, facts.time)
        );
    }
}

/// All entries of `part` are in `whole` too.
#[track_caller]
pub(super) fn assert_contains(whole: &Path, part: &Path, about: &str) {
    let (whole, part) = (facts(whole, false), facts(part, false));
    for (name, facts) in &part {
        let found = whole
            .get(name)
            .unwrap_or_else(|| panic!("{about}: {name:?} is missing"));
        assert_eq!(
            (found.kind, found.mode, found.time),
            (facts.kind, facts.mode, facts.time),
            "{about}: {name:?}"
        );
        assert!(found.content == facts.content, "{about}: {name:?}");
    }
}
