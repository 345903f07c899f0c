//! The loops around blocks: which thread computes which part of C, and in what order.

use super::kernel::{BLOCK, Beside, BlockKernel};
use super::pack::pack_left;
use super::scratch::{self, Purpose};
use super::tiles::{Layout, PANEL, View, chunks};
use crate::Cpu;
use crate::isa::Isa;
use crate::prefetch;
use crate::simd::{self, Simd, Storage};
use std::ops::Range;

/// Bytes of panels that stay in the L2 cache, at most: of the left ones that a task has packed, or of the right ones where left
/// panels pass by as activations lie in memory. With 2 MiB of L2 more of them is slower.
const RESIDENT: usize = 768 << 10;
/// The same in eighths of the L2 cache, where that is small.
const RESIDENT_EIGHTHS: usize = 3;
/// Bytes of right panels that packed left panels meet in turn.
const PASSING: usize = 96 << 10;
/// How many left panels that pass by are a task at most: enough for the start of a task not to count, few enough for threads
/// of unlike speed to end together.
const LEFT_PANELS_A_TASK: usize = 16;
/// Tasks a thread, where each packs left panels for itself or there are few of them: a slower core then takes fewer.
const TASKS_A_THREAD: usize = 2;
/// Bytes of a cache line.
const LINE: usize = 64;
/// How many right panels a new group is fetched ahead.
const RIGHT_AHEAD: usize = 2;
/// Cache lines of a chunk of a right panel.
const LINES_A_CHUNK: usize = 32;
/// With fewer row panels a thread, threads share out columns instead of rows.
const ROW_PANELS_A_THREAD: usize = 4;

/// Whether threads share out columns.
fn few(row_panels: usize, threads: usize) -> bool {
    row_panels < ROW_PANELS_A_THREAD * threads
}

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

/// Where a block lies in C, and how much of it.
#[derive(Clone, Copy)]
pub(super) struct Place {
    pub(super) row: usize,
    pub(super) column: usize,
    pub(super) rows: usize,
    pub(super) columns: usize,
}

/// How C is cut into tasks. Its shape alone decides over the order of sums, so the cut may depend on the team.
struct Cut {
    rows: usize,
    columns: usize,
    row_panels_a_task: usize,
    column_panels_a_task: usize,
}

impl Cut {
    /// For left panels that every task packs for itself, at most `fits` of them.
    fn packing(rows: usize, columns: usize, fits: usize, threads: usize) -> Cut {
        let (row_panels, column_panels) = (rows.div_ceil(PANEL), columns.div_ceil(PANEL));
        let (row_panels_a_task, column_panels_a_task) = if threads == 1 {
            (fits, column_panels)
        } else if few(row_panels, threads) {
            // Rows to pack are few, so that every task may pack them all.
            (fits, column_panels.div_ceil(TASKS_A_THREAD * threads))
        } else {
            (fits.min(row_panels.div_ceil(TASKS_A_THREAD * threads)), column_panels)
        };
        Cut { rows, columns, row_panels_a_task, column_panels_a_task }
    }

    /// For left panels that lie in memory: a task is a group of right panels, `group` at most, with some left ones. The next
    /// task mostly has the same group, which the thread still has in its cache.
    fn in_place(rows: usize, columns: usize, group: usize, threads: usize) -> Cut {
        let (row_panels, column_panels) = (rows.div_ceil(PANEL), columns.div_ceil(PANEL));
        let (row_panels_a_task, most) = if few(row_panels, threads) {
            (row_panels, column_panels.div_ceil(TASKS_A_THREAD * threads))
        } else {
            // As many for each thread, and more than one task a thread where rows are enough.
            let share = row_panels.div_ceil(threads);
            let tasks = share.div_ceil(LEFT_PANELS_A_TASK).max((share / ROW_PANELS_A_THREAD).min(2));
            (share.div_ceil(tasks), column_panels)
        };
        let groups = column_panels.div_ceil(group.min(most));
        Cut { rows, columns, row_panels_a_task, column_panels_a_task: column_panels.div_ceil(groups) }
    }

    fn row_tasks(&self) -> usize {
        self.rows.div_ceil(PANEL).div_ceil(self.row_panels_a_task)
    }

    fn column_tasks(&self) -> usize {
        self.columns.div_ceil(PANEL).div_ceil(self.column_panels_a_task)
    }

    fn tasks(&self) -> usize {
        self.row_tasks() * self.column_tasks()
    }

    /// The first and the end of a task's row panels.
    fn row_panels(&self, task: usize) -> (usize, usize) {
        let first = task % self.row_tasks() * self.row_panels_a_task;
        (first, (first + self.row_panels_a_task).min(self.rows.div_ceil(PANEL)))
    }

    /// The first and the end of a task's column panels.
    fn column_panels(&self, task: usize) -> (usize, usize) {
        let first = task / self.row_tasks() * self.column_panels_a_task;
        (first, (first + self.column_panels_a_task).min(self.columns.div_ceil(PANEL)))
    }

