//! Reporters, which turn the events of a run into text.
//!
//! All reporters run on one thread. Only this thread writes to standard output and standard error. Events reach it
//! through a bounded channel: if a reader of the output stops, the run stops reading, and no output is dropped.
//! A report that cannot be written stops the run. The other reports still get every event, so each of them has
//! the outcome of every target.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Instant;

use tokio::sync::Notify;
use tokio::sync::mpsc::error::TryRecvError;
use tokio::sync::mpsc::{self, Receiver, Sender};

use crate::event::Stream;
use crate::event::{CopyProgress, Event, Message, RunStats};

mod color;
mod console;
mod copy_bytes;
mod failed_to;
mod fd;
mod file_places;
mod files;
mod gather;
mod hidden_streams;
mod html;
mod incomplete;
mod info;
mod json;
mod label;
mod lines;
mod only_failed;
mod output_path;
mod pdsh;
pub mod ports;
mod progress;
mod replaced;
mod stats;
mod summary;
mod terminal;
#[cfg(any(test, fuzzing))]
pub mod testing;
mod unfinished_line;
mod wait;

pub use color::Colors;
pub use console::{Console, Terminals};
pub use failed_to::FailedTo;
pub use file_places::{FilesPlace, FilesSpec, host_names};
pub use gather::{GatherForm, GatherSpec, filter};
pub use html::HtmlSpec;
pub use info::{Endpoint, LeftOutTarget, ResolvedEndpoint, RunInfo};
pub use label::LabelFormat;
pub use output_path::{make_directory, open_directory, open_private};
pub use pdsh::PdshForm;
pub use summary::{SummaryLevel, left_running, may_be_running};
pub use terminal::visible;

use failed_to::FailedList;
use files::Files;
use gather::Gather;
use hidden_streams::HiddenStreams;
use html::Html;
use incomplete::Incomplete;
use json::Json;
use lines::Lines;
use only_failed::OnlyFailed;
use pdsh::PdshMessages;
use progress::ProgressReporter;
use stats::Stats;
use summary::Summary;
use wait::Received;

/// Capacity of the channel to the reporter thread, in messages.
// Few, so that a reader that stops soon stops the run. Each message has many events.
const WAITING: usize = 4;

/// Choice of reporters and their settings. The plan makes it; reporters read no option and no environment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReportSpec {
    /// Each line of output, or each group of hosts, has its targets' labels.
    pub label: bool,
    /// Format of labels (`--label`).
    pub label_format: Option<LabelFormat>,
    /// Streams with coloured labels and diffs.
    pub colors: Colors,
    /// Every line of output is written as it comes.
    pub lines: bool,
    /// Gathered output, written when hosts have ended.
    pub gather: Option<GatherSpec>,
    /// The user asked for details (`-v`).
    pub verbose: bool,
    /// Standard output gets a line of JSON for each event, and nothing else.
    pub json: bool,
    /// Output that goes to files instead of standard output and standard error.
    pub files: FilesSpec,
    /// Only the output of hosts that failed is shown.
    pub only_failed: bool,
    /// Form of the messages about targets.
    pub form: MessageForm,
    /// A last line without a newline stays without one.
    pub open_ends: bool,
    /// A reader that closes standard output or standard error does not stop the run.
    pub outlives_reader: bool,
    /// Amount of text in the summary.
    pub words: SummaryLevel,
    /// Place for the list of failed targets.
    pub failed_to: Option<FailedTo>,
    /// Times and costs of the run are printed at its end.
    pub stats: bool,
    /// Standard error has a progress bar.
    pub progress: bool,
    /// The HTML page of the run.
    pub html: Option<HtmlSpec>,
}

/// Form of the messages about targets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum MessageForm {
    /// A summary at the end, in which equal causes are one line.
    #[default]
    Summary,
    /// The messages of pdsh.
    Pdsh(PdshForm),
}

/// Turns events into text. Each file of this module has one format.
///
/// An error concerns a file of the reporter. It stops the run, and the reporter gets no further events. The reporter
/// of `-o` and `-e` has many files: it continues with the others and returns its error at the end.
pub trait Reporter: Send + fmt::Debug {
    /// Handles one event, in order.
    ///
    /// # Errors
    /// A write that failed.
    fn event(&mut self, event: &Event, console: &mut Console) -> io::Result<()>;

    /// Does work that depends on time. It is called after each batch of events, and at the time that it returned.
    ///
    /// # Errors
    /// A write that failed.
    fn tick(&mut self, _now: Instant, _console: &mut Console) -> io::Result<Option<Instant>> {
        Ok(None)
    }

    /// Handles the numbers of the whole run, after the last event.
    ///
    /// # Errors
    /// A write that failed.
    fn finish(&mut self, stats: &RunStats, console: &mut Console) -> io::Result<()>;
}

