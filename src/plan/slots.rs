//! A growing array whose clones share all unchanged chunks.

use std::sync::Arc;

/// The number of entries in a chunk. A change copies one chunk, so small chunks make a change cheap. It also copies the
/// list of chunks, so very small ones would cost as much again at a million entries.
const CHUNK: usize = 256;

/// An append-only array of values by slot.
///
/// # Cost
/// `clone` is O(1). A write to a clone copies one chunk of 256 values and the list of chunks. If nothing else refers to
/// them, it writes in place.
#[derive(Clone)]
pub(super) struct Slots<T> {
    /// The list grows by doubling. Its unused places all refer to one chunk of default values.
    chunks: Arc<[Arc<[T; CHUNK]>]>,
    len: usize,
}

impl<T: Clone + Default> Slots<T> {
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Returns the value at an index that this copy has assigned. A later copy may have assigned more.
    #[inline]
    pub(super) fn get(&self, index: usize) -> Option<&T> {
        self.near(index).filter(|_| index < self.len)
    }

    /// Returns the value at an index, or the default for an index that is allocated but not assigned. It is cheaper
    /// than `get`.
    #[inline]
    pub(super) fn near(&self, index: usize) -> Option<&T> {
        Some(&self.chunks.get(index / CHUNK)?[index % CHUNK])
    }

    pub(super) fn get_mut(&mut self, index: usize) -> Option<&mut T> {
        let chunk = Arc::make_mut(&mut self.chunks).get_mut(index / CHUNK)?;
        Some(&mut Arc::make_mut(chunk)[index % CHUNK])
    }

    /// Appends and returns the index.
    pub(super) fn push(&mut self, value: T) -> usize {
        let index = self.len;
        if index == self.chunks.len() * CHUNK {
            let free = std::iter::repeat_n(Arc::new(std::array::from_fn(|_| T::default())), self.chunks.len().max(1));
            self.chunks = self.chunks.iter().cloned().chain(free).collect();
        }
        self.len += 1;
        *self.get_mut(index).expect("the list has room") = value;
        index
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        self.chunks.iter().flat_map(|chunk| chunk.iter()).take(self.len)
    }
}

impl<T> Default for Slots<T> {
    fn default() -> Self {
        Self { chunks: Arc::default(), len: 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clone_does_not_see_later_changes() {
        let mut slots = Slots::default();
        for value in 0..1000 {
            assert_eq!(slots.push(value), value);
        }
        let before = slots.clone();
        *slots.get_mut(700).expect("there") = 0;
        slots.push(1000);
        assert_eq!((before.len(), before.get(700), before.get(1000)), (1000, Some(&700), None));
        assert_eq!((slots.len(), slots.get(700), slots.get(1000)), (1001, Some(&0), Some(&1000)));
        assert!(before.iter().copied().eq(0..1000));
    }

    #[test]
    fn a_change_shares_all_but_one_chunk() {
        let mut slots = Slots::default();
        (0..10 * CHUNK).for_each(|value| {
            slots.push(value);
        });
        let before = slots.clone();
        *slots.get_mut(3 * CHUNK).expect("there") += 1;
        let shared = slots.chunks.iter().zip(before.chunks.iter()).filter(|(a, b)| Arc::ptr_eq(a, b)).count();
        assert_eq!(shared, slots.chunks.len() - 1);
    }
}
