//! The syntax of one line: a keyword and arguments, which may be quoted. No I/O and no knowledge of keywords.

use std::ops::Range;

/// Characters that ssh skips between a keyword and its arguments.
const BLANKS: [char; 4] = [' ', '\t', '\r', '\n'];

/// An error in a line, at a position in the line.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct SyntaxError {
    /// The wrong bytes of the line.
    pub(super) span: Range<usize>,
    /// Description of the error.
    pub(super) message: String,
    /// Suggested correction.
    pub(super) help: Option<String>,
}

impl SyntaxError {
    /// Makes an error without help.
    pub(super) fn new(span: Range<usize>, message: impl Into<String>) -> SyntaxError {
        SyntaxError {
            span,
            message: message.into(),
            help: None,
        }
    }
}

/// An argument.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Argument {
    /// The argument without its quotes.
    pub(super) text: String,
    /// Range of bytes of the argument in the line, with the quotes.
    pub(super) span: Range<usize>,
}

/// A line that is neither empty nor a comment.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ConfigLine<'a> {
    /// The line itself.
    pub(super) text: &'a str,
    /// The keyword in lower case.
    pub(super) keyword: String,
    /// The bytes of the keyword in the line.
    pub(super) keyword_span: Range<usize>,
    /// Position of the first argument. Commands are taken from here as they are.
    pub(super) rest: usize,
    /// The arguments, at least one. An argument may be the empty string.
    pub(super) words: Vec<Argument>,
}

/// Parses a line. Returns `None` for empty lines and comments.
pub(super) fn parse(text: &str) -> Result<Option<ConfigLine<'_>>, SyntaxError> {
    // OpenSSH removes a form feed only at the end of a line.
    let text = text.trim_end_matches([' ', '\t', '\r', '\n', '\u{c}']);
    let mut scanner = TokenScanner::new(text, 0);
    let mut first = scanner.next();
    // As in OpenSSH, an empty first word stands for the blanks at the start of the line.
    if first.as_ref().is_some_and(|word| word.text.is_empty()) {
        first = scanner.next();
    }
    let Some(first) = first else {
        return if text.trim().is_empty() {
            Ok(None)
        } else {
            Err(SyntaxError::new(0..text.len(), "invalid quotes"))
        };
    };
    if first.text.is_empty() || first.text.starts_with('#') {
        return Ok(None);
    }
    let rest = text.len() - text[scanner.at..].trim_start_matches(BLANKS).len();
    if rest == text.len() {
        let message = format!("no argument after keyword \"{}\"", first.text);
        return Err(SyntaxError::new(first.span, message));
    }
    Ok(Some(ConfigLine {
        text,
        keyword: first.text.to_ascii_lowercase(),
        keyword_span: first.span,
        rest,
        words: words(text, rest)?,
    }))
}

/// Splits the arguments at blanks that are neither quoted nor escaped. A `#` at the start of an argument starts a
/// comment.
fn words(line: &str, from: usize) -> Result<Vec<Argument>, SyntaxError> {
    let mut words = Vec::new();
    let mut chars = line[from..]
        .char_indices()
        .map(|(at, c)| (from + at, c))
        .peekable();
    while let Some(&(start, c)) = chars.peek() {
        match c {
            ' ' | '\t' => {
                chars.next();
                continue;
            }
            '#' => break,
            _ => {}
        }
        let mut text = String::new();
        let mut quote = None;
        let mut end = line.len();
        while let Some(&(at, c)) = chars.peek() {
            match (quote, c) {
                // OpenSSH's argv_split: a backslash escapes quotes, itself and, outside of quotes, a blank.
                (_, '\\') => {
                    chars.next();
                    match chars.peek() {
                        Some(&(_, escaped))
                            if matches!(escaped, '\'' | '"' | '\\')
                                || quote.is_none() && escaped == ' ' =>
                        {
                            text.push(escaped);
                        }
                        _ => {
                            text.push('\\');
                            continue;
                        }
                    }
                }
                (None, ' ' | '\t') => {
                    end = at;
                    break;
                }
                // Both kinds of quotes, other than in keywords and `Match`.
                (None, '"' | '\'') => quote = Some(c),
                (Some(open), c) if c == open => quote = None,
                (_, c) => text.push(c),
            }
            chars.next();
        }
        if quote.is_some() {
            return Err(SyntaxError::new(start..line.len(), "invalid quotes"));
        }
        words.push(Argument {
            text,
            span: start..end,
        });
    }
    Ok(words)
}

