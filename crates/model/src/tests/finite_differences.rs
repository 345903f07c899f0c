//! Every gradient of a training pass against central differences of its loss, dropout included.

use super::{Large, batch, masked, targets, tiny};
use crate::{
    Batch, BuildOptions, DropoutContext, Family, Freezing, MaskedTokens, Model, ModelConfig, ModelError, ProblemType,
    Targets, Task, Workspace,
};
use serin_ops::reference::Reference;
use serin_tensor::DType;

type Double = Reference<f64>;

const BACKEND: Double = Reference::new();
const DROPOUT: DropoutContext = DropoutContext { seed: 3, step: 17, first_sequence: 2, first_token: 11 };
/// Coordinates tried in each parameter.
const COORDINATES: usize = 4;

struct Pass {
    model: Model<Double>,
    space: Workspace<Double>,
    batch: Batch,
    objective: Objective,
}

/// What is to be small.
enum Objective {
    Labels(Targets),
    Tokens(MaskedTokens),
}

impl Pass {
    fn new(config: ModelConfig, freezing: Freezing) -> Pass {
        let batch = batch(&config);
        let objective = match config.task {
            Task::Classification => Objective::Labels(targets(&config)),
            Task::MaskedLanguage { .. } => Objective::Tokens(masked()),
        };
        let options = BuildOptions { freezing, dtype: DType::F32 };
        let model = Model::build(&BACKEND, config, &mut Large, options).unwrap();
        let space = model.workspace(&BACKEND, batch.tokens(), batch.sequences()).unwrap();
        Pass { model, space, batch, objective }
    }

    /// The sum of losses in double precision (what the device hands out is rounded to f32).
    fn loss(&mut self) -> f64 {
        self.model.refresh(&BACKEND);
        self.model.forward_trunk(&BACKEND, &mut self.space, &self.batch, Some(&DROPOUT));
        let (batch, space) = (&self.batch, &mut self.space);
        match &self.objective {
            Objective::Labels(targets) => {
                self.model.train_micro_batch(&BACKEND, space, batch, targets, 1.0, Some(&DROPOUT)).unwrap();
                space.gradients.as_ref().unwrap().losses.values[..batch.sequences()].iter().sum()
            }
            Objective::Tokens(masked) => {
                self.model.train_masked(&BACKEND, space, batch, masked, 1.0, Some(&DROPOUT)).unwrap();
                let chunk = space.masked.as_ref().unwrap();
                chunk.losses.values[..2 * chunk.count].iter().step_by(2).sum()
            }
        }
    }

    fn check(mut self, what: &str) {
        self.model.zero_gradients(&BACKEND);
        let loss = self.loss();
        let analytic: Vec<(String, Vec<f64>)> = self
            .model
            .trainable()
            .iter()
            .map(|trainable| (trainable.specs[0].name.clone(), trainable.gradient.values.clone()))
            .collect();
        assert!(!analytic.is_empty());
        // The step at which truncation (h² f'''/6) and rounding (ε f/h) are alike: both are then about ε^(2/3), times the
        // third derivative, which weights of 0.4 let grow to tens.
        let step = f64::EPSILON.cbrt();
        let allowed = 30.0 * step * step * loss.abs().max(1.0);
        let mut state = 1u64;
        for (index, (name, gradient)) in analytic.iter().enumerate() {
            for _ in 0..COORDINATES {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                let at = (state >> 33) as usize % gradient.len();
                let mut moved = |by: f64| {
                    self.model.trainable()[index].values.values[at] += by;
                    let loss = self.loss();
                    self.model.trainable()[index].values.values[at] -= by;
                    loss
                };
                let difference = (moved(step) - moved(-step)) / (2.0 * step);
                let error = (difference - gradient[at]).abs();
                assert!(
                    error <= allowed,
                    "{what}: {name}[{at}]: gradient {}, difference {difference}, off by {error:e}",
                    gradient[at]
                );
            }
        }
    }
}

const CLASSES: ProblemType = ProblemType::SingleLabelClassification;

#[test]
fn every_family() {
    for family in Family::ALL {
        Pass::new(tiny(family, "gelu", CLASSES), Freezing::Nothing).check(family.model_type());
    }
}

