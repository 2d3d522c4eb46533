//! Personalities: other programs that this one is, if it is called by their names. A link is enough.
//!
//! [`called`] is the only place that asks for the name of the program.

use std::ffi::{OsStr, OsString};
use std::io::{BufRead, Write};
use std::path::Path;

use crate::cli::Cli;
use crate::config::SettingsError;
use crate::error::Error;
use crate::exit::ExitStatus;

mod clubak;
mod clustershell;
mod dshbak;
mod multi_rsh;
mod nodeset;
mod pdsh;
mod python;

/// A program by its name.
#[derive(Clone, Copy, Debug)]
pub enum Personality {
    /// A program that runs a command: its command line becomes that of mrsh.
    Run(fn(&[OsString]) -> Result<Cli, SettingsError>),
    /// A program with its own plan, messages and exit status.
    Program(fn(&[OsString]) -> Result<ExitStatus, Error>),
    /// A program that reads and writes text, and contacts no host.
    Filter(fn(&Call<'_>, &mut Streams<'_>) -> ExitStatus),
}

/// The names and their programs.
const TABLE: &[(&str, Personality)] = &[
    (multi_rsh::NAME, Personality::Run(multi_rsh::cli)),
    ("nodeset", Personality::Filter(nodeset::run)),
    ("cluset", Personality::Filter(nodeset::run)),
    ("clubak", Personality::Filter(clubak::run)),
    ("dshbak", Personality::Filter(dshbak::run)),
    ("pdsh", Personality::Program(pdsh::run)),
    ("dsh", Personality::Program(pdsh::run)),
    ("pdcp", Personality::Program(pdsh::run)),
    ("dcp", Personality::Program(pdsh::run)),
    ("pcp", Personality::Program(pdsh::run)),
    ("rpdcp", Personality::Program(pdsh::run)),
];

/// Returns the program by whose name this one was called, if it is not mrsh.
#[must_use]
pub fn called(args: &[OsString]) -> Option<Personality> {
    let name = file_name(args)?;
    let entry = TABLE.iter().find(|(known, _)| name == *known);
    entry.map(|(_, personality)| *personality)
}

fn file_name(args: &[OsString]) -> Option<&OsStr> {
    Path::new(args.first()?).file_name()
}

/// The command line and the environment of a filter.
pub struct Call<'a> {
    /// The name of the program, without its folder.
    program: String,
    words: &'a [OsString],
    /// Returns a variable of the environment.
    variable: &'a dyn Fn(&str) -> Option<OsString>,
    /// True if standard output is a terminal.
    terminal: bool,
}

impl<'a> Call<'a> {
    /// Returns a call with these words. The first word is the name of the program.
    #[must_use]
    pub fn new(
        args: &'a [OsString],
        variable: &'a dyn Fn(&str) -> Option<OsString>,
        terminal: bool,
    ) -> Call<'a> {
        let program = file_name(args).unwrap_or_default();
        Call {
            program: program.to_string_lossy().into_owned(),
            words: args.get(1..).unwrap_or_default(),
            variable,
            terminal,
        }
    }

    /// The words of the command line as text.
    fn texts(&self) -> Vec<String> {
        let words = self.words.iter();
        words
            .map(|word| word.to_string_lossy().into_owned())
            .collect()
    }

    /// Returns a variable of the environment as text.
    fn text_variable(&self, name: &str) -> Option<String> {
        let value = (self.variable)(name)?;
        Some(value.to_string_lossy().into_owned())
    }
}

/// The standard streams of a filter.
pub struct Streams<'a> {
    /// Standard input.
    pub input: &'a mut dyn BufRead,
    /// Standard output.
    pub output: &'a mut dyn Write,
    /// Standard error.
    pub errors: &'a mut dyn Write,
}

impl Streams<'_> {
    /// Writes a text to standard error, for whose failure there is no third stream.
    fn complain(&mut self, text: &str) {
        // What was printed before the message appears before it.
        let _ = self.output.flush();
        let _ = self.errors.write_all(text.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_the_program_chooses_the_personality() {
        for (name, is) in [
            ("multi-rsh", true),
            ("/usr/local/bin/nodeset", true),
            ("cluset", true),
            ("mrsh", false),
            ("multi-rsh/mrsh", false),
        ] {
            let found = called(&[name.into(), "multi-rsh".into()]);
            assert_eq!(found.is_some(), is, "{name}");
        }
        assert!(called(&[]).is_none());
    }
}
