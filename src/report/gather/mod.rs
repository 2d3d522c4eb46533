//! The gathered reports: what hosts wrote, put together when they have ended.
//!
//! With `-b` equal outputs stand once, under the folded names of their hosts; with `-L` the lines of
//! each host stand together. Texts are kept as a [`tree`] in which equal ones are one, and past a
//! limit in a temporary file; [`view`] makes groups of them.

use std::io;
use std::sync::Arc;

use super::color::{Colors, Palette};
use super::label::{Field, LabelFormat};
use super::summary::write_cause;
use super::terminal::harmless_line;
use super::{Console, Reporter, RunInfo};
use crate::event::{Event, Finished, Outcome, RunStats};
use crate::targets::Target;

mod collect;
mod diff;
mod filter;
mod print;
mod text;
mod tree;
mod view;

pub(super) use collect::{Collected, End};
pub(super) use diff::span;
pub use filter::filter;
pub(super) use tree::Cursor;
pub(super) use view::{Group, Labels, View};

/// Which gathered report is wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GatherSpec {
    /// How it looks.
    pub form: GatherForm,
    /// Standard error is gathered into the same text as standard output.
    pub merge: bool,
    /// Only the hosts that differ from the majority are shown.
    pub only_odd: bool,
    /// Hosts that succeed are left out, as if they had not run; their output does not come here.
    pub only_failed: bool,
    /// Nothing is shown before the run has ended, since lines are shown as they come.
    pub live: bool,
    /// About how many bytes of text are kept in memory; the rest goes to a temporary file.
    pub memory: usize,
    /// What stands before each line, where one has names before it and they are not to look as usual.
    pub label_format: Option<LabelFormat>,
}

/// How a gathered report looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum GatherForm {
    /// Equal outputs once, under a header with the hosts' names.
    #[default]
    Blocks,
    /// Equal outputs once, each line after the hosts' names.
    Lines,
    /// The most common output in full, the others as what they differ in from it.
    Diff,
    /// No gathering: host after host in their order, each line after the host's name.
    Hosts,
}

/// Collects what hosts write and shows it in the end, or for [`GatherForm::Hosts`] as soon as its
/// turn has come.
#[derive(Debug)]
pub(super) struct Gather {
    spec: GatherSpec,
    label: bool,
    palette: Palette,
    targets: RunLabels,
    collected: Collected,
    /// How many hosts have been shown.
    shown: usize,
}

/// Names the hosts of a run.
#[derive(Debug, Default)]
struct RunLabels {
    targets: Arc<[Target]>,
    info: Option<Arc<RunInfo>>,
}

impl Labels for RunLabels {
    fn label(&self, host: usize) -> &str {
        self.targets.label(host)
    }

    fn field(&self, field: Field, host: usize) -> String {
        match &self.info {
            Some(info) => info.field(field, host),
            None => self.targets.field(field, host),
        }
    }
}

impl Labels for Arc<[Target]> {
    fn label(&self, host: usize) -> &str {
        self.get(host).map_or("?", |target| &target.label)
    }
}

impl Gather {
    /// With `label` false the text stands alone, without names.
    pub(super) fn new(spec: GatherSpec, label: bool, colors: Colors) -> Self {
        Gather {
            collected: Collected::new(spec.memory, spec.merge),
            spec,
            label,
            palette: Palette::new(colors),
            targets: RunLabels::default(),
            shown: 0,
        }
    }

    /// Lets labels tell more than names.
    pub(super) fn with_info(mut self, info: &Arc<RunInfo>) -> Self {
        self.targets.info = Some(Arc::clone(info));
        self
    }

    fn view(&self) -> View<'_> {
        View {
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
        let ran = ran && (!words.is_empty() || !self.spec.only_failed);
        self.collected.finish(finished.target.index(), &words, ran)
    }

    /// Shows the hosts whose turn has come; all of them in the end.
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

    /// A text that cannot be kept ends the run; what was kept is shown first.
    fn or_show(&mut self, result: io::Result<()>, console: &mut Console) -> io::Result<()> {
        if result.is_err() {
            self.show(console)?;
        }
        result
    }
}

/// What there is to say about an end, on one harmless line; nothing about a good one.
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
                    GatherForm::Hosts if !self.spec.live => self.show_hosts(false, console),
                    _ => Ok(()),
                }
            }
            Event::Started(_) | Event::State { .. } => Ok(()),
            Event::PortWaits(_) | Event::Notice(_) => Ok(()),
        }
    }

    fn finish(&mut self, _: &RunStats, console: &mut Console) -> io::Result<()> {
        self.show(console)
    }
}

#[cfg(test)]
mod tests;
