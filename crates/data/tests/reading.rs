//! Files of every format, most of them written by other programs, read to the same rows.

mod support;

use serin_data::{Cell, DataFolder, DataSpec, Format, ReadOptions, RowReader, Source, Split, count_rows, load_dataset};
use support::*;

#[test]
fn parquet_of_every_codec_gives_texts_labels_and_class_names() {
    for codec in ["snappy", "zstd", "gzip", "none"] {
        let dataset = load(fixture(&format!("hub_{codec}.parquet"))).unwrap();
        assert_eq!(texts(&dataset), TEXTS, "{codec}");
        assert_eq!(classes(&dataset), LABELS, "{codec}");
        assert_eq!(label_names(&dataset), ["neg", "pos"], "{codec}");
        assert_eq!(dataset.examples[7].row, 8);
    }
}

#[test]
fn pandas_and_python_csv_and_json_give_the_same_content_as_parquet() {
    let expected = load(fixture("hub_snappy.parquet")).unwrap();
    for name in ["pandas.csv", "pandas.csv.gz", "pandas.tsv", "pandas.jsonl"] {
        let dataset = load(fixture(name)).unwrap();
        assert_eq!(dataset.examples, expected.examples, "{name}");
        assert_eq!(dataset.labels, expected.labels, "{name}");
        assert_eq!(dataset.fingerprint, expected.fingerprint, "{name}");
    }
}

#[test]
fn a_byte_order_mark_is_no_part_of_the_first_column() {
    let dataset = load(fixture("quoted.csv")).unwrap();
    assert_eq!(texts(&dataset), TEXTS);
    assert_eq!(label_names(&dataset), ["0", "1"]);
    let folder = folder();
    let plain = put(&folder, "plain.txt", "\u{feff}first\nsecond");
    assert_eq!(texts(&load_texts(plain).unwrap()), ["first", "second"]);
    let zipped = put(&folder, "plain.txt.gz", gzip("\u{feff}first\n".as_bytes()));
    assert_eq!(texts(&load_texts(zipped).unwrap()), ["first"]);
}

#[test]
fn ids_that_pandas_wrote_as_floats_are_ids() {
    let dataset = load(fixture("float_ids.csv")).unwrap();
    assert_eq!(label_names(&dataset), ["0", "2", "10"]);
    assert_eq!(classes(&dataset), [0, 2, 1]);
}

#[test]
fn gzip_of_several_members_is_read_to_its_end() {
    let plain = rows(fixture("ragged.jsonl")).unwrap();
    let members = rows(fixture("members.jsonl.gz")).unwrap();
    assert_eq!(members.len(), 3);
    for (one, other) in plain.iter().zip(&members) {
        assert_eq!(one.columns(), other.columns());
        assert_eq!(one.get("text"), other.get("text"));
    }
}

#[test]
fn jsonl_rows_keep_their_own_keys_and_their_line_numbers() {
    let rows = rows(fixture("ragged.jsonl")).unwrap();
    assert_eq!(rows[0].columns(), ["text", "label", "big", "exact"]);
    assert_eq!(rows[1].columns(), ["label", "text", "nested"]);
    assert_eq!(rows[0].get("label"), Some(Cell::Bool(true)));
    assert_eq!(text(&rows[1], "text"), "é\n");
    assert_eq!(rows[0].get("nested"), None);
    // The third line is blank.
    assert_eq!(rows[2].location().to_string(), format!("{}, line 4 (row 3)", fixture("ragged.jsonl").display()));
    let dataset = load(fixture("ragged.jsonl")).unwrap();
    assert_eq!(label_names(&dataset), ["false", "true"]);
    assert_eq!(classes(&dataset), [1, 0, 1]);
}

