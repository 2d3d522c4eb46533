//! Expansion of `~`, `${NAME}` and tokens such as `%h` in values.

use std::borrow::Cow;
use std::collections::HashMap;
use std::path::{Path, PathBuf};

use openssl::sha::sha1;
use uzers::os::unix::UserExt as _;

/// Environment variables. Variables that are not UTF-8 cannot be expressed.
pub type Environment = HashMap<String, String>;

/// The local values of tokens.
#[derive(Clone, Debug)]
pub(super) struct LocalContext {
    /// Home directory of the local user.
    pub(super) home: PathBuf,
    /// Name of the local user.
    pub(super) user: String,
    /// User ID of the local user.
    pub(super) uid: u32,
    /// Name of the local host.
    pub(super) host: String,
}

/// The values of tokens for one host.
#[derive(Clone, Copy, Debug)]
pub(super) struct TokenValues<'a> {
    /// The local values.
    pub(super) local: &'a LocalContext,
    /// `%h`.
    pub(super) host: &'a str,
    /// `%n`.
    pub(super) original: &'a str,
    /// `%k`: the `HostKeyAlias`, or the name as given by the user.
    pub(super) key_name: &'a str,
    /// `%p`.
    pub(super) port: u16,
    /// `%r`.
    pub(super) user: &'a str,
}

impl TokenValues<'_> {
    /// Tokens in file names.
    fn of_files(&self, token: char) -> Option<Cow<'_, str>> {
        let local = self.local;
        Some(match token {
            'C' => {
                let TokenValues {
                    host, port, user, ..
                } = self;
                // ssh_config(5): %C is the hash of %l%h%p%r.
                let text = format!("{}{host}{port}{user}", local.host);
                let digest = sha1(text.as_bytes());
                digest
                    .iter()
                    .map(|byte| format!("{byte:02x}"))
                    .collect::<String>()
                    .into()
            }
            'd' => local.home.to_string_lossy(),
            'i' => local.uid.to_string().into(),
            'k' => self.key_name.into(),
            'L' => local.host.split('.').next().unwrap_or_default().into(),
            'l' => local.host.as_str().into(),
            'u' => local.user.as_str().into(),
            other => return self.of_jumps(other),
        })
    }

    /// Tokens in `ProxyJump`.
    fn of_jumps(&self, token: char) -> Option<Cow<'_, str>> {
        Some(match token {
            'h' => self.host.into(),
            'n' => self.original.into(),
            'p' => self.port.to_string().into(),
            'r' => self.user.into(),
            _ => return None,
        })
    }

    /// Expands a part of `ProxyJump`.
    pub(super) fn expand_jump(&self, text: &str) -> Result<String, String> {
        percent(text, |token| self.of_jumps(token))
    }

    /// Expands a file name: first the tilde, then tokens and variables in a single pass, so that their values are not
    /// expanded again.
    pub(super) fn expand_file(
        &self,
        text: &str,
        environment: &Environment,
    ) -> Result<String, String> {
        let text = expand_tilde(text, &self.local.home)?;
        expand(&text, &|token| self.of_files(token), Some(environment))
    }
}

/// Expands `%h` in a `HostName` to the name so far.
pub(super) fn expand_host_name(text: &str, host: &str) -> Result<String, String> {
    percent(text, |token| (token == 'h').then(|| host.into()))
}

/// Expands `~` and `~user` at the start of a path.
pub(super) fn expand_tilde(text: &str, home: &Path) -> Result<String, String> {
    let Some(rest) = text.strip_prefix('~') else {
        return Ok(text.to_owned());
    };
    let (user, path) = match rest.split_once('/') {
        Some((user, path)) => (user, Some(path)),
        None => (rest, None),
    };
    let home = match user {
        "" => home.to_owned(),
        user => uzers::get_user_by_name(user)
            .ok_or_else(|| format!("there is no user '{user}' for '~{user}'"))?
            .home_dir()
            .to_owned(),
    };
    // After `~//`, `join` would take the rest for an absolute path.
    let path = path.map_or(home.clone(), |path| home.join(path.trim_start_matches('/')));
    Ok(path.to_string_lossy().into_owned())
}

