//! Reads configuration files and the files that they include.

use std::fs::File;
use std::io::{self, Read as _};
use std::ops::Range;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use glob::{MatchOptions, glob_with};
use strsim::osa_distance;

use super::ConfigOption;
use super::blocks::{
    BlockCondition, ParsedConfig, Setting, SettingBlock, SourceSpan, SourceText, UnknownKeyword,
};
use super::conditions;
use super::error::ConfigError;
use super::keywords::{ArgumentShape, Keyword, LATER, TABLE};
use super::line::{self, ConfigLine, SyntaxError};
use super::tokens::{Environment, LocalContext, expand_tilde};
use super::values::{self, SettingValue, arguments};
use crate::wildcard::{PatternListMatch, matches_list};

/// Maximum depth of includes (OpenSSH's limit).
const DEEPEST: usize = 16;
/// Maximum number of files in a configuration. A file counts each time that it is included.
const MOST_FILES: usize = 10_000;
/// Maximum size of all files together, in bytes.
const MOST_BYTES: u64 = 64 << 20;

/// The rules for a file: the user's files and the system's files differ.
#[derive(Clone, Copy, Debug)]
pub(super) struct FileScope<'a> {
    /// Directory for relative paths of included files.
    pub(super) directory: &'a Path,
    /// True for the user's files, in which includes may start with `~`.
    pub(super) is_user: bool,
    /// True if the owner and the permissions of the file are checked.
    pub(super) checks_owner: bool,
}

/// Reads files in order into one list of blocks.
#[derive(Debug)]
pub(super) struct ConfigReader<'a> {
    pub(super) parsed: ParsedConfig,
    local: &'a LocalContext,
    environment: &'a Environment,
    /// Number of lines so far, in all files.
    order: usize,
    bytes: u64,
    files: usize,
    ignored: IgnoreUnknownState,
}

/// The effect of the first `IgnoreUnknown`, as far as it is known while files are read.
#[derive(Debug)]
enum IgnoreUnknownState {
    /// No `IgnoreUnknown` was read so far.
    Absent,
    /// The first one applies to all hosts. The text is its value.
    ForAll(String),
    /// The first one depends on the host.
    Conditional,
}

