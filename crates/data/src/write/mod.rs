//! Rows back out with predictions: order and columns kept, constant memory, atomic, and resumable.
//!
//! A run into `out.csv` writes `out.csv.partial` and, at every checkpoint, `out.csv.progress`: how many input rows are
//! durably done and how many bytes of the partial file hold them. A resumed run cuts the partial file there and goes on.
//! Gzip output ends a member at each checkpoint; Parquet output is kept in part files, `out.parquet.partial-00000` and
//! so on, joined at the end. The last step is a rename.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use arrow_schema::SchemaRef;

use self::file_run::FileRun;
pub use self::file_run::Start;
pub use self::format::OutputFormat;
use self::parquet_parts::{ParquetOutput, PartError, join_parts};
pub use self::prediction::{PredictedValue, Prediction, PredictionColumns};
pub use self::progress::RunIdentity;
use self::text_lines::{LineFormat, LineSink};
use crate::error::DataError;
use crate::rows::Row;
use crate::rows::text_source::is_named_gzip;

mod file_run;
mod format;
mod parquet_parts;
mod prediction;
mod progress;
mod text_lines;

/// Checkpoints are this far apart at most, in time and rows.
const CHECKPOINT_AFTER: Duration = Duration::from_secs(30);
const CHECKPOINT_ROWS: u64 = 65_536;

/// Writes rows with their predictions, in the order in which they come.
///
/// Dropped without [`RowWriter::finish`], it makes what was written durable, to be resumed.
pub struct RowWriter {
    encoder: Encoder,
    predicted: PredictionColumns,
    input: SchemaRef,
    run: Option<FileRun>,
    rows: u64,
    failed: bool,
}

enum Encoder {
    Lines {
        format: LineFormat,
        sink: LineSink,
    },
    /// `None` between parts.
    Parquet(Option<Box<ParquetOutput>>),
}

impl RowWriter {
    /// Begins or continues a file; a name in `.gz` is compressed.
    ///
    /// `input` are the input's columns ([`crate::scan_schema`]). Rows that an earlier run has written already
    /// ([`RowWriter::rows`]) must not be written again: skip them in the input.
    ///
    /// # Errors
    /// A file that is there already, an interrupted run with another input or other settings, an unwritable folder.
    pub fn create(
        path: &Path,
        format: OutputFormat,
        input: SchemaRef,
        predicted: PredictionColumns,
        start: Start,
        mut identity: RunIdentity,
    ) -> Result<Self, DataError> {
        identity.set("output format", format.to_string());
        identity.set("output columns", predicted.names().join(", "));
        let mut run = FileRun::new(path, identity.clone());
        run.prepare(start, &identity)?;
        let encoder = match format {
            OutputFormat::Parquet => {
                run.remove_parts(run.progress.parts).map_err(|source| run.write_error(source))?;
                Encoder::Parquet(None)
            }
            // Nothing is left to write.
            _ if run.progress.finished => Encoder::Parquet(None),
            _ => {
                let file = run.open_partial().map_err(|source| run.write_error(source))?;
                let sink = LineSink::file(file, is_named_gzip(path)).map_err(|source| run.write_error(source))?;
                Encoder::Lines { format: line_format(format, &input), sink }
            }
        };
        let rows = run.progress.rows;
        let is_new = rows == 0 && run.progress.bytes == 0;
        let mut writer = Self { encoder, predicted, input, run: Some(run), rows, failed: false };
        if is_new {
            writer.write_header()?;
        }
        Ok(writer)
    }

