//! Pretraining from text files to a folder with the best encoder: everything around the loop.

mod base;
mod card;
mod keeper;
mod options;

pub use options::{EncoderShape, PretrainModel, PretrainOptions};

use crate::device::{Device, Hardware};
use crate::error::SerinError;
use crate::fine_tune::{Console, Longer, RunFolder, RunLogs, dropout_problem, settings_by_name, shown_settings};
use base::Base;
use card::{ModelCard, NewBest};
use keeper::FolderKeeper;
use serde_json::{Map, Value, json};
use serin_checkpoint::save::write_json_atomic;
use serin_corpus::{Corpus, CorpusError, CorpusSettings, Masking, TRAIN, TokenizeReport, VALIDATION};
use serin_model::{BuildOptions, Freezing, Model};
use serin_tensor::DType;
use serin_train::{Ending, PretrainInputs, Pretrainer, group_table};
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

/// How a run went.
#[derive(Debug)]
pub struct Pretrained {
    /// How it ended.
    pub ending: Ending,
    /// The smallest held-out loss, in nats a masked token.
    pub best_loss: Option<f64>,
    /// Where everything is.
    pub folder: RunFolder,
}

/// Runs a pretraining to its end, or until `stop` is set.
///
/// # Errors
/// Anything wrong with model, text, settings or disk. What was written before stays whole.
pub fn pretrain(
    options: &PretrainOptions,
    console: &mut dyn Console,
    stop: &AtomicBool,
) -> Result<Pretrained, SerinError> {
    if let Some(problem) = options.settings.problem().or_else(|| dropout_problem(&options.dropout)) {
        return Err(SerinError::Usage(problem));
    }
    let folder = RunFolder::create(&options.output_dir)?;
    folder.refuse_to_overwrite(options.resume, options.overwrite)?;
    let device = options.device.open()?;
    let base = Base::open(&options.model, options.dropout, options.settings.seed, console.downloads())?;
    console.say(&base.weights.report());
    let mut corpus = options.corpus.clone();
    corpus.max_length = corpus.max_length.min(base.tokenizer.max_length()).min(base.weights.config().max_length());
    corpus.normalization = options.normalization.unwrap_or(base.normalization);
    let run = Run { options, corpus, folder: &folder, base: &base };
    let (ending, best_loss) = match run.text(console, stop)? {
        Some(corpora) => match &device {
            Device::Cpu(device) => run.train(device, &corpora, console, stop)?,
            Device::Cuda(device) => run.train(device, &corpora, console, stop)?,
        },
        None => (Ending::Interrupted, None),
    };
    Ok(Pretrained { ending, best_loss, folder })
}

/// A run whose parts are all at hand.
struct Run<'a> {
    options: &'a PretrainOptions,
    corpus: CorpusSettings,
    folder: &'a RunFolder,
    base: &'a Base,
}