    fn place(&self, row_panel: usize, column_panel: usize) -> Place {
        let (row, column) = (row_panel * PANEL, column_panel * PANEL);
        Place { row, column, rows: PANEL.min(self.rows - row), columns: PANEL.min(self.columns - column) }
    }
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
    let panel_len = depth * K::Left::CHUNK;
    let panel_bytes = panel_len * size_of::<<K::Left as Layout>::Element>();
    let as_panels = left.as_left_panels::<K::Left>();
    let in_place = as_panels.is_some();
    let fit = |bytes: usize| (bytes / panel_bytes.max(1)).max(1);
    let threads = cpu.threads.count();
    let make = if in_place { Cut::in_place } else { Cut::packing };
    let resident = RESIDENT.min(cpu.caches.second / 8 * RESIDENT_EIGHTHS);
    let cut = make(left.rows, columns, fit(resident), threads);
    let group = if in_place { cut.column_panels_a_task } else { fit(PASSING) };
    cpu.threads.run(cut.tasks(), &|task| {
        let (first, end) = cut.row_panels(task);
        let compute = |left: &[_]| {
            scratch::with(Purpose::Sums, 2 * BLOCK, |sums: &mut [f32]| {
                let sums = sums.as_chunks_mut().0.first_chunk_mut().expect("the scratch has the size asked for");
                let task = Task { kernel, left, in_place, right, depth, cut: &cut, group, task, epilogue, sums };
                simd::dispatch(cpu.isa, task);
            });
        };
        match as_panels {
            Some(panels) => compute(&panels[first * panel_len..end * panel_len]),
            None => scratch::with(Purpose::Left, (end - first) * panel_len, |panels: &mut [_]| {
                pack_task::<K, T>(cpu.isa, left, &cut, task, panels, epilogue);
                compute(panels);
            }),
        }
    });
}

/// Packs the left panels of a task, reading storage in its order.
fn pack_task<K: BlockKernel, T: Storage>(
    isa: Isa,
    left: View<'_, T>,
    cut: &Cut,
    task: usize,
    panels: &mut [<K::Left as Layout>::Element],
    epilogue: &impl Epilogue,
) {
    let (first, end) = cut.row_panels(task);
    let depth = chunks::<K::Left>(left.depth);
    let at_once = if left.transposed { 1 } else { depth.max(1) };
    for chunk in (0..depth).step_by(at_once) {
        pack_left::<K::Left, T>(isa, left, first, chunk..chunk + at_once, panels);
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
    /// In chunks.
    depth: usize,
    cut: &'a Cut,
    /// Right panels that a left panel meets in turn.
    group: usize,
    task: usize,
    epilogue: &'a E,
    /// Room for a block that is computed and one that is finished.
    sums: &'a mut [[f32; BLOCK]; 2],
}

/// Compiled as a whole, so that the epilogue's vectors are inlined between the blocks' instructions.
impl<K: BlockKernel, E: Epilogue> simd::Kernel for Task<'_, K, E> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Task { kernel, left, in_place, right, depth, cut, group, task, epilogue, sums } = self;
        let (left_len, right_len) = (depth * K::Left::CHUNK, depth * K::Right::CHUNK);
        let (first_row_panel, end_row_panel) = cut.row_panels(task);
        let (first_column_panel, end_column_panel) = cut.column_panels(task);
        let row_panels = end_row_panel - first_row_panel;
        let [mut sums, mut finished] = sums.each_mut();
        let mut last = None;
        let _session = kernel.begin();
        for first in (first_column_panel..end_column_panel).step_by(group) {
            let end = end_column_panel.min(first + group);
            for row_panel in 0..row_panels {
                let this_left = &left[row_panel * left_len..][..left_len];
                for column_panel in first..end {
                    let this = &right[column_panel * right_len..][..right_len];
                    let ahead = match in_place {
                        false => Ahead::share(right, right_len, column_panel + group, row_panel, row_panels),
                        true if row_panel == 0 => Ahead::share(right, right_len, column_panel + RIGHT_AHEAD, 0, 1),
                        true => Ahead::share(left, left_len, row_panel + 1, column_panel - first, end - first),
                    };
                    let place = cut.place(first_row_panel + row_panel, column_panel);
                    let mut finish =
                        Finish { simd, epilogue, place, last, sums: finished, row: 0, due: 0, chunks: depth, ahead };
                    // SAFETY: both panels have `depth` chunks, cut from buffers aligned to 64 bytes of which a chunk is a
                    // multiple, and the session is alive.
                    unsafe {
                        kernel.block_beside(simd, this_left.as_ptr(), this.as_ptr(), depth, sums, false, &mut finish)
                    };
                    finish.complete();
                    std::mem::swap(&mut sums, &mut finished);
                    last = Some(place);
                }
            }
        }
        if let Some(place) = last {
            for (row, sums) in finished.as_chunks::<PANEL>().0.iter().take(place.rows).enumerate() {
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

impl Ahead {
    /// Part number `share` of panel number `index`, which is cut into `shares`, if there is such a panel; or a little more.
    #[inline(always)]
    fn share<T>(panels: &[T], panel_len: usize, index: usize, share: usize, shares: usize) -> Ahead {
        let next = panels.as_ptr().wrapping_add(index * panel_len + panel_len / shares * share);
        let lines_a_chunk = if (index + 1) * panel_len > panels.len() { 0 } else { LINES_A_CHUNK.div_ceil(shares) };
        Ahead { next: next.cast(), lines_a_chunk, due: 0 }
    }

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
