//! The targets of pdsh (its working collective): the words of `-w` and `-x`, and files of hosts.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};

use regex_lite::Regex;

use super::hosts::{PdshHostList, split};
use super::messages::{Ended, PdshCaller};

/// The way to a host that differs from the default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct HostRcmd {
    pub(super) rcmd: Option<String>,
    pub(super) user: Option<String>,
}

/// A regular expression that hosts must match, or must not match.
#[derive(Debug)]
struct WcollPattern {
    regex: Regex,
    excludes: bool,
}

/// Everything that words say about the targets.
#[derive(Debug, Default)]
pub(super) struct Wcoll {
    /// The hosts; `None` if nothing names hosts.
    pub(super) hosts: Option<PdshHostList>,
    excluded: PdshHostList,
    patterns: Vec<WcollPattern>,
    /// Ways to hosts, by the name of the host.
    rcmds: HashMap<String, HostRcmd>,
}

impl Wcoll {
    /// Adds the value of a `-w`.
    ///
    /// # Errors
    /// A file cannot be read, or a word is wrong.
    pub(super) fn add(&mut self, text: &str, caller: &PdshCaller) -> Result<(), Ended> {
        // A single dash stands for standard input.
        let text = if text == "-" { "^-" } else { text };
        for word in split(text, &[',']) {
            self.add_word(word, false, caller)?;
        }
        Ok(())
    }

    /// Adds the value of a `-x`.
    ///
    /// # Errors
    /// The same as those of [`add`](Self::add).
    pub(super) fn exclude(&mut self, text: &str, caller: &PdshCaller) -> Result<(), Ended> {
        for word in split(text, &[',']) {
            self.add_word(word, true, caller)?;
        }
        Ok(())
    }

    fn add_word(&mut self, word: &str, excluded: bool, caller: &PdshCaller) -> Result<(), Ended> {
        // pdsh reads `-x WORD` as `-w -WORD`, and removes one dash only.
        let (word, excluded) = match word.strip_prefix('-') {
            Some(rest) if !excluded => (rest, true),
            _ => (word, excluded),
        };
        let word = word.trim_start();
        if let Some(file) = word.strip_prefix('^') {
            let hosts = read_file(file, caller)?;
            if excluded {
                self.excluded.append(hosts);
            } else {
                self.hosts.get_or_insert_default().append(hosts);
            }
            return Ok(());
        }
        if let Some(pattern) = word.strip_prefix('/') {
            return self.add_pattern(pattern, excluded, caller);
        }
        if excluded {
            return self.excluded.push(word).map_err(|text| caller.ended(text));
        }
        let (rcmd, user, hosts) = parse_host_spec(word)?;
        let mut named = PdshHostList::default();
        named.push(hosts).map_err(|text| caller.ended(text))?;
        for name in named.names() {
            self.set_rcmd(name, rcmd, user);
        }
        self.hosts.get_or_insert_default().append(named);
        Ok(())
    }

    fn add_pattern(
        &mut self,
        text: &str,
        excludes: bool,
        caller: &PdshCaller,
    ) -> Result<(), Ended> {
        let text = text.strip_suffix('/').unwrap_or(text);
        let regex = Regex::new(text).map_err(|error| {
            let what = if excludes { "excluding" } else { "matching" };
            let who = caller.who();
            Ended::Message(format!(
                "{who}: Error {what} pattern \"{text}\": {error}\n{who}: Fatal error"
            ))
        })?;
        self.patterns.push(WcollPattern { regex, excludes });
        Ok(())
    }

    /// Sets the way to a host. The first one counts, as in pdsh.
    pub(super) fn set_rcmd(&mut self, host: &str, rcmd: Option<&str>, user: Option<&str>) {
        if rcmd.is_none() && user.is_none() {
            return;
        }
        self.rcmds
            .entry(host.to_owned())
            .or_insert_with(|| HostRcmd {
                rcmd: rcmd.map(str::to_owned),
                user: user.map(str::to_owned),
            });
    }

    /// Returns the way to a host, if it has its own.
    pub(super) fn rcmd_of(&self, host: &str) -> Option<&HostRcmd> {
        self.rcmds.get(host)
    }

    /// Returns all ways to hosts.
    pub(super) fn rcmds(&self) -> impl Iterator<Item = (&str, &HostRcmd)> {
        self.rcmds.iter().map(|(host, rcmd)| (host.as_str(), rcmd))
    }

    /// Removes excluded hosts, and those that regular expressions exclude.
    pub(super) fn filter(&mut self) {
        let Some(hosts) = &mut self.hosts else {
            return;
        };
        hosts.remove_mentions(&self.excluded);
        for WcollPattern { regex, excludes } in &self.patterns {
            hosts.retain(|name| regex.is_match(name) != *excludes);
        }
    }
}

