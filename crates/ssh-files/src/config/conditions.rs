//! The conditions of blocks: `Host` and `Match`.

use super::line::{ConfigLine, SyntaxError, TokenScanner};
use crate::wildcard::{PatternListMatch, matches, matches_list};

/// One pattern of a `Host` line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct HostPattern {
    /// True if the pattern has a `!`.
    pub(super) negated: bool,
    /// The pattern without the `!`.
    pub(super) pattern: String,
}

/// Reads the patterns of a `Host` line.
pub(super) fn host_patterns(line: &ConfigLine<'_>) -> Result<Vec<HostPattern>, SyntaxError> {
    let patterns = line
        .words
        .iter()
        .map(|word| match word.text.strip_prefix('!') {
            _ if word.text.is_empty() => Err(SyntaxError::new(word.span.clone(), "empty argument")),
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

/// True if a `Host` line applies: a pattern matches, and no negated pattern does.
pub(super) fn host_matches(host: &str, patterns: &[HostPattern]) -> bool {
    let mut found = false;
    for HostPattern { negated, pattern } in patterns {
        // After a match, only a negated pattern can change the result.
        if (*negated || !found) && matches(host, pattern) {
            if *negated {
                return false;
            }
            found = true;
        }
    }
    found
}

/// One criterion of a `Match` line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct MatchCriterion {
    /// True if the criterion has a `!`.
    pub(super) negated: bool,
    /// The condition without the `!`.
    pub(super) condition: MatchCondition,
}

/// The condition of a criterion.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum MatchCondition {
    /// `all`.
    Always,
    /// `final` (true) or `canonical` (false). Both hold in the last of two passes.
    LastPass(bool),
    /// `host` with patterns in lower case, which ignore the case of the host.
    Host(String),
    /// `originalhost` with patterns in lower case.
    OriginalHost(String),
    /// `user`.
    User(String),
    /// `localuser`.
    LocalUser(String),
    /// `exec`.
    Command,
}

/// The state of the evaluation at a `Match` line.
#[derive(Clone, Copy, Debug)]
pub(super) struct MatchContext<'a> {
    /// Host name so far, in lower case.
    pub(super) host: &'a str,
    /// Host name as given by the user, in lower case.
    pub(super) original: &'a str,
    /// Remote user so far.
    pub(super) user: &'a str,
    /// Local user.
    pub(super) local_user: &'a str,
    /// True in the last of two passes.
    pub(super) last_pass: bool,
}

/// Result of a `Match` line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MatchResult {
    /// The block applies.
    Yes,
    /// The block does not apply.
    No,
    /// The result depends on a command, which is never run.
    WouldRun,
}

/// Reads the criteria of a `Match` line.
pub(super) fn criteria(line: &ConfigLine<'_>) -> Result<Vec<MatchCriterion>, SyntaxError> {
    let mut scanner = TokenScanner::new(line.text, line.rest);
    let mut criteria = Vec::new();
    while let Some(word) = scanner.next() {
        // As in OpenSSH, an empty word or a comment ends the line.
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
            // ssh_config(5): `all` stands alone or after `canonical` or `final`. OpenSSH allows any one criterion
            // before it.
            if criteria.len() > 1 || !alone {
                let message = format!("'{}' cannot be combined with other conditions", word.text);
                return Err(SyntaxError::new(word.span, message));
            }
            let condition = MatchCondition::Always;
            criteria.push(MatchCriterion { negated, condition });
            return Ok(criteria);
        }
        let mut argument = || match scanner.next() {
            Some(argument) if !argument.text.is_empty() && !argument.text.starts_with('#') => {
                Ok(argument.text)
            }
            _ => Err(SyntaxError::new(
                word.span.clone(),
                format!("nothing to match after '{name}'"),
            )),
        };
        let condition = match &*name {
            "final" => MatchCondition::LastPass(true),
            "canonical" => MatchCondition::LastPass(false),
            // Names of hosts are compared in lower case.
            "host" => MatchCondition::Host(argument()?.to_ascii_lowercase()),
            "originalhost" => MatchCondition::OriginalHost(argument()?.to_ascii_lowercase()),
            "user" => MatchCondition::User(argument()?),
            "localuser" => MatchCondition::LocalUser(argument()?),
            // The command is never run, so its text is not kept.
            "exec" => argument().map(|_| MatchCondition::Command)?,
            _ => {
                return Err(SyntaxError {
                    span: word.span,
                    message: format!("unsupported Match condition '{name}'"),
                    help: Some(
                        "there are all, canonical, final, host, originalhost, user, localuser and exec"
                            .into(),
                    ),
                });
            }
        };
        criteria.push(MatchCriterion { negated, condition });
    }
    if criteria.is_empty() {
        return Err(SyntaxError::new(
            line.rest..line.text.len(),
            "Match needs a condition",
        ));
    }
    Ok(criteria)
}

