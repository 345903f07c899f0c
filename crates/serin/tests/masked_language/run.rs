//! A masked language model in training, stepped as `golden/masked_language_goldens.py` steps it.

use crate::golden::{Case, Precision, gradient_norm, models, number, read, widen};
use serin_checkpoint::model::LoadedFolder;
use serin_model::{Batch, Freezing, MaskedTokens, Model, Workspace};
use serin_ops::Backend;
use serin_train::{Optimizer, Schedule, TrainSettings, Warmup};

/// A case of `golden/masked_language`.
pub(crate) fn open(name: &str, precision: Precision) -> Case {
    let path = models().join("../masked_language").join(name);
    let folder = LoadedFolder::open_masked_language(&path).unwrap_or_else(|error| panic!("{error}"));
    assert!(folder.has_trained_head(), "{}", folder.report());
    Case::of(&path, folder, precision)
}

/// A batch with its masked tokens.
fn batch(case: &Case, prefix: &str) -> (Batch, MaskedTokens) {
    let whole = |name| case.golden.values(&format!("{prefix}{name}")).into_iter().map(|value| value as u32).collect();
    (case.golden.batch(case.config(), prefix), MaskedTokens { rows: whole("rows"), targets: whole("targets") })
}

/// A model with room for both batches.
fn prepare<B: Backend>(case: &Case, backend: &B) -> (Model<B>, Workspace<B>) {
    let model = case.model(backend, Freezing::Nothing);
    let batches = ["", "second/"].map(|prefix| batch(case, prefix).0);
    let most = |count: fn(&Batch) -> usize| batches.iter().map(count).max().unwrap_or(0);
    let space = model.workspace(backend, most(Batch::tokens), most(Batch::sequences)).expect("memory");
    (model, space)
}

/// Forward and backward from zeroed gradients: the mean loss.
fn pass<B: Backend>(
    backend: &B,
    model: &mut Model<B>,
    space: &mut Workspace<B>,
    batch: &Batch,
    masked: &MaskedTokens,
) -> f64 {
    let count = masked.rows.len() as f64;
    model.zero_gradients(backend);
    let output = model.train_masked(backend, space, batch, masked, (1.0 / count) as f32, None).expect("a pass");
    output.loss_sum / count
}

/// Logits, the loss with and without training, what was guessed rightly, and every gradient.
pub(crate) fn check_pass<B: Backend>(case: &mut Case, backend: &B) {
    let (mut model, mut space) = prepare(case, backend);
    let (batch, masked) = batch(case, "");
    let logits = model.token_logits(backend, &mut space, &batch, &masked.rows).expect("logits");
    case.compare("logits", "logits", &widen(&logits), &case.golden.values("logits"));
    let evaluated = model.masked_losses(backend, &mut space, &batch, &masked).expect("losses");
    let expected = case.golden.values("loss");
    case.compare("loss", "loss of evaluation", &[evaluated.loss_sum / masked.rows.len() as f64], &expected);
    let guessed = logits.chunks_exact(case.config().vocab).zip(&masked.targets);
    let correct = guessed.filter(|(row, target)| row.iter().all(|logit| *logit <= row[**target as usize])).count();
    assert_eq!(evaluated.correct, correct as u64, "{}: guessed rightly", case.name);
    let loss = pass(backend, &mut model, &mut space, &batch, &masked);
    case.compare("loss", "loss", &[loss], &expected);
    case.compare_gradients(&read(backend, &mut model, |trainable| trainable.gradient));
}

/// Ten steps of the optimizer: losses, gradient norms, and the weights at the end.
pub(crate) fn check_steps<B: Backend>(case: &mut Case, backend: &B) {
    let settings = settings(case);
    let steps = case.golden.values("losses").len() as u64;
    let schedule = Schedule::new(&settings, steps);
    let limit = number(&case.settings["optimizer"]["max_grad_norm"]);
    let batches = [batch(case, ""), batch(case, "second/")];
    let (mut model, mut space) = prepare(case, backend);
    let mut optimizer = Optimizer::new(backend, &mut model).expect("memory");
    let (mut losses, mut norms) = (Vec::new(), Vec::new());
    for step in 0..steps {
        let (batch, masked) = &batches[step as usize % 2];
        losses.push(pass(backend, &mut model, &mut space, batch, masked));
        let norm = gradient_norm(backend, &mut model);
        norms.push(norm);
        let clip = (limit / (norm + 1e-6)).min(1.0);
        optimizer.step(backend, &mut model, &settings, schedule.factor(step), clip as f32);
    }
    case.compare("losses", "losses", &losses, &case.golden.values("losses"));
    case.compare("grad_norms", "grad_norms", &norms, &case.golden.values("grad_norms"));
    case.compare_weights("", &read(backend, &mut model, |trainable| trainable.values));
}

fn settings(case: &Case) -> TrainSettings {
    let optimizer = &case.settings["optimizer"];
    let rate = number(&optimizer["learning_rate"]) as f32;
    TrainSettings {
        learning_rate: rate,
        head_learning_rate: rate,
        weight_decay: number(&optimizer["weight_decay"]) as f32,
        no_decay_norm_bias: true,
        adam_beta1: number(&optimizer["betas"][0]),
        adam_beta2: number(&optimizer["betas"][1]),
        adam_epsilon: number(&optimizer["eps"]) as f32,
        warmup: Warmup::Steps(number(&optimizer["warmup_steps"]) as u64),
        ..TrainSettings::default()
    }
}
