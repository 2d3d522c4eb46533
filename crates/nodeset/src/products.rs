//! Divides sets of points into products of ranges, exactly as ClusterShell does.
//!
//! A set in one dimension is one product. A set in several dimensions can be divided in many ways, and users compare
//! the result with that of `nodeset -f`. ClusterShell sorts single points, joins neighbours that differ in one
//! dimension, sorts again, and repeats this until nothing changes. Then it compares every product with every other.
//! [`products`] gives the same result faster: its first round takes whole rows, and it looks the partners of a product
//! up.

use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};
use std::rc::Rc;

use crate::grid::{Grid, Rest, Row};
use crate::index::Index;

/// First and last index of a range, as numbers.
pub(crate) type Span = (u64, u64);

/// Divides a set into products of ranges, in the order of the folded text.
pub(crate) fn products(rest: &Rest) -> Vec<Vec<Rc<[Span]>>> {
    let Some(grid) = rest else {
        // A pattern without holes is one name.
        return vec![Vec::new()];
    };
    if let Some(product) = single_product(grid) {
        return vec![product];
    }
    let mut folder = Folder::default();
    folder.first_round(grid, &mut Vec::new());
    folder.finish_current();
    // ClusterShell repeats this until nothing changes, and the result depends on it.
    loop {
        folder.sort();
        if !folder.join_neighbours() {
            break;
        }
    }
    while folder.join_all() {
        folder.sort();
    }
    let Folder { vectors, sets, .. } = folder;
    let spans = |id: &u32| Rc::clone(&sets[*id as usize].spans);
    vectors
        .iter()
        .map(|vector| vector.iter().map(spans).collect())
        .collect()
}

/// Returns the set as one product, if it is one: often only one of several numbers in the names varies.
fn single_product(grid: &Grid) -> Option<Vec<Rc<[Span]>>> {
    let mut product: Vec<Rc<[Span]>> = vec![spans_of(grid).into()];
    let mut rows = grid.rows();
    while let Some(Row {
        rest: Some(rest), ..
    }) = rows.first()
    {
        if rows.iter().any(|row| row.rest.as_ref() != Some(rest)) {
            return None;
        }
        product.push(spans_of(rest).into());
        rows = rest.rows();
    }
    Some(product)
}

fn spans_of(grid: &Grid) -> Vec<Span> {
    grid.rows()
        .iter()
        .map(|row| (row.first, row.last))
        .collect()
}

/// A set of indexes of one dimension, with its sort keys.
struct Set {
    spans: Rc<[Span]>,
    len: u64,
    /// Sort keys of the first and last index. ClusterShell compares them as text.
    ends: [(u64, usize); 2],
    signature: SetSignature,
}

/// A checksum of a set: the number of its indexes, their sum, and the sum of their squares. The signature of a union of
/// sets that do not overlap is the sum of their signatures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct SetSignature([u64; 3]);

impl SetSignature {
    fn of(spans: &[Span]) -> SetSignature {
        let signature = |&(first, last): &Span| {
            // The number of indexes may exceed 64 bits by one, and its square fits into 128.
            let (first, n) = (u128::from(first), u128::from(last - first) + 1);
            let sum = n * (n - 1) / 2;
            // Sums of squares do not fit. One of the factors is divisible by 3, since their product is.
            let squares = match sum % 3 {
                0 => (sum / 3).wrapping_mul(2 * n - 1),
                _ => sum.wrapping_mul((2 * n - 1) / 3),
            };
            let of_first = n.wrapping_mul(first);
            let all = [
                n,
                of_first.wrapping_add(sum),
                of_first
                    .wrapping_mul(first)
                    .wrapping_add(first.wrapping_mul(2).wrapping_mul(sum))
                    .wrapping_add(squares),
            ];
            // The lower halves are enough to distinguish sets.
            SetSignature(all.map(|number| number as u64))
        };
        let none = SetSignature([0; 3]);
        spans.iter().map(signature).fold(none, SetSignature::joined)
    }

    fn joined(self, other: SetSignature) -> SetSignature {
        // Only the lower halves are kept, so an overflow is no fault.
        SetSignature(std::array::from_fn(|i| self.0[i].wrapping_add(other.0[i])))
    }
}

/// A product of ranges: the id of a [`Set`] for each dimension.
type Vector = Box<[u32]>;

#[derive(Default)]
struct Folder {
    sets: Vec<Set>,
    ids: HashMap<Rc<[Span]>, u32>,
    signatures: HashSet<SetSignature>,
    /// Products that do not overlap. Their union is the whole set.
    vectors: Vec<Vector>,
    current: Option<Current>,
}

/// The product to which neighbours are joined.
struct Current {
    vector: Vector,
    growing: Option<Growing>,
}

