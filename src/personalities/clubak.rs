//! `clubak` of ClusterShell: output of many nodes in blocks, gathered, or as differences.

use std::collections::HashMap;

use memchr::memmem::Finder;
use nodeset::FoldStyle;

use super::clustershell::{ClusterShellError, GroupResolver};
use super::python::optparse::End;
use super::{Call, Streams};
use crate::exit::ExitStatus;
use crate::personalities::nodeset::{NodesetStop, finish, resolver};
use display::{Display, write_line};
use options::{ClubakOptions, KeyReading};
use tree::MessageTree;

mod display;
mod options;
mod tree;

/// Runs the program.
pub(super) fn run(call: &Call<'_>, streams: &mut Streams<'_>) -> ExitStatus {
    match work(call, streams) {
        Ok(()) => ExitStatus::SUCCESS,
        Err(stop) => finish(stop, &call.program, streams),
    }
}

fn work(call: &Call<'_>, streams: &mut Streams<'_>) -> Result<(), NodesetStop> {
    let options = ClubakOptions::parse(call)?;
    let resolver = resolver(call, options.groups_file.as_deref());
    let mut reader = LineReader {
        options: &options,
        resolver: &resolver,
        keys: options.keys,
        known: HashMap::new(),
        tree: MessageTree::new(options.trace),
        whole: Vec::new(),
    };
    reader.read(streams)?;
    let LineReader { keys, tree, .. } = reader;
    // clubak makes its display after it has read the input. Errors of the input come first.
    if options.diff && options.line_mode {
        let message = "option mismatch (diff not supported in line_mode)";
        return Err(options.error(call, message).into());
    }
    if options.debug {
        let word = |flag: bool| if flag { "True" } else { "False" };
        let (lines, gather) = (word(options.line_mode), word(options.gather));
        let depth = tree.depth();
        streams.complain(&format!(
            "clubak: line_mode={lines} gather={gather} tree_depth={depth}\n"
        ));
    }
    let style = FoldStyle {
        axes: options.axes.clone(),
        ..FoldStyle::default()
    };
    let mut display = Display::new(call, &options, &resolver, style);
    // In clubak, one key that is no expression turns this off for the output of all keys.
    let interpreted = keys != KeyReading::Literal;
    if options.trace {
        display.print_trace(&tree, streams)?;
    } else if options.gather || options.regroup {
        display.print_gathered(&tree, interpreted, streams)?;
    } else {
        display.print_each(&tree, interpreted, streams)?;
    }
    Ok(())
}

/// The input and what is known of it.
struct LineReader<'a> {
    options: &'a ClubakOptions,
    resolver: &'a GroupResolver,
    /// Turns from `Auto` to `Literal` at the first key that is no expression.
    keys: KeyReading,
    /// The nodes of each key, by their numbers in the tree.
    known: HashMap<Vec<u8>, Vec<u32>>,
    tree: MessageTree,
    /// `-F`: the whole text of each node.
    whole: Vec<Option<Vec<u8>>>,
}

impl LineReader<'_> {
    /// Reads all lines into the tree.
    fn read(&mut self, streams: &mut Streams<'_>) -> Result<(), NodesetStop> {
        let separator = Finder::new(self.options.separator.as_bytes());
        let mut line = Vec::new();
        while streams.input.read_until(b'\n', &mut line)? > 0 {
            // Python's `rstrip()` removes all of these characters at the end, not only one pair.
            let end = line.iter().rposition(|b| !b"\r\n".contains(b));
            line.truncate(end.map_or(0, |end| end + 1));
            if self.options.verbose || self.options.debug {
                streams.output.write_all(b"INPUT ")?;
                write_line(streams, &line)?;
            }
            self.add(&line, &separator)?;
            line.clear();
        }
        for (node, text) in self.whole.iter_mut().enumerate() {
            if let Some(text) = text.take() {
                self.tree.add(node as u32, &text);
            }
        }
        Ok(())
    }

    fn add(&mut self, line: &[u8], separator: &Finder<'_>) -> Result<(), ClusterShellError> {
        let fault = |message: &str| {
            let line = String::from_utf8_lossy(line);
            ClusterShellError::Value(format!("{message}: \"{line}\""))
        };
        let length = separator.needle().len();
        // Python's `split()` checks the separator with each line, so an empty input is no error.
        if length == 0 {
            return Err(fault("empty separator"));
        }
        let Some(at) = separator.find(line) else {
            return Err(fault("not enough values to unpack (expected 2, got 1)"));
        };
        let (key, content) = (&line[..at], &line[at + length..]);
        // A node can have many lines, and reading an expression costs more than a look-up.
        if !self.known.contains_key(key) {
            // Python's `strip()` also removes the vertical tab, which Rust does not count as white space.
            let space = |b: &u8| b.is_ascii_whitespace() || *b == 0x0b;
            let start = key.iter().position(|b| !space(b)).unwrap_or(key.len());
            let end = key
                .iter()
                .rposition(|b| !space(b))
                .map_or(start, |end| end + 1);
            let text = String::from_utf8_lossy(&key[start..end]);
            if text.is_empty() {
                return Err(fault("no node found"));
            }
            let nodes = self.nodes(&text).map_err(|error| match error {
                // clubak adds the line to a `ValueError` only. Parse errors have classes of their own.
                ClusterShellError::Fault(message) => fault(&message),
                error => error,
            })?;
            let nodes = nodes.iter().map(|node| self.tree.node(node)).collect();
            self.known.insert(key.to_vec(), nodes);
        }
        for &node in self.known.get(key).map(Vec::as_slice).unwrap_or_default() {
            if !self.options.fast {
                self.tree.add(node, content);
                continue;
            }
            let at = node as usize;
            self.whole.resize(self.whole.len().max(at + 1), None);
            match &mut self.whole[at] {
                Some(text) => {
                    text.push(b'\n');
                    text.extend_from_slice(content);
                }
                none => *none = Some(content.to_vec()),
            }
        }
        Ok(())
    }

    /// Returns the nodes of a key.
    fn nodes(&mut self, key: &str) -> Result<Vec<String>, ClusterShellError> {
        if self.keys != KeyReading::Literal {
            match self.resolver.set(key) {
                Ok(set) => return Ok(set.iter().collect()),
                Err(ClusterShellError::Parse(_)) if self.keys == KeyReading::Auto => {
                    self.keys = KeyReading::Literal;
                    // From now on, a key that was an expression is one name.
                    self.known.clear();
                }
                Err(error) => return Err(error),
            }
        }
        Ok(vec![key.to_owned()])
    }
}
