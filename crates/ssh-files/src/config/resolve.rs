//! Makes a [`HostConfig`] of the selected settings: applies defaults, expands tokens and refuses unsupported settings.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::algorithms::AlgorithmSpec;
use super::blocks::{ParsedConfig, Setting};
use super::error::{ConfigError, ConfigLineErrorKind};
use super::host_config::{
    AddressFamily, AgentSetting, HostConfig, IgnoredSetting, StrictHostKeyChecking,
};
use super::jump::JumpHost;
use super::keywords::{Keyword, KeywordSupport};
use super::select::{HostQuery, SelectedSettings};
use super::tokens::{Environment, TokenValues, expand_tilde};
use super::values::SettingValue;

/// Default port.
const PORT: u16 = 22;
/// Default authentication methods, in the order of ssh.
const METHODS: &str = "gssapi-with-mic,hostbased,publickey,keyboard-interactive,password";
/// Default of `ServerAliveInterval` with `BatchMode`.
// A change of Debian's.
const BATCH_ALIVE: Duration = Duration::from_secs(300);
/// Default minimum length of RSA keys, in bits.
const RSA_BITS: u32 = 1024;

/// Input that is the same for all hosts.
#[derive(Clone, Copy, Debug)]
pub(super) struct ResolveContext<'a> {
    /// The parsed configuration.
    pub(super) parsed: &'a ParsedConfig,
    /// The local environment variables.
    pub(super) environment: &'a Environment,
    /// Default key files that exist.
    pub(super) default_identities: &'a [PathBuf],
    /// Default files of the user's known hosts.
    pub(super) default_known_hosts: &'a [PathBuf],
}

