//! ssh through libssh2: no process and no thread for a host, but a task.
//!
//! [`SshTransport`] connects, checks whose key the server has, logs in and starts the command;
//! [`SshSession`] carries its output and says how it ended. libssh2 is in `ffi`, which has all of this
//! program's unsafe code, over a `pipe` that reads and writes for it; `drive` makes futures of its calls.

mod auth;
mod connect;
mod drive;
mod ffi;
mod greeting;
mod pipe;
mod session;

pub use session::SshSession;
#[cfg(test)]
mod tests;
