//! The learning rate as a function of the optimizer step; the formulas of `transformers.optimization`.

use crate::settings::{SchedulerType, TrainSettings, Warmup};

/// A schedule over a run of known length.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Schedule {
    kind: SchedulerType,
    warmup_steps: u64,
    total_steps: u64,
}

impl Schedule {
    /// The schedule of `settings` over `total_steps` optimizer steps.
    pub fn new(settings: &TrainSettings, total_steps: u64) -> Schedule {
        let warmup_steps = match settings.warmup {
            Warmup::Steps(steps) => steps,
            Warmup::Ratio(ratio) => (ratio * total_steps as f64).ceil() as u64,
        };
        Schedule { kind: settings.lr_scheduler_type, warmup_steps, total_steps }
    }

    /// What the peak rate is multiplied by at optimizer step `step`, from 0: the number of steps already made.
    pub fn factor(&self, step: u64) -> f64 {
        if self.kind == SchedulerType::Constant {
            return 1.0;
        }
        if step < self.warmup_steps {
            return step as f64 / self.warmup_steps as f64;
        }
        let left = self.total_steps.saturating_sub(step) as f64;
        let falling = self.total_steps.saturating_sub(self.warmup_steps).max(1) as f64;
        match self.kind {
            SchedulerType::Linear => left / falling,
            SchedulerType::Cosine => {
                let progress = (step - self.warmup_steps) as f64 / falling;
                (0.5 * (1.0 + (std::f64::consts::PI * progress).cos())).max(0.0)
            }
            SchedulerType::Constant | SchedulerType::ConstantWithWarmup => 1.0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn factors(kind: SchedulerType, warmup: Warmup, total: u64) -> Vec<f64> {
        let settings = TrainSettings { lr_scheduler_type: kind, warmup, ..TrainSettings::default() };
        let schedule = Schedule::new(&settings, total);
        (0..=total).map(|step| schedule.factor(step)).collect()
    }

    /// `get_linear_schedule_with_warmup(num_warmup_steps=2, num_training_steps=6)`.
    #[test]
    fn linear_rises_and_falls_as_in_transformers() {
        let expected = [0.0, 0.5, 1.0, 0.75, 0.5, 0.25, 0.0];
        assert_eq!(factors(SchedulerType::Linear, Warmup::Steps(2), 6), expected);
        assert_eq!(factors(SchedulerType::Linear, Warmup::Ratio(0.3), 6), expected);
    }

    /// `math.ceil(15 * 0.2)`; in single precision the share is a little more, and a step too long.
    #[test]
    fn a_share_of_a_fifth_of_fifteen_steps_is_three() {
        let rates = factors(SchedulerType::ConstantWithWarmup, Warmup::Ratio(0.2), 15);
        assert_eq!(rates.iter().filter(|&&factor| factor < 1.0).count(), 3);
    }

    /// `get_cosine_schedule_with_warmup(num_warmup_steps=2, num_training_steps=6)`.
    #[test]
    fn cosine_falls_as_in_transformers() {
        let expected = [0.0, 0.5, 1.0, 0.853_553_390_593_273_7, 0.5, 0.146_446_609_406_726_3, 0.0];
        for (factor, expected) in factors(SchedulerType::Cosine, Warmup::Steps(2), 6).iter().zip(expected) {
            assert!((factor - expected).abs() < 1e-15, "{factor} {expected}");
        }
    }

    #[test]
    fn constant_ignores_the_warmup_unless_named() {
        assert_eq!(factors(SchedulerType::Constant, Warmup::Steps(2), 3), [1.0; 4]);
        assert_eq!(factors(SchedulerType::ConstantWithWarmup, Warmup::Steps(2), 3), [0.0, 0.5, 1.0, 1.0]);
    }

    #[test]
    fn a_warmup_longer_than_the_run_does_not_divide_by_zero() {
        assert!(factors(SchedulerType::Linear, Warmup::Steps(100), 6).iter().all(|factor| factor.is_finite()));
    }
}
