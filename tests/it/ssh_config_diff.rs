//! The evaluator of ssh's configuration beside ssh itself.
//!
//! A few hundred configurations are made from a seed, which is printed, and every field that `ssh -G`
//! shows must be what we say; where ssh finds an error, so must we.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use fastrand::Rng;
use mrsh::transport::ssh::config::{
    AddressFamily, Agent, AlgorithmSpec, Environment, HostConfig, Sources, SshConfig,
    StrictHostKeyChecking, UserFile,
};
use uzers::os::unix::UserExt as _;

use crate::support::may_skip;

const CONFIGURATIONS: usize = 250;
const HOSTS_EACH: usize = 3;

const HOSTS: [&str; 9] = [
    "web1",
    "web2",
    "WEB1",
    "db1.example.com",
    "x",
    "10.0.0.1",
    "::1",
    "0:0::01",
    "node-7",
];
const PATTERNS: [&str; 16] = [
    "web1",
    "web2",
    "db1.example.com",
    "x",
    "web*",
    "web?",
    "*",
    "*.example.com",
    "*1",
    "?",
    "10.0.0.*",
    "*e*",
    "node-?",
    "WEB1",
    "real.example.com",
    "::*",
];
const USERS: [&str; 6] = ["root", "alice", "bob", "r*", "*", "?ob"];

fn pick<'a>(rng: &mut Rng, from: &[&'a str]) -> &'a str {
    from[rng.usize(..from.len())]
}

/// A keyword with a value that ssh takes.
fn setting(rng: &mut Rng) -> (&'static str, String) {
    let flag = pick(rng, &["yes", "no", "true", "False", "YES"]).to_owned();
    let number = rng.u32(1..9).to_string();
    let time = pick(rng, &["0", "7", "1m", "1h30m", "2M5", "none", "90s"]).to_owned();
    let algorithms = |rng: &mut Rng, names: &[&str]| {
        let sign = pick(rng, &["", "", "+", "-", "^"]);
        let list: Vec<&str> = (0..rng.usize(1..4)).map(|_| pick(rng, names)).collect();
        format!("{sign}{}", list.join(","))
    };
    let file = |rng: &mut Rng| {
        pick(
            rng,
            &[
                "~/kh_%h_%r_%p",
                "%d/%u-%i-%n",
                "/tmp/${SSHCFG_A}/%k",
                "/x/%%/%L/%l",
                "\"/a b/%C\"",
                "kh",
                "'/q q/%n'",
                "/e\\ f",
                "~root/%h",
            ],
        )
        .to_owned()
    };
    let keys = [
        "ssh-ed25519",
        "rsa-sha2-256",
        "rsa-sha2-512",
        "ecdsa-sha2-nistp256",
        "ssh-rsa",
        "ecdsa-*",
        "*-cert-v01@openssh.com",
    ];
    match rng.u8(..44) {
        0..=3 => ("HostName", {
            let names = [
                "%h.example.com",
                "real.example.com",
                "%h",
                "REAL.example.com",
                "10.0.0.2",
                "a%%b",
                "0:0::02",
            ];
            pick(rng, &names).to_owned()
        }),
        4..=5 => (
            "User",
            pick(rng, &["root", "alice", "bob", "\"eve\""]).to_owned(),
        ),
        6 => ("Port", rng.u16(1..).to_string()),
        7..=8 => {
            let names = ["~/k1", "/k2", "none", "~/k3"];
            ("IdentityFile", pick(rng, &names).to_owned())
        }
        9 => ("CertificateFile", pick(rng, &["~/c1", "/c2"]).to_owned()),
        10..=12 => ("UserKnownHostsFile", {
            let files: Vec<String> = (0..rng.usize(1..4)).map(|_| file(rng)).collect();
            files.join(" ")
        }),
        13 => ("GlobalKnownHostsFile", "/etc/a /etc/b".into()),
        14 => ("UserKnownHostsFile", "none".into()),
        15 => ("IdentityAgent", {
            let agents = ["none", "SSH_AUTH_SOCK", "~/agent-%h", "${SSHCFG_A}/%n"];
            pick(rng, &agents).to_owned()
        }),
        16 => ("StrictHostKeyChecking", {
            let values = ["yes", "no", "ask", "off", "accept-new", "ACCEPT-NEW"];
            pick(rng, &values).to_owned()
        }),
        17 => ("HostKeyAlias", pick(rng, &["Alias", "other"]).to_owned()),
        18 => ("ConnectTimeout", time),
        19 => ("ServerAliveInterval", time),
        20 => ("ServerAliveCountMax", number),
        21 => ("ConnectionAttempts", number),
        22 => ("NumberOfPasswordPrompts", number),
        23 => ("RequiredRSASize", "2048".into()),
        24 => ("ProxyJump", {
            let jumps = [
                "none",
                "j1",
                "u@j1:44",
                "j1,u@j2:2",
                "u@[fe80::9]:5",
                "ssh://w@j3:6/",
                "NONE",
            ];
            pick(rng, &jumps).to_owned()
        }),
        25 => ("ProxyCommand", "none".into()),
        26 => (
            "SendEnv",
            pick(rng, &["LANG LC_*", "A B", "-LC_*", "-*", "C"]).to_owned(),
        ),
        27 => (
            "SetEnv",
            pick(rng, &["A=1 B=\"x y\"", "C=3 C=4", "D="]).to_owned(),
        ),
        28 => ("Ciphers", {
            let names = [
                "aes128-ctr",
                "aes256-ctr",
                "aes256-gcm@openssh.com",
                "aes128-cbc",
            ];
            algorithms(rng, &names)
        }),
        29 => ("KexAlgorithms", {
            let names = [
                "curve25519-sha256",
                "ecdh-sha2-nistp256",
                "diffie-hellman-group14-sha1",
            ];
            algorithms(rng, &names)
        }),
        30 => ("MACs", {
            let names = [
                "hmac-sha2-256",
                "hmac-sha1",
                "hmac-sha2-512-etm@openssh.com",
                "hmac-md5",
            ];
            algorithms(rng, &names)
        }),
        31 => ("HostKeyAlgorithms", algorithms(rng, &keys)),
        32 => ("PubkeyAcceptedAlgorithms", algorithms(rng, &keys)),
        33 => (
            "AddressFamily",
            pick(rng, &["any", "inet", "Inet6"]).to_owned(),
        ),
        34 => ("HostKeyAlias", "another".to_owned()),
        35 => ("PreferredAuthentications", "publickey,password".into()),
        36 => (
            "RevokedHostKeys",
            pick(rng, &["/revoked", "none"]).to_owned(),
        ),
        37 => (
            "PubkeyAuthentication",
            pick(rng, &["yes", "no", "unbound"]).to_owned(),
        ),
        38 => ("CASignatureAlgorithms", algorithms(rng, &keys[..4])),
        39 => (
            pick(
                rng,
                &["PasswordAuthentication", "ChallengeResponseAuthentication"],
            ),
            {
                // At least one way to log in is left, as long as keys are.
                pick(rng, &["yes", "no"]).to_owned()
            },
        ),
        _ => {
            let flags = [
                "BatchMode",
                "IdentitiesOnly",
                "HashKnownHosts",
                "CheckHostIP",
                "TCPKeepAlive",
                "KeepAlive",
            ];
            let keyword = pick(rng, &flags);
            (keyword, flag)
        }
    }
}

