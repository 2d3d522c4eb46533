//! The change of the user before a command (`--sudo`, `--become`): the text for the host, the dialogue about the
//! password, and the failures.
//!
//! The command of a target runs inside the program that changes the user. That program reads the password from the
//! standard input of the command, so the order of the bytes decides who gets the password. Two random tokens of the
//! run make the order certain:
//!
//! - The **prompt token** is the prompt of sudo (`-p`). The password is sent only after it.
//! - The **start token** is printed by the command's wrapper, inside sudo. It shows that sudo has started the command.
//!   Input for the command is sent only after it, and a password never.
//!
//! So a command never reads the password, also if sudo asks for none (`NOPASSWD`). Both tokens are in two parts in the
//! text for the host: a login shell that prints its commands (`set -x`) prints no token.
//!
//! - `dialogue`: finds the tokens in the output. No I/O.
//! - `script`: the text for the host. No I/O.
//! - `fault`: the failures, by what is known for sure, and by the text of the program where nothing else shows the cause.
//! - `start`: waits for the start of the command, and sends the password once.

mod dialogue;
mod fault;
mod script;
#[cfg(test)]
mod shells;
mod start;
#[cfg(test)]
mod tests;

use std::io;
use std::sync::{Arc, OnceLock};

use zeroize::Zeroizing;

pub use fault::UserChangeFault;
pub(in crate::transport) use script::ChangedInput;
pub(in crate::transport) use start::{ChangeChannel, StartTurn};

use super::trials::Trials;
use crate::random;

/// Maximum length of a password, in bytes.
pub const MAX_PASSWORD: usize = 1024;

/// A program that changes the user (`--become`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ChangeProgram {
    /// sudo(8).
    #[default]
    Sudo,
    /// su(1), without a password.
    Su,
    /// doas(1), without a password.
    Doas,
}

impl ChangeProgram {
    /// Returns the name of the program.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            ChangeProgram::Sudo => "sudo",
            ChangeProgram::Su => "su",
            ChangeProgram::Doas => "doas",
        }
    }
}

/// A random word that is sent in two parts.
#[derive(Clone, Debug)]
struct SplitToken(String);

impl SplitToken {
    fn parts(&self) -> (&str, &str) {
        self.0.split_at(self.0.len() / 2)
    }
}

/// The change of the user in a run.
#[derive(Clone, Debug)]
pub struct UserChange {
    program: ChangeProgram,
    /// User whose rights the command gets.
    user: Box<str>,
    /// True if the program may ask for a password.
    has_password: bool,
    prompt: SplitToken,
    start: SplitToken,
}

impl UserChange {
    /// Returns the user and the program in words.
    #[must_use]
    pub fn summary(&self) -> String {
        format!("{} by {}", self.user, self.program.name())
    }

    /// Returns a change with new tokens. `user` must be a name that no shell interprets.
    ///
    /// # Errors
    /// The system has no random bytes.
    pub fn new(program: ChangeProgram, user: &str, has_password: bool) -> io::Result<UserChange> {
        Ok(UserChange {
            program,
            user: user.into(),
            has_password,
            prompt: SplitToken(random::token()?),
            start: SplitToken(random::token()?),
        })
    }

    /// Returns the user whose rights the command gets.
    #[must_use]
    pub fn user(&self) -> &str {
        &self.user
    }

    /// True if the program may ask for a password.
    #[must_use]
    pub fn has_password(&self) -> bool {
        self.has_password
    }
}

/// The change of the user with its password and the trial of it, shared by the targets of a run.
#[derive(Debug)]
pub struct UserChanges {
    change: Arc<UserChange>,
    /// The password with a newline.
    password: OnceLock<Zeroizing<Vec<u8>>>,
    /// The trial of the password.
    trials: Trials,
    /// The trial of the first command: no other one is sent before the first host has shown what it does.
    starts: Trials,
}

/// Reason why a password cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnusablePassword {
    /// sudo reads one line.
    #[error("it has a newline or a zero byte")]
    NotOneLine,
    /// The password is too long.
    #[error("it is longer than {MAX_PASSWORD} bytes")]
    TooLong,
}

impl UserChanges {
    /// Returns the state of a run before its first target.
    #[must_use]
    pub fn new(change: Arc<UserChange>) -> UserChanges {
        UserChanges {
            change,
            password: OnceLock::new(),
            trials: Trials::default(),
            starts: Trials::default(),
        }
    }

    /// Sets the password.
    ///
    /// # Errors
    /// It is not one line, or too long.
    pub fn set_password(&self, password: &[u8]) -> Result<(), UnusablePassword> {
        // `sudo -S` reads one line. Bytes after a newline would become input of the command.
        if password
            .iter()
            .any(|byte| matches!(byte, b'\n' | b'\r' | 0))
        {
            return Err(UnusablePassword::NotOneLine);
        }
        if password.len() > MAX_PASSWORD {
            return Err(UnusablePassword::TooLong);
        }
        // The full size at once: a vector that grows leaves copies that nobody wipes.
        let mut line = Zeroizing::new(Vec::with_capacity(password.len() + 1));
        line.extend_from_slice(password);
        line.push(b'\n');
        // A second password is never set.
        let _ = self.password.set(line);
        Ok(())
    }

    /// Returns the change of the user.
    #[must_use]
    pub fn change(&self) -> &UserChange {
        &self.change
    }
}
