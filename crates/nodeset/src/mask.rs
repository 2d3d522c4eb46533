//! Masks of names: `*` for any characters and `?` for one, as in a shell.

/// True if a name fits a mask: `*` stands for any characters and `?` for one.
///
/// ```
/// assert!(nodeset::fits_mask("node?-*", "node7-ib0"));
/// assert!(!nodeset::fits_mask("node?", "node10"));
/// ```
#[must_use]
pub fn fits_mask(mask: &str, name: &str) -> bool {
    // `?` stands for one character, which can have several bytes.
    let chars = |text: &str| text.chars().collect::<Vec<_>>();
    fits(&chars(mask), &chars(name))
}

/// True if a name fits a mask.
pub(crate) fn fits(mask: &[char], name: &[char]) -> bool {
    let (mut m, mut n) = (0, 0);
    // For the last star: the position after it in the mask, and the position in the name from which the rest of the
    // mask was tried last.
    let mut retry: Option<(usize, usize)> = None;
    while n < name.len() {
        match mask.get(m) {
            Some('*') => {
                retry = Some((m + 1, n));
                m += 1;
            }
            Some(&c) if c == '?' || c == name[n] => {
                m += 1;
                n += 1;
            }
            _ => {
                // Only the last star is tried again, so the time is at most the product of both lengths.
                let Some((after_star, from)) = retry else {
                    return false;
                };
                m = after_star;
                n = from + 1;
                retry = Some((after_star, n));
            }
        }
    }
    mask[m..].iter().all(|&c| c == '*')
}

#[cfg(test)]
mod tests {
    #[test]
    fn masks_match_as_in_a_shell() {
        let fits = |mask: &str, name: &str| {
            let chars = |text: &str| text.chars().collect::<Vec<_>>();
            super::fits(&chars(mask), &chars(name))
        };
        for (mask, name) in [
            ("*", ""),
            ("a*c*e", "abcde"),
            ("*ab", "aab"),
            ("?é", "né"),
            ("**", "x"),
        ] {
            assert!(fits(mask, name), "{mask} {name}");
        }
        for (mask, name) in [
            ("?", ""),
            ("a*c", "ab"),
            ("ab", "abc"),
            ("a?", "a"),
            ("", "a"),
        ] {
            assert!(!fits(mask, name), "{mask} {name}");
        }
    }
}
