//! Patterns of hosts and users, with `*`, `?` and negation, as ssh matches them.

/// Whether a pattern with `*` and `?` matches the whole text, in time linear in practice and at worst
/// the product of both lengths.
pub(super) fn matches(text: &str, pattern: &str) -> bool {
    let (text, pattern) = (text.as_bytes(), pattern.as_bytes());
    let (mut t, mut p) = (0, 0);
    // Where to go on when what follows the last star fails.
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

/// The answer of a list of patterns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// A pattern matches, and no negated one does.
    Match,
    /// A negated pattern matches.
    Negated,
    /// Nothing matches.
    None,
}

/// Holds a text against a comma-separated list, in which `!` negates.
pub(super) fn list(text: &str, patterns: &str) -> Verdict {
    let mut verdict = Verdict::None;
    if patterns.is_empty() {
        return verdict;
    }
    for pattern in patterns.split(',') {
        match pattern.strip_prefix('!') {
            Some(negated) if matches(text, negated) => return Verdict::Negated,
            Some(_) => {}
            None if matches(text, pattern) => verdict = Verdict::Match,
            None => {}
        }
    }
    verdict
}

#[cfg(test)]
mod tests {
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
        assert!(!matches(&slow, &("*a".repeat(50) + "b")));
    }

    #[test]
    fn negation_in_lists() {
        for (text, patterns, expected) in [
            ("a", "a", Verdict::Match),
            ("a", "b,a", Verdict::Match),
            ("a", "!a,*", Verdict::Negated),
            ("a", "*,!a", Verdict::Negated),
            ("b", "*,!a", Verdict::Match),
            ("b", "!a", Verdict::None),
            ("b", "", Verdict::None),
        ] {
            assert_eq!(list(text, patterns), expected, "{text} {patterns}");
        }
    }
}
