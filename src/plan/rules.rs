//! The part of the plan about limits, retries and waves.

use std::num::NonZeroU32;

use crate::cli::Cli;
use crate::policy::{Policy, Share};

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
        stop_at_failure: false,
        batch: match &cli.batch {
            Some(shares) => shares.0.clone(),
            None => Vec::new(),
        },
        pause: cli.caution.pause(),
    }
}
