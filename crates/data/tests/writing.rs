//! Rows written with predictions: columns kept, formats converted, runs interrupted and continued.

mod support;

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::path::Path;
use std::sync::{Arc, Mutex};

use flate2::read::MultiGzDecoder;
use serin_data::{
    Cell, DataError, Format, LabelSet, OutputFormat, PredictedValue, Prediction, PredictionColumns, ProblemType,
    ReadOptions, RowReader, RowWriter, RunIdentity, Source, Start, scan_schema,
};
use support::*;

fn labels() -> LabelSet {
    LabelSet::new(vec!["neg".into(), "pos".into()]).unwrap()
}

/// A prediction that follows from the row's number.
fn predict(number: u64) -> Prediction {
    let probability = (number % 10) as f32 / 10.0;
    Prediction {
        value: PredictedValue::Class(u32::from(probability >= 0.5)),
        probabilities: vec![1.0 - probability, probability],
        truncated: number.is_multiple_of(3),
        tokens: number as u32 + 2,
    }
}

fn writer(source: &Source, output: &Path, start: Start) -> Result<RowWriter, DataError> {
    writer_with(source, output, start, "a")
}

fn writer_with(source: &Source, output: &Path, start: Start, model: &str) -> Result<RowWriter, DataError> {
    let schema = scan_schema(source, &ReadOptions::default())?;
    let columns = PredictionColumns::new(ProblemType::SingleLabelClassification, Some(&labels()), &schema)?;
    let settings = BTreeMap::from([("--model".to_owned(), model.to_owned())]);
    let identity = RunIdentity::new(source, settings)?;
    RowWriter::create(output, OutputFormat::from_name(output)?, schema, columns, start, identity)
}

/// Reads a source from where the writer stands, and writes until the source's row `until`.
fn feed(source: &Source, writer: &mut RowWriter, until: u64, checkpoints: &[u64]) {
    let mut reader = RowReader::open(source, &ReadOptions::default()).unwrap();
    reader.skip_rows(writer.rows()).unwrap();
    for row in reader {
        let row = row.unwrap();
        if row.number() > until {
            break;
        }
        writer.write(&row, &predict(row.number())).unwrap();
        if checkpoints.contains(&row.number()) {
            writer.checkpoint().unwrap();
        }
    }
}

fn convert(input: &Path, output: &Path) {
    let source = source(input);
    let mut writer = writer(&source, output, Start::New).unwrap();
    feed(&source, &mut writer, u64::MAX, &[]);
    writer.finish().unwrap();
}

