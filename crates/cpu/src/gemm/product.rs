//! The loops around blocks: which thread computes which part of C, and in what order.

use super::cut::{Cut, Place};
use super::kernel::{BLOCK, Beside, BlockKernel};
use super::pack::pack_left;
use super::scratch::{self, Purpose};
use super::tiles::{Layout, PANEL, View, chunks};
use crate::Cpu;
use crate::isa::Isa;
use crate::prefetch;
use crate::simd::{self, Simd, Storage};
use std::ops::Range;

/// Bytes of a cache line.
const LINE: usize = 64;
/// How many right panels a new group is fetched ahead.
const RIGHT_AHEAD: usize = 2;
/// Cache lines of a chunk of a right panel.
const LINES_A_CHUNK: usize = 32;

/// What becomes of a finished block of C.
pub(super) trait Epilogue: Sync {
    /// Takes row number `row` of the block at a place of C; its first `place.columns` sums are real. `#[inline(always)]`, as
    /// is all that it calls.
    fn finish<S: Simd>(&self, simd: S, sums: &[f32; PANEL], place: Place, row: usize);
    /// [`Epilogue::finish`], for which a whole row's length is made a constant: its loops unroll then.
    #[inline(always)]
    fn finish_row<S: Simd>(&self, simd: S, sums: &[f32; PANEL], place: Place, row: usize) {
        match place.columns {
            PANEL => self.finish(simd, sums, Place { columns: PANEL, ..place }, row),
            _ => self.finish(simd, sums, place, row),
        }
    }
    /// Fetches what [`Epilogue::finish`] will read, into the L2 cache.
    fn prefetch_row(&self, place: Place, row: usize);
    /// Told once of every part of the left operand just after it was packed, while it is in the cache.
    fn packed(&self, _isa: Isa, _rows: Range<usize>, _depth: Range<usize>) {}
}

/// `C = left · rightᵀ`, `[rows, columns]`, block by block into the epilogue, each block once.
pub(super) fn multiply<K: BlockKernel, T: Storage>(
    cpu: &Cpu,
    kernel: K,
    left: View<'_, T>,
    right: &[<K::Right as Layout>::Element],
    columns: usize,
    epilogue: &impl Epilogue,
) {
    if left.rows == 0 || columns == 0 {
        return;
    }
    #[cfg(test)]
    super::kernel::ran::record(kernel.level(cpu.isa));
    let depth = chunks::<K::Left>(left.depth);
    let as_panels = left.as_left_panels::<K::Left>();
    let in_place = as_panels.is_some();
    let make = if in_place { Cut::in_place::<K::Left> } else { Cut::packing::<K::Left> };
    let cut = make(cpu, [left.rows, columns, depth]);
    cpu.threads.run(cut.tasks(), &|task| {
        let (first, end) = cut.row_panels(task);
        scratch::with(Purpose::Sums, cut.blocks_at_once(task) * BLOCK, |sums: &mut [f32]| {
            for part in cut.parts() {
                let len = part.len() * K::Left::CHUNK;
                let mut compute = |left: &[_]| {
                    let (part, sums) = (part.clone(), sums.as_chunks_mut().0);
                    let task = Task { kernel, left, in_place, right, part, cut: &cut, task, epilogue, sums };
                    simd::dispatch(cpu.isa, task);
                };
                match as_panels {
                    Some(panels) => compute(&panels[first * len..end * len]),
                    None => scratch::with(Purpose::Left, (end - first) * len, |panels: &mut [_]| {
                        pack_task::<K, T>(cpu.isa, left, &cut, task, &part, panels, epilogue);
                        compute(panels);
                    }),
                }
            }
        });
    });
}

/// Packs chunks `part` of the left panels of a task, reading storage in its order.
fn pack_task<K: BlockKernel, T: Storage>(
    isa: Isa,
    left: View<'_, T>,
    cut: &Cut,
    task: usize,
    part: &Range<usize>,
    panels: &mut [<K::Left as Layout>::Element],
    epilogue: &impl Epilogue,
) {
    let (first, end) = cut.row_panels(task);
    let at_once = if left.transposed { 1 } else { part.len().max(1) };
    for chunk in part.clone().step_by(at_once) {
        pack_left::<K::Left, T>(isa, left, first, part, chunk..chunk + at_once, panels);
        if cut.column_panels(task).0 == 0 {
            let rows = first * PANEL..left.rows.min(end * PANEL);
            epilogue.packed(isa, rows, chunk * K::Left::DEPTH..left.depth.min((chunk + at_once) * K::Left::DEPTH));
        }
    }
}

/// One task: group by group of its right panels, the blocks with all its left panels.
struct Task<'a, K: BlockKernel, E> {
    kernel: K,
    left: &'a [<K::Left as Layout>::Element],
    /// Whether the left panels come from memory, else from the cache.
    in_place: bool,
    right: &'a [<K::Right as Layout>::Element],
    /// The chunks of right panels to multiply; left ones have no others.
    part: Range<usize>,
    cut: &'a Cut,
    task: usize,
    epilogue: &'a E,
    /// As many as [`Cut::blocks_at_once`].
    sums: &'a mut [[f32; BLOCK]],
}

