//! How long one step of the IMDB recipe takes with RoBERTa-base's shape and random weights:
//! `cargo run --release -p serin-model --example training_step -- [THREADS] [STEPS] [MICRO_BATCH_TOKENS] [FROZEN_LAYERS]`.
//!
//! 64 texts with the lengths of reviews at 512 tokens, dropout on in the trained layers. Each part of a step is given as the
//! median over the steps of its wall time, and of the processor time of all threads: on a machine that others use too,
//! the latter is what the code costs.

use serde_json::json;
use serin_cpu::{Cpu, CpuOptions, Isa};
use serin_model::{
    Batch, BuildOptions, DropoutContext, Freezing, Initializer, LossSettings, Model, ModelConfig, ProblemType,
    Sequence, Target, Targets, Workspace,
};
use serin_ops::{AdamwSlot, AdamwStep, Backend};
use serin_tensor::{AlignedBuffer, DType};
use std::error::Error;
use std::time::Instant;

/// A quarter of a batch; the mean is that of IMDB, 267.
const LENGTHS: [usize; 16] = [512, 512, 447, 331, 274, 241, 216, 198, 183, 174, 166, 158, 147, 135, 121, 457];
const PARTS: [&str; 4] = ["trunk", "trained layers", "optimizer", "whole step"];

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<usize> = std::env::args().skip(1).map(|number| number.parse()).collect::<Result<_, _>>()?;
    let argument = |index: usize, default: usize| arguments.get(index).copied().unwrap_or(default);
    let (threads, steps) = (argument(0, 2), argument(1, 5));
    let (micro_batch_tokens, frozen_layers) = (argument(2, 4096), argument(3, 9));
    let cpu = Cpu::new(CpuOptions { threads, isa: Isa::detect() })?;
    let mut step = Step::new(&cpu, micro_batch_tokens, frozen_layers)?;
    println!("{}, {} tokens, micro-batches of {micro_batch_tokens}", cpu.name(), step.batch.tokens());
    step.run(&cpu, 0)?; // first touch of all memory
    let mut times = Vec::new();
    for number in 1..=steps as u64 {
        times.push(step.run(&cpu, number)?);
    }
    for (part, name) in PARTS.iter().enumerate() {
        let median = |which: usize| {
            let mut values: Vec<f64> = times.iter().map(|time| time[part][which]).collect();
            values.sort_by(f64::total_cmp);
            values[values.len() / 2]
        };
        println!("{name:>15}: {:7.3} s, processor time {:7.3} s", median(0), median(1));
    }
    Ok(())
}

struct Step {
    model: Model<Cpu>,
    space: Workspace<Cpu>,
    moments: Vec<[AlignedBuffer; 2]>,
    batch: Batch,
    targets: Targets,
}

impl Step {
    fn new(cpu: &Cpu, micro_batch_tokens: usize, frozen_layers: usize) -> Result<Step, Box<dyn Error>> {
        let config = ModelConfig::from_json(&json!({
            "model_type": "roberta", "vocab_size": 50265, "max_position_embeddings": 514, "type_vocab_size": 1,
            "hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12, "intermediate_size": 3072,
            "hidden_act": "gelu", "hidden_dropout_prob": 0.1, "attention_probs_dropout_prob": 0.1,
            "id2label": {"0": "negative", "1": "positive"},
        }))?;
        let lengths: Vec<usize> = LENGTHS.repeat(4);
        let ids: Vec<Vec<u32>> = lengths
            .iter()
            .enumerate()
            .map(|(text, &len)| (0..len).map(|at| 3 + (text * 7919 + at * 104_729) as u32 % 50_000).collect())
            .collect();
        let batch = Batch::pack(&config, ids.iter().map(|ids| Sequence { ids, types: &[] }));
        let targets: Vec<Target> = (0..lengths.len() as u32).map(|text| Target::Class(text % 2)).collect();
        let settings = LossSettings {
            problem_type: ProblemType::SingleLabelClassification,
            labels: 2,
            label_smoothing: 0.0,
            class_weights: None,
        };
        let options = BuildOptions { freezing: Freezing::Layers(frozen_layers), dtype: DType::BF16 };
        let mut model = Model::build(cpu, config, &mut Initializer { seed: 1, range: 0.02 }, options)?;
        let space = model.workspace(cpu, micro_batch_tokens, batch.sequences())?;
        let lengths: Vec<usize> = model.trainable().iter().map(|part| part.len).collect();
        let moments = lengths.into_iter().map(|len| [0, 1].map(|_| AlignedBuffer::zeroed(DType::F32, len))).collect();
        Ok(Step { model, space, moments, batch, targets: settings.targets(&targets) })
    }

    /// Wall and processor seconds of each part.
    fn run(&mut self, cpu: &Cpu, number: u64) -> Result<[[f64; 2]; 4], Box<dyn Error>> {
        let (mut trunk, mut trained) = (Stopwatch::default(), Stopwatch::default());
        let (mut update, mut whole) = (Stopwatch::default(), Stopwatch::default());
        whole.start();
        update.start();
        self.model.zero_gradients(cpu);
        update.stop();
        for run in self.batch.micro_batches(self.space.tokens()) {
            let part = self.batch.slice(run.clone());
            let values = self.targets.values[2 * run.start..2 * run.end].to_vec();
            let targets = Targets { values, ..self.targets.clone() };
            let (first_sequence, first_token) = (run.start as u64, u64::from(self.batch.offsets[run.start]));
            let dropout = DropoutContext { seed: 1, step: number, first_sequence, first_token };
            trunk.start();
            self.model.forward_trunk(cpu, &mut self.space, &part, None);
            trunk.stop();
            trained.start();
            self.model.train_micro_batch(cpu, &mut self.space, &part, &targets, 1.0 / 64.0, Some(&dropout))?;
            trained.stop();
        }
        update.start();
        let gradients = self.model.trainable();
        let gradients: Vec<_> = gradients.iter().map(|part| (&*part.gradient, part.len)).collect();
        assert!(cpu.gradient_norm(&gradients)?.finite);
        let mut slots: Vec<_> = self
            .model
            .trainable()
            .into_iter()
            .zip(&mut self.moments)
            .map(|(part, [first_moment, second_moment])| AdamwSlot {
                parameter: part.values,
                gradient: part.gradient,
                first_moment,
                second_moment,
                len: part.len,
                learning_rate: 2e-5,
                weight_decay: 0.01,
            })
            .collect();
        let step = AdamwStep { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, step: number + 1, gradient_scale: 1.0 };
        cpu.adamw(&mut slots, step);
        self.model.refresh(cpu);
        update.stop();
        whole.stop();
        Ok([trunk, trained, update, whole].map(|watch| watch.seconds))
    }
}

/// Wall and processor time.
#[derive(Default)]
struct Stopwatch {
    started: Option<(Instant, f64)>,
    seconds: [f64; 2],
}

impl Stopwatch {
    fn start(&mut self) {
        self.started = Some((Instant::now(), processor_seconds()));
    }

    fn stop(&mut self) {
        if let Some((wall, processor)) = self.started.take() {
            self.seconds[0] += wall.elapsed().as_secs_f64();
            self.seconds[1] += processor_seconds() - processor;
        }
    }
}

/// Processor time of all threads so far, as Linux keeps it; 0 elsewhere.
fn processor_seconds() -> f64 {
    let threads = std::fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    let nanoseconds = threads.filter_map(|thread| {
        let line = std::fs::read_to_string(thread.path().join("schedstat")).ok()?;
        line.split_whitespace().next()?.parse::<u64>().ok()
    });
    nanoseconds.sum::<u64>() as f64 / 1e9
}
