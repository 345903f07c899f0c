//! How much memory inference needs, about.

use serde::Serialize;
use serin::classifier::{BATCH_SEQUENCES, BATCH_TOKENS};
use serin_model::{Group, ModelConfig};
use serin_tensor::DType;

/// Bytes of weights and of a batch's activations.
#[derive(Serialize)]
pub struct Memory {
    /// Weights on the device.
    pub weights: u64,
    /// Activations of the largest batch.
    pub activations: u64,
}

impl Memory {
    /// Counts what `Model::build` and `Model::workspace` lay out: encoder weights and activations in `dtype`, the head in
    /// fp32. Biases and norms, a thousandth, are counted as if they were in `dtype`, too.
    pub fn estimate(config: &ModelConfig, dtype: DType) -> Memory {
        let size = dtype.size() as u64;
        let single = DType::F32.size() as u64;
        let parameters = config.parameters();
        let bytes =
            parameters.iter().map(|spec| spec.len() as u64 * if spec.group == Group::Head { single } else { size });
        let tokens = BATCH_TOKENS.max(config.max_length()) as u64;
        // Embedding sum, layer input and output, context, both sums, the normalised one: 7; queries, keys, values: 3.
        let width = 10 * config.hidden as u64 + config.intermediate as u64;
        let head = BATCH_SEQUENCES as u64 * (3 * config.hidden + config.labels.len()) as u64 * single;
        Memory { weights: bytes.sum(), activations: tokens * width * size + head }
    }
}
