//! ssh: the same work on hosts that run sshd.

pub mod config;
