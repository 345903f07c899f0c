//! Rows between the thread that reads and the thread that tokenizes, bounded in rows and bytes.

use serin::data::{Columns, DataError, Row, text_cell};
use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Rows that are scored together: enough to fill many batches, few enough that a stop is soon and progress smooth.
const CHUNK_ROWS: usize = 1024;
/// Bytes of text in them, but for a single longer text.
const CHUNK_BYTES: usize = 256 << 10;
/// What may wait, in chunks.
const WAITING: usize = 4;

/// A row with its texts taken out.
pub(super) struct TextRow {
    pub(super) row: Row,
    pub(super) text: String,
    pub(super) pair: Option<String>,
}

impl TextRow {
    pub(super) fn read(row: Row, columns: &Columns) -> Result<TextRow, DataError> {
        let text = text_cell(&row, &columns.text)?;
        let pair = columns.pair.as_deref().map(|column| text_cell(&row, column)).transpose()?;
        Ok(TextRow { row, text, pair })
    }

    fn bytes(&self) -> usize {
        self.text.len() + self.pair.as_ref().map_or(0, String::len)
    }
}

/// A queue of rows with one end that puts and one that takes.
#[derive(Default)]
pub(super) struct RowQueue {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    rows: VecDeque<TextRow>,
    bytes: usize,
    /// No row follows; the reason, if it is an error.
    ended: Option<Option<DataError>>,
    /// Nobody takes any more.
    closed: bool,
}

impl State {
    fn holds(&self, chunks: usize) -> bool {
        self.rows.len() >= chunks * CHUNK_ROWS || self.bytes >= chunks * CHUNK_BYTES
    }
}

impl RowQueue {
    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic of the other thread leaves a queue that is whole; that thread's end is noticed elsewhere.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        self.changed.wait(state).unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for room; false when nobody takes rows any more.
    pub(super) fn put(&self, row: TextRow) -> bool {
        let mut state = self.lock();
        while state.holds(WAITING) && !state.closed {
            state = self.wait(state);
        }
        state.bytes += row.bytes();
        state.rows.push_back(row);
        self.changed.notify_all();
        !state.closed
    }

    /// No row follows; what is said first counts.
    pub(super) fn end(&self, error: Option<DataError>) {
        self.lock().ended.get_or_insert(error);
        self.changed.notify_all();
    }

    /// No row is wanted any more.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_all();
    }

    /// The next rows: a full chunk, or what there is if `prompt`; none at the end. An error comes after the rows before it.
    pub(super) fn take(&self, prompt: bool) -> Result<Vec<TextRow>, DataError> {
        let enough = |state: &State| state.holds(1) || (prompt && !state.rows.is_empty());
        let mut state = self.lock();
        while state.ended.is_none() && !enough(&state) {
            state = self.wait(state);
        }
        let (mut chunk, mut bytes) = (Vec::new(), 0);
        while chunk.len() < CHUNK_ROWS && bytes < CHUNK_BYTES {
            let Some(row) = state.rows.pop_front() else { break };
            bytes += row.bytes();
            chunk.push(row);
        }
        state.bytes -= bytes;
        self.changed.notify_all();
        match state.ended.as_mut().filter(|_| chunk.is_empty()).and_then(Option::take) {
            Some(error) => Err(error),
            None => Ok(chunk),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serin::data::{ColumnOptions, Format, LabelUse, ReadOptions, RowReader};
    use std::io::Cursor;
    use std::sync::Arc;
    use std::thread;
    use std::time::Duration;

    fn rows(count: usize, bytes: usize) -> Vec<TextRow> {
        let lines = format!("{}\n", "x".repeat(bytes)).repeat(count);
        let options = ReadOptions::default();
        let reader = RowReader::from_reader(Box::new(Cursor::new(lines)), "memory", Format::PlainText, &options);
        let reader = reader.unwrap();
        let columns = Columns::find(&reader, &ColumnOptions::default(), LabelUse::Ignored).unwrap();
        reader.map(|row| TextRow::read(row.unwrap(), &columns).unwrap()).collect()
    }

    #[test]
    fn what_is_read_waits_for_whoever_takes_in_bounded_memory() {
        for (bytes, most) in [(1, WAITING * CHUNK_ROWS), (CHUNK_BYTES, WAITING)] {
            let queue = Arc::new(RowQueue::default());
            let (reader, count) = (Arc::clone(&queue), 2 * most + 1);
            let thread = thread::spawn(move || {
                rows(count, bytes).into_iter().for_each(|row| assert!(reader.put(row)));
                reader.end(None);
            });
            while queue.lock().rows.len() < most {
                thread::sleep(Duration::from_millis(1));
            }
            thread::sleep(Duration::from_millis(50));
            assert_eq!(queue.lock().rows.len(), most);
            let mut taken = 0;
            loop {
                let chunk = queue.take(false).unwrap();
                if chunk.is_empty() {
                    break;
                }
                taken += chunk.len();
            }
            assert_eq!(taken, count);
            thread.join().unwrap();
        }
    }

    #[test]
    fn a_prompt_take_gives_what_there_is() {
        let queue = RowQueue::default();
        rows(3, 1).into_iter().for_each(|row| assert!(queue.put(row)));
        assert_eq!(queue.take(true).unwrap().len(), 3);
    }

    #[test]
    fn an_error_comes_after_the_rows_before_it_and_the_first_end_counts() {
        let queue = RowQueue::default();
        rows(2, 1).into_iter().for_each(|row| assert!(queue.put(row)));
        queue.end(Some(DataError::Setting("broken".into())));
        queue.end(None);
        assert_eq!(queue.take(false).unwrap().len(), 2);
        assert_eq!(queue.take(false).err().unwrap().to_string(), "broken");
    }

    #[test]
    fn nothing_is_put_for_nobody() {
        let queue = RowQueue::default();
        queue.close();
        assert!(!rows(1, 1).into_iter().all(|row| queue.put(row)));
    }
}
