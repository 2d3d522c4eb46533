//! A parsed configuration: settings in blocks, in the order of the files.

use std::ops::Range;
use std::sync::Arc;

use super::conditions::{HostPattern, MatchCondition, MatchCriterion};
use super::error::{ConfigError, ConfigLineError, ConfigLineErrorKind};
use super::keywords::Keyword;
use super::line::SyntaxError;
use super::values::SettingValue;

/// A file, or an option from outside the files.
#[derive(Debug)]
pub(super) struct SourceText {
    /// The path of the file, or the origin of the option.
    pub(super) name: Arc<str>,
    /// The whole text, for error messages.
    pub(super) text: Arc<str>,
    /// True if the text is a file, which has line numbers.
    pub(super) is_file: bool,
}

/// A range of bytes in a [`SourceText`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SourceSpan {
    /// Index of the text.
    pub(super) text: usize,
    /// Line number, from 1.
    pub(super) line: usize,
    /// Bytes of the text.
    pub(super) bytes: Range<usize>,
}

/// A keyword with its value.
#[derive(Debug)]
pub(super) struct Setting {
    /// The keyword.
    pub(super) keyword: Keyword,
    /// The value.
    pub(super) value: SettingValue,
    /// The position of the value.
    pub(super) position: SourceSpan,
    /// Number of the line in the order of reading, over all files.
    pub(super) order: usize,
}

/// Condition of a block.
#[derive(Debug)]
pub(super) enum BlockCondition {
    /// The parent of the block applies.
    Always,
    /// `Host`.
    Host(Vec<HostPattern>),
    /// `Match`.
    Match(Vec<MatchCriterion>, SourceSpan),
    /// The block with this index applies. The block is the part of it after an `Include`.
    Same(usize),
}

/// Settings that apply together.
#[derive(Debug)]
pub(super) struct SettingBlock {
    /// Block with the `Include` of this block's file. It must apply too.
    pub(super) parent: Option<usize>,
    /// Condition of the block.
    pub(super) condition: BlockCondition,
    /// Settings in the order of the file.
    pub(super) settings: Vec<Setting>,
}

impl SettingBlock {
    /// True if the block applies to every host.
    pub(super) fn is_for_all(&self) -> bool {
        self.parent.is_none()
            && match &self.condition {
                BlockCondition::Always => true,
                BlockCondition::Host(patterns) => {
                    // A negated pattern may exclude a host, so such a block is not for all.
                    let mut each = patterns.iter();
                    each.clone().any(|each| each.pattern == "*") && !each.any(|each| each.negated)
                }
                BlockCondition::Match(criteria, _) => {
                    let mut each = criteria.iter();
                    each.all(|each| !each.negated && each.condition == MatchCondition::Always)
                }
                BlockCondition::Same(_) => false,
            }
    }
}

/// An unknown keyword that an `IgnoreUnknown` in a conditional block may cover.
#[derive(Debug)]
pub(super) struct UnknownKeyword {
    /// Keyword in lower case.
    pub(super) name: String,
    /// Position of the keyword.
    pub(super) position: SourceSpan,
    /// Same as [`Setting::order`].
    pub(super) order: usize,
}

/// All files and options, parsed.
#[derive(Debug, Default)]
pub(super) struct ParsedConfig {
    /// Files and options, in the order of reading.
    pub(super) texts: Vec<SourceText>,
    /// Blocks, in the order of reading. The first one has the options.
    pub(super) blocks: Vec<SettingBlock>,
    /// Unknown keywords that are checked for each host.
    pub(super) unknown: Vec<UnknownKeyword>,
}

impl ParsedConfig {
    /// Makes the error of a wrong line.
    pub(super) fn error(
        &self,
        position: &SourceSpan,
        message: impl Into<String>,
        help: Option<String>,
    ) -> ConfigError {
        self.error_of_kind(position, ConfigLineErrorKind::Invalid, message, help)
    }

    /// Makes an error of a kind.
    pub(super) fn error_of_kind(
        &self,
        position: &SourceSpan,
        kind: ConfigLineErrorKind,
        message: impl Into<String>,
        help: Option<String>,
    ) -> ConfigError {
        let source = &self.texts[position.text];
        let bytes = &position.bytes;
        // The error keeps the line only, not the whole text.
        let line = if source.is_file {
            let start = source.text[..bytes.start].rfind('\n');
            let start = start.map_or(0, |newline| newline + 1);
            let end = source.text[bytes.start..].find('\n');
            start..end.map_or(source.text.len(), |newline| bytes.start + newline)
        } else {
            // An option has no lines.
            0..source.text.len()
        };
        let end = bytes.end.clamp(bytes.start, line.end);
        ConfigError::Line(Box::new(ConfigLineError {
            origin: Arc::clone(&source.name),
            line: source.is_file.then_some(position.line),
            text: source.text[line.clone()].to_owned(),
            span: bytes.start - line.start..end - line.start,
            kind,
            message: message.into(),
            help,
        }))
    }

    /// Makes the error of a line that starts at byte `start` of a text.
    pub(super) fn syntax_error(
        &self,
        text: usize,
        line: usize,
        start: usize,
        error: SyntaxError,
    ) -> ConfigError {
        let position = SourceSpan {
            text,
            line,
            bytes: start + error.span.start..start + error.span.end,
        };
        self.error(&position, error.message, error.help)
    }

    /// True if a `Match final` requires a second pass.
    pub(super) fn wants_two_passes(&self) -> bool {
        // ssh_config(5): only `final` requests that the files be read again.
        self.blocks.iter().any(|block| match &block.condition {
            BlockCondition::Match(criteria, _) => criteria
                .iter()
                .any(|each| each.condition == MatchCondition::LastPass(true)),
            _ => false,
        })
    }
}
