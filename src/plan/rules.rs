//! The part of the plan about limits, retries and waves.

use std::num::NonZeroU32;

use crate::cli::Cli;
use crate::output::RunRules;
use crate::run::policy::{Policy, Share};

/// Returns the limits, retries and waves of a run.
pub(super) fn policy(cli: &Cli) -> Policy {
    // clap keeps only the last one of --fail-fast and --max-failures.
    let first = cli.fail_fast.then_some(Share::Count(NonZeroU32::MIN));
    Policy {
        kill_after: cli.kill_after,
        deadline: cli.deadline,
        idle_timeout: cli.idle_timeout,
        host_timeout: cli.host_timeout,
        retries: cli.retries,
        rate: cli.rate,
        max_failures: first.or(cli.max_failures),
        batch: match &cli.batch {
            Some(shares) => shares.0.clone(),
            None => Vec::new(),
        },
    }
}

/// Returns a policy for the reports of a run of `total` targets.
pub(super) fn for_reports(policy: &Policy, total: usize) -> RunRules {
    RunRules {
        kill_after: policy.kill_after,
        deadline: policy.deadline,
        idle_timeout: policy.idle_timeout,
        retries: policy.retries,
        rate: policy.rate.map(NonZeroU32::get),
        max_failures: policy.max_failures.map(|share| share.to_string()),
        waves: (!policy.batch.is_empty()).then(|| policy.waves(total).collect()),
    }
}
