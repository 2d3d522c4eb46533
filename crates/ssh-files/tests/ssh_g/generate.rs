//! Random configurations, and random arguments of ssh.

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use fastrand::Rng;

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

/// Makes a keyword with a value that ssh accepts.
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
                // Public key authentication may still be on.
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

/// Makes a line that ssh refuses.
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

/// Writes a keyword and its value in one of the usual forms.
fn written(rng: &mut Rng, keyword: &str, value: &str) -> String {
    let keyword = match rng.u8(..4) {
        0 => keyword.to_lowercase(),
        1 => keyword.to_uppercase(),
        _ => keyword.to_owned(),
    };
    let indent = pick(rng, &["", "  ", "\t", "    "]);
    let between = pick(rng, &[" ", " ", "  ", "\t", "=", " = "]);
    // A comment after a command is a part of it.
    let is_raw = keyword.eq_ignore_ascii_case("ProxyCommand");
    let end = if is_raw {
        ""
    } else {
        pick(rng, &["", "", "", " ", " # comment", "\r"])
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
                if rng.bool() {
                    format!("\"{}\"", parts.join(","))
                } else {
                    parts.join(",")
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

/// Writes a file and the files that it includes.
pub(crate) fn write_file(rng: &mut Rng, directory: &Path, name: &str, depth: usize) -> PathBuf {
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
    // ssh refuses included files that others can write. The umask may allow that.
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    path
}

/// The arguments of ssh, without the file.
pub(crate) struct Request {
    pub(crate) host: &'static str,
    pub(crate) user: Option<&'static str>,
    pub(crate) port: Option<u16>,
    pub(crate) options: Vec<String>,
}

impl Request {
    pub(crate) fn new(rng: &mut Rng) -> Request {
        let options = (0..rng.usize(0..3).saturating_sub(1)).map(|_| {
            let (keyword, value) = setting(rng);
            format!("{keyword}{}{value}", pick(rng, &["=", " "]))
        });
        let options = options.collect();
        Request {
            host: pick(rng, &HOSTS),
            user: (rng.u8(..4) == 0).then(|| pick(rng, &["alice", "root", "Bob"])),
            port: (rng.u8(..4) == 0).then(|| rng.u16(1..)),
            options,
        }
    }
}
