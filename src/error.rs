//! What keeps a run from starting. A host's failure is never one of these.

use std::ffi::OsString;
use std::io;
use std::path::PathBuf;

use crate::cli::usage;
use crate::config::ConfigError;
use crate::targets::nodeset::Fault;
use crate::targets::{Diagnostic, TargetError};
use crate::trusted;

/// A set-up failure; the program ends with status 2 before any connection.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The targets could not be made out.
    #[error(transparent)]
    Targets(#[from] TargetError),
    /// Groups cannot be read.
    #[error(transparent)]
    Groups(#[from] crate::targets::nodeset::GroupError),
    /// A group's definition cannot be understood.
    #[error(transparent)]
    Group(Fault),
    /// A word that should name hosts is not text.
    #[error("{word:?} names no hosts: it is not UTF-8")]
    NotText {
        /// As far as it can be shown.
        word: String,
    },
    /// The configuration, or the command line.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Standard output is closed.
    #[error("cannot write to standard output: it is closed")]
    NoOutput,
    /// Two reports want standard output for themselves.
    #[error("--json and --failed-to - cannot both have standard output; give --failed-to a file")]
    OneStandardOutput,
    /// Standard input cannot be both the targets and what the commands read.
    #[error("-i sends standard input to the commands, so the targets cannot come from there too")]
    OneStandardInput,
    /// What the commands are to read cannot be read here.
    #[error("standard input: {0}")]
    Input(std::sync::Arc<crate::transport::input::InputError>),
    /// The form of labels makes no sense.
    #[error("{0}")]
    Label(Box<Diagnostic>),
    /// A setting for ssh where a directory is named.
    #[error("-o {setting}: this is a setting of ssh_config(5)")]
    SettingAsDirectory {
        /// As typed.
        setting: String,
    },
    /// No command was given.
    #[error("no command: mrsh [OPTIONS] COMMAND...; see mrsh --help")]
    NoCommand,
    /// The command cannot be sent.
    #[error("the command contains a NUL byte, which no shell can take")]
    CommandHasNul,
    /// The command cannot be run by any Linux host.
    #[error("the command is too long: {length} bytes as sent, {most} at most; put it in a script")]
    CommandTooLong {
        /// Its length with the wrapper, in bytes.
        length: usize,
        /// What execve takes.
        most: usize,
    },
    /// A `%` in a local command that stands for nothing.
    #[error(transparent)]
    Template(#[from] crate::transport::exec::UnknownLetter),
    /// The program of a local command is not there.
    #[error("there is no program {program:?}{}", if *shell { "; for a line of shell write sh -c 'LINE'" } else { "" })]
    NoProgram {
        /// As given.
        program: String,
        /// Whether it looks like a line of shell.
        shell: bool,
    },
    /// What ssh needs is not to be had.
    #[error(transparent)]
    Ssh(#[from] crate::transport::ssh::SshError),
    /// What ssh's configuration says of a target cannot be done.
    #[error("{label}: {}", fault.one_line())]
    SshTarget {
        /// The target.
        label: String,
        /// With its file and line.
        fault: crate::transport::ssh::config::ConfigError,
    },
    /// A target that cannot be reached as its inventory says.
    #[error("{label}: {reason}")]
    Inventory {
        /// The target.
        label: String,
        /// With its file and line.
        reason: String,
    },
    /// A key that was asked for by name and is not there.
    #[error("cannot read the key {}", file.display())]
    Identity {
        /// Its file.
        file: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A password where the transport asks for its own.
    #[error("{option} is for -R ssh; the system's ssh asks for what it needs itself")]
    NoPassword {
        /// As typed.
        option: &'static str,
    },
    /// A user name that cannot be sent.
    #[error("{name:?} is not a user name")]
    UserName {
        /// As given.
        name: String,
    },
    /// A user or a host that a shell could take for something else.
    #[error("cannot use the {what} {name:?} of {labels}: {fault}, and a shell may read it")]
    RemoteName {
        /// The kind of name.
        what: &'static str,
        /// As given.
        name: String,
        /// The targets that have it, folded.
        labels: String,
        /// The fault.
        fault: String,
    },
    /// The caller has no name to tell the daemons.
    #[error("uid {uid} has no name in the password database, and rsh needs one")]
    NoUserName {
        /// The real user id.
        uid: u32,
    },
    /// A port that is not rshd's, with a right to source ports that is the program's and not the
    /// caller's.
    #[error(
        "{label}: with the program's own right to reserved source ports only rshd's port 514 can be called, \
         not {port}; use --source-ports any"
    )]
    RemotePort {
        /// The target.
        label: String,
        /// As asked for.
        port: u16,
    },
    /// Binding the source ports is not allowed.
    #[error(
        "not allowed to use source ports {range}, which rshd demands: run as root, or once as root \
         'setcap cap_net_bind_service+ep {}', or for daemons that do not check: --source-ports any",
        program.display()
    )]
    NoRightToBind {
        /// As `512-1023`.
        range: String,
        /// This program's file.
        program: PathBuf,
    },
    /// Binding source ports below those that rshd trusts is not allowed, with or without a right that the
    /// program's file lends.
    #[error(
        "not allowed to use source ports {range}: the program's own right is to 512-1023; run as root, or \
         leave out --source-ports"
    )]
    NoRightToBindOutside {
        /// As `1-511`.
        range: String,
    },
    /// Every port of the range is one that others need.
    #[error("no usable source port in {range}: all are wanted by others (see mrsh --ports)")]
    NoPorts {
        /// As `512-515`.
        range: String,
    },
    /// The listener for call-backs would take the only port.
    #[error(
        "cannot use source ports {range}: separate standard error needs at least 2, one to listen on for the \
         daemons' call-backs and one to connect from; use --stderr merge or a larger range"
    )]
    TooFewPorts {
        /// As `700-700`.
        range: String,
    },
    /// Something of the system that the run needs.
    #[error("cannot {what}")]
    System {
        /// As in "cannot …".
        what: &'static str,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// The text of an error without the system's numbers, as in `(os error 2)`: the words say the same.
pub(crate) fn plain(error: &dyn std::fmt::Display) -> String {
    let mut text = error.to_string();
    without_numbers(&mut text);
    text
}

/// Returns the text of an error with its causes, on one line.
pub(crate) fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let cause_text = error.to_string();
        // Some errors of other crates have the text of their cause in their own.
        if !text.ends_with(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        cause = error.source();
    }
    text
}

