//! Large output: the memory of mrsh is bounded, no output is lost, and no host delays others. Local commands write the
//! output, because daemons would need more CPU than mrsh.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::support::may_skip;

/// Maximum memory of a run, in KiB.
const MOST: u64 = 64 * 1024;

/// Runs `mrsh -R exec` with these options on this number of hosts. Each host runs `script` with its name in `$0`.
/// Returns the peak of the memory in KiB, and standard output.
fn run(options: &[&str], hosts: usize, script: &str, keep: bool) -> Option<(u64, Vec<u8>)> {
    let dir = tempfile::tempdir().unwrap();
    let (peak, out) = (dir.path().join("peak"), dir.path().join("out"));
    let to = if keep {
        fs::File::create(&out).unwrap()
    } else {
        fs::File::options().write(true).open("/dev/null").unwrap()
    };
    let mut command = Command::new("timeout");
    command
        .args(["110", "time", "-q", "-f", "%M", "-o"])
        .arg(&peak)
        .arg(env!("CARGO_BIN_EXE_mrsh"))
        .args(["--no-config", "-q", "-R", "exec", "-j", "32"])
        .args(options)
        .args(["-w", &format!("n[1-{hosts}]"), "sh", "-c", script, "%h"])
        .stdin(Stdio::null())
        .stdout(to)
        .stderr(Stdio::piped());
    let output = command.output().unwrap();
    if output.status.code() == Some(127) {
        may_skip("there is no time(1)");
        return None;
    }
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{options:?}: {:?} {said}",
        output.status
    );
    let peak = fs::read_to_string(&peak).unwrap();
    let peak = peak.trim().parse().expect(&peak);
    Some((
        peak,
        if keep {
            fs::read(&out).unwrap()
        } else {
            Vec::new()
        },
    ))
}

/// Twenty hosts write this many megabytes each. No two outputs are equal.
fn twenty_hosts(options: &[&str], megabytes: u32) {
    let line = "x".repeat(900);
    let script = format!("yes \"$0 {line}\" | head -c {megabytes}000000");
    if let Some((peak, _)) = run(options, 20, &script, false) {
        assert!(peak < MOST, "{options:?} took {peak} KiB");
    }
}

#[test]
fn twenty_hosts_of_twenty_megabytes_as_they_come() {
    let dir = tempfile::tempdir().unwrap();
    twenty_hosts(&[], 20);
    twenty_hosts(&["-o", dir.path().to_str().unwrap()], 20);
    let sizes = fs::read_dir(dir.path())
        .unwrap()
        .map(|file| file.unwrap().metadata().unwrap().len());
    assert_eq!(sizes.collect::<Vec<_>>(), [20_000_000; 20]);
    twenty_hosts(&["--only", "failed"], 20);
}

#[test]
fn twenty_hosts_of_twenty_megabytes_gathered() {
    for options in [&["-b"][..], &["-B"], &["-L"], &["-bL"], &["--live", "-b"]] {
        twenty_hosts(options, 20);
    }
}

#[test]
fn twenty_hosts_of_twenty_megabytes_on_a_page() {
    let dir = tempfile::tempdir().unwrap();
    let page = dir.path().join("page.html");
    twenty_hosts(&["--report", page.to_str().unwrap()], 20);
    twenty_hosts(&["-b", "--report", page.to_str().unwrap()], 20);
    let page = fs::read_to_string(&page).unwrap();
    assert!(page.len() < 10_000_000);
    assert_eq!(
        page.matches(" bytes left out; use <code>-o DIR</code>")
            .count(),
        20
    );
}

// The next two tests are slow in a build that is not optimized, so they have less output. It is still more than the
// memory limit.

#[test]
fn twenty_hosts_of_five_megabytes_as_json() {
    twenty_hosts(&["--json"], 5);
}

#[test]
fn twenty_hosts_of_eight_megabytes_as_a_diff() {
    twenty_hosts(&["--diff"], 8);
}