/// Compiled as a whole, so that the epilogue's vectors are inlined between the blocks' instructions.
impl<K: BlockKernel, E: Epilogue> simd::Kernel for Task<'_, K, E> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Task { kernel, left, in_place, right, part, cut, task, epilogue, sums } = self;
        let (chunks, group) = (part.len(), cut.group);
        let left = Panels { panels: left, apart: chunks * K::Left::CHUNK, len: chunks * K::Left::CHUNK };
        let right = &right[part.start * K::Right::CHUNK..];
        let right = Panels { panels: right, apart: cut.depth * K::Right::CHUNK, len: chunks * K::Right::CHUNK };
        let (begins, ends) = (part.start == 0, part.end == cut.depth);
        let (first_row_panel, end_row_panel) = cut.row_panels(task);
        let (first_column_panel, end_column_panel) = cut.column_panels(task);
        let (row_panels, column_panels) = (end_row_panel - first_row_panel, end_column_panel - first_column_panel);
        let (mut number, spare) = (0, sums.len() - 1);
        let mut last: Option<(Place, usize)> = None;
        let _session = kernel.begin();
        for first in (first_column_panel..end_column_panel).step_by(group) {
            let end = end_column_panel.min(first + group);
            for row_panel in 0..row_panels {
                let this_left = left.panel(row_panel);
                for column_panel in first..end {
                    let this = right.panel(column_panel);
                    let ahead = match in_place {
                        false => right.ahead(column_panel + group, row_panel, row_panels),
                        true if row_panel == 0 => right.ahead(column_panel + RIGHT_AHEAD, 0, 1),
                        true => left.ahead(row_panel + 1, column_panel - first, end - first),
                    };
                    let mut place = cut.place(first_row_panel + row_panel, column_panel);
                    if !ends {
                        place.rows = 0;
                    }
                    if spare > 1 {
                        number = row_panel * column_panels + column_panel - first_column_panel;
                    }
                    let before = last.map_or(spare, |(_, number)| number);
                    let [c, finished] = sums.get_disjoint_mut([number, before]).expect("two blocks of the task's");
                    let mut finish = Finish {
                        simd,
                        epilogue,
                        place,
                        last: last.map(|(place, _)| place),
                        sums: finished,
                        row: 0,
                        due: 0,
                        chunks,
                        ahead,
                    };
                    // SAFETY: both panels have `chunks` chunks, cut from buffers aligned to 64 bytes of which a chunk is a
                    // multiple, and the session is alive.
                    unsafe {
                        kernel.block_beside(simd, this_left.as_ptr(), this.as_ptr(), chunks, c, !begins, &mut finish)
                    };
                    finish.complete();
                    last = Some((place, number));
                    number = before;
                }
            }
        }
        if let Some((place, number)) = last {
            for (row, sums) in sums[number].as_chunks::<PANEL>().0.iter().take(place.rows).enumerate() {
                epilogue.finish_row(simd, sums, place, row);
            }
        }
    }
}

/// What goes on beside a block: the block before is finished, a few rows a chunk, and the next right panel fetched.
struct Finish<'a, S, E> {
    simd: S,
    epilogue: &'a E,
    /// Of the block that is computed.
    place: Place,
    /// Of the block that is finished, and its sums.
    last: Option<Place>,
    sums: &'a [f32; BLOCK],
    row: usize,
    /// 32 a chunk; `chunks` of them are a row.
    due: usize,
    chunks: usize,
    ahead: Ahead,
}

impl<S: Simd, E: Epilogue> Beside for Finish<'_, S, E> {
    #[inline(always)]
    fn advance(&mut self) {
        self.due += PANEL;
        while self.due >= self.chunks {
            self.due -= self.chunks;
            self.finish_row();
        }
    }

    #[inline(always)]
    fn fetch(&mut self, shares: usize) {
        self.ahead.advance(shares);
    }
}

impl<S: Simd, E: Epilogue> Finish<'_, S, E> {
    #[inline(always)]
    fn finish_row(&mut self) {
        if self.row < self.place.rows {
            self.epilogue.prefetch_row(self.place, self.row);
        }
        if let Some(place) = self.last
            && self.row < place.rows
        {
            let sums = self.sums[self.row * PANEL..].first_chunk().expect("32 rows of 32 sums");
            self.epilogue.finish_row(self.simd, sums, place, self.row);
        }
        self.row += 1;
    }

    /// What no chunk was there for.
    #[inline(always)]
    fn complete(mut self) {
        while self.row < PANEL {
            self.finish_row();
        }
    }
}

/// Fetches what comes next into the L2 cache, beside the blocks before it.
struct Ahead {
    next: *const u8,
    lines_a_chunk: usize,
    /// Lines that are due, times the shares of a chunk.
    due: usize,
}

/// Panels, or parts of them: `len` elements every `apart`.
struct Panels<'a, T> {
    panels: &'a [T],
    apart: usize,
    len: usize,
}

impl<'a, T> Panels<'a, T> {
    #[inline(always)]
    fn panel(&self, index: usize) -> &'a [T] {
        &self.panels[index * self.apart..][..self.len]
    }

    /// Part number `share` of panel number `index`, which is cut into `shares`, if there is such a panel; or a little more.
    #[inline(always)]
    fn ahead(&self, index: usize, share: usize, shares: usize) -> Ahead {
        let start = index * self.apart;
        let next = self.panels.as_ptr().wrapping_add(start + self.len / shares * share);
        let lines_a_chunk = if start + self.len > self.panels.len() { 0 } else { LINES_A_CHUNK.div_ceil(shares) };
        Ahead { next: next.cast(), lines_a_chunk, due: 0 }
    }
}

impl Ahead {
    #[inline(always)]
    fn advance(&mut self, shares: usize) {
        self.due += self.lines_a_chunk;
        while self.due >= shares {
            self.due -= shares;
            prefetch::to_read(self.next);
            self.next = self.next.wrapping_add(LINE);
        }
    }
}
