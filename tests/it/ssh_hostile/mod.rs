//! ssh servers that violate the protocol on purpose, at every step before and after login.
//!
//! Each test calls a scripted server together with an honest one in the same run. It compares the outcomes of mrsh and
//! of the system's `ssh` with the test's row of the table in docs/testing.md. A host that has not proved its key gets
//! no login and no command, no hostile host succeeds with false output, and the honest host succeeds.

mod attack;
mod channels;
mod first_exchange;
mod impostors;
mod jumps;
mod login;
mod packets;
mod re_exchange;

use attack::{impostor, proven};
