//! Settings from configuration files and the environment, under those of the command line.
//!
//! A configuration file holds options: each key is the name of a long option. Its values become the defaults of the
//! options, and clap parses them as it parses typed values. There is one list of options and one set of rules.
//!
//! From weak to strong: defaults, the system's file, the user's file, the environment, the profile of `-P`, the
//! command line. A stronger source replaces the value of a weaker one, and settings that conflict with its own. The
//! options that name targets are replaced together, so that `-w` is not added to the hosts of a file.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command, CommandFactory, FromArgMatches};

use crate::cli::{Cli, TypedLine, time};
use crate::targets::Diagnostic;
use crate::targets::groups::OwnGroup;
use crate::targets::suggest::nearest;
use crate::trusted;
use file::ConfigFile;
pub(crate) use resume::{ResumeError, resumed};

mod file;
mod resume;
mod show;
#[cfg(test)]
mod tests;

const SYSTEM_FILE: &str = "/etc/mrsh/config.toml";

/// Options that are no settings: they choose a configuration, or an answer that takes the place of a run.
const NOT_KEYS: [&str; 26] = [
    "check",
    "config",
    "copy",
    "dest",
    "failed",
    "gather-stdin",
    "generate",
    "help",
    "journal",
    "no-config",
    "only-changed",
    "password",
    "password-fd",
    "ports",
    "profile",
    "resume",
    "script",
    "script-dir",
    "show-config",
    "status",
    "stdin",
    "sudo-password",
    "sudo-password-fd",
    "sudo-password-in-clear",
    "swap",
    "version",
];

/// Options that name targets. A source that has one of them replaces all of those of weaker sources.
const TARGETS: [&str; 4] = ["all", "group", "hosts", "hosts-file"];

/// Options of the listing modes, in which words name targets.
pub(crate) const LISTINGS: [&str; 5] = ["count", "expand", "fold", "list", "regroup"];

/// Names of values that are numbers, times or sizes.
const NUMBERS: [&str; 7] = ["N", "N|N%", "PORTS", "RANGES", "SIZE", "SIZES", "TIME"];

/// Options with an optional value. As for a switch, there is an option that takes them back.
const OPTIONAL: [&str; 2] = ["confirm", "pause"];

/// Environment variables and the options that they set, from weak to strong. `WCOLL` is a variable of pdsh.
const VARIABLES: [(&str, &str); 4] = [
    ("MRSH_JOBS", "jobs"),
    ("MRSH_TRANSPORT", "transport"),
    ("WCOLL", "hosts-file"),
    ("MRSH_HOSTS_FILE", "hosts-file"),
];

/// A configuration that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// A configuration file has an error, shown with its line.
    #[error(transparent)]
    File(#[from] Box<ConfigFileError>),
    /// A file that exists, or that `--config` names, cannot be read.
    #[error("cannot read the configuration file {}", file.display())]
    Read {
        /// Path of the file.
        file: PathBuf,
        /// Error of the system.
        #[source]
        source: io::Error,
    },
    /// An environment variable has a value that its option does not take.
    #[error("cannot use the environment variable {name}: {message}")]
    Variable {
        /// Name of the variable.
        name: &'static str,
        /// Message of the parser of the command line.
        message: String,
    },
    /// `-P` names no profile of any file.
    #[error("cannot find the profile {name:?}")]
    NoProfile {
        /// Name as it was typed.
        name: String,
        /// The nearest profile, or all profiles.
        help: String,
    },
    /// The command line is wrong, by itself or together with the settings.
    #[error(transparent)]
    CommandLine(#[from] Box<clap::Error>),
}

impl SettingsError {
    /// Returns the help for an error whose message has none itself.
    pub(crate) fn help(&self) -> Option<&str> {
        match self {
            SettingsError::Read { source, .. } => trusted::help(source),
            SettingsError::NoProfile { help, .. } => Some(help),
            SettingsError::File(_)
            | SettingsError::Variable { .. }
            | SettingsError::CommandLine(_) => None,
        }
    }
}

/// An error in a configuration file.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct ConfigFileError(Diagnostic);

/// Source of a setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SettingSource {
    /// The default of the option.
    Default,
    /// A line of a configuration file.
    File {
        /// Path of the file.
        file: Arc<str>,
        /// Number of the line, counted from 1.
        line: usize,
        /// Profile that has the setting, if one has it.
        profile: Option<String>,
    },
    /// An environment variable.
    Variable(&'static str),
    /// The command line.
    CommandLine,
}

/// Values of one option, and their source.
#[derive(Clone, Debug)]
struct OptionSetting {
    values: Vec<OsString>,
    source: SettingSource,
}

/// Settings of one source, by the name of the long option.
type OptionSettings = BTreeMap<String, OptionSetting>;

/// Settings of all sources together.
#[derive(Debug)]
pub struct Config {
    /// Command line that has all settings.
    pub cli: Cli,
    /// Groups of `[groups]` by name. The user's file replaces groups of the system's file.
    pub groups: BTreeMap<String, OwnGroup>,
    matches: ArgMatches,
    settings: OptionSettings,
}

/// Files and environment variables to read. Tests have their own.
struct ConfigInputs<'a> {
    files: Vec<PathBuf>,
    variable: &'a dyn Fn(&str) -> Option<OsString>,
}

