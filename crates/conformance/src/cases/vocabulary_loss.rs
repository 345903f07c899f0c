//! `vocabulary_loss`.

use super::loss::softmax_errors;
use super::{Case, DTYPES};
use crate::Visitor;
use crate::numbers::{choices, numbers, rounded, wide};
use crate::op::Op;
use crate::tolerance::{stored, stored_all};
use crate::trial::Trial;
use serin_ops::Backend;
use serin_tensor::DType;

/// A loss scale and a mean over 40 masked tokens.
const GRADIENT_SCALE: f32 = 1024.0 / 40.0;

struct VocabularyLoss {
    dtype: DType,
    shape: (usize, usize),
    logits: Vec<f32>,
    targets: Vec<u32>,
    training: bool,
}

impl Case for VocabularyLoss {
    fn op(&self) -> Op {
        Op::VocabularyLoss
    }

    fn label(&self) -> String {
        let training = if self.training { " with gradient" } else { "" };
        format!("{} {}x{}{training}", self.dtype, self.shape.0, self.shape.1)
    }

    fn run<B: Backend>(&self, trial: &mut Trial<'_, B>) {
        let (rows, classes) = self.shape;
        let mut logits = trial.updated(self.dtype, &self.logits);
        let targets = trial.indices(&self.targets);
        let mut losses = trial.output(DType::F32, 2 * rows);
        let scale = self.training.then_some(GRADIENT_SCALE);
        trial.call(|backend| backend.vocabulary_loss(&mut logits, &targets, rows, classes, scale, &mut losses));
        trial.keep("losses", &losses, 2 * rows);
        trial.keep("logits", &logits, rows * classes);
    }

    fn tolerances(&self, expected: &[Vec<f64>]) -> Vec<Vec<f64>> {
        let (rows, classes) = self.shape;
        let logits = wide(&self.logits);
        let mut losses = Vec::new();
        let mut gradients = Vec::new();
        for row in 0..rows {
            let mut one_hot = vec![0.0; classes];
            one_hot[self.targets[row] as usize] = 1.0;
            let (loss, gradient) = softmax_errors(&logits[row * classes..(row + 1) * classes], &one_hot);
            losses.push(stored(DType::F32, expected[0][2 * row], loss));
            // Whether the target is the highest is a matter of comparison alone.
            losses.push(0.0);
            gradients.extend(gradient.into_iter().map(|error| error * f64::from(GRADIENT_SCALE)));
        }
        let logits = match self.training {
            true => stored_all(self.dtype, &expected[1], gradients),
            false => vec![0.0; rows * classes],
        };
        vec![losses, logits]
    }
}

pub(super) fn each(visitor: &mut impl Visitor) {
    for dtype in DTYPES {
        for (rows, classes) in [(0, 2), (1, 1), (3, 2), (2, 15), (5, 16), (7, 33), (17, 500), (3, 8191), (2, 50265)] {
            for (far, training) in [(1.0, true), (1.0, false), (30.0, true)] {
                let logits = numbers(dtype, rows * classes, 1);
                let mut logits: Vec<f32> = logits.iter().map(|z| rounded(dtype, z * far)).collect();
                let targets = choices(classes, rows, 2);
                // Every third row is decided rightly, and one after it has an equal class before the target.
                for row in (0..rows).step_by(3) {
                    logits[row * classes + targets[row] as usize] = rounded(dtype, 4.0 * far);
                    if let Some(tied) = targets.get(row + 1).filter(|&&target| target > 0) {
                        let start = (row + 1) * classes;
                        logits[start + *tied as usize] = rounded(dtype, 4.0 * far);
                        logits[start] = rounded(dtype, 4.0 * far);
                    }
                }
                visitor.case(VocabularyLoss { dtype, shape: (rows, classes), logits, targets, training });
            }
        }
    }
}
