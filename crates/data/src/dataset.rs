//! Labelled examples in memory, and how they are loaded.

use std::path::PathBuf;

use sha2::{Digest, Sha256};

use crate::columns::{ColumnOptions, Columns, LabelUse};
use crate::error::DataError;
use crate::labels::collect::{LabelCollector, LabelKnowledge};
use crate::labels::reader::LabelReader;
use crate::labels::{LabelSet, ProblemType, Target};
use crate::resolve::{Source, Split};
use crate::rows::{Cell, Format, ReadOptions, Row, RowReader};
use crate::sample::stratified_sample;

/// One text, or pair of texts, with its label.
#[derive(Clone, Debug, PartialEq)]
pub struct Example {
    /// The text.
    pub text: String,
    /// The second text of a pair.
    pub pair: Option<String>,
    /// The label.
    pub target: Target,
    /// The row in the dataset's files, counted from 1 over all of them.
    pub row: u64,
}

/// One split of a dataset.
#[derive(Clone, Debug)]
pub struct Dataset {
    /// The examples, in the order of the files.
    pub examples: Vec<Example>,
    /// The labels; `None` for regression and for unlabelled data.
    pub labels: Option<LabelSet>,
    /// What the labels are.
    pub problem_type: ProblemType,
    /// A short name: of the file or folder.
    pub name: String,
    /// The files.
    pub files: Vec<PathBuf>,
    /// The columns that were used.
    pub columns: Columns,
    /// How many rows the files have; more than examples where a limit was given.
    pub rows: u64,
    /// What was passed over and should be said aloud.
    pub notes: Vec<String>,
    /// SHA-256 over labels and examples, in hexadecimal: the same content gives the same value, whatever the files'
    /// names and format. For caches and to check that a resumed run has its data back.
    pub fingerprint: String,
}

/// What to load, and how.
#[derive(Clone, Debug, Default)]
pub struct DataSpec {
    /// Files, patterns such as `data/train-*.parquet`, or a folder.
    pub paths: Vec<PathBuf>,
    /// The split to take of a folder.
    pub split: Split,
    /// The format; by default told by name and shape.
    pub format: Option<Format>,
    /// How files are read.
    pub read: ReadOptions,
    /// Which columns are used.
    pub columns: ColumnOptions,
    /// Whether labels are needed.
    pub label_use: LabelUse,
    /// Labels to align with, by name, else by id: the model's, or the training data's.
    pub labels: Option<LabelSet>,
    /// New names for labels of the dataset, before they are aligned: `--label-map neg=negative`.
    pub label_map: Vec<(String, String)>,
    /// What the labels are; by default inferred: numbers with fractions are regression, lists multi-label.
    pub problem_type: Option<ProblemType>,
    /// Take so many examples only, every class in proportion (`--max-train-samples`). Never the first ones: datasets
    /// such as IMDB are sorted by class.
    pub limit: Option<usize>,
    /// The seed of that sample.
    pub seed: u64,
}

/// Loads one split into memory.
///
/// # Errors
/// Whatever is wrong with files, columns or labels, with file, line or row, column and a hint.
pub fn load_dataset(spec: &DataSpec) -> Result<Dataset, DataError> {
    let source = Source::resolve(&spec.paths, spec.split, spec.format)?;
    let mut reader = RowReader::open(&source, &spec.read)?;
    if reader.columns().is_empty() {
        return Err(DataError::Empty { path: source.path, hint: "" });
    }
    let columns = Columns::find(&reader, &spec.columns, spec.label_use)?;
    let mut collector = label_collector(spec, &columns, &reader);
    let mut texts = Texts::default();
    for row in reader.by_ref() {
        let row = row?;
        texts.push(&row, &columns)?;
        collector.push(&row)?;
    }
    let rows = texts.texts.len() as u64;
    if rows == 0 {
        let has_header = matches!(source.format, Format::Csv | Format::Tsv) && spec.read.header;
        let hint = if has_header { ": only a header\nhint: if the line is data, pass --no-header" } else { "" };
        return Err(DataError::Empty { path: source.path, hint });
    }
    let labelled = collector.finish()?;
    let mut dataset = Dataset {
        examples: texts.with_targets(labelled.targets),
        labels: labelled.labels,
        problem_type: labelled.problem_type,
        name: source.path.file_stem().unwrap_or_default().to_string_lossy().into_owned(),
        files: source.files,
        columns,
        rows,
        notes: source.notes,
        fingerprint: String::new(),
    };
    if let Some(limit) = spec.limit {
        dataset.examples = stratified_sample(&dataset, limit, spec.seed);
    }
    dataset.fingerprint = dataset.content_hash();
    Ok(dataset)
}