impl Config {
    /// Reads the command line, the configuration files and the environment.
    ///
    /// # Errors
    /// A file or a setting is wrong, or the command line is: see [`SettingsError`].
    pub fn load(args: impl IntoIterator<Item = OsString>) -> Result<Config, SettingsError> {
        let inputs = ConfigInputs {
            files: usual_files(),
            variable: &|name| env::var_os(name).filter(|value| !value.is_empty()),
        };
        Config::load_from(args.into_iter().collect(), &inputs)
    }

    fn load_from(args: Vec<OsString>, inputs: &ConfigInputs) -> Result<Config, SettingsError> {
        let options = built_command();
        let typed = parse(command(), &args)?;
        let mut groups = BTreeMap::new();
        let settings = if typed.contains_id("resume") {
            // The journal has the settings of its run.
            OptionSettings::new()
        } else {
            settings_below(&options, &typed, inputs, &mut groups)?
        };
        let values = settings
            .iter()
            .map(|(key, setting)| (&**key, &*setting.values));
        let matches = parse(with_defaults(command(), values), &args)?;
        let mut cli = Cli::from_arg_matches(&matches).map_err(Box::new)?;
        cli.caution.pause_typed = is_typed(&options, &typed, "pause");
        if cli.journal.journal.is_some() {
            cli.journal.line = TypedLine {
                typed: args.into_iter().skip(1).collect(),
                options: resume::recorded_options(&options, &matches, &settings),
                command: cli.command.clone(),
            };
        }
        Ok(Config {
            cli,
            groups,
            matches,
            settings,
        })
    }
}

/// Returns the configuration files of the system and of the user. They may be missing.
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

