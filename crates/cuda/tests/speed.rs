//! How fast the recipe's training step and inference are on the card:
//! `cargo test --release -p serin-cuda --test speed -- --ignored --nocapture`.
//!
//! RoBERTa-base's shape with random weights, 64 texts as long as IMDB's at 512 tokens, bf16, nine layers frozen and dropout
//! in the others. Times are medians over whole steps; where they go is then measured op by op, each waited for.

mod support;

use serde_json::json;
use serin_cuda::Cuda;
use serin_model::{
    Batch, BuildOptions, DropoutContext, Freezing, Initializer, LossSettings, Model, ModelConfig, ProblemType,
    Sequence, Target, Targets, Workspace,
};
use serin_ops::{AdamwSlot, AdamwStep, Backend, Traced};
use serin_tensor::DType;
use std::collections::BTreeMap;
use std::time::Instant;

/// A quarter of a batch; the mean is that of IMDB, 267.
const LENGTHS: [usize; 16] = [512, 512, 447, 331, 274, 241, 216, 198, 183, 174, 166, 158, 147, 135, 121, 457];

/// What is measured.
struct Shape {
    layers: usize,
    hidden: usize,
    lengths: Vec<usize>,
    steps: usize,
}

impl Shape {
    fn config(&self) -> ModelConfig {
        ModelConfig::from_json(&json!({
            "model_type": "roberta", "vocab_size": 50265, "max_position_embeddings": 514, "type_vocab_size": 1,
            "hidden_size": self.hidden, "num_hidden_layers": self.layers, "num_attention_heads": self.hidden / 64,
            "intermediate_size": 4 * self.hidden, "hidden_act": "gelu", "hidden_dropout_prob": 0.1,
            "attention_probs_dropout_prob": 0.1, "id2label": {"0": "negative", "1": "positive"},
        }))
        .unwrap()
    }
}

struct Training<'a, B: Backend> {
    device: &'a B,
    model: Model<B>,
    space: Workspace<B>,
    moments: Vec<[B::Buffer; 2]>,
    batch: Batch,
    targets: Targets,
}

impl<'a, B: Backend> Training<'a, B> {
    fn new(device: &'a B, shape: &Shape, freezing: Freezing) -> Training<'a, B> {
        let config = shape.config();
        let ids: Vec<Vec<u32>> = (0..)
            .zip(&shape.lengths)
            .map(|(text, &len)| (0..len as u32).map(|at| 3 + (text * 7919 + at * 104_729) % 50_000).collect())
            .collect();
        let batch = Batch::pack(&config, ids.iter().map(|ids| Sequence { ids, types: &[] }));
        let classes: Vec<Target> = (0..ids.len() as u32).map(|text| Target::Class(text % 2)).collect();
        let settings = LossSettings {
            problem_type: ProblemType::SingleLabelClassification,
            labels: 2,
            label_smoothing: 0.0,
            class_weights: None,
        };
        let options = BuildOptions { freezing, dtype: DType::BF16 };
        let mut model = Model::build(device, config, &mut Initializer { seed: 1, range: 0.02 }, options).unwrap();
        let space = model.workspace(device, batch.tokens(), batch.sequences()).unwrap();
        let moment = |len| device.buffer(DType::F32, len).unwrap();
        let moments = model.trainable().iter().map(|part| [moment(part.len), moment(part.len)]).collect();
        Training { device, model, space, moments, batch, targets: settings.targets(&classes) }
    }

    /// Embeddings and frozen layers.
    fn trunk(&mut self) {
        self.model.forward_trunk(self.device, &mut self.space, &self.batch, None);
    }

    /// Everything above the trunk, whose output is in the workspace.
    fn step(&mut self, number: u64) {
        let device = self.device;
        self.model.zero_gradients(device);
        let dropout = DropoutContext { seed: 1, step: number, first_sequence: 0, first_token: 0 };
        let scale = 1.0 / self.batch.sequences() as f32;
        let (batch, targets) = (&self.batch, &self.targets);
        self.model.train_micro_batch(device, &mut self.space, batch, targets, scale, Some(&dropout)).unwrap();
        let mut trainable = self.model.trainable();
        let gradients: Vec<_> = trainable.iter().map(|part| (&*part.gradient, part.len)).collect();
        assert!(device.gradient_norm(&gradients).unwrap().finite);
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
    }
}

/// The median seconds of what `run` enqueues, once all is compiled and planned.
fn median<B: Backend>(device: &B, times: usize, mut run: impl FnMut()) -> f64 {
    run();
    let mut seconds: Vec<f64> = (0..times)
        .map(|_| {
            device.synchronize().unwrap();
            let start = Instant::now();
            run();
            device.synchronize().unwrap();
            start.elapsed().as_secs_f64()
        })
        .collect();
    seconds.sort_by(f64::total_cmp);
    seconds[times / 2]
}

fn measure(device: Cuda, shape: &Shape) {
    let frozen = Freezing::Layers(shape.layers * 3 / 4);
    let mut training = Training::new(&device, shape, frozen);
    let tokens = training.batch.tokens() as f64;
    eprintln!("{}: {}; {tokens} tokens a step", device.name(), device.arithmetic());
    let trunk = median(&device, shape.steps, || training.trunk());
    let mut number = 0;
    let step = median(&device, shape.steps, || {
        training.step(number);
        number += 1;
    });
    eprintln!("step above the trunk: {:.3} ms, {:.1} steps/s", step * 1e3, 1.0 / step);
    eprintln!("step with the trunk:  {:.3} ms, {:.1} steps/s", (step + trunk) * 1e3, 1.0 / (step + trunk));
    drop(training);
    let mut inference = Training::new(&device, shape, Freezing::All);
    let seconds = median(&device, shape.steps, || {
        inference.model.infer(&device, &mut inference.space, &inference.batch).unwrap();
    });
    eprintln!("inference:            {:.3} ms, {:.0} tokens/s", seconds * 1e3, tokens / seconds);
    drop(inference);

    let traced = Traced::new(device);
    let mut training = Training::new(&traced, shape, frozen);
    training.trunk();
    training.step(0);
    traced.take();
    training.step(1);
    let mut ops: BTreeMap<_, (f64, f64, usize)> = BTreeMap::new();
    for call in traced.take() {
        let (seconds, flops, count) = ops.entry((call.op, call.features)).or_default();
        *seconds += call.time.as_secs_f64();
        *flops += call.work.flops;
        *count += 1;
    }
    for ((op, features), (seconds, flops, count)) in ops {
        let shape = features.map_or(String::new(), |(ins, outs)| format!(" {ins} to {outs}"));
        let name = format!("{op}{shape}");
        eprintln!("{name:<44} {count:>4} calls {:>9.3} ms {:>8.1} TFLOP/s", seconds * 1e3, flops / seconds / 1e12);
    }
}

#[test]
#[ignore = "measures a card: see the head of this file"]
fn the_recipe_on_the_card() {
    let device = support::open_card().expect("a card");
    measure(device, &Shape { layers: 12, hidden: 768, lengths: LENGTHS.repeat(4), steps: 20 });
}

#[test]
fn what_is_measured_runs() {
    if let Some(device) = support::open_emulator() {
        measure(device, &Shape { layers: 4, hidden: 64, lengths: vec![5, 3], steps: 1 });
    }
}
