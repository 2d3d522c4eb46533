//! The lines of all nodes as a tree that has equal beginnings once.

use std::collections::HashMap;

/// A tree of lines. Each node is at the element of its last line.
pub(super) struct MessageTree {
    /// The lines, each once.
    lines: Vec<Box<[u8]>>,
    line_ids: HashMap<Box<[u8]>, u32>,
    /// The elements; the first is the root, which has no line.
    elements: Vec<Element>,
    /// The element that follows an element with a line.
    next: HashMap<(u32, u32), u32>,
    nodes: Vec<TreeNode>,
    node_ids: HashMap<Box<str>, u32>,
    /// The nodes that have lines, in the order of their first lines.
    order: Vec<u32>,
    /// True if elements keep the nodes that passed them.
    trace: bool,
}

#[derive(Default)]
struct Element {
    parent: u32,
    line: u32,
    children: Vec<u32>,
    /// Nodes whose text starts with the lines up to this one. Filled only with `trace`.
    passed: Vec<u32>,
}

struct TreeNode {
    name: Box<str>,
    element: u32,
}

/// An element with the nodes whose text it is.
pub(super) struct Text<'a> {
    pub(super) element: u32,
    /// The names in the order of their first lines.
    pub(super) names: Vec<&'a str>,
}

/// An element on a walk in trace mode.
pub(super) struct Traced<'a> {
    pub(super) line: &'a [u8],
    pub(super) names: Vec<&'a str>,
    pub(super) depth: usize,
    pub(super) children: usize,
}

const ROOT: u32 = 0;

impl MessageTree {
    pub(super) fn new(trace: bool) -> MessageTree {
        MessageTree {
            lines: Vec::new(),
            line_ids: HashMap::new(),
            elements: vec![Element::default()],
            next: HashMap::new(),
            nodes: Vec::new(),
            node_ids: HashMap::new(),
            order: Vec::new(),
            trace,
        }
    }

    /// Returns the number of a node, which may be new.
    pub(super) fn node(&mut self, name: &str) -> u32 {
        if let Some(&id) = self.node_ids.get(name) {
            return id;
        }
        let id = self.nodes.len() as u32;
        self.nodes.push(TreeNode {
            name: name.into(),
            element: ROOT,
        });
        self.node_ids.insert(name.into(), id);
        id
    }

    /// Appends a line to the text of a node.
    pub(super) fn add(&mut self, node: u32, line: &[u8]) {
        let line = match self.line_ids.get(line) {
            Some(&id) => id,
            None => {
                let id = self.lines.len() as u32;
                self.lines.push(line.into());
                self.line_ids.insert(line.into(), id);
                id
            }
        };
        let parent = self.nodes[node as usize].element;
        let new = self.elements.len() as u32;
        let element = *self.next.entry((parent, line)).or_insert(new);
        if element == new {
            self.elements.push(Element {
                parent,
                line,
                ..Element::default()
            });
            self.elements[parent as usize].children.push(new);
        }
        if parent == ROOT {
            self.order.push(node);
        }
        if self.trace {
            self.elements[element as usize].passed.push(node);
        }
        self.nodes[node as usize].element = element;
    }

    /// The names of the nodes that have lines, in the order of their first lines.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.order.iter().map(|node| self.name(*node))
    }

    /// Returns the element with the text of a node.
    pub(super) fn text_of(&self, name: &str) -> u32 {
        let node = self.node_ids.get(name);
        node.map_or(ROOT, |node| self.nodes[*node as usize].element)
    }

    /// Returns the lines up to an element.
    pub(super) fn lines(&self, element: u32) -> Vec<&[u8]> {
        let mut lines = Vec::new();
        let mut at = element;
        while at != ROOT {
            let Element { parent, line, .. } = &self.elements[at as usize];
            lines.push(&*self.lines[*line as usize]);
            at = *parent;
        }
        lines.reverse();
        lines
    }

    /// Returns the texts. As in ClusterShell, a text comes before those that it begins, and the last of several that
    /// continue a text comes first.
    pub(super) fn texts(&self) -> Vec<Text<'_>> {
        let mut names: HashMap<u32, Vec<&str>> = HashMap::new();
        for node in &self.order {
            let element = self.nodes[*node as usize].element;
            names.entry(element).or_default().push(self.name(*node));
        }
        let walk = self.walk().into_iter();
        let texts = walk.filter_map(|(element, _)| {
            let names = names.remove(&element)?;
            Some(Text { element, names })
        });
        texts.collect()
    }

    /// Returns the elements in trace mode, in the order of [`texts`](MessageTree::texts).
    pub(super) fn traced(&self) -> impl Iterator<Item = Traced<'_>> {
        let walk = self
            .walk()
            .into_iter()
            .filter(|(element, _)| *element != ROOT);
        walk.map(|(element, depth)| {
            let element = &self.elements[element as usize];
            Traced {
                line: &self.lines[element.line as usize],
                names: element.passed.iter().map(|node| self.name(*node)).collect(),
                depth,
                children: element.children.len(),
            }
        })
    }

    /// Number of lines of the longest text.
    pub(super) fn depth(&self) -> usize {
        self.walk()
            .into_iter()
            .map(|(_, depth)| depth)
            .max()
            .unwrap_or(0)
    }

    /// Returns the elements and their depths.
    fn walk(&self) -> Vec<(u32, usize)> {
        let mut found = Vec::new();
        let mut open = vec![(ROOT, 0)];
        while let Some((element, depth)) = open.pop() {
            found.push((element, depth));
            let children = self.elements[element as usize].children.iter();
            open.extend(children.map(|child| (*child, depth + 1)));
        }
        found
    }

    fn name(&self, node: u32) -> &str {
        &self.nodes[node as usize].name
    }
}
