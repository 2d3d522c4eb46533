//! Compares the evaluation of ssh_config with `ssh -G`.
//!
//! A few hundred configurations are made from a seed, which is printed. Every field of `ssh -G` must be equal, and
//! every error of ssh must be an error here.

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use fastrand::Rng;
use ssh_files::{ConfigOption, ConfigSources, Environment, SshConfig, UserFile};
use uzers::os::unix::UserExt as _;

use generate::{Request, write_file};
use shown::{Algorithms, common, shown_by_ssh, shown_by_us};

#[cfg(test)]
mod generate;
#[cfg(test)]
mod shown;

const CONFIGURATIONS: usize = 250;

const HOSTS_EACH: usize = 3;

/// Skips a test that needs a program which is not installed. In CI, that is an error.
#[cfg_attr(
    test,
    expect(clippy::print_stdout, reason = "a skipped test is to be seen")
)]
fn may_skip(reason: &str) {
    assert!(
        std::env::var_os("CI").is_none_or(|ci| ci != "true"),
        "in CI, but {reason}"
    );
    println!("skipped: {reason}");
}

fn options(texts: &[String]) -> Vec<ConfigOption> {
    let options = texts.iter();
    options
        .map(|text| ConfigOption::new("-o", text.as_str()))
        .collect()
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
            let request = Request::new(&mut rng);
            let theirs = shown_by_ssh(&file, &request, &home);
            let ours = SshConfig::load(ConfigSources {
                user_file: UserFile::Only(file.clone()),
                system_file: "/nowhere/ssh_config".into(),
                options: options(&request.options),
                home: home.clone(),
                local_user: user.name().to_str().unwrap().to_owned(),
                uid,
                local_host: hostname.trim_end().to_owned(),
                environment: Environment::from([("SSHCFG_A".into(), "/var/%h".into())]),
            })
            .and_then(|config| config.host(request.host, request.user, request.port));
            let context = || {
                let mut text = format!(
                    "seed {seed}, {} for {} -l {:?} -p {:?} -o {:?}\n",
                    file.display(),
                    request.host,
                    request.user,
                    request.port,
                    request.options
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
                // Intended difference: ssh reports this only after it has connected.
                (Ok(_), Err(error)) if error.to_string().contains("no way to log in") => {}
                (Ok(_), Err(error)) => panic!("only we refuse: {error}\n{}", context()),
                (Err(error), Ok(_)) => panic!("only ssh refuses: {error}\n{}", context()),
            }
        }
    }
    println!("{compared} compared ({two_passes} with two passes), {refused} refused by both");
    // If one of them is rare, the test is too weak.
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
        let ours = SshConfig::load(ConfigSources {
            user_file: UserFile::Nothing,
            system_file: "/nowhere/ssh_config".into(),
            options: options(&[format!("{name}=~?")]),
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
    for name in ssh_files::keywords() {
        assert_eq!(asked(name), (false, false), "{name}");
    }
    for name in ["UsePAM", "AcceptEnv", "Hots", "HostKey", "Foo"] {
        assert_eq!(asked(name), (true, true), "{name}");
    }
}

/// Makes the first line of a block with a number.
type LineOf = fn(usize) -> String;

/// Measures the time for a host with thousands of blocks, by the kind of block. The limit allows for a debug build on
/// a busy machine.
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
        let config = SshConfig::load(ConfigSources {
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
