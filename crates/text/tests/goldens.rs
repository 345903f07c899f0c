//! Token ids against the Python packages `tokenizers` and `transformers`; see `golden/text_goldens.py`.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use serin_text::{EncodeSettings, Encoded, SpecialIds, Tokenizer, Truncation};

#[derive(Deserialize)]
struct Inputs {
    texts: Vec<String>,
    pairs: Vec<(String, String)>,
    truncated: Vec<TruncatedInput>,
    random: Vec<String>,
    named: std::collections::HashMap<String, String>,
}

#[derive(Deserialize)]
struct TruncatedInput {
    text: String,
    pair: Option<String>,
    side: String,
    max_length: usize,
}

#[derive(Deserialize)]
struct Expected {
    special_ids: ExpectedSpecialIds,
    vocab_size: usize,
    texts: Vec<Vec<u32>>,
    pairs: Vec<Vec<u32>>,
    pair_type_ids: Vec<Vec<u8>>,
    truncated: Vec<Vec<u32>>,
    random: Vec<String>,
    long: String,
    whitespace: String,
    word: String,
}

#[derive(Deserialize)]
struct ExpectedSpecialIds {
    pad: Option<u32>,
    cls: Option<u32>,
    sep: Option<u32>,
    unk: Option<u32>,
    mask: Option<u32>,
}

fn data() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data")
}