/// A dimension of the current product with the sets to add to it.
struct Growing {
    dimension: usize,
    /// The present set and those to add, which do not overlap.
    sets: Vec<u32>,
    /// Signature of the union of `sets`.
    signature: SetSignature,
}

impl Folder {
    /// Returns the id of a set, whose spans are sorted and not empty.
    fn id(&mut self, spans: &[Span]) -> u32 {
        if let Some(&id) = self.ids.get(spans) {
            return id;
        }
        let id = self.sets.len() as u32;
        let spans: Rc<[Span]> = spans.into();
        let signature = SetSignature::of(&spans);
        self.signatures.insert(signature);
        let text_key = |index: Option<u64>| index.map_or((0, 0), |index| Index(index).text_key());
        self.sets.push(Set {
            len: spans.iter().map(|(first, last)| last - first + 1).sum(),
            ends: [
                text_key(spans.first().map(|s| s.0)),
                text_key(spans.last().map(|s| s.1)),
            ],
            spans: Rc::clone(&spans),
            signature,
        });
        self.ids.insert(spans, id);
        id
    }

    /// Returns the union of sets that do not overlap.
    fn union(&mut self, ids: &[u32]) -> u32 {
        let mut spans: Vec<Span> = Vec::new();
        for &id in ids {
            spans.extend_from_slice(&self.sets[id as usize].spans);
        }
        spans.sort_unstable();
        // The sets do not overlap, so their ranges can only touch.
        spans.dedup_by(|next, before| {
            let joins = before.1 + 1 == next.0;
            if joins {
                before.1 = next.1;
            }
            joins
        });
        self.id(&spans)
    }

    /// Joins neighbours in the order of the points' text. The points of one row of the last dimension always join, so
    /// only the first of them is compared with the current product.
    fn first_round(&mut self, grid: &Grid, above: &mut Vec<u32>) {
        let mut entries: Vec<(u64, &Grid)> = Vec::new();
        for row in grid.rows() {
            if let Some(rest) = &row.rest {
                entries.extend((row.first..=row.last).map(|index| (index, rest.as_ref())));
            }
        }
        entries.sort_by_cached_key(|&(index, _)| Index(index).text_key());
        for (index, rest) in entries {
            above.push(self.id(&[(index, index)]));
            if rest.rows().iter().any(|row| row.rest.is_some()) {
                self.first_round(rest, above);
            } else {
                self.add_row(rest, above);
            }
            above.pop();
        }
    }

    fn add_row(&mut self, row: &Grid, above: &[u32]) {
        let mut spans = spans_of(row);
        // ClusterShell sorts indexes as text: `10` comes before `2`.
        let Some(at) = (0..spans.len()).min_by_key(|&at| Index(spans[at].0).text_key()) else {
            return;
        };
        let (first, last) = spans[at];
        let mut vector: Vec<u32> = above.to_vec();
        vector.push(self.id(&[(first, first)]));
        if self.join_current(&vector) {
            // The rest of the row starts a new product.
            if first < last {
                spans[at].0 += 1;
            } else {
                spans.remove(at);
            }
            if spans.is_empty() {
                return;
            }
        }
        self.finish_current();
        vector.pop();
        vector.push(self.id(&spans));
        self.current = Some(Current {
            vector: vector.into(),
            growing: None,
        });
    }

    /// Joins a product to the current one if they differ in one dimension only.
    fn join_current(&mut self, next: &[u32]) -> bool {
        if let Some(Current {
            vector,
            growing: Some(growing),
        }) = &self.current
            && differs_only_in(vector, next, growing.dimension)
        {
            let dimension = growing.dimension;
            self.grow(dimension, next[dimension]);
            return true;
        }
        // Only one dimension can grow, so its union is made before another one is compared.
        self.settle_current();
        let Some(current) = &self.current else {
            return false;
        };
        let Some(dimension) = single_difference(&current.vector, next) else {
            return false;
        };
        self.grow(dimension, next[dimension]);
        true
    }

    /// Adds a set to a dimension of the current product. No other dimension may be growing.
    fn grow(&mut self, dimension: usize, set: u32) {
        let Some(current) = &mut self.current else {
            return;
        };
        let signature = |id: u32| self.sets[id as usize].signature;
        let growing = current.growing.get_or_insert_with(|| Growing {
            dimension,
            sets: vec![current.vector[dimension]],
            signature: signature(current.vector[dimension]),
        });
        growing.sets.push(set);
        growing.signature = growing.signature.joined(signature(set));
    }

    /// Does the pending additions to the current product.
    fn settle_current(&mut self) {
        if let Some(mut current) = self.current.take() {
            if let Some(Growing {
                dimension, sets, ..
            }) = current.growing.take()
            {
                current.vector[dimension] = self.union(&sets);
            }
            self.current = Some(current);
        }
    }

