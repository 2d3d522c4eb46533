//! Python's formatting with `%`, for one value: the output formats of nodeset.

use std::fmt::Write;

/// The value that is formatted.
#[derive(Clone, Copy, Debug)]
pub(in crate::personalities) enum FormatValue<'a> {
    Text(&'a str),
    Number(u64),
}

/// A conversion of a format, such as `%-10s`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Conversion {
    left: bool,
    zeros: bool,
    sign: Option<char>,
    alternate: bool,
    width: usize,
    precision: Option<usize>,
    kind: char,
}

/// The reason why a value cannot be formatted, with the message of Python's exception.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::personalities) enum FormatFault {
    /// `ValueError`
    Value(String),
    /// `TypeError`
    Type(String),
}

impl FormatFault {
    fn not_enough() -> FormatFault {
        FormatFault::Type("not enough arguments for format string".to_owned())
    }
}

/// A piece of a format.
#[derive(Clone, Debug, PartialEq, Eq)]
enum FormatPiece {
    Text(String),
    Value(Conversion),
    Fault(FormatFault),
}

/// A format, read once for many values.
#[derive(Clone, Debug)]
pub(in crate::personalities) struct Format(Vec<FormatPiece>);

/// Maximum width, so that a short text cannot fill the memory.
const MAX_WIDTH: usize = 1_000_000;

impl Format {
    /// Reads a format. Faults are reported by [`apply`](Format::apply), as in Python.
    pub(in crate::personalities) fn new(text: &str) -> Format {
        let chars: Vec<char> = text.chars().collect();
        let mut pieces = Vec::new();
        let mut plain = String::new();
        let mut at = 0;
        while at < chars.len() {
            if chars[at] != '%' {
                plain.push(chars[at]);
                at += 1;
                continue;
            }
            let (piece, next) = conversion(&chars, at + 1);
            at = next;
            match piece {
                // `%%`
                FormatPiece::Text(text) => plain.push_str(&text),
                piece => {
                    pieces.push(FormatPiece::Text(std::mem::take(&mut plain)));
                    pieces.push(piece);
                }
            }
        }
        pieces.push(FormatPiece::Text(plain));
        Format(pieces)
    }

    /// True for `%s`, which changes nothing.
    pub(in crate::personalities) fn is_plain(&self) -> bool {
        let plain = Conversion {
            kind: 's',
            ..Conversion::default()
        };
        let mut pieces = self
            .0
            .iter()
            .filter(|piece| **piece != FormatPiece::Text(String::new()));
        pieces.next() == Some(&FormatPiece::Value(plain)) && pieces.next().is_none()
    }

    /// Formats a value.
    ///
    /// # Errors
    /// The format is wrong, or not for this value.
    pub(in crate::personalities) fn apply(
        &self,
        value: FormatValue<'_>,
    ) -> Result<String, FormatFault> {
        let mut out = String::new();
        let mut used = false;
        for piece in &self.0 {
            match piece {
                FormatPiece::Text(text) => out.push_str(text),
                FormatPiece::Fault(fault) => return Err(fault.clone()),
                FormatPiece::Value(_) if used => return Err(FormatFault::not_enough()),
                FormatPiece::Value(conversion) => {
                    used = true;
                    out.push_str(&conversion.convert(value).map_err(FormatFault::Type)?);
                }
            }
        }
        // Python refuses a value that the format does not use, as in `nodeset -f -O x`.
        if !used {
            let message = "not all arguments converted during string formatting".to_owned();
            return Err(FormatFault::Type(message));
        }
        Ok(out)
    }
}

/// Reads a conversion after its percent sign, and returns the position after it.
fn conversion(chars: &[char], start: usize) -> (FormatPiece, usize) {
    let mut at = start;
    let mut found = Conversion::default();
    let end = chars.len();
    let incomplete = FormatFault::Value("incomplete format".to_owned());
    // `%(name)s` needs a dictionary, and nodeset passes a single value.
    if chars.get(at) == Some(&'(') {
        let message = "format requires a mapping".to_owned();
        return (FormatPiece::Fault(FormatFault::Type(message)), end);
    }
    while let Some(flag) = chars.get(at) {
        match flag {
            '-' => found.left = true,
            '0' => found.zeros = true,
            '+' => found.sign = Some('+'),
            ' ' => found.sign = found.sign.or(Some(' ')),
            '#' => found.alternate = true,
            _ => break,
        }
        at += 1;
    }
    let number = |at: &mut usize| {
        let mut number = 0_usize;
        while let Some(digit) = chars.get(*at).and_then(|c| c.to_digit(10)) {
            number = (number * 10 + digit as usize).min(MAX_WIDTH);
            *at += 1;
        }
        number
    };
    found.width = number(&mut at);
    if chars.get(at) == Some(&'.') {
        at += 1;
        found.precision = Some(number(&mut at));
    }
    // A length, which Python ignores.
    if chars.get(at).is_some_and(|c| "hlL".contains(*c)) {
        at += 1;
    }
    let Some(&kind) = chars.get(at) else {
        return (FormatPiece::Fault(incomplete), end);
    };
    found.kind = kind;
    let piece = match kind {
        '%' => FormatPiece::Text("%".to_owned()),
        '*' => FormatPiece::Fault(FormatFault::not_enough()),
        's' | 'r' | 'a' | 'c' | 'd' | 'i' | 'u' | 'o' | 'x' | 'X' | 'e' | 'E' | 'f' | 'F' | 'g'
        | 'G' => FormatPiece::Value(found),
        _ => FormatPiece::Fault(FormatFault::Value(format!(
            "unsupported format character '{kind}' (0x{:x}) at index {at}",
            kind as u32
        ))),
    };
    (piece, at + 1)
}

