//! Fine-tuning from data files to a folder with the best model: everything around the training loop.

mod base;
pub mod caches;
mod card;
mod class_weights;
pub mod console;
mod data;
mod keeper;
mod logs;
pub mod options;
mod parts;
mod recorded;
mod run_folder;
mod run_json;
mod samples;
mod sentences;
mod starting_weights;
pub mod tiny;

pub(crate) use base::read_config;
pub use console::{Console, Quiet};
pub(crate) use logs::RunLogs;
pub use options::{DataOptions, FineTuneOptions, SelectOn, StartingModel, TrunkCacheOptions};
pub(crate) use recorded::{settings_by_name, shown_settings};
pub use run_folder::RunFolder;
pub(crate) use run_json::Longer;
pub use samples::Sample;
pub(crate) use starting_weights::StartingWeights;

use crate::classifier::model_problem_type;
use crate::device::{Device, Hardware};
use crate::error::SerinError;
use base::Base;
use card::ModelCard;
use data::{Splits, TokenizedSplits};
use keeper::FolderKeeper;
use parts::Parts;
use serde_json::{Map, Value, json};
use serin_checkpoint::save::write_json_atomic;
use serin_metrics::{EvaluationReport, TweetEvalTask};
use serin_model::{BuildOptions, Freezing, LossSettings, Model};
use serin_tensor::DType;
use serin_train::{
    Ending, Evaluation, Examples, SelectionMetric, TrainInputs, TrainSettings, Trainer, group_table, infer_all,
};
use std::sync::atomic::AtomicBool;

const SELECTED_ON_TEST: &str = "warning: the test data selects the best epoch, so the score on it is optimistic for new \
                                texts; --select-on validation gives an honest one.";

/// How a run went.
#[derive(Debug)]
pub struct FineTuned {
    /// How it ended.
    pub ending: Ending,
    /// The selection metric's best value, and its epoch.
    pub best: Option<(f64, u32)>,
    /// What selected it.
    pub metric: SelectionMetric,
    /// The report on the test data with the best weights, where test data was given.
    pub test: Option<EvaluationReport>,
    /// A few examples of the test data, or else of those that selected, with the best weights' predictions.
    pub samples: Vec<Sample>,
    /// Where everything is.
    pub folder: RunFolder,
}

/// Runs a fine-tuning to its end, or until `stop` is set.
///
/// # Errors
/// Anything wrong with model, data, settings or disk. What was written before stays whole.
pub fn fine_tune(
    options: &FineTuneOptions,
    console: &mut dyn Console,
    stop: &AtomicBool,
) -> Result<FineTuned, SerinError> {
    if let Some(problem) = options.settings.problem().or_else(|| dropout_problem(&options.dropout)) {
        return Err(SerinError::Usage(problem));
    }
    let folder = RunFolder::create(&options.output_dir)?;
    folder.refuse_to_overwrite(options.resume, options.overwrite)?;
    let device = options.device.open()?;
    let splits = Splits::load(&options.data, options.select_on, options.settings.seed)?;
    if let Some(note) = &splits.split_note {
        console.say(note);
    }
    if options.select_on == SelectOn::Test {
        console.say(SELECTED_ON_TEST);
    }
    let seed = options.settings.seed;
    let problem_type = model_problem_type(splits.train.problem_type);
    let metric = options.metric_for_best_model.unwrap_or(SelectionMetric::of(problem_type));
    let mut base = Base::open(&options.model, &options.pretrained, seed, console.downloads())?;
    base.prepare_labels(&splits.label_names(), problem_type)?;
    base.set_dropout(options.dropout);
    console.say(&base.weights.report());
    let tokenized = splits.tokenize(&base.tokenizer, &base.text, console)?;
    let mut settings = TrainSettings { metric_for_best_model: metric, ..options.settings.clone() };
    if options.balanced_class_weights {
        let weights = class_weights::balanced(&tokenized.train, base.config().labels.len())?;
        console.say(&format!("Class weights: {weights:.3?}"));
        settings.class_weights = Some(weights);
    }
    let run =
        Run { options, settings: &settings, folder: &folder, splits: &splits, tokenized: &tokenized, base: &base };
    let Outcome { ending, best, test, samples } = match &device {
        Device::Cpu(device) => run.train(device, console, stop)?,
        Device::Cuda(device) => run.train(device, console, stop)?,
    };
    Ok(FineTuned { ending, best, metric, test, samples, folder })
}

/// What of the dropout in place of the config's cannot be: of the encoder, on attention probabilities, of a classifier.
pub(crate) fn dropout_problem(dropout: &[Option<f32>]) -> Option<String> {
    let names = ["hidden_dropout_prob", "attention_probs_dropout_prob", "classifier_dropout"];
    let refused = |(name, value): (&str, &Option<f32>)| {
        value
            .filter(|value| !(0.0..1.0).contains(value))
            .map(|value| format!("{name} must lie in [0, 1), found {value}"))
    };
    names.into_iter().zip(dropout).find_map(refused)
}

