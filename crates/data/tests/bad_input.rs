//! Every kind of broken input has its own error, with the place and the mend.

mod support;

use serin_data::{DataSpec, Format, LabelSet, LabelUse, ReadOptions, load_dataset};
use support::*;

#[test]
fn an_empty_file_of_any_format_is_refused() {
    let folder = folder();
    for name in ["a.csv", "b.tsv", "c.jsonl", "d.txt"] {
        let path = put(&folder, name, "");
        assert_error(load_texts(&path), &[name, "no data rows"]);
    }
    assert_error(load(put(&folder, "e.parquet", "")), &["e.parquet", "not readable as Parquet"]);
    assert_error(load(put(&folder, "f.csv.gz", gzip(b""))), &["f.csv.gz", "no data rows"]);
}

#[test]
fn a_file_with_only_a_header_is_refused_as_such() {
    let folder = folder();
    let path = put(&folder, "header.csv", "text,label\n");
    assert_error(load(&path), &["header.csv", "only a header", "--no-header"]);
}

#[test]
fn a_quote_that_is_never_closed_names_the_line_where_it_opened() {
    let folder = folder();
    let mut csv = String::from("text,label\n");
    for row in 2..5000 {
        csv.push_str(&if row == 1234 { "\"no end,1\n".to_owned() } else { format!("row {row},0\n") });
    }
    let path = put(&folder, "broken.csv", csv);
    assert_error(load(&path), &["broken.csv, line 1234", "never closed", "--no-quoting"]);
}

#[test]
fn a_quote_closed_by_the_next_rows_quote_is_no_field() {
    // To a forgiving parser, rows 2 and 3 are one row and nobody is told.
    let folder = folder();
    let path = put(&folder, "broken.csv", "text,label\n\"no end,1\n\"next, quoted\",0\n\"fine\",1\n");
    assert_error(load(&path), &["broken.csv, line 2", "closed on line 3 in the middle of a field"]);
}

#[test]
fn a_row_with_too_many_or_too_few_fields_names_its_line() {
    let folder = folder();
    let many = put(&folder, "many.csv", "text,label\na,0\nb, with comma,1\n");
    assert_error(load(&many), &["many.csv, line 3", "3 fields", "2"]);
    let few = put(&folder, "few.tsv", "text\tlabel\na\n");
    assert_error(load(&few), &["few.tsv, line 2", "1 fields"]);
    let tab = put(&folder, "tab.txt", format!("{}c\td\te\n", "a\t1\n".repeat(30)));
    assert_error(load(&tab), &["tab.txt, line 31", "3 fields"]);
}

#[test]
fn a_label_outside_the_known_set_names_row_value_and_set() {
    let folder = folder();
    let path = put(&folder, "labels.csv", "text,label\na,Positive\nb,negative\nc,mixed\n");
    let labels = Some(LabelSet::new(vec!["negative".into(), "positive".into()]).unwrap());
    let wanted = DataSpec { labels, ..spec(&path) };
    assert_error(
        load_dataset(&wanted),
        &["labels.csv, line 4 (row 3), column `label`", "`mixed`", "negative, positive", "--label-map"],
    );
}

#[test]
fn a_class_id_outside_the_files_own_classes_is_refused() {
    let folder = folder();
    put(&folder, "train_text.txt", "a\nb\n");
    put(&folder, "train_labels.txt", "0\n7\n");
    put(&folder, "mapping.txt", "0\tno\n1\tyes\n");
    assert_error(load(folder.path()), &["line 2", "`7`", "2 classes", "no, yes"]);
}

#[test]
fn data_of_one_class_loads_and_is_flagged_by_the_check() {
    let folder = folder();
    let path = put(&folder, "one.csv", "text,label\na,pos\nb,pos\n");
    let dataset = load(&path).unwrap();
    let check = serin_data::DataCheck::run(&dataset, None, None);
    assert!(check.single_class);
    assert!(check.to_string().contains("same label"));
}

