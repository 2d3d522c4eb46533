//! The failures of a change of the user.

use super::ChangeProgram;
use crate::event::{FailureClass, PasswordUse, RemoteExit};

/// Maximum length of a text of the program in an error, in bytes.
const MAX_TEXT: usize = 300;

/// The reason why a command was not started as another user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UserChangeFault {
    /// The program has refused the password.
    PasswordRefused,
    /// This other host has refused the password, so this one did not get it.
    PasswordWithheld(String),
    /// The program asks for a password, and there is none.
    PasswordNeeded,
    /// The user may not do this.
    NotAllowed,
    /// The program demands a terminal.
    NoTerminal,
    /// The host sent more than a program prints before it starts a command.
    TooMuchOutput,
    /// The program ended for another reason.
    Other(String),
}

impl UserChangeFault {
    /// Returns the class of the failure.
    #[must_use]
    pub fn class(&self) -> FailureClass {
        match self {
            UserChangeFault::PasswordRefused | UserChangeFault::PasswordWithheld(_) => {
                FailureClass::BecomePassword
            }
            UserChangeFault::PasswordNeeded => FailureClass::BecomeNeedsPassword,
            UserChangeFault::NotAllowed => FailureClass::BecomeDenied,
            UserChangeFault::NoTerminal => FailureClass::BecomeNeedsTty,
            UserChangeFault::TooMuchOutput | UserChangeFault::Other(_) => FailureClass::Become,
        }
    }

    /// Returns the use of the password.
    #[must_use]
    pub fn password_use(&self) -> PasswordUse {
        match self {
            UserChangeFault::PasswordRefused => PasswordUse::Sent,
            UserChangeFault::PasswordWithheld(_) => PasswordUse::Withheld,
            _ => PasswordUse::None,
        }
    }

    /// Returns the message.
    #[must_use]
    pub fn message(&self, program: ChangeProgram) -> String {
        let name = program.name();
        match self {
            UserChangeFault::PasswordRefused => format!("{name} refused the password"),
            UserChangeFault::PasswordWithheld(host) => {
                format!("the password for {name} is not sent, because {host} has refused it")
            }
            UserChangeFault::PasswordNeeded if program == ChangeProgram::Sudo => {
                "sudo needs a password: give --sudo-password".to_owned()
            }
            UserChangeFault::PasswordNeeded => {
                format!("{name} needs a password: mrsh can give one only to sudo")
            }
            // The text of the program names the host and the whole command.
            UserChangeFault::NotAllowed => {
                format!(
                    "{name} does not allow the user to run /bin/sh: check its rules on the host"
                )
            }
            UserChangeFault::NoTerminal => format!("{name} needs a terminal: try --tty"),
            UserChangeFault::TooMuchOutput => {
                format!("{name} has not started the command: there was too much output before")
            }
            UserChangeFault::Other(text) => format!("{name} has not started the command: {text}"),
        }
    }

    /// Returns the fault of a program that ended without the start of the command. `was_sent`: it got the password.
    ///
    /// This is the only place that reads the text of these programs: their exit status is 1 for every cause. A text that
    /// is not known never counts as a correct password.
    pub(super) fn of_end(
        program: ChangeProgram,
        output: &[u8],
        exit: RemoteExit,
        was_sent: bool,
    ) -> UserChangeFault {
        let text = String::from_utf8_lossy(output);
        let has = |words: &[&str]| words.iter().any(|words| text.contains(words));
        // The texts of sudo 1.8 and 1.9, of sudo-rs, of opendoas and of two kinds of su.
        if has(&[
            "is not in the sudoers file",
            "is not allowed to",
            "may not run sudo",
        ]) || has(&["doas: Operation not permitted", "I'm sorry"])
        {
            return UserChangeFault::NotAllowed;
        }
        if has(&[
            "must have a tty",
            "no tty present",
            "must be run from a terminal",
        ]) {
            return UserChangeFault::NoTerminal;
        }
        let asks = ["a password is required", "authentication is required"];
        let asks_without_password = [
            "doas: Authentication required",
            "doas: Authorization required",
        ];
        // After the password was sent, the advice to give one would be wrong.
        if has(&asks) && !was_sent || has(&asks_without_password) {
            return UserChangeFault::PasswordNeeded;
        }
        // su gets no password from mrsh. A failed check means that it wanted one.
        if program == ChangeProgram::Su
            && has(&["Authentication failure", "Sorry", "incorrect password"])
        {
            return UserChangeFault::PasswordNeeded;
        }
        let is_refused = matches!(exit, RemoteExit::Code(1));
        // sudo ends with status 1 after a wrong password. Another end proves nothing about the password.
        if was_sent && is_refused {
            return UserChangeFault::PasswordRefused;
        }
        UserChangeFault::Other(match (one_line(&text, program), exit) {
            (text, _) if !text.is_empty() => text,
            (_, RemoteExit::Code(code)) => {
                format!("it ended with status {code} and without a message")
            }
            (_, RemoteExit::Signaled(signal)) => format!("it was killed by signal {signal}"),
            (_, RemoteExit::Unknown) => "it ended without a message".to_owned(),
        })
    }
}

/// Returns the lines of the program, or the last line of a text without any, on one line and without control characters.
fn one_line(text: &str, program: ChangeProgram) -> String {
    let start = format!("{}: ", program.name());
    let lines = || text.lines().map(str::trim).filter(|line| !line.is_empty());
    // Start-up files of shells print text too. Only the prefix shows which lines are of the program.
    let own: Vec<&str> = lines()
        .filter_map(|line| line.strip_prefix(&start))
        .collect();
    let mut line = if own.is_empty() {
        lines().next_back().unwrap_or_default().to_owned()
    } else {
        own.join("; ")
    };
    // `truncate` panics at a position within a character.
    let mut end = line.len().min(MAX_TEXT);
    while !line.is_char_boundary(end) {
        end -= 1;
    }
    line.truncate(end);
    // The host chooses this text. Control characters could change the user's terminal.
    line.replace(char::is_control, "?")
}
