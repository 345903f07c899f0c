//! The one scoring rule: logits to probabilities to a decision, for evaluating, predicting and serving alike.

use serde::{Deserialize, Serialize};

/// What the head's outputs mean, spelled as `problem_type` in a Hugging Face `config.json`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ProblemType {
    /// Exactly one label a row; softmax.
    #[serde(rename = "single_label_classification")]
    SingleLabel,
    /// Any number of labels a row; sigmoid.
    #[serde(rename = "multi_label_classification")]
    MultiLabel,
    /// Real-valued targets; raw outputs.
    #[serde(rename = "regression")]
    Regression,
}

/// Scores of one row from its logits, both of shape `[labels]`.
///
/// The rule and its order are those of the `transformers` text-classification pipeline: regression gives the
/// raw outputs; multi-label, or a single output, the logistic sigmoid; anything else the softmax.
/// Computed in f64 with the maximum subtracted, so no finite logits overflow. A NaN or `+inf` logit makes the
/// softmax of the whole row NaN, which [`decide`] reports as [`Decision::Undefined`].
pub fn probabilities(problem_type: ProblemType, logits: &[f32]) -> Vec<f32> {
    match problem_type {
        ProblemType::Regression => logits.to_vec(),
        ProblemType::MultiLabel => logits.iter().map(|&logit| sigmoid(logit)).collect(),
        ProblemType::SingleLabel if logits.len() == 1 => logits.iter().map(|&logit| sigmoid(logit)).collect(),
        ProblemType::SingleLabel => log_softmax(logits).iter().map(|log| log.exp() as f32).collect(),
    }
}

/// Natural log of the softmax of `logits`, shape `[labels]`, in f64: finite where `probabilities` underflows.
pub(crate) fn log_softmax(logits: &[f32]) -> Vec<f64> {
    let maximum = logits.iter().fold(f64::NEG_INFINITY, |maximum, &logit| maximum.max(f64::from(logit)));
    let shifted = logits.iter().map(|&logit| f64::from(logit) - maximum);
    let log_sum = shifted.clone().map(f64::exp).sum::<f64>().ln();
    shifted.map(|logit| logit - log_sum).collect()
}

/// 1 / (1 + e^-x), written so that neither tail overflows.
fn sigmoid(logit: f32) -> f32 {
    let logit = f64::from(logit);
    let tail = (-logit.abs()).exp();
    let value = if logit.is_nan() {
        f64::NAN
    } else if logit >= 0.0 {
        1.0 / (1.0 + tail)
    } else {
        tail / (1.0 + tail)
    };
    value as f32
}

/// What a row's scores say.
#[derive(Debug, Clone, PartialEq)]
pub enum Decision {
    /// The class of the highest probability; of equal ones the lowest id, as `argmax` in numpy and PyTorch.
    Class(usize),
    /// Ids of the labels above their threshold, ascending; may be empty.
    Labels(Vec<usize>),
    /// The regression outputs as they are.
    Values(Vec<f32>),
    /// At least one score is NaN (or there is no score): no prediction exists.
    Undefined,
}

/// Decides from the [`probabilities`] of one row.
///
/// `thresholds` apply to multi-label (and single-output) rows, one a label; a label without one uses 0.5. A
/// label is chosen when its probability is strictly above, as `run_classification.py` does with `logit > 0`.
pub fn decide(problem_type: ProblemType, probabilities: &[f32], thresholds: &[f32]) -> Decision {
    if probabilities.is_empty() || probabilities.iter().any(|score| score.is_nan()) {
        return Decision::Undefined;
    }
    match problem_type {
        ProblemType::Regression => Decision::Values(probabilities.to_vec()),
        ProblemType::SingleLabel if probabilities.len() > 1 => {
            argmax(probabilities).map_or(Decision::Undefined, Decision::Class)
        }
        ProblemType::SingleLabel | ProblemType::MultiLabel => {
            let chosen = probabilities
                .iter()
                .enumerate()
                .filter(|&(label, &score)| score > thresholds.get(label).copied().unwrap_or(DEFAULT_THRESHOLD));
            Decision::Labels(chosen.map(|(label, _)| label).collect())
        }
    }
}

/// The threshold of a label for which none is given.
pub(crate) const DEFAULT_THRESHOLD: f32 = 0.5;

/// Index of the highest score, the lowest of equals; `None` when empty or when any score is NaN.
pub(crate) fn argmax(scores: &[f32]) -> Option<usize> {
    let mut best: Option<(usize, f32)> = None;
    for (index, &score) in scores.iter().enumerate() {
        if score.is_nan() {
            return None;
        }
        if best.is_none_or(|(_, highest)| score > highest) {
            best = Some((index, score));
        }
    }
    best.map(|(index, _)| index)
}

/// Binary cross entropy of one decision in nats, from the logit: `max(x, 0) - x y + ln(1 + e^-|x|)`.
pub(crate) fn logistic_loss(label: bool, logit: f32) -> f64 {
    let logit = f64::from(logit);
    logit.max(0.0) - if label { logit } else { 0.0 } + (-logit.abs()).exp().ln_1p()
}
