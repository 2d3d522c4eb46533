//! Remote text on a terminal. Text of a host must not move the cursor, set a title or imitate another host.
//!
//! Text and tabs stay as they are. Control characters are shown as in a shell or an editor, `^[` for escape, so that
//! every control sequence becomes plain text. Some terminals take the eight-bit control characters, and bytes that are
//! not UTF-8, for control characters. These are shown as `<U+009B>` and `<9B>`, as in less. Characters that change the
//! direction of text can make a line look like another one, and are shown in the same form. If the user wants the
//! colours of hosts, sequences that set colours pass, and the end of the line resets them.

use std::str;

/// Appends a whole line to `to`, harmless, and without the carriage return that may end it.
pub(super) fn harmless_line(line: &[u8], to: &mut Vec<u8>) {
    // Lines of routers and of other systems end with CR LF. A `^M` on each would only disturb.
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    harmless(line, to);
}

/// Returns a text on one line, in which everything that a terminal obeys is shown.
#[must_use]
pub fn visible(text: &[u8]) -> String {
    let mut line = Vec::with_capacity(text.len());
    harmless(text, &mut line);
    // All other bytes have been written in another form.
    String::from_utf8_lossy(&line).into_owned()
}

/// Appends a whole line of a host to `to`, harmless. If `colors` is true, its colours pass and end with the line.
pub(super) fn shown_line(line: &[u8], colors: bool, to: &mut Vec<u8>) {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    shown(line, colors, to);
    if colors {
        to.extend_from_slice(RESET);
    }
}

/// Appends the next part of a host's line to `to`, with control characters replaced, and returns the number of bytes
/// used. If `colors` is true, colours stay. The other bytes, fewer than [`MAX_COLOR`], depend on the next part.
pub(super) fn shown_part(part: &[u8], colors: bool, to: &mut Vec<u8>) -> usize {
    let held = match part.iter().rposition(|&byte| byte == b'\x1b') {
        // A sequence that may continue in the next part cannot be judged yet.
        Some(at) if colors && begins_color(&part[at..]) => part.len() - at,
        _ => undecided(part),
    };
    let used = part.len() - held;
    shown(&part[..used], colors, to);
    used
}

/// Maximum length of a colour sequence.
const MAX_COLOR: usize = 40;

/// The sequence that resets all colours.
const RESET: &[u8] = b"\x1b[0m";

/// Returns the length of the colour sequence (SGR) at the start of a text, if there is one.
fn color(text: &[u8]) -> Option<usize> {
    let rest = text.strip_prefix(b"\x1b[")?;
    let end = rest
        .iter()
        .take(MAX_COLOR - 2)
        .position(|byte| !is_parameter(*byte))?;
    (rest[end] == b'm').then_some(end + 3)
}

/// True if a text may be the beginning of a colour sequence.
fn begins_color(text: &[u8]) -> bool {
    text.len() < MAX_COLOR
        && match text.strip_prefix(b"\x1b[") {
            Some(rest) => rest.iter().all(|byte| is_parameter(*byte)),
            None => text == b"\x1b",
        }
}

fn is_parameter(byte: u8) -> bool {
    // ISO 8613-6 separates the parts of a colour by colons.
    byte.is_ascii_digit() || byte == b';' || byte == b':'
}

/// Appends text of a host with control characters replaced. If `colors` is true, colours stay.
fn shown(text: &[u8], colors: bool, to: &mut Vec<u8>) {
    if !colors {
        return harmless(text, to);
    }
    let mut from = 0;
    for at in memchr::memchr_iter(b'\x1b', text) {
        if let Some(length) = color(&text[at..]) {
            harmless(&text[from..at], to);
            from = at + length;
            to.extend_from_slice(&text[at..from]);
        }
    }
    harmless(&text[from..], to);
}

/// Returns the number of bytes at the end of `part` that depend on the next part: a carriage return that may end
/// the line, or the beginning of a character.
fn undecided(part: &[u8]) -> usize {
    if part.ends_with(b"\r") {
        1
    } else {
        partial_character(part)
    }
}

