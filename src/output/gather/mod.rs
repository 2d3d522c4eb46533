//! The gathered reports: output of hosts, shown after their end.
//!
//! `-b` prints equal outputs once, under the folded names of their hosts. `-L` prints the lines of each host
//! together. Texts are kept in a [`tree`], which stores equal texts once, and past a limit in a temporary file.
//! [`view`] makes groups of them.

use std::io;
use std::sync::Arc;

use super::color::{Colors, Palette};
use super::label::{LabelFormat, target_label};
use super::summary::write_cause;
use super::terminal::harmless_line;
use super::{Console, Reporter, RunInfo};
use crate::event::{Event, Finished, Outcome, RunStats};
use crate::targets::{Placeholder, Target};

mod collect;
mod diff;
mod filter;
mod print;
mod tree;
mod view;

pub(super) use collect::{GatheredOutput, HostEnd};
pub(super) use diff::span;
pub use filter::filter;
pub(super) use tree::TextCursor;
pub(super) use view::{GatherView, HostLabels, OutputGroup};

/// Settings of a gathered report.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GatherSpec {
    /// The form of the report.
    pub form: GatherForm,
    /// True to gather standard error into the same text as standard output.
    pub merge: bool,
    /// True to show only hosts that differ from the majority.
    pub only_odd: bool,
    /// True to leave out hosts that succeed. `OnlyFailed` keeps their output back.
    pub only_failed: bool,
    /// True to show nothing before the end of the run, since lines are also shown at once.
    pub live: bool,
    /// Approximate limit of text in memory, in bytes; the rest goes to a temporary file.
    pub memory: usize,
    /// Format of the label before each line.
    pub label_format: Option<LabelFormat>,
}

/// The form of a gathered report.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum GatherForm {
    /// Equal outputs once, under a header with the hosts' names.
    #[default]
    Blocks,
    /// Equal outputs once, each line after the hosts' names.
    Lines,
    /// The most common output in full, the others as differences from it.
    Diff,
    /// No gathering: host after host in their order, each line after the host's name.
    Hosts,
}

/// The reporter that collects output of hosts and shows it at the end, or for [`GatherForm::Hosts`] in the order of
/// hosts as soon as possible.
#[derive(Debug)]
pub(super) struct Gather {
    spec: GatherSpec,
    label: bool,
    palette: Palette,
    targets: RunLabels,
    collected: GatheredOutput,
    /// Number of hosts that have been shown.
    shown: usize,
}

/// Labels of the hosts of a run.
#[derive(Debug, Default)]
struct RunLabels {
    targets: Arc<[Target]>,
    info: Option<Arc<RunInfo>>,
}

impl HostLabels for RunLabels {
    fn label(&self, host: usize) -> &str {
        self.targets.label(host)
    }

    fn field(&self, field: Placeholder, host: usize) -> String {
        match &self.info {
            Some(info) => info.field(field, host),
            None => self.targets.field(field, host),
        }
    }
}

impl HostLabels for Arc<[Target]> {
    fn label(&self, host: usize) -> &str {
        target_label(self, host)
    }
}

impl Gather {
    /// Creates the reporter. With `label` false, text has no labels.
    pub(super) fn new(spec: GatherSpec, label: bool, colors: Colors) -> Self {
        Gather {
            collected: GatheredOutput::new(spec.memory, spec.merge),
            spec,
            label,
            palette: Palette::new(colors),
            targets: RunLabels::default(),
            shown: 0,
        }
    }

    /// Sets the source of the placeholders of `--label`.
    pub(super) fn with_info(mut self, info: &Arc<RunInfo>) -> Self {
        self.targets.info = Some(Arc::clone(info));
        self
    }

    fn view(&self) -> GatherView<'_> {
        GatherView {
            collected: &self.collected,
            labels: &self.targets,
            label: self.label,
            format: self.spec.label_format.as_ref(),
            palette: &self.palette,
            only_odd: self.spec.only_odd,
        }
    }

    fn finished(&mut self, finished: &Finished) -> io::Result<()> {
        let words = end_words(&finished.outcome);
        let ran = matches!(finished.outcome, Outcome::Exited(_));
        // With `--only failed`, a success without output has nothing to show.
        let ran = ran && (!words.is_empty() || !self.spec.only_failed);
        self.collected.finish(finished.target.index(), &words, ran)
    }

    /// Shows the hosts up to the first that still runs, or all hosts.
    fn show_hosts(&mut self, all: bool, console: &mut Console) -> io::Result<()> {
        while self.shown < self.collected.len()
            && (all || self.collected.host(self.shown).end().is_some())
        {
            self.view().host(self.shown, console)?;
            self.shown += 1;
        }
        Ok(())
    }

    fn show(&mut self, console: &mut Console) -> io::Result<()> {
        match self.spec.form {
            GatherForm::Hosts => self.show_hosts(true, console),
            form => self.view().show(form, 0..self.collected.len(), console),
        }
    }

    /// Shows the text kept so far if `result` is an error, which stops the run.
    fn or_show(&mut self, result: io::Result<()>, console: &mut Console) -> io::Result<()> {
        if result.is_err() {
            // The error ends this report, so this is the last chance to show the text.
            self.show(console)?;
        }
        result
    }
}

/// Describes an outcome on one harmless line; empty for a success.
pub(super) fn end_words(outcome: &Outcome) -> String {
    let mut cause = String::new();
    write_cause(outcome, &mut cause);
    // Part of a cause may be the remote side's text.
    let mut words = Vec::with_capacity(cause.len());
    harmless_line(cause.as_bytes(), &mut words);
    String::from_utf8_lossy(&words).into_owned()
}

impl Reporter for Gather {
    fn event(&mut self, event: &Event, console: &mut Console) -> io::Result<()> {
        match event {
            Event::RunStarted { targets } => {
                self.targets.targets = Arc::clone(targets);
                self.collected.add_hosts(targets.len());
                Ok(())
            }
            Event::Output(chunk) => {
                let host = chunk.target.index();
                let result = self.collected.push(host, chunk.stream, &chunk.data);
                self.or_show(result, console)
            }
            Event::Finished(finished) => {
                let result = self.finished(finished);
                self.or_show(result, console)?;
                match self.spec.form {
                    // This form needs nothing of other hosts, so a host can be shown before the end of the run.
                    GatherForm::Hosts if !self.spec.live => self.show_hosts(false, console),
                    _ => Ok(()),
                }
            }
            Event::Started(_) | Event::State { .. } => Ok(()),
            Event::PortWaits(_) | Event::Notice(_) | Event::Paused(_) => Ok(()),
        }
    }

    fn finish(&mut self, _: &RunStats, console: &mut Console) -> io::Result<()> {
        self.show(console)
    }
}

#[cfg(test)]
mod tests;