fn read<T: for<'de> Deserialize<'de>>(path: &Path) -> T {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

/// No limit: the texts are compared whole.
const WHOLE: usize = 1 << 30;

fn whole() -> EncodeSettings {
    EncodeSettings { max_length: WHOLE, ..EncodeSettings::default() }
}

/// 64-bit FNV-1a over the little-endian bytes of the ids.
fn fnv1a(ids: &[u32]) -> String {
    let bytes = ids.iter().flat_map(|id| id.to_le_bytes());
    let hash =
        bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    format!("{hash:016x}")
}

fn check(directory: &Path, expected: &Path, model_type: &str) {
    let tokenizer = Tokenizer::from_dir(directory, model_type, WHOLE).unwrap();
    check_tokenizer(&tokenizer, expected);

    // What is saved is the same tokenizer, whichever files it came from.
    let saved = tempfile::tempdir().unwrap();
    tokenizer.save(saved.path()).unwrap();
    let again = Tokenizer::from_dir(saved.path(), model_type, WHOLE).unwrap();
    assert!(again.kind().ends_with("from tokenizer.json"));
    check_tokenizer(&again, expected);
}

fn check_tokenizer(tokenizer: &Tokenizer, expected: &Path) {
    let inputs: Inputs = read(&data().join("inputs.json"));
    let expected: Expected = read(expected);

    let special = expected.special_ids;
    let special =
        SpecialIds { pad: special.pad, cls: special.cls, sep: special.sep, unk: special.unk, mask: special.mask };
    assert_eq!(tokenizer.special_ids(), special);
    assert_eq!(tokenizer.vocab_size(), expected.vocab_size);
    assert_eq!(tokenizer.largest_id() as usize + 1, expected.vocab_size);

    let encode = |text: &str, pair: Option<&str>| -> Encoded {
        let encoded = tokenizer.encode(text, pair, &whole()).unwrap();
        assert_eq!(encoded.full_length, encoded.ids.len());
        assert_eq!(encoded.type_ids.len(), encoded.ids.len());
        assert!(!encoded.truncated());
        encoded
    };
    assert_eq!(inputs.texts.len(), expected.texts.len());
    for (text, ids) in inputs.texts.iter().zip(&expected.texts) {
        assert_eq!(&encode(text, None).ids, ids, "{text:?}");
    }
    assert_eq!(inputs.random.len(), expected.random.len());
    for (text, hash) in inputs.random.iter().zip(&expected.random) {
        let ids = encode(text, None).ids;
        assert_eq!(&fnv1a(&ids), hash, "{text:?}: {ids:?}");
    }
    assert_eq!(inputs.pairs.len(), expected.pairs.len());
    for (index, (text, pair)) in inputs.pairs.iter().enumerate() {
        let encoded = encode(text, Some(pair));
        assert_eq!(encoded.ids, expected.pairs[index], "{text:?} {pair:?}");
        assert_eq!(encoded.type_ids, expected.pair_type_ids[index], "{text:?} {pair:?}");
    }
    assert_eq!(inputs.truncated.len(), expected.truncated.len());
    for (case, ids) in inputs.truncated.iter().zip(&expected.truncated) {
        let settings = EncodeSettings {
            max_length: case.max_length,
            truncation: match case.side.as_str() {
                "left" => Truncation::Left,
                _ => Truncation::Right,
            },
            ..EncodeSettings::default()
        };
        let text = &inputs.named[&case.text];
        let pair = case.pair.as_ref().map(|name| inputs.named[name].as_str());
        let encoded = tokenizer.encode(text, pair, &settings).unwrap();
        let name = format!("{} {:?} {} {}", case.text, case.pair, case.side, case.max_length);
        assert_eq!(&encoded.ids, ids, "{name}");
        assert_eq!(encoded.full_length, encode(text, pair).ids.len(), "{name}");
        assert_eq!(encoded.truncated(), encoded.full_length > case.max_length, "{name}");
    }
    // More than the 64 KiB that are tokenized at once.
    let long = inputs.named["long"].repeat(300);
    assert!(long.len() > 200_000);
    assert_eq!(fnv1a(&encode(&long, None).ids), expected.long);
    // Stretches without a place to cut, long enough to upset a backtracking regex.
    let whitespace = format!("a{}{}b", " ".repeat(150_000), "\t".repeat(90_000));
    assert_eq!(fnv1a(&encode(&whitespace, None).ids), expected.whitespace);
    let word = "ab".repeat(100_000);
    assert_eq!(fnv1a(&encode(&word, None).ids), expected.word);
}

fn check_committed(name: &str, model_type: &str) {
    let directory = data().join(name);
    check(&directory, &directory.join("expected.json"), model_type);
}

#[test]
fn byte_level_bpe_from_vocab_and_merges() {
    check_committed("byte_level_bpe", "roberta");
}

#[test]
fn byte_level_bpe_with_prefix_space_added_tokens_and_blank_lines() {
    check_committed("byte_level_bpe_prefix_space", "roberta");
}

#[test]
fn byte_level_bpe_from_tokenizer_json_with_padding_and_truncation_set() {
    check_committed("byte_level_bpe_json", "roberta");
}

#[test]
fn wordpiece_uncased_from_vocab() {
    check_committed("wordpiece_uncased", "bert");
}

#[test]
fn wordpiece_cased_from_vocab() {
    check_committed("wordpiece_cased", "bert");
}

#[test]
fn wordpiece_from_tokenizer_json() {
    check_committed("wordpiece_json", "bert");
}

#[test]
fn unigram_from_sentencepiece() {
    check_committed("unigram", "xlm-roberta");
}

#[test]
fn unigram_from_sentencepiece_of_camembert() {
    check_committed("unigram_camembert", "camembert");
}

#[test]
fn unigram_from_tokenizer_json() {
    check_committed("unigram_json", "xlm-roberta");
}

#[test]
fn roberta_base() {
    let shared = std::env::var_os("SERIN_SHARED")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared"), PathBuf::from);
    let directory = shared.join("tokenizers/roberta-base");
    if !directory.is_dir() {
        eprintln!("skipped: {} is absent", directory.display());
        return;
    }
    check(&directory, &data().join("roberta_base_expected.json"), "roberta");
    let tokenizer = Tokenizer::from_dir(&directory, "roberta", 512).unwrap();
    assert_eq!(tokenizer.kind(), "byte-level BPE, 50265 tokens, from vocab.json + merges.txt");
    let hello = tokenizer.encode("Hello", None, &whole()).unwrap();
    assert_eq!(hello.ids, [0, 31414, 2]);
    assert_eq!(tokenizer.token(50264).as_deref(), Some("<mask>"));
}