/// Removes the system's numbers of errors from a text.
pub(crate) fn without_numbers(text: &mut String) {
    const START: &str = " (os error ";
    let mut from = 0;
    while let Some(at) = text[from..].find(START).map(|at| from + at) {
        let number = &text[at + START.len()..];
        let digits = number.bytes().take_while(u8::is_ascii_digit).count();
        if digits > 0 && number[digits..].starts_with(')') {
            text.replace_range(at..at + START.len() + digits + 1, "");
        } else {
            from = at + START.len();
        }
    }
}

impl From<Fault> for Error {
    fn from(fault: Fault) -> Error {
        match Diagnostic::of_definition(&fault) {
            Some(diagnostic) => Error::Targets(diagnostic.into()),
            None => Error::Group(fault),
        }
    }
}

impl Error {
    /// Returns what to do about it, where the message itself has no help. `args` are the words of the command line.
    #[must_use]
    pub fn help(&self, args: &[OsString]) -> Option<String> {
        match self {
            Error::Targets(TargetError::Read { name, source })
                if source.kind() == io::ErrorKind::NotFound =>
            {
                match name.bytes().all(|b| b.is_ascii_digit()) {
                    true => Some(format!("-f names a hosts file; the fan-out is -j {name}")),
                    false => usage::grouped(args, 'f', name),
                }
            }
            Error::Config(ConfigError::Read { source, .. }) => {
                trusted::help(source).map(str::to_owned)
            }
            Error::NoOutput => Some("to drop the output, write >/dev/null".to_owned()),
            Error::Groups(error) => error.help(),
            Error::Group(fault) => fault.help(),
            Error::Inventory { label, .. } => Some(format!("leave it out with -x {label}")),
            Error::SettingAsDirectory { setting } => Some(format!(
                "-o names a directory for output; a setting for ssh is --ssh-option {setting}"
            )),
            _ => None,
        }
    }

    /// Makes a [`Error::System`] of an I/O error.
    pub(crate) fn system(what: &'static str) -> impl FnOnce(io::Error) -> Error {
        move |source| Error::System { what, source }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_come_without_numbers() {
        let missing = io::Error::from_raw_os_error(2);
        assert_eq!(plain(&missing), "No such file or directory");
        let text = format!("a: {missing}; b: {missing} (os error x) (os error 7");
        assert_eq!(
            plain(&text),
            "a: No such file or directory; b: No such file or directory (os error x) (os error 7"
        );
    }
}
