//! A tree of texts that stores equal prefixes once.
//!
//! Each text has a [`TextCursor`]. While its bytes equal those of an earlier text, only the cursor moves. From the
//! first different byte on, the text has its own branch. So ten thousand equal outputs cost as much as one, even while
//! all hosts run, and two texts are equal if their cursors are equal. Neither lines nor the sizes of chunks matter.
//! Text past the limit is in a temporary file; see [`Spool`].

use std::io::{self, Read};

use crate::spool::{Spool, SpooledBytes};

/// Size of the pieces in which the file is compared.
const PIECE: usize = 32 * 1024;

/// The end of a text: `depth` bytes from the root, on the path to `node`.
///
/// A node that is split keeps its number for its later part. So a cursor can be before the start of its node, in one of
/// the ancestors. [`TextTree::settle`] corrects it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(in crate::output) struct TextCursor {
    node: u32,
    depth: u64,
}

impl TextCursor {
    /// Returns the length of the text in bytes.
    pub(in crate::output) fn length(self) -> u64 {
        self.depth
    }

    /// True if the text is empty.
    pub(in crate::output) fn is_empty(self) -> bool {
        self.depth == 0
    }
}

/// All texts. The root is node 0, or a node that was split off before it.
#[derive(Debug)]
pub(super) struct TextTree {
    nodes: Vec<TextNode>,
    spool: Spool,
    /// Buffer for comparisons, kept to reuse its memory.
    piece: Vec<u8>,
}

/// A stretch of text without a branch in it.
#[derive(Debug, Default)]
struct TextNode {
    parent: Option<u32>,
    /// Distance of its start from the root.
    start: u64,
    text: SpooledBytes,
    /// Nodes that follow, by their first byte.
    children: Vec<(u8, u32)>,
}

impl TextTree {
    /// Creates an empty tree that keeps about `limit` bytes of text in memory.
    pub(super) fn new(limit: usize) -> Self {
        TextTree {
            nodes: vec![TextNode::default()],
            spool: Spool::new(limit),
            piece: Vec::new(),
        }
    }

    /// Appends `data` to the text of `cursor`.
    ///
    /// # Errors
    /// The temporary file cannot be written, and the text is whole nevertheless; or it cannot be
    /// read, and the text may lack a part of `data`.
    pub(super) fn push(&mut self, cursor: &mut TextCursor, mut data: &[u8]) -> io::Result<()> {
        *cursor = self.settle(*cursor);
        while let Some(&next) = data.first() {
            let children = &self.nodes[cursor.node as usize].children;
            if cursor.depth < self.end(cursor.node) {
                let (same, differs) = self.compare(*cursor, data)?;
                cursor.depth += same as u64;
                data = &data[same..];
                if differs {
                    cursor.node = self.split(*cursor)?;
                }
            } else if let Some((_, child)) = children.iter().find(|(byte, _)| *byte == next) {
                cursor.node = *child;
            } else {
                // The text of a leaf grows in place. Other texts that end at this leaf then end in the middle of it.
                if !children.is_empty() {
                    cursor.node = self.branch(*cursor, next);
                }
                let text = &mut self.nodes[cursor.node as usize].text;
                text.append(data, &mut self.spool);
                cursor.depth += data.len() as u64;
                break;
            }
        }
        if self.spool.is_full() {
            let texts = self.nodes.iter_mut().map(|node| &mut node.text);
            self.spool.spill(texts)?;
        }
        Ok(())
    }

    /// Returns the cursor with the node that contains it, so that equal texts have equal cursors.
    pub(super) fn settle(&self, mut cursor: TextCursor) -> TextCursor {
        while let TextNode {
            start,
            parent: Some(parent),
            ..
        } = self.nodes[cursor.node as usize]
            // At the start of a node the cursor belongs to the parent, whatever the next byte would have been.
            && cursor.depth <= start
        {
            cursor.node = parent;
        }
        cursor
    }

