//! What a tokenized corpus says about itself: what it was made from, how, and what came out.

use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use serin_text::{Normalization, Tokenizer};
use xxhash_rust::xxh3::xxh3_128;

use crate::documents::DocumentOptions;
use crate::error::CorpusError;
use crate::settings::{CorpusSettings, CorpusSources, Packing};

/// The header's file name. It is written last.
pub(crate) const HEADER_FILE: &str = "corpus.json";
/// Token ids of all sequences end to end, little-endian, 2 or 4 bytes each.
pub(crate) const TOKENS_FILE: &str = "tokens.bin";
/// Where each sequence begins, in tokens, and where the last ends: u64, little-endian.
pub(crate) const OFFSETS_FILE: &str = "offsets.bin";

const FORMAT: &str = "serin-corpus";
/// To be raised with every change of what the files hold.
const VERSION: u32 = 1;

/// A file that documents were read from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceFile {
    /// Its name, without the folder.
    pub name: String,
    /// Its size.
    pub bytes: u64,
}

/// All that decides what is in a tokenized corpus.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CorpusIdentity {
    /// A hash of the tokenizer's definition.
    pub tokenizer: String,
    /// The files that are learned from, in order.
    pub train_files: Vec<SourceFile>,
    /// The files that are held out.
    pub validation_files: Vec<SourceFile>,
    /// The files of which nothing is used.
    pub exclude_files: Vec<SourceFile>,
    /// As in [`CorpusSettings`].
    pub max_length: usize,
    /// As in [`CorpusSettings`].
    pub packing: Packing,
    /// As in [`CorpusSettings`].
    pub documents: DocumentOptions,
    /// As in [`CorpusSettings`].
    pub normalization: Normalization,
    /// As in [`CorpusSettings`].
    pub validation_fraction: f64,
    /// As in [`CorpusSettings`].
    pub seed: u64,
}

impl CorpusIdentity {
    /// What a corpus of these files, this tokenizer and these settings would be. Looks at the files' sizes, not into
    /// them.
    ///
    /// # Errors
    /// A file that is not there.
    pub fn of(sources: &CorpusSources, tokenizer: &Tokenizer, settings: &CorpusSettings) -> Result<Self, CorpusError> {
        let definition = tokenizer.to_json().map_err(|error| CorpusError::Tokenizer { problem: error.to_string() })?;
        Ok(Self {
            tokenizer: format!("{:032x}", xxh3_128(definition.as_bytes())),
            train_files: source_files(&sources.train)?,
            validation_files: source_files(&sources.validation)?,
            exclude_files: source_files(&sources.exclude)?,
            max_length: settings.max_length,
            packing: settings.packing,
            documents: settings.documents.clone(),
            normalization: settings.normalization,
            validation_fraction: settings.validation_fraction,
            seed: settings.seed,
        })
    }

    /// Refuses a corpus in `folder` that was made from this, where `wanted` is asked for; names the first difference.
    pub(crate) fn check(&self, wanted: &Self, folder: &Path) -> Result<(), CorpusError> {
        let (Ok(Value::Object(found)), Ok(Value::Object(expected))) =
            (serde_json::to_value(self), serde_json::to_value(wanted))
        else {
            return Ok(());
        };
        match found.iter().find(|(field, value)| expected.get(*field) != Some(*value)) {
            None => Ok(()),
            Some((field, value)) => Err(CorpusError::Mismatch {
                folder: folder.to_owned(),
                field: field.replace('_', " "),
                found: value.to_string(),
                expected: expected.get(field).map(Value::to_string).unwrap_or_default(),
            }),
        }
    }
}

fn source_files(paths: &[PathBuf]) -> Result<Vec<SourceFile>, CorpusError> {
    let of = |path: &PathBuf| {
        let bytes = fs::metadata(path).map_err(CorpusError::io(path, "look at the file"))?.len();
        let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
        Ok(SourceFile { name, bytes })
    };
    paths.iter().map(of).collect()
}

/// The contents of [`HEADER_FILE`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Header {
    format: String,
    version: u32,
    pub(crate) identity: CorpusIdentity,
    #[serde(flatten)]
    pub(crate) contents: Contents,
}

/// What came out of the documents.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Contents {
    pub(crate) documents: u64,
    pub(crate) tokens: u64,
    pub(crate) sequences: u64,
    /// The largest id of the tokenizer: no token has a larger one.
    pub(crate) largest_id: u32,
    /// 2 or 4.
    pub(crate) token_bytes: usize,
    /// XXH3 of each file's bytes, 128 bits in hexadecimal.
    pub(crate) tokens_hash: String,
    pub(crate) offsets_hash: String,
}

impl Header {
    pub(crate) fn new(identity: CorpusIdentity, contents: Contents) -> Self {
        Self { format: FORMAT.to_owned(), version: VERSION, identity, contents }
    }

    pub(crate) fn read(folder: &Path) -> Result<Self, CorpusError> {
        let path = folder.join(HEADER_FILE);
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Err(CorpusError::NoCorpus { folder: folder.to_owned() });
            }
            Err(error) => return Err(CorpusError::io(&path, "read the file")(error)),
        };
        let damaged = |problem: String| CorpusError::damaged(&path, problem);
        let value: Value = serde_json::from_str(&text).map_err(|error| damaged(format!("not valid JSON: {error}")))?;
        if value.get("format").and_then(Value::as_str) != Some(FORMAT) {
            return Err(damaged(format!("`format` is not {FORMAT:?}")));
        }
        if value.get("version").and_then(Value::as_u64) != Some(u64::from(VERSION)) {
            let version = value.get("version").map_or("missing".to_owned(), Value::to_string);
            return Err(damaged(format!("`version` is {version}, and {VERSION} is read here")));
        }
        let header: Self = serde_json::from_value(value).map_err(|error| damaged(error.to_string()))?;
        match header.contents.token_bytes {
            2 | 4 => Ok(header),
            other => Err(damaged(format!("`token_bytes` is {other}, not 2 or 4"))),
        }
    }
}
