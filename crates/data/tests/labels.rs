//! Labels of every kind, inferred and given, and their alignment with known ones.

mod support;

use std::path::Path;

use serin_data::{
    Columns, DataError, DataSpec, Dataset, LabelReader, LabelSet, LabelUse, ProblemType, RowReader, Target,
    load_dataset,
};
use support::*;

fn known(names: &[&str]) -> Option<LabelSet> {
    Some(LabelSet::new(names.iter().map(|&name| name.to_owned()).collect()).unwrap())
}

fn load_with(content: &str, name: &str, change: impl Fn(&mut DataSpec)) -> Result<Dataset, DataError> {
    let folder = folder();
    let mut wanted = spec(put(&folder, name, content));
    change(&mut wanted);
    load_dataset(&wanted)
}

fn csv(labels: &[&str]) -> String {
    labels.iter().fold("text,label\n".to_owned(), |csv, label| csv + "t," + label + "\n")
}

#[test]
fn numeric_labels_sort_by_value_and_words_by_code_point() {
    let dataset = load_with(&csv(&["10", "2", "1", "2"]), "a.csv", |_| {}).unwrap();
    assert_eq!(label_names(&dataset), ["1", "2", "10"]);
    assert_eq!(classes(&dataset), [2, 1, 0, 1]);
    let dataset = load_with(&csv(&["b", "B", "ä", " a "]), "a.csv", |_| {}).unwrap();
    assert_eq!(label_names(&dataset), ["B", "a", "b", "ä"]);
    assert_eq!(dataset.problem_type, ProblemType::SingleLabelClassification);
}

#[test]
fn minus_one_beside_ids_is_refused_unless_its_meaning_is_said_or_plain() {
    let unclear = load_with(&csv(&["1", "0", "-1", "-1.0"]), "a.csv", |_| {});
    assert_error(unclear, &["line 4", "2 of 4 rows have the label -1", "without a label", "--label-map=-1=NAME"]);
    let named = |spec: &mut DataSpec| spec.label_map = vec![("-1".into(), "against".into())];
    let dataset = load_with(&csv(&["1", "0", "-1"]), "a.csv", named).unwrap();
    assert_eq!(label_names(&dataset), ["0", "1", "against"]);
    for (labels, names) in [(&["1", "-1"][..], &["-1", "1"][..]), (&["-2", "1", "-1", "0"], &["-2", "-1", "0", "1"])] {
        assert_eq!(label_names(&load_with(&csv(labels), "a.csv", |_| {}).unwrap()), names);
    }
    let refused = load_with(&csv(&["1", "0", "-1"]), "a.csv", |spec| spec.labels = known(&["no", "yes"]));
    assert_error(refused, &["line 4", "1 of 3 rows have the label -1"]);
}

#[test]
fn a_model_is_matched_by_name_whatever_the_order_and_case() {
    let sentiment = known(&["negative", "neutral", "positive"]);
    let dataset = load_with(&csv(&["Positive", "NEGATIVE"]), "a.csv", |spec| spec.labels = sentiment.clone()).unwrap();
    assert_eq!(classes(&dataset), [2, 0]);
    assert_eq!(dataset.labels, sentiment);
    let dataset = load_with(&csv(&["2", "0"]), "a.csv", |spec| spec.labels = sentiment.clone()).unwrap();
    assert_eq!(classes(&dataset), [2, 0], "whole numbers are ids");
    let dataset = load_with(&csv(&["2", "10"]), "a.csv", |spec| spec.labels = known(&["10", "2"])).unwrap();
    assert_eq!(classes(&dataset), [1, 0], "unless the names are numbers");
}

#[test]
fn class_names_of_the_file_are_matched_by_name_not_by_id() {
    // neg = 0 and pos = 1 in the file.
    let mut wanted = spec(fixture("hub_snappy.parquet"));
    wanted.labels = known(&["pos", "neg"]);
    let dataset = load_dataset(&wanted).unwrap();
    assert_eq!(classes(&dataset), LABELS.map(|label| 1 - label));
    wanted.labels = known(&["LABEL_0", "LABEL_1"]);
    assert_eq!(classes(&load_dataset(&wanted).unwrap()), LABELS);
    wanted.labels = known(&["negative", "neutral", "positive"]);
    assert_error(load_dataset(&wanted), &["row 1", "`neg` in the file", "negative, neutral, positive", "--label-map"]);
    wanted.label_map = vec![("neg".into(), "negative".into()), ("pos".into(), "positive".into())];
    assert_eq!(classes(&load_dataset(&wanted).unwrap()), LABELS.map(|label| 2 * label));
}