#[test]
fn invalid_utf8_names_its_line_in_every_text_format() {
    let folder = folder();
    for (name, bytes, line) in [
        ("a.csv", &b"text,label\nok,1\nb\xffd,0\n"[..], "line 3"),
        ("in_quotes.csv", b"text,label\n\"ok\nfine\nb\xffd\",1\n", "line 4"),
        ("b.tsv", b"text\tlabel\nb\xffd\t1\n", "line 2"),
        ("c.jsonl", b"{\"text\":\"ok\"}\n{\"text\":\"b\xffd\"}\n", "line 2"),
        ("d.txt", b"ok\nok\nb\xffd", "line 3"),
    ] {
        let path = put(&folder, name, bytes);
        assert_error(load_texts(&path), &[name, line, "UTF-8", "--lossy"]);
        let mut wanted = DataSpec { label_use: LabelUse::Ignored, ..spec(&path) };
        wanted.read.lossy = true;
        let dataset = load_dataset(&wanted).unwrap();
        assert!(dataset.examples.iter().any(|example| example.text.ends_with("b\u{fffd}d")), "{name}");
    }
}

#[test]
fn utf16_and_nul_bytes_are_told_apart_from_text() {
    let folder = folder();
    let utf16: Vec<u8> = "text,label\r\na,1\r\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
    assert_error(load(put(&folder, "utf16.csv", &utf16)), &["utf16.csv, line 1", "NUL", "UTF-16"]);
    let nul = put(&folder, "nul.txt", "ok\na\0b\n");
    assert_error(load_texts(&nul), &["nul.txt, line 2", "NUL", "--lossy"]);
    let csv = put(&folder, "nul.csv", "text,label\nok,0\na\0b,1\n");
    assert_error(load(&csv), &["nul.csv, line 3", "NUL"]);
}

#[test]
fn text_and_label_files_of_different_lengths_are_refused_with_both_counts() {
    let folder = folder();
    put(&folder, "train_text.txt", "a\nb\nc\nd\n");
    put(&folder, "train_labels.txt", "0\n1\n");
    assert_error(load(folder.path()), &["4 texts", "2 labels", "train_labels.txt"]);
    put(&folder, "train_labels.txt", "0\n1\n0\n1\n1");
    assert_error(load(folder.path()), &["4 texts", "5 labels"]);
}

#[test]
fn a_missing_column_lists_those_there_are_and_the_flag() {
    let folder = folder();
    let path = put(&folder, "odd.csv", "headline,verdict\na,1\n");
    assert_error(load(&path), &["odd.csv", "no text column", "`headline`, `verdict`", "--text-column"]);
    let mut wanted = spec(&path);
    wanted.columns.text = Some("headline".into());
    assert_error(load_dataset(&wanted), &["no label column", "`headline`, `verdict`", "--label-column"]);
    wanted.columns.label = Some("gold".into());
    assert_error(load_dataset(&wanted), &["no column `gold`", "`headline`, `verdict`"]);
    wanted.columns.pair = Some("body".into());
    assert_error(load_dataset(&wanted), &["no column `body`", "--text-pair-column"]);
}

#[test]
fn a_jsonl_row_without_its_text_names_row_and_keys() {
    let folder = folder();
    let path = put(&folder, "rows.jsonl", "{\"text\":\"a\",\"label\":1}\n{\"body\":\"b\",\"label\":1}\n");
    assert_error(load(&path), &["rows.jsonl, line 2", "no `text`", "body, label"]);
    let path = put(&folder, "null.jsonl", "{\"text\":null,\"label\":1}\n");
    assert_error(load(&path), &["null.jsonl, line 1", "column `text`", "null"]);
    let path = put(&folder, "number.jsonl", "{\"text\":5,\"label\":1}\n");
    assert_error(load(&path), &["number.jsonl, line 1", "text is expected", "whole number"]);
}

#[test]
fn lines_that_are_no_json_object_say_what_they_are() {
    let folder = folder();
    for (line, words) in [
        ("{\"text\": \"a\"", "EOF"),
        ("[{\"text\": \"a\"}]", "jq -c '.[]'"),
        ("{", "several lines"),
        ("\"text\"", "not a JSON object"),
        ("{\"text\": \"a\"} x", "trailing characters"),
    ] {
        let path = put(&folder, "broken.jsonl", format!("{{\"text\":\"ok\"}}\n{line}\n"));
        assert_error(load_texts(&path), &["broken.jsonl, line 2", words]);
    }
    // Deeper than the parser follows: an error, no stack overflow.
    let path = put(&folder, "deep.jsonl", format!("{{\"text\":{}", "[".repeat(200_000)));
    assert_error(load_texts(&path), &["deep.jsonl, line 1", "recursion"]);
}

