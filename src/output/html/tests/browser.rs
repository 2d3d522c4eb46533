//! A browser shows the page: Debian's Chromium, without a screen and without a network.

use std::num::NonZeroUsize;
use std::path::Path;
use std::process::{Command, Output};
use std::time::Instant;

use super::*;

/// Maximum time of the browser for a page of 5,000 hosts, on a machine that is busy with other tests.
const PATIENCE: Duration = Duration::from_secs(60);

/// Number of hosts of the run: 125 racks of 40.
const HOSTS: u32 = 5000;

/// A run of 5,000 hosts with a fan-out of 500. One rack connects slowly, one host hangs, and some hosts fail.
fn big_run() -> (RunInfo, Vec<Event>, RunStats) {
    let names: Vec<String> = (0..HOSTS)
        .map(|n| format!("r{:03}n{:02}", n / 40 + 1, n % 40 + 1))
        .collect();
    let mut info = run_info(&names);
    info.command = b"cat /etc/os-release; uname -r; df -h /".to_vec();
    info.fanout = NonZeroUsize::new(500).unwrap();
    let mut events = vec![run_started(&names)];
    let mut random = fastrand::Rng::with_seed(5);
    let mut free: Vec<u64> = vec![0; 500];
    let mut stats = RunStats {
        total: names.len(),
        ..RunStats::default()
    };
    let usual: String = (0..24)
        .map(|n| format!("KEY_{n}=\"a value of the usual kind\"\n"))
        .collect();
    for host in 0..HOSTS {
        let rack = host / 40 + 1;
        let slot = (0..free.len()).min_by_key(|at| free[*at]).unwrap();
        let mut times = [
            random.u64(1..3),
            0,
            random.u64(1..9),
            random.u64(4..30),
            random.u64(150..450),
        ];
        let outcome = match rack {
            77 => {
                times[2] = random.u64(2500..3200);
                exit(0)
            }
            // The switch of this rack has failed.
            31 => {
                times = [2, 0, 3000, 0, 0];
                stats.failed += 1;
                Outcome::Failed(
                    TransportError::ConnectTimeout {
                        phase: crate::event::Phase::Connect,
                        after: Duration::from_secs(3),
                    }
                    .into(),
                )
            }
            _ if host == 3333 => {
                times[4] = 4100;
                exit(0)
            }
            _ if host.is_multiple_of(501) => exit(1),
            _ => exit(0),
        };
        match outcome {
            Outcome::Exited(RemoteExit::Code(0)) => stats.succeeded += 1,
            Outcome::Exited(_) => stats.exit_failed += 1,
            _ => {}
        }
        if rack != 31 {
            let kernel = if rack.is_multiple_of(9) {
                "5.10.0-28-amd64"
            } else {
                "6.1.0-18-amd64"
            };
            let more = if host == 1234 {
                "</pre><script>document.title = 'mine'</script><img src=x onerror=\"document.title = 'mine'\">\n\x1b]0;t\x07\u{202e}"
            } else {
                ""
            };
            let text = format!(
                "{usual}{kernel}\n/dev/sda1  20G  {}G  12G\n{more}",
                if host % 700 == 3 { 8 } else { 7 }
            );
            events.push(output(host, Stdout, text.as_bytes()));
            if host % 250 == 7 {
                events.push(output(host, Stderr, b"df: /net/home: Stale file handle\n"));
            }
        }
        events.push(ended(host, outcome, free[slot], times));
        free[slot] += times.iter().sum::<u64>();
    }
    stats.elapsed = Duration::from_millis(free.iter().copied().max().unwrap());
    (info, events, stats)
}

/// Runs the browser on a page. Returns `None` if there is no browser.
fn chromium(profile: &Path, page: &Path, options: &[&str]) -> Option<Output> {
    let mut command = Command::new("timeout");
    command
        .args([
            "120",
            "chromium",
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
        ])
        .args([
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--disable-dev-shm-usage",
        ])
        .arg(format!("--user-data-dir={}", profile.display()))
        // Messages of a page on its console go to standard error.
        .args(["--enable-logging=stderr", "--log-level=0"])
        .args(options)
        .arg(format!("file://{}", page.display()));
    let output = command.output().unwrap();
    (output.status.code() != Some(127)).then_some(output)
}