#[test]
fn renamed_labels_may_be_joined() {
    let content = csv(&["very bad", "bad", "good"]);
    let dataset =
        load_with(&content, "a.csv", |spec| spec.label_map = vec![("very bad".into(), "bad".into())]).unwrap();
    assert_eq!(label_names(&dataset), ["bad", "good"]);
    assert_eq!(classes(&dataset), [0, 0, 1]);
}

#[test]
fn numbers_with_fractions_are_regression() {
    let dataset = load_with(&csv(&["2.5", "3", "-1"]), "a.csv", |_| {}).unwrap();
    assert_eq!(dataset.problem_type, ProblemType::Regression);
    assert_eq!(dataset.labels, None);
    let targets: Vec<&Target> = dataset.examples.iter().map(|example| &example.target).collect();
    assert_eq!(targets, [&Target::Score(2.5), &Target::Score(3.0), &Target::Score(-1.0)]);
    assert_error(load_with(&csv(&["2.5", "nan"]), "a.csv", |_| {}), &["line 3", "`nan`", "finite"]);
    assert_error(load_with(&csv(&["2.5", "1e39"]), "a.csv", |_| {}), &["line 3", "1e39", "finite"]);
    let asked = |spec: &mut DataSpec| spec.problem_type = Some(ProblemType::Regression);
    let dataset = load_with(&csv(&["1", "2"]), "a.csv", asked).unwrap();
    assert_eq!(dataset.examples[1].target, Target::Score(2.0));
    assert_error(load_with(&csv(&["1", "two"]), "a.csv", asked), &["line 3", "`two`", "no number"]);
}

fn multi(dataset: &Dataset) -> Vec<Vec<bool>> {
    let flags = |target: &Target| match target {
        Target::Multi(flags) => flags.clone(),
        other => panic!("{other:?}"),
    };
    dataset.examples.iter().map(|example| flags(&example.target)).collect()
}

#[test]
fn lists_of_class_ids_in_parquet_are_multi_label() {
    let dataset = load(fixture("multi_label.parquet")).unwrap();
    assert_eq!(dataset.problem_type, ProblemType::MultiLabelClassification);
    assert_eq!(label_names(&dataset), ["joy", "anger", "fear"]);
    assert_eq!(
        multi(&dataset),
        [[true, false, false], [false, true, true], [false, false, false], [true, false, true]]
    );
}

#[test]
fn lists_of_names_delimited_cells_and_flag_columns_say_the_same() {
    let expected = [[true, false, true], [false, true, false], [false, false, false]];
    let json = "{\"text\":\"t\",\"labels\":[\"a\",\"c\"]}\n{\"text\":\"t\",\"labels\":[\"b\"]}\n{\"text\":\"t\",\"labels\":[]}\n";
    let lists = load_with(json, "a.jsonl", |_| {}).unwrap();
    assert_eq!(multi(&lists), expected);
    let delimited = load_with("text,label\nt,a | c\nt,b\nt,\n", "a.csv", |spec| {
        spec.columns.label_delimiter = Some("|".into());
    })
    .unwrap();
    assert_eq!(multi(&delimited), expected);
    let columns = ["a", "b", "c"].map(str::to_owned);
    let flags = |spec: &mut DataSpec| spec.columns.labels = columns.to_vec();
    let flagged = load_with("text,a,b,c\nt,1,0,1\nt,False,True,False\nt,0.0,0,0\n", "a.csv", flags).unwrap();
    assert_eq!(multi(&flagged), expected);
    for dataset in [lists, delimited, flagged] {
        assert_eq!(label_names(&dataset), ["a", "b", "c"]);
        assert_eq!(dataset.problem_type, ProblemType::MultiLabelClassification);
    }
    assert_error(load_with("text,a,b,c\nt,1,0,2\n", "a.csv", flags), &["line 2", "column `c`", "`2`", "0 or 1"]);
    assert_error(load_with("text,a,b,c\nt,1,0,\n", "a.csv", flags), &["line 2", "column `c`", "empty"]);
}

