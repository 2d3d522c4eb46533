//! Makes a [`HostConfig`] of the settings that apply: defaults, tokens, and what must be refused.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::algorithms::AlgorithmSpec;
use super::blocks::{Parsed, Setting};
use super::error::ConfigError;
use super::evaluate::{Chosen, Query};
use super::host::{AddressFamily, Agent, HostConfig, Note, StrictHostKeyChecking};
use super::jump::Jump;
use super::keywords::{Keyword, Treatment};
use super::tokens::{Environment, Tokens, expand_tilde};
use super::value::Value;
use crate::targets::SSH_PORT;

/// The methods of logging in, in the order in which ssh tries them.
const METHODS: &str = "gssapi-with-mic,hostbased,publickey,keyboard-interactive,password";
/// How often a server is asked for a sign of life if nobody is there to notice: Debian's default.
const BATCH_ALIVE: Duration = Duration::from_secs(300);
/// The shortest RSA key that ssh takes.
const RSA_BITS: u32 = 1024;

/// What is the same for all hosts.
#[derive(Clone, Copy, Debug)]
pub(super) struct Surroundings<'a> {
    /// The configuration.
    pub(super) parsed: &'a Parsed,
    /// The caller's variables.
    pub(super) environment: &'a Environment,
    /// ssh's default keys that exist.
    pub(super) default_identities: &'a [PathBuf],
    /// ssh's default files for the user's known hosts.
    pub(super) default_known_hosts: &'a [PathBuf],
}

/// Decides everything about a host. `port` is the one that was given with it.
pub(super) fn decide(
    surroundings: Surroundings<'_>,
    query: Query<'_>,
    port: Option<u16>,
    chosen: &Chosen<'_>,
) -> Result<HostConfig, ConfigError> {
    let parsed = surroundings.parsed;
    let notes = judge(parsed, chosen)?;
    let local = query.local;
    let user = query.user.or(chosen.text(Keyword::User));
    let user = user.unwrap_or(&local.user);
    let port = port
        .or_else(|| number(chosen, Keyword::Port).and_then(|port| u16::try_from(port).ok()))
        .unwrap_or(SSH_PORT);
    let alias = chosen
        .text(Keyword::HostKeyAlias)
        .map(str::to_ascii_lowercase);
    let tokens = Tokens {
        local,
        host: &chosen.host,
        original: query.given,
        key_name: alias.as_deref().unwrap_or(query.given),
        port,
        user,
    };
    let expanded = |setting: &Setting, text: &str| {
        tokens
            .expand_file(text, surroundings.environment)
            .map_err(|message| parsed.error(&setting.place, message, None))
    };
    let paths = |settings: &[&Setting]| {
        let mut paths = Vec::new();
        for setting in settings {
            if let Value::Text(text) = &setting.value
                && !text.eq_ignore_ascii_case("none")
            {
                paths.push(PathBuf::from(expanded(setting, text)?));
            }
        }
        Ok::<_, ConfigError>(paths)
    };
    let identity_explicit = !chosen.identities.is_empty();
    let batch_mode = flag(chosen, Keyword::BatchMode, false);
    Ok(HostConfig {
        identity_files: match identity_explicit {
            true => paths(&chosen.identities)?,
            false => surroundings.default_identities.to_vec(),
        },
        identity_explicit,
        certificate_files: paths(&chosen.certificates)?,
        identities_only: flag(chosen, Keyword::IdentitiesOnly, false),
        identity_agent: match chosen.get(Keyword::IdentityAgent) {
            Some(setting) => agent(setting, surroundings.environment, expanded)?,
            None => Agent::Default,
        },
        user_known_hosts_files: match words(chosen, Keyword::UserKnownHostsFile) {
            Some((setting, files)) => files
                .iter()
                .map(|file| expanded(setting, file).map(PathBuf::from))
                .collect::<Result<_, _>>()?,
            None => surroundings.default_known_hosts.to_vec(),
        },
        global_known_hosts_files: match words(chosen, Keyword::GlobalKnownHostsFile) {
            Some((setting, files)) => files
                .iter()
                .map(|file| {
                    expand_tilde(file, &local.home)
                        .map(PathBuf::from)
                        .map_err(|message| parsed.error(&setting.place, message, None))
                })
                .collect::<Result<_, _>>()?,
            None => ["/etc/ssh/ssh_known_hosts", "/etc/ssh/ssh_known_hosts2"]
                .map(PathBuf::from)
                .to_vec(),
        },
        strict: match choice(chosen, Keyword::StrictHostKeyChecking) {
            Some("no" | "off") => StrictHostKeyChecking::No,
            Some("accept-new") => StrictHostKeyChecking::AcceptNew,
            _ => StrictHostKeyChecking::Yes,
        },
        hash_known_hosts: flag(chosen, Keyword::HashKnownHosts, false),
        check_host_ip: flag(chosen, Keyword::CheckHostIP, false),
        revoked_host_keys: match chosen.get(Keyword::RevokedHostKeys) {
            Some(setting) => match &setting.value {
                Value::Text(text) if !text.eq_ignore_ascii_case("none") => Some(
                    expand_tilde(text, &local.home)
                        .map_err(|message| parsed.error(&setting.place, message, None))?
                        .into(),
                ),
                _ => None,
            },
            None => None,
        },
        required_rsa_size: number(chosen, Keyword::RequiredRSASize).unwrap_or(RSA_BITS),
        connect_timeout: seconds(chosen, Keyword::ConnectTimeout, None),
        connection_attempts: attempts(parsed, chosen)?,
        jumps: jumps(parsed, chosen, &tokens)?,
        address_family: match choice(chosen, Keyword::AddressFamily) {
            Some("inet") => AddressFamily::Inet,
            Some("inet6") => AddressFamily::Inet6,
            _ => AddressFamily::Any,
        },
        tcp_keep_alive: flag(chosen, Keyword::TCPKeepAlive, true),
        server_alive_interval: seconds(
            chosen,
            Keyword::ServerAliveInterval,
            batch_mode.then_some(BATCH_ALIVE),
        ),
        server_alive_count_max: number(chosen, Keyword::ServerAliveCountMax).unwrap_or(3),
        compression: flag(chosen, Keyword::Compression, false),
        host_key_algorithms: algorithms(chosen, Keyword::HostKeyAlgorithms),
        kex_algorithms: algorithms(chosen, Keyword::KexAlgorithms),
        ciphers: algorithms(chosen, Keyword::Ciphers),
        macs: algorithms(chosen, Keyword::MACs),
        pubkey_accepted_algorithms: algorithms(chosen, Keyword::PubkeyAcceptedAlgorithms),
        ca_signature_algorithms: algorithms(chosen, Keyword::CASignatureAlgorithms),
        pubkey_authentication: uses_keys(chosen),
        password_authentication: flag(chosen, Keyword::PasswordAuthentication, true),
        kbd_interactive_authentication: flag(chosen, Keyword::KbdInteractiveAuthentication, true),
        preferred_authentications: methods(chosen).map(str::to_owned).collect(),
        number_of_password_prompts: number(chosen, Keyword::NumberOfPasswordPrompts).unwrap_or(3),
        batch_mode,
        set_env: set_env(chosen),
        send_env: chosen
            .send_env
            .iter()
            .map(|&each| each.to_owned())
            .collect(),
        notes,
        host_name: chosen.host.clone(),
        user: user.to_owned(),
        port,
        host_key_alias: alias,
    })
}

