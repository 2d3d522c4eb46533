//! Settings from files and the environment, below what was typed.
//!
//! A configuration file is options by other means: each key is a long option's name, and its values go
//! through the same parser as the command line, so there is one list of options and one set of rules.
//! From weak to strong: defaults, the system's file, the user's file, the environment, the profile that
//! `-P` chose, the command line. A stronger source replaces a weaker one's value; the options that name
//! targets are replaced together, so that `-w` is not added to a file's hosts.

use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command, CommandFactory, FromArgMatches};

use crate::cli::Cli;
use crate::targets::Diagnostic;
use crate::targets::groups::OwnGroup;
use crate::targets::suggest::nearest;
use crate::trusted;
use file::File;

mod file;
mod show;
#[cfg(test)]
mod tests;

const SYSTEM_FILE: &str = "/etc/mrsh/config.toml";

/// Options that choose what is read here, or what is done instead of a run: no settings.
const NOT_KEYS: [&str; 12] = [
    "config",
    "gather-stdin",
    "generate",
    "help",
    "no-config",
    "password",
    "password-fd",
    "ports",
    "profile",
    "show-config",
    "stdin",
    "version",
];

/// Options that name targets: a source that has one of them replaces all of the weaker ones'.
const TARGETS: [&str; 4] = ["all", "group", "hosts", "hosts-file"];

/// The modes in which words name targets.
pub(crate) const LISTINGS: [&str; 5] = ["count", "expand", "fold", "list", "regroup"];

/// Value names of options that take numbers, times or sizes.
const NUMBERS: [&str; 7] = ["N", "N|N%", "PORTS", "RANGES", "SIZE", "SIZES", "TIME"];

/// Variables and the options that they set, weak to strong. `WCOLL` is pdsh's.
const VARIABLES: [(&str, &str); 4] = [
    ("MRSH_JOBS", "jobs"),
    ("MRSH_TRANSPORT", "transport"),
    ("WCOLL", "hosts-file"),
    ("MRSH_HOSTS_FILE", "hosts-file"),
];

