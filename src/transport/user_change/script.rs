//! The text that starts a command as another user. No I/O.
//!
//! The shell of the login user gets two scripts. The outer one starts the program that changes the user. The inner one
//! is the first argument of the outer one; it runs as the other user, prints the start token, sets the variables, and
//! starts the command in that user's own shell. Values are arguments of both, so no shell reads them as code.
//!
//! sudo prints its messages in the language of its caller. It gets `LC_ALL=C`, so that they can be recognized; the
//! inner script restores the variable, whose old value is its argument zero.
//!
//! Over ssh, a signal for the command is sent by sshd with the rights of the login user, so it reaches no process of
//! another user. If the command has no input, the inner script therefore reads names of signals from the connection and
//! sends them to its own process group.

use std::fmt::Write;

use super::{ChangeProgram, UserChange};

/// Standard input of a command after the change of the user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::transport) enum ChangedInput {
    /// The input of the program that changes the user, from its current position.
    Inherited,
    /// An end of file. The connection carries names of signals.
    Signals,
}

/// Part of the inner script that passes signals on.
// `read` needs a descriptor of its own, since POSIX gives a background command an input from `/dev/null`. sshd closes
// the input when the first process ends, which TERM can do before the others: doas ends two seconds after it. Nobody
// could send KILL any more, so the end of the input after a signal stands for it.
const SIGNALS: &str = "exec 3<&0;(trap \"\" TERM;y=;while read -r x;do kill -s $x 0;y=KILL;done <&3;\
                       [ -z $y ]||kill -s KILL 0) >/dev/null 2>&1 &\
                       exec 3<&- </dev/null;";

impl UserChange {
    /// Returns the outer script up to the arguments of the inner one. Its first argument must be the inner script, and
    /// the others the arguments of that. `exec` starts it in the place of the shell.
    pub(in crate::transport) fn outer(&self, exec: bool) -> String {
        let mut text = String::new();
        let user = &self.user;
        // Over rsh the shell must stay: it prints the end marker after the command.
        let exec = if exec { "exec " } else { "" };
        let (first, second) = self.prompt.parts();
        // Writing to a string cannot fail.
        let _ = match (self.program, self.has_password) {
            // `-S` reads the password from standard input. `-k` ignores cached credentials (sudo(8)), so
            // that the answer of each host shows whether the password is right.
            (ChangeProgram::Sudo, true) => write!(
                text,
                "p={first};s=$1;shift;{exec}env LC_ALL=C sudo -k -S -p \"${{p}}{second}\" -u {user} -- "
            ),
            // Without a password, `-n` keeps sudo from asking: each question counts as a failed login.
            (ChangeProgram::Sudo, false) => write!(
                text,
                "s=$1;shift;{exec}env LC_ALL=C sudo -k -n -u {user} -- "
            ),
            // mrsh cannot recognize the prompt of doas. With `-n`, doas fails instead of asking.
            (ChangeProgram::Doas, _) => {
                write!(text, "s=$1;shift;{exec}env LC_ALL=C doas -n -u {user} ")
            }
            // The text is one argument for the other user's login shell, see `is_nested`.
            (ChangeProgram::Su, _) => write!(text, "{exec}su {user} -c \"$1\""),
        };
        if !self.is_nested() {
            text.push_str("/bin/sh -c \"$s\" \"${LC_ALL-}\" \"$@\"");
        }
        text
    }

    /// True if the program passes the command to the login shell of the other user as text. Then the outer script has one
    /// argument: a command line for an unknown login shell.
    pub(in crate::transport) fn is_nested(&self) -> bool {
        self.program == ChangeProgram::Su
    }

    /// Returns the start of the inner script, up to the variables of the command.
    pub(in crate::transport) fn inner(&self) -> String {
        let (first, second) = self.start.parts();
        // POSIX treats an empty LC_ALL like an unset one, so an empty argument can stand for both.
        let restore = if self.is_nested() {
            ""
        } else {
            "[ \"$0\" ]&&LC_ALL=$0||unset LC_ALL;"
        };
        // `sudo -S` writes its prompt to standard error (sudo(8)). One stream keeps the order of both tokens.
        format!("{restore}printf %s%s {first} {second} >&2;")
    }

    /// Returns the part of the inner script that prepares the input of the command.
    pub(in crate::transport) fn prepare_input(input: ChangedInput) -> &'static str {
        match input {
            ChangedInput::Inherited => "",
            ChangedInput::Signals => SIGNALS,
        }
    }
}
