//! The iterator over the names of a set.

use std::collections::btree_map;
use std::iter::FusedIterator;
use std::vec;

use crate::grid::Rest;
use crate::names::ProductNames;
use crate::products::products;

/// An iterator over the names of a [`NodeSet`](crate::NodeSet), in the order of `nodeset -e`.
#[derive(Clone, Debug)]
pub struct Iter<'a> {
    patterns: btree_map::Iter<'a, Box<str>, Rest>,
    /// The products of the current pattern.
    products: vec::IntoIter<ProductNames>,
    current: Option<ProductNames>,
}

impl<'a> Iter<'a> {
    pub(crate) fn new(patterns: btree_map::Iter<'a, Box<str>, Rest>) -> Iter<'a> {
        Iter {
            patterns,
            products: Vec::new().into_iter(),
            current: None,
        }
    }
}

impl Iterator for Iter<'_> {
    type Item = String;

    fn next(&mut self) -> Option<String> {
        loop {
            if let Some(name) = self.current.as_mut().and_then(Iterator::next) {
                return Some(name);
            }
            self.current = self.products.next();
            if self.current.is_none() {
                let (pattern, rest) = self.patterns.next()?;
                // One pattern at a time, since the products of all patterns could need much memory.
                let products: Vec<ProductNames> = products(rest)
                    .iter()
                    .map(|product| {
                        let ranges = product.iter().map(|spans| spans.iter().collect());
                        ProductNames::new(pattern.clone(), ranges.collect())
                    })
                    .collect();
                self.products = products.into_iter();
            }
        }
    }
}

impl FusedIterator for Iter<'_> {}
