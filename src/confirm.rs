//! The question of `--confirm`, on the terminal and before anything of the run is set up.
//!
//! The terminal keeps its modes, so no signal can leave it in other ones. ^C is a signal, which is taken from a
//! descriptor while the question waits.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};

use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::termios::{QueueSelector, tcflush};

use crate::error::Error;
use crate::exit::ExitStatus;
use crate::messages::print_message;
use crate::output::{RunInfo, visible};
use crate::plan::RunPlan;
use crate::targets::{fold, hosts_in_words};

/// Maximum length of the names, and of the command, in bytes.
const LENGTH: usize = 4000;

/// Maximum length of an answer, in bytes. A line of a terminal is no longer.
const ANSWER: usize = 4096;

/// An answer of the user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    Yes,
    No,
    /// The input ended.
    None,
    /// ^C.
    Interrupt,
}

/// Asks if the run may start. Returns the exit status if it may not.
///
/// # Errors
/// There is no terminal, or it fails.
pub(crate) fn ask(plan: &RunPlan) -> Result<Option<ExitStatus>, Error> {
    let terminal = OpenOptions::new().read(true).write(true).open("/dev/tty");
    let terminal = terminal.map_err(|_| Error::NoTerminal {
        hosts: hosts_in_words(plan.info.targets.len()),
    })?;
    let user = plan.user_change.as_ref();
    let details = [
        user.map(|plan| ("as", plan.change.summary())),
        plan.script
            .as_ref()
            .map(|script| ("script", script.summary())),
        plan.copy.as_ref().map(|copy| ("copy", copy.summary())),
        plan.fetch.as_ref().map(|fetch| ("fetch", fetch.summary())),
    ];
    let text = question(&plan.info, details.into_iter().flatten());
    let answer = answer(&terminal, &text).map_err(Error::system("ask on the terminal"))?;
    let (cause, status) = match answer {
        Answer::Yes => return Ok(None),
        Answer::No => ("not confirmed", ExitStatus::STOPPED),
        Answer::None => ("not answered", ExitStatus::STOPPED),
        // A shell stops its script only if the program dies of the signal.
        Answer::Interrupt => ("interrupted", ExitStatus::Signal(Signal::SIGINT as i32)),
    };
    print_message(&format!("{cause}: nothing was run"));
    Ok(Some(status))
}

/// Returns the question. Names and commands come from files that others may have written.
fn question(info: &RunInfo, details: impl Iterator<Item = (&'static str, String)>) -> String {
    let labels = info.targets.iter().map(|target| &*target.label);
    let count = hosts_in_words(info.targets.len());
    let mut text = format!("mrsh: {count}: {}\n", shown(fold(labels).as_bytes()));
    if !info.command.is_empty() {
        text.push_str(&format!("  command: {}\n", shown(&info.command)));
    }
    for (what, summary) in details {
        text.push_str(&format!("  {what}: {}\n", shown(summary.as_bytes())));
    }
    if let Some(waves) = info.wave_ends() {
        text.push_str(&format!("  waves: {}\n", waves.len()));
    }
    text.push_str("go on? [y/N] ");
    text
}

/// Returns a text on one line, without characters that the terminal obeys, and cut if it is long.
fn shown(text: &[u8]) -> String {
    let mut text = visible(text);
    if text.len() > LENGTH {
        // `truncate` panics at a position within a character.
        text.truncate(text.floor_char_boundary(LENGTH));
        text.push_str("… (-n shows all)");
    }
    text
}

/// Blocks ^C in this thread, so that it is read from a descriptor, until this is dropped.
struct BlockedInterrupt(SigSet);

impl BlockedInterrupt {
    fn new() -> io::Result<BlockedInterrupt> {
        let mut signals = SigSet::empty();
        signals.add(Signal::SIGINT);
        // A signal that is not blocked has its default effect before signalfd(2) can return it.
        signals.thread_block()?;
        Ok(BlockedInterrupt(signals))
    }
}

impl Drop for BlockedInterrupt {
    fn drop(&mut self) {
        // The call fails only for a mask that does not exist.
        let _ = self.0.thread_unblock();
    }
}

fn answer(mut terminal: &File, question: &str) -> io::Result<Answer> {
    let blocked = BlockedInterrupt::new()?;
    // `poll` may return for the terminal alone, and reading the signal must not wait then.
    let signals = SignalFd::with_flags(&blocked.0, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?;
    // Input typed before the question is discarded: it is no answer to it.
    tcflush(terminal, QueueSelector::IFlush)?;
    terminal.write_all(question.as_bytes())?;
    let mut buffer = [0; ANSWER];
    let answer = loop {
        let mut polled = [
            PollFd::new(&signals, PollFlags::IN),
            PollFd::new(terminal, PollFlags::IN),
        ];
        match poll(&mut polled, None) {
            Err(rustix::io::Errno::INTR) => continue,
            polled => polled?,
        };
        // The signal is taken, so that it does not end the program when it is no longer blocked.
        if signals.read_signal()?.is_some() {
            break Answer::Interrupt;
        }
        if polled[1].revents().is_empty() {
            continue;
        }
        match terminal.read(&mut buffer) {
            Ok(count) => break meaning(&buffer[..count]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    };
    if matches!(answer, Answer::None | Answer::Interrupt) {
        // No newline was typed. A terminal that is gone shows nothing.
        let _ = terminal.write_all(b"\n");
    }
    Ok(answer)
}

/// Returns the meaning of a typed line.
fn meaning(line: &[u8]) -> Answer {
    let word = line.trim_ascii().to_ascii_lowercase();
    match &*word {
        // ^D at the start of a line makes read(2) return 0 bytes (termios(3)).
        _ if line.is_empty() => Answer::None,
        b"y" | b"yes" => Answer::Yes,
        // A wrong key must not start a command on many hosts.
        _ => Answer::No,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::testing::run_info;

    #[test]
    fn only_yes_is_yes() {
        for line in ["y\n", "Y\n", "yes\n", " YES \r\n", "y"] {
            assert_eq!(meaning(line.as_bytes()), Answer::Yes, "{line:?}");
        }
        for line in [
            "\n",
            "n\n",
            "no\n",
            "ye\n",
            "yess\n",
            "y y\n",
            "ja\n",
            "\u{1b}y\n",
        ] {
            assert_eq!(meaning(line.as_bytes()), Answer::No, "{line:?}");
        }
        assert_eq!(meaning(b""), Answer::None);
    }

    #[test]
    fn the_question_shows_what_would_run_and_nothing_that_a_terminal_obeys() {
        let mut info = run_info(&["n1", "n2", "a\u{1b}[2J"]);
        info.command = b"echo \x1b]0;x\x07\nre\xe2\x80\xaeboot \xff".to_vec();
        let copy = ("copy", "1 file, to /etc\r".to_owned());
        insta::assert_snapshot!(question(&info, [copy].into_iter()), @r"
        mrsh: 3 hosts: n[1-2],a^[[2J
          command: echo ^[]0;x^G^Jre<U+202E>boot <FF>
          copy: 1 file, to /etc^M
        go on? [y/N]
        ");
        info.command = vec![b'x'; 1 << 20];
        assert!(question(&info, std::iter::empty()).len() < 2 * LENGTH);
    }
}
