//! Waiting for a time that may not be set.

use tokio::time::{Instant, sleep_until};

/// Returns at that time; never, if there is none. Cancel safe.
pub(crate) async fn reached(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => std::future::pending().await,
    }
}