#[test]
fn a_truncated_gzip_file_is_an_error_not_an_end() {
    let mut csv = String::from("text,label\n");
    (0..20_000).for_each(|row| csv.push_str(&format!("row {},{}\n", row * 7919 % 10_007, row % 2)));
    let zipped = gzip(csv.as_bytes());
    let folder = folder();
    let path = put(&folder, "cut.csv.gz", &zipped[..zipped.len() / 2]);
    assert_error(load(&path), &["cut.csv.gz", "truncated"]);
    let path = put(&folder, "cut_trailer.csv.gz", &zipped[..zipped.len() - 4]);
    assert_error(load(&path), &["cut_trailer.csv.gz", "truncated"]);
    let mut damaged = zipped.clone();
    let at = damaged.len() - 6;
    damaged[at] ^= 0xff;
    assert_error(load(put(&folder, "checksum.csv.gz", damaged)), &["checksum.csv.gz", "reading failed"]);
    assert_error(load(put(&folder, "plain.csv.gz", "text,label\n")), &["plain.csv.gz", "not gzip"]);
}

#[test]
fn a_truncated_parquet_file_is_an_error_at_every_length() {
    let whole = std::fs::read(fixture("hub_zstd.parquet")).unwrap();
    let folder = folder();
    for length in (0..whole.len()).step_by(7) {
        let path = put(&folder, "cut.parquet", &whole[..length]);
        assert_error(load(&path), &["cut.parquet", "Parquet"]);
    }
}

#[test]
fn a_damaged_parquet_file_never_panics() {
    let whole = std::fs::read(fixture("hub_none.parquet")).unwrap();
    let folder = folder();
    for at in 0..whole.len() {
        let mut damaged = whole.clone();
        damaged[at] ^= 0x55;
        // An error or other content: anything but a panic.
        let _ = load(put(&folder, "damaged.parquet", damaged)).map(|dataset| dataset.len());
    }
}

#[test]
fn folders_without_data_and_names_that_tell_nothing_are_refused() {
    let folder = folder();
    assert_error(load(folder.path()), &["no data", "the folder is empty"]);
    put(&folder, "README.md", "about");
    assert_error(load(folder.path()), &["no data file (but: README.md)", ".parquet"]);
    assert_error(load(folder.path().join("absent.csv")), &["cannot open", "absent.csv"]);
    assert_error(load(folder.path().join("*.csv")), &["*.csv", "no file matches"]);
    assert_error(load(put(&folder, "data.xlsx", "")), &["data.xlsx", "`.xlsx` is not known", "--format"]);
    put(&folder, "test.csv", "text,label\na,1\n");
    assert_error(load(folder.path()), &["no train split, only test"]);
}

#[test]
fn a_path_that_leads_nowhere_is_answered_with_names_like_it() {
    let folder = folder();
    put(&folder, "train.csv", "text,label\na,1\n");
    for name in ["trian.csv", "Train.CSV", "train.jsonl", "train"] {
        let path = folder.path().join(name);
        if !path.exists() {
            assert_error(load(&path), &["cannot open", name, "did you mean", "train.csv?"]);
        }
    }
    assert_error(load(folder.path().join("other.csv")), &["cannot open", "no file of a similar name"]);
    assert_error(load(folder.path().join("absent/train.csv")), &["cannot open", "there is no folder", "absent"]);
    assert_error(load("absent-here.csv"), &["the current folder is"]);
}

#[test]
fn a_missing_shard_is_named() {
    let folder = folder();
    put(&folder, "train-00000-of-00003.csv", "text,label\na,1\n");
    put(&folder, "train-00002-of-00003.csv", "text,label\nb,0\n");
    assert_error(load(folder.path()), &["one of 3 shards", "shard 00001 is missing"]);
    assert_error(load(folder.path().join("train-*.csv")), &["shard 00001 is missing"]);
    assert_eq!(load(folder.path().join("train-00000-of-00003.csv")).unwrap().len(), 1);
}

