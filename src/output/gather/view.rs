//! Groups of hosts with equal output, and how they are shown.
//!
//! A group has the hosts with the same standard output and the same outcome. Within it, hosts are grouped by standard
//! error. So the equal answer of a hundred hosts is printed once, even if ten of them printed a warning. The warning
//! follows, with the names of the ten.

use std::collections::HashMap;
use std::io;

use super::super::color::{Frame, Palette};
use super::super::label::LabelFormat;
use super::super::unfinished_line::print_line;
use super::super::{Console, GatherForm};
use super::collect::{GatheredOutput, HostEnd};
use super::print::print_text;
use super::tree::TextCursor;
use crate::event::Stream;
use crate::targets::{Placeholder, fold};

/// The rule above and below names, as in ClusterShell.
const RULE: &[u8] = b"---------------";

/// Gathered output with the settings for showing it.
#[derive(Debug)]
pub(in crate::output) struct GatherView<'a> {
    /// The output of the hosts.
    pub(in crate::output) collected: &'a GatheredOutput,
    /// The names of the hosts, by number.
    pub(in crate::output) labels: &'a dyn HostLabels,
    /// True if names are shown.
    pub(in crate::output) label: bool,
    /// Format of the label before a line.
    pub(in crate::output) format: Option<&'a LabelFormat>,
    /// The colours.
    pub(in crate::output) palette: &'a Palette,
    /// True to show only hosts that differ from the majority.
    pub(in crate::output) only_odd: bool,
}

/// A source of labels for hosts.
pub(in crate::output) trait HostLabels: std::fmt::Debug {
    /// Returns the label of a host.
    fn label(&self, host: usize) -> &str;

    /// Returns the value of a placeholder of `--label`. The default knows only labels.
    fn field(&self, field: Placeholder, host: usize) -> String {
        match field {
            Placeholder::Label | Placeholder::Host => self.label(host).to_owned(),
            Placeholder::Number => host.to_string(),
            Placeholder::User | Placeholder::Port => String::new(),
        }
    }
}

/// Hosts with equal standard output and outcome.
#[derive(Debug)]
pub(in crate::output) struct OutputGroup {
    /// Standard output of each of the hosts.
    pub(in crate::output) text: TextCursor,
    /// Outcome of each of the hosts.
    pub(in crate::output) end: Option<HostEnd>,
    /// The hosts, in the order of all hosts.
    pub(in crate::output) hosts: Vec<usize>,
    /// The different standard errors with their hosts, also the empty one.
    pub(in crate::output) errors: Vec<(TextCursor, Vec<usize>)>,
}