    /// Writes to a pipe or memory, without compression and without resuming.
    ///
    /// # Errors
    /// The stream's.
    pub fn to_stream(
        stream: Box<dyn Write + Send>,
        format: OutputFormat,
        input: SchemaRef,
        predicted: PredictionColumns,
    ) -> Result<Self, DataError> {
        let encoder = match format {
            OutputFormat::Parquet => {
                let output = ParquetOutput::new(stream, &input, &predicted);
                Encoder::Parquet(Some(Box::new(output.map_err(|error| stream_error(io::Error::other(error)))?)))
            }
            _ => Encoder::Lines { format: line_format(format, &input), sink: LineSink::stream(stream, false) },
        };
        let mut writer = Self { encoder, predicted, input, run: None, rows: 0, failed: false };
        writer.write_header()?;
        Ok(writer)
    }

    /// Rows written so far, those of the interrupted run included.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Whether an earlier run had finished and there is nothing left to write.
    pub fn is_finished(&self) -> bool {
        self.run.as_ref().is_some_and(|run| run.progress.finished)
    }

    fn write_error(&self, source: io::Error) -> DataError {
        match &self.run {
            Some(run) => run.write_error(source),
            None => stream_error(source),
        }
    }

    fn part_error(&self, error: PartError) -> DataError {
        match error {
            PartError::Data(error) => error,
            PartError::Parquet(error) => self.write_error(io::Error::other(error)),
        }
    }

    fn write_header(&mut self) -> Result<(), DataError> {
        let Encoder::Lines { format, sink } = &mut self.encoder else { return Ok(()) };
        let written = format.header(&self.predicted).and_then(|header| sink.write(&header));
        written.map_err(|source| self.write_error(source))
    }

    /// Writes the next row; makes a checkpoint when the last one is long ago.
    ///
    /// # Errors
    /// A prediction that does not fit the labels, a row that does not fit the columns, the file system's errors. Nothing
    /// may be written after an error.
    pub fn write(&mut self, row: &Row, prediction: &Prediction) -> Result<(), DataError> {
        let written = self.write_row(row, prediction);
        self.failed |= written.is_err();
        written?;
        self.rows += 1;
        let due = self.run.as_ref().is_some_and(|run| {
            self.rows - run.progress.rows >= CHECKPOINT_ROWS || run.last_checkpoint.elapsed() >= CHECKPOINT_AFTER
        });
        if due { self.checkpoint() } else { Ok(()) }
    }

    fn write_row(&mut self, row: &Row, prediction: &Prediction) -> Result<(), DataError> {
        if self.failed || self.is_finished() {
            return Err(DataError::Setting("the output is closed".into()));
        }
        match &mut self.encoder {
            Encoder::Lines { format, sink } => {
                let line = format.line(row, &self.predicted, prediction)?;
                sink.write(&line).map_err(|source| self.write_error(source))
            }
            Encoder::Parquet(output) => {
                let mut open = match output.take() {
                    Some(open) => open,
                    None => self.open_part()?,
                };
                let written = open.write(row, &self.predicted, prediction);
                self.encoder = Encoder::Parquet(Some(open));
                written.map_err(|error| self.part_error(error))
            }
        }
    }

    fn open_part(&self) -> Result<Box<ParquetOutput>, DataError> {
        let Some(run) = &self.run else {
            return Err(DataError::Setting("the output is closed".into()));
        };
        let file = File::create(run.part(run.progress.parts)).map_err(|source| run.write_error(source))?;
        let output = ParquetOutput::new(Box::new(file), &self.input, &self.predicted);
        output.map(Box::new).map_err(|error| run.write_error(io::Error::other(error)))
    }

    /// Makes all rows so far durable, so that a run that is interrupted from here on continues after them.
    ///
    /// # Errors
    /// The file system's.
    pub fn checkpoint(&mut self) -> Result<(), DataError> {
        let done = self.make_durable();
        self.failed |= done.is_err();
        done
    }

    fn make_durable(&mut self) -> Result<(), DataError> {
        let (bytes, parts) = self.sync()?;
        let rows = self.rows;
        let Some(run) = &mut self.run else { return Ok(()) };
        run.progress.rows = rows;
        run.progress.bytes = bytes;
        run.progress.parts += parts;
        run.last_checkpoint = Instant::now();
        run.progress.save(&run.progress_path).map_err(|source| run.write_error(source))
    }

