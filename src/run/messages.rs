//! Texts of notices.

use tokio::task::JoinError;

use crate::targets::hosts_in_words;

pub(super) fn failed(count: usize) -> String {
    format!("{} failed", hosts_in_words(count))
}

/// Returns the message of a task that panicked.
pub(super) fn panic_text(error: JoinError) -> String {
    match error.try_into_panic() {
        // `panic!` has a &str without arguments and a String with them. `panic_any` can have anything else.
        Ok(payload) => payload
            .downcast_ref::<&str>()
            .map(|text| (*text).to_owned())
            .or_else(|| payload.downcast_ref::<String>().cloned())
            .unwrap_or_else(|| "panic without a text".to_owned()),
        Err(error) => error.to_string(),
    }
}
