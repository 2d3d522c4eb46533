//! A reader of the output that is slower than the commands, or that reads nothing for a while.

use std::time::Duration;

use fake_rshd::{Connection, Script, Step};
use rustix::process::Signal;

use crate::support::{Ended, FakeRshd, host};

/// A number of lines of 64 bytes.
fn lines(count: usize) -> Vec<u8> {
    format!("{}\n", "x".repeat(63)).repeat(count).into_bytes()
}

/// A command that writes this much and then exits with status 0.
fn writing(count: usize) -> Script {
    Script::printing(lines(count), 0)
}

fn count(ended: &Ended) -> usize {
    memchr::memchr_iter(b'\n', &ended.stdout).count()
}

// ---- limits

/// Runs commands that end at once, with a limit of one second. The reader starts after that second.
fn outlasts(limit: &[&str]) {
    const HOSTS: usize = 40;
    const LINES: usize = 6000;
    let fake = FakeRshd::playing_all(vec![writing(LINES); HOSTS]);
    let mrsh = fake.mrsh().args(&["-j", "40"]).args(limit);
    let running = mrsh.arg("true").unread().start();
    std::thread::sleep(Duration::from_millis(2500));
    running.read();
    let ended = running.finish();
    assert!(!ended.stderr.contains("failed"), "{limit:?}: {ended:?}");
    assert!(!ended.stderr.contains("running on"), "{limit:?}: {ended:?}");
    let ended = ended.status(0);
    assert_eq!(count(&ended), HOSTS * LINES, "{limit:?}: {ended:?}");
}

#[test]
fn a_slow_reader_takes_no_time_of_the_commands() {
    outlasts(&["-u", "1"]);
}

#[test]
fn a_slow_reader_makes_no_command_silent() {
    outlasts(&["--idle-timeout", "1"]);
}

#[test]
fn output_of_commands_that_ended_before_the_deadline_is_read_to_its_end() {
    outlasts(&["--deadline", "1"]);
}

#[test]
fn a_command_that_goes_on_is_ended_at_its_limit_beside_a_slow_reader() {
    let scripts = vec![
        writing(6000),
        Script::after_start().then(Step::AwaitSignal(15)),
        endless().then(Step::AwaitClose),
    ];
    for limit in ["-u", "--deadline"] {
        let fake = FakeRshd::playing_all(scripts.clone());
        let mrsh = fake.mrsh().args(&[limit, "1", "--kill-after", "0", "true"]);
        let running = mrsh.unread().start();
        std::thread::sleep(Duration::from_millis(2500));
        running.read();
        let ended = running.finish();
        let cause = match limit {
            "-u" => "command timed out after 1 s",
            _ => "deadline reached",
        };
        assert!(
            ended
                .stderr
                .contains(&format!("{}-3]: {cause}", &prefix(1)))
                || ended.stderr.contains(cause),
            "{limit}: {ended:?}"
        );
        assert!(!ended.stderr.contains(&host(0)), "{limit}: {ended:?}");
    }
}

fn prefix(index: u32) -> String {
    host(index)
}

// ---- starting

/// A command that writes without end.
fn endless() -> Script {
    Script::after_start().then(Step::Repeat {
        to: vec![Connection::Main],
        bytes: lines(1024),
        times: usize::MAX,
    })
}

#[test]
fn one_host_with_much_output_does_not_delay_the_start_of_others() {
    const HOSTS: u32 = 40;
    let mut scripts = vec![endless()];
    scripts.extend(vec![Script::printing("done\n", 0); HOSTS as usize - 1]);
    let fake = FakeRshd::playing_all(scripts);
    // Two megabytes a second.
    let mrsh = fake.mrsh().args(&["-j", "4", "true"]);
    let mrsh = mrsh.read_slowly(Duration::from_millis(31));
    let mut running = mrsh.within(Duration::from_secs(60)).start();
    for index in 1..HOSTS {
        running.has_printed(format!("{}: done\n", host(index)).as_bytes());
    }
    running.signal(Signal::TERM);
    assert_eq!(running.finish().signal, Some(15));
}

// ---- interrupts

#[test]
fn one_interrupt_while_only_output_is_left_loses_nothing() {
    const HOSTS: usize = 8;
    const LINES: usize = 3000;
    let fake = FakeRshd::playing_all(vec![writing(LINES); HOSTS]);
    let mrsh = fake.mrsh().args(&["-j", "8", "true"]).unread();
    let running = mrsh.start();
    for _ in 0..HOSTS {
        fake.observed();
    }
    std::thread::sleep(Duration::from_millis(500));
    running.signal(Signal::INT);
    std::thread::sleep(Duration::from_millis(200));
    running.read();
    let ended = running.finish().status(0);
    assert_eq!(count(&ended), HOSTS * LINES, "{ended:?}");
}

#[test]
fn two_interrupts_end_the_wait_for_a_reader() {
    let fake = FakeRshd::playing(writing(3000));
    let running = fake.mrsh().arg("true").unread().start();
    fake.observed();
    std::thread::sleep(Duration::from_millis(500));
    for _ in 0..2 {
        running.signal(Signal::INT);
        std::thread::sleep(Duration::from_millis(100));
    }
    // The program has ended by now, or will soon. The pipe is read afterwards.
    std::thread::sleep(Duration::from_millis(500));
    running.read();
    assert_eq!(running.finish().signal, Some(2));
}
