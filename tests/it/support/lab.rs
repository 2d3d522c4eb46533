//! Requirements that not every machine has: root, the right to bind reserved ports, and so the lab.
//!
//! A test without its requirements prints that it is skipped, and passes. In CI that is a failure.

use std::net::UdpSocket;
use std::path::Path;
use std::process::Command;

/// Prints that a test is skipped. Fails in CI.
#[track_caller]
pub(crate) fn may_skip(why: &str) {
    assert!(
        std::env::var_os("CI").is_none_or(|ci| ci != "true"),
        "in CI, but {why}"
    );
    eprintln!("SKIPPED: {why}");
}

/// Returns true, and prints that the test is skipped, if a program is not installed. Fails in CI.
#[track_caller]
pub(crate) fn lacks(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).any(|folder| folder.join(program).is_file());
    if !found {
        may_skip(&format!("{program} is not installed"));
    }
    !found
}

/// True if the program under test may bind reserved ports. It has the rights of the test, its parent process.
pub(crate) fn reserved_ports() -> bool {
    (512..1024).any(|port| UdpSocket::bind(("127.0.0.1", port)).is_ok())
}

/// Runs a case of `tests/lab/cases` with these arguments and asserts that all of its checks hold. Without root, prints
/// that the case is skipped.
#[track_caller]
pub(crate) fn lab_case(name: &str, args: &[&str]) {
    if !rustix::process::geteuid().is_root() {
        return may_skip("the lab needs root to make network namespaces");
    }
    let case = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/lab/cases")
        .join(name);
    // Only the test runner limits the time, because the set-up of the hosts takes long on a busy machine. The
    // namespaces end with the process that made them.
    let output = Command::new(&case)
        .args(args)
        .env("MRSH", env!("CARGO_BIN_EXE_mrsh"))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{name}: {}\n{said}{complaints}",
        output.status
    );
    eprintln!("{said}");
}
