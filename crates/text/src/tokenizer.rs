//! The tokenizer of a model folder and what can be asked of it.

use std::collections::BTreeSet;
use std::path::Path;

use tokenizers::ModelWrapper;
use tokenizers::pre_tokenizers::PreTokenizerWrapper;

use crate::error::TextError;
use crate::load::files::read_bytes;
use crate::load::guard::guarded;
use crate::load::settings::TokenizerSettings;
use crate::load::{self, VOCABULARY_FILES};
use crate::special_tokens::{SpecialIds, named_roles};
use crate::template::SequenceTemplate;

/// Turns texts into the token ids that a model was trained on, the same ids as `transformers` gives.
#[derive(Debug, Clone)]
pub struct Tokenizer {
    inner: tokenizers::Tokenizer,
    model_type: String,
    source: &'static str,
    max_positions: usize,
    max_length: usize,
    single: SequenceTemplate,
    pair: SequenceTemplate,
    pub(crate) settings: TokenizerSettings,
    pub(crate) roles: Vec<(&'static str, String)>,
    pub(crate) vocabulary_files: Vec<(&'static str, Vec<u8>)>,
}

impl Tokenizer {
    /// Reads the tokenizer of a model folder.
    ///
    /// `model_type` is that of `config.json` (`roberta`, `xlm-roberta`, `camembert`, `bert`, `distilbert`): only
    /// `bert` has token type ids other than 0, and Camembert's SentencePiece vocabulary differs. `max_positions`
    /// is how many tokens a sequence of the model can have, 512 for RoBERTa's 514 position embeddings.
    ///
    /// Truncation and padding set in `tokenizer.json` are switched off.
    ///
    /// # Errors
    /// If there is no tokenizer, or a file of it is unreadable or contradicts itself; the error names the file.
    pub fn from_dir(dir: &Path, model_type: &str, max_positions: usize) -> Result<Self, TextError> {
        let settings = TokenizerSettings::read(dir)?;
        let loaded = load::load(dir, model_type, &settings)?;
        let inner = loaded.tokenizer;
        let keep_type_ids = model_type == "bert";
        let mut vocabulary_files = Vec::new();
        for name in VOCABULARY_FILES {
            if let Some(bytes) = read_bytes(&dir.join(name))? {
                vocabulary_files.push((name, bytes));
            }
        }
        Ok(Self {
            model_type: model_type.to_owned(),
            source: loaded.source,
            max_positions,
            max_length: settings.max_length(max_positions)?,
            single: SequenceTemplate::read(&inner, 1, keep_type_ids, dir)?,
            pair: SequenceTemplate::read(&inner, 2, keep_type_ids, dir)?,
            roles: named_roles(&inner, &settings),
            settings,
            vocabulary_files,
            inner,
        })
    }

    /// Ids of the special tokens.
    pub fn special_ids(&self) -> SpecialIds {
        SpecialIds::find(&self.inner, &self.roles)
    }

    /// The ids of all special tokens, ascending: the named ones, and whatever else the files call special.
    pub fn all_special_ids(&self) -> Vec<u32> {
        let named = self.roles.iter().filter_map(|(_, name)| self.inner.token_to_id(name));
        let added = self.inner.get_added_tokens_decoder();
        let added = added.into_iter().filter(|(_, token)| token.special).map(|(id, _)| id);
        named.chain(added).collect::<BTreeSet<u32>>().into_iter().collect()
    }

    /// The special tokens before and after the ids of one text: `([<s>], [</s>])`.
    pub fn special_around(&self) -> (Vec<u32>, Vec<u32>) {
        self.single.around()
    }

    /// How many tokens there are, added ones included.
    pub fn vocab_size(&self) -> usize {
        self.inner.get_vocab_size(true)
    }

    /// The largest id that [`encode`](Self::encode) can give: the model needs one embedding more than this.
    pub fn largest_id(&self) -> u32 {
        let vocabulary = self.inner.get_vocab(true).into_values();
        let special = self.single.special_ids().chain(self.pair.special_ids());
        vocabulary.chain(special).max().unwrap_or(0)
    }

    /// `model_max_length` of the tokenizer, clipped to the model's positions: the limit to use where none is given.
    pub fn max_length(&self) -> usize {
        self.max_length
    }

    /// A short description for people: `byte-level BPE, 50265 tokens, from vocab.json + merges.txt`.
    pub fn kind(&self) -> String {
        let algorithm = match self.inner.get_model() {
            ModelWrapper::BPE(_) if self.is_byte_level() => "byte-level BPE",
            ModelWrapper::BPE(_) => "BPE",
            ModelWrapper::WordPiece(_) => "WordPiece",
            ModelWrapper::Unigram(_) => "Unigram",
            ModelWrapper::WordLevel(_) => "WordLevel",
        };
        let tokens = self.vocab_size();
        format!("{algorithm}, {tokens} tokens, from {}", self.source)
    }

    /// The text that the ids stand for, special tokens left out.
    ///
    /// # Errors
    /// [`TextError::Tokenize`] if the decoder fails. Ids outside the vocabulary are skipped.
    pub fn decode(&self, ids: &[u32]) -> Result<String, TextError> {
        guarded(|| self.inner.decode(ids, true)).map_err(|problem| TextError::Tokenize { problem })
    }

    /// The token of an id as the vocabulary spells it.
    pub fn token(&self, id: u32) -> Option<String> {
        self.inner.id_to_token(id)
    }

    /// What `tokenizer.json` says, the same text for the same tokenizer: to tell whether two are one.
    ///
    /// # Errors
    /// [`TextError::Tokenize`] if it cannot be expressed as JSON.
    pub fn to_json(&self) -> Result<String, TextError> {
        guarded(|| self.inner.to_string(false)).map_err(|problem| TextError::Tokenize { problem })
    }

    pub(crate) fn is_byte_level(&self) -> bool {
        let byte_level = |part: &PreTokenizerWrapper| matches!(part, PreTokenizerWrapper::ByteLevel(_));
        match self.inner.get_pre_tokenizer() {
            Some(PreTokenizerWrapper::Sequence(parts)) => parts.as_ref().iter().any(byte_level),
            Some(part) => byte_level(part),
            None => false,
        }
    }

    pub(crate) fn inner(&self) -> &tokenizers::Tokenizer {
        &self.inner
    }

    pub(crate) fn model_type(&self) -> &str {
        &self.model_type
    }

    pub(crate) fn max_positions(&self) -> usize {
        self.max_positions
    }

    pub(crate) fn template(&self, is_pair: bool) -> &SequenceTemplate {
        if is_pair { &self.pair } else { &self.single }
    }
}
