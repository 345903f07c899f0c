//! How fast the recipe's training step and inference are on the card:
//! `cargo test --release -p serin-cuda --test speed -- --ignored --nocapture`.
//!
//! RoBERTa-base's shape with random weights, 64 texts as long as IMDB's at 512 tokens, bf16, nine layers frozen and dropout
//! in the others. Times are medians over whole steps; where they go is then measured op by op, each waited for.

#[path = "../../model/examples/recipe/mod.rs"]
mod recipe;
mod support;

use recipe::{RecipeStep, Shape};
use serin_cuda::Cuda;
use serin_model::Freezing;
use serin_ops::{Backend, Traced};
use std::collections::BTreeMap;
use std::time::Instant;

/// The batch as a whole, in one micro-batch.
fn whole<B: Backend>(device: &B, shape: &Shape, freezing: Freezing) -> RecipeStep<B> {
    RecipeStep::new(device, shape, freezing, shape.tokens()).unwrap()
}

/// Everything above the trunk, whose output is in the workspace.
fn step<B: Backend>(training: &mut RecipeStep<B>, device: &B, number: u64) {
    training.model.zero_gradients(device);
    training.train(device, 0, number).unwrap();
    training.update(device, number).unwrap();
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

/// What is measured over `steps` steps.
fn measure(device: Cuda, shape: &Shape, steps: usize) {
    let frozen = Freezing::Layers(shape.layers * 3 / 4);
    let mut training = whole(&device, shape, frozen);
    let tokens = shape.tokens() as f64;
    eprintln!("{}: {}; {tokens} tokens a step", device.name(), device.arithmetic());
    let trunk = median(&device, steps, || training.trunk(&device, 0));
    let mut number = 0;
    let above = median(&device, steps, || {
        step(&mut training, &device, number);
        number += 1;
    });
    eprintln!("step above the trunk: {:.3} ms, {:.1} steps/s", above * 1e3, 1.0 / above);
    eprintln!("step with the trunk:  {:.3} ms, {:.1} steps/s", (above + trunk) * 1e3, 1.0 / (above + trunk));
    drop(training);
    let mut inference = whole(&device, shape, Freezing::All);
    let seconds = median(&device, steps, || {
        inference.model.infer(&device, &mut inference.space, &inference.parts[0].batch).unwrap();
    });
    eprintln!("inference:            {:.3} ms, {:.0} tokens/s", seconds * 1e3, tokens / seconds);
    drop(inference);

    let traced = Traced::new(device);
    let mut training = whole(&traced, shape, frozen);
    training.trunk(&traced, 0);
    step(&mut training, &traced, 0);
    traced.take();
    step(&mut training, &traced, 1);
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
    measure(device, &Shape::of_the_recipe(), 20);
}

#[test]
fn what_is_measured_runs() {
    if let Some(device) = support::open_emulator() {
        measure(device, &Shape { layers: 4, hidden: 64, lengths: vec![5, 3] }, 1);
    }
}
