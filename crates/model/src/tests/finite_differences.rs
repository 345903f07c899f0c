//! Every gradient of a training pass against central differences of its loss, dropout included.

use super::{Large, batch, targets, tiny};
use crate::{
    Batch, BuildOptions, DropoutContext, Family, Freezing, Model, ModelConfig, ProblemType, Targets, Workspace,
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
    targets: Targets,
}

impl Pass {
    fn new(config: ModelConfig, freezing: Freezing) -> Pass {
        let (batch, targets) = (batch(&config), targets(&config));
        let options = BuildOptions { freezing, dtype: DType::F32 };
        let model = Model::build(&BACKEND, config, &mut Large, options).unwrap();
        let space = model.workspace(&BACKEND, batch.tokens(), batch.sequences()).unwrap();
        Pass { model, space, batch, targets }
    }

    /// The sum of losses in double precision (what the device hands out is rounded to f32).
    fn loss(&mut self) -> f64 {
        self.model.refresh(&BACKEND);
        self.model.forward_trunk(&BACKEND, &mut self.space, &self.batch, Some(&DROPOUT));
        let (batch, targets) = (&self.batch, &self.targets);
        self.model.train_micro_batch(&BACKEND, &mut self.space, batch, targets, 1.0, Some(&DROPOUT)).unwrap();
        self.space.gradients.as_ref().unwrap().losses.values[..self.batch.sequences()].iter().sum()
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
