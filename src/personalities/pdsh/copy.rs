//! pdcp and rpdcp over `--copy` and `--fetch`.
//!
//! pdcp decides at the far side if the destination is a directory, so the files go to a program over there that speaks
//! the protocol of rcp: pdcp, or else scp or rcp. rpdcp needs only a shell over there. Its files arrive in a directory
//! of their own, and get their names with the host afterwards.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process;
use std::time::SystemTime;

use super::hosts::PdshHostList;
use super::messages::{Ended, PdshCaller, Program};
use super::modules::Rcmd;
use super::options::PdshSettings;
use super::rcmd::PdshCommand;
use super::start::{cli, plan};
use super::table::program_path;
use crate::cli::{Cli, ProtocolArg};
use crate::copy::{CopyProtocol, RcpSink};
use crate::error::Error;
use crate::exit::ExitStatus;
use crate::setup;

/// Maximum size of the files of one host for rpdcp, which knows no limit.
const MAX_SIZE: usize = usize::MAX >> 1;

/// Returns the faults of the paths.
pub(super) fn faults(settings: &PdshSettings, caller: &PdshCaller) -> Vec<String> {
    let [files @ .., destination] = &*settings.words else {
        return vec!["pcp requires source and dest filenames".to_owned()];
    };
    if files.is_empty() {
        return vec!["pcp requires source and dest filenames".to_owned()];
    }
    let mut faults = Vec::new();
    // The files of rpdcp are on the hosts, so only the destination can be checked here.
    if caller.program == Program::ReversePcp {
        let name = destination.display();
        match fs::metadata(destination) {
            Ok(found) if found.is_dir() => {}
            Ok(_) => faults.push("reverse copy dest must be a directory".to_owned()),
            Err(_) => faults.push(format!("can't stat {name}")),
        }
        return faults;
    }
    for file in files {
        let name = file.display();
        match fs::metadata(file) {
            Err(_) => faults.push(format!("can't stat {name}")),
            Ok(found) if found.is_file() || (found.is_dir() && settings.recursive) => {}
            Ok(found) if found.is_dir() => {
                faults.push(format!("use -r to copy directories: {name}"));
                break;
            }
            Ok(_) => {
                faults.push(format!("not a regular file or directory: {name}"));
                break;
            }
        }
    }
    faults
}

/// Copies files to the hosts, or from them.
///
/// # Errors
/// The plan or the set-up failed; no host has been contacted.
pub(super) fn run(
    settings: &PdshSettings,
    hosts: &PdshHostList,
    local_user: &str,
    caller: &PdshCaller,
) -> Result<ExitStatus, Ended> {
    let Some((destination, files)) = settings.words.split_last() else {
        return Err(caller.ended("pcp requires source and dest filenames"));
    };
    if caller.program == Program::ReversePcp {
        return fetch(settings, hosts, files, destination, local_user, caller);
    }
    let cli = Cli {
        copy: files.iter().map(|file| source(file)).collect(),
        // The far side knows the destination.
        dest: Some("./".into()),
        // The protocol of rcp has no record for a link, so pdcp sends the file that the link names.
        dereference: true,
        protocol: Some(ProtocolArg::Rcp),
        ..cli(settings, hosts)?
    };
    let (mut plan, rcmds) = plan(settings, hosts, PdshCommand::Copy, cli, local_user, caller)?;
    let has_ssh = rcmds.contains(&Rcmd::Ssh);
    let command = far_command(settings, files.len(), destination, has_ssh, caller);
    if let Some(spec) = &mut plan.copy {
        spec.directory = destination.as_bytes().to_owned();
        spec.protocol = CopyProtocol::Sink(RcpSink {
            command,
            preserve: settings.preserve,
        });
    }
    Ok(setup::run(*plan)?)
}

/// Returns a source of `--copy`, which has placeholders, and for which a slash at the end has a meaning.
fn source(file: &OsStr) -> PathBuf {
    let mut bytes = Vec::with_capacity(file.len());
    for &byte in file.as_bytes() {
        bytes.push(byte);
        // `--copy` replaces placeholders in its source. pdcp has none in names of files.
        if byte == b'%' {
            bytes.push(byte);
        }
    }
    // With a slash, `--copy` sends only the content of a directory. pdcp sends the directory itself.
    while bytes.len() > 1 && bytes.ends_with(b"/") {
        bytes.pop();
    }
    OsString::from_vec(bytes).into()
}

/// Returns the command of the far side. Without `-e` it is pdcp in the same place as here, or else scp or rcp.
fn far_command(
    settings: &PdshSettings,
    files: usize,
    destination: &OsStr,
    has_ssh: bool,
    caller: &PdshCaller,
) -> Vec<u8> {
    let mut letters = String::new();
    for (is_set, text) in [
        (settings.recursive, " -r"),
        (settings.preserve, " -p"),
        // pdcp counts the files below a directory, too. Several files need a directory as destination.
        (
            files > 1 || settings.recursive && has_several(settings),
            " -y",
        ),
    ] {
        if is_set {
            letters.push_str(text);
        }
    }
    let with_destination = |text: String| [text.as_bytes(), destination.as_bytes()].concat();
    if let Some(program) = &settings.remote_program {
        return with_destination(format!("{program}{letters} -z "));
    }
    let path = program_path(&caller.path).unwrap_or_else(|| caller.path.clone().into());
    let path = path.display();
    // Both programs take directories only with -r. In scp, -d is the -y of pdcp.
    let other = if has_ssh { "scp" } else { "rcp" };
    let other_letters = letters.replace(" -y", " -d");
    // Every login shell understands this line, csh as well.
    let first = with_destination(format!("test -x {path} && exec {path}{letters} -z "));
    let second = with_destination(format!(" || exec {other}{other_letters} -t "));
    [first, second].concat()
}

