//! An append-only log of JSON objects, one a line, that survives being cut off at any byte.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::ser::Error as _;
use serde_json::{Map, Value};

use super::ReportError;

/// Longest line that is read back; a log of numbers never comes near.
const LINE_LIMIT: u64 = 1 << 24;

/// A log opened for appending; each entry reaches the file in one write.
#[derive(Debug)]
pub struct JsonlLog {
    path: PathBuf,
    file: File,
    /// Length up to the last whole line.
    bytes: u64,
}

impl JsonlLog {
    /// Opens `path` to append, creating it if need be and mending a last line that an interrupted write left torn.
    ///
    /// # Errors
    /// [`ReportError::Io`]; [`ReportError::Line`] when a line before the last is not a JSON object.
    pub fn open(path: &Path) -> Result<Self, ReportError> {
        Self::resume(path, u64::MAX)
    }

    /// As [`JsonlLog::open`], and forgets the entries of a run that went on beyond its last checkpoint: from the first entry
    /// whose `step` is above `last_step` the file is cut off.
    ///
    /// # Errors
    /// As [`JsonlLog::open`].
    pub fn resume(path: &Path, last_step: u64) -> Result<Self, ReportError> {
        let mut options = OpenOptions::new();
        let mut file =
            options.read(true).append(true).create(true).open(path).map_err(ReportError::io(path, "open the log"))?;
        let kept = kept_part(&mut file, path, last_step)?;
        let mend = |file: &mut File| -> io::Result<()> {
            if kept.bytes < file.metadata()?.len() {
                file.set_len(kept.bytes)?;
            }
            if kept.lacks_newline {
                file.write_all(b"\n")?;
            }
            file.sync_all()
        };
        mend(&mut file).map_err(ReportError::io(path, "mend the log"))?;
        let bytes = kept.bytes + u64::from(kept.lacks_newline);
        Ok(Self { path: path.to_owned(), file, bytes })
    }

    /// Adds one entry. A NaN or infinite number becomes `null`. A write that fails half-way (disk full) is taken back, so the
    /// log stays whole.
    ///
    /// # Errors
    /// [`ReportError::Entry`] when it does not serialise to a JSON object, [`ReportError::Io`].
    pub fn append<Entry: Serialize>(&mut self, entry: &Entry) -> Result<(), ReportError> {
        let unfit = |source| ReportError::Entry { path: self.path.clone(), source };
        let mut line = serde_json::to_vec(entry).map_err(unfit)?;
        if line.first() != Some(&b'{') {
            return Err(unfit(serde_json::Error::custom("an entry is a JSON object")));
        }
        line.push(b'\n');
        if let Err(error) = self.file.write_all(&line) {
            // When this fails too, the next opening mends the line; the first error is the one to tell.
            let _ = self.file.set_len(self.bytes);
            return Err(ReportError::io(&self.path, "append to the log")(error));
        }
        self.bytes += line.len() as u64;
        Ok(())
    }

    /// Waits until the entries are on the disk.
    ///
    /// # Errors
    /// [`ReportError::Io`].
    pub fn sync(&self) -> Result<(), ReportError> {
        self.file.sync_data().map_err(ReportError::io(&self.path, "sync the log"))
    }
}

/// The leading part of a log that stays.
struct Kept {
    bytes: u64,
    /// The last entry is whole but its newline was lost.
    lacks_newline: bool,
}

fn kept_part(file: &mut File, path: &Path, last_step: u64) -> Result<Kept, ReportError> {
    let failed = || ReportError::io(path, "read the log");
    file.seek(SeekFrom::Start(0)).map_err(failed())?;
    let mut reader = BufReader::new(file);
    let mut kept = Kept { bytes: 0, lacks_newline: false };
    let mut line = Vec::new();
    for number in 1.. {
        line.clear();
        let length = reader.by_ref().take(LINE_LIMIT).read_until(b'\n', &mut line).map_err(failed())?;
        if length == 0 {
            break;
        }
        let Ok(entry) = serde_json::from_slice::<Map<String, Value>>(&line) else {
            let is_last = reader.fill_buf().map_err(failed())?.is_empty();
            let damaged = ReportError::Line { path: path.to_owned(), line: number };
            return if is_last { Ok(kept) } else { Err(damaged) };
        };
        if entry.get("step").and_then(Value::as_u64).is_some_and(|step| step > last_step) {
            break;
        }
        kept.bytes += length as u64;
        kept.lacks_newline = line.last() != Some(&b'\n');
    }
    Ok(kept)
}
