//! Data that a program keeps beside names, such as users and ports, and the syntax of the words that give it.

use std::fmt::Debug;
use std::ops::Range;

use crate::error::WordError;

/// Data of a program beside the names in a [`NodeList`](crate::NodeList).
///
/// The type `()` has no data: words are names and nothing else. Another type can define more: `user@node[1-9]:22`. The
/// crate finds the words of an expression and the ranges in them; the type divides a word into data and names.
///
/// ```
/// use nodeset::{Attributes, NodeList, Word, WordError};
///
/// #[derive(Clone, Debug, Default, PartialEq)]
/// struct User(Option<String>);
///
/// impl Attributes for User {
///     fn split(word: &str, _: Option<char>) -> Result<Word<User>, WordError> {
///         Ok(match word.split_once('@') {
///             Some((user, _)) if !user.is_empty() => Word {
///                 attributes: User(Some(user.to_owned())),
///                 names: user.len() + 1..word.len(),
///                 ..Word::plain(word)
///             },
///             _ => Word::plain(word),
///         })
///     }
///
///     fn or(&self, outer: &User) -> User {
///         User(self.0.clone().or_else(|| outer.0.clone()))
///     }
/// }
///
/// let list: NodeList<User> = NodeList::parse("root@node[1-2],gw", 1000)?;
/// let mut users = Vec::new();
/// list.for_each(|node| {
///     let user = node.attributes.and_then(|user| user.0.as_deref());
///     users.push(format!("{} {} {}", node.label, node.name, user.unwrap_or("-")));
/// });
/// assert_eq!(users, ["root@node1 node1 root", "root@node2 node2 root", "gw gw -"]);
/// # Ok::<(), nodeset::NodeSetError>(())
/// ```
pub trait Attributes: Clone + Debug + Default + PartialEq {
    /// Divides a word of an expression into data and names. The names may have ranges and masks, and may be groups,
    /// which start with `@`.
    ///
    /// `operator` is the operator before the word if only names count there, as after `!`: data has no meaning there.
    ///
    /// # Errors
    /// The data is not valid.
    fn split(word: &str, operator: Option<char>) -> Result<Word<Self>, WordError>;

    /// Returns this data, completed by that of a list around it.
    #[must_use]
    fn or(&self, outer: &Self) -> Self;

    /// Returns the label of a node in a list that has this data; `None` to keep it. `own` is the node's own data.
    fn label(&self, label: &str, own: Option<&Self>) -> Option<String> {
        // The names have no underscore, since they are in the documentation.
        let _ = (label, own);
        None
    }
}

impl Attributes for () {
    fn split(word: &str, _: Option<char>) -> Result<Word<()>, WordError> {
        Ok(Word::plain(word))
    }

    fn or(&self, (): &()) {}
}

/// A word of an expression, divided into data and names. Both ranges are bytes of the word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Word<A> {
    /// The data.
    pub attributes: A,
    /// The part with the names.
    pub names: Range<usize>,
    /// The part that the labels show, with the names in it.
    pub label: Range<usize>,
    /// True if the names are one address, in which brackets and colons have no meaning.
    pub address: bool,
}

impl<A: Default> Word<A> {
    /// Returns a word that is names and nothing else.
    #[must_use]
    pub fn plain(word: &str) -> Word<A> {
        Word {
            attributes: A::default(),
            names: 0..word.len(),
            label: 0..word.len(),
            address: false,
        }
    }
}
