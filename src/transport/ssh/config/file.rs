//! Reads configuration files and what they include, once for a run.

use std::fs::File;
use std::io::{self, Read as _};
use std::ops::Range;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use glob::{MatchOptions, glob_with};

use super::blocks::{Block, Condition, Parsed, Place, Setting, Text, Unknown};
use super::error::ConfigError;
use super::keywords::{Keyword, LATER, Shape, TABLE};
use super::matching;
use super::pattern::{self, Verdict};
use super::tokens::{Environment, Local, expand_tilde};
use super::value::{self, Value, arguments};
use super::words::{self, Fault, Line};
use crate::targets::suggest::nearest;

/// How deep files may include each other: ssh's limit.
const DEEPEST: usize = 16;
/// How many files a configuration may have, counting each time that one is included.
const MOST_FILES: usize = 10_000;
/// How many bytes they may have together.
const MOST_BYTES: u64 = 64 << 20;

/// Whose file it is: decides where relative names lead and whether `~` may be used.
#[derive(Clone, Copy, Debug)]
pub(super) struct Kind<'a> {
    /// Where included files are if they have no absolute path.
    pub(super) directory: &'a Path,
    /// Whether it is the user's and not the system's.
    pub(super) user: bool,
    /// Whether it must be safe from others' hands.
    pub(super) checked: bool,
}

/// Reads files one after the other into one list of blocks.
#[derive(Debug)]
pub(super) struct Reader<'a> {
    pub(super) parsed: Parsed,
    local: &'a Local,
    environment: &'a Environment,
    /// Counts lines over all files.
    order: usize,
    bytes: u64,
    files: usize,
    ignored: Ignored,
}

/// What is known, while files are read, of the first IgnoreUnknown.
#[derive(Debug)]
enum Ignored {
    Nothing,
    /// It holds for all hosts.
    ForAll(String),
    /// It hangs on the host.
    Depends,
}

