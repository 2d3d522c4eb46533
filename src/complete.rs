//! Completion in shells: the candidates for the last word of an unfinished command line.
//!
//! The scripts of `--generate` call `mrsh --complete WORDS…`, where the last word is the one to be completed, and
//! follow the [`CompletionAnswer`]. The rules come from the definition of the command line, so bash, zsh and fish have the same
//! ones, and the scripts know no option. Errors are silent, because an answer without candidates is enough.

use std::collections::BTreeSet;
use std::env;
use std::ffi::OsString;
use std::fmt;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use clap::{Arg, ArgAction, Command};
use nodeset::{GroupSource as _, NoLookup};
use ssh_files::keywords;

use crate::config::{self, LISTINGS};
use crate::targets::groups::{Groups, Places};
use crate::targets::{HostResolver, Limits};

/// The first argument that asks for completions.
pub(crate) const ARGUMENT: &str = "--complete";

/// Maximum number of candidates.
const MAX_CANDIDATES: usize = 2000;

/// Maximum number of hosts of a group whose hosts are candidates.
const MAX_GROUP_HOSTS: usize = 100_000;

/// Maximum length of a known_hosts file that is read, in bytes.
const MAX_KNOWN_HOSTS: u64 = 16 << 20;

/// An answer to a shell.
#[derive(Debug, PartialEq, Eq)]
enum CompletionAnswer {
    /// One of these words, each with its description or none.
    Words(Vec<(String, String)>),
    /// The name of a file. The string is the part of the word before the name.
    Files(String),
    /// The name of a directory. The string is the part of the word before the name.
    Directories(String),
    /// COMMAND, which begins at the word with this index. The shell itself completes its words.
    Command(usize),
}

impl fmt::Display for CompletionAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CompletionAnswer::Words(words) => {
                writeln!(f, "words")?;
                words
                    .iter()
                    .take(MAX_CANDIDATES)
                    .try_for_each(|(word, description)| match description.as_str() {
                        "" => writeln!(f, "{word}"),
                        description => writeln!(f, "{word}\t{description}"),
                    })
            }
            CompletionAnswer::Files(start) => writeln!(f, "files\t{start}"),
            CompletionAnswer::Directories(start) => writeln!(f, "directories\t{start}"),
            CompletionAnswer::Command(at) => writeln!(f, "command\t{at}"),
        }
    }
}

/// Returns the answer for these words, in the form that the scripts read.
pub(crate) fn answer(words: &[OsString]) -> String {
    let words: Vec<String> = words
        .iter()
        .map(|word| word.to_string_lossy().into_owned())
        .collect();
    find(&config::command(), &words, &|line| {
        Box::new(LocalNames::new(line))
    })
    .to_string()
}

/// Options before the last word that change its candidates.
#[derive(Debug, Default)]
struct TypedOptions {
    /// True if words are expressions and no command.
    is_listing: bool,
    /// Hosts files, which may be inventories.
    files: Vec<PathBuf>,
    /// Value of `--config`.
    config: Option<PathBuf>,
    no_config: bool,
    /// True if words are the arguments of a script.
    is_script: bool,
}

impl TypedOptions {
    /// Returns the answer for the words that begin at this index.
    fn command(&self, at: usize) -> CompletionAnswer {
        if self.is_script {
            CompletionAnswer::Files(String::new())
        } else {
            CompletionAnswer::Command(at)
        }
    }

    fn option(&mut self, long: &str, value: Option<&str>) {
        match (long, value) {
            ("hosts-file", Some(file)) => self.files.push(file.into()),
            ("config", Some(file)) => self.config = Some(file.into()),
            ("no-config", _) => self.no_config = true,
            ("script", _) => self.is_script = true,
            _ => self.is_listing |= LISTINGS.contains(&long),
        }
    }
}