impl Conversion {
    fn convert(&self, value: FormatValue<'_>) -> Result<String, String> {
        let text = match (self.kind, value) {
            ('s', FormatValue::Text(text)) => self.cut(text),
            ('r' | 'a', FormatValue::Text(text)) => self.cut(&super::text::repr(text)),
            ('s' | 'r' | 'a', FormatValue::Number(number)) => self.cut(&number.to_string()),
            ('c', FormatValue::Text(text)) if text.chars().count() == 1 => text.to_owned(),
            ('c', FormatValue::Number(number)) => {
                let c = u32::try_from(number).ok().and_then(char::from_u32);
                c.ok_or("%c arg not in range(0x110000)")?.to_string()
            }
            ('c', _) => return Err("%c requires int or char".to_owned()),
            ('x' | 'X' | 'o', FormatValue::Text(_)) => {
                let kind = self.kind;
                return Err(format!("%{kind} format: an integer is required, not str"));
            }
            ('d' | 'i' | 'u', FormatValue::Text(_)) => {
                let kind = self.kind;
                return Err(format!(
                    "%{kind} format: a real number is required, not str"
                ));
            }
            (_, FormatValue::Text(_)) => return Err("must be real number, not str".to_owned()),
            (_, FormatValue::Number(number)) => return Ok(self.numeric(number)),
        };
        Ok(self.padded(&text, ' '))
    }

    fn cut(&self, text: &str) -> String {
        match self.precision {
            Some(length) => text.chars().take(length).collect(),
            None => text.to_owned(),
        }
    }

    fn numeric(&self, number: u64) -> String {
        let precision = self.precision.unwrap_or(6);
        let mut text = String::new();
        let prefix = match self.kind {
            // Python 3 writes `0o`, but C writes `0`.
            'o' if self.alternate => "0o",
            'x' if self.alternate => "0x",
            'X' if self.alternate => "0X",
            _ => "",
        };
        // Writing to a text cannot fail.
        let _ = match self.kind {
            'o' => write!(text, "{number:o}"),
            'x' => write!(text, "{number:x}"),
            'X' => write!(text, "{number:X}"),
            'f' | 'F' => write!(text, "{:.precision$}", number as f64),
            'e' | 'E' => {
                // Rust writes `1e2`, but C and Python write `1e+02`.
                let float = format!("{:.precision$e}", number as f64);
                let (mantissa, exponent) = float.split_once('e').unwrap_or((&float, "0"));
                write!(text, "{mantissa}{}+{exponent:0>2}", self.kind)
            }
            // Numbers of nodes have few digits, so `%g` needs no exponent.
            _ => write!(text, "{number}"),
        };
        let digits = match (self.kind, self.precision) {
            ('d' | 'i' | 'u' | 'o' | 'x' | 'X', Some(digits)) => digits,
            _ => 0,
        };
        let sign = self.sign.map(String::from).unwrap_or_default();
        let body = format!("{text:0>digits$}");
        // In Python, `-` overrides `0`.
        if self.zeros && !self.left {
            let width = self.width.saturating_sub(sign.len() + prefix.len());
            return format!("{sign}{prefix}{body:0>width$}");
        }
        self.padded(&format!("{sign}{prefix}{body}"), ' ')
    }

    fn padded(&self, text: &str, fill: char) -> String {
        let missing = self.width.saturating_sub(text.chars().count());
        let fill: String = std::iter::repeat_n(fill, missing).collect();
        if self.left {
            format!("{text}{fill}")
        } else {
            format!("{fill}{text}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(format: &str) -> Result<String, FormatFault> {
        Format::new(format).apply(FormatValue::Text("node1"))
    }

    fn number(format: &str) -> Result<String, FormatFault> {
        Format::new(format).apply(FormatValue::Number(255))
    }

    #[test]
    fn texts_are_formatted_as_in_python() {
        assert_eq!(text("<%s>").unwrap(), "<node1>");
        assert_eq!(text("%8s|").unwrap(), "   node1|");
        assert_eq!(text("%-8s|%%").unwrap(), "node1   |%");
        assert_eq!(text("%.3s").unwrap(), "nod");
        assert_eq!(text("%r").unwrap(), "'node1'");
        assert!(Format::new("%s").is_plain() && !Format::new("%s ").is_plain());
    }

    #[test]
    fn numbers_are_formatted_as_in_python() {
        for (format, expected) in [
            ("%s", "255"),
            ("%05d", "00255"),
            ("%+d", "+255"),
            ("%#x", "0xff"),
            ("%.5d", "00255"),
            ("%.1f", "255.0"),
            ("%e", "2.550000e+02"),
        ] {
            assert_eq!(number(format).unwrap(), expected, "{format}");
        }
    }

    #[test]
    fn faults_have_the_words_of_python() {
        for (format, message) in [
            ("x", "not all arguments converted during string formatting"),
            ("%s%s", "not enough arguments for format string"),
            ("%d", "%d format: a real number is required, not str"),
            ("%x", "%x format: an integer is required, not str"),
            ("%f", "must be real number, not str"),
            ("%", "incomplete format"),
            ("%(a)s", "format requires a mapping"),
            ("a%y", "unsupported format character 'y' (0x79) at index 2"),
        ] {
            let (FormatFault::Value(found) | FormatFault::Type(found)) = text(format).unwrap_err();
            assert_eq!(found, message, "{format}");
        }
    }
}
