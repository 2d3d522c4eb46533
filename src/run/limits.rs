//! The number of hosts at once that this process has descriptors for.

use std::fs;
use std::num::NonZeroUsize;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::event::Note;

/// Descriptors beside those of the hosts: the standard three, epoll, netlink, the listeners for
/// standard error (32, more only if hosts cannot share them), name look-ups (32 at most) and a few to spare.
const OVERHEAD: u64 = 128;

/// How many descriptors a run wants, and how many it could have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Descriptors {
    /// For the hosts at once, and beside them.
    pub wanted: u64,
    /// The hard limit of this process.
    pub allowed: u64,
}

/// What `fanout` hosts with `per_host` descriptors each want.
#[must_use]
pub fn descriptors(fanout: NonZeroUsize, per_host: u32) -> Descriptors {
    let hosts = (fanout.get() as u64).saturating_mul(u64::from(per_host));
    Descriptors {
        wanted: hosts.saturating_add(base()),
        allowed: getrlimit(Resource::Nofile).maximum.unwrap_or(u64::MAX),
    }
}

/// What is needed beside the hosts. Descriptors that were inherited count against the limit too.
fn base() -> u64 {
    let open = fs::read_dir("/proc/self/fd").map_or(0, |entries| entries.count() as u64);
    open + OVERHEAD
}

/// Raises the soft limit on open files as far as `fanout` hosts with `per_host` descriptors each
/// need, and gives the fan-out that the hard limit allows, with a remark if that is less.
pub(super) fn fit(fanout: NonZeroUsize, per_host: u32) -> (NonZeroUsize, Option<Note>) {
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
    // A limit that cannot be raised is dealt with like a hard one.
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
) -> (NonZeroUsize, Option<Note>) {
    let room = limit.saturating_sub(base) / u64::from(per_host.max(1));
    let room = NonZeroUsize::new(usize::try_from(room).unwrap_or(usize::MAX));
    let fits = room.unwrap_or(NonZeroUsize::MIN).min(fanout);
    let note = (fits < fanout).then(|| Note {
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
    fn runs_fewer_where_the_limit_is_low_but_never_none() {
        assert_eq!(within(32, 1024), (32, false));
        assert_eq!(within(4000, 1024), (447, true));
        assert_eq!(within(32, 64), (1, true));
        assert_eq!(within(1, 64), (1, false));
    }
}
