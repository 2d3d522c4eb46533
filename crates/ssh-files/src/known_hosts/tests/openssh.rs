//! Comparison with `ssh-keygen`, and with `ssh` and `sshd`.

use super::*;

/// Returns the lines that `ssh-keygen -F` finds, with their markers. With `-l` it reads the keys too.
pub(super) fn found_by_keygen(tools: &OpensshTools, file: &str, name: &str) -> Vec<String> {
    let output = tools
        .command("ssh-keygen")
        .args(["-l", "-F", name, "-f", file])
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines()
        .filter_map(|line| line.strip_prefix("# Host ")?.split_once(" found: line "))
        .map(|(_, found)| found.trim_end().to_owned())
        .collect()
}

/// Makes a line that may be wrong.
fn random_line(rng: &mut Rng) -> String {
    let name = |rng: &mut Rng| {
        let names = [
            "a", "b", "ab", "A", "a.b", "10.0.0.1", "[a]:2222", "[b]:22", "*", "?", "a*", "*b",
            "a?b", "!a", "!*", "!b*", "[*]:2222", "[a]:*", "::1", "", "a**b", "*?*", "!a.b",
        ];
        names[rng.usize(..names.len())]
    };
    let names = match rng.u8(..5) {
        0 => {
            let hashed = ["a", "b", "[a]:2222", "a.b"][rng.usize(..4)];
            host_field::hashed(hashed.as_bytes(), &[rng.u8(..); 20])
        }
        1 => name(rng).to_owned(),
        _ => (0..rng.usize(1..4))
            .map(|_| name(rng))
            .collect::<Vec<_>>()
            .join(","),
    };
    let marker = ["", "", "", "@revoked ", "@cert-authority "][rng.usize(..5)];
    let key = match rng.u8(..8) {
        0 => "ssh-ed25519 AAAA".to_owned(),
        1 => "ssh-ed25519".to_owned(),
        2 => text(&rsa(rng.u8(..4))),
        _ => text(&ed25519(rng.u8(..4))),
    };
    let end = ["\n", "\r\n", " comment\n", " # x\r\n"][rng.usize(..4)];
    let lead = ["", "", " ", "\t"][rng.usize(..4)];
    format!("{lead}{marker}{names} {key}{end}")
}

#[test]
fn lines_are_found_as_ssh_keygen_finds_them() {
    let Some(tools) = OpensshTools::new() else {
        return;
    };
    let mut found_at_all = 0;
    for seed in 0..40 {
        let mut rng = Rng::with_seed(seed);
        // A wrong line that may revoke a key is an error here. ssh-keygen skips it.
        let sound = |line: &String| {
            !line::may_revoke(line.as_bytes()) || line::parse(line.as_bytes()).is_ok()
        };
        let lines = std::iter::repeat_with(|| random_line(&mut rng));
        let file: String = lines.filter(sound).take(30).collect();
        let path = tools.write("known_hosts", &file);
        let known = load(&[&path]).unwrap();
        for name in ["a", "b", "ab", "a.b", "10.0.0.1", "[a]:2222", "::1", "zz"] {
            let read = &known.files[0];
            let ours: Vec<String> = read
                .lines_of(name.as_bytes(), &read.hashed)
                .into_iter()
                .map(|line| {
                    let entry = &read.entries[line];
                    let marker = match entry.marker {
                        Marker::Key => "",
                        Marker::Authority => " CA",
                        Marker::Revoked => " REVOKED",
                    };
                    format!("{}{marker}", entry.location.line.unwrap())
                })
                .collect();
            let theirs = found_by_keygen(&tools, "known_hosts", name);
            assert_eq!(ours, theirs, "seed {seed}, name {name}, file:\n{file}");
            found_at_all += ours.len();
        }
    }
    assert!(found_at_all > 1000, "{found_at_all}");
}

/// Returns the status of ssh for the key of an sshd, which it starts itself without a network.
pub(super) fn said_by_ssh(tools: &OpensshTools, name: &str, port: u16) -> ShortStatus {
    said_by_ssh_with(tools, name, port, "CheckHostIP=no")
}

pub(super) fn said_by_ssh_with(
    tools: &OpensshTools,
    name: &str,
    port: u16,
    option: &str,
) -> ShortStatus {
    let proxy = format!("ProxyCommand={}", sshd_command(tools).join(" "));
    let known = format!("UserKnownHostsFile={}", tools.path("known_hosts").display());
    let output = tools
        .command("ssh")
        .args([
            "-F",
            "none",
            "-p",
            &port.to_string(),
            "-o",
            &proxy,
            "-o",
            &known,
        ])
        .args([
            "-o",
            "GlobalKnownHostsFile=/dev/null",
            "-o",
            "BatchMode=yes",
        ])
        .args([
            "-o",
            "StrictHostKeyChecking=yes",
            "-o",
            "PubkeyAuthentication=no",
        ])
        .args(["-o", "KexAlgorithms=curve25519-sha256", "-o", option])
        .args([name, "true"])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    let line = |text: &str| {
        let at = text.rsplit_once("/known_hosts:").unwrap().1;
        at.lines().next().unwrap().parse().unwrap()
    };
    if text.contains("REVOKED HOST KEY DETECTED") {
        ShortStatus::Revoked(0)
    } else if let Some((_, text)) = text.split_once("Offending ") {
        ShortStatus::Changed(line(text.lines().next().unwrap()))
    } else if text.contains("host key is known for") {
        ShortStatus::Unknown
    } else if text.contains("Permission denied") {
        ShortStatus::Trusted(0)
    } else {
        panic!("ssh says: {text}")
    }
}