/// Messages of the page on the browser's console.
fn console(output: &Output) -> Vec<String> {
    let log = String::from_utf8_lossy(&output.stderr).into_owned();
    // The browser's own pages write there too, for example about a slow network on a busy machine.
    log.lines()
        .filter(|line| line.contains(":CONSOLE") && !line.contains("source: chrome://"))
        .map(str::to_owned)
        .collect()
}

#[test]
fn chromium_shows_five_thousand_hosts() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    let (info, events, stats) = big_run();
    let begun = Instant::now();
    let text = page(&info, &events, &stats);
    assert!(
        begun.elapsed() < Duration::from_secs(20),
        "{:?}",
        begun.elapsed()
    );
    assert!(text.len() < 2_000_000, "{} bytes", text.len());
    fs::write(path("page.html"), &text).unwrap();
    // MRSH_KEEP_PAGE=/tmp/page.html keeps the page, to look at it.
    if let Some(keep) = std::env::var_os("MRSH_KEEP_PAGE") {
        fs::write(keep, &text).unwrap();
    }

    let begun = Instant::now();
    let Some(output) = chromium(&path("a"), &path("page.html"), &["--dump-dom"]) else {
        let why = "there is no chromium: tests/lab/setup installs it";
        assert!(
            std::env::var_os("CI").is_none_or(|ci| ci != "true"),
            "{why}"
        );
        return eprintln!("SKIPPED: {why}");
    };
    let took = begun.elapsed();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(took < PATIENCE, "{took:?}");
    assert_eq!(console(&output), [""; 0]);
    let dom = String::from_utf8(output.stdout).unwrap();
    // The script of the page ran, and the script in a host's output did not.
    assert_eq!(
        between(&dom, "<title>", "</title>"),
        between(&text, "<title>", "</title>")
    );
    assert!(dom.contains("role=\"slider\""), "the picture answers");
    assert_eq!(
        dom.matches("<button type=\"button\">").count(),
        11,
        "every column can be sorted by"
    );
    assert_eq!(
        dom.matches("<th scope=\"row\">r").count(),
        5000,
        "every host has its row"
    );
    assert!(!dom.contains("<img") && !dom.contains("onerror=\"document"));
    let slowest = between(&dom, "The slowest of 125 groups", "</tbody>");
    let first = between(slowest, "<tbody>", "</tr>");
    assert!(
        first.contains("r077n[01-40]") && first.contains("connect"),
        "{first}"
    );
    let second = slowest.split("</tr>").nth(2).unwrap();
    assert!(
        second.contains("r031n[01-40]") && second.contains("<td class=\"num\">40</td>"),
        "{second}"
    );

    let shot = format!("--screenshot={}", path("shot.png").display());
    let output = chromium(
        &path("b"),
        &path("page.html"),
        &["--window-size=1280,2000", &shot],
    )
    .unwrap();
    assert_eq!(console(&output), [""; 0]);
    let picture = fs::read(path("shot.png")).unwrap();
    assert!(
        picture.starts_with(b"\x89PNG") && picture.len() > 50_000,
        "{}",
        picture.len()
    );
}

#[test]
fn a_script_of_a_host_would_not_run_even_unescaped() {
    let dir = tempfile::tempdir().unwrap();
    let names = ["a"];
    let events = [
        run_started(&names),
        output(0, Stdout, b"MARK\n"),
        ended(0, exit(0), 0, [1, 1, 1, 1, 1]),
    ];
    let stats = RunStats {
        total: 1,
        succeeded: 1,
        ..RunStats::default()
    };
    let text = page(&run_info(&names), &events, &stats);
    let hostile = "<script>document.title = 'mine'</script><img src=\"data:,x\" onerror=\"document.title = 'mine'\">";
    let file = dir.path().join("page.html");
    fs::write(&file, text.replace("MARK", hostile)).unwrap();
    let Some(output) = chromium(&dir.path().join("profile"), &file, &["--dump-dom"]) else {
        return eprintln!("SKIPPED: there is no chromium");
    };
    let dom = String::from_utf8(output.stdout.clone()).unwrap();
    assert_eq!(
        between(&dom, "<title>", "</title>"),
        "The host succeeded: uptime"
    );
    assert!(
        !console(&output).is_empty(),
        "the browser says that it let nothing in"
    );
}
