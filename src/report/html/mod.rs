//! `--report FILE`: the run as one page to look at and to pass on.
//!
//! A single file that loads nothing: its style and its script are in it, named by their hashes in a
//! policy that lets no others in, and all that came from hosts is escaped besides. Everything is there
//! without the script, too, which only makes the picture answer and the table sort. Outputs are kept
//! as for `-b`, equal ones once and past a limit in a temporary file; of each a bounded part is shown.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use super::gather::{Collected, end_words};
use super::replaced::ReplacedFile;
use super::{Console, Reporter, RunInfo};
use crate::event::{Event, Finished, Outcome, RunStats};
use page::Page;
use times::HostTimes;

mod escape;
mod outputs;
mod page;
mod racks;
#[cfg(test)]
mod tests;
mod timeline;
mod times;

/// Which page is wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HtmlSpec {
    /// Where it goes.
    pub path: PathBuf,
    /// Standard error stands in the same text as standard output.
    pub merge: bool,
    /// About how many bytes of text are kept in memory; the rest goes to a temporary file.
    pub memory: usize,
}

/// Collects what the page shows and writes it at the end.
#[derive(Debug)]
pub(super) struct Html {
    info: Arc<RunInfo>,
    /// Until it is written.
    file: Option<ReplacedFile>,
    collected: Collected,
    /// How each host ended and what its time went into.
    times: Vec<Option<HostTimes>>,
    began: SystemTime,
}

impl Html {
    /// # Errors
    /// The page's file cannot be made.
    pub(super) fn create(spec: &HtmlSpec, info: &Arc<RunInfo>) -> io::Result<Self> {
        Ok(Html {
            info: Arc::clone(info),
            file: Some(ReplacedFile::create(&spec.path)?),
            collected: Collected::new(spec.memory, spec.merge),
            times: Vec::new(),
            began: SystemTime::now(),
        })
    }

    fn finished(&mut self, finished: &Finished) -> io::Result<()> {
        let host = finished.target.index();
        self.times[host] = Some(HostTimes::of(finished));
        let ran = matches!(finished.outcome, Outcome::Exited(_));
        self.collected
            .finish(host, &end_words(&finished.outcome), ran)
    }
}

impl Reporter for Html {
    fn event(&mut self, event: &Event, _: &mut Console) -> io::Result<()> {
        match event {
            Event::RunStarted { targets } => {
                self.began = SystemTime::now();
                self.collected.add_hosts(targets.len());
                self.times.resize(targets.len(), None);
                Ok(())
            }
            Event::Output(chunk) => {
                let host = chunk.target.index();
                self.collected.push(host, chunk.stream, &chunk.data)
            }
            Event::Finished(finished) => self.finished(finished),
            Event::Started(_) | Event::State { .. } => Ok(()),
            Event::PortWaits(_) | Event::Notice(_) => Ok(()),
        }
    }

    fn finish(&mut self, stats: &RunStats, _: &mut Console) -> io::Result<()> {
        let Some(file) = self.file.take() else {
            return Ok(());
        };
        let page = Page {
            info: &self.info,
            stats,
            collected: &self.collected,
            times: &self.times,
            began: self.began,
        };
        file.write(|to| page.write(to))
    }
}
