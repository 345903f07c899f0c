//! Small tokenizers and files for the tests of this crate.
#![allow(dead_code, reason = "each test file uses a part of it")]

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use serin_corpus::{Corpus, CorpusError, CorpusSettings, CorpusSources, TokenizeReport};
use serin_text::{Tokenizer, train_byte_level_bpe};

/// `<s> <pad> </s> <unk> <mask>` and 256 bytes, a few merges.
pub(crate) fn roberta() -> Tokenizer {
    let folder = tempfile::tempdir().unwrap();
    train_byte_level_bpe(&["the film was good and the film was bad"; 4], 280, folder.path()).unwrap();
    Tokenizer::from_dir(folder.path(), "roberta", 512).unwrap()
}

/// `[PAD] [UNK] [CLS] [SEP] [MASK]` and a few words, `word0` to `word9`.
pub(crate) fn bert() -> Tokenizer {
    let folder = tempfile::tempdir().unwrap();
    let mut vocabulary = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\n".to_owned();
    (0..10).for_each(|number| vocabulary.push_str(&format!("word{number}\n")));
    std::fs::write(folder.path().join("vocab.txt"), vocabulary).unwrap();
    Tokenizer::from_dir(folder.path(), "bert", 512).unwrap()
}

/// Writes `text` into a file of the folder.
pub(crate) fn file(folder: &Path, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, text).unwrap();
    path
}

pub(crate) fn tokenize(
    train: &[PathBuf],
    validation: &[PathBuf],
    tokenizer: &Tokenizer,
    settings: &CorpusSettings,
    folder: &Path,
) -> Result<TokenizeReport, CorpusError> {
    let sources = CorpusSources { train: train.to_vec(), validation: validation.to_vec(), ..CorpusSources::default() };
    Corpus::tokenize(&sources, tokenizer, settings, folder, &mut |_| ControlFlow::Continue(()))
}

/// All sequences of a corpus.
pub(crate) fn sequences(corpus: &Corpus) -> Vec<Vec<u32>> {
    (0..corpus.len()).map(|index| corpus.sequence(index)).collect()
}
