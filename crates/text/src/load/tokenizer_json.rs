//! A whole tokenizer from `tokenizer.json`.

use std::path::Path;

use serde::Deserialize;
use tokenizers::models::bpe::Vocab;
use tokenizers::pre_tokenizers::PreTokenizerWrapper;
use tokenizers::{ModelWrapper, NormalizerWrapper};

use crate::error::TextError;
use crate::load::files::read_bytes;
use crate::load::guard::guarded;
use crate::load::settings::TokenizerSettings;

pub(crate) const TOKENIZER_FILE: &str = "tokenizer.json";

pub(crate) fn load(directory: &Path, settings: &TokenizerSettings) -> Result<Option<tokenizers::Tokenizer>, TextError> {
    let path = directory.join(TOKENIZER_FILE);
    let Some(bytes) = read_bytes(&path)? else {
        return Ok(None);
    };
    check_merges(&bytes, &path)?;
    let unusable = |problem: String| TextError::unusable(&path, problem);
    let mut tokenizer = guarded(|| tokenizers::Tokenizer::from_bytes(&bytes)).map_err(unusable)?;
    // Truncation is this crate's, counted and reported; sequences are never padded.
    guarded(|| tokenizer.with_truncation(None).map(drop)).map_err(unusable)?;
    tokenizer.with_padding(None);
    without_sampling(&mut tokenizer);
    apply_normalizer_flags(&mut tokenizer, settings, &path)?;
    apply_prefix_space(&mut tokenizer, settings)?;
    Ok(Some(tokenizer))
}

#[derive(Deserialize)]
struct WrittenTokenizer {
    model: WrittenModel,
}

#[derive(Deserialize)]
struct WrittenModel {
    #[serde(default)]
    continuing_subword_prefix: Option<String>,
    #[serde(default)]
    merges: Vec<WrittenMerge>,
    vocab: serde_json::Value,
}

/// A merge as tokenizers before 0.20 wrote it, and as they write it since.
#[derive(Deserialize)]
#[serde(untagged)]
enum WrittenMerge {
    Joined(String),
    Pair(String, String),
}

/// Checks that the result of each merge is in the vocabulary: the BPE builder of the `tokenizers` crate panics on
/// one that is longer than every token.
fn check_merges(bytes: &[u8], path: &Path) -> Result<(), TextError> {
    let json = |source| TextError::Json { path: path.to_owned(), source };
    let WrittenTokenizer { model } = serde_json::from_slice(bytes).map_err(json)?;
    if model.merges.is_empty() {
        return Ok(());
    }
    let vocab: Vocab = serde_json::from_value(model.vocab).map_err(json)?;
    let prefix = model.continuing_subword_prefix.unwrap_or_default();
    for (index, merge) in model.merges.iter().enumerate() {
        let parts = match merge {
            WrittenMerge::Pair(left, right) => Some((left.as_str(), right.as_str())),
            WrittenMerge::Joined(pair) => pair.split_once(' '),
        };
        let known = parts.is_some_and(|(left, right)| {
            right.strip_prefix(prefix.as_str()).is_some_and(|end| vocab.contains_key(&[left, end].concat()))
        });
        if !known {
            let field = format!("model.merges[{index}]");
            return Err(TextError::field(path, &field, "its result is not in model.vocab"));
        }
    }
    Ok(())
}

/// Switches BPE dropout off: the same text must have the same ids every time.
fn without_sampling(tokenizer: &mut tokenizers::Tokenizer) {
    if let ModelWrapper::BPE(model) = tokenizer.get_model()
        && model.dropout.is_some()
    {
        let mut model = model.clone();
        model.dropout = None;
        tokenizer.with_model(model);
    }
}

/// `tokenizer_config.json` overrules the BERT normalizer of `tokenizer.json`, as in `transformers`.
fn apply_normalizer_flags(
    tokenizer: &mut tokenizers::Tokenizer,
    settings: &TokenizerSettings,
    path: &Path,
) -> Result<(), TextError> {
    let Some(NormalizerWrapper::BertNormalizer(written)) = tokenizer.get_normalizer() else {
        return Ok(());
    };
    let mut normalizer = *written;
    if let Some(lowercase) = settings.flag("do_lower_case")? {
        normalizer.lowercase = lowercase;
    }
    if let Some(strip_accents) = settings.flag("strip_accents")? {
        normalizer.strip_accents = Some(strip_accents);
    }
    if let Some(chinese) = settings.flag("tokenize_chinese_chars")? {
        normalizer.handle_chinese_chars = chinese;
    }
    guarded(|| tokenizer.with_normalizer(Some(normalizer)).map(drop))
        .map_err(|problem| TextError::unusable(path, problem))
}

/// `add_prefix_space` of `tokenizer_config.json` overrules that of a byte-level `tokenizer.json`, as in `transformers`.
fn apply_prefix_space(tokenizer: &mut tokenizers::Tokenizer, settings: &TokenizerSettings) -> Result<(), TextError> {
    let Some(add_prefix_space) = settings.flag("add_prefix_space")? else {
        return Ok(());
    };
    if let Some(PreTokenizerWrapper::ByteLevel(written)) = tokenizer.get_pre_tokenizer() {
        let byte_level = written.add_prefix_space(add_prefix_space);
        tokenizer.with_pre_tokenizer(Some(byte_level));
    }
    Ok(())
}
