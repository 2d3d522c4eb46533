//! Copies to hosts that offer SFTP and no shell, through `-R openssh` and a script instead of `ssh`.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use tempfile::TempDir;

use crate::support::{Ended, Mrsh, records};

const SERVER: &str = "/usr/lib/openssh/sftp-server";

/// A directory with an `ssh`, and with one for each host.
struct Hosts(TempDir);

/// An `ssh` that starts `$program` in the directory of the host, with `$subsystem` set if it is one.
const SSH: &str = "#!/bin/sh
subsystem=
while [ \"$1\" != -- ]; do
  case $1 in
    LocalCommand=*) sh -c \"${1#LocalCommand=}\" ;;
    -s) subsystem=yes ;;
  esac
  shift
done
cd ROOT/$2 || exit 255
echo \"$2 $subsystem\" >>ROOT/log
";

impl Hosts {
    fn new(program: &str) -> Hosts {
        let root = tempfile::tempdir().unwrap();
        let path = |name: &str| root.path().join(name);
        let ssh = SSH.replace("ROOT", &root.path().display().to_string());
        fs::write(path("ssh"), ssh + program).unwrap();
        fs::set_permissions(path("ssh"), PermissionsExt::from_mode(0o755)).unwrap();
        for host in ["h1", "h2"] {
            fs::create_dir(path(host)).unwrap();
        }
        fs::write(path("new"), "new text").unwrap();
        Hosts(root)
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.0.path().join(name)
    }

    fn copy(&self, arguments: &[&str]) -> Ended {
        let search = format!("{}:/usr/bin:/bin", self.0.path().display());
        let source = self.path("new").display().to_string();
        Mrsh::new()
            .env("PATH", search)
            .args(&["-R", "openssh", "-w", "h[1-2]", "--copy", &source])
            .args(arguments)
            .run()
    }

    /// Returns the sessions so far, sorted.
    fn sessions(&self) -> Vec<String> {
        let log = fs::read_to_string(self.path("log")).unwrap();
        let mut lines: Vec<String> = log.lines().map(|line| line.trim().to_owned()).collect();
        lines.sort();
        lines
    }
}

#[test]
fn a_host_whose_every_command_is_sftp_gets_the_files() {
    if !Path::new(SERVER).exists() {
        return;
    }
    let hosts = Hosts::new(&format!("exec {SERVER}\n"));
    let ended = hosts.copy(&["--dest", "file", "--json", "--stderr", "merge"]);
    assert_eq!(ended.status, Some(0), "{ended:?}");
    assert_eq!(hosts.sessions(), ["h1", "h1 yes", "h2", "h2 yes"]);
    let checksums: Vec<_> = records(&ended)
        .into_iter()
        .filter(|record| record["event"] == "finished")
        .map(|record| record["copy"]["checksum"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(checksums, ["sftp-read", "sftp-read"]);
    for host in ["h1", "h2"] {
        assert_eq!(
            fs::read(hosts.path(host).join("file")).unwrap(),
            b"new text"
        );
        assert_eq!(fs::read_dir(hosts.path(host)).unwrap().count(), 1);
    }
    let check = hosts.copy(&["--dest", "file", "--check"]);
    assert_eq!(
        check.status(0).sorted_lines(),
        ["h1: unchanged", "h2: unchanged"]
    );
    let command = hosts.copy(&["--dest", "file", "true"]);
    assert_eq!(command.status, Some(1));
    let words = "h[1-2]: the host has no shell for COMMAND: it offers only SFTP";
    assert!(command.stderr.contains(words), "{command:?}");
}

#[test]
fn a_host_that_says_that_it_has_only_sftp_gets_the_files() {
    if !Path::new(SERVER).exists() {
        return;
    }
    // sshd prints this under `ForceCommand internal-sftp`.
    let refusal = "echo This service allows sftp connections only.; exit 1";
    let hosts = Hosts::new(&format!("[ \"$subsystem\" ] && exec {SERVER}; {refusal}\n"));
    let ended = hosts.copy(&["--dest", "file"]);
    assert_eq!((ended.status, &*ended.stderr), (Some(0), ""));
    assert_eq!(fs::read(hosts.path("h2/file")).unwrap(), b"new text");
    let hosts = Hosts::new(&format!("{refusal}\n"));
    let ended = hosts.copy(&["--dest", "file"]);
    let words = "h[1-2]: no POSIX shell answered: This service allows sftp connections only.\n";
    assert!(ended.stderr.contains(words), "{ended:?}");
}

#[test]
fn a_host_without_sftp_keeps_its_first_error() {
    let hosts = Hosts::new("[ \"$subsystem\" ] && exit 255; exit 5\n");
    let ended = hosts.copy(&["--dest", "file"]);
    assert_eq!(ended.status, Some(1), "{ended:?}");
    let words = "h[1-2]: the copy ended before it was done\n";
    assert!(ended.stderr.contains(words), "{ended:?}");
    assert_eq!(hosts.sessions(), ["h1", "h1 yes", "h2", "h2 yes"]);
}

#[test]
fn a_host_with_a_shell_is_asked_once() {
    for (program, status, words) in [
        (
            "yes This is no refusal. | head -n 50; exit 1\n",
            1,
            "no POSIX shell answered: This is no refusal.",
        ),
        ("exec sh -c \"$3\"\n", 0, ""),
        ("kill -9 $$\n", 1, "the copy ended"),
    ] {
        let hosts = Hosts::new(program);
        let ended = hosts.copy(&["--dest", "file"]);
        assert_eq!(ended.status, Some(status), "{ended:?}");
        assert!(ended.stderr.contains(words), "{ended:?}");
        if !program.starts_with("kill") {
            assert_eq!(hosts.sessions(), ["h1", "h2"], "{program}");
        }
    }
}
