//! The settings of a host in the form of `ssh -G`, from ssh and from this crate.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use ssh_files::{AddressFamily, AgentSetting, AlgorithmSpec, HostConfig, StrictHostKeyChecking};

use crate::generate::Request;

/// Returns the output of `ssh -G` by keyword, or its error.
pub(crate) fn shown_by_ssh(
    file: &Path,
    request: &Request,
    home: &Path,
) -> Result<BTreeMap<String, Vec<String>>, String> {
    let mut command = Command::new("ssh");
    command
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .env("HOME", home)
        .env("SSHCFG_A", "/var/%h")
        .arg("-G");
    if let Some(user) = request.user {
        command.args(["-l", user]);
    }
    if let Some(port) = request.port {
        command.args(["-p", &port.to_string()]);
    }
    for option in &request.options {
        command.args(["-o", option]);
    }
    let output = command
        .arg("-F")
        .arg(file)
        .arg(request.host)
        .output()
        .unwrap();
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    let mut shown: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for line in String::from_utf8(output.stdout).unwrap().lines() {
        let (keyword, value) = line.split_once(' ').unwrap_or((line, ""));
        shown
            .entry(keyword.to_owned())
            .or_default()
            .push(value.to_owned());
    }
    Ok(shown)
}

/// The algorithms of ssh: all, and the defaults.
pub(crate) struct Algorithms {
    all: BTreeMap<&'static str, Vec<String>>,
    defaults: BTreeMap<String, Vec<String>>,
}

const LISTS: [(&str, &str); 6] = [
    ("ciphers", "cipher"),
    ("kexalgorithms", "kex"),
    ("macs", "mac"),
    ("hostkeyalgorithms", "HostKeyAlgorithms"),
    ("pubkeyacceptedalgorithms", "PubkeyAcceptedAlgorithms"),
    ("casignaturealgorithms", "sig"),
];

impl Algorithms {
    pub(crate) fn ask(home: &Path) -> Algorithms {
        let nothing = Request {
            host: "x",
            user: None,
            port: None,
            options: Vec::new(),
        };
        let all = LISTS.map(|(keyword, query)| {
            let output = Command::new("ssh").args(["-Q", query]).output().unwrap();
            let text = String::from_utf8(output.stdout).unwrap();
            (keyword, text.lines().map(str::to_owned).collect())
        });
        Algorithms {
            all: all.into(),
            defaults: shown_by_ssh(Path::new("/dev/null"), &nothing, home).unwrap(),
        }
    }

    fn chosen(&self, keyword: &str, spec: Option<&AlgorithmSpec>) -> String {
        let default = &self.defaults[keyword][0];
        let Some(spec) = spec else {
            return default.clone();
        };
        let defaults: Vec<&str> = default.split(',').collect();
        let all: Vec<&str> = self.all[keyword].iter().map(String::as_str).collect();
        spec.apply(&defaults, &all).join(",")
    }
}

fn yes(flag: bool) -> Vec<String> {
    vec![if flag { "yes" } else { "no" }.to_owned()]
}

fn path(path: &Path) -> String {
    path.to_str().unwrap().to_owned()
}