impl Run<'_> {
    fn corpus_folder(&self) -> PathBuf {
        self.folder.root().join("corpus")
    }

    /// The corpus of an earlier run of the same text and settings, or a new one; `None` if it was asked to stop.
    fn text(&self, console: &mut dyn Console, stop: &AtomicBool) -> Result<Option<(Corpus, Corpus)>, SerinError> {
        let folder = self.corpus_folder();
        let (sources, tokenizer) = (&self.options.sources, &self.base.tokenizer);
        let open = || -> Result<(Corpus, Corpus), CorpusError> {
            let train = Corpus::open(&folder.join(TRAIN))?;
            train.check(sources, tokenizer, &self.corpus)?;
            Ok((train, Corpus::open(&folder.join(VALIDATION))?))
        };
        if sources.validation.is_empty() && self.corpus.validation_fraction == 0.0 {
            let reason = "there must be held-out text: give --validation-file, or a --validation-fraction above 0";
            return Err(SerinError::Usage(reason.into()));
        }
        if let Ok(corpora) = open() {
            console.say(&describe(&corpora.0, &corpora.1));
            return Ok(Some(corpora));
        }
        let mut progress = |report: &TokenizeReport| {
            let documents = report.train.documents + report.validation.map_or(0, |part| part.documents);
            console.progress("tokenizing", &format!("{documents} documents, {} MB", report.text_bytes / 1_000_000));
            if stop.load(Ordering::Relaxed) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        match Corpus::tokenize(sources, tokenizer, &self.corpus, &folder, &mut progress) {
            Err(CorpusError::Interrupted) => return Ok(None),
            report => console.say(&left_out(&report?)),
        }
        let corpora = open()?;
        console.say(&describe(&corpora.0, &corpora.1));
        Ok(Some(corpora))
    }

    fn train<B: Hardware>(
        &self,
        device: &B,
        (train, held_out): &(Corpus, Corpus),
        console: &mut dyn Console,
        stop: &AtomicBool,
    ) -> Result<(Ending, Option<f64>), SerinError> {
        let options = self.options;
        let dtype = self.folder.dtype(device, options.device.precision, options.resume, console);
        let model = self.build(device, dtype)?;
        let mut recorded = self.recorded_settings(&model, train, held_out);
        let inputs = PretrainInputs {
            settings: options.settings.clone(),
            masking: Masking::new(&self.base.tokenizer, options.mlm_probability, options.settings.seed)?,
            train,
            held_out,
            eval_steps: options.eval_steps,
            save_steps: options.save_steps,
            logging_steps: options.logging_steps,
        };
        let mut trainer = Pretrainer::new(device, model, inputs, stop)?;
        // Only now: an older run is not cleared away for one that cannot be.
        self.folder.prepare(&recorded, options.resume, Longer::Refused)?;
        if options.resume
            && let Some(progress) = self.folder.restore(device, trainer.parts_mut(), console)?
        {
            trainer.set_progress(progress);
        }
        let step = trainer.progress().global_step;
        let parts = self.folder.begin_part(step, &device.arithmetic(), console)?;
        recorded.insert("isa".into(), parts.describe().into());
        self.say_groups(device, &mut trainer, console);
        let (settings, progress) = (&options.settings, trainer.progress());
        let (every, tensorboard) = (options.logging_steps, options.tensorboard);
        let mut logs = RunLogs::open(self.folder, console, settings, every, tensorboard, progress)?;
        let card = ModelCard { held_out: NewBest::of_log(logs.history()), ..self.card(&recorded, train) };
        let normalization = self.corpus.normalization;
        let mut keeper = FolderKeeper { folder: self.folder, base: self.base, normalization, card };
        let ending = trainer.run(&mut keeper, &mut logs)?;
        let stopping = &trainer.progress().early_stopping;
        if ending != Ending::Interrupted {
            let (loss, step) = (stopping.best, stopping.best_step);
            let results = json!({
                "eval_loss": loss,
                "eval_perplexity": loss.map(f64::exp),
                "best_step": step,
                "tokens_seen": trainer.progress().tokens_seen,
            });
            write_json_atomic(&self.folder.results(), &results)?;
        }
        Ok((ending, stopping.best))
    }

    fn build<B: Hardware>(&self, device: &B, dtype: DType) -> Result<Model<B>, SerinError> {
        let (config, options) =
            (self.base.weights.config().clone(), BuildOptions { freezing: Freezing::Nothing, dtype });
        Ok(Model::build(device, config, self.base.source().as_mut(), options)?)
    }

    fn say_groups<B: Hardware>(&self, device: &B, trainer: &mut Pretrainer<'_, B>, console: &mut dyn Console) {
        let (model, _) = trainer.parts_mut();
        console.say(&format!("{}; {} storage. Trained:", device.name(), model.dtype()));
        for group in group_table(model, &self.options.settings) {
            console.say(&format!("  {group}"));
        }
    }

    /// What decides the result but for what computes it, by name: recorded for the model card and to check a resumed run
    /// against.
    fn recorded_settings<B: Hardware>(
        &self,
        model: &Model<B>,
        train: &Corpus,
        held_out: &Corpus,
    ) -> Map<String, Value> {
        const OF_CLASSIFIERS: [&str; 5] = [
            "label_smoothing_factor",
            "class_weights",
            "metric_for_best_model",
            "frozen_dropout",
            "head_learning_rate",
        ];
        let mut settings = settings_by_name(&self.options.settings);
        settings.retain(|name, _| !OF_CLASSIFIERS.contains(&name.as_str()));
        let config = model.config();
        let shape = format!(
            "{} layers of {} hidden, {} heads, {} intermediate, vocabulary {}, {} positions",
            config.layers, config.hidden, config.heads, config.intermediate, config.vocab, config.max_positions
        );
        let dropout = format!("hidden {}, attention {}", config.hidden_dropout, config.attention_dropout);
        let others = [
            ("model", json!(self.base.name)),
            ("model_fingerprint", json!(self.base.fingerprint())),
            ("shape", json!(shape)),
            ("precision", json!(model.dtype().to_string())),
            ("mlm_probability", json!(self.options.mlm_probability)),
            ("max_length", json!(self.corpus.max_length)),
            ("packing", json!(self.corpus.packing)),
            ("dropout", json!(dropout)),
            ("eval_steps", json!(self.options.eval_steps)),
            ("train_data", json!(train.fingerprint())),
            ("validation_data", json!(held_out.fingerprint())),
        ];
        settings.extend(others.into_iter().map(|(name, value)| (name.to_owned(), value)));
        settings
    }

    fn card(&self, recorded: &Map<String, Value>, train: &Corpus) -> ModelCard {
        let file_name = |path: &PathBuf| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let files: Vec<String> = self.options.sources.train.iter().map(file_name).collect();
        ModelCard {
            base: self.base.name.clone(),
            data: format!("{} ({} documents, {} tokens)", files.join(", "), train.documents(), train.tokens()),
            settings: shown_settings(recorded),
            command: self.options.command.clone(),
            held_out: Vec::new(),
        }
    }
}

/// The text in numbers.
fn describe(train: &Corpus, held_out: &Corpus) -> String {
    format!(
        "Text: {} documents, {} tokens in {} sequences of up to {}; held out: {} documents, {} tokens.",
        train.documents(),
        train.tokens(),
        train.len(),
        train.longest(),
        held_out.documents(),
        held_out.tokens()
    )
}

/// What of the documents is not used, and why.
fn left_out(report: &TokenizeReport) -> String {
    let dropped = report.train.dropped_tokens + report.validation.map_or(0, |part| part.dropped_tokens);
    format!(
        "Left out: {} blank documents, {} that are also in the held-out or excluded files, {dropped} tokens of rests too short to keep.",
        report.blank, report.duplicates
    )
}
