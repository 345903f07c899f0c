//! Labels to loss targets: class weights, smoothing and averaging worked into `[rows, labels]` numbers.

use crate::config::ProblemType;
use serin_ops::LossKind;

/// What a text is labelled with.
#[derive(Clone, Debug, PartialEq)]
pub enum Target {
    /// The id of its label.
    Class(u32),
    /// Which labels apply, by id.
    Multi(Vec<bool>),
    /// The number to predict.
    Score(f32),
}

/// How labels become a loss; the definitions are those of `torch.nn.functional`.
#[derive(Clone, Debug, PartialEq)]
pub struct LossSettings {
    /// Decides between cross-entropy, binary cross-entropy and squared error.
    pub problem_type: ProblemType,
    /// Labels of the model.
    pub labels: usize,
    /// ε of label smoothing, in [0, 1); single-label only.
    pub label_smoothing: f32,
    /// A weight a label; single-label only.
    pub class_weights: Option<Vec<f32>>,
}

/// Targets of a batch as the backend's loss takes them.
#[derive(Clone, Debug)]
pub struct Targets {
    /// Which loss.
    pub kind: LossKind,
    /// `[rows, labels]`.
    pub values: Vec<f32>,
    /// What the sum of losses is divided by: the sum of the rows' class weights for cross-entropy, rows times labels
    /// otherwise, so that micro-batches and accumulated batches average over examples.
    pub normalizer: f64,
}

impl LossSettings {
    /// The targets of a batch.
    ///
    /// Cross-entropy with smoothing ε and weights w of class y is `Σ_c t_c (-log p_c)` with
    /// `t_c = (1-ε) w_y [c = y] + ε w_c / K`, divided by the sum of `w_y` over the batch.
    pub fn targets<'a>(&self, targets: impl IntoIterator<Item = &'a Target>) -> Targets {
        let kind = match self.problem_type {
            ProblemType::SingleLabelClassification => LossKind::SoftmaxCrossEntropy,
            ProblemType::MultiLabelClassification => LossKind::SigmoidCrossEntropy,
            ProblemType::Regression => LossKind::SquaredError,
        };
        let mut values = Vec::new();
        let mut normalizer = 0.0;
        for target in targets {
            match target {
                Target::Class(class) => normalizer += self.push_class(*class as usize, &mut values),
                Target::Multi(flags) => {
                    assert_eq!(flags.len(), self.labels, "a multi-label target has one flag a label");
                    values.extend(flags.iter().map(|&flag| f32::from(u8::from(flag))));
                    normalizer += self.labels as f64;
                }
                Target::Score(score) => {
                    values.push(*score);
                    normalizer += 1.0;
                }
            }
        }
        Targets { kind, values, normalizer }
    }

    /// Appends the row of a class and returns its weight.
    fn push_class(&self, class: usize, values: &mut Vec<f32>) -> f64 {
        assert!(class < self.labels, "label id outside the model's labels");
        let weight = |class: usize| self.class_weights.as_ref().map_or(1.0, |weights| weights[class]);
        let smooth = self.label_smoothing;
        for other in 0..self.labels {
            let hit = if other == class { (1.0 - smooth) * weight(class) } else { 0.0 };
            values.push(hit + smooth * weight(other) / self.labels as f32);
        }
        f64::from(weight(class))
    }
}
