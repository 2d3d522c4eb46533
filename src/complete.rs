//! Completion in shells: everything that can stand at the end of an unfinished command line.
//!
//! The scripts of `--generate` call `mrsh --complete WORDS…`, where the last word is the one to be completed, and
//! follow the [`Answer`]. So bash, zsh and fish have the same rules, which come from the definition of the command
//! line, and the scripts know no option. Errors are silent: an answer without candidates is enough.

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
use crate::targets::{Limits, Resolver};

/// The first argument that asks for completions.
pub(crate) const ARGUMENT: &str = "--complete";

/// More candidates help nobody.
const MOST: usize = 2000;

/// Groups with more hosts than this offer none.
const MOST_HOSTS: usize = 100_000;

/// No more of a known_hosts file is read, in bytes.
const MOST_KNOWN: u64 = 16 << 20;

/// The answer to a shell.
#[derive(Debug, PartialEq, Eq)]
enum Answer {
    /// One of these words, each with its description or none.
    Words(Vec<(String, String)>),
    /// The name of a file behind this start of the word.
    Files(String),
    /// The name of a directory behind this start of the word.
    Directories(String),
    /// A command of its own, which starts at this word: the shell knows how to complete it.
    Command(usize),
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Answer::Words(words) => {
                writeln!(f, "words")?;
                words.iter().take(MOST).try_for_each(|(word, description)| {
                    match description.as_str() {
                        "" => writeln!(f, "{word}"),
                        description => writeln!(f, "{word}\t{description}"),
                    }
                })
            }
            Answer::Files(start) => writeln!(f, "files\t{start}"),
            Answer::Directories(start) => writeln!(f, "directories\t{start}"),
            Answer::Command(at) => writeln!(f, "command\t{at}"),
        }
    }
}

/// The answer for these words, in the form that the scripts read.
pub(crate) fn answer(words: &[OsString]) -> String {
    let words: Vec<String> = words
        .iter()
        .map(|word| word.to_string_lossy().into_owned())
        .collect();
    find(&config::command(), &words, &|line| {
        Box::new(Machine::new(line))
    })
    .to_string()
}

/// What the words before the last one say.
#[derive(Debug, Default)]
struct Line {
    /// Words are expressions and no command.
    lists: bool,
    /// Hosts files, which may be inventories.
    files: Vec<PathBuf>,
    /// The configuration file that was named.
    config: Option<PathBuf>,
    no_config: bool,
}

impl Line {
    fn option(&mut self, long: &str, value: Option<&str>) {
        match (long, value) {
            ("hosts-file", Some(file)) => self.files.push(file.into()),
            ("config", Some(file)) => self.config = Some(file.into()),
            ("no-config", _) => self.no_config = true,
            _ => self.lists |= LISTINGS.contains(&long),
        }
    }
}

