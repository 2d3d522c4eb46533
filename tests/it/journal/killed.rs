//! Runs that are killed with SIGKILL at random moments. After resumed runs, every host has run its command exactly
//! once, or is uncertain and has run it at most once.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::*;

const ROUNDS: usize = 200;

/// Number of rounds at the same time.
// Most of a round is waiting.
const THREADS: usize = 4;

/// Labels that do not fold, so that they can be counted in the text of `--status`.
const HOSTS: &str = "qa,qb,qc,qd,qe,qf,qg,qh,qi,qj,qk,ql";

#[test]
fn no_host_runs_twice_or_never_unsaid() {
    let rounds = |thread: usize| {
        let mut random = fastrand::Rng::with_seed(thread as u64);
        let rounds: Vec<(usize, usize)> =
            (0..ROUNDS / THREADS).map(|_| round(&mut random)).collect();
        rounds
    };
    let all: Vec<(usize, usize)> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS)
            .map(|thread| scope.spawn(move || rounds(thread)))
            .collect();
        threads
            .into_iter()
            .flat_map(|thread| thread.join().unwrap())
            .collect()
    });
    // The moments are worth something only if they hit every part of a run.
    let killed = all.iter().filter(|(killed, _)| *killed > 0).count();
    let uncertain = all.iter().filter(|(_, uncertain)| *uncertain > 0).count();
    assert!(killed > ROUNDS / 2, "{killed} rounds were killed");
    assert!(
        uncertain > ROUNDS / 10,
        "{uncertain} rounds have uncertain targets"
    );
}

/// Runs until every host has its end, and kills some of the runs. Returns the number of killed runs and of uncertain
/// hosts.
fn round(random: &mut fastrand::Rng) -> (usize, usize) {
    let runs = Runs::new();
    let journal = runs.journal();
    // A pause after the line, so that a kill also hits commands that run.
    let script = format!("echo ran >>{}/$0; sleep 0.01", runs.dir.path().display());
    let first = ["-R", "exec", "-w", HOSTS, "-j3", "--journal", &journal];
    let first: Vec<&str> = first
        .into_iter()
        .chain(["sh", "-c", &script, "%h"])
        .collect();
    let again = ["--resume", &journal];
    let mut killed = 0;
    let mut arguments = &first[..];
    loop {
        let mut run = start(arguments, &runs);
        if killed < 4 {
            std::thread::sleep(Duration::from_micros(random.u64(0..120_000)));
            // An error means that the run has ended.
            let _ = run.kill();
        }
        if run.wait().unwrap().code().is_some() {
            break;
        }
        killed += 1;
        // A run that is killed before its journal has a first line has started nothing.
        let has_header = fs::read(&journal).is_ok_and(|text| text.contains(&b'\n'));
        arguments = if has_header {
            &again
        } else {
            assert_eq!(
                HOSTS.split(',').map(|host| runs.times(host)).sum::<usize>(),
                0
            );
            &first
        };
    }
    let status = runs.status();
    let text = String::from_utf8(status.stdout).unwrap();
    let line = |name: &str| -> Vec<String> {
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix(name))
            .unwrap();
        let names = line.split(": ").nth(2).unwrap_or_default();
        names
            .split(',')
            .filter(|name| !name.is_empty())
            .map(str::to_owned)
            .collect()
    };
    assert!(
        line("not started").is_empty() && line("failed").is_empty(),
        "{text}{}",
        fs::read_to_string(runs.path("errors")).unwrap()
    );
    let (done, uncertain) = (line("done"), line("uncertain"));
    assert_eq!(
        done.len() + uncertain.len(),
        HOSTS.split(',').count(),
        "{text}"
    );
    assert_eq!(
        status.status,
        Some(if uncertain.is_empty() { 0 } else { 3 }),
        "{text}"
    );
    for host in &done {
        assert_eq!(runs.times(host), 1, "{host}: {text}\n{}", runs.text());
    }
    for host in &uncertain {
        assert!(runs.times(host) <= 1, "{host}: {text}\n{}", runs.text());
    }
    (killed, uncertain.len())
}

fn start(arguments: &[&str], runs: &Runs) -> Child {
    let errors = File::options()
        .create(true)
        .append(true)
        .open(runs.path("errors"));
    Command::new(env!("CARGO_BIN_EXE_mrsh"))
        .args(arguments)
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(errors.unwrap())
        .spawn()
        .unwrap()
}
