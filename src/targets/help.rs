//! Advice about faults of expressions, with the options of this program.

use nodeset::{Fault, GroupError};

use super::suggest::nearest;

/// Returns advice about a fault of an expression, if there is any.
#[must_use]
pub(crate) fn help(fault: &Fault) -> Option<String> {
    let text = match fault {
        Fault::TooMany { .. } => "name fewer hosts in one run",
        Fault::EmptyName => "write user@host:port",
        Fault::BadCharacter('#') => "a comment needs white space before its '#'",
        Fault::BadCharacter('=') => "options like user=NAME come after the name in a hosts file",
        Fault::Group(error) => return group_help(error),
        // The advice is about the fault itself, wherever it is.
        Fault::InDefinition { fault, .. } => return help(fault),
        other => return other.help(),
    };
    Some(text.to_owned())
}

/// Returns advice about a group that cannot be looked up, if there is any.
#[must_use]
pub(crate) fn group_help(error: &GroupError) -> Option<String> {
    match error {
        GroupError::UnknownSource { name, known } | GroupError::UnknownGroup { name, known } => {
            match nearest(name, known.iter().map(String::as_str)) {
                Some(near) => Some(format!("did you mean {near}?")),
                None => error.help(),
            }
        }
        GroupError::Ambiguous { name, sources, .. } => {
            let first = sources.first().map_or("SOURCE", String::as_str);
            Some(format!(
                "write @{first}:{name}, or choose a default source: --group-source {first}, or \
                 group-source = \"{first}\" in the configuration"
            ))
        }
        other => other.help(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_known_group_is_named() {
        let unknown = |name: &str| {
            let known = ["io", "login", "some"].map(str::to_owned).into();
            let name = name.to_owned();
            Fault::Group(Box::new(GroupError::UnknownGroup { name, known }))
        };
        assert_eq!(help(&unknown("som")).unwrap(), "did you mean some?");
        assert_eq!(help(&unknown("zzz")).unwrap(), "there are io, login, some");
        let inside = Fault::InDefinition {
            what: "the group @x".into(),
            text: "@som".into(),
            fault: Box::new(unknown("lgoin")),
            place: None,
        };
        assert_eq!(help(&inside).unwrap(), "did you mean login?");
    }
}
