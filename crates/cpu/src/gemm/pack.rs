//! Copies matrices into panels.

use super::tiles::{Layout, PANEL, Pairs, Singles, TILE, View, chunks};
use crate::Cpu;
use crate::isa::Isa;
use crate::matrix::Shared;
use crate::simd::{self, Simd, Storage, read};
use std::ops::Range;

/// Which operand a panel is for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Left,
    Right,
}

/// Chunks to be made: the 32 rows from `first_row` on of `matrix`, from chunk `first_chunk` of its depth on.
#[derive(Clone, Copy)]
pub(crate) struct Source<'a, T> {
    pub(super) matrix: View<'a, T>,
    pub(super) first_row: usize,
    pub(super) first_chunk: usize,
    pub(super) side: Side,
}

impl<T> Source<'_, T> {
    /// Whether lines of storage become columns of a tile. A right tile is `[units][rows]`, as is transposed storage.
    #[inline(always)]
    pub(super) fn crosses(&self) -> bool {
        self.matrix.transposed == (self.side == Side::Left)
    }
}

/// A layout that knows how to fill a panel.
pub(crate) trait Pack: Layout {
    /// Fills whole chunks of a panel.
    fn pack<T: Storage>(isa: Isa, source: Source<'_, T>, panel: &mut [Self::Element]);
}

/// Packs all rows of `matrix` into right panels; each task reads whole lines of storage.
pub(super) fn pack_right<L: Pack, T: Storage>(cpu: &Cpu, matrix: View<'_, T>, panels: &mut [L::Element]) {
    let chunks = chunks::<L>(matrix.depth);
    let count = matrix.rows.div_ceil(PANEL);
    let panels = &mut panels[..count * chunks * L::CHUNK];
    let pack = |panel: usize, first_chunk: usize, out: &mut [L::Element]| {
        L::pack(cpu.isa, Source { matrix, first_row: panel * PANEL, first_chunk, side: Side::Right }, out);
    };
    if matrix.transposed {
        let parts = Shared::of_rows(panels, L::CHUNK);
        cpu.threads.run(chunks, &|chunk| {
            // SAFETY: each task takes its own parts.
            let part = |panel| unsafe { parts.piece(panel * chunks + chunk, 0..L::CHUNK) };
            (0..count).for_each(|panel| pack(panel, chunk, part(panel)));
        });
    } else {
        let parts = Shared::of_rows(panels, chunks * L::CHUNK);
        // SAFETY: each task takes its own part.
        cpu.threads.run(count, &|panel| pack(panel, 0, unsafe { parts.piece(panel, 0..chunks * L::CHUNK) }));
    }
}

/// Packs chunks `range` of as many left panels as `panels` has room for, the first of them the matrix's `first_panel`. The panels
/// hold chunks `part` of the depth.
pub(super) fn pack_left<L: Pack, T: Storage>(
    isa: Isa,
    matrix: View<'_, T>,
    first_panel: usize,
    part: &Range<usize>,
    range: Range<usize>,
    panels: &mut [L::Element],
) {
    for (index, panel) in panels.chunks_exact_mut(part.len() * L::CHUNK).enumerate() {
        let (first_row, first_chunk) = ((first_panel + index) * PANEL, range.start);
        let source = Source { matrix, first_row, first_chunk, side: Side::Left };
        L::pack(isa, source, &mut panel[(range.start - part.start) * L::CHUNK..(range.end - part.start) * L::CHUNK]);
    }
}

impl Pack for Pairs {
    #[cfg(target_arch = "x86_64")]
    fn pack<T: Storage>(isa: Isa, source: Source<'_, T>, panel: &mut [half::bf16]) {
        let simd = isa.avx512_bf16.expect("only where there are instructions for pairs");
        super::pack_pairs::pack(simd, source, panel);
    }

    #[cfg(not(target_arch = "x86_64"))]
    fn pack<T: Storage>(_isa: Isa, _source: Source<'_, T>, _panel: &mut [half::bf16]) {
        unreachable!("only where there are instructions for pairs");
    }
}

impl<E: Storage> Pack for Singles<E> {
    fn pack<T: Storage>(isa: Isa, source: Source<'_, T>, panel: &mut [E]) {
        simd::dispatch(isa, PackSingles { source, panel });
    }
}

struct PackSingles<'a, T, E> {
    source: Source<'a, T>,
    panel: &'a mut [E],
}

impl<T: Storage, E: Storage> simd::Kernel for PackSingles<'_, T, E> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let PackSingles { source, panel } = self;
        let matrix = source.matrix;
        for (index, tile) in panel.chunks_exact_mut(TILE * TILE).enumerate() {
            let row = source.first_row + index % (PANEL / TILE) * TILE;
            let depth = (source.first_chunk + index / (PANEL / TILE)) * TILE;
            let (line, first) = if matrix.transposed { (depth, row) } else { (row, depth) };
            if source.crosses() {
                let mut lines = [0.0; TILE * TILE];
                for (number, out) in lines.chunks_exact_mut(TILE).enumerate() {
                    copy_line::<S, T, f32>(simd, matrix.line(line + number, first, TILE), out);
                }
                for (number, out) in tile.chunks_exact_mut(TILE).enumerate() {
                    let column: [f32; TILE] = std::array::from_fn(|line| lines[line * TILE + number]);
                    copy_line::<S, f32, E>(simd, &column, out);
                }
            } else {
                for (number, out) in tile.chunks_exact_mut(TILE).enumerate() {
                    copy_line::<S, T, E>(simd, matrix.line(line + number, first, TILE), out);
                }
            }
        }
    }
}

/// Converts up to 16 values and fills up with zeros.
#[inline(always)]
fn copy_line<S: Simd, T: Storage, E: Storage>(simd: S, line: &[T], out: &mut [E]) {
    for first in (0..TILE).step_by(S::LANES) {
        let value = read(simd, &line[first.min(line.len())..]);
        // SAFETY: `out` has 16 elements, a multiple of the lanes.
        unsafe { E::store(simd, out[first..].as_mut_ptr(), value) };
    }
}
