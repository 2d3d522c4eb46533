//! pdsh's messages before a run.

use std::ffi::OsString;
use std::io;
use std::path::Path;

use crate::error::Error;
use crate::error_text::plain;
use crate::exit::ExitStatus;
use crate::messages::{print_text, set_up_text};

/// Exit status for everything that keeps a run from its start.
const REFUSED: ExitStatus = ExitStatus::Code(1);

/// The program that was called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Program {
    /// pdsh or dsh.
    Dsh,
    /// pdcp, dcp or pcp.
    Pcp,
    /// rpdcp.
    ReversePcp,
}

/// The name by which the program was called.
#[derive(Clone, Debug)]
pub(super) struct PdshCaller {
    pub(super) program: Program,
    /// `argv[0]`.
    pub(super) path: String,
    /// File name of the path.
    pub(super) name: String,
    who: String,
}

/// The end of the program before a run.
#[derive(Debug)]
pub(super) enum Ended {
    /// A message for standard error, with status 1.
    Message(String),
    /// An answer has been printed.
    Status(ExitStatus),
    /// A set-up error of mrsh.
    SetUp(Error),
}

impl PdshCaller {
    pub(super) fn new(args: &[OsString]) -> PdshCaller {
        let path = args
            .first()
            .map_or_else(String::new, |path| path.to_string_lossy().into_owned());
        let name = Path::new(&path).file_name();
        let name = name.map_or_else(String::new, |name| name.to_string_lossy().into_owned());
        let program = match &*name {
            "pdsh" | "dsh" => Program::Dsh,
            "rpdcp" => Program::ReversePcp,
            _ => Program::Pcp,
        };
        let uname = rustix::system::uname();
        let node = uname.nodename().to_string_lossy();
        // pdsh cuts the domain off the name of this machine.
        let node = node.split('.').next().unwrap_or_default();
        PdshCaller {
            program,
            who: format!("{name}@{node}"),
            path,
            name,
        }
    }

    /// Returns the begin of messages: the program and this machine.
    pub(super) fn who(&self) -> &str {
        &self.who
    }

    pub(super) fn is_dsh(&self) -> bool {
        self.program == Program::Dsh
    }

    /// Returns the end with this message.
    pub(super) fn ended(&self, text: impl AsRef<str>) -> Ended {
        Ended::Message(format!("{}: {}", self.who, text.as_ref()))
    }

    /// Prints a message.
    pub(super) fn say(&self, text: &str) {
        print_text(&format!("{}: {text}\n", self.who));
    }

    pub(super) fn warn(&self, text: &str) {
        self.say(&format!("warning: {text}"));
    }

    /// Returns the end by a file that cannot be read.
    pub(super) fn file_error(&self, file: &str, error: &io::Error) -> Ended {
        self.ended(format!("{file}: {}", plain(error)))
    }

    /// Prints the message of an end, and returns the status.
    pub(super) fn end(&self, ended: Ended, args: &[OsString]) -> ExitStatus {
        match ended {
            Ended::Message(text) => print_text(&format!("{text}\n")),
            Ended::Status(status) => return status,
            Ended::SetUp(error) => self.say(&set_up_text(&error, args)),
        }
        REFUSED
    }
}

impl From<Error> for Ended {
    fn from(error: Error) -> Ended {
        Ended::SetUp(error)
    }
}
