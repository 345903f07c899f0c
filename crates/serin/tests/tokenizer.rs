//! `serin tokenizer train` as a user runs it.

mod support;

use serde_json::{Value, json};
use serin_text::Tokenizer;
use support::Place;

/// Two documents of plain text and two rows.
fn write_texts(place: &Place) {
    place.write("a.txt", "the film was good, the film was naïve\nthe end 🎬\n\na third film: 2024 was good\n");
    place.write("b.csv", "id,review\n1,the tweets were good 🎬🎬\n2,\n3,these were tweets\n");
}

/// What the Python package `tokenizers` 0.23.3 learns from the same four documents with the same trainer.
const MERGES: &str = "#version: 0.2\nt h\nĠ w\nth e\na s\nf i\ng o\nl m\no d\nð Ł\nĠ fi\nĠ go\nİ ¬\nĠw as\nðŁ İ¬\n\
                      Ġfi lm\nĠgo od\ne e\ne r\nt s\nt w\nĠ ðŁİ¬\nĠ tw\nĠw er\nee ts\nĠtw eets\nĠwer e\n";

const FILES: [&str; 5] =
    ["merges.txt", "special_tokens_map.json", "tokenizer.json", "tokenizer_config.json", "vocab.json"];

#[test]
fn a_tokenizer_is_learned_as_hugging_face_learns_it() {
    let place = Place::empty();
    write_texts(&place);
    let run =
        place.run(&["tokenizer", "train", "--train_file", "a.txt", "b.csv", "--vocab-size", "290", "-o", "deep/out"]);
    for part in ["4 documents (1 blank", "287 tokens", "fewer than 290", "deep/out"] {
        assert!(run.stderr.contains(part), "{}", run.stderr);
    }
    assert_eq!(run.well(), "");
    assert_eq!(place.read("deep/out/merges.txt"), MERGES);
    let vocabulary: Value = serde_json::from_str(&place.read("deep/out/vocab.json")).unwrap();
    for (id, token) in ["<s>", "<pad>", "</s>", "<unk>", "<mask>"].iter().enumerate() {
        assert_eq!(vocabulary[token], json!(id));
    }
    // The bytes stand in the order of their characters, the merged tokens after them in the order of the merges.
    assert_eq!((&vocabulary["a"], &vocabulary["Ġ"], &vocabulary["th"]), (&json!(69), &json!(225), &json!(261)));
    let config: Value = serde_json::from_str(&place.read("deep/out/tokenizer_config.json")).unwrap();
    assert_eq!((&config["tokenizer_class"], &config["mask_token"]), (&json!("RobertaTokenizer"), &json!("<mask>")));
    let tokenizer = Tokenizer::from_dir(&place.path("deep/out"), "roberta", 512).unwrap();
    let ids = tokenizer.content_ids("the <mask> was 🎬").unwrap();
    let tokens: Vec<String> = ids.iter().map(|&id| tokenizer.token(id).unwrap()).collect();
    assert_eq!(tokens, ["the", "<mask>", "Ġwas", "ĠðŁİ¬"]);
}

#[test]
fn line_by_line_concerns_plain_text_alone_and_quiet_is_quiet() {
    let place = Place::empty();
    write_texts(&place);
    let arguments =
        ["tokenizer", "train", "--train-file", "a.txt", "--train-file", "b.csv", "-o", "out", "--line-by-line"];
    let run = place.run(&arguments);
    assert!(run.stderr.contains("5 documents"), "{}", run.stderr);
    run.well();
    let run = place.run(&[&arguments[..], &["--overwrite-output-dir", "-q"]].concat());
    assert_eq!(run.stderr, "");
    run.well();
}

#[test]
fn a_text_longer_than_the_sample_is_measured_by_its_beginning() {
    let place = Place::empty();
    place.write("long.txt", "é word ".repeat(300_000));
    let run = place.run(&["tokenizer", "train", "--train-file", "long.txt", "-o", "out"]);
    assert!(run.stderr.contains("takes 1.000 tokens"), "{}", run.stderr);
}

#[test]
fn only_a_tokenizer_is_overwritten_and_only_where_asked() {
    let place = Place::empty();
    write_texts(&place);
    let train = |file: &'static str, output: &'static str, more: &[&'static str]| {
        place.run(&[&["tokenizer", "train", "--train-file", file, "-o", output], more].concat())
    };
    train("a.txt", "out", &[]).well();
    let before = place.read("out/merges.txt");
    train("b.csv", "out", &[]).fails_with(&["out: is not empty", "--overwrite-output-dir"]);
    // A failure on the way harms nothing.
    place.write("bad.txt", b"good\n\nbad \xff\n");
    train("bad.txt", "out", &["--overwrite-output-dir"]).fails_with(&["bad.txt, line 3", "UTF-8"]);
    assert_eq!(place.read("out/merges.txt"), before);
    train("b.csv", "out", &["--overwrite-output-dir"]).well();
    assert_ne!(place.read("out/merges.txt"), before);
    place.write("out/model.safetensors", "weights");
    train("a.txt", "out", &["--overwrite-output-dir"]).fails_with(&["model.safetensors", "lost"]);
    assert_eq!(place.read("out/model.safetensors"), "weights");
    std::fs::remove_file(place.path("out/model.safetensors")).unwrap();
    let mut names: Vec<_> =
        std::fs::read_dir(place.path("out")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, FILES);
}

#[test]
fn what_cannot_be_read_or_written_is_named_and_leaves_nothing() {
    let place = Place::empty();
    write_texts(&place);
    place.write("empty.txt", "");
    let train = |file: &str, output: &str, more: &[&str]| {
        place.run(&[&["tokenizer", "train", "--train-file", "a.txt", file, "-o", output], more].concat())
    };
    let before = place.names();
    train("absent.txt", "out", &[]).fails_with(&["absent.txt", "cannot open"]);
    train("empty.txt", "out", &[]).fails_with(&["empty.txt", "holds no text"]);
    train("b.csv", "out", &["--text-column", "body"]).fails_with(&["b.csv", "`body`", "`id`, `review`"]);
    train("b.csv", "a.txt", &[]).fails_with(&["a.txt", "cannot look into the folder"]);
    train("b.csv", "a.txt/out", &[]).fails_with(&["a.txt/out"]);
    for size in ["260", "0", "2000000", "many"] {
        let run = train("b.csv", "out", &["--vocab-size", size]);
        assert!(run.code == Some(2) && run.stderr.contains("--vocab-size"), "{}", run.stderr);
    }
    assert_eq!(place.names(), before);
}
