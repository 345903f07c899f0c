//! The frozen trunk computed once: its output of every example, on disk and, where a device has memory of its own, there too.
//!
//! Frozen layers run without dropout, so their output for an example never changes; from the second epoch on, training and
//! evaluation start where the trained layers begin. The file holds the rows of all examples end to end in the storage
//! type, written as the first epoch goes under a partial name and renamed once it is whole and on the disk: what a crash
//! leaves is never trusted, and swept up by the next run. When the disk fills up, the file is given up and the run goes
//! on without it. The device's memory holds the first of these rows, as many as fit, once they were computed or read.

mod file;
mod resident;
#[cfg(test)]
mod tests;

use crate::error::TrainError;
use crate::examples::Examples;
use file::{begin, read_exact_at, sweep, write_all_at};
use resident::Resident;
use serin_model::{Batch, DropoutContext, Model, Workspace};
use serin_ops::{Backend, DeviceError};
use std::fs::File;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// The ending of whole caches.
pub const CACHE_EXTENSION: &str = "trunk";

/// The trunk's output of one set of examples.
pub struct TrunkCache<B: Backend> {
    /// Locked while it is partial, so that nobody sweeps it up.
    file: Option<File>,
    whole: PathBuf,
    /// Where it is being filled; `None` once it is whole.
    partial: Option<PathBuf>,
    /// Bytes of a row.
    row_bytes: usize,
    /// One row an example instead of one a token: the whole encoder is frozen.
    row_per_example: bool,
    /// By example, whether the file has its rows.
    filled: Vec<bool>,
    missing: usize,
    scratch: Vec<u8>,
    resident: Option<Resident<B>>,
    /// Why the file was given up, until somebody asks.
    failure: Option<String>,
}

/// An example of a micro-batch.
struct Piece {
    index: usize,
    /// Its rows in the cache.
    rows: Range<usize>,
    /// The first of them in the workspace.
    row: usize,
}

/// Bytes that the trunk's output of `examples` takes.
pub fn cache_bytes<B: Backend>(model: &Model<B>, examples: &Examples) -> u64 {
    let rows = model.trunk_rows(examples.tokens(), examples.len());
    (rows * model.config().hidden * model.dtype().size()) as u64
}

impl<B: Backend> TrunkCache<B> {
    /// Opens the cache of `examples` in `folder`, complete from an earlier run or empty.
    ///
    /// `fingerprint` must name everything the trunk's output depends on: frozen weights, storage type, text settings and
    /// data.
    pub fn open(folder: &Path, fingerprint: &str, model: &Model<B>, examples: &Examples) -> io::Result<TrunkCache<B>> {
        std::fs::create_dir_all(folder)?;
        sweep(folder)?;
        let whole = folder.join(format!("{fingerprint}.{CACHE_EXTENSION}"));
        let complete = std::fs::metadata(&whole).is_ok_and(|found| found.len() == cache_bytes(model, examples));
        let (file, partial) = if complete {
            (File::open(&whole)?, None)
        } else {
            let (file, path) = begin(folder, fingerprint)?;
            (file, Some(path))
        };
        Ok(TrunkCache {
            file: Some(file),
            whole,
            partial,
            row_bytes: model.config().hidden * model.dtype().size(),
            row_per_example: model.trunk_rows(2, 1) == 1,
            filled: vec![complete; examples.len()],
            missing: if complete { 0 } else { examples.len() },
            scratch: Vec::new(),
            resident: None,
            failure: None,
        })
    }

    /// Holds rows in the device's memory too, as many as `bytes` allow, of micro-batches of at most `at_once` rows. They come
    /// there as they are computed or first read. Returns the bytes taken.
    pub(crate) fn hold(
        &mut self,
        backend: &B,
        model: &Model<B>,
        examples: &Examples,
        at_once: usize,
        bytes: usize,
    ) -> Result<usize, DeviceError> {
        let rows = model.trunk_rows(examples.tokens(), examples.len());
        // Rows are gathered by 32-bit numbers.
        let capacity = rows.min(bytes / self.row_bytes).min(u32::MAX as usize);
        if capacity > 0 {
            self.resident = Some(Resident::new(backend, model, capacity, examples.len(), at_once)?);
        }
        Ok(capacity * self.row_bytes)
    }

    /// Whether the file has every example.
    pub fn is_complete(&self) -> bool {
        self.missing == 0 && self.file.is_some()
    }

    /// Why the file was given up, once.
    pub fn take_failure(&mut self) -> Option<String> {
        self.failure.take()
    }