/// Handles of the reporter thread.
#[derive(Debug)]
pub struct Reports {
    /// Channel for the events and for the final numbers. Once [`Sender::closed`] resolves, everything is written.
    pub messages: Sender<Message>,
    /// Notification that a report cannot be written. The run then stops.
    pub failed: Arc<Notify>,
    /// The thread. It returns the errors of all reports that could not be written, in order.
    pub thread: JoinHandle<Vec<io::Error>>,
}

/// Starts the thread that writes the reports. `copied` has the bytes of the run's copies, if it copies files.
///
/// It ends after [`Message::Finished`], or when every sender is gone, and drops its end of the channel last:
/// once [`Sender::closed`] resolves, joining takes no time. The caller waits for that and for signals at the same
/// time, so that a paused pager does not block ^C.
///
/// # Errors
/// A file cannot be created, or the thread cannot be started.
pub fn start(
    spec: &ReportSpec,
    info: &Arc<RunInfo>,
    copied: Option<CopyProgress>,
    mut console: Console,
) -> io::Result<Reports> {
    // A stream that cannot be written must not end the reports that go elsewhere.
    console.outlive_failures();
    let failed = Arc::new(Notify::new());
    let reporting = ReporterThread {
        reporters: reporters(spec, info, copied, &failed)?,
        console,
        outlives_reader: spec.outlives_reader,
        failed: Arc::clone(&failed),
        errors: Vec::new(),
    };
    let (messages, receiver) = mpsc::channel(WAITING);
    let thread = thread::Builder::new()
        .name("report".to_owned())
        .spawn(move || reporting.run(receiver))?;
    Ok(Reports {
        messages,
        failed,
        thread,
    })
}

/// Creates the reporters of a run, in the order in which they handle each event: output comes before
/// messages about it.
fn reporters(
    spec: &ReportSpec,
    info: &Arc<RunInfo>,
    copied: Option<CopyProgress>,
    failed: &Arc<Notify>,
) -> io::Result<Vec<Box<dyn Reporter>>> {
    let mut reporters: Vec<Box<dyn Reporter>> = Vec::new();
    let incomplete = Incomplete::default();
    let mut hidden = vec![Stream::Stdout, Stream::Stderr];
    hidden.retain(|stream| spec.files.place(*stream).is_some());
    if !hidden.is_empty() {
        let files = Files::create(&spec.files, info, &incomplete, failed)?;
        reporters.push(Box::new(files));
    }
    if spec.failed_to == Some(FailedTo::Stdout) {
        // The list goes into a pipe, so nothing else may be on standard output.
        hidden.push(Stream::Stdout);
    }
    if spec.progress {
        // This reporter is the first, so that the bar is removed before the others write their last lines.
        let progress = ProgressReporter::new(info, progress::terminal_width);
        reporters.push(Box::new(progress.with_copies(copied)));
    }
    if spec.json {
        reporters.push(Box::new(Json::new(info)));
    } else {
        let mut shown: Vec<Box<dyn Reporter>> = Vec::new();
        if spec.lines {
            let lines = Lines::new(spec.label, spec.colors).with_open_ends(spec.open_ends);
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
            // Around OnlyFailed, so that it keeps no output that nobody sees.
            if !hidden.is_empty() {
                output = Box::new(HiddenStreams::without(hidden.clone(), output));
            }
            reporters.push(output);
        }
    }
    if let Some(to) = &spec.failed_to {
        reporters.push(Box::new(FailedList::create(to, info, &incomplete)?));
    }
    reporters.push(match &spec.form {
        MessageForm::Summary => Box::new(Summary::new(spec.verbose, spec.words)),
        MessageForm::Pdsh(form) => Box::new(PdshMessages::new(form.clone())),
    });
    if spec.stats {
        reporters.push(Box::new(Stats::new(info)));
    }
    if let Some(html) = &spec.html {
        // This reporter is the last, because its failure must not prevent the last lines of the others.
        reporters.push(Box::new(Html::create(html, info)?));
    }
    Ok(reporters)
}

/// The reporter thread.
struct ReporterThread {
    /// Reporters without a write error so far.
    reporters: Vec<Box<dyn Reporter>>,
    console: Console,
    outlives_reader: bool,
    failed: Arc<Notify>,
    errors: Vec<io::Error>,
}