fn names_in(folder: &tempfile::TempDir) -> Vec<String> {
    let entries = std::fs::read_dir(folder.path()).unwrap();
    let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn ungzip(path: &Path) -> String {
    let mut text = String::new();
    MultiGzDecoder::new(std::fs::File::open(path).unwrap()).read_to_string(&mut text).unwrap();
    text
}

#[test]
fn every_input_format_goes_to_every_output_format() {
    for input in ["pandas.csv", "pandas.csv.gz", "pandas.tsv", "pandas.jsonl", "hub_zstd.parquet"] {
        for ending in ["csv", "csv.gz", "tsv", "tsv.gz", "jsonl", "jsonl.gz", "parquet"] {
            let folder = folder();
            let output = folder.path().join(format!("out.{ending}"));
            convert(&fixture(input), &output);
            assert_eq!(names_in(&folder), [format!("out.{ending}")], "nothing else stays");
            let (original, written) = (rows(fixture(input)).unwrap(), rows(&output).unwrap());
            assert_eq!(written.len(), original.len());
            for (row, out) in original.iter().zip(&written) {
                let mut columns: Vec<String> = row.columns().into_iter().map(str::to_owned).collect();
                let added = ["predicted_label", "predicted_score", "score_neg", "score_pos", "truncated", "tokens"];
                columns.extend(added.map(str::to_owned));
                assert_eq!(out.columns(), columns, "{input} to {ending}");
                assert_eq!(text(out, "text"), text(row, "text"), "{input} to {ending}");
                let expected = predict(row.number());
                let label = if expected.value == PredictedValue::Class(1) { "pos" } else { "neg" };
                assert_eq!(text(out, "predicted_label"), label);
                let number = |column: &str| match out.get(column).unwrap() {
                    Cell::Text(text) => text.parse::<f32>().unwrap(),
                    Cell::Float(number) => number as f32,
                    Cell::Integer(number) => number as f32,
                    other => panic!("{other:?}"),
                };
                assert_eq!(number("score_neg"), expected.probabilities[0]);
                assert_eq!(number("predicted_score"), expected.probabilities[usize::from(label == "pos")]);
                assert_eq!(number("tokens"), expected.tokens as f32);
            }
        }
    }
}

#[test]
fn a_jsonl_line_keeps_its_very_bytes() {
    let folder = folder();
    let input = put(
        &folder,
        "in.jsonl",
        "{\"big\": 12345678901234567890123, \"n\":1.10, \"e\":\"\\u00e9\", \"text\":\"a\"} \r\n{}\n",
    );
    let output = folder.path().join("out.jsonl");
    convert(&input, &output);
    assert_eq!(
        std::fs::read_to_string(&output).unwrap(),
        "{\"big\": 12345678901234567890123, \"n\":1.10, \"e\":\"\\u00e9\", \"text\":\"a\",\"predicted_label\":\"neg\",\
         \"predicted_score\":0.9,\"score_neg\":0.9,\"score_pos\":0.1,\"truncated\":false,\"tokens\":3}\n\
         {\"predicted_label\":\"neg\",\"predicted_score\":0.8,\"score_neg\":0.8,\"score_pos\":0.2,\"truncated\":false,\
         \"tokens\":4}\n"
    );
}

#[test]
fn parquet_to_parquet_keeps_every_type() {
    let folder = folder();
    let output = folder.path().join("out.parquet");
    convert(&fixture("typed.parquet"), &output);
    let (before, after) = (rows(fixture("typed.parquet")).unwrap(), rows(&output).unwrap());
    let schema = |path: &Path| scan_schema(&source(path), &ReadOptions::default()).unwrap();
    let (input, written) = (schema(&fixture("typed.parquet")), schema(&output));
    assert_eq!(written.fields()[..input.fields().len()], input.fields()[..]);
    for (row, out) in before.iter().zip(&after) {
        for column in row.columns() {
            assert_eq!(row.get(column), out.get(column), "{column}");
        }
    }
}

#[test]
fn parquet_to_csv_and_json_writes_values_not_rust() {
    let folder = folder();
    let csv = folder.path().join("out.csv");
    convert(&fixture("typed.parquet"), &csv);
    let content = std::fs::read_to_string(&csv).unwrap();
    let first = content.lines().nth(1).unwrap();
    assert!(
        first.starts_with(
            "a,x,1,0.1,1970-01-01T00:00:00,true,\"{\"\"k\"\":1,\"\"s\"\":\"\"q\"\"}\",\"[\"\"p\"\",\"\"q\"\"]\","
        ),
        "{first}"
    );
    let json = folder.path().join("out.jsonl");
    convert(&fixture("typed.parquet"), &json);
    let content = std::fs::read_to_string(&json).unwrap();
    let second: serde_json::Value = serde_json::from_str(content.lines().nth(1).unwrap()).unwrap();
    assert_eq!(second["id"], serde_json::json!(9_223_372_036_854_775_808u64));
    assert_eq!(second["meta"], serde_json::Value::Null);
    assert_eq!(second["tags"], serde_json::json!([]));
    assert!(content.lines().next().unwrap().contains("\"weight\":0.1,"), "{content}");
}

#[test]
fn jsonl_to_parquet_finds_each_columns_type_over_all_rows() {
    let folder = folder();
    let input = put(
        &folder,
        "in.jsonl",
        "{\"text\":\"a\",\"n\":1,\"m\":1,\"b\":true}\n{\"text\":\"b\",\"n\":2,\"m\":2.5,\"late\":[1,\"x\"]}\n{\"text\":\"c\",\"n\":null,\"m\":3,\"b\":null,\"late\":\"s\"}\n",
    );
    let output = folder.path().join("out.parquet");
    convert(&input, &output);
    let rows = rows(&output).unwrap();
    assert_eq!(rows[0].columns()[..5], ["text", "n", "m", "b", "late"]);
    assert_eq!(rows[0].get("n"), Some(Cell::Integer(1)));
    assert_eq!(rows[2].get("n"), Some(Cell::Null));
    assert_eq!(rows[2].get("m"), Some(Cell::Float(3.0)));
    assert_eq!(rows[1].get("b"), Some(Cell::Null));
    assert_eq!(text(&rows[1], "late"), "[1,\"x\"]");
    assert_eq!(text(&rows[2], "late"), "s");
    assert_eq!(rows[0].get("late"), Some(Cell::Null));
}

#[test]
fn the_hubs_class_names_survive_and_its_features_grow_with_the_columns() {
    let folder = folder();
    let output = folder.path().join("out.parquet");
    convert(&fixture("hub_snappy.parquet"), &output);
    let dataset = load(&output).unwrap();
    assert_eq!(label_names(&dataset), ["neg", "pos"]);
    let schema = scan_schema(&source(&output), &ReadOptions::default()).unwrap();
    let features: serde_json::Value = serde_json::from_str(schema.metadata().get("huggingface").unwrap()).unwrap();
    let features = features["info"]["features"].as_object().unwrap();
    let names: Vec<&String> = features.keys().collect();
    let columns: Vec<&String> = schema.fields().iter().map(|field| field.name()).collect();
    assert_eq!(names, columns);
    assert_eq!(features["predicted_score"], serde_json::json!({"dtype": "float32", "_type": "Value"}));
}

#[test]
fn taken_column_names_get_a_number() {
    let folder = folder();
    let first = folder.path().join("first.csv");
    convert(&fixture("pandas.csv"), &first);
    let second = folder.path().join("second.csv");
    convert(&first, &second);
    let columns: Vec<String> = rows(&second).unwrap()[0].columns().into_iter().map(str::to_owned).collect();
    assert_eq!(
        columns[9..],
        ["predicted_label_2", "predicted_score_2", "score_neg_2", "score_pos_2", "truncated_2", "tokens_2"]
    );
}

/// Writes up to row 5 with a checkpoint after row 3, then stops as `stop` says; continues; compares with an
/// uninterrupted run.
fn interrupted(ending: &str, stop: impl Fn(RowWriter)) {
    let folder = folder();
    let source = source(fixture("pandas.jsonl"));
    let (straight, output) = (folder.path().join(format!("a.{ending}")), folder.path().join(format!("b.{ending}")));
    convert(&fixture("pandas.jsonl"), &straight);
    let mut first = writer(&source, &output, Start::New).unwrap();
    feed(&source, &mut first, 5, &[3]);
    stop(first);
    assert!(!output.exists(), "the name is taken only at the end");
    let mut second = writer(&source, &output, Start::Resume).unwrap();
    assert!([3, 5].contains(&second.rows()), "{}", second.rows());
    feed(&source, &mut second, u64::MAX, &[7]);
    second.finish().unwrap();
    assert_eq!(names_in(&folder), [format!("a.{ending}"), format!("b.{ending}")]);
    if ending.ends_with(".gz") {
        assert_eq!(ungzip(&output), ungzip(&straight));
    } else if ending != "parquet" {
        assert_eq!(std::fs::read(&output).unwrap(), std::fs::read(&straight).unwrap());
    }
    let (one, other) = (rows(&straight).unwrap(), rows(&output).unwrap());
    assert_eq!((one.len(), other.len()), (8, 8));
    for (one, other) in one.iter().zip(&other) {
        for column in one.columns() {
            assert_eq!(one.get(column), other.get(column), "{ending}: {column}");
        }
    }
}

const ENDINGS: [&str; 5] = ["csv", "csv.gz", "jsonl", "jsonl.gz", "parquet"];

#[test]
fn a_run_that_is_dropped_continues_after_its_last_row() {
    ENDINGS.iter().for_each(|ending| interrupted(ending, drop));
}

#[test]
fn a_run_that_is_killed_continues_after_its_last_checkpoint() {
    // What a killed process leaves: buffers unwritten, and no destructor ran.
    ENDINGS.iter().for_each(|ending| interrupted(ending, std::mem::forget));
}

#[test]
fn what_was_written_after_the_checkpoint_is_cut_off() {
    let folder = folder();
    let source = source(fixture("pandas.csv"));
    let output = folder.path().join("out.csv");
    let mut first = writer(&source, &output, Start::New).unwrap();
    feed(&source, &mut first, 4, &[4]);
    std::mem::forget(first);
    let partial = folder.path().join("out.csv.partial");
    let mut file = std::fs::OpenOptions::new().append(true).open(&partial).unwrap();
    file.write_all(b"5,\"half a ro").unwrap();
    drop(file);
    let mut second = writer(&source, &output, Start::Resume).unwrap();
    assert_eq!(second.rows(), 4);
    feed(&source, &mut second, u64::MAX, &[]);
    second.finish().unwrap();
    assert_eq!(rows(&output).unwrap().len(), 8);
}

#[test]
fn a_changed_input_or_setting_is_refused_by_name() {
    let folder = folder();
    let input = put(&folder, "in.csv", "text\na\nb\nc\n");
    let output = folder.path().join("out.csv");
    let begin = || {
        let mut writer = writer(&source(&input), &output, Start::Overwrite).unwrap();
        feed(&source(&input), &mut writer, 2, &[]);
    };
    begin();
    assert_error(
        writer_with(&source(&input), &output, Start::Resume, "b"),
        &["--model was `a` and is `b` now", "--overwrite"],
    );
    std::fs::write(&input, "text\na\nb\nc\nd\n").unwrap();
    assert_error(writer(&source(&input), &output, Start::Resume), &["in.csv had 11 bytes and has 13"]);
    begin();
    std::fs::write(&input, "text\na\nB\nc\nd\n").unwrap();
    assert_error(writer(&source(&input), &output, Start::Resume), &["beginning of", "in.csv has changed"]);
    begin();
    let file = std::fs::File::options().write(true).open(&input).unwrap();
    file.set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap();
    assert_error(writer(&source(&input), &output, Start::Resume), &["modified since"]);
    let moved = put(&folder, "other.csv", "text\na\nB\nc\nd\n");
    assert_error(writer(&source(&moved), &output, Start::Resume), &["the input was", "other.csv now"]);
    begin();
    std::fs::remove_file(folder.path().join("out.csv.partial")).unwrap();
    assert_error(writer(&source(&input), &output, Start::Resume), &["out.csv.partial is shorter"]);
    std::fs::write(folder.path().join("out.csv.progress"), "{").unwrap();
    assert_error(writer(&source(&input), &output, Start::Resume), &["out.csv.progress is not readable"]);
}

#[test]
fn existing_output_is_only_replaced_when_asked() {
    let folder = folder();
    let source = source(fixture("pandas.csv"));
    let output = put(&folder, "out.csv", "precious");
    for start in [Start::New, Start::Resume] {
        assert_error(writer(&source, &output, start), &["out.csv already exists", "--overwrite"]);
    }
    let mut replacing = writer(&source, &output, Start::Overwrite).unwrap();
    feed(&source, &mut replacing, 5, &[]);
    drop(replacing);
    assert_eq!(std::fs::read_to_string(&output).unwrap(), "precious", "until the new one is whole");
    assert_error(writer(&source, &output, Start::New), &["out.csv.progress", "--resume"]);
    let mut resumed = writer(&source, &output, Start::Resume).unwrap();
    feed(&source, &mut resumed, u64::MAX, &[]);
    resumed.finish().unwrap();
    assert_eq!(rows(&output).unwrap().len(), 8);
    assert_eq!(names_in(&folder), ["out.csv"]);
}

#[test]
fn an_interruption_between_the_last_steps_is_settled_by_resuming() {
    for ending in ["csv", "parquet"] {
        let folder = folder();
        let source = source(fixture("pandas.csv"));
        let output = folder.path().join(format!("out.{ending}"));
        let beside = |suffix: &str| folder.path().join(format!("out.{ending}{suffix}"));
        let mut first = writer(&source, &output, Start::New).unwrap();
        feed(&source, &mut first, u64::MAX, &[]);
        drop(first);
        let mut progress: serde_json::Value =
            serde_json::from_slice(&std::fs::read(beside(".progress")).unwrap()).unwrap();
        progress["finished"] = true.into();
        let progress = progress.to_string();
        let mut second = writer(&source, &output, Start::Resume).unwrap();
        feed(&source, &mut second, u64::MAX, &[]);
        second.finish().unwrap();
        let whole = std::fs::read(&output).unwrap();
        // Before the rename.
        std::fs::rename(&output, beside(".partial")).unwrap();
        std::fs::write(beside(".progress"), &progress).unwrap();
        let resumed = writer(&source, &output, Start::Resume).unwrap();
        assert!(resumed.is_finished());
        assert_eq!(resumed.rows(), 8);
        resumed.finish().unwrap();
        assert_eq!(std::fs::read(&output).unwrap(), whole);
        // After it.
        std::fs::write(beside(".progress"), &progress).unwrap();
        writer(&source, &output, Start::Resume).unwrap().finish().unwrap();
        assert_eq!(names_in(&folder), [format!("out.{ending}")]);
    }
}

#[test]
fn no_rows_give_a_valid_file_of_every_kind() {
    for ending in ["csv", "csv.gz", "jsonl.gz", "parquet"] {
        let folder = folder();
        let source = source(fixture("pandas.csv"));
        let output = folder.path().join(format!("out.{ending}"));
        writer(&source, &output, Start::New).unwrap().finish().unwrap();
        assert_eq!(rows(&output).unwrap().len(), 0, "{ending}");
    }
}

#[test]
fn an_unwritable_place_is_an_error() {
    let folder = folder();
    let source = source(fixture("pandas.csv"));
    let output = folder.path().join("absent/out.csv");
    assert_error(writer(&source, &output, Start::New), &["cannot write", "absent/out.csv"]);
    assert_error(OutputFormat::from_name(Path::new("out.xlsx")), &["out.xlsx", ".csv"]);
}

/// Memory that stays readable while a writer owns it.
#[derive(Clone, Default)]
struct Memory(Arc<Mutex<Vec<u8>>>);

impl Write for Memory {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn stream(input: &str, format: Format, to: OutputFormat) -> Result<Vec<u8>, DataError> {
    let input = Box::new(std::io::Cursor::new(input.as_bytes().to_vec()));
    let reader = RowReader::from_reader(input, "<stdin>", format, &ReadOptions::default())?;
    let schema = reader.schema();
    let columns = PredictionColumns::new(ProblemType::SingleLabelClassification, Some(&labels()), &schema)?;
    let memory = Memory::default();
    let mut writer = RowWriter::to_stream(Box::new(memory.clone()), to, schema, columns)?;
    for row in reader {
        let row = row?;
        writer.write(&row, &predict(row.number()))?;
    }
    writer.finish()?;
    let bytes = memory.0.lock().unwrap().clone();
    Ok(bytes)
}

#[test]
fn lines_from_a_pipe_become_a_text_column() {
    let csv = stream("a\nb, \"c\"\n", Format::PlainText, OutputFormat::Csv).unwrap();
    assert_eq!(
        String::from_utf8(csv).unwrap(),
        "text,predicted_label,predicted_score,score_neg,score_pos,truncated,tokens\n\
         a,neg,0.9,0.9,0.1,false,3\n\"b, \"\"c\"\"\",neg,0.8,0.8,0.2,false,4\n"
    );
    let folder = folder();
    let parquet = stream("a\nb\n", Format::PlainText, OutputFormat::Parquet).unwrap();
    let rows = rows(put(&folder, "out.parquet", parquet)).unwrap();
    assert_eq!((rows.len(), text(&rows[1], "text").as_str()), (2, "b"));
}

#[test]
fn a_piped_row_that_does_not_fit_the_first_is_refused_by_name() {
    let late = "{\"text\":\"a\"}\n{\"text\":\"b\",\"late\":1}\n";
    for to in [OutputFormat::Csv, OutputFormat::Parquet] {
        assert_error(stream(late, Format::JsonLines, to), &["<stdin>, line 2", "`late`", "JSONL"]);
    }
    assert!(stream(late, Format::JsonLines, OutputFormat::JsonLines).is_ok());
    let taken = "{\"text\":\"a\"}\n{\"text\":\"b\",\"tokens\":1}\n";
    assert_error(stream(taken, Format::JsonLines, OutputFormat::JsonLines), &["line 2", "`tokens`"]);
}

#[test]
fn multi_label_and_regression_have_their_own_columns() {
    let folder = folder();
    let source = source(fixture("pandas.csv"));
    let schema = scan_schema(&source, &ReadOptions::default()).unwrap();
    let row = rows(fixture("pandas.csv")).unwrap().remove(0);
    let write = |name: &str, problem, prediction: &Prediction| {
        let output = folder.path().join(name);
        let columns = PredictionColumns::new(problem, Some(&labels()), &schema).unwrap();
        let identity = RunIdentity::new(&source, BTreeMap::new()).unwrap();
        let format = OutputFormat::from_name(&output).unwrap();
        let mut writer =
            RowWriter::create(&output, format, Arc::clone(&schema), columns, Start::New, identity).unwrap();
        writer.write(&row, prediction).unwrap();
        writer.finish().unwrap();
        rows(&output).unwrap().remove(0)
    };
    let multi = Prediction {
        value: PredictedValue::Labels(vec![0, 1]),
        probabilities: vec![0.75, 0.5],
        truncated: false,
        tokens: 4,
    };
    let problem = ProblemType::MultiLabelClassification;
    assert_eq!(text(&write("m.csv", problem, &multi), "predicted_labels"), "neg|pos");
    let both = Cell::List(vec![Cell::Text("neg".into()), Cell::Text("pos".into())]);
    assert_eq!(write("m.jsonl", problem, &multi).get("predicted_labels"), Some(both.clone()));
    assert_eq!(write("m.parquet", problem, &multi).get("predicted_labels"), Some(both));
    let score = Prediction { value: PredictedValue::Score(-1.5), probabilities: vec![], truncated: true, tokens: 4 };
    let row = write("r.jsonl", ProblemType::Regression, &score);
    assert_eq!(row.columns()[3..], ["predicted_score", "truncated", "tokens"]);
    assert_eq!(row.get("predicted_score"), Some(Cell::Float(-1.5)));
    assert_eq!(row.get("truncated"), Some(Cell::Bool(true)));
}

#[test]
fn a_row_without_a_prediction_has_empty_label_and_scores() {
    let folder = folder();
    let source = source(fixture("pandas.csv"));
    let schema = scan_schema(&source, &ReadOptions::default()).unwrap();
    let row = rows(fixture("pandas.csv")).unwrap().remove(0);
    let undefined = Prediction {
        value: PredictedValue::Undefined,
        probabilities: vec![f32::NAN, f32::NAN],
        truncated: true,
        tokens: 7,
    };
    let cases = [
        (
            ProblemType::SingleLabelClassification,
            ["predicted_label", "predicted_score", "score_neg", "score_pos"].as_slice(),
        ),
        (ProblemType::MultiLabelClassification, &["predicted_labels", "score_neg", "score_pos"]),
        (ProblemType::Regression, &["predicted_score"]),
    ];
    for (problem, empty) in cases {
        for name in ["u.csv", "u.jsonl", "u.parquet"] {
            let output = folder.path().join(name);
            let columns = PredictionColumns::new(problem, Some(&labels()), &schema).unwrap();
            let identity = RunIdentity::new(&source, BTreeMap::new()).unwrap();
            let format = OutputFormat::from_name(&output).unwrap();
            let mut writer =
                RowWriter::create(&output, format, Arc::clone(&schema), columns, Start::Overwrite, identity).unwrap();
            writer.write(&row, &undefined).unwrap();
            writer.finish().unwrap();
            let written = rows(&output).unwrap().remove(0);
            for column in empty {
                let cell = written.get(column).unwrap();
                let nothing = if name == "u.csv" { Cell::Text("".into()) } else { Cell::Null };
                assert_eq!(cell, nothing, "{problem:?} {name} {column}");
            }
            let expected = match name {
                "u.csv" => (Cell::Text("true".into()), Cell::Text("7".into())),
                _ => (Cell::Bool(true), Cell::Integer(7)),
            };
            assert_eq!((written.get("truncated").unwrap(), written.get("tokens").unwrap()), expected, "{name}");
        }
    }
}

#[test]
fn a_prediction_that_does_not_fit_the_labels_is_refused_and_closes_the_output() {
    let folder = folder();
    let source = source(fixture("pandas.csv"));
    let row = rows(fixture("pandas.csv")).unwrap().remove(0);
    let mut writer = writer(&source, &folder.path().join("out.csv"), Start::New).unwrap();
    let misfit = Prediction { probabilities: vec![0.5], ..predict(1) };
    assert_error(writer.write(&row, &misfit), &["does not fit the labels"]);
    assert_error(writer.write(&row, &predict(1)), &["closed"]);
    assert_error(writer.finish(), &["closed"]);
}

#[test]
#[cfg(target_os = "linux")]
fn a_full_disk_is_an_error() {
    let schema = scan_schema(&source(fixture("pandas.csv")), &ReadOptions::default()).unwrap();
    let rows = rows(fixture("pandas.csv")).unwrap();
    for format in [OutputFormat::Csv, OutputFormat::JsonLines, OutputFormat::Parquet] {
        let columns = PredictionColumns::new(ProblemType::SingleLabelClassification, Some(&labels()), &schema).unwrap();
        let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
        let written =
            RowWriter::to_stream(Box::new(full), format, Arc::clone(&schema), columns).and_then(|mut writer| {
                for row in &rows {
                    writer.write(row, &predict(row.number()))?;
                }
                writer.finish()
            });
        assert_error(written, &["cannot write", "No space left"]);
    }
}
