//! Texts as Python reads and writes them: integers, lines, literals.

/// Returns the value of a text for Python's `int()`; `None` if it raises `ValueError` or the value is huge.
pub(in crate::personalities) fn int(text: &str) -> Option<i64> {
    int_with_radix(text, 10)
}

/// Returns the value of a text for Python's `int(text, radix)`.
pub(super) fn int_with_radix(text: &str, radix: u32) -> Option<i64> {
    let text = text.trim();
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    // Single underscores may separate digits.
    if digits.is_empty() || digits.split('_').any(str::is_empty) {
        return None;
    }
    let digits = digits.replace('_', "");
    // `from_str_radix()` accepts a sign, so `--5` would be a number.
    if digits.starts_with(['+', '-']) {
        return None;
    }
    let value = i64::from_str_radix(&digits, radix).ok()?;
    Some(if negative { -value } else { value })
}

/// True if the text is an integer for Python's `int()`, of any size.
pub(in crate::personalities) fn is_int(text: &str) -> bool {
    let digits = text.trim();
    let digits = digits.strip_prefix(['+', '-']).unwrap_or(digits);
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    digits.split('_').all(is_number)
}

/// Returns the lines of a text for Python's `splitlines()`.
pub(in crate::personalities) fn lines(text: &str) -> Vec<&str> {
    // Python also ends lines at control characters and Unicode separators, unlike `str::lines()`.
    const ENDS: [char; 9] = [
        '\n', '\x0b', '\x0c', '\x1c', '\x1d', '\x1e', '\u{85}', '\u{2028}', '\u{2029}',
    ];
    let mut lines = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let Some(at) = rest.find(|c| ENDS.contains(&c) || c == '\r') else {
            lines.push(rest);
            break;
        };
        lines.push(&rest[..at]);
        let end = &rest[at..];
        let length = if end.starts_with("\r\n") {
            2
        } else {
            end.chars().next().map_or(0, char::len_utf8)
        };
        rest = &end[length..];
    }
    lines
}

/// Returns a text as Python's `repr()` shows it.
pub(in crate::personalities) fn repr(text: &str) -> String {
    let quote = if text.contains('\'') && !text.contains('"') {
        '"'
    } else {
        '\''
    };
    let mut out = String::from(quote);
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            _ if c == quote => out.extend(['\\', c]),
            _ if (c as u32) < 0x20 || c as u32 == 0x7f => {
                out.push_str(&format!("\\x{:02x}", c as u32));
            }
            _ => out.push(c),
        }
    }
    out.push(quote);
    out
}

/// Returns the value of a text between `'''` and `'''`; `None` if Python raises `SyntaxError`.
pub(in crate::personalities) fn literal(text: &str) -> Option<String> {
    let mut out = String::new();
    let mut quotes = 0;
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        if c == '\'' {
            quotes += 1;
            // Three quotes end the literal before the end of the text.
            if quotes == 3 {
                return None;
            }
        } else {
            quotes = 0;
        }
        if c != '\\' {
            out.push(c);
            continue;
        }
        let escaped = chars.next()?;
        let hex = |digits: usize, chars: &mut std::iter::Peekable<std::str::Chars<'_>>| {
            let text: String = chars.by_ref().take(digits).collect();
            let valid = text.len() == digits && text.bytes().all(|b| b.is_ascii_hexdigit());
            let value = u32::from_str_radix(&text, 16).ok().filter(|_| valid)?;
            char::from_u32(value)
        };
        match escaped {
            '\n' => {}
            '\\' | '\'' | '"' => out.push(escaped),
            'n' => out.push('\n'),
            't' => out.push('\t'),
            'r' => out.push('\r'),
            'a' => out.push('\x07'),
            'b' => out.push('\x08'),
            'f' => out.push('\x0c'),
            'v' => out.push('\x0b'),
            'x' => out.push(hex(2, &mut chars)?),
            'u' => out.push(hex(4, &mut chars)?),
            'U' => out.push(hex(8, &mut chars)?),
            '0'..='7' => {
                let mut value = escaped.to_digit(8)?;
                for _ in 0..2 {
                    let Some(digit) = chars.peek().and_then(|c| c.to_digit(8)) else {
                        break;
                    };
                    value = value * 8 + digit;
                    chars.next();
                }
                out.push(char::from_u32(value)?);
            }
            // Python keeps the backslash of an unknown escape.
            _ => out.extend(['\\', escaped]),
        }
    }
    // A quote at the end joins those that end the literal.
    (quotes == 0).then_some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_are_those_of_python() {
        for (text, value) in [
            ("5", Some(5)),
            (" +1_0 ", Some(10)),
            ("-007", Some(-7)),
            ("", None),
            ("1__0", None),
            ("--1", None),
            ("0x1", None),
        ] {
            assert_eq!(int(text), value, "{text}");
            assert_eq!(is_int(text), value.is_some(), "{text}");
        }
        assert!(is_int("1234567890123456789012345"));
    }

    #[test]
    fn lines_end_as_in_python() {
        assert_eq!(lines("a\r\nb\rc\n"), ["a", "b", "c"]);
        assert_eq!(lines("\na\n\n"), ["", "a", ""]);
        assert!(lines("").is_empty());
    }

    #[test]
    fn literals_have_escapes() {
        assert_eq!(literal("\\n,\\x41\\101\\q").as_deref(), Some("\n,AA\\q"));
        assert_eq!(literal("a'b\"").as_deref(), Some("a'b\""));
        for text in ["\\", "'", "a'''b", "\\x4"] {
            assert_eq!(literal(text), None, "{text}");
        }
    }

    #[test]
    fn texts_are_shown_with_quotes() {
        assert_eq!(repr("a'b"), "\"a'b\"");
        assert_eq!(repr("a'\"\n"), "'a\\'\"\\n'");
    }
}
