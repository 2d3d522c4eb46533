//! Lists of algorithms, which replace or modify the defaults.

use std::str::FromStr;

use crate::wildcard::matches;

/// A list of algorithms, the value of `Ciphers` and similar keywords.
///
/// ```
/// use ssh_files::AlgorithmSpec;
///
/// let spec: AlgorithmSpec = "+aes*-cbc".parse()?;
/// let defaults = ["aes256-gcm@openssh.com", "aes256-ctr"];
/// let supported = ["aes256-gcm@openssh.com", "aes256-ctr", "aes256-cbc"];
/// assert_eq!(spec.apply(&defaults, &supported).join(","), "aes256-gcm@openssh.com,aes256-ctr,aes256-cbc");
/// # Ok::<(), ssh_files::InvalidAlgorithmName>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct AlgorithmSpec {
    /// Effect of the list on the defaults.
    pub change: ListChange,
    /// Names or wildcard patterns, in order. The list is never empty.
    pub list: Vec<String>,
}

/// Effect of a list on the defaults.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ListChange {
    /// No prefix: the list replaces the defaults.
    Replace,
    /// `+`: the list comes after the defaults.
    Append,
    /// `-`: the list is removed from the defaults.
    Remove,
    /// `^`: the list comes before the defaults.
    Prepend,
}

/// An error in a list of algorithms.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("bad algorithm name '{name}'")]
pub struct InvalidAlgorithmName {
    /// The invalid name.
    pub name: String,
}

impl FromStr for AlgorithmSpec {
    type Err = InvalidAlgorithmName;

    fn from_str(text: &str) -> Result<AlgorithmSpec, InvalidAlgorithmName> {
        let (change, names) = match text.chars().next() {
            Some('+') => (ListChange::Append, &text[1..]),
            Some('-') => (ListChange::Remove, &text[1..]),
            Some('^') => (ListChange::Prepend, &text[1..]),
            _ => (ListChange::Replace, text),
        };
        let list: Vec<String> = names.split(',').map(str::to_owned).collect();
        match list.iter().find(|name| {
            // Names are printable ASCII (RFC 4251, section 6).
            name.is_empty() || !name.bytes().all(|b| b.is_ascii_graphic() && b != b'!')
        }) {
            Some(name) => Err(InvalidAlgorithmName { name: name.clone() }),
            None => Ok(AlgorithmSpec { change, list }),
        }
    }
}

impl AlgorithmSpec {
    /// Applies the list to the defaults of a program. Returns the supported algorithms in order, each once.
    ///
    /// The result can be empty. The caller must treat that as an error, as ssh does.
    #[must_use]
    pub fn apply(&self, defaults: &[&str], supported: &[&str]) -> Vec<String> {
        let mut chosen: Vec<String> = Vec::new();
        let mut add = |name: &str| {
            // Several patterns can match one name, and a pattern can match a name that the defaults already have.
            if supported.contains(&name) && !chosen.iter().any(|known| known == name) {
                chosen.push(name.to_owned());
            }
        };
        let matching = |add: &mut dyn FnMut(&str)| {
            for pattern in &self.list {
                for name in supported.iter().filter(|name| matches(name, pattern)) {
                    add(name);
                }
            }
        };
        match self.change {
            ListChange::Replace => matching(&mut add),
            ListChange::Append => {
                defaults.iter().for_each(|name| add(name));
                matching(&mut add);
            }
            ListChange::Prepend => {
                matching(&mut add);
                defaults.iter().for_each(|name| add(name));
            }
            ListChange::Remove => defaults
                .iter()
                .filter(|name| !self.list.iter().any(|pattern| matches(name, pattern)))
                .for_each(|name| add(name)),
        }
        chosen
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_change_the_defaults() {
        for (text, expected) in [
            ("c,a", "c,a"),
            ("+c,a", "a,b,c"),
            ("^c,b", "c,b,a"),
            ("-a", "b"),
            ("-*", ""),
            ("x,c", "c"),
            ("?", "a,b,c"),
        ] {
            let spec: AlgorithmSpec = text.parse().unwrap();
            let chosen = spec.apply(&["a", "b"], &["a", "b", "c"]);
            assert_eq!(chosen.join(","), expected, "{text}");
        }
        for bad in ["", "+", "a,,b", "a,!b", "a b"] {
            assert!(bad.parse::<AlgorithmSpec>().is_err(), "{bad}");
        }
    }
}
