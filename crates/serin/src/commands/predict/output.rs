//! Where rows and predictions go.

use super::super::scoring::{Opened, Recorder, prediction_columns};
use super::input::Input;
use crate::args::PredictArgs;
use serin::SerinError;
use serin::data::{DataError, OutputFormat, RowWriter, RunIdentity, Source, Start};
use serin::pretrained::record_text;
use std::collections::BTreeMap;
use std::io::{IsTerminal, stdout};
use std::path::{Path, PathBuf};

impl PredictArgs {
    /// The output's format: named, told by its name, or JSONL.
    pub fn output_format(&self) -> Result<OutputFormat, DataError> {
        match (self.output_format, &self.output) {
            (Some(format), _) => Ok(format),
            (None, Some(path)) => OutputFormat::from_name(path),
            (None, None) => Ok(OutputFormat::JsonLines),
        }
    }

    /// Whether a person looks, and only at a few texts.
    pub fn is_for_eyes(&self) -> bool {
        let named = self.output.is_some() || self.output_format.is_some();
        !self.texts.is_empty() && !named && stdout().is_terminal()
    }

    /// Opens the output, at the row where an interrupted run stopped.
    pub fn recorder(&self, opened: &Opened, input: &Input, format: OutputFormat) -> Result<Recorder, SerinError> {
        let columns = prediction_columns(&opened.classifier, &input.schema)?;
        let schema = input.schema.clone();
        let writer = match &self.output {
            None => RowWriter::to_stream(Box::new(stdout()), format, schema, columns)?,
            Some(path) => {
                let identity = RunIdentity::new(&input.files(), self.settings(opened, input)?)?;
                RowWriter::create(path, format, schema, columns, self.start(), identity)?
            }
        };
        Ok(Recorder::new(writer, &opened.classifier, self.raw_scores))
    }

    fn start(&self) -> Start {
        match (self.resume, self.overwrite) {
            (true, _) => Start::Resume,
            (false, true) => Start::Overwrite,
            (false, false) => Start::New,
        }
    }

    /// What must not change between a run and its continuation, besides the input.
    fn settings(&self, opened: &Opened, input: &Input) -> Result<BTreeMap<String, String>, SerinError> {
        let classifier = &opened.classifier;
        let text = serde_json::to_string(&record_text(classifier.text_settings())).unwrap_or_default();
        let reading = &self.reading;
        let settings = [
            ("model", model_identity(&opened.folder)),
            ("--precision", classifier.dtype().to_string()),
            ("text settings", text),
            ("--text-column", input.columns.text.clone()),
            ("--text-pair-column", input.columns.pair.clone().unwrap_or_default()),
            ("--max-samples", self.max_samples.map(|most| most.to_string()).unwrap_or_default()),
            ("--raw-scores", self.raw_scores.to_string()),
            ("--no-header", reading.lines.no_header.to_string()),
            ("--no-quoting", reading.lines.no_quoting.to_string()),
            ("--lossy", reading.lines.lossy.to_string()),
        ];
        Ok(settings.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
    }
}

impl Input {
    /// The files, none where it is a pipe.
    fn files(&self) -> Source {
        self.source.clone().unwrap_or_else(|| Source {
            path: PathBuf::from("<stdin>"),
            format: serin::data::Format::PlainText,
            files: Vec::new(),
            notes: Vec::new(),
        })
    }
}

/// A model's folder, and the sizes and times of its files: another model in the same place is another model.
fn model_identity(folder: &Path) -> String {
    let folder = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
    let mut files: Vec<String> = std::fs::read_dir(&folder)
        .into_iter()
        .flatten()
        .filter_map(|entry| {
            let path = entry.ok()?.path();
            let metadata = path.metadata().ok().filter(|metadata| metadata.is_file())?;
            let modified = metadata.modified().ok()?.duration_since(std::time::UNIX_EPOCH).ok()?.as_nanos();
            Some(format!("{} {} {modified}", path.file_name()?.display(), metadata.len()))
        })
        .collect();
    files.sort();
    format!("{} ({})", folder.display(), files.join(", "))
}