/// Returns the names of the profiles, and the groups, of this file or else of the usual files. Files that cannot be
/// read are left out.
pub(crate) fn names(file: Option<&Path>) -> (BTreeSet<String>, BTreeMap<String, OwnGroup>) {
    let command = built_command();
    let (mut profiles, mut groups) = (BTreeSet::new(), BTreeMap::new());
    let files = file.map_or_else(usual_files, |file| vec![file.to_owned()]);
    for path in files {
        let Ok(text) = trusted::open(&path).and_then(io::read_to_string) else {
            continue;
        };
        let file = ConfigFile {
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

/// Returns the definition of the command line: the options, and for every switch one that switches it off, because a
/// configuration file or an alias may have set it. The last of the two counts.
pub(crate) fn command() -> Command {
    // A negative number is refused as a value, not as an unknown option.
    let mut command = Cli::command().mut_args(|arg| {
        let names = arg.get_value_names().unwrap_or_default();
        let is_number = names.iter().any(|name| NUMBERS.contains(&name.as_str()));
        // clap gives a switch the name of a value, too.
        if is_number && matches!(arg.get_action(), ArgAction::Set | ArgAction::Append) {
            arg.allow_hyphen_values(true)
        } else {
            arg
        }
    });
    let switches: Vec<(String, String)> = command
        .get_arguments()
        .filter(|arg| has_opposite(arg))
        .filter_map(|arg| Some((arg.get_id().to_string(), arg.get_long()?.to_owned())))
        .filter(|(_, long)| !NOT_KEYS.contains(&long.as_str()))
        // --label FORMAT already switches --no-label off.
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

/// True for an option that another one takes back.
fn has_opposite(arg: &Arg) -> bool {
    matches!(arg.get_action(), ArgAction::SetTrue)
        || arg.get_long().is_some_and(|long| OPTIONAL.contains(&long))
}

/// Returns the switch that switches this one off: `no-gather` for `gather`.
fn opposite(key: &str) -> String {
    match key.strip_prefix("no-") {
        Some(positive) => positive.to_owned(),
        None => format!("no-{key}"),
    }
}

/// Returns the definition of the command line for questions about its options.
fn built_command() -> Command {
    let mut command = command();
    // Groups of options exist only then. An option of a built command must not be changed: clap 4 loses its index.
    command.build();
    command
}

/// Returns the command line with these values, by the names of long options, as defaults of the options. A typed value
/// takes the place of a default.
fn with_defaults<'a>(
    command: Command,
    values: impl IntoIterator<Item = (&'a str, &'a [OsString])>,
) -> Command {
    values.into_iter().fold(command, |command, (key, values)| {
        let id = id(&command, key).to_owned();
        command.mut_arg(id, |arg| arg.default_values_os(values))
    })
}

fn parse(command: Command, args: &[OsString]) -> Result<ArgMatches, SettingsError> {
    let args = with_joined_pause(&command, args);
    let mut matches = command
        .clone()
        .try_get_matches_from(&*args)
        .map_err(Box::new)?;
    // The words of a listing are no command with options of its own, so options may stand among them.
    let lists = LISTINGS.iter().any(|id| matches.get_flag(id));
    if lists && matches.contains_id("command") {
        matches = command
            .mut_arg("command", |words| words.trailing_var_arg(false))
            .try_get_matches_from(&*args)
            .map_err(Box::new)?;
    }
    Ok(matches)
}

/// Joins `--pause` with a time that follows it as a word of its own. clap cannot do that: it would take any word there
/// for the value, also the first one of COMMAND.
fn with_joined_pause<'a>(command: &Command, args: &'a [OsString]) -> Cow<'a, [OsString]> {
    let mut args = Cow::Borrowed(args);
    let mut from = 0;
    while let Some(at) = (from..args.len()).find(|&at| is_pause_before_time(&args[at..])) {
        // The options behind the time are not read yet, so their rules may seem to be broken.
        let lenient = command.clone().ignore_errors(true);
        let words = lenient
            .try_get_matches_from(&*args)
            .ok()
            .and_then(|matches| Some(matches.get_raw("command")?.count()));
        if words.is_some_and(|words| args.len() - words == at + 1) {
            let time = args.to_mut().remove(at + 1);
            let mut joined = OsString::from("--pause=");
            joined.push(time);
            args.to_mut()[at] = joined;
        }
        from = at + 1;
    }
    args
}

fn is_pause_before_time(words: &[OsString]) -> bool {
    let [pause, value, ..] = words else {
        return false;
    };
    pause == "--pause" && value.to_str().is_some_and(|text| time(text).is_ok())
}

/// Returns the settings for options that the command line does not have.
fn settings_below(
    command: &Command,
    typed: &ArgMatches,
    inputs: &ConfigInputs,
    groups: &mut BTreeMap<String, OwnGroup>,
) -> Result<OptionSettings, SettingsError> {
    let mut layers = Vec::new();
    let mut profiles = OptionSettings::new();
    let chosen = typed.get_one::<String>("profile");
    let mut known = BTreeSet::new();
    let named = typed.get_one::<PathBuf>("config");
    let files = match named {
        _ if typed.get_flag("no_config") || typed.contains_id("generate") => Vec::new(),
        Some(file) => vec![file.clone()],
        None => inputs.files.clone(),
    };
    for path in files {
        let text = match trusted::open(&path).and_then(io::read_to_string) {
            Ok(text) => text,
            Err(_) if named.is_none() && is_out_of_sight(&path) => continue,
            Err(source) => return Err(SettingsError::Read { file: path, source }),
        };
        let file = ConfigFile {
            name: path.display().to_string().into(),
            path: &path,
            text: &text,
        };
        let (top, by_profile) = file.read(command, groups)?;
        layers.push(top);
        for (name, layer) in by_profile {
            if chosen == Some(&name) {
                override_settings(command, &mut profiles, layer);
            }
            known.insert(name);
        }
    }
    if let Some(name) = chosen
        && !known.contains(name)
    {
        return Err(no_profile(name, &known));
    }
    layers.push(variables(inputs)?);
    layers.push(profiles);
    let mut settings = OptionSettings::new();
    for layer in layers {
        override_settings(command, &mut settings, layer);
    }
    let names_targets = TARGETS.iter().any(|key| is_typed(command, typed, key));
    settings.retain(|key, _| {
        let replaced = names_targets && TARGETS.contains(&key.as_str());
        !replaced && !replaces(command, typed, key)
    });
    check_conflicts(command, &settings)?;
    Ok(settings)
}

/// Returns true if the command line has this option, the one that switches it off, or one that conflicts with it.
fn replaces(command: &Command, typed: &ArgMatches, key: &str) -> bool {
    let is_explicit =
        |arg: &&Arg| typed.value_source(arg.get_id().as_str()) == Some(ValueSource::CommandLine);
    is_typed(command, typed, key)
        || argument(command, key).is_some_and(|setting| {
            let mut typed = command.get_arguments().filter(is_explicit);
            typed.any(|arg| conflict(command, arg, setting))
        })
}

/// Returns true if clap refuses the two options together.
fn conflict(command: &Command, one: &Arg, other: &Arg) -> bool {
    let names = |arg: &Arg, other: &Arg| {
        let others = command.get_arg_conflicts_with(arg);
        others.iter().any(|found| found.get_id() == other.get_id())
    };
    let both_in_a_group = command.get_groups().any(|group| {
        let has = |arg: &Arg| group.get_args().any(|id| id == arg.get_id());
        // clap wants a mutable group for this question.
        !group.clone().is_multiple() && has(one) && has(other)
    });
    one.get_id() != other.get_id() && (names(one, other) || names(other, one) || both_in_a_group)
}

/// Returns the options of these settings, without switches that are off, which exclude nothing.
fn options_set<'a>(command: &'a Command, settings: &OptionSettings) -> Vec<&'a Arg> {
    let option = |(key, setting): (&String, &OptionSetting)| {
        let option = argument(command, key)?;
        let is_switch = matches!(option.get_action(), ArgAction::SetTrue);
        (!is_switch || setting.values == ["true"]).then_some(option)
    };
    settings.iter().filter_map(option).collect()
}