impl GatherView<'_> {
    /// Returns the groups of these hosts, the largest first; groups of equal size in the order of their first hosts.
    /// Hosts without output are included if their command ran.
    pub(in crate::output) fn groups(
        &self,
        hosts: impl IntoIterator<Item = usize>,
    ) -> Vec<OutputGroup> {
        let mut places: HashMap<(TextCursor, Option<HostEnd>), usize> = HashMap::new();
        let mut groups: Vec<OutputGroup> = Vec::new();
        for host in hosts {
            let text = self.collected.text(host, Stream::Stdout);
            let end = self.collected.host(host).end();
            let wrote = !text.is_empty() || !self.collected.text(host, Stream::Stderr).is_empty();
            // Without output there is nothing to group; the summary names hosts that were not reached.
            if !wrote && !end.is_some_and(|end| end.ran) {
                continue;
            }
            let at = *places.entry((text, end)).or_insert(groups.len());
            if at == groups.len() {
                groups.push(OutputGroup {
                    text,
                    end,
                    hosts: Vec::new(),
                    errors: Vec::new(),
                });
            }
            groups[at].hosts.push(host);
        }
        for group in &mut groups {
            group.errors = self.errors(&group.hosts);
        }
        // A stable sort: equals stay in the order of their first hosts.
        groups.sort_by_key(|group| usize::MAX - group.hosts.len());
        groups
    }

    fn errors(&self, hosts: &[usize]) -> Vec<(TextCursor, Vec<usize>)> {
        let mut places: HashMap<TextCursor, usize> = HashMap::new();
        let mut errors: Vec<(TextCursor, Vec<usize>)> = Vec::new();
        for &host in hosts {
            let text = self.collected.text(host, Stream::Stderr);
            let at = *places.entry(text).or_insert(errors.len());
            if at == errors.len() {
                errors.push((text, Vec::new()));
            }
            errors[at].1.push(host);
        }
        // A stable sort here, too.
        errors.sort_by_key(|(_, hosts)| usize::MAX - hosts.len());
        errors
    }

    /// Shows these hosts, which are given in order.
    ///
    /// # Errors
    /// The console cannot be written, or a text cannot be read back.
    pub(super) fn show(
        &self,
        form: GatherForm,
        hosts: impl IntoIterator<Item = usize>,
        console: &mut Console,
    ) -> io::Result<()> {
        match form {
            GatherForm::Blocks => self.blocks(&self.groups(hosts), console),
            GatherForm::Lines => self.lines(&self.groups(hosts), console),
            GatherForm::Diff => self.diffs(&self.groups(hosts), console),
            GatherForm::Hosts => {
                for host in hosts {
                    self.host(host, console)?;
                }
                Ok(())
            }
        }
    }

    /// Shows every group under a header.
    fn blocks(&self, groups: &[OutputGroup], console: &mut Console) -> io::Result<()> {
        for (at, group) in groups.iter().enumerate() {
            let majority = self.only_odd && at == 0;
            // A group without output is named if it differs from the majority.
            if !majority && (self.only_odd || !group.text.is_empty()) {
                self.header(&group.hosts, group.end, Stream::Stdout, console)?;
                self.text(group.text, Frame::default(), Stream::Stdout, console)?;
            }
            self.error_blocks(group, majority, console)?;
        }
        Ok(())
    }

    /// Shows the standard errors of a group. With `only_odd`, the most common one of the majority is left out.
    pub(super) fn error_blocks(
        &self,
        group: &OutputGroup,
        majority: bool,
        console: &mut Console,
    ) -> io::Result<()> {
        for (text, hosts) in group.errors.iter().skip(usize::from(majority)) {
            // Empty texts are in the list, since no standard error can be the most common one.
            if !text.is_empty() {
                self.header(hosts, group.end, Stream::Stderr, console)?;
                self.text(*text, Frame::default(), Stream::Stderr, console)?;
            }
        }
        Ok(())
    }

    /// Shows the lines of every group, each after the names of the group.
    fn lines(&self, groups: &[OutputGroup], console: &mut Console) -> io::Result<()> {
        for (at, group) in groups.iter().enumerate() {
            let majority = self.only_odd && at == 0;
            if !majority {
                self.labelled(group.text, &group.hosts, Stream::Stdout, console)?;
            }
            for (text, hosts) in group.errors.iter().skip(usize::from(majority)) {
                self.labelled(*text, hosts, Stream::Stderr, console)?;
            }
        }
        Ok(())
    }

    /// Shows the lines of one host, each after its label.
    ///
    /// # Errors
    /// As for [`show`](Self::show).
    pub(super) fn host(&self, host: usize, console: &mut Console) -> io::Result<()> {
        // The two texts do not show how their lines were mixed, so standard output comes first.
        for stream in [Stream::Stdout, Stream::Stderr] {
            let text = self.collected.text(host, stream);
            self.labelled(text, &[host], stream, console)?;
        }
        Ok(())
    }

    fn labelled(
        &self,
        text: TextCursor,
        hosts: &[usize],
        stream: Stream,
        console: &mut Console,
    ) -> io::Result<()> {
        if text.is_empty() {
            return Ok(());
        }
        if !self.label {
            return self.text(text, Frame::default(), stream, console);
        }
        if let Some(format) = self.format {
            let mut prefix = Vec::new();
            format.write(
                hosts,
                |field, host| self.labels.field(field, host),
                &mut prefix,
            );
            let frame = self.palette.label(stream).prefix(&prefix);
            return self.text(text, frame, stream, console);
        }
        let names = self.names(hosts);
        let frame = self.palette.label(stream).label(names.as_bytes());
        self.text(text, frame, stream, console)
    }

    /// Writes a header: a rule, the title, and a rule.
    pub(super) fn header(
        &self,
        hosts: &[usize],
        end: Option<HostEnd>,
        stream: Stream,
        console: &mut Console,
    ) -> io::Result<()> {
        if !self.label {
            return Ok(());
        }
        let mut title = self.title(hosts, end);
        // The two streams are blocks of their own, and one host can have both.
        if stream == Stream::Stderr {
            title.push_str(", stderr");
        }
        let frame = self.palette.label(stream).line(b"");
        for line in [RULE, title.as_bytes(), RULE] {
            print_line(line, frame, stream, console)?;
        }
        Ok(())
    }

    /// Returns the folded names, their number and their outcome.
    pub(super) fn title(&self, hosts: &[usize], end: Option<HostEnd>) -> String {
        let mut title = self.names(hosts);
        // Folded names do not show how many hosts they are.
        if hosts.len() > 1 {
            title.push_str(&format!(" ({})", hosts.len()));
        }
        let words = self.collected.words(end);
        if !words.is_empty() {
            title.push_str(", ");
            title.push_str(words);
        }
        title
    }

    /// Returns the folded names of some hosts.
    pub(in crate::output) fn names(&self, hosts: &[usize]) -> String {
        match hosts {
            // A label that folding would split or reorder stays unchanged.
            [host] => self.labels.label(*host).to_owned(),
            hosts => fold(hosts.iter().map(|host| self.labels.label(*host))),
        }
    }

    pub(super) fn text(
        &self,
        text: TextCursor,
        frame: Frame<'_>,
        stream: Stream,
        console: &mut Console,
    ) -> io::Result<()> {
        print_text(self.collected.reader(text, 0), frame, stream, console)
    }
}
