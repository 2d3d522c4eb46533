//! Output of the program itself: messages on standard error, and answers instead of a run.
//!
//! The reports of a run are in [`output`](crate::output).

use std::ffi::OsString;
use std::io::{self, Write};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::cli::usage;
use crate::config::SettingsError;
use crate::error::Error;
use crate::error_text::{with_causes, without_numbers};
use crate::exit::ExitStatus;
use crate::help::with_help;

/// Prints a set-up error and returns the exit status for it. `args` are the words of the command line.
///
/// clap returns the texts of `--help` and `--version` as errors, too; they go to standard output.
pub(crate) fn refuse(error: &Error, args: &[OsString]) -> ExitStatus {
    let Error::Config(SettingsError::CommandLine(usage_error)) = error else {
        print_set_up_error(error, args);
        return ExitStatus::SETUP;
    };
    if usage_error.use_stderr() {
        print_message(&usage::message(usage_error));
        return ExitStatus::SETUP;
    }
    match allow_closed_pipe(usage_error.print()) {
        Ok(()) => ExitStatus::SUCCESS,
        Err(error) => {
            print_error(&error);
            ExitStatus::SETUP
        }
    }
}

/// Prints a set-up error with its causes and its help. `args` are the words of the command line.
pub(crate) fn print_set_up_error(error: &Error, args: &[OsString]) {
    print_message(&set_up_text(error, args));
}

/// Returns a set-up error with its causes and its help. `args` are the words of the command line.
pub(crate) fn set_up_text(error: &Error, args: &[OsString]) -> String {
    with_help(with_causes(error), error.help(args))
}

/// Prints a text on standard error as it is.
pub(crate) fn print_text(text: &str) {
    // There is no third stream for a failure of standard error.
    let _ = io::stderr().write_all(text.as_bytes());
}

/// Prints an error with its causes on standard error.
pub(crate) fn print_error(error: &dyn std::error::Error) {
    print_message(&with_causes(error));
}

/// Prints a message on standard error.
pub(crate) fn print_message(text: &str) {
    let mut line = format!("mrsh: {text}\n");
    without_numbers(&mut line);
    // There is no third stream for a failure of standard error.
    let _ = io::stderr().write_all(line.as_bytes());
}

/// Prints a message from the event loop, which must not wait for the reader of standard error.
pub(crate) fn print_message_on_thread(text: String) {
    tokio::task::spawn_blocking(move || print_message(&text));
}

/// Prints a message, unless the write would wait for a reader of standard error that has stopped.
pub(crate) fn print_message_without_wait(text: &str) {
    let stderr = rustix::stdio::stderr();
    let mut polled = [PollFd::new(&stderr, PollFlags::OUT)];
    // poll(2) reports a pipe as writable only if it takes a whole page, which is more than a message has.
    if poll(&mut polled, Some(&Timespec::default())) != Ok(0) {
        print_message(text);
    }
}

/// Prints an answer instead of a run.
///
/// # Errors
/// Standard output cannot be written.
pub(crate) fn print(text: impl AsRef<[u8]>) -> Result<(), Error> {
    print_with(|out| out.write_all(text.as_ref()))
}

/// Writes an answer that takes the place of a run.
///
/// # Errors
/// Standard output cannot be written.
pub(crate) fn print_with(
    write: impl FnOnce(&mut io::StdoutLock<'static>) -> io::Result<()>,
) -> Result<(), Error> {
    let mut out = io::stdout().lock();
    allow_closed_pipe(write(&mut out).and_then(|()| out.flush()))
}

/// Treats a closed pipe as success, because its reader has read all that it wanted.
fn allow_closed_pipe(written: io::Result<()>) -> Result<(), Error> {
    match written {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Error::system("write to standard output")(error))
        }
        _ => Ok(()),
    }
}
