//! What is shown: reporters turn the run's events into text.
//!
//! All of them run on one thread, which alone owns standard output and standard error. It is fed
//! through a bounded channel: a reader that stops stops the run's reading, and nothing is dropped.
//! A report that cannot be written closes the channel, which ends the run.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Instant;

use tokio::sync::mpsc::error::TryRecvError;
use tokio::sync::mpsc::{self, Receiver, Sender};

use crate::run::event::{Event, Message, RunStats};
use crate::transport::Stream;

mod color;
mod console;
mod failed_to;
mod fd;
mod files;
mod gather;
mod html;
mod info;
mod json;
mod label;
mod lines;
mod only_failed;
pub mod ports;
mod progress;
mod shown;
mod stats;
mod summary;
mod tail;
mod terminal;
#[cfg(any(test, fuzzing))]
pub mod testing;
mod wait;

pub use color::Colors;
pub use console::{Console, LongLine, Terminals};
pub use failed_to::FailedTo;
pub use files::FilesSpec;
pub use gather::{GatherForm, GatherSpec, filter};
pub use html::HtmlSpec;
pub use info::{Called, Decided, Rules, RunInfo};
pub use label::LabelFormat;
pub use summary::{Words, left_running};

use failed_to::FailedList;
use files::Files;
use gather::Gather;
use html::Html;
use json::Json;
use lines::Lines;
use only_failed::OnlyFailed;
use progress::Progress;
use shown::Shown;
use stats::Stats;
use summary::Summary;
use wait::Received;

/// How many messages wait for the reporter thread before the sender does.
const WAITING: usize = 4;

/// What is to be shown. Everything is decided; nothing here looks at the world.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReportSpec {
    /// Each line of output, or each group of hosts, has its targets' labels.
    pub label: bool,
    /// How a label looks, if not as usual.
    pub label_format: Option<LabelFormat>,
    /// Where labels and diffs are coloured.
    pub colors: Colors,
    /// Every line of output is written as it comes.
    pub lines: bool,
    /// Output is gathered, and written when hosts have ended.
    pub gather: Option<GatherSpec>,
    /// The user asked for details (`-v`).
    pub verbose: bool,
    /// Standard output gets a line of JSON for each event, and no lines for people.
    pub json: bool,
    /// Which output goes to files instead of being shown.
    pub files: FilesSpec,
    /// Output is shown only of hosts that failed.
    pub only_failed: bool,
    /// What this program itself says.
    pub words: Words,
    /// Where the failed targets are listed.
    pub failed_to: Option<FailedTo>,
    /// The run's times and costs are told at its end.
    pub stats: bool,
    /// Standard error shows how far the run is.
    pub progress: bool,
    /// The run as a page.
    pub html: Option<HtmlSpec>,
}

/// Turns events into text. One format a file.
pub trait Reporter: Send + fmt::Debug {
    /// Takes one event, in order.
    ///
    /// # Errors
    /// A write that failed; it ends the run.
    fn event(&mut self, event: &Event, console: &mut Console) -> io::Result<()>;

    /// Called when events have been passed on, and again when the time that it gave has come.
    ///
    /// # Errors
    /// A write that failed.
    fn tick(&mut self, _now: Instant, _console: &mut Console) -> io::Result<Option<Instant>> {
        Ok(None)
    }

    /// Takes the numbers of the whole run, after its last event.
    ///
    /// # Errors
    /// A write that failed.
    fn finish(&mut self, stats: &RunStats, console: &mut Console) -> io::Result<()>;
}

