//! The command of a run, and what differs between its targets. No I/O.

use std::borrow::Cow;
use std::sync::Arc;

use super::wrap;
use crate::targets::{TargetId, TargetVariables, Variable};

/// A command for the login shell of one target.
#[derive(Clone, Copy, Debug)]
pub struct ShellCommand<'a> {
    /// Text that the login shell interprets, without NUL.
    pub text: &'a [u8],
    /// Environment variables for it.
    pub variables: &'a [Variable],
}

impl<'a> ShellCommand<'a> {
    /// Returns a command without variables.
    #[must_use]
    pub fn plain(text: &'a [u8]) -> ShellCommand<'a> {
        ShellCommand {
            text,
            variables: &[],
        }
    }
}

/// The command of a run, without a wrapper. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct RemoteCommand {
    text: Arc<[u8]>,
    /// Absent if no target has variables.
    variables: Option<TargetVariables>,
}

impl RemoteCommand {
    /// Returns the command of a run. `text` must not contain NUL.
    #[must_use]
    pub fn new(text: &[u8], variables: Option<TargetVariables>) -> RemoteCommand {
        RemoteCommand {
            text: text.into(),
            variables,
        }
    }

    /// True if the command is the same for all targets.
    #[must_use]
    pub fn is_same_for_all(&self) -> bool {
        self.variables.is_none()
    }

    /// Returns the command of one target.
    #[must_use]
    pub fn of(&self, id: TargetId) -> ShellCommand<'_> {
        ShellCommand {
            text: &self.text,
            variables: match &self.variables {
                Some(variables) => &variables[id.index()],
                None => &[],
            },
        }
    }

    /// Returns the commands of all targets, each form once.
    pub fn forms(&self) -> impl Iterator<Item = ShellCommand<'_>> {
        let plain = self.variables.is_none();
        let plain = plain.then(|| ShellCommand::plain(&self.text));
        let own = self.variables.iter().flat_map(|all| all.iter());
        plain.into_iter().chain(own.map(|variables| ShellCommand {
            text: &self.text,
            variables,
        }))
    }
}

/// The command lines that an ssh server gets.
#[derive(Clone, Debug)]
pub enum SshCommand {
    /// One for all targets.
    Same(Vec<u8>),
    /// Another one for each target.
    Own {
        /// The command.
        command: RemoteCommand,
        /// True if standard error goes to the stream of standard output.
        merged: bool,
    },
}

impl Default for SshCommand {
    fn default() -> SshCommand {
        SshCommand::Same(Vec::new())
    }
}

impl SshCommand {
    /// Returns the command lines for a command.
    #[must_use]
    pub fn new(command: RemoteCommand, merged: bool) -> SshCommand {
        if command.is_same_for_all() {
            let plain = ShellCommand::plain(&command.text);
            SshCommand::Same(wrap::ssh_command(plain, merged))
        } else {
            SshCommand::Own { command, merged }
        }
    }

    /// Returns the command line for one target.
    #[must_use]
    pub fn of(&self, id: TargetId) -> Cow<'_, [u8]> {
        match self {
            SshCommand::Same(line) => line.into(),
            SshCommand::Own { command, merged } => {
                wrap::ssh_command(command.of(id), *merged).into()
            }
        }
    }
}
