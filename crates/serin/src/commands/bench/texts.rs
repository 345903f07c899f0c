//! Texts of a file: as examples for training steps, and classified as `serin predict` classifies them.

use super::spread::Spread;
use crate::args::BenchArgs;
use crate::commands::scoring::{Fed, Feed, Pace};
use anyhow::{Context, bail};
use serde::Serialize;
use serin::data::{ColumnOptions, Columns, DataSpec, LabelUse, ReadOptions, RowReader, Source, Split, load_dataset};
use serin::text::Encoded;
use serin::{Classifier, Pretrained, PretrainedOptions};
use serin_model::Target;
use serin_train::Examples;
use std::path::Path;
use std::time::{Duration, Instant};

/// Texts that are classified before any are timed.
const WARM_UP: usize = 512;
/// How long a wait for texts may take before it is looked again.
const PATIENCE: Duration = Duration::from_millis(100);

/// How fast a file's texts are classified.
#[derive(Serialize)]
pub struct Texts {
    /// Texts.
    pub texts: usize,
    /// Tokens that the model read: no padding is counted, and there is none.
    pub tokens: usize,
    /// Seconds of tokenizing all of them, on all cores.
    pub tokenizing_seconds: f64,
    /// Seconds of the model alone, texts of like length together.
    pub model_seconds: Spread,
    /// Seconds from the file to logits as `serin predict` goes through it: reading and tokenizing beside the model.
    pub whole_seconds: Spread,
    /// Tokens a second of the model alone.
    pub model_tokens_per_second: f64,
    /// Tokens a second with reading and tokenizing.
    pub whole_tokens_per_second: f64,
}

/// The texts of `--file`, in about `budget`, but once at least.
pub fn measure(args: &BenchArgs, file: &Path, budget: Duration) -> anyhow::Result<Texts> {
    let model = args.model.as_deref().context("--file needs --model")?;
    let mut classifier =
        Classifier::new(Pretrained::open(model, &PretrainedOptions::default())?, args.device.options())?;
    let most = args.max_samples.unwrap_or(usize::MAX);
    let texts = read_texts(file, most)?;
    if texts.is_empty() {
        bail!("{}: holds no text", file.display());
    }
    let pairs: Vec<_> = texts.iter().map(|text| (text.as_str(), None)).collect();
    let started = Instant::now();
    let encoded = classifier.tokenizer().encode_batch(&pairs, classifier.text_settings())?;
    let tokenizing_seconds = started.elapsed().as_secs_f64();
    classifier.logits(&encoded[..WARM_UP.min(encoded.len())])?;
    let model_seconds = timed(budget / 2, || classifier.logits(&encoded).map(drop).map_err(Into::into))?;
    let whole_seconds = timed(budget / 2, || whole(&mut classifier, file, most))?;
    let tokens: usize = encoded.iter().map(|encoded: &Encoded| encoded.ids.len()).sum();
    let rate = |seconds: &Spread| tokens as f64 / seconds.median.max(f64::MIN_POSITIVE);
    Ok(Texts {
        texts: texts.len(),
        tokens,
        tokenizing_seconds,
        model_tokens_per_second: rate(&model_seconds),
        whole_tokens_per_second: rate(&whole_seconds),
        model_seconds,
        whole_seconds,
    })
}

/// Seconds of `run`, once and then until the time is up.
fn timed(budget: Duration, mut run: impl FnMut() -> anyhow::Result<()>) -> anyhow::Result<Spread> {
    let (started, mut seconds) = (Instant::now(), Vec::new());
    while seconds.is_empty() || started.elapsed() < budget {
        let began = Instant::now();
        run()?;
        seconds.push(began.elapsed().as_secs_f64());
    }
    Ok(Spread::of(seconds))
}

/// Reads, tokenizes and computes, each ahead of the next.
fn whole(classifier: &mut Classifier, file: &Path, most: usize) -> anyhow::Result<()> {
    let (reader, columns) = open(file)?;
    let feed = Feed::start(reader.take(most), columns, classifier, Pace::Full);
    loop {
        match feed.next(PATIENCE)? {
            Fed::Chunk(chunk) => drop(classifier.logits(&chunk.encoded)?),
            Fed::Nothing => {}
            Fed::End => return Ok(()),
        }
    }
}

fn open(file: &Path) -> anyhow::Result<(RowReader, Columns)> {
    let source = Source::resolve(&[file.to_owned()], Split::Test, None)?;
    let reader = RowReader::open(&source, &ReadOptions::default())?;
    let columns = Columns::find(&reader, &ColumnOptions::default(), LabelUse::Ignored)?;
    Ok((reader, columns))
}

fn read_texts(file: &Path, most: usize) -> anyhow::Result<Vec<String>> {
    let (reader, columns) = open(file)?;
    let text = |row| -> anyhow::Result<String> { Ok(serin::data::text_cell(&row?, &columns.text)?) };
    reader.take(most).map(text).collect()
}

/// The first `count` texts of a sample of a file, tokenized as the model's are.
pub fn examples(model: &str, file: &Path, count: usize) -> anyhow::Result<Examples> {
    let opened = Pretrained::open(model, &PretrainedOptions::default())?;
    let spec = DataSpec {
        paths: vec![file.to_owned()],
        columns: ColumnOptions::default(),
        label_use: LabelUse::Ignored,
        limit: Some(count),
        ..DataSpec::default()
    };
    let dataset = load_dataset(&spec)?;
    if dataset.examples.len() < count {
        bail!("{}: has {} texts, {count} are needed", file.display(), dataset.examples.len());
    }
    let texts: Vec<_> = dataset.examples.iter().map(|row| (row.text.as_str(), row.pair.as_deref())).collect();
    let labels = opened.folder.config().labels.len();
    let mut examples = Examples::default();
    for (index, encoded) in opened.tokenizer.encode_batch(&texts, &opened.text)?.into_iter().enumerate() {
        // What the label is changes nothing of the work.
        let target = Target::Class((index % labels) as u32);
        examples.push(&encoded.ids, &encoded.type_ids, encoded.full_length, target);
    }
    Ok(examples)
}