/// What ssh refuses.
fn mistake(rng: &mut Rng) -> String {
    pick(
        rng,
        &[
            "Port 0",
            "Port x",
            "Port 22 23",
            "Port",
            "BatchMode maybe",
            "ConnectTimeout 1y",
            "Hots a",
            "Host \"\"",
            "Host \"a",
            "Match",
            "Match host",
            "Match all host a",
            "Match sun shine",
            "UserKnownHostsFile none /a",
            "ProxyJump u@",
            "SendEnv A=B",
            "SetEnv A",
            "IdentityFile",
            "HostName a b",
            "AddressFamily ipx",
            "ServerAliveCountMax -1",
            "Compression maybe",
            "IdentityAgent ${SSHCFG_UNSET}",
            "Include",
            "KexAlgorithms +",
            "StrictHostKeyChecking",
            "ConnectionAttempts 99999999999",
        ],
    )
    .to_owned()
}

/// A keyword and its value as people write them.
fn written(rng: &mut Rng, keyword: &str, value: &str) -> String {
    let keyword = match rng.u8(..4) {
        0 => keyword.to_lowercase(),
        1 => keyword.to_uppercase(),
        _ => keyword.to_owned(),
    };
    let indent = pick(rng, &["", "  ", "\t", "    "]);
    let between = pick(rng, &[" ", " ", "  ", "\t", "=", " = "]);
    // What follows a command is part of it.
    let is_raw = keyword.eq_ignore_ascii_case("ProxyCommand");
    let end = match is_raw {
        true => "",
        false => pick(rng, &["", "", "", " ", " # comment", "\r"]),
    };
    format!("{indent}{keyword}{between}{value}{end}\n")
}

