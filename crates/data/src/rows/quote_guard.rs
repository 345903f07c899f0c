//! Watches the quotes of a CSV stream, because the `csv` crate forgives what must not be forgiven.
//!
//! To `csv`, a quote that is never closed swallows the rest of the file into one field, and text after a closing quote
//! is joined to the field. Both hide rows. The guard reads along, byte by byte, with the rules of RFC 4180, and turns
//! either into an error that names the line where the quote opened.

use std::collections::VecDeque;
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;

use super::text_source::TextSource;
use crate::error::{DataError, Location};

/// Where in a field the stream stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    FieldStart,
    Unquoted,
    Quoted,
    /// After a quote inside a quoted field: its end, or the first half of `""`.
    QuoteInQuoted,
}

/// Passes bytes through and fails at a broken quote or an endless record, after the last good record.
pub(crate) struct QuoteGuard {
    path: Arc<Path>,
    source: TextSource,
    delimiter: u8,
    quoting: bool,
    limit: usize,
    state: State,
    line: u64,
    /// The line on which the latest quoted field began.
    opened: u64,
    /// The line on which the current record began, and its bytes so far.
    record_line: u64,
    record_bytes: usize,
    /// The first lines of records that went by and have not been asked for. `csv` counts a blank line, and the second
    /// half of `\r\n`, to the record after it.
    record_lines: VecDeque<u64>,
    /// What is wrong with the bytes that have been held back.
    failure: Option<DataError>,
}

impl QuoteGuard {
    pub(crate) fn new(path: Arc<Path>, source: TextSource, delimiter: u8, quoting: bool, limit: usize) -> Self {
        Self {
            path,
            source,
            delimiter,
            quoting,
            limit,
            state: State::FieldStart,
            line: 1,
            opened: 1,
            record_line: 1,
            record_bytes: 0,
            record_lines: VecDeque::new(),
            failure: None,
        }
    }

    /// The line on which the next record begins, as the reader behind the guard comes to it.
    pub(crate) fn next_record_line(&mut self) -> Option<u64> {
        self.record_lines.pop_front()
    }

    fn location(&self, line: u64) -> Location {
        Location::line(Arc::clone(&self.path), line)
    }

    fn broken(&self, problem: String) -> DataError {
        DataError::BrokenQuote { at: self.location(self.opened), problem }
    }

    fn too_long(&self) -> DataError {
        let quoted = self.state == State::Quoted;
        let line = if quoted { self.opened } else { self.record_line };
        DataError::TooLong { at: self.location(line), limit: self.limit, quoted }
    }

    /// Watches bytes go by; returns how many are good, and leaves what is wrong with the rest in `failure`.
    fn watch(&mut self, bytes: &[u8]) -> usize {
        let mut record_start = 0;
        for (index, &byte) in bytes.iter().enumerate() {
            self.record_bytes += 1;
            if let Err(error) = self.step(byte) {
                self.failure = Some(error);
                return record_start;
            }
            if self.record_bytes == 0 {
                record_start = index + 1;
            }
        }
        if self.record_bytes > self.limit {
            self.failure = Some(self.too_long());
            return record_start;
        }
        bytes.len()
    }

    fn step(&mut self, byte: u8) -> Result<(), DataError> {
        let ends_record = matches!(byte, b'\n' | b'\r');
        if self.record_bytes == 1 && !ends_record {
            self.record_lines.push_back(self.line);
        }
        self.state = match self.state {
            State::FieldStart if byte == b'"' && self.quoting => {
                self.opened = self.line;
                State::Quoted
            }
            State::Quoted if byte == b'"' => State::QuoteInQuoted,
            State::Quoted => State::Quoted,
            State::QuoteInQuoted if byte == b'"' => State::Quoted,
            State::QuoteInQuoted if byte != self.delimiter && !ends_record => {
                let problem = format!("is closed on line {} in the middle of a field", self.line);
                return Err(self.broken(problem));
            }
            _ if ends_record || byte == self.delimiter => State::FieldStart,
            _ => State::Unquoted,
        };
        if byte == b'\n' {
            self.line += 1;
        }
        if ends_record && self.state == State::FieldStart {
            self.record_line = self.line;
            self.record_bytes = 0;
        }
        Ok(())
    }
}

impl Read for QuoteGuard {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.failure.is_none() {
            let read = match self.source.read(buffer) {
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => return Err(error),
                Err(source) => {
                    let at = self.location(self.line);
                    return Err(io::Error::other(DataError::Read { at, source }));
                }
            };
            if read == 0 && self.state == State::Quoted {
                return Err(io::Error::other(self.broken("is never closed".into())));
            }
            let good = self.watch(&buffer[..read]);
            if good > 0 || read == 0 {
                return Ok(good);
            }
        }
        // Once: the reader stops at the first error.
        self.failure.take().map_or(Ok(0), |failure| Err(io::Error::other(failure)))
    }
}
