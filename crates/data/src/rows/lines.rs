//! Lines of bounded length: split on `\n` alone, checked as UTF-8, counted from 1.

use std::io::{self, BufRead};
use std::path::Path;
use std::sync::Arc;

use super::ReadOptions;
use super::text_source::TextSource;
use crate::error::{DataError, Location};

/// Reads one line after the other from a text file.
///
/// Only `\n` ends a line: `\r`, U+0085, U+2028 and the other separators that Python's `splitlines` knows are text. A
/// last line without `\n` counts; nothing after the last `\n` does not.
pub(crate) struct Lines {
    path: Arc<Path>,
    source: TextSource,
    line: u64,
    limit: usize,
    lossy: bool,
}

impl Lines {
    pub(crate) fn new(path: Arc<Path>, source: TextSource, options: &ReadOptions) -> Self {
        Self { path, source, line: 0, limit: options.max_line_bytes, lossy: options.lossy }
    }

    /// The place of the line last read.
    pub(crate) fn location(&self) -> Location {
        Location::line(Arc::clone(&self.path), self.line)
    }

    /// The next line without its `\n`.
    pub(crate) fn next_line(&mut self) -> Result<Option<String>, DataError> {
        let mut bytes = Vec::new();
        self.line += 1;
        loop {
            let available = match self.source.fill_buf() {
                Ok(available) => available,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(source) => return Err(DataError::Read { at: self.location(), source }),
            };
            if available.is_empty() {
                if bytes.is_empty() {
                    return Ok(None);
                }
                break;
            }
            let end = memchr::memchr(b'\n', available);
            let taken = end.unwrap_or(available.len());
            if bytes.len() + taken > self.limit {
                return Err(DataError::TooLong { at: self.location(), limit: self.limit, quoted: false });
            }
            bytes.extend_from_slice(&available[..taken]);
            let consumed = taken + usize::from(end.is_some());
            self.source.consume(consumed);
            if end.is_some() {
                break;
            }
        }
        decode_text(bytes, self.lossy, || self.location()).map(Some)
    }

    /// As [`Lines::next_line`], without the `\r` that a Windows editor leaves before `\n`.
    pub(crate) fn next_line_trimmed(&mut self) -> Result<Option<String>, DataError> {
        let mut line = self.next_line()?;
        if let Some(text) = &mut line
            && text.ends_with('\r')
        {
            text.pop();
        }
        Ok(line)
    }
}

/// Bytes to text: refused, or mended when `lossy`, where they are not UTF-8 or hold a NUL.
pub(crate) fn decode_text(bytes: Vec<u8>, lossy: bool, location: impl Fn() -> Location) -> Result<String, DataError> {
    let text = match String::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) if lossy => String::from_utf8_lossy(error.as_bytes()).into_owned(),
        Err(_) => return Err(DataError::Encoding { at: location() }),
    };
    if !text.as_bytes().contains(&0) {
        return Ok(text);
    }
    if lossy {
        return Ok(text.replace('\0', "\u{fffd}"));
    }
    Err(DataError::NulByte { at: location() })
}
