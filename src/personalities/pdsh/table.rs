//! The table of `-q` and `-Q`: the settings of a run that does not take place.

use std::env;
use std::ffi::OsString;
use std::fmt::Write;
use std::path::{Path, PathBuf};

use super::hosts::PdshHostList;
use super::messages::PdshCaller;
use super::options::PdshSettings;

/// Returns the table. `rcmd` is the name of the way to hosts that have none of their own.
pub(super) fn table(
    settings: &PdshSettings,
    hosts: &PdshHostList,
    rcmd: &str,
    local_user: &str,
    caller: &PdshCaller,
) -> String {
    let yes = |value: bool| if value { "Yes" } else { "No" };
    let mut text = String::new();
    let mut line = |line: String| {
        // A write to a string cannot fail.
        let _ = writeln!(text, "{line}");
    };
    let path = program_path(&caller.path);
    let path = path.as_deref().map_or("none".into(), Path::to_string_lossy);
    let joined = |words: &[OsString], separator: &str| {
        let words: Vec<_> = words.iter().map(|word| word.to_string_lossy()).collect();
        words.join(separator)
    };
    if caller.is_dsh() {
        let dshpath = settings.path_command.as_deref().unwrap_or("none");
        let command = match &*settings.words {
            [] => "none".to_owned(),
            words => joined(words, " "),
        };
        line("-- DSH-specific options --".to_owned());
        line("Separate stderr/stdout\tYes".to_owned());
        line(format!("Path prepended to cmd\t{dshpath}"));
        line("Appended to cmd         none".to_owned());
        line(format!("Command:\t\t{command}"));
    } else {
        let (files, destination) = match &*settings.words {
            [files @ .., destination] => (joined(files, ", "), destination.to_string_lossy()),
            [] => (String::new(), "none".into()),
        };
        line("-- PCP-specific options --".to_owned());
        line(format!("Infile(s)\t\t{files}"));
        line(format!("Outfile\t\t\t{destination}"));
        line(format!("Recursive\t\t{}", yes(settings.recursive)));
        line(format!(
            "Preserve mod time/mode\t{}",
            yes(settings.preserve)
        ));
    }
    let remote_path = settings.remote_program.as_deref().unwrap_or(&path);
    let user = settings.user.as_deref().unwrap_or(local_user);
    line(format!("Full program pathname\t{path}"));
    line(format!("Remote program path\t{remote_path}"));
    line("\n-- Generic options --".to_owned());
    line(format!("Local username\t\t{local_user}"));
    line(format!("Local uid     \t\t{}", uzers::get_current_uid()));
    line(format!("Remote username\t\t{user}"));
    line(format!("Rcmd type\t\t{rcmd}"));
    line(format!("one ^C will kill pdsh   {}", yes(settings.batch)));
    line(format!(
        "Connect timeout (secs)\t{}",
        settings.connect_timeout
    ));
    line(format!(
        "Command timeout (secs)\t{}",
        settings.command_timeout
    ));
    line(format!("Fanout\t\t\t{}", settings.fanout));
    line(format!("Display hostname labels\t{}", yes(settings.labels)));
    line(format!("Debugging       \t{}", yes(settings.debug)));
    line("\n-- Target nodes --".to_owned());
    line(if settings.expanded {
        hosts.expanded()
    } else {
        hosts.folded()
    });
    text
}

/// Returns the path of the program, which PATH leads to if the name has no slash.
pub(super) fn program_path(name: &str) -> Option<PathBuf> {
    let current = env::current_dir().ok()?;
    if name.starts_with('/') {
        return Some(name.into());
    }
    if name.starts_with('.') || name.contains('/') {
        return Some(current.join(name));
    }
    let path = env::var_os("PATH")?;
    let mut found = env::split_paths(&path)
        .filter(|folder| !folder.as_os_str().is_empty())
        .map(|folder| current.join(folder).join(name));
    found.find(|file| file.exists())
}
