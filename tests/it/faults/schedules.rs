//! A thousand daemons with random faults. Each script has the allowed results of its host. Every host must have
//! exactly one of these results, after output that its daemon did send, and the counts must be right.
//!
//! `MRSH_SEED=N` repeats the run with that seed. The seed is printed, and is in the message of every failure.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use fake_rshd::{Callback, CallbackPort, Connection, Script, Step};
use fastrand::Rng;

use crate::support::{FakeRshd, finished, records};

const HOSTS: usize = 500;

/// A daemon with the allowed results of its host and the output that it sends.
#[derive(Clone, Debug)]
struct Daemon {
    script: Script,
    /// Failure classes, or an exit status.
    allowed: Vec<String>,
    stdout: Vec<u8>,
    stderr: Vec<u8>,
}

/// The way in which the daemon ends a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cut {
    Close,
    HalfClose,
    Reset,
    Stall,
}

impl Cut {
    fn any(rng: &mut Rng) -> Cut {
        match rng.u32(0..100) {
            0..40 => Cut::Close,
            40..55 => Cut::HalfClose,
            55..95 => Cut::Reset,
            _ => Cut::Stall,
        }
    }

    fn step(self) -> Step {
        match self {
            Cut::Close => Step::Close(Connection::Main),
            Cut::HalfClose => Step::HalfClose(Connection::Main),
            Cut::Reset => Step::Reset(Connection::Main),
            Cut::Stall => Step::Stall,
        }
    }
}

/// Makes one daemon.
struct Maker<'a> {
    rng: &'a mut Rng,
    merged: bool,
    daemon: Daemon,
}

