//! Environment variables of commands: those of mrsh, of `--env`, of hosts files and of inventories, over every transport
//! and under every login shell. Placeholders in the paths of `-o` and `-e`.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use fake_rshd::{Observation, Script};

use crate::support::sshd::{HostKey, METHODS, PASSWORD, Sshd};
use crate::support::{Ended, FakeRshd, Mrsh, host, lacks, records};

mod files;
mod inventories;

/// A value with everything that some shell reads as code.
const HOSTILE: &str = "a 'b' \"c\" $HOME `id` \\ ! $(id) ü\tx\n; * {a,b} %%";

/// The value as the command gets it.
fn hostile() -> String {
    HOSTILE.replace("%%", "%")
}

const SHELLS: [&str; 7] = ["dash", "bash", "zsh", "ksh93", "bsd-csh", "tcsh", "fish"];

/// The path of a shell; `None` if it is not installed.
fn shell(name: &str) -> Option<String> {
    let path = format!("/usr/bin/{name}");
    (!lacks(name) && Path::new(&path).exists()).then_some(path)
}

/// Runs a command line as a daemon does for a user with this login shell.
fn as_login_shell(shell: &str, line: &str) -> String {
    let home = tempfile::tempdir().unwrap();
    let output = Command::new(shell)
        .args(["-c", line])
        .env_clear()
        .env("SHELL", shell)
        .env("HOME", home.path())
        .env("PATH", "/usr/bin:/bin")
        // bsd-csh changes the bytes of its environment where the locale has no such characters.
        .env("LC_ALL", "C.UTF-8")
        .output()
        .unwrap();
    assert_eq!(
        String::from_utf8_lossy(&output.stderr),
        "",
        "{shell}: {line}"
    );
    String::from_utf8(output.stdout).unwrap()
}

/// A command that prints the variables in a form that all shells have.
const PRINT: &str = "env | grep -e ^MRSH_ -e ^B=; printenv A";

/// Checks the printed variables of the target with this rank in a run of two targets.
#[track_caller]
fn check(printed: &str, label: &str, user: &str, rank: u32) {
    let expected = [
        format!("MRSH_LABEL={label}\n"),
        format!("MRSH_USER={user}\n"),
        format!("MRSH_RANK={rank}\n"),
        "MRSH_COUNT=2\n".to_owned(),
        format!("B={label}-{rank}\n"),
        format!("{}\n", hostile()),
    ];
    for line in expected {
        assert!(printed.contains(&line), "no {line:?} in {printed}");
    }
    assert!(printed.contains("MRSH_RUN_ID="), "{printed}");
}

/// The options that set `A` and `B`.
fn with_variables(call: Mrsh) -> Mrsh {
    call.arg("--env")
        .arg(format!("A={HOSTILE}"))
        .args(&["--env", "B=%l-%n"])
}

/// The command lines that daemons of rsh get.
fn requested(scripts: usize, call: impl Fn(Mrsh) -> Mrsh) -> Vec<String> {
    let daemons = FakeRshd::playing_all(vec![Script::printing("", 0); scripts]);
    // One after the other, so that the requests are in order.
    call(daemons.mrsh().args(&["-j", "1"])).run();
    (0..scripts)
        .map(|_| {
            let observed = daemons.observed();
            let request = observed
                .into_iter()
                .find_map(|observation| match observation {
                    Observation::Request(request) => Some(request),
                    _ => None,
                });
            String::from_utf8(request.unwrap().command).unwrap()
        })
        .collect()
}

#[test]
fn a_command_over_rsh_has_its_variables_under_every_login_shell() {
    let lines = requested(2, |call| {
        with_variables(call).args(&["-l", "ann", "--", PRINT])
    });
    for shell in SHELLS.into_iter().filter_map(shell) {
        for (rank, line) in (0..).zip(&lines) {
            check(&as_login_shell(&shell, line), &host(rank), "ann", rank);
        }
    }
}

