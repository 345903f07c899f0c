//! Keeps the best weights and the resumable state of a pretraining run in its folder.

use super::base::Base;
use super::card::ModelCard;
use crate::fine_tune::RunFolder;
use crate::pretrained::record_text;
use serin_checkpoint::model::RecordedText;
use serin_model::Model;
use serin_ops::Backend;
use serin_text::{EncodeSettings, Normalization};
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
        let text = self.recorded(held_out);
        self.folder.save_best(backend, model, self.base.source().as_mut(), &self.base.tokenizer, &card, &text)
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
        let RecordedText { normalization, .. } =
            record_text(&EncodeSettings { normalization: self.normalization, ..EncodeSettings::default() });
        let mut recorded = RecordedText { normalization, ..RecordedText::default() };
        let provenance = &mut recorded.provenance;
        provenance.insert("base_model".into(), self.base.name.clone().into());
        provenance.insert("data".into(), self.card.data.clone().into());
        provenance.insert("step".into(), held_out.global_step.into());
        provenance.insert("serin_version".into(), env!("CARGO_PKG_VERSION").into());
        recorded
    }
}