/// Resolves the settings of a host. `port` comes before the configuration.
pub(super) fn resolve(
    context: ResolveContext<'_>,
    query: HostQuery<'_>,
    port: Option<u16>,
    selected: &SelectedSettings<'_>,
) -> Result<HostConfig, ConfigError> {
    let parsed = context.parsed;
    let ignored = check_support(parsed, selected)?;
    let local = query.local;
    let user = query.user.or(selected.text(Keyword::User));
    let user = user.unwrap_or(&local.user);
    let port = port
        .or_else(|| number(selected, Keyword::Port).and_then(|port| u16::try_from(port).ok()))
        .unwrap_or(PORT);
    let alias = selected
        .text(Keyword::HostKeyAlias)
        .map(str::to_ascii_lowercase);
    let tokens = TokenValues {
        local,
        host: &selected.host,
        original: query.given,
        key_name: alias.as_deref().unwrap_or(query.given),
        port,
        user,
    };
    let expanded = |setting: &Setting, text: &str| {
        tokens
            .expand_file(text, context.environment)
            .map_err(|message| parsed.error(&setting.position, message, None))
    };
    let in_home = |setting: &Setting, text: &str| {
        expand_tilde(text, &local.home)
            .map(PathBuf::from)
            .map_err(|message| parsed.error(&setting.position, message, None))
    };
    let paths = |settings: &[&Setting]| {
        let mut paths = Vec::new();
        for setting in settings {
            if let SettingValue::Text(text) = &setting.value
                && !text.eq_ignore_ascii_case("none")
            {
                paths.push(PathBuf::from(expanded(setting, text)?));
            }
        }
        Ok::<_, ConfigError>(paths)
    };
    let identity_explicit = !selected.identities.is_empty();
    let batch_mode = flag(selected, Keyword::BatchMode, false);
    Ok(HostConfig {
        identity_files: if identity_explicit {
            paths(&selected.identities)?
        } else {
            context.default_identities.to_vec()
        },
        identity_explicit,
        certificate_files: paths(&selected.certificates)?,
        identities_only: flag(selected, Keyword::IdentitiesOnly, false),
        identity_agent: match selected.get(Keyword::IdentityAgent) {
            Some(setting) => agent(setting, context.environment, expanded)?,
            None => AgentSetting::Default,
        },
        user_known_hosts_files: match words(selected, Keyword::UserKnownHostsFile) {
            Some((setting, files)) => files
                .iter()
                .map(|file| expanded(setting, file).map(PathBuf::from))
                .collect::<Result<_, _>>()?,
            None => context.default_known_hosts.to_vec(),
        },
        global_known_hosts_files: match words(selected, Keyword::GlobalKnownHostsFile) {
            Some((setting, files)) => files
                .iter()
                // ssh_config(5) lists no tokens for this keyword.
                .map(|file| in_home(setting, file))
                .collect::<Result<_, _>>()?,
            None => ["/etc/ssh/ssh_known_hosts", "/etc/ssh/ssh_known_hosts2"]
                .map(PathBuf::from)
                .to_vec(),
        },
        strict: strict_checking(selected),
        hash_known_hosts: flag(selected, Keyword::HashKnownHosts, false),
        // The default is `no` since OpenSSH 8.5.
        check_host_ip: flag(selected, Keyword::CheckHostIP, false),
        revoked_host_keys: match selected.get(Keyword::RevokedHostKeys) {
            Some(setting) => match &setting.value {
                SettingValue::Text(text) if !text.eq_ignore_ascii_case("none") => {
                    Some(in_home(setting, text)?)
                }
                _ => None,
            },
            None => None,
        },
        required_rsa_size: number(selected, Keyword::RequiredRSASize).unwrap_or(RSA_BITS),
        connect_timeout: seconds(selected, Keyword::ConnectTimeout, None),
        connection_attempts: attempts(parsed, selected)?,
        jumps: jumps(parsed, selected, &tokens)?,
        address_family: address_family(selected),
        tcp_keep_alive: flag(selected, Keyword::TCPKeepAlive, true),
        server_alive_interval: seconds(
            selected,
            Keyword::ServerAliveInterval,
            batch_mode.then_some(BATCH_ALIVE),
        ),
        server_alive_count_max: number(selected, Keyword::ServerAliveCountMax).unwrap_or(3),
        compression: flag(selected, Keyword::Compression, false),
        host_key_algorithms: algorithms(selected, Keyword::HostKeyAlgorithms),
        kex_algorithms: algorithms(selected, Keyword::KexAlgorithms),
        ciphers: algorithms(selected, Keyword::Ciphers),
        macs: algorithms(selected, Keyword::MACs),
        pubkey_accepted_algorithms: algorithms(selected, Keyword::PubkeyAcceptedAlgorithms),
        ca_signature_algorithms: algorithms(selected, Keyword::CASignatureAlgorithms),
        pubkey_authentication: uses_keys(selected),
        password_authentication: flag(selected, Keyword::PasswordAuthentication, true),
        kbd_interactive_authentication: flag(selected, Keyword::KbdInteractiveAuthentication, true),
        preferred_authentications: methods(selected).map(str::to_owned).collect(),
        number_of_password_prompts: number(selected, Keyword::NumberOfPasswordPrompts).unwrap_or(3),
        batch_mode,
        set_env: set_env(selected),
        send_env: selected
            .send_env
            .iter()
            .map(|&each| each.to_owned())
            .collect(),
        ignored,
        host_name: selected.host.clone(),
        user: user.to_owned(),
        port,
        host_key_alias: alias,
    })
}

fn strict_checking(selected: &SelectedSettings<'_>) -> StrictHostKeyChecking {
    match choice(selected, Keyword::StrictHostKeyChecking) {
        Some("no" | "off") => StrictHostKeyChecking::No,
        Some("accept-new") => StrictHostKeyChecking::AcceptNew,
        // Nobody can answer `ask` for many hosts at once.
        _ => StrictHostKeyChecking::Yes,
    }
}

fn address_family(selected: &SelectedSettings<'_>) -> AddressFamily {
    match choice(selected, Keyword::AddressFamily) {
        Some("inet") => AddressFamily::Inet,
        Some("inet6") => AddressFamily::Inet6,
        _ => AddressFamily::Any,
    }
}

