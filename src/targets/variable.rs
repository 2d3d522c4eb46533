//! Environment variables of remote commands, and the names of those that mrsh itself sets.

use std::fmt;
use std::sync::Arc;

/// Start of the names that mrsh keeps for itself.
const RESERVED_NAMES: &str = "MRSH_";

/// An environment variable of a remote command.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Variable {
    name: Arc<str>,
    value: Arc<[u8]>,
}

/// The variables of each target, indexed by [`TargetId`](super::TargetId).
pub type TargetVariables = Arc<[Box<[Variable]>]>;

/// The reason why a text cannot be the name of a variable that users set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameFault {
    /// Shells accept other characters only.
    #[error("not the name of a shell variable")]
    Characters,
    /// mrsh sets variables of this name itself.
    #[error("a name that mrsh keeps for itself")]
    Reserved,
}

impl NameFault {
    /// Returns the action that helps.
    #[must_use]
    pub fn help(self) -> &'static str {
        match self {
            NameFault::Characters => {
                "a name has letters, digits and underscores, and no digit at the start"
            }
            NameFault::Reserved => "take a name that does not begin with MRSH_",
        }
    }
}

impl Variable {
    /// Returns a variable; `None` if `name` is no name of a variable in a shell, or `value` contains NUL.
    ///
    /// A name has letters of ASCII, digits and underscores, and no digit at the start (POSIX, 3.216).
    #[must_use]
    pub fn new(name: &str, value: impl Into<Arc<[u8]>>) -> Option<Variable> {
        Variable::with_name(name.into(), value)
    }

    /// Returns a variable whose name is shared with others; `None` as for [`new`](Variable::new).
    #[must_use]
    pub fn with_name(name: Arc<str>, value: impl Into<Arc<[u8]>>) -> Option<Variable> {
        let value = value.into();
        // The environment has strings that end at NUL (environ(7)), so no value can contain it.
        (is_name(&name) && !value.contains(&0)).then_some(Variable { name, value })
    }

    /// Checks a name that a user gives.
    ///
    /// # Errors
    /// It is no name of a variable in a shell, or mrsh keeps it for itself.
    pub fn check_name(name: &str) -> Result<(), NameFault> {
        if !is_name(name) {
            Err(NameFault::Characters)
        } else if name.starts_with(RESERVED_NAMES) {
            Err(NameFault::Reserved)
        } else {
            Ok(())
        }
    }

    /// Returns the name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the value.
    #[must_use]
    pub fn value(&self) -> &[u8] {
        &self.value
    }

    /// True for the remote user if mrsh does not know it, because the configuration of the system's `ssh` names it. The
    /// login has set it as `LOGNAME` then.
    #[must_use]
    pub fn is_unknown_user(&self) -> bool {
        *self.name == *RunVariable::User.name() && self.value.is_empty()
    }
}

/// The form of a hosts file, after `env.`.
impl fmt::Display for Variable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = String::from_utf8_lossy(&self.value);
        write!(f, "{}=", self.name)?;
        if !value.contains(|c: char| c.is_whitespace() || c == '"' || c == '\\') {
            return f.write_str(&value);
        }
        // Backslashes first. Else those in front of the quotes would be doubled.
        let escaped = value.replace('\\', "\\\\").replace('"', "\\\"");
        write!(f, "\"{escaped}\"")
    }
}

/// True if a text is the name of a variable in a shell.
fn is_name(text: &str) -> bool {
    // POSIX takes only letters of ASCII, whatever the locale is.
    let is_letter = |byte: u8| byte == b'_' || byte.is_ascii_alphabetic();
    text.bytes().next().is_some_and(is_letter)
        && text
            .bytes()
            .all(|byte| is_letter(byte) || byte.is_ascii_digit())
}

/// A variable that mrsh itself sets for commands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunVariable {
    /// The name or address that is looked up.
    Host,
    /// The label of the target.
    Label,
    /// The remote user, as far as mrsh knows it.
    User,
    /// The position of the target in the run, from 0.
    Rank,
    /// The number of targets of the run.
    Count,
    /// The identifier of the run.
    RunId,
}

impl RunVariable {
    /// All of them.
    pub const ALL: [RunVariable; 6] = [
        RunVariable::Host,
        RunVariable::Label,
        RunVariable::User,
        RunVariable::Rank,
        RunVariable::Count,
        RunVariable::RunId,
    ];

