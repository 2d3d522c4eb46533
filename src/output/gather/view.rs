//! The gathered output as it is shown: groups of hosts, each with what they all wrote.
//!
//! A group is the hosts with the same standard output and the same end; within it, those with the
//! same standard error. So what a hundred hosts answered alike stands once, also when ten of them
//! warned of something, and the warning stands below it with the names of the ten.

use std::collections::HashMap;
use std::io;

use super::super::color::{Frame, Palette};
use super::super::label::{Field, LabelFormat};
use super::super::tail::print_line;
use super::super::{Console, GatherForm};
use super::collect::{Collected, End};
use super::print::print_text;
use super::tree::Cursor;
use crate::event::Stream;
use crate::targets::nodeset::fold;

/// Above and below the names, as ClusterShell has it.
const RULE: &[u8] = b"---------------";

/// What is to be shown, and to whom it belongs.
#[derive(Debug)]
pub(in crate::output) struct View<'a> {
    /// What the hosts wrote.
    pub(in crate::output) collected: &'a Collected,
    /// The names of the hosts, by number.
    pub(in crate::output) labels: &'a dyn Labels,
    /// Whether names are shown at all.
    pub(in crate::output) label: bool,
    /// What stands before a line, if not the usual.
    pub(in crate::output) format: Option<&'a LabelFormat>,
    /// The colours.
    pub(in crate::output) palette: &'a Palette,
    /// Only what differs from the majority.
    pub(in crate::output) only_odd: bool,
}

/// Names hosts.
pub(in crate::output) trait Labels: std::fmt::Debug {
    /// The name of a host.
    fn label(&self, host: usize) -> &str;

    /// What a label says of a host; where names are all that is known, little.
    fn field(&self, field: Field, host: usize) -> String {
        match field {
            Field::Label | Field::Host => self.label(host).to_owned(),
            Field::Number => host.to_string(),
            Field::User | Field::Port => String::new(),
        }
    }
}

/// Hosts that are alike.
#[derive(Debug)]
pub(in crate::output) struct Group {
    /// What they wrote to standard output.
    pub(in crate::output) text: Cursor,
    /// How they ended.
    pub(in crate::output) end: Option<End>,
    /// In the order of all hosts.
    pub(in crate::output) hosts: Vec<usize>,
    /// Their standard error: those who wrote nothing are a group of it, too.
    pub(in crate::output) errors: Vec<(Cursor, Vec<usize>)>,
}

impl View<'_> {
    /// All groups of these hosts, the biggest first; among equals, that of the earliest host.
    /// Hosts that wrote nothing are among them if their command ran.
    pub(in crate::output) fn groups(&self, hosts: impl IntoIterator<Item = usize>) -> Vec<Group> {
        let mut places: HashMap<(Cursor, Option<End>), usize> = HashMap::new();
        let mut groups: Vec<Group> = Vec::new();
        for host in hosts {
            let text = self.collected.text(host, Stream::Stdout);
            let end = self.collected.host(host).end();
            let wrote = !text.is_empty() || !self.collected.text(host, Stream::Stderr).is_empty();
            if !wrote && !end.is_some_and(|end| end.ran) {
                continue;
            }
            let at = *places.entry((text, end)).or_insert(groups.len());
            if at == groups.len() {
                groups.push(Group {
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

    fn errors(&self, hosts: &[usize]) -> Vec<(Cursor, Vec<usize>)> {
        let mut places: HashMap<Cursor, usize> = HashMap::new();
        let mut errors: Vec<(Cursor, Vec<usize>)> = Vec::new();
        for &host in hosts {
            let text = self.collected.text(host, Stream::Stderr);
            let at = *places.entry(text).or_insert(errors.len());
            if at == errors.len() {
                errors.push((text, Vec::new()));
            }
            errors[at].1.push(host);
        }
        errors.sort_by_key(|(_, hosts)| usize::MAX - hosts.len());
        errors
    }

    /// Shows these hosts, which are given in their order.
    ///
    /// # Errors
    /// The console's, or a text cannot be read back.
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

    /// Every group under a header.
    fn blocks(&self, groups: &[Group], console: &mut Console) -> io::Result<()> {
        for (at, group) in groups.iter().enumerate() {
            let majority = self.only_odd && at == 0;
            // Among those that differ, one that is silent is worth its name.
            if !majority && (self.only_odd || !group.text.is_empty()) {
                self.header(&group.hosts, group.end, Stream::Stdout, console)?;
                self.text(group.text, Frame::default(), Stream::Stdout, console)?;
            }
            self.error_blocks(group, majority, console)?;
        }
        Ok(())
    }

    /// What a group wrote to standard error; without what most of it did if it is the majority of
    /// which nothing is to be shown.
    pub(super) fn error_blocks(
        &self,
        group: &Group,
        majority: bool,
        console: &mut Console,
    ) -> io::Result<()> {
        for (text, hosts) in group.errors.iter().skip(usize::from(majority)) {
            if !text.is_empty() {
                self.header(hosts, group.end, Stream::Stderr, console)?;
                self.text(*text, Frame::default(), Stream::Stderr, console)?;
            }
        }
        Ok(())
    }

    /// Every group's lines, each after the group's names.
    fn lines(&self, groups: &[Group], console: &mut Console) -> io::Result<()> {
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

    /// One host's lines, each after its name.
    ///
    /// # Errors
    /// As for [`show`](Self::show).
    pub(super) fn host(&self, host: usize, console: &mut Console) -> io::Result<()> {
        for stream in [Stream::Stdout, Stream::Stderr] {
            let text = self.collected.text(host, stream);
            self.labelled(text, &[host], stream, console)?;
        }
        Ok(())
    }

    fn labelled(
        &self,
        text: Cursor,
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

    /// The rule, the names with how many they are and how they ended, and the rule.
    pub(super) fn header(
        &self,
        hosts: &[usize],
        end: Option<End>,
        stream: Stream,
        console: &mut Console,
    ) -> io::Result<()> {
        if !self.label {
            return Ok(());
        }
        let mut title = self.title(hosts, end);
        if stream == Stream::Stderr {
            title.push_str(", stderr");
        }
        let frame = self.palette.label(stream).line(b"");
        for line in [RULE, title.as_bytes(), RULE] {
            print_line(line, frame, stream, console)?;
        }
        Ok(())
    }

    /// The names with how many they are and how they ended.
    pub(super) fn title(&self, hosts: &[usize], end: Option<End>) -> String {
        let mut title = self.names(hosts);
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

    /// The names of some hosts, folded.
    pub(in crate::output) fn names(&self, hosts: &[usize]) -> String {
        match hosts {
            // A label that would be cut up or sorted elsewhere stays as it was written.
            [host] => self.labels.label(*host).to_owned(),
            hosts => fold(hosts.iter().map(|host| self.labels.label(*host))),
        }
    }

    pub(super) fn text(
        &self,
        text: Cursor,
        frame: Frame<'_>,
        stream: Stream,
        console: &mut Console,
    ) -> io::Result<()> {
        print_text(self.collected.reader(text, 0), frame, stream, console)
    }
}