    /// Returns the length of the common prefix of two texts.
    pub(super) fn common(&self, a: TextCursor, b: TextCursor) -> u64 {
        let (a, b) = (self.settle(a), self.settle(b));
        let shared = self.path(a).into_iter().zip(self.path(b));
        let last = shared.take_while(|(a, b)| a == b).last();
        let node = last.map_or(0, |(node, _)| self.end(node));
        // The last common node can be longer than either text.
        node.min(a.depth).min(b.depth)
    }

    /// Reads a text from its byte `from` on.
    pub(super) fn reader(&self, cursor: TextCursor, from: u64) -> TextReader<'_> {
        let cursor = self.settle(cursor);
        TextReader {
            tree: self,
            path: self.path(cursor),
            depth: from,
            end: cursor.depth,
        }
    }

    /// Returns the nodes from the root to the node of a settled cursor.
    fn path(&self, cursor: TextCursor) -> Vec<u32> {
        let above = |node: &u32| self.nodes[*node as usize].parent;
        let mut path: Vec<u32> = std::iter::successors(Some(cursor.node), above).collect();
        path.reverse();
        path
    }

    fn end(&self, node: u32) -> u64 {
        let node = &self.nodes[node as usize];
        node.start + node.text.length()
    }

    /// Compares `data` with the text after the cursor in its node. Returns the number of equal bytes, and whether a
    /// different byte follows. Compares one piece at most.
    fn compare(&mut self, cursor: TextCursor, data: &[u8]) -> io::Result<(usize, bool)> {
        let node = &self.nodes[cursor.node as usize];
        // The text may be in the file, so not more than a piece is read into memory.
        self.piece.resize(data.len().min(PIECE), 0);
        let length = node
            .text
            .read_at(cursor.depth - node.start, &mut self.piece, &self.spool)?;
        let pairs = self.piece[..length].iter().zip(data);
        let same = pairs.take_while(|(a, b)| a == b).count();
        Ok((same, same < length))
    }

    /// Splits a node at the cursor; returns the number of the new, earlier half.
    fn split(&mut self, cursor: TextCursor) -> io::Result<u32> {
        let mut next = [0];
        let node = &self.nodes[cursor.node as usize];
        node.text
            .read_at(cursor.depth - node.start, &mut next, &self.spool)?;
        // Cursors keep their node number; those that are in the earlier half now are settled when they are used.
        let front = self.number();
        let node = &mut self.nodes[cursor.node as usize];
        let earlier = TextNode {
            parent: node.parent.replace(front),
            start: node.start,
            text: node
                .text
                .split_front(cursor.depth - node.start, &mut self.spool),
            children: vec![(next[0], cursor.node)],
        };
        node.start = cursor.depth;
        if let Some(parent) = earlier.parent {
            let children = self.nodes[parent as usize].children.iter_mut();
            for (_, child) in children.filter(|(_, child)| *child == cursor.node) {
                *child = front;
            }
        }
        self.nodes.push(earlier);
        Ok(front)
    }

    /// Adds an empty leaf at the cursor, which is at the end of its node.
    fn branch(&mut self, cursor: TextCursor, next: u8) -> u32 {
        let leaf = self.number();
        self.nodes[cursor.node as usize].children.push((next, leaf));
        self.nodes.push(TextNode {
            parent: Some(cursor.node),
            start: cursor.depth,
            ..TextNode::default()
        });
        leaf
    }

    /// Returns the number of the next node.
    fn number(&self) -> u32 {
        u32::try_from(self.nodes.len()).expect("there are fewer texts than a u32 counts")
    }
}

/// A reader of one text.
#[derive(Debug)]
pub(in crate::output) struct TextReader<'a> {
    tree: &'a TextTree,
    path: Vec<u32>,
    depth: u64,
    end: u64,
}

