//! The text of `-n`: the actions of a run, without the run. Names are looked up; nothing is connected.

use std::fmt::Write;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use reserved_ports::{RESERVED, SourcePorts, candidates, may_bind};
use tokio::task::JoinSet;

use crate::clock::ProcessClock;
use crate::error_text::{plain, printable};
use crate::output::{Endpoint, RunInfo};
use crate::plan::RunPlan;
use crate::policy::{Pause, Policy};
use crate::run::descriptors::{Descriptors, descriptors};
use crate::targets::TransportKind;
use crate::targets::fold;
use crate::transport::{Budget, NameResolver, TransportError};

/// Maximum number of look-ups in progress.
// The resolver has fewer threads, so all of them are used.
const MAX_LOOKUPS: usize = 64;

/// Maximum number of waves that are listed.
const MAX_WAVES_LISTED: usize = 20;

/// The addresses of a target, or the error of the look-up; `None` if nothing was looked up.
type LookupResult = Option<Result<Vec<IpAddr>, TransportError>>;

/// Returns the description of a run, and true if every name was resolved.
///
/// # Errors
/// The system cannot start an event loop.
pub fn describe(plan: &RunPlan) -> io::Result<(String, bool)> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let found = if plan.info.demo {
        Vec::new()
    } else {
        runtime.block_on(look_up_all(plan))
    };
    // A look-up that hangs must not keep the program.
    runtime.shutdown_background();
    let all_found = !found.iter().any(|found| matches!(found, Some(Err(_))));
    let mut text = targets(&plan.info, &found);
    text.push_str(&failures(&plan.info, &found));
    let descriptors = descriptors(plan.info.fanout, plan.descriptors_per_host);
    text.push_str(&needs(&plan.info, &source_ports(plan), descriptors));
    if let Some(plan) = &plan.user_change {
        let _ = writeln!(text, "as: {}", plan.change.summary());
    }
    if let Some(script) = &plan.script {
        let summary = printable(&script.summary());
        let _ = writeln!(text, "script: {summary}");
    }
    if plan.confirm {
        text.push_str("confirmation: asked for on the terminal\n");
    }
    if let Some(copy) = &plan.copy {
        let summary = printable(&copy.summary());
        let _ = writeln!(text, "copy: {summary}");
    }
    if let Some(fetch) = &plan.fetch {
        let summary = printable(&fetch.summary());
        let _ = writeln!(text, "fetch: {summary}");
    }
    Ok((text, all_found))
}

/// Looks up every name once, each within the connect timeout.
async fn look_up_all(plan: &RunPlan) -> Vec<LookupResult> {
    let resolver = NameResolver::default();
    let targets = &plan.info.targets;
    let mut found: Vec<LookupResult> = targets.iter().map(|_| None).collect();
    let names = targets.iter().enumerate();
    // A local command decides itself what the name of its host means, openssh reads files of its own, and the last
    // jump host looks up the name of a target that is reached through it.
    let mut names = names.filter_map(|(index, target)| {
        let endpoint = plan.info.endpoint(index, target);
        let is_looked_up_here = !matches!(
            endpoint.transport,
            TransportKind::Exec | TransportKind::OpenSsh
        ) && endpoint.jump_hosts.is_none()
            && endpoint.host.parse::<IpAddr>().is_err();
        is_looked_up_here.then(|| (index, Arc::<str>::from(endpoint.host)))
    });
    let mut tasks = JoinSet::new();
    loop {
        while tasks.len() < MAX_LOOKUPS
            && let Some((index, host)) = names.next()
        {
            let resolver = resolver.clone();
            let mut budget = Budget::new(plan.info.connect_timeout, ProcessClock::default());
            // The addresses do not depend on the port.
            tasks.spawn(async move { (index, resolver.lookup(&host, 0, &mut budget).await) });
        }
        match tasks.join_next().await {
            Some(Ok((index, addresses))) => {
                let ips =
                    |addresses: Vec<_>| addresses.iter().map(std::net::SocketAddr::ip).collect();
                found[index] = Some(addresses.map(ips));
            }
            Some(Err(_)) => {}
            None => return found,
        }
    }
}

