//! Placeholders in the sources of `--copy`: a path with some is another path for each target.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use crate::copy::SourcePaths;
use crate::error::Error;
use crate::error_text::printable;
use crate::output::{LabelField, RunInfo};
use crate::targets::{Diagnostic, Origin};

/// A part of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
enum PathPart {
    Text(Vec<u8>),
    Value(LabelField),
}

/// Replaces the placeholders of all sources.
///
/// # Errors
/// A placeholder is unknown, or a value would lead to another directory than the path names.
pub(super) fn expand(sources: &[PathBuf], info: &RunInfo) -> Result<Vec<SourcePaths>, Error> {
    sources
        .iter()
        .map(|source| expand_one(source, info))
        .collect()
}

fn expand_one(source: &Path, info: &RunInfo) -> Result<SourcePaths, Error> {
    let components = parse(source).map_err(Error::SourcePath)?;
    let is_value = |part: &PathPart| matches!(part, PathPart::Value(_));
    if !components.iter().flatten().any(is_value) {
        return match expand_for(&components, 0, info) {
            Ok(path) => Ok(SourcePaths::Common(path)),
            Err(fault) => Err(fault.error(source, info, 0)),
        };
    }
    let mut paths = Vec::with_capacity(info.targets.len());
    for index in 0..info.targets.len() {
        let path = expand_for(&components, index, info);
        paths.push(path.map_err(|fault| fault.error(source, info, index))?);
    }
    Ok(SourcePaths::Own(paths))
}

/// Splits a path into its components, and those into text and placeholders.
fn parse(source: &Path) -> Result<Vec<Vec<PathPart>>, Box<Diagnostic>> {
    let bytes = source.as_os_str().as_bytes();
    let mut components = vec![Vec::new()];
    let mut at = 0;
    while at < bytes.len() {
        let component = components.last_mut().expect("there is a first component");
        match bytes[at..] {
            [b'/', ..] => {
                components.push(Vec::new());
                at += 1;
            }
            [b'%', b'%', ..] => {
                push_text(component, b"%");
                at += 2;
            }
            [b'%', ref rest @ ..] => {
                let field = rest
                    .first()
                    .and_then(|letter| LabelField::of_letter(*letter));
                let Some(field) = field else {
                    return Err(unknown_placeholder(bytes, at));
                };
                component.push(PathPart::Value(field));
                at += 2;
            }
            _ => {
                let end = memchr::memchr2(b'/', b'%', &bytes[at..]);
                let end = end.map_or(bytes.len(), |length| at + length);
                push_text(component, &bytes[at..end]);
                at = end;
            }
        }
    }
    Ok(components)
}

fn push_text(component: &mut Vec<PathPart>, text: &[u8]) {
    match component.last_mut() {
        Some(PathPart::Text(last)) => last.extend_from_slice(text),
        _ => component.push(PathPart::Text(text.to_vec())),
    }
}

/// Returns an error that points at the placeholder at this position of a path.
fn unknown_placeholder(path: &[u8], at: usize) -> Box<Diagnostic> {
    // A path need not be UTF-8. The parts before and after a percent sign can be replaced apart from each other.
    let before = String::from_utf8_lossy(&path[..at]);
    let after = String::from_utf8_lossy(&path[at..]);
    let letter = after.chars().nth(1).map_or(0, char::len_utf8);
    let span = before.len()..before.len() + 1 + letter;
    Box::new(Diagnostic::new(
        &Origin::named("--copy"),
        &format!("{before}{after}"),
        span,
        "unknown placeholder",
        Some(
            "%h is the host, %l the label, %u the user, %p the port, %n the number, %% a percent sign"
                .to_owned(),
        ),
    ))
}

/// A component of a path that a value makes into something else than a name.
struct ComponentFault {
    component: Vec<u8>,
}

impl ComponentFault {
    fn error(&self, source: &Path, info: &RunInfo, index: usize) -> Error {
        let label = info.targets.get(index).map_or("?", |target| &target.label);
        let source = source.display();
        Error::Copy(if self.component.is_empty() {
            format!("cannot use --copy {source} for {label}: a name in it would be empty")
        } else {
            let component = printable(&String::from_utf8_lossy(&self.component));
            format!(
                "cannot use --copy {source} for {label}: {component} would lead to another directory"
            )
        })
    }
}

/// Returns the path for one target. Values are names of other people's hosts, so none of them may lead out of the
/// directory in which it is.
fn expand_for(
    components: &[Vec<PathPart>],
    index: usize,
    info: &RunInfo,
) -> Result<PathBuf, ComponentFault> {
    let mut path = Vec::new();
    for (number, component) in components.iter().enumerate() {
        if number > 0 {
            path.push(b'/');
        }
        let start = path.len();
        let mut has_value = false;
        for part in component {
            match part {
                PathPart::Text(text) => path.extend_from_slice(text),
                PathPart::Value(field) => {
                    has_value = true;
                    path.extend_from_slice(info.field(*field, index).as_bytes());
                }
            }
        }
        let name = &path[start..];
        let is_name =
            !matches!(name, b"" | b"." | b"..") && memchr::memchr2(b'/', 0, name).is_none();
        if has_value && !is_name {
            return Err(ComponentFault {
                component: name.to_vec(),
            });
        }
    }
    Ok(OsString::from_vec(path).into())
}
