//! Files that are missing, damaged or contradict each other: each is an error that names them, never a panic.

use std::path::Path;

use serin_text::{EncodeSettings, TextError, Tokenizer, Truncation};
use tempfile::TempDir;

const VOCAB: &str = r#"{"<s>":0,"<pad>":1,"</s>":2,"<unk>":3,"a":4,"b":5,"ab":6,"<mask>":7}"#;

fn folder(files: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, contents) in files {
        std::fs::write(folder.path().join(name), contents).unwrap();
    }
    folder
}

fn load(files: &[(&str, &str)], model_type: &str) -> Result<Tokenizer, TextError> {
    Tokenizer::from_dir(folder(files).path(), model_type, 512)
}

/// The error as a user sees it, with `parts` in it.
#[track_caller]
fn assert_error<T>(result: Result<T, TextError>, parts: &[&str]) {
    let Err(error) = result else {
        panic!("no error, but one with {parts:?} was expected");
    };
    let message = error.to_string();
    for part in parts {
        assert!(message.contains(part), "{part:?} is not in: {message}");
    }
}

fn bpe(files: &[(&str, &str)]) -> Result<Tokenizer, TextError> {
    let mut all = vec![("vocab.json", VOCAB), ("merges.txt", "#version: 0.2\na b\n")];
    all.retain(|(name, _)| files.iter().all(|(other, _)| other != name));
    all.extend_from_slice(files);
    load(&all, "roberta")
}

#[test]
fn the_folder_of_these_tests_is_a_good_one() {
    let tokenizer = bpe(&[]).unwrap();
    let encoded = tokenizer.encode("abba", None, &EncodeSettings::default()).unwrap();
    assert_eq!(encoded.ids, [0, 6, 5, 4, 2]);
}

#[test]
fn no_tokenizer_at_all() {
    assert_error(load(&[], "roberta"), &["no tokenizer found", "tokenizer.json", "vocab.txt"]);
    let missing = Tokenizer::from_dir(Path::new("/nonexistent/model"), "roberta", 512);
    assert_error(missing, &["/nonexistent/model", "no tokenizer found"]);
}

#[test]
fn merges_are_missing() {
    assert_error(load(&[("vocab.json", VOCAB)], "roberta"), &["merges.txt", "both files"]);
}

#[test]
fn vocab_json_is_not_json() {
    assert_error(bpe(&[("vocab.json", "{\"a\": 1,")]), &["vocab.json", "not valid JSON", "line 1"]);
}

