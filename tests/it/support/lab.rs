//! What not every machine has: root, the right to bind reserved ports, and with them the lab.
//!
//! A test that lacks such a thing says so and passes at a desk; in CI nothing may be lacking.

use std::net::UdpSocket;
use std::path::Path;
use std::process::Command;

/// Says that a test is skipped, unless this is CI, where that is a failure.
#[track_caller]
pub(crate) fn may_skip(why: &str) {
    assert!(
        std::env::var_os("CI").is_none_or(|ci| ci != "true"),
        "in CI, but {why}"
    );
    eprintln!("SKIPPED: {why}");
}

/// Returns true, and says that the test is skipped, if a program is not installed. In CI that is a failure.
#[track_caller]
pub(crate) fn lacks(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).any(|folder| folder.join(program).is_file());
    if !found {
        may_skip(&format!("{program} is not installed"));
    }
    !found
}

/// Whether the program under test may bind reserved ports: as the test may, whose child it is.
pub(crate) fn reserved_ports() -> bool {
    (512..1024).any(|port| UdpSocket::bind(("127.0.0.1", port)).is_ok())
}

/// Runs a case of `tests/lab/cases` with these arguments and asserts that all of its checks hold.
/// Skips it aloud without root.
#[track_caller]
pub(crate) fn lab_case(name: &str, args: &[&str]) {
    if !rustix::process::geteuid().is_root() {
        return may_skip("the lab needs root to make network namespaces");
    }
    let case = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/lab/cases")
        .join(name);
    // Its time limit is the test runner's: a farm takes as long to build as the machine is busy, and
    // vanishes with the process that built it.
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
