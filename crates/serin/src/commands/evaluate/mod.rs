//! `serin evaluate`.

mod labelled;
mod measured;
mod worst;

use super::Ended;
use super::scoring::{
    Chunk, Fed, Feed, Meter, Opened, Pace, Recorder, check_output, is_defined, open_classifier, prediction_columns,
};
use crate::args::EvaluateArgs;
use anyhow::Context;
use labelled::LabelledSource;
use measured::Measured;
use serde_json::{Value, json};
use serin::data::{OutputFormat, RowWriter, RunIdentity, Start, scan_schema};
use serin::metrics::EvaluationReport;
use serin::{Classifier, SerinError};
use serin_checkpoint::save::write_json_atomic;
use std::collections::BTreeMap;
use std::io::{Write, stdout};
use std::path::{Path, PathBuf};
use std::time::Duration;
use worst::Worst;

/// Longer than any wait: nothing else is to be done meanwhile.
const PATIENCE: Duration = Duration::from_secs(3600);

/// Measures, and reports.
pub fn run(args: &EvaluateArgs, quiet: bool) -> anyhow::Result<Ended> {
    let formats = args.check_outputs()?;
    let Opened { mut classifier, .. } = open_classifier(&args.model, &args.text, &args.device, quiet)?;
    let data = LabelledSource::open(args, &classifier, quiet)?;
    let recorder = match &args.predictions {
        Some(path) => Some(recorder(path, formats.predictions, &data, &classifier)?),
        None => None,
    };
    let run = Run {
        measured: Measured::new(classifier.config(), args.task(&data.source, classifier.labels()))?,
        worst: Worst::new(if args.errors.is_some() { args.max_errors } else { 0 }),
        meter: Meter::new("evaluating", Some(data.sampled), quiet),
        classifier: &mut classifier,
        data: &data,
        recorder,
    };
    let Done { measured, worst, meter } = run.all()?;
    if let (Some(path), Some(format)) = (&args.errors, formats.errors) {
        let written = worst.write(path, format, &classifier)?;
        if !quiet {
            eprintln!("Wrote the {written} most confident errors to {}.", path.display());
        }
    }
    if !quiet {
        eprintln!("{}", meter.summary(classifier.text_settings().max_length));
    }
    meter.warning().iter().for_each(|warning| eprintln!("{warning}"));
    print_report(args, &classifier, &measured.report(meter.truncated()))?;
    Ok(Ended::Well)
}

/// A run in the middle.
struct Run<'a> {
    classifier: &'a mut Classifier,
    data: &'a LabelledSource,
    measured: Measured,
    worst: Worst,
    recorder: Option<Recorder>,
    meter: Meter,
}

/// What a run gives.
struct Done {
    measured: Measured,
    worst: Worst,
    meter: Meter,
}

impl Run<'_> {
    fn all(mut self) -> Result<Done, SerinError> {
        let feed = Feed::start(self.data.reader()?, self.data.columns.clone(), self.classifier, Pace::Full);
        loop {
            match feed.next(PATIENCE)? {
                Fed::Nothing => {}
                Fed::Chunk(chunk) => self.chunk(&chunk)?,
                Fed::End => break,
            }
        }
        self.meter.clear();
        if let Some(recorder) = self.recorder {
            recorder.finish()?;
        }
        Ok(Done { measured: self.measured, worst: self.worst, meter: self.meter })
    }

    fn chunk(&mut self, chunk: &Chunk) -> Result<(), SerinError> {
        let logits = self.classifier.logits(&chunk.encoded)?;
        let rows = chunk.rows.iter().zip(&chunk.encoded).zip(logits.chunks_exact(self.classifier.labels().len()));
        let mut undefined = 0;
        for ((row, encoded), logits) in rows {
            let target = self.data.target(row)?;
            let prediction = self.classifier.decide(logits, encoded);
            undefined += u64::from(!is_defined(&prediction));
            self.measured.push(&target, logits, encoded)?;
            let labels = self.classifier.labels();
            self.worst.offer(row, &target, &prediction, logits, encoded.full_length, labels);
            if let Some(recorder) = &mut self.recorder {
                recorder.write(row, encoded.full_length, logits, &prediction)?;
            }
        }
        self.meter.add(chunk, undefined);
        Ok(())
    }
}

/// The formats of the files to write.
struct Formats {
    errors: Option<OutputFormat>,
    predictions: OutputFormat,
}

impl EvaluateArgs {
    fn check_outputs(&self) -> anyhow::Result<Formats> {
        let json = self.json.iter().filter(|path| path.as_os_str() != "-");
        for path in json.chain(&self.errors).chain(&self.predictions) {
            check_output(path, self.overwrite)?;
        }
        let format = |path: &PathBuf| OutputFormat::from_name(path);
        Ok(Formats {
            errors: self.errors.as_ref().map(format).transpose()?,
            predictions: self.predictions.as_ref().map(format).transpose()?.unwrap_or(OutputFormat::JsonLines),
        })
    }
}

fn recorder(
    path: &Path,
    format: OutputFormat,
    data: &LabelledSource,
    classifier: &Classifier,
) -> Result<Recorder, SerinError> {
    let input = scan_schema(&data.source, &data.options)?;
    let columns = prediction_columns(classifier, &input)?;
    // `check_output` has refused a file that is there; an interrupted evaluation starts anew.
    let identity = RunIdentity::new(&data.source, BTreeMap::new())?;
    let writer = RowWriter::create(path, format, input, columns, Start::Overwrite, identity)?;
    Ok(Recorder::new(writer, classifier, false))
}

fn print_report(args: &EvaluateArgs, classifier: &Classifier, report: &EvaluationReport) -> anyhow::Result<()> {
    if let Some(path) = &args.json {
        let mut json = serde_json::to_value(report)?;
        if let Value::Object(entries) = &mut json {
            entries.insert("model".into(), json!(args.model));
            entries.insert("data".into(), json!(args.paths));
            entries.insert("precision".into(), json!(classifier.dtype().to_string()));
            entries.insert("max_length".into(), json!(classifier.text_settings().max_length));
        }
        if path.as_os_str() == "-" {
            writeln!(stdout(), "{}", serde_json::to_string_pretty(&json)?)?;
            return Ok(());
        }
        write_json_atomic(path, &json).with_context(|| format!("cannot write {}", path.display()))?;
    }
    write!(stdout(), "{report}")?;
    Ok(())
}
