//! The password for the change of the user.

use crate::error::Error;
use crate::plan::{ChangePassword, UserChangePlan};
use crate::transport::any::AnyTransport;
use crate::transport::ssh::PasswordSource;
use crate::transport::ssh::prompt::{self, PromptError, SecretPrompt, Terminal};
use crate::transport::user_change::{UnusablePassword, UserChanges};

/// Reads the password, or asks for it. It may follow the password of the login on one descriptor.
pub(super) fn read_password(plan: &UserChangePlan) -> Result<(), Error> {
    let secret = match &plan.password {
        // The password of the login is known only later. `reuse_password` sets it from the ssh transport.
        ChangePassword::Same | ChangePassword::Own(PasswordSource::None) => return Ok(()),
        ChangePassword::Own(PasswordSource::Ask) => {
            let user = plan.change.user();
            Terminal.ask(&format!("Password for sudo to {user}: "))
        }
        ChangePassword::Own(PasswordSource::Descriptor(fd)) => prompt::from_descriptor(*fd),
        ChangePassword::Own(PasswordSource::Read(secret)) => Ok(secret.clone()),
    };
    let secret = secret.map_err(unreadable)?;
    set(&plan.changes, secret.bytes())
}

/// Sets the password of the login, if it is also the one for the change of the user.
pub(super) fn reuse_password(plan: &UserChangePlan, transport: &AnyTransport) -> Result<(), Error> {
    let ssh = transport.ssh.as_ref();
    match (&plan.password, ssh.and_then(|ssh| ssh.password())) {
        (ChangePassword::Same, Some(password)) => set(&plan.changes, password.as_bytes()),
        _ => Ok(()),
    }
}

fn set(changes: &UserChanges, password: &[u8]) -> Result<(), Error> {
    changes.set_password(password).map_err(unusable)
}

fn unreadable(fault: PromptError) -> Error {
    Error::UserChange {
        text: format!("cannot read the password for sudo: {fault}"),
        help: None,
    }
}

fn unusable(fault: UnusablePassword) -> Error {
    Error::UserChange {
        text: format!("cannot use the password for sudo: {fault}"),
        help: None,
    }
}
