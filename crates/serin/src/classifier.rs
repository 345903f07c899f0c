//! A model ready to predict.

use crate::device::{DeviceOptions, Hardware};
use crate::engine::{self, Engine};
use crate::error::SerinError;
use crate::pretrained::{Pretrained, PretrainedOptions};
use serin_cpu::Cpu;
use serin_metrics::{Decision, decide, probabilities};
use serin_model::{Batch, ModelConfig, ProblemType, Sequence};
use serin_tensor::DType;
use serin_text::{EncodeSettings, Encoded, Tokenizer};

/// Tokens that the CPU computes at once.
pub const BATCH_TOKENS: usize = Cpu::BATCH_TOKENS;
/// Sequences that are computed at once.
pub const BATCH_SEQUENCES: usize = 256;

/// How to open a classifier.
#[derive(Clone, Debug, Default)]
pub struct ClassifierOptions {
    /// The model's files and texts.
    pub pretrained: PretrainedOptions,
    /// Threads and precision.
    pub device: DeviceOptions,
}

/// What a model says of one text.
#[derive(Clone, Debug, PartialEq)]
pub struct Prediction {
    /// The label: of several, joined by commas, for multi-label models; the number itself for regressions.
    pub label: String,
    /// Ids of the labels that apply: one, or any number for multi-label models; none for regressions.
    pub label_ids: Vec<usize>,
    /// The score of the label: of the likeliest for multi-label models.
    pub score: f32,
    /// The score of every label, in the order of [`Classifier::labels`]: probabilities, or raw for regressions.
    pub scores: Vec<f32>,
    /// Whether the text was longer than the model reads.
    pub truncated: bool,
    /// Tokens that the model read.
    pub tokens: usize,
}

/// A model with its tokenizer, on a device.
pub struct Classifier {
    engine: Box<dyn Engine>,
    tokenizer: Tokenizer,
    text: EncodeSettings,
}

impl Classifier {
    /// Opens a model folder, a run's output folder, or a Hub id.
    ///
    /// # Errors
    /// Anything wrong with the model's files; a model whose head is not trained.
    pub fn from_pretrained(name: &str, options: &ClassifierOptions) -> Result<Classifier, SerinError> {
        Classifier::new(Pretrained::open(name, &options.pretrained)?, options.device)
    }

    /// Puts an opened model on a device.
    pub fn new(pretrained: Pretrained, device: DeviceOptions) -> Result<Classifier, SerinError> {
        let Pretrained { name, folder, tokenizer, text } = pretrained;
        if !folder.has_trained_head() {
            return Err(SerinError::Refused(format!(
                "{name}: this model has no trained classification head, its predictions would be noise\nhint: \
                 fine-tune it first: serin train --model {name} …"
            )));
        }
        let engine = engine::open(&folder, device, text.max_length, BATCH_SEQUENCES)?;
        Ok(Classifier { engine, tokenizer, text })
    }

    /// Label names by id.
    pub fn labels(&self) -> &[String] {
        &self.engine.config().labels
    }

    /// The model's numbers.
    pub fn config(&self) -> &ModelConfig {
        self.engine.config()
    }

    /// What predictions mean.
    pub fn problem_type(&self) -> ProblemType {
        self.engine.config().problem_type()
    }

    /// The storage type that is computed in.
    pub fn dtype(&self) -> DType {
        self.engine.dtype()
    }

    /// The device, for people.
    pub fn device_name(&self) -> String {
        self.engine.device_name()
    }

    /// How texts become token ids.
    pub fn text_settings(&self) -> &EncodeSettings {
        &self.text
    }

    /// The tokenizer.
    pub fn tokenizer(&self) -> &Tokenizer {
        &self.tokenizer
    }

    /// Predictions for texts, in their order; how texts are grouped into batches changes nothing but speed.
    pub fn predict(&mut self, texts: &[&str]) -> Result<Vec<Prediction>, SerinError> {
        let pairs: Vec<_> = texts.iter().map(|&text| (text, None)).collect();
        self.predict_pairs(&pairs)
    }

