//! `--report FILE`: the run as one HTML page.
//!
//! The page is a single file that loads nothing. Its style and script are in it, and a content security policy with
//! their hashes allows no others. All text of hosts is escaped. The page is complete without the script, which only
//! makes the picture interactive and sorts the table. Outputs are kept as for `-b`, and a limited part of each is
//! shown.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use super::gather::{GatheredOutput, end_words};
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

/// Settings of the page.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HtmlSpec {
    /// Path of the file.
    pub path: PathBuf,
    /// True to show standard error in the same text as standard output.
    pub merge: bool,
    /// Approximate limit of text in memory, in bytes; the rest goes to a temporary file.
    pub memory: usize,
}

/// The reporter that collects the content of the page and writes it at the end.
#[derive(Debug)]
pub(super) struct Html {
    info: Arc<RunInfo>,
    /// The file; `None` after it was written.
    file: Option<ReplacedFile>,
    collected: GatheredOutput,
    /// Outcome and times of each host.
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
            collected: GatheredOutput::new(spec.memory, spec.merge),
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
                // The reporter is created before the run starts.
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
            Event::PortWaits(_) | Event::Notice(_) | Event::Paused(_) => Ok(()),
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