/// Finds the answer. `known` is called only if names of hosts, groups or profiles are candidates.
fn find(
    command: &Command,
    words: &[String],
    known: &dyn Fn(&TypedOptions) -> Box<dyn KnownNames>,
) -> CompletionAnswer {
    let Some((last, before)) = words.split_last() else {
        return CompletionAnswer::Words(Vec::new());
    };
    let mut line = TypedOptions::default();
    let mut waiting: Option<&Arg> = None;
    for (at, word) in before.iter().enumerate() {
        if let Some(option) = waiting.take() {
            line.option(option.get_long().unwrap_or_default(), Some(word));
        } else if word == "--" {
            return line.command(at + 1);
        } else if let Some(long) = word.strip_prefix("--") {
            let (name, value) = match long.split_once('=') {
                Some((name, value)) => (name, Some(value)),
                None => (long, None),
            };
            line.option(name, value);
            let option = command
                .get_arguments()
                .find(|arg| arg.get_long() == Some(name));
            waiting = option.filter(|option| value.is_none() && wants_word(option));
        } else if let Some(letters) = word.strip_prefix('-').filter(|letters| !letters.is_empty()) {
            for (place, letter) in letters.char_indices() {
                let Some(option) = short(command, letter) else {
                    continue;
                };
                let attached = &letters[place + letter.len_utf8()..];
                if wants_word(option) {
                    match attached {
                        "" => waiting = Some(option),
                        value => line.option(option.get_long().unwrap_or_default(), Some(value)),
                    }
                    break;
                }
                line.option(option.get_long().unwrap_or_default(), None);
            }
        } else if !line.is_listing {
            // Without a listing option, the first word that is no option begins COMMAND.
            return line.command(at);
        }
    }
    if let Some(option) = waiting {
        return value(option, "", last, &|| known(&line));
    }
    if let Some((name, text)) = last
        .strip_prefix("--")
        .and_then(|word| word.split_once('='))
    {
        let option = command
            .get_arguments()
            .find(|arg| arg.get_long() == Some(name));
        return match option {
            Some(option) => value(option, &format!("--{name}="), text, &|| known(&line)),
            None => CompletionAnswer::Words(Vec::new()),
        };
    }
    if let Some(letters) = last.strip_prefix('-') {
        let mut letters = letters.chars();
        if let (Some(letter), rest) = (letters.next(), letters.as_str())
            && let Some(option) = short(command, letter).filter(|option| wants_word(option))
            && !rest.is_empty()
        {
            return value(option, &format!("-{letter}"), rest, &|| known(&line));
        }
        return CompletionAnswer::Words(options(command, last));
    }
    if line.is_listing {
        CompletionAnswer::Words(expression("", last, &*known(&line)))
    } else {
        line.command(before.len())
    }
}

fn short(command: &Command, letter: char) -> Option<&Arg> {
    command
        .get_arguments()
        .find(|arg| arg.get_short() == Some(letter))
}

/// Returns true if the word after an option is its value.
fn wants_word(option: &Arg) -> bool {
    // Such an option takes a value only after `=`, so the next word is another one.
    let valued = matches!(option.get_action(), ArgAction::Set | ArgAction::Append);
    valued && !option.is_require_equals_set()
}

/// Returns the options that start with `start`, with the first line of their help.
fn options(command: &Command, start: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for option in command.get_arguments().filter(|arg| !arg.is_hide_set()) {
        let help = option
            .get_help()
            .map(ToString::to_string)
            .unwrap_or_default();
        let help = help.lines().next().unwrap_or_default().to_owned();
        let short = option.get_short().map(|letter| format!("-{letter}"));
        let long = option.get_long().map(|long| format!("--{long}"));
        for name in short.into_iter().chain(long) {
            if name.starts_with(start) {
                found.push((name, help.clone()));
            }
        }
    }
    found
}