#[test]
fn variables_that_nothing_asks_for_cost_nothing() {
    let line = |command: &'static str| requested(1, |call| call.arg(command)).remove(0);
    let length = |command: &'static str| line(command).len() - command.len();
    let plain = length("echo x");
    assert_eq!(length("echo MRSH_HOST $HOME"), plain);
    let one = line("echo $MRSH_RANK");
    assert_eq!(
        one.len() - "echo $MRSH_RANK".len() - plain,
        "env MRSH_RANK=\"$2\"  '0'".len(),
        "{one}"
    );
    assert!(!one.contains("MRSH_HOST"), "{one}");
    // All six fit beside a command of some length into the 1,023 bytes of rsh-redone.
    let all = requested(1, |call| call.args(&["--env", "A=b", "true"])).remove(0);
    assert!(all.len() < 400, "{}: {all}", all.len());
}

#[test]
fn a_command_over_ssh_has_its_variables_under_every_login_shell() {
    let key = HostKey::of_seed(1);
    let sshd = Sshd::start(key.clone(), |talk| {
        talk.greet()?;
        talk.exchange(&METHODS)?;
        talk.serve(|_, _| Ok(()))
    });
    let folder = tempfile::tempdir().unwrap();
    let known_hosts = folder.path().join("known_hosts");
    fs::write(&known_hosts, sshd.known_as(&key)).unwrap();
    let run = |options: &[&str], command: &str| {
        let (password, mut write) = std::io::pipe().unwrap();
        write.write_all(format!("{PASSWORD}\n").as_bytes()).unwrap();
        drop(write);
        let hosts = folder.path().join("hosts");
        let port = sshd.port;
        let text = format!("ann@127.0.0.1:{port} label=s1\nann@127.0.0.1:{port} label=s2\n");
        fs::write(&hosts, text).unwrap();
        let call = Mrsh::new()
            .args(&[
                "--no-config",
                "-R",
                "ssh",
                "-F",
                "none",
                "--password-fd",
                "0",
            ])
            .args(&["--ssh-option", "IdentityFile=none", "--ssh-option"])
            .arg(format!("UserKnownHostsFile={}", known_hosts.display()))
            .args(&["-j", "1", "-f", hosts.to_str().unwrap()])
            .args(options);
        let call = if options.is_empty() {
            with_variables(call)
        } else {
            call
        };
        call.args(&["--", command]).stdin(password).run();
        std::mem::take(&mut sshd.seen().command_lines)
    };
    let lines = run(&[], PRINT);
    assert_eq!(lines.len(), 2);
    for shell in SHELLS.into_iter().filter_map(shell) {
        for (rank, line) in (0..).zip(&lines) {
            let printed = as_login_shell(&shell, line);
            check(&printed, &format!("s{}", rank + 1), "ann", rank);
            assert!(printed.contains("MRSH_HOST=127.0.0.1\n"), "{printed}");
        }
    }
    // Without variables, the command is sent as it is.
    assert_eq!(run(&["-q"], "uptime")[2..], ["uptime", "uptime"]);
}

