//! The command of a run, and what differs between its targets. No I/O.

use std::borrow::Cow;
use std::sync::Arc;

use super::user_change::UserChange;
use super::wrap::{self, SshStreams};
use crate::targets::{TargetId, TargetVariables, Variable};

/// A command for the login shell of one target.
#[derive(Clone, Copy, Debug)]
pub struct ShellCommand<'a> {
    /// Text that the login shell interprets, without NUL.
    pub text: &'a [u8],
    /// Environment variables for it.
    pub variables: &'a [Variable],
    /// Change of the user before it.
    pub user_change: Option<&'a UserChange>,
}

impl<'a> ShellCommand<'a> {
    /// Returns a command without variables, as the login user.
    #[cfg(test)]
    #[must_use]
    pub fn plain(text: &'a [u8]) -> ShellCommand<'a> {
        ShellCommand {
            text,
            variables: &[],
            user_change: None,
        }
    }
}

/// The command of a run, without a wrapper. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct RemoteCommand {
    text: Arc<[u8]>,
    /// Absent if no target has variables.
    variables: Option<TargetVariables>,
    /// Absent if the command runs as the login user.
    user_change: Option<Arc<UserChange>>,
}

impl RemoteCommand {
    /// Returns the command of a run. `text` must not contain NUL.
    #[must_use]
    pub fn new(text: &[u8], variables: Option<TargetVariables>) -> RemoteCommand {
        RemoteCommand {
            text: text.into(),
            variables,
            user_change: None,
        }
    }

    /// Returns this command with a change of the user.
    #[must_use]
    pub fn with_user_change(self, user_change: Option<Arc<UserChange>>) -> RemoteCommand {
        RemoteCommand {
            user_change,
            ..self
        }
    }

    /// Returns the variables of all targets, if there are any.
    #[must_use]
    pub fn variables(&self) -> Option<TargetVariables> {
        self.variables.clone()
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
            user_change: self.user_change.as_deref(),
        }
    }

    /// Returns the commands of all targets, each form once.
    pub fn forms(&self) -> impl Iterator<Item = ShellCommand<'_>> {
        let plain = self.variables.is_none();
        let form = |variables| ShellCommand {
            text: &self.text,
            variables,
            user_change: self.user_change.as_deref(),
        };
        let plain = plain.then(|| form(&[]));
        let own = self.variables.iter().flat_map(|all| all.iter());
        plain
            .into_iter()
            .chain(own.map(move |variables| form(variables)))
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
        /// Streams of the command.
        streams: SshStreams,
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
    pub fn new(command: RemoteCommand, streams: SshStreams) -> SshCommand {
        if command.is_same_for_all() {
            let same = ShellCommand {
                text: &command.text,
                variables: &[],
                user_change: command.user_change.as_deref(),
            };
            SshCommand::Same(wrap::ssh_command(same, streams))
        } else {
            SshCommand::Own { command, streams }
        }
    }

    /// Returns the command line for one target.
    #[must_use]
    pub fn of(&self, id: TargetId) -> Cow<'_, [u8]> {
        match self {
            SshCommand::Same(line) => line.into(),
            SshCommand::Own { command, streams } => {
                wrap::ssh_command(command.of(id), *streams).into()
            }
        }
    }
}
