//! When a block applies: `Host` and `Match`.

use super::pattern::{self, Verdict};
use super::words::{Fault, Line, Scanner};

/// One pattern of a `Host` line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct HostPattern {
    /// Whether it was written with `!`.
    pub(super) negated: bool,
    /// What it matches.
    pub(super) pattern: String,
}

/// Reads the patterns of a `Host` line.
pub(super) fn host_patterns(line: &Line<'_>) -> Result<Vec<HostPattern>, Fault> {
    let patterns = line
        .words
        .iter()
        .map(|word| match word.text.strip_prefix('!') {
            _ if word.text.is_empty() => Err(Fault::new(word.span.clone(), "empty argument")),
            Some(pattern) => Ok(HostPattern {
                negated: true,
                pattern: pattern.to_owned(),
            }),
            None => Ok(HostPattern {
                negated: false,
                pattern: word.text.clone(),
            }),
        });
    patterns.collect()
}

/// Whether a `Host` line applies: a pattern matches, and no negated one does.
pub(super) fn host_matches(host: &str, patterns: &[HostPattern]) -> bool {
    let mut found = false;
    for HostPattern { negated, pattern } in patterns {
        if (*negated || !found) && pattern::matches(host, pattern) {
            if *negated {
                return false;
            }
            found = true;
        }
    }
    found
}

/// One condition of a `Match` line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Criterion {
    /// Whether it was written with `!`.
    pub(super) negated: bool,
    /// What it asks.
    pub(super) question: Question,
}

/// What a condition asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Question {
    /// `all`.
    Always,
    /// `final` (true) or `canonical`: whether this is the last of two passes.
    LastPass(bool),
    /// `host`, patterns in small letters: letters of any case match.
    Host(String),
    /// `originalhost`, likewise.
    OriginalHost(String),
    /// `user`.
    User(String),
    /// `localuser`.
    LocalUser(String),
    /// `exec`.
    Command,
}

/// What is known of a host when a `Match` line is reached.
#[derive(Clone, Copy, Debug)]
pub(super) struct Facts<'a> {
    /// Its name so far, in small letters.
    pub(super) host: &'a str,
    /// As it was given, in small letters.
    pub(super) original: &'a str,
    /// The remote user so far.
    pub(super) user: &'a str,
    /// The local user.
    pub(super) local_user: &'a str,
    /// Whether this is the last of two passes.
    pub(super) last_pass: bool,
}

/// The answer to a `Match` line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// The block applies.
    Yes,
    /// It does not.
    No,
    /// A command would have to be run to know.
    WouldRun,
}

/// Reads the conditions of a `Match` line.
pub(super) fn criteria(line: &Line<'_>) -> Result<Vec<Criterion>, Fault> {
    let mut scanner = Scanner::new(line.text, line.rest);
    let mut criteria = Vec::new();
    while let Some(word) = scanner.next() {
        if word.text.is_empty() || word.text.starts_with('#') {
            break;
        }
        let (negated, name) = match word.text.strip_prefix('!') {
            Some(name) => (true, name),
            None => (false, word.text.as_str()),
        };
        let name = name.to_ascii_lowercase();
        if name == "all" {
            let alone = scanner
                .next()
                .is_none_or(|next| next.text.is_empty() || next.text.starts_with('#'));
            if criteria.len() > 1 || !alone {
                let message = format!("'{}' cannot be combined with other conditions", word.text);
                return Err(Fault::new(word.span, message));
            }
            let question = Question::Always;
            criteria.push(Criterion { negated, question });
            return Ok(criteria);
        }
        let mut argument = || match scanner.next() {
            Some(argument) if !argument.text.is_empty() && !argument.text.starts_with('#') => {
                Ok(argument.text)
            }
            _ => Err(Fault::new(
                word.span.clone(),
                format!("nothing to match after '{name}'"),
            )),
        };
        let question = match &*name {
            "final" => Question::LastPass(true),
            "canonical" => Question::LastPass(false),
            "host" => Question::Host(argument()?.to_ascii_lowercase()),
            "originalhost" => Question::OriginalHost(argument()?.to_ascii_lowercase()),
            "user" => Question::User(argument()?),
            "localuser" => Question::LocalUser(argument()?),
            "exec" => argument().map(|_| Question::Command)?,
            _ => {
                return Err(Fault {
                    span: word.span,
                    message: format!("unsupported Match condition '{name}'"),
                    help: Some(
                        "there are all, canonical, final, host, originalhost, user, localuser and exec"
                            .into(),
                    ),
                });
            }
        };
        criteria.push(Criterion { negated, question });
    }
    match criteria.is_empty() {
        true => Err(Fault::new(
            line.rest..line.text.len(),
            "Match needs a condition",
        )),
        false => Ok(criteria),
    }
}

