//! The named special tokens: what they are called, where they are added, what ids they have.

use std::path::Path;

use tokenizers::AddedToken;

use crate::error::TextError;
use crate::load::guard::guarded;
use crate::load::settings::TokenizerSettings;

/// Ids of the special tokens, where the tokenizer has them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SpecialIds {
    /// Fills a batch up; Serin never pads, but positions of RoBERTa start after it.
    pub pad: Option<u32>,
    /// Begins a sequence (`<s>` or `[CLS]`); the classifier reads its vector.
    pub cls: Option<u32>,
    /// Ends and separates texts (`</s>` or `[SEP]`).
    pub sep: Option<u32>,
    /// Stands for what the vocabulary cannot spell.
    pub unk: Option<u32>,
    /// What a masked-language model fills in.
    pub mask: Option<u32>,
}

/// The special tokens of a family by role, as `transformers` calls them where no file does.
pub(crate) type SpecialTokenNames = [(&'static str, &'static str)];

pub(crate) const ROBERTA_TOKENS: &SpecialTokenNames = &[
    ("bos_token", "<s>"),
    ("eos_token", "</s>"),
    ("sep_token", "</s>"),
    ("cls_token", "<s>"),
    ("unk_token", "<unk>"),
    ("pad_token", "<pad>"),
    ("mask_token", "<mask>"),
];

pub(crate) const BERT_TOKENS: &SpecialTokenNames = &[
    ("unk_token", "[UNK]"),
    ("sep_token", "[SEP]"),
    ("pad_token", "[PAD]"),
    ("cls_token", "[CLS]"),
    ("mask_token", "[MASK]"),
];

/// The roles with the names the files give them, and the default where `tokenizer` has a token of that name.
pub(crate) fn named_roles(
    tokenizer: &tokenizers::Tokenizer,
    settings: &TokenizerSettings,
) -> Vec<(&'static str, String)> {
    ROBERTA_TOKENS
        .iter()
        .filter_map(|&(role, roberta)| {
            let bert = BERT_TOKENS.iter().find(|(name, _)| *name == role);
            let candidates = [settings.special_content(role), Some(roberta), bert.map(|token| token.1)];
            let name = candidates.into_iter().flatten().find(|name| tokenizer.token_to_id(name).is_some())?;
            Some((role, name.to_owned()))
        })
        .collect()
}

impl SpecialIds {
    pub(crate) fn find(tokenizer: &tokenizers::Tokenizer, roles: &[(&'static str, String)]) -> Self {
        let id = |wanted: &[&str]| {
            wanted.iter().find_map(|role| {
                let (_, name) = roles.iter().find(|(name, _)| name == role)?;
                tokenizer.token_to_id(name)
            })
        };
        Self {
            pad: id(&["pad_token"]),
            cls: id(&["cls_token", "bos_token"]),
            sep: id(&["sep_token", "eos_token"]),
            unk: id(&["unk_token"]),
            mask: id(&["mask_token"]),
        }
    }
}

/// Adds the named special tokens of a family and whatever else the files add, checking the ids they fix.
///
/// `<mask>` takes the space before it (`lstrip`) unless a file says otherwise, as `transformers` 4 has it and as
/// the published `tokenizer.json` of the RoBERTa family do; `[MASK]` does not.
pub(crate) fn add_tokens(
    tokenizer: &mut tokenizers::Tokenizer,
    settings: &TokenizerSettings,
    names: &SpecialTokenNames,
    path: &Path,
) -> Result<(), TextError> {
    let mut tokens = settings.further_tokens()?;
    for (role, name) in names {
        let default = AddedToken::from(*name, true).lstrip(*name == "<mask>");
        let token = settings.special_token(role, default)?;
        let known = tokens.iter_mut().find(|(_, other)| other.content == token.content);
        match known {
            Some((_, known)) if settings.has_added_tokens_decoder() => known.special = true,
            Some((_, known)) => *known = token,
            None => tokens.push((None, token)),
        }
    }
    // Tokens of the vocabulary first; new ones get their ids in the order of the ids that the files fix.
    tokens.sort_by_key(|(id, token)| match tokenizer.token_to_id(&token.content) {
        Some(_) => (0, 0),
        None => (1, id.unwrap_or(u32::MAX)),
    });
    let added = tokens.iter().map(|(_, token)| token.clone());
    guarded(|| tokenizer.add_tokens(added)).map_err(|problem| TextError::unusable(path, problem))?;

    for (expected, token) in &tokens {
        let got = tokenizer.token_to_id(&token.content);
        if let Some(expected) = expected.filter(|expected| Some(*expected) != got) {
            let problem = format!(
                "the added token {:?} should have id {expected}, but the vocabulary gives it {}; \
                 the vocabulary and the added tokens are not of one tokenizer",
                token.content,
                got.map_or("none".to_owned(), |id| id.to_string()),
            );
            return Err(TextError::unusable(path, problem));
        }
    }
    Ok(())
}

/// The id of the token called `name`, which the post-processor needs.
pub(crate) fn required_id(tokenizer: &tokenizers::Tokenizer, name: &str, path: &Path) -> Result<u32, TextError> {
    tokenizer
        .token_to_id(name)
        .ok_or_else(|| TextError::unusable(path, format!("the special token {name:?} is not in the vocabulary")))
}