/// Returns the command of an sshd for one connection. It runs as nobody, since an sshd of root needs an account for
/// privilege separation.
fn sshd_command(tools: &OpensshTools) -> Vec<String> {
    let lab = std::env::var("LAB_CACHE").unwrap_or_else(|_| "/var/cache/mrsh-lab".to_owned());
    let program = [
        "/usr/sbin/sshd".to_owned(),
        format!("{lab}/openssh-server/usr/sbin/sshd"),
    ]
    .into_iter()
    .find(|program| Path::new(program).exists())
    .unwrap_or_else(|| "sshd".to_owned());
    let mut command = Vec::new();
    if uzers::get_effective_uid() == 0 {
        let nobody = "setpriv --reuid=65534 --regid=65534 --clear-groups";
        command.extend(nobody.split(' ').map(str::to_owned));
    }
    let config = tools.path("sshd_config").display().to_string();
    command.extend([program, "-i".to_owned(), "-f".to_owned(), config]);
    command
}

/// Configures an sshd. Returns `None` if it does not start.
pub(super) fn sshd(tools: &OpensshTools, keys: &str) -> Option<()> {
    let config = tools.write("sshd_config", format!("{keys}PidFile none\nUsePAM no\n"));
    if uzers::get_effective_uid() == 0 {
        let directory = config.parent().unwrap();
        for file in [directory, &config, &directory.join("host")] {
            std::os::unix::fs::chown(file, Some(65534), Some(65534)).unwrap();
        }
    }
    let command = sshd_command(tools);
    let tried = tools
        .command(&command[0])
        .args(&command[1..])
        .arg("-t")
        .output();
    match tried {
        Ok(output) if output.status.success() => Some(()),
        failed => {
            assert!(
                std::env::var_os("CI").is_none_or(|ci| ci != "true"),
                "{failed:?}"
            );
            println!("skipped: sshd does not start: {failed:?}");
            None
        }
    }
}

#[test]
fn statuses_are_those_of_ssh() {
    let Some(tools) = OpensshTools::new() else {
        return;
    };
    tools.key("host", &["-t", "ed25519"]);
    tools.key("other", &["-t", "ed25519"]);
    tools.key("rsa", &["-t", "rsa", "-b", "1024"]);
    let host_key = format!("HostKey {}\n", tools.path("host").display());
    if sshd(&tools, &host_key).is_none() {
        return;
    }
    let lines = ["host.pub", "other.pub", "rsa.pub"].map(|name| tools.line(name));
    let offered = key(&tools.blob("host.pub"));
    let mut counts = [0; 4];
    for seed in 0..60 {
        let mut rng = Rng::with_seed(seed);
        let mut file = String::new();
        for _ in 0..rng.usize(0..5) {
            let names = ["h", "x", "[h]:2222", "h,x", "*", "!h,*", "[*]:*"][rng.usize(..7)];
            let names = if rng.bool() && names.len() == 1 && names != "*" {
                host_field::hashed(names.as_bytes(), &[3; 20])
            } else {
                names.to_owned()
            };
            let marker = ["", "", "", "", "@revoked "][rng.usize(..5)];
            let key = &lines[rng.usize(..3)];
            writeln!(file, "{marker}{names} {key}").unwrap();
        }
        let path = tools.write("known_hosts", &file);
        let known = load(&[path]).unwrap();
        let port = [22, 2222][rng.usize(..2)];
        let status = known.check(&HostNames::new("h", port, None), &offered);
        let theirs = said_by_ssh(&tools, "h", port);
        let agree = match (&theirs, &status) {
            (ShortStatus::Trusted(_), HostKeyStatus::Trusted(_)) => true,
            (ShortStatus::Revoked(_), HostKeyStatus::Revoked(_)) => true,
            (ShortStatus::Unknown, HostKeyStatus::Unknown { .. }) => true,
            // Intended difference: a key that is revoked for a host is refused at all ports.
            (ShortStatus::Unknown, HostKeyStatus::Revoked(_)) => {
                port == 2222 && file.contains("@revoked")
            }
            (ShortStatus::Changed(_), HostKeyStatus::Changed(_)) => true,
            _ => false,
        };
        assert!(
            agree,
            "seed {seed}, ssh {theirs:?}, {status:?}, file:\n{file}"
        );
        counts[match theirs {
            ShortStatus::Trusted(_) => 0,
            ShortStatus::Unknown => 1,
            ShortStatus::Changed(_) => 2,
            ShortStatus::Revoked(_) => 3,
        }] += 1;
    }
    assert!(counts.iter().all(|&count| count > 3), "{counts:?}");
}
