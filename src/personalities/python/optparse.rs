//! The rules of Python's `optparse` for command lines.
//!
//! clap and lexopt have no abbreviated long options, and both remove the `=` of `-S=,`, which `optparse` keeps.

use super::text::{int_with_radix, repr};

/// An option of a program.
#[derive(Clone, Copy, Debug)]
pub(in crate::personalities) struct Opt<T> {
    pub(in crate::personalities) id: T,
    /// Names with their dashes.
    pub(in crate::personalities) names: &'static [&'static str],
    pub(in crate::personalities) kind: Kind,
    /// Text for `--help`; empty for a hidden option.
    pub(in crate::personalities) help: &'static str,
}

/// The kind of an option's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::personalities) enum Kind {
    /// No value.
    Flag,
    /// Any text.
    Text(&'static str),
    /// A text that is not empty and does not start with a dash.
    Word(&'static str),
    /// An integer.
    Integer(&'static str),
    /// A number of nodes, a percentage or `auto`.
    Autostep(&'static str),
    /// One of these texts.
    Choice(&'static str, &'static [&'static str]),
}

impl Kind {
    /// The name of the value in `--help`.
    fn value_name(self) -> Option<&'static str> {
        match self {
            Kind::Flag => None,
            Kind::Text(name)
            | Kind::Word(name)
            | Kind::Integer(name)
            | Kind::Autostep(name)
            | Kind::Choice(name, _) => Some(name),
        }
    }
}

/// The value of an option on the command line.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::personalities) enum OptionValue {
    None,
    Text(String),
    Integer(i64),
    Autostep(Autostep),
}

impl OptionValue {
    /// The text; empty for another kind of value.
    pub(in crate::personalities) fn text(self) -> String {
        match self {
            OptionValue::Text(text) => text,
            _ => String::new(),
        }
    }
}

/// The value of `--autostep`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::personalities) enum Autostep {
    Nodes(i64),
    /// A part of the nodes: 0.5 for `50%`.
    Share(f64),
    Auto,
}

/// The end of a command line that names no work: a text for standard output, or an error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::personalities) enum End {
    Answer(String),
    Error(String),
}

/// A program and its options.
#[derive(Clone, Copy, Debug)]
pub(in crate::personalities) struct Parser<'a, T: 'static> {
    /// The name by which the program was called.
    pub(in crate::personalities) program: &'a str,
    /// The usage after the name.
    pub(in crate::personalities) usage: &'static str,
    pub(in crate::personalities) version: &'static str,
    /// Titles with their options.
    pub(in crate::personalities) groups: &'static [(&'static str, &'static [Opt<T>])],
}

/// The options in the order of the command line, and the words after them.
type Parsed<T> = (Vec<(T, OptionValue)>, Vec<String>);

impl<T: Copy> Parser<'_, T> {
    /// Reads the options. The first word that is no option ends them.
    pub(in crate::personalities) fn parse(&self, words: &[String]) -> Result<Parsed<T>, End> {
        let mut found = Vec::new();
        // optparse puts the value of `--name=value` back before the other words.
        // At the end of a vector, this takes constant time.
        let mut rest: Vec<String> = words.iter().rev().cloned().collect();
        while let Some(word) = rest.pop() {
            if word == "--" {
                break;
            }
            if word.starts_with("--") {
                self.long(&word, &mut rest, &mut found)?;
            } else if word.starts_with('-') && word.len() > 1 {
                self.short(&word[1..], &mut rest, &mut found)?;
            } else {
                // ClusterShell disables options after words: nodeset reads a later `-x` as an operator.
                rest.push(word);
                break;
            }
        }
        rest.reverse();
        Ok((found, rest))
    }

    /// Returns the error for a wrong command line.
    pub(in crate::personalities) fn error(&self, message: &str) -> End {
        let Parser { program, usage, .. } = self;
        End::Error(format!(
            "Usage: {program} {usage}\n\n{program}: error: {message}\n"
        ))
    }

    fn options(&self) -> impl Iterator<Item = &'static Opt<T>> {
        self.groups.iter().flat_map(|(_, options)| options.iter())
    }

    fn long(
        &self,
        word: &str,
        rest: &mut Vec<String>,
        found: &mut Vec<(T, OptionValue)>,
    ) -> Result<(), End> {
        let (typed, value) = match word.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (word, None),
        };
        let own = ["--help", "--version"];
        let known = self.options().flat_map(|option| option.names.iter());
        let known = known.filter(|name| name.starts_with("--"));
        let mut names: Vec<&str> = own.iter().chain(known).copied().collect();
        // An exact name is never ambiguous: `--list` is also the start of `--list-all`.
        if names.contains(&typed) {
            names = vec![typed];
        } else {
            names.retain(|name| name.starts_with(typed));
            names.sort_unstable();
        }
        let name = match names[..] {
            [name] => name,
            [] => return Err(self.error(&format!("no such option: {typed}"))),
            _ => {
                let names = names.join(", ");
                return Err(self.error(&format!("ambiguous option: {typed} ({names}?)")));
            }
        };
        let option = self.options().find(|option| option.names.contains(&name));
        let takes_value = option.is_some_and(|option| option.kind != Kind::Flag);
        match value {
            Some(_) if !takes_value => {
                return Err(self.error(&format!("{name} option does not take a value")));
            }
            Some(value) => rest.push(value.to_owned()),
            None => {}
        }
        let Some(option) = option else {
            return Err(self.answer(name));
        };
        self.take(option, name, rest, found)
    }

    fn short(
        &self,
        letters: &str,
        rest: &mut Vec<String>,
        found: &mut Vec<(T, OptionValue)>,
    ) -> Result<(), End> {
        for (at, letter) in letters.char_indices() {
            let name = format!("-{letter}");
            if name == "-h" {
                return Err(self.answer("--help"));
            }
            let option = self
                .options()
                .find(|option| option.names.contains(&name.as_str()));
            let Some(option) = option else {
                return Err(self.error(&format!("no such option: {name}")));
            };
            let after = &letters[at + letter.len_utf8()..];
            let takes_rest = option.kind != Kind::Flag;
            if takes_rest && !after.is_empty() {
                rest.push(after.to_owned());
            }
            self.take(option, &name, rest, found)?;
            if takes_rest {
                break;
            }
        }
        Ok(())
    }

    /// Reads the value of an option, which is the next word.
    fn take(
        &self,
        option: &Opt<T>,
        name: &str,
        rest: &mut Vec<String>,
        found: &mut Vec<(T, OptionValue)>,
    ) -> Result<(), End> {
        if option.kind == Kind::Flag {
            found.push((option.id, OptionValue::None));
            return Ok(());
        }
        let Some(text) = rest.pop() else {
            return Err(self.error(&format!("{name} option requires 1 argument")));
        };
        let value = value(option.kind, text)
            .map_err(|fault| self.error(&format!("option {name}: {fault}")))?;
        found.push((option.id, value));
        Ok(())
    }

    /// Returns the text of `--help` or `--version`.
    fn answer(&self, name: &str) -> End {
        let Parser {
            program,
            usage,
            version,
            groups,
        } = self;
        if name == "--version" {
            return End::Answer(format!("{program} {version}\n"));
        }
        let mut text = format!("Usage: {program} {usage}\n");
        for (title, options) in *groups {
            text.push_str(&format!("\n{title}:\n"));
            for option in options.iter().filter(|option| !option.help.is_empty()) {
                let names = option
                    .names
                    .iter()
                    .map(|name| match option.kind.value_name() {
                        None => (*name).to_owned(),
                        Some(value) if name.starts_with("--") => format!("{name}={value}"),
                        Some(value) => format!("{name} {value}"),
                    });
                let names = names.collect::<Vec<_>>().join(", ");
                let help = option.help;
                if names.len() > 20 {
                    text.push_str(&format!("  {names}\n{:24}{help}\n", ""));
                } else {
                    text.push_str(&format!("  {names:22}{help}\n"));
                }
            }
        }
        End::Answer(text)
    }
}