#[test]
fn multi_label_data_is_aligned_with_a_model() {
    let json = "{\"text\":\"t\",\"labels\":[\"A\",\"c\"]}\n{\"text\":\"t\",\"labels\":[\"b\"]}\n";
    let dataset = load_with(json, "a.jsonl", |spec| spec.labels = known(&["c", "b", "x", "a"])).unwrap();
    assert_eq!(multi(&dataset), [[true, false, false, true], [false, true, false, false]]);
    let columns = |spec: &mut DataSpec| {
        spec.columns.labels = vec!["a".into(), "b".into()];
        spec.labels = known(&["b", "A"]);
    };
    assert_eq!(multi(&load_with("text,a,b\nt,1,0\n", "a.csv", columns).unwrap()), [[false, true]]);
}

#[test]
fn multi_hot_lists_are_flags_where_they_can_be_nothing_else() {
    let json = "{\"text\":\"t\",\"labels\":[0,1.0,0]}\n{\"text\":\"t\",\"labels\":[1,1,0]}\n";
    let dataset = load_with(json, "a.jsonl", |_| {}).unwrap();
    assert_eq!(multi(&dataset), [[false, true, false], [true, true, false]]);
    assert_eq!(label_names(&dataset), ["0", "1", "2"]);
}

#[test]
fn a_list_where_one_label_is_wanted_is_refused() {
    let single = |spec: &mut DataSpec| spec.problem_type = Some(ProblemType::SingleLabelClassification);
    let refused = load_with("{\"text\":\"t\",\"labels\":[\"a\"]}\n", "a.jsonl", single);
    assert_error(refused, &["list", "multi_label_classification"]);
}

#[test]
fn a_fingerprint_follows_content_alone() {
    let of = |content: &str, name: &str| load_with(content, name, |_| {}).unwrap().fingerprint;
    let one = of("text,label\na,0\nb,1\n", "one.csv");
    assert_eq!(one, of("text\tlabel\na\t0\nb\t1\n", "other.tsv"));
    assert_eq!(one, of("id,label,text\n7,0,a\n8,1,b\n", "more.csv"));
    assert_ne!(one, of("text,label\na,1\nb,0\n", "labels.csv"));
    assert_ne!(one, of("text,label\na,0\nc,1\n", "texts.csv"));
    assert_ne!(one, of("text,label\nb,1\na,0\n", "order.csv"));
    assert_ne!(of("text,label\nab,0\nc,1\n", "a.csv"), of("text,label\na,0\nbc,1\n", "a.csv"));
    assert_eq!(one.len(), 64);
}

/// Every row's target by a [`LabelReader`], in two passes as an evaluation makes them.
fn streamed(path: &Path, spec: &DataSpec) -> Result<Vec<Target>, DataError> {
    let open = || RowReader::open(&source(path), &spec.read).unwrap();
    let columns = Columns::find(&open(), &spec.columns, LabelUse::Required)?;
    let problem_type = spec.problem_type.unwrap_or(ProblemType::SingleLabelClassification);
    let mut labels = LabelReader::new(
        &columns,
        &spec.columns,
        LabelReader::class_names(&open(), &columns),
        &spec.label_map,
        spec.labels.clone().unwrap(),
        problem_type,
    )?;
    open().try_for_each(|row| labels.survey(&row?))?;
    open().map(|row| labels.target(&row?)).collect()
}

