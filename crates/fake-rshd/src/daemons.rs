//! The daemons as a value: the listener, and the thread that serves it.

use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};
#[cfg(feature = "script")]
use std::sync::mpsc::{Receiver, channel};
use std::thread::JoinHandle;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::TcpListener;
use tokio::runtime;
use tokio::sync::watch;

use crate::callback::CallbackPort;
#[cfg(feature = "script")]
use crate::script::{Observation, Script};
use crate::server::{self, Service, StopRequest};
use crate::session::CommandService;
use crate::shell::Shell;

/// File descriptors that one session uses in this process, beside those of its client: the two
/// connections, the pipe of the command's standard error, and the child itself.
pub const DESCRIPTORS_PER_SESSION: u32 = 4;

/// Length of the listener's queue. The kernel's own limit is usually lower, and applies.
// A whole fan-out may connect at once.
const BACKLOG: i32 = 4096;

/// Running daemons. Dropping the value ends the daemons and all commands that they run, before it
/// returns. A process that is killed before it can drop the value leaves its commands running until
/// they write to their closed connections.
#[derive(Debug)]
pub struct Daemons {
    port: u16,
    callback_port: CallbackPort,
    // Dropping the sender is the request to stop; see `StopRequest`.
    stop: Option<watch::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Daemons {
    /// Starts daemons that run commands as the user of this process.
    ///
    /// # Errors
    /// `InvalidInput` if the token is not a user name of at most [`TOKEN_MAX`](crate::TOKEN_MAX)
    /// bytes, if the label's variable cannot be one, or if there are more labels than loopback has
    /// addresses; else the system's error for a socket or a thread.
    pub fn run_commands(shell: Shell) -> io::Result<Daemons> {
        shell.check()?;
        let callback_port = CallbackPort::available();
        let service = CommandService::new(shell, callback_port);
        Daemons::serve(Service::Commands(service), callback_port)
    }

    /// Starts daemons that play scripts: the one at [`address`](crate::address())`(i)` plays
    /// `scripts[i]` for each of its clients. The receiver gets the observations of all sessions.
    ///
    /// # Errors
    /// The system's error for a socket or a thread.
    #[cfg(feature = "script")]
    pub fn play_scripts(scripts: Vec<Script>) -> io::Result<(Daemons, Receiver<Observation>)> {
        let (observations, receiver) = channel();
        let service = Service::Scripts {
            scripts,
            observations,
        };
        let daemons = Daemons::serve(service, CallbackPort::available())?;
        Ok((daemons, receiver))
    }

    fn serve(service: Service, callback_port: CallbackPort) -> io::Result<Daemons> {
        let listener = listen()?;
        let port = listener.local_addr()?.port();
        let runtime = runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let (stop, stopped) = watch::channel(());
        let thread = std::thread::Builder::new()
            .name("fake-rshd".to_owned())
            .spawn(move || {
                runtime.block_on(async {
                    // Without a registered listener there is no service: clients are refused.
                    if let Ok(listener) = TcpListener::from_std(listener) {
                        let stop = StopRequest::new(stopped);
                        server::serve(listener, service.into(), stop).await;
                    }
                });
            })?;
        Ok(Daemons {
            port,
            callback_port,
            stop: Some(stop),
            thread: Some(thread),
        })
    }

    /// The TCP port on which every daemon listens.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Kind of source port of the callbacks: [`Reserved`](CallbackPort::Reserved), like those of real
    /// daemons, if this process may bind such ports. With [`Any`](CallbackPort::Any), a client must
    /// not insist on reserved ports.
    #[must_use]
    pub fn callback_port(&self) -> CallbackPort {
        self.callback_port
    }
}

impl Drop for Daemons {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // The panic hook has already reported a panic of that thread.
            let _ = thread.join();
        }
    }
}

/// Listens on a free port of every loopback address and, if the system allows it, of no other address.
fn listen() -> io::Result<std::net::TcpListener> {
    let socket = Socket::new(
        Domain::IPV4,
        Type::STREAM.nonblocking().cloexec(),
        Some(Protocol::TCP),
    )?;
    // Old kernels reserve this for root. The server checks each peer's address in any case.
    let _ = socket.bind_device(Some(b"lo"));
    socket.bind(&SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 0).into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}
