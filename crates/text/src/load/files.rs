//! Reads the small files of a tokenizer, bounded and with the path in every error.

use std::io::{self, ErrorKind, Read};
use std::path::Path;

use serde::de::DeserializeOwned;

use crate::error::TextError;

/// The largest published tokenizer files are about 30 MB.
const LARGEST_FILE: u64 = 512 * 1024 * 1024;

/// The bytes of the file, or `None` if there is none.
pub(crate) fn read_bytes(path: &Path) -> Result<Option<Vec<u8>>, TextError> {
    match read_regular_file(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(source) => Err(TextError::Read { path: path.to_owned(), source }),
    }
}

fn read_regular_file(path: &Path) -> io::Result<Vec<u8>> {
    let metadata = std::fs::metadata(path)?;
    if !metadata.is_file() {
        return Err(io::Error::other("not a regular file"));
    }
    if metadata.len() > LARGEST_FILE {
        let message = format!("{} bytes are too many for a tokenizer file", metadata.len());
        return Err(io::Error::other(message));
    }
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path)?;
    file.take(LARGEST_FILE).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The file as UTF-8 text, or `None` if there is none.
pub(crate) fn read_text(path: &Path) -> Result<Option<String>, TextError> {
    let Some(bytes) = read_bytes(path)? else {
        return Ok(None);
    };
    match String::from_utf8(bytes) {
        Ok(text) => Ok(Some(text)),
        Err(error) => {
            let valid = &error.as_bytes()[..error.utf8_error().valid_up_to()];
            Err(TextError::Line {
                path: path.to_owned(),
                line: 1 + valid.iter().filter(|byte| **byte == b'\n').count(),
                problem: "not valid UTF-8; download the file again".to_owned(),
            })
        }
    }
}

/// The file as JSON, or `None` if there is none.
pub(crate) fn read_json<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, TextError> {
    let Some(bytes) = read_bytes(path)? else {
        return Ok(None);
    };
    serde_json::from_slice(&bytes).map(Some).map_err(|source| TextError::Json { path: path.to_owned(), source })
}
