//! YAML files as trees: ClusterShell's group files and Ansible's inventories.
//!
//! The parser is a crate. This module keeps only texts, lists, and mappings with texts as keys, because these files have
//! nothing else. Depth is bounded, and an alias shares the node of its anchor.

use std::collections::HashMap;
use std::rc::Rc;

use saphyr_parser::{Event, Parser, ScalarStyle};

/// Maximum depth of lists and mappings.
const MAX_DEPTH: usize = 100;

/// A node of a YAML file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::targets) enum YamlNode {
    /// An empty node, or `null`.
    Null,
    /// A text or a number, in its written form.
    Text(String),
    /// A list.
    List(Vec<Rc<YamlNode>>),
    /// A mapping in the order of the file.
    Map(Vec<YamlEntry>),
}

/// An entry of a mapping.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::targets) struct YamlEntry {
    pub(in crate::targets) key: String,
    /// The line of the key, counted from 1.
    pub(in crate::targets) line: usize,
    pub(in crate::targets) value: Rc<YamlNode>,
}

/// A list or a mapping that is not complete yet.
enum OpenNode {
    List(Vec<Rc<YamlNode>>),
    Map(Vec<YamlEntry>, Option<(String, usize)>),
}

/// Parses the first document of a text. The error names line and column.
pub(in crate::targets) fn parse(text: &str) -> Result<Rc<YamlNode>, String> {
    let mut anchors: HashMap<usize, Rc<YamlNode>> = HashMap::new();
    let mut open: Vec<(OpenNode, usize)> = Vec::new();
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|error| error.to_string())?;
        let at = |message: &str| {
            let (line, column) = (span.start.line(), span.start.col() + 1);
            format!("{message} at line {line} column {column}")
        };
        let (node, anchor) = match event {
            Event::SequenceStart(anchor, _) => {
                open.push((OpenNode::List(Vec::new()), anchor));
                (None, 0)
            }
            Event::MappingStart(anchor, _) => {
                open.push((OpenNode::Map(Vec::new(), None), anchor));
                (None, 0)
            }
            Event::SequenceEnd | Event::MappingEnd => match open.pop() {
                Some((OpenNode::List(list), anchor)) => (Some(YamlNode::List(list)), anchor),
                Some((OpenNode::Map(entries, _), anchor)) => (Some(YamlNode::Map(entries)), anchor),
                None => (None, 0),
            },
            Event::Scalar(text, style, anchor, _) => {
                // A quoted `"null"` is a text.
                let null = style == ScalarStyle::Plain && matches!(&*text, "" | "~" | "null");
                let node = if null {
                    YamlNode::Null
                } else {
                    YamlNode::Text(text.into_owned())
                };
                (Some(node), anchor)
            }
            Event::Alias(anchor) => match anchors.get(&anchor) {
                Some(node) => (Some(YamlNode::clone(node)), 0),
                None => return Err(at("an alias inside of what it stands for")),
            },
            Event::StreamEnd | Event::DocumentEnd => break,
            Event::Nothing | Event::StreamStart | Event::DocumentStart(_) => (None, 0),
        };
        // Code that walks the tree is recursive, so the depth bounds its stack.
        if open.len() > MAX_DEPTH {
            return Err(at("lists and mappings are too deep"));
        }
        let Some(node) = node.map(Rc::new) else {
            continue;
        };
        // The parser numbers anchors from 1; 0 means none.
        if anchor > 0 {
            anchors.insert(anchor, Rc::clone(&node));
        }
        match open.last_mut() {
            None => return Ok(node),
            Some((OpenNode::List(list), _)) => list.push(node),
            Some((OpenNode::Map(entries, key), _)) => match (key.take(), &*node) {
                (Some((key, line)), _) => entries.push(YamlEntry {
                    key,
                    line,
                    value: node,
                }),
                (None, YamlNode::Text(text)) => *key = Some((text.clone(), span.start.line())),
                (None, YamlNode::Null) => *key = Some((String::new(), span.start.line())),
                (None, _) => return Err(at("a key that is no text")),
            },
        }
    }
    Ok(Rc::new(YamlNode::Null))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trees_are_built() {
        let tree = parse("a: &x [1, 'two', ~]\nb:\n  c: *x\n  d:\n").unwrap();
        let text = |text: &str| Rc::new(YamlNode::Text(text.to_owned()));
        let null = Rc::new(YamlNode::Null);
        let list = Rc::new(YamlNode::List(vec![
            text("1"),
            text("two"),
            Rc::clone(&null),
        ]));
        let entry = |key: &str, line, value| YamlEntry {
            key: key.to_owned(),
            line,
            value,
        };
        let inner = vec![entry("c", 3, Rc::clone(&list)), entry("d", 4, null)];
        let outer = vec![
            entry("a", 1, list),
            entry("b", 2, Rc::new(YamlNode::Map(inner))),
        ];
        assert_eq!(*tree, YamlNode::Map(outer));
        assert_eq!(parse("").unwrap(), Rc::new(YamlNode::Null));
    }

    #[test]
    fn hostile_files_are_refused() {
        assert!(parse(&"[".repeat(100_000)).is_err());
        assert!(parse("a: [1").is_err());
        assert!(
            parse("? [a]\n: b\n")
                .unwrap_err()
                .contains("no text at line 1")
        );
        let bomb: String = (1..40)
            .map(|i| format!("a{i}: &a{i} [*a{0}, *a{0}]\n", i - 1))
            .collect();
        assert!(parse(&format!("a0: &a0 [x]\n{bomb}")).is_ok());
    }
}
