//! ssh through libssh2: no process and no thread for a host, but a task.
//!
//! [`SshTransport`] connects, checks whose key the server has, logs in and starts the command;
//! [`SshSession`] carries its output and says how it ended. What the user's files say is read before the
//! first connection: [`config`] how to reach a host, [`known_hosts`] whom to trust. libssh2 is in
//! `ffi`, which has all of this program's unsafe code, over a `pipe` that reads and writes for it;
//! `drive` makes futures of its calls.

mod auth;
pub mod certificate;
pub mod config;
mod connect;
mod drive;
mod ffi;
mod greeting;
pub mod known_hosts;
mod pipe;
pub mod public;
mod session;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod wire;

pub use session::SshSession;
