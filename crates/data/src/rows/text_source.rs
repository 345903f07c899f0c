//! Text files as bytes: plain or gzip, without the byte order mark, split into lines of bounded length.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;
use std::sync::Arc;

use flate2::bufread::MultiGzDecoder;

use crate::error::{DataError, Location};

const BUFFER_BYTES: usize = 1 << 16;
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];
const BYTE_ORDER_MARK: [u8; 3] = [0xef, 0xbb, 0xbf];

/// A file, pipe or memory that text is read from.
pub(crate) type TextSource = Box<dyn BufRead + Send>;

/// Opens a text file; gzip is recognised by its first bytes, and a name that ends in `.gz` must be gzip.
pub(crate) fn open_text(path: &Arc<Path>) -> Result<TextSource, DataError> {
    let open_error = |source| DataError::open(path, source);
    let file = File::open(path).map_err(open_error)?;
    if file.metadata().map_err(open_error)?.is_dir() {
        return Err(open_error(io::Error::from(io::ErrorKind::IsADirectory)));
    }
    let source = decode(Box::new(file), path)?;
    Ok(source)
}

/// Wraps any byte stream: decompressed when it begins as gzip, its UTF-8 byte order mark dropped.
pub(crate) fn decode(mut bytes: Box<dyn Read + Send>, path: &Arc<Path>) -> Result<TextSource, DataError> {
    let read_error = |source| DataError::Read { at: Location::file(Arc::clone(path)), source };
    let head = peek(&mut bytes, GZIP_MAGIC.len()).map_err(read_error)?;
    let is_gzip = head == GZIP_MAGIC;
    if !is_gzip && !head.is_empty() && is_named_gzip(path) {
        let reason = "the name ends in .gz but the file is not gzip".into();
        return Err(DataError::UnknownFormat { path: path.to_path_buf(), reason });
    }
    let raw = BufReader::with_capacity(BUFFER_BYTES, io::Cursor::new(head).chain(bytes));
    let mut source: TextSource = if is_gzip {
        Box::new(BufReader::with_capacity(BUFFER_BYTES, MultiGzDecoder::new(raw)))
    } else {
        Box::new(raw)
    };
    let head = peek(&mut source, BYTE_ORDER_MARK.len()).map_err(read_error)?;
    if head == BYTE_ORDER_MARK {
        return Ok(source);
    }
    Ok(Box::new(io::Cursor::new(head).chain(source)))
}

/// Takes up to `length` bytes off the front of a stream.
fn peek(stream: &mut impl Read, length: usize) -> io::Result<Vec<u8>> {
    let mut head = Vec::with_capacity(length);
    stream.take(length as u64).read_to_end(&mut head)?;
    Ok(head)
}

/// Whether the name ends in `.gz`.
pub(crate) fn is_named_gzip(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("gz"))
}