fn label_collector(spec: &DataSpec, columns: &Columns, reader: &RowReader) -> LabelCollector {
    let class_names = LabelReader::class_names(reader, columns);
    let knowledge = LabelKnowledge {
        known: spec.labels.clone(),
        renamed: spec.label_map.clone(),
        problem_type: spec.problem_type,
        label_use: spec.label_use,
    };
    let delimiter = spec.columns.label_delimiter.clone();
    LabelCollector::new(columns.label.clone(), delimiter, class_names, knowledge)
}

/// The text of a cell that must hold one.
///
/// # Errors
/// No such column in this row, null, or a value that is no text.
pub fn text_cell(row: &Row, column: &str) -> Result<String, DataError> {
    match row.get(column) {
        Some(Cell::Text(text)) => Ok(text.into_owned()),
        Some(cell) => {
            let problem = format!("text is expected here, not {}", cell.kind());
            Err(DataError::Cell { at: row.location().with_column(column), problem })
        }
        None => Err(DataError::MissingColumn {
            at: row.location(),
            what: format!("this row has no `{column}`").into(),
            available: row.columns().join(", ").into(),
            hint: "every row needs its text; name another column with --text-column".into(),
        }),
    }
}

/// The texts of a dataset, while its labels are not yet known.
#[derive(Default)]
struct Texts {
    texts: Vec<(String, Option<String>, u64)>,
}

impl Texts {
    fn push(&mut self, row: &Row, columns: &Columns) -> Result<(), DataError> {
        let text = text_cell(row, &columns.text)?;
        let pair = columns.pair.as_deref().map(|column| text_cell(row, column)).transpose()?;
        self.texts.push((text, pair, row.number()));
        Ok(())
    }

    fn with_targets(self, targets: Vec<Target>) -> Vec<Example> {
        let examples = self.texts.into_iter().zip(targets);
        examples.map(|((text, pair, row), target)| Example { text, pair, target, row }).collect()
    }
}

impl Dataset {
    /// The number of examples.
    pub fn len(&self) -> usize {
        self.examples.len()
    }

    /// Whether there is no example.
    pub fn is_empty(&self) -> bool {
        self.examples.is_empty()
    }

    /// The same dataset with other examples.
    pub(crate) fn with_examples(&self, examples: Vec<Example>) -> Self {
        let mut dataset = Self {
            examples,
            labels: self.labels.clone(),
            problem_type: self.problem_type,
            name: self.name.clone(),
            files: self.files.clone(),
            columns: self.columns.clone(),
            rows: self.rows,
            notes: Vec::new(),
            fingerprint: String::new(),
        };
        dataset.fingerprint = dataset.content_hash();
        dataset
    }

    /// SHA-256 over a version tag, the label names, and each example's texts and target; every string with its length
    /// before it, so that no two datasets share a byte stream.
    fn content_hash(&self) -> String {
        let mut hash = Sha256::new();
        let mut put = |bytes: &[u8]| {
            hash.update((bytes.len() as u64).to_le_bytes());
            hash.update(bytes);
        };
        put(b"serin-dataset-1");
        put(format!("{:?}", self.problem_type).as_bytes());
        for name in self.labels.iter().flat_map(LabelSet::names) {
            put(name.as_bytes());
        }
        for example in &self.examples {
            put(example.text.as_bytes());
            match &example.pair {
                Some(pair) => put(pair.as_bytes()),
                None => put(b""),
            }
            put(&target_bytes(&example.target, example.pair.is_some()));
        }
        hex(&hash.finalize())
    }
}

fn target_bytes(target: &Target, has_pair: bool) -> Vec<u8> {
    let mut bytes = vec![u8::from(has_pair)];
    match target {
        Target::Class(id) => {
            bytes.push(b'c');
            bytes.extend(id.to_le_bytes());
        }
        Target::Multi(flags) => {
            bytes.push(b'm');
            bytes.extend(flags.iter().map(|&flag| u8::from(flag)));
        }
        Target::Score(score) => {
            bytes.push(b's');
            bytes.extend(score.to_bits().to_le_bytes());
        }
        Target::Unlabelled => bytes.push(b'u'),
    }
    bytes
}

/// Bytes in hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