#[test]
fn a_command_of_openssh_has_its_variables() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ssh");
    let script = "#!/bin/sh\nwhile [ \"$1\" != -- ]; do\n  case $1 in LocalCommand=*) sh -c \"${1#LocalCommand=}\" ;; \
                  esac\n  shift\ndone\nshift 2\nexec sh -c \"$*\"\n";
    fs::write(&file, script).unwrap();
    fs::set_permissions(&file, PermissionsExt::from_mode(0o755)).unwrap();
    let call = Mrsh::new()
        .env("PATH", format!("{}:/usr/bin:/bin", folder.path().display()))
        .args(&["-R", "openssh", "-l", "ann", "-w", "h1,h2", "-o"])
        .arg(folder.path().join("out"));
    with_variables(call).args(&["--", PRINT]).run().status(0);
    for (rank, label) in (0..).zip(["h1", "h2"]) {
        let printed = fs::read_to_string(folder.path().join("out").join(label)).unwrap();
        check(&printed, label, "ann", rank);
    }
    // Only the configuration of ssh knows the user, and the login sets LOGNAME.
    let call = |options: &[&str]| {
        Mrsh::new()
            .env("PATH", format!("{}:/usr/bin:/bin", folder.path().display()))
            .env("LOGNAME", "bob")
            .args(&["-R", "openssh", "-w", "h1"])
            .args(options)
            .args(&["--", "echo $MRSH_USER"])
            .run()
            .status(0)
    };
    assert_eq!(call(&[]).sorted_lines(), ["h1: bob"]);
    let dest = folder.path().join("copied").display().to_string();
    let source = file.display().to_string();
    let copy = call(&["--copy", &source, "--dest", &dest]);
    assert_eq!(copy.sorted_lines(), ["h1: bob"]);
}

#[test]
fn local_commands_always_have_the_variables_of_mrsh() {
    let script = "echo $MRSH_HOST $MRSH_LABEL $MRSH_USER $MRSH_RANK $MRSH_COUNT ${#MRSH_RUN_ID}";
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("print");
    fs::write(&file, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(&file, PermissionsExt::from_mode(0o755)).unwrap();
    let ended = Mrsh::new()
        .args(&["-R", "exec", "-w", "op@p1,p2:7", "-l", "ann", "--"])
        .arg(&file)
        .run()
        .status(0);
    let lines = ended.sorted_lines();
    assert_eq!(
        lines,
        ["op@p1: p1 op@p1 op 0 2 20", "p2:7: p2 p2:7 ann 1 2 20"]
    );
    let out = folder.path().join("out");
    let call = Mrsh::new()
        .args(&["-R", "exec", "-w", "p1,p2", "-l", "ann", "-o"])
        .arg(&out);
    with_variables(call)
        .args(&["sh", "-c", PRINT])
        .run()
        .status(0);
    check(&fs::read_to_string(out.join("p2")).unwrap(), "p2", "ann", 1);
}

#[test]
fn commands_of_the_demo_have_the_variables_of_real_hosts() {
    let folder = tempfile::tempdir().unwrap();
    let hosts = folder.path().join("hosts");
    fs::write(&hosts, "h1 label=one user=op\nh2\n").unwrap();
    let demo = || Mrsh::new().args(&["--demo", "-f", hosts.to_str().unwrap(), "-l", "ann"]);
    let command = "echo $MRSH_HOST $MRSH_LABEL $MRSH_USER $MRSH_RANK/$MRSH_COUNT";
    let ended = demo().arg(command).run().status(0);
    assert_eq!(
        ended.sorted_lines(),
        ["h2: h2 h2 ann 1/2", "one: h1 one op 0/2"]
    );
    // As on real hosts, only what the command names is there.
    let ended = demo()
        .args(&["-N", "env | grep ^MRSH_; true # $MRSH_RANK"])
        .run();
    assert_eq!(ended.sorted_lines(), ["MRSH_RANK=0", "MRSH_RANK=1"]);
    let out = folder.path().join("out");
    let call = demo().arg("-o").arg(&out);
    with_variables(call).args(&["--", PRINT]).run().status(0);
    check(&fs::read_to_string(out.join("h2")).unwrap(), "h2", "ann", 1);
}

#[test]
fn a_command_after_a_copy_has_its_variables() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    fs::write(path("file"), "text").unwrap();
    let copy = |dest: &str, options: &[&str]| {
        Mrsh::new()
            .args(&[
                "--demo",
                "-j",
                "1",
                "-w",
                "h1,h2",
                "-l",
                "ann",
                "-o",
                &path("out"),
            ])
            .args(&["--copy", &path("file"), "--dest", &path(dest)])
            .args(options)
    };
    with_variables(copy("new", &[]))
        .args(&["--", PRINT])
        .run()
        .status(0);
    for (rank, label) in (0..).zip(["h1", "h2"]) {
        let printed = fs::read_to_string(Path::new(&path("out")).join(label)).unwrap();
        check(&printed, label, "ann", rank);
    }
    // Names that the script of the far side uses itself, and names that shells obey, reach only the command.
    let names = ["O", "W", "S", "Z", "U", "PATH", "SHELL", "LC_ALL"];
    let options = names.map(|name| format!("--env={name}=/no"));
    let options: Vec<&str> = options.iter().map(String::as_str).collect();
    copy("newer", &options).arg("/usr/bin/env").run().status(0);
    let printed = fs::read_to_string(Path::new(&path("out")).join("h1")).unwrap();
    for name in names {
        assert!(
            printed.contains(&format!("{name}=/no\n")),
            "{name}: {printed}"
        );
    }
    assert!(printed.contains("MRSH_HOST=h1\n"), "{printed}");
    // A variable that only the command names.
    copy("newest", &[])
        .arg("echo [$MRSH_LABEL]")
        .run()
        .status(0);
    let printed = fs::read_to_string(Path::new(&path("out")).join("h2")).unwrap();
    assert_eq!(printed, "[h2]\n");
}