impl<'a> ConfigReader<'a> {
    /// Starts with an empty configuration.
    pub(super) fn new(local: &'a LocalContext, environment: &'a Environment) -> ConfigReader<'a> {
        ConfigReader {
            parsed: ParsedConfig::default(),
            local,
            environment,
            order: 0,
            bytes: 0,
            files: 0,
            ignored: IgnoreUnknownState::Absent,
        }
    }

    /// Adds options, which come before all files.
    pub(super) fn options(&mut self, options: &[ConfigOption]) -> Result<(), ConfigError> {
        let block = self.begin(None, BlockCondition::Always);
        for ConfigOption {
            origin,
            text: option,
        } in options
        {
            let text = self.parsed.texts.len();
            self.parsed.texts.push(SourceText {
                name: Arc::clone(origin),
                text: option.as_str().into(),
                is_file: false,
            });
            let at = LinePosition {
                text,
                line: 0,
                start: 0,
            };
            let Some(line) = line::parse(option).map_err(|error| self.error(at, error))? else {
                continue;
            };
            if let Some(info) = Keyword::named(&line.keyword).map(Keyword::info)
                && info.shape == ArgumentShape::Structure
            {
                let message = format!("{} is not for the command line", info.name);
                return Err(self.error(at, SyntaxError::new(line.keyword_span, message)));
            }
            self.setting(block, at, &line)?;
        }
        Ok(())
    }

    /// Reads a file with these rules.
    pub(super) fn file(&mut self, path: &Path, scope: FileScope<'_>) -> Result<(), ConfigError> {
        self.nested(path, scope, None, 0)
    }

    fn nested(
        &mut self,
        path: &Path,
        scope: FileScope<'_>,
        parent: Option<usize>,
        depth: usize,
    ) -> Result<(), ConfigError> {
        let content: Arc<str> = self.read(path, scope.checks_owner)?.into();
        let text = self.parsed.texts.len();
        self.parsed.texts.push(SourceText {
            name: path.to_string_lossy().into(),
            text: Arc::clone(&content),
            is_file: true,
        });
        let mut block = self.begin(parent, BlockCondition::Always);
        let mut start = 0;
        // The line ends stay, so that `start` is the offset in the file.
        for (line, content) in (1..).zip(content.split_inclusive('\n')) {
            let at = LinePosition { text, line, start };
            start += content.len();
            let Some(line) = line::parse(content).map_err(|error| self.error(at, error))? else {
                continue;
            };
            if line.text.contains(char::REPLACEMENT_CHARACTER) {
                let error = SyntaxError::new(0..line.text.len(), "not UTF-8");
                return Err(self.error(at, error));
            }
            match Keyword::named(&line.keyword) {
                Some(Keyword::Host) => {
                    let patterns =
                        conditions::host_patterns(&line).map_err(|error| self.error(at, error))?;
                    block = self.begin(parent, BlockCondition::Host(patterns));
                }
                Some(Keyword::Match) => {
                    let criteria =
                        conditions::criteria(&line).map_err(|error| self.error(at, error))?;
                    let position = at.span(line.keyword_span.start..line.text.len());
                    block = self.begin(parent, BlockCondition::Match(criteria, position));
                }
                Some(Keyword::Include) => {
                    self.include(&line, at, scope, block, depth)?;
                    // Settings after the Include belong to the block before it, and come after those of the included
                    // files.
                    let same = match self.parsed.blocks[block].condition {
                        BlockCondition::Same(first) => first,
                        _ => block,
                    };
                    block = self.begin(parent, BlockCondition::Same(same));
                }
                _ => self.setting(block, at, &line)?,
            }
        }
        Ok(())
    }

    fn begin(&mut self, parent: Option<usize>, condition: BlockCondition) -> usize {
        self.parsed.blocks.push(SettingBlock {
            parent,
            condition,
            settings: Vec::new(),
        });
        self.parsed.blocks.len() - 1
    }

    /// Adds a line to a block.
    fn setting(
        &mut self,
        block: usize,
        at: LinePosition,
        line: &ConfigLine<'_>,
    ) -> Result<(), ConfigError> {
        self.order += 1;
        let Some(keyword) = Keyword::named(&line.keyword) else {
            return self.unknown(at, line);
        };
        let value = values::parse(keyword.info(), line, self.environment)
            .map_err(|error| self.error(at, error))?;
        let Some(value) = value else {
            return Ok(());
        };
        // The first value wins, as for other keywords.
        if keyword == Keyword::IgnoreUnknown
            && let (IgnoreUnknownState::Absent, SettingValue::Text(patterns)) =
                (&self.ignored, &value)
        {
            self.ignored = if self.parsed.blocks[block].is_for_all() {
                IgnoreUnknownState::ForAll(patterns.clone())
            } else {
                IgnoreUnknownState::Conditional
            };
        }
        self.parsed.blocks[block].settings.push(Setting {
            keyword,
            value,
            position: at.span(arguments(line)),
            order: self.order,
        });
        Ok(())
    }

    /// Refuses an unknown keyword, unless it is ignored or a later `IgnoreUnknown` check is needed.
    fn unknown(&mut self, at: LinePosition, line: &ConfigLine<'_>) -> Result<(), ConfigError> {
        let name = &line.keyword;
        match &self.ignored {
            _ if LATER.contains(&name.as_str()) => return Ok(()),
            IgnoreUnknownState::ForAll(patterns) if is_ignored(name, patterns) => return Ok(()),
            IgnoreUnknownState::Conditional => {
                self.parsed.unknown.push(UnknownKeyword {
                    name: name.clone(),
                    position: at.span(line.keyword_span.clone()),
                    order: self.order,
                });
                return Ok(());
            }
            _ => {}
        }
        let span = line.keyword_span.clone();
        Err(self.error(at, bad_option(&line.text[span.clone()], span)))
    }

    /// Reads the files of an `Include` line.
    fn include(
        &mut self,
        line: &ConfigLine<'_>,
        at: LinePosition,
        scope: FileScope<'_>,
        block: usize,
        depth: usize,
    ) -> Result<(), ConfigError> {
        for word in &line.words {
            let error = |message: String| SyntaxError::new(word.span.clone(), message);
            if word.text.is_empty() {
                return Err(self.error(at, error("empty argument".into())));
            }
            // As in ssh: the system's file has no home directory.
            if word.text.starts_with('~') && !scope.is_user {
                let message = "'~' cannot be used in the system's configuration".into();
                return Err(self.error(at, error(message)));
            }
            let pattern = if word.text.starts_with('~') {
                // As in a shell, an unknown user leaves the text unchanged, and it then matches no file.
                let expanded = expand_tilde(&word.text, &self.local.home);
                PathBuf::from(expanded.unwrap_or_else(|_| word.text.clone()))
            } else {
                scope.directory.join(&word.text)
            };
            let files = files(&pattern).map_err(|message| self.error(at, error(message)))?;
            for file in files {
                if depth == DEEPEST {
                    let message = format!("files include each other more than {DEEPEST} deep");
                    return Err(self.error(at, error(message)));
                }
                // ssh checks the owner of included files even if it does not check that of the first file.
                let scope = FileScope {
                    checks_owner: true,
                    ..scope
                };
                match self.nested(&file, scope, Some(block), depth + 1) {
                    // The file was removed after the match, or it is a dangling symbolic link.
                    Err(ConfigError::Read { source, .. })
                        if source.kind() == io::ErrorKind::NotFound => {}
                    result => result?,
                }
            }
        }
        Ok(())
    }

    /// Reads a whole file, within the limits.
    fn read(&mut self, path: &Path, checks_owner: bool) -> Result<String, ConfigError> {
        let failed = |source| ConfigError::Read {
            file: path.to_owned(),
            source,
        };
        let too_big = |limit| ConfigError::TooBig {
            file: path.to_owned(),
            limit,
        };
        self.files += 1;
        if self.files > MOST_FILES {
            return Err(too_big("more than 10000 files"));
        }
        let file = File::open(path).map_err(failed)?;
        let metadata = file.metadata().map_err(failed)?;
        if metadata.is_dir() {
            // An include can match a directory. ssh reads nothing from it either.
            return Ok(String::new());
        }
        if checks_owner && !is_safe(&metadata, self.local.uid) {
            return Err(ConfigError::Permissions {
                file: path.to_owned(),
            });
        }
        let left = MOST_BYTES - self.bytes;
        let mut bytes = Vec::new();
        // One byte more than allowed shows that the files are too big.
        file.take(left + 1)
            .read_to_end(&mut bytes)
            .map_err(failed)?;
        if bytes.len() as u64 > left {
            return Err(too_big("more than 64 MiB"));
        }
        self.bytes += bytes.len() as u64;
        // Invalid UTF-8 is an error only in lines that are not comments.
        Ok(String::from_utf8(bytes)
            .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()))
    }

    fn error(&self, at: LinePosition, error: SyntaxError) -> ConfigError {
        self.parsed.syntax_error(at.text, at.line, at.start, error)
    }
}

