//! The boundaries of packed sequences, and the tiles in which attention walks over them.

use super::arena::Arena;
use super::region::Region;
use crate::device::Address;
use crate::error::CudaError;
use std::sync::Arc;

/// Rows of a tile of attention: `TILE` of `kernels/attention.cuh`.
const TILE: u32 = 64;

/// Boundaries of sequences.
pub struct Sequences {
    arena: Arc<Arena>,
    /// Where the boundaries are, and where the next will be: as for [`super::Indices`].
    places: [Place; 2],
    capacity: usize,
    count: usize,
    rows: usize,
    tile_count: usize,
}

struct Place {
    /// `[count + 1]`
    offsets: Region,
    /// `[tiles, 2]`: sequence, and first row inside of it.
    tiles: Region,
}

impl Sequences {
    pub(crate) fn with_capacity(arena: &Arc<Arena>, capacity: usize) -> Result<Sequences, CudaError> {
        let region = |bytes| Region::new(arena, bytes);
        let place = || Ok(Place { offsets: region(4 * (capacity + 1))?, tiles: region(8 * capacity)? });
        let places = [place()?, place()?];
        Ok(Sequences { arena: arena.clone(), places, capacity, count: 0, rows: 0, tile_count: 0 })
    }

    pub(crate) fn write(&mut self, offsets: &[u32]) -> Result<(), CudaError> {
        let count = offsets.len().saturating_sub(1);
        assert!(count <= self.capacity, "{count} sequences where there is room for {}", self.capacity);
        assert!(offsets.first().is_none_or(|&first| first == 0), "the first sequence begins at row 0");
        assert!(offsets.is_sorted(), "offsets of sequences fall");
        let tiles = tiles_of(offsets);
        self.places.reverse();
        let place = &mut self.places[0];
        if place.tiles.bytes() < 8 * tiles.len() {
            // How long sequences are is known now only; twice the room makes this rare.
            place.tiles = Region::new(&self.arena, 16 * tiles.len())?;
        }
        self.count = count;
        self.rows = offsets.last().map_or(0, |&end| end as usize);
        self.tile_count = tiles.len();
        place.offsets.write(0, bytemuck::cast_slice(offsets))?;
        place.tiles.write(0, bytemuck::cast_slice(&tiles))
    }

    /// Sequences.
    pub(crate) fn count(&self) -> usize {
        self.count
    }

    /// Rows of all.
    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    /// Tiles of all.
    pub(crate) fn tile_count(&self) -> usize {
        self.tile_count
    }

    /// Where the `count + 1` offsets are.
    pub(crate) fn offsets(&self) -> Address {
        self.places[0].offsets.at(4 * (self.count + 1))
    }

    /// Where the tiles are.
    pub(crate) fn tiles(&self) -> Address {
        self.places[0].tiles.at(8 * self.tile_count)
    }
}

/// (sequence, first row inside of it) of all tiles, those of long sequences first: they take longest.
fn tiles_of(offsets: &[u32]) -> Vec<[u32; 2]> {
    let mut lengths: Vec<(u32, u32)> =
        offsets.windows(2).zip(0..).map(|(pair, sequence)| (pair[1] - pair[0], sequence)).collect();
    lengths.sort_by_key(|&(length, sequence)| (std::cmp::Reverse(length), sequence));
    let tiles = |(length, sequence)| (0..length).step_by(TILE as usize).map(move |start| [sequence, start]);
    lengths.into_iter().flat_map(tiles).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tiles_cover_every_sequence_and_long_ones_come_first() {
        assert_eq!(tiles_of(&[0, 3, 3, 133, 197]), [[2, 0], [2, 64], [2, 128], [3, 0], [0, 0]]);
        assert_eq!(tiles_of(&[]), [[0u32; 2]; 0]);
        assert_eq!(tiles_of(&[0]), [[0u32; 2]; 0]);
    }
}
