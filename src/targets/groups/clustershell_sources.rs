//! The group sources of ClusterShell's configuration, without those that mrsh adds to them.
//!
//! [`Groups`](super::Groups) searches several sources. ClusterShell's own programs search one, and ask it in more detail.

use std::path::PathBuf;

use super::{GroupError, Source, clustershell};
use crate::targets::GroupDefinition;

/// The sources of ClusterShell's configuration.
pub struct ClusterShellSources {
    sources: Vec<Box<dyn Source>>,
    default: Option<usize>,
}

impl ClusterShellSources {
    /// Reads these configuration files, each of which may be missing.
    ///
    /// # Errors
    /// A file cannot be read or parsed.
    pub fn load(files: &[PathBuf]) -> Result<ClusterShellSources, GroupError> {
        let (sources, default) = clustershell::load(files)?;
        Ok(ClusterShellSources { sources, default })
    }

    /// The names of the sources, with the default one first.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let others = (0..self.sources.len()).filter(|at| Some(*at) != self.default);
        let all = self.default.into_iter().chain(others);
        all.map(|at| self.sources[at].name())
    }

    /// Sets the default source. Returns false if there is no such source.
    pub fn set_default(&mut self, name: &str) -> bool {
        let mut sources = self.sources.iter();
        let Some(at) = sources.position(|source| source.name() == name) else {
            return false;
        };
        self.default = Some(at);
        true
    }

    /// Returns the name of a source; that of the default one for `None`.
    pub fn name(&self, source: Option<&str>) -> Option<&str> {
        self.source(source).map(Source::name)
    }

    /// Returns the words of a group's definition. An unknown group or source has none.
    ///
    /// # Errors
    /// The source fails.
    pub fn nodes(&self, source: Option<&str>, group: &str) -> Result<Vec<String>, GroupError> {
        let Some(source) = self.source(source) else {
            return Ok(Vec::new());
        };
        Ok(source.lookup(group)?.map(words).unwrap_or_default())
    }

    /// Returns the words of the list of all nodes; `None` if the source has no such list.
    ///
    /// # Errors
    /// The source fails.
    pub fn all(&self, source: Option<&str>) -> Result<Option<Vec<String>>, GroupError> {
        let Some(source) = self.source(source) else {
            return Ok(None);
        };
        Ok(source.all()?.map(words))
    }

    /// Returns the names of the groups; `None` if the source cannot list them.
    ///
    /// # Errors
    /// The source fails.
    pub fn list(&self, source: Option<&str>) -> Result<Option<Vec<String>>, GroupError> {
        match self.source(source) {
            Some(source) => source.list(),
            None => Ok(None),
        }
    }

    /// True if the source finds the groups of a node by itself.
    pub fn has_reverse(&self, source: Option<&str>) -> bool {
        self.source(source).is_some_and(Source::has_reverse)
    }

    /// Returns the groups of a node; `None` if the source cannot find them by itself.
    ///
    /// # Errors
    /// The source fails.
    pub fn reverse(
        &self,
        source: Option<&str>,
        node: &str,
    ) -> Result<Option<Vec<String>>, GroupError> {
        match self.source(source) {
            Some(source) => source.reverse(node),
            None => Ok(None),
        }
    }

    fn source(&self, name: Option<&str>) -> Option<&dyn Source> {
        let at = match name {
            Some(name) => {
                let mut sources = self.sources.iter();
                sources.position(|source| source.name() == name)
            }
            None => self.default,
        };
        at.map(|at| self.sources[at].as_ref())
    }
}

/// Returns the words of a definition of ClusterShell, which is always a text.
fn words(definition: GroupDefinition) -> Vec<String> {
    match definition {
        GroupDefinition::Text { text, .. } => text.split_whitespace().map(str::to_owned).collect(),
        GroupDefinition::Hosts(_) => Vec::new(),
    }
}
