//! Writes a tokenizer into a model folder as `transformers` reads it.

use std::io::{self, Write};
use std::path::Path;

use serde_json::{Map, Value, json};
use tokenizers::pre_tokenizers::PreTokenizerWrapper;
use tokenizers::{AddedToken, ModelWrapper, NormalizerWrapper};

use crate::error::TextError;
use crate::load::settings::{CONFIG_FILE, SPECIAL_TOKENS_FILE};
use crate::load::tokenizer_json::TOKENIZER_FILE;
use crate::tokenizer::Tokenizer;

/// Keys of an old `tokenizer_config.json` that name files of another computer.
const PATH_KEYS: [&str; 6] =
    ["name_or_path", "special_tokens_map_file", "tokenizer_file", "vocab_file", "merges_file", "added_tokens_file"];

impl Tokenizer {
    /// Writes `tokenizer.json`, `tokenizer_config.json` and `special_tokens_map.json` into the folder `dir`, and
    /// the vocabulary files that the tokenizer's own folder had (`vocab.json`, `merges.txt`, `vocab.txt`,
    /// `sentencepiece.bpe.model`). Each file appears whole or not at all.
    ///
    /// # Errors
    /// [`TextError::Write`] if a file cannot be written.
    pub fn save(&self, dir: &Path) -> Result<(), TextError> {
        let tokenizer = self.to_json()?;
        for (name, bytes) in &self.vocabulary_files {
            write_atomically(&dir.join(name), bytes)?;
        }
        write_json(&dir.join(SPECIAL_TOKENS_FILE), &self.special_tokens_map())?;
        write_json(&dir.join(CONFIG_FILE), &self.tokenizer_config())?;
        write_atomically(&dir.join(TOKENIZER_FILE), tokenizer.as_bytes())
    }

    /// The original `tokenizer_config.json` with everything in it that decides about ids made explicit.
    fn tokenizer_config(&self) -> Value {
        let mut config = self.settings.config.clone();
        for key in PATH_KEYS {
            config.shift_remove(key);
        }
        if !config.get("tokenizer_class").is_some_and(Value::is_string) {
            config.insert("tokenizer_class".to_owned(), json!(self.tokenizer_class()));
        }
        config.insert("model_max_length".to_owned(), json!(self.max_length()));
        for (role, name) in &self.roles {
            config.entry(*role).or_insert_with(|| json!(name));
        }
        config.insert("added_tokens_decoder".to_owned(), self.added_tokens());
        match self.inner().get_normalizer() {
            Some(NormalizerWrapper::BertNormalizer(normalizer)) => {
                config.insert("do_lower_case".to_owned(), json!(normalizer.lowercase));
                config.insert("strip_accents".to_owned(), json!(normalizer.strip_accents));
                let chinese = normalizer.handle_chinese_chars;
                config.insert("tokenize_chinese_chars".to_owned(), json!(chinese));
            }
            _ if self.is_byte_level() => {
                if let Some(PreTokenizerWrapper::ByteLevel(byte_level)) = self.inner().get_pre_tokenizer() {
                    let add_prefix_space = byte_level.add_prefix_space;
                    config.insert("add_prefix_space".to_owned(), json!(add_prefix_space));
                }
            }
            _ => {}
        }
        Value::Object(config)
    }

    /// The class of `transformers` that builds this kind of tokenizer for this kind of model.
    fn tokenizer_class(&self) -> &'static str {
        match (self.inner().get_model(), self.model_type()) {
            (ModelWrapper::BPE(_), "roberta") if self.is_byte_level() => "RobertaTokenizer",
            (ModelWrapper::Unigram(_), "xlm-roberta") => "XLMRobertaTokenizer",
            (ModelWrapper::Unigram(_), "camembert") => "CamembertTokenizer",
            (ModelWrapper::WordPiece(_), "bert") => "BertTokenizer",
            (ModelWrapper::WordPiece(_), "distilbert") => "DistilBertTokenizer",
            // Takes tokenizer.json as it stands.
            _ => "PreTrainedTokenizerFast",
        }
    }

    fn added_tokens(&self) -> Value {
        let mut tokens: Vec<(u32, AddedToken)> = self.inner().get_added_tokens_decoder().into_iter().collect();
        tokens.sort_by_key(|(id, _)| *id);
        let written = tokens.into_iter().map(|(id, token)| (id.to_string(), written_token(&token, true)));
        Value::Object(written.collect())
    }

    fn special_tokens_map(&self) -> Value {
        let added = self.inner().get_added_tokens_decoder();
        let mut map = Map::new();
        for (role, name) in &self.roles {
            let token = added.values().find(|token| token.content == *name);
            let value = match token {
                Some(token) if token.lstrip || token.rstrip || token.single_word => written_token(token, false),
                _ => json!(name),
            };
            map.insert((*role).to_owned(), value);
        }
        Value::Object(map)
    }
}

fn written_token(token: &AddedToken, with_special: bool) -> Value {
    let mut written = json!({
        "content": token.content,
        "lstrip": token.lstrip,
        "normalized": token.normalized,
        "rstrip": token.rstrip,
        "single_word": token.single_word,
    });
    if with_special && let Value::Object(fields) = &mut written {
        fields.insert("special".to_owned(), json!(token.special));
    }
    written
}

fn write_json(path: &Path, value: &Value) -> Result<(), TextError> {
    write_atomically(path, format!("{value:#}\n").as_bytes())
}

/// Writes a file so that it is either the old one or the whole new one, also after a power cut.
fn write_atomically(path: &Path, bytes: &[u8]) -> Result<(), TextError> {
    let write = || -> io::Result<()> {
        let directory = path.parent().unwrap_or(Path::new("."));
        let mut builder = tempfile::Builder::new();
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            // Readable like any new file (the umask applies), not private like a temporary one.
            builder.permissions(std::fs::Permissions::from_mode(0o666));
        }
        let mut file = builder.prefix(".serin-").suffix(".tmp").tempfile_in(directory)?;
        file.write_all(bytes)?;
        file.as_file().sync_all()?;
        file.persist(path)?;
        #[cfg(unix)]
        std::fs::File::open(directory)?.sync_all()?;
        Ok(())
    };
    write().map_err(|source| TextError::Write { path: path.to_owned(), source })
}