fn host_line(rng: &mut Rng) -> String {
    let patterns: Vec<String> = (0..rng.usize(1..4))
        .map(|_| {
            let negation = if rng.u8(..4) == 0 { "!" } else { "" };
            let pattern = pick(rng, &PATTERNS);
            match rng.u8(..6) {
                0 => format!("\"{negation}{pattern}\""),
                1 => format!("'{negation}{pattern}'"),
                _ => format!("{negation}{pattern}"),
            }
        })
        .collect();
    written(rng, "Host", &patterns.join(" "))
}

fn match_line(rng: &mut Rng) -> String {
    if rng.u8(..8) == 0 {
        let whole = ["all", "final all", "canonical all", "!final all", "all # x"];
        let value = pick(rng, &whole);
        return format!("Match {value}\n");
    }
    let criteria: Vec<String> = (0..rng.usize(1..4))
        .map(|_| {
            let negation = if rng.u8(..4) == 0 { "!" } else { "" };
            let between = pick(rng, &[" ", " ", "=", " = "]);
            let list = |rng: &mut Rng, from: &[&str]| {
                let parts: Vec<String> = (0..rng.usize(1..3))
                    .map(|_| {
                        let negation = if rng.u8(..5) == 0 { "!" } else { "" };
                        format!("{negation}{}", pick(rng, from))
                    })
                    .collect();
                match rng.bool() {
                    true => format!("\"{}\"", parts.join(",")),
                    false => parts.join(","),
                }
            };
            match rng.u8(..9) {
                0 => format!("{negation}final"),
                1 => format!("{negation}canonical"),
                2 | 3 => format!("{negation}host{between}{}", list(rng, &PATTERNS)),
                4 | 5 => format!("{negation}OriginalHost{between}{}", list(rng, &PATTERNS)),
                6 | 7 => format!("{negation}user{between}{}", list(rng, &USERS)),
                _ => format!("{negation}localuser{between}{}", list(rng, &USERS)),
            }
        })
        .collect();
    format!("Match {}\n", criteria.join(" "))
}

/// A file, and those that it includes.
fn write_file(rng: &mut Rng, directory: &Path, name: &str, depth: usize) -> PathBuf {
    let mut text = String::new();
    for _ in 0..rng.usize(0..3) {
        let (keyword, value) = setting(rng);
        text += &written(rng, keyword, &value);
    }
    for number in 0..rng.usize(1..7) {
        match rng.u8(..12) {
            0..=5 => text += &host_line(rng),
            6..=8 => text += &match_line(rng),
            9 if depth < 2 => {
                let part = format!("{name}.{number}");
                write_file(rng, directory, &part, depth + 1);
                let path = directory.join(&part);
                let shown = path.display();
                let _ = match rng.u8(..4) {
                    0 => writeln!(text, "Include {shown}"),
                    1 => writeln!(text, "  Include \"{shown}*\""),
                    2 => writeln!(text, "include={shown} /nowhere/at/all/*.conf"),
                    _ => writeln!(
                        text,
                        "Include {}/[{}]{}",
                        directory.display(),
                        &part[..1],
                        &part[1..]
                    ),
                };
            }
            10 => {
                text += pick(
                    rng,
                    &[
                        "\n",
                        "# Port 1\n",
                        "   \n",
                        "IgnoreUnknown Frob*,Sn?ck\nFrobnicate 1 2\n",
                    ],
                )
            }
            _ => {}
        }
        for _ in 0..rng.usize(0..5) {
            let (keyword, value) = setting(rng);
            text += &written(rng, keyword, &value);
        }
    }
    if rng.u8(..40) == 0 {
        text += &mistake(rng);
        text.push('\n');
    }
    let path = directory.join(name);
    fs::write(&path, text).unwrap();
    // Included files may be writable by their owner only, whatever the umask.
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    path
}

/// What a run asks, besides the file.
struct Asked {
    host: &'static str,
    user: Option<&'static str>,
    port: Option<u16>,
    options: Vec<String>,
}

impl Asked {
    fn new(rng: &mut Rng) -> Asked {
        let options = (0..rng.usize(0..3).saturating_sub(1)).map(|_| {
            let (keyword, value) = setting(rng);
            format!("{keyword}{}{value}", pick(rng, &["=", " "]))
        });
        let options = options.collect();
        Asked {
            host: pick(rng, &HOSTS),
            user: (rng.u8(..4) == 0).then(|| pick(rng, &["alice", "root", "Bob"])),
            port: (rng.u8(..4) == 0).then(|| rng.u16(1..)),
            options,
        }
    }
}

