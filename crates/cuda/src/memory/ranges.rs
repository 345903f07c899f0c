//! Which parts of a block of memory are free: pure bookkeeping.

use std::collections::BTreeMap;

/// The free ranges of a block, as offset to length; neighbours are always joined.
pub(super) struct Ranges {
    free: BTreeMap<usize, usize>,
}

impl Ranges {
    /// A block of `len` free bytes.
    pub(super) fn new(len: usize) -> Ranges {
        Ranges { free: BTreeMap::from([(0, len)]) }
    }

    /// The offset of `len` bytes that were free, from the smallest range that holds them; `None` if none does.
    pub(super) fn take(&mut self, len: usize) -> Option<usize> {
        let fitting = self.free.iter().filter(|&(_, &free)| free >= len);
        let (&offset, &free) = fitting.min_by_key(|&(&offset, &free)| (free, offset))?;
        self.free.remove(&offset);
        if free > len {
            self.free.insert(offset + len, free - len);
        }
        Some(offset)
    }

    /// Frees what `take` gave.
    pub(super) fn give_back(&mut self, mut offset: usize, mut len: usize) {
        if let Some((&before, &free)) = self.free.range(..offset).next_back()
            && before + free == offset
        {
            self.free.remove(&before);
            offset = before;
            len += free;
        }
        if let Some(free) = self.free.remove(&(offset + len)) {
            len += free;
        }
        self.free.insert(offset, len);
    }

    /// Whether all `len` bytes of the block are free.
    #[cfg(test)]
    fn is_whole(&self, len: usize) -> bool {
        self.free.iter().map(|(&offset, &free)| (offset, free)).eq([(0, len)])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_disjoint_and_join_again_in_whatever_order_they_come_back() {
        for order in [[0, 1, 2, 3], [3, 2, 1, 0], [1, 3, 0, 2], [2, 0, 3, 1]] {
            let mut ranges = Ranges::new(100);
            let taken = [10, 20, 30, 40].map(|len| (ranges.take(len).unwrap(), len));
            let mut sorted = taken;
            sorted.sort();
            assert!(sorted.windows(2).all(|pair| pair[0].0 + pair[0].1 <= pair[1].0), "{sorted:?}");
            assert_eq!(ranges.take(1), None);
            for index in order {
                ranges.give_back(taken[index].0, taken[index].1);
            }
            assert!(ranges.is_whole(100), "{order:?}");
        }
    }

    #[test]
    fn the_smallest_range_that_fits_is_taken() {
        let mut ranges = Ranges::new(100);
        let [first, _, third, _] = [30, 10, 20, 40].map(|len| (ranges.take(len).unwrap(), len));
        ranges.give_back(first.0, first.1);
        ranges.give_back(third.0, third.1);
        assert_eq!(ranges.take(15), Some(third.0));
    }
}
