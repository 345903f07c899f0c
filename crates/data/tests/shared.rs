//! The real datasets beside the repository, counted and looked into.

mod support;

use serin_data::{DataCheck, DataSpec, LabelUse, Split, load_dataset, stratified_split};
use support::*;

#[test]
fn imdb_has_25000_reviews_a_split_and_half_of_each_class() {
    let Some(folder) = shared("imdb") else { return };
    let train = load(&folder).unwrap();
    assert_eq!(train.len(), 25_000);
    assert_eq!(label_names(&train), ["neg", "pos"]);
    let classes = classes(&train);
    assert_eq!(classes.iter().filter(|&&class| class == 1).count(), 12_500);
    assert!(classes.is_sorted(), "IMDB is sorted by class");
    assert!(train.examples[0].text.starts_with("Story of a man who has unnatural feelings for a pig."));
    assert!(train.examples[24_999].text.starts_with("I always feel strange and guilty saying it"));
    assert!(train.examples.iter().any(|example| example.text.contains("<br />")));

    let sample = load_dataset(&DataSpec { limit: Some(1000), seed: 42, ..spec(&folder) }).unwrap();
    assert_eq!(support::classes(&sample).iter().sum::<u32>(), 500);

    let test = load_dataset(&DataSpec { split: Split::Test, ..spec(&folder) }).unwrap();
    assert_eq!(test.len(), 25_000);
    let (train, validation) = stratified_split(&train, 0.1, 42).unwrap();
    assert_eq!((train.len(), validation.len()), (22_500, 2_500));
    let check = DataCheck::run(&train, Some(&validation), Some(&test));
    assert_eq!(check.splits[2].labels, [("neg".to_owned(), 12_500), ("pos".to_owned(), 12_500)]);
    eprintln!("{check}");
}

#[test]
fn imdb_unsupervised_has_50000_reviews_without_a_label() {
    let Some(folder) = shared("imdb") else { return };
    let path = folder.join("unsupervised-00000-of-00001.parquet");
    assert_error(load(&path), &["50000 of 50000 rows have the label -1"]);
    let dataset = load_dataset(&DataSpec { label_use: LabelUse::Optional, ..spec(&path) }).unwrap();
    assert_eq!(dataset.len(), 50_000);
}

#[test]
fn tweeteval_sentiment_has_its_published_sizes() {
    let Some(folder) = shared("tweeteval/sentiment") else { return };
    for (split, size) in [(Split::Train, 45_615), (Split::Validation, 2_000), (Split::Test, 12_284)] {
        let dataset = load_dataset(&DataSpec { split, ..spec(&folder) }).unwrap();
        assert_eq!(dataset.len(), size, "{split}");
        assert_eq!(label_names(&dataset), ["negative", "neutral", "positive"]);
    }
    let train = load(&folder).unwrap();
    let text = std::fs::read_to_string(folder.join("train_text.txt")).unwrap();
    let labels = std::fs::read_to_string(folder.join("train_labels.txt")).unwrap();
    let (text, label) = (text.split('\n').nth(31_999).unwrap(), labels.split('\n').nth(31_999).unwrap());
    assert_eq!(train.examples[31_999].text, text);
    assert_eq!(classes(&train)[31_999].to_string(), label);
}

#[test]
fn labelled_sentences_are_1000_a_file_half_of_them_positive() {
    let Some(folder) = shared("sentences") else { return };
    for name in ["amazon_cells", "imdb", "yelp"] {
        let dataset = load(folder.join(format!("{name}_labelled.txt"))).unwrap();
        assert_eq!(dataset.len(), 1000, "{name}");
        assert_eq!(classes(&dataset).iter().sum::<u32>(), 500, "{name}");
        assert_eq!(label_names(&dataset), ["0", "1"]);
    }
    assert_eq!(load(&folder).unwrap().len(), 3000);
}