#[test]
fn every_freezing() {
    for family in [Family::Roberta, Family::Bert, Family::DistilBert] {
        for layers in 0..=2 {
            let what = format!("{}, {layers} layers frozen", family.model_type());
            Pass::new(tiny(family, "gelu", CLASSES), Freezing::Layers(layers)).check(&what);
        }
    }
}

#[test]
fn every_loss() {
    for kind in [CLASSES, ProblemType::MultiLabelClassification, ProblemType::Regression] {
        Pass::new(tiny(Family::Roberta, "gelu", kind), Freezing::Nothing).check(kind.hugging_face_name());
    }
}

#[test]
fn every_activation() {
    for activation in ["gelu", "gelu_new", "relu", "tanh", "silu", "linear"] {
        Pass::new(tiny(Family::Bert, activation, CLASSES), Freezing::Nothing).check(activation);
    }
}

/// The model of `family` with a masked-language head.
fn masked_language(family: Family, tied: bool) -> ModelConfig {
    let mut config = tiny(family, "silu", CLASSES);
    config.raw.insert("tie_word_embeddings".into(), tied.into());
    config.for_masked_language()
}

#[test]
fn masked_language_of_every_family_tied_or_not() {
    for family in Family::ALL {
        for tied in [true, false] {
            let what = format!("{}, tied: {tied}", family.model_type());
            Pass::new(masked_language(family, tied), Freezing::Nothing).check(&what);
        }
    }
}

/// The gradients of all parameters, and the loss, with at most `rows` masked tokens at a time.
fn in_chunks_of(rows: usize) -> (f64, Vec<Vec<f64>>) {
    let mut pass = Pass::new(masked_language(Family::Roberta, true), Freezing::Nothing);
    pass.space.masked.as_mut().unwrap().rows = rows;
    let Pass { mut model, mut space, batch, .. } = pass;
    let output = model.train_masked(&BACKEND, &mut space, &batch, &masked(), 0.5, Some(&DROPOUT)).unwrap();
    (output.loss_sum, model.trainable().iter().map(|trainable| trainable.gradient.values.clone()).collect())
}

#[test]
fn chunks_of_masked_tokens_add_up() {
    let (whole_loss, whole) = in_chunks_of(18);
    let (loss, parts) = in_chunks_of(2);
    assert!((loss - whole_loss).abs() < 1e-12, "{loss} {whole_loss}");
    for (part, whole) in parts.iter().flatten().zip(whole.iter().flatten()) {
        assert!((part - whole).abs() < 1e-12, "{part} {whole}");
    }
}

#[test]
fn logits_of_tokens_are_those_behind_the_losses() {
    let config = masked_language(Family::Bert, true);
    let vocab = config.vocab;
    let mut pass = Pass::new(config, Freezing::Nothing);
    let masked = masked();
    let output = pass.model.masked_losses(&BACKEND, &mut pass.space, &pass.batch, &masked).unwrap();
    let logits = pass.model.token_logits(&BACKEND, &mut pass.space, &pass.batch, &masked.rows).unwrap();
    let (mut loss, mut correct) = (0.0, 0);
    for (logits, &target) in logits.chunks_exact(vocab).zip(&masked.targets) {
        let sum: f64 = logits.iter().map(|&z| f64::from(z).exp()).sum();
        loss += sum.ln() - f64::from(logits[target as usize]);
        correct += u64::from(logits.iter().all(|&z| z <= logits[target as usize]));
    }
    assert!((loss - output.loss_sum).abs() < 1e-5, "{loss} {}", output.loss_sum);
    assert_eq!(correct, output.correct);
}

#[test]
fn nothing_of_a_masked_language_model_can_be_frozen_but_everything() {
    let build = |freezing| {
        let options = BuildOptions { freezing, dtype: DType::F32 };
        Model::build(&BACKEND, masked_language(Family::Roberta, true), &mut Large, options)
    };
    assert!(matches!(build(Freezing::Layers(1)), Err(ModelError::FrozenEmbeddings)));
    assert!(build(Freezing::All).is_ok());
}
