//! The part of the plan about the change of the user (`--sudo`, `--become`) and the terminal (`--tty`).

use std::env;
use std::io;
use std::sync::Arc;

use crate::cli::{Cli, SudoPasswordArg};
use crate::error::Error;
use crate::targets::{Target, TransportKind};
use crate::transport::ssh::{PasswordSource, TerminalRequest};
use crate::transport::user_change::{ChangeProgram, UserChange, UserChanges};

/// Size of a terminal that has none.
const SIZE: (u16, u16) = (80, 24);

/// The change of the user in a run.
#[derive(Debug)]
pub struct UserChangePlan {
    /// The change, with a place for the password.
    pub changes: Arc<UserChanges>,
    /// The change alone, for the command.
    pub change: Arc<UserChange>,
    /// Source of the password.
    pub password: ChangePassword,
}

/// Source of the password for the change of the user.
#[derive(Debug)]
pub enum ChangePassword {
    /// The password of the login.
    Same,
    /// Another one, or none.
    Own(PasswordSource),
}

/// Decides the change of the user; `None` if commands run as the login user.
pub(super) fn decide(cli: &Cli, targets: &[Target]) -> Result<Option<UserChangePlan>, Error> {
    let args = &cli.user_change;
    let uses = |kind| uses(cli, targets, kind);
    let has_password = args.sudo_password.is_some() || args.sudo_password_fd.is_some();
    if args.sudo.is_none() && args.become_program.is_none() {
        if has_password {
            return refuse(
                "cannot use a password for sudo without sudo".to_owned(),
                Some("add --sudo, or --sudo=USER"),
            );
        }
        return Ok(None);
    }
    let program = args
        .become_program
        .map_or(ChangeProgram::Sudo, ChangeProgram::from);
    let name = program.name();
    let user = args.sudo.as_deref().unwrap_or("root");
    // The name becomes part of a shell text for the host, without quotes.
    if !is_user_name(user) {
        return refuse(
            format!("cannot use {user:?} as the user of --sudo: it is no user name"),
            None,
        );
    }
    if has_password && program != ChangeProgram::Sudo {
        return refuse(
            format!("cannot give {name} a password: its prompt cannot be told from output"),
            Some("allow it without a password on the hosts, or use sudo"),
        );
    }
    if uses(TransportKind::Exec) && !cli.demo {
        return refuse(
            format!("cannot use {name} with exec: there is no login shell"),
            Some("make it a part of COMMAND"),
        );
    }
    if cli.raw {
        return refuse(
            format!("cannot use {name} with --raw: the command needs its wrapper"),
            None,
        );
    }
    if cli.protocol.is_some() {
        return refuse(
            format!("cannot use {name} with --protocol: rcp and scp have no place for it"),
            None,
        );
    }
    let uses_rsh = cli.demo || uses(TransportKind::Rsh);
    if has_password && uses_rsh && !args.sudo_password_in_clear {
        return refuse(
            "cannot send the password for sudo over rsh: everybody on the network could read it"
                .to_owned(),
            Some(
                "use ssh, allow sudo without a password on the hosts, or give --sudo-password-in-clear",
            ),
        );
    }
    let password = match (args.sudo_password, args.sudo_password_fd) {
        (Some(SudoPasswordArg::Same), _) => {
            let is_given = cli.password || cli.password_fd.is_some();
            if !is_given || cli.demo || !uses(TransportKind::Ssh) {
                return refuse(
                    "cannot use --sudo-password=same: there is no password of a login".to_owned(),
                    Some("add --password or --password-fd, for targets over ssh"),
                );
            }
            ChangePassword::Same
        }
        (Some(SudoPasswordArg::Ask), _) => ChangePassword::Own(PasswordSource::Ask),
        // Opened again, a file would begin at its first line again. Standard input is not opened again.
        (None, Some(fd)) if fd != 0 && cli.password_fd == Some(fd) => {
            return refuse(
                format!("cannot read two passwords from file descriptor {fd}"),
                Some("give --sudo-password=same, or another descriptor"),
            );
        }
        (None, Some(fd)) => ChangePassword::Own(PasswordSource::Descriptor(fd)),
        (None, None) => ChangePassword::Own(PasswordSource::None),
    };
    let change = UserChange::new(program, user, has_password);
    let change = Arc::new(change.map_err(Error::system("get random bytes"))?);
    Ok(Some(UserChangePlan {
        changes: Arc::new(UserChanges::new(Arc::clone(&change))),
        change,
        password,
    }))
}

/// Decides the terminal of commands over ssh.
pub(super) fn terminal(cli: &Cli, targets: &[Target]) -> Result<Option<TerminalRequest>, Error> {
    if !cli.user_change.tty {
        return Ok(None);
    }
    // The protocol of rshd has no request for a terminal.
    let has_none = [TransportKind::Rsh, TransportKind::Exec]
        .into_iter()
        .any(|kind| uses(cli, targets, kind));
    if has_none || cli.demo {
        return refuse(
            "cannot give a terminal to commands over rsh or exec".to_owned(),
            Some("--tty is for targets over ssh"),
        );
    }
    // A terminal without line editing has no end of file.
    let sends = cli.stdin || cli.script.script.is_some();
    if sends || !cli.copy.is_empty() || !cli.fetch.is_empty() {
        return refuse(
            "cannot send input to a command with a terminal".to_owned(),
            Some("give --tty without -i, --script, --copy and --fetch"),
        );
    }
    // Standard output is often a pipe while standard error is still the terminal.
    let size = rustix::termios::tcgetwinsize(io::stdout())
        .or_else(|_| rustix::termios::tcgetwinsize(io::stderr()));
    let size = size
        .ok()
        // A serial console can report 0 rows and 0 columns.
        .filter(|size| size.ws_col > 0 && size.ws_row > 0)
        .map_or(SIZE, |size| (size.ws_col, size.ws_row));
    // Programs on the hosts build file names of terminfo from this value, so it may contain no slash.
    let name = env::var("TERM").ok().filter(|name| {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "-+._".contains(c);
        !name.is_empty() && name.len() <= 64 && name.chars().all(is_plain)
    });
    Ok(Some(TerminalRequest {
        name: name.unwrap_or_else(|| "dumb".to_owned()),
        size,
    }))
}

fn refuse<T>(text: String, help: Option<&'static str>) -> Result<T, Error> {
    Err(Error::UserChange { text, help })
}

/// True if a target uses this transport.
fn uses(cli: &Cli, targets: &[Target], kind: TransportKind) -> bool {
    targets
        .iter()
        .any(|target| target.transport_or(cli.default_transport()) == kind)
}

/// True if no shell and no option parser reads the name as something else.
fn is_user_name(name: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "_-.+@".contains(c);
    !name.is_empty()
        && name.len() <= 256
        && !name.starts_with(['-', '.', '+'])
        && name.chars().all(is_plain)
}

#[cfg(test)]
mod tests {
    use super::is_user_name;

    #[test]
    fn names_of_users_are_plain() {
        for name in ["root", "www-data", "_apt", "a.b", "ops@example.org", "0day"] {
            assert!(is_user_name(name), "{name}");
        }
        for name in [
            "", "-u", "a b", "a;b", "$(id)", "a\nb", "'", "ä", "#0", "a/b",
        ] {
            assert!(!is_user_name(name), "{name:?}");
        }
    }
}