    /// Flushes to the disk; returns the bytes of the partial file and the number of parts that were completed.
    fn sync(&mut self) -> Result<(u64, u32), DataError> {
        match &mut self.encoder {
            Encoder::Lines { sink, .. } => {
                let synced = sink.sync();
                Ok((synced.map_err(|source| self.write_error(source))?, 0))
            }
            Encoder::Parquet(_) if self.run.is_none() => Ok((0, 0)),
            Encoder::Parquet(output) => {
                let Some(open) = output.take() else { return Ok((0, 0)) };
                open.close(&self.predicted).map_err(|error| self.part_error(error))?;
                if let Some(run) = &self.run {
                    let part = File::open(run.part(run.progress.parts));
                    part.and_then(|part| part.sync_all()).map_err(|source| run.write_error(source))?;
                }
                Ok((0, 1))
            }
        }
    }

    /// Completes the output and gives the file its name.
    ///
    /// # Errors
    /// The file system's.
    pub fn finish(mut self) -> Result<(), DataError> {
        if self.failed {
            return Err(DataError::Setting("the output is closed".into()));
        }
        let finished = if self.is_finished() { Ok(()) } else { self.complete() };
        self.failed |= finished.is_err();
        finished
    }

    fn complete(&mut self) -> Result<(), DataError> {
        let is_empty = self.rows == 0;
        if let Encoder::Lines { sink, .. } = &mut self.encoder {
            let finished = sink.finish(is_empty);
            finished.map_err(|source| self.write_error(source))?;
        }
        if self.run.is_none() {
            return self.close_stream();
        }
        self.make_durable()?;
        if matches!(self.encoder, Encoder::Parquet(_)) {
            self.join()?;
        }
        let Some(run) = &mut self.run else { return Ok(()) };
        run.progress.finished = true;
        let saved = run.progress.save(&run.progress_path).and_then(|()| run.settle());
        saved.map_err(|source| run.write_error(source))
    }

    fn close_stream(&mut self) -> Result<(), DataError> {
        match &mut self.encoder {
            Encoder::Parquet(output) => match output.take() {
                Some(open) => open.close(&self.predicted).map_err(|error| self.part_error(error)),
                None => Ok(()),
            },
            Encoder::Lines { .. } => Ok(()),
        }
    }

    fn join(&self) -> Result<(), DataError> {
        let Some(run) = &self.run else { return Ok(()) };
        let parts: Vec<PathBuf> = (0..run.progress.parts).map(|number| run.part(number)).collect();
        let file = File::create(&run.partial).map_err(|source| run.write_error(source))?;
        let handle = file.try_clone().map_err(|source| run.write_error(source))?;
        join_parts(&parts, file, &self.input, &self.predicted)
            .map_err(|error| run.write_error(io::Error::other(error)))?;
        handle.sync_all().map_err(|source| run.write_error(source))
    }
}

impl Drop for RowWriter {
    fn drop(&mut self) {
        let unsaved = self.run.as_ref().is_some_and(|run| run.progress.rows < self.rows);
        if unsaved && !self.failed && !self.is_finished() {
            // An error was on its way, or the run is being interrupted: what this one says cannot be heard any more.
            let _ = self.checkpoint();
        }
    }
}

fn line_format(format: OutputFormat, input: &SchemaRef) -> LineFormat {
    match format {
        OutputFormat::Csv => LineFormat::delimited(b',', input),
        OutputFormat::Tsv => LineFormat::delimited(b'\t', input),
        // Parquet has no lines and never comes here.
        OutputFormat::JsonLines | OutputFormat::Parquet => LineFormat::Json,
    }
}

fn stream_error(source: io::Error) -> DataError {
    DataError::Write { path: PathBuf::from("<stdout>"), source }
}
