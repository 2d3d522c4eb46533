//! Set-up errors, which keep a run from starting. The failure of a target is never one of them.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

use crate::cli::usage;
use crate::config::{ResumeError, SettingsError};
use crate::copy::SnapshotError;
use crate::journal::{JournalFault, ReadFault};
use crate::script::ScriptFault;
use crate::targets::{Diagnostic, DownError, RSH_PORT, TargetError, group_help, help};
use nodeset::Fault;

/// A set-up error. The program ends with status 2 before any connection.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The options of a copy contradict each other.
    #[error("{0}")]
    Copy(String),
    /// The change of the user, or the terminal, is not possible.
    #[error("{text}")]
    UserChange {
        /// The message.
        text: String,
        /// The action that helps, if there is one.
        help: Option<&'static str>,
    },
    /// A placeholder is unknown, or the format of labels is wrong.
    #[error("{0}")]
    Placeholder(Box<Diagnostic>),
    /// The value of a placeholder makes something else of a name in a path.
    #[error("cannot use {option} {} for {label}: {fault}", text.display())]
    TargetPath {
        /// The option.
        option: &'static str,
        /// Its value.
        text: PathBuf,
        /// The target.
        label: String,
        /// The fault of the name.
        fault: String,
    },
    /// A path for the files of all targets names a directory.
    #[error("cannot use {option} {}: with a placeholder it names files, and it ends in a slash", text.display())]
    NoFileName {
        /// The option.
        option: &'static str,
        /// Its value.
        text: PathBuf,
    },
    /// Two targets would have one file.
    #[error("cannot use {option}: {} would be the file of both {} and {}", path.display(), labels[0], labels[1])]
    SharedFile {
        /// The option.
        option: &'static str,
        /// The file.
        path: PathBuf,
        /// The targets.
        labels: [String; 2],
    },
    /// The sources of a copy cannot be used.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    /// The destination of fetched files cannot be used.
    #[error("cannot open the destination {}: {source}", path.display())]
    FetchDestination {
        /// The destination.
        path: PathBuf,
        /// The error of the system.
        source: io::Error,
    },
    /// The journal cannot be used.
    #[error("cannot use the journal {}: {fault}", path.display())]
    Journal {
        /// The path.
        path: PathBuf,
        /// The cause.
        fault: JournalFault,
    },
    /// The line of `--resume` contradicts the journal.
    #[error(transparent)]
    Resume(ResumeError),
    /// A word of a recorded command line is wrong.
    #[error("cannot resume the run: a word of its command line has no meaning")]
    RecordedWord,
    /// The run was started in another directory.
    #[error("cannot resume the run here: it was started in {}", directory.display())]
    OtherDirectory {
        /// The directory.
        directory: PathBuf,
    },
    /// The run was started by another user.
    #[error("cannot resume the run: it was started by the user {user}")]
    OtherUser {
        /// The user.
        user: String,
    },
    /// Standard input is not that of the run.
    #[error("cannot resume the run: standard input has another content than at its start")]
    OtherInput,
    /// The script is not that of the run.
    #[error("cannot resume the run: the script has another content than at its start")]
    OtherScript,
    /// A target has another endpoint than in the journal.
    #[error(
        "cannot resume the run: {label} was {recorded}, and is {now} by the configuration of now"
    )]
    OtherEndpoint {
        /// The target.
        label: String,
        /// The endpoint in the journal.
        recorded: String,
        /// The endpoint now.
        now: String,
    },
    /// The targets are wrong.
    #[error(transparent)]
    Targets(#[from] TargetError),
    /// The hosts that are down are unknown.
    #[error(transparent)]
    Down(#[from] DownError),
    /// `--skip-down` leaves out every target.
    #[error("no targets: all are left out by --skip-down: {targets}")]
    AllDown {
        /// The targets with their states.
        targets: String,
    },
    /// There is no terminal for the question of `--confirm`.
    #[error("cannot ask before the run on {hosts} (--confirm): there is no terminal")]
    NoTerminal {
        /// Number of hosts, in words.
        hosts: String,
    },
    /// A pause without waves.
    #[error("cannot use --pause: the run has no waves")]
    PauseWithoutBatch,
    /// Groups cannot be read.
    #[error(transparent)]
    Groups(#[from] nodeset::GroupError),
    /// The definition of a group is wrong.
    #[error(transparent)]
    Group(Fault),
    /// A word that should name hosts is not UTF-8.
    #[error("cannot use {word:?} as an expression: it is not UTF-8")]
    NotText {
        /// The word, as far as it is UTF-8.
        word: String,
    },
    /// The configuration or the command line is wrong.
    #[error(transparent)]
    Config(#[from] SettingsError),
    /// Standard output is closed.
    #[error("cannot write to standard output: it is closed")]
    NoOutput,
    /// Each of two reports needs standard output for itself.
    #[error("cannot write both --json and --failed-to to standard output")]
    OneStandardOutput,
    /// Standard input would be both the targets and the input of the commands.
    #[error("cannot read targets from standard input: -i sends it to the commands")]
    OneStandardInput,
    /// Standard input cannot be read.
    #[error("standard input: {0}")]
    Input(std::sync::Arc<crate::transport::input::InputError>),
    /// `-o` has a setting of ssh in place of a directory.
    #[error("cannot use {setting} as the directory of -o: it is a setting of ssh_config(5)")]
    SettingAsDirectory {
        /// Value of the option.
        setting: String,
    },
    /// The command line has no command.
    #[error("no command: mrsh [OPTIONS] COMMAND...")]
    NoCommand,
    /// The command has a NUL byte, which ends a string of the protocol.
    #[error("cannot send the command: it has a NUL byte")]
    CommandHasNul,
    /// The command is longer than Linux can execute.
    #[error("cannot send the command: it has {length} bytes as sent, and the maximum is {most}")]
    CommandTooLong {
        /// Length with the wrapper, in bytes.
        length: usize,
        /// Maximum length of an argument of `execve`, in bytes.
        most: usize,
    },
    /// A command that is sent as it is cannot have variables.
    #[error("cannot set the variable {name} ({what}): --raw sends the command as it is")]
    RawVariable {
        /// Origin of the variable.
        what: &'static str,
        /// Its name.
        name: String,
    },
    /// The script cannot be used.
    #[error("cannot use the script {}: {fault}", path.display())]
    Script {
        /// Path as it was typed.
        path: PathBuf,
        /// The cause.
        fault: ScriptFault,
    },
    /// The arguments of the script are too long.
    #[error(
        "cannot send the arguments of the script: they have {length} bytes, and the maximum is {most}"
    )]
    ScriptArguments {
        /// Length of all arguments, in bytes.
        length: usize,
        /// Maximum length.
        most: usize,
    },
    /// The directory for the script starts with a tilde.
    #[error("cannot use {} as the directory of the script: a tilde is not expanded", path.display())]
    ScriptDirectory {
        /// Path as it was typed.
        path: PathBuf,
    },
    /// Standard input would be both the script and something else.
    #[error("cannot read the script from standard input: {other}")]
    ScriptStandardInput {
        /// The other use of standard input.
        other: &'static str,
    },
    /// A script with local commands that have no words.
    #[error("cannot run a script with -R exec: no command leads to the hosts")]
    ScriptWithoutWay,
    /// The program of a local command does not exist.
    #[error("cannot find the program {program:?}")]
    NoProgram {
        /// Name of the program.
        program: String,
        /// True if the name looks like a line of shell.
        shell: bool,
    },
    /// The ssh transport cannot be set up.
    #[error(transparent)]
    Ssh(#[from] crate::transport::ssh::SshError),
    /// mrsh cannot do what the ssh configuration says about a target.
    #[error("{label}: {}", fault.one_line())]
    SshTarget {
        /// The target.
        label: String,
        /// Fault in the configuration, with file and line.
        fault: crate::transport::ssh::config_fault::ConfigFault,
    },
    /// mrsh cannot reach a target in the way that its inventory says.
    #[error("{label}: {reason}")]
    Inventory {
        /// The target.
        label: String,
        /// Fault in the inventory, with file and line.
        reason: String,
    },
    /// The key of `--identity` cannot be read.
    #[error("cannot read the key {}", file.display())]
    Identity {
        /// File of the key.
        file: PathBuf,
        /// Error of the system.
        source: io::Error,
    },
    /// A password is given for a transport that asks for its own.
    #[error("cannot use {option} with openssh: ssh takes no password from mrsh")]
    NoPassword {
        /// Option that gives the password.
        option: &'static str,
    },
    /// The user name cannot be sent.
    #[error("cannot use {name:?} as the remote user: it is no user name")]
    UserName {
        /// Value of `-l`.
        name: String,
    },
    /// A user or host name has characters that a shell interprets.
    #[error("cannot use the {what} {name:?} of {labels}: {fault}, and a shell may read it")]
    RemoteName {
        /// Kind of name.
        what: &'static str,
        /// User or host name.
        name: String,
        /// Targets that have the name, folded.
        labels: String,
        /// Fault of the name.
        fault: String,
    },
    /// The caller has no user name, which the protocol of rsh needs.
    #[error("cannot find the user name of uid {uid} in the password database")]
    NoUserName {
        /// Real user id.
        uid: u32,
    },
    /// A target has another port than rshd's, and the privilege to bind reserved ports is that of the program's file.
    #[error(
        "cannot call port {port} of {label} from a reserved port: the privilege of the program's file is only for \
         rshd's port {RSH_PORT}"
    )]
    RemotePort {
        /// The target.
        label: String,
        /// Port of the target.
        port: u16,
    },
    /// The caller may not bind the source ports.
    #[error("cannot use source ports {range}, which rshd demands: permission denied")]
    NoRightToBind {
        /// Range of ports, such as `512-1023`.
        range: String,
        /// File of this program.
        program: PathBuf,
    },
    /// The caller may not bind source ports below 512. The privilege of the program's file is not for them.
    #[error(
        "cannot use source ports {range}: permission denied; the privilege of the program's file is for 512-1023"
    )]
    NoRightToBindOutside {
        /// Range of ports, such as `1-511`.
        range: String,
    },
    /// All ports of the range are left to other programs.
    #[error("cannot use source ports {range}: all of them are left to other programs")]
    NoPorts {
        /// Range of ports, such as `512-515`.
        range: String,
    },
    /// The listener for call-backs would need the only port.
    #[error(
        "cannot use source ports {range}: separate standard error needs at least 2, one to listen on for the \
         daemons' call-backs and one to connect from"
    )]
    TooFewPorts {
        /// Range of ports, such as `700-700`.
        range: String,
    },
    /// The system refuses something that the run needs.
    #[error("cannot {what}")]
    System {
        /// Words after "cannot", such as "read standard input".
        what: &'static str,
        /// Error of the system.
        #[source]
        source: io::Error,
    },
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
    /// Returns the help for an error whose message has none itself. `args` are the words of the command line.
    #[must_use]
    pub fn help(&self, args: &[OsString]) -> Option<String> {
        match self {
            Error::Targets(TargetError::Read { name, source })
                if source.kind() == io::ErrorKind::NotFound =>
            {
                // `-f N` is the fan-out of pdsh and clush.
                if name.bytes().all(|b| b.is_ascii_digit()) {
                    Some(format!("-f names a hosts file; the fan-out is -j {name}"))
                } else {
                    usage::grouped(args, 'f', name)
                }
            }
            Error::Config(error) => error.help().map(str::to_owned),
            Error::Journal {
                path,
                fault: JournalFault::Exists,
            } => Some(format!(
                "to go on with its run, use --resume {}; for a new run, name another file",
                path.display()
            )),
            Error::Journal {
                fault: JournalFault::Read(ReadFault::NoHeader | ReadFault::Empty),
                ..
            } => Some("start the run again, with --journal".to_owned()),
            Error::OtherDirectory { directory } => Some(format!("cd {}", directory.display())),
            Error::Resume(ResumeError::Option { .. }) => Some(
                "options of output, -i, -j, -t, --rate, --retries, --deadline, --confirm, --pause and -n may be \
                 given"
                    .to_owned(),
            ),
            Error::Resume(ResumeError::Command { .. }) => {
                Some("leave the command out, or start a new run".to_owned())
            }
            Error::Resume(ResumeError::NoInput) => {
                Some("add -i and give the commands the same input again".to_owned())
            }
            Error::NoOutput => Some("to drop the output, write >/dev/null".to_owned()),
            Error::NoFileName { option, .. } => Some(format!(
                "write the name of the file too, as in {option} 'DIR/%l'"
            )),
            Error::SharedFile { .. } => {
                Some("%l is the label and %n the position, which differ between targets".to_owned())
            }
            Error::OneStandardOutput => Some("give --failed-to a file".to_owned()),
            Error::NoCommand => Some("mrsh --help lists the options".to_owned()),
            Error::CommandTooLong { .. } => Some("send it as a file: --script FILE".to_owned()),
            Error::RawVariable { what: "--env", .. } => {
                Some("leave out --env, or --raw if the host has a shell".to_owned())
            }
            Error::RawVariable { .. } => Some(
                "leave out --raw if the host has a shell, or write the value into the command"
                    .to_owned(),
            ),
            Error::Script { fault, .. } => fault.help().map(str::to_owned),
            Error::ScriptDirectory { .. } => {
                Some("a path without a leading slash is below the home directory".to_owned())
            }
            Error::ScriptArguments { .. } => Some("send them with -i".to_owned()),
            Error::ScriptStandardInput { .. } => Some("name a file: --script FILE".to_owned()),
            Error::ScriptWithoutWay => Some(
                "name a command that runs its words at the host, as in: mrsh -R exec --script FILE -- kubectl exec -i \
                 %h --"
                    .to_owned(),
            ),
            Error::NoProgram { shell: true, .. } => {
                Some("for a line of shell, write sh -c 'LINE'".to_owned())
            }
            Error::UserChange { help, .. } => help.map(str::to_owned),
            Error::NoPassword { .. } => Some("-R ssh takes a password".to_owned()),
            Error::RemotePort { .. } => Some("use --source-ports any".to_owned()),
            Error::NoRightToBind { program, .. } => Some(format!(
                "run as root, or run once as root 'setcap cap_net_bind_service+ep {}'; for daemons that accept any \
                 port, use --source-ports any",
                program.display()
            )),
            Error::NoRightToBindOutside { .. } => {
                Some("run as root, or leave out --source-ports".to_owned())
            }
            Error::NoPorts { .. } => Some("mrsh --ports lists the ports".to_owned()),
            Error::TooFewPorts { .. } => Some("use --stderr merge, or a larger range".to_owned()),
            Error::Down(error) => Some(error.help().to_owned()),
            Error::AllDown { .. } => Some("without --skip-down, all hosts are tried".to_owned()),
            Error::NoTerminal { .. } => {
                Some("--no-confirm runs without a question".to_owned())
            }
            Error::PauseWithoutBatch => Some("--batch SIZES makes waves".to_owned()),
            Error::Groups(error) => group_help(error),
            Error::Group(fault) => help(fault),
            Error::Inventory { label, .. } => Some(format!("leave it out with -x {label}")),
            Error::SettingAsDirectory { setting } => Some(format!(
                "-o names a directory for output; a setting for ssh is --ssh-option {setting}"
            )),
            _ => None,
        }
    }

    /// Makes a [`Error::Journal`].
    pub(crate) fn journal(path: &Path, fault: JournalFault) -> Error {
        Error::Journal {
            path: path.to_owned(),
            fault,
        }
    }

    /// Makes a [`Error::System`] of an I/O error.
    pub(crate) fn system(what: &'static str) -> impl FnOnce(io::Error) -> Error {
        move |source| Error::System { what, source }
    }
}
