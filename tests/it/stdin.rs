//! Standard input (`-i`): the input of the commands, the side that closes first, and hosts that read less than all
//! input. Most daemons here are the embedded ones, which run real commands. Some are scripted. The cases of tests/lab
//! do the same with real daemons.

use std::fs::File;
use std::io::{PipeWriter, Read, Seek, SeekFrom, Write, pipe};
use std::os::fd::OwnedFd;
use std::thread;
use std::time::Duration;

use fake_rshd::{Connection, Observation, Script, Step};
use rustix::process::Signal;

use crate::support::{Ended, FakeRshd, Mrsh, file, host, lacks, piped, records};

const MB: usize = 1 << 20;

/// A call of the program with embedded daemons.
fn demo(hosts: &str) -> Mrsh {
    Mrsh::new().args(&["--demo", "-q", "-w", hosts])
}

/// Bytes of all values, in a fixed order.
fn bytes(length: usize) -> Vec<u8> {
    (0..length).map(|i| (i * 31 % 256) as u8).collect()
}

/// The outcomes in `--json`, sorted by label: label, status and the side that closed first.
fn ends(ended: &Ended) -> Vec<(String, i64, String)> {
    let mut ends: Vec<_> = records(ended)
        .iter()
        .filter(|record| record["event"] == "finished")
        .map(|record| {
            let text = |key: &str| record[key].as_str().unwrap_or_default().to_owned();
            let status = record["status"].as_i64().unwrap_or(-1);
            (text("label"), status, text("closed_first"))
        })
        .collect();
    ends.sort();
    ends
}

/// The expected outcomes of `hosts` hosts with the same status.
fn all(hosts: usize, status: i64, closed_first: &str) -> Vec<(String, i64, String)> {
    (1..=hosts)
        .map(|i| (format!("h{i}"), status, closed_first.to_owned()))
        .collect()
}

// ---- the input of the commands

#[test]
fn every_host_reads_every_byte() {
    for length in [0, 1, 70_000, 3 * MB] {
        let sent = bytes(length);
        for stdin in [OwnedFd::from(file(&sent)), piped(sent.clone())] {
            let ended = demo("h1,h2,h3").args(&["-i", "-o"]);
            let directory = tempfile::tempdir().unwrap();
            let ended = ended.arg(directory.path()).arg("cat").stdin(stdin).run();
            ended.status(0).stdout("");
            for host in ["h1", "h2", "h3"] {
                let got = std::fs::read(directory.path().join(host)).unwrap();
                assert!(got == sent, "{host}: {} of {length} bytes", got.len());
            }
        }
    }
}

#[test]
fn a_hundred_megabytes_there_and_back() {
    let sent = bytes(100 * MB);
    let directory = tempfile::tempdir().unwrap();
    let mut input = file(&sent);
    for stdin in [
        OwnedFd::from(input.try_clone().unwrap()),
        piped(sent.clone()),
    ] {
        input.rewind().unwrap();
        let call = demo("h1,h2,h3").args(&["-i", "-o"]).arg(directory.path());
        let ended = call.arg("cat; echo done >&2; exit 3").stdin(stdin);
        let ended = ended.within(Duration::from_secs(100)).run().status(1);
        assert_eq!(ended.stderr.matches(": done\n").count(), 3, "{ended:?}");
        for host in ["h1", "h2", "h3"] {
            assert!(std::fs::read(directory.path().join(host)).unwrap() == sent);
        }
    }
}

#[test]
fn a_file_is_sent_from_its_position_and_left_at_its_end() {
    let mut input = file(b"skipped,sent");
    input.seek(SeekFrom::Start(8)).unwrap();
    let ended = demo("h1")
        .args(&["-i", "cat"])
        .stdin(input.try_clone().unwrap());
    ended.run().status(0).stdout("h1: sent\n");
    assert_eq!(input.stream_position().unwrap(), 12);
}

#[test]
fn without_the_option_nothing_is_read() {
    let mut input = file(b"one\ntwo\n");
    let ended = demo("h1").arg("cat").stdin(input.try_clone().unwrap());
    ended.run().status(0).stdout("");
    assert_eq!(input.stream_position().unwrap(), 0);
    // The program does not read from a pipe either: the bytes would be lost.
    let (reader, mut writer) = pipe().unwrap();
    writer.write_all(b"kept").unwrap();
    let kept = reader.try_clone().unwrap();
    demo("h1")
        .arg("cat")
        .stdin(OwnedFd::from(reader))
        .run()
        .status(0);
    drop(writer);
    assert_eq!(std::io::read_to_string(kept).unwrap(), "kept");
}

