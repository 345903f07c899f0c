//! Byte-level BPE from `vocab.json` and `merges.txt`, as `RobertaTokenizer` of `transformers` builds it.

use std::path::Path;

use serde_json::{Map, Value};
use tokenizers::models::bpe::{BPE, Merges, Vocab};
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::processors::roberta::RobertaProcessing;

use crate::error::TextError;
use crate::load::files::{read_json, read_text};
use crate::load::guard::guarded;
use crate::load::settings::TokenizerSettings;
use crate::special_tokens::{ROBERTA_TOKENS, add_tokens, required_id};

pub(crate) const VOCAB_FILE: &str = "vocab.json";
pub(crate) const MERGES_FILE: &str = "merges.txt";

pub(crate) fn load(directory: &Path, settings: &TokenizerSettings) -> Result<Option<tokenizers::Tokenizer>, TextError> {
    let vocab_path = directory.join(VOCAB_FILE);
    let Some(written) = read_json::<Map<String, Value>>(&vocab_path)? else {
        return Ok(None);
    };
    let vocab = vocabulary(written, &vocab_path)?;
    let merges_path = directory.join(MERGES_FILE);
    let Some(text) = read_text(&merges_path)? else {
        return Err(TextError::NoTokenizer {
            directory: directory.to_owned(),
            looked_for: "merges.txt beside vocab.json",
            hint: "byte-level BPE needs both files; download merges.txt or tokenizer.json",
        });
    };
    let merges = merges(&text, &vocab, &merges_path)?;

    let add_prefix_space = settings.flag("add_prefix_space")?.unwrap_or(false);
    let trim_offsets = settings.flag("trim_offsets")?.unwrap_or(true);
    let model = guarded(|| {
        BPE::builder()
            .vocab_and_merges(vocab, merges)
            .continuing_subword_prefix(String::new())
            .end_of_word_suffix(String::new())
            .build()
    })
    .map_err(|problem| TextError::unusable(&vocab_path, problem))?;
    let mut tokenizer = tokenizers::Tokenizer::new(model);
    tokenizer.with_pre_tokenizer(Some(ByteLevel::new(add_prefix_space, true, true)));
    tokenizer.with_decoder(Some(ByteLevel::default()));
    add_tokens(&mut tokenizer, settings, ROBERTA_TOKENS, &vocab_path)?;

    let marker = |role, default: &str| -> Result<(String, u32), TextError> {
        let name = settings.special_content(role).unwrap_or(default).to_owned();
        let id = required_id(&tokenizer, &name, &vocab_path)?;
        Ok((name, id))
    };
    let processor = RobertaProcessing::new(marker("sep_token", "</s>")?, marker("cls_token", "<s>")?)
        .trim_offsets(trim_offsets)
        .add_prefix_space(add_prefix_space);
    tokenizer.with_post_processor(Some(processor));
    Ok(Some(tokenizer))
}

fn vocabulary(written: Map<String, Value>, path: &Path) -> Result<Vocab, TextError> {
    written
        .into_iter()
        .map(|(token, id)| match id.as_u64().and_then(|id| u32::try_from(id).ok()) {
            Some(id) => Ok((token, id)),
            None => Err(TextError::field(path, &token, format!("{id} is no token id"))),
        })
        .collect()
}

/// The pairs of `merges.txt`, best first; `#version` lines and empty lines are skipped.
///
/// Each part and each result must be in the vocabulary: the builder of the `tokenizers` crate copies them into
/// a buffer as long as the longest token.
fn merges(text: &str, vocab: &Vocab, path: &Path) -> Result<Merges, TextError> {
    let mut merges = Vec::new();
    for (index, line) in text.lines().enumerate() {
        if line.is_empty() || line.starts_with("#version") {
            continue;
        }
        let problem = match line.split_once(' ') {
            Some((left, right)) if !left.is_empty() && !right.is_empty() && !right.contains(' ') => {
                let merged = [left, right].concat();
                let missing = [left, right, &merged].into_iter().find(|part| !vocab.contains_key(*part));
                match missing {
                    None => {
                        merges.push((left.to_owned(), right.to_owned()));
                        continue;
                    }
                    Some(part) => format!("the token {part:?} is not in {VOCAB_FILE}"),
                }
            }
            _ => format!("{line:?} is not two tokens with one space between them"),
        };
        return Err(TextError::Line { path: path.to_owned(), line: index + 1, problem });
    }
    Ok(merges)
}
