//! The frozen trunk computed once: its output of every example, on disk.
//!
//! Frozen layers run without dropout, so their output for an example never changes; from the second epoch on, training and
//! evaluation start where the trained layers begin. The file holds the rows of all examples end to end in the storage
//! type, written as the first epoch goes under a partial name and renamed once it is whole and on the disk: what a crash
//! leaves is never trusted, and swept up by the next run. When the disk fills up, the cache is given up and the run goes
//! on without it.

use crate::error::TrainError;
use crate::examples::Examples;
use serin_model::{Batch, DropoutContext, Model, Workspace};
use serin_ops::Backend;
use std::fs::{File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

/// The ending of whole caches.
pub const CACHE_EXTENSION: &str = "trunk";
/// The ending of caches that are being filled, or were when their process died.
const PARTIAL_EXTENSION: &str = "partial";

/// The trunk's output of one set of examples.
pub struct TrunkCache {
    /// Locked while it is partial, so that nobody sweeps it up.
    file: Option<File>,
    whole: PathBuf,
    /// Where it is being filled; `None` once it is whole.
    partial: Option<PathBuf>,
    /// Bytes of a row.
    row_bytes: usize,
    /// One row an example instead of one a token: the whole encoder is frozen.
    row_per_example: bool,
    filled: Vec<bool>,
    missing: usize,
    scratch: Vec<u8>,
    /// Why the cache was given up, until somebody asks.
    failure: Option<String>,
}

/// Bytes that the trunk's output of `examples` takes.
pub fn cache_bytes<B: Backend>(model: &Model<B>, examples: &Examples) -> u64 {
    let rows = model.trunk_rows(examples.tokens(), examples.len());
    (rows * model.config().hidden * model.dtype().size()) as u64
}

impl TrunkCache {
    /// Opens the cache of `examples` in `folder`, complete from an earlier run or empty.
    ///
    /// `fingerprint` must name everything the trunk's output depends on: frozen weights, storage type, text settings and
    /// data.
    pub fn open<B: Backend>(
        folder: &Path,
        fingerprint: &str,
        model: &Model<B>,
        examples: &Examples,
    ) -> io::Result<TrunkCache> {
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
            failure: None,
        })
    }

    /// Whether every example is there.
    pub fn is_complete(&self) -> bool {
        self.missing == 0 && self.file.is_some()
    }

    /// Why the cache was given up, once.
    pub fn take_failure(&mut self) -> Option<String> {
        self.failure.take()
    }

    /// Brings the trunk's output of a micro-batch into the workspace: from the cache if all of it is there, else by
    /// computing it, and then puts it into the cache. `dropout` must be `None` unless this cache is not used at all.
    #[allow(clippy::too_many_arguments)]
    pub fn trunk<B: Backend>(
        &mut self,
        backend: &B,
        model: &Model<B>,
        space: &mut Workspace<B>,
        examples: &Examples,
        indices: &[u32],
        batch: &Batch,
        dropout: Option<&DropoutContext>,
    ) -> Result<(), TrainError> {
        if self.file.is_some() && indices.iter().all(|&index| self.filled[index as usize]) {
            match self.load(backend, model, space, examples, indices) {
                Ok(()) => return Ok(()),
                Err(error) => self.give_up(&error),
            }
        }
        model.forward_trunk(backend, space, batch, dropout);
        if self.file.is_some() {
            self.store(backend, model, space, examples, indices)?;
        }
        Ok(())
    }

    fn load<B: Backend>(
        &mut self,
        backend: &B,
        model: &Model<B>,
        space: &mut Workspace<B>,
        examples: &Examples,
        indices: &[u32],
    ) -> io::Result<()> {
        let Some(file) = &self.file else { return Ok(()) };
        let mut row = 0;
        for &index in indices {
            let (first, count) = self.place(examples, index as usize);
            self.scratch.resize(count * self.row_bytes, 0);
            read_exact_at(file, &mut self.scratch, (first * self.row_bytes) as u64)?;
            model.write_trunk(backend, space, row, &self.scratch);
            row += count;
        }
        Ok(())
    }

    fn store<B: Backend>(
        &mut self,
        backend: &B,
        model: &Model<B>,
        space: &Workspace<B>,
        examples: &Examples,
        indices: &[u32],
    ) -> Result<(), TrainError> {
        let mut row = 0;
        for &index in indices {
            let (first, count) = self.place(examples, index as usize);
            if !self.filled[index as usize] {
                self.scratch.resize(count * self.row_bytes, 0);
                model.read_trunk(backend, space, row, &mut self.scratch)?;
                let Some(file) = &self.file else { return Ok(()) };
                if let Err(error) = write_all_at(file, &self.scratch, (first * self.row_bytes) as u64) {
                    self.give_up(&error);
                    return Ok(());
                }
                self.filled[index as usize] = true;
                self.missing -= 1;
            }
            row += count;
        }
        if self.missing == 0
            && let Err(error) = self.conclude()
        {
            self.failure = Some(format!("{}: {error}; the cache serves this run only", self.whole.display()));
        }
        Ok(())
    }

    /// The first row and the number of rows of an example.
    fn place(&self, examples: &Examples, index: usize) -> (usize, usize) {
        if self.row_per_example { (index, 1) } else { (examples.first_token(index), examples.length(index)) }
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
        self.failure = Some(format!("{}: {error}; going on without the cache", path.display()));
    }
}

impl Drop for TrunkCache {
    fn drop(&mut self) {
        if let Some(partial) = &self.partial {
            let _ = std::fs::remove_file(partial);
        }
    }
}

/// A new partial file, locked. Two caches of one key can be filled at a time, also by one process: the same examples may train
/// and select.
fn begin(folder: &Path, fingerprint: &str) -> io::Result<(File, PathBuf)> {
    let process = std::process::id();
    let mut number = 0_u32;
    loop {
        let path = folder.join(format!("{fingerprint}.{process}.{number}.{PARTIAL_EXTENSION}"));
        match OpenOptions::new().read(true).write(true).create_new(true).open(&path) {
            Ok(file) => {
                file.lock()?;
                return Ok((file, path));
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => number += 1,
            Err(error) => return Err(error),
        }
    }
}

/// Removes what dead processes left half filled.
fn sweep(folder: &Path) -> io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == PARTIAL_EXTENSION)
            && File::open(&path).is_ok_and(|file| file.try_lock().is_ok())
        {
            let _ = std::fs::remove_file(&path);
        }
    }
    Ok(())
}

#[cfg(unix)]
fn read_exact_at(file: &File, bytes: &mut [u8], offset: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, bytes, offset)
}

#[cfg(unix)]
fn write_all_at(file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::write_all_at(file, bytes, offset)
}

#[cfg(not(unix))]
fn read_exact_at(mut file: &File, bytes: &mut [u8], offset: u64) -> io::Result<()> {
    use std::io::{Read, Seek, SeekFrom};
    file.seek(SeekFrom::Start(offset))?;
    file.read_exact(bytes)
}

#[cfg(not(unix))]
fn write_all_at(mut file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
    use std::io::{Seek, SeekFrom, Write};
    file.seek(SeekFrom::Start(offset))?;
    file.write_all(bytes)
}
