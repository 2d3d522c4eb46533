//! ClusterShell's Python library with its worker pdsh, which reads the messages of pdsh.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use crate::support::may_skip;

/// Debian's Python, which has Debian's modules.
const PYTHON: &str = "/usr/bin/python3";

const SCRIPT: &str = r#"
import sys
from ClusterShell.Task import task_self
from ClusterShell.Worker.Pdsh import WorkerPdsh
from ClusterShell.NodeSet import NodeSet

task = task_self()
task.set_info("pdsh_path", sys.argv[1])
task.set_default("distant_worker", WorkerPdsh)
task.shell("echo out %h; echo err >&2; exit %n", nodes="foo[1-3]", timeout=20, stderr=True)
task.resume()
for buf, nodes in sorted(task.iter_buffers(), key=lambda pair: str(NodeSet.fromlist(pair[1]))):
    print(NodeSet.fromlist(nodes), bytes(buf).decode())
for rc, nodes in sorted(task.iter_retcodes()):
    print("rc", rc, NodeSet.fromlist(nodes))
print("max", task.max_retcode())
"#;

#[test]
fn the_worker_pdsh_of_clustershell_understands_the_messages() {
    let found = Command::new(PYTHON)
        .args(["-c", "import ClusterShell.Worker.Pdsh"])
        .output();
    if !found.is_ok_and(|found| found.status.success()) {
        return may_skip("ClusterShell's Python library is not installed");
    }
    let folder = tempfile::tempdir().unwrap();
    let pdsh = folder.path().join("pdsh");
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_mrsh"), &pdsh).unwrap();
    // The worker passes the command as one word, which only ssh and rsh interpret.
    let ssh = folder.path().join("ssh");
    fs::write(
        &ssh,
        "#!/bin/sh\nwhile test $# -gt 1; do shift; done\nexec sh -c \"$1\"\n",
    )
    .unwrap();
    fs::set_permissions(&ssh, fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:/usr/bin:/bin", folder.path().display());
    let output = Command::new(PYTHON)
        .args(["-c", SCRIPT])
        .arg(&pdsh)
        .env("PATH", path)
        .env("PDSH_RCMD_TYPE", "ssh")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}{said}");
    insta::assert_snapshot!(text, @r"
    foo1 out foo1
    foo2 out foo2
    foo3 out foo3
    rc 0 foo1
    rc 1 foo2
    rc 2 foo3
    max 2
    ");
}
