//! The text of `--show-config`: every setting, in the form of a configuration file.

use std::ffi::OsStr;
use std::fmt::Write;

use clap::ArgAction;

use super::{Config, SettingSource, argument, command, id, is_typed, keys};

impl Config {
    /// Returns a line for every setting, with its value and its source.
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
                        // The setting is not set and has no default.
                        writeln!(text, "# {key} is not set").expect("a string takes all");
                        continue;
                    }
                },
            };
            let source = match self.settings.get(key) {
                Some(value) => source_text(&value.source),
                None if is_typed(&command, &self.matches, key) => {
                    source_text(&SettingSource::CommandLine)
                }
                None => source_text(&SettingSource::Default),
            };
            writeln!(text, "{key} = {value}  # {source}").expect("a string takes all");
        }
        text
    }
}

fn list(values: &[&OsStr]) -> String {
    let items: Vec<String> = values.iter().map(|value| quoted(value)).collect();
    format!("[{}]", items.join(", "))
}

/// Returns a number as it is, and any other value as a TOML string.
fn quoted(value: &OsStr) -> String {
    let text = value.to_string_lossy();
    // Rust reads `inf` and `nan` as numbers, but here they are words.
    if text.parse::<u64>().is_ok() || text.parse::<f64>().is_ok_and(f64::is_finite) {
        return text.into_owned();
    }
    let mut quoted = String::from('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            // A string of TOML must not have control characters.
            c if c.is_control() => {
                write!(quoted, "\\u{:04X}", u32::from(c)).expect("a string takes all");
            }
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

fn source_text(source: &SettingSource) -> String {
    match source {
        SettingSource::Default => "default".to_owned(),
        SettingSource::File {
            file,
            line,
            profile: None,
        } => format!("{file}:{line}"),
        SettingSource::File {
            file,
            line,
            profile: Some(profile),
        } => {
            format!("{file}:{line}, profile {profile}")
        }
        SettingSource::Variable(name) => format!("${name}"),
        SettingSource::CommandLine => "command line".to_owned(),
    }
}