impl<'a> Reader<'a> {
    /// Nothing is read yet.
    pub(super) fn new(local: &'a Local, environment: &'a Environment) -> Reader<'a> {
        Reader {
            parsed: Parsed::default(),
            local,
            environment,
            order: 0,
            bytes: 0,
            files: 0,
            ignored: Ignored::Nothing,
        }
    }

    /// Takes options, each with the place that it is from; they come before all files.
    pub(super) fn options<'o>(
        &mut self,
        options: impl Iterator<Item = (&'o Arc<str>, &'o String)>,
    ) -> Result<(), ConfigError> {
        let block = self.begin(None, Condition::Always);
        for (place, option) in options {
            let text = self.parsed.texts.len();
            self.parsed.texts.push(Text {
                name: Arc::clone(place),
                text: option.as_str().into(),
                is_file: false,
            });
            let at = At {
                text,
                line: 0,
                start: 0,
            };
            let Some(line) = words::parse(option).map_err(|fault| self.fault(at, fault))? else {
                continue;
            };
            if let Some(row) = Keyword::named(&line.keyword).map(Keyword::row)
                && row.shape == Shape::Structure
            {
                let message = format!("{} is not for the command line", row.name);
                return Err(self.fault(at, Fault::new(line.keyword_span, message)));
            }
            self.setting(block, at, &line)?;
        }
        Ok(())
    }

    /// Reads a file of this kind.
    pub(super) fn file(&mut self, path: &Path, kind: Kind<'_>) -> Result<(), ConfigError> {
        self.nested(path, kind, None, 0)
    }

    fn nested(
        &mut self,
        path: &Path,
        kind: Kind<'_>,
        parent: Option<usize>,
        depth: usize,
    ) -> Result<(), ConfigError> {
        let content: Arc<str> = self.read(path, kind.checked)?.into();
        let text = self.parsed.texts.len();
        self.parsed.texts.push(Text {
            name: path.to_string_lossy().into(),
            text: Arc::clone(&content),
            is_file: true,
        });
        let mut block = self.begin(parent, Condition::Always);
        let mut start = 0;
        for (line, content) in (1..).zip(content.split_inclusive('\n')) {
            let at = At { text, line, start };
            start += content.len();
            let Some(line) = words::parse(content).map_err(|fault| self.fault(at, fault))? else {
                continue;
            };
            if line.text.contains(char::REPLACEMENT_CHARACTER) {
                let fault = Fault::new(0..line.text.len(), "not UTF-8");
                return Err(self.fault(at, fault));
            }
            match Keyword::named(&line.keyword) {
                Some(Keyword::Host) => {
                    let patterns =
                        matching::host_patterns(&line).map_err(|fault| self.fault(at, fault))?;
                    block = self.begin(parent, Condition::Host(patterns));
                }
                Some(Keyword::Match) => {
                    let criteria =
                        matching::criteria(&line).map_err(|fault| self.fault(at, fault))?;
                    let place = at.place(line.keyword_span.start..line.text.len());
                    block = self.begin(parent, Condition::Match(criteria, place));
                }
                Some(Keyword::Include) => {
                    self.include(&line, at, kind, block, depth)?;
                    let same = match self.parsed.blocks[block].condition {
                        Condition::Same(first) => first,
                        _ => block,
                    };
                    block = self.begin(parent, Condition::Same(same));
                }
                _ => self.setting(block, at, &line)?,
            }
        }
        Ok(())
    }

    fn begin(&mut self, parent: Option<usize>, condition: Condition) -> usize {
        self.parsed.blocks.push(Block {
            parent,
            condition,
            settings: Vec::new(),
        });
        self.parsed.blocks.len() - 1
    }

    /// Adds a line to a block.
    fn setting(&mut self, block: usize, at: At, line: &Line<'_>) -> Result<(), ConfigError> {
        self.order += 1;
        let Some(keyword) = Keyword::named(&line.keyword) else {
            return self.unknown(at, line);
        };
        let value = value::parse(keyword.row(), line, self.environment)
            .map_err(|fault| self.fault(at, fault))?;
        let Some(value) = value else {
            return Ok(());
        };
        if keyword == Keyword::IgnoreUnknown
            && let (Ignored::Nothing, Value::Text(patterns)) = (&self.ignored, &value)
        {
            self.ignored = match self.parsed.blocks[block].is_for_all() {
                true => Ignored::ForAll(patterns.clone()),
                false => Ignored::Depends,
            };
        }
        self.parsed.blocks[block].settings.push(Setting {
            keyword,
            value,
            place: at.place(arguments(line)),
            order: self.order,
        });
        Ok(())
    }

    /// A keyword that isn't in the table is an error, unless it is to be ignored.
    fn unknown(&mut self, at: At, line: &Line<'_>) -> Result<(), ConfigError> {
        let name = &line.keyword;
        match &self.ignored {
            _ if LATER.contains(&name.as_str()) => return Ok(()),
            Ignored::ForAll(patterns) if is_ignored(name, patterns) => return Ok(()),
            Ignored::Depends => {
                self.parsed.unknown.push(Unknown {
                    name: name.clone(),
                    place: at.place(line.keyword_span.clone()),
                    order: self.order,
                });
                return Ok(());
            }
            _ => {}
        }
        Err(self.fault(
            at,
            bad_option(
                &line.text[line.keyword_span.clone()],
                line.keyword_span.clone(),
            ),
        ))
    }

    /// Reads the files that a line names.
    fn include(
        &mut self,
        line: &Line<'_>,
        at: At,
        kind: Kind<'_>,
        block: usize,
        depth: usize,
    ) -> Result<(), ConfigError> {
        for word in &line.words {
            let fault = |message: String| Fault::new(word.span.clone(), message);
            if word.text.is_empty() {
                return Err(self.fault(at, fault("empty argument".into())));
            }
            if word.text.starts_with('~') && !kind.user {
                let message = "'~' cannot be used in the system's configuration".into();
                return Err(self.fault(at, fault(message)));
            }
            let pattern = match word.text.starts_with('~') {
                // An unknown user is a pattern that nothing matches, as for the shell.
                true => PathBuf::from(
                    expand_tilde(&word.text, &self.local.home)
                        .unwrap_or_else(|_| word.text.clone()),
                ),
                false => kind.directory.join(&word.text),
            };
            let files = files(&pattern).map_err(|message| self.fault(at, fault(message)))?;
            for file in files {
                if depth == DEEPEST {
                    let message = format!("files include each other more than {DEEPEST} deep");
                    return Err(self.fault(at, fault(message)));
                }
                let kind = Kind {
                    checked: true,
                    ..kind
                };
                match self.nested(&file, kind, Some(block), depth + 1) {
                    // It was there a moment ago, or it is a link that leads nowhere.
                    Err(ConfigError::Read { source, .. })
                        if source.kind() == io::ErrorKind::NotFound => {}
                    result => result?,
                }
            }
        }
        Ok(())
    }

    /// Reads a file to its end, within bounds.
    fn read(&mut self, path: &Path, checked: bool) -> Result<String, ConfigError> {
        let failed = |source| ConfigError::Read {
            file: path.to_owned(),
            source,
        };
        let too_big = |what| ConfigError::TooBig {
            file: path.to_owned(),
            what,
        };
        self.files += 1;
        if self.files > MOST_FILES {
            return Err(too_big("more than 10000 files"));
        }
        let file = File::open(path).map_err(failed)?;
        let metadata = file.metadata().map_err(failed)?;
        if metadata.is_dir() {
            // A pattern may match one; ssh finds nothing in it either.
            return Ok(String::new());
        }
        if checked && !is_safe(&metadata, self.local.uid) {
            return Err(ConfigError::Permissions {
                file: path.to_owned(),
            });
        }
        let left = MOST_BYTES - self.bytes;
        let mut bytes = Vec::new();
        file.take(left + 1)
            .read_to_end(&mut bytes)
            .map_err(failed)?;
        if bytes.len() as u64 > left {
            return Err(too_big("more than 64 MiB"));
        }
        self.bytes += bytes.len() as u64;
        // A line that isn't text is an error only if it says something.
        Ok(String::from_utf8(bytes)
            .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()))
    }

    fn fault(&self, at: At, fault: Fault) -> ConfigError {
        self.parsed.fault(at.text, at.line, at.start, fault)
    }
}

