//! The end of a script: signals, time-outs and hosts that cannot take it. Nothing is left behind.

use rustix::process::Signal;

use super::Scripts;
use crate::support::Mrsh;

/// A script that says when it has started, and when TERM has come.
const WAITS: &str = "#!/bin/sh\ntrap 'echo bye; exit 3' TERM\necho up\nsleep 1000 &\nwait\n";

#[test]
fn term_reaches_the_script_and_its_file_is_removed() {
    let scripts = Scripts::new();
    let script = scripts.add("x", WAITS);
    // `ssh` passes no signal on, so it is left out.
    let calls: [&dyn Fn() -> Mrsh; 2] = [&|| scripts.demo(&script), &|| {
        scripts.exec(&script, &[], "exec \"$@\"")
    }];
    for call in calls {
        let mut running = call().start();
        running.has_printed(b"up\n");
        assert_eq!(scripts.left().len(), 1);
        running.signal(Signal::TERM);
        let ended = running.finish().stdout("up\nbye\n");
        assert_eq!(ended.signal, Some(15), "{ended:?}");
        scripts.nothing_left();
    }
}

#[test]
fn a_script_that_ends_by_a_signal_is_removed() {
    let scripts = Scripts::new();
    let script = scripts.add("x", "#!/bin/sh\nkill -KILL $$\n");
    let ended = scripts.exec(&script, &[], "exec \"$@\"").run().status(1);
    ended.says(&["h1: exit 137\n"]);
    // In every shell, also in ksh, whose statuses of signals are above 255.
    let code = "shift; exec ksh \"$@\"";
    if !crate::support::lacks("ksh") {
        let ended = scripts.exec(&script, &[], code).run().status(1);
        ended.says(&["h1: exit 137\n"]);
    }
    scripts.nothing_left();
}

#[test]
fn time_outs_leave_nothing_at_any_moment() {
    let scripts = Scripts::new();
    // Long enough for time-outs while it is received.
    let script = scripts.add("x", [WAITS.as_bytes(), &[b'#'; 3_000_000]].concat());
    for limit in ["0.01", "0.05", "0.2", "1.5"] {
        let call = scripts
            .demo(&script)
            .args(&["-u", limit, "--kill-after", "20"]);
        call.run().status(3).says(&["h1: command timed out"]);
        scripts.nothing_left();
    }
}

#[test]
fn term_in_each_step_before_the_script_leaves_nothing() {
    let scripts = Scripts::new();
    let script = scripts.add("x", "echo ran\n");
    let shells = ["dash", "bash", "busybox sh"];
    for tool in ["mktemp", "dd", "wc", "chmod"] {
        // The tool sends TERM to the whole group, and then does its work if it is still there.
        let bin = scripts.path(tool);
        std::fs::create_dir(&bin).unwrap();
        let content = format!("#!/bin/sh\nkill -TERM 0\nPATH=/usr/bin:/bin exec {tool} \"$@\"\n");
        std::fs::write(bin.join(tool), content).unwrap();
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(bin.join(tool), mode).unwrap();
        for shell in shells {
            if crate::support::lacks(shell.split(' ').next().unwrap()) {
                continue;
            }
            let path = bin.display();
            let code = format!("shift; PATH={path}:$PATH; export PATH; exec {shell} \"$@\"");
            let ended = scripts.exec(&script, &[], &code).run().status(1).stdout("");
            ended.says(&["h1: exit 143\n"]);
            assert_eq!(scripts.left(), [""; 0], "{tool} with {shell}");
        }
    }
}

#[test]
fn a_script_that_ignores_term_is_killed_and_its_directory_can_be_found() {
    let scripts = Scripts::new();
    let script = scripts.add(
        "x",
        "#!/bin/sh\ntrap '' TERM\necho up\nwhile :; do sleep 0.1; done\n",
    );
    let call = scripts
        .demo(&script)
        .args(&["-u", "1", "--kill-after", "0.3"]);
    call.run().status(3).says(&["h1: command timed out"]);
    let left = scripts.left();
    assert!(
        left.iter().all(|name| name.starts_with("mrsh.")),
        "{left:?}"
    );
}

#[test]
fn a_host_without_a_writable_directory_says_what_helps() {
    let scripts = Scripts::new();
    let script = scripts.add("x", "echo ran\n");
    for (directory, cause) in [
        ("/no/such/directory", "No such file or directory"),
        ("/dev/null", "Not a directory"),
        ("/proc", "No such file or directory"),
    ] {
        let call = Mrsh::new().args(&["--demo", "-w", "h1", "--script-dir", directory, "--script"]);
        let ended = call.arg(&script).run().status(1).stdout("");
        let text = format!(
            "h1: mrsh: cannot make a directory for the script in {directory}: {cause}\n\
             h1: mrsh: help: --script-dir DIR names another one\n"
        );
        ended.says(&[&text]).says(&["h1: exit 126\n"]);
    }
}

#[test]
fn a_host_whose_disk_is_full_runs_no_part_of_a_script() {
    let scripts = Scripts::new();
    let script = scripts.add("x", [b"echo ran\n".as_slice(), &[b'#'; 200_000]].concat());
    let call = scripts.exec(&script, &["-i"], "ulimit -f 8; exec \"$@\"");
    let ended = call.run().status(1).stdout("");
    ended
        .says(&["mrsh: cannot write the script to "])
        .says(&["h1: exit 126\n"]);
    scripts.nothing_left();
}

#[test]
fn the_cause_of_a_full_disk_is_named_also_if_the_input_comes_in_pieces() {
    let scripts = Scripts::new();
    let script = scripts.add("x", [b"echo ran\n".as_slice(), &[b'#'; 200_000]].concat());
    // GNU dd warns of the first read that returns less than a block.
    let call = scripts.exec(
        &script,
        &["-i"],
        "trap '' XFSZ; ulimit -f 8; { dd bs=3000 count=2; sleep 0.2; cat; } 2>/dev/null | \"$@\"",
    );
    let ended = call.run().status(1).stdout("");
    ended.says(&[": File too large\n"]);
    scripts.nothing_left();
}

#[test]
fn both_streams_arrive_apart_and_whole() {
    let scripts = Scripts::new();
    let content = "#!/bin/sh\nhead -c 2000000 /dev/zero | tr '\\0' a\n\
                   head -c 2000000 /dev/zero | tr '\\0' b >&2\nprintf '\\001\\377\\n'\n";
    let script = scripts.add("x", content);
    let directory = scripts.path("out");
    let call = scripts
        .demo(&script)
        .arg("-o")
        .arg(&directory)
        .arg("-e")
        .arg(scripts.path("err"));
    call.run().status(0);
    let out = std::fs::read(directory.join("h1")).unwrap();
    assert!(out == [vec![b'a'; 2_000_000], vec![1, 255, b'\n']].concat());
    assert!(std::fs::read(scripts.path("err").join("h1")).unwrap() == vec![b'b'; 2_000_000]);
}
