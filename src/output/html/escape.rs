//! Text of hosts in a page. It must not become markup or change the direction of text.

use std::fmt::{self, Display, Formatter, Write};

use super::super::terminal::turns_text_around;

/// Any bytes as text of a page. Newlines and tabs stay. Control characters and characters that change the direction of
/// text are shown as on a terminal.
#[derive(Clone, Copy, Debug)]
pub(super) struct EscapedText<'a>(pub(super) &'a [u8]);

impl Display for EscapedText<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for chunk in self.0.utf8_chunks() {
            let mut characters = chunk.valid().chars().peekable();
            while let Some(c) = characters.next() {
                match c {
                    '<' => f.write_str("&lt;")?,
                    '>' => f.write_str("&gt;")?,
                    '&' => f.write_str("&amp;")?,
                    // Quotes matter only in attributes. One set of escapes is right in both places.
                    '"' => f.write_str("&quot;")?,
                    '\'' => f.write_str("&#39;")?,
                    '\n' | '\t' => f.write_char(c)?,
                    // A browser shows it as a line break; before a newline it is left out.
                    '\r' if characters.peek() == Some(&'\n') => {}
                    c if c.is_ascii_control() => {
                        // Caret notation: a control character is 64 away from its letter.
                        f.write_char('^')?;
                        f.write_char(char::from((c as u8) ^ 0x40))?;
                    }
                    c if c.is_control() || turns_text_around(c) => {
                        write!(f, "&lt;U+{:04X}&gt;", u32::from(c))?;
                    }
                    c => f.write_char(c)?,
                }
            }
            for byte in chunk.invalid() {
                write!(f, "&lt;{byte:02X}&gt;")?;
            }
        }
        Ok(())
    }
}

/// A number with separators: `5,000`.
#[derive(Clone, Copy, Debug)]
pub(super) struct GroupedDigits(pub(super) u64);

impl GroupedDigits {
    pub(super) fn of(number: usize) -> Self {
        GroupedDigits(number as u64)
    }
}

impl Display for GroupedDigits {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let digits = self.0.to_string();
        for (at, digit) in digits.chars().enumerate() {
            if at > 0 && (digits.len() - at).is_multiple_of(3) {
                f.write_char(',')?;
            }
            f.write_char(digit)?;
        }
        Ok(())
    }
}

/// A number of hosts: `1 host`, `5,000 hosts`.
#[derive(Clone, Copy, Debug)]
pub(super) struct HostCount(pub(super) usize);

impl Display for HostCount {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let plural = if self.0 == 1 { "" } else { "s" };
        write!(f, "{} host{plural}", GroupedDigits::of(self.0))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn markup_is_text() {
        let hostile = b"</pre><script>alert('1')</script>&amp;\x1b[2J\0\r\n\xff\xe2\x80\xaex\r";
        assert_eq!(
            EscapedText(hostile).to_string(),
            "&lt;/pre&gt;&lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt;&amp;amp;^[[2J^@\n&lt;FF&gt;&lt;U+202E&gt;x^M"
        );
    }

    #[test]
    fn numbers_are_read() {
        let shown = [0, 12, 123, 1234, 123_456, 1_234_567].map(|n| GroupedDigits(n).to_string());
        assert_eq!(shown, ["0", "12", "123", "1,234", "123,456", "1,234,567"]);
        assert_eq!(
            [HostCount(1), HostCount(2000)].map(|n| n.to_string()),
            ["1 host", "2,000 hosts"]
        );
    }

    proptest! {
        #[test]
        fn no_bytes_are_markup(
            text in prop_oneof![prop::collection::vec(any::<u8>(), 0..80), any::<String>().prop_map(String::into_bytes)],
        ) {
            let shown = EscapedText(&text).to_string();
            prop_assert!(!shown.contains(['<', '>', '"', '\'', '\r', '\0']));
            let harmful = |c: char| c.is_control() && c != '\n' && c != '\t';
            prop_assert!(!shown.contains(harmful));
            // Every ampersand begins an entity.
            for (at, _) in shown.match_indices('&') {
                let entity = ["&lt;", "&gt;", "&amp;", "&quot;", "&#39;"];
                prop_assert!(entity.iter().any(|name| shown[at..].starts_with(name)));
            }
        }
    }
}