/// The line that is being read.
#[derive(Clone, Copy, Debug)]
struct At {
    text: usize,
    line: usize,
    start: usize,
}

impl At {
    fn place(self, span: Range<usize>) -> Place {
        Place {
            text: self.text,
            line: self.line,
            span: self.start + span.start..self.start + span.end,
        }
    }
}

/// Whether the patterns of an IgnoreUnknown, in letters of any case, cover a keyword in small letters.
pub(super) fn is_ignored(name: &str, patterns: &str) -> bool {
    pattern::list(name, &patterns.to_ascii_lowercase()) == Verdict::Match
}

/// What is said of a keyword that nobody knows.
pub(super) fn bad_option(name: &str, span: Range<usize>) -> Fault {
    let known: Vec<String> = TABLE
        .iter()
        .map(|row| row.name.to_ascii_lowercase())
        .collect();
    let similar = nearest(&name.to_ascii_lowercase(), known.iter().map(String::as_str))
        .and_then(Keyword::named);
    Fault {
        span,
        message: format!("bad configuration option: {name}"),
        help: Some(match similar {
            Some(similar) => format!("did you mean {}?", similar.row().name),
            None => format!("IgnoreUnknown {name}, before it, passes over it"),
        }),
    }
}

/// The files that a pattern matches, sorted by name; none if it matches none. Directories that may not
/// be read have no files, as for ssh.
fn files(pattern: &Path) -> Result<Vec<PathBuf>, String> {
    let text = pattern.to_string_lossy();
    if !text.contains(['*', '?', '[']) {
        return Ok(vec![pattern.to_owned()]);
    }
    let options = MatchOptions {
        case_sensitive: true,
        require_literal_separator: true,
        require_literal_leading_dot: true,
    };
    let paths = glob_with(&text, options).map_err(|error| format!("bad pattern: {error}"))?;
    Ok(paths.filter_map(Result::ok).take(MOST_FILES + 1).collect())
}

/// Whether nobody but the caller and root can have written a file: as Debian's ssh sees it, which lets
/// pass a group that is the caller's alone.
fn is_safe(metadata: &std::fs::Metadata, caller: u32) -> bool {
    let owner = metadata.uid();
    let mode = metadata.mode();
    if owner != 0 && owner != caller || mode & 0o002 != 0 {
        return false;
    }
    mode & 0o020 == 0 || owner == caller && is_own_group(metadata.gid(), caller)
}

/// Whether a group is the one that systems make for each user: it has the user's name, is the user's
/// primary one, and has nobody else in it.
fn is_own_group(group: u32, user: u32) -> bool {
    use uzers::os::unix::GroupExt as _;
    let (Some(group), Some(user)) = (uzers::get_group_by_gid(group), uzers::get_user_by_uid(user))
    else {
        return false;
    };
    user.primary_group_id() == group.gid()
        && group.name() == user.name()
        && group.members().iter().all(|member| member == user.name())
}