/// Starts the thread that writes the reports.
///
/// It ends after [`Message::Finished`], when every sender is gone, or with the first error, and
/// drops its end of the channel last: once [`Sender::closed`] resolves, all is written and joining
/// takes no time. Waiting for that beside the signals keeps a paused pager from blocking ^C.
///
/// # Errors
/// A file that is to be written cannot be made, or the system has no thread to give.
pub fn start(
    spec: &ReportSpec,
    info: RunInfo,
    console: Console,
) -> io::Result<(Sender<Message>, JoinHandle<io::Result<()>>)> {
    let reporters = reporters(spec, &Arc::new(info))?;
    let (sender, receiver) = mpsc::channel(WAITING);
    let thread = thread::Builder::new()
        .name("report".to_owned())
        .spawn(move || report(reporters, console, receiver))?;
    Ok((sender, thread))
}

/// The reporters that a run needs, in the order in which they see each event: output comes before
/// what is said about it.
fn reporters(spec: &ReportSpec, info: &Arc<RunInfo>) -> io::Result<Vec<Box<dyn Reporter>>> {
    let mut reporters: Vec<Box<dyn Reporter>> = Vec::new();
    let mut hidden = vec![Stream::Stdout, Stream::Stderr];
    hidden.retain(|stream| spec.files.dir(*stream).is_some());
    if !hidden.is_empty() {
        reporters.push(Box::new(Files::create(&spec.files, info)?));
    }
    if spec.failed_to == Some(FailedTo::Stdout) {
        hidden.push(Stream::Stdout);
    }
    if spec.progress {
        // Before the others, so that its bar is gone when they have their last word.
        reporters.push(Box::new(Progress::new(info, progress::terminal_width)));
    }
    if spec.json {
        reporters.push(Box::new(Json::new(info)));
    } else {
        let mut shown: Vec<Box<dyn Reporter>> = Vec::new();
        if spec.lines {
            let lines = Lines::new(spec.label, spec.colors);
            shown.push(Box::new(lines.with_format(spec.label_format.clone(), info)));
        }
        if let Some(gather) = &spec.gather {
            let gather = Gather::new(gather.clone(), spec.label, spec.colors);
            shown.push(Box::new(gather.with_info(info)));
        }
        for mut output in shown {
            if spec.only_failed {
                output = Box::new(OnlyFailed::new(output));
            }
            if !hidden.is_empty() {
                output = Box::new(Shown::without(hidden.clone(), output));
            }
            reporters.push(output);
        }
    }
    if let Some(to) = &spec.failed_to {
        reporters.push(Box::new(FailedList::create(to, info)?));
    }
    reporters.push(Box::new(Summary::new(spec.verbose, spec.words)));
    if spec.stats {
        reporters.push(Box::new(Stats::new(info)));
    }
    if let Some(html) = &spec.html {
        // Last: what fails here must not keep the others from their last word.
        reporters.push(Box::new(Html::create(html, info)?));
    }
    Ok(reporters)
}

/// The whole life of the reporter thread.
fn report(
    mut reporters: Vec<Box<dyn Reporter>>,
    mut console: Console,
    mut messages: Receiver<Message>,
) -> io::Result<()> {
    let result = report_all(&mut reporters, &mut console, &mut messages);
    // Whatever is said next is not said behind a bar.
    result.and(console.clear_bar())
}

fn report_all(
    reporters: &mut [Box<dyn Reporter>],
    console: &mut Console,
    messages: &mut Receiver<Message>,
) -> io::Result<()> {
    loop {
        let message = match messages.try_recv() {
            Ok(message) => Some(message),
            Err(TryRecvError::Disconnected) => break,
            Err(TryRecvError::Empty) => {
                let until = tick(reporters, console)?;
                // Everything is to be seen before the thread sleeps.
                console.rest()?;
                match until {
                    Some(until) => match wait::receive(messages, until) {
                        Received::Message(message) => Some(message),
                        Received::Closed => break,
                        Received::TimeIsUp => None,
                    },
                    None => match messages.blocking_recv() {
                        Some(message) => Some(message),
                        None => break,
                    },
                }
            }
        };
        match message {
            Some(Message::Events(events)) => {
                for event in &events {
                    for reporter in &mut *reporters {
                        reporter.event(event, console)?;
                    }
                }
                tick(reporters, console)?;
            }
            Some(Message::Finished(stats)) => {
                for reporter in reporters {
                    reporter.finish(&stats, console)?;
                }
                break;
            }
            None => {}
        }
    }
    console.flush()
}