/// True if a directory has entries, for which pdcp announces that its destination is a directory.
fn has_several(settings: &PdshSettings) -> bool {
    let files = settings
        .words
        .split_last()
        .map_or(&[][..], |(_, files)| files);
    files.iter().any(|file| Path::new(file).is_dir())
}

/// Fetches files into a directory of their own, and gives them their names.
fn fetch(
    settings: &PdshSettings,
    hosts: &PdshHostList,
    files: &[OsString],
    destination: &OsStr,
    local_user: &str,
    caller: &PdshCaller,
) -> Result<ExitStatus, Ended> {
    let mut hosts = hosts.clone();
    // Two copies of a host would write the same files.
    let mut known = std::collections::HashSet::new();
    hosts = PdshHostList::of(
        hosts
            .names()
            .iter()
            .filter(|name| known.insert((*name).clone()))
            .cloned()
            .collect(),
    );
    let failed = |error: io::Error| caller.file_error(&destination.to_string_lossy(), &error);
    // In the destination, so that the files are renamed within their file system.
    let folder = tempfile::Builder::new()
        .prefix(".rpdcp-")
        .tempdir_in(destination)
        .map_err(failed)?;
    let cli = Cli {
        fetch: files.iter().map(PathBuf::from).collect(),
        dest: Some(folder.path().to_owned()),
        max_size: MAX_SIZE,
        ..cli(settings, &hosts)?
    };
    let (mut plan, _) = plan(settings, &hosts, PdshCommand::Copy, cli, local_user, caller)?;
    if let Some(spec) = &mut plan.fetch {
        // Labels may repeat, hosts do not.
        spec.directories = (0..hosts.len()).map(|index| index.to_string()).collect();
    }
    let status = setup::run(*plan)?;
    for (index, host) in hosts.names().iter().enumerate() {
        let from = folder.path().join(index.to_string());
        for name in files {
            place(settings, &from, name, Path::new(destination), host, caller);
        }
    }
    Ok(status)
}

/// Moves a fetched file to its name, with the host at its end.
fn place(
    settings: &PdshSettings,
    from: &Path,
    name: &OsStr,
    destination: &Path,
    host: &str,
    caller: &PdshCaller,
) {
    // A path is below the directory of its host, and a name with wildcards may stand for several.
    let relative = Path::new(name);
    let relative = relative.strip_prefix("/").unwrap_or(relative);
    let found = [from.join(relative)];
    let Some(file_name) = relative.file_name() else {
        return;
    };
    for path in found.iter().filter(|path| path.exists()) {
        let mut new_name = file_name.to_owned();
        new_name.push(".");
        new_name.push(host);
        let to = destination.join(new_name);
        // Only the host knows the kind of the path, so `-r` is checked after the transfer.
        if path.is_dir() && !settings.recursive {
            let name = name.display();
            caller.say(&format!(
                "{host}: error: use -r to copy directories: {name}"
            ));
            continue;
        }
        let moved = prepare(path, settings.preserve).and_then(|()| move_to(path, &to));
        if let Err(error) = moved {
            let to = to.display();
            caller.say(&format!(
                "{host}: error: {to}: {}",
                crate::error_text::plain(&error)
            ));
        }
    }
}

/// Gives a file the mode and the time of a new file, unless `-p` keeps its own.
fn prepare(path: &Path, preserve: bool) -> io::Result<()> {
    if preserve {
        return Ok(());
    }
    let found = fs::symlink_metadata(path)?;
    // chmod(2) follows links: a link of a host could change a file outside of this folder.
    if found.is_symlink() {
        return Ok(());
    }
    if found.is_dir() {
        for entry in fs::read_dir(path)? {
            prepare(&entry?.path(), preserve)?;
        }
    }
    // Without `-p`, rcp gives a new file the mode of its source, limited by the umask.
    let mode = found.permissions().mode() & !umask();
    if found.is_file() {
        fs::File::open(path)?.set_modified(SystemTime::now())?;
    }
    fs::set_permissions(path, fs::Permissions::from_mode(mode))
}

/// Returns the mask for the modes of new files, which only a change shows.
fn umask() -> u32 {
    let mask = rustix::process::umask(rustix::fs::Mode::empty());
    rustix::process::umask(mask);
    mask.bits()
}

/// Moves a file or a directory. A directory that exists gets the content.
fn move_to(from: &Path, to: &Path) -> io::Result<()> {
    if from.is_dir() && to.is_dir() {
        for entry in fs::read_dir(from)? {
            let entry = entry?;
            move_to(&entry.path(), &to.join(entry.file_name()))?;
        }
        return Ok(());
    }
    fs::rename(from, to)
}

/// Becomes the far side of a copy (`-z`): a program that speaks the same protocol. Returns only if there is none.
pub(super) fn far_side(letter: char, settings: &PdshSettings, caller: &PdshCaller) -> Ended {
    if letter != 'z' {
        return caller.ended(format!(
            "-{letter} is not available: rpdcp needs only a shell here"
        ));
    }
    let Some((destination, [])) = settings.words.split_last() else {
        return caller.ended("output file must be specified with pcp server");
    };
    let mut error = io::Error::from(io::ErrorKind::NotFound);
    for program in ["scp", "rcp"] {
        let mut command = process::Command::new(program);
        for (is_set, letter) in [
            (settings.recursive, "-r"),
            (settings.preserve, "-p"),
            (settings.takes_directory, "-d"),
        ] {
            if is_set {
                command.arg(letter);
            }
        }
        // exec(3) returns only if the program could not be started.
        error = command.arg("-t").arg(destination).exec();
    }
    Error::system("start scp or rcp")(error).into()
}