/// A configuration that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A fault in a file, shown with its line.
    #[error(transparent)]
    File(#[from] Box<FileFault>),
    /// A file that was asked for, or that is there, and cannot be read.
    #[error("cannot read the configuration file {}", file.display())]
    Read {
        /// Its path.
        file: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A variable with a value that its option does not take.
    #[error("the environment variable {name}: {message}")]
    Variable {
        /// Its name.
        name: &'static str,
        /// What is wrong with the value.
        message: String,
    },
    /// `-P` names no profile of any file.
    #[error("no profile {name:?}{}", hint.as_deref().unwrap_or_default())]
    NoProfile {
        /// As typed.
        name: String,
        /// The nearest one, or what there is.
        hint: Option<String>,
    },
    /// What was typed, or what a setting makes of it, is no valid command line.
    #[error(transparent)]
    CommandLine(#[from] Box<clap::Error>),
}

/// A fault in a file.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct FileFault(Diagnostic);

/// Where a value comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// Built in.
    Default,
    /// A file's line; in a profile if it has a name.
    File {
        /// Its path.
        file: Arc<str>,
        /// Counted from 1.
        line: usize,
        /// The profile.
        profile: Option<String>,
    },
    /// An environment variable.
    Variable(&'static str),
    /// What was typed.
    CommandLine,
}

/// The values of one option and where they come from.
#[derive(Clone, Debug)]
struct Value {
    texts: Vec<OsString>,
    source: Source,
}

/// Values by long option name.
type Layer = BTreeMap<String, Value>;

/// Everything that was set, by whatever means.
#[derive(Debug)]
pub struct Config {
    /// As if all of it had been typed.
    pub cli: Cli,
    /// The groups of the files' `[groups]`: an expression by name; the user's file wins.
    pub groups: BTreeMap<String, OwnGroup>,
    matches: ArgMatches,
    settings: Layer,
}

/// Where to look. Tests look elsewhere.
struct World<'a> {
    files: Vec<PathBuf>,
    variable: &'a dyn Fn(&str) -> Option<OsString>,
}

impl Config {
    /// Reads the command line, and all that lies below it.
    ///
    /// # Errors
    /// See [`ConfigError`].
    pub fn load(args: impl IntoIterator<Item = OsString>) -> Result<Config, ConfigError> {
        let world = World {
            files: usual_files(),
            variable: &|name| env::var_os(name).filter(|value| !value.is_empty()),
        };
        Config::load_from(args.into_iter().collect(), &world)
    }

    fn load_from(args: Vec<OsString>, world: &World) -> Result<Config, ConfigError> {
        let command = command();
        let typed = parse(&args)?;
        let mut groups = BTreeMap::new();
        let settings = below(&command, &typed, world, &mut groups)?;
        // As if it had been typed in front of what was.
        let mut all = args;
        let rest = all.split_off(all.len().min(1));
        all.extend(
            settings
                .iter()
                .flat_map(|(key, value)| as_typed(&command, key, value)),
        );
        all.extend(rest);
        let matches = parse(&all)?;
        let cli = Cli::from_arg_matches(&matches).map_err(Box::new)?;
        Ok(Config {
            cli,
            groups,
            matches,
            settings,
        })
    }
}

/// The configuration files of the system and of the user, which may be missing.
fn usual_files() -> Vec<PathBuf> {
    let user = env::var_os("XDG_CONFIG_HOME")
        .filter(|dir| Path::new(dir).is_absolute())
        .map(PathBuf::from)
        .or_else(|| Some(env::home_dir()?.join(".config")));
    let files = [
        Some(PathBuf::from(SYSTEM_FILE)),
        user.map(|dir| dir.join("mrsh/config.toml")),
    ];
    files.into_iter().flatten().collect()
}

/// The names of the profiles, and the groups, of this file or of the usual ones, as far as they can be read.
pub(crate) fn names(file: Option<&Path>) -> (BTreeSet<String>, BTreeMap<String, OwnGroup>) {
    let command = command();
    let (mut profiles, mut groups) = (BTreeSet::new(), BTreeMap::new());
    let files = file.map_or_else(usual_files, |file| vec![file.to_owned()]);
    for path in files {
        let Ok(text) = trusted::open(&path).and_then(io::read_to_string) else {
            continue;
        };
        let file = File {
            name: path.display().to_string().into(),
            path: &path,
            text: &text,
        };
        if let Ok((_, found)) = file.read(&command, &mut groups) {
            profiles.extend(found.into_iter().map(|(name, _)| name));
        }
    }
    (profiles, groups)
}

/// The command line: the options, and for every switch one that takes it back, since a configuration file
/// or an alias may have set it. The last of the two counts.
pub(crate) fn command() -> Command {
    // A negative number is refused as a value, not as an unknown option.
    let mut command = Cli::command().mut_args(|arg| {
        let names = arg.get_value_names().unwrap_or_default();
        let is_number = names.iter().any(|name| NUMBERS.contains(&name.as_str()));
        // A switch has a value's name as well, and no value.
        match is_number && matches!(arg.get_action(), ArgAction::Set | ArgAction::Append) {
            true => arg.allow_hyphen_values(true),
            false => arg,
        }
    });
    let switches: Vec<(String, String)> = command
        .get_arguments()
        .filter(|arg| matches!(arg.get_action(), ArgAction::SetTrue))
        .filter_map(|arg| Some((arg.get_id().to_string(), arg.get_long()?.to_owned())))
        .filter(|(_, long)| !NOT_KEYS.contains(&long.as_str()))
        // --label FORMAT takes --no-label back by itself.
        .filter(|(_, long)| argument(&command, &opposite(long)).is_none())
        .collect();
    for (id, long) in switches {
        let opposite = opposite(&long);
        command = command
            .mut_arg(&id, |arg| arg.overrides_with(opposite.clone()))
            .arg(
                Arg::new(opposite.clone())
                    .long(opposite)
                    .action(ArgAction::SetTrue)
                    .overrides_with(id)
                    .hide(true),
            );
    }
    command
}

/// The switch that takes this one back: `no-gather` for `gather`.
fn opposite(key: &str) -> String {
    match key.strip_prefix("no-") {
        Some(positive) => positive.to_owned(),
        None => format!("no-{key}"),
    }
}

fn parse(args: &[OsString]) -> Result<ArgMatches, ConfigError> {
    let command = command();
    let mut matches = command
        .clone()
        .try_get_matches_from(args)
        .map_err(Box::new)?;
    // The words of a listing are no command with options of its own: ours may stand among them.
    let lists = LISTINGS.iter().any(|id| matches.get_flag(id));
    if lists && matches.contains_id("command") {
        matches = command
            .mut_arg("command", |words| words.trailing_var_arg(false))
            .try_get_matches_from(args)
            .map_err(Box::new)?;
    }
    Ok(matches)
}

/// The settings that hold where the command line says nothing.
fn below(
    command: &Command,
    typed: &ArgMatches,
    world: &World,
    groups: &mut BTreeMap<String, OwnGroup>,
) -> Result<Layer, ConfigError> {
    let mut layers = Vec::new();
    let mut profiles = Layer::new();
    let wanted = typed.get_one::<String>("profile");
    let mut known = BTreeSet::new();
    let named = typed.get_one::<PathBuf>("config");
    let files = match named {
        _ if typed.get_flag("no_config") || typed.contains_id("generate") => Vec::new(),
        Some(file) => vec![file.clone()],
        None => world.files.clone(),
    };
    for path in files {
        let text = match trusted::open(&path).and_then(io::read_to_string) {
            Ok(text) => text,
            Err(_) if named.is_none() && is_out_of_sight(&path) => continue,
            Err(source) => return Err(ConfigError::Read { file: path, source }),
        };
        let file = File {
            name: path.display().to_string().into(),
            path: &path,
            text: &text,
        };
        let (top, by_profile) = file.read(command, groups)?;
        layers.push(top);
        for (name, layer) in by_profile {
            if wanted == Some(&name) {
                lay_over(&mut profiles, layer);
            }
            known.insert(name);
        }
    }
    if let Some(name) = wanted
        && !known.contains(name)
    {
        return Err(no_profile(name, &known));
    }
    layers.push(variables(command, world)?);
    layers.push(profiles);
    let mut settings = Layer::new();
    layers
        .into_iter()
        .for_each(|layer| lay_over(&mut settings, layer));
    let is_typed = |key: &str| is_typed(command, typed, key);
    let names_targets = TARGETS.iter().any(|key| is_typed(key));
    settings.retain(|key, _| {
        let replaced = names_targets && TARGETS.contains(&key.as_str());
        !replaced && !is_typed(key) && !excluded(command, typed, key)
    });
    Ok(settings)
}

/// Whether something was typed that cannot be together with this setting: what is typed is the stronger.
fn excluded(command: &Command, typed: &ArgMatches, key: &str) -> bool {
    let Some(setting) = argument(command, key) else {
        return false;
    };
    let excludes = |one: &Arg, other: &Arg| {
        let others = command.get_arg_conflicts_with(one);
        others.iter().any(|found| found.get_id() == other.get_id())
    };
    let is_typed =
        |arg: &&Arg| typed.value_source(arg.get_id().as_str()) == Some(ValueSource::CommandLine);
    command
        .get_arguments()
        .filter(is_typed)
        .any(|arg| excludes(arg, setting) || excludes(setting, arg))
}

/// Whether there is no such file as far as the caller can see: after `su`, `HOME` may be another's.
fn is_out_of_sight(path: &Path) -> bool {
    fs::metadata(path).is_err_and(|e| {
        matches!(
            e.kind(),
            io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied
        )
    })
}

/// Puts a stronger layer over the others.
fn lay_over(settings: &mut Layer, layer: Layer) {
    if TARGETS.iter().any(|key| layer.contains_key(*key)) {
        settings.retain(|key, _| !TARGETS.contains(&key.as_str()));
    }
    settings.extend(layer);
}

fn no_profile(name: &str, known: &BTreeSet<String>) -> ConfigError {
    let list = || known.iter().map(String::as_str).collect::<Vec<_>>();
    let hint = match nearest(name, list()) {
        Some(nearest) => Some(format!("; is it {nearest:?}?")),
        None if known.is_empty() => Some("; no configuration file has any".to_owned()),
        None => Some(format!("; there are {}", list().join(", "))),
    };
    ConfigError::NoProfile {
        name: name.to_owned(),
        hint,
    }
}

/// What the environment sets.
fn variables(command: &Command, world: &World) -> Result<Layer, ConfigError> {
    let mut layer = Layer::new();
    for (name, key) in VARIABLES {
        if let Some(text) = (world.variable)(name) {
            let value = Value {
                texts: vec![text],
                source: Source::Variable(name),
            };
            check(command, key, &value)
                .map_err(|message| ConfigError::Variable { name, message })?;
            layer.insert(key.to_owned(), value);
        }
    }
    Ok(layer)
}

/// Asks the parser of the command line whether it would take this.
fn check(command: &Command, key: &str, value: &Value) -> Result<(), String> {
    let args = [OsString::from("mrsh")]
        .into_iter()
        .chain(as_typed(command, key, value));
    match command.clone().try_get_matches_from(args) {
        Ok(_) => Ok(()),
        Err(error) => {
            let text = error.to_string();
            let first = text.lines().next().unwrap_or_default();
            Err(first.trim_start_matches("error: ").to_owned())
        }
    }
}

/// A setting as it would be typed.
fn as_typed(command: &Command, key: &str, value: &Value) -> Vec<OsString> {
    match argument(command, key).map(Arg::get_action) {
        Some(ArgAction::SetTrue) if value.texts == ["true"] => vec![format!("--{key}").into()],
        Some(ArgAction::SetTrue) => Vec::new(),
        _ => value.texts.iter().map(|text| option(key, text)).collect(),
    }
}

/// A long option with its value, in one word.
pub(crate) fn option(key: &str, value: &OsStr) -> OsString {
    let mut word = OsString::from(format!("--{key}="));
    word.push(value);
    word
}

fn argument<'a>(command: &'a Command, key: &str) -> Option<&'a Arg> {
    command
        .get_arguments()
        .find(|arg| arg.get_long() == Some(key))
}

/// The name under which clap keeps an option's values.
fn id<'a>(command: &'a Command, key: &str) -> &'a str {
    argument(command, key).map_or("", |arg| arg.get_id().as_str())
}

/// Whether an option, or the one that takes it back, was typed.
fn is_typed(command: &Command, matches: &ArgMatches, key: &str) -> bool {
    let is = |id: &str| matches.value_source(id) == Some(ValueSource::CommandLine);
    let switch =
        argument(command, key).is_some_and(|arg| matches!(arg.get_action(), ArgAction::SetTrue));
    is(id(command, key)) || switch && is(&opposite(key))
}

/// The long options that a file can set.
fn keys(command: &Command) -> impl Iterator<Item = &str> {
    command
        .get_arguments()
        .filter(|arg| !arg.is_hide_set())
        .filter_map(Arg::get_long)
        .filter(|key| !NOT_KEYS.contains(key))
}