/// Returns the length of an incomplete character at the end of `part`, three bytes at most.
pub(super) fn partial_character(part: &[u8]) -> usize {
    // A character has at most four bytes (RFC 3629), so at most three are incomplete.
    let invalid = part[part.len().saturating_sub(3)..]
        .utf8_chunks()
        .last()
        .map(|c| c.invalid());
    let invalid = invalid.unwrap_or_default();
    match str::from_utf8(invalid) {
        // No length of the error: more bytes could complete the character.
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

/// True for invisible characters that change the direction of text.
pub(super) fn turns_text_around(c: char) -> bool {
    // Directional marks, embeddings, overrides and isolates (UAX #9), and the invisible U+FEFF.
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
    fn text_is_unchanged() {
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
    fn colours_pass_if_enabled_and_other_control_sequences_do_not() {
        let line = |text: &[u8], colors| {
            let mut to = Vec::new();
            shown_line(text, colors, &mut to);
            String::from_utf8(to).unwrap()
        };
        for (text, shown) in [
            ("\x1b[31mred\x1b[0m\r", "\x1b[31mred\x1b[0m\x1b[0m"),
            ("\x1b[1;38:5:9mx", "\x1b[1;38:5:9mx\x1b[0m"),
            ("\x1b[m", "\x1b[m\x1b[0m"),
            ("\x1b[2Jx\x1b[31", "^[[2Jx^[[31\x1b[0m"),
            ("\x1b[?25l\x1b]0;t\x07\x1b", "^[[?25l^[]0;t^G^[\x1b[0m"),
        ] {
            assert_eq!(line(text.as_bytes(), true), shown);
        }
        let long = format!("\x1b[{}m", "1".repeat(50));
        assert!(line(long.as_bytes(), true).starts_with("^["));
        assert_eq!(line(b"\x1b[31mred", false), "^[[31mred");
    }

    #[test]
    fn only_the_last_carriage_return_is_dropped() {
        assert_eq!(line("text\r"), "text");
        assert_eq!(line("10%\r20%\r\r"), "10%^M20%^M");
    }

    #[test]
    fn bytes_that_depend_on_the_next_part_are_left() {
        let mut to = Vec::new();
        assert_eq!(shown_part("aü\r".as_bytes(), false, &mut to), 3);
        assert_eq!(shown_part(b"a\xf0\x9f\xa6", false, &mut to), 1);
        assert_eq!(shown_part(b"a\xc3", false, &mut to), 1);
        assert_eq!(shown_part(b"a\xbf\xbf\xbf", false, &mut to), 4);
        assert_eq!(shown_part(b"", false, &mut to), 0);
    }

    proptest! {
        #[test]
        fn what_comes_out_is_harmless_in_any_parts(
            text in prop_oneof![
                prop::collection::vec(any::<u8>(), 0..40),
                any::<String>().prop_map(String::into_bytes),
                "(a|\x1b|\\[|3|1|;|m|é|\r){0,60}".prop_map(String::into_bytes),
            ],
            size in 1_usize..6,
            colors in any::<bool>(),
        ) {
            let mut whole = Vec::new();
            shown_line(&text, colors, &mut whole);
            let whole = String::from_utf8(whole).unwrap();
            let mut bare = whole.clone();
            while let Some(at) = bare.find('\x1b') {
                let length = color(&bare.as_bytes()[at..]);
                prop_assert!(colors && length.is_some());
                bare.replace_range(at..at + length.unwrap_or(1), "");
            }
            prop_assert!(!bare.chars().any(is_harmful));

            let (mut to, mut held) = (Vec::new(), Vec::new());
            for part in text.chunks(size) {
                held.extend_from_slice(part);
                let used = shown_part(&held, colors, &mut to);
                held.drain(..used);
                let most = if colors { MAX_COLOR } else { 4 };
                prop_assert!(held.len() < most);
            }
            shown_line(&held, colors, &mut to);
            prop_assert_eq!(String::from_utf8(to).unwrap(), whole);
        }
    }
}
