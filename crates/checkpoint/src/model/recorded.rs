//! `serin.json`: how texts were prepared in training, kept beside the weights so that nobody prepares them otherwise.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use serde::Serialize;
use serde_json::{Map, Value};

use crate::save::write_json_atomic;
use crate::{CheckpointError, Hint};

/// The file's name in a model folder.
pub const RECORDED_FILE: &str = "serin.json";
/// Settings and provenance fit many times over.
const MOST_BYTES: u64 = 16 << 20;

/// The text settings of a model folder. What is `None` was not recorded.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct RecordedText {
    /// Tokens kept of a text, special tokens included.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_length: Option<usize>,
    /// Which end of a long text is cut: `right`, `left` or `head_tail`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub truncation: Option<String>,
    /// Tokens kept from the beginning under `head_tail`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub head: Option<usize>,
    /// What is done to a text before it is tokenised: `none` or `tweet`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub normalization: Option<String>,
    /// Where the model comes from: base model, data, version; free.
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub provenance: Map<String, Value>,
}

impl RecordedText {
    /// Reads `serin.json` of a model folder; `None` where there is none. Unknown keys are ignored.
    ///
    /// # Errors
    /// [`CheckpointError::Field`] for a value of the wrong kind, [`CheckpointError::Format`] for what is no JSON.
    pub fn read(folder: &Path) -> Result<Option<RecordedText>, CheckpointError> {
        let path = folder.join(RECORDED_FILE);
        let text = match read_json_file(&path) {
            Err(CheckpointError::Io { source, .. }) if source.kind() == ErrorKind::NotFound => return Ok(None),
            text => text?,
        };
        let json = parse_object(&path, &text)?;
        let text = |key| optional(&path, &json, key, "a string", |value| value.as_str().map(str::to_owned));
        let count = |key| {
            let positive = |value: &Value| value.as_u64().filter(|&count| count > 0)?.try_into().ok();
            optional(&path, &json, key, "a whole number of at least 1", positive)
        };
        let recorded = RecordedText {
            max_length: count("max_length")?,
            truncation: text("truncation")?,
            head: count("head")?,
            normalization: text("normalization")?,
            provenance: optional(&path, &json, "provenance", "an object", |value| value.as_object().cloned())?
                .unwrap_or_default(),
        };
        one_of(&path, "truncation", recorded.truncation.as_deref(), &["right", "left", "head_tail"])?;
        one_of(&path, "normalization", recorded.normalization.as_deref(), &["none", "tweet"])?;
        Ok(Some(recorded))
    }

    /// Writes `serin.json` into a model folder, atomically.
    ///
    /// # Errors
    /// [`CheckpointError::Io`].
    pub fn write(&self, folder: &Path) -> Result<(), CheckpointError> {
        write_json_atomic(&folder.join(RECORDED_FILE), self)
    }
}

/// The text of a JSON file of a reasonable size.
pub(super) fn read_json_file(path: &Path) -> Result<Vec<u8>, CheckpointError> {
    let fail = |error| CheckpointError::io(path, "read the file", error);
    if fs::metadata(path).map_err(fail)?.len() > MOST_BYTES {
        return Err(CheckpointError::format(path, "is too large for a settings file", Hint::NONE));
    }
    fs::read(path).map_err(fail)
}

fn parse_object(path: &Path, text: &[u8]) -> Result<Map<String, Value>, CheckpointError> {
    serde_json::from_slice(text)
        .map_err(|error| CheckpointError::format(path, format!("is not a JSON object: {error}"), Hint::NONE))
}

fn optional<T>(
    path: &Path,
    json: &Map<String, Value>,
    key: &str,
    expected: &str,
    read: impl FnOnce(&Value) -> Option<T>,
) -> Result<Option<T>, CheckpointError> {
    match json.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => match read(value) {
            Some(value) => Ok(Some(value)),
            None => Err(field(path, key, format!("expected {expected}, found {value}"))),
        },
    }
}

fn one_of(path: &Path, key: &str, value: Option<&str>, known: &[&str]) -> Result<(), CheckpointError> {
    match value {
        Some(value) if !known.contains(&value) => {
            Err(field(path, key, format!("'{value}' is unknown; known are {}", known.join(", "))))
        }
        _ => Ok(()),
    }
}

fn field(path: &Path, key: &str, reason: String) -> CheckpointError {
    CheckpointError::Field { path: path.to_owned(), field: key.to_owned(), reason, hint: Hint::NONE }
}