/// Returns true if the look-up of this target failed.
fn would_fail(found: &[LookupResult], index: usize) -> bool {
    matches!(found.get(index), Some(Some(Err(_))))
}

/// Returns a line for each target, first for those that would fail.
fn targets(info: &RunInfo, found: &[LookupResult]) -> String {
    let mut text = String::new();
    let (failing, others): (Vec<_>, Vec<_>) = info
        .targets
        .iter()
        .enumerate()
        .partition(|(index, _)| would_fail(found, *index));
    for (index, target) in failing.into_iter().chain(others) {
        let label = &target.label;
        let endpoint = info.endpoint(index, target);
        let Endpoint {
            transport, host, ..
        } = endpoint;
        let verb = match transport {
            TransportKind::Exec => "for",
            TransportKind::Rsh | TransportKind::Ssh | TransportKind::OpenSsh => "to",
        };
        // Writing to a string cannot fail.
        let _ = write!(text, "{label}: {transport} {verb} {host}");
        if let Some(port) = endpoint.port {
            let _ = write!(text, " port {port}");
        }
        if let Some(user) = endpoint.user {
            let _ = write!(text, " as {user}");
        }
        if let Some(way) = endpoint.jump_hosts {
            let _ = write!(text, ", by way of {way}");
        }
        if transport == TransportKind::OpenSsh {
            text.push_str(", and as its configuration says");
        }
        let _ = match found.get(index) {
            Some(Some(Ok(addresses))) => {
                let words: Vec<String> = addresses.iter().map(IpAddr::to_string).collect();
                writeln!(text, ", address {}", words.join(" or "))
            }
            Some(Some(Err(error))) => writeln!(text, ", {}", plain(error)),
            Some(None) | None => writeln!(text),
        };
    }
    text
}

/// Returns the targets that would fail, and the number of targets in later waves that would not be started then.
fn failures(info: &RunInfo, found: &[LookupResult]) -> String {
    let total = info.targets.len();
    let ends: Vec<usize> = info.policy.waves(total).collect();
    let mut text = String::new();
    let mut failing = Vec::new();
    let mut start = 0;
    for (number, &end) in (1..).zip(&ends) {
        failing.extend((start..end).filter(|index| would_fail(found, *index)));
        start = end;
        if end < total && info.policy.ends_waves(failing.len(), total) {
            let waves = ends.len();
            let never = total - end;
            let plural = plural(never);
            let _ = writeln!(
                text,
                "{never} target{plural} would not be started: wave {number} of {waves} has failures"
            );
            break;
        }
    }
    if failing.is_empty() {
        return text;
    }
    let labels = failing.iter().map(|index| &*info.targets[*index].label);
    let plural = plural(total);
    format!(
        "{} of {total} target{plural} would fail: {}\n{text}",
        failing.len(),
        fold(labels)
    )
}

fn plural(count: usize) -> &'static str {
    if count == 1 { "" } else { "s" }
}

/// Returns what the whole run needs of this machine.
fn needs(info: &RunInfo, ports: &str, descriptors: Descriptors) -> String {
    let Descriptors { wanted, allowed } = descriptors;
    let total = info.targets.len();
    format!(
        "{total} target{}, fan-out {}, {}\n\
         {}source ports: {ports}\n\
         descriptors: {wanted} wanted, {allowed} allowed{}\n\
         command: {}\n{}",
        plural(total),
        info.fanout.get().min(total),
        waves(info),
        rules(&info.policy),
        if wanted > allowed {
            ", so the fan-out is smaller"
        } else {
            ""
        },
        printable(&String::from_utf8_lossy(&info.command)),
        if info.stdin {
            "standard input: sent to every host\n"
        } else {
            ""
        },
    )
}

/// Returns the number of waves, and with `--batch` their sizes and targets.
fn waves(info: &RunInfo) -> String {
    let Some(ends) = info.wave_ends() else {
        let waves = info.targets.len().div_ceil(info.fanout.get());
        return format!("in {waves} wave{}", plural(waves));
    };
    let mut text = match ends.len() {
        1 => "in 1 wave, all at the same time".to_owned(),
        n => format!("in {n} waves, each when the one before has ended"),
    };
    let mut start = 0;
    for (number, &end) in (1..).zip(&ends) {
        if number > MAX_WAVES_LISTED {
            let rest = ends.len() + 1 - number;
            let _ = write!(text, "\n  and {rest} more");
            break;
        }
        let labels = info.targets[start..end].iter().map(|target| &*target.label);
        let _ = write!(text, "\n  wave {number}: {}: {}", end - start, fold(labels));
        start = end;
    }
    text
}

