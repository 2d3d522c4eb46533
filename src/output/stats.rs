//! `--stats`: times by phase and costs of the run, on standard error at its end.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

use super::summary::{duration, say};
use super::{Console, Reporter, RunInfo};
#[cfg(doc)]
use crate::event::Facts;
use crate::event::Side;
use crate::event::{Event, Finished, RunStats};
use crate::targets::TargetId;

/// Number of slowest hosts that are named.
const SLOWEST: usize = 5;

/// The phases of a host's time, in order. The last is the remainder: see [`Facts::delayed`].
const PHASES: [&str; 7] = [
    "resolve",
    "port wait",
    "retry wait",
    "connect",
    "start",
    "run",
    "queued locally",
];

/// Sums of the facts of all finished targets.
#[derive(Debug)]
pub(super) struct Stats {
    info: Arc<RunInfo>,
    started: u32,
    /// The slowest hosts, slowest first.
    slowest: Vec<(Duration, TargetId)>,
    phases: [PhaseTotals; PHASES.len()],
    attempts: u64,
    ports: HashSet<u16>,
    /// Connections that this side closed first.
    resets: usize,
}

/// Totals of one phase over all hosts.
#[derive(Clone, Copy, Debug, Default)]
struct PhaseTotals {
    hosts: u32,
    sum: Duration,
    longest: (Duration, Option<TargetId>),
}

/// CPU time and memory of this process, as the kernel counts them.
#[derive(Clone, Copy, Debug, Default)]
struct ProcessCost {
    cpu: Duration,
    /// Peak resident memory in KiB.
    peak_memory: Option<u64>,
}

impl Stats {
    pub(super) fn new(info: &Arc<RunInfo>) -> Self {
        Stats {
            info: Arc::clone(info),
            started: 0,
            slowest: Vec::new(),
            phases: Default::default(),
            attempts: 0,
            ports: HashSet::new(),
            resets: 0,
        }
    }

    fn finished(&mut self, finished: &Finished) {
        let Finished {
            target,
            began,
            elapsed,
            facts,
            ..
        } = *finished;
        // Targets that were never started would lower the averages.
        if began.is_none() {
            return;
        }
        self.started += 1;
        let place = self.slowest.partition_point(|(time, _)| *time >= elapsed);
        self.slowest.insert(place, (elapsed, target));
        // The memory must not depend on the number of hosts.
        self.slowest.truncate(SLOWEST);
        let times = facts
            .phases()
            .into_iter()
            .chain([Some(facts.delayed(elapsed))]);
        for (phase, time) in self.phases.iter_mut().zip(times) {
            let Some(time) = time else {
                continue;
            };
            phase.hosts += 1;
            phase.sum += time;
            if time >= phase.longest.0 {
                phase.longest = (time, Some(target));
            }
        }
        self.attempts += u64::from(facts.attempts);
        self.ports.extend(facts.local_port);
        self.resets += usize::from(facts.closed_first == Some(Side::Local));
    }

    fn lines(&self, stats: &RunStats, cost: ProcessCost) -> Vec<String> {
        // Perhaps no host was started.
        let hosts = self.started.max(1);
        let mut lines = vec![format!(
            "{} of {} hosts in {}: {} of time and {} of CPU a host{}",
            self.started,
            stats.total,
            time(stats.elapsed),
            time(stats.elapsed / hosts),
            time(cost.cpu / hosts),
            match cost.peak_memory {
                Some(kib) => format!(", {:.1} MB of memory at most", kib as f64 / 1024.0),
                None => String::new(),
            }
        )];
        lines.push(format!("run {}", self.info.run_id));
        if self.started == 0 {
            return lines;
        }
        let slowest = self.slowest.iter();
        let slowest = slowest.map(|(took, id)| format!("{} {}", self.info.label(*id), time(*took)));
        lines.push(format!(
            "slowest: {}",
            slowest.collect::<Vec<_>>().join(", ")
        ));
        let whole: Duration = self.phases.iter().map(|phase| phase.sum).sum();
        let mut phases: Vec<_> = PHASES.iter().zip(&self.phases).collect();
        phases.sort_by_key(|(_, phase)| std::cmp::Reverse(phase.sum));
        for (name, phase) in phases {
            let (longest, Some(target)) = phase.longest else {
                continue;
            };
            // Most runs have neither waits nor retries.
            if phase.sum.is_zero() {
                continue;
            }
            let share = phase.sum.as_secs_f64() / whole.as_secs_f64().max(f64::MIN_POSITIVE);
            lines.push(format!(
                "{name}: {:.0} % of the hosts' time, {} on average, {} at most ({})",
                share * 100.0,
                time(phase.sum / phase.hosts),
                time(longest),
                self.info.label(target),
            ));
        }
        lines.push(format!(
            "{} connections, from {} different source ports; mrsh reset {}{}",
            self.attempts,
            self.ports.len(),
            self.resets,
            match stats.time_wait {
                Some(count) => format!(", {count} left in TIME_WAIT"),
                None => String::new(),
            }
        ));
        lines
    }
}

impl Reporter for Stats {
    fn event(&mut self, event: &Event, _: &mut Console) -> io::Result<()> {
        if let Event::Finished(finished) = event {
            self.finished(finished);
        }
        Ok(())
    }

