//! Commands of the administrator that name hosts, and what they print, within limits.

use std::fmt;
use std::io::{self, Read};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::AsFd;
use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open};

/// Reason why a command has no usable output.
#[derive(Debug)]
pub(super) enum ChildError {
    /// The command cannot be started, or its output cannot be read.
    Io(io::Error),
    /// The command failed.
    Status(ExitStatus),
    /// The command printed more than this number of bytes.
    TooLong(u64),
    /// The command did not end within this time.
    Timeout(Duration),
}

impl fmt::Display for ChildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ChildError::Io(error) => write!(f, "{error}"),
            ChildError::Status(status) => write!(f, "{status}"),
            ChildError::TooLong(most) => write!(f, "it printed more than {most} bytes"),
            ChildError::Timeout(limit) => {
                write!(f, "it did not end within {} s", limit.as_secs_f64())
            }
        }
    }
}

impl From<io::Error> for ChildError {
    fn from(error: io::Error) -> ChildError {
        ChildError::Io(error)
    }
}

/// Runs a command without standard input and returns what it prints, at most `most` bytes. With a time limit, the
/// command gets a process group of its own, which is killed at the limit.
pub(super) fn output(
    command: &mut Command,
    most: u64,
    limit: Option<Duration>,
) -> Result<Vec<u8>, ChildError> {
    // The command must not read this program's standard input, which is that of the run.
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    // A shell can start further programs, which must end at the limit as well. Without a limit, ^C of the
    // terminal must reach the command, and it reaches only the group in the foreground.
    if limit.is_some() {
        command.process_group(0);
    }
    let mut child = command.spawn()?;
    let until = limit.map(|limit| (limit, Instant::now() + limit));
    let printed = match child.stdout.take() {
        Some(stdout) => read(stdout, most, until).and_then(|printed| {
            // A command can close its output and run on.
            wait_for_end(&child, until)?;
            Ok(printed)
        }),
        None => Ok(Vec::new()),
    };
    if printed.is_err() {
        stop(&mut child, limit.is_some());
    }
    // Also after a failure: a child that nobody waits for stays as a zombie.
    let status = child.wait()?;
    let printed = printed?;
    if status.success() {
        Ok(printed)
    } else {
        Err(ChildError::Status(status))
    }
}

fn stop(child: &mut Child, has_group: bool) {
    let group = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    // The child is not reaped yet, so its number cannot be that of another process. An error means that it has ended.
    let _ = match group.filter(|_| has_group) {
        Some(group) => kill_process_group(group, Signal::KILL).map_err(io::Error::from),
        None => child.kill(),
    };
}

/// Reads to the end of the output.
fn read(
    mut stdout: ChildStdout,
    most: u64,
    until: Option<(Duration, Instant)>,
) -> Result<Vec<u8>, ChildError> {
    let mut printed = Vec::new();
    let mut buffer = [0; 16 << 10];
    loop {
        wait_for_data(&stdout, until)?;
        match stdout.read(&mut buffer) {
            Ok(0) => return Ok(printed),
            Ok(count) => printed.extend_from_slice(&buffer[..count]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error.into()),
        }
        // A command may print without end.
        if printed.len() as u64 > most {
            return Err(ChildError::TooLong(most));
        }
    }
}

/// Waits for the end of a command that has closed its output.
fn wait_for_end(child: &Child, until: Option<(Duration, Instant)>) -> Result<(), ChildError> {
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    // Kernels before 5.3 have no such descriptors. The caller then waits without a limit.
    match pid.and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok()) {
        Some(ended) => wait_for_data(&ended, until),
        None => Ok(()),
    }
}

fn wait_for_data(fd: &impl AsFd, until: Option<(Duration, Instant)>) -> Result<(), ChildError> {
    let Some((limit, until)) = until else {
        return Ok(());
    };
    loop {
        // Computed again for each wait, so that signals do not extend the limit.
        let left = until.saturating_duration_since(Instant::now());
        let left = Timespec::try_from(left).map_err(io::Error::other)?;
        match poll(&mut [PollFd::new(fd, PollFlags::IN)], Some(&left)) {
            Ok(0) => return Err(ChildError::Timeout(limit)),
            Ok(_) => return Ok(()),
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(ChildError::Io(error.into())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(line: &str, most: u64, limit: u64) -> Result<String, String> {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", line]);
        let printed = output(&mut command, most, Some(Duration::from_millis(limit)));
        printed
            .map(|printed| String::from_utf8(printed).unwrap())
            .map_err(|error| error.to_string())
    }

    #[test]
    fn the_output_of_a_command_that_succeeds_is_returned() {
        assert_eq!(shell("echo a; cat", 100, 20_000), Ok("a\n".to_owned()));
    }

    #[test]
    fn a_command_is_bounded_in_time_and_output() {
        let begun = Instant::now();
        for line in [
            "sleep 60",
            "sleep 60 | cat",
            "exec >&-; sleep 60",
            "sleep 60 & echo a",
        ] {
            let error = shell(line, 100, 300).unwrap_err();
            assert_eq!(error, "it did not end within 0.3 s", "{line}");
        }
        let error = shell("while :; do echo word; done", 1000, 20_000).unwrap_err();
        assert_eq!(error, "it printed more than 1000 bytes");
        assert_eq!(
            shell("echo a; exit 3", 10, 20_000).unwrap_err(),
            "exit status: 3"
        );
        assert!(begun.elapsed() < Duration::from_secs(20));
    }
}
