//! A configuration after parsing: settings in blocks, in the order of the files.

use std::ops::Range;
use std::sync::Arc;

use super::error::{ConfigError, LineFault};
use super::keywords::Keyword;
use super::matching::{Criterion, HostPattern, Question};
use super::value::Value;
use super::words::Fault;
use crate::targets::{Diagnostic, Origin};

/// A file, or an option from the command line.
#[derive(Debug)]
pub(super) struct Text {
    /// Its path, or the option's name.
    pub(super) name: Arc<str>,
    /// All of it, for messages.
    pub(super) text: Arc<str>,
    /// Whether it has lines that can be counted.
    pub(super) is_file: bool,
}

/// Where something was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// Which text.
    pub(super) text: usize,
    /// Counted from 1.
    pub(super) line: usize,
    /// Bytes of the text.
    pub(super) span: Range<usize>,
}

/// A keyword with its value.
#[derive(Debug)]
pub(super) struct Setting {
    /// Which.
    pub(super) keyword: Keyword,
    /// Its value.
    pub(super) value: Value,
    /// Where the value stands.
    pub(super) place: Place,
    /// The number of its line in the order of reading, over all files.
    pub(super) order: usize,
}

/// When the settings of a block apply.
#[derive(Debug)]
pub(super) enum Condition {
    /// Whenever the block around it does.
    Always,
    /// `Host`.
    Host(Vec<HostPattern>),
    /// `Match`.
    Match(Vec<Criterion>, Place),
    /// When the block of this number does: the part after an Include.
    Same(usize),
}

/// Settings that apply together.
#[derive(Debug)]
pub(super) struct Block {
    /// The block with the Include that brought this one: it must apply, too.
    pub(super) parent: Option<usize>,
    /// When it applies.
    pub(super) condition: Condition,
    /// In their order.
    pub(super) settings: Vec<Setting>,
}

impl Block {
    /// Whether it applies to every host.
    pub(super) fn is_for_all(&self) -> bool {
        self.parent.is_none()
            && match &self.condition {
                Condition::Always => true,
                Condition::Host(patterns) => {
                    let mut each = patterns.iter();
                    each.clone().any(|each| each.pattern == "*") && !each.any(|each| each.negated)
                }
                Condition::Match(criteria, _) => {
                    let mut each = criteria.iter();
                    each.all(|each| !each.negated && each.question == Question::Always)
                }
                Condition::Same(_) => false,
            }
    }
}

/// A keyword that nobody knows, in a file where a block may say that it is to be ignored.
#[derive(Debug)]
pub(super) struct Unknown {
    /// In small letters.
    pub(super) name: String,
    /// Where it stands.
    pub(super) place: Place,
    /// As [`Setting::order`].
    pub(super) order: usize,
}

/// Everything that was read.
#[derive(Debug, Default)]
pub(super) struct Parsed {
    /// What was read.
    pub(super) texts: Vec<Text>,
    /// In the order of reading.
    pub(super) blocks: Vec<Block>,
    /// See [`Unknown`].
    pub(super) unknown: Vec<Unknown>,
}

impl Parsed {
    /// Makes an error of a fault at a place.
    pub(super) fn error(
        &self,
        place: &Place,
        message: impl Into<String>,
        help: Option<String>,
    ) -> ConfigError {
        let text = &self.texts[place.text];
        let message = message.into();
        let (origin, at) = match text.is_file {
            true => (
                Origin::line(&text.name, place.line),
                format!("{}:{}", text.name, place.line),
            ),
            false => (
                Origin::named(&text.name),
                format!("{} {}", text.name, text.text),
            ),
        };
        let short = match &help {
            Some(help) => format!("{at}: {message} ({help})"),
            None => format!("{at}: {message}"),
        };
        let span = place.span.clone();
        let diagnostic = Diagnostic::new(&origin, &text.text, span, message, help);
        ConfigError::Line(Box::new(LineFault { diagnostic, short }))
    }

    /// Makes an error of a fault in a line that starts at this byte of a text.
    pub(super) fn fault(
        &self,
        text: usize,
        line: usize,
        start: usize,
        fault: Fault,
    ) -> ConfigError {
        let place = Place {
            text,
            line,
            span: start + fault.span.start..start + fault.span.end,
        };
        self.error(&place, fault.message, fault.help)
    }

    /// Whether a `Match final` wants a second pass.
    pub(super) fn wants_two_passes(&self) -> bool {
        self.blocks.iter().any(|block| match &block.condition {
            Condition::Match(criteria, _) => criteria
                .iter()
                .any(|each| each.question == Question::LastPass(true)),
            _ => false,
        })
    }
}