impl Maker<'_> {
    fn then(&mut self, step: Step) {
        let script = std::mem::take(&mut self.daemon.script);
        self.daemon.script = script.then(step);
    }

    fn rest(&mut self) {
        if self.rng.u32(0..3) == 0 {
            let millis = self.rng.u64(0..40);
            self.then(Step::Sleep(Duration::from_millis(millis)));
        }
    }

    fn chance(&mut self, percent: u32) -> bool {
        self.rng.u32(0..100) < percent
    }

    fn ends_as(&mut self, allowed: &[&str]) {
        self.daemon.allowed = allowed.iter().map(|&class| class.to_owned()).collect();
    }

    /// Ends the connection with this probability.
    fn cut(&mut self, percent: u32, allowed: impl FnOnce(Cut) -> &'static [&'static str]) -> bool {
        if !self.chance(percent) {
            return false;
        }
        let cut = Cut::any(self.rng);
        self.then(cut.step());
        self.ends_as(allowed(cut));
        true
    }

    /// Sends output: a few lines, long pieces, or a byte at a time.
    fn output(&mut self) {
        for _ in 0..self.rng.usize(0..4) {
            self.rest();
            let to = if self.rng.bool() {
                Connection::Main
            } else {
                Connection::Callback
            };
            let size = if self.chance(10) {
                self.rng.usize(0..200_000)
            } else {
                self.rng.usize(1..60)
            };
            let bytes: Vec<u8> = (0..size)
                .map(|_| match self.rng.u32(0..8) {
                    0 => b'\n',
                    1 => self.rng.u8(..),
                    _ => b'x',
                })
                .collect();
            // A refusal that looks like output has a test of its own.
            let bytes = [b"+", bytes.as_slice()].concat();
            let stream = match to {
                Connection::Callback if !self.merged => &mut self.daemon.stderr,
                _ => &mut self.daemon.stdout,
            };
            stream.extend_from_slice(&bytes);
            if size < 60 && self.rng.bool() {
                self.then(Step::SendBytewise(to, bytes))
            } else {
                self.then(Step::Send(to, bytes))
            }
        }
    }

    fn make(mut self) -> Daemon {
        self.rest();
        let merged = self.merged;
        if self.cut(4, |cut| match (cut, merged) {
            (Cut::Stall, true) => &["connect-timeout"],
            (Cut::Stall, false) => &["no-callback"],
            (_, true) => &["closed-before-status", "reset"],
            (_, false) => &["no-callback", "closed-before-status", "reset"],
        }) {
            return self.daemon;
        }
        self.then(Step::ReadRequest);
        self.rest();
        if self.cut(4, |cut| match (cut, merged) {
            (Cut::Stall, true) => &["connect-timeout"],
            (Cut::Stall, false) => &["no-callback"],
            (Cut::Reset, true) => &["reset"],
            (Cut::Close | Cut::HalfClose, true) => &["closed-before-status"],
            (_, false) => &["no-callback", "reset"],
        }) {
            return self.daemon;
        }
        if self.chance(4) {
            let words: &[u8] = if self.rng.bool() {
                b"\x01go away"
            } else {
                b"\x01\n\nno\n"
            };
            self.then(Step::Send(Connection::Main, words.to_vec()));
            self.ends_as(&["denied"]);
            return self.daemon;
        }
        if self.chance(4) {
            let mut words: Vec<u8> = (0..self.rng.usize(1..3000))
                .map(|_| self.rng.u8(..))
                .collect();
            words[0] = self.rng.u8(2..);
            self.then(Step::Send(Connection::Main, words));
            self.ends_as(&["protocol"]);
            return self.daemon;
        }
        if !merged {
            let elsewhere = Ipv4Addr::new(127, 99, self.rng.u8(..), self.rng.u8(1..255));
            let honest = self.chance(1);
            let how = Callback {
                // Rare, because other sessions then share their listeners less.
                address: honest.then_some(elsewhere),
                port: if self.rng.bool() {
                    CallbackPort::Any
                } else {
                    CallbackPort::Reserved
                },
            };
            self.then(Step::CallBack(how));
            self.rest();
            // Only the answer of the daemon shows to which host such a call-back belongs, so the daemon always answers.
            let percent = if honest { 0 } else { 4 };
            if self.cut(percent, |cut| match cut {
                Cut::Stall => &["connect-timeout"],
                Cut::Reset => &["reset"],
                Cut::Close | Cut::HalfClose => &["closed-before-status"],
            }) {
                return self.daemon;
            }
            if !honest && self.chance(3) {
                self.then(Step::Close(Connection::Callback));
                // Standard error now comes over the main connection.
                self.merged = true;
            }
        }
        self.then(Step::Send(Connection::Main, vec![0]));
        self.output();
        let lost: fn(Cut) -> &'static [&'static str] = |cut| match cut {
            Cut::Stall => &["command-timeout"],
            Cut::Reset => &["reset"],
            Cut::Close | Cut::HalfClose => &["no-end-marker"],
        };
        if self.cut(15, lost) {
            return self.daemon;
        }
        let status = if self.rng.bool() { 0 } else { self.rng.u8(..) };
        if self.rng.bool() {
            self.then(Step::EndMarker(status))
        } else {
            self.then(Step::EndMarkerBytewise(status))
        }
        let said = status.to_string();
        self.ends_as(&[&said]);
        if self.chance(10) {
            self.output();
        }
        if self.chance(5) {
            self.then(Step::EndMarker(self.daemon.stdout.len() as u8));
            self.ends_as(&["no-end-marker"]);
            return self.daemon;
        }
        self.rest();
        if self.chance(15) {
            let cut = Cut::any(self.rng);
            self.then(cut.step());
            match cut {
                Cut::Stall => self.ends_as(&["command-timeout"]),
                // The reset may overtake the marker.
                Cut::Reset => self.ends_as(&[&said, "reset"]),
                Cut::Close | Cut::HalfClose => {}
            }
        }
        self.daemon
    }
}

fn daemon(rng: &mut Rng, merged: bool) -> Daemon {
    let daemon = Daemon {
        script: Script::new(),
        allowed: Vec::new(),
        stdout: Vec::new(),
        stderr: Vec::new(),
    };
    let maker = Maker {
        rng,
        merged,
        daemon,
    };
    maker.make()
}

fn seed() -> u64 {
    match std::env::var("MRSH_SEED") {
        Ok(text) => text.parse().expect("MRSH_SEED is a number"),
        Err(_) => {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
            u64::from(now.subsec_nanos())
        }
    }
}