/// Expands only `${NAME}`.
pub(super) fn expand_variables(text: &str, environment: &Environment) -> Result<String, String> {
    expand(
        text,
        // Tokens stay unchanged here: their values depend on the host.
        &|token| Some(format!("%{token}").into()),
        Some(environment),
    )
}

fn percent<'a>(text: &str, token: impl Fn(char) -> Option<Cow<'a, str>>) -> Result<String, String> {
    expand(text, &token, None)
}

fn expand<'a>(
    text: &str,
    token: &dyn Fn(char) -> Option<Cow<'a, str>>,
    environment: Option<&Environment>,
) -> Result<String, String> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(['%', '$']) {
        out.push_str(&rest[..at]);
        let mark = &rest[at..];
        rest = &mark[1..];
        match environment {
            Some(environment) if mark.starts_with("${") => {
                let (name, after) = mark[2..]
                    .split_once('}')
                    .ok_or_else(|| format!("'${{' without '}}' in '{text}'"))?;
                let value = environment.get(name);
                out.push_str(
                    // As in ssh, an unset variable is an error, not an empty text.
                    value.ok_or_else(|| format!("the environment variable '{name}' is not set"))?,
                );
                rest = after;
            }
            _ if mark.starts_with('$') => out.push('$'),
            _ => {
                let mut after = rest.chars();
                match after.next() {
                    Some('%') => out.push('%'),
                    Some(letter) => out.push_str(
                        &token(letter).ok_or_else(|| format!("unknown token %{letter}"))?,
                    ),
                    None => return Err(format!("'%' at the end of '{text}'")),
                }
                rest = after.as_str();
            }
        }
    }
    out.push_str(rest);
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_stands_for_something() {
        let local = LocalContext {
            home: "/home/me".into(),
            user: "me".into(),
            uid: 1000,
            host: "desk.example.com".into(),
        };
        let tokens = TokenValues {
            local: &local,
            host: "n1.example.com",
            original: "n1",
            key_name: "alias",
            port: 2222,
            user: "root",
        };
        let environment = Environment::from([("A".into(), "x%h${B}".into())]);
        let expand = |text| tokens.expand_file(text, &environment);
        for (text, expected) in [
            ("~/k", Ok("/home/me/k")),
            ("~", Ok("/home/me")),
            ("~//k", Ok("/home/me/k")),
            ("~root/k", Ok("/root/k")),
            ("a~/k", Ok("a~/k")),
            (
                "%%%h-%n-%p-%r-%u-%d-%L-%l-%i-%k",
                Ok("%n1.example.com-n1-2222-root-me-/home/me-desk-desk.example.com-1000-alias"),
            ),
            // printf '%s' desk.example.comn1.example.com2222root | sha1sum
            ("%C", Ok("a391b9a240abdf7d1be70a27f6a82ec2e2e8eca1")),
            ("${A}/$A", Ok("x%h${B}/$A")),
            ("${A", Err("'${' without '}' in '${A'")),
            ("${Z}", Err("the environment variable 'Z' is not set")),
            ("%j", Err("unknown token %j")),
            ("a%", Err("'%' at the end of 'a%'")),
            (
                "~nobody-of-that-name/k",
                Err("there is no user 'nobody-of-that-name' for '~nobody-of-that-name'"),
            ),
        ] {
            assert_eq!(
                expand(text).as_deref().map_err(String::as_str),
                expected,
                "{text}"
            );
        }
        assert_eq!(expand_host_name("%h.x%%", "a").unwrap(), "a.x%");
        assert!(expand_host_name("%n", "a").is_err());
        assert_eq!(tokens.expand_jump("%r@%h").unwrap(), "root@n1.example.com");
        assert!(tokens.expand_jump("%d").is_err());
    }
}
