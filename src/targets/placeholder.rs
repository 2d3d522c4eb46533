//! The grammar of placeholders: `%` and a letter, which stands for a value of each target. It is one for `--label`,
//! `--copy`, `-o`, `-e`, `--env` and the words of `-R exec`. No I/O.
//!
//! Only labels have widths, because they are columns of a screen. An error shows the text with a caret under the
//! fault.

use std::ops::Range;

use super::{Diagnostic, Origin};

/// Maximum width of a placeholder.
const WIDEST: usize = 200;

/// The placeholders, for help.
const LETTERS: &str =
    "%h is the host, %l the label, %u the user, %p the port, %n the number, %% a percent sign";

/// A value of a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placeholder {
    /// `%l`: the label.
    Label,
    /// `%h`: the name or address that is looked up.
    Host,
    /// `%u`: the remote user.
    User,
    /// `%p`: the port, if there is one.
    Port,
    /// `%n`: the position in the list of targets, from 0.
    Number,
}

impl Placeholder {
    /// Returns the placeholder with this letter after the percent sign.
    fn of_letter(letter: u8) -> Option<Placeholder> {
        match letter {
            b'l' => Some(Placeholder::Label),
            b'h' => Some(Placeholder::Host),
            b'u' => Some(Placeholder::User),
            b'p' => Some(Placeholder::Port),
            b'n' => Some(Placeholder::Number),
            _ => None,
        }
    }
}

/// A part of a text with placeholders.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PatternPart {
    /// Text that is the same for all targets.
    Text(Vec<u8>),
    /// The value of a placeholder.
    Value {
        /// The placeholder.
        field: Placeholder,
        /// Minimum width in columns.
        width: usize,
        /// True if the padding is on the right.
        left: bool,
    },
}

/// A text with placeholders.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pattern {
    parts: Vec<PatternPart>,
}

impl Pattern {
    /// Parses a text in which placeholders have no widths. `origin` is its option, for errors.
    ///
    /// # Errors
    /// A percent sign starts no placeholder.
    pub fn parse(text: &[u8], origin: &str) -> Result<Pattern, Box<Diagnostic>> {
        PatternReader {
            text,
            start: 0,
            origin,
            has_widths: false,
        }
        .read()
    }

    /// Parses the text after the first `start` bytes. Errors show the whole text.
    ///
    /// # Errors
    /// A percent sign starts no placeholder.
    pub fn parse_after(
        start: usize,
        text: &[u8],
        origin: &str,
    ) -> Result<Pattern, Box<Diagnostic>> {
        PatternReader {
            text,
            start,
            origin,
            has_widths: false,
        }
        .read()
    }

    /// Parses a text in which placeholders may have widths.
    ///
    /// # Errors
    /// A percent sign starts no placeholder, or a width is wrong.
    pub fn parse_with_widths(text: &str, origin: &str) -> Result<Pattern, Box<Diagnostic>> {
        PatternReader {
            text: text.as_bytes(),
            start: 0,
            origin,
            has_widths: true,
        }
        .read()
    }

    /// Returns the parts. No two texts follow each other.
    #[must_use]
    pub fn parts(&self) -> &[PatternPart] {
        &self.parts
    }

    /// True if the text has a placeholder, and so differs between targets.
    #[must_use]
    pub fn has_values(&self) -> bool {
        let is_value = |part: &PatternPart| matches!(part, PatternPart::Value { .. });
        self.parts.iter().any(is_value)
    }

    /// True if the text has this placeholder.
    #[must_use]
    pub fn has(&self, wanted: Placeholder) -> bool {
        self.parts
            .iter()
            .any(|part| matches!(part, PatternPart::Value { field, .. } if *field == wanted))
    }

    /// Returns the text with these values. Widths have no effect.
    #[must_use]
    pub fn fill<V: AsRef<[u8]>>(&self, value: impl Fn(Placeholder) -> V) -> Vec<u8> {
        let mut filled = Vec::new();
        for part in &self.parts {
            match part {
                PatternPart::Text(text) => filled.extend_from_slice(text),
                PatternPart::Value { field, .. } => {
                    filled.extend_from_slice(value(*field).as_ref());
                }
            }
        }
        filled
    }

    fn push_text(&mut self, text: &[u8]) {
        match self.parts.last_mut() {
            _ if text.is_empty() => {}
            Some(PatternPart::Text(last)) => last.extend_from_slice(text),
            _ => self.parts.push(PatternPart::Text(text.to_vec())),
        }
    }
}

/// A text that is being parsed.
struct PatternReader<'a> {
    text: &'a [u8],
    /// Position of the first byte that is read.
    start: usize,
    origin: &'a str,
    has_widths: bool,
}

