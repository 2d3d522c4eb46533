//! A session that follows the protocol: reads the request, calls back, accepts, and runs the
//! command as the user of this process.

use std::ffi::{OsStr, OsString};
use std::io;
use std::net::SocketAddrV4;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::process::Command;
use tokio::time;
use uzers::os::unix::UserExt;

use crate::address;
use crate::callback::{self, CallbackPort};
use crate::command::RunningCommand;
use crate::request::{self, ReadError};
use crate::server::Client;
use crate::shell::Shell;

/// Maximum time for a client to send its request.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// The settings that all sessions share.
#[derive(Debug)]
pub(crate) struct CommandService {
    shell: Shell,
    callback_port: CallbackPort,
    user: OsString,
    home: PathBuf,
    login_shell: PathBuf,
}

impl CommandService {
    /// Looks up the account of this process.
    pub(crate) fn new(shell: Shell, callback_port: CallbackPort) -> CommandService {
        let account = uzers::get_user_by_uid(uzers::get_current_uid());
        let (user, home, login_shell) = match &account {
            Some(account) => (account.name(), account.home_dir(), account.shell()),
            None => (OsStr::new("nobody"), Path::new("/"), Path::new("")),
        };
        CommandService {
            shell,
            callback_port,
            user: user.to_owned(),
            home: if home.is_dir() { home } else { Path::new("/") }.to_owned(),
            login_shell: usable_shell(login_shell).to_owned(),
        }
    }

    /// Returns the command as inetd would start it: almost no environment, the home directory, a
    /// process group of its own.
    fn command(&self, label: &str, command: &[u8]) -> Command {
        let mut shell = Command::new("/bin/sh");
        shell
            .arg("-c")
            .arg(OsStr::from_bytes(command))
            .env_clear()
            .env("HOME", &self.home)
            .env("SHELL", &self.login_shell)
            .env("USER", &self.user)
            .env("PATH", "/usr/bin:/bin")
            .env(&self.shell.label_variable, label)
            .current_dir(&self.home)
            .process_group(0)
            .kill_on_drop(true);
        shell
    }
}

/// Returns the account's shell, or `/bin/sh` if that is missing or refuses logins: service accounts
/// can use the daemons too.
fn usable_shell(shell: &Path) -> &Path {
    let refuses = ["nologin", "false"].map(OsStr::new);
    match shell.file_name() {
        Some(name) if !refuses.contains(&name) && shell.is_file() => shell,
        _ => Path::new("/bin/sh"),
    }
}

/// Serves one client. The caller must end the command that is in `running` if this future is dropped.
pub(crate) async fn converse(
    client: Client,
    service: &CommandService,
    running: &mut Option<RunningCommand>,
) -> io::Result<()> {
    let Client {
        mut main,
        peer,
        called,
    } = client;
    let request = match time::timeout(REQUEST_TIMEOUT, request::read(&mut main)).await? {
        Ok(request) => request,
        Err(ReadError::Io(error)) => return Err(error),
        Err(ReadError::Invalid(error)) => return refuse(&mut main, &error.to_string()).await,
    };
    let label = address::index(called).and_then(|index| service.shell.labels.get(index));
    let known = same(&request.client_user, service.shell.token.as_bytes());
    // A real daemon calls back before it looks at names. Here that would give the right to use
    // reserved ports to everybody on this machine.
    let (Some(label), true) = (label, known) else {
        return refuse(&mut main, "Permission denied.").await;
    };
    let callback = match request.callback_port {
        Some(port) => {
            let client = SocketAddrV4::new(peer, port);
            // A client without its callback understands only the end of its first connection.
            Some(callback::connect(called, client, service.callback_port).await?)
        }
        None => None,
    };
    main.write_all(&[0]).await?;
    let command = service.command(label, &request.command);
    run(command, main, callback, running).await
}

async fn run(
    mut command: Command,
    main: TcpStream,
    callback: Option<TcpStream>,
    running: &mut Option<RunningCommand>,
) -> io::Result<()> {
    let stderr = match &callback {
        Some(_) => Stdio::piped(),
        None => RunningCommand::share(&main)?,
    };
    command
        .stdin(RunningCommand::share(&main)?)
        .stdout(RunningCommand::share(&main)?)
        .stderr(stderr);
    let started = RunningCommand::spawn(&mut command);
    // The builder keeps copies of the socket, and the client waits until the last copy is closed.
    drop(command);
    match (started, callback) {
        (Ok(started), Some(callback)) => {
            drop(main);
            running.insert(started).supervise(callback).await;
        }
        (Ok(started), None) => running.insert(started).supervise_merged(main).await,
        (Err(error), callback) => {
            // The status byte has been sent, as with real daemons: this can only be output.
            let text = format!("/bin/sh: {error}\n");
            callback.unwrap_or(main).write_all(text.as_bytes()).await?;
        }
    }
    Ok(())
}

async fn refuse(main: &mut TcpStream, text: &str) -> io::Result<()> {
    main.write_all(format!("\x01{text}\n").as_bytes()).await
}

/// Compares in constant time: an end at the first difference would reveal how much was right.
fn same(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |acc, (x, y)| acc | (x ^ y)) == 0
}