/// Finds the answer. `known` is called only where names of hosts, groups or profiles are wanted.
fn find(command: &Command, words: &[String], known: &dyn Fn(&Line) -> Box<dyn Known>) -> Answer {
    let Some((last, before)) = words.split_last() else {
        return Answer::Words(Vec::new());
    };
    let mut line = Line::default();
    let mut waiting: Option<&Arg> = None;
    for (at, word) in before.iter().enumerate() {
        if let Some(option) = waiting.take() {
            line.option(option.get_long().unwrap_or_default(), Some(word));
        } else if word == "--" {
            return Answer::Command(at + 1);
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
        } else if !line.lists {
            return Answer::Command(at);
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
            None => Answer::Words(Vec::new()),
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
        return Answer::Words(options(command, last));
    }
    match line.lists {
        true => Answer::Words(expression("", last, &*known(&line))),
        false => Answer::Command(before.len()),
    }
}

fn short(command: &Command, letter: char) -> Option<&Arg> {
    command
        .get_arguments()
        .find(|arg| arg.get_short() == Some(letter))
}

/// True if the word behind an option is its value.
fn wants_word(option: &Arg) -> bool {
    let valued = matches!(option.get_action(), ArgAction::Set | ArgAction::Append);
    valued && !option.is_require_equals_set()
}

/// The options that start like this, with the first line of their help.
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

/// The values of an option that start with `text`, each behind `start`.
fn value(option: &Arg, start: &str, text: &str, known: &dyn Fn() -> Box<dyn Known>) -> Answer {
    let among = |names: &mut dyn Iterator<Item = String>| {
        let fitting = names.filter(|name| name.starts_with(text));
        Answer::Words(
            fitting
                .map(|name| (format!("{start}{name}"), String::new()))
                .collect(),
        )
    };
    match option.get_long().unwrap_or_default() {
        "hosts" | "exclude" => Answer::Words(expression(start, text, &*known())),
        "group" => Answer::Words(group(start, text, &*known())),
        "group-source" | "groups" => among(&mut known().sources().into_iter()),
        "profile" => among(&mut known().profiles().into_iter()),
        "hosts-file" | "identity" | "ssh-config" | "report" | "failed-to" | "config" => {
            Answer::Files(start.to_owned())
        }
        "output-dir" | "error-dir" => Answer::Directories(start.to_owned()),
        "ssh-option" => among(&mut keywords().map(|name| format!("{name}="))),
        _ => {
            let values = option.get_possible_values();
            among(&mut values.iter().map(|value| value.get_name().to_owned()))
        }
    }
}

/// The hosts and groups that can stand at the end of an expression.
fn expression(start: &str, text: &str, known: &dyn Known) -> Vec<(String, String)> {
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

/// The groups whose names start with `text`; with a source, if that is written.
fn group(start: &str, text: &str, known: &dyn Known) -> Vec<(String, String)> {
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

/// Names that can stand on a command line.
trait Known {
    /// Sources of groups.
    fn sources(&self) -> Vec<String>;

    /// Profiles of the configuration.
    fn profiles(&self) -> Vec<String>;

    /// The groups of a source, or those that need none.
    fn groups(&self, source: Option<&str>) -> Vec<String>;

    /// The hosts whose names start like this.
    fn hosts(&self, start: &str) -> Vec<String>;
}

/// The names that this machine knows.
struct Machine {
    groups: Groups,
    profiles: BTreeSet<String>,
}

impl Machine {
    fn new(line: &Line) -> Machine {
        let (profiles, own) = match line.no_config {
            true => Default::default(),
            false => config::names(line.config.as_deref()),
        };
        let variable = |name: &str| {
            env::var_os(name)
                .filter(|value| !value.is_empty())
                .map(PathBuf::from)
        };
        let mut groups = Groups::new(Places::new(variable), own);
        let limits = Limits {
            max_targets: MOST_HOSTS,
        };
        for file in &line.files {
            // A file that cannot be read has no groups.
            let _ = groups.add_inventory(file, limits);
        }
        Machine { groups, profiles }
    }

    fn searched(&self) -> Vec<String> {
        self.groups.searched_names().unwrap_or_default()
    }
}

impl Known for Machine {
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
        let resolver = Resolver::new(MOST_HOSTS, &self.groups, &NoLookup);
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

/// The hosts whose keys ssh knows by their names.
fn known_hosts() -> BTreeSet<String> {
    let own = env::home_dir().map(|home| home.join(".ssh/known_hosts"));
    let system = PathBuf::from("/etc/ssh/ssh_known_hosts");
    let files = own.into_iter().chain([system]);
    files.flat_map(|file| hosts_in(&text_of(&file))).collect()
}

fn text_of(file: &Path) -> String {
    let mut bytes = Vec::new();
    // A file that cannot be read knows nobody.
    let _ = File::open(file).and_then(|file| file.take(MOST_KNOWN).read_to_end(&mut bytes));
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The names in the text of a known_hosts file that stand for one host each.
fn hosts_in(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for line in text.lines() {
        // Hashed names, and lines of authorities and of revoked keys, name no host.
        let names = line.split_whitespace().next().unwrap_or_default();
        if names.starts_with(['#', '|', '@']) {
            continue;
        }
        let names = names.split(',').filter(|name| !name.is_empty());
        for name in names.filter(|name| !name.contains(['*', '?', '!'])) {
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

    /// Groups, hosts and profiles that are nowhere but here.
    struct Few {
        inventory: bool,
    }

    impl Known for Few {
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

    fn few(line: &Line) -> Box<dyn Known> {
        let inventory = line.files.iter().any(|file| file == Path::new("inv.ini"));
        Box::new(Few { inventory })
    }

    fn answered(words: &str) -> String {
        let words: Vec<String> = words.split(' ').map(str::to_owned).collect();
        let answer = find(&config::command(), &words, &few).to_string();
        answer.trim_end().replace('\n', " ")
    }

    #[test]
    fn values_come_from_where_they_are() {
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
            // Numbers and the like have no candidates, least of all files.
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
    fn the_command_is_the_shells_business() {
        for (words, expected) in [
            ("", "command\t0"),
            ("up", "command\t0"),
            ("-w a up", "command\t2"),
            ("-w a ls -", "command\t2"),
            ("-w a ls -w ", "command\t2"),
            ("-bw a -- ", "command\t3"),
            ("-bw a -- -g ", "command\t3"),
            ("--hosts=a -b sudo ls --", "command\t2"),
            // A switch with a value of its own in one word.
            ("--groups x", "command\t1"),
        ] {
            assert_eq!(answered(words), expected, "{words}");
        }
    }

    #[test]
    fn every_option_is_offered() {
        let words = ["-".to_owned()];
        let Answer::Words(all) = find(&config::command(), &words, &few) else {
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
    fn hosts_are_known_by_their_names() {
        let text = "# c\nnode1,192.0.2.1 ssh-ed25519 A\n|1|x|y ssh-rsa A\n@cert-authority *.x ssh-rsa A\n\
                    *.example.com,!x,db ssh-rsa A\n[gate]:2222 ssh-rsa A\n[2001:db8::1]:22 ssh-rsa A\n\n";
        assert_eq!(
            hosts_in(text),
            ["node1", "192.0.2.1", "db", "gate:2222", "[2001:db8::1]:22"]
        );
    }
}
