//! Personalities: other programs that this one is if it is called by their name. A link is enough.
//!
//! A personality turns its arguments and its environment into a plan, by values. Its messages are an output format
//! of their own, and its exit status is a rule of its own. Nothing else asks for the name of the program.

use std::ffi::OsString;
use std::path::Path;

use crate::error::Error;
use crate::exit::ExitStatus;

mod pdsh;

/// The whole program under a name. It gets all arguments, the name included.
pub(crate) type Personality = fn(&[OsString]) -> Result<ExitStatus, Error>;

/// The names and their programs.
const NAMES: &[(&str, Personality)] = &[
    ("pdsh", pdsh::run),
    ("dsh", pdsh::run),
    ("pdcp", pdsh::run),
    ("dcp", pdsh::run),
    ("pcp", pdsh::run),
    ("rpdcp", pdsh::run),
];

/// Returns the personality by whose name the program was called, if there is one.
pub(crate) fn called(args: &[OsString]) -> Option<Personality> {
    let name = args
        .first()
        .and_then(|path| Path::new(path).file_name())?
        .to_str()?;
    NAMES
        .iter()
        .find_map(|&(known, personality)| (known == name).then_some(personality))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_name_of_the_program_chooses_the_personality() {
        for (path, is_known) in [
            ("pdsh", true),
            ("/usr/bin/pdsh", true),
            ("./rpdcp", true),
            ("mrsh", false),
            ("pdsh/mrsh", false),
        ] {
            assert_eq!(called(&[path.into()]).is_some(), is_known, "{path}");
        }
        assert!(called(&[]).is_none());
    }
}
