//! The IMDB recipe's training step with random weights on any device, in parts: for programs that time it.

use serde_json::json;
use serin_model::{
    Batch, BuildOptions, DropoutContext, Freezing, Initializer, LossSettings, Model, ModelConfig, ModelError,
    ProblemType, Sequence, Target, Targets, Workspace,
};
use serin_ops::{AdamwSlot, AdamwStep, Backend, DeviceError};
use serin_tensor::DType;

/// A quarter of a batch; the mean is that of IMDB, 267.
pub(crate) const LENGTHS: [usize; 16] =
    [512, 512, 447, 331, 274, 241, 216, 198, 183, 174, 166, 158, 147, 135, 121, 457];

/// The encoder, and the tokens of each text.
pub(crate) struct Shape {
    pub(crate) layers: usize,
    pub(crate) hidden: usize,
    pub(crate) lengths: Vec<usize>,
}

impl Shape {
    /// RoBERTa-base on a batch of 64.
    pub(crate) fn of_the_recipe() -> Shape {
        Shape { layers: 12, hidden: 768, lengths: LENGTHS.repeat(4) }
    }

    pub(crate) fn tokens(&self) -> usize {
        self.lengths.iter().sum()
    }

    fn config(&self) -> Result<ModelConfig, ModelError> {
        ModelConfig::from_json(&json!({
            "model_type": "roberta", "vocab_size": 50265, "max_position_embeddings": 514, "type_vocab_size": 1,
            "hidden_size": self.hidden, "num_hidden_layers": self.layers, "num_attention_heads": self.hidden / 64,
            "intermediate_size": 4 * self.hidden, "hidden_act": "gelu", "hidden_dropout_prob": 0.1,
            "attention_probs_dropout_prob": 0.1, "id2label": {"0": "negative", "1": "positive"},
        }))
    }

    fn batch(&self, config: &ModelConfig) -> Batch {
        let token = |text: u32, at: u32| 3 + (text * 7919 + at * 104_729) % 50_000;
        let ids = |(text, &len): (u32, &usize)| (0..len as u32).map(|at| token(text, at)).collect();
        let ids: Vec<Vec<u32>> = (0..).zip(&self.lengths).map(ids).collect();
        Batch::pack(config, ids.iter().map(|ids| Sequence { ids, types: &[] }))
    }
}

/// A part of the batch that is computed at once.
pub(crate) struct MicroBatch {
    pub(crate) batch: Batch,
    targets: Targets,
    first_sequence: u64,
    first_token: u64,
}

/// All that a step needs.
pub(crate) struct RecipeStep<B: Backend> {
    pub(crate) model: Model<B>,
    pub(crate) space: Workspace<B>,
    pub(crate) parts: Vec<MicroBatch>,
    moments: Vec<[B::Buffer; 2]>,
    sequences: usize,
}

impl<B: Backend> RecipeStep<B> {
    /// A model in bf16 with its batch.
    pub(crate) fn new(
        device: &B,
        shape: &Shape,
        freezing: Freezing,
        micro_batch_tokens: usize,
    ) -> Result<RecipeStep<B>, ModelError> {
        let config = shape.config()?;
        let batch = shape.batch(&config);
        let options = BuildOptions { freezing, dtype: DType::BF16 };
        let mut model = Model::build(device, config, &mut Initializer { seed: 1, range: 0.02 }, options)?;
        let space = model.workspace(device, micro_batch_tokens, batch.sequences())?;
        let moment = |len| device.buffer(DType::F32, len);
        let moments = model.trainable().into_iter().map(|part| Ok([moment(part.len)?, moment(part.len)?]));
        let moments = moments.collect::<Result<_, DeviceError>>()?;
        let parts = parts(&batch, space.tokens());
        Ok(RecipeStep { model, space, parts, moments, sequences: batch.sequences() })
    }

    /// Embeddings and frozen layers of a part, into the workspace.
    pub(crate) fn trunk(&mut self, device: &B, part: usize) {
        self.model.forward_trunk(device, &mut self.space, &self.parts[part].batch, None);
    }

    /// Everything above the trunk's output in the workspace, forward and backward, with dropout.
    pub(crate) fn train(&mut self, device: &B, part: usize, number: u64) -> Result<(), ModelError> {
        let MicroBatch { batch, targets, first_sequence, first_token } = &self.parts[part];
        let dropout =
            DropoutContext { seed: 1, step: number, first_sequence: *first_sequence, first_token: *first_token };
        let scale = 1.0 / self.sequences as f32;
        self.model.train_micro_batch(device, &mut self.space, batch, targets, scale, Some(&dropout))?;
        Ok(())
    }

    /// Looks at the gradients and moves the weights by one step of AdamW.
    pub(crate) fn update(&mut self, device: &B, number: u64) -> Result<(), DeviceError> {
        let mut trainable = self.model.trainable();
        let gradients: Vec<_> = trainable.iter().map(|part| (&*part.gradient, part.len)).collect();
        assert!(device.gradient_norm(&gradients)?.finite);
        let mut slots: Vec<_> = trainable
            .iter_mut()
            .zip(&mut self.moments)
            .map(|(part, [first_moment, second_moment])| AdamwSlot {
                parameter: &mut *part.values,
                gradient: &*part.gradient,
                first_moment,
                second_moment,
                len: part.len,
                learning_rate: 2e-5,
                weight_decay: 0.01,
            })
            .collect();
        let step = AdamwStep { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, step: number + 1, gradient_scale: 1.0 };
        device.adamw(&mut slots, step);
        self.model.refresh(device);
        Ok(())
    }
}

/// The batch cut where `tokens` would be exceeded; the labels of its texts alternate.
fn parts(batch: &Batch, tokens: usize) -> Vec<MicroBatch> {
    let loss = LossSettings {
        problem_type: ProblemType::SingleLabelClassification,
        labels: 2,
        label_smoothing: 0.0,
        class_weights: None,
    };
    let classes: Vec<Target> = (0..batch.sequences() as u32).map(|text| Target::Class(text % 2)).collect();
    let part = |run: std::ops::Range<usize>| MicroBatch {
        targets: loss.targets(&classes[run.clone()]),
        first_sequence: run.start as u64,
        first_token: u64::from(batch.offsets[run.start]),
        batch: batch.slice(run),
    };
    batch.micro_batches(tokens).into_iter().map(part).collect()
}