#[test]
fn parquet_cells_of_every_type_are_readable() {
    let rows = rows(fixture("typed.parquet")).unwrap();
    assert_eq!(rows[0].columns(), ["text", "category", "id", "weight", "when", "flag", "meta", "tags"]);
    assert_eq!(text(&rows[1], "text"), "b");
    assert_eq!(rows[2].get("text"), Some(Cell::Null));
    assert_eq!(text(&rows[1], "category"), "y");
    assert_eq!(rows[0].get("id"), Some(Cell::Integer(1)));
    assert_eq!(rows[1].get("id"), Some(Cell::Float(9_223_372_036_854_775_808.0)));
    assert_eq!(rows[1].get("weight"), Some(Cell::Float(2.5)));
    assert_eq!(rows[1].get("flag"), Some(Cell::Bool(false)));
    assert!(matches!(rows[1].get("when"), Some(Cell::Other(when)) if when.starts_with("1970-01-02")));
    assert!(matches!(rows[0].get("tags"), Some(Cell::List(tags)) if tags.len() == 2));
    assert_eq!(rows[1].get("tags"), Some(Cell::List(vec![])));
}

#[test]
fn headerless_csv_has_numbered_or_given_columns() {
    let bytes = "good,1\nbad,0\n";
    let options = ReadOptions { header: false, ..ReadOptions::default() };
    let numbered = rows_of_bytes(bytes, Format::Csv, &options).unwrap();
    assert_eq!(numbered.len(), 2);
    assert_eq!(numbered[0].columns(), ["column_1", "column_2"]);
    let column_names = Some(vec!["text".to_owned(), "label".to_owned()]);
    let options = ReadOptions { column_names, ..ReadOptions::default() };
    let named = rows_of_bytes(bytes, Format::Csv, &options).unwrap();
    assert_eq!(text(&named[1], "text"), "bad");
    assert_eq!(named[1].location().line, Some(2));
}

#[test]
fn quotes_are_characters_where_quoting_is_off() {
    let options = ReadOptions { quoting: false, ..ReadOptions::default() };
    let rows = rows_of_bytes("text\tlabel\n\"Inch: 5\"\t1\n\"open\t0\n", Format::Tsv, &options).unwrap();
    assert_eq!(text(&rows[0], "text"), "\"Inch: 5\"");
    assert_eq!(text(&rows[1], "text"), "\"open");
}

#[test]
fn a_quoted_field_may_span_lines_and_the_next_row_knows_its_line() {
    let rows =
        rows_of_bytes("text,label\r\n\"a\nb\n\"\"c\",1\r\n\r\nd,0\r\n", Format::Csv, &ReadOptions::default()).unwrap();
    assert_eq!(text(&rows[0], "text"), "a\nb\n\"c");
    assert_eq!(rows[0].location().line, Some(2));
    assert_eq!(rows[1].location().line, Some(6), "after a blank line");
}

#[test]
fn tab_labels_are_told_from_plain_text_by_the_first_lines() {
    let folder = folder();
    let tab = put(&folder, "sentences.txt", "Good.  \t1\nBad, \"very\t0\n");
    let dataset = load(&tab).unwrap();
    assert_eq!(texts(&dataset), ["Good.  ", "Bad, \"very"]);
    assert_eq!(classes(&dataset), [1, 0]);
    let plain = put(&folder, "notes.txt", "one\ttwo\nno tab here\r\n\nlast");
    assert_eq!(source(&plain).format, Format::PlainText);
    assert_eq!(texts(&load_texts(&plain).unwrap()), ["one\ttwo", "no tab here", "", "last"]);
}

#[test]
fn tweeteval_lines_end_at_newline_alone() {
    let folder = folder();
    // U+2028, U+0085, \r and \x0b end a line for Python's splitlines, and do not here.
    put(&folder, "train_text.txt", "a\u{2028}b\nc\u{85}d\r\n\nlast\u{b}");
    put(&folder, "train_labels.txt", "2\n0\n1\n2\n");
    put(&folder, "mapping.txt", "1\tneutral\n0\tnegative\n2\tpositive");
    put(&folder, "test_text.txt", "t\n");
    put(&folder, "test_labels.txt", "0\n");
    let dataset = load(folder.path()).unwrap();
    assert_eq!(texts(&dataset), ["a\u{2028}b", "c\u{85}d\r", "", "last\u{b}"]);
    assert_eq!(classes(&dataset), [2, 0, 1, 2]);
    assert_eq!(label_names(&dataset), ["negative", "neutral", "positive"]);
    let test = load_dataset(&DataSpec { split: Split::Test, ..spec(folder.path()) }).unwrap();
    assert_eq!(texts(&test), ["t"]);
    assert_eq!(load(folder.path().join("train_text.txt")).unwrap().fingerprint, dataset.fingerprint);
}

