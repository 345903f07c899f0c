//! WordPiece from `vocab.txt`, as `BertTokenizer` of `transformers` builds it.

use std::path::Path;

use tokenizers::decoders::wordpiece::WordPiece as WordPieceDecoder;
use tokenizers::models::bpe::Vocab;
use tokenizers::models::wordpiece::WordPiece;
use tokenizers::normalizers::BertNormalizer;
use tokenizers::pre_tokenizers::bert::BertPreTokenizer;
use tokenizers::processors::template::TemplateProcessing;

use crate::error::TextError;
use crate::load::files::read_text;
use crate::load::guard::guarded;
use crate::load::settings::TokenizerSettings;
use crate::special_tokens::{BERT_TOKENS, add_tokens, required_id};

pub(crate) const VOCAB_FILE: &str = "vocab.txt";
const BERTWEET_MERGES_FILE: &str = "bpe.codes";

pub(crate) fn load(directory: &Path, settings: &TokenizerSettings) -> Result<Option<tokenizers::Tokenizer>, TextError> {
    let path = directory.join(VOCAB_FILE);
    let Some(text) = read_text(&path)? else {
        return Ok(None);
    };
    if directory.join(BERTWEET_MERGES_FILE).exists() {
        return Err(TextError::NoTokenizer {
            directory: directory.to_owned(),
            looked_for: "a WordPiece vocab.txt; this one belongs to the BPE of bpe.codes (BERTweet, PhoBERT)",
            hint: "write a tokenizer.json with AutoTokenizer(...).save_pretrained in Python",
        });
    }
    let vocab = vocabulary(&text, &path)?;
    let name = |role, default: &str| settings.special_content(role).unwrap_or(default).to_owned();
    let unk = name("unk_token", "[UNK]");
    if !vocab.contains_key(&unk) {
        let problem = format!("the unknown token {unk:?} is not in the vocabulary");
        return Err(TextError::unusable(&path, problem));
    }
    let model = guarded(|| WordPiece::builder().vocab(vocab).unk_token(unk).build())
        .map_err(|problem| TextError::unusable(&path, problem))?;

    let normalizer = BertNormalizer::new(
        true,
        settings.flag("tokenize_chinese_chars")?.unwrap_or(true),
        settings.flag("strip_accents")?,
        settings.flag("do_lower_case")?.unwrap_or(true),
    );
    let mut tokenizer = tokenizers::Tokenizer::new(model);
    guarded(|| tokenizer.with_normalizer(Some(normalizer)).map(drop))
        .map_err(|problem| TextError::unusable(&path, problem))?;
    tokenizer.with_pre_tokenizer(Some(BertPreTokenizer));
    tokenizer.with_decoder(Some(WordPieceDecoder::new("##".to_owned(), true)));
    add_tokens(&mut tokenizer, settings, BERT_TOKENS, &path)?;

    let (cls, sep) = (name("cls_token", "[CLS]"), name("sep_token", "[SEP]"));
    let markers = vec![
        (cls.clone(), required_id(&tokenizer, &cls, &path)?),
        (sep.clone(), required_id(&tokenizer, &sep, &path)?),
    ];
    let processor = TemplateProcessing::builder()
        .try_single(vec![format!("{cls}:0"), "$A:0".to_owned(), format!("{sep}:0")])
        .and_then(|builder| {
            builder.try_pair(vec![
                format!("{cls}:0"),
                "$A:0".to_owned(),
                format!("{sep}:0"),
                "$B:1".to_owned(),
                format!("{sep}:1"),
            ])
        })
        .map_err(|problem| TextError::unusable(&path, problem))?
        .special_tokens(markers)
        .build()
        .map_err(|problem| TextError::unusable(&path, problem))?;
    tokenizer.with_post_processor(Some(processor));
    Ok(Some(tokenizer))
}

/// One token a line, its id the line's number from 0; of two equal lines the later one counts.
fn vocabulary(text: &str, path: &Path) -> Result<Vocab, TextError> {
    text.lines()
        .enumerate()
        .map(|(index, line)| match u32::try_from(index) {
            Ok(id) => Ok((line.trim_end().to_owned(), id)),
            Err(_) => Err(TextError::unusable(path, "more than 2^32 lines")),
        })
        .collect()
}
