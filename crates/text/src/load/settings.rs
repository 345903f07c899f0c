//! What `tokenizer_config.json`, `special_tokens_map.json` and `added_tokens.json` say about a tokenizer.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::{Map, Value};
use tokenizers::AddedToken;

use crate::error::TextError;
use crate::load::files::read_json;

pub(crate) const CONFIG_FILE: &str = "tokenizer_config.json";
pub(crate) const SPECIAL_TOKENS_FILE: &str = "special_tokens_map.json";
const ADDED_TOKENS_DECODER: &str = "added_tokens_decoder";
pub(crate) const ADDED_TOKENS_FILE: &str = "added_tokens.json";

/// The three small files beside a vocabulary; a missing file is an empty one.
#[derive(Debug, Clone, Default)]
pub(crate) struct TokenizerSettings {
    directory: PathBuf,
    pub(crate) config: Map<String, Value>,
    special_tokens: Map<String, Value>,
    added_tokens: BTreeMap<String, u32>,
}

/// A token as `AddedToken.__getstate__` of Python writes it.
#[derive(Deserialize)]
struct WrittenToken {
    content: String,
    #[serde(default)]
    single_word: bool,
    #[serde(default)]
    lstrip: bool,
    #[serde(default)]
    rstrip: bool,
    normalized: Option<bool>,
    special: Option<bool>,
}

impl WrittenToken {
    fn into_token(self, special: bool) -> AddedToken {
        let special = self.special.unwrap_or(special);
        AddedToken::from(self.content, special)
            .single_word(self.single_word)
            .lstrip(self.lstrip)
            .rstrip(self.rstrip)
            .normalized(self.normalized.unwrap_or(!special))
    }
}

impl TokenizerSettings {
    pub(crate) fn read(directory: &Path) -> Result<Self, TextError> {
        Ok(Self {
            directory: directory.to_owned(),
            config: read_json(&directory.join(CONFIG_FILE))?.unwrap_or_default(),
            special_tokens: read_json(&directory.join(SPECIAL_TOKENS_FILE))?.unwrap_or_default(),
            added_tokens: read_json(&directory.join(ADDED_TOKENS_FILE))?.unwrap_or_default(),
        })
    }

    fn config_error(&self, field: &str, problem: impl Into<String>) -> TextError {
        TextError::field(&self.directory.join(CONFIG_FILE), field, problem)
    }

    /// A boolean of `tokenizer_config.json`; `null` is the same as absent.
    pub(crate) fn flag(&self, key: &str) -> Result<Option<bool>, TextError> {
        match self.config.get(key) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::Bool(flag)) => Ok(Some(*flag)),
            Some(other) => Err(self.config_error(key, format!("{other} is not true or false"))),
        }
    }

    /// `model_max_length`, at most `max_positions`: many configs hold 1e30 for "unknown".
    pub(crate) fn max_length(&self, max_positions: usize) -> Result<usize, TextError> {
        match self.config.get("model_max_length") {
            None | Some(Value::Null) => Ok(max_positions),
            Some(Value::Number(length)) => match length.as_f64() {
                Some(length) if length >= 1.0 => {
                    // A float beyond the range of usize saturates, so 1e30 is clipped like any other.
                    Ok(max_positions.min(length as usize))
                }
                _ => Err(self.config_error("model_max_length", format!("{length} is not positive"))),
            },
            Some(other) => Err(self.config_error("model_max_length", format!("{other} is no number"))),
        }
    }

    /// The text of a special token (`role` is `bos_token`, `mask_token`, ...), if a file names one.
    pub(crate) fn special_content(&self, role: &str) -> Option<&str> {
        [&self.config, &self.special_tokens].into_iter().find_map(|file| match file.get(role)? {
            Value::String(content) => Some(content.as_str()),
            Value::Object(token) => token.get("content")?.as_str(),
            _ => None,
        })
    }

    /// The special token of `role` with the matching rules a file gives it, else those of `default`.
    pub(crate) fn special_token(&self, role: &str, default: AddedToken) -> Result<AddedToken, TextError> {
        for (file, name) in [(&self.config, CONFIG_FILE), (&self.special_tokens, SPECIAL_TOKENS_FILE)] {
            if let Some(value @ Value::Object(_)) = file.get(role) {
                return self.written_token(name, role, value, true).map(|token| token.special(true));
            }
        }
        let content = self.special_content(role).unwrap_or(&default.content);
        Ok(AddedToken { content: content.to_owned(), ..default })
    }

    /// Whether a file gives the matching rules of every added token (`transformers` 4.34 and later).
    pub(crate) fn has_added_tokens_decoder(&self) -> bool {
        self.config.contains_key(ADDED_TOKENS_DECODER)
    }

    /// Tokens beyond the named special ones, with the id a file fixes for them, in the order of their ids.
    pub(crate) fn further_tokens(&self) -> Result<Vec<(Option<u32>, AddedToken)>, TextError> {
        let mut tokens = BTreeMap::new();
        let mut unnumbered: Vec<AddedToken> = Vec::new();
        for key in ["additional_special_tokens", "extra_special_tokens"] {
            for (file, name) in [(&self.config, CONFIG_FILE), (&self.special_tokens, SPECIAL_TOKENS_FILE)] {
                let Some(Value::Array(list)) = file.get(key) else {
                    continue;
                };
                for value in list {
                    unnumbered.push(self.written_token(name, key, value, true)?);
                }
            }
        }
        for (content, id) in &self.added_tokens {
            let special = unnumbered.iter().any(|token| token.content == *content);
            tokens.insert(*id, AddedToken::from(content.clone(), special));
        }
        if let Some(decoder) = self.config.get(ADDED_TOKENS_DECODER) {
            let Value::Object(decoder) = decoder else {
                return Err(self.config_error(ADDED_TOKENS_DECODER, "not an object"));
            };
            for (key, value) in decoder {
                let field = format!("{ADDED_TOKENS_DECODER}.{key}");
                let id = key.parse::<u32>().map_err(|_| self.config_error(&field, "the key is no token id"))?;
                let token = self.written_token(CONFIG_FILE, &field, value, false)?;
                tokens.insert(id, token);
            }
        }
        let mut all: Vec<_> = tokens.into_iter().map(|(id, token)| (Some(id), token)).collect();
        for token in unnumbered {
            if all.iter().all(|(_, known)| known.content != token.content) {
                all.push((None, token));
            }
        }
        Ok(all)
    }

    fn written_token(&self, file: &str, field: &str, value: &Value, special: bool) -> Result<AddedToken, TextError> {
        if let Value::String(content) = value {
            return Ok(AddedToken::from(content.clone(), special));
        }
        WrittenToken::deserialize(value)
            .map(|token| token.into_token(special))
            .map_err(|error| TextError::field(&self.directory.join(file), field, error.to_string()))
    }
}
