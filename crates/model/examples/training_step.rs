//! How long one step of the IMDB recipe takes with RoBERTa-base's shape and random weights:
//! `cargo run --release -p serin-model --example training_step -- [THREADS] [STEPS] [MICRO_BATCH_TOKENS] [FROZEN_LAYERS]`.
//!
//! 64 texts with the lengths of reviews at 512 tokens, dropout on in the trained layers. Each part of a step is given as the
//! median over the steps of its wall time, and of the processor time of all threads: on a machine that others use too,
//! the latter is what the code costs.

mod recipe;

use recipe::{RecipeStep, Shape};
use serin_cpu::{Cpu, CpuOptions, Isa};
use serin_model::Freezing;
use serin_ops::Backend;
use std::error::Error;
use std::time::Instant;

const PARTS: [&str; 4] = ["trunk", "trained layers", "optimizer", "whole step"];

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<usize> = std::env::args().skip(1).map(|number| number.parse()).collect::<Result<_, _>>()?;
    let argument = |index: usize, default: usize| arguments.get(index).copied().unwrap_or(default);
    let (threads, steps) = (argument(0, 2), argument(1, 5));
    let (micro_batch_tokens, frozen_layers) = (argument(2, 4096), argument(3, 9));
    let cpu = Cpu::new(CpuOptions { threads, isa: Isa::detect() })?;
    let shape = Shape::of_the_recipe();
    let mut step = RecipeStep::new(&cpu, &shape, Freezing::Layers(frozen_layers), micro_batch_tokens)?;
    println!("{}, {} tokens, micro-batches of {micro_batch_tokens}", cpu.name(), shape.tokens());
    run(&mut step, &cpu, 0)?; // first touch of all memory
    let mut times = Vec::new();
    for number in 1..=steps as u64 {
        times.push(run(&mut step, &cpu, number)?);
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

/// Wall and processor seconds of each part of a step.
fn run(step: &mut RecipeStep<Cpu>, cpu: &Cpu, number: u64) -> Result<[[f64; 2]; 4], Box<dyn Error>> {
    let (mut trunk, mut trained) = (Stopwatch::default(), Stopwatch::default());
    let (mut update, mut whole) = (Stopwatch::default(), Stopwatch::default());
    whole.start();
    update.start();
    step.model.zero_gradients(cpu);
    update.stop();
    for part in 0..step.parts.len() {
        trunk.start();
        step.trunk(cpu, part);
        trunk.stop();
        trained.start();
        step.train(cpu, part, number)?;
        trained.stop();
    }
    update.start();
    step.update(cpu, number)?;
    update.stop();
    whole.stop();
    Ok([trunk, trained, update, whole].map(|watch| watch.seconds))
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
