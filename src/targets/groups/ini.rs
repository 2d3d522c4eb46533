//! The syntax of ClusterShell's `.conf` files, which is that of Python's `configparser`.
//!
//! Sections in brackets, `key: value` or `key = value`, comments on lines of their own after `#` or
//! `;`. A value continues in lines that are indented more than its key.

use super::GroupError;

/// Sections in the order of the file, each with its keys in lower case and their values.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Ini {
    pub(super) sections: Vec<Section>,
}

/// A section with its keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Section {
    pub(super) name: String,
    entries: Vec<(String, String)>,
}

impl Section {
    /// Returns the value of a key. The key must be in lower case.
    pub(super) fn get(&self, key: &str) -> Option<&str> {
        let entry = self.entries.iter().find(|(name, _)| name == key);
        entry.map(|(_, value)| value.as_str())
    }

    fn set(&mut self, key: &str, value: &str) {
        match self.entries.iter_mut().find(|(name, _)| name == key) {
            Some((_, old)) => *old = value.to_owned(),
            None => self.entries.push((key.to_owned(), value.to_owned())),
        }
    }
}

impl Ini {
    pub(super) fn section(&self, name: &str) -> Option<&Section> {
        self.sections.iter().find(|section| section.name == name)
    }

    /// Adds the sections and keys of another file. A key of the other file overrides the same key here.
    pub(super) fn merge(&mut self, other: Ini) {
        for section in other.sections {
            match self
                .sections
                .iter_mut()
                .find(|old| old.name == section.name)
            {
                Some(old) => {
                    for (key, value) in &section.entries {
                        old.set(key, value);
                    }
                }
                None => self.sections.push(section),
            }
        }
    }
}

/// Parses a text; errors call it `name`.
pub(super) fn parse(text: &str, name: &str) -> Result<Ini, GroupError> {
    let mut ini = Ini::default();
    // Indentation of the current key; `None` if there is no value to continue.
    let mut indent: Option<usize> = None;
    for (number, line) in text.lines().enumerate() {
        let error = |message: &str| {
            let number = number + 1;
            Err(GroupError::Failed(format!("{name}:{number}: {message}")))
        };
        let trimmed = line.trim();
        // As in configparser, a comment line does not end the value around it.
        if trimmed.starts_with(['#', ';']) {
            continue;
        }
        let depth = line.len() - line.trim_start().len();
        let value = ini
            .sections
            .last_mut()
            .and_then(|section| section.entries.last_mut());
        // As in configparser, an empty line does not end a value either.
        if let (Some(key_depth), Some((_, value))) = (indent, value)
            && (trimmed.is_empty() || depth > key_depth)
        {
            value.push('\n');
            value.push_str(trimmed);
            continue;
        }
        if trimmed.is_empty() {
            continue;
        }
        if let Some(inside) = trimmed.strip_prefix('[') {
            let Some(section) = inside.strip_suffix(']').filter(|name| !name.is_empty()) else {
                return error("a section is written [NAME]");
            };
            // configparser is strict by default: sections and keys must not repeat.
            if ini.section(section).is_some() {
                return error(&format!("there is a second section [{section}]"));
            }
            ini.sections.push(Section {
                name: section.to_owned(),
                entries: Vec::new(),
            });
            indent = None;
            continue;
        }
        let Some(section) = ini.sections.last_mut() else {
            return error("a key before the first section");
        };
        let Some((key, value)) = trimmed.split_once(['=', ':']) else {
            return error("expected KEY: VALUE");
        };
        // configparser reads keys without case (`optionxform`).
        let key = key.trim().to_lowercase();
        if section.get(&key).is_some() {
            return error(&format!("{key} stands twice in this section"));
        }
        section.entries.push((key, value.trim().to_owned()));
        indent = Some(depth);
    }
    // Empty lines after a value are not a part of it.
    for (_, value) in ini
        .sections
        .iter_mut()
        .flat_map(|section| &mut section.entries)
    {
        value.truncate(value.trim_end().len());
    }
    Ok(ini)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_read_as_configparser_reads_them() {
        let text = "# c\n[Main]\nDefault: local\nconfdir = /a:b /c\n ; c\n\n[x,y]\nmap: a\n  b\n\n  c # d\n all:\n";
        let ini = parse(text, "f").unwrap();
        let main = ini.section("Main").unwrap();
        assert_eq!(main.get("default"), Some("local"));
        assert_eq!(main.get("confdir"), Some("/a:b /c"));
        let other = ini.section("x,y").unwrap();
        assert_eq!(other.get("map"), Some("a\nb\n\nc # d\nall:"));
        assert_eq!(other.get("list"), None);
    }

    #[test]
    fn a_later_file_wins() {
        let mut ini = parse("[a]\nx: 1\ny: 2\n", "f").unwrap();
        ini.merge(parse("[a]\nx: 3\n[b]\nz: 4\n", "g").unwrap());
        assert_eq!(ini.section("a").unwrap().get("x"), Some("3"));
        assert_eq!(ini.section("a").unwrap().get("y"), Some("2"));
        assert_eq!(ini.section("b").unwrap().get("z"), Some("4"));
    }

    #[test]
    fn errors_name_file_and_line() {
        let message = |text| parse(text, "f").unwrap_err().to_string();
        assert_eq!(message("\nx: 1\n"), "f:2: a key before the first section");
        assert_eq!(message("[a]\n[a]\n"), "f:2: there is a second section [a]");
        assert_eq!(
            message("[a]\nx=1\nX=2\n"),
            "f:3: x stands twice in this section"
        );
        assert_eq!(message("[a\n"), "f:1: a section is written [NAME]");
        assert_eq!(message("[a]\nx\n"), "f:2: expected KEY: VALUE");
    }
}
