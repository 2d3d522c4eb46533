//! An honest session: reads the request, calls back, accepts, and runs the command as the caller.

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

use super::callback::{self, SourcePort};
use super::command::RunningCommand;
use super::demo_index;
use super::request::{self, RequestError};
use super::server::Call;

/// How long a client may take to say what it wants.
const REQUEST_LIMIT: Duration = Duration::from_secs(10);

/// What every honest session needs to know.
#[derive(Debug)]
pub(super) struct Shell {
    labels: Vec<Box<str>>,
    token: String,
    callback_port: SourcePort,
    user: OsString,
    home: PathBuf,
    login_shell: PathBuf,
}

impl Shell {
    /// Finds out who the caller is.
    pub(super) fn new(labels: Vec<Box<str>>, token: String, reserved: bool) -> Shell {
        let caller = uzers::get_user_by_uid(uzers::get_current_uid());
        let (user, home, login_shell) = match &caller {
            Some(caller) => (caller.name(), caller.home_dir(), caller.shell()),
            None => (OsStr::new("nobody"), Path::new("/"), Path::new("")),
        };
        let callback_port = if reserved {
            SourcePort::Reserved
        } else {
            SourcePort::Any
        };
        Shell {
            labels,
            token,
            callback_port,
            user: user.to_owned(),
            home: if home.is_dir() { home } else { Path::new("/") }.to_owned(),
            login_shell: usable_shell(login_shell).to_owned(),
        }
    }

    /// The command as inetd's children have it: almost no environment, home, a group of its own.
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
            .env("MRSH_HOST", label)
            .current_dir(&self.home)
            .process_group(0)
            .kill_on_drop(true);
        shell
    }
}

/// The account's shell, unless it is missing or one that only says that nobody may log in: a
/// service account can try the demo too.
fn usable_shell(shell: &Path) -> &Path {
    let refuses = ["nologin", "false"].map(OsStr::new);
    match shell.file_name() {
        Some(name) if !refuses.contains(&name) && shell.is_file() => shell,
        _ => Path::new("/bin/sh"),
    }
}

/// Answers one caller. What it leaves in `running` when dropped is the caller's to end.
pub(super) async fn converse(
    call: Call,
    shell: &Shell,
    running: &mut Option<RunningCommand>,
) -> io::Result<()> {
    let Call {
        mut main,
        peer,
        called,
    } = call;
    let request = match time::timeout(REQUEST_LIMIT, request::read(&mut main)).await? {
        Ok(request) => request,
        Err(RequestError::Io(error)) => return Err(error),
        Err(error) => return refuse(&mut main, &error.to_string()).await,
    };
    let label = demo_index(called).and_then(|index| shell.labels.get(index));
    let known = same(&request.client_user, shell.token.as_bytes());
    // A real daemon calls back before it looks at names. Doing so here would lend the right to use
    // reserved ports to everybody on this machine.
    let (Some(label), true) = (label, known) else {
        return refuse(&mut main, "Permission denied.").await;
    };
    let err = match request.err_port {
        Some(port) => {
            let client = SocketAddrV4::new(peer, port);
            // Without its second connection a client understands nothing but the end of the first.
            Some(callback::connect(called, client, shell.callback_port).await?)
        }
        None => None,
    };
    main.write_all(&[0]).await?;
    run(shell.command(label, &request.command), main, err, running).await
}

async fn run(
    mut command: Command,
    main: TcpStream,
    err: Option<TcpStream>,
    running: &mut Option<RunningCommand>,
) -> io::Result<()> {
    let stderr = match &err {
        Some(_) => Stdio::piped(),
        None => RunningCommand::share(&main)?,
    };
    command
        .stdin(RunningCommand::share(&main)?)
        .stdout(RunningCommand::share(&main)?)
        .stderr(stderr);
    let started = RunningCommand::spawn(&mut command);
    // It keeps copies of the socket, and the client waits for the end of the last one.
    drop(command);
    match (started, err) {
        (Ok(started), Some(err)) => {
            drop(main);
            running.insert(started).supervise(err).await;
        }
        (Ok(started), None) => running.insert(started).supervise_merged(main).await,
        (Err(error), err) => {
            // The status byte has gone, as with real daemons: this can only be output.
            let text = format!("/bin/sh: {error}\n");
            err.unwrap_or(main).write_all(text.as_bytes()).await?;
        }
    }
    Ok(())
}

async fn refuse(main: &mut TcpStream, text: &str) -> io::Result<()> {
    main.write_all(format!("\x01{text}\n").as_bytes()).await
}

/// Compares without ending at the first difference, which would tell how much was right.
fn same(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |acc, (x, y)| acc | (x ^ y)) == 0
}