/// Returns our settings in the form of `ssh -G`, except for the differences that [`common`] removes.
pub(crate) fn shown_by_us(
    config: &HostConfig,
    algorithms: &Algorithms,
) -> BTreeMap<&'static str, Vec<String>> {
    let number = |number: u64| vec![number.to_string()];
    let seconds = |time: Option<Duration>| number(time.map_or(0, |time| time.as_secs()));
    let files = |files: &[PathBuf]| {
        vec![
            files
                .iter()
                .map(|file| path(file))
                .collect::<Vec<_>>()
                .join(" "),
        ]
    };
    let option = |text: Option<String>| text.into_iter().collect::<Vec<_>>();
    let jumps: Vec<String> = config
        .jumps
        .iter()
        .map(|jump| {
            let user = jump
                .user
                .as_ref()
                .map(|user| format!("{user}@"))
                .unwrap_or_default();
            let port = jump.port.map(|port| format!(":{port}")).unwrap_or_default();
            if jump.host.contains(':') {
                format!("{user}[{}]{port}", jump.host)
            } else {
                format!("{user}{}{port}", jump.host)
            }
        })
        .collect();
    let list =
        |keyword, spec: &Option<AlgorithmSpec>| vec![algorithms.chosen(keyword, spec.as_ref())];
    BTreeMap::from([
        ("user", vec![config.user.clone()]),
        ("hostname", vec![config.host_name.clone()]),
        ("port", number(config.port.into())),
        (
            "addressfamily",
            vec![
                match config.address_family {
                    AddressFamily::Any => "any",
                    AddressFamily::Inet => "inet",
                    AddressFamily::Inet6 => "inet6",
                }
                .to_owned(),
            ],
        ),
        ("batchmode", yes(config.batch_mode)),
        ("checkhostip", yes(config.check_host_ip)),
        ("compression", yes(config.compression)),
        ("hashknownhosts", yes(config.hash_known_hosts)),
        ("identitiesonly", yes(config.identities_only)),
        (
            "kbdinteractiveauthentication",
            yes(config.kbd_interactive_authentication),
        ),
        (
            "passwordauthentication",
            yes(config.password_authentication),
        ),
        ("pubkeyauthentication", yes(config.pubkey_authentication)),
        ("tcpkeepalive", yes(config.tcp_keep_alive)),
        (
            "stricthostkeychecking",
            vec![
                match config.strict {
                    StrictHostKeyChecking::Yes => "yes",
                    StrictHostKeyChecking::AcceptNew => "accept-new",
                    StrictHostKeyChecking::No => "no",
                }
                .to_owned(),
            ],
        ),
        (
            "connectionattempts",
            number(config.connection_attempts.into()),
        ),
        (
            "numberofpasswordprompts",
            number(config.number_of_password_prompts.into()),
        ),
        (
            "serveralivecountmax",
            number(config.server_alive_count_max.into()),
        ),
        ("serveraliveinterval", seconds(config.server_alive_interval)),
        ("connecttimeout", seconds(config.connect_timeout)),
        ("requiredrsasize", number(config.required_rsa_size.into())),
        ("hostkeyalias", option(config.host_key_alias.clone())),
        (
            "preferredauthentications",
            match config.preferred_authentications.join(",") {
                standard if standard.starts_with("gssapi") => Vec::new(),
                other => vec![other],
            },
        ),
        (
            "revokedhostkeys",
            option(config.revoked_host_keys.as_deref().map(path)),
        ),
        (
            "identityfile",
            if config.identity_explicit {
                config
                    .identity_files
                    .iter()
                    .map(|file| path(file))
                    .collect()
            } else {
                vec!["defaults".into()]
            },
        ),
        (
            "certificatefile",
            config
                .certificate_files
                .iter()
                .map(|file| path(file))
                .collect(),
        ),
        (
            "identityagent",
            match &config.identity_agent {
                AgentSetting::Default => Vec::new(),
                AgentSetting::None => vec!["none".into()],
                AgentSetting::Path(socket) => vec![path(socket)],
            },
        ),
        (
            "globalknownhostsfile",
            files(&config.global_known_hosts_files),
        ),
        ("userknownhostsfile", files(&config.user_known_hosts_files)),
        ("sendenv", config.send_env.clone()),
        ("setenv", {
            let pairs = config.set_env.iter();
            pairs
                .map(|(name, value)| format!("{name}={value}"))
                .collect()
        }),
        (
            "proxyjump",
            option((!jumps.is_empty()).then(|| jumps.join(","))),
        ),
        ("ciphers", list("ciphers", &config.ciphers)),
        (
            "kexalgorithms",
            list("kexalgorithms", &config.kex_algorithms),
        ),
        ("macs", list("macs", &config.macs)),
        (
            "hostkeyalgorithms",
            list("hostkeyalgorithms", &config.host_key_algorithms),
        ),
        (
            "pubkeyacceptedalgorithms",
            list(
                "pubkeyacceptedalgorithms",
                &config.pubkey_accepted_algorithms,
            ),
        ),
        (
            "casignaturealgorithms",
            list("casignaturealgorithms", &config.ca_signature_algorithms),
        ),
    ])
}

/// Converts a value of `ssh -G` for the comparison. For some keywords, ssh shows the text of the file and we show its
/// meaning.
pub(crate) fn common(keyword: &str, values: Option<&Vec<String>>, home: &Path) -> Vec<String> {
    let mut values = values.cloned().unwrap_or_default();
    match keyword {
        // ssh shows files before it expands the tilde, with "none" among them.
        "identityfile" | "certificatefile" => {
            if values.iter().any(|value| value == "~/.ssh/id_xmss") {
                return vec!["defaults".into()];
            }
            values.retain(|value| !value.eq_ignore_ascii_case("none"));
            for value in &mut values {
                if let Some(rest) = value.strip_prefix("~/") {
                    *value = path(&home.join(rest));
                }
            }
        }
        // In ssh, the last pass adds the patterns again.
        "sendenv" => {
            let mut once: Vec<String> = Vec::new();
            for value in values {
                if !once.contains(&value) {
                    once.push(value);
                }
            }
            values = once;
        }
        "identityagent" => values.retain(|value| value != "SSH_AUTH_SOCK"),
        "pubkeyauthentication" => values = yes(values[0] != "false"),
        "stricthostkeychecking" => {
            values[0] = match values[0].as_str() {
                "true" | "ask" => "yes".into(),
                "false" => "no".into(),
                other => other.to_owned(),
            }
        }
        "connecttimeout" if values[0] == "none" => values[0] = "0".into(),
        "userknownhostsfile" if values[0] == "none" => values[0].clear(),
        // ssh takes "none" with a comment for the name of a host. We do not.
        "proxyjump" => values.retain(|value| !value.eq_ignore_ascii_case("none")),
        _ => {}
    }
    values
}
