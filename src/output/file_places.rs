//! Places of the files of `-o` and `-e`: a directory with a file for each label, or a path with placeholders.
//!
//! All files of both options differ. Otherwise output would be lost, so two targets with one file are an error before
//! the first connection.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{OFlags, fstat};

use super::RunInfo;
use super::output_path::{self, OutputPath};
use super::replaced::failed;
use crate::event::Stream;
use crate::targets::TargetId;

/// Places of the files.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FilesSpec {
    /// The place for standard output (`-o`).
    pub output: Option<FilesPlace>,
    /// The place for standard error (`-e`).
    pub errors: Option<FilesPlace>,
    /// True to append to files of an earlier run.
    pub append: bool,
}

/// Place of the files of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FilesPlace {
    /// A directory, in which files are named after labels.
    Directory(PathBuf),
    /// A file for each target.
    Each {
        /// The path with its placeholders, for messages.
        pattern: PathBuf,
        /// The path for each target, indexed by [`TargetId`]. All of them differ.
        paths: Arc<[PathBuf]>,
    },
}

impl FilesSpec {
    /// Returns the place of the files for a stream as it was given, if it goes to files.
    pub(super) fn place(&self, stream: Stream) -> Option<&Path> {
        let place = match stream {
            Stream::Stdout => &self.output,
            Stream::Stderr => &self.errors,
        };
        place.as_ref().map(|place| match place {
            FilesPlace::Directory(path) => path.as_path(),
            FilesPlace::Each { pattern, .. } => pattern,
        })
    }
}

/// A directory of files.
#[derive(Debug)]
pub(super) struct OutputDirectory {
    path: PathBuf,
    directory: OwnedFd,
}

impl OutputDirectory {
    fn make(path: &Path) -> io::Result<OutputDirectory> {
        let directory = output_path::make_directory(path);
        Ok(OutputDirectory {
            path: path.to_owned(),
            directory: directory.map_err(|error| failed("make the directory", path, &error))?,
        })
    }

    fn is(&self, other: &OutputDirectory) -> io::Result<bool> {
        // Device and inode identify a directory, whatever links its paths have.
        let [one, two] = [&self.directory, &other.directory].map(fstat);
        let (one, two) = (one?, two?);
        Ok((one.st_dev, one.st_ino) == (two.st_dev, two.st_ino))
    }
}

/// The files of a stream.
#[derive(Debug)]
pub(super) enum StreamFiles {
    Directory(OutputDirectory),
    Each(Arc<[PathBuf]>),
}

impl StreamFiles {
    /// Makes the directories.
    pub(super) fn make(place: &FilesPlace) -> io::Result<StreamFiles> {
        let paths = match place {
            FilesPlace::Directory(path) => {
                return OutputDirectory::make(path).map(StreamFiles::Directory);
            }
            FilesPlace::Each { paths, .. } => paths,
        };
        let mut made = Path::new("");
        for path in &**paths {
            let parent = path.parent().unwrap_or(made);
            // Most patterns have one directory for all targets.
            // A bare file name has an empty parent, which is no path (path_resolution(7)).
            if parent != made && !parent.as_os_str().is_empty() {
                OutputDirectory::make(parent)?;
            }
            made = parent;
        }
        Ok(StreamFiles::Each(Arc::clone(paths)))
    }

    pub(super) fn path(&self, target: TargetId, info: &RunInfo) -> PathBuf {
        match self {
            StreamFiles::Directory(directory) => directory.path.join(file_name(info.label(target))),
            StreamFiles::Each(paths) => paths[target.index()].clone(),
        }
    }

    fn find(&self, target: TargetId, info: &RunInfo) -> io::Result<OutputPath> {
        match self {
            StreamFiles::Directory(directory) => {
                // By the descriptor: other users may have replaced a directory of the path meanwhile.
                output_path::find_in(&directory.directory, &file_name(info.label(target)))
            }
            StreamFiles::Each(paths) => output_path::find(&paths[target.index()]),
        }
    }

    /// Opens the file of a target. `verb` is for the message of an error.
    pub(super) fn open(
        &self,
        verb: &str,
        target: TargetId,
        info: &RunInfo,
        flags: OFlags,
    ) -> io::Result<File> {
        let opened = self
            .find(target, info)
            .and_then(|place| place.open(flags | OFlags::WRONLY | OFlags::CREATE));
        opened.map_err(|error| failed(verb, &self.path(target, info), &error))
    }
}

/// Returns the targets of a run.
pub(super) fn target_ids(info: &RunInfo) -> impl Iterator<Item = TargetId> {
    (0..)
        .zip(&*info.targets)
        .map(|(number, _)| TargetId(number))
}

