//! The forms in which clubak prints texts.

use std::io;

use nodeset::{FoldStyle, NodeSet};

use super::options::{ClubakOptions, Color};
use super::tree::MessageTree;
use super::{ClusterShellError, GroupResolver, NodesetStop};
use crate::personalities::python::difflib::unified_diff;
use crate::personalities::{Call, Streams};

const RULE: &str = "---------------";
const BLUE: &str = "\x1b[94m";
const BOLD: &str = "\x1b[1m";
const CYAN: &str = "\x1b[96m";
const GREEN: &str = "\x1b[92m";
const RED: &str = "\x1b[91m";
const RESET: &str = "\x1b[0m";

/// The form of the output.
pub(super) struct Display<'a> {
    options: &'a ClubakOptions,
    resolver: &'a GroupResolver,
    style: FoldStyle,
    colors: bool,
    /// `--diff`: the nodes and the text that all others are compared with.
    reference: Option<(String, Vec<String>)>,
}

/// The nodes of a text, as they are printed.
struct Label {
    text: String,
    nodes: u64,
}

impl<'a> Display<'a> {
    pub(super) fn new(
        call: &Call<'_>,
        options: &'a ClubakOptions,
        resolver: &'a GroupResolver,
        style: FoldStyle,
    ) -> Display<'a> {
        Display {
            options,
            resolver,
            style,
            colors: has_colors(call, options.color),
            reference: None,
        }
    }

    /// Prints equal texts once.
    pub(super) fn print_gathered(
        &mut self,
        tree: &MessageTree,
        interpreted: bool,
        streams: &mut Streams<'_>,
    ) -> Result<(), NodesetStop> {
        if !interpreted {
            for text in tree.texts() {
                let label = Label {
                    text: text.names.join(","),
                    nodes: text.names.len() as u64,
                };
                self.print(&label, &tree.lines(text.element), streams)?;
            }
            return Ok(());
        }
        let mut texts = Vec::new();
        for text in tree.texts() {
            let nodes = self.resolver.union(text.names)?;
            let first = nodes.iter().next().unwrap_or_default();
            texts.push((std::cmp::Reverse(nodes.len()), first, text.element, nodes));
        }
        texts.sort_by(|a, b| (&a.0, &a.1).cmp(&(&b.0, &b.1)));
        for (_, _, element, nodes) in texts {
            let label = self.label(&nodes)?;
            self.print(&label, &tree.lines(element), streams)?;
        }
        Ok(())
    }

    /// Prints the text of each node.
    pub(super) fn print_each(
        &mut self,
        tree: &MessageTree,
        interpreted: bool,
        streams: &mut Streams<'_>,
    ) -> Result<(), NodesetStop> {
        let names: Vec<String> = if interpreted {
            self.resolver.union(tree.names())?.iter().collect()
        } else {
            tree.names().map(str::to_owned).collect()
        };
        for text in names {
            let element = tree.text_of(&text);
            let label = Label { text, nodes: 1 };
            self.print(&label, &tree.lines(element), streams)?;
        }
        Ok(())
    }

    /// Prints every line once, with the nodes that have it and the lines before it.
    pub(super) fn print_trace(
        &self,
        tree: &MessageTree,
        streams: &mut Streams<'_>,
    ) -> Result<(), NodesetStop> {
        let mut indents: Vec<Option<usize>> = Vec::new();
        let mut indent = 0;
        let mut next = 0;
        let mut shows_nodes = true;
        for traced in tree.traced() {
            if shows_nodes {
                indents.resize(indents.len().max(traced.depth + 1), None);
                indent = *indents[traced.depth].get_or_insert(next);
                next = indent + 2;
                let nodes = self.resolver.union(traced.names)?;
                if self.options.line_mode {
                    writeln!(streams.output, "{}:", nodes.folded(&self.style))?;
                } else {
                    let header = self.header(&self.label(&nodes)?, indent);
                    streams.output.write_all(header.as_bytes())?;
                }
            }
            write!(streams.output, "{:indent$}", "")?;
            write_line(streams, traced.line)?;
            shows_nodes = traced.children != 1;
        }
        Ok(())
    }

    fn label(&self, nodes: &NodeSet) -> Result<Label, ClusterShellError> {
        let text = if self.options.regroup {
            self.resolver.regroup(
                nodes,
                self.options.source.as_deref(),
                !self.options.group_base,
                &self.style,
            )?
        } else {
            nodes.folded(&self.style)
        };
        Ok(Label {
            text,
            nodes: nodes.len(),
        })
    }

    fn print(
        &mut self,
        label: &Label,
        lines: &[&[u8]],
        streams: &mut Streams<'_>,
    ) -> Result<(), NodesetStop> {
        if self.options.line_mode {
            let prefix = self.colored(BLUE, &format!("{}: ", label.text));
            for line in lines {
                if self.options.labels {
                    streams.output.write_all(prefix.as_bytes())?;
                }
                write_line(streams, line)?;
            }
            return Ok(());
        }
        if self.options.diff {
            return self.print_difference(label, lines, streams);
        }
        streams.output.write_all(self.header(label, 0).as_bytes())?;
        for line in lines {
            write_line(streams, line)?;
        }
        // As in clubak, a text without lines is an empty line.
        if lines.is_empty() {
            write_line(streams, b"")?;
        }
        Ok(())
    }

    fn header(&self, label: &Label, indent: usize) -> String {
        if !self.options.labels {
            return String::new();
        }
        let space = " ".repeat(indent);
        let name = self.counted(label);
        let text = format!("{space}{RULE}\n{space}{name}\n{space}{RULE}");
        self.colored(BLUE, &text) + "\n"
    }

    /// Returns the label with the number of its nodes.
    fn counted(&self, label: &Label) -> String {
        let Label { text, nodes } = label;
        if *nodes > 1 && !self.options.is_quiet() {
            format!("{text} ({nodes})")
        } else {
            text.clone()
        }
    }

    /// `--diff`.
    fn print_difference(
        &mut self,
        label: &Label,
        lines: &[&[u8]],
        streams: &mut Streams<'_>,
    ) -> Result<(), NodesetStop> {
        let lines: Vec<String> = lines.iter().map(|line| without_faults(line)).collect();
        let name = self.counted(label);
        let Some((reference, reference_lines)) = &self.reference else {
            self.reference = Some((name, lines));
            return Ok(());
        };
        for line in unified_diff(reference_lines, &lines, reference, &name) {
            let line = if line.starts_with("---") || line.starts_with("+++") {
                self.colored(BOLD, line.trim_end())
            } else if line.starts_with("@@") {
                self.colored(CYAN, &line)
            } else if line.starts_with('+') {
                self.colored(GREEN, &line)
            } else if line.starts_with('-') {
                self.colored(RED, &line)
            } else {
                line
            };
            writeln!(streams.output, "{line}")?;
        }
        Ok(())
    }

    fn colored(&self, color: &str, text: &str) -> String {
        if self.colors {
            format!("{color}{text}{RESET}")
        } else {
            text.to_owned()
        }
    }
}

/// Prints a line. As in ClusterShell since 1.9.2, bytes that are not UTF-8 become the replacement character.
pub(super) fn write_line(streams: &mut Streams<'_>, line: &[u8]) -> io::Result<()> {
    let text = String::from_utf8_lossy(line);
    streams.output.write_all(text.as_bytes())?;
    streams.output.write_all(b"\n")
}

/// Returns the text without the bytes that are not UTF-8.
fn without_faults(line: &[u8]) -> String {
    line.utf8_chunks().map(|chunk| chunk.valid()).collect()
}

/// True if the output has colours.
fn has_colors(call: &Call<'_>, color: Option<Color>) -> bool {
    let variable = |name| call.text_variable(name);
    match color {
        Some(Color::Never) => false,
        Some(Color::Always) => true,
        Some(Color::Auto) => call.terminal,
        // The rules of no-color.org and bixense.com/clicolors.
        None if variable("NO_COLOR").is_some() => false,
        None if variable("CLICOLOR_FORCE").is_some_and(|value| value != "0") => true,
        None => call.terminal && variable("CLICOLOR").is_none_or(|value| value != "0"),
    }
}