#[test]
fn rows_read_one_by_one_get_the_labels_of_a_loaded_dataset() {
    let folder = folder();
    let single = ProblemType::SingleLabelClassification;
    let multi = ProblemType::MultiLabelClassification;
    let lines = |labels: &[&str]| -> String {
        labels.iter().map(|labels| format!("{{\"text\":\"t\",\"labels\":{labels}}}\n")).collect()
    };
    let sentiment = ["negative", "neutral", "positive"];
    let cases: [(&str, String, &[&str], ProblemType); 12] = [
        ("names.csv", csv(&["Positive", "NEGATIVE", "LABEL_1"]), &sentiment, single),
        ("ids.csv", csv(&["2", "0"]), &sentiment, single),
        ("pandas.csv", csv(&["2.0", "0.0"]), &sentiment, single),
        ("mixed.csv", csv(&["2.0", "negative"]), &sentiment, single),
        ("numbers.csv", csv(&["2", "10", "-1"]), &["10", "2", "-1"], single),
        ("minus.csv", csv(&["-1", "-1"]), &["0", "-1"], single),
        ("fractions.csv", csv(&["1.0", "2.0"]), &["2.0", "1.0"], single),
        ("scores.csv", csv(&["2.5", "-1", "3"]), &["LABEL_0"], ProblemType::Regression),
        ("lists.jsonl", lines(&["[\"A\",\"c\"]", "[]", "[\"b\"]"]), &["c", "b", "x", "a"], multi),
        ("hot.jsonl", lines(&["[0,1,0]", "[1,1,0]", "[0,0,0]"]), &["a", "b", "c"], multi),
        ("pairs.jsonl", lines(&["[0,1]", "[1,1]"]), &["a", "b"], multi),
        ("pair_ids.jsonl", lines(&["[0,1]", "[1]"]), &["a", "b"], multi),
    ];
    for (name, content, names, problem_type) in cases {
        let path = put(&folder, name, content);
        let wanted = DataSpec { labels: known(names), problem_type: Some(problem_type), ..spec(&path) };
        let loaded: Vec<Target> =
            load_dataset(&wanted).unwrap().examples.into_iter().map(|example| example.target).collect();
        assert_eq!(streamed(&path, &wanted).unwrap(), loaded, "{name}");
    }
}

#[test]
fn rows_read_one_by_one_follow_class_names_maps_and_flag_columns() {
    let folder = folder();
    let mut wanted = spec(fixture("hub_snappy.parquet"));
    wanted.labels = known(&["positive", "neg"]);
    wanted.label_map = vec![("POS".into(), "positive".into())];
    let targets = streamed(&fixture("hub_snappy.parquet"), &wanted).unwrap();
    assert_eq!(targets, LABELS.map(|label| Target::Class(1 - label)));
    let path = put(&folder, "flags.csv", "text,a,b\nt,1,0\nt,0,True\n");
    let mut wanted = DataSpec { labels: known(&["b", "A"]), ..spec(&path) };
    wanted.columns.labels = vec!["a".into(), "b".into()];
    assert_error(streamed(&path, &wanted), &["list of labels", "single_label_classification"]);
    wanted.problem_type = Some(ProblemType::MultiLabelClassification);
    assert_eq!(streamed(&path, &wanted).unwrap(), [Target::Multi(vec![false, true]), Target::Multi(vec![true, false])]);
    wanted.labels = known(&["b", "c"]);
    assert_error(streamed(&path, &wanted), &["column `a`", "b, c"]);
}

#[test]
fn rows_read_one_by_one_are_refused_at_their_line() {
    let folder = folder();
    let refused = |labels: &[&str], parts: &[&str]| {
        let path = put(&folder, "a.csv", csv(labels));
        let wanted = DataSpec { labels: known(&["no", "yes"]), ..spec(&path) };
        assert_error(streamed(&path, &wanted), parts);
    };
    refused(&["yes", "maybe"], &["a.csv, line 3", "`label`", "`maybe`", "no, yes", "--label-map"]);
    refused(&["yes", "2"], &["line 3", "0 to 1"]);
    refused(&["yes", "-1"], &["line 3", "-1", "unlabelled"]);
    refused(&["yes", "-1.0"], &["line 3", "-1", "unlabelled"]);
    refused(&["yes", ""], &["line 3", "label is empty"]);
    let path = put(&folder, "a.jsonl", "{\"text\":\"t\",\"labels\":[\"no\"]}\n");
    let mut wanted = DataSpec { labels: known(&["no", "yes"]), ..spec(&path) };
    assert_error(streamed(&path, &wanted), &["line 1", "list"]);
    wanted.problem_type = Some(ProblemType::Regression);
    assert_error(streamed(&path, &wanted), &["line 1", "list", "regression"]);
    assert_error(streamed(&put(&folder, "b.csv", csv(&["many"])), &wanted), &["line 2", "`many`", "number"]);
    assert_error(streamed(&put(&folder, "b.csv", csv(&["1e39"])), &wanted), &["line 2", "1e39", "finite"]);
}
