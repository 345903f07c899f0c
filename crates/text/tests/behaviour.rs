//! Normalisation, truncation policies, batches and saved files.

use std::path::{Path, PathBuf};

use serin_text::{EncodeSettings, Normalization, Tokenizer, Truncation, is_cardiffnlp_model, normalize_tweet};

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name)
}

fn roberta() -> Tokenizer {
    Tokenizer::from_dir(&data("byte_level_bpe"), "roberta", 512).unwrap()
}

#[test]
fn tweets_are_normalised_as_on_the_model_card() {
    for (text, expected) in [
        ("@Bob says hi to @alice_1: https://t.co/x!", "@user says hi to @user http"),
        ("@ alone, a@b.c, (@x) and @", "@ alone, a@b.c, (@x) and @"),
        ("http https://a httpd xhttp HTTP://a", "http http http xhttp HTTP://a"),
        ("  two  spaces @a ", "  two  spaces @user "),
        ("line\n@a tab\t@b @@", "line\n@a tab\t@b @user"),
        ("@é", "@user"),
        ("", ""),
    ] {
        assert_eq!(normalize_tweet(text), expected);
        assert_eq!(normalize_tweet(expected), expected, "idempotent");
    }
    let settings = EncodeSettings { normalization: Normalization::Tweet, ..EncodeSettings::default() };
    let tokenizer = roberta();
    let plain = EncodeSettings::default();
    assert_eq!(
        tokenizer.encode("@Bob hi", Some("https://t.co @x"), &settings).unwrap(),
        tokenizer.encode("@user hi", Some("http @user"), &plain).unwrap(),
    );
}

#[test]
fn cardiff_models_are_known_by_id_and_path() {
    for name in [
        "cardiffnlp/twitter-roberta-base-sentiment-latest",
        "/data/cardiffnlp/twitter-roberta-base",
        "/root/.cache/huggingface/hub/models--cardiffnlp--twitter-roberta-base-irony/snapshots/abc",
    ] {
        assert!(is_cardiffnlp_model(name), "{name}");
    }
    for name in ["roberta-base", "FacebookAI/roberta-base", "me/not-cardiffnlp", ""] {
        assert!(!is_cardiffnlp_model(name), "{name}");
    }
}

#[test]
fn head_and_tail_keep_both_ends_and_the_special_tokens() {
    let tokenizer = roberta();
    let text = "The film was a quiet surprise. ".repeat(200);
    let whole = EncodeSettings { max_length: usize::MAX, ..EncodeSettings::default() };
    // max_length is clipped to the 512 positions of the model.
    let right = tokenizer.encode(&text, None, &whole).unwrap();
    assert_eq!(right.ids.len(), 512);
    assert!(right.truncated() && right.full_length > 1000);

    let settings = EncodeSettings { truncation: Truncation::head_tail(), ..EncodeSettings::default() };
    let encoded = tokenizer.encode(&text, None, &settings).unwrap();
    let left = EncodeSettings { truncation: Truncation::Left, ..EncodeSettings::default() };
    let left = tokenizer.encode(&text, None, &left).unwrap();
    assert_eq!(encoded.ids.len(), 512);
    assert_eq!(encoded.full_length, right.full_length);
    assert_eq!(encoded.ids[..129], right.ids[..129]);
    assert_eq!(encoded.ids[129..], left.ids[129..]);

    let pair = tokenizer.encode(&text, Some(&text), &settings).unwrap();
    let ids = &pair.ids;
    assert_eq!(ids.len(), 512);
    assert_eq!((ids[0], ids[255], ids[256], ids[511]), (0, 2, 2, 2));
    assert_eq!(ids[1..129], right.ids[1..129]);
    assert_eq!(ids[1..255], ids[257..511]);
}