/// Returns a line for each rule of the run that differs from the default.
fn rules(policy: &Policy) -> String {
    let seconds = |time: Duration| format!("{} s", time.as_secs_f64());
    let lines = [
        policy
            .deadline
            .map(|time| format!("deadline: {}", seconds(time))),
        policy
            .idle_timeout
            .map(|time| format!("idle timeout: {}", seconds(time))),
        (policy.retries > 0).then(|| format!("retries: {}", policy.retries)),
        policy.pause.map(|pause| match pause {
            Pause::Ask => "pause between waves: until an answer".to_owned(),
            Pause::For(time) => format!("pause between waves: {}", seconds(time)),
        }),
        policy.rate.map(|rate| format!("rate: {rate} per second")),
        policy
            .max_failures
            .map(|most| format!("maximum failures: {most}")),
    ];
    let lines = lines.into_iter().flatten();
    lines.map(|line| line + "\n").collect()
}

/// Returns the source ports of the run, and the error if they cannot be used.
fn source_ports(plan: &RunPlan) -> String {
    let transports = &plan.transports;
    // If both are used, the ports of rsh are shown: only rshd demands certain ones.
    let source_ports = match (&transports.rsh, &transports.ssh) {
        (Some(_), _) => &transports.source_ports,
        (None, Some(_)) => &transports.ssh_source_ports,
        (None, None) => &SourcePorts::Any,
    };
    let range = match source_ports {
        SourcePorts::Any => return "any".to_owned(),
        SourcePorts::Reserved => RESERVED,
        SourcePorts::Range(range) => range.clone(),
    };
    let usable = candidates(range.clone()).usable;
    let right = match may_bind(&usable) {
        Ok(()) => String::new(),
        Err(error) => format!("; they cannot be used: {}", plain(&error)),
    };
    format!(
        "{} of {}-{}, for each host separately{right}",
        usable.len(),
        range.start(),
        range.end()
    )
}

#[cfg(test)]
mod tests {
    use std::num::{NonZeroU32, NonZeroUsize};

    use super::*;
    use crate::output::testing::run_info;
    use crate::policy::Share;
    use crate::targets::Target;

    fn info() -> RunInfo {
        let target = |label: &str, host: &str, user: Option<&str>, port| Target {
            label: label.into(),
            host: host.into(),
            user: user.map(Into::into),
            port,
            transport: None,
            callback_from: None,
            inventory: None,
            variables: None,
        };
        RunInfo {
            numbers: None,
            targets: [
                target("ada", "ada", None, None),
                target("root@bea:1514", "bea", Some("root"), Some(1514)),
                target("192.0.2.7", "192.0.2.7", None, None),
                target("cas", "cas", None, None),
            ]
            .into(),
            command: "echo 'ü\x1b' \"$A\"".into(),
            user: "ops".to_owned(),
            fanout: NonZeroUsize::new(3).unwrap(),
            ..run_info::<&str>(&[])
        }
    }