fn run(merged: bool) {
    let seed = seed();
    eprintln!("MRSH_SEED={seed}");
    let mut rng = Rng::with_seed(seed);
    let daemons: Vec<Daemon> = (0..HOSTS).map(|_| daemon(&mut rng, merged)).collect();
    let fake = FakeRshd::playing_all(daemons.iter().map(|daemon| daemon.script.clone()).collect());
    let mut call = fake
        .mrsh()
        .args(&["--json", "-j", "120", "-t", "6", "-u", "6"]);
    if merged {
        call = call.args(&["--stderr", "merge"]);
    }
    let ended = call.arg("true").within(Duration::from_secs(100)).run();
    let ends = finished(&ended);
    let mut wrong = Vec::new();
    assert_eq!(
        ends.len(),
        HOSTS,
        "MRSH_SEED={seed}: every host has one outcome"
    );
    for (i, (daemon, end)) in daemons.iter().zip(&ends).enumerate() {
        assert_eq!(
            end.target, i,
            "MRSH_SEED={seed}: every host has one outcome"
        );
        // On a busy machine such a callback may come when its listener is already shared. Then nobody knows its session.
        let calls_from_elsewhere =
            |step: &Step| matches!(step, Step::CallBack(how) if how.address.is_some());
        if end.class == "no-callback" && daemon.script.steps().iter().any(calls_from_elsewhere) {
            continue;
        }
        if !daemon.allowed.contains(&end.class) {
            wrong.push(format!(
                "host {i}: {} ({}), {daemon:?}",
                end.class, end.message
            ));
        }
        // A reset discards output that was not read yet. A timeout discards output in transit.
        let may_be_cut = ["reset", "command-timeout"].contains(&end.class.as_str())
            || daemon
                .script
                .steps()
                .contains(&Step::Reset(Connection::Main));
        for (sent, got) in [(&daemon.stdout, &end.stdout), (&daemon.stderr, &end.stderr)] {
            // The start of a marker that never ends is output too, after all other output.
            let fits = sent == got || may_be_cut && sent.starts_with(got);
            if !fits && !["denied", "protocol"].contains(&end.class.as_str()) {
                wrong.push(format!(
                    "host {i}: {} of {} bytes, {end:?}",
                    got.len(),
                    sent.len()
                ));
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "MRSH_SEED={seed}: {} wrong: {wrong:#?}",
        wrong.len()
    );

    // The counts at the end are those of the hosts.
    let last = records(&ended).pop().unwrap();
    assert_eq!(last["event"], "run-end", "MRSH_SEED={seed}");
    let number = |key: &str| last[key].as_u64().unwrap() as usize;
    let parts = [
        "succeeded",
        "exit_failed",
        "failed",
        "cancelled",
        "not_started",
    ]
    .map(number);
    assert_eq!(
        (parts.iter().sum::<usize>(), number("total")),
        (HOSTS, HOSTS),
        "MRSH_SEED={seed}"
    );
    let is_status = |class: &str| class.parse::<u8>().is_ok();
    let zero = ends.iter().filter(|end| end.class == "0").count();
    let statuses = ends.iter().filter(|end| is_status(&end.class)).count();
    assert_eq!(
        parts,
        [zero, statuses - zero, HOSTS - statuses, 0, 0],
        "MRSH_SEED={seed}"
    );
    let mut failures: BTreeMap<&str, u64> = BTreeMap::new();
    for end in ends.iter().filter(|end| !is_status(&end.class)) {
        *failures.entry(&end.class).or_default() += 1;
    }
    assert_eq!(
        last["failures"],
        serde_json::json!(failures),
        "MRSH_SEED={seed}"
    );
    assert_eq!(ended.status, Some(3), "MRSH_SEED={seed}");
    eprintln!("{failures:?}, {statuses} with a status");
}

#[test]
fn five_hundred_random_daemons() {
    run(false);
}

#[test]
fn five_hundred_random_daemons_without_call_back() {
    run(true);
}
