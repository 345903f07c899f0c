//! A tokenized corpus, memory-mapped.

use std::fs::File;
use std::ops::Range;
use std::path::{Path, PathBuf};

use memmap2::Mmap;
use serin_text::Tokenizer;
use xxhash_rust::xxh3::xxh3_128;

use crate::error::CorpusError;
use crate::header::{CorpusIdentity, Header, OFFSETS_FILE, TOKENS_FILE};
use crate::settings::{CorpusSettings, CorpusSources};
use crate::tokenize::{self, TokenizeProgress, TokenizeReport};

/// Bytes of an offset.
const OFFSET_BYTES: usize = 8;

/// Sequences of token ids in files, special tokens included. Only what is read of them is in memory.
#[derive(Debug)]
pub struct Corpus {
    folder: PathBuf,
    header: Header,
    tokens: Mmap,
    offsets: Mmap,
    longest: usize,
}

impl Corpus {
    /// Reads the documents of `sources`, tokenizes them on rayon's threads, and writes the corpora `folder/train`
    /// ([`TRAIN`](crate::TRAIN)) and, if something is held out, `folder/validation`
    /// ([`VALIDATION`](crate::VALIDATION)).
    ///
    /// The files depend on documents, tokenizer and settings alone. The folder appears, or is replaced, when all is
    /// written. `progress` hears from time to time how far it is; [`ControlFlow::Break`](std::ops::ControlFlow) ends
    /// it.
    ///
    /// Exact duplicates of held-out documents are never among those that are learned from. With a fraction they are
    /// held out too; with files of their own they are dropped and counted. They are told by 64-bit hashes of the
    /// documents without spaces at their ends. Near duplicates are not looked for.
    ///
    /// # Errors
    /// Settings, files or documents that cannot be used, a folder that holds something else or cannot be written, and
    /// [`CorpusError::Interrupted`]. No folder is left half-written.
    pub fn tokenize(
        sources: &CorpusSources,
        tokenizer: &Tokenizer,
        settings: &CorpusSettings,
        folder: &Path,
        progress: &mut TokenizeProgress<'_>,
    ) -> Result<TokenizeReport, CorpusError> {
        tokenize::tokenize(sources, tokenizer, settings, folder, progress)
    }

    /// Opens a corpus and checks every byte of it against the hashes of its header.
    ///
    /// The files must not be changed while they are open.
    ///
    /// # Errors
    /// [`CorpusError::NoCorpus`], [`CorpusError::Damaged`], or files that cannot be read.
    pub fn open(folder: &Path) -> Result<Self, CorpusError> {
        let header = Header::read(folder)?;
        let tokens_bytes = header.contents.tokens.checked_mul(header.contents.token_bytes as u64);
        let offsets_bytes =
            header.contents.sequences.checked_add(1).and_then(|count| count.checked_mul(OFFSET_BYTES as u64));
        let tokens = map(&folder.join(TOKENS_FILE), tokens_bytes, &header.contents.tokens_hash)?;
        let offsets = map(&folder.join(OFFSETS_FILE), offsets_bytes, &header.contents.offsets_hash)?;
        let mut corpus = Self { folder: folder.to_owned(), header, tokens, offsets, longest: 0 };
        corpus.longest = corpus.check_offsets()?;
        Ok(corpus)
    }

    /// Refuses a corpus that was made from other files, another tokenizer or with other settings.
    ///
    /// Files are told by name (without folder), size and order.
    ///
    /// # Errors
    /// [`CorpusError::Mismatch`] with the first difference, or a file that is not there.
    pub fn check(
        &self,
        sources: &CorpusSources,
        tokenizer: &Tokenizer,
        settings: &CorpusSettings,
    ) -> Result<(), CorpusError> {
        self.header.identity.check(&CorpusIdentity::of(sources, tokenizer, settings)?, &self.folder)
    }

    /// What the corpus was made from.
    pub fn identity(&self) -> &CorpusIdentity {
        &self.header.identity
    }

    /// A hash of all sequences, 256 bits in hexadecimal: the same for the same token ids in the same order.
    pub fn fingerprint(&self) -> String {
        [self.header.contents.tokens_hash.as_str(), &self.header.contents.offsets_hash].concat()
    }