/// Returns the values of an option that start with `text`, each after `start`.
fn value(
    option: &Arg,
    start: &str,
    text: &str,
    known: &dyn Fn() -> Box<dyn KnownNames>,
) -> CompletionAnswer {
    let filtered = |names: &mut dyn Iterator<Item = String>| {
        let fitting = names.filter(|name| name.starts_with(text));
        CompletionAnswer::Words(
            fitting
                .map(|name| (format!("{start}{name}"), String::new()))
                .collect(),
        )
    };
    match option.get_long().unwrap_or_default() {
        "hosts" | "exclude" => CompletionAnswer::Words(expression(start, text, &*known())),
        "group" => CompletionAnswer::Words(group(start, text, &*known())),
        "group-source" | "groups" => filtered(&mut known().sources().into_iter()),
        "profile" => filtered(&mut known().profiles().into_iter()),
        "hosts-file" | "identity" | "ssh-config" | "report" | "failed-to" | "config" | "script" => {
            CompletionAnswer::Files(start.to_owned())
        }
        "output-dir" | "error-dir" => CompletionAnswer::Directories(start.to_owned()),
        "ssh-option" => filtered(&mut keywords().map(|name| format!("{name}="))),
        _ => {
            let values = option.get_possible_values();
            filtered(&mut values.iter().map(|value| value.get_name().to_owned()))
        }
    }
}

/// Returns the hosts and groups that can complete an expression.
fn expression(start: &str, text: &str, known: &dyn KnownNames) -> Vec<(String, String)> {
    let mut piece = 0;
    let mut brackets = 0_usize;
    for (at, c) in text.char_indices() {
        match c {
            '[' => brackets += 1,
            ']' => brackets = brackets.saturating_sub(1),
            ',' | '!' | '&' | '^' | ' ' if brackets == 0 => piece = at + 1,
            _ => {}
        }
    }
    // No name can stand inside of a range.
    if brackets > 0 {
        return Vec::new();
    }
    // A transport and a user may stand before the name.
    if let Some(at) = text[piece..].find("://") {
        piece += at + 3;
    }
    if let Some(at) = text[piece..].find('@').filter(|at| *at > 0) {
        piece += at + 1;
    }
    let start = format!("{start}{}", &text[..piece]);
    match text[piece..].strip_prefix('@') {
        Some(name) => group(&format!("{start}@"), name, known),
        None => known
            .hosts(&text[piece..])
            .into_iter()
            .map(|name| (format!("{start}{name}"), String::new()))
            .collect(),
    }
}

/// Returns the groups whose names start with `text`, with a source if `text` has one.
fn group(start: &str, text: &str, known: &dyn KnownNames) -> Vec<(String, String)> {
    let names: BTreeSet<String> = match text.split_once(':') {
        Some((source, _)) => {
            let names = known.groups(Some(source)).into_iter();
            names.map(|name| format!("{source}:{name}")).collect()
        }
        None => known.groups(None).into_iter().collect(),
    };
    let fitting = names.into_iter().filter(|name| name.starts_with(text));
    fitting
        .map(|name| (format!("{start}{name}"), String::new()))
        .collect()
}

/// Source of names that can stand on a command line.
trait KnownNames {
    /// Returns the names of the group sources.
    fn sources(&self) -> Vec<String>;

    /// Returns the profiles of the configuration.
    fn profiles(&self) -> Vec<String>;

    /// Returns the groups of a source, or those that can be named without one.
    fn groups(&self, source: Option<&str>) -> Vec<String>;

    /// Returns the hosts whose names start with `start`.
    fn hosts(&self, start: &str) -> Vec<String>;
}

/// The names that this machine knows.
struct LocalNames {
    groups: Groups,
    profiles: BTreeSet<String>,
}

impl LocalNames {
    fn new(line: &TypedOptions) -> LocalNames {
        let (profiles, own) = if line.no_config {
            Default::default()
        } else {
            config::names(line.config.as_deref())
        };
        let variable = |name: &str| {
            env::var_os(name)
                .filter(|value| !value.is_empty())
                .map(PathBuf::from)
        };
        let mut groups = Groups::new(Places::new(variable), own);
        let limits = Limits {
            max_targets: MAX_GROUP_HOSTS,
            ..Limits::default()
        };
        for file in &line.files {
            // A file that cannot be read has no groups.
            let _ = groups.add_inventory(file, limits);
        }
        LocalNames { groups, profiles }
    }

