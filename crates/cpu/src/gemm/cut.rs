//! How a product is cut: into tasks, into parts of its depth, and into what stays in a core's caches meanwhile.

use super::kernel::BLOCK;
use super::tiles::{Layout, PANEL};
use crate::Cpu;
use std::ops::Range;

/// Bytes of panels that stay in the L2 cache, at most: of the left ones that a task has packed, or of the right ones where left
/// panels pass by as activations lie in memory. With 2 MiB of L2 more of them is slower.
const RESIDENT: usize = 768 << 10;
/// The same in eighths of the L2 cache, where that is small.
const RESIDENT_EIGHTHS: usize = 3;
/// Packed panels of more bytes are multiplied by parts of their depth: too few whole ones would stay in the cache.
const WHOLE: usize = 256 << 10;
/// Bytes of such a part of a panel, at most.
const PART: usize = 96 << 10;
/// Bytes of right panels that packed left panels meet in turn.
const PASSING: usize = 96 << 10;
/// How many left panels that pass by are a task at most: enough for the start of a task not to count, few enough for threads
/// of unlike speed to end together.
const LEFT_PANELS_A_TASK: usize = 16;
/// Tasks a thread, where each packs left panels for itself or there are few of them: a slower core then takes fewer.
const TASKS_A_THREAD: usize = 2;
/// With fewer row panels a thread, threads share out columns instead of rows.
const ROW_PANELS_A_THREAD: usize = 4;

/// Where a block lies in C, and how much of it.
#[derive(Clone, Copy)]
pub(super) struct Place {
    pub(super) row: usize,
    pub(super) column: usize,
    pub(super) rows: usize,
    pub(super) columns: usize,
}

/// How C `[rows, columns]` is cut. Every sum is made in the order of the depth, so the cut may depend on the team and the caches.
pub(super) struct Cut {
    rows: usize,
    columns: usize,
    row_panels_a_task: usize,
    column_panels_a_task: usize,
    /// Chunks of a panel.
    pub(super) depth: usize,
    /// Chunks of a part of a packed panel.
    part: usize,
    /// Right panels that a left panel meets in turn.
    pub(super) group: usize,
}

impl Cut {
    /// For left panels that every task packs for itself, a part of their depth at a time. `depth` is in chunks.
    pub(super) fn packing<L: Layout>(cpu: &Cpu, [rows, columns, depth]: [usize; 3]) -> Cut {
        let (row_panels, column_panels) = (rows.div_ceil(PANEL), columns.div_ceil(PANEL));
        let bytes = depth * bytes_a_chunk::<L>();
        let part = if bytes > WHOLE { depth.div_ceil(bytes.div_ceil(PART)) } else { depth };
        let part_bytes = part * bytes_a_chunk::<L>();
        // With several parts, the sums of all blocks wait for the next one.
        let waiting = if part < depth { column_panels * BLOCK * size_of::<f32>() } else { 0 };
        let fits = fit(resident(cpu), part_bytes + waiting);
        let threads = cpu.threads.count();
        let (row_panels_a_task, column_panels_a_task) = if threads == 1 {
            (fits, column_panels)
        } else if few(row_panels, threads) {
            // Rows to pack are few, so that every task may pack them all.
            (fits, column_panels.div_ceil(TASKS_A_THREAD * threads))
        } else {
            (fits.min(row_panels.div_ceil(TASKS_A_THREAD * threads)), column_panels)
        };
        let group = fit(PASSING, part_bytes);
        Cut { rows, columns, row_panels_a_task, column_panels_a_task, depth, part, group }
    }

    /// For left panels that lie in memory: a task is a group of right panels, as many as fit, with some left ones. The next
    /// task mostly has the same group, which the thread still has in its cache.
    pub(super) fn in_place<L: Layout>(cpu: &Cpu, [rows, columns, depth]: [usize; 3]) -> Cut {
        let (row_panels, column_panels) = (rows.div_ceil(PANEL), columns.div_ceil(PANEL));
        let fits = fit(resident(cpu), depth * bytes_a_chunk::<L>());
        let threads = cpu.threads.count();
        let (row_panels_a_task, most) = if few(row_panels, threads) {
            (row_panels, column_panels.div_ceil(TASKS_A_THREAD * threads))
        } else {
            // As many for each thread, and more than one task a thread where rows are enough.
            let share = row_panels.div_ceil(threads);
            let tasks = share.div_ceil(LEFT_PANELS_A_TASK).max((share / ROW_PANELS_A_THREAD).min(2));
            (share.div_ceil(tasks), column_panels)
        };
        let groups = column_panels.div_ceil(fits.min(most));
        let column_panels_a_task = column_panels.div_ceil(groups);
        let group = column_panels_a_task;
        Cut { rows, columns, row_panels_a_task, column_panels_a_task, depth, part: depth, group }
    }

    fn row_tasks(&self) -> usize {
        self.rows.div_ceil(PANEL).div_ceil(self.row_panels_a_task)
    }

    fn column_tasks(&self) -> usize {
        self.columns.div_ceil(PANEL).div_ceil(self.column_panels_a_task)
    }

    pub(super) fn tasks(&self) -> usize {
        self.row_tasks() * self.column_tasks()
    }

    /// The first and the end of a task's row panels.
    pub(super) fn row_panels(&self, task: usize) -> (usize, usize) {
        let first = task % self.row_tasks() * self.row_panels_a_task;
        (first, (first + self.row_panels_a_task).min(self.rows.div_ceil(PANEL)))
    }

    /// The first and the end of a task's column panels.
    pub(super) fn column_panels(&self, task: usize) -> (usize, usize) {
        let first = task / self.row_tasks() * self.column_panels_a_task;
        (first, (first + self.column_panels_a_task).min(self.columns.div_ceil(PANEL)))
    }

    /// The parts of the depth, in chunks; one of no chunks if there is no depth, for a sum of nothing is 0.
    pub(super) fn parts(&self) -> impl Iterator<Item = Range<usize>> {
        let (depth, part) = (self.depth, self.part);
        (0..depth.max(1)).step_by(part.max(1)).map(move |start| start..depth.min(start + part))
    }

    /// Blocks of sums that a task needs: one that is computed and one that is finished; or all of them where they wait for the
    /// next part, and one that stands for none.
    pub(super) fn blocks_at_once(&self, task: usize) -> usize {
        let count = |(first, end)| end - first;
        match self.part < self.depth {
            true => count(self.row_panels(task)) * count(self.column_panels(task)) + 1,
            false => 2,
        }
    }

    pub(super) fn place(&self, row_panel: usize, column_panel: usize) -> Place {
        let (row, column) = (row_panel * PANEL, column_panel * PANEL);
        Place { row, column, rows: PANEL.min(self.rows - row), columns: PANEL.min(self.columns - column) }
    }
}

/// Whether threads share out columns.
fn few(row_panels: usize, threads: usize) -> bool {
    row_panels < ROW_PANELS_A_THREAD * threads
}

/// How many of `each` bytes fit into `bytes`; at least one is taken.
fn fit(bytes: usize, each: usize) -> usize {
    (bytes / each.max(1)).max(1)
}

/// Bytes of panels that stay in this machine's L2 cache.
fn resident(cpu: &Cpu) -> usize {
    RESIDENT.min(cpu.caches.second / 8 * RESIDENT_EIGHTHS)
}

fn bytes_a_chunk<L: Layout>() -> usize {
    L::CHUNK * size_of::<L::Element>()
}