/// OpenSSH's older tokenizer, still in use for keywords and for `Match`. A word ends at a blank, at `=` or after a
/// quoted part. Only double quotes count.
#[derive(Debug)]
pub(super) struct TokenScanner<'a> {
    text: &'a str,
    at: usize,
    done: bool,
}

impl<'a> TokenScanner<'a> {
    /// Starts at a position in a line.
    pub(super) fn new(text: &'a str, at: usize) -> TokenScanner<'a> {
        TokenScanner {
            text,
            at,
            done: false,
        }
    }

    /// Returns the next word, which may be empty. Returns `None` after the last word or if a quote is not closed.
    pub(super) fn next(&mut self) -> Option<Argument> {
        if self.done {
            return None;
        }
        let start = self.at;
        let rest = &self.text[start..];
        let Some(found) = rest.find(|c| BLANKS.contains(&c) || c == '"' || c == '=') else {
            self.finish();
            return Some(self.word(rest.to_owned(), start..self.text.len()));
        };
        let mark = rest.as_bytes()[found];
        if mark == b'"' {
            let quoted = &rest[found + 1..];
            // As in OpenSSH's strdelim, a quote that is not closed gives no word.
            let Some(close) = quoted.find('"') else {
                self.finish();
                return None;
            };
            let text = format!("{}{}", &rest[..found], &quoted[..close]);
            let end = start + found + 1 + close + 1;
            self.at = end;
            self.skip_blanks();
            return Some(self.word(text, start..end));
        }
        self.at = start + found + 1;
        self.skip_blanks();
        // `Keyword = value`: one `=` may be among the blanks.
        if mark != b'=' && self.text[self.at..].starts_with('=') {
            self.at += 1;
            self.skip_blanks();
        }
        Some(self.word(rest[..found].to_owned(), start..start + found))
    }

    fn word(&self, text: String, span: Range<usize>) -> Argument {
        Argument { text, span }
    }

    fn finish(&mut self) {
        self.at = self.text.len();
        self.done = true;
    }

    fn skip_blanks(&mut self) {
        self.at = self.text.len() - self.text[self.at..].trim_start_matches(BLANKS).len();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> String {
        match parse(text) {
            Ok(None) => "nothing".into(),
            Ok(Some(line)) => {
                let words: Vec<&str> = line.words.iter().map(|w| w.text.as_str()).collect();
                format!("{}|{}", line.keyword, words.join("|"))
            }
            Err(fault) => format!("{} at {:?}", fault.message, fault.span),
        }
    }

    #[test]
    fn lines_are_taken_apart_as_by_ssh() {
        for (text, expected) in [
            ("", "nothing"),
            ("  \t\r", "nothing"),
            ("  # Port 1", "nothing"),
            ("Port 22", "port|22"),
            ("\tPort\t22\r", "port|22"),
            ("PORT=22", "port|22"),
            ("Port = 22 \u{c}", "port|22"),
            ("Port =22", "port|22"),
            ("Port == 22", "port|=|22"),
            ("\"Port\" 22", "port|22"),
            ("Port", "no argument after keyword \"Port\" at 0..4"),
            ("Port =", "no argument after keyword \"Port\" at 0..4"),
            ("Host a b # c", "host|a|b"),
            ("Host a#b", "host|a#b"),
            ("Host \"a b\" 'c d' e\\ f", "host|a b|c d|e f"),
            ("Host a\"b c\"d", "host|ab cd"),
            (
                "Host \"a'b\" 'a\"b' \\\"x\\\" a\\nb \\\\",
                "host|a'b|a\"b|\"x\"|a\\nb|\\",
            ),
            ("Host \"a\\ b\"", "host|a\\ b"),
            ("Host \"\"", "host|"),
            ("Host a \"b", "invalid quotes at 7..9"),
            ("Host it's", "invalid quotes at 5..9"),
            ("Host a\\", "host|a\\"),
            ("Port #22", "port|"),
        ] {
            assert_eq!(parsed(text), expected, "{text:?}");
        }
    }

    #[test]
    fn match_accepts_the_older_form_of_words() {
        let text = "host=a  user = \"b c\"d e=f";
        let mut scanner = TokenScanner::new(text, 0);
        let mut words = Vec::new();
        while let Some(word) = scanner.next().filter(|word| !word.text.is_empty()) {
            words.push(word.text);
        }
        assert_eq!(words, ["host", "a", "user", "b c", "d", "e", "f"]);
    }
}
