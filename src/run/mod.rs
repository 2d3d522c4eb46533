//! When things happen: the dispatcher that runs every target within the fan-out, and what it tells.

pub mod event;
