//! Wildcard patterns of hosts, users, variables and algorithms, with the rules of OpenSSH.

/// True if `pattern` matches all of `text`: `*` stands for any bytes, `?` for one byte.
///
/// The time is linear in practice, and at worst the product of both lengths.
pub(crate) fn matches(text: impl AsRef<[u8]>, pattern: impl AsRef<[u8]>) -> bool {
    let (text, pattern) = (text.as_ref(), pattern.as_ref());
    let (mut t, mut p) = (0, 0);
    // Positions after the last star, for another try with a longer match of that star.
    let mut retry = None;
    while t < text.len() {
        match pattern.get(p) {
            Some(b'*') => {
                p += 1;
                retry = Some((t, p));
            }
            Some(&c) if c == b'?' || c == text[t] => {
                t += 1;
                p += 1;
            }
            // Only the last star needs another try: the earlier ones have matched as little as possible.
            _ => match retry {
                Some((start, after_star)) => {
                    t = start + 1;
                    p = after_star;
                    retry = Some((t, p));
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|&c| c == b'*')
}

/// True if a character is a wildcard.
pub(crate) fn is_wildcard(c: char) -> bool {
    matches!(c, '*' | '?')
}

/// Result of a list of patterns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PatternListMatch {
    /// A pattern matches, and no negated pattern does.
    Match,
    /// A negated pattern matches.
    Negated,
    /// No pattern matches.
    None,
}

/// Compares a text with a comma-separated list, in which `!` negates a pattern.
pub(crate) fn matches_list(text: &str, patterns: &str) -> PatternListMatch {
    let mut result = PatternListMatch::None;
    if patterns.is_empty() {
        return result;
    }
    for pattern in patterns.split(',') {
        match pattern.strip_prefix('!') {
            // A negated pattern decides, wherever it is in the list.
            Some(negated) if matches(text, negated) => return PatternListMatch::Negated,
            Some(_) => {}
            None if matches(text, pattern) => result = PatternListMatch::Match,
            None => {}
        }
    }
    result
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn stars_and_question_marks() {
        for (text, pattern, expected) in [
            ("", "", true),
            ("", "*", true),
            ("", "?", false),
            ("a", "", false),
            ("node12", "node*", true),
            ("node12", "node?", false),
            ("node12", "node??", true),
            ("node12", "*1*", true),
            ("node12", "*3*", false),
            ("node12", "Node*", false),
            ("abcabd", "*ab?", true),
            ("abcabd", "*abc", false),
            ("a", "a**", true),
        ] {
            assert_eq!(matches(text, pattern), expected, "{text} {pattern}");
        }
        let slow = "a".repeat(2000);
        assert!(!matches(&slow, "*a".repeat(50) + "b"));
    }

    #[test]
    fn negation_in_lists() {
        for (text, patterns, expected) in [
            ("a", "a", PatternListMatch::Match),
            ("a", "b,a", PatternListMatch::Match),
            ("a", "!a,*", PatternListMatch::Negated),
            ("a", "*,!a", PatternListMatch::Negated),
            ("b", "*,!a", PatternListMatch::Match),
            ("b", "!a", PatternListMatch::None),
            ("b", "", PatternListMatch::None),
        ] {
            assert_eq!(matches_list(text, patterns), expected, "{text} {patterns}");
        }
    }

    proptest! {
        #[test]
        fn wildcards_match_as_regular_expressions_do(pattern in "[ab*?]{0,12}", text in "[ab]{0,12}") {
            let regex = pattern.replace('*', ".*").replace('?', ".");
            let regex = regex_lite::Regex::new(&format!("^{regex}$")).unwrap();
            prop_assert_eq!(matches(&text, &pattern), regex.is_match(&text));
        }
    }
}
