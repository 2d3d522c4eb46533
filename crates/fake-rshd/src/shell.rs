//! Settings of daemons that run commands.

use std::ffi::OsString;
use std::io;

use crate::{address, request};

/// Maximum length of the token of [`Shell::new`]: clients send it as a user name.
pub const TOKEN_MAX: usize = request::NAME_MAX;

/// Settings of daemons that run commands: see [`Daemons::run_commands`](crate::Daemons::run_commands).
#[derive(Clone, Debug)]
pub struct Shell {
    pub(crate) token: String,
    pub(crate) labels: Vec<Box<str>>,
    pub(crate) label_variable: OsString,
}

impl Shell {
    /// One daemon for each label, at consecutive indices of [`address`](crate::address()).
    ///
    /// A client sends `token` as its own user name; all others are denied. The daemons ignore the
    /// remote user name: every command runs as the user who started the daemons.
    #[must_use]
    pub fn new<Label: Into<Box<str>>>(
        token: impl Into<String>,
        labels: impl IntoIterator<Item = Label>,
    ) -> Shell {
        Shell {
            token: token.into(),
            labels: labels.into_iter().map(Into::into).collect(),
            label_variable: "RSH_HOST".into(),
        }
    }

    /// Sets the environment variable in which a command finds the label of its daemon
    /// (default: `RSH_HOST`).
    #[must_use]
    pub fn label_variable(self, name: impl Into<OsString>) -> Shell {
        Shell {
            label_variable: name.into(),
            ..self
        }
    }

    /// Refuses settings with which no daemon could work.
    pub(crate) fn check(&self) -> io::Result<()> {
        let invalid = |cause: &str| Err(io::Error::new(io::ErrorKind::InvalidInput, cause));
        let name = self.label_variable.as_encoded_bytes();
        // NUL ends each field of a request.
        if self.token.is_empty() || self.token.len() > TOKEN_MAX || self.token.contains('\0') {
            invalid("the token is not a user name")
        // execve(2) takes variables as NAME=VALUE strings that end with NUL.
        } else if name.is_empty() || name.contains(&b'=') || name.contains(&0) {
            invalid("the label's variable is not a name")
        } else if !address::suffice_for(self.labels.len()) {
            invalid("more targets than loopback has addresses")
        } else {
            Ok(())
        }
    }
}