/// Refuses what would change who is trusted or how the host is reached, and gathers what is ignored.
fn judge(parsed: &Parsed, chosen: &Chosen<'_>) -> Result<Vec<Note>, ConfigError> {
    let quiet = |setting: &Setting, values: &[&str]| {
        let word = setting.value.word();
        let number = match &setting.value {
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        };
        let word = word.or(number.as_deref());
        word.is_some_and(|word| values.iter().any(|value| value.eq_ignore_ascii_case(word)))
    };
    let nothing_forwarded = flag(chosen, Keyword::ClearAllForwardings, false);
    let mut notes = Vec::new();
    for setting in chosen.all() {
        let row = setting.keyword.row();
        match row.treatment {
            Treatment::Refused(values) if !quiet(setting, values) => {
                return Err(refused(parsed, setting, values.first().copied()));
            }
            Treatment::Noted(values, why) if !quiet(setting, values) => {
                let forwarding = matches!(
                    setting.keyword,
                    Keyword::LocalForward | Keyword::RemoteForward | Keyword::DynamicForward
                );
                if !(forwarding && nothing_forwarded) {
                    notes.push(Note {
                        file: Arc::clone(&parsed.texts[setting.place.text].name),
                        line: setting.place.line,
                        keyword: row.name,
                        why,
                    });
                }
            }
            _ => {}
        }
    }
    if let Some(setting) = chosen.get(Keyword::LocalCommand)
        && flag(chosen, Keyword::PermitLocalCommand, false)
        && !quiet(setting, &["none"])
    {
        return Err(refused(parsed, setting, Some("none")));
    }
    let usable = |method: &str| match method {
        "publickey" => uses_keys(chosen),
        "password" => flag(chosen, Keyword::PasswordAuthentication, true),
        "keyboard-interactive" => flag(chosen, Keyword::KbdInteractiveAuthentication, true),
        _ => false,
    };
    if !methods(chosen).any(usable) {
        let setting = chosen
            .get(Keyword::PreferredAuthentications)
            .or(chosen.get(Keyword::PubkeyAuthentication));
        if let Some(setting) = setting {
            return Err(parsed.error(
                &setting.place,
                "no way to log in is left: the built-in ssh has publickey, password and \
                 keyboard-interactive, and all are turned off",
                Some("-R openssh runs the system's ssh, which has more".into()),
            ));
        }
    }
    Ok(notes)
}

fn refused(parsed: &Parsed, setting: &Setting, harmless: Option<&str>) -> ConfigError {
    let name = setting.keyword.row().name;
    let system = "-R openssh runs the system's ssh, which has it";
    let help = match (setting.keyword, harmless) {
        // ssh refuses it beside a command, too.
        (Keyword::RemoteCommand, _) => "--ssh-option RemoteCommand=none sets it aside".into(),
        (_, Some(value)) => format!("{system}; --ssh-option {name}={value} does without"),
        (_, None) => system.into(),
    };
    let message = format!("{name} is not supported by the built-in ssh");
    parsed.error(&setting.place, message, Some(help))
}