/// Evaluates the criteria in order. A command has an effect only if all criteria before it hold: ssh does not run it
/// otherwise.
pub(super) fn evaluate(criteria: &[MatchCriterion], facts: &MatchContext<'_>) -> MatchResult {
    for MatchCriterion { negated, condition } in criteria {
        let list =
            |text: &str, patterns: &str| matches_list(text, patterns) == PatternListMatch::Match;
        let holds = match condition {
            MatchCondition::Always => true,
            MatchCondition::LastPass(_) => facts.last_pass,
            MatchCondition::Host(patterns) => list(facts.host, patterns),
            MatchCondition::OriginalHost(patterns) => list(facts.original, patterns),
            MatchCondition::User(patterns) => list(facts.user, patterns),
            MatchCondition::LocalUser(patterns) => list(facts.local_user, patterns),
            MatchCondition::Command => {
                // A later criterion can still exclude the block, whatever the result of the command.
                let after = criteria
                    .iter()
                    .skip_while(|each| each.condition != MatchCondition::Command)
                    .skip(1);
                let rest: Vec<MatchCriterion> = after.cloned().collect();
                return match evaluate(&rest, facts) {
                    MatchResult::No => MatchResult::No,
                    MatchResult::Yes | MatchResult::WouldRun => MatchResult::WouldRun,
                };
            }
        };
        if holds == *negated {
            return MatchResult::No;
        }
    }
    MatchResult::Yes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::line;

    fn read(text: &str) -> Result<Vec<MatchCriterion>, SyntaxError> {
        criteria(&line::parse(text).unwrap().unwrap())
    }

    #[test]
    fn conditions_hold_or_not() {
        let facts = MatchContext {
            host: "real.example.com",
            original: "n1",
            user: "root",
            local_user: "me",
            last_pass: false,
        };
        for (text, expected) in [
            ("Match all", MatchResult::Yes),
            ("Match !all", MatchResult::No),
            ("Match host *.example.com", MatchResult::Yes),
            ("Match HOST=*.EXAMPLE.com", MatchResult::Yes),
            ("Match host n1", MatchResult::No),
            (
                "Match originalhost n1 user root,admin localuser m?",
                MatchResult::Yes,
            ),
            ("Match originalhost n1 !user root", MatchResult::No),
            ("Match user !root,*", MatchResult::No),
            ("Match user \"root\" # comment", MatchResult::Yes),
            ("Match user Root", MatchResult::No),
            ("Match final", MatchResult::No),
            ("Match !final all", MatchResult::Yes),
            ("Match canonical all", MatchResult::No),
            ("Match exec true", MatchResult::WouldRun),
            ("Match host x exec true", MatchResult::No),
            ("Match exec \"test -e x\" host x", MatchResult::No),
            ("Match exec a exec b", MatchResult::WouldRun),
        ] {
            assert_eq!(evaluate(&read(text).unwrap(), &facts), expected, "{text}");
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
            host_patterns(&line::parse("Host *.com !b.com c").unwrap().unwrap()).unwrap();
        for (host, expected) in [("a.com", true), ("b.com", false), ("c", true), ("C", false)] {
            assert_eq!(host_matches(host, &patterns), expected, "{host}");
        }
        let only = host_patterns(&line::parse("Host !a").unwrap().unwrap()).unwrap();
        assert!(!host_matches("b", &only));
    }
}