#[test]
fn an_acl_imdb_tree_gives_classes_by_folder_and_leaves_unsup_out_aloud() {
    let folder = folder();
    for (name, text) in [
        ("aclImdb/train/pos/0_9.txt", "great"),
        ("aclImdb/train/neg/0_3.txt", "awful\n"),
        ("aclImdb/train/neg/1_1.txt", "worse"),
        ("aclImdb/train/unsup/0_0.txt", "unknown"),
        ("aclImdb/train/labeledBow.feat", "9 0:9"),
        ("aclImdb/test/pos/0_10.txt", "fine"),
        ("aclImdb/test/neg/0_2.txt", "dull"),
        ("aclImdb/README", "read me"),
        ("aclImdb/imdb.vocab", "the"),
    ] {
        put(&folder, name, text);
    }
    let root = folder.path().join("aclImdb");
    let train = load(&root).unwrap();
    assert_eq!(texts(&train), ["awful", "worse", "great"]);
    assert_eq!(label_names(&train), ["neg", "pos"]);
    assert_eq!(classes(&train), [0, 0, 1]);
    assert!(train.notes[0].contains("unsup"), "{:?}", train.notes);
    let test = load_dataset(&DataSpec { split: Split::Test, ..spec(&root) }).unwrap();
    assert_eq!(texts(&test), ["dull", "fine"]);
    assert_eq!(texts(&load(root.join("train")).unwrap()), ["awful", "worse", "great"]);
}

#[test]
fn a_hub_dataset_is_sorted_into_splits_with_all_shards_in_order() {
    let hub = DataFolder::open(&fixture("hub"), None).unwrap();
    let files = |split| hub.splits[&split].files.len();
    assert_eq!((files(Split::Train), files(Split::Test)), (2, 1));
    assert!(!hub.splits.contains_key(&Split::Validation));
    assert!(hub.notes[0].contains("unsupervised"), "{:?}", hub.notes);
    let train = load(fixture("hub")).unwrap();
    assert_eq!(texts(&train), TEXTS);
    assert_eq!(train.examples[5].row, 6, "rows are counted over all shards");
    let pattern = load(fixture("hub/plain_text/train-*.parquet")).unwrap();
    assert_eq!(pattern.fingerprint, train.fingerprint);
}

#[test]
fn splits_are_told_by_every_usual_name() {
    for (name, split) in [
        ("train.csv", Some(Split::Train)),
        ("data_training.csv", Some(Split::Train)),
        ("validation-00000-of-00001.parquet", Some(Split::Validation)),
        ("val_text.txt", Some(Split::Validation)),
        ("sst2.dev.tsv", Some(Split::Validation)),
        ("valid.jsonl", Some(Split::Validation)),
        ("test", Some(Split::Test)),
        ("imdb_test.csv.gz", Some(Split::Test)),
        ("unsupervised.parquet", None),
        ("restrained.csv", None),
        ("latest.csv", None),
    ] {
        assert_eq!(Split::from_name(name), split, "{name}");
    }
}

#[test]
fn folders_named_by_split_and_files_without_a_split_are_understood() {
    let folder = folder();
    put(&folder, "by_split/train/0000.csv", "text,label\na,0\n");
    put(&folder, "by_split/test/0000.csv", "text,label\nb,1\n");
    put(&folder, "loose/one.csv", "text,label\na,0\n");
    put(&folder, "loose/two.csv", "text,label\nb,1\n");
    put(&folder, "loose/README.txt", "about");
    put(&folder, "loose/dataset_info.json", "{}");
    assert_eq!(texts(&load(folder.path().join("by_split")).unwrap()), ["a"]);
    assert_eq!(texts(&load(folder.path().join("loose")).unwrap()), ["a", "b"]);
}