/// Which agent a setting names.
fn agent(
    setting: &Setting,
    environment: &Environment,
    expanded: impl Fn(&Setting, &str) -> Result<String, ConfigError>,
) -> Result<Agent, ConfigError> {
    let Value::Text(text) = &setting.value else {
        return Ok(Agent::Default);
    };
    Ok(match text.strip_prefix('$') {
        // A variable that isn't set means no agent, as in ssh.
        Some(name) if !name.starts_with('{') => environment
            .get(name)
            .map_or(Agent::None, |path| Agent::Path(path.into())),
        _ => match &*expanded(setting, text)? {
            "none" => Agent::None,
            "SSH_AUTH_SOCK" => Agent::Default,
            path => Agent::Path(path.into()),
        },
    })
}

fn jumps(
    parsed: &Parsed,
    chosen: &Chosen<'_>,
    tokens: &Tokens<'_>,
) -> Result<Vec<Jump>, ConfigError> {
    let Some(setting) = chosen.get(Keyword::ProxyJump) else {
        return Ok(Vec::new());
    };
    let Value::Jumps(jumps) = &setting.value else {
        return Ok(Vec::new());
    };
    let fault = |message: String| parsed.error(&setting.place, message, None);
    let expand = |text: &str| tokens.expand_jump(text).map_err(fault);
    let mut expanded = Vec::new();
    for jump in jumps {
        expanded.push(Jump {
            user: jump.user.as_deref().map(expand).transpose()?,
            host: expand(&jump.host)?,
            port: jump.port,
        });
    }
    if let Some(last) = jumps.last()
        && last.host == tokens.host
        && last.port.unwrap_or(SSH_PORT) == tokens.port
        && last.user.as_deref().unwrap_or(tokens.user) == tokens.user
    {
        return Err(fault(format!(
            "the way to {} leads through itself",
            last.host
        )));
    }
    Ok(expanded)
}

fn attempts(parsed: &Parsed, chosen: &Chosen<'_>) -> Result<u32, ConfigError> {
    match chosen.get(Keyword::ConnectionAttempts) {
        Some(Setting {
            value: Value::Number(0),
            place,
            ..
        }) => Err(parsed.error(place, "at least one attempt is needed", None)),
        _ => Ok(number(chosen, Keyword::ConnectionAttempts).unwrap_or(1)),
    }
}

fn set_env(chosen: &Chosen<'_>) -> Vec<(String, String)> {
    let mut variables: Vec<(String, String)> = Vec::new();
    if let Some(Setting {
        value: Value::Assignments(pairs),
        ..
    }) = chosen.get(Keyword::SetEnv)
    {
        for (name, value) in pairs {
            if !variables.iter().any(|(known, _)| known == name) {
                variables.push((name.clone(), value.clone()));
            }
        }
    }
    variables
}

fn methods<'c>(chosen: &Chosen<'c>) -> impl Iterator<Item = &'c str> + use<'c> {
    let methods = chosen.text(Keyword::PreferredAuthentications);
    methods.unwrap_or(METHODS).split(',')
}

fn uses_keys(chosen: &Chosen<'_>) -> bool {
    choice(chosen, Keyword::PubkeyAuthentication) != Some("no")
}

fn flag(chosen: &Chosen<'_>, keyword: Keyword, default: bool) -> bool {
    match chosen.get(keyword).map(|setting| &setting.value) {
        Some(Value::Flag(value)) => *value,
        _ => default,
    }
}

fn number(chosen: &Chosen<'_>, keyword: Keyword) -> Option<u32> {
    match chosen.get(keyword)?.value {
        Value::Number(number) => Some(number),
        _ => None,
    }
}

/// A time; 0 means none.
fn seconds(chosen: &Chosen<'_>, keyword: Keyword, default: Option<Duration>) -> Option<Duration> {
    match chosen.get(keyword).map(|setting| &setting.value) {
        Some(Value::Seconds(0)) => None,
        Some(Value::Seconds(seconds)) => Some(Duration::from_secs(u64::from(*seconds))),
        _ => default,
    }
}

fn choice(chosen: &Chosen<'_>, keyword: Keyword) -> Option<&'static str> {
    match chosen.get(keyword)?.value {
        Value::Choice(word) => Some(word),
        _ => None,
    }
}

fn words<'c>(chosen: &Chosen<'c>, keyword: Keyword) -> Option<(&'c Setting, &'c [String])> {
    let setting = chosen.get(keyword)?;
    match &setting.value {
        Value::Words(words) => Some((setting, words)),
        _ => None,
    }
}

fn algorithms(chosen: &Chosen<'_>, keyword: Keyword) -> Option<AlgorithmSpec> {
    match &chosen.get(keyword)?.value {
        Value::Algorithms(spec) => Some(spec.clone()),
        _ => None,
    }
}