/// Checks that no two settings conflict. Only settings of one source still can.
// clap checks this for typed options, and not for defaults.
fn check_conflicts(command: &Command, settings: &OptionSettings) -> Result<(), SettingsError> {
    let options = options_set(command, settings);
    for (at, one) in options.iter().enumerate() {
        if let Some(other) = options[at..].iter().find(|arg| conflict(command, one, arg)) {
            let message = format!("the argument '{one}' cannot be used with '{other}'");
            let error = command.clone().error(ErrorKind::ArgumentConflict, message);
            return Err(Box::new(error).into());
        }
    }
    Ok(())
}

/// Returns true if the caller cannot see such a file. After `su`, `HOME` may belong to another user.
fn is_out_of_sight(path: &Path) -> bool {
    fs::metadata(path).is_err_and(|e| {
        matches!(
            e.kind(),
            io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied
        )
    })
}

/// Adds the settings of a stronger source. They replace weaker settings that conflict with them.
fn override_settings(command: &Command, settings: &mut OptionSettings, layer: OptionSettings) {
    if TARGETS.iter().any(|key| layer.contains_key(*key)) {
        settings.retain(|key, _| !TARGETS.contains(&key.as_str()));
    }
    let stronger = options_set(command, &layer);
    settings.retain(|key, _| {
        let weaker = argument(command, key);
        !weaker.is_some_and(|weaker| stronger.iter().any(|arg| conflict(command, arg, weaker)))
    });
    settings.extend(layer);
}

fn no_profile(name: &str, known: &BTreeSet<String>) -> SettingsError {
    let names: Vec<&str> = known.iter().map(String::as_str).collect();
    let help = match nearest(name, names.iter().copied()) {
        Some(nearest) => format!("is it {nearest:?}?"),
        None if names.is_empty() => "no configuration file has a profile".to_owned(),
        None => format!("profiles are {}", names.join(", ")),
    };
    SettingsError::NoProfile {
        name: name.to_owned(),
        help,
    }
}

/// Returns the settings of the environment.
fn variables(inputs: &ConfigInputs) -> Result<OptionSettings, SettingsError> {
    let mut layer = OptionSettings::new();
    for (name, key) in VARIABLES {
        if let Some(text) = (inputs.variable)(name) {
            let values = vec![text];
            check(key, &values).map_err(|message| SettingsError::Variable { name, message })?;
            let source = SettingSource::Variable(name);
            layer.insert(key.to_owned(), OptionSetting { values, source });
        }
    }
    Ok(layer)
}

/// Checks the values of a setting with the value parser of its option.
fn check(key: &str, values: &[OsString]) -> Result<(), String> {
    // clap has no function for a single value. It parses defaults also if nothing was typed.
    let command = with_defaults(command(), [(key, values)]);
    let Err(error) = command.try_get_matches_from(["mrsh"]) else {
        return Ok(());
    };
    let text = error.to_string();
    let first = text.lines().next().unwrap_or_default();
    Err(first.trim_start_matches("error: ").to_owned())
}

fn argument<'a>(command: &'a Command, key: &str) -> Option<&'a Arg> {
    command
        .get_arguments()
        .find(|arg| arg.get_long() == Some(key))
}

/// Returns the name under which clap keeps the values of an option.
fn id<'a>(command: &'a Command, key: &str) -> &'a str {
    argument(command, key).map_or("", |arg| arg.get_id().as_str())
}

/// Returns true if an option, or the one that switches it off, was typed.
fn is_typed(command: &Command, matches: &ArgMatches, key: &str) -> bool {
    let was_typed = |id: &str| matches.value_source(id) == Some(ValueSource::CommandLine);
    let is_taken_back = argument(command, key).is_some_and(has_opposite);
    was_typed(id(command, key)) || is_taken_back && was_typed(&opposite(key))
}

/// Returns the long options that a file can set.
fn keys(command: &Command) -> impl Iterator<Item = &str> {
    command
        .get_arguments()
        .filter(|arg| !arg.is_hide_set())
        .filter_map(Arg::get_long)
        .filter(|key| !NOT_KEYS.contains(key))
}
