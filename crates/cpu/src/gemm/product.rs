//! The loops around blocks: which thread computes which part of C, and in what order.

use super::kernel::{BLOCK, BlockKernel};
use super::scratch::{self, Purpose};
use super::tiles::{Layout, PANEL, Side, View, chunks, pack_panel};
use crate::threads::Threads;
use serin_tensor::Element;

/// Rows of C that a task computes: their left panels stay in the L2 cache.
const ROW_PANELS: usize = 8;
/// Fewest right panels of a task when C has few rows.
const COLUMN_PANELS: usize = 2;

/// What becomes of a finished block of C.
pub(super) trait Epilogue: Sync {
    /// Takes the block that begins at `(row, column)` of C, of which the upper left `rows × columns` are real.
    fn finish(&self, block: &[f32; BLOCK], place: Place);
}

/// Where a block lies in C, and how much of it.
#[derive(Clone, Copy)]
pub(super) struct Place {
    pub(super) row: usize,
    pub(super) column: usize,
    pub(super) rows: usize,
    pub(super) columns: usize,
}

/// `C = left · rightᵀ`, `[rows, columns]`, block by block into the epilogue. Each block is handed over exactly once.
pub(super) fn multiply<K: BlockKernel, T: Element>(
    threads: &Threads,
    kernel: K,
    left: View<'_, T>,
    right: &[<K::Right as Layout>::Element],
    columns: usize,
    epilogue: &impl Epilogue,
) {
    let (rows, depth) = (left.rows, chunks::<K::Left>(left.depth));
    let (left_panel, right_panel) = (depth * K::Left::CHUNK, depth * K::Right::CHUNK);
    let (row_panels, column_panels) = (rows.div_ceil(PANEL), columns.div_ceil(PANEL));
    assert!(right.len() >= column_panels * right_panel);
    if rows == 0 || columns == 0 {
        return;
    }
    #[cfg(test)]
    super::kernel::ran::record(kernel.level());
    let row_tasks = row_panels.div_ceil(ROW_PANELS);
    let column_tasks = (4 * threads.count()).div_ceil(row_tasks).min(column_panels.div_ceil(COLUMN_PANELS));
    let panels_a_task = column_panels.div_ceil(column_tasks);
    threads.run(row_tasks * column_tasks, &|task| {
        let first_panel = task / column_tasks * ROW_PANELS;
        let panels = ROW_PANELS.min(row_panels - first_panel);
        let first_column_panel = task % column_tasks * panels_a_task;
        let last_column_panel = (first_column_panel + panels_a_task).min(column_panels);
        scratch::with(Purpose::Left, panels * left_panel, |packed: &mut [<K::Left as Layout>::Element]| {
            for panel in 0..panels {
                let packed = &mut packed[panel * left_panel..][..left_panel];
                pack_panel::<K::Left, T>(left, (first_panel + panel) * PANEL, Side::Left, packed);
            }
            scratch::with(Purpose::Sums, BLOCK, |sums: &mut [f32]| {
                let block: &mut [f32; BLOCK] = sums.try_into().expect("the scratch has the size asked for");
                let _session = kernel.begin();
                for column_panel in first_column_panel..last_column_panel {
                    let right = &right[column_panel * right_panel..][..right_panel];
                    for panel in 0..panels {
                        let left = &packed[panel * left_panel..][..left_panel];
                        // SAFETY: both panels were cut to `depth` chunks from buffers aligned to 64 bytes, a chunk is a
                        // multiple of 64 bytes, and the session is alive.
                        unsafe { kernel.block(left.as_ptr(), right.as_ptr(), depth, block, false) };
                        let (row, column) = ((first_panel + panel) * PANEL, column_panel * PANEL);
                        let (rows, columns) = (PANEL.min(rows - row), PANEL.min(columns - column));
                        epilogue.finish(block, Place { row, column, rows, columns });
                    }
                }
            });
        });
    });
}