    fn searched(&self) -> Vec<String> {
        self.groups.searched_names().unwrap_or_default()
    }
}

impl KnownNames for LocalNames {
    fn sources(&self) -> Vec<String> {
        self.groups.sources().unwrap_or_default()
    }

    fn profiles(&self) -> Vec<String> {
        self.profiles.iter().cloned().collect()
    }

    fn groups(&self, source: Option<&str>) -> Vec<String> {
        let sources = source.map_or_else(|| self.searched(), |source| vec![source.to_owned()]);
        let lists = sources.iter().map(|source| self.groups.list(Some(source)));
        lists.flat_map(Result::unwrap_or_default).collect()
    }

    fn hosts(&self, start: &str) -> Vec<String> {
        let mut found = known_hosts();
        let resolver = HostResolver::new(MAX_GROUP_HOSTS, &self.groups, &NoLookup);
        for source in self.searched() {
            if let Ok(hosts) = resolver.hosts(&format!("@{source}:*")) {
                hosts.for_each(|host| {
                    if host.label.starts_with(start) {
                        found.insert(host.label.to_owned());
                    }
                });
            }
        }
        found.retain(|name| name.starts_with(start));
        found.into_iter().collect()
    }
}

/// Returns the hosts whose keys ssh knows by name.
fn known_hosts() -> BTreeSet<String> {
    let own = env::home_dir().map(|home| home.join(".ssh/known_hosts"));
    let system = PathBuf::from("/etc/ssh/ssh_known_hosts");
    let files = own.into_iter().chain([system]);
    files.flat_map(|file| hosts_in(&text_of(&file))).collect()
}