    #[test]
    fn each_target_is_listed_with_its_user_port_and_addresses() {
        let found = vec![
            Some(Ok(vec![
                "192.0.2.1".parse().unwrap(),
                "2001:db8::1".parse().unwrap(),
            ])),
            Some(Ok(vec!["192.0.2.2".parse().unwrap()])),
            None,
            Some(Err(TransportError::Name {
                reason: "Name or service not known".to_owned(),
            })),
        ];
        insta::assert_snapshot!(targets(&info(), &found), @r"
        cas: rsh to cas port 514 as ops, name not resolved: Name or service not known
        ada: rsh to ada port 514 as ops, address 192.0.2.1 or 2001:db8::1
        root@bea:1514: rsh to bea port 1514 as root, address 192.0.2.2
        192.0.2.7: rsh to 192.0.2.7 port 514 as ops
        ");
    }

    fn shares(texts: &[&str]) -> Vec<Share> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    /// Returns the text about failures among ten targets in these waves. The targets in `unknown` have no address.
    fn failures_of_ten(batch: &[&str], max_failures: Option<&str>, unknown: &[usize]) -> String {
        let names: Vec<String> = (0..10).map(|n| format!("n{n}")).collect();
        let mut info = run_info(&names);
        info.policy.batch = shares(batch);
        info.policy.max_failures = max_failures.map(|text| text.parse().unwrap());
        let found: Vec<LookupResult> = (0..10)
            .map(|index| {
                Some(if unknown.contains(&index) {
                    Err(TransportError::Refused)
                } else {
                    Ok(Vec::new())
                })
            })
            .collect();
        failures(&info, &found)
    }

    #[test]
    fn later_waves_are_not_started_and_do_not_fail() {
        let waves = &["1", "2", "7"][..];
        assert_eq!(failures_of_ten(&[], None, &[]), "");
        assert_eq!(failures_of_ten(waves, None, &[]), "");
        insta::assert_snapshot!(failures_of_ten(&[], None, &[2, 3, 7]), @"3 of 10 targets would fail: n[2-3,7]");
        // A target that would not be started would not fail.
        insta::assert_snapshot!(failures_of_ten(waves, None, &[0, 7]), @r"
        1 of 10 targets would fail: n0
        9 targets would not be started: wave 1 of 3 has failures
        ");
        insta::assert_snapshot!(failures_of_ten(waves, None, &[2, 7]), @r"
        1 of 10 targets would fail: n2
        7 targets would not be started: wave 2 of 3 has failures
        ");
        insta::assert_snapshot!(failures_of_ten(waves, None, &[7, 9]), @"2 of 10 targets would fail: n[7,9]");
        // --max-failures replaces the rule that a wave with a failure is the last.
        insta::assert_snapshot!(failures_of_ten(waves, Some("3"), &[0, 2, 9]), @"3 of 10 targets would fail: n[0,2,9]");
        insta::assert_snapshot!(failures_of_ten(waves, Some("20%"), &[0, 2, 9]), @r"
        2 of 10 targets would fail: n[0,2]
        7 targets would not be started: wave 2 of 3 has failures
        ");
    }

    #[test]
    fn needs_of_the_run_are_listed() {
        let enough = Descriptors {
            wanted: 140,
            allowed: 1024,
        };
        insta::assert_snapshot!(needs(&info(), "480 of 512-1023, for each host separately", enough), @r#"
        4 targets, fan-out 3, in 2 waves
        source ports: 480 of 512-1023, for each host separately
        descriptors: 140 wanted, 1024 allowed
        command: echo 'ü\u{1b}' "$A"
        "#);
        let mut batch = info();
        batch.policy = Policy {
            deadline: Some(Duration::from_secs(600)),
            retries: 2,
            rate: NonZeroU32::new(20),
            max_failures: Some(Share::Percent(10)),
            batch: shares(&["1", "3"]),
            ..Policy::default()
        };
        insta::assert_snapshot!(needs(&batch, "any", enough), @r#"
        4 targets, fan-out 3, in 2 waves, each when the one before has ended
          wave 1: 1: ada
          wave 2: 3: 192.0.2.7,cas,root@bea:1514
        deadline: 600 s
        retries: 2
        rate: 20 per second
        maximum failures: 10%
        source ports: any
        descriptors: 140 wanted, 1024 allowed
        command: echo 'ü\u{1b}' "$A"
        "#);
        batch.policy.batch = shares(&["1"]);
        batch.targets = vec![batch.targets[0].clone(); 30].into();
        let long = needs(&batch, "any", enough);
        assert!(
            long.contains("\n  wave 20: 1: ada\n  and 10 more\n"),
            "{long}"
        );
        let mut one = info();
        one.targets = one.targets[..1].into();
        one.stdin = true;
        let scarce = Descriptors {
            wanted: 140,
            allowed: 100,
        };
        insta::assert_snapshot!(needs(&one, "any", scarce), @r#"
        1 target, fan-out 1, in 1 wave
        source ports: any
        descriptors: 140 wanted, 100 allowed, so the fan-out is smaller
        command: echo 'ü\u{1b}' "$A"
        standard input: sent to every host
        "#);
    }
}
