//! The files that an output consists of until it has its name, and what an earlier run left of them.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::Instant;

use super::progress::{Progress, RunIdentity, remove_if_there, rename};
use crate::error::DataError;

/// What to do about files that are there already.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Start {
    /// Refuse to touch an output file or an interrupted run.
    #[default]
    New,
    /// Continue an interrupted run; begin a new one where there is none.
    Resume,
    /// Replace the output and forget an interrupted run.
    Overwrite,
}

/// The files of a resumable output.
pub(super) struct FileRun {
    path: PathBuf,
    pub(super) partial: PathBuf,
    pub(super) progress_path: PathBuf,
    pub(super) progress: Progress,
    pub(super) last_checkpoint: Instant,
}

impl FileRun {
    pub(super) fn new(path: &Path, identity: RunIdentity) -> Self {
        let beside = |ending: &str| {
            let mut name = path.as_os_str().to_owned();
            name.push(ending);
            PathBuf::from(name)
        };
        Self {
            path: path.to_owned(),
            partial: beside(".partial"),
            progress_path: beside(".progress"),
            progress: Progress::new(identity),
            last_checkpoint: Instant::now(),
        }
    }

    pub(super) fn write_error(&self, source: io::Error) -> DataError {
        DataError::Write { path: self.path.clone(), source }
    }

    pub(super) fn part(&self, number: u32) -> PathBuf {
        let mut name = self.partial.as_os_str().to_owned();
        name.push(format!("-{number:05}"));
        PathBuf::from(name)
    }

    /// Looks at what is there already and brings it to the state that `start` asks for.
    pub(super) fn prepare(&mut self, start: Start, identity: &RunIdentity) -> Result<(), DataError> {
        let earlier = self.progress_path.exists();
        match start {
            Start::New if earlier => Err(DataError::OutputExists {
                path: self.progress_path.clone(),
                hint: "an interrupted run left it: continue with --resume, or start again with --overwrite",
            }),
            Start::New | Start::Resume if self.path.exists() && !earlier => Err(DataError::OutputExists {
                path: self.path.clone(),
                hint: "name another file, or replace it with --overwrite",
            }),
            Start::New | Start::Overwrite => self.discard().map_err(|source| self.write_error(source)),
            Start::Resume => self.resume(identity),
        }
    }

    fn resume(&mut self, identity: &RunIdentity) -> Result<(), DataError> {
        let Some(progress) = Progress::load(&self.progress_path, &self.path, identity)? else {
            return self.discard().map_err(|source| self.write_error(source));
        };
        self.progress = progress;
        if self.progress.finished {
            return self.settle().map_err(|source| self.write_error(source));
        }
        let missing = (0..self.progress.parts).map(|number| self.part(number)).find(|part| !part.exists());
        let held = fs::metadata(&self.partial).map_or(0, |metadata| metadata.len());
        let reason = if let Some(part) = missing {
            format!("{} is missing", part.display())
        } else if held < self.progress.bytes {
            format!("{} is shorter than it was", self.partial.display())
        } else {
            return Ok(());
        };
        Err(DataError::CannotResume { path: self.path.clone(), reason })
    }

    /// Forgets an interrupted run: first its progress, then its data.
    fn discard(&self) -> io::Result<()> {
        remove_if_there(&self.progress_path)?;
        remove_if_there(&self.partial)?;
        self.remove_parts(0)
    }

    pub(super) fn remove_parts(&self, from: u32) -> io::Result<()> {
        for number in from.. {
            let part = self.part(number);
            if !part.exists() {
                break;
            }
            fs::remove_file(part)?;
        }
        Ok(())
    }

    /// Opens the partial file to go on after its durable bytes.
    pub(super) fn open_partial(&self) -> io::Result<File> {
        let mut file = OpenOptions::new().create(true).truncate(false).write(true).open(&self.partial)?;
        file.set_len(self.progress.bytes)?;
        file.seek(SeekFrom::End(0))?;
        Ok(file)
    }

    /// Gives a complete partial file its name, and removes what was only needed until then. May be repeated after an
    /// interruption at any point.
    pub(super) fn settle(&mut self) -> io::Result<()> {
        if self.partial.exists() {
            rename(&self.partial, &self.path)?;
        }
        self.remove_parts(0)?;
        remove_if_there(&self.progress_path)
    }
}
