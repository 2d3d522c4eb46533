//! Placeholders in paths: a source of `--copy`, or the files of `-o` and `-e`. A path with some is another one for each
//! target.

use std::collections::HashMap;
use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use crate::copy::SourcePaths;
use crate::error::Error;
use crate::error_text::printable;
use crate::output::{FilesPlace, RunInfo};
use crate::targets::{Pattern, PatternPart};

/// Replaces the placeholders of all sources of a copy.
///
/// # Errors
/// A placeholder is unknown, or a value would lead to another directory than the path names.
pub(super) fn sources(sources: &[PathBuf], info: &RunInfo) -> Result<Vec<SourcePaths>, Error> {
    let one = |source: &PathBuf| {
        let path = TargetPath::new("--copy", source)?;
        Ok(if path.pattern.has_values() {
            SourcePaths::Own(path.of_all(info)?)
        } else {
            SourcePaths::Common(path.without_values())
        })
    };
    sources.iter().map(one).collect()
}

/// Returns the place of the files of `-o` or `-e`: a directory, or with a placeholder a file for each target.
///
/// # Errors
/// The same as those of [`sources`]; or two targets would have one file.
pub(super) fn files(
    option: &'static str,
    text: &Path,
    info: &RunInfo,
) -> Result<FilesPlace, Error> {
    let path = TargetPath::new(option, text)?;
    if !path.pattern.has_values() {
        return Ok(FilesPlace::Directory(path.without_values()));
    }
    // A path that ends in a slash names a directory (POSIX), to which no output can be written.
    if text.as_os_str().as_bytes().ends_with(b"/") {
        return Err(Error::NoFileName {
            option,
            text: text.to_owned(),
        });
    }
    let paths = path.of_all(info)?;
    let mut known: HashMap<&PathBuf, usize> = HashMap::with_capacity(paths.len());
    for (index, path) in paths.iter().enumerate() {
        // Two targets with one file would overwrite each other's output.
        if let Some(other) = known.insert(path, index) {
            let label = |index: usize| info.targets[index].label.to_string();
            return Err(Error::SharedFile {
                option,
                path: path.clone(),
                labels: [label(other), label(index)],
            });
        }
    }
    Ok(FilesPlace::Each {
        pattern: text.to_owned(),
        paths: paths.into(),
    })
}

/// A path with placeholders.
struct TargetPath<'a> {
    option: &'static str,
    text: &'a Path,
    pattern: Pattern,
}

impl TargetPath<'_> {
    fn new<'a>(option: &'static str, text: &'a Path) -> Result<TargetPath<'a>, Error> {
        let pattern = Pattern::parse(text.as_os_str().as_bytes(), option);
        Ok(TargetPath {
            option,
            text,
            pattern: pattern.map_err(Error::Placeholder)?,
        })
    }

    fn without_values(&self) -> PathBuf {
        // A path without values is parsed as well, because `%%` means one percent sign.
        OsString::from_vec(self.pattern.fill(|_| "")).into()
    }

    fn of_all(&self, info: &RunInfo) -> Result<Vec<PathBuf>, Error> {
        let indices = 0..info.targets.len();
        indices.map(|index| self.of_target(index, info)).collect()
    }

    /// Returns the path for one target. Values are names of other people's hosts, so none of them may lead out of the
    /// directory in which it is.
    fn of_target(&self, index: usize, info: &RunInfo) -> Result<PathBuf, Error> {
        let mut component = Component::default();
        let mut path = Vec::new();
        for part in self.pattern.parts() {
            let text = match part {
                PatternPart::Text(text) => text,
                PatternPart::Value { field, .. } => {
                    component.has_value = true;
                    path.extend_from_slice(info.field(*field, index).as_bytes());
                    continue;
                }
            };
            for &byte in text {
                if byte == b'/' {
                    // The whole component is checked: `.` as text and `.` as a value make `..` together.
                    self.check(&component, &path, index, info)?;
                    component = Component {
                        start: path.len() + 1,
                        has_value: false,
                    };
                }
                path.push(byte);
            }
        }
        self.check(&component, &path, index, info)?;
        Ok(OsString::from_vec(path).into())
    }

    /// Checks the last component of a path.
    fn check(
        &self,
        component: &Component,
        path: &[u8],
        index: usize,
        info: &RunInfo,
    ) -> Result<(), Error> {
        let name = &path[component.start..];
        // For the kernel, NUL ends a path and a slash ends a component.
        let is_name =
            !matches!(name, b"" | b"." | b"..") && memchr::memchr2(b'/', 0, name).is_none();
        // The user may write `..`. Only values of targets must not lead anywhere else.
        if !component.has_value || is_name {
            return Ok(());
        }
        let label = info.targets.get(index).map_or("?", |target| &target.label);
        let fault = if name.is_empty() {
            "a name in it would be empty".to_owned()
        } else {
            let name = printable(&String::from_utf8_lossy(name));
            format!("{name} would lead to another directory")
        };
        Err(Error::TargetPath {
            option: self.option,
            text: self.text.to_owned(),
            label: label.to_owned(),
            fault,
        })
    }
}

/// The component of a path that is being written.
#[derive(Default)]
struct Component {
    /// Its position in the path.
    start: usize,
    /// True if a part of it is a value.
    has_value: bool,
}
