//! Keeps the best weights and the resumable state of a pretraining run in its folder.

use super::base::Base;
use super::card::ModelCard;
use crate::fine_tune::RunFolder;
use serin_checkpoint::model::{FolderContents, ModelParameters, RECORDED_FILE, RecordedText, save_model_folder};
use serin_model::Model;
use serin_ops::Backend;
use serin_tensor::DType;
use serin_text::Normalization;
use serin_train::{HeldOut, Optimizer, PretrainKeeper, Progress, TrainError, save_state};

/// Writes into a run's folder.
pub(super) struct FolderKeeper<'a> {
    pub(super) folder: &'a RunFolder,
    pub(super) base: &'a Base,
    pub(super) normalization: Normalization,
    pub(super) card: ModelCard,
}

impl<B: Backend> PretrainKeeper<B> for FolderKeeper<'_> {
    fn save_best(&mut self, backend: &B, model: &mut Model<B>, held_out: &HeldOut) -> Result<(), TrainError> {
        self.card.held_out.push(held_out.into());
        let card = self.card.render();
        let recorded = serde_json::to_vec_pretty(&self.recorded(held_out))
            .map_err(|error| TrainError::Setting(error.to_string()))?;
        let config = model.config().clone();
        let mut source = self.base.source();
        let mut parameters = ModelParameters { model, backend, frozen: source.as_mut() };
        let contents = FolderContents {
            config: &config,
            dtype: DType::F32,
            parameters: &mut parameters,
            extra_files: &[("README.md", card.as_bytes()), (RECORDED_FILE, &recorded)],
        };
        Ok(save_model_folder(&self.folder.best(), contents, |folder| self.base.tokenizer.save(folder))?)
    }

    fn save_state(
        &mut self,
        backend: &B,
        model: &mut Model<B>,
        optimizer: &mut Optimizer<B>,
        progress: &Progress,
    ) -> Result<(), TrainError> {
        save_state(&self.folder.state(), backend, model, optimizer, progress)
    }
}

impl FolderKeeper<'_> {
    /// What fine-tuning takes over: how texts are normalised. The length of sequences is this run's own affair.
    fn recorded(&self, held_out: &HeldOut) -> RecordedText {
        let normalization = match self.normalization {
            Normalization::None => "none",
            Normalization::Tweet => "tweet",
        };
        let mut recorded = RecordedText { normalization: Some(normalization.into()), ..RecordedText::default() };
        let provenance = &mut recorded.provenance;
        provenance.insert("base_model".into(), self.base.name.clone().into());
        provenance.insert("data".into(), self.card.data.clone().into());
        provenance.insert("step".into(), held_out.global_step.into());
        provenance.insert("serin_version".into(), env!("CARGO_PKG_VERSION").into());
        recorded
    }
}
