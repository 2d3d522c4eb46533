//! Embedded rsh daemons on loopback: what `mrsh --demo` talks to, and the fakes of the fault tests.
//!
//! One listener answers for every address of 127.0.0.0/8, so each target has an address of its own
//! and the address that was called says which target is meant. The daemons live on a thread of
//! their own with a small runtime; dropping [`Demo`] ends them, and every command that they run,
//! before it returns.
//!
//! [`Demo::start`] gives daemons that run commands as the caller and serve nobody who does not know
//! their token. [`Demo::scripted`] gives daemons that run nothing and misbehave as a [`Script`] says.

use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::sync::mpsc::Sender;
use std::thread::JoinHandle;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::TcpListener;
use tokio::runtime;
use tokio::sync::watch;

use crate::targets::TargetId;

mod callback;
mod command;
mod play;
mod request;
mod script;
mod server;
mod session;

pub use callback::SourcePort;
pub use request::Request;
pub use script::{CallBack, Script, Seen, Step, Wire};

use server::{Part, Stop};

/// Descriptors that one session takes of this process, beyond those of its client: the two
/// connections, the pipe of the command's standard error and the child itself.
pub const DESCRIPTORS_PER_SESSION: u32 = 4;

/// The longest token that [`Demo::start`] takes: it travels as a user name.
pub const TOKEN_MAX: usize = request::NAME_MAX;

/// The address of the first target. The ones that follow count up from it.
const FIRST: Ipv4Addr = Ipv4Addr::new(127, 77, 0, 1);
/// The last address of the loopback network that is not its broadcast address.
const LAST: Ipv4Addr = Ipv4Addr::new(127, 255, 255, 254);
/// More than the kernel's usual cap, which then applies: a whole fan-out may call at once.
const BACKLOG: i32 = 4096;

/// The loopback address of the target with this index.
///
/// Indices past the eleven million that loopback has room for share the last address;
/// [`Demo::start`] refuses such lists.
#[must_use]
pub fn demo_address(index: u32) -> Ipv4Addr {
    let room = LAST.to_bits() - FIRST.to_bits();
    Ipv4Addr::from_bits(FIRST.to_bits() + index.min(room))
}

/// The target with this address; the inverse of [`demo_address`].
fn demo_index(address: Ipv4Addr) -> Option<usize> {
    let index = address.to_bits().checked_sub(FIRST.to_bits())?;
    usize::try_from(index).ok()
}

/// The daemons. They end when this is dropped, with all commands that they run. A process that is
/// killed before it can drop this leaves its commands behind, until they write to closed connections.
#[derive(Debug)]
pub struct Demo {
    port: u16,
    reserved: bool,
    // Dropping the sender is the word to stop; see `Stop`.
    stop: Option<watch::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Demo {
    /// Starts a daemon for each label, the label being what the command finds in `MRSH_HOST`.
    ///
    /// A client shows `token` as its own user name, or it is denied. The remote user name is taken
    /// as it comes: commands always run as the caller.
    ///
    /// # Errors
    /// An unusable token or too many labels; the system's, if it gives no socket or thread.
    pub fn start(labels: Vec<Box<str>>, token: String) -> io::Result<Demo> {
        if token.is_empty() || token.len() > TOKEN_MAX || token.contains('\0') {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "the token is not a user name",
            ));
        }
        if u32::try_from(labels.len()).is_ok_and(|n| n <= LAST.to_bits() - FIRST.to_bits()) {
            let reserved = callback::may_bind_reserved();
            let shell = session::Shell::new(labels, token, reserved);
            Demo::serve(Part::Shell(shell), reserved)
        } else {
            Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "more targets than loopback has addresses",
            ))
        }
    }

    /// Starts daemons for tests: the one at `demo_address(i)` plays `scripts[i]` for every caller.
    /// What they see goes to `seen`.
    ///
    /// # Errors
    /// The system's, if it gives no socket or thread.
    pub fn scripted(scripts: Vec<Script>, seen: Sender<Seen>) -> io::Result<Demo> {
        let reserved = callback::may_bind_reserved();
        Demo::serve(Part::Scripts { scripts, seen }, reserved)
    }

    fn serve(part: Part, reserved: bool) -> io::Result<Demo> {
        let listener = listen()?;
        let port = listener.local_addr()?.port();
        let runtime = runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let (stop, stopped) = watch::channel(());
        let thread = std::thread::Builder::new()
            .name("demo".to_owned())
            .spawn(move || {
                runtime.block_on(async {
                    // A listener that cannot be registered serves nobody: clients are refused.
                    if let Ok(listener) = TcpListener::from_std(listener) {
                        server::serve(listener, part.into(), Stop::new(stopped)).await;
                    }
                });
            })?;
        Ok(Demo {
            port,
            reserved,
            stop: Some(stop),
            thread: Some(thread),
        })
    }

    /// The port on which every daemon listens.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The address of a target's daemon.
    #[must_use]
    pub fn address(&self, target: TargetId) -> Ipv4Addr {
        demo_address(target.0)
    }

    /// Whether call-backs come from reserved ports, as real daemons' do. Without the right to bind
    /// those, they come from any port, and a client must not insist.
    #[must_use]
    pub fn reserved(&self) -> bool {
        self.reserved
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic over there has been reported by the panic hook already.
            let _ = thread.join();
        }
    }
}

/// A listener on a free port of every loopback address and, where the system allows, of no other.
fn listen() -> io::Result<std::net::TcpListener> {
    let socket = Socket::new(
        Domain::IPV4,
        Type::STREAM.nonblocking().cloexec(),
        Some(Protocol::TCP),
    )?;
    // Old kernels keep this for root. The check of each peer's address stands in any case.
    let _ = socket.bind_device(Some(b"lo"));
    socket.bind(&SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 0).into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

#[cfg(test)]
mod tests;
