//! Remote text on a terminal: nothing that a host sends may move the cursor, set a title or answer
//! for another host.
//!
//! Text and tabs stay as they are. Control characters are shown the way a shell or an editor shows
//! them, `^[` for escape, so every control sequence becomes plain text; the eight-bit ones and bytes
//! that are not UTF-8, which some terminals take for control characters, are shown as `<U+009B>` and
//! `<9B>`, as less does. So are the characters that change the direction of text, which can make a line look like
//! another one.

use std::str;

/// Appends a whole line to `to`, harmless, and without the carriage return that may end it.
pub(super) fn harmless_line(line: &[u8], to: &mut Vec<u8>) {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    harmless(line, to);
}

/// Appends the next part of a line to `to`, harmless, and says how many of its bytes were used. The
/// others, three at most, can be judged only with what follows them.
pub(super) fn harmless_part(part: &[u8], to: &mut Vec<u8>) -> usize {
    let used = part.len() - undecided(part);
    harmless(&part[..used], to);
    used
}

/// How many bytes at the end of `part` hang on what follows: a carriage return that may end the
/// line, or the beginning of a character.
fn undecided(part: &[u8]) -> usize {
    match part.ends_with(b"\r") {
        true => 1,
        false => partial_character(part),
    }
}

/// How many bytes at the end of `part` are the beginning of a character, three at most.
pub(super) fn partial_character(part: &[u8]) -> usize {
    let invalid = part[part.len().saturating_sub(3)..]
        .utf8_chunks()
        .last()
        .map(|c| c.invalid());
    let invalid = invalid.unwrap_or_default();
    match str::from_utf8(invalid) {
        Err(error) if error.error_len().is_none() => invalid.len(),
        _ => 0,
    }
}

fn harmless(text: &[u8], to: &mut Vec<u8>) {
    for chunk in text.utf8_chunks() {
        let mut rest = chunk.valid();
        while let Some((at, control)) = rest.char_indices().find(|(_, c)| is_harmful(*c)) {
            to.extend_from_slice(&rest.as_bytes()[..at]);
            match u8::try_from(u32::from(control)) {
                Ok(byte) if byte < 0x80 => to.extend([b'^', byte ^ 0x40]),
                _ => to.extend(format!("<U+{:04X}>", u32::from(control)).into_bytes()),
            }
            rest = &rest[at + control.len_utf8()..];
        }
        to.extend_from_slice(rest.as_bytes());
        for byte in chunk.invalid() {
            to.extend(format!("<{byte:02X}>").into_bytes());
        }
    }
}

fn is_harmful(c: char) -> bool {
    c.is_control() && c != '\t' || turns_text_around(c)
}

/// True for characters that are not seen and change the order in which others are.
pub(super) fn turns_text_around(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn line(text: impl AsRef<[u8]>) -> String {
        let mut to = Vec::new();
        harmless_line(text.as_ref(), &mut to);
        String::from_utf8(to).unwrap()
    }

    #[test]
    fn text_stays() {
        assert_eq!(line(""), "");
        assert_eq!(line("up 3 days,\tload 0.1 ~"), "up 3 days,\tload 0.1 ~");
        assert_eq!(line("größer – 温度 🦀\u{a0}"), "größer – 温度 🦀\u{a0}");
    }

    #[test]
    fn control_characters_are_shown() {
        assert_eq!(line("\x1b[31mred\x1b[0m"), "^[[31mred^[[0m");
        assert_eq!(line("\x1b]0;title\x07"), "^[]0;title^G");
        assert_eq!(line("\0\x08\x7f\n\x0e"), "^@^H^?^J^N");
        assert_eq!(line("\u{9b}2J"), "<U+009B>2J");
        assert_eq!(line("a\u{202e}b\u{202a}"), "a<U+202E>b<U+202A>");
        assert_eq!(line("\u{2066}c\u{2069}"), "<U+2066>c<U+2069>");
        // The neighbours are text: arrows and hyphens, and joiners that many scripts need.
        assert_eq!(
            line("\u{2029}\u{202f}\u{2065}\u{200d}"),
            "\u{2029}\u{202f}\u{2065}\u{200d}"
        );
        assert_eq!(line(b"\x9b2J \xe9t\xe9 \xff"), "<9B>2J <E9>t<E9> <FF>");
    }

    #[test]
    fn only_the_last_carriage_return_is_dropped() {
        assert_eq!(line("text\r"), "text");
        assert_eq!(line("10%\r20%\r\r"), "10%^M20%^M");
    }

    #[test]
    fn a_part_leaves_what_it_cannot_judge() {
        let mut to = Vec::new();
        assert_eq!(harmless_part("aü\r".as_bytes(), &mut to), 3);
        assert_eq!(harmless_part(b"a\xf0\x9f\xa6", &mut to), 1);
        assert_eq!(harmless_part(b"a\xc3", &mut to), 1);
        assert_eq!(harmless_part(b"a\xbf\xbf\xbf", &mut to), 4);
        assert_eq!(harmless_part(b"", &mut to), 0);
    }

    proptest! {
        #[test]
        fn what_comes_out_is_harmless_in_any_parts(
            text in prop_oneof![prop::collection::vec(any::<u8>(), 0..40), any::<String>().prop_map(String::into_bytes)],
            size in 1_usize..6,
        ) {
            let whole = line(&text);
            prop_assert!(!whole.chars().any(is_harmful));

            let (mut to, mut held) = (Vec::new(), Vec::new());
            for part in text.chunks(size) {
                held.extend_from_slice(part);
                let used = harmless_part(&held, &mut to);
                held.drain(..used);
                prop_assert!(held.len() <= 3);
            }
            harmless_line(&held, &mut to);
            prop_assert_eq!(String::from_utf8(to).unwrap(), whole);
        }
    }
}