impl ReporterThread {
    fn run(mut self, mut messages: Receiver<Message>) -> Vec<io::Error> {
        while let Some(message) = self.next(&mut messages) {
            match message {
                Message::Events(events) => {
                    for event in &events {
                        self.each(|reporter, console| reporter.event(event, console));
                    }
                    self.tick();
                }
                Message::Finished(stats) => {
                    self.each(|reporter, console| reporter.finish(&stats, console));
                    break;
                }
            }
        }
        // The bar must not stay on the line of the next message.
        let cleared = self.console.flush().and(self.console.clear_bar());
        self.errors.extend(cleared.err());
        self.collect_failures();
        // Files that were not finished are removed before the channel closes.
        self.reporters.clear();
        self.errors
    }

    /// Returns the next message; `None` at the end.
    fn next(&mut self, messages: &mut Receiver<Message>) -> Option<Message> {
        loop {
            // Drawing and flushing cost a write(2) each, so they wait until there is nothing else to do.
            match messages.try_recv() {
                Ok(message) => return Some(message),
                Err(TryRecvError::Disconnected) => return None,
                Err(TryRecvError::Empty) => {}
            }
            let until = self.tick();
            // All output must be visible before the thread sleeps.
            let rested = self.console.rest();
            self.errors.extend(rested.err());
            self.collect_failures();
            let Some(until) = until else {
                return messages.blocking_recv();
            };
            match wait::receive(messages, until) {
                Received::Message(message) => return Some(message),
                Received::Closed => return None,
                Received::TimeIsUp => {}
            }
        }
    }

    /// Calls [`Reporter::tick`] of every reporter and returns the earliest time for the next call.
    fn tick(&mut self) -> Option<Instant> {
        let now = Instant::now();
        let mut first: Option<Instant> = None;
        self.each(|reporter, console| {
            if let Some(next) = reporter.tick(now, console)? {
                first = Some(first.map_or(next, |first| first.min(next)));
            }
            Ok(())
        });
        first
    }

    /// Calls `act` with every reporter and removes reporters that fail.
    fn each(&mut self, mut act: impl FnMut(&mut dyn Reporter, &mut Console) -> io::Result<()>) {
        let (console, errors) = (&mut self.console, &mut self.errors);
        let known = errors.len();
        self.reporters
            .retain_mut(|reporter| match act(&mut **reporter, console) {
                Ok(()) => true,
                Err(error) => {
                    errors.push(error);
                    false
                }
            });
        if self.errors.len() > known {
            self.failed.notify_one();
        }
        self.collect_failures();
    }