impl Read for TextReader<'_> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.end.saturating_sub(self.depth)).unwrap_or(usize::MAX);
        let most = left.min(to.len());
        if most == 0 {
            return Ok(0);
        }
        let tree = self.tree;
        // The depths on the path are in order, so a binary search finds the node.
        let at = self
            .path
            .partition_point(|node| tree.end(*node) <= self.depth);
        let node = &tree.nodes[self.path[at] as usize];
        let length = node
            .text
            .read_at(self.depth - node.start, &mut to[..most], &tree.spool)?;
        self.depth += length as u64;
        Ok(length)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(tree: &TextTree, cursor: TextCursor) -> Vec<u8> {
        let mut text = Vec::new();
        tree.reader(cursor, 0).read_to_end(&mut text).unwrap();
        text
    }

    #[test]
    fn a_thousand_equal_texts_use_the_memory_of_one() {
        let mut tree = TextTree::new(1 << 20);
        let mut cursors = vec![TextCursor::default(); 1000];
        for line in 0..100 {
            for (host, cursor) in cursors.iter_mut().enumerate() {
                let text = format!(
                    "line {line} of output {} of three, all of the same length\n",
                    host % 3
                );
                tree.push(cursor, text.as_bytes()).unwrap();
            }
        }
        assert!(tree.nodes.len() <= 5, "{} nodes", tree.nodes.len());
        assert!(tree.spool.held() < 40_000, "{} bytes", tree.spool.held());
        for (host, cursor) in cursors.iter().enumerate() {
            assert_eq!(tree.settle(*cursor), tree.settle(cursors[host % 3]));
        }
    }

    #[test]
    fn memory_stays_within_the_limit() {
        const LIMIT: usize = 100_000;
        let mut tree = TextTree::new(LIMIT);
        let mut cursors = vec![TextCursor::default(); 20];
        let mut texts = vec![Vec::new(); 20];
        for round in 0..50 {
            for (host, cursor) in cursors.iter_mut().enumerate() {
                let data = format!("{host} {round}\n").repeat(500);
                tree.push(cursor, data.as_bytes()).unwrap();
                texts[host].extend(data.into_bytes());
                assert!(tree.spool.held() <= 2 * LIMIT, "{}", tree.spool.held());
            }
        }
        for (cursor, text) in cursors.iter().zip(&texts) {
            assert!(read(&tree, *cursor) == *text);
        }
        // The same again, compared with what is in the file now.
        let nodes = tree.nodes.len();
        for (at, text) in texts.iter().enumerate() {
            let mut again = TextCursor::default();
            tree.push(&mut again, text).unwrap();
            assert_eq!(tree.settle(again), tree.settle(cursors[at]));
        }
        assert_eq!(tree.nodes.len(), nodes);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]
        #[test]
        fn texts_come_out_as_they_went_in(
            chunks in prop::collection::vec((0..5_usize, prop::collection::vec(0..3_u8, 1..6), 1..200_usize), 0..40),
            limit in 0..3000_usize,
        ) {
            let mut tree = TextTree::new(limit);
            let mut cursors = [TextCursor::default(); 5];
            let mut texts = vec![Vec::new(); 5];
            for (host, unit, times) in chunks {
                let data = unit.repeat(times);
                tree.push(&mut cursors[host], &data).unwrap();
                texts[host].extend(data);
            }
            for (a, text) in texts.iter().enumerate() {
                prop_assert_eq!(cursors[a].length(), text.len() as u64);
                prop_assert!(read(&tree, cursors[a]) == *text);
                for (b, other) in texts.iter().enumerate() {
                    let equal = tree.settle(cursors[a]) == tree.settle(cursors[b]);
                    prop_assert_eq!(equal, text == other);
                    let common = text.iter().zip(other).take_while(|(a, b)| a == b).count();
                    prop_assert_eq!(tree.common(cursors[a], cursors[b]), common as u64);
                }
            }
        }
    }
}
