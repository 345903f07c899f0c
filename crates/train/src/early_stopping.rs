//! Which evaluation was best, and when to stop for want of a better one.
//!
//! The rules of `transformers`' `EarlyStoppingCallback`: any strict improvement is a new best; the counter goes back to
//! zero only if the improvement is also larger than the threshold. A NaN never is an improvement.

use serde::{Deserialize, Serialize};

/// The best evaluation so far and the count of those since that did not improve on it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct EarlyStopping {
    /// The best value of the selection metric.
    pub best: Option<f64>,
    /// The epoch that reached it, from 1.
    pub best_epoch: Option<u32>,
    /// The optimizer step that reached it.
    pub best_step: Option<u64>,
    /// Evaluations in a row without (enough) improvement.
    pub counter: u32,
}

impl EarlyStopping {
    /// Takes note of an evaluation and says whether it is a new best.
    pub fn observe(&mut self, value: f64, greater_is_better: bool, threshold: f64, epoch: u32, step: u64) -> bool {
        let gain = match self.best {
            None if value.is_nan() => f64::NAN,
            None => f64::INFINITY,
            Some(best) if greater_is_better => value - best,
            Some(best) => best - value,
        };
        if gain > threshold {
            self.counter = 0;
        } else {
            self.counter += 1;
        }
        let improved = gain > 0.0;
        if improved {
            (self.best, self.best_epoch, self.best_step) = (Some(value), Some(epoch), Some(step));
        }
        improved
    }

    /// Whether the patience is used up.
    pub fn should_stop(&self, patience: Option<u32>) -> bool {
        patience.is_some_and(|patience| self.counter >= patience)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn observe_all(values: &[f64], threshold: f64) -> (Vec<bool>, EarlyStopping) {
        let mut stopping = EarlyStopping::default();
        let bests = values.iter().zip(1..).map(|(&value, epoch)| stopping.observe(value, true, threshold, epoch, 0));
        (bests.collect(), stopping)
    }

    #[test]
    fn a_tie_is_no_improvement_and_four_in_a_row_stop() {
        let (bests, stopping) = observe_all(&[0.9, 0.92, 0.92, 0.91, 0.92, 0.9], 0.0);
        assert_eq!(bests, [true, true, false, false, false, false]);
        assert!(stopping.should_stop(Some(4)) && !stopping.should_stop(Some(5)) && !stopping.should_stop(None));
        assert_eq!((stopping.best, stopping.best_epoch), (Some(0.92), Some(2)));
    }

    #[test]
    fn nan_is_never_best() {
        let (bests, stopping) = observe_all(&[f64::NAN, 0.5, f64::NAN], 0.0);
        assert_eq!(bests, [false, true, false]);
        assert_eq!((stopping.best, stopping.counter), (Some(0.5), 1));
    }

    #[test]
    fn a_small_gain_is_a_new_best_but_does_not_reset_the_counter() {
        let (bests, stopping) = observe_all(&[0.5, 0.505], 0.01);
        assert_eq!(bests, [true, true]);
        assert_eq!((stopping.best, stopping.counter), (Some(0.505), 1));
    }

    #[test]
    fn a_smaller_loss_is_better() {
        let mut stopping = EarlyStopping::default();
        assert!(stopping.observe(0.7, false, 0.0, 1, 1));
        assert!(stopping.observe(0.6, false, 0.0, 2, 2));
        assert!(!stopping.observe(0.65, false, 0.0, 3, 3));
    }
}