    /// How many sequences there are.
    pub fn len(&self) -> usize {
        self.offsets.len() / OFFSET_BYTES - 1
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many tokens all sequences have, special tokens included.
    pub fn tokens(&self) -> u64 {
        self.header.contents.tokens
    }

    /// How many documents they come from.
    pub fn documents(&self) -> u64 {
        self.header.contents.documents
    }

    /// How many tokens the longest sequence has.
    pub fn longest(&self) -> usize {
        self.longest
    }

    /// The largest id that a token may have.
    pub fn largest_id(&self) -> u32 {
        self.header.contents.largest_id
    }

    /// How many tokens a sequence has, special tokens included.
    ///
    /// # Panics
    /// If `index` is not less than [`len`](Self::len).
    pub fn length(&self, index: usize) -> usize {
        self.range(index).len()
    }

    /// The token ids of a sequence, special tokens included.
    ///
    /// # Panics
    /// If `index` is not less than [`len`](Self::len).
    pub fn sequence(&self, index: usize) -> Vec<u32> {
        let mut ids = Vec::new();
        self.append(index, &mut ids);
        ids
    }

    /// Adds the token ids of a sequence to `ids`.
    ///
    /// # Panics
    /// If `index` is not less than [`len`](Self::len).
    pub fn append(&self, index: usize, ids: &mut Vec<u32>) {
        let Range { start, end } = self.range(index);
        let bytes = &self.tokens[start * self.header.contents.token_bytes..end * self.header.contents.token_bytes];
        ids.extend(self.ids(bytes));
    }

    fn ids<'a>(&self, bytes: &'a [u8]) -> impl Iterator<Item = u32> + use<'a> {
        let width = self.header.contents.token_bytes;
        bytes.chunks_exact(width).map(move |bytes| match *bytes {
            [a, b] => u32::from(u16::from_le_bytes([a, b])),
            [a, b, c, d] => u32::from_le_bytes([a, b, c, d]),
            _ => 0,
        })
    }

    /// The tokens of a sequence, counted over all sequences.
    fn range(&self, index: usize) -> Range<usize> {
        assert!(index < self.len(), "sequence {index} of a corpus of {}", self.len());
        self.offset(index) as usize..self.offset(index + 1) as usize
    }

    fn offset(&self, index: usize) -> u64 {
        let bytes = self.offsets.get(index * OFFSET_BYTES..).and_then(|bytes| bytes.first_chunk());
        bytes.map_or(0, |bytes| u64::from_le_bytes(*bytes))
    }

    /// Checks that offsets ascend from 0 to the number of tokens and that no id is too large; gives the longest
    /// sequence's length.
    fn check_offsets(&self) -> Result<usize, CorpusError> {
        let damaged = |name: &str, problem: String| Err(CorpusError::damaged(&self.folder.join(name), problem));
        let (first, last) = (self.offset(0), self.offset(self.len()));
        if (first, last) != (0, self.header.contents.tokens) {
            return damaged(
                OFFSETS_FILE,
                format!("it goes from {first} to {last}, not to {}", self.header.contents.tokens),
            );
        }
        let mut longest = 0;
        for index in 0..self.len() {
            match self.offset(index + 1).checked_sub(self.offset(index)) {
                Some(length) if length > 0 => longest = longest.max(length as usize),
                _ => return damaged(OFFSETS_FILE, format!("sequence {index} has no tokens")),
            }
        }
        if longest > self.header.identity.max_length {
            let problem = format!("a sequence has {longest} tokens, more than {}", self.header.identity.max_length);
            return damaged(OFFSETS_FILE, problem);
        }
        match self.ids(&self.tokens).position(|id| id > self.header.contents.largest_id) {
            None => Ok(longest),
            Some(token) => damaged(TOKENS_FILE, format!("token {token} is no id of the tokenizer")),
        }
    }
}

/// Maps a file of a known size and hash.
fn map(path: &Path, bytes: Option<u64>, hash: &str) -> Result<Mmap, CorpusError> {
    let file = File::open(path).map_err(CorpusError::io(path, "open the file"))?;
    let found = file.metadata().map_err(CorpusError::io(path, "look at the file"))?.len();
    if Some(found) != bytes {
        let expected = bytes.map_or("impossibly many".to_owned(), |bytes| bytes.to_string());
        return Err(CorpusError::damaged(path, format!("it has {found} bytes instead of {expected}")));
    }
    #[allow(unsafe_code, reason = "memory maps have no safe interface")]
    // SAFETY: the map is read only. That nobody changes the file meanwhile is asked for in the docs of `Corpus::open`.
    let map = unsafe { Mmap::map(&file) }.map_err(CorpusError::io(path, "map the file"))?;
    if format!("{:032x}", xxh3_128(&map)) != hash {
        return Err(CorpusError::damaged(path, "its bytes are not those that were written"));
    }
    Ok(map)
}