impl PatternReader<'_> {
    fn read(&self) -> Result<Pattern, Box<Diagnostic>> {
        let mut pattern = Pattern::default();
        let mut at = self.start;
        while let Some(length) = memchr::memchr(b'%', &self.text[at..]) {
            pattern.push_text(&self.text[at..at + length]);
            let percent = at + length;
            // A width or a minus before the second `%` is an error, not a literal `%`.
            if self.text.get(percent + 1) == Some(&b'%') {
                pattern.push_text(b"%");
                at = percent + 2;
            } else {
                let (part, end) = self.value(percent)?;
                pattern.parts.push(part);
                at = end;
            }
        }
        pattern.push_text(&self.text[at..]);
        Ok(pattern)
    }

    /// Reads the placeholder at this percent sign. Returns the position after it as well.
    fn value(&self, percent: usize) -> Result<(PatternPart, usize), Box<Diagnostic>> {
        let left = self.text.get(percent + 1) == Some(&b'-');
        let digits = percent + 1 + usize::from(left);
        let is_digit = |byte: &&u8| byte.is_ascii_digit();
        let count = self.text[digits..].iter().take_while(is_digit).count();
        let letter = digits + count;
        let field = self.text.get(letter).copied();
        let Some(field) = field.and_then(Placeholder::of_letter) else {
            return Err(self.fault(percent..self.after_character(letter), "unknown placeholder"));
        };
        let span = percent..letter + 1;
        if !self.has_widths && letter > percent + 1 {
            let text = "a width, which only a label can have";
            return Err(self.fault(span, text));
        }
        let width = match &self.text[digits..letter] {
            b"" if left => return Err(self.fault(span, "no width after the minus")),
            b"" => 0,
            // Every line gets this much padding.
            digits => match str::from_utf8(digits).unwrap_or_default().parse() {
                Ok(width @ 1..=WIDEST) => width,
                _ => {
                    let help = format!("1 to {WIDEST} columns");
                    return Err(self.fault_with(span, "no such width", help));
                }
            },
        };
        Ok((PatternPart::Value { field, width, left }, letter + 1))
    }

    /// Returns the position after the character at this one, which need not be UTF-8.
    fn after_character(&self, at: usize) -> usize {
        let rest = &self.text[at..];
        let first = rest.utf8_chunks().next();
        let length = first.map_or(0, |chunk| {
            let character = chunk.valid().chars().next();
            character.map_or(chunk.invalid().len(), char::len_utf8)
        });
        at + length
    }

    fn fault(&self, span: Range<usize>, message: &str) -> Box<Diagnostic> {
        let mut help = LETTERS.to_owned();
        if self.has_widths {
            help.push_str("; %-12l pads to 12 columns");
        }
        self.fault_with(span, message, help)
    }

    fn fault_with(&self, span: Range<usize>, message: &str, help: String) -> Box<Diagnostic> {
        // The parts can be replaced apart from each other, since a percent sign and a letter begin and end them.
        let [before, fault, after] = [
            &self.text[..span.start],
            &self.text[span.start..span.end],
            &self.text[span.end..],
        ]
        .map(String::from_utf8_lossy);
        let span = before.len()..before.len() + fault.len();
        let text = format!("{before}{fault}{after}");
        Box::new(Diagnostic::new(
            &Origin::named(self.origin),
            &text,
            span,
            message,
            Some(help),
        ))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn fill(text: &[u8]) -> Vec<u8> {
        let value = |field| match field {
            Placeholder::Label => "label",
            Placeholder::Host => "host",
            Placeholder::User => "user",
            Placeholder::Port => "22",
            Placeholder::Number => "7",
        };
        Pattern::parse(text, "--test").unwrap().fill(value)
    }

    #[test]
    fn every_placeholder_has_a_value() {
        assert_eq!(fill(b"%l %h %u %p %n %%"), b"label host user 22 7 %");
        assert_eq!(fill(b"%%h%h\xff%%"), b"%hhost\xff%");
        assert_eq!(fill(b""), b"");
    }

    #[test]
    fn the_caret_is_under_the_fault() {
        let caret = |text: &[u8]| {
            let said = Pattern::parse_after(2, text, "--test")
                .unwrap_err()
                .to_string();
            let mut lines = said.lines();
            let message = lines.next().unwrap().to_owned();
            let caret = lines.find(|line| line.contains('^')).unwrap();
            format!("{message}{}", caret.replace("  |", ""))
        };
        for (text, expected) in [
            (&b"A=%x"[..], "unknown placeholder   ^^"),
            (b"A=%", "unknown placeholder   ^"),
            (b"A=%h%", "unknown placeholder     ^"),
            (b"A=%\xffb", "unknown placeholder   ^^"),
            (b"A=%5l", "a width, which only a label can have   ^^^"),
            (b"A=%-l", "a width, which only a label can have   ^^^"),
            ("A=ü%é".as_bytes(), "unknown placeholder    ^^"),
        ] {
            let found = caret(text);
            assert!(found.ends_with(expected), "{found:?}, not {expected:?}");
        }
    }

    proptest! {
        #[test]
        fn text_without_placeholders_is_unchanged(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            let doubled: Vec<u8> = bytes
                .iter()
                .flat_map(|&b| if b == b'%' { vec![b'%', b'%'] } else { vec![b] })
                .collect();
            prop_assert_eq!(fill(&doubled), bytes);
        }

        #[test]
        fn no_text_ends_the_program(bytes in prop::collection::vec(any::<u8>(), 0..12)) {
            let _ = Pattern::parse(&bytes, "--test").map_err(|error| error.to_string());
            let text = String::from_utf8_lossy(&bytes);
            let _ = Pattern::parse_with_widths(&text, "--test").map_err(|error| error.to_string());
        }
    }
}
