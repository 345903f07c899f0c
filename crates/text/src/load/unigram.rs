//! Unigram from a SentencePiece model, as `XLMRobertaTokenizer` and `CamembertTokenizer` of `transformers` build it.

use std::path::Path;

use tokenizers::decoders::metaspace::Metaspace as MetaspaceDecoder;
use tokenizers::models::unigram::Unigram;
use tokenizers::normalizers::Precompiled;
use tokenizers::pre_tokenizers::PreTokenizerWrapper;
use tokenizers::pre_tokenizers::metaspace::{Metaspace, PrependScheme};
use tokenizers::pre_tokenizers::sequence::Sequence;
use tokenizers::pre_tokenizers::whitespace::WhitespaceSplit;
use tokenizers::processors::template::TemplateProcessing;
use tokenizers::{AddedToken, NormalizerWrapper};

use crate::error::TextError;
use crate::load::files::read_bytes;
use crate::load::guard::guarded;
use crate::load::sentencepiece_model::{Piece, PieceKind, SentencePieceModel};
use crate::load::settings::TokenizerSettings;
use crate::special_tokens::{ROBERTA_TOKENS, add_tokens, required_id};

pub(crate) const MODEL_FILE: &str = "sentencepiece.bpe.model";

/// The id of `<unk>` in the fairseq vocabulary that both families put before the pieces.
const UNKNOWN_ID: usize = 3;

pub(crate) fn load(
    directory: &Path,
    model_type: &str,
    settings: &TokenizerSettings,
) -> Result<Option<tokenizers::Tokenizer>, TextError> {
    let path = directory.join(MODEL_FILE);
    let Some(bytes) = read_bytes(&path)? else {
        return Ok(None);
    };
    let unusable = |problem: String| TextError::unusable(&path, problem);
    let model = SentencePieceModel::parse(&bytes).map_err(unusable)?;
    let vocab = fairseq_vocabulary(&model.pieces, model_type, settings);
    let unigram = guarded(|| Unigram::from(vocab, Some(UNKNOWN_ID), false)).map_err(unusable)?;

    let mut tokenizer = tokenizers::Tokenizer::new(unigram);
    if !model.precompiled_charsmap.is_empty() {
        let normalizer = guarded(|| Ok(Precompiled::from(&model.precompiled_charsmap)?)).map_err(unusable)?;
        guarded(|| tokenizer.with_normalizer(Some(NormalizerWrapper::Precompiled(normalizer))).map(drop))
            .map_err(unusable)?;
    }
    let prepend = match settings.flag("add_prefix_space")?.unwrap_or(true) {
        true => PrependScheme::Always,
        false => PrependScheme::Never,
    };
    tokenizer.with_pre_tokenizer(Some(Sequence::new(vec![
        PreTokenizerWrapper::WhitespaceSplit(WhitespaceSplit),
        PreTokenizerWrapper::Metaspace(Metaspace::new('▁', prepend, true)),
    ])));
    tokenizer.with_decoder(Some(MetaspaceDecoder::new('▁', prepend, true)));
    add_tokens(&mut tokenizer, settings, ROBERTA_TOKENS, &path)?;
    add_model_tokens(&mut tokenizer, &model.pieces, model_type).map_err(unusable)?;

    let name = |role, default: &str| settings.special_content(role).unwrap_or(default).to_owned();
    let (bos, eos) = (name("bos_token", "<s>"), name("eos_token", "</s>"));
    let markers = vec![
        (bos.clone(), required_id(&tokenizer, &bos, &path)?),
        (eos.clone(), required_id(&tokenizer, &eos, &path)?),
    ];
    let text = |which: &str| which.to_owned();
    let processor = TemplateProcessing::builder()
        .try_single(vec![bos.clone(), text("$A"), eos.clone()])
        .and_then(|builder| builder.try_pair(vec![bos, text("$A"), eos.clone(), eos.clone(), text("$B"), eos]))
        .map_err(|problem| TextError::unusable(&path, problem))?
        .special_tokens(markers)
        .build()
        .map_err(|problem| TextError::unusable(&path, problem))?;
    tokenizer.with_post_processor(Some(processor));
    Ok(Some(tokenizer))
}

/// The pieces behind the special tokens that fairseq put first, `<mask>` at the end.
///
/// `convert_from_spm` of `XLMRobertaConverter` and `CamembertConverter` in `convert_slow_tokenizer.py`.
fn fairseq_vocabulary(pieces: &[Piece], model_type: &str, settings: &TokenizerSettings) -> Vec<(String, f64)> {
    let name = |role, default: &str| settings.special_content(role).unwrap_or(default).to_owned();
    let (pad, unk) = (name("pad_token", "<pad>"), name("unk_token", "<unk>"));
    let (mut vocab, replaced) = if is_camembert(model_type) {
        let unused = |token: &str, score| (format!("{token}NOTUSED"), score);
        let first = vec![unused("<s>", 0.0), (pad, 0.0), unused("</s>", 0.0), (unk, 0.0), unused("<unk>", -100.0)];
        (first, 1)
    } else {
        let first = vec![(name("bos_token", "<s>"), 0.0), (pad, 0.0), (name("eos_token", "</s>"), 0.0), (unk, 0.0)];
        (first, 3)
    };
    let kept = pieces.iter().skip(replaced);
    vocab.extend(kept.map(|piece| (piece.text.clone(), f64::from(piece.score))));
    vocab.push((name("mask_token", "<mask>"), 0.0));
    vocab
}

/// Control and user-defined pieces of the model are matched in the text as they stand.
fn add_model_tokens(tokenizer: &mut tokenizers::Tokenizer, pieces: &[Piece], model_type: &str) -> Result<(), String> {
    let unused: &[&str] = match is_camembert(model_type) {
        true => &["<s>NOTUSED", "</s>NOTUSED", "<unk>NOTUSED"],
        false => &[],
    };
    let marked = pieces.iter().filter_map(|piece| match piece.kind {
        PieceKind::Control => Some((piece.text.as_str(), true)),
        PieceKind::UserDefined => Some((piece.text.as_str(), false)),
        PieceKind::Other => None,
    });
    let tokens: Vec<AddedToken> = unused
        .iter()
        .map(|text| (*text, true))
        .chain(marked)
        .filter(|(text, _)| !tokenizer.get_added_vocabulary().get_vocab().contains_key(*text))
        .map(|(text, special)| AddedToken::from(text, special).normalized(false))
        .collect();
    guarded(|| tokenizer.add_tokens(tokens)).map(drop)
}

fn is_camembert(model_type: &str) -> bool {
    model_type == "camembert"
}
