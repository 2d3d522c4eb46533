//! Ssh servers that do wrong on purpose, at every step before and after login.
//!
//! Each test calls a scripted server together with an honest one in the same run, and holds both mrsh and the
//! system's `ssh` against the test's row of the table in docs/testing.md. A host that has not proved its key
//! sees no login and no command, no hostile host succeeds by a lie, and the honest host is unharmed.

mod attack;
mod channels;
mod first_exchange;
mod impostors;
mod jumps;
mod login;
mod packets;
mod re_exchange;

use attack::{impostor, proven};
