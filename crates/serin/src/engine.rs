//! A model for inference on whichever device.

use crate::device::{Device, DeviceOptions, Hardware};
use crate::error::SerinError;
use serin_checkpoint::model::LoadedFolder;
use serin_model::{Batch, BuildOptions, Freezing, Model, ModelConfig, ModelError, Workspace};
use serin_tensor::DType;

/// What inference asks of a model, whatever computes it.
pub(crate) trait Engine: Send + Sync {
    /// The device, for people.
    fn device_name(&self) -> String;
    /// The model's numbers.
    fn config(&self) -> &ModelConfig;
    /// The storage type.
    fn dtype(&self) -> DType;
    /// How many sequences of these lengths, from the first on, are computed at once.
    fn run_length(&self, lengths: &mut dyn Iterator<Item = usize>) -> usize;
    /// Logits `[sequences, labels]`.
    fn infer(&mut self, batch: &Batch) -> Result<Vec<f32>, ModelError>;
    /// Logits `[rows, vocab]` of a masked language model.
    fn token_logits(&mut self, batch: &Batch, rows: &[u32]) -> Result<Vec<f32>, ModelError>;
}

/// Puts a folder's model on a device, with room for one text of `longest` tokens at least and `sequences` texts at once.
pub(crate) fn open(
    folder: &LoadedFolder,
    options: DeviceOptions,
    longest: usize,
    sequences: usize,
) -> Result<Box<dyn Engine>, SerinError> {
    Ok(match options.open()? {
        Device::Cpu(device) => Box::new(OnDevice::new(device, folder, options, longest, sequences)?),
        Device::Cuda(device) => Box::new(OnDevice::new(device, folder, options, longest, sequences)?),
    })
}

struct OnDevice<B: Hardware> {
    device: B,
    model: Model<B>,
    space: Workspace<B>,
}

impl<B: Hardware> OnDevice<B> {
    fn new(
        device: B,
        folder: &LoadedFolder,
        options: DeviceOptions,
        longest: usize,
        sequences: usize,
    ) -> Result<OnDevice<B>, ModelError> {
        let build = BuildOptions { freezing: Freezing::All, dtype: options.precision.dtype(&device) };
        let model = Model::build(&device, folder.config().clone(), &mut folder.source(0), build)?;
        let space = model.workspace(&device, B::BATCH_TOKENS.max(longest), sequences)?;
        Ok(OnDevice { device, model, space })
    }
}

impl<B: Hardware> Engine for OnDevice<B> {
    fn device_name(&self) -> String {
        self.device.name()
    }

    fn config(&self) -> &ModelConfig {
        self.model.config()
    }

    fn dtype(&self) -> DType {
        self.model.dtype()
    }

    fn run_length(&self, lengths: &mut dyn Iterator<Item = usize>) -> usize {
        self.space.run_length(lengths)
    }

    fn infer(&mut self, batch: &Batch) -> Result<Vec<f32>, ModelError> {
        self.model.infer(&self.device, &mut self.space, batch)
    }

    fn token_logits(&mut self, batch: &Batch, rows: &[u32]) -> Result<Vec<f32>, ModelError> {
        self.model.token_logits(&self.device, &mut self.space, batch, rows)
    }
}
