//! Errors about targets: the fault, its place in the text, and advice.
//!
//! Made by the builder and the hosts file's parser, shown by `main` as they are. A [`Diagnostic`]
//! holds its own excerpt of the text, so it outlives what it was made from and stays small.

use std::fmt;
use std::io;
use std::ops::Range;
use std::sync::Arc;

use nodeset::{Fault, NodeSetError};
use unicode_width::UnicodeWidthStr;

use super::help;
use crate::help::help_line;

/// The reason why there is no list of targets.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TargetError {
    /// A text that cannot be parsed, or that names too many targets.
    #[error("{0}")]
    Syntax(Box<Diagnostic>),
    /// A file or standard input could not be read to its end.
    #[error("cannot read the hosts file {name}")]
    Read {
        /// Path of the file, or the name of the reader.
        name: String,
        /// The cause.
        source: io::Error,
    },
    /// An inventory cannot be parsed.
    #[error("{name}: {message}")]
    Inventory {
        /// Path of the file.
        name: String,
        /// The line and the fault.
        message: String,
    },
    /// No host was named.
    #[error(
        "no targets: nothing names a host{}",
        help_line("name hosts with -w node[1-9] or a hosts file with -f FILE")
    )]
    NothingNamed,
    /// The sources contain no host.
    #[error("no targets: no host is named in {0}")]
    NoneIn(String),
    /// The sources are files of `--failed-to`, which say that no target failed.
    #[error("no targets: no target failed in the run that wrote {0}")]
    NoTargetFailed(String),
    /// Exclusions removed every target.
    #[error("no targets: all {0} were excluded")]
    AllExcluded(usize),
    /// No position of a slice is in the list.
    #[error(
        "no targets: there are {0}, and the slice takes none of them{help}",
        help = help_line("the first has the number 0")
    )]
    NothingAt(usize),
}

impl TargetError {
    /// True if targets were named and none is left. A listing may be empty, so this is no error for it.
    #[must_use]
    pub fn is_empty_result(&self) -> bool {
        matches!(
            self,
            TargetError::NoneIn(_) | TargetError::AllExcluded(_) | TargetError::NothingAt(_)
        )
    }
}

/// The source of a text, for error messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    name: Arc<str>,
    line: Option<usize>,
}

impl Origin {
    /// A text given as a whole: the name of an option (`-w`) or of an environment variable.
    #[must_use]
    pub fn named(name: &str) -> Origin {
        Origin {
            name: name.into(),
            line: None,
        }
    }

    /// A line of a file, counted from 1.
    pub(crate) fn line(name: &Arc<str>, line: usize) -> Origin {
        Origin {
            name: Arc::clone(name),
            line: Some(line),
        }
    }

    /// The name of the source, without a line number.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// The line, counted from 1, if the text has lines.
    pub(super) fn line_number(&self) -> Option<usize> {
        self.line
    }
}

/// A fault, with the line that contains it and a caret under the fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    message: String,
    origin: Origin,
    /// Column of the fault in its line, counted in characters from 1.
    column: usize,
    /// The part of the line around the fault, without control characters.
    excerpt: String,
    /// Terminal columns before the caret, and the width of the caret.
    caret: (usize, usize),
    help: Option<String>,
}

/// Longer lines are cut to about this many characters around the fault.
const EXCERPT: usize = 100;

impl Diagnostic {
    /// Points at `span` of `text`, which may have several lines.
    pub(crate) fn new(
        origin: &Origin,
        text: &str,
        span: Range<usize>,
        message: impl Into<String>,
        help: Option<String>,
    ) -> Diagnostic {
        let line_start = text[..span.start].rfind('\n').map_or(0, |at| at + 1);
        let line_end = text[span.start..]
            .find('\n')
            .map_or(text.len(), |at| span.start + at);
        // A fault may reach over several lines, and only its first line is shown.
        let fault = &text[span.start..span.end.clamp(span.start, line_end)];
        let (before, after) = (&text[line_start..span.start], &text[span.start..line_end]);
        // Editors count characters, not bytes.
        let column = before.chars().count() + 1;

        // A line of a hosts file may have a million names. Only the part around the fault is kept.
        let skipped = column.saturating_sub(EXCERPT / 2);
        let start = if skipped < EXCERPT / 4 {
            0
        } else {
            before.char_indices().nth(skipped).map_or(0, |(at, _)| at)
        };
        let shown_before = &before[start..];
        let end = after
            .char_indices()
            .nth(EXCERPT / 2)
            .map_or(after.len(), |(at, _)| at);
        let mut excerpt = String::new();
        if start > 0 {
            excerpt.push('…');
        }
        push_visible(shown_before, &mut excerpt);
        // Wide characters take two columns of the terminal, so the caret counts columns.
        let caret_start = excerpt.width();
        push_visible(&after[..end], &mut excerpt);
        if end < after.len() {
            excerpt.push('…');
        }
        let mut shown_fault = String::new();
        // The caret must not be longer than the excerpt.
        push_visible(&fault[..fault.len().min(end)], &mut shown_fault);
        // A fault at the end of the text has no character of its own, and yet needs a caret.
        let caret = (caret_start, shown_fault.width().max(1));
        Diagnostic {
            message: message.into(),
            origin: origin.clone(),
            column,
            excerpt,
            caret,
            help,
        }
    }