#[test]
fn a_loop_that_reads_hosts_reads_all_of_them() {
    let script = format!(
        "while read h; do {} --demo -q -w $h 'echo $MRSH_HOST'; done",
        env!("CARGO_BIN_EXE_mrsh")
    );
    let output = std::process::Command::new("/bin/sh")
        .args(["-c", &script])
        .stdin(file(b"h1\nh2\nh3\n"))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert_eq!(said, "h1: h1\nh2: h2\nh3: h3\n", "{output:?}");
}

#[test]
fn targets_and_input_cannot_both_come_from_standard_input() {
    for targets in [["-f", "-"], ["-w", "-"]] {
        let ended = Mrsh::new().args(&["--demo", "-i"]).args(&targets);
        let ended = ended.arg("cat").stdin(file(b"h1\n")).run().status(2);
        ended
            .stdout("")
            .says(&["cannot read targets from standard input: -i sends it to the commands"]);
    }
    let ended = Mrsh::new().args(&["--demo", "-q", "-f", "-"]);
    let ended = ended.arg("cat").stdin(file(b"h1\n")).run().status(0);
    ended.stdout("");
}

#[test]
fn closed_standard_input_is_an_end_of_file() {
    let script = format!(
        "{} --demo -q -i -w h1 'cat; echo $?' <&-",
        env!("CARGO_BIN_EXE_mrsh")
    );
    let output = std::process::Command::new("/bin/sh")
        .args(["-c", &script])
        .output()
        .unwrap();
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        "h1: 0\n",
        "{output:?}"
    );
    assert!(output.status.success());
}

#[test]
fn unreadable_input_stops_the_run_before_it_begins() {
    let named = tempfile::NamedTempFile::new().unwrap();
    let write_only = File::options().write(true).open(named.path()).unwrap();
    for stdin in [File::open("/").unwrap(), write_only] {
        let ended = demo("h1").args(&["-i", "echo ran"]).stdin(stdin).run();
        ended.status(2).stdout("").says(&["standard input"]);
    }
}

#[test]
fn input_can_be_typed_at_a_terminal() {
    if lacks("script") {
        return;
    }
    // script(1) gives the program a terminal and sends it the typed text and ^D.
    let program = env!("CARGO_BIN_EXE_mrsh");
    let command = format!("{program} --demo -q --color never -i -w h1 'cat; echo end'");
    let mut child = std::process::Command::new("script")
        .args(["-qec", &command, "/dev/null"])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut typing = child.stdin.take().unwrap();
    let mut screen = child.stdout.take().unwrap();
    let mut said = Vec::new();
    let mut until = |text: &[u8]| {
        let mut byte = [0];
        while !said.ends_with(text) && screen.read(&mut byte).unwrap() > 0 {
            said.push(byte[0]);
        }
        assert!(said.ends_with(text), "{}", said.escape_ascii());
    };
    typing.write_all(b"typed\n").unwrap();
    until(b"h1: typed\r\n");
    // ^D is an end of file only at the start of a line, while a program reads.
    typing.write_all(b"\x04").unwrap();
    until(b"h1: end\r\n");
    assert!(child.wait().unwrap().success());
}

// ---- the side that closes first

#[test]
fn with_counted_input_the_other_side_closes_first() {
    let sent = bytes(300_000);
    for stdin in [OwnedFd::from(file(&sent)), piped(bytes(20_000))] {
        let call = demo("h[1-3]").args(&["-i", "--json", "cat >/dev/null; exit 5"]);
        let ended = call.stdin(stdin).run().status(1);
        assert_eq!(ends(&ended), all(3, 5, "remote"));
    }
}

/// A pipe and lines for it. The test writes a line, waits until it was printed, and writes the next one.
fn in_steps(steps: usize) -> (OwnedFd, PipeWriter, Vec<String>) {
    let (reader, writer) = pipe().unwrap();
    let lines = (0..steps).map(|i| format!("line {i}")).collect();
    (reader.into(), writer, lines)
}

#[test]
fn a_pipe_of_unknown_length_is_sent_as_it_comes_and_closed_first_by_this_side() {
    let (stdin, mut writer, lines) = in_steps(4);
    let call = demo("h[1-3]").args(&["-i", "--json", "cat"]);
    let mut running = call.stdin(stdin).start();
    for line in &lines {
        writer.write_all(format!("{line}\n").as_bytes()).unwrap();
        running.has_printed(line.as_bytes());
        thread::sleep(Duration::from_millis(150));
    }
    drop(writer);
    let ended = running.finish().status(0);
    assert_eq!(ends(&ended), all(3, 0, "local"));
}