fn text_of(file: &Path) -> String {
    let mut bytes = Vec::new();
    // A file that cannot be read has no hosts.
    let _ = File::open(file).and_then(|file| file.take(MAX_KNOWN_HOSTS).read_to_end(&mut bytes));
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Returns the names in the text of a known_hosts file, without patterns.
fn hosts_in(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for line in text.lines() {
        // Hashed names cannot be read, and lines with a marker (`@revoked`) are about keys.
        let names = line.split_whitespace().next().unwrap_or_default();
        if names.starts_with(['#', '|', '@']) {
            continue;
        }
        let names = names.split(',').filter(|name| !name.is_empty());
        for name in names.filter(|name| !name.contains(['*', '?', '!'])) {
            // known_hosts writes a host with another port as `[name]:port`.
            let inside = name.strip_prefix('[').and_then(|rest| rest.split_once(']'));
            found.push(match inside {
                Some((name, port)) if !name.contains(':') => format!("{name}{port}"),
                _ => name.to_owned(),
            });
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Groups, hosts and profiles for the tests.
    struct TestNames {
        inventory: bool,
    }

    impl KnownNames for TestNames {
        fn sources(&self) -> Vec<String> {
            ["genders", "local"].map(str::to_owned).into()
        }

        fn profiles(&self) -> Vec<String> {
            ["prod", "web"].map(str::to_owned).into()
        }

        fn groups(&self, source: Option<&str>) -> Vec<String> {
            let names: &[&str] = match source {
                None if self.inventory => &["compute", "from_inventory"],
                None => &["compute", "gpu"],
                Some("genders") => &["all", "login"],
                Some(_) => &[],
            };
            names.iter().map(|name| (*name).to_owned()).collect()
        }

        fn hosts(&self, start: &str) -> Vec<String> {
            let all = ["node1", "node2", "web1"].iter();
            let fitting = all.filter(|name| name.starts_with(start));
            fitting.map(|name| (*name).to_owned()).collect()
        }
    }

    fn test_names(line: &TypedOptions) -> Box<dyn KnownNames> {
        let inventory = line.files.iter().any(|file| file == Path::new("inv.ini"));
        Box::new(TestNames { inventory })
    }

    fn answered(words: &str) -> String {
        let words: Vec<String> = words.split(' ').map(str::to_owned).collect();
        let answer = find(&config::command(), &words, &test_names).to_string();
        answer.trim_end().replace('\n', " ")
    }

    #[test]
    fn values_of_options_are_completed() {
        for (words, expected) in [
            ("-g ", "words compute gpu"),
            ("-g com", "words compute"),
            ("-gco", "words -gcompute"),
            ("--group=c", "words --group=compute"),
            ("-g genders:l", "words genders:login"),
            ("-f inv.ini -g f", "words from_inventory"),
            ("-finv.ini -bg f", "words from_inventory"),
            ("-P ", "words prod web"),
            ("--profile=w", "words --profile=web"),
            ("--group-source l", "words local"),
            ("--groups=g", "words --groups=genders"),
            ("-w n", "words node1 node2"),
            ("-w node[1-9],@g", "words node[1-9],@gpu"),
            ("-w node[1-9]!w", "words node[1-9]!web1"),
            ("-w node[1,", "words"),
            ("-w ssh://op@no", "words ssh://op@node1 ssh://op@node2"),
            ("-w op@@g", "words op@@gpu"),
            ("-w @genders:", "words @genders:all @genders:login"),
            ("-x @c", "words @compute"),
            ("--fold @g", "words @gpu"),
            ("--count -w x n", "words node1 node2"),
            ("-R ", "words rsh ssh openssh exec"),
            ("--only o", "words output odd"),
            ("--ssh-option StrictH", "words StrictHostKeyChecking="),
            // Numbers and user names have no candidates, and files are none.
            ("-P x -j ", "words"),
            ("--batch ", "words"),
            ("-l ", "words"),
            ("-f ", "files"),
            ("--report=x", "files\t--report="),
            ("-o ", "directories"),
            ("--nonsense=", "words"),
        ] {
            assert_eq!(answered(words), expected, "{words}");
        }
    }

    #[test]
    fn the_shell_completes_the_command() {
        for (words, expected) in [
            ("", "command\t0"),
            ("up", "command\t0"),
            ("-w a up", "command\t2"),
            ("-w a ls -", "command\t2"),
            ("-w a ls -w ", "command\t2"),
            ("-bw a -- ", "command\t3"),
            ("-bw a -- -g ", "command\t3"),
            ("--hosts=a -b sudo ls --", "command\t2"),
            // The value of --groups is in its own word.
            ("--groups x", "command\t1"),
            // The words after a script are its arguments.
            ("--script ./x", "files"),
            ("--script=x a", "files"),
            ("-w a --script x -- a ", "files"),
        ] {
            assert_eq!(answered(words), expected, "{words}");
        }
    }

    #[test]
    fn every_option_is_offered() {
        let words = ["-".to_owned()];
        let CompletionAnswer::Words(all) = find(&config::command(), &words, &test_names) else {
            panic!("options are words");
        };
        let names: Vec<&str> = all.iter().map(|(name, _)| name.as_str()).collect();
        assert!(all.iter().all(|(_, help)| !help.is_empty()));
        let command = config::command();
        for option in command.get_arguments().filter(|arg| !arg.is_hide_set()) {
            if let Some(long) = option.get_long() {
                assert!(names.contains(&format!("--{long}").as_str()), "{long}");
            }
        }
        assert!(names.contains(&"-w") && !names.contains(&"--no-gather"));
    }

    #[test]
    fn plain_names_of_known_hosts_are_candidates() {
        let text = "# c\nnode1,192.0.2.1 ssh-ed25519 A\n|1|x|y ssh-rsa A\n@cert-authority *.x ssh-rsa A\n\
                    *.example.com,!x,db ssh-rsa A\n[gate]:2222 ssh-rsa A\n[2001:db8::1]:22 ssh-rsa A\n\n";
        assert_eq!(
            hosts_in(text),
            ["node1", "192.0.2.1", "db", "gate:2222", "[2001:db8::1]:22"]
        );
    }
}
