//! Standard input of a script, and scripts that come from a pipe.

use std::os::fd::OwnedFd;

use super::{Scripts, bytes};
use crate::support::{Mrsh, file, piped};

/// A script that reads a line by itself, and leaves the rest to another program.
const READER: &str = "#!/bin/sh\nread -r line\nprintf '%s\\n' \"$line\"\nexec cat\n";

#[test]
fn the_rest_of_standard_input_is_the_scripts_byte_for_byte() {
    let scripts = Scripts::new();
    let script = scripts.add("x", READER);
    let sent = [b"a line\n".to_vec(), bytes(5_000_000), b"\n".to_vec()].concat();
    let calls: [&dyn Fn() -> Mrsh; 3] = [
        &|| scripts.demo(&script).arg("-i"),
        &|| scripts.ssh(&script, "sh").arg("-i"),
        &|| scripts.exec(&script, &["-i"], "exec \"$@\""),
    ];
    for call in calls {
        for stdin in [OwnedFd::from(file(&sent)), piped(sent.clone())] {
            call().stdin(stdin).run().status(0).stdout(&sent);
        }
    }
    scripts.nothing_left();
}

#[test]
fn every_shell_of_a_host_leaves_the_rest_to_the_script() {
    let scripts = Scripts::new();
    // The script itself is long, so it comes in many parts.
    let script = scripts.add("x", [READER.as_bytes(), &[b'#'; 300_000]].concat());
    let sent = [b"a line\n".to_vec(), bytes(100_000), b"\n".to_vec()].concat();
    for shell in ["dash", "bash", "ksh", "busybox sh"] {
        if crate::support::lacks(shell.split(' ').next().unwrap()) {
            continue;
        }
        let code = format!("shift; exec {shell} \"$@\"");
        let call = scripts.exec(&script, &["-i"], &code);
        call.stdin(piped(sent.clone()))
            .run()
            .status(0)
            .stdout(&sent);
    }
}

#[test]
fn without_the_option_a_script_reads_end_of_file() {
    let scripts = Scripts::new();
    let script = scripts.add("x", "#!/bin/sh\ncat; echo end\n");
    let call = scripts.demo(&script).stdin(file(b"not sent\n"));
    call.run().status(0).stdout("end\n");
}

#[test]
fn a_script_may_leave_its_input_and_its_file() {
    let scripts = Scripts::new();
    let script = scripts.add("x", "#!/bin/sh\nrm \"$0\"; exit 0\n");
    let call = scripts
        .demo(&script)
        .arg("-i")
        .stdin(piped(bytes(3_000_000)));
    call.run().status(0).stdout("");
    scripts.nothing_left();
}

#[test]
fn a_script_may_come_from_standard_input_or_a_pipe() {
    let scripts = Scripts::new();
    let call = scripts.demo("-".as_ref()).args(&["--", "a"]);
    let ended = call
        .stdin(piped(b"echo \"${0##*/} $1\"; cat".to_vec()))
        .run();
    ended.status(0).stdout("script a\n");
    // The path that bash makes of <(COMMAND).
    let ended = scripts
        .demo("/dev/fd/0".as_ref())
        .stdin(piped(b"echo hi".to_vec()))
        .run();
    ended.status(0).stdout("hi\n");
    scripts.nothing_left();
}

#[test]
fn a_script_gets_the_variables_that_it_names_and_those_that_are_given() {
    let scripts = Scripts::new();
    let script = scripts.add(
        "x",
        "#!/bin/sh\necho \"$MRSH_HOST $MRSH_RANK ${MRSH_COUNT-unset} ${LEVEL-none}\"\n",
    );
    for shell in ["sh", "bash"] {
        let call = || scripts.ssh(&script, shell);
        assert_eq!(call().run().stdout, b"h1 0 1 none\n");
        let ended = call().args(&["--env", "LEVEL=%h's"]).run();
        assert_eq!(ended.stdout, b"h1 0 1 h1's\n");
    }
    let ended = scripts.demo(&script).args(&["--env", "LEVEL=3"]).run();
    assert_eq!(ended.stdout, b"h1 0 1 3\n");
}