#[test]
fn a_resumed_run_has_the_identifier_ranks_and_count_of_the_first() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let script = format!(
        "echo $MRSH_RUN_ID $MRSH_RANK $MRSH_COUNT $A >{}/$MRSH_HOST; test $MRSH_HOST != b",
        folder.path().display()
    );
    fs::write(path("hosts"), "a\nb env.A=1\nc env.A=\"2 3\"\n").unwrap();
    let hosts = path("hosts");
    let journal = path("journal");
    let first = Mrsh::new()
        .args(&[
            "-R",
            "exec",
            "-j",
            "1",
            "--fail-fast",
            "--journal",
            &journal,
        ])
        .args(&["-f", &hosts, "sh", "-c", &script])
        .run();
    assert_eq!(first.status, Some(4), "{first:?}");
    let ended = Mrsh::new().args(&["--resume", &journal, "--json"]).run();
    let read = |name: &str| fs::read_to_string(path(name)).unwrap();
    let id = read("a").split(' ').next().unwrap().to_owned();
    assert_eq!(read("a"), format!("{id} 0 3\n"));
    assert_eq!(read("c"), format!("{id} 2 3 2 3\n"));
    assert!(read("journal").contains(&format!("\"run\":\"{id}\"")));
    let records = records(&ended);
    assert!(
        records.iter().all(|record| record["run"] == *id),
        "{records:?}"
    );
}

#[test]
fn every_report_has_the_identifier() {
    let folder = tempfile::tempdir().unwrap();
    let page = folder.path().join("run.html");
    let ended = Mrsh::new()
        .args(&["--demo", "-w", "n1", "-N", "-v", "--stats", "--report"])
        .arg(&page)
        .arg("echo $MRSH_RUN_ID")
        .run()
        .status(0);
    let id = String::from_utf8(ended.stdout).unwrap().trim().to_owned();
    assert_eq!(id.len(), 20);
    assert!(id.bytes().all(|byte| byte.is_ascii_hexdigit()), "{id}");
    let line = format!("mrsh: run {id}\n");
    assert_eq!(ended.stderr.matches(&line).count(), 2, "{}", ended.stderr);
    let page = fs::read_to_string(page).unwrap();
    assert!(page.contains(&format!("<span>run {id}</span>")));
}

/// Checks that a call ends with status 2 and this message, before any connection.
#[track_caller]
fn refused(ended: Ended, message: &str) {
    assert_eq!(ended.status, Some(2), "{ended:?}");
    assert!(ended.stderr.contains(message), "{}", ended.stderr);
    assert_eq!(ended.stdout, b"");
}

