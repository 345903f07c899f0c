//! Writes the sequences of a corpus.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use serin_checkpoint::save::write_json_atomic;
use xxhash_rust::xxh3::Xxh3;

use crate::error::CorpusError;
use crate::header::{Contents, CorpusIdentity, HEADER_FILE, Header, OFFSETS_FILE, TOKENS_FILE};

/// A folder that sequences are added to; it is a corpus after [`finish`](Self::finish).
pub(crate) struct CorpusWriter {
    folder: PathBuf,
    tokens: HashedFile,
    offsets: HashedFile,
    largest_id: u32,
    bytes: Vec<u8>,
    pub(crate) token_count: u64,
    pub(crate) sequences: u64,
}

impl CorpusWriter {
    /// Begins an empty corpus of ids up to `largest_id`; the folder is made.
    pub(crate) fn create(folder: &Path, largest_id: u32) -> Result<Self, CorpusError> {
        fs::create_dir_all(folder).map_err(CorpusError::io(folder, "make the folder"))?;
        let tokens = HashedFile::create(folder.join(TOKENS_FILE))?;
        let mut offsets = HashedFile::create(folder.join(OFFSETS_FILE))?;
        offsets.write(&0u64.to_le_bytes())?;
        let (folder, bytes) = (folder.to_owned(), Vec::new());
        Ok(Self { folder, tokens, offsets, largest_id, bytes, token_count: 0, sequences: 0 })
    }

    /// Adds a sequence.
    pub(crate) fn push(&mut self, ids: &[u32]) -> Result<(), CorpusError> {
        self.bytes.clear();
        match token_bytes(self.largest_id) {
            2 => self.bytes.extend(ids.iter().flat_map(|&id| (id as u16).to_le_bytes())),
            _ => self.bytes.extend(ids.iter().flat_map(|&id| id.to_le_bytes())),
        }
        self.tokens.write(&self.bytes)?;
        self.token_count += ids.len() as u64;
        self.sequences += 1;
        self.offsets.write(&self.token_count.to_le_bytes())
    }

    /// Writes the header. The caller synchronises the folder.
    pub(crate) fn finish(self, identity: &CorpusIdentity, documents: u64) -> Result<(), CorpusError> {
        let contents = Contents {
            documents,
            tokens: self.token_count,
            sequences: self.sequences,
            largest_id: self.largest_id,
            token_bytes: token_bytes(self.largest_id),
            tokens_hash: self.tokens.finish()?,
            offsets_hash: self.offsets.finish()?,
        };
        Ok(write_json_atomic(&self.folder.join(HEADER_FILE), &Header::new(identity.clone(), contents))?)
    }
}

/// How many bytes hold an id.
fn token_bytes(largest_id: u32) -> usize {
    if largest_id <= u32::from(u16::MAX) { 2 } else { 4 }
}

struct HashedFile {
    path: PathBuf,
    file: BufWriter<File>,
    hash: Xxh3,
}

impl HashedFile {
    fn create(path: PathBuf) -> Result<Self, CorpusError> {
        let file = File::create(&path).map_err(CorpusError::io(&path, "create the file"))?;
        Ok(Self { path, file: BufWriter::with_capacity(1 << 20, file), hash: Xxh3::new() })
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), CorpusError> {
        self.hash.update(bytes);
        self.file.write_all(bytes).map_err(CorpusError::io(&self.path, "write the file"))
    }

    /// The hash of what was written.
    fn finish(mut self) -> Result<String, CorpusError> {
        self.file.flush().map_err(CorpusError::io(&self.path, "write the file"))?;
        Ok(format!("{:032x}", self.hash.digest128()))
    }
}