#[test]
fn several_files_are_one_source() {
    let paths = vec![fixture("pandas.csv"), fixture("pandas.csv.gz")];
    let source = Source::resolve(&paths, Split::Train, None).unwrap();
    let rows: Vec<_> = RowReader::open(&source, &ReadOptions::default()).unwrap().map(Result::unwrap).collect();
    assert_eq!(rows.len(), 16);
    assert_eq!(rows[15].number(), 16);
    assert_eq!(rows[15].location().line, Some(10));
}

#[test]
fn a_format_may_be_forced() {
    let folder = folder();
    let path = put(&folder, "data.dat", "text,label\na,0\n");
    assert_eq!(texts(&load_dataset(&DataSpec { format: Some(Format::Csv), ..spec(&path) }).unwrap()), ["a"]);
    let path = put(&folder, "plain.txt", "a\t1\n");
    let plain = RowReader::open(
        &Source::resolve(&[path], Split::Train, Some(Format::PlainText)).unwrap(),
        &ReadOptions::default(),
    );
    assert_eq!(text(&plain.unwrap().next().unwrap().unwrap(), "text"), "a\t1");
}

#[test]
fn ten_megabytes_on_a_line_are_read_whole() {
    let long = "word ".repeat(2 << 20);
    let folder = folder();
    let plain = put(&folder, "long.txt", format!("short\n{long}\nshort"));
    let dataset = load_texts(&plain).unwrap();
    assert_eq!(dataset.examples[1].text.len(), long.len());
    assert_eq!(dataset.len(), 3);
    let csv = put(&folder, "long.csv", format!("text,label\n\"{long}\",1\nb,0\n"));
    assert_eq!(load(&csv).unwrap().examples[0].text.len(), long.len());
}

#[test]
fn rows_before_a_broken_quote_still_come() {
    let bytes = "text,label\na,0\nb,1\n\"c,0\nd,1\n";
    let mut reader =
        RowReader::from_reader(Box::new(bytes.as_bytes()), "<stdin>", Format::Csv, &ReadOptions::default()).unwrap();
    assert_eq!(text(&reader.next().unwrap().unwrap(), "text"), "a");
    assert_eq!(text(&reader.next().unwrap().unwrap(), "text"), "b");
    assert_error(reader.next().unwrap(), &["<stdin>, line 4", "never closed"]);
    assert!(reader.next().is_none(), "nothing after an error");
}

#[test]
fn pairs_are_found_and_named() {
    let folder = folder();
    let found = put(&folder, "mnli.csv", "premise,hypothesis,label\np,h,0\n");
    let dataset = load(&found).unwrap();
    assert_eq!(dataset.examples[0].text, "p");
    assert_eq!(dataset.examples[0].pair.as_deref(), Some("h"));
    let named = put(&folder, "named.csv", "q,a,gold\np,h,0\n");
    let mut wanted = spec(&named);
    wanted.columns.text = Some("q".into());
    wanted.columns.pair = Some("a".into());
    wanted.columns.label = Some("gold".into());
    let dataset = load_dataset(&wanted).unwrap();
    assert_eq!((dataset.examples[0].text.as_str(), dataset.examples[0].pair.as_deref()), ("p", Some("h")));
}

#[test]
fn skipped_rows_are_counted() {
    let mut reader = RowReader::open(&source(fixture("hub")), &ReadOptions::default()).unwrap();
    reader.skip_rows(6).unwrap();
    let row = reader.next().unwrap().unwrap();
    assert_eq!((row.number(), text(&row, "text").as_str()), (7, TEXTS[6]));
    assert!(reader.skip_rows(2).is_err());
}

#[test]
fn rows_are_counted_without_loading_them() {
    let count = |name: &str| count_rows(&source(fixture(name)), &ReadOptions::default()).unwrap();
    for (name, rows) in [("hub", 8), ("pandas.csv", 8), ("pandas.csv.gz", 8), ("ragged.jsonl", 3), ("typed.parquet", 3)]
    {
        assert_eq!(count(name), rows, "{name}");
    }
}
