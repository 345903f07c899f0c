//! Weights that make every class count alike in the loss, however rare it is.

use crate::error::SerinError;
use serin_model::Target;
use serin_train::Examples;

/// `examples / (labels · examples of the class)`, as scikit-learn's `class_weight="balanced"`: one weight a label, whose mean
/// over the examples is 1. A label without examples weighs 0.
///
/// # Errors
/// Examples that are not each of one class.
pub(super) fn balanced(train: &Examples, labels: usize) -> Result<Vec<f32>, SerinError> {
    let mut counts = vec![0_usize; labels];
    for index in 0..train.len() {
        match train.target(index) {
            Target::Class(class) => counts[*class as usize] += 1,
            Target::Multi(_) | Target::Score(_) => {
                let reason = "--class-weights balanced is for data with one label an example";
                return Err(SerinError::Refused(reason.into()));
            }
        }
    }
    let weight = |count: usize| match count {
        0 => 0.0,
        count => (train.len() as f64 / (labels * count) as f64) as f32,
    };
    Ok(counts.into_iter().map(weight).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn examples(targets: Vec<Target>) -> Examples {
        let mut examples = Examples::default();
        targets.into_iter().for_each(|target| examples.push(&[0, 2], &[0, 0], 2, target));
        examples
    }

    #[test]
    fn weights_are_those_of_scikit_learn() {
        // sklearn.utils.class_weight.compute_class_weight("balanced", classes=[0, 1, 2], y=[0, 1, 1, 1, 2, 2])
        let classes = [0, 1, 1, 1, 2, 2].map(Target::Class).to_vec();
        assert_eq!(balanced(&examples(classes), 3).unwrap(), [2.0, 2.0 / 3.0, 1.0]);
    }

    #[test]
    fn a_label_without_examples_weighs_nothing() {
        assert_eq!(balanced(&examples(vec![Target::Class(1), Target::Class(1)]), 2).unwrap(), [0.0, 0.5]);
    }

    #[test]
    fn scores_and_sets_of_labels_have_no_classes() {
        assert!(balanced(&examples(vec![Target::Score(1.0)]), 1).is_err());
        assert!(balanced(&examples(vec![Target::Multi(vec![true, false])]), 2).is_err());
    }
}
