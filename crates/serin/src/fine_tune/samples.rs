//! A few examples with what the best model says of them, for people to look at.

use crate::error::SerinError;
use serin_data::{Dataset, Target};
use serin_metrics::{Decision, decide, probabilities};
use serin_model::Model;
use serin_ops::Backend;
use serin_train::{Examples, infer_all};

/// An example and its prediction.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// The text.
    pub text: String,
    /// What it is labelled with.
    pub label: String,
    /// What the model says.
    pub predicted: String,
    /// How probable it finds that.
    pub score: f32,
}

/// At most `count` examples of single labels, evenly spread over a dataset.
pub(super) fn samples<B: Backend>(
    device: &B,
    model: &Model<B>,
    dataset: &Dataset,
    examples: &Examples,
    count: usize,
) -> Result<Vec<Sample>, SerinError> {
    let every = (dataset.len() / count.max(1)).max(1);
    let chosen: Vec<usize> = (0..dataset.len()).step_by(every).take(count).collect();
    let part = examples.part(&chosen);
    let longest = (0..part.len()).map(|index| part.length(index)).max().unwrap_or(1);
    let mut space = model.workspace(device, longest.max(512), part.len())?;
    let logits = infer_all(device, model, &mut space, &part, None, &mut |_| ())?;
    let labels = &model.config().labels;
    let name = |id: usize| labels.get(id).cloned().unwrap_or_default();
    let rows = chosen.iter().zip(logits.chunks_exact(labels.len()));
    Ok(rows
        .filter_map(|(&index, logits)| {
            let example = &dataset.examples[index];
            let Target::Class(class) = example.target else { return None };
            let scores = probabilities(serin_metrics::ProblemType::SingleLabel, logits);
            let Decision::Class(id) = decide(serin_metrics::ProblemType::SingleLabel, &scores, &[]) else {
                return None;
            };
            Some(Sample {
                text: example.text.clone(),
                label: name(class as usize),
                predicted: name(id),
                score: scores[id],
            })
        })
        .collect())
}
