//! The model that is measured: a folder's, or RoBERTa-base with random weights.

use serde_json::json;
use serin::PretrainedOptions;
use serin::pretrained::locate;
use serin_checkpoint::hub::Silent;
use serin_checkpoint::model::LoadedFolder;
use serin_model::{
    BuildOptions, Freezing, Model, ModelConfig, ModelError, ParameterKind, ParameterSource, ParameterSpec,
};
use serin_ops::Backend;
use serin_tensor::DType;

/// Sizes and weights.
pub struct Subject {
    /// The sizes.
    pub config: ModelConfig,
    /// The storage type.
    pub dtype: DType,
    /// Where the weights are from; `None` makes them.
    pub folder: Option<LoadedFolder>,
}

impl Subject {
    /// The model of a folder, or RoBERTa-base.
    pub fn open(name: Option<&str>, dtype: DType) -> anyhow::Result<Subject> {
        let Some(name) = name else {
            let config = ModelConfig::from_json(&json!({
                "model_type": "roberta", "vocab_size": 50265, "max_position_embeddings": 514, "type_vocab_size": 1,
                "layer_norm_eps": 1e-5,
            }))?;
            return Ok(Subject { config, dtype, folder: None });
        };
        let folder = LoadedFolder::open(&locate(name, &PretrainedOptions::default(), &Silent)?)?;
        Ok(Subject { config: folder.config().clone(), dtype, folder: Some(folder) })
    }

    /// The sizes, and where the weights are from.
    pub fn describe(&self) -> String {
        let ModelConfig { layers, hidden, heads, intermediate, vocab, .. } = self.config;
        let weights = match &self.folder {
            Some(folder) => format!("weights of {}", folder.path().display()),
            None => "random weights".into(),
        };
        format!(
            "{}, {layers} layers of {hidden} hidden, {heads} heads, {intermediate} intermediate, {vocab} tokens; {weights}",
            self.config.family.model_type()
        )
    }

    /// The model on a device.
    pub fn build<B: Backend>(&self, backend: &B, freezing: Freezing) -> Result<Model<B>, ModelError> {
        let options = BuildOptions { freezing, dtype: self.dtype };
        let config = self.config.clone();
        match &self.folder {
            Some(folder) => Model::build(backend, config, &mut folder.source(0), options),
            None => Model::build(backend, config, &mut Uniform::default(), options),
        }
    }

    /// Layers that training leaves as they are.
    pub fn frozen_layers(&self, asked: Option<usize>) -> usize {
        asked.unwrap_or(self.config.layers * 3 / 4)
    }
}

/// Weights of the usual spread, made faster than a model loads: uniform with the standard deviation of
/// `initializer_range`'s default, 0.02.
#[derive(Default)]
struct Uniform {
    state: u64,
}

/// `0.02 · √3`: half the width of a uniform distribution with that deviation.
const HALF_WIDTH: f32 = 0.034_641;

impl ParameterSource for Uniform {
    fn values(&mut self, spec: &ParameterSpec) -> Result<Vec<f32>, ModelError> {
        Ok(match spec.kind {
            ParameterKind::NormWeight => vec![1.0; spec.len()],
            ParameterKind::Bias | ParameterKind::NormBias => vec![0.0; spec.len()],
            ParameterKind::Table | ParameterKind::Matrix => (0..spec.len()).map(|_| self.next()).collect(),
        })
    }
}

impl Uniform {
    fn next(&mut self) -> f32 {
        // Knuth's 64-bit linear congruence; its upper bits are random enough for weights that nobody looks at.
        self.state = self.state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let unit = (self.state >> 40) as f32 / (1u32 << 24) as f32;
        (2.0 * unit - 1.0) * HALF_WIDTH
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn made_up_weights_have_the_usual_spread() {
        let mut source = Uniform::default();
        let values: Vec<f64> = (0..100_000).map(|_| f64::from(source.next())).collect();
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / values.len() as f64;
        assert!(mean.abs() < 5e-4, "{mean}");
        assert!((variance.sqrt() - 0.02).abs() < 2e-4, "{variance}");
    }

    #[test]
    fn the_default_is_roberta_base() {
        let subject = Subject::open(None, DType::F32).unwrap();
        let parameters: usize = subject.config.parameters().iter().map(ParameterSpec::len).sum();
        // As `transformers` counts RobertaForSequenceClassification with two labels.
        assert_eq!(parameters, 124_647_170);
        assert_eq!((subject.config.max_length(), subject.frozen_layers(None)), (512, 9));
    }
}