#[test]
fn wrong_variables_are_errors_before_any_connection() {
    let call = |options: &[&str]| {
        // A daemon that nobody calls.
        Mrsh::new()
            .args(&["--source-ports", "any", "-p", "1", "-w", "127.0.0.1"])
            .args(options)
            .run()
    };
    for (value, message) in [
        ("A", "a variable without a value"),
        ("1A=x", "not the name of a shell variable"),
        ("A B=x", "not the name of a shell variable"),
        ("MRSH_HOST=x", "a name that mrsh keeps for itself"),
        ("A=%x", "unknown placeholder"),
        ("A=%5l", "a width, which only a label can have"),
    ] {
        refused(call(&["--env", value, "true"]), message);
    }
    refused(
        call(&["--raw", "--env", "A=b", "true"]),
        "cannot set the variable A (--env): --raw sends the command as it is\n  = help: leave out --env",
    );
    refused(
        call(&["--raw", "show $MRSH_HOST"]),
        "cannot set the variable $MRSH_HOST",
    );
    let long = format!("A={}", "x".repeat(140_000));
    let ended = Mrsh::new()
        .args(&["--demo", "-w", "h1", "--env", &long[..100_000], "--env"])
        .arg(format!("B={}", &long[..60_000]))
        .arg("true")
        .run();
    refused(ended, "cannot send the command: it has");
}

#[test]
fn hosts_files_give_variables_to_their_hosts() {
    let folder = tempfile::tempdir().unwrap();
    let hosts = folder.path().join("hosts");
    let run = |text: &str, options: &[&str], command: &str| {
        fs::write(&hosts, text).unwrap();
        Mrsh::new()
            .args(&["--demo", "-f", hosts.to_str().unwrap()])
            .args(options)
            .arg(command)
            .run()
    };
    let text = "n[1-2] env.RACK=r7 env.NOTE=\"a # b \\\"c\\\" \\\\\" user=op # comment\nn3\n";
    let command = "echo \"$RACK|$NOTE|$USER\"";
    let ended = run(text, &[], command).status(0);
    let lines: Vec<String> = ended.sorted_lines();
    for (label, line) in ["n1", "n2"].iter().zip(&lines) {
        assert!(
            line.starts_with(&format!("{label}: r7|a # b \"c\" \\|")),
            "{line}"
        );
    }
    assert!(lines[2].starts_with("n3: ||"), "{lines:?}");
    let ended = run(text, &["--env", "RACK=%n"], "echo $RACK").status(0);
    assert_eq!(ended.sorted_lines(), ["n1: 0", "n2: 1", "n3: 2"]);
    for (text, position, message) in [
        (
            "n1\nn2 env.A-B=x\n",
            "2:8",
            "not the name of a shell variable",
        ),
        ("n2 env.=x\n", "1:8", "not the name of a shell variable"),
        (
            "n2 env.MRSH_X=x\n",
            "1:8",
            "a name that mrsh keeps for itself",
        ),
        ("n2 env.A=1 env.A=2\n", "1:16", "env.A= stands twice"),
        ("n2 env.A=\"x y\n", "1:10", "a quote that is not closed"),
        ("n2 env.A=\"x\"y\n", "1:10", "a quote that is not closed"),
        (
            "n1 env.A=1\nn1 env.A=2\n",
            "2:1",
            "n1 is named twice, with env.A=1 and with env.A=2",
        ),
    ] {
        let ended = run(text, &[], "true");
        refused(ended, message);
        let ended = run(text, &[], "true");
        assert!(
            ended.stderr.contains(&format!(":{position}")),
            "{}",
            ended.stderr
        );
    }
    let ended = run("sw1 env.A=1\n", &["--raw"], "true");
    let warning = "mrsh: variables of hosts files and inventories are not used with --raw: sw1\n";
    assert!(ended.stderr.contains(warning), "{}", ended.stderr);
}