/// Refuses unsupported settings. Returns the ignored ones.
fn check_support(
    parsed: &ParsedConfig,
    selected: &SelectedSettings<'_>,
) -> Result<Vec<IgnoredSetting>, ConfigError> {
    let is_one_of = |setting: &Setting, values: &[&str]| {
        let word = setting.value.word();
        // The table holds values as text, also for numbers such as that of ConnectionAttempts.
        let number = match &setting.value {
            SettingValue::Number(number) => Some(number.to_string()),
            _ => None,
        };
        let word = word.or(number.as_deref());
        word.is_some_and(|word| values.iter().any(|value| value.eq_ignore_ascii_case(word)))
    };
    let nothing_forwarded = flag(selected, Keyword::ClearAllForwardings, false);
    let mut ignored = Vec::new();
    // Only settings that apply to the host: others must not make it fail.
    for setting in selected.all() {
        let info = setting.keyword.info();
        match info.support {
            KeywordSupport::Unsupported(values) if !is_one_of(setting, values) => {
                return Err(unsupported(parsed, setting, values.first().copied()));
            }
            KeywordSupport::Ignored(values, reason) if !is_one_of(setting, values) => {
                let forwarding = matches!(
                    setting.keyword,
                    Keyword::LocalForward | Keyword::RemoteForward | Keyword::DynamicForward
                );
                // ssh_config(5): ClearAllForwardings clears the other settings, so nothing is missing.
                if !(forwarding && nothing_forwarded) {
                    let source = &parsed.texts[setting.position.text];
                    ignored.push(IgnoredSetting {
                        origin: Arc::clone(&source.name),
                        line: source.is_file.then_some(setting.position.line),
                        keyword: info.name,
                        reason,
                    });
                }
            }
            _ => {}
        }
    }
    // ssh runs no LocalCommand without PermitLocalCommand.
    if let Some(setting) = selected.get(Keyword::LocalCommand)
        && flag(selected, Keyword::PermitLocalCommand, false)
        && !is_one_of(setting, &["none"])
    {
        return Err(unsupported(parsed, setting, Some("none")));
    }
    let usable = |method: &str| match method {
        "publickey" => uses_keys(selected),
        "password" => flag(selected, Keyword::PasswordAuthentication, true),
        "keyboard-interactive" => flag(selected, Keyword::KbdInteractiveAuthentication, true),
        _ => false,
    };
    // No login could succeed, so this is an error before the first connection.
    if !methods(selected).any(usable) {
        // Without either keyword, public keys are on.
        let setting = selected
            .get(Keyword::PreferredAuthentications)
            .or(selected.get(Keyword::PubkeyAuthentication));
        if let Some(setting) = setting {
            return Err(parsed.error_of_kind(
                &setting.position,
                ConfigLineErrorKind::NoAuthentication,
                "no way to log in is left: publickey, password and keyboard-interactive are all turned off",
                None,
            ));
        }
    }
    Ok(ignored)
}

fn unsupported(
    parsed: &ParsedConfig,
    setting: &Setting,
    supported_value: Option<&'static str>,
) -> ConfigError {
    let keyword = setting.keyword.info().name;
    let kind = ConfigLineErrorKind::Unsupported {
        keyword,
        supported_value,
    };
    let message = format!("{keyword} is not supported");
    parsed.error_of_kind(&setting.position, kind, message, None)
}

/// Resolves the agent of a setting.
fn agent(
    setting: &Setting,
    environment: &Environment,
    expanded: impl Fn(&Setting, &str) -> Result<String, ConfigError>,
) -> Result<AgentSetting, ConfigError> {
    let SettingValue::Text(text) = &setting.value else {
        return Ok(AgentSetting::Default);
    };
    Ok(match text.strip_prefix('$') {
        // An unset variable means no agent, as in ssh.
        Some(name) if !name.starts_with('{') => environment
            .get(name)
            .map_or(AgentSetting::None, |path| AgentSetting::Path(path.into())),
        _ => match &*expanded(setting, text)? {
            "none" => AgentSetting::None,
            // ssh_config(5): this word means the variable of that name.
            "SSH_AUTH_SOCK" => AgentSetting::Default,
            path => AgentSetting::Path(path.into()),
        },
    })
}

