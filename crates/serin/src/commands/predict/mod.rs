//! `serin predict`.

mod input;
mod output;
mod table;

use super::Ended;
use super::interrupt;
use super::scoring::{Chunk, Fed, Feed, Meter, Pace, Recorder, is_defined, open_classifier};
use crate::args::PredictArgs;
use input::Input;
use serin::data::Source;
use serin::{Classifier, SerinError};
use std::io::{IsTerminal, stdout};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// How long a signal may wait for its answer.
const PATIENCE: Duration = Duration::from_millis(100);

/// Predicts, and writes what came of it.
pub fn run(args: &PredictArgs, quiet: bool) -> anyhow::Result<Ended> {
    let source = args.source(quiet)?;
    let format = args.output_format()?;
    let mut opened =
        open_classifier(&args.model, &args.text, &args.device, quiet).map_err(|error| args.perhaps_a_text(error))?;
    if args.is_for_eyes() {
        table::print(&mut opened.classifier, &args.texts, args.raw_scores)?;
        return Ok(Ended::Well);
    }
    let mut input = Input::open(args, source)?;
    let recorder = args.recorder(&opened, &input, format)?;
    input.reader.skip_rows(recorder.rows())?;
    let left = args.max_samples.map_or(u64::MAX, |most| most.saturating_sub(recorder.rows()));
    let rows = input.reader.take(usize::try_from(left).unwrap_or(usize::MAX));
    let meter = meter(args, input.source.as_ref(), recorder.rows(), quiet);
    let pace = if input.source.is_some() { Pace::Full } else { Pace::Prompt };
    let output = args.output.as_deref().map(|path| Output { path, resumable: input.source.is_some() });
    let stop = match output {
        Some(_) => interrupt::listen("Finishing the rows at hand; once more ends at once."),
        None => Arc::default(),
    };
    let feed = Feed::start(rows, input.columns, &opened.classifier, pace);
    let run = Run { classifier: &mut opened.classifier, recorder, meter, pace };
    // Of a few arguments, a summary would be longer than the result.
    match (run.all(&feed, &stop, output, quiet || !args.texts.is_empty()), output) {
        (Err(error), Some(Output { path, resumable: true })) => Err(anyhow::anyhow!(
            "{error}\nnote: what was predicted is kept in {}.partial: go on with --resume, or begin again with \
             --overwrite if the input has to be mended",
            path.display()
        )),
        (ended, _) => ended,
    }
}

/// A bar that begins after the `done` rows of an earlier run.
fn meter(args: &PredictArgs, source: Option<&Source>, done: u64, quiet: bool) -> Meter {
    let in_the_way = args.output.is_none() && stdout().is_terminal();
    let mut meter = Meter::new("predicting", None, quiet || in_the_way);
    if let Some(source) = source {
        meter.count_beside(source, &args.reading.options(), args.max_samples);
    }
    meter.start_at(done);
    let notes = source.iter().flat_map(|source| &source.notes);
    notes.filter(|_| !quiet).for_each(|note| meter.note(&format!("note: {note}")));
    if done > 0 && !quiet {
        meter.note(&format!("Going on after row {done} of an interrupted run."));
    }
    meter
}

/// The file that is written.
#[derive(Clone, Copy)]
struct Output<'a> {
    path: &'a Path,
    /// Whether the input can be read again from where a run stopped.
    resumable: bool,
}

/// A run in the middle.
struct Run<'a> {
    classifier: &'a mut Classifier,
    recorder: Recorder,
    meter: Meter,
    pace: Pace,
}

impl Run<'_> {
    /// Predicts all rows.
    fn all(mut self, feed: &Feed, stop: &AtomicBool, output: Option<Output>, quiet: bool) -> anyhow::Result<Ended> {
        loop {
            if stop.load(Ordering::SeqCst) {
                self.meter.clear();
                self.meter.warning().iter().for_each(|warning| eprintln!("{warning}"));
                eprintln!("{}", interrupted(self.recorder.rows(), output));
                return Ok(Ended::Interrupted);
            }
            match feed.next(PATIENCE)? {
                Fed::Nothing => {}
                Fed::Chunk(chunk) => self.chunk(&chunk)?,
                Fed::End => break,
            }
        }
        self.recorder.finish()?;
        self.meter.clear();
        if !quiet {
            eprintln!("{}", self.meter.summary(self.classifier.text_settings().max_length));
        }
        self.meter.warning().iter().for_each(|warning| eprintln!("{warning}"));
        Ok(Ended::Well)
    }

    fn chunk(&mut self, chunk: &Chunk) -> Result<(), SerinError> {
        let logits = self.classifier.logits(&chunk.encoded)?;
        let rows = chunk.rows.iter().zip(&chunk.encoded).zip(logits.chunks_exact(self.classifier.labels().len()));
        let mut undefined = 0;
        for ((row, encoded), logits) in rows {
            let prediction = self.classifier.decide(logits, encoded);
            undefined += u64::from(!is_defined(&prediction));
            self.recorder.write(row, encoded.full_length, logits, &prediction)?;
        }
        if self.pace == Pace::Prompt {
            self.recorder.flush()?;
        }
        self.meter.add(chunk, undefined);
        Ok(())
    }
}

fn interrupted(rows: u64, output: Option<Output>) -> String {
    let Some(Output { path, resumable }) = output else { return format!("Interrupted after {rows} rows.") };
    let advice = if resumable { "Go on with the same command and --resume" } else { "Begin again with --overwrite" };
    format!("Interrupted after {rows} rows, which are kept in {}.partial. {advice}.", path.display())
}
