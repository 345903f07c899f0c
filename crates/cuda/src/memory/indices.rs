//! Lists of indices, on the device and, for what launches need to know, on the host.

use super::arena::Arena;
use super::region::Region;
use crate::device::Address;
use crate::error::CudaError;
use std::sync::Arc;

/// A list of unsigned 32-bit indices.
pub struct Indices {
    /// Where the indices are, and where the next will be: they travel while work that reads the present ones goes on.
    regions: [Region; 2],
    values: Vec<u32>,
    capacity: usize,
}

impl Indices {
    pub(crate) fn with_capacity(arena: &Arc<Arena>, capacity: usize) -> Result<Indices, CudaError> {
        let region = || Region::new(arena, 4 * capacity);
        Ok(Indices { regions: [region()?, region()?], values: Vec::with_capacity(capacity), capacity })
    }

    pub(crate) fn write(&mut self, values: &[u32]) -> Result<(), CudaError> {
        assert!(values.len() <= self.capacity, "{} indices where there is room for {}", values.len(), self.capacity);
        self.values.clear();
        self.values.extend_from_slice(values);
        self.regions.reverse();
        self.regions[0].write(0, bytemuck::cast_slice(values))
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.values.len()
    }

    /// Where the first is, for a kernel that reads `count` of them. Panics if there are fewer: a bug of the caller.
    pub(crate) fn at(&self, count: usize) -> Address {
        assert!(count <= self.values.len(), "{count} of {} indices", self.values.len());
        self.regions[0].at(4 * count)
    }

    /// The first `count` on the host.
    pub(crate) fn host(&self, count: usize) -> &[u32] {
        &self.values[..count]
    }

    /// Rows that the first `count` reach in a table: one more than the largest index.
    pub(crate) fn reached(&self, count: usize) -> usize {
        self.values[..count].iter().max().map_or(0, |&largest| largest as usize + 1)
    }
}

/// Rows in the order of their index, and where the rows of one index end.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ByIndex {
    /// Row numbers, those of one index together and rising.
    pub(crate) order: Vec<u32>,
    /// Rows `order[segments[s]..segments[s + 1]]` have one index.
    pub(crate) segments: Vec<u32>,
}

impl ByIndex {
    pub(crate) fn of(indices: &[u32]) -> ByIndex {
        let mut order: Vec<u32> = (0..indices.len() as u32).collect();
        order.sort_unstable_by_key(|&row| (indices[row as usize], row));
        let begins = |&at: &usize| at == 0 || indices[order[at] as usize] != indices[order[at - 1] as usize];
        let mut segments: Vec<u32> = (0..order.len()).filter(begins).map(|at| at as u32).collect();
        segments.push(order.len() as u32);
        ByIndex { order, segments }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_one_index_are_together_and_in_order() {
        let sorted = ByIndex::of(&[7, 2, 7, 2, 9, 7]);
        assert_eq!(sorted, ByIndex { order: vec![1, 3, 0, 2, 5, 4], segments: vec![0, 2, 5, 6] });
        assert_eq!(ByIndex::of(&[]), ByIndex { order: vec![], segments: vec![0] });
    }
}