fn jumps(
    parsed: &ParsedConfig,
    selected: &SelectedSettings<'_>,
    tokens: &TokenValues<'_>,
) -> Result<Vec<JumpHost>, ConfigError> {
    let Some(setting) = selected.get(Keyword::ProxyJump) else {
        return Ok(Vec::new());
    };
    let SettingValue::Jumps(jumps) = &setting.value else {
        return Ok(Vec::new());
    };
    let fault = |message: String| parsed.error(&setting.position, message, None);
    let expand = |text: &str| tokens.expand_jump(text).map_err(fault);
    let mut expanded = Vec::new();
    for jump in jumps {
        expanded.push(JumpHost {
            user: jump.user.as_deref().map(expand).transpose()?,
            host: expand(&jump.host)?,
            port: jump.port,
        });
    }
    // Such a host would be its own jump host without end.
    if let Some(last) = jumps.last()
        && last.host == tokens.host
        && last.port.unwrap_or(PORT) == tokens.port
        && last.user.as_deref().unwrap_or(tokens.user) == tokens.user
    {
        return Err(fault(format!(
            "the way to {} leads through itself",
            last.host
        )));
    }
    Ok(expanded)
}

fn attempts(parsed: &ParsedConfig, selected: &SelectedSettings<'_>) -> Result<u32, ConfigError> {
    match selected.get(Keyword::ConnectionAttempts) {
        Some(Setting {
            value: SettingValue::Number(0),
            position,
            ..
        }) => Err(parsed.error(position, "at least one attempt is needed", None)),
        _ => Ok(number(selected, Keyword::ConnectionAttempts).unwrap_or(1)),
    }
}

fn set_env(selected: &SelectedSettings<'_>) -> Vec<(String, String)> {
    let mut variables: Vec<(String, String)> = Vec::new();
    if let Some(Setting {
        value: SettingValue::Assignments(pairs),
        ..
    }) = selected.get(Keyword::SetEnv)
    {
        for (name, value) in pairs {
            // The first value of a name wins.
            if !variables.iter().any(|(known, _)| known == name) {
                variables.push((name.clone(), value.clone()));
            }
        }
    }
    variables
}

fn methods<'c>(selected: &SelectedSettings<'c>) -> impl Iterator<Item = &'c str> + use<'c> {
    let methods = selected.text(Keyword::PreferredAuthentications);
    methods.unwrap_or(METHODS).split(',')
}

fn uses_keys(selected: &SelectedSettings<'_>) -> bool {
    choice(selected, Keyword::PubkeyAuthentication) != Some("no")
}

fn flag(selected: &SelectedSettings<'_>, keyword: Keyword, default: bool) -> bool {
    match selected.get(keyword).map(|setting| &setting.value) {
        Some(SettingValue::Flag(value)) => *value,
        _ => default,
    }
}

fn number(selected: &SelectedSettings<'_>, keyword: Keyword) -> Option<u32> {
    match selected.get(keyword)?.value {
        SettingValue::Number(number) => Some(number),
        _ => None,
    }
}

/// A time. 0 means none.
fn seconds(
    selected: &SelectedSettings<'_>,
    keyword: Keyword,
    default: Option<Duration>,
) -> Option<Duration> {
    match selected.get(keyword).map(|setting| &setting.value) {
        Some(SettingValue::Seconds(0)) => None,
        Some(SettingValue::Seconds(seconds)) => Some(Duration::from_secs(u64::from(*seconds))),
        _ => default,
    }
}

fn choice(selected: &SelectedSettings<'_>, keyword: Keyword) -> Option<&'static str> {
    match selected.get(keyword)?.value {
        SettingValue::Choice(word) => Some(word),
        _ => None,
    }
}

fn words<'c>(
    selected: &SelectedSettings<'c>,
    keyword: Keyword,
) -> Option<(&'c Setting, &'c [String])> {
    let setting = selected.get(keyword)?;
    match &setting.value {
        SettingValue::Words(words) => Some((setting, words)),
        _ => None,
    }
}

fn algorithms(selected: &SelectedSettings<'_>, keyword: Keyword) -> Option<AlgorithmSpec> {
    match &selected.get(keyword)?.value {
        SettingValue::Algorithms(spec) => Some(spec.clone()),
        _ => None,
    }
}
