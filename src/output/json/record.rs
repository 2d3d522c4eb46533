//! The records of `--json`. The names of the fields are stable: a version of the format only gains fields.

use std::collections::BTreeMap;
use std::num::{NonZeroU32, NonZeroUsize};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde::Serialize;

use super::super::{LeftOutTarget, RunInfo};
use crate::event::{Finished, FinishedRecord, Millis, ReasonRecord, RunStats, Stream};
use crate::targets::{Target, TargetId};

/// One line of JSON without its version.
#[derive(Debug, Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub(super) enum Record<'a> {
    // Boxed, since most records are much smaller.
    RunStart(Box<RunStartRecord<'a>>),
    Started {
        target: u32,
        label: &'a str,
    },
    Output {
        target: u32,
        label: &'a str,
        stream: &'static str,
        #[serde(flatten)]
        bytes: Bytes<'a>,
    },
    Finished(Box<FinishedRecord<'a>>),
    State {
        running: Vec<RunningRecord>,
        for_ports: usize,
        waiting: usize,
        finished: usize,
    },
    // Names of events are stable, so this one keeps the word of the first version.
    Note {
        verbose: bool,
        text: &'a str,
    },
    RunEnd(Box<RunEndRecord>),
}

/// Bytes as text if they are UTF-8, else in base64.
#[derive(Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Bytes<'a> {
    Text(&'a str),
    Base64(String),
}

impl<'a> Bytes<'a> {
    pub(super) fn of(data: &'a [u8]) -> Self {
        // Strings of JSON are Unicode (RFC 8259, section 8), so other bytes need another form.
        match str::from_utf8(data) {
            Ok(text) => Bytes::Text(text),
            Err(_) => Bytes::Base64(BASE64_STANDARD.encode(data)),
        }
    }
}

#[derive(Debug, Serialize)]
pub(super) struct RunStartRecord<'a> {
    program: &'static str,
    version: &'static str,
    /// Seconds since 1970.
    time: f64,
    total: usize,
    targets: Vec<TargetRecord<'a>>,
    /// Targets that are no part of the run, because they are down.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    left_out: Vec<LeftOutRecord<'a>>,
    options: OptionsRecord<'a>,
}

#[derive(Debug, Serialize)]
struct TargetRecord<'a> {
    label: &'a str,
    host: &'a str,
    transport: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    port: Option<u16>,
    // The older name of jump hosts: names of fields are stable.
    #[serde(skip_serializing_if = "Option::is_none")]
    by_way_of: Option<&'a str>,
}

#[derive(Debug, Serialize)]
struct LeftOutRecord<'a> {
    label: &'a str,
    state: &'a str,
}

#[derive(Debug, Serialize)]
struct OptionsRecord<'a> {
    command: Bytes<'a>,
    transport: &'a str,
    // The fan-out, under the name of its option.
    jobs: NonZeroUsize,
    connect_timeout_ms: Millis,
    #[serde(skip_serializing_if = "Option::is_none")]
    command_timeout_ms: Option<Millis>,
    kill_after_ms: Millis,
    #[serde(skip_serializing_if = "Option::is_none")]
    deadline_ms: Option<Millis>,
    #[serde(skip_serializing_if = "Option::is_none")]
    idle_timeout_ms: Option<Millis>,
    retries: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    rate: Option<NonZeroU32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_failures: Option<String>,
    /// Index after the last target of each wave.
    #[serde(skip_serializing_if = "Option::is_none")]
    waves: Option<Vec<usize>>,
    stderr: &'a str,
    source_ports: &'a str,
    raw: bool,
    stdin: bool,
    demo: bool,
}

#[derive(Debug, Serialize)]
pub(super) struct RunningRecord {
    target: u32,
    ms: Millis,
}

impl From<(TargetId, Duration)> for RunningRecord {
    fn from((target, time): (TargetId, Duration)) -> Self {
        RunningRecord {
            target: target.0,
            ms: Millis(time),
        }
    }
}

#[derive(Debug, Serialize)]
pub(super) struct RunEndRecord {
    total: usize,
    succeeded: usize,
    exit_failed: usize,
    failed: usize,
    cancelled: usize,
    not_started: usize,
    /// Targets by number.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    left_running: Vec<u32>,
    /// Targets by number.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    may_be_running: Vec<u32>,
    // In order, so that equal runs have equal records.
    failures: BTreeMap<&'static str, usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    worst_status: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<ReasonRecord>,
    ports_used: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    time_wait: Option<usize>,
    elapsed_ms: Millis,
}

impl<'a> Record<'a> {
    pub(super) fn run_start(info: &'a RunInfo) -> Self {
        let target = |(index, target): (usize, &'a Target)| {
            let endpoint = info.endpoint(index, target);
            TargetRecord {
                label: &target.label,
                host: endpoint.host,
                transport: endpoint.transport.name(),
                user: endpoint.user,
                port: endpoint.port,
                by_way_of: endpoint.jump_hosts,
            }
        };
        let policy = &info.policy;
        // A clock before 1970 gives 0 instead of an error.
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        Record::RunStart(Box::new(RunStartRecord {
            program: env!("CARGO_PKG_NAME"),
            version: env!("CARGO_PKG_VERSION"),
            time: (now.unwrap_or_default().as_secs_f64() * 1e3).round() / 1e3,
            total: info.targets.len(),
            targets: info.targets.iter().enumerate().map(target).collect(),
            left_out: info
                .left_out
                .iter()
                .map(|LeftOutTarget { label, state }| LeftOutRecord { label, state })
                .collect(),
            options: OptionsRecord {
                command: Bytes::of(&info.command),
                transport: info.transport.name(),
                jobs: info.fanout,
                connect_timeout_ms: Millis(info.connect_timeout),
                command_timeout_ms: info.command_timeout.map(Millis),
                kill_after_ms: Millis(policy.kill_after),
                deadline_ms: policy.deadline.map(Millis),
                idle_timeout_ms: policy.idle_timeout.map(Millis),
                retries: policy.retries,
                rate: policy.rate,
                max_failures: policy.max_failures.map(|share| share.to_string()),
                waves: info.wave_ends(),
                stderr: info.stderr,
                source_ports: &info.source_ports,
                raw: info.raw,
                stdin: info.stdin,
                demo: info.demo,
            },
        }))
    }

    pub(super) fn finished(finished: &Finished, label: &'a str) -> Self {
        Record::Finished(Box::new(FinishedRecord::new(finished, label)))
    }

    pub(super) fn run_end(
        stats: &RunStats,
        failures: BTreeMap<&'static str, usize>,
        ports_used: usize,
    ) -> Self {
        Record::RunEnd(Box::new(RunEndRecord {
            total: stats.total,
            succeeded: stats.succeeded,
            exit_failed: stats.exit_failed,
            failed: stats.failed,
            cancelled: stats.cancelled,
            not_started: stats.not_started,
            // Numbers only, since the record `run-start` has the labels.
            left_running: stats.left_running.iter().map(|id| id.0).collect(),
            may_be_running: stats.may_be_running.iter().map(|id| id.0).collect(),
            failures,
            worst_status: stats.worst_status,
            reason: stats.cancel.map(Into::into),
            ports_used,
            time_wait: stats.time_wait,
            elapsed_ms: Millis(stats.elapsed),
        }))
    }
}

pub(super) fn stream(stream: Stream) -> &'static str {
    match stream {
        Stream::Stdout => "stdout",
        Stream::Stderr => "stderr",
    }
}
