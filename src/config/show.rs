//! The text of `--show-config`: every setting in force, as a configuration file would have it.

use std::ffi::OsStr;
use std::fmt::Write;

use clap::ArgAction;

use super::{Config, Source, argument, command, id, is_typed, keys};

impl Config {
    /// Every setting with its value and where it comes from, a line each.
    #[must_use]
    pub fn show(&self) -> String {
        let command = command();
        let mut text = String::new();
        for key in keys(&command) {
            let Some(argument) = argument(&command, key) else {
                continue;
            };
            let id = id(&command, key);
            let values: Vec<&OsStr> = self.matches.get_raw(id).into_iter().flatten().collect();
            let value = match argument.get_action() {
                ArgAction::SetTrue => self.matches.get_flag(id).to_string(),
                ArgAction::Append => list(&values),
                _ => match values.first() {
                    Some(value) => quoted(value),
                    None => {
                        // Not set, and nothing stands in for it.
                        writeln!(text, "# {key} is not set").expect("a string takes all");
                        continue;
                    }
                },
            };
            let from = match self.settings.get(key) {
                Some(value) => words(&value.source),
                None if is_typed(&command, &self.matches, key) => words(&Source::CommandLine),
                None => words(&Source::Default),
            };
            writeln!(text, "{key} = {value}  # {from}").expect("a string takes all");
        }
        text
    }
}

fn list(values: &[&OsStr]) -> String {
    let items: Vec<String> = values.iter().map(|value| quoted(value)).collect();
    format!("[{}]", items.join(", "))
}

/// A number as it is, and any other value as a TOML string.
fn quoted(value: &OsStr) -> String {
    let text = value.to_string_lossy();
    if text.parse::<u64>().is_ok() || text.parse::<f64>().is_ok_and(f64::is_finite) {
        return text.into_owned();
    }
    let mut quoted = String::from('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            c if c.is_control() => {
                write!(quoted, "\\u{:04X}", u32::from(c)).expect("a string takes all");
            }
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

fn words(source: &Source) -> String {
    match source {
        Source::Default => "default".to_owned(),
        Source::File {
            file,
            line,
            profile: None,
        } => format!("{file}:{line}"),
        Source::File {
            file,
            line,
            profile: Some(profile),
        } => {
            format!("{file}:{line}, profile {profile}")
        }
        Source::Variable(name) => format!("${name}"),
        Source::CommandLine => "command line".to_owned(),
    }
}