    fn collect_failures(&mut self) {
        let mut failures = self.console.take_failures();
        if self.outlives_reader {
            failures.retain(|error| error.kind() != io::ErrorKind::BrokenPipe);
        }
        if !failures.is_empty() {
            self.errors.extend(failures);
            self.failed.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Read;

    use super::testing::{Recorder, finished, output, run_info, run_started, succeeded};
    use super::*;
    use crate::event::{CancelReason, Outcome, RemoteExit};

    fn spec() -> ReportSpec {
        ReportSpec {
            label: true,
            lines: true,
            ..ReportSpec::default()
        }
    }

    fn started(labels: &[&str], console: Console) -> (Sender<Message>, JoinHandle<Vec<io::Error>>) {
        let reports = start(&spec(), &Arc::new(run_info(labels)), None, console).unwrap();
        (reports.messages, reports.thread)
    }

    #[test]
    fn everything_is_written_when_the_run_has_finished() {
        let recorder = Recorder::default();
        let (sender, thread) = started(&["a", "b"], recorder.console(Terminals::default()));
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
        assert!(thread.join().unwrap().is_empty());
        assert!(sender.is_closed());
        assert_eq!(recorder.text(Stream::Stdout), b"a: 1\na: 2\n");
        assert_eq!(
            recorder.text(Stream::Stderr),
            b"mrsh: 1 failed: b: exit 2\n"
        );
    }

    #[test]
    fn a_sender_that_goes_away_loses_nothing() {
        let recorder = Recorder::default();
        let (sender, thread) = started(&["a", "b"], recorder.console(Terminals::default()));
        let events = vec![
            run_started(&["a"]),
            output(0, Stream::Stdout, b"1\n"),
            succeeded(0),
        ];
        sender.blocking_send(Message::Events(events)).unwrap();
        drop(sender);
        assert!(thread.join().unwrap().is_empty());
        assert_eq!(recorder.text(Stream::Stdout), b"a: 1\n");
    }

    #[test]
    fn output_is_seen_while_the_run_goes_on() {
        let (mut reader, writer) = io::pipe().unwrap();
        let console = Console::new(Box::new(writer), Box::new(io::sink()), Terminals::default());
        let (sender, thread) = started(&["a"], console);
        let events = vec![run_started(&["a"]), output(0, Stream::Stdout, b"now\n")];
        sender.blocking_send(Message::Events(events)).unwrap();
        let mut line = [0; 7];
        reader.read_exact(&mut line).unwrap();
        assert_eq!(&line, b"a: now\n");
        drop(sender);
        assert!(thread.join().unwrap().is_empty());
    }

    fn full_disk() -> Box<File> {
        Box::new(File::options().write(true).open("/dev/full").unwrap())
    }

    #[tokio::test]
    async fn a_stream_that_cannot_be_written_stops_the_run_and_not_the_other_reports() {
        let recorder = Recorder::default();
        let dir = tempfile::tempdir().unwrap();
        let list = dir.path().join("again");
        let mut spec = spec();
        spec.failed_to = Some(FailedTo::File(list.clone()));
        let err = Box::new(recorder.writer(Stream::Stderr));
        let console = Console::new(full_disk(), err, Terminals::default());
        let Reports {
            messages,
            failed,
            thread,
        } = start(&spec, &Arc::new(run_info(&["a", "b"])), None, console).unwrap();
        let first = vec![run_started(&["a", "b"]), output(0, Stream::Stdout, b"1\n")];
        messages.send(Message::Events(first)).await.unwrap();
        failed.notified().await;
        assert!(!messages.is_closed());
        let rest = vec![
            output(0, Stream::Stdout, b"2\n"),
            output(0, Stream::Stderr, b"3\n"),
            finished(1, Outcome::Exited(RemoteExit::Code(2))),
            succeeded(0),
        ];
        messages.send(Message::Events(rest)).await.unwrap();
        let stats = Box::new(RunStats {
            total: 2,
            ..RunStats::default()
        });
        messages.send(Message::Finished(stats)).await.unwrap();
        messages.closed().await;
        let errors = thread.join().unwrap();
        let said: Vec<String> = errors.iter().map(ToString::to_string).collect();
        assert_eq!(
            said,
            ["cannot write to standard output: No space left on device (os error 28)"]
        );
        assert_eq!(
            recorder.text(Stream::Stderr),
            b"a: 3\nmrsh: 1 failed: b: exit 2\n"
        );
        assert_eq!(std::fs::read_to_string(list).unwrap(), "b\n");
    }

    #[tokio::test]
    async fn a_file_that_cannot_be_written_stops_the_run_and_not_the_other_reports() {
        let recorder = Recorder::default();
        let dir = tempfile::tempdir().unwrap();
        let out = dir.path().join("out");
        std::fs::create_dir(&out).unwrap();
        for name in ["a", "c"] {
            std::os::unix::fs::symlink("/dev/full", out.join(name)).unwrap();
        }
        let list = dir.path().join("again");
        let mut spec = spec();
        spec.files.output = Some(FilesPlace::Directory(out.clone()));
        spec.failed_to = Some(FailedTo::File(list.clone()));
        let names = ["a", "b", "c", "d"];
        let console = recorder.console(Terminals::default());
        let reports = start(&spec, &Arc::new(run_info(&names)), None, console).unwrap();
        let events = vec![
            run_started(&names),
            output(1, Stream::Stdout, b"1\n"),
            output(0, Stream::Stdout, b"1\n"),
        ];
        reports
            .messages
            .send(Message::Events(events))
            .await
            .unwrap();
        reports.failed.notified().await;
        let rest = vec![
            output(0, Stream::Stdout, b"2\n"),
            finished(0, Outcome::Exited(RemoteExit::Code(2))),
            output(1, Stream::Stdout, b"2\n"),
            succeeded(1),
            // Its command succeeded, but its file is incomplete.
            output(2, Stream::Stdout, b"1\n"),
            succeeded(2),
            finished(3, Outcome::NotStarted(CancelReason::ReportFailed)),
        ];
        reports.messages.send(Message::Events(rest)).await.unwrap();
        let stats = Box::default();
        reports
            .messages
            .send(Message::Finished(stats))
            .await
            .unwrap();
        reports.messages.closed().await;
        let errors = reports.thread.join().unwrap();
        assert_eq!(errors.len(), 1);
        assert_eq!(errors[0].kind(), io::ErrorKind::StorageFull);
        let said = errors[0].to_string();
        let said = said.replace(out.to_str().unwrap(), "[out]");
        insta::assert_snapshot!(said, @r"
        cannot write to [out]/a: No space left on device (os error 28)
        help: the files of a,c in [out] are incomplete
        ");
        assert_eq!(
            recorder.text(Stream::Stderr),
            b"mrsh: 1 failed: a: exit 2\nmrsh: 1 not started: d\n"
        );
        assert_eq!(std::fs::read(out.join("b")).unwrap(), b"1\n2\n");
        assert_eq!(
            std::fs::read_to_string(list).unwrap(),
            "# incomplete files of -o: a,c\na\nc\n# not started: 1\nd\n"
        );
    }
}