#[test]
fn vocab_json_has_ids_that_are_none() {
    for id in ["-1", "1.5", "4294967296", "\"7\"", "null"] {
        let vocab = format!(r#"{{"<s>":0,"odd":{id}}}"#);
        assert_error(bpe(&[("vocab.json", &vocab)]), &["vocab.json", "odd", "no token id"]);
    }
}

#[test]
fn merges_have_a_broken_line() {
    for line in ["a", "a b c", "a  b", " b", "a "] {
        let merges = format!("#version: 0.2\na b\n\n{line}\n");
        assert_error(bpe(&[("merges.txt", &merges)]), &["merges.txt:4:", "not two tokens"]);
    }
}

#[test]
fn merges_name_a_token_that_is_not_in_the_vocabulary() {
    assert_error(bpe(&[("merges.txt", "a b\na x\n")]), &["merges.txt:2:", "\"x\"", "vocab.json"]);
    // Longer than every token: the library alone would panic.
    let merges = "a b\n<mask> <mask>\n";
    assert_error(bpe(&[("merges.txt", merges)]), &["merges.txt:2:", "<mask><mask>"]);
}

#[test]
fn merges_are_not_utf8() {
    let folder = folder(&[("vocab.json", VOCAB)]);
    std::fs::write(folder.path().join("merges.txt"), b"a b\n\xff\xfe\n").unwrap();
    let result = Tokenizer::from_dir(folder.path(), "roberta", 512);
    assert_error(result, &["merges.txt:2:", "not valid UTF-8"]);
}

#[test]
fn a_special_token_is_elsewhere_than_the_files_say() {
    let result = bpe(&[("added_tokens.json", r#"{"<new>": 99}"#)]);
    assert_error(result, &["\"<new>\"", "id 99", "gives it 8"]);
    let config = r#"{"added_tokens_decoder": {"5": {"content": "<mask>", "special": true}}}"#;
    assert_error(bpe(&[("tokenizer_config.json", config)]), &["\"<mask>\"", "id 5", "gives it 7"]);
}

#[test]
fn added_tokens_decoder_is_broken() {
    for (decoder, part) in [
        ("[]", "not an object"),
        (r#"{"x": {"content": "a"}}"#, "no token id"),
        (r#"{"8": {"lstrip": true}}"#, "content"),
        (r#"{"8": 3}"#, "added_tokens_decoder.8"),
    ] {
        let config = format!(r#"{{"added_tokens_decoder": {decoder}}}"#);
        let result = bpe(&[("tokenizer_config.json", &config)]);
        assert_error(result, &["tokenizer_config.json", "added_tokens_decoder", part]);
    }
}

#[test]
fn tokenizer_config_has_a_flag_that_is_none() {
    let result = bpe(&[("tokenizer_config.json", r#"{"add_prefix_space": "yes"}"#)]);
    assert_error(result, &["tokenizer_config.json", "add_prefix_space", "not true or false"]);
}

#[test]
fn model_max_length_is_clipped_or_refused() {
    for (length, expected) in
        [("1000000000000000019884624838656", 512), ("1e30", 512), ("512", 512), ("128", 128), ("null", 512)]
    {
        let config = format!(r#"{{"model_max_length": {length}}}"#);
        let tokenizer = bpe(&[("tokenizer_config.json", &config)]).unwrap();
        assert_eq!(tokenizer.max_length(), expected, "{length}");
    }
    for length in ["0", "-5", "\"512\""] {
        let config = format!(r#"{{"model_max_length": {length}}}"#);
        assert_error(bpe(&[("tokenizer_config.json", &config)]), &["model_max_length"]);
    }
}

#[test]
fn tokenizer_json_is_corrupt() {
    let whole =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/byte_level_bpe_json/tokenizer.json"))
            .unwrap();
    let middle = whole.floor_char_boundary(whole.len() / 2);
    assert_error(load(&[("tokenizer.json", &whole[..middle])], "roberta"), &["tokenizer.json", "not valid JSON"]);
    assert_error(load(&[("tokenizer.json", "")], "roberta"), &["tokenizer.json", "not valid JSON"]);
    assert_error(load(&[("tokenizer.json", "{}")], "roberta"), &["tokenizer.json", "model"]);
    let renamed = whole.replace("\"ByteLevel\"", "\"Unheard\"");
    assert_error(load(&[("tokenizer.json", &renamed)], "roberta"), &["tokenizer.json", "not a usable tokenizer"]);
    let merges = whole.replace("\"merges\": [", "\"merges\": [[\"<mask>\",\"<mask>\"],");
    assert_ne!(merges, whole);
    assert_error(load(&[("tokenizer.json", &merges)], "roberta"), &["model.merges[0]", "not in model.vocab"]);
}

#[test]
fn tokenizer_json_places_a_text_twice() {
    let tokenizer = r#"{"version":"1.0","added_tokens":[],"normalizer":null,"pre_tokenizer":null,"decoder":null,
        "post_processor":{"type":"TemplateProcessing","single":[{"Sequence":{"id":"A","type_id":0}},
        {"Sequence":{"id":"A","type_id":0}}],"pair":[],"special_tokens":{}},
        "model":{"type":"WordLevel","vocab":{"a":0},"unk_token":"a"}}"#;
    assert_error(load(&[("tokenizer.json", tokenizer)], "roberta"), &["post_processor"]);
}

#[test]
fn wordpiece_lacks_its_special_tokens() {
    assert_error(load(&[("vocab.txt", "a\nb\n")], "bert"), &["vocab.txt", "[UNK]"]);
}

#[test]
fn bertweet_is_not_taken_for_wordpiece() {
    let files = [("vocab.txt", "a 1\n[UNK] 2\n"), ("bpe.codes", "a b 3\n")];
    assert_error(load(&files, "roberta"), &["bpe.codes", "save_pretrained"]);
}

#[test]
fn sentencepiece_model_is_damaged() {
    let whole =
        std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/unigram/sentencepiece.bpe.model")).unwrap();
    let folder = folder(&[]);
    let path = folder.path().join("sentencepiece.bpe.model");
    for bytes in [&b""[..], b"not a model at all", &whole[..whole.len() - 7], &[0xff; 64]] {
        std::fs::write(&path, bytes).unwrap();
        let result = Tokenizer::from_dir(folder.path(), "xlm-roberta", 512);
        assert_error(result, &["sentencepiece.bpe.model"]);
    }
    // Whatever single byte is damaged: an error or a tokenizer that works, never a panic.
    for position in (0..whole.len()).step_by(97) {
        let mut bytes = whole.clone();
        bytes[position] ^= 0x5a;
        std::fs::write(&path, bytes).unwrap();
        if let Ok(tokenizer) = Tokenizer::from_dir(folder.path(), "xlm-roberta", 512) {
            let encoded = tokenizer.encode("ﬁne ａ film", None, &EncodeSettings::default());
            assert!(encoded.is_ok() || matches!(encoded, Err(TextError::Tokenize { .. })));
        }
    }
}

#[test]
fn a_folder_stands_where_a_file_should() {
    let folder = folder(&[]);
    std::fs::create_dir(folder.path().join("tokenizer.json")).unwrap();
    let result = Tokenizer::from_dir(folder.path(), "roberta", 512);
    assert_error(result, &["tokenizer.json", "not a regular file"]);
}

#[test]
fn max_length_has_no_room() {
    let tokenizer = bpe(&[]).unwrap();
    let settings =
        |max_length| EncodeSettings { max_length, truncation: Truncation::Right, ..EncodeSettings::default() };
    assert_error(tokenizer.encode("a", None, &settings(2)), &["max_length 2", "at least 3"]);
    assert_error(tokenizer.encode("a", Some("b"), &settings(4)), &["max_length 4", "at least 5"]);
    assert_error(tokenizer.encode_batch(&[("a", None)], &settings(0)), &["max_length 0"]);
    assert_eq!(tokenizer.encode("aa", None, &settings(3)).unwrap().ids, [0, 4, 2]);
}

#[test]
fn nothing_is_written_into_a_folder_that_is_not_there() {
    let folder = folder(&[]);
    let missing = folder.path().join("missing");
    assert_error(bpe(&[]).unwrap().save(&missing), &["missing", "cannot write"]);
    assert!(!missing.exists());
}
