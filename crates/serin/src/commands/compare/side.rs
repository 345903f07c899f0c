//! A file of predictions, read as labels and decisions.

use crate::args::CompareArgs;
use anyhow::{Context, bail};
use serin::data::{
    Cell, ColumnOptions, Columns, DataError, LabelReader, LabelSet, LabelUse, ProblemType, Row, RowReader, Source,
    Split, Target, text_cell,
};
use std::path::{Path, PathBuf};

/// The name of the column of decisions, before an ending such as `_2`.
const PREDICTED: &str = "predicted_label";
/// What the names of the columns of probabilities begin with.
const SCORE: &str = "score_";

/// One of the two files.
pub struct Side {
    path: PathBuf,
    reader: RowReader,
    predicted: String,
    truth: LabelReader,
    texts: Vec<String>,
    rows: u64,
}

/// What a row says.
pub struct Outcome {
    /// The row's number, from 1.
    pub number: u64,
    /// The texts, none where no column holds one.
    pub texts: Vec<String>,
    /// The true label's id.
    pub label: u32,
    /// The decision's id; `None` where none was made.
    pub prediction: Option<u32>,
}

impl Side {
    /// Opens a file. `labels` are those of the file it is compared with, to count by the same ids.
    pub fn open(path: &Path, args: &CompareArgs, labels: Option<&LabelSet>) -> anyhow::Result<Side> {
        let source = Source::resolve(&[path.to_owned()], Split::Test, args.reading.format)?;
        let reader = RowReader::open(&source, &args.reading.options())?;
        let (predicted, own) = decision_columns(path, reader.columns())?;
        if let Some(labels) = labels {
            let missing = own.names().iter().find(|name| labels.position(name).is_err());
            if let (Some(name), _) | (None, Some(name)) =
                (missing, labels.names().iter().find(|name| own.position(name).is_err()))
            {
                bail!("the models have different labels: `{name}` is in one of the files only");
            }
        }
        // The texts are not needed to find the label, and may be absent.
        let asked = ColumnOptions {
            text: Some(predicted.clone()),
            label: args.label_column.clone(),
            ..ColumnOptions::default()
        };
        let columns = Columns::find(&reader, &asked, LabelUse::Required)
            .with_context(|| format!("{}: the true label is needed to compare with", path.display()))?;
        let texts = match Columns::find(&reader, &args.reading.columns(), LabelUse::Ignored) {
            Ok(columns) => [columns.text].into_iter().chain(columns.pair).collect(),
            Err(error) if args.reading.text_column.is_some() => return Err(error.into()),
            Err(_) => Vec::new(),
        };
        let truth = LabelReader::new(
            &columns,
            &asked,
            LabelReader::class_names(&reader, &columns),
            &args.label_map,
            labels.unwrap_or(&own).clone(),
            ProblemType::SingleLabelClassification,
        )?;
        Ok(Side { path: path.to_owned(), reader, predicted, truth, texts, rows: 0 })
    }

    /// The labels, by id.
    pub fn labels(&self) -> &LabelSet {
        self.truth.known()
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Rows read.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// The next row.
    pub fn next(&mut self) -> anyhow::Result<Option<Outcome>> {
        let Some(row) = self.reader.next().transpose()? else { return Ok(None) };
        self.rows += 1;
        let Target::Class(label) = self.truth.target(&row)? else {
            bail!("{}: one label a row is expected", row.location());
        };
        let texts = self.texts.iter().map(|column| text_cell(&row, column)).collect::<Result<_, _>>()?;
        Ok(Some(Outcome { number: self.rows, texts, label, prediction: self.decision(&row)? }))
    }

    fn decision(&self, row: &Row) -> Result<Option<u32>, DataError> {
        let at = || row.location().with_column(&self.predicted);
        match row.get(&self.predicted) {
            None | Some(Cell::Null) => Ok(None),
            Some(Cell::Text(name)) if name.is_empty() => Ok(None),
            Some(Cell::Text(name)) => self.labels().position(&name).map(Some).map_err(|problem| DataError::Label {
                at: at(),
                value: name.as_ref().into(),
                problem: problem.into(),
                known: self.labels().names().join(", ").into(),
            }),
            Some(cell) => {
                Err(DataError::Cell { at: at(), problem: format!("a label's name is expected, not {}", cell.kind()) })
            }
        }
    }
}

/// The column of decisions, the last of several, and the labels by the columns of scores beside it.
fn decision_columns(path: &Path, columns: &[String]) -> anyhow::Result<(String, LabelSet)> {
    let ending = |name: &str| {
        let rest = name.strip_prefix(PREDICTED)?;
        (rest.is_empty() || rest.strip_prefix('_')?.parse::<u64>().is_ok()).then(|| rest.to_owned())
    };
    let found = columns.iter().enumerate().rev().find_map(|(at, name)| Some((at, ending(name)?)));
    let Some((at, ending)) = found else {
        bail!(
            "{}: there is no column `{PREDICTED}`; the columns are: {}\nhint: compare takes what `serin evaluate \
             --predictions` or `serin predict` wrote with models of one label a text",
            path.display(),
            columns.join(", ")
        );
    };
    let scores = columns[at + 1..].iter().filter_map(|name| name.strip_prefix(SCORE)?.strip_suffix(ending.as_str()));
    let labels = LabelSet::new(scores.map(str::to_owned).collect())
        .with_context(|| format!("{}: the columns after `{}`", path.display(), columns[at]))?;
    Ok((columns[at].clone(), labels))
}
