//! Finds the tokenizer files of a model folder and builds a tokenizer from the best of them.

pub(crate) mod byte_level_bpe;
pub(crate) mod files;
pub(crate) mod guard;
pub(crate) mod sentencepiece_model;
pub(crate) mod settings;
pub(crate) mod tokenizer_json;
pub(crate) mod unigram;
pub(crate) mod wordpiece;

use std::path::Path;

use crate::error::TextError;
use settings::TokenizerSettings;

/// Vocabulary files that travel with a model when it is saved.
pub(crate) const VOCABULARY_FILES: [&str; 4] =
    [byte_level_bpe::VOCAB_FILE, byte_level_bpe::MERGES_FILE, wordpiece::VOCAB_FILE, unigram::MODEL_FILE];

/// A tokenizer and the files it was built from.
pub(crate) struct Loaded {
    pub(crate) tokenizer: tokenizers::Tokenizer,
    pub(crate) source: &'static str,
}

/// Reads `tokenizer.json`, else `vocab.json` and `merges.txt`, else a SentencePiece model, else `vocab.txt`.
pub(crate) fn load(directory: &Path, model_type: &str, settings: &TokenizerSettings) -> Result<Loaded, TextError> {
    type Attempt<'a> = &'a dyn Fn() -> Result<Option<tokenizers::Tokenizer>, TextError>;
    let attempts: [(&'static str, Attempt<'_>); 4] = [
        ("tokenizer.json", &|| tokenizer_json::load(directory, settings)),
        ("vocab.json + merges.txt", &|| byte_level_bpe::load(directory, settings)),
        ("sentencepiece.bpe.model", &|| unigram::load(directory, model_type, settings)),
        ("vocab.txt", &|| wordpiece::load(directory, settings)),
    ];
    for (source, attempt) in attempts {
        if let Some(tokenizer) = attempt()? {
            return Ok(Loaded { tokenizer, source });
        }
    }
    Err(TextError::NoTokenizer {
        directory: directory.to_owned(),
        looked_for: "tokenizer.json, vocab.json with merges.txt, sentencepiece.bpe.model, vocab.txt",
        hint: "copy the tokenizer files of the base model into it",
    })
}
