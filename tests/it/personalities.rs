//! The program under the names of other programs, compared with those programs.
//!
//! The reference is what Debian installs: ClusterShell 1.9.1 and dshbak of pdsh 2.34. Where a later version differs, mrsh
//! does what the later one does; the table in the manual has these calls, and those that differ on purpose.

use std::fs;
use std::io::Write;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::support::may_skip;

mod clubak;
mod clustershell;
mod dshbak;
mod nodeset;
mod pdcp;
mod pdsh;
mod pdsh_hosts;
mod pdsh_reference;

/// Group sources for the tests, in ClusterShell's form.
const GROUPS: [(&str, &str); 4] = [
    (
        "groups.conf",
        "[Main]\ndefault: local\nautodir: $CFGDIR/groups.d\n\
         [local]\nmap: sed -n 's/^$GROUP: *//p' $CFGDIR/local\nall: sed -n 's/^all: *//p' $CFGDIR/local\n\
         list: sed -n 's/^\\([0-9A-Za-z_-]*\\):.*/\\1/p' $CFGDIR/local\n\
         [nolist]\nmap: sed -n 's/^$GROUP: *//p' $CFGDIR/local\n\
         [reverse]\nmap: sed -n 's/^$GROUP: *//p' $CFGDIR/pairs\n\
         reverse: sed -n 's/^\\(.*\\): .*\\<$NODE\\>.*/\\1/p' $CFGDIR/pairs\n\
         [fails]\nmap: false\nlist: false\nall: false\n",
    ),
    (
        "local",
        "all: node[1-40],gw,io[0-3]\nrack1: node[1-20]\nrack2: node[21-40]\nlogin: gw\nio: io[0-3]\nhalf: @rack1\n\
         odd: node[1-40/2]\ngrp-1: node1\ngrp-2: node2\n",
    ),
    ("pairs", "two: a1,a2\nthree: a1,a2,a3\n"),
    (
        "groups.d/roles.yaml",
        "roles:\n  adm: example0\n  compute: ['n[1-4]', 'n[7-9]']\n  gpu: '@compute'\n  all: '@compute,@adm'\n",
    ),
];

/// A program that runs ClusterShell's programs once for each call of a list. One Python process for each call would take
/// minutes. The status is null if the program crashed.
const PEERS: &str = r"
import json, os, sys
from ClusterShell.CLI import Clubak, Nodeset
folder = sys.argv[1]
answers = []
for args, stdin in json.load(open(folder + '/calls')):
    open(folder + '/stdin', 'wb').write(stdin.encode('latin-1'))
    child = os.fork()
    if child == 0:
        os.dup2(os.open(folder + '/stdin', os.O_RDONLY), 0)
        for fd, name in (1, 'stdout'), (2, 'stderr'):
            os.dup2(os.open(folder + '/' + name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), fd)
        sys.argv = args
        status = 99
        try:
            (Clubak if args[0] == 'clubak' else Nodeset).main()
        except SystemExit as end:
            status = end.code or 0
        except BaseException:
            pass
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    text = lambda name: open(folder + '/' + name, 'rb').read().decode('latin-1')
    answers.append([None if status == 99 else status, text('stdout'), text('stderr')])
json.dump(answers, open(folder + '/answers', 'w'))
";

/// A call of a program: its name, its arguments and its input.
#[derive(Clone, Debug)]
struct Call {
    args: Vec<String>,
    input: Vec<u8>,
}

/// What a program printed, and how it ended.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Answer {
    status: Option<i32>,
    stdout: String,
    stderr: String,
}

impl Call {
    /// Returns a call from words with blanks between them, as a shell has them.
    fn new(line: &str, input: &str) -> Call {
        Call {
            args: shlex::split(line).unwrap(),
            input: input.as_bytes().to_vec(),
        }
    }
}

/// Names that lead to mrsh, and a configuration of groups.
struct Names {
    folder: tempfile::TempDir,
}

