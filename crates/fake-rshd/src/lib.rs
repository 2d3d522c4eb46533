//! Fake rsh daemons on loopback, to test and demonstrate rsh clients.
//!
//! [`Daemons`] are a fleet in one thread: one listener serves every address of 127.0.0.0/8, so
//! each host of the fleet has an [`address()`] of its own, and the address that a client calls
//! selects the host. Nothing outside this machine can connect.
//!
//! [`Daemons::run_commands`] starts daemons that run commands as the caller, for clients that know
//! a token:
//!
//! ```
//! use std::io::{Read, Write};
//! use std::net::TcpStream;
//!
//! use fake_rshd::{Daemons, Shell, address};
//!
//! let daemons = Daemons::run_commands(Shell::new("token", ["node1", "node2"]))?;
//! let mut client = TcpStream::connect((address(1), daemons.port()))?;
//! // No port for a second connection; the client's user, the server's user, the command.
//! client.write_all(b"0\0token\0root\0echo $RSH_HOST\0")?;
//! let mut answer = String::new();
//! client.read_to_string(&mut answer)?;
//! assert_eq!(answer, "\0node2\n");
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! `Daemons::play_scripts` (feature `script`) starts daemons that run nothing. They misbehave as a
//! `Script` describes, and report the actions of the client.

// Only Linux serves all of 127.0.0.0/8 on loopback.
#![cfg(target_os = "linux")]

mod address;
mod callback;
mod command;
mod daemons;
#[cfg(feature = "script")]
mod play;
mod request;
#[cfg(feature = "script")]
mod script;
mod server;
mod session;
mod shell;

pub use address::address;
pub use callback::CallbackPort;
pub use daemons::{DESCRIPTORS_PER_SESSION, Daemons};
pub use request::{Request, RequestError};
#[cfg(feature = "script")]
pub use script::{Callback, Connection, Observation, Script, Step};
pub use shell::{Shell, TOKEN_MAX};

/// Runs the examples of README.md as tests.
#[cfg(all(doctest, feature = "script"))]
#[doc = include_str!("../README.md")]
struct Readme;