#[test]
fn the_length_of_a_pipe_is_known_for_hosts_that_start_after_its_end() {
    let (reader, mut writer) = pipe().unwrap();
    let call = demo("h1,h2").args(&["-i", "--json", "-j", "1", "echo up; cat >/dev/null"]);
    let mut running = call.stdin(OwnedFd::from(reader)).start();
    writer.write_all(b"one\n").unwrap();
    // The first host has started before the length of the input is known.
    running.has_printed(br#""text":"up"#);
    drop(writer);
    let ended = running.finish().status(0);
    let (h1, h2) = (
        ("h1".into(), 0, "local".into()),
        ("h2".into(), 0, "remote".into()),
    );
    assert_eq!(ends(&ended), [h1, h2]);
}

// ---- commands that read less than all input

#[test]
fn commands_that_read_little_or_nothing_keep_their_status() {
    let sent = [b"first\n".as_slice(), &bytes(8 * MB)].concat();
    for (command, status, said) in [
        ("head -n1", 0, "first"),
        ("read x; echo $x; exit 7", 7, "first"),
        ("true", 0, ""),
        ("exec <&-; exit 9", 9, ""),
        ("kill -9 $$", 137, ""),
    ] {
        for stdin in [OwnedFd::from(file(&sent)), piped(sent.clone())] {
            let call = demo("h1,h2").args(&["-i", "-S", command]).stdin(stdin);
            let ended = call.run().status(status);
            let mut lines: Vec<_> = ended.stdout.split_inclusive(|&b| b == b'\n').collect();
            lines.sort_unstable();
            let wanted = match said {
                "" => String::new(),
                said => format!("h1: {said}\nh2: {said}\n"),
            };
            assert_eq!(lines.concat(), wanted.as_bytes(), "{command}");
        }
    }
}

#[test]
fn an_endless_input_ends_with_the_commands() {
    let (reader, mut writer) = pipe().unwrap();
    let endless = thread::spawn(move || while writer.write_all(b"yes\n").is_ok() {});
    let call = demo("h[1-4]").args(&["-i", "head -n1; exit 2"]);
    let ended = call.stdin(OwnedFd::from(reader)).run().status(1);
    assert_eq!(ended.stdout.len(), 4 * "h1: yes\n".len(), "{ended:?}");
    endless.join().unwrap();
}

#[test]
fn a_small_rest_of_the_input_is_sent_and_a_large_one_is_not() {
    let end = |length| {
        let call = demo("h1").args(&["-i", "--json", "true"]);
        ends(&call.stdin(file(&bytes(length))).run().status(0))
    };
    assert_eq!(end(100_000), all(1, 0, "remote"));
    // More than the buffers of the kernel and of the programs together.
    assert_eq!(end(64 * MB), all(1, 0, "local"));
}

#[test]
fn a_host_that_reads_nothing_does_not_delay_others() {
    let command = "test $MRSH_HOST = h2 && exec sleep 1000; md5sum";
    let call = demo("h[1-3]").args(&["-i", command]);
    let call = call.within(Duration::from_secs(100));
    let mut running = call.stdin(file(&bytes(32 * MB))).start();
    running.has_printed(b"h1: ");
    running.has_printed(b"h3: ");
    running.signal(Signal::TERM);
    assert_eq!(running.finish().signal, Some(15));
}

#[test]
fn a_dead_host_and_one_that_dies_do_not_delay_others() {
    let reads = || Script::after_start().then(Step::Sleep(Duration::from_secs(1)));
    let fake = FakeRshd::playing_all(vec![
        Script::after_callback().then(Step::Stall),
        reads().then(Step::Reset(Connection::Main)),
        reads().then(Step::Close(Connection::Main)),
        Script::after_start()
            .then(Step::EndMarker(0))
            .then(Step::AwaitClose),
    ]);
    let call = fake
        .mrsh()
        .args(&["-i", "-t", "2", "--stderr", "merge", "cat"]);
    let ended = call.stdin(file(&bytes(20 * MB))).run().status(3);
    let [dead, reset, closed, _] = [0, 1, 2, 3].map(host);
    // If a side closes with unread bytes, the kernel resets the connection.
    let broken = "127.77.0.[2-3]: connection reset while the command was running";
    assert_eq!(
        (reset.as_str(), closed.as_str()),
        ("127.77.0.2", "127.77.0.3")
    );
    assert!(ended.stderr.contains(broken), "{ended:#?}");
    assert!(
        ended
            .stderr
            .contains(&format!("{dead}: timed out after 2 s")),
        "{ended:#?}"
    );
    assert!(ended.stderr.contains("3 of 4 failed"), "{ended:#?}");
}

#[test]
fn a_connection_that_breaks_after_the_marker_is_no_failure() {
    // The command succeeded. The daemon's kernel resets the connection, because input is unread.
    let script = Script::printing("out\n", 0).then(Step::Sleep(Duration::from_millis(100)));
    for end in [Step::Reset(Connection::Main), Step::Close(Connection::Main)] {
        let fake = FakeRshd::playing(script.clone().then(end));
        let call = fake
            .mrsh()
            .args(&["-i", "cat"])
            .stdin(file(&bytes(20 * MB)));
        call.run().status(0).stdout(format!("{}: out\n", host(0)));
    }
}

#[test]
fn unwrapped_commands_get_all_and_then_the_end() {
    let script = Script::after_start().then(Step::AwaitClose);
    let fake = FakeRshd::playing(script);
    let call = fake
        .mrsh()
        .args(&["-i", "--raw", "--stderr", "merge", "write memory"]);
    call.stdin(file(b"line\n")).run().status(0).stdout("");
    let observed = fake.observed();
    let sent: Vec<u8> = observed
        .iter()
        .filter_map(|seen| match seen {
            Observation::Stdin(bytes) => Some(bytes.as_slice()),
            _ => None,
        })
        .flatten()
        .copied()
        .collect();
    assert_eq!(sent, b"line\n", "{observed:?}");
    assert!(
        observed.contains(&Observation::Closed(Connection::Main)),
        "{observed:?}"
    );
}

// ---- more input than the spool holds

#[test]
fn input_for_later_hosts_that_exceeds_the_spool_is_a_failure_of_all() {
    let call = Mrsh::new().args(&[
        "--demo",
        "-w",
        "h[1-3]",
        "-i",
        "-j",
        "1",
        "-t",
        "0.5",
        "--stdin-spool",
        "1M",
        "cat >/dev/null",
    ]);
    let ended = call.stdin(piped(bytes(30 * MB))).run().status(3);
    ended
        .stdout("")
        .says(&["longer than the 1048576 bytes that are kept for hosts still to be started"]);
    // A file needs no spool. If all hosts run at the same time, input is read at the speed of the slowest host.
    let call = demo("h1,h2,h3").args(&["-i", "-j", "1", "--stdin-spool", "1M", "md5sum"]);
    call.stdin(file(&bytes(5 * MB))).run().status(0);
    let call = demo("h1,h2,h3").args(&["-i", "--stdin-spool", "1M", "sleep 1; md5sum"]);
    let ended = call.stdin(piped(bytes(30 * MB))).run().status(0);
    let sums: std::collections::HashSet<&[u8]> = ended
        .stdout
        .split(|&b| b == b'\n')
        .filter_map(|line| line.get(4..))
        .collect();
    assert_eq!(sums.len(), 1, "{ended:?}");
}

// ---- local commands

/// A call of local commands.
fn exec(hosts: &str) -> Mrsh {
    Mrsh::new().args(&["-q", "-R", "exec", "-w", hosts])
}

#[test]
fn local_commands_read_every_byte() {
    let sent = bytes(8 * MB);
    for stdin in [OwnedFd::from(file(&sent)), piped(sent.clone())] {
        let directory = tempfile::tempdir().unwrap();
        let call = exec("a,b,c").args(&["-i", "-o"]).arg(directory.path());
        call.arg("cat").stdin(stdin).run().status(0);
        for host in ["a", "b", "c"] {
            assert!(std::fs::read(directory.path().join(host)).unwrap() == sent);
        }
    }
}

#[test]
fn local_commands_that_read_little_or_late_keep_their_status() {
    let sent = bytes(8 * MB);
    let directory = tempfile::tempdir().unwrap();
    let copy = directory.path().join("copy");
    let late = format!("exec >&- 2>&-; cat >{}; exit 4", copy.display());
    for (command, status) in [("exit 3", 3), ("read x; exit 5", 5), (&late, 4)] {
        let call = exec("a").args(&["-i", "-S", "sh", "-c", command]);
        call.stdin(file(&sent)).run().status(status).stdout("");
    }
    assert!(std::fs::read(copy).unwrap() == sent);
}

#[test]
fn a_local_command_whose_input_fails_does_not_treat_a_part_as_complete() {
    let directory = tempfile::tempdir().unwrap();
    let whole = directory.path().join("whole");
    let command = format!("cat >/dev/null; echo >{}", whole.display());
    let call = Mrsh::new().args(&["-R", "exec", "-w", "a,b", "-j", "1", "-t", "0.5", "-i"]);
    let call = call.args(&["--stdin-spool", "1M", "sh", "-c", &command]);
    let ended = call.stdin(piped(bytes(30 * MB))).run().status(3);
    ended.says(&["2 failed: a,b: standard input: longer than the 1048576 bytes"]);
    assert!(!whole.exists());
}
