//! What stands around the text of a line: labels, and colours where they are wanted.
//!
//! Colours are ours alone: those that a host sends are text on a terminal, as everything that it sends, unless
//! the user wants colours always.
//! As clush has it, labels show by their colour which stream a line is of; diffs look as git's do.

use anstyle::{AnsiColor, Style};

use crate::event::Stream;

/// Which of our two streams are coloured. Decided once, where the run is planned.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Colors {
    /// Standard output is.
    pub out: bool,
    /// Standard error is.
    pub err: bool,
}

/// What stands around the text of one line.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Frame<'a> {
    /// Before it, in pieces.
    pub(super) before: [&'a [u8]; 3],
    /// Behind it.
    pub(super) after: &'a [u8],
}

/// The colours of everything that has one; without colours, nothing.
#[derive(Clone, Debug)]
pub(super) struct Palette {
    labels: [Paint; 2],
    /// A line that a diff adds.
    pub(super) added: Paint,
    /// A line that a diff takes away.
    pub(super) removed: Paint,
    /// The place of a change.
    pub(super) place: Paint,
    /// Whose texts a diff compares.
    pub(super) title: Paint,
}

/// One colour, as it is switched on and off.
#[derive(Clone, Debug, Default)]
pub(super) struct Paint {
    start: String,
    end: String,
    /// What comes between a label and the text.
    label_end: String,
}

impl Palette {
    pub(super) fn new(colors: Colors) -> Self {
        let out = |style| Paint::new(style, colors.out);
        Palette {
            labels: [
                out(AnsiColor::BrightBlue.on_default()),
                Paint::new(AnsiColor::BrightRed.on_default(), colors.err),
            ],
            added: out(AnsiColor::Green.on_default()),
            removed: out(AnsiColor::Red.on_default()),
            place: out(AnsiColor::Cyan.on_default()),
            title: out(Style::new().bold()),
        }
    }

    /// The colour of labels on a stream.
    pub(super) fn label(&self, stream: Stream) -> &Paint {
        match stream {
            Stream::Stdout => &self.labels[0],
            Stream::Stderr => &self.labels[1],
        }
    }
}

impl Paint {
    fn new(style: Style, wanted: bool) -> Self {
        let style = if wanted { style } else { Style::new() };
        Paint {
            start: style.render().to_string(),
            end: style.render_reset().to_string(),
            label_end: format!(":{} ", style.render_reset()),
        }
    }

    /// Around the text of a line with this label, which alone is coloured.
    pub(super) fn label<'a>(&'a self, label: &'a [u8]) -> Frame<'a> {
        Frame {
            before: [self.start.as_bytes(), label, self.label_end.as_bytes()],
            after: b"",
        }
    }

    /// Around the text of a line with this before it, which alone is coloured.
    pub(super) fn prefix<'a>(&'a self, text: &'a [u8]) -> Frame<'a> {
        Frame {
            before: [self.start.as_bytes(), text, self.end.as_bytes()],
            after: b"",
        }
    }

    /// Around the text of a line that is coloured whole and begins with `mark`.
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