#[test]
fn files_of_one_split_must_agree() {
    let folder = folder();
    put(&folder, "columns/train_1.csv", "text,label\na,1\n");
    put(&folder, "columns/train_2.csv", "label,text\n1,a\n");
    assert_error(load(folder.path().join("columns")), &["train_2.csv", "label: Utf8, text: Utf8"]);
    put(&folder, "formats/train_1.csv", "text,label\na,1\n");
    put(&folder, "formats/train_2.jsonl", "{\"text\":\"a\",\"label\":1}\n");
    assert_error(load(folder.path().join("formats")), &["csv and jsonl"]);
}

#[test]
fn empty_labels_are_refused_and_name_the_cell() {
    let folder = folder();
    let path = put(&folder, "gap.csv", "text,label\na,1\nb,\n");
    assert_error(load(&path), &["gap.csv, line 3 (row 2), column `label`", "empty"]);
    let path = put(&folder, "null.jsonl", "{\"text\":\"a\",\"label\":null}\n");
    assert_error(load(&path), &["null.jsonl, line 1", "empty"]);
    let path = put(&folder, "object.jsonl", "{\"text\":\"a\",\"label\":{\"id\":1}}\n");
    assert_error(load(&path), &["object.jsonl, line 1", "a structure"]);
}

#[test]
fn unlabelled_rows_are_counted_and_refused_for_training_only() {
    let path = fixture("hub/plain_text/unsupervised-00000-of-00001.parquet");
    assert_error(load(&path), &["row 1", "3 of 3 rows have the label -1", "unsupervised"]);
    let dataset = load_dataset(&DataSpec { label_use: LabelUse::Optional, ..spec(&path) }).unwrap();
    assert!(dataset.examples.iter().all(|example| example.target == serin_data::Target::Unlabelled));
    assert_eq!(load_texts(&path).unwrap().len(), 3);
}

#[test]
fn lines_and_records_over_the_limit_are_refused_without_being_held() {
    let options = ReadOptions { max_line_bytes: 1000, ..ReadOptions::default() };
    let long = "x".repeat(1001);
    let plain = rows_of_bytes(format!("ok\n{long}\n"), Format::PlainText, &options);
    assert_error(plain, &["line 2", "1000 bytes", "--max-line-bytes"]);
    let open = format!("text,label\nok,1\n\"{}", "no end\n".repeat(40_000));
    let quoted = rows_of_bytes(open, Format::Csv, &options);
    assert_error(quoted, &["line 3", "1000 bytes", "closing quote"]);
    let lines = rows_of_bytes(format!("{{\"text\":\"{long}\"}}"), Format::JsonLines, &options);
    assert_error(lines, &["line 1", "1000 bytes"]);
}

#[test]
fn repeated_column_names_and_wrong_column_counts_are_refused() {
    let options = ReadOptions::default();
    assert_error(rows_of_bytes("text,text\na,b\n", Format::Csv, &options), &["line 1", "two columns", "`text`"]);
    let column_names = Some(vec!["text".to_owned()]);
    let options = ReadOptions { column_names, ..options };
    assert_error(rows_of_bytes("a,b\n", Format::Csv, &options), &["2 fields", "1"]);
}

#[test]
fn a_column_of_ids_taken_for_labels_is_refused() {
    let folder = folder();
    let mut csv = String::from("text,label\n");
    (0..20_000).for_each(|row| csv.push_str(&format!("a,id{row}\n")));
    assert_error(load(put(&folder, "ids.csv", csv)), &["20000 different labels", "right label column"]);
}

#[test]
fn a_broken_mapping_is_refused() {
    let folder = folder();
    put(&folder, "train_text.txt", "a\n");
    put(&folder, "train_labels.txt", "0\n");
    put(&folder, "mapping.txt", "0\tno\n2\tyes\n");
    assert_error(load(folder.path()), &["mapping.txt", "without gaps"]);
    put(&folder, "mapping.txt", "no\n");
    assert_error(load(folder.path()), &["mapping.txt, line 1", "id<TAB>name"]);
}

#[test]
fn formats_that_need_files_cannot_come_from_a_pipe() {
    for format in [Format::Parquet, Format::TweetEval, Format::ClassFolders] {
        assert_error(rows_of_bytes("", format, &ReadOptions::default()), &["stream"]);
    }
}
