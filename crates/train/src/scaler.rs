//! Dynamic loss scaling, as `torch.amp.GradScaler` with its default constants.

use serde::{Deserialize, Serialize};

const INITIAL_SCALE: f32 = 65536.0;
const GROWTH_FACTOR: f32 = 2.0;
const BACKOFF_FACTOR: f32 = 0.5;
const GROWTH_INTERVAL: u32 = 2000;
/// Below this, gradients overflow however small the loss is made: something else is wrong.
const SMALLEST_SCALE: f32 = 1.0 / 65536.0;

/// The scale of losses and how it came about. The state's names are PyTorch's.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct GradScaler {
    /// What losses are multiplied by.
    pub scale: f32,
    /// Good steps since the scale last changed.
    #[serde(rename = "_growth_tracker")]
    pub growth_tracker: u32,
    /// Steps skipped so far.
    pub skipped: u64,
    /// Whether it scales at all.
    pub enabled: bool,
}

impl GradScaler {
    /// A scaler at its start; one that is not enabled has scale 1 and never changes it.
    pub fn new(enabled: bool) -> GradScaler {
        GradScaler { scale: if enabled { INITIAL_SCALE } else { 1.0 }, growth_tracker: 0, skipped: 0, enabled }
    }

    /// Takes note of a step: its gradients were all finite, or it is to be skipped.
    pub fn update(&mut self, finite: bool) {
        if !finite {
            self.skipped += 1;
        }
        if !self.enabled {
            return;
        }
        if !finite {
            self.scale *= BACKOFF_FACTOR;
            self.growth_tracker = 0;
            return;
        }
        self.growth_tracker += 1;
        if self.growth_tracker == GROWTH_INTERVAL {
            self.growth_tracker = 0;
            let grown = self.scale * GROWTH_FACTOR;
            // PyTorch, too, leaves a scale that would overflow.
            if grown.is_finite() {
                self.scale = grown;
            }
        }
    }

    /// Whether the scale has fallen so far that training cannot go on.
    pub fn is_exhausted(&self) -> bool {
        self.enabled && self.scale < SMALLEST_SCALE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overflow_halves_and_two_thousand_good_steps_double() {
        let mut scaler = GradScaler::new(true);
        scaler.update(false);
        assert_eq!((scaler.scale, scaler.skipped), (32768.0, 1));
        (0..1999).for_each(|_| scaler.update(true));
        assert_eq!(scaler.scale, 32768.0);
        scaler.update(true);
        assert_eq!((scaler.scale, scaler.growth_tracker), (65536.0, 0));
    }

    #[test]
    fn an_overflow_starts_the_count_anew() {
        let mut scaler = GradScaler::new(true);
        (0..1999).for_each(|_| scaler.update(true));
        scaler.update(false);
        (0..1999).for_each(|_| scaler.update(true));
        assert_eq!(scaler.scale, 32768.0);
    }

    #[test]
    fn endless_overflow_is_noticed() {
        let mut scaler = GradScaler::new(true);
        (0..33).for_each(|_| scaler.update(false));
        assert!(scaler.is_exhausted());
    }

    #[test]
    fn a_disabled_scaler_counts_but_does_not_scale() {
        let mut scaler = GradScaler::new(false);
        scaler.update(false);
        assert_eq!((scaler.scale, scaler.skipped, scaler.is_exhausted()), (1.0, 1, false));
    }
}