/// Position of the current line.
#[derive(Clone, Copy, Debug)]
struct LinePosition {
    text: usize,
    line: usize,
    start: usize,
}

impl LinePosition {
    fn span(self, span: Range<usize>) -> SourceSpan {
        SourceSpan {
            text: self.text,
            line: self.line,
            bytes: self.start + span.start..self.start + span.end,
        }
    }
}

/// True if the patterns of an `IgnoreUnknown` match a keyword in lower case. The case of the patterns does not matter.
pub(super) fn is_ignored(name: &str, patterns: &str) -> bool {
    matches_list(name, &patterns.to_ascii_lowercase()) == PatternListMatch::Match
}

/// Returns the error of an unknown keyword.
pub(super) fn bad_option(name: &str, span: Range<usize>) -> SyntaxError {
    SyntaxError {
        span,
        message: format!("bad configuration option: {name}"),
        help: Some(match nearest_keyword(name) {
            Some(nearest) => format!("did you mean {nearest}?"),
            None => format!("IgnoreUnknown {name}, before it, passes over it"),
        }),
    }
}

/// Returns the keyword that differs from a name in at most two letters, and in less than half of its letters.
fn nearest_keyword(name: &str) -> Option<&'static str> {
    let name = name.to_ascii_lowercase();
    let length = name.chars().count();
    TABLE
        .iter()
        // The time of a comparison is the product of both lengths, and a line may be long.
        .filter(|info| info.name.len().abs_diff(length) <= 2)
        .map(|info| {
            let known = info.name.to_ascii_lowercase();
            (osa_distance(&name, &known), known, info.name)
        })
        .filter(|(distance, ..)| *distance <= 2 && distance * 2 < length.max(2))
        .min()
        .map(|(.., nearest)| nearest)
}

/// Returns the files that a pattern matches, sorted by name. As in ssh, unreadable directories match nothing.
fn files(pattern: &Path) -> Result<Vec<PathBuf>, String> {
    let text = pattern.to_string_lossy();
    if !text.contains(['*', '?', '[']) {
        return Ok(vec![pattern.to_owned()]);
    }
    // As ssh calls glob(3): wildcards match neither `/` nor a dot at the start of a name.
    let options = MatchOptions {
        case_sensitive: true,
        require_literal_separator: true,
        require_literal_leading_dot: true,
    };
    let paths = glob_with(&text, options).map_err(|error| format!("bad pattern: {error}"))?;
    // One more than allowed, so that the limit on files is noticed.
    Ok(paths.filter_map(Result::ok).take(MOST_FILES + 1).collect())
}

/// True if only a user and root can write to a file. As in Debian's ssh, a group may write to it if the user is its
/// only member.
fn is_safe(metadata: &std::fs::Metadata, user: u32) -> bool {
    let owner = metadata.uid();
    let mode = metadata.mode();
    if owner != 0 && owner != user || mode & 0o002 != 0 {
        return false;
    }
    mode & 0o020 == 0 || owner == user && is_own_group(metadata.gid(), user)
}

/// True for the private group of a user: it has the user's name, is the user's primary group, and has no other members.
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