fn value(kind: Kind, text: String) -> Result<OptionValue, String> {
    match kind {
        Kind::Flag => Ok(OptionValue::None),
        Kind::Text(_) => Ok(OptionValue::Text(text)),
        // ClusterShell's type `safestring` refuses an option in the place of a missing value.
        Kind::Word(_) if text.is_empty() || text.starts_with('-') => {
            Err(format!("invalid value: {}", repr(&text)))
        }
        Kind::Word(_) => Ok(OptionValue::Text(text)),
        Kind::Integer(_) => {
            let lower = text.to_ascii_lowercase();
            // optparse chooses the radix by the prefix, so `010` is 8 and `08` is an error.
            let number = match (lower.strip_prefix("0x"), lower.strip_prefix("0b")) {
                (Some(digits), _) => int_with_radix(digits, 16),
                (_, Some(digits)) => int_with_radix(digits, 2),
                _ if lower.starts_with('0') => int_with_radix(&lower, 8),
                _ => int_with_radix(&lower, 10),
            };
            let number = number.ok_or_else(|| format!("invalid integer value: {}", repr(&text)))?;
            Ok(OptionValue::Integer(number))
        }
        Kind::Autostep(_) => {
            let autostep = if text.contains('%') {
                // ClusterShell removes the last character, even if the percent sign is another one.
                let mut number = text.clone();
                number.pop();
                let number = number.trim().parse::<f64>();
                number.ok().map(|number| Autostep::Share(number / 100.0))
            } else if text == "auto" {
                Some(Autostep::Auto)
            } else {
                int_with_radix(&text, 10).map(Autostep::Nodes)
            };
            let fault = || {
                format!(
                    "invalid value: {}, should be node count, node percentage or 'auto'",
                    repr(&text)
                )
            };
            Ok(OptionValue::Autostep(autostep.ok_or_else(fault)?))
        }
        Kind::Choice(_, choices) if choices.contains(&text.as_str()) => Ok(OptionValue::Text(text)),
        Kind::Choice(_, choices) => {
            let choices: Vec<String> = choices.iter().map(|choice| repr(choice)).collect();
            let (text, choices) = (repr(&text), choices.join(", "));
            Err(format!("invalid choice: {text} (choose from {choices})"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARSER: Parser<'_, char> = Parser {
        program: "p",
        usage: "[x]",
        version: "1",
        groups: &[(
            "Options",
            &[
                Opt {
                    id: 'f',
                    names: &["-f", "--fold"],
                    kind: Kind::Flag,
                    help: "fold",
                },
                Opt {
                    id: 'S',
                    names: &["-S", "--separator"],
                    kind: Kind::Text("SEPARATOR"),
                    help: "a separator",
                },
                Opt {
                    id: 's',
                    names: &["--split"],
                    kind: Kind::Integer("N"),
                    help: "",
                },
            ],
        )],
    };

    fn parse(words: &[&str]) -> Result<Parsed<char>, String> {
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        PARSER.parse(&words).map_err(|end| match end {
            End::Error(text) | End::Answer(text) => text.lines().last().unwrap_or("").to_owned(),
        })
    }

    #[test]
    fn options_have_the_forms_of_optparse() {
        let text = |text: &str| OptionValue::Text(text.to_owned());
        let (found, rest) = parse(&["-fS=,", "--sep", "-f", "--fo", "a", "-f"]).unwrap();
        let expected = [
            ('f', OptionValue::None),
            ('S', text("=,")),
            ('S', text("-f")),
            ('f', OptionValue::None),
        ];
        assert_eq!(found, expected);
        assert_eq!(rest, ["a", "-f"]);
        assert_eq!(
            parse(&["--split=0x10", "--", "-f"]).unwrap().0,
            [('s', OptionValue::Integer(16))]
        );
        assert_eq!(parse(&["-"]).unwrap().1, ["-"]);
    }

    #[test]
    fn errors_have_the_words_of_optparse() {
        for (words, message) in [
            (&["-z"][..], "p: error: no such option: -z"),
            (
                &["--s"],
                "p: error: ambiguous option: --s (--separator, --split?)",
            ),
            (
                &["--fold=1"],
                "p: error: --fold option does not take a value",
            ),
            (&["--split"], "p: error: --split option requires 1 argument"),
            (
                &["--split", "08"],
                "p: error: option --split: invalid integer value: '08'",
            ),
        ] {
            assert_eq!(parse(words).unwrap_err(), message);
        }
        assert_eq!(parse(&["--vers"]).unwrap_err(), "p 1");
    }
}
