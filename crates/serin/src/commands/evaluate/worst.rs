//! The rows that the model is most confidently wrong about.

use super::super::scoring::{Recorder, is_defined, prediction_columns};
use serde_json::{Map, Value};
use serin::data::{Cell, Format, OutputFormat, ReadOptions, Row, RowReader, RowWriter, RunIdentity, Source, Start};
use serin::{Classifier, Prediction, SerinError};
use serin_model::Target;
use std::cmp::{Ordering, Reverse};
use std::collections::{BTreeMap, BinaryHeap};
use std::io::Cursor;
use std::path::Path;

/// The column of the right answer.
const TRUE_LABEL: &str = "true_label";

/// Keeps a bounded number of errors.
pub struct Worst {
    limit: usize,
    kept: BinaryHeap<Reverse<WrongRow>>,
}

struct WrongRow {
    wrongness: f32,
    number: u64,
    /// The row's columns and the right answer. A [`Row`] would hold on to the batch that it came in.
    columns: Map<String, Value>,
    prediction: Prediction,
    logits: Vec<f32>,
    full_length: usize,
}

impl Worst {
    /// Keeps at most `limit` rows.
    pub fn new(limit: usize) -> Worst {
        Worst { limit, kept: BinaryHeap::new() }
    }

    /// Keeps a row if it is among the most wrong so far.
    pub fn offer(
        &mut self,
        row: &Row,
        target: &Target,
        prediction: &Prediction,
        logits: &[f32],
        full_length: usize,
        labels: &[String],
    ) {
        if self.limit == 0 || !is_defined(prediction) {
            // Without a prediction there is no confidence; such rows are counted elsewhere.
            return;
        }
        let Some(wrongness) = wrongness(target, prediction) else { return };
        let least = self.kept.peek().map(|Reverse(least)| least.wrongness);
        if self.kept.len() == self.limit {
            if least.is_some_and(|least| wrongness <= least) {
                return;
            }
            self.kept.pop();
        }
        self.kept.push(Reverse(WrongRow {
            wrongness,
            number: row.number(),
            columns: with_true_label(row, target, labels),
            prediction: prediction.clone(),
            logits: logits.to_vec(),
            full_length,
        }));
    }

    /// Writes the rows, the most wrong first; returns how many.
    pub fn write(self, path: &Path, format: OutputFormat, classifier: &Classifier) -> Result<usize, SerinError> {
        let rows: Vec<WrongRow> = self.kept.into_sorted_vec().into_iter().map(|Reverse(row)| row).collect();
        let lines: String = rows.iter().map(|row| format!("{}\n", Value::from(row.columns.clone()))).collect();
        let reader = RowReader::from_reader(
            Box::new(Cursor::new(lines)),
            "<errors>",
            Format::JsonLines,
            &ReadOptions::default(),
        )?;
        let input = reader.schema();
        let columns = prediction_columns(classifier, &input)?;
        let memory = Source { path: path.to_owned(), format: Format::JsonLines, files: Vec::new(), notes: Vec::new() };
        let identity = RunIdentity::new(&memory, BTreeMap::new())?;
        let writer = RowWriter::create(path, format, input, columns, Start::Overwrite, identity)?;
        let mut recorder = Recorder::new(writer, classifier, false);
        for (row, wrong) in reader.zip(&rows) {
            recorder.write(&row?, wrong.full_length, &wrong.logits, &wrong.prediction)?;
        }
        recorder.finish()?;
        Ok(rows.len())
    }
}

/// How wrong a prediction is: the probability given to the wrong label, of several labels the most wrongly judged one, of
/// numbers the distance. `None` where it is right.
fn wrongness(target: &Target, prediction: &Prediction) -> Option<f32> {
    match target {
        Target::Class(class) => (prediction.label_ids != [*class as usize]).then_some(prediction.score),
        Target::Multi(flags) => {
            let judged = flags.iter().zip(&prediction.scores).enumerate();
            let wrong = judged.filter(|(id, (flag, _))| **flag != prediction.label_ids.contains(id));
            wrong.map(|(_, (flag, score))| if *flag { 1.0 - score } else { *score }).reduce(f32::max)
        }
        Target::Score(score) => Some((prediction.score - score).abs()).filter(|&distance| distance != 0.0),
    }
}

fn with_true_label(row: &Row, target: &Target, labels: &[String]) -> Map<String, Value> {
    let names = row.columns();
    let cells = names.iter().map(|&name| (name.to_owned(), row.get(name).map_or(Value::Null, |cell| json(&cell))));
    let mut columns: Map<String, Value> = cells.collect();
    let name = |id: usize| labels.get(id).map(String::as_str).unwrap_or_default();
    let truth = match target {
        Target::Class(class) => name(*class as usize).into(),
        Target::Multi(flags) => {
            let chosen: Vec<&str> = (0..flags.len()).filter(|&id| flags[id]).map(name).collect();
            chosen.join("|").into()
        }
        Target::Score(score) => Value::from(*score),
    };
    columns.entry(TRUE_LABEL).or_insert(truth);
    columns
}

fn json(cell: &Cell<'_>) -> Value {
    match cell {
        Cell::Null => Value::Null,
        Cell::Text(text) => text.as_ref().into(),
        Cell::Bool(value) => (*value).into(),
        Cell::Integer(value) => (*value).into(),
        Cell::Float(value) => (*value).into(),
        Cell::List(items) => items.iter().map(json).collect(),
        Cell::Other(text) => text.as_str().into(),
    }
}

impl Ord for WrongRow {
    /// By wrongness; of equals the earlier row is the greater.
    fn cmp(&self, other: &WrongRow) -> Ordering {
        self.wrongness.total_cmp(&other.wrongness).then(other.number.cmp(&self.number))
    }
}

impl PartialOrd for WrongRow {
    fn partial_cmp(&self, other: &WrongRow) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for WrongRow {
    fn eq(&self, other: &WrongRow) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for WrongRow {}
