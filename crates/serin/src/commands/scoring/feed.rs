//! Reading and tokenizing ahead of the model, on threads of their own.

use super::queue::{RowQueue, TextRow};
use serin::data::{Columns, DataError, Row};
use serin::text::{EncodeSettings, Encoded, Tokenizer};
use serin::{Classifier, SerinError};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

/// Whether rows wait for others to be scored with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// Full chunks: a file, all of which is there.
    Full,
    /// What there is, at once: a pipe, whose writer may wait for the answer.
    Prompt,
}

/// Rows that are scored together, in order.
pub struct Chunk {
    /// The rows as they were read.
    pub rows: Vec<Row>,
    /// Their texts as token ids.
    pub encoded: Vec<Encoded>,
    /// Rows without a character of text.
    pub empty: usize,
}

/// What came of waiting.
pub enum Fed {
    /// The next rows.
    Chunk(Chunk),
    /// Nothing yet.
    Nothing,
    /// All rows are through.
    End,
}

/// What is said of a thread that panicked.
const STOPPED: &str =
    "stopped unexpectedly\nhint: this is a bug, please report it; RUST_BACKTRACE=1 shows where it comes from";

/// The rows of a reader, tokenized.
pub struct Feed {
    /// `None` after the last one.
    chunks: Receiver<Result<Option<Chunk>, SerinError>>,
}

impl Feed {
    /// Starts reading.
    ///
    /// The threads are not waited for: one of them may be stuck in a read from a pipe.
    pub fn start(
        rows: impl Iterator<Item = Result<Row, DataError>> + Send + 'static,
        columns: Columns,
        classifier: &Classifier,
        pace: Pace,
    ) -> Feed {
        let queue = Arc::new(RowQueue::default());
        let (sender, chunks) = sync_channel(1);
        let (tokenizer, settings) = (classifier.tokenizer().clone(), *classifier.text_settings());
        let waiting = Arc::clone(&queue);
        thread::spawn(move || read(rows, &columns, &queue));
        thread::spawn(move || tokenize(&waiting, &tokenizer, &settings, pace, &sender));
        Feed { chunks }
    }

    /// The next rows, after waiting for at most `patience`.
    pub fn next(&self, patience: Duration) -> Result<Fed, SerinError> {
        match self.chunks.recv_timeout(patience) {
            Ok(chunk) => Ok(chunk?.map_or(Fed::End, Fed::Chunk)),
            Err(RecvTimeoutError::Timeout) => Ok(Fed::Nothing),
            // Not the end: that is said.
            Err(RecvTimeoutError::Disconnected) => Err(SerinError::Refused(format!("tokenizing {STOPPED}"))),
        }
    }
}

fn read(rows: impl Iterator<Item = Result<Row, DataError>>, columns: &Columns, queue: &RowQueue) {
    let _guard = EndGuard(queue);
    for row in rows {
        match row.and_then(|row| TextRow::read(row, columns)) {
            Ok(row) => {
                if !queue.put(row) {
                    return;
                }
            }
            Err(error) => return queue.end(Some(error)),
        }
    }
    queue.end(None);
}

/// Ends a queue whose reader panicked, so that nobody waits for it for ever or takes its end for the file's.
struct EndGuard<'a>(&'a RowQueue);

impl Drop for EndGuard<'_> {
    fn drop(&mut self) {
        self.0.end(Some(DataError::Setting(format!("reading {STOPPED}"))));
    }
}

fn tokenize(
    queue: &RowQueue,
    tokenizer: &Tokenizer,
    settings: &EncodeSettings,
    pace: Pace,
    sender: &SyncSender<Result<Option<Chunk>, SerinError>>,
) {
    loop {
        let chunk = match queue.take(pace == Pace::Prompt) {
            Ok(rows) if rows.is_empty() => Ok(None),
            Ok(rows) => encode(rows, tokenizer, settings).map(Some),
            Err(error) => Err(error.into()),
        };
        let is_last = !matches!(chunk, Ok(Some(_)));
        if sender.send(chunk).is_err() || is_last {
            break;
        }
    }
    queue.close();
}

fn encode(rows: Vec<TextRow>, tokenizer: &Tokenizer, settings: &EncodeSettings) -> Result<Chunk, SerinError> {
    let texts: Vec<_> = rows.iter().map(|row| (row.text.as_str(), row.pair.as_deref())).collect();
    let encoded = tokenizer.encode_batch(&texts, settings)?;
    let is_empty = |(text, pair): &&(&str, Option<&str>)| text.is_empty() && pair.is_none_or(str::is_empty);
    let empty = texts.iter().filter(is_empty).count();
    Ok(Chunk { rows: rows.into_iter().map(|row| row.row).collect(), encoded, empty })
}