/// Gives every reporter a moment; when the first wants another.
fn tick(reporters: &mut [Box<dyn Reporter>], console: &mut Console) -> io::Result<Option<Instant>> {
    let now = Instant::now();
    let mut first: Option<Instant> = None;
    for reporter in reporters {
        if let Some(next) = reporter.tick(now, console)? {
            first = Some(first.map_or(next, |first| first.min(next)));
        }
    }
    Ok(first)
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Read;

    use super::testing::{Recorder, finished, output, run_info, run_started, succeeded};
    use super::*;
    use crate::run::event::Outcome;
    use crate::transport::RemoteExit;

    fn spec() -> ReportSpec {
        ReportSpec {
            label: true,
            lines: true,
            ..ReportSpec::default()
        }
    }

    #[test]
    fn everything_is_written_when_the_run_has_finished() {
        let recorder = Recorder::default();
        let (sender, thread) = start(
            &spec(),
            run_info(&["a", "b"]),
            recorder.console(Terminals::default()),
        )
        .unwrap();
        let events = vec![
            run_started(&["a", "b"]),
            output(0, Stream::Stdout, b"1\n2"),
            finished(1, Outcome::Exited(RemoteExit::Code(2))),
            succeeded(0),
        ];
        sender.blocking_send(Message::Events(events)).unwrap();
        let stats = RunStats {
            total: 2,
            succeeded: 1,
            exit_failed: 1,
            ..RunStats::default()
        };
        sender
            .blocking_send(Message::Finished(Box::new(stats)))
            .unwrap();
        thread.join().unwrap().unwrap();
        assert!(sender.is_closed());
        assert_eq!(recorder.text(Stream::Stdout), b"a: 1\na: 2\n");
        assert_eq!(recorder.text(Stream::Stderr), b"mrsh: 1 failed: b exit 2\n");
    }

    #[test]
    fn a_sender_that_goes_away_loses_nothing() {
        let recorder = Recorder::default();
        let (sender, thread) = start(
            &spec(),
            run_info(&["a", "b"]),
            recorder.console(Terminals::default()),
        )
        .unwrap();
        let events = vec![
            run_started(&["a"]),
            output(0, Stream::Stdout, b"1\n"),
            succeeded(0),
        ];
        sender.blocking_send(Message::Events(events)).unwrap();
        drop(sender);
        thread.join().unwrap().unwrap();
        assert_eq!(recorder.text(Stream::Stdout), b"a: 1\n");
    }

    #[test]
    fn output_is_seen_while_the_run_goes_on() {
        let (mut reader, writer) = io::pipe().unwrap();
        let console = Console::new(Box::new(writer), Box::new(io::sink()), Terminals::default());
        let (sender, thread) = start(&spec(), run_info(&["a"]), console).unwrap();
        let events = vec![run_started(&["a"]), output(0, Stream::Stdout, b"now\n")];
        sender.blocking_send(Message::Events(events)).unwrap();
        let mut line = [0; 7];
        reader.read_exact(&mut line).unwrap();
        assert_eq!(&line, b"a: now\n");
        drop(sender);
        thread.join().unwrap().unwrap();
    }

    #[test]
    fn a_failed_write_ends_the_thread_and_closes_the_channel() {
        for stream in [Stream::Stdout, Stream::Stderr] {
            let full = || Box::new(File::options().write(true).open("/dev/full").unwrap());
            let console = Console::new(full(), full(), Terminals::default());
            let (sender, thread) = start(&spec(), run_info(&["a"]), console).unwrap();
            let events = vec![run_started(&["a"]), output(0, stream, b"1\n")];
            sender.blocking_send(Message::Events(events)).unwrap();
            let error = thread.join().unwrap().unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::StorageFull);
            assert!(sender.is_closed());
        }
    }
}
