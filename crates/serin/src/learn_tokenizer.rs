//! Learning a tokenizer from the user's texts: what `serin tokenizer train` does.

use crate::error::SerinError;
use serin_checkpoint::save::replace_dir_atomic;
use serin_corpus::{DocumentOptions, Documents};
use serin_text::{ByteLevelBpe, Tokenizer};
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

/// The length limit that is written down, RoBERTa's: a model's own positions come before it.
const MODEL_MAX_LENGTH: usize = 512;

/// Of the first documents, about this many bytes are tokenized in the end to see how well they are spelled.
const SAMPLE_BYTES: usize = 1 << 20;

/// What the folder of a tokenizer consists of; a folder with anything else is not replaced.
const FILES: [&str; 5] =
    ["tokenizer.json", "vocab.json", "merges.txt", "tokenizer_config.json", "special_tokens_map.json"];

/// What to learn, from what, and where to put it.
#[derive(Clone, Debug)]
pub struct LearnTokenizerOptions {
    /// The files: Parquet, CSV, TSV, JSONL, plain text.
    pub files: Vec<PathBuf>,
    /// How documents are read.
    pub documents: DocumentOptions,
    /// Size of the vocabulary, and what is merged.
    pub bpe: ByteLevelBpe,
    /// The tokenizer's folder. It is there when all is done, or not at all.
    pub output: PathBuf,
    /// Whether a tokenizer that is there may be replaced.
    pub overwrite: bool,
}

/// What is being done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LearningStage {
    /// Counting the words of the documents.
    Counting {
        /// Documents so far.
        documents: u64,
        /// Bytes of text so far.
        bytes: u64,
    },
    /// Learning merges from so many distinct words.
    Merging {
        /// Distinct words.
        words: usize,
    },
}

/// What was learned.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LearnedTokenizer {
    /// Documents read.
    pub documents: u64,
    /// Rows and lines passed over since they are blank.
    pub blank: u64,
    /// Bytes of text.
    pub bytes: u64,
    /// Distinct words (runs of letters, of digits, or of other signs, with the space before them).
    pub distinct_words: usize,
    /// Tokens of the vocabulary.
    pub vocab_size: usize,
    /// Tokens a word, words between spaces, in a sample of the first documents.
    pub tokens_per_word: f64,
}

/// Learns a byte-level BPE tokenizer with RoBERTa's special tokens and writes its folder.
///
/// The same texts give the same files. Memory holds the distinct words, not the texts. `None` if `stop` was set, which is
/// looked at after every document: then there is no folder.
///
/// # Errors
/// Files that cannot be read, an output folder that is in use or cannot be written.
pub fn learn_tokenizer(
    options: &LearnTokenizerOptions,
    progress: &mut (dyn FnMut(LearningStage) + Send),
    stop: &AtomicBool,
) -> Result<Option<LearnedTokenizer>, SerinError> {
    refuse_output(&options.output, options.overwrite)?;
    let documents = Documents::open(&options.files, &options.documents)?;
    let mut reading = Reading { documents, count: 0, bytes: 0, sample: Vec::new(), sampled: 0 };
    let counted = options.bpe.count(std::iter::from_fn(|| reading.next(progress, stop)))?;
    if stop.load(Ordering::SeqCst) {
        return Ok(None);
    }
    let distinct_words = counted.distinct();
    progress(LearningStage::Merging { words: distinct_words });
    let vocabulary = counted.learn()?;
    if stop.load(Ordering::SeqCst) {
        return Ok(None);
    }
    replace_dir_atomic(&options.output, |staging| {
        vocabulary.save(staging)?;
        Tokenizer::from_dir(staging, "roberta", MODEL_MAX_LENGTH)?.save(staging)?;
        Ok::<(), SerinError>(())
    })?;
    let tokenizer = Tokenizer::from_dir(&options.output, "roberta", MODEL_MAX_LENGTH)?;
    Ok(Some(LearnedTokenizer {
        documents: reading.count,
        blank: reading.documents.blank(),
        bytes: reading.bytes,
        distinct_words,
        vocab_size: tokenizer.vocab_size(),
        tokens_per_word: tokens_per_word(&tokenizer, &reading.sample)?,
    }))
}

/// The documents on their way into the count.
struct Reading {
    documents: Documents,
    count: u64,
    bytes: u64,
    /// The first documents.
    sample: Vec<String>,
    sampled: usize,
}

impl Reading {
    fn next(
        &mut self,
        progress: &mut (dyn FnMut(LearningStage) + Send),
        stop: &AtomicBool,
    ) -> Option<Result<String, SerinError>> {
        if stop.load(Ordering::SeqCst) {
            return None;
        }
        let text = match self.documents.next()? {
            Ok(document) => document.text,
            Err(error) => return Some(Err(error.into())),
        };
        self.count += 1;
        self.bytes += text.len() as u64;
        let sampled = text.floor_char_boundary(SAMPLE_BYTES - self.sampled);
        if sampled > 0 {
            self.sampled += sampled;
            self.sample.push(text[..sampled].to_owned());
        }
        progress(LearningStage::Counting { documents: self.count, bytes: self.bytes });
        Some(Ok(text))
    }
}

fn tokens_per_word(tokenizer: &Tokenizer, texts: &[String]) -> Result<f64, SerinError> {
    let (mut tokens, mut words) = (0, 0);
    for text in texts {
        tokens += tokenizer.content_ids(text)?.len();
        words += text.split_whitespace().count();
    }
    Ok(tokens as f64 / words.max(1) as f64)
}

/// Refuses, before anything is read, a folder that must not or cannot be written.
fn refuse_output(folder: &Path, overwrite: bool) -> Result<(), SerinError> {
    let refuse = |text: String| Err(SerinError::Refused(format!("{}: {text}", folder.display())));
    if folder.file_name().is_none() {
        return refuse("is no name for a new folder\nhint: name one with --output-dir".into());
    }
    let names: Vec<String> = match fs::read_dir(folder) {
        Ok(entries) => entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect(),
        Err(error) if error.kind() == ErrorKind::NotFound => Vec::new(),
        Err(error) => return refuse(format!("cannot look into the folder: {error}")),
    };
    if !names.is_empty() && !overwrite {
        return refuse(
            "is not empty\nhint: --overwrite-output-dir replaces a tokenizer, another --output-dir keeps it".into(),
        );
    }
    if let Some(other) = names.iter().find(|name| !FILES.contains(&name.as_str())) {
        return refuse(format!(
            "holds {other}, which is no part of a tokenizer, and would be lost\nhint: name another folder"
        ));
    }
    let parent = match folder.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let writable = fs::create_dir_all(parent).and_then(|()| tempfile::tempfile_in(parent));
    match writable {
        Ok(_) => Ok(()),
        Err(error) => refuse(format!("cannot be made: {error}\nhint: choose a folder where you may write")),
    }
}
