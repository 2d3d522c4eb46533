//! Who a command is run on: targets, and the expressions and files that name them.

pub mod nodeset;

/// The place of a target in its run's list, from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TargetId(pub u32);

impl TargetId {
    /// The index into the run's list of targets.
    #[must_use]
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// One host to run the command on.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Target {
    /// What the user calls it: the name on every line of its output and in every report.
    pub label: Box<str>,
    /// Host name or literal address (without brackets), as the resolver takes it.
    pub host: Box<str>,
    /// Remote user, if the target says its own.
    pub user: Option<Box<str>>,
    /// Remote port, if the target says its own.
    pub port: Option<u16>,
}