    fn finish(&mut self, stats: &RunStats, console: &mut Console) -> io::Result<()> {
        let lines = self.lines(stats, ProcessCost::of_this_process());
        lines.iter().try_for_each(|line| say(line, console))
    }
}

impl ProcessCost {
    fn of_this_process() -> Self {
        // The CPU time of all threads.
        let cpu = clock_gettime(ClockId::ProcessCPUTime);
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        // Not getrusage(2): its maximum includes the program before execve(2).
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        ProcessCost {
            cpu: cpu.try_into().unwrap_or_default(),
            peak_memory: peak
                .and_then(|rest| rest.trim().strip_suffix(" kB"))
                .and_then(|kib| kib.parse().ok()),
        }
    }
}

/// Formats a time with three digits.
fn time(time: Duration) -> String {
    let seconds = time.as_secs_f64();
    // From 99.95 on, three digits would be rounded to four.
    if seconds >= 99.95 {
        return duration(time);
    }
    let (value, unit) = match seconds {
        s if s >= 0.9995 => (s, "s"),
        s => (s * 1e3, "ms"),
    };
    match value {
        v if v >= 99.95 => format!("{v:.0} {unit}"),
        v if v >= 9.995 => format!("{v:.1} {unit}"),
        v => format!("{v:.2} {unit}"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{finished, run_info};
    use super::*;
    use crate::event::{CancelReason, Outcome};
    use crate::event::{Facts, LeftRunning, RemoteExit};

    #[test]
    fn the_slowest_hosts_and_their_phases_are_named() {
        let names = ["ada", "bea", "cas", "dot", "eve", "fay", "gus"];
        let mut stats = Stats::new(&Arc::new(run_info(&names)));
        for target in 0..6 {
            let Event::Finished(mut end) = finished(target, Outcome::Exited(RemoteExit::Code(0)))
            else {
                unreachable!()
            };
            let ms = |ms: u32| Some(Duration::from_millis(ms.into()));
            end.facts = Facts {
                resolve: ms(0),
                port_wait: (target == 5).then_some(Duration::from_millis(4)),
                retry_wait: None,
                connect: ms(target),
                start: ms(10),
                run: ms(100 * target),
                attempts: 1,
                process: None,
                local_port: Some(1000),
                closed_first: Some(if target == 3 {
                    Side::Local
                } else {
                    Side::Remote
                }),
                left_running: LeftRunning::No,
                copied: None,
            };
            end.elapsed = Duration::from_millis((11 + 101 * target).into());
            stats.finished(&end);
        }
        let Event::Finished(mut end) = finished(6, Outcome::NotStarted(CancelReason::Signal(2)))
        else {
            unreachable!()
        };
        end.began = None;
        stats.finished(&end);
        let numbers = RunStats {
            total: 7,
            elapsed: Duration::from_millis(516),
            time_wait: Some(1),
            ..RunStats::default()
        };
        let cost = ProcessCost {
            cpu: Duration::from_micros(1800),
            peak_memory: Some(9318),
        };
        insta::assert_snapshot!(stats.lines(&numbers, cost).join("\n"), @r"
        6 of 7 hosts in 516 ms: 86.0 ms of time and 0.30 ms of CPU a host, 9.1 MB of memory at most
        run 6929e000123456789abc
        slowest: fay 516 ms, eve 415 ms, dot 314 ms, cas 213 ms, bea 112 ms
        run: 95 % of the hosts' time, 250 ms on average, 500 ms at most (fay)
        start: 4 % of the hosts' time, 10.0 ms on average, 10.0 ms at most (fay)
        connect: 1 % of the hosts' time, 2.50 ms on average, 5.00 ms at most (fay)
        queued locally: 0 % of the hosts' time, 0.83 ms on average, 1.00 ms at most (eve)
        port wait: 0 % of the hosts' time, 4.00 ms on average, 4.00 ms at most (fay)
        6 connections, from 1 different source ports; mrsh reset 1, 1 left in TIME_WAIT
        ");
    }

    #[test]
    fn a_run_of_which_nothing_was_started_has_no_times() {
        let stats = Stats::new(&Arc::new(run_info(&["a"])));
        let lines = stats.lines(&RunStats::default(), ProcessCost::default());
        insta::assert_snapshot!(lines.join("\n"), @r"
        0 of 0 hosts in 0.00 ms: 0.00 ms of time and 0.00 ms of CPU a host
        run 6929e000123456789abc
        ");
    }

    #[test]
    fn the_process_has_costs() {
        let cost = ProcessCost::of_this_process();
        assert!(cost.cpu > Duration::ZERO && cost.peak_memory.is_some());
    }

    #[test]
    fn times_have_three_digits() {
        let shown = [1, 999_499, 999_500, 12_345_678, 99_950_000, 4_000_000_000]
            .map(|us| time(Duration::from_micros(us)));
        assert_eq!(
            shown,
            [
                "0.00 ms",
                "999 ms",
                "1.00 s",
                "12.3 s",
                "1 min 39 s",
                "1 h 6 min"
            ]
        );
    }
}