    fn finish_current(&mut self) {
        self.settle_current();
        self.vectors
            .extend(self.current.take().map(|current| current.vector));
    }

    /// Large products first, then those with large dimensions first, then by first and last index.
    fn sort(&mut self) {
        let set = |id: u32| &self.sets[id as usize];
        // Each size is computed once, not for every comparison.
        let mut keyed: Vec<(u128, Vector)> = std::mem::take(&mut self.vectors)
            .into_iter()
            .map(|vector| {
                (
                    vector.iter().map(|&id| u128::from(set(id).len)).product(),
                    vector,
                )
            })
            .collect();
        keyed.sort_by(|(size_a, a), (size_b, b)| {
            let dimension = |&id: &u32| (Reverse(set(id).len), set(id).ends);
            size_b
                .cmp(size_a)
                .then_with(|| a.iter().map(dimension).cmp(b.iter().map(dimension)))
        });
        self.vectors = keyed.into_iter().map(|(_, vector)| vector).collect();
    }

    /// Joins neighbours. Returns true if there were any.
    fn join_neighbours(&mut self) -> bool {
        let vectors = std::mem::take(&mut self.vectors);
        let before = vectors.len();
        for vector in vectors {
            if !self.join_current(&vector) {
                self.finish_current();
                self.current = Some(Current {
                    vector,
                    growing: None,
                });
            }
        }
        self.finish_current();
        self.vectors.len() < before
    }

    /// Joins every product with all later ones that fit. Returns true if there were any.
    ///
    /// Products that can be joined in a dimension are equal but for that dimension. So a product without one dimension
    /// is the key of all its partners in it, and the next partner is the earliest one under any of its keys.
    fn join_all(&mut self) -> bool {
        let mut partners: HashMap<Vector, Vec<usize>> = HashMap::new();
        for (at, vector) in self.vectors.iter().enumerate() {
            for dimension in 0..vector.len() {
                let key = blanked(vector, dimension);
                partners.entry(key).or_default().push(at);
            }
        }
        let vectors = std::mem::take(&mut self.vectors);
        let before = vectors.len();
        let mut gone = vec![false; before];
        for (at, vector) in vectors.iter().enumerate() {
            if gone[at] {
                continue;
            }
            let mut reached = at;
            let growing = None;
            let vector = vector.clone();
            self.current = Some(Current { vector, growing });
            while let Some((partner, dimension)) = self.next_partner(&partners, &gone, reached) {
                self.grow(dimension, vectors[partner][dimension]);
                gone[partner] = true;
                reached = partner;
            }
            self.finish_current();
        }
        self.vectors.len() < before
    }

    /// Returns the first product after `reached` that can be joined to the current one, and the dimension.
    fn next_partner(
        &mut self,
        partners: &HashMap<Vector, Vec<usize>>,
        gone: &[bool],
        reached: usize,
    ) -> Option<(usize, usize)> {
        // While one dimension grows, the others are tried only if its union may be a known set, by its signature. So a
        // long row of partners is joined once, at its end.
        if self
            .current_signature()
            .is_some_and(|signature| self.signatures.contains(&signature))
        {
            self.settle_current();
        }
        let Current { vector, growing } = self.current.as_ref()?;
        let growing = growing.as_ref().map(|growing| growing.dimension);
        (0..vector.len())
            .filter(|dimension| growing.is_none_or(|growing| growing == *dimension))
            .filter_map(|dimension| {
                let places = partners.get(&blanked(vector, dimension))?;
                // Products were added in order, so the places ascend.
                let later = &places[places.partition_point(|&place| place <= reached)..];
                Some((*later.iter().find(|&&place| !gone[place])?, dimension))
            })
            .min()
    }

    /// Signature of the growing dimension.
    fn current_signature(&self) -> Option<SetSignature> {
        let current = self.current.as_ref()?;
        current.growing.as_ref().map(|growing| growing.signature)
    }
}

fn blanked(vector: &Vector, dimension: usize) -> Vector {
    let mut key = vector.clone();
    // No set has this id.
    key[dimension] = u32::MAX;
    key
}

fn differs_only_in(a: &[u32], b: &[u32], dimension: usize) -> bool {
    a.iter()
        .zip(b)
        .enumerate()
        .all(|(i, (a, b))| i == dimension || a == b)
}

/// Returns the dimension in which two products differ, if it is only one.
fn single_difference(a: &[u32], b: &[u32]) -> Option<usize> {
    let mut differences = (0..a.len()).filter(|&i| a[i] != b[i]);
    differences.next().filter(|_| differences.next().is_none())
}