    /// Predictions for texts, or pairs of texts.
    pub fn predict_pairs(&mut self, texts: &[(&str, Option<&str>)]) -> Result<Vec<Prediction>, SerinError> {
        let encoded = self.tokenizer.encode_batch(texts, &self.text)?;
        let logits = self.logits(&encoded)?;
        let rows = logits.chunks_exact(self.labels().len()).zip(&encoded);
        Ok(rows.map(|(logits, encoded)| self.decide(logits, encoded)).collect())
    }

    /// Logits `[texts, labels]` of tokenized texts, in their order, computed longest first.
    pub fn logits(&mut self, encoded: &[Encoded]) -> Result<Vec<f32>, SerinError> {
        let labels = self.labels().len();
        let mut logits = vec![0.0; encoded.len() * labels];
        let mut order: Vec<usize> = (0..encoded.len()).collect();
        order.sort_by_key(|&index| std::cmp::Reverse(encoded[index].ids.len()));
        let mut rest = order.as_slice();
        while !rest.is_empty() {
            let mut lengths = rest.iter().map(|&index| encoded[index].ids.len());
            let (chunk, later) = rest.split_at(self.engine.run_length(&mut lengths));
            let sequences = chunk.iter().map(|&index| &encoded[index]);
            let sequences = sequences.map(|one| Sequence { ids: &one.ids, types: &one.type_ids });
            let batch = Batch::pack(self.engine.config(), sequences);
            let values = self.engine.infer(&batch)?;
            for (row, &index) in values.chunks_exact(labels).zip(chunk) {
                logits[index * labels..][..labels].copy_from_slice(row);
            }
            rest = later;
        }
        Ok(logits)
    }

    /// What a row of logits says: the one scoring rule of evaluation and prediction.
    pub fn decide(&self, logits: &[f32], encoded: &Encoded) -> Prediction {
        let problem_type = metrics_problem_type(self.problem_type());
        let scores = probabilities(problem_type, logits);
        let labels = self.labels();
        let name = |id: usize| labels.get(id).cloned().unwrap_or_default();
        let (label, label_ids, score) = match decide(problem_type, &scores, &[]) {
            Decision::Class(id) => (name(id), vec![id], scores[id]),
            Decision::Labels(ids) => {
                let names: Vec<String> = ids.iter().map(|&id| name(id)).collect();
                (names.join(","), ids, scores.iter().copied().fold(f32::NEG_INFINITY, f32::max))
            }
            Decision::Values(values) => {
                let value = values.first().copied().unwrap_or(f32::NAN);
                (value.to_string(), Vec::new(), value)
            }
            Decision::Undefined => (String::new(), Vec::new(), f32::NAN),
        };
        Prediction { label, label_ids, score, scores, truncated: encoded.truncated(), tokens: encoded.ids.len() }
    }
}

/// The same problem type in the vocabulary of metrics.
pub fn metrics_problem_type(problem_type: ProblemType) -> serin_metrics::ProblemType {
    match problem_type {
        ProblemType::SingleLabelClassification => serin_metrics::ProblemType::SingleLabel,
        ProblemType::MultiLabelClassification => serin_metrics::ProblemType::MultiLabel,
        ProblemType::Regression => serin_metrics::ProblemType::Regression,
    }
}

/// The same problem type in the vocabulary of datasets.
pub fn data_problem_type(problem_type: ProblemType) -> serin_data::ProblemType {
    match problem_type {
        ProblemType::SingleLabelClassification => serin_data::ProblemType::SingleLabelClassification,
        ProblemType::MultiLabelClassification => serin_data::ProblemType::MultiLabelClassification,
        ProblemType::Regression => serin_data::ProblemType::Regression,
    }
}

/// The model's problem type of a dataset's.
pub fn model_problem_type(problem_type: serin_data::ProblemType) -> ProblemType {
    match problem_type {
        serin_data::ProblemType::SingleLabelClassification => ProblemType::SingleLabelClassification,
        serin_data::ProblemType::MultiLabelClassification => ProblemType::MultiLabelClassification,
        serin_data::ProblemType::Regression => ProblemType::Regression,
    }
}
