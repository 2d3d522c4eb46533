//! Texts of errors as they are shown: with causes, and without the system's numbers.

/// Returns the text of an error without the system's numbers, such as `(os error 2)`. The words of the text have the
/// same meaning.
pub(crate) fn plain(error: &dyn std::fmt::Display) -> String {
    let mut text = error.to_string();
    without_numbers(&mut text);
    text
}

/// Returns the text of an error with its causes, on one line.
pub(crate) fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let cause_text = error.to_string();
        // Some errors of other crates have the text of their cause in their own.
        if !text.ends_with(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        cause = error.source();
    }
    text
}

/// Returns a text on one line, with its control characters escaped, since they could change the terminal.
pub(crate) fn printable(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() {
            line.extend(c.escape_default());
        } else {
            line.push(c);
        }
    }
    line
}

/// Removes the system's numbers of errors from a text.
pub(crate) fn without_numbers(text: &mut String) {
    const START: &str = " (os error ";
    let mut from = 0;
    while let Some(at) = text[from..].find(START).map(|at| from + at) {
        let number = &text[at + START.len()..];
        // Only the whole form is removed: a file may have a part of it in its name.
        let digits = number.bytes().take_while(u8::is_ascii_digit).count();
        if digits > 0 && number[digits..].starts_with(')') {
            text.replace_range(at..at + START.len() + digits + 1, "");
        } else {
            from = at + START.len();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[test]
    fn control_characters_are_escaped() {
        assert_eq!(
            printable("a\tb\u{1b}[m\u{9b}\nü"),
            "a\\tb\\u{1b}[m\\u{9b}\\nü"
        );
    }

    #[test]
    fn numbers_of_errors_are_removed() {
        let missing = io::Error::from_raw_os_error(2);
        assert_eq!(plain(&missing), "No such file or directory");
        let text = format!("a: {missing}; b: {missing} (os error x) (os error 7");
        assert_eq!(
            plain(&text),
            "a: No such file or directory; b: No such file or directory (os error x) (os error 7"
        );
    }
}
