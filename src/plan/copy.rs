//! The part of the plan about `--copy`: the snapshot of the sources, and the destination.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::target_paths;
use crate::cli::{Cli, ProtocolArg};
use crate::copy::{
    CommandStderr, CopyProtocol, CopySpec, EntryKind, MissingDirectories, Snapshots, SourcePaths,
    SourceRules,
};
use crate::error::Error;
use crate::event::Notice;
use crate::output::RunInfo;
use crate::targets::TargetVariables;
use crate::transport::StderrMode;

/// Reads the sources and decides where they go. The command of the run runs after the copy, unless it is the way to a host
/// (`-R exec`).
pub(super) fn decide(
    cli: &Cli,
    info: &RunInfo,
    has_exec: bool,
    variables: Option<TargetVariables>,
) -> Result<Option<CopySpec>, Error> {
    if cli.copy.is_empty() {
        return Ok(None);
    }
    let usage = |text: &str| Error::Copy(text.to_owned());
    let Some(destination) = &cli.dest else {
        return Err(usage("--copy needs a destination: --dest PATH"));
    };
    for (is_set, text) in [
        (
            cli.raw && cli.protocol.is_none(),
            "--copy needs a shell at the hosts, so it cannot be used with --raw",
        ),
        (
            cli.protocol.is_some() && !cli.command.is_empty() && !has_exec,
            "--protocol is for targets without a shell, so no COMMAND can follow",
        ),
        (
            cli.protocol.is_some() && cli.swap,
            "--protocol replaces each file in its place, so it cannot be used with --swap",
        ),
        (
            cli.stdin,
            "--copy sends the files through standard input, so it cannot be used with -i",
        ),
        (
            destination.starts_with("~"),
            "--dest is not expanded; a path without a leading slash is below the home directory",
        ),
        (
            destination.as_os_str().is_empty(),
            "--dest is empty; . is the home directory",
        ),
        (
            cli.swap && !matches!(&*cli.copy, [source] if ends_in_slash(source)),
            "--swap needs one source that is the content of a directory, as in --copy DIR/ --dest PATH",
        ),
        (
            cli.swap && !has_name(destination),
            "--swap needs a destination with a name, since its directory is replaced",
        ),
    ] {
        if is_set {
            return Err(usage(text));
        }
    }
    let sources = target_paths::sources(&cli.copy, info)?;
    let Destination {
        directory,
        name,
        parents,
    } = destination_of(&sources, destination, cli.parents);
    let rules = SourceRules {
        dereference: cli.dereference,
        preserve_setid: cli.preserve_setid,
        mode: cli.mode,
    };
    let snapshots = Snapshots::read(&sources, name, rules, &info.targets)?;
    if cli.protocol.is_some()
        && let Some(entry) = snapshots
            .entries()
            .find(|entry| entry.name.contains(&b'\n'))
    {
        return Err(Error::Copy(format!(
            "--protocol cannot send a name with a newline: {}",
            entry.name.escape_ascii()
        )));
    }
    Ok(Some(CopySpec {
        snapshots,
        directory,
        parents,
        owner: cli.owner.clone(),
        command: if has_exec {
            Vec::new()
        } else {
            info.command.clone()
        },
        variables,
        stderr: match cli.stderr_mode() {
            StderrMode::Separate => CommandStderr::Separate,
            StderrMode::Merge => CommandStderr::Merged,
            StderrMode::Drop => CommandStderr::Dropped,
        },
        only_changed: cli.only_changed,
        swap: cli.swap,
        check: cli.check,
        diff: cli.check && cli.diff,
        protocol: match cli.protocol {
            None => CopyProtocol::Shell,
            Some(ProtocolArg::Rcp) => CopyProtocol::Rcp,
            Some(ProtocolArg::Scp) => CopyProtocol::Scp,
        },
    }))
}

/// The destination as a directory.
struct Destination<'d> {
    directory: Vec<u8>,
    /// Name of the only source in the directory, if it is not its own.
    name: Option<&'d OsStr>,
    parents: MissingDirectories,
}

/// Decides if the destination is a directory or the name of a file.
fn destination_of<'d>(
    sources: &[SourcePaths],
    destination: &'d Path,
    all_parents: bool,
) -> Destination<'d> {
    let text = destination.as_os_str().as_bytes();
    // A name that starts with a dash would be an option over there.
    let relative = |path: &[u8]| -> Vec<u8> {
        match path {
            [b'/', ..] => path.to_vec(),
            path => [b"./", path].concat(),
        }
    };
    let is_directory = |source: &SourcePaths| source.all().iter().any(|path| path.is_dir());
    let into_directory =
        text.ends_with(b"/") || sources.len() > 1 || sources.iter().any(is_directory);
    if into_directory {
        let takes_content =
            matches!(sources, [source] if source.all().iter().all(|path| ends_in_slash(path)));
        return Destination {
            directory: relative(text),
            name: None,
            parents: match (all_parents, takes_content) {
                (true, _) => MissingDirectories::All,
                // The destination stands for the directory itself, as for rsync.
                (false, true) => MissingDirectories::Last,
                (false, false) => MissingDirectories::None,
            },
        };
    }
    let parent = destination.parent().unwrap_or(Path::new("/"));
    Destination {
        directory: match parent.as_os_str().as_bytes() {
            b"" => b".".to_vec(),
            parent => relative(parent),
        },
        name: destination.file_name(),
        parents: if all_parents {
            MissingDirectories::All
        } else {
            MissingDirectories::None
        },
    }
}

/// Returns true if the last part of a path is the name of an entry.
fn has_name(path: &Path) -> bool {
    let text = path.as_os_str().as_bytes();
    let last = text
        .split(|&byte| byte == b'/')
        .rfind(|part| !part.is_empty());
    !matches!(last, None | Some(b"." | b".."))
}

fn ends_in_slash(path: &Path) -> bool {
    path.as_os_str().as_bytes().ends_with(b"/")
}

/// Returns a notice about sources that are not copied, if there are any.
pub(super) fn notice(spec: &CopySpec) -> Option<Notice> {
    let skipped = &spec.snapshots.skipped;
    let (kind, first) = skipped.first()?;
    let others = match skipped.len() {
        1 => String::new(),
        n => format!(" and {} more", n - 1),
    };
    Some(Notice {
        verbose: false,
        text: format!(
            "not copied, since it is not a file, directory or link ({kind}): {}{others}",
            first.display()
        ),
    })
}

/// Returns a notice about symbolic links, if the protocol has none.
pub(super) fn link_notice(spec: &CopySpec) -> Option<Notice> {
    if spec.protocol == CopyProtocol::Shell {
        return None;
    }
    let entries = spec.snapshots.entries();
    let links = entries.filter(|entry| matches!(entry.kind, EntryKind::Link(_)));
    let text = match links.count() {
        0 => return None,
        1 => "not copied, since --protocol has no symbolic links: 1 link".to_owned(),
        n => format!("not copied, since --protocol has no symbolic links: {n} links"),
    };
    Some(Notice {
        verbose: false,
        text,
    })
}
