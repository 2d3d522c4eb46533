//! Errors with the messages of ClusterShell's programs.

/// An error that ends a program of ClusterShell with status 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::personalities) enum ClusterShellError {
    /// An expression cannot be parsed.
    Parse(String),
    /// Groups cannot give all nodes, or a group of a node.
    External(String),
    /// A group has a name with these characters.
    IllegalCharacter(String),
    /// The configuration of groups is wrong.
    Configuration(String),
    /// There is no source of this name.
    UnknownSource(String),
    /// The source has no such command.
    NoUpcall { what: &'static str, source: String },
    /// A command of a source failed.
    QueryFailed(String),
    /// A wrong value.
    Value(String),
    /// A fault that ClusterShell reports without the name of the program.
    Fault(String),
}

impl ClusterShellError {
    /// Returns the error of an expression. ClusterShell shows the part at fault, if there is one.
    pub(super) fn parse(part: &str, message: &str) -> ClusterShellError {
        if part.is_empty() {
            return ClusterShellError::Parse(message.to_owned());
        }
        // ClusterShell doubles percent signs before it parses.
        let part = part.replace('%', "%%");
        ClusterShellError::Parse(format!("{message}: \"{part}\""))
    }

    /// Returns the line for standard error.
    pub(in crate::personalities) fn message(&self, program: &str) -> String {
        match self {
            ClusterShellError::Parse(text) => format!("{program}: Parse error: {text}\n"),
            ClusterShellError::External(text) => format!("{program}: External error: {text}\n"),
            ClusterShellError::IllegalCharacter(text) => {
                format!("{program}: Illegal group character: \"{text}\"\n")
            }
            ClusterShellError::Configuration(text) => {
                format!("{program}: Group resolver error: {text}\n")
            }
            ClusterShellError::UnknownSource(name) => {
                format!("{program}: Unknown group source: \"{name}\"\n")
            }
            ClusterShellError::NoUpcall { what, source } => {
                format!("{program}: No {what} upcall defined for group source \"{source}\"\n")
            }
            ClusterShellError::QueryFailed(command) => {
                format!("{program}: Group error: {command}\n")
            }
            ClusterShellError::Value(text) => format!("{program}: {text}\n"),
            // nodeset catches Python's general exceptions itself, without the name of the program.
            ClusterShellError::Fault(text) => format!("ERROR: {text}\n"),
        }
    }
}