#[test]
fn ten_thousand_hosts_with_three_outputs_take_the_memory_of_three() {
    let dir = tempfile::tempdir().unwrap();
    let (input, peak) = (dir.path().join("input"), dir.path().join("peak"));
    let mut text = String::new();
    for line in 0..100 {
        for host in 0..10_000 {
            // About 12 KB of text if equal outputs are kept once, and 40 MB if each host has its own copy.
            let rest = "x".repeat(20);
            text += &format!("n{host}: line {line} of {} {rest}\n", host % 3);
        }
    }
    fs::write(&input, &text).unwrap();
    let run = |input: fs::File| {
        Command::new("time")
            .args(["-q", "-f", "%M", "-o"])
            .arg(&peak)
            .arg(env!("CARGO_BIN_EXE_mrsh"))
            .args(["--no-config", "--gather-stdin"])
            .stdin(input)
            .output()
    };
    let output = run(fs::File::open(&input).unwrap());
    let Ok(output) = output else {
        return may_skip("there is no time(1)");
    };
    assert!(output.status.success(), "{output:?}");
    assert_eq!(
        memchr::memmem::find_iter(&output.stdout, b" (3334)\n").count(),
        1
    );
    assert_eq!(
        memchr::memmem::find_iter(&output.stdout, b" (3333)\n").count(),
        2
    );
    assert_eq!(
        memchr::memmem::find_iter(&output.stdout, b"\nline ").count(),
        300
    );
    let read_peak = || -> u64 { fs::read_to_string(&peak).unwrap().trim().parse().unwrap() };
    let with_input = read_peak();
    run(fs::File::open("/dev/null").unwrap()).unwrap();
    // The program itself takes 20 MB in a build for debugging, and half of that in a release.
    let gathered = with_input.saturating_sub(read_peak());
    assert!(gathered < 10 * 1024, "{gathered} KiB");
}

#[test]
fn one_host_that_prints_a_gigabyte_beside_others_that_print_a_line() {
    let line = "x".repeat(60_000);
    let script = format!("case $0 in n7) yes {line} | head -c 1000000000;; *) echo $0;; esac");
    let dir = tempfile::tempdir().unwrap();
    let directory = dir.path().to_str().unwrap();
    for options in [&[][..], &["-o", directory]] {
        let Some((peak, _)) = run(options, 40, &script, false) else {
            return;
        };
        assert!(peak < MOST, "{options:?} took {peak} KiB");
    }
    let length = |name: &str| fs::metadata(dir.path().join(name)).unwrap().len();
    assert_eq!((length("n7"), length("n8")), (1_000_000_000, 3));
    // The other hosts are not delayed: they end while this one prints.
    let line = "x".repeat(900);
    let script =
        format!("case $0 in n7) yes {line} | head -c 90100000; echo last;; *) echo $0;; esac");
    let Some((_, out)) = run(&["-N"], 40, &script, true) else {
        return;
    };
    assert!(out.ends_with(b"last\n"));
    for host in (1..=40).filter(|host| *host != 7) {
        let line = format!("\nn{host}\n");
        let at = memchr::memmem::find(&out, line.as_bytes());
        assert!(
            at.is_some() || out.starts_with(&line.as_bytes()[1..]),
            "n{host} is missing"
        );
    }
}

#[test]
fn lines_of_any_length_and_without_an_end_come_whole_in_every_mode() {
    // 200,000 characters, then a NUL, and no newline.
    let script = r"head -c 200000 /dev/zero | tr '\0' x; printf '\n\0end of %%s' $0";
    let long = [vec![b'x'; 200_000], b"\n\0end of ".to_vec()].concat();
    for options in [
        &["-N"][..],
        &["-N", "-L"],
        &["-N", "-b"],
        &["-N", "-bL"],
        &["-N", "--live", "-b"],
    ] {
        let Some((_, out)) = run(options, 3, script, true) else {
            return;
        };
        for host in 1..=3 {
            let whole = [&long[..], format!("n{host}\n").as_bytes()].concat();
            let ends = memchr::memmem::find_iter(&out, &whole[200_000..]).count();
            assert!(ends >= 1, "{options:?} n{host}");
        }
        let lines = memchr::memmem::find_iter(&out, &long[..200_001]).count();
        assert_eq!(
            lines,
            if options.contains(&"--live") { 6 } else { 3 },
            "{options:?}"
        );
    }
    let dir = tempfile::tempdir().unwrap();
    if run(&["-o", dir.path().to_str().unwrap()], 3, script, false).is_some() {
        let read = |name: &str| fs::read(Path::new(dir.path()).join(name)).unwrap();
        assert!(read("n2") == [&long[..], b"n2"].concat());
    }
}

#[test]
fn a_full_device_ends_the_run_with_a_message() {
    for options in [
        &[][..],
        &["--json"],
        &["-b"],
        &["-L"],
        &["--diff"],
        &["--failed-to", "-"],
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_mrsh"))
            .args(["--no-config", "-R", "exec", "-w", "n[1-3]"])
            .args(options)
            .args(["sh", "-c", "echo text; exit 1"])
            .stdin(Stdio::null())
            .stdout(fs::File::options().write(true).open("/dev/full").unwrap())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(4), "{options:?} {said}");
        let message = "mrsh: cannot write to standard output: No space left on device";
        assert_eq!(said.matches(message).count(), 1, "{options:?} {said}");
    }
}
