//! Code for all integration tests: the program under test, fake daemons, and the lab.

mod fake;
mod input;
mod json;
mod lab;
mod program;
pub(crate) mod sshd;
mod terminal;

pub(crate) use fake::{FakeRshd, host};
pub(crate) use input::{file, piped};
pub(crate) use json::{Finished, finished, records};
pub(crate) use lab::{lab_case, lacks, may_skip, reserved_ports};
pub(crate) use program::{Ended, Mrsh, Running};
pub(crate) use terminal::on_a_terminal;
