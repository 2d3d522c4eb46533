//! A line of a configuration file, taken apart as ssh takes it apart: a keyword, and words that may be
//! quoted. No I/O, and no knowledge of keywords.

use std::ops::Range;

/// What ssh skips between a keyword and its arguments.
const WHITE: [char; 4] = [' ', '\t', '\r', '\n'];

/// What is wrong with a line, and where in it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Fault {
    /// Bytes of the line.
    pub(super) span: Range<usize>,
    /// What is wrong, for people.
    pub(super) message: String,
    /// How to mend it, where that isn't plain.
    pub(super) help: Option<String>,
}

impl Fault {
    /// A fault that speaks for itself.
    pub(super) fn new(span: Range<usize>, message: impl Into<String>) -> Fault {
        Fault {
            span,
            message: message.into(),
            help: None,
        }
    }
}

/// An argument without its quotes.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Word {
    /// What was meant.
    pub(super) text: String,
    /// Where it stands in the line, with its quotes.
    pub(super) span: Range<usize>,
}

/// A line that says something.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Line<'a> {
    /// The line.
    pub(super) text: &'a str,
    /// The first word, in small letters.
    pub(super) keyword: String,
    /// Where it stands.
    pub(super) keyword_span: Range<usize>,
    /// Where all that follows it begins, for commands, which are taken as they are.
    pub(super) rest: usize,
    /// The arguments. Never empty; an argument may be.
    pub(super) words: Vec<Word>,
}

/// Takes a line apart; `None` if it is empty or a comment.
pub(super) fn parse(text: &str) -> Result<Option<Line<'_>>, Fault> {
    // A form feed is allowed at the end and nowhere else.
    let text = text.trim_end_matches([' ', '\t', '\r', '\n', '\u{c}']);
    let mut scanner = Scanner::new(text, 0);
    let mut first = scanner.next();
    if first.as_ref().is_some_and(|word| word.text.is_empty()) {
        first = scanner.next();
    }
    let Some(first) = first else {
        return match text.trim().is_empty() {
            true => Ok(None),
            false => Err(Fault::new(0..text.len(), "invalid quotes")),
        };
    };
    if first.text.is_empty() || first.text.starts_with('#') {
        return Ok(None);
    }
    let rest = text.len() - text[scanner.at..].trim_start_matches(WHITE).len();
    if rest == text.len() {
        let message = format!("no argument after keyword \"{}\"", first.text);
        return Err(Fault::new(first.span, message));
    }
    Ok(Some(Line {
        text,
        keyword: first.text.to_ascii_lowercase(),
        keyword_span: first.span,
        rest,
        words: words(text, rest)?,
    }))
}

/// Splits arguments at blanks; quotes of both kinds and backslashes keep blanks, and a `#` where an
/// argument could begin ends the line.
fn words(line: &str, from: usize) -> Result<Vec<Word>, Fault> {
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
                (None, '"' | '\'') => quote = Some(c),
                (Some(open), c) if c == open => quote = None,
                (_, c) => text.push(c),
            }
            chars.next();
        }
        if quote.is_some() {
            return Err(Fault::new(start..line.len(), "invalid quotes"));
        }
        words.push(Word {
            text,
            span: start..end,
        });
    }
    Ok(words)
}

/// The older way to take words, which ssh keeps for keywords and for `Match`: a word ends at a blank, at
/// `=` or after a quote, and only double quotes are quotes.
#[derive(Debug)]
pub(super) struct Scanner<'a> {
    text: &'a str,
    at: usize,
    done: bool,
}

impl<'a> Scanner<'a> {
    /// Starts at a place of a line.
    pub(super) fn new(text: &'a str, at: usize) -> Scanner<'a> {
        Scanner {
            text,
            at,
            done: false,
        }
    }

    /// The next word, which may be empty; `None` after the last one, or if a quote isn't closed.
    pub(super) fn next(&mut self) -> Option<Word> {
        if self.done {
            return None;
        }
        let start = self.at;
        let rest = &self.text[start..];
        let Some(found) = rest.find(|c| WHITE.contains(&c) || c == '"' || c == '=') else {
            self.finish();
            return Some(self.word(rest.to_owned(), start..self.text.len()));
        };
        let mark = rest.as_bytes()[found];
        if mark == b'"' {
            let quoted = &rest[found + 1..];
            let Some(close) = quoted.find('"') else {
                self.finish();
                return None;
            };
            let text = format!("{}{}", &rest[..found], &quoted[..close]);
            let end = start + found + 1 + close + 1;
            self.at = end;
            self.skip_white();
            return Some(self.word(text, start..end));
        }
        self.at = start + found + 1;
        self.skip_white();
        if mark != b'=' && self.text[self.at..].starts_with('=') {
            self.at += 1;
            self.skip_white();
        }
        Some(self.word(rest[..found].to_owned(), start..start + found))
    }

    fn word(&self, text: String, span: Range<usize>) -> Word {
        Word { text, span }
    }

    fn finish(&mut self) {
        self.at = self.text.len();
        self.done = true;
    }

    fn skip_white(&mut self) {
        self.at = self.text.len() - self.text[self.at..].trim_start_matches(WHITE).len();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(text: &str) -> String {
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
            assert_eq!(taken(text), expected, "{text:?}");
        }
    }

    #[test]
    fn match_takes_words_the_older_way() {
        let text = "host=a  user = \"b c\"d e=f";
        let mut scanner = Scanner::new(text, 0);
        let mut words = Vec::new();
        while let Some(word) = scanner.next().filter(|word| !word.text.is_empty()) {
            words.push(word.text);
        }
        assert_eq!(words, ["host", "a", "user", "b c", "d", "e", "f"]);
    }
}
