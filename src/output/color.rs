//! Labels and colours around the text of a line.
//!
//! Only mrsh sets colours. Colour sequences of a host are shown as text on a terminal, unless the user wants colours
//! always. The colour of a label shows the stream of its line, as in clush. Diffs have the colours of git.

use anstyle::{AnsiColor, Style};

use crate::event::Stream;

/// Streams that are coloured. The plan decides it once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Colors {
    /// True for a coloured standard output.
    pub out: bool,
    /// True for a coloured standard error.
    pub err: bool,
}

/// Bytes before and after the text of one line.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Frame<'a> {
    /// Bytes before the text, in pieces.
    pub(super) before: [&'a [u8]; 3],
    /// Bytes after the text.
    pub(super) after: &'a [u8],
}

/// The colours of labels and diffs; empty strings without colours.
#[derive(Clone, Debug)]
pub(super) struct Palette {
    labels: [Paint; 2],
    /// A line that a diff adds.
    pub(super) added: Paint,
    /// A line that a diff removes.
    pub(super) removed: Paint,
    /// The position of a change.
    pub(super) position: Paint,
    /// The names of the hosts that a diff compares.
    pub(super) title: Paint,
}

/// The escape sequences that switch one colour on and off.
#[derive(Clone, Debug, Default)]
pub(super) struct Paint {
    start: String,
    end: String,
    /// Bytes between a label and the text.
    label_end: String,
}

impl Palette {
    pub(super) fn new(colors: Colors) -> Self {
        let out = |style| Paint::new(style, colors.out);
        Palette {
            labels: [
                // As in clush: the colour of the label shows the stream.
                out(AnsiColor::BrightBlue.on_default()),
                Paint::new(AnsiColor::BrightRed.on_default(), colors.err),
            ],
            // The colours of git.
            added: out(AnsiColor::Green.on_default()),
            removed: out(AnsiColor::Red.on_default()),
            position: out(AnsiColor::Cyan.on_default()),
            title: out(Style::new().bold()),
        }
    }

    /// Returns the colour of labels on a stream.
    pub(super) fn label(&self, stream: Stream) -> &Paint {
        match stream {
            Stream::Stdout => &self.labels[0],
            Stream::Stderr => &self.labels[1],
        }
    }
}

impl Paint {
    fn new(style: Style, wanted: bool) -> Self {
        // An empty style renders as an empty string, so the callers need not know whether there are colours.
        let style = if wanted { style } else { Style::new() };
        Paint {
            start: style.render().to_string(),
            end: style.render_reset().to_string(),
            label_end: format!(":{} ", style.render_reset()),
        }
    }

    /// Returns the frame of a line with a coloured label.
    pub(super) fn label<'a>(&'a self, label: &'a [u8]) -> Frame<'a> {
        Frame {
            before: [self.start.as_bytes(), label, self.label_end.as_bytes()],
            after: b"",
        }
    }

    /// Returns the frame of a line with a coloured prefix.
    pub(super) fn prefix<'a>(&'a self, text: &'a [u8]) -> Frame<'a> {
        Frame {
            before: [self.start.as_bytes(), text, self.end.as_bytes()],
            after: b"",
        }
    }

    /// Returns the frame of a line that is coloured whole and begins with `mark`.
    pub(super) fn line<'a>(&'a self, mark: &'a [u8]) -> Frame<'a> {
        Frame {
            before: [self.start.as_bytes(), mark, b""],
            after: self.end.as_bytes(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_colours_there_is_nothing_but_the_label() {
        let palette = Palette::new(Colors::default());
        let label = palette.label(Stream::Stdout).label(b"n1");
        assert_eq!(label.before.concat(), b"n1: ");
        let added = palette.added.line(b"+");
        assert_eq!(
            (&*added.before.concat(), added.after),
            (&b"+"[..], &b""[..])
        );
    }

    #[test]
    fn each_stream_has_its_own() {
        let palette = Palette::new(Colors {
            out: false,
            err: true,
        });
        let label = |stream| palette.label(stream).label(b"n1").before.concat();
        assert_eq!(label(Stream::Stdout), b"n1: ");
        assert_eq!(label(Stream::Stderr), b"\x1b[91mn1:\x1b[0m ");
        assert_eq!(palette.added.line(b"+").after, b"");
    }
}