impl Names {
    fn new() -> Names {
        let folder = tempfile::tempdir().unwrap();
        for name in ["nodeset", "cluset", "clubak", "dshbak"] {
            symlink(env!("CARGO_BIN_EXE_mrsh"), folder.path().join(name)).unwrap();
        }
        for (name, text) in GROUPS {
            let file = folder.path().join("groups").join(name);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, text).unwrap();
        }
        Names { folder }
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Runs a program in the folder of the names, with the test's groups only.
    fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command
            .current_dir(self.path())
            .env("HOME", self.path())
            .env("XDG_CONFIG_HOME", self.path())
            .env("CLUSTERSHELL_CFGDIR", self.path().join("groups"))
            .env_remove("NO_COLOR")
            .env_remove("CLICOLOR")
            .env_remove("CLICOLOR_FORCE");
        command
    }

    /// Returns the answer of mrsh.
    fn answer(&self, call: &Call) -> Answer {
        run(self.command(&self.path().join(&call.args[0])), call)
    }

    /// Returns the answers of ClusterShell; `None` if it is not installed.
    fn clustershell(&self, calls: &[Call]) -> Option<Vec<Answer>> {
        let latin = |bytes: &[u8]| bytes.iter().map(|b| char::from(*b)).collect::<String>();
        let list = calls
            .iter()
            .map(|call| json!([call.args, latin(&call.input)]));
        let list = Value::from_iter(list);
        fs::write(self.path().join("calls"), list.to_string()).unwrap();
        let python = self
            .command(Path::new("/usr/bin/python3"))
            .args(["-c", PEERS])
            .arg(self.path())
            .env("PYTHONUTF8", "1")
            .output();
        if !python.is_ok_and(|output| output.status.success()) {
            may_skip("ClusterShell is not installed (package clustershell)");
            return None;
        }
        let answers = fs::read(self.path().join("answers")).unwrap();
        let answers: Vec<(Option<i32>, String, String)> = serde_json::from_slice(&answers).unwrap();
        let bytes = |text: String| text.chars().map(|c| c as u8).collect::<Vec<u8>>();
        let text = |text: String| String::from_utf8(bytes(text)).unwrap();
        let answers = answers.into_iter().map(|(status, stdout, stderr)| Answer {
            status,
            stdout: text(stdout),
            stderr: text(stderr),
        });
        Some(answers.collect())
    }

    /// Compares the answers of mrsh with those of ClusterShell. Calls at which ClusterShell crashes do not count.
    fn compare(&self, calls: &[Call]) {
        let Some(answers) = self.clustershell(calls) else {
            return;
        };
        let compared = calls.iter().zip(&answers);
        let compared = compared.filter(|(_, answer)| answer.status.is_some());
        let different: Vec<String> = compared
            .filter_map(|(call, theirs)| {
                let ours = self.answer(call);
                (ours != *theirs).then(|| format!("{call:?}\n  {theirs:?}\n  {ours:?}"))
            })
            .collect();
        assert!(different.is_empty(), "{}", different.join("\n"));
    }
}

fn run(mut command: Command, call: &Call) -> Answer {
    let mut child = command
        .args(&call.args[1..])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A program that ends without reading its input closes the pipe.
    let _ = child.stdin.take().unwrap().write_all(&call.input);
    let output = child.wait_with_output().unwrap();
    Answer {
        status: output.status.code(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// Checks the standard output of calls that succeed without a message.
fn assert_outputs(calls: &[(&str, &str, &str)]) {
    let names = Names::new();
    for (line, input, stdout) in calls {
        let expected = Answer {
            status: Some(0),
            stdout: (*stdout).to_owned(),
            stderr: String::new(),
        };
        assert_eq!(names.answer(&Call::new(line, input)), expected, "{line}");
    }
}

/// Returns the path of an installed program, or `None` with a message that the test is skipped.
fn installed(path: &str, package: &str) -> Option<PathBuf> {
    let path = PathBuf::from(path);
    if path.exists() {
        return Some(path);
    }
    may_skip(&format!(
        "{} is not installed (package {package})",
        path.display()
    ));
    None
}