    /// Brings the trunk's output of a micro-batch into the workspace: from the cache if all of it is there, else by
    /// computing it, and then puts it into the cache. `dropout` must be `None` unless this cache is not used at all.
    #[allow(clippy::too_many_arguments)]
    pub fn trunk(
        &mut self,
        backend: &B,
        model: &Model<B>,
        space: &mut Workspace<B>,
        examples: &Examples,
        indices: &[u32],
        batch: &Batch,
        dropout: Option<&DropoutContext>,
    ) -> Result<(), TrainError> {
        let pieces = self.pieces(examples, indices);
        if pieces.iter().all(|piece| self.has(piece.index)) {
            match self.load(backend, model, space, &pieces) {
                Ok(()) => return Ok(()),
                Err(error) => self.give_up(&error),
            }
        }
        model.forward_trunk(backend, space, batch, dropout);
        self.store(backend, model, space, &pieces)
    }

    fn is_resident(&self, index: usize) -> bool {
        self.resident.as_ref().is_some_and(|resident| resident.has(index))
    }

    fn has(&self, index: usize) -> bool {
        self.is_resident(index) || (self.file.is_some() && self.filled[index])
    }

    fn load(&mut self, backend: &B, model: &Model<B>, space: &mut Workspace<B>, pieces: &[Piece]) -> io::Result<()> {
        // What is gathered needs no other place: it is work that comes in its turn.
        if pieces.iter().any(|piece| !self.is_resident(piece.index)) {
            model.begin_trunk(space);
        }
        if let Some(resident) = &mut self.resident {
            resident.gather(backend, model, space, pieces);
        }
        for piece in pieces {
            if self.is_resident(piece.index) {
                continue;
            }
            let Some(file) = &self.file else { continue };
            self.scratch.resize(piece.rows.len() * self.row_bytes, 0);
            read_exact_at(file, &mut self.scratch, (piece.rows.start * self.row_bytes) as u64)?;
            model.write_trunk(backend, space, piece.row, &self.scratch);
            if let Some(resident) = &mut self.resident {
                resident.keep(backend, model, space, piece);
            }
        }
        Ok(())
    }

    fn store(
        &mut self,
        backend: &B,
        model: &Model<B>,
        space: &Workspace<B>,
        pieces: &[Piece],
    ) -> Result<(), TrainError> {
        if let Some(resident) = &mut self.resident {
            pieces.iter().for_each(|piece| resident.keep(backend, model, space, piece));
        }
        if self.file.is_none() || pieces.iter().all(|piece| self.filled[piece.index]) {
            return Ok(());
        }
        // All at once: a device is waited for by every read.
        let rows = pieces.last().map_or(0, |piece| piece.row + piece.rows.len());
        self.scratch.resize(rows * self.row_bytes, 0);
        model.read_trunk(backend, space, 0, &mut self.scratch)?;
        if let Err(error) = self.write(pieces) {
            self.give_up(&error);
        } else if self.missing == 0
            && let Err(error) = self.conclude()
        {
            self.failure = Some(format!("{}: {error}; the cache serves this run only", self.whole.display()));
        }
        Ok(())
    }

    /// Writes what the file lacks of a micro-batch, whose rows are in `scratch`.
    fn write(&mut self, pieces: &[Piece]) -> io::Result<()> {
        let Some(file) = &self.file else { return Ok(()) };
        for Piece { index, rows, row } in pieces {
            if !self.filled[*index] {
                let bytes = &self.scratch[row * self.row_bytes..][..rows.len() * self.row_bytes];
                write_all_at(file, bytes, (rows.start * self.row_bytes) as u64)?;
                self.filled[*index] = true;
                self.missing -= 1;
            }
        }
        Ok(())
    }

    /// Where the examples of a micro-batch lie.
    fn pieces(&self, examples: &Examples, indices: &[u32]) -> Vec<Piece> {
        let mut row = 0;
        let piece = |&index: &u32| {
            let index = index as usize;
            let (first, count) = match self.row_per_example {
                true => (index, 1),
                false => (examples.first_token(index), examples.length(index)),
            };
            let piece = Piece { index, rows: first..first + count, row };
            row += count;
            piece
        };
        indices.iter().map(piece).collect()
    }

    /// Makes a whole cache usable by later runs.
    fn conclude(&mut self) -> io::Result<()> {
        if let (Some(file), Some(partial)) = (&self.file, &self.partial) {
            file.sync_data()?;
            std::fs::rename(partial, &self.whole)?;
            self.partial = None;
        }
        Ok(())
    }

    fn give_up(&mut self, error: &io::Error) {
        let path = self.partial.take().unwrap_or_else(|| self.whole.clone());
        self.file = None;
        // The space is worth more than what is in the file, and a whole file that cannot be read is no cache.
        let _ = std::fs::remove_file(&path);
        let left = match self.resident {
            Some(_) => "going on with what of the cache is in the device's memory",
            None => "going on without the cache",
        };
        self.failure = Some(format!("{}: {error}; {left}", path.display()));
    }
}

impl<B: Backend> Drop for TrunkCache<B> {
    fn drop(&mut self) {
        if let Some(partial) = &self.partial {
            let _ = std::fs::remove_file(partial);
        }
    }
}
