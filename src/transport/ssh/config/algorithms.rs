//! Lists of algorithms, which replace the defaults or change them.

use super::pattern::matches;

/// A list of algorithms as `Ciphers` and its like take it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct AlgorithmSpec {
    /// What is done with the defaults.
    pub change: Change,
    /// Names or patterns, in order. Never empty.
    pub list: Vec<String>,
}

/// What a list does with the defaults.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Change {
    /// The list stands in their place.
    Replace,
    /// `+`: the list follows them.
    Append,
    /// `-`: they go without those of the list.
    Remove,
    /// `^`: the list comes before them.
    Prepend,
}

impl AlgorithmSpec {
    /// Reads a list.
    pub(super) fn parse(text: &str) -> Result<AlgorithmSpec, String> {
        let (change, names) = match text.chars().next() {
            Some('+') => (Change::Append, &text[1..]),
            Some('-') => (Change::Remove, &text[1..]),
            Some('^') => (Change::Prepend, &text[1..]),
            _ => (Change::Replace, text),
        };
        let list: Vec<String> = names.split(',').map(str::to_owned).collect();
        match list.iter().find(|name| {
            name.is_empty() || !name.bytes().all(|b| b.is_ascii_graphic() && b != b'!')
        }) {
            Some(name) => Err(format!("bad algorithm name '{name}'")),
            None => Ok(AlgorithmSpec { change, list }),
        }
    }

    /// The algorithms to offer, in order and each once: those of the defaults and of the list that are
    /// supported. Empty if none is left, which is an error of whoever asked.
    #[must_use]
    pub fn apply(&self, defaults: &[&str], supported: &[&str]) -> Vec<String> {
        let mut chosen: Vec<String> = Vec::new();
        let mut add = |name: &str| {
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
            Change::Replace => matching(&mut add),
            Change::Append => {
                defaults.iter().for_each(|name| add(name));
                matching(&mut add);
            }
            Change::Prepend => {
                matching(&mut add);
                defaults.iter().for_each(|name| add(name));
            }
            Change::Remove => defaults
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
            let spec = AlgorithmSpec::parse(text).unwrap();
            let chosen = spec.apply(&["a", "b"], &["a", "b", "c"]);
            assert_eq!(chosen.join(","), expected, "{text}");
        }
        for bad in ["", "+", "a,,b", "a,!b", "a b"] {
            assert!(AlgorithmSpec::parse(bad).is_err(), "{bad}");
        }
    }
}