/// Splits `[rcmd:][user@]hosts`.
fn parse_host_spec(word: &str) -> Result<(Option<&str>, Option<&str>, &str), Ended> {
    let colon = word.find(':');
    let at = word.find('@');
    if let (Some(colon), Some(at)) = (colon, at)
        && colon > at
    {
        return Err(Ended::Message(format!(
            "Host spec \"{word}\" not of form [rcmd_type:][user@]hosts"
        )));
    }
    // Two colons in sequence are part of an address of IPv6.
    let (rcmd, rest) = match colon {
        Some(colon) if word.as_bytes().get(colon + 1) != Some(&b':') => {
            (Some(&word[..colon]), &word[colon + 1..])
        }
        _ => (None, word),
    };
    match rest.split_once('@') {
        Some((user, hosts)) => Ok((rcmd, Some(user), hosts)),
        None => Ok((rcmd, None, rest)),
    }
}

/// Reads a file of hosts; `-` is standard input. It may include files of its own directory.
///
/// # Errors
/// A file cannot be read.
pub(super) fn read_file(file: &str, caller: &PdshCaller) -> Result<PdshHostList, Ended> {
    let mut reader = WcollReader::new(caller, vec![PathBuf::from(".")]);
    if file == "-" {
        reader.read_lines(io::stdin().lock())?;
        return Ok(reader.hosts);
    }
    let parent = Path::new(file).parent().unwrap_or(Path::new("/"));
    if !parent.as_os_str().is_empty() {
        reader.folders = vec![parent.to_owned()];
    }
    let opened = File::open(file).map_err(|error| caller.file_error(file, &error))?;
    reader.read_lines(BufReader::new(opened))?;
    Ok(reader.hosts)
}

/// Reads the file of a group, which is searched for in these folders like all files that it includes.
///
/// # Errors
/// A file cannot be read.
pub(super) fn read_group(
    group: &str,
    folders: Vec<PathBuf>,
    caller: &PdshCaller,
) -> Result<PdshHostList, Ended> {
    let mut reader = WcollReader::new(caller, folders);
    reader.read_included(group)?;
    Ok(reader.hosts)
}

/// Reads a file of hosts and the files that it includes.
struct WcollReader<'c> {
    caller: &'c PdshCaller,
    folders: Vec<PathBuf>,
    hosts: PdshHostList,
    /// Included files.
    included: Vec<PathBuf>,
}

impl<'c> WcollReader<'c> {
    fn new(caller: &'c PdshCaller, folders: Vec<PathBuf>) -> WcollReader<'c> {
        WcollReader {
            caller,
            folders,
            hosts: PdshHostList::default(),
            included: Vec::new(),
        }
    }

    fn read_lines(&mut self, lines: impl BufRead) -> Result<(), Ended> {
        for line in lines.split(b'\n') {
            let line = line.map_err(|error| self.caller.file_error("read", &error))?;
            self.read_line(&String::from_utf8_lossy(&line))?;
        }
        Ok(())
    }

    fn read_line(&mut self, line: &str) -> Result<(), Ended> {
        if let Some(rest) = line.strip_prefix("#include") {
            let mut words = rest.split_whitespace();
            match (words.next(), words.next()) {
                (Some(name), None) => return self.read_included(name),
                // pdsh only warns: without a name, the line is a comment.
                _ => self.caller.warn(&format!("Ignoring invalid line: {line}")),
            }
        }
        let hosts = line.split('#').next().unwrap_or_default().trim();
        self.hosts
            .push(hosts)
            .map_err(|text| self.caller.ended(text))
    }

    fn read_included(&mut self, name: &str) -> Result<(), Ended> {
        let path = self.find(name);
        // Files that include each other would be read without end.
        if self.included.contains(&path) {
            self.caller
                .warn(&format!("file '{name}' included multiple times"));
            return Ok(());
        }
        self.included.push(path.clone());
        let opened = File::open(&path).map_err(|error| self.caller.file_error(name, &error))?;
        self.read_lines(BufReader::new(opened))
    }

    /// Returns the path of an included file.
    fn find(&self, name: &str) -> PathBuf {
        let is_path = ["/", "./", "../"]
            .iter()
            .any(|start| name.starts_with(start));
        let mut paths = self.folders.iter().map(|folder| folder.join(name));
        let found = paths.find(|path| !is_path && path.exists());
        // A missing file needs a path as well, so that open(2) gives the cause for the message.
        found.unwrap_or_else(|| match self.folders.first() {
            Some(folder) if !is_path => folder.join(name),
            _ => PathBuf::from(name),
        })
    }
}
