//! Fresh parameters: the values `transformers` would draw, from a generator of our own.

use serin_random::{GAMMA, mix};

use crate::error::ModelError;
use crate::parameters::{ParameterKind, ParameterSource, ParameterSpec};

/// Draws parameters: N(0, range²) for tables and matrices, zeros for biases, ones for γ.
///
/// A parameter's values depend on the seed and its name only, so the order of drawing does not matter. The generator is
/// SplitMix64 with the Box-Muller transform.
#[derive(Clone, Copy, Debug)]
pub struct Initializer {
    /// The seed.
    pub seed: u64,
    /// `initializer_range`: the standard deviation.
    pub range: f32,
}

impl ParameterSource for Initializer {
    fn values(&mut self, spec: &ParameterSpec) -> Result<Vec<f32>, ModelError> {
        Ok(match spec.kind {
            ParameterKind::Bias | ParameterKind::NormBias => vec![0.0; spec.len()],
            ParameterKind::NormWeight => vec![1.0; spec.len()],
            ParameterKind::Table | ParameterKind::Matrix => self.normal(spec),
        })
    }
}

impl Initializer {
    fn normal(&self, spec: &ParameterSpec) -> Vec<f32> {
        let mut state = spec.name.bytes().fold(mix(self.seed), |state, byte| mix(state ^ u64::from(byte)));
        let mut uniform = || {
            state = state.wrapping_add(GAMMA);
            // (0, 1]: the logarithm below must be finite.
            ((mix(state) >> 11) + 1) as f64 / (1u64 << 53) as f64
        };
        let mut values = Vec::with_capacity(spec.len() + 1);
        while values.len() < spec.len() {
            let radius = (-2.0 * uniform().ln()).sqrt() * f64::from(self.range);
            let angle = std::f64::consts::TAU * uniform();
            values.push((radius * angle.cos()) as f32);
            values.push((radius * angle.sin()) as f32);
        }
        values.truncate(spec.len());
        values
    }
}
