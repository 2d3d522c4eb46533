//! The variables of ClusterShell's configuration.

/// Replaces `$name` and `${name}`; `$$` is a dollar sign. Unknown names stay unchanged.
pub(super) fn substitute<'v>(template: &str, value: impl Fn(&str) -> Option<&'v str>) -> String {
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut out = String::new();
    let mut rest = template;
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        let after = &rest[at + 1..];
        let braced = after
            .strip_prefix('{')
            .and_then(|inside| inside.split_once('}'))
            .map(|(name, _)| (name, name.len() + 3));
        let plain = after.find(|c| !is_name(c)).unwrap_or(after.len());
        let (name, length) = braced.unwrap_or((&after[..plain], plain + 1));
        if let Some(after) = after.strip_prefix('$') {
            out.push('$');
            rest = after;
            continue;
        }
        let length = length.min(rest.len() - at);
        // An unknown name may be a variable of the shell.
        out.push_str(value(name).unwrap_or(&rest[at..at + length]));
        rest = &rest[at + length..];
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_replaced() {
        let value = |name: &str| match name {
            "GROUP" => Some("g"),
            "EMPTY" => Some(""),
            _ => None,
        };
        for (template, expected) in [
            ("a $GROUP b", "a g b"),
            ("${GROUP}x$EMPTY", "gx"),
            ("$$GROUP $1 $HOME ${HOME} $", "$GROUP $1 $HOME ${HOME} $"),
            ("$GROUPS ${GROUP", "$GROUPS ${GROUP"),
            ("é$GROUPé", "égé"),
        ] {
            assert_eq!(substitute(template, value), expected);
        }
    }
}