/// A run whose parts are all at hand.
struct Run<'a> {
    options: &'a FineTuneOptions,
    /// Those of the options, with the metric and the class weights that fit the data.
    settings: &'a TrainSettings,
    folder: &'a RunFolder,
    splits: &'a Splits,
    tokenized: &'a TokenizedSplits,
    base: &'a Base,
}

/// Samples that are kept of a run.
const SAMPLES: usize = 6;

struct Outcome {
    ending: Ending,
    best: Option<(f64, u32)>,
    test: Option<EvaluationReport>,
    samples: Vec<Sample>,
}

impl Run<'_> {
    fn train<B: Hardware>(
        &self,
        device: &B,
        console: &mut dyn Console,
        stop: &AtomicBool,
    ) -> Result<Outcome, SerinError> {
        let precision = self.options.device.precision;
        let dtype = self.folder.dtype(device, precision, self.options.resume, console);
        let model = self.build(device, dtype)?;
        let (train, selection) = (&self.tokenized.train, self.selection());
        let fingerprint = self.base.fingerprint();
        let mut recorded = self.recorded_settings(&model, &fingerprint);
        let caches = match self.settings.frozen_dropout {
            true => None,
            false => caches::open(&self.options.trunk_cache, self.base, device, &model, train, selection, console)?,
        };
        let inputs = TrainInputs {
            settings: self.settings.clone(),
            loss: self.loss(),
            train,
            selection,
            task: self.task(),
            save_steps: self.options.save_steps,
            logging_steps: self.options.logging_steps,
        };
        let mut trainer = Trainer::new(device, model, inputs, stop)?;
        // Only now: an older run is not cleared away for one that cannot be.
        let longer = match self.settings.schedule_depends_on_length() {
            true => Longer::OtherRates,
            false => Longer::Fine,
        };
        self.folder.prepare(&recorded, self.options.resume, longer)?;
        if let Some(caches) = caches {
            trainer = trainer.with_trunk_caches(caches.train, caches.selection);
            if let Some(memory) = trainer.cache_memory() {
                caches::say_memory(memory, console);
            }
        }
        let parts = self.go_on(device, &mut trainer, console)?;
        recorded.insert("isa".into(), parts.describe().into());
        self.say_groups(device, &mut trainer, console);
        let mut keeper = FolderKeeper { folder: self.folder, base: self.base, card: self.card(&recorded) };
        let settings = self.settings;
        let (every, tensorboard) = (self.options.logging_steps, self.options.tensorboard);
        let mut logs = RunLogs::open(self.folder, &mut *console, settings, every, tensorboard, trainer.progress())?;
        let ending = trainer.run(&mut keeper, &mut logs)?;
        keeper.card.selection = logs.best();
        drop(logs);
        let stopping = trainer.progress().early_stopping.clone();
        let best = stopping.best.zip(stopping.best_epoch);
        if ending == Ending::Interrupted {
            return Ok(Outcome { ending, best, test: None, samples: Vec::new() });
        }
        let model = trainer.into_model();
        let test = self.report_test(device, &model, console)?;
        self.conclude(keeper.card, &stopping.best, best.map(|(_, epoch)| epoch), test.as_ref())?;
        Ok(Outcome { ending, best, test, samples: self.samples(device, &model)? })
    }

    /// Puts the state of a run that is resumed back, and records what computes from here on.
    fn go_on<B: Hardware>(
        &self,
        device: &B,
        trainer: &mut Trainer<'_, B>,
        console: &mut dyn Console,
    ) -> Result<Parts, SerinError> {
        if self.options.resume
            && let Some(progress) = self.folder.restore(device, trainer.parts_mut(), console)?
        {
            trainer.set_progress(progress);
        }
        let step = trainer.progress().global_step;
        let parts = self.folder.begin_part(step, &device.arithmetic(), console)?;
        if parts.left_at(step).is_some() && trainer.has_trunk_caches() {
            console.say(
                "What was cached of the frozen layers there does not serve here: there is a trunk cache for each.",
            );
        }
        Ok(parts)
    }

    fn build<B: Hardware>(&self, device: &B, dtype: DType) -> Result<Model<B>, SerinError> {
        let freezing = self.options.freeze_layers.map_or(Freezing::Nothing, Freezing::Layers);
        let mut source = self.base.source();
        let config = self.base.config().clone();
        Ok(Model::build(device, config, source.as_mut(), BuildOptions { freezing, dtype })?)
    }

    /// What selects the best epoch.
    fn selection(&self) -> &Examples {
        let given = match self.options.select_on {
            SelectOn::Validation => self.tokenized.validation.as_ref(),
            SelectOn::Test => self.tokenized.test.as_ref(),
        };
        given.expect("loading made sure of it")
    }

    fn loss(&self) -> LossSettings {
        LossSettings {
            problem_type: self.base.config().problem_type(),
            labels: self.base.config().labels.len(),
            label_smoothing: self.settings.label_smoothing_factor,
            class_weights: self.settings.class_weights.clone(),
        }
    }

    fn task(&self) -> Option<TweetEvalTask> {
        self.options.task.or_else(|| TweetEvalTask::from_name(&self.splits.train.name))
    }

    fn say_groups<B: Hardware>(&self, device: &B, trainer: &mut Trainer<'_, B>, console: &mut dyn Console) {
        let (model, _) = trainer.parts_mut();
        let frozen = match self.options.freeze_layers {
            None => "nothing is frozen".to_owned(),
            Some(0) => "the embeddings are frozen".to_owned(),
            Some(layers) => format!("embeddings and {layers} of {} layers are frozen", model.config().layers),
        };
        console.say(&format!("{}; {} storage; {frozen}. Trained:", device.name(), model.dtype()));
        for group in group_table(model, self.settings) {
            console.say(&format!("  {group}"));
        }
    }

    /// What decides the result but for what computes it, by name: recorded for the model card and to check a resumed run
    /// against.
    fn recorded_settings<B: Hardware>(&self, model: &Model<B>, fingerprint: &str) -> Map<String, Value> {
        let mut settings = settings_by_name(self.settings);
        let [hidden, attention, classifier] =
            [model.config().hidden_dropout, model.config().attention_dropout, model.config().classifier_dropout];
        let dropout = format!("hidden {hidden}, attention {attention}, classifier {classifier}");
        let split = |data: &Option<serin_data::Dataset>| data.as_ref().map(|data| data.fingerprint.clone());
        let others = [
            ("model", json!(self.base.name)),
            ("model_fingerprint", json!(fingerprint)),
            ("freeze_layers", json!(self.options.freeze_layers)),
            ("precision", json!(model.dtype().to_string())),
            ("text", json!(self.base.text)),
            ("labels", json!(self.base.config().labels)),
            ("problem_type", json!(self.base.config().problem_type().hugging_face_name())),
            ("dropout", json!(dropout)),
            ("select_on", json!(format!("{:?}", self.options.select_on).to_lowercase())),
            ("train_data", json!(self.splits.train.fingerprint)),
            ("validation_data", json!(split(&self.splits.validation))),
            ("test_data", json!(split(&self.splits.test))),
        ];
        settings.extend(others.into_iter().map(|(name, value)| (name.to_owned(), value)));
        settings
    }

    fn card(&self, recorded: &Map<String, Value>) -> ModelCard {
        ModelCard {
            base: self.base.name.clone(),
            data: format!("{} ({} training examples)", self.splits.train.name, self.splits.train.len()),
            labels: self.base.config().labels.clone(),
            settings: shown_settings(recorded),
            command: self.options.command.clone(),
            selected_on: match self.options.select_on {
                SelectOn::Validation => "the validation data, which selected the epoch".into(),
                SelectOn::Test => "the test data, which also selected the epoch: optimistic for new texts".into(),
            },
            selection: None,
            test: None,
        }
    }

    fn samples<B: Hardware>(&self, device: &B, model: &Model<B>) -> Result<Vec<Sample>, SerinError> {
        let (test, validation) = (&self.splits.test, &self.splits.validation);
        let shown = match (test, &self.tokenized.test, validation, &self.tokenized.validation) {
            (Some(data), Some(examples), _, _) | (_, _, Some(data), Some(examples)) => Some((data, examples)),
            _ => None,
        };
        shown.map_or(Ok(Vec::new()), |(data, examples)| samples::samples(device, model, data, examples, SAMPLES))
    }

    /// Evaluates the best weights on the test data; where it selected, its report is known.
    fn report_test<B: Hardware>(
        &self,
        device: &B,
        model: &Model<B>,
        console: &mut dyn Console,
    ) -> Result<Option<EvaluationReport>, SerinError> {
        let Some(test) = &self.tokenized.test else { return Ok(None) };
        let longest = (0..test.len()).map(|index| test.length(index)).max().unwrap_or(1);
        let tokens = self.settings.micro_batch_tokens.max(longest);
        let mut space = model.workspace(device, tokens, 256)?;
        let mut progress = |done| console.count("evaluating the test data", done, test.len());
        let logits = infer_all(device, model, &mut space, test, None, &mut progress)?;
        let mut evaluation = Evaluation::new(model.config(), self.task())?;
        for (index, row) in logits.chunks_exact(model.config().labels.len()).enumerate() {
            evaluation.push(test.target(index), row)?;
        }
        Ok(Some(evaluation.report()))
    }

    /// Writes results and the final model card.
    fn conclude(
        &self,
        mut card: ModelCard,
        best: &Option<f64>,
        epoch: Option<u32>,
        test: Option<&EvaluationReport>,
    ) -> Result<(), SerinError> {
        let results = json!({
            "best_metric": best,
            "best_epoch": epoch,
            "metric_for_best_model": self.settings.metric_for_best_model.key(),
            "selected_on": format!("{:?}", self.options.select_on).to_lowercase(),
            "test": test,
        });
        write_json_atomic(&self.folder.results(), &results)?;
        card.test = test.cloned();
        if best.is_some() {
            let path = self.folder.best().join("README.md");
            let text = card.render();
            serin_checkpoint::save::write_atomic(&path, |file| std::io::Write::write_all(file, text.as_bytes()))?;
        }
        Ok(())
    }
}