    /// Points at what a node set's error is about.
    pub(super) fn from_nodeset(origin: &Origin, text: &str, error: &NodeSetError) -> Diagnostic {
        Diagnostic::from_fault(origin, text, error.span.clone(), &error.fault)
    }

    /// Points at the definition that a fault is in, if its place is known, else at `span` of `text`.
    pub(super) fn from_fault(
        origin: &Origin,
        text: &str,
        span: Range<usize>,
        fault: &Fault,
    ) -> Diagnostic {
        Diagnostic::of_definition(fault)
            // The definition of a group may be in another text than the expression that uses it.
            .unwrap_or_else(|| Diagnostic::new(origin, text, span, fault.to_string(), help(fault)))
    }

    /// Points at the definition that a fault is in, if its place is known.
    pub(crate) fn of_definition(fault: &Fault) -> Option<Diagnostic> {
        let Fault::InDefinition {
            what,
            fault,
            place: Some(place),
            ..
        } = fault
        else {
            return None;
        };
        let origin = Origin::line(&place.file, place.line);
        let message = format!("in {what}: {fault}");
        let span = place.span.clone();
        Some(Diagnostic::new(
            &origin,
            &place.text,
            span,
            message,
            help(fault),
        ))
    }
}

impl From<Diagnostic> for TargetError {
    fn from(diagnostic: Diagnostic) -> TargetError {
        TargetError::Syntax(Box::new(diagnostic))
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.message)?;
        match self.origin.line {
            Some(line) => writeln!(f, " --> {}:{line}:{}", self.origin.name, self.column)?,
            None => writeln!(f, " --> {}, column {}", self.origin.name, self.column)?,
        }
        let (before, under) = self.caret;
        writeln!(f, "  |\n  | {}", self.excerpt)?;
        write!(f, "  | {:before$}{:^<under$}", "", "")?;
        if let Some(help) = &self.help {
            f.write_str(&help_line(help))?;
        }
        Ok(())
    }
}

/// Appends printable text on one line: a tab becomes a space, a control character becomes `�`.
fn push_visible(text: &str, out: &mut String) {
    out.extend(text.chars().map(|c| match c {
        '\t' => ' ',
        // A control character would change the terminal and move the caret.
        c if c.is_control() => '\u{fffd}',
        c => c,
    }));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str, fault: &str) -> String {
        let start = text.find(fault).unwrap();
        let origin = Origin::named("-w");
        Diagnostic::new(
            &origin,
            text,
            start..start + fault.len(),
            "it is wrong",
            None,
        )
        .to_string()
    }

    #[test]
    fn the_caret_is_under_the_fault() {
        insta::assert_snapshot!(shown("a\tö,日本,n[9-3]\u{7},b", "9-3"), @"
        it is wrong
         --> -w, column 10
          |
          | a ö,日本,n[9-3]�,b
          |            ^^^
        ");
    }

    #[test]
    fn only_the_line_of_the_fault_is_shown() {
        insta::assert_snapshot!(shown("one\ntwo[\nthree", "[\nthree"), @"
        it is wrong
         --> -w, column 4
          |
          | two[
          |    ^
        ");
    }

    #[test]
    fn long_lines_are_cut_around_the_fault() {
        let text = format!("{}HERE{}", "abc,".repeat(1000), ",xyz".repeat(1000));
        insta::assert_snapshot!(shown(&text, "HERE"), @"
        it is wrong
         --> -w, column 4001
          |
          | …,abc,abc,abc,abc,abc,abc,abc,abc,abc,abc,abc,abc,HERE,xyz,xyz,xyz,xyz,xyz,xyz,xyz,xyz,xyz,xyz,xyz,x…
          |                                                   ^^^^
        ");
    }

    #[test]
    fn a_missing_operand_has_a_caret_too() {
        let diagnostic = Diagnostic::new(
            &Origin::named("-w"),
            "n[",
            2..2,
            "gone",
            Some("mend".into()),
        );
        insta::assert_snapshot!(diagnostic, @"
        gone
         --> -w, column 3
          |
          | n[
          |   ^
          = help: mend
        ");
    }
}