/// Answers the conditions in order. A command counts only if all before it holds, as in ssh, which runs
/// it only then.
pub(super) fn answer(criteria: &[Criterion], facts: &Facts<'_>) -> Answer {
    for Criterion { negated, question } in criteria {
        let list = |text: &str, patterns: &str| pattern::list(text, patterns) == Verdict::Match;
        let holds = match question {
            Question::Always => true,
            Question::LastPass(_) => facts.last_pass,
            Question::Host(patterns) => list(facts.host, patterns),
            Question::OriginalHost(patterns) => list(facts.original, patterns),
            Question::User(patterns) => list(facts.user, patterns),
            Question::LocalUser(patterns) => list(facts.local_user, patterns),
            Question::Command => {
                // What follows may still say no, whatever the command would say.
                let after = criteria
                    .iter()
                    .skip_while(|each| each.question != Question::Command)
                    .skip(1);
                let rest: Vec<Criterion> = after.cloned().collect();
                return match answer(&rest, facts) {
                    Answer::No => Answer::No,
                    Answer::Yes | Answer::WouldRun => Answer::WouldRun,
                };
            }
        };
        if holds == *negated {
            return Answer::No;
        }
    }
    Answer::Yes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transport::ssh::config::words;

    fn read(text: &str) -> Result<Vec<Criterion>, Fault> {
        criteria(&words::parse(text).unwrap().unwrap())
    }

    #[test]
    fn conditions_hold_or_not() {
        let facts = Facts {
            host: "real.example.com",
            original: "n1",
            user: "root",
            local_user: "me",
            last_pass: false,
        };
        for (text, expected) in [
            ("Match all", Answer::Yes),
            ("Match !all", Answer::No),
            ("Match host *.example.com", Answer::Yes),
            ("Match HOST=*.EXAMPLE.com", Answer::Yes),
            ("Match host n1", Answer::No),
            (
                "Match originalhost n1 user root,admin localuser m?",
                Answer::Yes,
            ),
            ("Match originalhost n1 !user root", Answer::No),
            ("Match user !root,*", Answer::No),
            ("Match user \"root\" # comment", Answer::Yes),
            ("Match user Root", Answer::No),
            ("Match final", Answer::No),
            ("Match !final all", Answer::Yes),
            ("Match canonical all", Answer::No),
            ("Match exec true", Answer::WouldRun),
            ("Match host x exec true", Answer::No),
            ("Match exec \"test -e x\" host x", Answer::No),
            ("Match exec a exec b", Answer::WouldRun),
        ] {
            assert_eq!(answer(&read(text).unwrap(), &facts), expected, "{text}");
        }
        for bad in [
            "Match all host x",
            "Match host x user y all",
            "Match host",
            "Match sunshine yes",
            "Match # all",
        ] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn negated_hosts_win() {
        let patterns =
            host_patterns(&words::parse("Host *.com !b.com c").unwrap().unwrap()).unwrap();
        for (host, expected) in [("a.com", true), ("b.com", false), ("c", true), ("C", false)] {
            assert_eq!(host_matches(host, &patterns), expected, "{host}");
        }
        let only = host_patterns(&words::parse("Host !a").unwrap().unwrap()).unwrap();
        assert!(!host_matches("b", &only));
    }
}
