//! `--script`: what runs on a host, and what is left of it. The hosts are embedded daemons, local commands and a script
//! in the place of `ssh`. The case `script` of tests/lab does the same with real daemons.

use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::support::Mrsh;

mod ending;
mod input;
mod interpreters;
mod refused;
mod resumed;

/// Scripts on this machine, and a directory for them at the hosts.
struct Scripts {
    dir: TempDir,
}

impl Scripts {
    fn new() -> Scripts {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("far")).unwrap();
        Scripts { dir }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Writes a script and returns its path.
    fn add(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, content).unwrap();
        path
    }

    /// The directory for scripts at the hosts.
    fn far(&self) -> PathBuf {
        self.path("far")
    }

    /// Names of what is left at the hosts.
    fn left(&self) -> Vec<String> {
        let entries = fs::read_dir(self.far()).unwrap();
        entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect()
    }

    /// Asserts that no file is left at the hosts.
    #[track_caller]
    fn nothing_left(&self) {
        assert_eq!(self.left(), [""; 0]);
    }

    /// A call that runs this script on embedded daemons, without labels.
    fn demo(&self, script: &Path) -> Mrsh {
        let call = Mrsh::new().args(&["--demo", "-N", "-w", "h1"]);
        self.with(call, script)
    }

    /// A call that runs this script by a local command, which starts its words with this shell code.
    fn exec(&self, script: &Path, options: &[&str], code: &str) -> Mrsh {
        let call = Mrsh::new().args(&["-R", "exec", "-N", "-w", "h1"]);
        let call = self.with(call, script).args(options);
        call.args(&["--", "/bin/sh", "-c", code, "%h"])
    }

    /// A call of `-R openssh` in which this login shell runs the command.
    fn ssh(&self, script: &Path, shell: &str) -> Mrsh {
        let bin = self.path("bin");
        if !bin.exists() {
            fs::create_dir(&bin).unwrap();
        }
        let ssh = format!(
            "#!/bin/sh\nwhile [ \"$1\" != -- ]; do\n  case $1 in LocalCommand=*) sh -c \"${{1#LocalCommand=}}\" ;; esac\n  \
             shift\ndone\nshift 2\nexec {shell} -c \"$*\"\n"
        );
        fs::write(bin.join("ssh"), ssh).unwrap();
        fs::set_permissions(
            bin.join("ssh"),
            std::os::unix::fs::PermissionsExt::from_mode(0o755),
        )
        .unwrap();
        let call = Mrsh::new()
            .env("PATH", format!("{}:/usr/bin:/bin", bin.display()))
            .args(&["-R", "openssh", "-N", "-w", "h1"]);
        self.with(call, script)
    }

    fn with(&self, call: Mrsh, script: &Path) -> Mrsh {
        let call = call.arg("--script").arg(script);
        call.arg("--script-dir").arg(self.far())
    }
}

/// Bytes of all values, in a fixed order.
fn bytes(length: usize) -> Vec<u8> {
    (0..length).map(|i| (i * 31 % 256) as u8).collect()
}

#[test]
fn a_script_runs_on_every_host_with_its_arguments_and_is_removed() {
    let scripts = Scripts::new();
    let script = scripts.add(
        "a script.sh",
        "#!/bin/sh\necho \"$MRSH_HOST ${0##*/} $#:$1:$2\"; echo \"no\" >&2; umask\nls -ld \"$0\" \"${0%/*}\" | cut -c 1-10\nexit 3\n",
    );
    let call = Mrsh::new().args(&["--demo", "-q", "-w", "h[1-3]"]);
    let call = scripts.with(call, &script).after("umask 027");
    let ended = call.args(&["--", "a  b", "-c"]).run().status(1);
    let of_host = |h: &str| {
        ["-rwx------", "0027", "drwx------"]
            .map(|line| format!("{h}: {line}"))
            .into_iter()
            .chain([format!("{h}: {h} a script.sh 2:a  b:-c")])
            .collect::<Vec<_>>()
    };
    let mut expected: Vec<String> = ["h1", "h2", "h3"].iter().flat_map(|h| of_host(h)).collect();
    expected.sort_unstable();
    assert_eq!(ended.sorted_lines(), expected);
    assert_eq!(ended.stderr.matches(": no\n").count(), 3, "{ended:?}");
    scripts.nothing_left();
}

#[test]
fn reports_show_the_option_and_the_arguments() {
    let scripts = Scripts::new();
    let script = scripts.add("x.sh", "echo $1; exit 3\n");
    let shown = format!("--script {} 'a b'", script.display());
    let ended = scripts.demo(&script).args(&["-n", "a b"]).run().status(0);
    let text = String::from_utf8(ended.stdout).unwrap();
    assert!(text.contains(&format!("command: {shown}\n")), "{text}");
    let about = format!(
        "script: run by /bin/sh, 16 bytes, in {}, SHA-256 6dbcd147b6",
        scripts.far().display()
    );
    assert!(text.contains(&about), "{text}");
    assert!(!text.contains("standard input"), "{text}");
    let call = Mrsh::new().args(&["--demo", "--json", "-w", "h1"]);
    let ended = scripts.with(call, &script).arg("a b").run().status(1);
    let text = String::from_utf8(ended.stdout).unwrap();
    let command = format!("\"command\":{{\"text\":\"{shown}\"}}");
    assert!(text.contains(&command), "{text}");
    // The length of the input is known, so the daemon closes first.
    assert!(text.contains("\"closed_first\":\"remote\""), "{text}");
}

#[test]
fn a_script_without_other_options_goes_to_the_hosts_directory_for_temporary_files() {
    let scripts = Scripts::new();
    let script = scripts.add("x.sh", "echo \"${0%/*/*}\"\n");
    let call = || {
        Mrsh::new()
            .args(&["-R", "exec", "-N", "-w", "h1", "--script"])
            .arg(&script)
    };
    let exec = ["--", "/bin/sh", "-c", "exec \"$@\"", "%h"];
    call().args(&exec).run().status(0).stdout("/tmp\n");
    let far = scripts.far();
    let ended = call().env("TMPDIR", &far).args(&exec).run().status(0);
    ended.stdout(format!("{}\n", far.display()));
    // A path without a leading slash is below the directory in which the command starts.
    let call = call().args(&["--script-dir", "far"]);
    let cd = format!("cd {}; exec \"$@\"", scripts.dir.path().display());
    let ended = call.args(&["--", "/bin/sh", "-c", &cd, "%h"]).run();
    ended.status(0).stdout("./far\n");
    scripts.nothing_left();
}

#[test]
fn a_script_replaces_settings_that_contradict_it() {
    let scripts = Scripts::new();
    let script = scripts.add("x.sh", "echo \"$1\"\n");
    let config = scripts.add("config.toml", "raw = true\nquiet = true\n");
    let call = scripts.demo(&script).arg("--config").arg(config);
    call.arg("a").run().status(0).stdout("a\n").stderr("");
}