#[test]
fn batches_keep_the_order_on_any_pool() {
    let tokenizer = roberta();
    let settings = EncodeSettings::default();
    let texts: Vec<String> = (0..300).map(|i| format!("text {i} {}", "a b ".repeat(i % 17))).collect();
    let inputs: Vec<(&str, Option<&str>)> =
        texts.iter().enumerate().map(|(i, text)| (text.as_str(), (i % 3 == 0).then_some("second"))).collect();
    let alone: Vec<_> = inputs.iter().map(|(text, pair)| tokenizer.encode(text, *pair, &settings).unwrap()).collect();
    for threads in [1, 3] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        assert_eq!(pool.install(|| tokenizer.encode_batch(&inputs, &settings)).unwrap(), alone);
    }
    assert!(tokenizer.encode_batch(&[], &settings).unwrap().is_empty());
}

#[test]
fn type_ids_are_zero_for_models_without_them() {
    let wordpiece = data("wordpiece_uncased");
    let settings = EncodeSettings::default();
    for (model_type, largest) in [("bert", 1), ("distilbert", 0), ("roberta", 0)] {
        let tokenizer = Tokenizer::from_dir(&wordpiece, model_type, 512).unwrap();
        let encoded = tokenizer.encode("the film", Some("the end"), &settings).unwrap();
        assert_eq!(encoded.type_ids.iter().max(), Some(&largest), "{model_type}");
    }
}

#[test]
fn decoding_gives_the_text_back() {
    let tokenizer = roberta();
    let text = " The film: 東京 👨‍👩‍👧 café";
    let encoded = tokenizer.encode(text, None, &EncodeSettings::default()).unwrap();
    assert_eq!(tokenizer.decode(&encoded.ids).unwrap(), text);
    assert_eq!(tokenizer.decode(&[u32::MAX]).unwrap(), "");
    assert_eq!(tokenizer.token(0).as_deref(), Some("<s>"));
    assert_eq!(tokenizer.token(u32::MAX), None);
}

#[test]
fn saving_keeps_the_files_and_what_the_config_said() {
    let folder = tempfile::tempdir().unwrap();
    for file in ["vocab.json", "merges.txt"] {
        std::fs::copy(data("byte_level_bpe").join(file), folder.path().join(file)).unwrap();
    }
    let config =
        r#"{"model_max_length": 1e30, "clean_up_tokenization_spaces": true, "house": "rules", "vocab_file": "/x"}"#;
    std::fs::write(folder.path().join("tokenizer_config.json"), config).unwrap();
    let tokenizer = Tokenizer::from_dir(folder.path(), "roberta", 512).unwrap();

    // Also into the folder it came from.
    tokenizer.save(folder.path()).unwrap();
    let mut names: Vec<String> = std::fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    let expected = ["merges.txt", "special_tokens_map.json", "tokenizer.json", "tokenizer_config.json", "vocab.json"];
    assert_eq!(names, expected);
    for file in ["vocab.json", "merges.txt"] {
        let original = std::fs::read(data("byte_level_bpe").join(file)).unwrap();
        assert_eq!(std::fs::read(folder.path().join(file)).unwrap(), original);
    }
    let read = |name: &str| -> serde_json::Value {
        serde_json::from_slice(&std::fs::read(folder.path().join(name)).unwrap()).unwrap()
    };
    let config = read("tokenizer_config.json");
    assert_eq!(config["tokenizer_class"], "RobertaTokenizer");
    assert_eq!(config["model_max_length"], 512);
    assert_eq!(config["house"], "rules");
    assert_eq!(config["add_prefix_space"], false);
    assert_eq!(config["added_tokens_decoder"]["4"]["lstrip"], true);
    assert!(config.get("vocab_file").is_none());
    let map = read("special_tokens_map.json");
    assert_eq!(map["cls_token"], "<s>");
    assert_eq!(map["mask_token"]["lstrip"], true);
}

#[test]
fn settings_are_read_back_and_default_where_absent() {
    let settings = EncodeSettings {
        max_length: 128,
        truncation: Truncation::HeadTail { head: 64 },
        normalization: Normalization::Tweet,
    };
    let json = serde_json::to_string(&settings).unwrap();
    assert_eq!(json, r#"{"max_length":128,"truncation":{"head_tail":{"head":64}},"normalization":"tweet"}"#);
    assert_eq!(serde_json::from_str::<EncodeSettings>(&json).unwrap(), settings);
    assert_eq!(serde_json::from_str::<EncodeSettings>("{}").unwrap(), EncodeSettings::default());
}
