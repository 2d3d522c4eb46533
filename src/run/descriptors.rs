//! The fan-out that the limit on open files allows.

use std::fs;
use std::num::NonZeroUsize;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::event::Notice;

/// Descriptors beside those of the targets: the standard three, epoll, netlink, the listeners for call-backs (32, more
/// only if targets cannot share them), lookups of names (at most 32), and a reserve.
const OVERHEAD: u64 = 128;

/// Number of descriptors that a run needs, and the number that is allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Descriptors {
    /// Descriptors for all targets in progress and beside them.
    pub wanted: u64,
    /// Hard limit of this process.
    pub allowed: u64,
}

/// Returns the descriptors for `fanout` targets with `per_host` descriptors each.
#[must_use]
pub fn descriptors(fanout: NonZeroUsize, per_host: u32) -> Descriptors {
    let hosts = (fanout.get() as u64).saturating_mul(u64::from(per_host));
    Descriptors {
        wanted: hosts.saturating_add(base()),
        allowed: getrlimit(Resource::Nofile).maximum.unwrap_or(u64::MAX),
    }
}

/// Returns the descriptors that are needed beside the targets. Inherited descriptors count against the limit too.
fn base() -> u64 {
    let open = fs::read_dir("/proc/self/fd").map_or(0, |entries| entries.count() as u64);
    open + OVERHEAD
}

/// Raises the soft limit on open files as far as `fanout` targets with `per_host` descriptors each need. Returns the
/// fan-out that the hard limit allows, with a notice if that is less.
pub(super) fn fit(fanout: NonZeroUsize, per_host: u32) -> (NonZeroUsize, Option<Notice>) {
    let limit = getrlimit(Resource::Nofile);
    let base = base();
    let wanted = descriptors(fanout, per_host).wanted;
    let soft = limit.current.unwrap_or(u64::MAX);
    if soft >= wanted {
        return (fanout, None);
    }
    let raised = Rlimit {
        current: Some(limit.maximum.unwrap_or(wanted).min(wanted)),
        ..limit
    };
    // If the soft limit cannot be raised, it acts like a hard one.
    let got = match setrlimit(Resource::Nofile, raised) {
        Ok(()) => raised.current.unwrap_or(wanted),
        Err(_) => soft,
    };
    fit_within(fanout, per_host, base, got)
}

fn fit_within(
    fanout: NonZeroUsize,
    per_host: u32,
    base: u64,
    limit: u64,
) -> (NonZeroUsize, Option<Notice>) {
    let most = limit.saturating_sub(base) / u64::from(per_host.max(1));
    let most = NonZeroUsize::new(usize::try_from(most).unwrap_or(usize::MAX));
    // One target at a time may still work; a fan-out of 0 would start none.
    let fits = most.unwrap_or(NonZeroUsize::MIN).min(fanout);
    let note = (fits < fanout).then(|| Notice {
        verbose: true,
        text: format!(
            "running {fits} hosts at a time instead of {fanout}: only {limit} open files are allowed \
             (raise the hard limit with ulimit -Hn)"
        ),
    });
    (fits, note)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn within(fanout: usize, limit: u64) -> (usize, bool) {
        let (fits, note) = fit_within(NonZeroUsize::new(fanout).unwrap(), 2, 130, limit);
        (fits.get(), note.is_some())
    }

    #[test]
    fn a_low_limit_reduces_the_fan_out_to_1_at_least() {
        assert_eq!(within(32, 1024), (32, false));
        assert_eq!(within(4000, 1024), (447, true));
        assert_eq!(within(32, 64), (1, true));
        assert_eq!(within(1, 64), (1, false));
    }
}