    /// Returns the name of the variable.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            RunVariable::Host => "MRSH_HOST",
            RunVariable::Label => "MRSH_LABEL",
            RunVariable::User => "MRSH_USER",
            RunVariable::Rank => "MRSH_RANK",
            RunVariable::Count => "MRSH_COUNT",
            RunVariable::RunId => "MRSH_RUN_ID",
        }
    }

    /// Returns the variables that a command names as `$MRSH_…` or `${MRSH_…`. They are all of them if the command
    /// builds such a name.
    #[must_use]
    pub fn named_in(command: &[u8]) -> Vec<RunVariable> {
        let mut named = [false; RunVariable::ALL.len()];
        // Quotes are not parsed: in `sh -c 'echo $MRSH_HOST'`, the inner shell reads the variable.
        for at in memchr::memchr_iter(b'$', command) {
            let rest = &command[at + 1..];
            // `${#NAME}` is the length of a value, and `${!MRSH_*}` a list of names in bash.
            let rest = rest.strip_prefix(b"{").unwrap_or(rest);
            let rest = rest.strip_prefix(b"#").unwrap_or(rest);
            let rest = rest.strip_prefix(b"!").unwrap_or(rest);
            if !rest.starts_with(RESERVED_NAMES.as_bytes()) {
                continue;
            }
            let is_of_name = |byte: &u8| *byte == b'_' || byte.is_ascii_alphanumeric();
            let end = rest.iter().position(|byte| !is_of_name(byte));
            let name = &rest[..end.unwrap_or(rest.len())];
            match RunVariable::ALL
                .iter()
                .position(|known| known.name().as_bytes() == name)
            {
                Some(index) => named[index] = true,
                // The rest of the name comes from somewhere else.
                None if name == RESERVED_NAMES.as_bytes() => named = [true; RunVariable::ALL.len()],
                None => {}
            }
        }
        let all = RunVariable::ALL.into_iter().zip(named);
        all.filter(|(_, is_named)| *is_named)
            .map(|(variable, _)| variable)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::targets::{Limits, TargetListBuilder};

    #[test]
    fn only_names_of_shell_variables_are_names() {
        for name in ["A", "_", "a1", "MRSH_HOST"] {
            assert!(Variable::new(name, b"x".as_slice()).is_some(), "{name}");
        }
        for name in ["", "1A", "A-B", "A B", "A=", "\u{e9}", "A\n"] {
            assert!(Variable::new(name, b"x".as_slice()).is_none(), "{name:?}");
            assert_eq!(Variable::check_name(name), Err(NameFault::Characters));
        }
        assert!(Variable::new("A", b"a\0b".as_slice()).is_none());
        assert_eq!(Variable::check_name("MRSH_X"), Err(NameFault::Reserved));
        assert_eq!(Variable::check_name("MRSH"), Ok(()));
    }

    #[test]
    fn variables_that_a_command_names_are_found() {
        use RunVariable::{Count, Host, Label, Rank, RunId, User};
        for (command, named) in [
            ("uptime", &[][..]),
            ("echo MRSH_HOST $MRSH $HOST ${MRSHX} $MRSH_HOSTS $", &[]),
            ("echo $MRSH_HOST", &[Host]),
            ("echo \"${MRSH_RANK}/${MRSH_COUNT:-1}\"", &[Rank, Count]),
            ("echo ${#MRSH_LABEL} $MRSH_USER:x", &[Label, User]),
            ("logger -t mrsh-$MRSH_RUN_ID", &[RunId]),
            ("eval echo \\$MRSH_$x", &RunVariable::ALL),
            ("for n in ${!MRSH_*}; do echo $n; done", &RunVariable::ALL),
        ] {
            assert_eq!(
                RunVariable::named_in(command.as_bytes()),
                named,
                "{command}"
            );
        }
    }

    proptest! {
        #[test]
        fn a_written_value_is_read_as_it_was(value in "[^\0\r\n\u{b}\u{c}\u{85}\u{2028}\u{2029}]{0,12}") {
            let variable = Variable::new("A", value.as_bytes()).unwrap();
            let line = format!("n1 env.{variable} env.B=c # comment");
            let mut builder = TargetListBuilder::new(Limits::default());
            builder.add_reader("hosts", line.as_bytes()).unwrap();
            let list = builder.build().unwrap();
            let values: Vec<&[u8]> = list[0].variables.iter().flat_map(|all| &**all).map(Variable::value).collect();
            prop_assert_eq!(values, [value.as_bytes(), b"c"]);
        }
    }
}