/// What ssh shows, by keyword; `None` if it finds an error.
fn shown_by_ssh(
    file: &Path,
    asked: &Asked,
    home: &Path,
) -> Result<BTreeMap<String, Vec<String>>, String> {
    let mut command = Command::new("ssh");
    command
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .env("HOME", home)
        .env("SSHCFG_A", "/var/%h")
        .arg("-G");
    if let Some(user) = asked.user {
        command.args(["-l", user]);
    }
    if let Some(port) = asked.port {
        command.args(["-p", &port.to_string()]);
    }
    for option in &asked.options {
        command.args(["-o", option]);
    }
    let output = command
        .arg("-F")
        .arg(file)
        .arg(asked.host)
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

/// The algorithms that ssh has, and those that it offers by itself.
struct Algorithms {
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
    fn ask(home: &Path) -> Algorithms {
        let nothing = Asked {
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

/// What we say, in the form in which ssh shows it, less what is made the same in both by [`common`].
fn shown_by_us(
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
            match jump.host.contains(':') {
                true => format!("{user}[{}]{port}", jump.host),
                false => format!("{user}{}{port}", jump.host),
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
            match config.identity_explicit {
                true => config
                    .identity_files
                    .iter()
                    .map(|file| path(file))
                    .collect(),
                false => vec!["defaults".into()],
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
                Agent::Default => Vec::new(),
                Agent::None => vec!["none".into()],
                Agent::Path(socket) => vec![path(socket)],
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

/// Makes of what ssh shows what can be compared: where it shows how something was written and we say
/// what it means.
fn common(keyword: &str, values: Option<&Vec<String>>, home: &Path) -> Vec<String> {
    let mut values = values.cloned().unwrap_or_default();
    match keyword {
        // Files are shown before the tilde is expanded, and "none" among them.
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
        // The last pass adds patterns again.
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
        // With a comment after it ssh takes "none" for the name of a host. We do not.
        "proxyjump" => values.retain(|value| !value.eq_ignore_ascii_case("none")),
        _ => {}
    }
    values
}

#[test]
fn every_field_is_as_ssh_shows_it() {
    if Command::new("ssh").arg("-V").output().is_err() {
        return may_skip("there is no ssh to compare with");
    }
    let seed = std::env::var("SSHCFG_SEED").map_or(20_261_123, |seed| seed.parse().unwrap());
    println!("SSHCFG_SEED={seed}");
    let mut rng = Rng::with_seed(seed);
    let uid = uzers::get_current_uid();
    let user = uzers::get_user_by_uid(uid).unwrap();
    let home = user.home_dir().to_owned();
    let hostname = fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    let algorithms = Algorithms::ask(&home);
    let directory = tempfile::Builder::new().prefix("sshcfg").tempdir().unwrap();
    let (mut compared, mut refused, mut two_passes) = (0, 0, 0);
    for number in 0..CONFIGURATIONS {
        let directory = directory.path().join(number.to_string());
        fs::create_dir(&directory).unwrap();
        let file = write_file(&mut rng, &directory, "config", 0);
        for _ in 0..HOSTS_EACH {
            let asked = Asked::new(&mut rng);
            let theirs = shown_by_ssh(&file, &asked, &home);
            let ours = SshConfig::load(Sources {
                user_file: UserFile::Only(file.clone()),
                system_file: "/nowhere/ssh_config".into(),
                options: asked.options.clone(),
                home: home.clone(),
                local_user: user.name().to_str().unwrap().to_owned(),
                uid,
                local_host: hostname.trim_end().to_owned(),
                environment: Environment::from([("SSHCFG_A".into(), "/var/%h".into())]),
            })
            .and_then(|config| config.host(asked.host, asked.user, asked.port));
            let context = || {
                let mut text = format!(
                    "seed {seed}, {} for {} -l {:?} -p {:?} -o {:?}\n",
                    file.display(),
                    asked.host,
                    asked.user,
                    asked.port,
                    asked.options
                );
                let mut parts: Vec<PathBuf> = fs::read_dir(&directory)
                    .unwrap()
                    .map(|entry| entry.unwrap().path())
                    .collect();
                parts.sort();
                for part in parts {
                    let _ = write!(
                        text,
                        "--- {}\n{}",
                        part.display(),
                        fs::read_to_string(&part).unwrap()
                    );
                }
                text
            };
            match (theirs, ours) {
                (Ok(theirs), Ok(ours)) => {
                    for (keyword, value) in shown_by_us(&ours, &algorithms) {
                        let expected = common(keyword, theirs.get(keyword), &home);
                        assert_eq!(value, expected, "{keyword}: {}", context());
                    }
                    compared += 1;
                    let files = fs::read_dir(&directory).unwrap();
                    two_passes +=
                        usize::from(files.flatten().any(|entry| {
                            fs::read_to_string(entry.path()).unwrap().contains("final")
                        }));
                }
                (Err(_), Err(_)) => refused += 1,
                // Meant: ssh would find out from the host.
                (Ok(_), Err(error)) if error.one_line().contains("no way to log in") => {}
                (Ok(_), Err(error)) => panic!("only we refuse: {error}\n{}", context()),
                (Err(error), Ok(_)) => panic!("only ssh refuses: {error}\n{}", context()),
            }
        }
    }
    println!("{compared} compared ({two_passes} with two passes), {refused} refused by both");
    // Neither may be a rarity, or the test tests little.
    assert!(compared > CONFIGURATIONS * HOSTS_EACH / 2 && refused > 10 && two_passes > 20);
}

#[test]
fn ssh_knows_every_keyword() {
    if Command::new("ssh").arg("-V").output().is_err() {
        return may_skip("there is no ssh to compare with");
    }
    let asked = |name: &str| {
        let output = Command::new("ssh")
            .args(["-G", "-F", "none", "-o", &format!("{name}=~?"), "x"])
            .output()
            .unwrap();
        let ours = SshConfig::load(Sources {
            user_file: UserFile::Nothing,
            system_file: "/nowhere/ssh_config".into(),
            options: vec![format!("{name}=~?")],
            home: "/".into(),
            local_user: "me".into(),
            uid: 0,
            local_host: "here".into(),
            environment: Environment::new(),
        });
        let theirs = String::from_utf8_lossy(&output.stderr).contains("Bad configuration option");
        let ours = ours.is_err_and(|error| error.to_string().contains("bad configuration option"));
        (theirs, ours)
    };
    for name in mrsh::transport::ssh::config::keywords() {
        assert_eq!(asked(name), (false, false), "{name}");
    }
    for name in ["UsePAM", "AcceptEnv", "Hots", "HostKey", "Foo"] {
        assert_eq!(asked(name), (true, true), "{name}");
    }
}

/// Makes the first line of a block of its number.
type LineOf = fn(usize) -> String;

/// What a host costs with thousands of blocks, by the kind of block. The bound leaves room for a debug
/// build on a busy machine.
#[test]
fn thousands_of_blocks_cost_next_to_nothing() {
    let kinds: [(&str, LineOf); 3] = [
        ("names", |number| {
            format!("Host n{number} n{number}.example.com")
        }),
        ("patterns", |number| {
            format!("Host n{number}* !n{number}.test")
        }),
        ("Match", |number| {
            format!("Match host n{number},n{number}.example.com")
        }),
    ];
    for (kind, line) in kinds {
        let mut text = String::new();
        for number in 10_000..15_000 {
            let _ = writeln!(
                text,
                "{}\n  HostName h{number}\n  User u{number}\n  Port {number}",
                line(number)
            );
        }
        text +=
            "Host *.example.com !n7*\n  IdentityFile ~/example\nHost *\n  ServerAliveInterval 30\n";
        let directory = tempfile::Builder::new().prefix("sshcfg").tempdir().unwrap();
        let file = directory.path().join("config");
        fs::write(&file, text).unwrap();
        let start = Instant::now();
        let config = SshConfig::load(Sources {
            user_file: UserFile::Only(file),
            system_file: "/nowhere/ssh_config".into(),
            options: Vec::new(),
            home: "/".into(),
            local_user: "me".into(),
            uid: 0,
            local_host: "here".into(),
            environment: Environment::new(),
        })
        .unwrap();
        let load = start.elapsed();
        let hosts = 20_000;
        let start = Instant::now();
        for number in 0..hosts {
            let number = 10_000 + number % 10_000;
            let config = config.host(&format!("n{number}"), None, None).unwrap();
            let expected = if number < 15_000 { number } else { 22 };
            assert_eq!(u32::from(config.port), expected);
        }
        let each = start.elapsed() / hosts;
        println!("5000 blocks of {kind}: loaded in {load:?}, {each:?} for each host");
        assert!(
            kind == "Match" || each < Duration::from_micros(500),
            "{kind}: {each:?}"
        );
    }
}
