//! The hosts of a `ProxyJump`.

/// A jump host, as written in a `ProxyJump`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct JumpHost {
    /// Remote user, if there is one in the setting.
    pub user: Option<String>,
    /// Name or address, without brackets.
    pub host: String,
    /// Port, if there is one in the setting.
    pub port: Option<u16>,
}

/// Reads the value of `ProxyJump`: the hosts in the order of the connections. The list is empty for `none`.
pub(super) fn parse(value: &str) -> Result<Vec<JumpHost>, String> {
    // The value is the rest of the line, so a comment is still in it.
    let value = value.split('#').next().unwrap_or_default().trim();
    // ssh gives the value to a shell, which removes the quotes.
    let value = value
        .strip_prefix('"')
        .and_then(|value| value.strip_suffix('"'))
        .unwrap_or(value);
    if value.eq_ignore_ascii_case("none") {
        return Ok(Vec::new());
    }
    value
        .split(',')
        .map(|jump| jump_host(jump).ok_or_else(|| format!("invalid ProxyJump \"{jump}\"")))
        .collect()
}

fn jump_host(text: &str) -> Option<JumpHost> {
    let (address, is_uri) = match text.get(..6) {
        Some(scheme) if scheme.eq_ignore_ascii_case("ssh://") => (&text[6..], true),
        _ => (text, false),
    };
    let address = if is_uri {
        address.strip_suffix('/').unwrap_or(address)
    } else {
        address
    };
    // As in ssh, the last `@` ends the user.
    let (user, address) = match address.rsplit_once('@') {
        Some((user, address)) => (Some(user), address),
        None => (None, address),
    };
    let (host, port) = host_and_port(address)?;
    let port = match port {
        Some(port) => Some(port.parse().ok().filter(|port| *port > 0)?),
        None => None,
    };
    let decode = |text: &str| {
        if is_uri {
            percent_decode(text)
        } else {
            Some(text.to_owned())
        }
    };
    let user = match user {
        // A URI may have a fingerprint after the user, which ssh ignores too.
        Some(user) if is_uri => Some(decode(user.split(";fingerprint=").next()?)?),
        Some(user) => Some(user.to_owned()),
        None => None,
    };
    let host = decode(host)?;
    let valid = valid_host(&host) && user.as_deref().is_none_or(valid_user);
    valid.then_some(JumpHost { user, host, port })
}

/// Splits `host`, `host:port` and `[address]:port`.
fn host_and_port(text: &str) -> Option<(&str, Option<&str>)> {
    if let Some(rest) = text.strip_prefix('[') {
        let (host, after) = rest.split_once(']')?;
        return match after {
            "" | ":" => Some((host, None)),
            _ => Some((host, Some(after.strip_prefix(':')?))),
        };
    }
    Some(match text.split_once(':') {
        Some((host, "")) => (host, None),
        Some((host, port)) => (host, Some(port)),
        None => (text, None),
    })
}

/// True for names that ssh accepts: they have no character with a meaning for a shell.
fn valid_host(host: &str) -> bool {
    !host.is_empty()
        // ssh would take such a name for an option.
        && !host.starts_with('-')
        && !host
            .chars()
            .any(|c| "'`\"$\\;&<>|(){}/".contains(c) || c.is_whitespace() || c.is_control())
}

/// True for users that ssh accepts.
fn valid_user(user: &str) -> bool {
    !user.is_empty()
        && !user.starts_with('-')
        // As in OpenSSH: a backslash at the end would escape what follows.
        && !user.ends_with('\\')
        && !user
            .chars()
            .any(|c| "'`\";&<>|(){}".contains(c) || c.is_control())
}

fn percent_decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        match first {
            b'%' => {
                let digits = std::str::from_utf8(after.get(..2)?).ok()?;
                // OpenSSH refuses an encoded NUL too.
                bytes.push(
                    u8::from_str_radix(digits, 16)
                        .ok()
                        .filter(|byte| *byte != 0)?,
                );
                rest = &after[2..];
            }
            _ => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(value: &str) -> String {
        match parse(value) {
            Ok(jumps) => jumps
                .iter()
                .map(|jump| {
                    let user = jump.user.as_deref().unwrap_or("-");
                    let port = jump.port.map_or("-".into(), |port| port.to_string());
                    format!("{user}|{}|{port}", jump.host)
                })
                .collect::<Vec<_>>()
                .join(" "),
            Err(error) => error,
        }
    }

    #[test]
    fn hops_are_read_as_by_ssh() {
        for (value, expected) in [
            ("none", ""),
            ("NONE", ""),
            ("none # x", ""),
            ("h", "-|h|-"),
            ("\"h\"", "-|h|-"),
            ("u@h:22", "u|h|22"),
            ("u@v@h", "u@v|h|-"),
            ("a,u@b,c:3", "-|a|- u|b|- -|c|3"),
            ("[::1]:22", "-|::1|22"),
            ("u@[fe80::1%eth0]", "u|fe80::1%eth0|-"),
            ("ssh://w%41@j2:33/", "wA|j2|33"),
            ("ssh://u;fingerprint=x-y@h", "u|h|-"),
            ("%h-gw", "-|%h-gw|-"),
            ("h:", "-|h|-"),
            ("none,none", "-|none|- -|none|-"),
            ("@h", "invalid ProxyJump \"@h\""),
            ("u@", "invalid ProxyJump \"u@\""),
            ("h/22", "invalid ProxyJump \"h/22\""),
            ("2001::1", "invalid ProxyJump \"2001::1\""),
            ("a,,b", "invalid ProxyJump \"\""),
            ("ssh://h/x", "invalid ProxyJump \"ssh://h/x\""),
            ("h:0", "invalid ProxyJump \"h:0\""),
            ("h:65536", "invalid ProxyJump \"h:65536\""),
            ("-oProxyCommand=x", "invalid ProxyJump \"-oProxyCommand=x\""),
            ("$(id)", "invalid ProxyJump \"$(id)\""),
        ] {
            assert_eq!(shown(value), expected, "{value}");
        }
    }
}