/// Checks that output and errors share no file.
pub(super) fn check_streams(
    output: &StreamFiles,
    errors: &StreamFiles,
    info: &RunInfo,
) -> io::Result<()> {
    // Names in a directory depend on the labels alone, so two directories share all files or none.
    if let (StreamFiles::Directory(output), StreamFiles::Directory(errors)) = (output, errors) {
        return if output.is(errors)? {
            Err(io::Error::other(format!(
                "-o and -e both name {}: output and errors would share a file",
                output.path.display()
            )))
        } else {
            Ok(())
        };
    }
    // Device and inode identify a directory, whatever links its paths have.
    let key = |files: &StreamFiles, target: TargetId| -> io::Result<(u64, u64, OsString)> {
        let cannot = |error| failed("make", &files.path(target, info), &error);
        let place = files.find(target, info).map_err(cannot)?;
        let directory = fstat(&place.directory)?;
        Ok((directory.st_dev, directory.st_ino, place.name))
    };
    let mut known = HashMap::with_capacity(info.targets.len());
    for target in target_ids(info) {
        known.insert(key(output, target)?, target);
    }
    for target in target_ids(info) {
        if let Some(other) = known.get(&key(errors, target)?) {
            return Err(io::Error::other(format!(
                "-o for {} and -e for {} both name {}: output and errors would share a file",
                info.label(*other),
                info.label(target),
                errors.path(target, info).display()
            )));
        }
    }
    Ok(())
}

/// Checks that no two targets share a file. Different labels have different files, but two hosts can have one label.
pub(super) fn check_labels(info: &RunInfo) -> io::Result<()> {
    let mut hosts = HashMap::with_capacity(info.targets.len());
    for target in &*info.targets {
        if let Some(other) = hosts.insert(&target.label, &target.host) {
            return Err(io::Error::other(format!(
                "{other} and {} would both write to a file named {}: give them labels of their own \
                 (label= in a hosts file)",
                target.host,
                file_name(&target.label)
            )));
        }
    }
    Ok(())
}

/// Returns the name of a file or directory for each target, in the order of the targets.
///
/// # Errors
/// Two targets have the same label; the message names them.
pub fn host_names(info: &RunInfo) -> io::Result<Vec<String>> {
    check_labels(info)?;
    let labels = info.targets.iter().map(|target| file_name(&target.label));
    Ok(labels.collect())
}

/// Returns the name of a label's file: the label with a code such as `%2F` for each slash, for a dot at the start,
/// for control characters, and for a percent sign that looks like the start of a code. Different labels have
/// different names. No name leads out of the directory, and none is hidden in it.
fn file_name(label: &str) -> String {
    let mut name = String::with_capacity(label.len());
    for (at, c) in label.char_indices() {
        // Codes have upper-case digits, so a percent sign before lower-case ones needs no code.
        let code = |byte: u8| byte.is_ascii_digit() || (b'A'..=b'F').contains(&byte);
        let looks_coded = || {
            let next = label.as_bytes().get(at + 1..at + 3);
            next.is_some_and(|next| next.iter().copied().all(code))
        };
        let is_plain = match c {
            // A slash would lead out of the directory.
            '/' => false,
            // A dot at the start would hide the file, and `..` is a directory.
            '.' => at > 0,
            // Other percent signs stay, so that names remain readable.
            '%' => !looks_coded(),
            // Control characters could change the terminal of a user who lists the directory.
            c => !c.is_control(),
        };
        if is_plain {
            name.push(c);
        } else {
            for byte in c.encode_utf8(&mut [0; 4]).bytes() {
                name.push_str(&format!("%{byte:02X}"));
            }
        }
    }
    name
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_are_safe() {
        for (label, name) in [
            ("node1", "node1"),
            ("Node1", "Node1"),
            ("root@[::1]:514", "root@[::1]:514"),
            ("../x", "%2E.%2Fx"),
            (".", "%2E"),
            ("a.b", "a.b"),
            ("fe80::1%eth0", "fe80::1%eth0"),
            ("a%2Fb", "a%252Fb"),
            ("a\u{9b}", "a%C2%9B"),
        ] {
            assert_eq!(file_name(label), name);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]

        #[test]
        fn names_are_distinct(labels in prop::collection::hash_set("[%/.\u{1}a2F]{1,6}", 1..40)) {
            let names: HashSet<String> = labels.iter().map(|label| file_name(label)).collect();
            prop_assert_eq!(names.len(), labels.len());
            for name in names {
                let unsafe_name = name.starts_with('.') || name.contains(['/', '\u{1}']);
                prop_assert!(!unsafe_name);
            }
        }
    }
}
