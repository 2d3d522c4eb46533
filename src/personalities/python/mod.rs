//! Rules of Python and its standard library that the output of ClusterShell's programs depends on.

pub(super) mod difflib;
pub(super) mod optparse;
pub(super) mod percent;
pub(super) mod text;
