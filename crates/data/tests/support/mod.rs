//! What the tests of this crate share.
#![allow(dead_code, unreachable_pub, reason = "each test program uses its part")]

use std::io::Write;
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;
use serin_data::{
    Cell, DataError, DataSpec, Dataset, Format, LabelUse, ReadOptions, Row, RowReader, Source, Split, Target,
    load_dataset,
};

/// A committed file, written by pyarrow, pandas or Python's csv (`golden/data_fixtures.py`).
pub fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name)
}

/// The texts of the fixtures, as the script has them.
pub const TEXTS: [&str; 8] = [
    "A plain sentence.",
    "She said \"no\", twice.",
    "comma, semicolon; tab\there",
    "two\nlines",
    "naïve café — 日本語 👩\u{200d}👩\u{200d}👧 \u{2028} \u{85}",
    "",
    "5\" pipe",
    "<br />html<br />",
];
/// The label ids of the fixtures.
pub const LABELS: [u32; 8] = [0, 1, 1, 0, 1, 0, 1, 0];

/// A folder that lasts as long as the test.
pub fn folder() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

/// Writes a file into a folder, with the folders in between.
pub fn put(folder: &tempfile::TempDir, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
    let path = folder.path().join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(&path, content).unwrap();
    path
}

pub fn gzip(content: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

pub fn spec(path: impl Into<PathBuf>) -> DataSpec {
    DataSpec { paths: vec![path.into()], ..DataSpec::default() }
}

pub fn load(path: impl Into<PathBuf>) -> Result<Dataset, DataError> {
    load_dataset(&spec(path))
}

/// Texts without labels.
pub fn load_texts(path: impl Into<PathBuf>) -> Result<Dataset, DataError> {
    load_dataset(&DataSpec { label_use: LabelUse::Ignored, ..spec(path) })
}

pub fn source(path: impl Into<PathBuf>) -> Source {
    Source::resolve(&[path.into()], Split::Train, None).unwrap()
}

/// All rows of a file, with the default options.
pub fn rows(path: impl Into<PathBuf>) -> Result<Vec<Row>, DataError> {
    RowReader::open(&source(path), &ReadOptions::default())?.collect()
}

pub fn rows_of_bytes(bytes: impl Into<Vec<u8>>, format: Format, options: &ReadOptions) -> Result<Vec<Row>, DataError> {
    let bytes = std::io::Cursor::new(bytes.into());
    RowReader::from_reader(Box::new(bytes), "<memory>", format, options)?.collect()
}

pub fn text(row: &Row, column: &str) -> String {
    match row.get(column) {
        Some(Cell::Text(text)) => text.into_owned(),
        other => panic!("{column} is {other:?}"),
    }
}

pub fn texts(dataset: &Dataset) -> Vec<&str> {
    dataset.examples.iter().map(|example| example.text.as_str()).collect()
}

pub fn classes(dataset: &Dataset) -> Vec<u32> {
    let class = |target: &Target| match target {
        Target::Class(id) => *id,
        other => panic!("{other:?}"),
    };
    dataset.examples.iter().map(|example| class(&example.target)).collect()
}

pub fn label_names(dataset: &Dataset) -> Vec<&str> {
    dataset.labels.as_ref().unwrap().names().iter().map(String::as_str).collect()
}

/// The folder of shared datasets, or `None`, said aloud.
pub fn shared(name: &str) -> Option<PathBuf> {
    let root = std::env::var_os("SERIN_SHARED")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared"), PathBuf::from);
    let path = root.join("data").join(name);
    if path.exists() {
        return Some(path);
    }
    eprintln!("skipped: {} is not there", path.display());
    None
}

/// The message of an error that must contain all of `parts`.
#[track_caller]
pub fn assert_error<T>(result: Result<T, DataError>, parts: &[&str]) {
    let message = match result {
        Ok(_) => panic!("no error; expected one with {parts:?}"),
        Err(error) => error.to_string(),
    };
    for part in parts {
        assert!(message.contains(part), "`{part}` is not in: {message}");
    }
}
